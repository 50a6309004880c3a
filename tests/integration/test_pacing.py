# SPDX-License-Identifier: MIT
"""When posts go out, and how many at a time: the late limit, the pace after an outage, limits per
account and per type over several workers, timeouts, cancellation and pauses. Times are the
receiver's own."""

import contextlib
import itertools
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg2
import pytest

from . import publishing as p
from . import world as w
from .one_world import world, world_of_file     # noqa: F401


@pytest.fixture(autouse=True)
def scaled(world):
    world.scale(20)


def arrivals(webhooks, *accounts):
    """(time, text) of every publication at these accounts, in the order of their arrival."""
    paths = {p.account_path(account) for account in accounts}
    with webhooks.fake.lock:
        return [(x["time"], x["payload"]["data"]["text"]) for x in webhooks.fake.published
                if x["path"] in paths]


def most_at_once(webhooks, path=None):
    """How many requests were under way at the same moment, by the receiver's clock: each takes the
    receiver's delay, from its arrival on."""
    with webhooks.fake.lock:
        begun = sorted(x.time for x in webhooks.fake.log if path in (None, x.path))
    delay = webhooks.fake.delay
    return max(sum(1 for other in begun if other <= t < other + delay) for t in begun)


# Late


def test_late_is_said_once(world, webhooks):
    """Past the late limit nothing is sent, and it is said once: by whichever looks first."""
    account = p.webhook_account(world, webhooks)
    late = w.utc_now() - timedelta(hours=2, seconds=1)
    seen = world.post(account, due=late)                    # still in the window of collect
    old = world.post(account, due=late - timedelta(days=2 / 3))     # past it: cleanup finds it
    world.rows("UPDATE automapost.installation SET missed_until = publish_from")
    just = world.post(account, due=w.utc_now() - timedelta(hours=1, minutes=59))
    world.run()
    said = world.run("cleanup").stderr
    assert "1 deliveries are too late" in said
    for _ in range(2):
        world.run()
        assert "too late" not in world.run("cleanup").stderr
    for post in (seen, old):
        assert p.delivery(world, post)[:2] == ("missed", "missed-late")
        assert (p.status(world, post), p.publication(world, post)) == ("SCHEDULED", "missed")
    assert webhooks.texts() == [just.text]


def test_what_waits_until_it_is_too_late_is_missed(world, webhooks):
    """A platform that asks for more patience than the post has."""
    account = p.webhook_account(world, webhooks)
    webhooks.fake.fault("POST *", "answer", status=429, headers={"retry-after": "90"})
    post = world.post(account, due=w.utc_now() - timedelta(hours=2) + timedelta(seconds=1.5))
    world.run()
    assert p.delivery(world, post).state == "pending"
    world.wait_until(lambda: world.value(
        "SELECT d.due_at + e.late_limit < clock_timestamp()"
        " FROM automapost.post_deliveries d, automapost.engine e"), what="the late limit")
    world.run()
    world.run("cleanup")
    assert p.delivery(world, post)[:2] == ("missed", "missed-late")
    assert webhooks.texts() == []


def test_the_first_start_publishes_nothing_that_was_due_before(world, webhooks):
    account = p.webhook_account(world, webhooks)
    before = world.post(account, due=w.utc_now() - timedelta(minutes=5))
    world.rows("UPDATE automapost.installation SET publish_from = clock_timestamp()")
    after = world.post(account, due=w.utc_now())
    world.run()
    world.run("cleanup")
    assert webhooks.texts() == [after.text]
    assert p.delivery(world, before) is None
    assert p.status(world, before) == "SCHEDULED"


# The pace


