# SPDX-License-Identifier: MIT
"""The bench "queue" (a module of that name would stand before Python's own): how many jobs that do
nothing are done in a second, and what each costs PostgreSQL; against what one could install instead."""

import contextlib
import os
import sys
import time

from bench import Meter, build_folder, need, report, say
from engine import (DEADLINE, TEMPLATE, Contender, Progress, Realtime, Spent, check, engine_cluster,
                    enqueue, fresh_database, make_template, one, settle_down)
from harness.process import Child, Unavailable

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
JOBS = int(os.environ.get("BENCH_JOBS", "200000"))
SPENT = (("pg_cpu", "us"), ("wal", "B"), ("commits", "each"))

# Of each contender as many as it does in some seconds.
PEERS = {
    "graphile-worker-best": (1, "queue-graphile-worker.mjs", "best",
                             "SELECT count(*) FROM graphile_worker._private_jobs", 0),
    "graphile-worker-default": (10, "queue-graphile-worker.mjs", "default",
                                "SELECT count(*) FROM graphile_worker._private_jobs", 0),
    "pg-boss": (1, "queue-pg-boss.mjs", "", "SELECT count(*) FROM pgboss.job"
                                            " WHERE state = 'completed'", 1),
    "seed": (50, "queue-seed.mjs", "", """
        SELECT count(*) FROM (SELECT q.id FROM plan.job_queue q
            JOIN plan.job_executions x ON x.job_queue_id = q.id AND x.status = 'completed'
            JOIN plan.job_logs l ON l.job_execution_id = x.id
            WHERE q.status = 'completed' GROUP BY q.id
            HAVING count(DISTINCT x.id) = 1 AND count(*) = 2) x""", 1),
}


class Ours:
    def __init__(self, build, cluster, folder, types, jobs: int = JOBS):
        with fresh_database(cluster, "ours") as name:
            with contextlib.closing(cluster.connect(name)) as connection:
                enqueue(connection.cursor(), jobs, types)
            settle_down(cluster, name)
            progress, spent = Progress(cluster, name), Spent(cluster, name, jobs)
            spent.start()
            with Realtime(build, cluster, name, folder) as worker:
                wait(worker, progress.all_done)
                self.rate = jobs / (time.monotonic() - worker.started)
                spent.stop()
            progress.close()
            spent.count_commits(progress.asked)
            self.spent = spent
            check(cluster, name, jobs)


