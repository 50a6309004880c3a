# SPDX-License-Identifier: MIT
"""No double post, no lost post, nothing left running: workers die by kill -9.

Aimed: the build with stop points is stopped at each point of a job's way and killed there, again
and again, for every way in which an unknown outcome is resolved: by reading (Bluesky, LinkedIn
pages), by sending the same again (webhooks, LinkedIn members), or not at all (LinkedIn comments).
Each death is followed by what systemd does (automapost-release-jobs) or, every other time, by
nothing: then the lapse passes. Unaimed: the release build dies whenever it happens to, while posts
come in and several workers are at it. Afterwards the queue comes to rest and the receivers judge.
"""

import contextlib
import math
import os
import random
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import pytest

from harness.peers import Pds
from harness.process import Unavailable
from linkedin_fake import LinkedInFake
from mastodon_fake import MastodonFake

from . import world as w

POINTS = ("claim", "prepare", "begin", "first-byte", "last-byte", "answer-read", "settle-jobs",
          "settled", "apply")
# The delivery is on record as begun, and its end is not: only looking, or sending the same again,
# or a person can tell what became of it.
UNKNOWN = ("begin", "first-byte", "last-byte", "answer-read")
ROUNDS = int(os.environ.get("AUTOMAPOST_TEST_KILLS", "20"))
UNAIMED = int(os.environ.get("AUTOMAPOST_TEST_UNAIMED_KILLS", "200"))
ALONE = {"AUTOMAPOST_ACTORS": "1"}      # one job at a time: each kill has exactly one at stake


def quick(world: w.World) -> None:
    # No account is ever "behind" here: pacing would only slow down the kills.
    world.scale(5, pace="1 ms", pace_after="1 h")


def job_at_stake(world: w.World, process: w.Process) -> tuple:
    """The post of the one job that this process holds, and whether it is begun."""
    rows = world.rows("SELECT payload ->> 'postId', begun FROM automapost.job_queue"
                      " WHERE locked_by = %s AND status = 'running'", (process.invocation,))
    assert len(rows) == 1, f"{process.stop_point}: not one job at stake but {rows}"
    return rows[0]


def stop_at(world: w.World, point: str, env: dict) -> tuple:
    """A worker stopped at the point, and the post that it is about."""
    process = world.tick(env={**env, **ALONE}, stop_point=point)
    process.wait_stopped()
    if point in ("settle-jobs", "settled"):     # the server may be, or is, through with it
        return process, None
    post, begun = job_at_stake(world, process)
    assert begun == (point in UNKNOWN), f"{point}: begun is {begun}"
    return process, post


def kill_while_applying(world: w.World, env: dict) -> w.Process:
    """The application holds the post's row, so that settle waits when it comes to tell it. It
    waits 0.3 s and no longer: whoever looked too late tries with the next job."""
    for _ in range(5):
        process, post = stop_at(world, "answer-read", env)
        with contextlib.closing(world.cluster.connect(world.dbname)) as application:
            application.autocommit = False
            application.cursor().execute("SELECT FROM public.posts WHERE id::text = %s FOR UPDATE",
                                         (post,))
            process.cont()
            with contextlib.suppress(AssertionError):
                world.wait_until(lambda: world.rows(
                    "SELECT 1 FROM pg_stat_activity WHERE datname = %s"
                    " AND query LIKE '%%settle_jobs%%' AND wait_event_type = 'Lock'",
                    (world.dbname,)), 0.29)
                process.kill()
                application.rollback()
                return process
            application.rollback()
        process.wait()
    raise AssertionError("apply never waited for the application's lock")


@dataclass
class Way:
    """One way of resolving, its receiver, and what became of its kills."""
    name: str
    make: Callable                  # (stack) -> (Receiver, environment)
    comments: bool = False
    hits: Counter = field(default_factory=Counter)
    expect_held: set = field(default_factory=set)
    world: w.World = None
    seconds: float = 0.0


def make_pds(stack):
    pds = stack.enter_context(Pds())
    return w.Bluesky(pds), {"AUTOMAPOST_BLUESKY_URL": pds.url, "AUTOMAPOST_PLC_URL": pds.url}