def test_after_an_outage_an_account_keeps_its_pace(world, webhooks):
    """In the order of their times, one at a time, with a pace between; other accounts at once."""
    pace = 0.4
    world.rows("UPDATE automapost.engine SET pace = %s * interval '1 s'", (pace,))
    behind = p.webhook_account(world, webhooks)
    others = [p.webhook_account(world, webhooks) for _ in range(5)]
    now = w.utc_now()
    late = [world.post(behind, due=now - timedelta(minutes=m)) for m in (3, 10, 5)]
    for account in others:
        world.post(account)
    workers = [world.tick() for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert len(arrivals(webhooks, *others)) == len(others)
    assert len(arrivals(webhooks, behind)) == 1
    world.wait_until(lambda: world.run() and len(arrivals(webhooks, behind)) == len(late),
                     what="all of the late posts")
    times, texts = zip(*arrivals(webhooks, behind))
    assert list(texts) == [late[i].text for i in (1, 2, 0)]
    # begin's clock decides, not the receiver's: what is between them is not the pace's.
    assert all(b - a >= pace - 0.1 for a, b in itertools.pairwise(times))
    begun = [row[0] for row in world.rows(
        "SELECT begun_at FROM automapost.post_deliveries WHERE auth_provider_id = %s"
        " ORDER BY begun_at", (behind.id,))]
    assert all((b - a).total_seconds() >= pace for a, b in itertools.pairwise(begun))
    world.assert_exactly_once()


def claim(connection, worker, n=8):
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM automapost.claim_jobs(%s, gen_random_uuid()::text,"
                       " '{social-media-post}', %s)", (worker, n))
        return [row[0] for row in cursor.fetchall()]


def registered(world, name):
    connection = world.cluster.connect(world.dbname)
    with connection.cursor() as cursor:
        cursor.execute("SELECT automapost.register_worker(%s, 'social-media', 'host', 'boot', 1,"
                       " '0', clock_timestamp())", (name,))
    return connection


def test_two_workers_that_choose_at_once_keep_the_pace_too(world, webhooks):
    """The second one chooses before the first one's claim can be seen, and waits for its lock: what
    it then takes is nothing."""
    world.scale(0.01)       # nobody lapses here
    behind = p.webhook_account(world, webhooks)
    for minutes in (10, 9):
        world.post(behind, due=w.utc_now() - timedelta(minutes=minutes))
    world.rows("SELECT * FROM automapost.pause('social-media-post', 'test')")
    world.run()
    world.rows("SELECT * FROM automapost.resume('social-media-post')")
    with contextlib.closing(registered(world, "first")) as first, \
            contextlib.closing(registered(world, "second")) as second, \
            ThreadPoolExecutor(1) as pool:
        first.autocommit = False
        assert len(claim(first, "first")) == 1
        waiting = pool.submit(claim, second, "second")
        world.wait_until(lambda: world.value(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            " OR %s", (waiting.done(),)), what="the second to wait or to be through")
        first.commit()
        assert waiting.result(20) == []


# How many at once


def test_two_at_once_for_an_account(world, webhooks):
    webhooks.fake.delay = 0.15
    account, other = (p.webhook_account(world, webhooks) for _ in range(2))
    for _ in range(6):
        world.post(account)
        world.post(other)
    workers = [world.tick() for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    world.settle_down()
    world.assert_exactly_once()
    for one in (account, other):
        assert most_at_once(webhooks, p.account_path(one)) == 2
    assert most_at_once(webhooks) > 2


def test_a_type_s_limit_is_exact_over_two_workers(world, webhooks):
    webhooks.fake.delay = 0.1
    world.rows("UPDATE automapost.job_definitions SET concurrency_limit = 3"
               " WHERE name = 'social-media-post'")
    for _ in range(12):
        world.post(p.webhook_account(world, webhooks))
    workers = [world.tick() for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    world.settle_down()
    world.assert_exactly_once()
    assert most_at_once(webhooks) == 3


# Timeouts


def test_a_send_has_the_engine_s_deadline(world, webhooks):
    world.rows("UPDATE automapost.engine SET send_deadline = '300 ms'")
    hang = webhooks.fake.fault("POST *", "hang-before")
    post = world.post(p.webhook_account(world, webhooks))
    world.run(seconds=10)
    assert hang.reached.is_set()
    assert p.delivery(world, post).state == "unconfirmed"
    hang.release()
    world.settle_down()
    world.assert_exactly_once()


def test_a_job_past_its_timeout(world, webhooks):
    """Begun: its outcome is unknown, and is looked into; the execution says timeout."""
    world.rows("UPDATE automapost.job_definitions SET timeout_ms = 300"
               " WHERE name = 'social-media-post'")
    webhooks.fake.fault("POST *", "hang-after")
    post = world.post(p.webhook_account(world, webhooks))
    world.run(seconds=10)
    after = p.delivery(world, post)
    assert (after.state, after.attempts) == ("unconfirmed", 1)
    webhooks.fake.clear_faults()
    world.settle_down()
    world.assert_exactly_once()
    assert p.delivery(world, post).state == "sent"
    world.assert_nothing_running()


# Cancellation


def test_cancelled_before_it_began(world, webhooks):
    post = world.post(p.webhook_account(world, webhooks))
    process = world.tick(stop_point="prepare")
    process.wait_stopped()
    assert p.cancel(world, post) == "requested"
    process.cont()
    assert process.wait() == 0
    after = p.delivery(world, post)
    assert (after.state, after.begins, after.attempts) == ("cancelled", 0, 0)
    for _ in range(2):
        world.run()
    assert webhooks.fake.log == []
    assert p.publication(world, post) == "cancelled"


def test_cancelled_before_the_first_byte(world, webhooks):
    """Begun, and the receiver accepts no connection yet: a beat tells the worker, nothing leaves, and
    the attempt is given back."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        full = [socket.socket() for _ in range(4)]      # the queue is full: connects hang
        for one in full:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(listener.getsockname())
        post = world.post(p.plain_account(
            world, "webhook", f"http://127.0.0.1:{listener.getsockname()[1]}/",
            token=w.DEFAULT_SECRET))
        process = world.tick()
        world.wait_until(lambda: (p.delivery(world, post) or [None])[0] == "sending",
                         what="begin")
        assert p.cancel(world, post) == "requested"
        assert process.wait() == 0
        after = p.delivery(world, post)
        assert (after.state, after.begins, after.attempts) == ("cancelled", 1, 0)
        for one in full:
            one.close()
    assert world.value("SELECT cancelled_by FROM automapost.post_deliveries") == "postgres"


def test_cancelled_while_it_is_sent(world, webhooks):
    """Nothing is aborted: it is recorded as it is."""
    hang = webhooks.fake.fault("POST *", "hang-before")
    post = world.post(p.webhook_account(world, webhooks))
    process = world.tick()
    assert hang.reached.wait(20)
    assert p.cancel(world, post) == "requested"
    beat = "SELECT last_beat FROM automapost.workers WHERE ended_at IS NULL"
    heard = world.value(beat)
    world.wait_until(lambda: world.value(beat) > heard + timedelta(seconds=world.delay("beat")),
                     what="two beats, which say so to the worker")
    hang.release()
    assert process.wait() == 0
    assert p.delivery(world, post)[0] == "sent"
    assert (p.status(world, post), webhooks.texts()) == ("SENT", [post.text])


def test_cancelled_while_its_outcome_is_unknown(world, webhooks):
    """It may be published: it cannot be cancelled, and the error says so."""
    webhooks.fake.fault("POST *", "process-then-close")
    post = world.post(p.webhook_account(world, webhooks))
    world.run()
    with pytest.raises(psycopg2.Error, match="may be published already"):
        p.cancel(world, post)
    world.settle_down()
    world.assert_exactly_once()


# Pauses


@pytest.mark.parametrize("name", ["social-media-post", "provider:webhook", "provider:webhook:ID",
                                  "social-media"])
def test_a_pause_holds_until_it_is_resumed(world, webhooks, name):
    account = p.webhook_account(world, webhooks)
    name = name.replace("ID", account.id)
    world.rows("SELECT * FROM automapost.pause(%s, 'a reason')", (name,))
    post = world.post(account)
    other = world.post(p.webhook_account(world, webhooks))
    world.run()
    assert webhooks.texts() == ([other.text] if name.endswith(account.id) else [])
    assert p.status(world, post) == "SCHEDULED"
    world.rows("SELECT * FROM automapost.resume(%s)", (name,))
    world.settle_down()
    world.assert_exactly_once()


@pytest.mark.parametrize("name", ["social-media-post", "provider:webhook"])
def test_a_pause_holds_what_has_not_begun(world, webhooks, name):
    """Claimed and prepared already; what has begun finishes (see the cancelled ones)."""
    post = world.post(p.webhook_account(world, webhooks))
    process = world.tick(stop_point="prepare")
    process.wait_stopped()
    world.rows("SELECT * FROM automapost.pause(%s, 'a reason')", (name,))
    process.cont()
    assert process.wait() == 0
    after = p.delivery(world, post)
    assert (after.state, after.begins, after.attempts) == ("pending", 0, 0)
    assert webhooks.fake.log == []
    world.rows("SELECT * FROM automapost.resume(%s)", (name,))
    world.settle_down()
    world.assert_exactly_once()


def test_a_pause_ends_by_itself(world, webhooks):
    world.rows("SELECT * FROM automapost.pause('social-media-post', 'a reason',"
               " clock_timestamp() + interval '3 s')")
    world.post(p.webhook_account(world, webhooks))
    world.run()
    assert webhooks.texts() == []
    world.wait_until(lambda: world.value("SELECT paused_until < clock_timestamp()"
                                         " FROM automapost.job_definitions"
                                         " WHERE name = 'social-media-post'"))
    world.run()
    world.assert_exactly_once()
