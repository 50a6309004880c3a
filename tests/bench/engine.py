# SPDX-License-Identifier: MIT
"""What the benchmarks of the engine have in common: a server with room, automapost-realtime as
systemd would run it, jobs for it, what PostgreSQL spent, and contenders in node."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from bench import HERE, PROGRAMS, commits, durable_cluster, migrate

from harness.process import Child, HarnessError, Notice, descendants, wait_readable

TEMPLATE = "bench"
LIMIT_KEYS = 1000
DEADLINE = 900      # seconds, for whatever one contender does in one round
TICK = os.sysconf("SC_CLK_TCK")


def engine_cluster():
    """One for every contender that keeps its jobs in PostgreSQL."""
    return durable_cluster(shared_buffers="2GB", max_wal_size="8GB", checkpoint_timeout="15min",
                           max_connections="200")


def make_template(cluster, build: Path) -> None:
    """The database that every round copies: the application's tables, ours and the plan's, empty."""
    cluster.create_database(TEMPLATE)
    migrate(cluster, build, TEMPLATE)
    cluster.execute((HERE / "plan.sql").read_text(encoding="utf-8"), dbname=TEMPLATE)


@contextlib.contextmanager
def fresh_database(cluster, name: str):
    cluster.create_database(name, TEMPLATE)
    try:
        yield name
    finally:
        cluster.drop_database(name)


def one(cluster, name: str, query: str, parameters=None):
    """The only value of the only row."""
    return cluster.execute(query, parameters, dbname=name)[0][0]


def settle_down(cluster, name: str) -> None:
    """Between filling and measuring: what autovacuum and the checkpointer would do, done."""
    cluster.execute("VACUUM ANALYZE", dbname=name)
    cluster.execute("CHECKPOINT")


# Jobs

ENQUEUE = """
SELECT count(*) FROM automapost.enqueue_many((
    SELECT jsonb_agg(jsonb_build_object(
        'job_type', (%(types)s::text[])[1 + n %% cardinality(%(types)s::text[])],
        'payload', jsonb_build_object('ms', 0), 'job_key', %(prefix)s || n,
        'limit_key', 'limit-' || n %% %(limit_keys)s,
        'priority', %(priority)s, 'scheduled_for', now() + %(ahead)s::interval))
    FROM generate_series(%(first)s, %(last)s) n))
