# SPDX-License-Identifier: MIT
"""A fan-out: many posts due in the same second, two accounts each, at a platform that takes 50 ms
to answer; against the plan's worker, which sends one after the other."""

import collections
import contextlib
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench import (HERE, PROGRAMS, Meter, build_folder, commits, durable_cluster, migrate, need,
                   report, say)

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
MEMBERS = int(os.environ.get("BENCH_MEMBERS", "2000"))
ACCOUNTS = 2
PLAN_MEMBERS = 60   # one after the other: a sample is enough for a rate
DELAY_MS = 50

FILL = """
WITH member AS (
    INSERT INTO users (email, "emailVerified")
    SELECT 'member-' || n || '@example.test', true FROM generate_series(1, %(members)s) n
    RETURNING id
), account AS (
    INSERT INTO auth_providers ("userId", provider, "providerAccountId", "accessToken")
    SELECT m.id, 'webhook', %(url)s || '/' || m.id || '/' || n, 'whsec_' || repeat('A', 32)
    FROM member m, generate_series(1, %(accounts)s) n
    RETURNING id, "userId"
)
INSERT INTO posts ("userId", content, "scheduledTo", status, "authProviderIds")
SELECT a."userId", 'Read all about it: ' || a."userId", date_trunc('second', now()), 'SCHEDULED',
    array_agg(a.id::text)
FROM account a GROUP BY a."userId"
"""

FILL_PLAN = """
INSERT INTO plan.job_queue (job_type, payload)
SELECT 'social-media-post', jsonb_build_object('postId', id) FROM posts
"""


@contextlib.contextmanager
def receiver(log: Path):
    """Its URL."""
    log.touch()
    with subprocess.Popen([sys.executable, HERE / "receiver.py", "--log", log,
                           "--delay", str(DELAY_MS)], stdout=subprocess.PIPE, text=True) as child:
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.terminate()


def read_log(log: Path, expected: int) -> list:
    """The times of the deliveries; every path exactly once, or the figure would mean nothing."""
    rows = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
    ids = collections.Counter(row[2] for row in rows)
    paths = collections.Counter(row[1] for row in rows)
    if len(ids) != expected or len(paths) != expected or len(rows) != expected:
        sys.exit(f"bench: {len(rows)} requests, {len(ids)} ids at {len(paths)} accounts,"
                 f" where {expected} were to be")
    return [float(row[0]) for row in rows]


class Round:
    """One contender's turn in a fresh database with a receiver of its own."""

    def __init__(self, cluster, meter, name: str, members: int, fill: str = ""):
        self.cluster, self.meter, self.name = cluster, meter, name
        self.deliveries = members * ACCOUNTS
        self.log = meter.folder / name
        self.members, self.fill = members, fill

    def run(self, argv, environment):
        self.cluster.create_database(self.name, "bench")
        try:
            with receiver(self.log) as url:
                connection = self.cluster.connect(self.name)
                cursor = connection.cursor()
                cursor.execute(FILL, {"members": self.members, "accounts": ACCOUNTS, "url": url})
                if self.fill:
                    cursor.execute(self.fill)
                cursor.execute("ANALYZE users, auth_providers, posts")
                connection.close()
                before = commits(self.cluster, self.name)
                self.sample = self.meter.run(argv, environment(self.name))
                self.commits = commits(self.cluster, self.name) - before
            self.times = read_log(self.log, self.deliveries)
            left = self.cluster.execute("SELECT count(*) FROM posts WHERE status <> 'SENT'",
                                        dbname=self.name)[0][0]
            if left:
                sys.exit(f"bench: {left} posts are not SENT")
        finally:
            self.cluster.drop_database(self.name)
        return self


def main() -> None:
    build, node, modules = build_folder(), need("node"), os.environ["BENCH_NODE_FOLDER"]
    with Meter() as meter, durable_cluster() as cluster:
        cluster.create_database("bench")
        migrate(cluster, build, "bench")
        connection = cluster.connect("bench")
        connection.cursor().execute((HERE / "plan.sql").read_text(encoding="utf-8"))
        connection.close()

        def ours(name):
            return {"AUTOMAPOST_DATABASE_URL": cluster.url(name, "svc", socket_dir=True),
                    "AUTOMAPOST_ALLOW_PRIVATE_HOSTS": "yes"}

        def theirs(name):
            return {"DATABASE_URL": cluster.url(name, socket_dir=True), "BENCH_NODE_FOLDER": modules}

        our_rounds, their_rounds = [], []
        for turn in range(ROUNDS):
            cluster.execute("CHECKPOINT")
            our_rounds.append(Round(cluster, meter, f"ours_{turn}", MEMBERS).run(
                [build / PROGRAMS["automapost-social-media"]], ours))
            cluster.execute("CHECKPOINT")
            their_rounds.append(Round(cluster, meter, f"seed_{turn}", PLAN_MEMBERS, FILL_PLAN).run(
                [node, HERE / "node/plan-worker.mjs"], theirs))

    # Ours from start to end of the process; theirs from the first to the last request, without
    # starting node: the little that this gives away is theirs.
    our_rates = [r.deliveries / (r.sample.wall / 1000) for r in our_rounds]
    their_rates = [(len(r.times) - 1) / (max(r.times) - min(r.times)) for r in their_rounds]
    say(f"A fan-out of {MEMBERS * ACCOUNTS} deliveries ({PLAN_MEMBERS * ACCOUNTS} for the plan's"
        f" worker), answers after {DELAY_MS} ms, {ROUNDS} rounds, medians [min-max]")
    report("fanout", "rate", "seed", our_rates, their_rates, "/s")
    report("fanout", "commits", "seed", [r.commits / r.deliveries for r in our_rounds],
           [r.commits / r.deliveries for r in their_rounds], "each")
    report("fanout", "cpu", "seed", [r.sample.cpu / r.deliveries for r in our_rounds],
           [r.sample.cpu / r.deliveries for r in their_rounds], "ms")
    report("fanout", "rss", "seed", [r.sample.rss for r in our_rounds],
           [r.sample.rss for r in their_rounds], "MiB")
    spread = [max(r.times) - min(r.times) for r in our_rounds]
    say(f"ours, first to last request: {statistics.median(spread):.2f} s")


if __name__ == "__main__":
    main()
