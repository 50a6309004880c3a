# SPDX-License-Identifier: MIT
"""What the tests of the command share: automapost run in a pipe or on a terminal of 80 columns,
against a database of its own that the command itself has migrated."""

import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import tempfile
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness import app
from harness.postgres import Cluster

SECONDS = 60


def environment(**more) -> dict:
    """Ours without anything that would lead the command elsewhere; None removes a name."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("AUTOMAPOST_", "PG", "XDG_", "LC_", "NO_COLOR", "COLUMNS"))}
    env.update({"TZ": "UTC", "HOME": "/nonexistent", **more})
    return {name: value for name, value in env.items() if value is not None}


@dataclass
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass
class Command:
    """The command with its settings; call it with a verb and arguments."""
    program: Path
    env: dict = field(default_factory=dict)

    def __call__(self, *args, stdin: str = "", status: int = 0, env: dict = None) -> Answer:
        done = subprocess.run([self.program, *map(str, args)], input=stdin, capture_output=True,
                              text=True, env=environment(**{**self.env, **(env or {})}),
                              timeout=SECONDS, check=False)
        assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
        return Answer(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, *args, columns: int = 80, env: dict = None) -> str:
        """What a terminal of that width is sent."""
        pid, terminal = pty.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                # the size must be there before the command asks for it
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
                os.execve(self.program, [str(self.program), *map(str, args)],
                          environment(**{"TERM": "xterm", **self.env, **(env or {})}))
            os._exit(127)       # never a second pytest
        said = b""
        deadline = time.monotonic() + SECONDS
        with contextlib.suppress(OSError):      # EIO: the other end is closed
            while select.select([terminal], [], [], deadline - time.monotonic())[0]:
                piece = os.read(terminal, 65536)
                if not piece:
                    break
                said += piece
        os.close(terminal)
        os.waitpid(pid, 0)
        return said.decode("utf-8").replace("\r\n", "\n")


@dataclass
class Database:
    """A migrated database with the application's tables; execute() is the administrator's."""
    cluster: Cluster
    name: str

    def url(self, login: str) -> str:
        return self.cluster.url(self.name, login)

    def execute(self, statement, parameters=None) -> list:
        return self.cluster.execute(statement, parameters, dbname=self.name)

    def value(self, statement, parameters=None):
        return self.execute(statement, parameters)[0][0]

    def job(self, job_type: str = "chore", status: str = "pending", **columns) -> str:
        """A row as the engine would have left it; its id."""
        if status in ("completed", "failed", "timeout", "cancelled"):
            columns.setdefault("finished_at", "now")
        names = ", ".join(["job_type", "status", *columns])
        marks = ", ".join(["%s"] * (len(columns) + 2))
        # without the triggers, which make every new row pending
        return self.value("SET session_replication_role = replica;"
                          f"INSERT INTO automapost.job_queue ({names}) VALUES ({marks})"
                          " RETURNING id::text", [job_type, status, *columns.values()])

    def delivery(self, state: str, provider: str = "linkedin", content: str = "a post") -> dict:
        """A member's post to one account, whose delivery ended so: ids of post, account, job and
        delivery."""
        with contextlib.closing(self.cluster.connect(self.name)) as connection:
            member = app.member(connection)
            account = app.account(connection, member, provider, f"remote-{member}", "token")
            post = app.post(connection, member, content, None, [], [account])
        key = f"{post}:{account}:post"
        payload = json.dumps({"postId": post, "authProviderId": account, "kind": "post"})
        job_status = {"sent": "completed", "pending": "pending"}.get(state, "failed")
        job = self.job("social-media-post", job_status, payload=payload, job_key=key,
                       limit_key=f"{provider}:{account}", due_at="now")
        delivery = self.value(
            "INSERT INTO automapost.post_deliveries (post_id, auth_provider_id, kind, user_id,"
            " provider, state, due_at, job_id, begun_at, sent_at, detail, finished_at)"
            " VALUES (%s, %s, 'post', %s, %s, %s, now(), %s, now(),"
            " CASE WHEN %s = 'sent' THEN now() END, 'the answer was lost',"
            " CASE WHEN %s IN ('sent', 'failed', 'missed', 'cancelled') THEN now() END)"
            " RETURNING id::text",
            (post, account, member, provider, state, job, state, state))
        return {"post": post, "account": account, "job": job, "delivery": delivery}


def make_template(cluster: Cluster, program: Path, name: str) -> None:
    """A database that "automapost migrate" made, with a type that nothing works on; a login of an
    operator, and one without rights."""
    cluster.create_database(name)
    with contextlib.closing(cluster.connect(name)) as connection:
        app.install(connection)
    Command(program, {"AUTOMAPOST_DATABASE_URL": cluster.url(name)})("migrate")
    for statement in (
            "INSERT INTO automapost.job_definitions (name, handler, concurrency_limit)"
            " VALUES ('chore', 'external', NULL)",
            "DO $$ BEGIN IF to_regrole('cli_operator') IS NULL THEN"
            " CREATE ROLE cli_operator LOGIN IN ROLE automapost_jobs_service;"
            " CREATE ROLE cli_nobody LOGIN; END IF; END $$"):
        cluster.execute(statement, dbname=name)


def short_folder() -> Path:
    """A new folder whose path leaves room for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="ap-"))
    folder.chmod(0o755)
    return folder


def sourced(file: Path) -> dict:
    """The settings as a shell has them that reads the file, which is how people use it."""
    read = subprocess.run(["sh", "-c", 'set -ae; . "$1"; env -0', "sh", file], check=True, timeout=10,
                          stdout=subprocess.PIPE, text=True)
    return dict(line.partition("=")[::2] for line in read.stdout.split("\0"))
