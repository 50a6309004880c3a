# SPDX-License-Identifier: MIT
"""A throw-away PostgreSQL server in a temporary folder.

Cluster() as a context manager is a running server of the newest installed version, listening on a
unix socket in its own folder and on a loopback port that the kernel chose, trusting everybody.
The data is not made durable (durable=True when the test is about a crash of the machine). It can
be stopped, restarted, killed, paused and have its connections cut: what a service must survive.
Signals go to its own postmaster and to that postmaster's descendants only.
"""

import atexit
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Optional
from urllib.parse import quote, urlencode

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from .process import (Child, HarnessError, Notice, Unavailable, descendants, privilege_options,
                      process_state, starting_on_free_port, unprivileged_user, wait_readable)

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    # Segments as files of the data folder: kill -9 leaves none of them in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
}

NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}

STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def newest_bindir() -> Path:
    """The program folder of the newest PostgreSQL server as Debian installs it."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        raise Unavailable("no PostgreSQL server is installed (package postgresql)")
    return max(found, key=lambda path: int(path.parent.name))


class Cluster:
    """A PostgreSQL server. Attributes: port, socket_dir, data, log (Path), version (int)."""

    def __init__(self, *, durable: bool = False, settings: Optional[dict] = None,
                 bindir: Optional[Path] = None):
        self.bindir = Path(bindir) if bindir else newest_bindir()
        self.version = int(self.bindir.parent.name)
        self.user = unprivileged_user("postgres")
        self.folder = Path(tempfile.mkdtemp(prefix="automapost-pg-"))
        self.socket_dir = self.folder
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = 0
        self._child: Optional[Child] = None
        self._stopped: list = []
        self._settings = dict(SETTINGS, **({} if durable else NOT_DURABLE), **(settings or {}))
        # Also when a test forgot close(), or the interpreter ends on an exception.
        atexit.register(self.close)
        try:
            self._initdb()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Cluster":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # Life

    def start(self, seconds: float = 30) -> None:
        """Starts the server and returns once it accepts connections (after any recovery). The
        first start chooses the port, later ones keep it, as a client expects."""
        if self.running:
            raise HarnessError("PostgreSQL already runs")
        if self.port:
            self._start_on(self.port, seconds)
        else:
            starting_on_free_port(lambda port: self._start_on(port, seconds))

    def stop(self, mode: str = "fast", seconds: float = 30) -> None:
        """Ends the server as pg_ctl stop does: smart, fast or immediate."""
        if self._child is None:
            return
        self.resume()
        self._child.stop(STOP_SIGNALS[mode], seconds)
        self._child = None

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill9(self) -> None:
        """The power cut: the postmaster and every process of it die at once, nothing is flushed
        or said to clients. start() then recovers."""
        pids = self._freeze()
        pidfds = [os.pidfd_open(pid) for pid in pids]
        try:
            for pidfd in pidfds:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            self._child.ended_within(10)
            # The next postmaster refuses to start while one of the old processes is left.
            for pidfd in pidfds:
                if not wait_readable([pidfd], 10):
                    raise self._child.error("left a process behind after SIGKILL")
        finally:
            for pidfd in pidfds:
                os.close(pidfd)
        self._stopped = []
        self._child = None

    def pause(self) -> None:
        """The server hangs: connections stay open (new ones too), nothing answers."""
        if self._stopped:
            return
        self._stopped = self._freeze()
        for pid in self._stopped:
            # Delivery is asynchronous; a zombie never reports T.
            self._child.wait_until(lambda pid=pid: process_state(pid) in ("T", "Z", None),
                                   time.monotonic() + 5)

    def resume(self) -> None:
        # The postmaster last: until then it cannot reap a child, so each pid is still its own.
        for pid in reversed(self._stopped):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._stopped = []

    @contextlib.contextmanager
    def paused(self):
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def close(self) -> None:
        """Ends the server and removes every trace of it."""
        atexit.unregister(self.close)
        try:
            self.stop("immediate")
        finally:
            self._remove_shared_memory()
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.alive

    @property
    def pid(self) -> int:
        return self._child.pid

    # Use

    def url(self, dbname: str = "postgres", user: str = "postgres", *, socket_dir: bool = False,
            **parameters) -> str:
        """A libpq URL, over TCP or (socket_dir=True) the unix socket; parameters are appended."""
        if socket_dir:
            parameters = {"host": self.socket_dir, "port": self.port, **parameters}
            base = f"postgresql://{quote(user)}@/{quote(dbname)}"
        else:
            base = f"postgresql://{quote(user)}@127.0.0.1:{self.port}/{quote(dbname)}"
        return f"{base}?{urlencode(parameters)}" if parameters else base

    def connect(self, dbname: str = "postgres", user: str = "postgres",
                **parameters) -> psycopg2.extensions.connection:
        """An autocommit connection over the unix socket, named so that a test can spare it."""
        connection = psycopg2.connect(**{"dbname": dbname, "user": user, "port": self.port,
                                         "host": str(self.socket_dir),
                                         "application_name": "harness", **parameters})
        connection.autocommit = True
        return connection

    def execute(self, statement, parameters=None, *, dbname: str = "postgres") -> list:
        """One statement over a connection of its own; its rows, if it has any."""
        with contextlib.closing(self.connect(dbname)) as connection:
            cursor = connection.cursor()
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str, template: Optional[str] = None) -> str:
        """A new database; a copy of template (to which nobody may be connected) is the fast way
        to give each test a migrated one."""
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template1")))
        return name

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
            sql.Identifier(name)))

    def terminate_backends(self, application_name_like: str = "%") -> int:
        """Cuts the matching client connections and waits until they are gone; how many."""
        return self.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND application_name LIKE %s AND pid <> pg_backend_pid()"
            " AND pg_terminate_backend(pid, 5000)", (application_name_like,))[0][0]

    # How

    def _initdb(self) -> None:
        self.folder.chmod(0o755)        # services under test run as other users
        options = privilege_options(self.user)
        if options:
            shutil.chown(self.folder, self.user)
        result = subprocess.run(
            ["setpriv", "--pdeathsig=KILL", *options, "--", self.bindir / "initdb", "--no-sync",
             "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8",
             "--no-instructions", "--pgdata", self.data],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=self.folder, env=self._environment(), timeout=60, text=True, check=False)
        if result.returncode != 0:
            raise HarnessError(f"initdb failed:\n{result.stdout}")
        lines = [f"unix_socket_directories = '{self.socket_dir}'"]
        lines += [f"{name} = '{value}'" for name, value in self._settings.items()]
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write("\n".join(lines) + "\n")

    def _environment(self) -> dict:
        return {name: value for name, value in os.environ.items()
                if not re.match(r"PG|LC_|LANG|NOTIFY_SOCKET", name)}

    def _start_on(self, port: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with Notice(self.folder / "notify") as notice:
            child = Child("PostgreSQL", [self.bindir / "postgres", "-D", self.data, "-p", port],
                          self.log, user=self.user, cwd=self.folder, death_signal="QUIT",
                          env={**self._environment(), **notice.environment})
            try:
                notice.wait_ready(child, deadline)
            except BaseException:
                child.send(signal.SIGQUIT)
                child.ended_within(10)
                raise
        self._child = child
        self.port = port

    def _freeze(self) -> list:
        """Stops the postmaster, so that it neither forks nor reaps, then its descendants; the
        pids, the postmaster's first."""
        self._child.pause()
        pids = [self._child.pid, *descendants(self._child.pid)]
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return pids

    def _remove_shared_memory(self) -> None:
        """kill -9 leaves the System V segment by which one postmaster sees another."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            segment = int(lines[6].split()[1])
        except (FileNotFoundError, IndexError):
            return
        ctypes.CDLL(None).shmctl(segment, 0, None)      # 0 is IPC_RMID
