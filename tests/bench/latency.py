# SPDX-License-Identifier: MIT
"""From the call that puts a job in until the job is at work, with a worker that waits for it and
nothing else to do; at random moments, ours and graphile-worker's in turn."""

import contextlib
import os
import random
import statistics
import sys
import time

from bench import Meter, build_folder, report, say
from engine import Contender, Realtime, engine_cluster, fresh_database, make_template

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
JOBS = int(os.environ.get("BENCH_JOBS", "100"))
SEED = 20261126

# When the job itself said its first line: one clock, the machine's, stamps both ends of both.
BEGUN = """
SELECT extract(epoch FROM min(l."timestamp"))
FROM automapost.job_executions x JOIN automapost.job_logs l ON l.job_execution_id = x.id
WHERE x.job_queue_id = %s AND x.status = 'completed' HAVING count(*) = 2
"""


def ours(cursor, worker: Realtime) -> float:
    """ms"""
    put = time.time()
    cursor.execute("SELECT id FROM automapost.enqueue('noop', '{}')")
    job = cursor.fetchone()[0]
    time.sleep(0.02)    # asking takes a processor, which is the worker's until it has begun

    def begun():
        cursor.execute(BEGUN, (job,))
        return cursor.fetchone()

    return (float(worker.child.wait_until(begun, time.monotonic() + 30)[0]) - put) * 1000


def theirs(cursor, peer: Contender, n: int) -> float:
    put = time.time()
    cursor.execute("SELECT graphile_worker.add_job('noop', json_build_object('n', %s))", (n,))
    said = peer.hear()
    if said["n"] != n:
        sys.exit(f"bench: job {said['n']} ran where {n} was to be")
    return said["at"] - put * 1000


def main() -> None:
    build, chance = build_folder(), random.Random(SEED)
    values: dict = {"ours": [], "theirs": []}
    with Meter() as meter, engine_cluster() as cluster, contextlib.ExitStack() as stack:
        make_template(cluster, build)
        names = [stack.enter_context(fresh_database(cluster, name)) for name in values]
        cursors = [stack.enter_context(contextlib.closing(cluster.connect(name))).cursor()
                   for name in names]
        worker = stack.enter_context(Realtime(build, cluster, names[0], meter.folder))
        environment = {"DATABASE_URL": cluster.url(names[1], socket_dir=True), "BENCH_JOBS": "0"}
        peer = stack.enter_context(Contender("latency-graphile-worker.mjs", environment=environment))
        if peer.hear() != "ready":
            sys.exit("bench: graphile-worker is not ready")
        for turn in range(-1, ROUNDS):      # the first warms both up
            here, there = [], []
            for n in range(JOBS if turn >= 0 else 5):
                # The moment itself is what is drawn, so that no look of a worker keeps step with it.
                time.sleep(chance.uniform(0.05, 0.3))
                here.append(ours(cursors[0], worker))
                time.sleep(chance.uniform(0.05, 0.3))
                there.append(theirs(cursors[1], peer, n))
            if turn >= 0:
                values["ours"].append(statistics.median(here))
                values["theirs"].append(statistics.median(there))
        peer.end()
    say(f"From insert to act, {JOBS} jobs, {ROUNDS} rounds, medians of p50 [min-max]")
    report("latency", "p50", "graphile-worker", values["ours"], values["theirs"], "ms")


if __name__ == "__main__":
    main()
