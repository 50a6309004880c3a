# SPDX-License-Identifier: MIT
"""A Debian that systemd boots, in a container on this machine: systemd, journal, dpkg and
PostgreSQL are the real ones, and each test may break it.

    with Machine(debian12()) as machine:            # booted; the folder of the image is untouched
        machine.run("apt-get", "install", "-y", "./x.deb")
        machine.journal("-u", "automapost-queue")   # live, from outside
        with machine.network():                     # what is made here listens inside
            receiver = WebhookReceiver()
        machine.power_cut(); machine.boot()

An image is made by mmdebstrap, once: it is kept below BUILD_ROOT under the hash of what it is made
of (IMAGES names another folder for several work trees to share). A machine is an overlay on it.

The container has its own processes, network (loopback alone, unless it is plugged into a Switch),
mounts and cgroups, and shares the kernel and its clock, which nothing in it may set.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence

import psycopg2
import psycopg2.extensions

from .process import Child, HarnessError, Unavailable

TOP = Path(__file__).resolve().parents[2]

# What a boot needs, what our package depends on, and what tests of any kind do inside.
BASE = ("systemd-sysv", "dbus", "libpam-systemd", "libnss-systemd", "ca-certificates", "iproute2",
        "procps", "openssl", "bash-completion", "nodejs", "libjson-c5", "libpq5", "libsmartcols1")
DEBIAN_12 = ("postgresql-15", "libcurl4", "libunistring2", "libssl3")
DEBIAN_13 = ("postgresql-17", "libcurl4t64", "libunistring5", "libssl3t64")

# Waits that a container has no use for, and timers that would fire into a test.
MASKED = ("systemd-networkd-wait-online.service", "getty@tty1.service", "console-getty.service",
          "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "fstrim.timer")

# Capabilities by which one could reach the host through the kernel that is shared: its clock.
NEVER = ("sys_time", "sys_module", "sys_rawio")

# Where PostgreSQL listens too, since /run is not on the disk and so not seen from outside.
SOCKETS = "/var/lib/postgresql"

CLONE_NEWNET = 0x40000000

_numbers = itertools.count(1)


def why_not() -> str:
    """The reason why no machine can be booted here, or ""."""
    if os.geteuid() != 0:
        return "to boot a machine one must be root"
    for program, package in (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap")):
        if not shutil.which(program):
            return f"{program} is not installed (package {package})"
    return ""


class Image:
    """A root folder that machines are booted from, never written after it was made."""

    def __init__(self, suite: str, packages: Sequence[str]):
        self.suite = suite
        self.packages = tuple(packages)
        self.path = self._folder() / f"{suite}-{self._key()}"

    @staticmethod
    def _folder() -> Path:
        build = Path(os.environ.get("BUILD_ROOT", TOP / "build"))
        return Path(os.environ.get("IMAGES", build / "images")).resolve()

    def _key(self) -> str:
        # Made of the archive of its day; a month later it is made anew.
        parts = [self.suite, *self.packages, *MASKED, *self._command("X"), time.strftime("%Y-%m")]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

    def ready(self) -> Path:
        """The folder, made now where it is missing (a minute or two)."""
        if why_not():
            raise Unavailable(why_not())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)     # another run may be at it
            if not self.path.exists():
                self._make()
        return self.path

    def _command(self, target: str) -> list:
        hooks = [
            # Every machine draws an id of its own at its first boot; the journal is kept.
            'truncate --size 0 "$1/etc/machine-id"', 'echo machine >"$1/etc/hostname"',
            'mkdir -p "$1/var/log/journal"', 'rm -f "$1/etc/resolv.conf"',
            'echo "127.0.0.1 localhost machine" >"$1/etc/hosts"',
            f'chroot "$1" systemctl mask {" ".join(MASKED)}',
            f'line="unix_socket_directories = \'/run/postgresql, {SOCKETS}\'";'
            ' for d in "$1"/etc/postgresql/*/main/conf.d; do echo "$line" >"$d/harness.conf"; done',
        ]
        return ["mmdebstrap", "--variant=minbase", f"--include={','.join(self.packages)}",
                "--aptopt=Acquire::Languages \"none\"",
                "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/locale/*",
                *(f"--customize-hook={hook}" for hook in hooks), self.suite, target]

    def _make(self) -> None:
        unfinished = self.path.with_suffix(".unfinished")
        log = self.path.with_suffix(".log")
        shutil.rmtree(unfinished, ignore_errors=True)
        # No mirror is named where the machine's own sources are of that suite.
        command = self._command(str(unfinished))
        with open(log, "wb") as output:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                  timeout=3000, check=False)
        if done.returncode != 0:
            text = log.read_text(encoding="utf-8", errors="replace")
            raise HarnessError(f"{self.suite} could not be made:\n{text[-4000:]}")
        unfinished.rename(self.path)


def debian12() -> Image:
    return Image("bookworm", BASE + DEBIAN_12)


def debian13(*more: str) -> Image:
    return Image("trixie", BASE + DEBIAN_13 + more)


def run_in(image: Image, *argv: Any, bind: Sequence[Path] = (),
           seconds: float = 600) -> subprocess.CompletedProcess:
    """A program in the image without booting it, with the host's network; what it writes is gone
    afterwards, but for what is below the folders of bind (at /mnt/NAME)."""
    name = f"automapost-{os.getpid()}-{next(_numbers)}"
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        for part in ("upper", "work", "root"):
            Path(folder, part).mkdir()
        root = Path(folder, "root")
        mount_overlay(image.ready(), Path(folder))
        try:
            return subprocess.run(
                ["systemd-nspawn", "--quiet", f"--directory={root}", f"--machine={name}",
                 "--register=no", "--keep-unit", "--resolv-conf=copy-host", "--timezone=off",
                 "--console=pipe", "--as-pid2",
                 *(f"--bind={path}:/mnt/{Path(path).name}" for path in bind), *map(str, argv)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", timeout=seconds, check=False)
        finally:
            subprocess.run(["umount", root], check=True)


def mount_overlay(base: Path, folder: Path) -> None:
    """base, with what is written going to folder/upper, at folder/root."""
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={base},upperdir={folder}/upper,workdir={folder}/work",
                    folder / "root"], check=True)


class Machine:
    """A booted container. Attributes: name, root (the folder, also while it is off), pid (of its
    systemd)."""

    def __init__(self, image: Image, *, switch: Optional["Switch"] = None, address: str = "",
                 bind: Sequence[Path] = (), kernel_line: Sequence[str] = ()):
        self.image = image
        self.name = f"automapost-{os.getpid()}-{next(_numbers)}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.root = self.folder / "root"
        self.pid = 0
        self._options = [f"--bind-ro={path}:/mnt/{Path(path).name}" for path in bind]
        self._options.append(f"--network-namespace-path={switch.plug(self.name, address)}"
                             if switch else "--private-network")
        # systemd 256 and 257 boot on a host with the old hierarchies of cgroups only when told to.
        self._kernel_line = ["SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", *kernel_line]
        self._nspawn: Optional[Child] = None
        self._cgroups: list = []
        self.folder.chmod(0o755)        # its PostgreSQL is spoken to as its own users
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()

    def __enter__(self) -> "Machine":
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # Life

    def boot(self, seconds: float = 90) -> None:
        """Boots, and returns when every job of the boot is done."""
        mount_overlay(self.image.ready(), self.folder)
        self._make_cgroups()
        deadline = time.monotonic() + seconds
        self._nspawn = Child(
            self.name,
            # It moves itself, so that nothing of it is ever outside its own cgroups.
            ["sh", "-c", 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift;'
             ' exec env -u NOTIFY_SOCKET "$@"', "sh", *self._cgroups, "--",
             "systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine={self.name}",
             "--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off",
             "--timezone=off", "--console=pipe", "--kill-signal=SIGRTMIN+4",
             *self._options, "--boot", *self._kernel_line],
            self.folder / "console")
        self.pid = self._nspawn.wait_until(self._find_systemd, deadline)
        self._open_cgroups()
        # Answers over the bus; before it is there, systemctl would fail instead of waiting.
        self._nspawn.wait_until(
            lambda: self._inside("run/dbus/system_bus_socket").is_socket(), deadline)
        state = self.run("systemctl", "is-system-running", "--wait", check=False,
                         seconds=max(1.0, deadline - time.monotonic())).stdout.strip()
        if state != "running":
            failed = self.run("sh", "-c", "systemctl --failed --no-legend;"
                              " journalctl --boot --priority=err --lines=20 --no-pager", check=False).stdout
            raise self._nspawn.error(f"is {state} after its boot ({failed.strip()})")

    def power_off(self, seconds: float = 60) -> None:
        """An orderly end, as of systemctl poweroff; boot() goes on from what is on the disk."""
        if self._nspawn is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGRTMIN + 4)
        self._ended(seconds)

    def reboot(self) -> None:
        self.power_off()
        self.boot()

    def power_cut(self) -> None:
        """Every process dies in one instant, nothing is flushed or said to anyone."""
        os.kill(self.pid, signal.SIGKILL)       # with it goes its whole namespace of processes
        self._ended(10)

    def close(self) -> None:
        """Ends it and removes every trace of it."""
        try:
            if self._nspawn is not None and self._nspawn.alive:
                if self.pid:
                    self.power_cut()
                else:
                    self._nspawn.stop(signal.SIGKILL)
        finally:
            self._nspawn = None
            subprocess.run(["umount", "--quiet", "--lazy", self.root], check=False)
            self._remove_cgroups()
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def running(self) -> bool:
        return self._nspawn is not None and self._nspawn.alive

    # Use

    def run(self, *argv: Any, check: bool = True, user: str = "root", seconds: float = 60,
            env: Optional[dict] = None, stdin: Optional[str] = None) -> subprocess.CompletedProcess:
        """A program inside, as somebody who has logged in runs it: outside of every unit. Its
        output is text, both streams in stdout."""
        done = subprocess.run(self._enter(argv, user, env), input=stdin, text=True,
                              stdin=None if stdin is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
                              errors="replace", check=False)
        if check and done.returncode != 0:
            raise HarnessError(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n"
                               f"{done.stdout[-4000:]}")
        return done

    def read(self, *argv: Any, **options) -> str:
        """run(), and what it said."""
        return self.run(*argv, **options).stdout.strip()

    def path(self, inside: str) -> Path:
        """A file of the machine as the host sees it: on its disk, not in its /run or /tmp."""
        return self.root / inside.lstrip("/")

    def write(self, inside: str, text: str, *, mode: int = 0o644, user: str = "root",
              group: str = "root") -> None:
        self.run("install", "-D", f"--mode={mode:o}", f"--owner={user}", f"--group={group}",
                 "/dev/stdin", inside, stdin=text)

    def show(self, unit: str, *names: str) -> dict:
        """Properties of a unit."""
        text = self.read("systemctl", "show", f"--property={','.join(names)}", unit)
        return dict(line.split("=", 1) for line in text.splitlines())

    def journal(self, *options: Any) -> list:
        """Its journal's entries as dicts, oldest first, also after a power cut."""
        done = subprocess.run(
            ["journalctl", f"--directory={self.path('/var/log/journal')}", "--output=json",
             "--all", "--quiet", "--no-pager", *map(str, options)],
            stdout=subprocess.PIPE, timeout=30, check=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def messages(self, *options: Any) -> list:
        return [entry["MESSAGE"] for entry in self.journal(*options)]

    def wait_until(self, probe: Callable[[], Any], seconds: float = 20, what: str = "") -> Any:
        """The first true answer of probe, which looks at something that gives no event."""
        deadline = time.monotonic() + seconds
        while True:
            answer = probe()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise HarnessError(f"not within {seconds} s: {what or probe}")
            if not self.running:
                raise self._nspawn.error("ended")
            time.sleep(0.02)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """This thread is in the machine's network: a socket that is made here stays there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net", "rb") as ours, \
                open(f"/proc/{self.pid}/ns/net", "rb") as theirs:
            if libc.setns(theirs.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if libc.setns(ours.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")

    # Its PostgreSQL: what Cluster (postgres.py) offers to a World.

    def connect(self, dbname: str = "postgres", user: str = "postgres",
                **parameters) -> psycopg2.extensions.connection:
        """An autocommit connection over a unix socket, as the system user of that name: peer
        authentication takes whom the caller is at that moment."""
        uid = int(self.read("id", "-u", user))
        os.seteuid(uid)
        try:
            connection = psycopg2.connect(**{
                "dbname": dbname, "user": user, "host": str(self.path(SOCKETS)),
                "application_name": "harness", "connect_timeout": 10, **parameters})
        finally:
            os.seteuid(0)
        connection.autocommit = True
        return connection

    def drop_database(self, name: str) -> None:
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    # How

    def _inside(self, path: str) -> Path:
        return Path(f"/proc/{self.pid}/root") / path

    def _enter(self, argv: Sequence, user: str, env: Optional[dict]) -> list:
        drop = ",".join(f"-{name}" for name in NEVER)
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root",
                     "SYSTEMD_PAGER": "", "DEBIAN_FRONTEND": "noninteractive", **(env or {})}
        command = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()),
                   *map(str, argv)]
        if user != "root":
            command = ["runuser", "-u", user, "--", *command]
        return ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid",
                "--cgroup", "--root", "--wd", "--", "setpriv", f"--bounding-set={drop}",
                "--inh-caps=-all", *command]

    def _find_systemd(self) -> int:
        # nspawn forks a helper first; the child that is called systemd is the first process.
        for task in Path(f"/proc/{self._nspawn.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for pid in task.read_text(encoding="ascii").split():
                    if Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "systemd":
                        return int(pid)
        return 0

    def _ended(self, seconds: float) -> None:
        if not self._nspawn.ended_within(seconds):
            raise self._nspawn.error(f"is still there after {seconds} s")
        self._nspawn = None
        self.pid = 0
        subprocess.run(["umount", self.root], check=True)
        self._remove_cgroups()

    def _make_cgroups(self) -> None:
        """One in every hierarchy: nspawn would put two machines of one caller into the same."""
        self._cgroups = []
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            mount = controllers.removeprefix("name=") or "unified"
            top = Path("/sys/fs/cgroup") / mount
            if not top.is_dir():
                top = Path("/sys/fs/cgroup")
                if controllers:
                    continue
            group = top / path.strip("/") / self.name
            try:
                group.mkdir()
            except OSError:
                continue    # a hierarchy that nobody may use
            for name in ("cpuset.mems", "cpuset.cpus"):
                if (group / name).exists():
                    (group / name).write_text((group.parent / name).read_text())
            self._cgroups.append(group)

    def _open_cgroups(self) -> None:
        """On a host with the old hierarchies nspawn mounts their controllers read-only, and then
        limits are silently not enforced."""
        for name in ("memory", "pids", "cpu", "cpuacct"):
            if (Path("/sys/fs/cgroup") / name).is_dir():
                subprocess.run(["nsenter", f"--target={self.pid}", "--mount", "mount", "-o",
                                "remount,bind,rw", f"/sys/fs/cgroup/{name}"],
                               stderr=subprocess.DEVNULL, check=False)

    def enforce_limits(self) -> None:
        """MemoryMax= and TasksMax= of units that start from now on; raises Unavailable where they
        do not bite, which a test that is about them must know."""
        self.run("systemctl", "daemon-reexec")
        hogs = {"MemoryMax=32M": "x=$(head -c 200M /dev/zero | tr '\\0' x); echo $x",
                "TasksMax=4": "for i in 1 2 3 4 5 6 7 8; do sleep 9 & done; wait"}
        for limit, command in hogs.items():
            done = self.run("systemd-run", "--quiet", "--wait", "--collect", "--pipe", "-p", limit,
                            "-p", "MemorySwapMax=0", "sh", "-ec", command + " >/dev/null",
                            check=False)
            if done.returncode == 0:
                raise Unavailable(f"{limit} is not enforced on this machine")

    def _remove_cgroups(self) -> None:
        for group in self._cgroups:
            for folder in sorted(group.glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        self._cgroups = []


class Switch:
    """A network of several machines, 10.99.0.0/24, from which each can be unplugged."""

    def __init__(self) -> None:
        self.name = f"automapost-{os.getpid()}-{next(_numbers)}"
        self._plugged: dict = {}
        self._ip("netns", "add", self.name)
        self._ip("-n", self.name, "link", "add", "switch", "type", "bridge")
        self._ip("-n", self.name, "link", "set", "switch", "up")

    def __enter__(self) -> "Switch":
        return self

    def __exit__(self, *_) -> None:
        for name in [*self._plugged, self.name]:
            subprocess.run(["ip", "netns", "delete", name], check=False)

    @staticmethod
    def _ip(*words: str) -> None:
        done = subprocess.run(["ip", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"ip {' '.join(words)}: {done.stdout.strip()}")

    def plug(self, machine: str, address: str) -> str:
        """A network for that machine, with a cable to the switch; its path."""
        port = f"port{len(self._plugged)}"
        self._ip("netns", "add", machine)
        self._plugged[machine] = port
        self._ip("-n", self.name, "link", "add", port, "type", "veth", "peer", "name", "host0",
                 "netns", machine)
        self._ip("-n", self.name, "link", "set", port, "master", "switch", "up")
        self._ip("-n", machine, "address", "add", f"{address}/24", "dev", "host0")
        self._ip("-n", machine, "link", "set", "host0", "up")
        self._ip("-n", machine, "link", "set", "lo", "up")
        return f"/run/netns/{machine}"

    def unplug(self, machine: Machine) -> None:
        """Its packets vanish, as behind a broken cable: nobody is told."""
        self._ip("-n", self.name, "link", "set", self._plugged[machine.name], "down")

    def plug_again(self, machine: Machine) -> None:
        self._ip("-n", self.name, "link", "set", self._plugged[machine.name], "up")
