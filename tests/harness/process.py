# SPDX-License-Identifier: MIT
"""Child processes that cannot outlive the tests.

A Child is started through setpriv(1), which drops root where asked and sets the parent-death
signal without Python code between fork and exec; it stays one process, so its pid is the pid of
the program. Output goes to a file, never to a pipe that could fill up. Waiting is always for an
event (the process's end, a descriptor, a probe that succeeds) under a deadline, and a failure
carries the last output.

The kernel sends the parent-death signal when the *thread* that started the child ends: start
children from a thread that lives as long as they shall.
"""

import contextlib
import os
import pwd
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence, TypeVar

T = TypeVar("T")

TAIL_LENGTH = 4000


class HarnessError(RuntimeError):
    """A counterpart did not do what the harness asked; the text carries its last output."""


class Unavailable(RuntimeError):
    """This machine lacks the counterpart; str() says what, for pytest.skip()."""


def free_port() -> int:
    """A loopback TCP port that nobody listens on now. Another process may take it before the
    caller binds it, so who uses this retries (see starting_on_free_port)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def starting_on_free_port(start: Callable[[int], T], attempts: int = 5) -> T:
    """start(port), again with another port when somebody else was quicker."""
    for attempt in range(attempts):
        try:
            return start(free_port())
        except HarnessError as error:
            text = str(error).lower()
            taken = any(sign in text for sign in ("in use", "eaddrinuse", "cannot bind"))
            if not taken or attempt + 1 == attempts:
                raise
    raise AssertionError("unreachable")


def privilege_options(user: Optional[str]) -> list:
    """The setpriv options that turn root into user; none when we are not root."""
    if user is None or os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(user)
    return [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def unprivileged_user(*preferred: str) -> Optional[str]:
    """The first of the preferred users that exists, else nobody; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in preferred:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return "nobody"


def descendants(pid: int) -> Iterator[int]:
    """All pids below pid, children first. Exact only while pid itself is stopped."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, text.split()):
        yield child
        yield from descendants(child)


def _stat(pid: int) -> Optional[list]:
    """The fields of proc_pid_stat(5) from the state on; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()


def process_state(pid: int) -> Optional[str]:
    """The state letter of proc(5), or None when there is no such process."""
    stat = _stat(pid)
    return stat[0] if stat else None


def is_below(pid: int, ancestor: int) -> bool:
    """Whether pid is ancestor or was started by it, by way of whomever. Asked upwards, because a
    list of descendants misses some while processes come and go."""
    while pid != ancestor:
        stat = _stat(pid)
        if stat is None or int(stat[1]) == 0:
            return False
        pid = int(stat[1])
    return True


class Child:
    """One running program; stop() it, or it is killed when the tests end."""

    def __init__(self, name: str, argv: Sequence, log: Path, *, user: Optional[str] = None,
                 env: Optional[dict] = None, cwd: Optional[Path] = None,
                 death_signal: str = "KILL", pass_fds: Sequence[int] = ()):
        self.name = name
        self.log = Path(log)
        command = ["setpriv", f"--pdeathsig={death_signal}", *privilege_options(user), "--",
                   *map(str, argv)]
        with open(self.log, "ab") as output:
            self._begin = output.tell()
            # Its own process group, so that Ctrl-C reaches the tests alone; but our session, so
            # that the kernel continues it if we die while it is stopped (an orphaned group).
            self._popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                           stderr=output, cwd=cwd, env=env, process_group=0,
                                           pass_fds=pass_fds)
        self.pid = self._popen.pid
        self._pidfd = os.pidfd_open(self.pid)

    def output(self) -> str:
        """What this process said so far; the file may begin with an earlier one's."""
        with open(self.log, "rb") as output:
            output.seek(self._begin)
            return output.read().decode("utf-8", "replace")

    def error(self, what: str) -> HarnessError:
        tail = self.output()[-TAIL_LENGTH:].strip()
        return HarnessError(f"{self.name} {what}; its last output:\n{tail or '(none)'}")

    @property
    def returncode(self) -> Optional[int]:
        return self._popen.poll()

    @property
    def alive(self) -> bool:
        return self.returncode is None

    def send(self, number: int) -> None:
        self._popen.send_signal(number)

    def ended_within(self, seconds: float) -> bool:
        """Waits for the end, by event; True when the process is gone."""
        if self._pidfd >= 0:
            if not wait_readable([self._pidfd], seconds):
                return False
            os.close(self._pidfd)
            self._pidfd = -1
        self._popen.wait()
        return True

    def wait_fd(self, descriptor: int, deadline: float) -> None:
        """Waits until descriptor is readable; an error when the process ends first."""
        left = max(0.0, deadline - time.monotonic())
        ready = wait_readable([descriptor, self._pidfd], left)
        if descriptor in ready:
            return
        if ready:
            raise self.error(f"ended with status {self.returncode} before it was ready")
        raise self.error("was not ready in time")

    def wait_until(self, probe: Callable[[], T], deadline: float) -> T:
        """The first true answer of probe. Between two asks it waits for the process's end, so
        that a program that fails at once is reported at once."""
        while True:
            answer = probe()
            if answer:
                return answer
            if wait_readable([self._pidfd], 0.01):
                raise self.error(f"ended with status {self.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise self.error("was not ready in time")

    def pause(self) -> None:
        self.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 10) -> None:
        """Ends the process; one that does not listen is killed, and that is an error."""
        if self._pidfd < 0:
            return
        self.send(number)
        if self.ended_within(seconds):
            return
        self.send(signal.SIGKILL)
        self.ended_within(seconds)
        raise self.error(f"did not end within {seconds} s of {signal.Signals(number).name}")


class Notice:
    """systemd's notification protocol, for programs that say themselves when they are ready."""

    def __init__(self, path: Path):
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o777)       # the program may run as another user
        self.environment = {"NOTIFY_SOCKET": str(path)}

    def __enter__(self) -> "Notice":
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()

    def wait_ready(self, child: Child, deadline: float) -> None:
        message = b""
        while b"READY=1" not in message.split(b"\n"):
            child.wait_fd(self._socket.fileno(), deadline)
            message = self._socket.recv(4096)


def wait_readable(descriptors: Sequence[int], seconds: float) -> list:
    """Those of the descriptors that become readable first."""
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poller.poll(int(seconds * 1000))]