class Theirs:
    """A peer's turn; in the end count says that it did its jobs: all, or that none is left."""

    def __init__(self, cluster, contender: str):
        share, script, mode, count, left = PEERS[contender]
        jobs = max(JOBS // share, 100)
        with fresh_database(cluster, "theirs") as name:
            environment = {"DATABASE_URL": cluster.url(name, socket_dir=True), "BENCH_JOBS": str(jobs)}
            with Contender(script, *filter(None, [mode]), environment=environment) as peer:
                if peer.hear() != "ready":
                    sys.exit(f"bench: {contender} is not ready")
                settle_down(cluster, name)
                spent = Spent(cluster, name, jobs)
                spent.start()
                peer.answer()
                self.rate = jobs / peer.hear()
                spent.stop()
                peer.end()
            spent.count_commits()
            self.spent = spent
            if one(cluster, name, count) != left * jobs:
                sys.exit(f"bench: {contender} did not do its {jobs} jobs")


class Redis:
    """A private one that makes every job durable, as PostgreSQL does."""

    def __init__(self, folder):
        self.path = folder / "redis"
        self._folder = folder

    def __enter__(self) -> "Redis":
        self._child = Child("redis-server", [
            need("redis-server"), "--port", "0", "--unixsocket", self.path, "--dir", self._folder,
            "--save", "", "--appendonly", "yes", "--appendfsync", "always"],
            self._folder / "redis.log")
        self._child.wait_until(self.path.exists, time.monotonic() + 10)
        return self

    def __exit__(self, *_) -> None:
        self._child.stop()

    def rate(self) -> float:
        jobs = max(JOBS // 4, 100)
        environment = {"BENCH_REDIS": str(self.path), "BENCH_JOBS": str(jobs)}
        with Contender("queue-bullmq.mjs", environment=environment) as peer:
            if peer.hear() != "ready":
                sys.exit("bench: bullmq is not ready")
            peer.answer()
            rate = jobs / peer.hear()
            peer.end()      # it has looked at what Redis keeps
        return rate


def wait(worker: Realtime, probe) -> None:
    worker.child.wait_until(probe, time.monotonic() + DEADLINE)


AT_WORK = """
SELECT count(*) FILTER (WHERE status = 'running'),
    count(DISTINCT claim_batch) FILTER (WHERE status = 'running'),
    count(*) FILTER (WHERE status = 'completed')
FROM automapost.job_queue
"""


def stopped_at_work(worker: Realtime, cluster, name: str, enough: int) -> bool:
    """Stops the worker for a look; it stays so once that many are done and it holds some."""
    worker.child.pause()
    held, _, done = cluster.execute(AT_WORK, dbname=name)[0]
    if held > 0 and done >= enough:
        return True
    worker.child.resume()
    return False


def kill_in_the_middle(build, cluster, folder) -> None:
    """What a death puts back is what was under way: two batches at most. All is done in the end,
    and what had been done is not done again."""
    jobs = max(JOBS // 4, 1000)
    with fresh_database(cluster, "killed") as name:
        with contextlib.closing(cluster.connect(name)) as connection:
            enqueue(connection.cursor(), jobs)
        settle_down(cluster, name)
        progress = Progress(cluster, name)
        with Realtime(build, cluster, name, folder) as worker:
            wait(worker, lambda: stopped_at_work(worker, cluster, name, jobs // 4))
            worker.kill()
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename = 'svc'"
        end = time.monotonic() + 30
        while one(cluster, name, left, (name,)):
            if time.monotonic() > end:
                sys.exit("bench: the dead worker's connections stay")
            time.sleep(0.01)
        held, batches, done = cluster.execute(AT_WORK, dbname=name)[0]
        if batches > 2:
            sys.exit(f"bench: a death held {batches} batches, {held} jobs, where two were to be")
        if done == jobs:
            sys.exit("bench: the worker was done before it was killed; take more jobs")
        worker.release()
        if one(cluster, name, "SELECT count(*) FROM automapost.job_queue WHERE status = 'running'"):
            sys.exit("bench: not everything that the dead worker held was put back")
        with Realtime(build, cluster, name, folder) as worker:
            wait(worker, progress.all_done)
        progress.close()
        check(cluster, name, jobs, put_back=held)
    say(f"killed after {done} of {jobs} jobs: {held} jobs in {batches} batches were put back, all done")


def main() -> None:
    build = build_folder()
    ours: list = []
    begin: list = []
    theirs: dict = {name: [] for name in PEERS}
    bullmq: list = []
    with Meter() as meter, engine_cluster() as cluster:
        folder = meter.folder
        make_template(cluster, build)
        sends = bool(one(cluster, TEMPLATE, "SELECT count(*) FROM automapost.job_definitions"
                                            " WHERE name = 'noop-send'"))
        with Redis(folder) as redis:
            for _ in range(ROUNDS):
                ours.append(Ours(build, cluster, folder, ("noop", "sleep")))
                if sends:
                    begin.append(Ours(build, cluster, folder, ("noop-send",)))
                for name in PEERS:
                    theirs[name].append(Theirs(cluster, name))
                bullmq.append(redis.rate())
        kill_in_the_middle(build, cluster, folder)

    say(f"{JOBS} jobs of ours that do nothing, {ROUNDS} rounds, medians [min-max]")
    rates = [turn.rate for turn in ours]
    for name, turns in theirs.items():
        report("queue", "rate", name, rates, [turn.rate for turn in turns], "/s")
    report("queue", "rate", "bullmq", rates, bullmq, "/s")
    if sends:
        begins = [turn.rate for turn in begin]
        report("queue", "rate-begin", "rate", begins, rates, "/s")
        for name, turns in theirs.items():
            report("queue", "rate-begin", name, begins, [turn.rate for turn in turns], "/s")
        report("queue", "rate-begin", "bullmq", begins, bullmq, "/s")
    else:
        say("rate-begin: this build has no type noop-send")
    for metric, unit in SPENT:
        for name, turns in theirs.items():
            report("queue", metric, name, [getattr(turn.spent, metric) for turn in ours],
                   [getattr(turn.spent, metric) for turn in turns], unit)


if __name__ == "__main__":
    try:
        main()
    except Unavailable as reason:
        sys.exit(f"bench: {reason}")
