# SPDX-License-Identifier: MIT
"""The whole way in one hand: a migrated database, members with accounts, and the real binaries.

A World is one test's own database and whatever runs against it. It makes posts whose texts are all
different, starts services (Process: run, stopped at a point, killed, continued), lets the queue
come to rest (settle_down), and judges by what the receivers saw: every promised text is there once,
and nothing is left running. Our own tables are asked only what the receivers cannot know: which
deliveries wait for a person, and whether something still says that it runs.

Waiting is for an event or for a time that the database names, always under a deadline.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Iterable, Optional, Sequence

import psycopg2
import psycopg2.extensions

from harness import app
from harness.postgres import Cluster
from harness.process import Child, HarnessError, wait_readable

TOP = Path(__file__).resolve().parents[2]
sys.path.append(str(TOP / "tests" / "peers"))

from webhook_receiver import DEFAULT_SECRET, WebhookReceiver  # noqa: E402

SERVICE_ROLE = "automapost-service"     # a login of the services, as setup makes one
APP_ROLE = "application"                # the application's own

FINAL = ("sent", "failed", "missed", "held", "cancelled")

# The delays of automapost.engine by which workers, rescue and retries go. Those that are about
# hours and days stay as they are shipped.
SCALED = ("beat", "self_fence", "lapse", "statement_limit", "send_deadline", "reconcile_margin",
          "reread_after", "retry_base", "retry_cap", "token_wait", "locked_wait", "pace",
          "collect_every", "long_run")


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Build:
    """A build folder; programs are found by their names."""
    folder: Path

    def program(self, name: str) -> Path:
        path = self.folder / "src" / name
        if not path.exists():
            raise HarnessError(f"{path} is not built")
        return path


def migrate(cluster: Cluster, dbname: str, build: Build) -> None:
    """As an operator does it, as the server's administrator."""
    done = subprocess.run(
        [build.program("automapost"), "migrate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "AUTOMAPOST_DATABASE_URL": cluster.url(dbname)},
        timeout=60, text=True, check=False)
    if done.returncode != 0:
        raise HarnessError(f"automapost migrate failed:\n{done.stdout}")


def make_template(cluster: Cluster, dbname: str, build: Build) -> None:
    """The database of which every test gets a copy: the application's tables, our schema, the
    roles of a service and of the application."""
    cluster.create_database(dbname)
    with contextlib.closing(cluster.connect(dbname)) as connection:
        app.install(connection)
    migrate(cluster, dbname, build)
    cluster.execute(f"""
        CREATE ROLE "{SERVICE_ROLE}" LOGIN IN ROLE automapost_jobs_service;
        CREATE ROLE "{APP_ROLE}" LOGIN IN ROLE automapost_jobs_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{APP_ROLE}";
        -- Tests make posts that were due a moment ago.
        UPDATE automapost.installation SET publish_from = now() - interval '1 day';
        """, dbname=dbname)


class Process:
    """One start of a program of ours. Its id (as systemd's invocation) is its worker's name."""

    def __init__(self, world: "World", name: str, arguments: Sequence[str], *, build: Build,
                 env: dict, stop_point: Optional[str] = None, prefix: Sequence[str] = ()):
        self.name = name
        self.world = world
        self.invocation = uuid.uuid4().hex
        self._stop_fd = -1
        env = {**env, "INVOCATION_ID": self.invocation}
        pass_fds: list = []
        if stop_point:
            self._stop_fd, writer = os.pipe()
            pass_fds.append(writer)
            env |= {"AUTOMAPOST_STOP_POINT": stop_point, "AUTOMAPOST_STOP_FD": str(writer)}
        self.stop_point = stop_point
        # As systemd sets it, and only for the process itself.
        argv = ["sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh", *prefix, build.program(name),
                *arguments]
        try:
            self.child = Child(name, argv, world.folder / f"{name}-{self.invocation[:8]}.log",
                               env=env, pass_fds=pass_fds)
        finally:
            for descriptor in pass_fds:
                os.close(descriptor)
        self.pid = self.child.pid

    @property
    def stderr(self) -> str:
        return self.child.output()

    @property
    def returncode(self) -> Optional[int]:
        return self.child.returncode

    def wait_stopped(self, seconds: float = 20) -> None:
        """Until it is at its stop point; an error when it ends first, for then nothing was hit."""
        ready = wait_readable([self._stop_fd], seconds)
        said = os.read(self._stop_fd, 200) if ready else b""
        if not said:
            if ready:
                self.child.ended_within(10)
            raise self.child.error(f"did not arrive at {self.stop_point}"
                                   f" (status {self.returncode})")
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def stop(self) -> None:
        self.child.pause()

    def cont(self) -> None:
        self.child.resume()

    def terminate(self) -> None:
        self.child.send(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, and it is gone when this returns."""
        self.child.send(signal.SIGKILL)
        if not self.child.ended_within(10):
            raise self.child.error("survived SIGKILL")
        self._close()

    def wait(self, seconds: float = 60) -> int:
        """Its exit status; one that does not end in time is killed, and that is an error."""
        if not self.child.ended_within(seconds):
            self.child.send(signal.SIGKILL)
            self.child.ended_within(10)
            self._close()
            raise self.child.error(f"did not end within {seconds} s")
        self._close()
        return self.returncode

    def release(self) -> None:
        """What systemd does when it saw the process die: ExecStopPost=."""
        died = self.returncode
        env = {"SERVICE_RESULT": "signal" if died < 0 else "exit-code",
               "EXIT_STATUS": signal.Signals(-died).name[3:] if died < 0 else str(died)}
        done = self.world.start("automapost-release-jobs", self.invocation, env=env)
        status = done.wait(20)
        if status != 0:
            raise HarnessError(f"automapost-release-jobs ended with {status}: {done.stderr}")

    def _close(self) -> None:
        if self._stop_fd >= 0:
            os.close(self._stop_fd)
            self._stop_fd = -1


@dataclass(frozen=True)
class Account:
    id: str
    user: str
    receiver: "Receiver"


@dataclass(frozen=True)
class Post:
    id: str
    text: str
    comment: Optional[str]
    accounts: tuple


class Receiver:
    """Where posts arrive: makes accounts there, and lists every text that a reader would see, as
    often as it is there."""

    def account(self, world: "World") -> Account:
        raise NotImplementedError

    def texts(self) -> list:
        raise NotImplementedError

    def check(self) -> None:
        """What only this receiver can see; asserts."""


class Webhooks(Receiver):
    """One endpoint for each account. A repeat of the same id is the same message, not another."""

    def __init__(self, fake: WebhookReceiver):
        self.fake = fake
        self._paths = itertools.count(1)

    def account(self, world: "World") -> Account:
        path = f"/hook-{next(self._paths)}"
        self.fake.register(path, DEFAULT_SECRET)
        user = app.member(world.db)
        return Account(app.account(world.db, user, "webhook", self.fake.url + path,
                                   access_token=DEFAULT_SECRET), user, self)

    def texts(self) -> list:
        with self.fake.lock:
            return [delivery.payload["data"]["text"] for delivery in self.fake.deliveries]

    def check(self) -> None:
        changed = [d.id for d in self.fake.deliveries if d.changed_repeats]
        assert not changed, f"sent again with other bytes: {changed}"


class LinkedIn(Receiver):
    """Members, or with organization=True pages whose posts can be listed."""

    def __init__(self, fake, *, organization: bool = False):
        self.fake = fake
        self.organization = organization
        self._numbers = itertools.count(1)

    def account(self, world: "World") -> Account:
        number = next(self._numbers)
        kind = "page" if self.organization else "member"
        member = f"urn:li:person:{kind}-{number}"
        token = f"token-{kind}-{number}"
        user = app.member(world.db)
        if self.organization:
            page = f"urn:li:organization:{number}"
            self.fake.add_token(token, member, page)
            remote = page
        else:
            self.fake.add_token(token, member, scopes=("w_member_social",))
            remote = member.removeprefix("urn:li:person:")
        return Account(app.account(world.db, user, "linkedin", remote, token), user, self)

    def texts(self) -> list:
        with self.fake.lock:
            return [p["text"] for p in self.fake.published
                    if ("page" in p.get("actor", p.get("author"))
                        or ":organization:" in p.get("actor", p.get("author")))
                    == self.organization]


class Mastodon(Receiver):
    def __init__(self, fake):
        self.fake = fake
        self._numbers = itertools.count(1)

    def account(self, world: "World") -> Account:
        name = f"writer{next(self._numbers)}"
        self.fake.add_token(f"token-{name}", name)
        user = app.member(world.db)
        return Account(app.account(world.db, user, "mastodon", f"{name}@mastodon.example",
                                   f"token-{name}"), user, self)

    def texts(self) -> list:
        with self.fake.lock:
            return [p["text"] for p in self.fake.published]


class Bluesky(Receiver):
    """The real server; what it shows is read back from each account's repository."""

    def __init__(self, pds):
        self.pds = pds
        self._accounts: list = []

    def account(self, world: "World") -> Account:
        made = self.pds.create_account(f"writer{len(self._accounts) + 1}")
        self._accounts.append(made)
        user = app.member(world.db)
        return Account(app.account(world.db, user, "bluesky", made.did, made.access_jwt,
                                   made.refresh_jwt), user, self)

    def texts(self) -> list:
        return [record["value"]["text"] for account in self._accounts
                for record in self.pds.records(account.did)]


class World:
    """One database, its services and its receivers."""

    def __init__(self, cluster: Cluster, dbname: str, build: Build, build_stop: Build,
                 folder: Path):
        self.cluster = cluster
        self.dbname = dbname
        self.build = build
        self.build_stop = build_stop
        self.folder = folder
        self.db = cluster.connect(dbname)
        self.processes: list = []
        self.receivers: list = []
        self.posts: list = []
        self._numbers = itertools.count(1)
        self.env = {
            "PATH": os.environ["PATH"],
            "AUTOMAPOST_DATABASE_URL": cluster.url(dbname, SERVICE_ROLE),
            "AUTOMAPOST_ALLOW_PRIVATE_HOSTS": "yes",
            "AUTOMAPOST_STATE_DIR": str(folder),
        }

    def close(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
        with contextlib.suppress(psycopg2.Error):
            self.db.close()
        if self.cluster.running:
            self.cluster.drop_database(self.dbname)
        shutil.rmtree(self.folder, ignore_errors=True)

    # The database, as the administrator.

    def rows(self, statement: str, parameters: Any = None) -> list:
        with self.db.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, parameters: Any = None) -> Any:
        return self.rows(statement, parameters)[0][0]

    def as_owner(self, statement: str) -> None:
        """A change of our own tables that the API has no word for."""
        self.rows(f"BEGIN; SET LOCAL ROLE automapost_jobs_owner; {statement}; COMMIT")

    def reconnect(self) -> None:
        """After the server was away."""
        with contextlib.suppress(psycopg2.Error):
            self.db.close()
        self.db = self.cluster.connect(self.dbname)

    def scale(self, n: float, **fixed: str) -> None:
        """All delays of the engine divided by n, but for those that are given."""
        values = [f"{name} = {name} / {n}" for name in SCALED if name not in fixed]
        values += [f"{name} = '{value}'" for name, value in fixed.items()]
        self.rows("UPDATE automapost.engine SET " + ", ".join(values))

    def delay(self, name: str) -> float:
        """A delay of the engine in seconds."""
        return float(self.value(f"SELECT extract(epoch FROM {name}) FROM automapost.engine"))

    # The application's side.

    def receiver(self, receiver: Receiver) -> Receiver:
        self.receivers.append(receiver)
        return receiver

    def post(self, *accounts: Account, text: Optional[str] = None, comment: Optional[str] = None,
             due: Optional[datetime] = None) -> Post:
        """A scheduled post of the accounts' one member, due a moment ago if not said otherwise."""
        number = next(self._numbers)
        text = text or f"post {number} of {self.dbname}"
        due = due or utc_now() - timedelta(milliseconds=10)
        made = Post(app.post(self.db, accounts[0].user, text, due, [], [a.id for a in accounts],
                             comment), text, comment, accounts)
        self.posts.append(made)
        return made

    # Processes.

    def start(self, name: str, *arguments: str, env: Optional[dict] = None,
              stop_point: Optional[str] = None, prefix: Sequence[str] = (),
              build: Optional[Build] = None) -> Process:
        process = Process(self, name, arguments, env={**self.env, **(env or {})},
                          build=build or (self.build_stop if stop_point else self.build),
                          stop_point=stop_point, prefix=prefix)
        self.processes.append(process)
        return process

    def tick(self, service: str = "social-media", *arguments: str, **options) -> Process:
        """One start of a service, as its timer does it; running."""
        return self.start(f"automapost-{service}", *arguments, **options)

    def run(self, service: str = "social-media", *arguments: str, status: int = 0,
            seconds: float = 60, **options) -> Process:
        """One whole tick, which must end with that status."""
        process = self.tick(service, *arguments, **options)
        ended = process.wait(seconds)
        assert ended == status, f"{service} ended with {ended}:\n{process.stderr[-4000:]}"
        return process

    def wait_until(self, probe: Callable[[], Any], seconds: float = 20, what: str = "") -> Any:
        """The first true answer of probe, which looks at something that gives no event."""
        deadline = time.monotonic() + seconds
        while True:
            answer = probe()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what or probe}")
            time.sleep(0.005)

    def settle_down(self, seconds: float = 60, **options) -> int:
        """Ticks until nothing is due and every delivery has come to its end, cleanup last; how
        many ticks. Between two it waits until the database says that something is due."""
        deadline = time.monotonic() + seconds
        ticks = 0
        while True:
            self.run(seconds=max(1.0, deadline - time.monotonic()), **options)
            ticks += 1
            wait = self.value(NEXT_DUE)
            if wait is None:
                self.run("cleanup", **options)
                return ticks
            if time.monotonic() + float(wait) > deadline:
                raise AssertionError(f"not at rest within {seconds} s:\n{self.unsettled()}")
            time.sleep(max(0.0, float(wait)))

    def unsettled(self) -> str:
        """For a failure's text."""
        rows = self.rows(f"""
            SELECT COALESCE(q.status, 'no job'), q.scheduled_for - clock_timestamp(),
                q.error_message, d.state, d.kind, d.provider, d.detail, d.begin_number, d.applied_at
            FROM automapost.job_queue q
            FULL JOIN automapost.post_deliveries d ON d.job_id = q.id
            WHERE q.status IN ('pending', 'running') OR d.state NOT IN {FINAL}
                OR d.state = 'sent' AND d.kind = 'post' AND d.applied_at IS NULL LIMIT 20""")
        rows += self.rows("SELECT 'worker', id, service, clock_timestamp() - last_beat"
                          " FROM automapost.workers WHERE ended_at IS NULL")
        return "\n".join(map(str, rows))

    # Judgements.

    def expected(self) -> Counter:
        """Every text that was promised: each post once for each account, each comment too."""
        return Counter(text for post in self.posts for text in (post.text, post.comment)
                       for _ in post.accounts if text)

    def seen(self) -> Counter:
        return Counter(text for receiver in self.receivers for text in receiver.texts())

    def assert_exactly_once(self, *, held: Iterable[str] = (), failed: Iterable[str] = ()) -> None:
        """By the receivers' own logs: nothing is there twice, and what is not there are exactly
        texts that our tables call held or failed. A held text may be there or not: once at most."""
        seen, expected = self.seen(), self.expected()
        doubled = {text: n for text, n in seen.items() if n > expected[text]}
        lost = {text: n for text, n in (expected - seen).items()
                if text not in set(held) | set(failed)}
        assert not doubled, f"doubled (or never asked for): {doubled}"
        assert not lost, f"lost: {lost}\n{self.tell(lost)}"
        for receiver in self.receivers:
            receiver.check()

    def tell(self, texts: Iterable[str]) -> str:
        """What our tables say of posts, for a failure's text."""
        ids = [post.id for post in self.posts if {post.text, post.comment} & set(texts)]
        return "\n".join(map(str, self.rows("""
            SELECT d.kind, d.provider, d.state, d.code, d.detail, d.begin_number, d.begun_at
            FROM automapost.post_deliveries d WHERE d.post_id = ANY (%s)""", (ids,))))

    def in_state(self, state: str) -> set:
        """The texts whose deliveries are in that state."""
        kinds = {(row[0], row[1]) for row in self.rows(
            "SELECT post_id, kind FROM automapost.post_deliveries WHERE state = %s", (state,))}
        return {text for post in self.posts
                for kind, text in (("post", post.text), ("comment", post.comment))
                if (post.id, kind) in kinds}

    def assert_nothing_running(self) -> None:
        """No job, execution or worker says that it runs, and no process does."""
        alive = [p.name for p in self.processes if p.returncode is None]
        assert not alive, f"still alive: {alive}"
        running = self.rows("""
            SELECT 'job', q.id::text, q.locked_by FROM automapost.job_queue q
            WHERE q.status = 'running'
            UNION ALL
            SELECT 'execution', x.id::text, x.worker_id FROM automapost.job_executions x
            WHERE x.status = 'running'
            UNION ALL
            SELECT 'worker', w.id, w.service FROM automapost.workers w WHERE w.ended_at IS NULL
            UNION ALL
            SELECT 'delivery', d.id::text, d.state FROM automapost.post_deliveries d
            WHERE d.state = 'sending'""")
        assert not running, f"still running: {running}"

    def assert_told(self) -> None:
        """The application knows of every post of which something was sent."""
        ids = [post.id for post in self.posts]
        rows = self.rows("""
            SELECT p.id::text, p.status::text FROM public.posts p
            WHERE p.id::text = ANY (%s) AND p.status <> 'SENT' AND EXISTS (
                SELECT FROM automapost.post_deliveries d
                WHERE d.post_id = p.id::text AND d.kind = 'post' AND d.state = 'sent')""", (ids,))
        assert not rows, f"published, and the application does not know: {rows}"


# Seconds until something is to be done, or null: every job is over, every delivery final, no worker
# is left that has to lapse first.
NEXT_DUE = f"""
    SELECT CASE WHEN EXISTS (
            SELECT FROM automapost.job_queue WHERE status IN ('pending', 'running'))
        OR EXISTS (SELECT FROM automapost.workers WHERE ended_at IS NULL)
        OR EXISTS (SELECT FROM automapost.post_deliveries WHERE state NOT IN {FINAL})
        OR EXISTS (SELECT FROM automapost.post_deliveries
                   WHERE state = 'sent' AND kind = 'post' AND applied_at IS NULL)
    THEN GREATEST(0.01, COALESCE(extract(epoch FROM LEAST(
        (SELECT min(GREATEST(q.scheduled_for, COALESCE(l.until, q.scheduled_for)))
         FROM automapost.job_queue q
         LEFT JOIN automapost.rate_limits l
            ON l.key IN (q.limit_key, split_part(q.limit_key, ':', 1))
         WHERE q.status = 'pending'),
        (SELECT min(w.last_beat) + e.lapse FROM automapost.workers w WHERE w.ended_at IS NULL))
        - clock_timestamp()), 0.05)) END
    FROM automapost.engine e"""


def make_build(folder: Path, *options: str, source: Path = TOP) -> Build:
    """A build where none was given: for a run of these tests alone, or of another release."""
    commands = [["meson", "setup", folder, source, "-Dtests=none", *options],
                ["ninja", "-C", folder, "-j2"]]
    for command in commands[1 if (folder / "build.ninja").exists() else 0:]:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=600, text=True, check=False)
        if done.returncode != 0:
            raise HarnessError(f"{command[0]} failed:\n{done.stdout[-4000:]}")
    return Build(folder)
