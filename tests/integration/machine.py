# SPDX-License-Identifier: MIT
"""A machine of its own for the command: another /etc with users, group and settings, another
/var/lib, another /run with the server's socket, no systemd. Made of mount namespaces, so that nothing of this machine is
written; needs root.

Its server lets people in as Debian's does: by peer authentication over the socket, by password over
TCP. The application has a database, a login with a password that owns its tables, and a .env.
"""

import contextlib
import ctypes
import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Optional

import psycopg2
from psycopg2 import sql

from harness import app
from harness.postgres import Cluster

from .cli_fixtures import Answer, environment

SECONDS = 60
SERVICES = 61990                # the uid and gid of automapost-jobs
PEOPLE = {"alice": 61991, "bob": 61992}

# root is the harness itself; postgres is what setup becomes.
IDENT = "harness root postgres\nharness postgres postgres\n"
HBA = """local all postgres peer map=harness
local all all peer
host all all 127.0.0.1/32 scram-sha-256
"""


def add_users() -> None:
    """For this process and its children alone: a server asks the system for the name of a user."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:       # CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    with tempfile.NamedTemporaryFile("w", prefix="automapost-passwd-") as passwd:
        passwd.write(users())
        passwd.flush()
        os.chmod(passwd.name, 0o644)
        subprocess.run(["mount", "--bind", passwd.name, "/etc/passwd"], check=True)


def users() -> str:
    """/etc/passwd with those of the machine."""
    text = Path("/etc/passwd").read_text(encoding="utf-8")
    if "automapost-jobs:" not in text:
        text += f"automapost-jobs:x:{SERVICES}:{SERVICES}::/nonexistent:/usr/sbin/nologin\n"
    return text + "".join(f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh\n"
                          for name, uid in PEOPLE.items() if f"\n{name}:" not in text)


def server() -> Cluster:
    """Not started."""
    add_users()
    cluster = Cluster()
    (cluster.data / "pg_ident.conf").write_text(IDENT, encoding="ascii")
    (cluster.data / "pg_hba.conf").write_text(HBA, encoding="ascii")
    return cluster


def fake_node(folder: Path) -> Path:
    """A program of that name, which waits whatever it is told to run."""
    path = folder / "node"
    shutil.copy2("/usr/bin/tail", path)
    return path


@contextlib.contextmanager
def running(argv: list):
    """A process that waits; its pid."""
    with subprocess.Popen([*map(str, argv), "-f"], stdout=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL) as child:
        try:
            yield child.pid
        finally:
            child.kill()


class Machine:
    def __init__(self, cluster: Cluster, program: Path, name: str):
        self.cluster = cluster
        self.program = program
        self.folder = Path(tempfile.mkdtemp(prefix="automapost-machine-"))
        self.folder.chmod(0o755)
        self.etc = self.folder / "etc"
        self.settings = self.etc / "automapost-jobs" / "automapost-jobs.env"
        self.dbname = name
        self.env = self.folder / "application.env"
        self.sockets = cluster.socket_dir
        self._make_etc()
        self.write_env()

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    # The application

    def make_database(self) -> None:
        """With the application's tables, all of its own login."""
        name = sql.Identifier(self.dbname)
        self.cluster.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'a p@ss/word'").format(name))
        self.cluster.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(name))
            cursor.execute(sql.SQL("SET ROLE {}").format(name))
            app.install(connection)

    def url(self, user: str = "", **parameters) -> str:
        """As the application writes it: over TCP, with a password."""
        text = (f"postgresql://{user or self.dbname}:a%20p%40ss%2Fword@localhost:"
                f"{self.cluster.port}/{self.dbname}?schema=public")
        return text + "".join(f"&{name}={value}" for name, value in parameters.items())

    def write_env(self, text: Optional[str] = None) -> None:
        self.env.write_text(text or f"DATABASE_URL='{self.url(connection_limit=5)}'\n",
                            encoding="utf-8")

    def connect(self):
        return self.cluster.connect(self.dbname)

    def execute(self, statement, parameters=None) -> list:
        return self.cluster.execute(statement, parameters, dbname=self.dbname)

    def value(self, statement, parameters=None):
        return self.execute(statement, parameters)[0][0]

    def dump(self) -> str:
        """All of the database and of the cluster's roles."""
        say = [self.cluster.bindir / "pg_dump", "--no-comments", self._socket_url(self.dbname)]
        roles = [self.cluster.bindir / "pg_dumpall", "--roles-only", "-d",
                 self._socket_url("postgres")]
        text = "".join(subprocess.run(list(map(str, argv)), check=True, capture_output=True,
                                      text=True, timeout=SECONDS).stdout
                       for argv in (say, roles))
        # a random word that guards psql, in newer releases
        return re.sub(r"(?m)^\\(un)?restrict .*$", "", text)

    def _socket_url(self, dbname: str) -> str:
        return self.cluster.url(dbname, socket_dir=True)

    @contextlib.contextmanager
    def far_away(self):
        """Its socket is not on this machine: there is TCP alone."""
        self.sockets = self.folder / "no-sockets"
        self.sockets.mkdir(exist_ok=True)
        try:
            yield
        finally:
            self.sockets = self.cluster.socket_dir

    @contextlib.contextmanager
    def cluster_hba(self, text: str):
        self._load_hba(text)
        try:
            yield
        finally:
            self._load_hba(HBA)

    def _load_hba(self, text: str) -> None:
        """New connections go by it when this returns."""
        (self.cluster.data / "pg_hba.conf").write_text(text, encoding="ascii")
        loaded = self.value("SELECT pg_conf_load_time()")
        self.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + SECONDS
        while self.value("SELECT pg_conf_load_time()") == loaded:   # of a new backend each time
            assert time.monotonic() < deadline

    # The machine

    def home(self, user: str) -> Path:
        return self.folder / f"home-{user}"

    def _make_etc(self) -> None:
        self.etc.mkdir()
        state = self.folder / "lib" / "automapost-jobs"
        state.mkdir(parents=True)
        os.chown(state, SERVICES, SERVICES)
        for name in ("nsswitch.conf", "hosts", "localtime", "ld.so.cache"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(Path("/etc") / name, self.etc / name)
        passwd = users()
        for name in PEOPLE:
            passwd = re.sub(rf"(?m)^({name}:.*):/nonexistent:", rf"\1:{self.home(name)}:", passwd)
        (self.etc / "passwd").write_text(passwd, encoding="utf-8")
        (self.etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n", encoding="ascii")
        self.set_group()

    def set_group(self, *members: str) -> None:
        """Who may use the command."""
        group = Path("/etc/group").read_text(encoding="utf-8")
        (self.etc / "group").write_text(
            group + f"automapost-jobs:x:{SERVICES}:{','.join(members)}\n", encoding="utf-8")
        self.members = members

    def argv(self, *command, user: str = "root") -> list:
        """The command on this machine, as one of its users."""
        script = ('set -e; mount -t tmpfs tmpfs /run; mkdir /run/postgresql;'
                  ' mount --bind "$1" /run/postgresql; mount -t tmpfs tmpfs /var/spool;'
                  ' [ ! -d "$3" ] || cp -r "$3" /var/spool/cron;'
                  ' mount --bind "$4" /var/lib; mount --bind "$2" /etc; shift 4; exec "$@"')
        become = []
        if user != "root":
            uid = PEOPLE.get(user, SERVICES)
            groups = ([f"--groups={SERVICES}"] if user in self.members else ["--clear-groups"])
            become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", *groups, "--"]
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                str(self.sockets), str(self.etc), str(self.folder / "cron"),
                str(self.folder / "lib"), *become,
                *map(str, command)]

    def __call__(self, *args, user: str = "root", status: int = 0, program: Optional[Path] = None,
                 env: Optional[dict] = None) -> Answer:
        done = subprocess.run(self.argv(program or self.program, *args, user=user),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(**(env or {})),
                              timeout=SECONDS, check=False)
        assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
        return Answer(done.returncode, done.stdout, done.stderr)

    def setup(self, *args, **kind) -> Answer:
        return self("setup", "--env", self.env, *args, **kind)

    def setup_on_terminal(self, answer: str, *args) -> str:
        """What is said to a person who answers the one question so."""
        argv = self.argv(self.program, "setup", "--env", self.env, *args)
        pid, terminal = pty.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                os.execvpe(argv[0], argv, environment(TERM="xterm", NO_COLOR="1"))
            os._exit(127)       # never a second pytest
        said, answered = b"", False
        deadline = time.monotonic() + SECONDS
        with contextlib.suppress(OSError):      # EIO: the other end is closed
            while select.select([terminal], [], [], deadline - time.monotonic())[0]:
                piece = os.read(terminal, 65536)
                if not piece:
                    break
                said += piece
                if said.endswith(b"[y/N] ") and not answered:
                    os.write(terminal, answer.encode() + b"\n")
                    answered = True
        os.close(terminal)
        os.waitpid(pid, 0)
        return said.decode("utf-8").replace("\r\n", "\n")
