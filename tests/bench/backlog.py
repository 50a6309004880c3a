# SPDX-License-Identifier: MIT
"""What a claim of 100 takes, however much waits: our claim itself, driven over one connection as a
worker drives it, each claim's jobs settled before the next one, outside of the clock."""

import contextlib
import json
import os
import socket
import statistics
import sys
import time
import uuid

from bench import build_folder, report, say
from engine import (check, engine_cluster, enqueue, fresh_database, make_template, one, settle_down)

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CLAIMS = 30
BATCH = 100
LEAST = CLAIMS * BATCH * 2      # so that no claim of a round finds fewer than it asks for
MANY = max(int(os.environ.get("BENCH_JOBS", "1000000")), LEAST)     # all others are in proportion
TYPES = ["noop", "sleep"]
SMALL = max(MANY // 100, LEAST)
READY = max(MANY * 6 // 100, LEAST)
CONSUMED = MANY // 5


class Worker:
    """One connection that claims and settles as a worker does."""

    def __init__(self, cluster, name: str):
        self._connection = cluster.connect(name, "svc")
        self._cursor = self._connection.cursor()
        self._id = uuid.uuid4().hex
        self.done = 0
        self._cursor.execute("SELECT automapost.register_worker(%s, 'queue', %s, %s, %s, 'bench',"
                             " now())", (self._id, socket.gethostname(), str(uuid.uuid4()), os.getpid()))

    def claim(self, count: int) -> float:
        """Milliseconds that the claim took, its commit included."""
        arguments = (self._id, str(uuid.uuid4()), TYPES, count)
        begin = time.monotonic()
        self._cursor.execute("SELECT id, lease, execution_id"
                             " FROM automapost.claim_jobs(%s, %s, %s, %s)", arguments)
        taken = (time.monotonic() - begin) * 1000
        jobs = self._cursor.fetchall()
        if len(jobs) != count:
            sys.exit(f"bench: a claim of {count} gave {len(jobs)} jobs")
        self._settle(jobs)
        return taken

    def _settle(self, jobs: list) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        items = [{"id": job, "lease": lease, "execution_id": execution, "started_at": at,
                  "duration_ms": 0, "outcome": "done",
                  "logs": [{"n": n, "level": "debug", "message": "Nothing is done", "at": at}
                           for n in (0, 1)]} for job, lease, execution in jobs]
        self._cursor.execute("SELECT count(*) FROM automapost.settle_jobs(%s, %s)"
                             " WHERE verdict = 'settled'", (self._id, json.dumps(items)))
        if self._cursor.fetchone()[0] != len(jobs):
            sys.exit("bench: not every claimed job was settled")
        self.done += len(jobs)
        # What a worker does each few seconds, so that nobody takes it for dead.
        self._cursor.execute("SELECT count(*) FROM automapost.beat(%s, '{}', now())", (self._id,))

    def p50(self) -> float:
        return statistics.median(self.claim(BATCH) for _ in range(CLAIMS))

    def close(self) -> None:
        self._cursor.execute("SELECT automapost.release_worker(%s, 'finished')", (self._id,))
        self._connection.close()


class Case:
    """A database with jobs that are ready and jobs of a later time and a higher priority."""

    def __init__(self, cluster, stack, name: str, ready: int, future: int = 0):
        self._cluster = cluster
        self.name = stack.enter_context(fresh_database(cluster, name))
        with contextlib.closing(cluster.connect(self.name)) as connection:
            cursor = connection.cursor()
            enqueue(cursor, future, ahead="1 day", priority=9, at_once=10000)
            enqueue(cursor, ready, at_once=10000)
        self._done = 0

    def p50(self) -> float:
        settle_down(self._cluster, self.name)
        worker = Worker(self._cluster, self.name)
        value = worker.p50()
        worker.close()
        self._done += worker.done
        with contextlib.closing(self._cluster.connect(self.name)) as connection:
            enqueue(connection.cursor(), worker.done)   # as many wait in the next round
        return value

    def check(self) -> None:
        check(self._cluster, self.name, self._done)


def after_many(cluster, held: bool) -> float:
    """The same at the end of many jobs, all done while somebody held a transaction open, or not."""
    with fresh_database(cluster, "held" if held else "free") as name, contextlib.ExitStack() as stack:
        with contextlib.closing(cluster.connect(name)) as connection:
            enqueue(connection.cursor(), CONSUMED + LEAST, at_once=10000)
        settle_down(cluster, name)
        if held:
            holder = stack.enter_context(contextlib.closing(cluster.connect(name)))
            holder.autocommit = False
            holder.set_session(isolation_level="REPEATABLE READ")
            holder.cursor().execute("SELECT count(*) FROM automapost.engine")
        worker = Worker(cluster, name)
        while worker.done < CONSUMED:
            worker.claim(BATCH)
        value = worker.p50()
        worker.close()
        if held and not one(cluster, name, "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
                            " AND backend_xmin IS NOT NULL AND state = 'idle in transaction'", (name,)):
            sys.exit("bench: the transaction is held no more")
        check(cluster, name, worker.done)
    return value


def main() -> None:
    build = build_folder()
    with engine_cluster() as cluster, contextlib.ExitStack() as stack:
        make_template(cluster, build)
        cases = {"many": Case(cluster, stack, "many", MANY), "few": Case(cluster, stack, "few", SMALL),
                 "future": Case(cluster, stack, "future", READY, MANY),
                 "none": Case(cluster, stack, "none", READY)}
        values: dict = {name: [] for name in (*cases, "held", "free")}
        for _ in range(ROUNDS):
            for name, case in cases.items():
                values[name].append(case.p50())
            for name in ("held", "free"):
                values[name].append(after_many(cluster, name == "held"))
        for case in cases.values():
            case.check()
    say(f"A claim of {BATCH}: {MANY} ready against {SMALL}; {READY} ready with {MANY} of a later time"
        f" and higher priority; after {CONSUMED} jobs under a held transaction; {ROUNDS} rounds,"
        " medians of p50 [min-max]")
    for ours, theirs, against in (("many", "few", "10k"), ("future", "none", "no-future-rows"),
                                  ("held", "free", "no-held-transaction")):
        report("backlog", "claim_p50", against, values[ours], values[theirs], "ms")


if __name__ == "__main__":
    main()
