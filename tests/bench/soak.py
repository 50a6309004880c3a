# SPDX-License-Identifier: MIT
"""Ten minutes at half of what the engine can do, with somebody who looks at a dashboard and somebody
who holds a transaction open: the last fifth of that time against the first."""

import contextlib
import os
import statistics
import sys
import threading
import time

from bench import Meter, build_folder, report, say
from engine import (LIMIT_KEYS, Progress, Realtime, check, engine_cluster, enqueue, fresh_database,
                    make_template, one, settle_down)
from throughput import Ours, wait

SECONDS = float(os.environ.get("BENCH_SECONDS", "600"))
JOBS = int(os.environ.get("BENCH_JOBS", "200000"))      # by which the maximum is found
PARTS = 5
STEP = 0.1          # seconds between two calls of enqueue_many
LOOK_EVERY = 1.0

DASHBOARD = (
    "SELECT status, count(*) FROM automapost.job_queue"
    " WHERE created_at > now() - interval '1 minute' GROUP BY status",
    "SELECT job_type, count(*) FROM automapost.job_queue WHERE status = 'running' GROUP BY job_type",
    "SELECT x.*, q.job_type FROM automapost.job_executions x"
    " JOIN automapost.job_queue q ON q.id = x.job_queue_id"
    " WHERE q.status = 'completed' ORDER BY q.finished_at DESC LIMIT 50",
    """SELECT * FROM automapost.job_logs WHERE "timestamp" > now() - interval '1 second' LIMIT 200""",
)
DONE_IN = """
SELECT count(*), COALESCE(percentile_cont(0.99) WITHIN GROUP (
    ORDER BY extract(epoch FROM x.started_at - q.created_at) * 1000), 0)
FROM automapost.job_executions x JOIN automapost.job_queue q ON q.id = x.job_queue_id
WHERE x.status = 'completed'
    AND x.finished_at >= to_timestamp(%s) AND x.finished_at < to_timestamp(%s)
"""
TABLES = """
SELECT sum(pg_stat_get_dead_tuples(c.oid))::float8, sum(pg_total_relation_size(c.oid))::float8,
    (SELECT count(*)::float8 FROM automapost.job_queue WHERE finished_at IS NOT NULL)
FROM pg_class c WHERE c.relnamespace = 'automapost'::regnamespace AND c.relkind = 'r'
"""


class Reader(threading.Thread):
    """Somebody at a dashboard that asks each second."""

    def __init__(self, cluster, name: str):
        super().__init__(daemon=True)
        self._connection = cluster.connect(name)
        self._ended = threading.Event()
        self.took: list = []

    def run(self) -> None:
        with contextlib.closing(self._connection) as connection:
            cursor = connection.cursor()
            while not self._ended.wait(LOOK_EVERY):
                begin = time.monotonic()
                for query in DASHBOARD:
                    cursor.execute(query)
                    cursor.fetchall()
                self.took.append((time.monotonic() - begin) * 1000)

    def __enter__(self) -> "Reader":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self.join(60)


def state_of_tables(cluster, name: str) -> dict:
    """Dead rows and bytes, for each job done so far: history is kept, so the sum only grows."""
    dead, size, done = cluster.execute(TABLES, dbname=name)[0]
    return {"dead": dead / max(done, 1), "size": size / max(done, 1)}


def feed(cursor, worker: Realtime, rate: float, begin: float, end: float, sent: int) -> int:
    """Jobs at that rate until then, whatever becomes of them; how many there are now."""
    while time.time() < end:
        if not worker.child.alive:
            raise worker.child.error(f"ended with status {worker.child.returncode}")
        due = int((time.time() - begin) * rate) - sent
        if due > 0:
            enqueue(cursor, due, prefix=f"{sent}-", at_once=max(LIMIT_KEYS, int(rate * STEP)))
            sent += due
        time.sleep(STEP)
    return sent


def main() -> None:
    build = build_folder()
    with Meter() as meter, engine_cluster() as cluster, contextlib.ExitStack() as stack:
        make_template(cluster, build)
        most = statistics.median(Ours(build, cluster, meter.folder, ("noop", "sleep"), JOBS).rate
                                 for _ in range(3))
        rate = most / 2
        say(f"at most {most:.0f}/s; {SECONDS:.0f} s at {rate:.0f}/s")
        name = stack.enter_context(fresh_database(cluster, "soak"))
        settle_down(cluster, name)
        connection = stack.enter_context(contextlib.closing(cluster.connect(name)))
        holder = stack.enter_context(contextlib.closing(cluster.connect(name)))
        holder.autocommit = False
        holder.set_session(isolation_level="REPEATABLE READ")
        holder.cursor().execute("SELECT count(*) FROM automapost.job_queue")
        with Realtime(build, cluster, name, meter.folder) as worker:
            with Reader(cluster, name) as reader:
                begin, sent, tables = time.time(), 0, []
                for part in range(1, PARTS + 1):
                    sent = feed(connection.cursor(), worker, rate, begin,
                                begin + SECONDS * part / PARTS, sent)
                    tables.append(state_of_tables(cluster, name))
            if not reader.took:
                sys.exit("bench: nobody looked at the dashboard")
            progress = Progress(cluster, name)
            wait(worker, progress.all_done)
            progress.close()
        check(cluster, name, sent)
        spans = [cluster.execute(DONE_IN, (begin + SECONDS * part / PARTS,
                                           begin + SECONDS * (part + 1) / PARTS), dbname=name)[0]
                 for part in range(PARTS)]
        held = one(cluster, name, "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
                   " AND backend_xmin IS NOT NULL AND state = 'idle in transaction'", (name,))
        if held != 1:
            sys.exit("bench: the transaction is held no more")
    say(f"{sent} jobs in {SECONDS:.0f} s, the last fifth against the first;"
        f" the dashboard's look took {statistics.median(reader.took):.0f} ms,"
        f" at most {max(reader.took):.0f} ms")
    report("soak", "rate", "start", [spans[-1][0] / (SECONDS / PARTS)],
           [spans[0][0] / (SECONDS / PARTS)], "/s")
    report("soak", "p99", "start", [float(spans[-1][1])], [float(spans[0][1])], "ms")
    report("soak", "dead", "start", [tables[-1]["dead"]], [tables[0]["dead"]], "each")
    report("soak", "size", "start", [tables[-1]["size"]], [tables[0]["size"]], "B")


if __name__ == "__main__":
    main()