"""


def enqueue(cursor, count: int, types=("noop", "sleep"), *, prefix: str = "", priority: int = 5,
            ahead: str = "0", at_once: int = 1000) -> None:
    """Jobs with a key each and 1,000 limit keys, the way an application puts them in."""
    for first in range(0, count, at_once):
        last = min(first + at_once, count) - 1
        cursor.execute(ENQUEUE, {"types": list(types), "prefix": prefix or f"{uuid.uuid4()}-",
                                 "limit_keys": LIMIT_KEYS, "priority": priority, "ahead": ahead,
                                 "first": first, "last": last})
        if cursor.fetchone()[0] != last - first + 1:
            sys.exit("bench: enqueue_many took not all")


CHECKS = {
    "jobs are completed": "SELECT count(*) FROM automapost.job_queue WHERE status = 'completed'",
    "jobs have one completed execution": """
        SELECT count(*) FROM (SELECT FROM automapost.job_executions
                              WHERE job_queue_id IS NOT NULL AND status = 'completed'
                              GROUP BY job_queue_id HAVING count(*) = 1) x""",
    "completed executions have two log lines": """
        SELECT count(*) FROM (SELECT FROM automapost.job_executions x
                              JOIN automapost.job_logs l ON l.job_execution_id = x.id
                              WHERE x.job_queue_id IS NOT NULL AND x.status = 'completed'
                              GROUP BY x.id HAVING count(*) = 2) x""",
}


def check(cluster, name: str, jobs: int, *, put_back: int = 0) -> None:
    """Every job was done, once, with its execution and two lines; what was put back by a death has
    one execution more, which failed."""
    expected = dict.fromkeys(CHECKS, jobs)
    found = {what: one(cluster, name, query) for what, query in CHECKS.items()}
    whole = "executions of jobs"
    expected[whole] = jobs + put_back
    found[whole] = one(cluster, name, "SELECT count(*) FROM automapost.job_executions"
                                      " WHERE job_queue_id IS NOT NULL")
    for what, count in found.items():
        if count != expected[what]:
            sys.exit(f"bench: {count} {what}, where {expected[what]} were to be")


# Our side

class Realtime:
    """automapost-realtime on one database, with shipped settings, from ready to SIGTERM."""

    def __init__(self, build: Path, cluster, name: str, folder: Path):
        self.invocation = uuid.uuid4().hex
        state = folder / f"state-{name}"
        state.mkdir(exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "AUTOMAPOST_DATABASE_URL": cluster.url(name, "svc", socket_dir=True),
            "AUTOMAPOST_STATE_DIR": str(state), "AUTOMAPOST_ALLOW_PRIVATE_HOSTS": "yes",
            "INVOCATION_ID": self.invocation,
        }
        self._build = build
        self._folder = folder

    def __enter__(self) -> "Realtime":
        with Notice(self._folder / f"notify-{self.invocation[:8]}") as notice:
            # systemd says by the pid whom it started; only then the worker goes by INVOCATION_ID.
            self.child = Child("automapost-realtime",
                               ["/bin/sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$0"',
                                self._build / PROGRAMS["automapost-realtime"]],
                               self._folder / "realtime.log",
                               env={**self.environment, **notice.environment})
            # The clock runs from here: what it takes us to start is ours.
            self.started = time.monotonic()
            try:
                notice.wait_ready(self.child, self.started + 30)
            except BaseException:
                self.kill()
                raise
        return self

    def __exit__(self, *_) -> None:
        if self.child.alive:
            self.child.stop(signal.SIGTERM, 60)

    def kill(self) -> None:
        self.child.send(signal.SIGKILL)
        self.child.ended_within(10)

    def release(self) -> None:
        """What systemd runs once it saw the process die."""
        subprocess.run([self._build / PROGRAMS["automapost-release-jobs"], self.invocation],
                       env={**self.environment, "SERVICE_RESULT": "signal", "EXIT_STATUS": "KILL"},
                       check=True, timeout=60)


class Progress:
    """How many jobs are done, asked so seldom and so cheaply that it costs nothing: it is the last
    jobs that are looked at until they are done, and all of them only then."""

    def __init__(self, cluster, name: str):
        self._connection = cluster.connect(name)
        self._cursor = self._connection.cursor()
        self._cursor.execute("SELECT array_agg(id) FROM (SELECT id FROM automapost.job_queue"
                             " ORDER BY scheduled_for DESC, id DESC LIMIT 20) last")
        # Planned once: a look each 10 ms would be 2 % of what the server does.
        self._cursor.execute("PREPARE last_done AS SELECT bool_and(finished_at IS NOT NULL)"
                             " FROM automapost.job_queue WHERE id = ANY (%s::uuid[])",
                             (self._cursor.fetchone()[0],))
        self.asked = 3      # commits of its own, with the connection's

    def _ask(self, query: str):
        self.asked += 1
        self._cursor.execute(query)
        return self._cursor.fetchone()[0]

    def all_done(self) -> bool:
        return (self._ask("EXECUTE last_done")
                and not self._ask("SELECT count(*) FROM automapost.job_queue"
                                  " WHERE finished_at IS NULL"))

    def close(self) -> None:
        self._connection.close()


# What PostgreSQL spent

def processor_seconds(cluster) -> float:
    """User and system time of the server and every process that it has or had."""
    total = 0
    for pid in (cluster.pid, *descendants(cluster.pid)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
            total += sum(map(int, text.rpartition(")")[2].split()[11:15]))
    return total / TICK


class Spent:
    """PostgreSQL's own time and WAL between start() and stop(), and commits until nobody is
    connected; each divided by the jobs."""

    def __init__(self, cluster, name: str, jobs: int):
        self._cluster, self._name, self._jobs = cluster, name, jobs

    def start(self) -> None:
        self._commits = one(self._cluster, "postgres", "SELECT xact_commit FROM pg_stat_database"
                            " WHERE datname = %s", (self._name,))
        self._wal = self._position()
        self._cpu = processor_seconds(self._cluster)

    def stop(self) -> None:
        self.pg_cpu = (processor_seconds(self._cluster) - self._cpu) * 1e6 / self._jobs
        self.wal = (self._position() - self._wal) / self._jobs

    def count_commits(self, not_theirs: int = 0) -> None:
        self.commits = (commits(self._cluster, self._name) - self._commits - not_theirs) / self._jobs

    def _position(self) -> int:
        return int(one(self._cluster, "postgres", "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


# Their side

def newest_node() -> Path:
    """The node that the newest peers ask for, from the bench's own packages."""
    found = list(Path(os.environ["BENCH_NODE_FOLDER"]).glob("node_modules/node-linux-*/bin/node"))
    if not found:
        sys.exit("bench: npm has no node for this machine's processor")
    return found[0]


class Contender:
    """A script of node/ that speaks as contender.mjs does: a line of JSON, and it waits for ours."""

    def __init__(self, script: str, *arguments: str, environment: dict):
        self._script = script
        self._process = subprocess.Popen(
            [newest_node(), HERE / "node" / script, *arguments], text=True, process_group=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "BENCH_NODE_FOLDER": os.environ["BENCH_NODE_FOLDER"],
                 **environment})

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def hear(self):
        # A line comes whole: each is written at once, and is shorter than a pipe's page.
        if not wait_readable([self._process.stdout.fileno()], DEADLINE):
            raise HarnessError(f"{self._script} said nothing for {DEADLINE} s")
        line = self._process.stdout.readline()
        if not line:
            raise HarnessError(f"{self._script} ended with status {self._process.wait()}")
        return json.loads(line)

    def answer(self) -> None:
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """It ends by itself, well."""
        self.answer()
        if self._process.wait(60) != 0:
            raise HarnessError(f"{self._script} ended with status {self._process.returncode}")