def make_linkedin(organization: bool):
    def make(stack):
        fake = stack.enter_context(LinkedInFake())
        return (w.LinkedIn(fake, organization=organization),
                {"AUTOMAPOST_LINKEDIN_URL": fake.url, "AUTOMAPOST_LINKEDIN_AUTH_URL": fake.url})
    return make


def make_webhooks(stack):
    return w.Webhooks(stack.enter_context(w.WebhookReceiver())), {}


WAYS = [
    Way("read: bluesky", make_pds),
    Way("read: linkedin page", make_linkedin(True)),
    Way("resend: webhook", make_webhooks),
    Way("resend: linkedin member", make_linkedin(False)),
    Way("none: linkedin comment", make_linkedin(False), comments=True),
]


def kill_once(way: Way, point: str, release: bool) -> None:
    world = way.world
    if point == "apply":
        process = kill_while_applying(world, way.env)
    else:
        process, post = stop_at(world, point, way.env)
        if way.comments and point in UNKNOWN:
            way.expect_held |= {p.comment for p in world.posts if p.id == post}
        process.kill()
    way.hits[point] += 1
    if release:
        process.release()


def publish_parents(way: Way) -> None:
    """Comments are what is at stake: their posts go out before, while none of them is due yet.
    Telling the application is about posts alone, and it is what starts comments: those kills come
    now."""
    world = way.world
    world.rows("""
        CREATE FUNCTION public.later() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.payload ->> 'kind' = 'comment' THEN
                NEW.scheduled_for := now() + interval '1 h';
            END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER later BEFORE INSERT ON automapost.job_queue
            FOR EACH ROW EXECUTE FUNCTION public.later();""")
    for n in range(ROUNDS):
        kill_once(way, "apply", n % 2 == 0)
    while world.value("SELECT count(*) FROM automapost.post_deliveries"
                      " WHERE kind = 'comment'") < len(world.posts):
        world.run(env=way.env)
        due = world.value(w.NEXT_DUE)
        time.sleep(min(float(due), world.delay("lapse")))
    world.as_owner("""
        DROP TRIGGER later ON automapost.job_queue;
        UPDATE automapost.job_queue SET scheduled_for = now()
        WHERE status = 'pending' AND payload ->> 'kind' = 'comment'""")


def run_way(way: Way, cluster, build, build_stop, stack) -> None:
    start = time.monotonic()
    name = cluster.create_database(f"kills_{WAYS.index(way)}", "template_automapost")
    way.world = world = w.World(cluster, name, build, build_stop,
                                Path(tempfile.mkdtemp(prefix="automapost-world-")))
    stack.callback(world.close)
    quick(world)
    receiver, way.env = way.make(stack)
    world.receiver(receiver)
    # Two jobs of an account may run at once, and those of the dead run until they are put back:
    # where accounts are cheap every post has its own.
    few = [receiver.account(world) for _ in range(16)] if isinstance(receiver, w.Bluesky) else []
    for n in range(ROUNDS * len(POINTS)):
        account = few[n % len(few)] if few else receiver.account(world)
        world.post(account, comment=f"comment {n} of {name}" if way.comments else None)
    points = POINTS
    if way.comments:
        publish_parents(way)
        points = POINTS[:-1]
    for n in range(ROUNDS):
        for k, point in enumerate(points):
            kill_once(way, point, (n + k) % 2 == 0)
    killed = time.monotonic()
    world.settle_down(40, env=way.env)
    way.seconds = time.monotonic() - start
    way.kill_seconds = killed - start


