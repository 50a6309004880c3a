# SPDX-License-Identifier: MIT
"""Putting jobs in from TypeScript with jobs.ts over pg: one per call, and 1,000 per call."""

import os
import sys

from bench import build_folder, report, say
from engine import Contender, engine_cluster, fresh_database, make_template, one

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
JOBS = {"single": int(os.environ.get("BENCH_SINGLE", "2000")),
        "bulk": int(os.environ.get("BENCH_JOBS", "50000"))}
LEFT = {
    "ours": "SELECT count(*) FROM automapost.job_queue WHERE status = 'pending'",
    "graphile-worker": "SELECT count(*) FROM graphile_worker._private_jobs",
    "pg-boss": "SELECT count(*) FROM pgboss.job WHERE name = 'noop'",
}


def rate(cluster, contender: str, way: str) -> float:
    jobs = JOBS[way]
    with fresh_database(cluster, "enqueue_ts") as name:
        environment = {"DATABASE_URL": cluster.url(name, socket_dir=True), "BENCH_JOBS": str(jobs)}
        with Contender("enqueue-ts.mjs", contender, way, environment=environment) as peer:
            if peer.hear() != "ready":
                sys.exit(f"bench: {contender} is not ready")
            cluster.execute("CHECKPOINT")
            peer.answer()
            value = jobs / peer.hear()
            peer.end()
        count = one(cluster, name, LEFT[contender])
        if count != jobs:
            sys.exit(f"bench: {contender} has {count} jobs of {jobs}")
    return value


def main() -> None:
    build = build_folder()
    rates: dict = {(way, name): [] for way in JOBS for name in LEFT}
    with engine_cluster() as cluster:
        make_template(cluster, build)
        for _ in range(ROUNDS):
            for (way, name), values in rates.items():
                values.append(rate(cluster, name, way))
    say(f"{JOBS['single']} jobs one by one, {JOBS['bulk']} with 1,000 per call, {ROUNDS} rounds, "
        "medians [min-max]")
    for way, metric in (("single", "rate-single"), ("bulk", "rate")):
        for against in ("graphile-worker", "pg-boss"):
            report("enqueue-ts", metric, against, rates[way, "ours"], rates[way, against], "/s")


if __name__ == "__main__":
    main()
