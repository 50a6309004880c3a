# SPDX-License-Identifier: MIT
"""Putting jobs in, 1,000 per call, from an application in node: enqueue_many, with a key for each,
against graphile-worker's addJobs."""

import os
import sys

from bench import build_folder, report, say
from engine import Contender, engine_cluster, fresh_database, make_template, one

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
JOBS = int(os.environ.get("BENCH_JOBS", "100000"))
LEFT = {
    "ours": "SELECT count(DISTINCT job_key) FROM automapost.job_queue WHERE status = 'pending'",
    "graphile-worker": "SELECT count(*) FROM graphile_worker._private_jobs",
}


def rate(cluster, contender: str) -> float:
    with fresh_database(cluster, "enqueue") as name:
        environment = {"DATABASE_URL": cluster.url(name, socket_dir=True), "BENCH_JOBS": str(JOBS)}
        with Contender("enqueue.mjs", contender, environment=environment) as peer:
            if peer.hear() != "ready":
                sys.exit(f"bench: {contender} is not ready")
            cluster.execute("CHECKPOINT")
            peer.answer()
            value = JOBS / peer.hear()
            peer.end()
        count = one(cluster, name, LEFT[contender])
        if count != JOBS:
            sys.exit(f"bench: {contender} has {count} jobs of {JOBS}")
    return value


def main() -> None:
    build = build_folder()
    rates: dict = {name: [] for name in LEFT}
    with engine_cluster() as cluster:
        make_template(cluster, build)
        for _ in range(ROUNDS):
            for name, values in rates.items():
                values.append(rate(cluster, name))
    say(f"{JOBS} jobs, 1,000 per call, {ROUNDS} rounds, medians [min-max]")
    report("enqueue", "rate", "graphile-worker", rates["ours"], rates["graphile-worker"], "/s")


if __name__ == "__main__":
    main()