@pytest.fixture(scope="module")
def aimed(cluster, build, build_stop):
    """All ways at once, each against a database of its own: they share the processors and the
    time that delays take. Each name: the Way, or what went wrong."""
    results = {}
    with contextlib.ExitStack() as stack:
        # One stack per thread: a child dies with the thread that started it, and a thread of the
        # pool lives until the end.
        pool = stack.enter_context(ThreadPoolExecutor(len(WAYS)))
        stacks = {way.name: stack.enter_context(contextlib.ExitStack()) for way in WAYS}
        futures = {way.name: pool.submit(run_way, way, cluster, build, build_stop,
                                         stacks[way.name]) for way in WAYS}
        for name, future in futures.items():
            results[name] = future.exception()
        yield results


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_killed_at_every_point(aimed, way, capsys):
    failure = aimed[way.name]
    if isinstance(failure, Unavailable):
        pytest.skip(str(failure))
    if failure:
        raise failure
    world = way.world
    held = world.in_state("held")
    with capsys.disabled():
        print(f"\n{way.name}: {sum(way.hits.values())} kills in {way.kill_seconds:.0f} s, at rest"
              f" after {way.seconds:.0f} s; {dict(way.hits)}; held {len(held)}")
    assert {point: n for point, n in way.hits.items() if n < ROUNDS} == {}
    assert set(way.hits) == set(POINTS)
    world.assert_exactly_once(held=held)
    assert held == way.expect_held
    assert not world.in_state("failed") | world.in_state("missed") | world.in_state("cancelled")
    world.assert_nothing_running()
    world.assert_told()


@contextlib.contextmanager
def every_receiver(world):
    """All kinds at once, each a little slow, so that a random moment often falls into a call."""
    with w.WebhookReceiver(delay=0.02) as webhook, LinkedInFake() as linkedin, \
            MastodonFake() as mastodon:
        linkedin.fault("POST *", "delay", math.inf, seconds=0.02)
        mastodon.fault("POST *", "delay", math.inf, seconds=0.02)
        world.env |= {"AUTOMAPOST_LINKEDIN_URL": linkedin.url,
                      "AUTOMAPOST_LINKEDIN_AUTH_URL": linkedin.url,
                      "AUTOMAPOST_MASTODON_URL": mastodon.url}
        yield [world.receiver(w.Webhooks(webhook)),
               world.receiver(w.LinkedIn(linkedin, organization=False)),
               world.receiver(w.LinkedIn(linkedin, organization=True)),
               world.receiver(w.Mastodon(mastodon))]


def test_killed_at_any_time(world, capsys):
    """Three workers at a time are killed wherever they are; posts come in all the while."""
    seed = int(os.environ.get("AUTOMAPOST_TEST_SEED", time.time_ns() % 1_000_000))
    dice = random.Random(seed)
    quick(world)
    kills = survived = numbers = 0
    start = time.monotonic()
    with every_receiver(world) as receivers:
        running: list = []      # (when it is to be killed, process)
        while kills < UNAIMED:
            while len(running) < 3:
                for _ in range(dice.choice((1, 1, 2, 5))):
                    numbers += 1
                    comment = f"comment {numbers}" if dice.random() < 0.3 else None
                    world.post(dice.choice(receivers).account(world), comment=comment)
                process = world.tick(env={"AUTOMAPOST_ACTORS": dice.choice(("1", "4", "64"))})
                running.append((time.monotonic() + dice.uniform(0.0, 0.2), process))
            running.sort(key=lambda entry: entry[0])
            when, process = running.pop(0)
            if process.child.ended_within(max(0.0, when - time.monotonic())):
                survived += 1
                assert process.wait() == 0, process.stderr
                continue
            process.kill()
            if process.returncode == 0:     # it was faster than the signal
                survived += 1
                continue
            kills += 1
            if dice.random() < 0.5:
                process.release()
        for _, process in running:
            process.wait()
        killed = time.monotonic() - start
        world.settle_down(90)
        held = world.in_state("held")
        with capsys.disabled():
            print(f"\nunaimed: {kills} kills in {killed:.0f} s, {survived} ticks ended before;"
                  f" {sum(world.expected().values())} texts; held {len(held)}; seed {seed}")
        # Only where nobody can look and nobody may repeat: LinkedIn's comments.
        linkedin = {p.comment for p in world.posts
                    if isinstance(p.accounts[0].receiver, w.LinkedIn)}
        assert held <= linkedin, f"seed {seed}: {world.tell(held - linkedin)}"
        world.assert_exactly_once(held=held)
        assert not world.in_state("failed") | world.in_state("missed") | world.in_state("cancelled")
        world.assert_nothing_running()
        world.assert_told()
