# SPDX-License-Identifier: MIT
"""How long after its time a post is at the platform: posts spread over a minute, half of them known
long before, a quarter inserted and a quarter moved 2 to 5 seconds before they are due, all by plain
SQL on the application's table; with the real-time worker, and with a tick each minute."""

import contextlib
import os
import random
import statistics
import sys
import time

from bench import PROGRAMS, Meter, build_folder, report, say
from engine import Realtime, engine_cluster, fresh_database, make_template
from fanout import DELAY_MS, receiver

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
POSTS = int(os.environ.get("BENCH_POSTS", "2000"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))
LEAD = 6        # seconds between the last preparation and the first post
SEED = 20261126
MINUTE = 60

MEMBERS = """
WITH member AS (
    INSERT INTO users (email, "emailVerified")
    SELECT 'member-' || n || '@example.test', true FROM generate_series(0, %(posts)s - 1) n
    RETURNING id, substring(email FROM '[0-9]+') AS n
)
INSERT INTO auth_providers ("userId", provider, "providerAccountId", "accessToken")
SELECT id, 'webhook', %(url)s || '/' || n, 'whsec_' || repeat('A', 32) FROM member
"""
INSERT = """
INSERT INTO posts ("userId", content, "scheduledTo", status, "authProviderIds")
SELECT "userId", 'Read all about it', to_timestamp(%(at)s), 'SCHEDULED', ARRAY[id::text]
FROM auth_providers WHERE "providerAccountId" = %(account)s RETURNING id
"""
MOVE = 'UPDATE posts SET "scheduledTo" = to_timestamp(%(at)s) WHERE id = %(post)s'


class Plan:
    """When each post is due, and what happens to it when."""

    def __init__(self, cursor, url: str):
        chance = random.Random(SEED)
        self._cursor = cursor
        cursor.execute(MEMBERS, {"posts": POSTS, "url": url})
        accounts = [f"{url}/{n}" for n in range(POSTS)]
        tomorrow = time.time() + 24 * 3600
        moved = {n: self._insert(accounts[n], tomorrow + n) for n in range(POSTS) if n % 4 == 3}
        self.begin = time.time() + LEAD + POSTS / 500       # as long as it takes to put them in
        self.due = [self.begin + chance.uniform(0, SECONDS) for _ in range(POSTS)]
        self._changes = []
        for n, at in enumerate(self.due):
            ahead = chance.uniform(2, 5)
            if n % 4 == 1:
                self._changes.append((at - ahead, lambda n=n: self._insert(accounts[n], self.due[n])))
            elif n % 4 == 3:
                self._changes.append((at - ahead, lambda n=n: cursor.execute(
                    MOVE, {"at": self.due[n], "post": moved[n]})))
            else:
                self._insert(accounts[n], at)
        cursor.execute("ANALYZE users, auth_providers, posts")
        self._changes.sort(key=lambda change: change[0])
        if time.time() > self._changes[0][0]:
            sys.exit("bench: this machine is too slow to put the posts in in time")

    def _insert(self, account: str, at: float) -> str:
        self._cursor.execute(INSERT, {"account": account, "at": at})
        return self._cursor.fetchone()[0]

    def change(self, now: float) -> None:
        """What is to happen until then."""
        while self._changes and self._changes[0][0] <= now:
            self._changes.pop(0)[1]()

    def left(self, cursor) -> int:
        cursor.execute("SELECT count(*) FROM posts WHERE status <> 'SENT'")
        return cursor.fetchone()[0] + len(self._changes)


def lateness(log, due: list) -> list:
    """Seconds from its time until the platform had it, of every post; each exactly once."""
    ahead = time.time() - time.monotonic()
    came: dict = {}
    for line in log.read_text(encoding="ascii").splitlines():
        at, path, _ = line.split()
        n = int(path[1:])
        if n in came:
            sys.exit(f"bench: post {n} came twice")
        came[n] = float(at) + ahead
    if len(came) != POSTS:
        sys.exit(f"bench: {len(came)} posts came, of {POSTS}")
    late = [came[n] - at for n, at in enumerate(due)]
    if min(late) < -0.001:
        sys.exit(f"bench: a post came {-min(late):.3f} s before its time")
    return late


def in_real_time(stack, build, cluster, name: str, folder):
    worker = stack.enter_context(Realtime(build, cluster, name, folder))

    def look():
        if not worker.child.alive:
            raise worker.child.error(f"ended with status {worker.child.returncode}")
    return look


def by_timer(build, meter, cluster, name: str):
    """The tick that systemd's timer starts with each minute of the clock."""
    environment = {"AUTOMAPOST_DATABASE_URL": cluster.url(name, "svc", socket_dir=True),
                   "AUTOMAPOST_ALLOW_PRIVATE_HOSTS": "yes"}
    ticked = [time.time() // MINUTE]

    def look():
        if time.time() // MINUTE > ticked[0]:
            ticked[0] = time.time() // MINUTE
            meter.run([build / PROGRAMS["automapost-social-media"]], environment)
    return look


def turn(build, meter, cluster, how: str, number: int) -> list:
    log = meter.folder / f"{how}-{number}"
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(fresh_database(cluster, "punctual"))
        url = stack.enter_context(receiver(log))
        cursor = stack.enter_context(contextlib.closing(cluster.connect(name))).cursor()
        plan = Plan(cursor, url)
        look = (in_real_time(stack, build, cluster, name, meter.folder) if how == "realtime"
                else by_timer(build, meter, cluster, name))
        end = plan.begin + SECONDS + 3 * MINUTE
        asked = 0.0
        while True:
            plan.change(time.time())
            look()
            if time.time() - asked > 1:
                asked = time.time()
                if asked > plan.begin and plan.left(cursor) == 0:
                    break
                if asked > end:
                    sys.exit(f"bench: {plan.left(cursor)} posts are not SENT")
            time.sleep(0.005)   # the clock's own pace
    return lateness(log, plan.due)


def main() -> None:
    build = build_folder()
    late: dict = {"realtime": [], "timers": []}
    with Meter() as meter, engine_cluster() as cluster:
        make_template(cluster, build)
        for number in range(ROUNDS):
            for how, turns in late.items():
                turns.append(turn(build, meter, cluster, how, number))
    say(f"{POSTS} posts over {SECONDS:.0f} s, half of them inserted or moved 2 to 5 s before they are"
        f" due, a platform that answers after {DELAY_MS} ms, {ROUNDS} rounds, medians [min-max]")
    for how, metric in (("realtime", "p99"), ("timers", "p99-timers")):
        report("punctual", metric, "due",
               [statistics.quantiles(values, n=100, method="inclusive")[98] for values in late[how]], [], "s")
        say(f"{how}: p50 {statistics.median(sum(late[how], [])):.3f} s,"
            f" most {max(map(max, late[how])):.3f} s")


if __name__ == "__main__":
    main()
