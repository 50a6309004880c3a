# SPDX-License-Identifier: MIT
"""No double post, no lost post, when nobody dies: workers sleep too long, are told to stop, lose
their connection, or lose the answer to a statement that was committed; the server restarts or is
killed; one row or one endpoint is poisoned; two hosts with different clocks are at it.

Where a receiver would hide a double, it is told not to (ignore_ids): then every request that
arrives counts.
"""

import re
import time
from pathlib import Path

import pytest

from harness import peers
from harness.postgres import Cluster
from harness.process import Unavailable
from linkedin_fake import LinkedInFake

from . import world as w
from .answer_thief import AnswerThief

ALONE = {"AUTOMAPOST_ACTORS": "1"}
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def strict(world):
    """A receiver for which the same id twice is two posts."""
    with w.WebhookReceiver(ignore_ids=True) as fake:
        yield world.receiver(w.Webhooks(fake))


@pytest.fixture
def linkedin(world):
    with LinkedInFake() as fake:
        world.env |= {"AUTOMAPOST_LINKEDIN_URL": fake.url,
                      "AUTOMAPOST_LINKEDIN_AUTH_URL": fake.url}
        yield fake


def state_of(world, post, kind="post") -> str:
    return world.value("SELECT state FROM automapost.post_deliveries"
                       " WHERE post_id = %s AND kind = %s", (post.id, kind))


def begins(world) -> list:
    """How often each delivery was begun."""
    return [n for (n,) in world.rows("SELECT begin_number FROM automapost.post_deliveries")]


def judge(world, *, held=()) -> None:
    world.assert_exactly_once(held=held)
    assert world.in_state("held") == set(held)
    assert not world.in_state("failed") | world.in_state("missed") | world.in_state("cancelled")
    world.assert_nothing_running()
    world.assert_told()


# Asleep for longer than the lapse.


def take_over(world, sleeper) -> None:
    """Time passes until the sleeper has lapsed, and another worker gives it up."""
    world.wait_until(lambda: world.value(
        "SELECT clock_timestamp() - last_beat > e.lapse FROM automapost.workers w,"
        " automapost.engine e WHERE w.id = %s", (sleeper.invocation,)), what="the lapse")
    world.run()
    assert world.value("SELECT ended_at IS NOT NULL FROM automapost.workers WHERE id = %s",
                       (sleeper.invocation,))


@pytest.mark.parametrize("point", ["begin", "first-byte"])
def test_wakes_up_when_another_has_it(world, strict, point):
    """It slept between the write-ahead and the first byte; what it was about to send is another
    worker's now, or sent already. It must see that and send nothing."""
    world.scale(10)
    early, late = world.post(strict.account(world)), world.post(strict.account(world))
    sleepers = []
    for _ in range(2):
        sleepers.append(world.tick(env=ALONE, stop_point=point))
        sleepers[-1].wait_stopped()
    for sleeper in sleepers:
        take_over(world, sleeper)
    assert {state_of(world, early), state_of(world, late)} == {"unconfirmed"}
    assert world.seen().total() == 0

    sleepers[0].cont()      # it wakes up while nobody has sent it yet
    assert sleepers[0].wait() == 0
    assert world.seen().total() == 0, "a worker sent what it had been given up for"
    world.settle_down(30)
    sleepers[1].cont()      # … and when somebody has
    assert sleepers[1].wait() == 0
    world.settle_down(30)
    judge(world)


def test_wakes_up_before_its_settle(world, webhooks, linkedin):
    """It has sent, and slept before it could say so. Another looks, or sends the same again, or
    holds it; the sleeper's receipt counts whenever it comes."""
    world.scale(10)
    page = world.receiver(w.LinkedIn(linkedin, organization=True))
    member = world.receiver(w.LinkedIn(linkedin))
    resend = world.post(webhooks.account(world))
    read = world.post(page.account(world))
    none = world.post(member.account(world), comment="first comment")
    sleepers = []
    while len(sleepers) < 3:
        # The third post is published in passing: its comment is the third job to be stopped.
        point = "answer-read:2" if len(sleepers) == 2 else "answer-read"
        sleepers.append(world.tick(env=ALONE, stop_point=point))
        sleepers[-1].wait_stopped()
    for sleeper in sleepers:
        take_over(world, sleeper)
    world.settle_down(30)
    assert state_of(world, resend) == "sent" and state_of(world, read) == "sent"
    assert state_of(world, none, "comment") == "held"
    for sleeper in sleepers:
        sleeper.cont()
        assert sleeper.wait() == 0, sleeper.stderr
    assert state_of(world, none, "comment") == "sent"
    world.settle_down(30)
    judge(world)
    assert webhooks.fake.deliveries[0].repeats == 1


def test_nobody_looks_too_early(world, linkedin):
    """The worker died, and its request still waits inside the platform, as long as a send may take.
    Who looked in between would find nothing, and send it again."""
    world.scale(10)
    page = world.receiver(w.LinkedIn(linkedin, organization=True))
    world.post(page.account(world))
    wait = world.delay("send_deadline") + world.delay("reconcile_margin")
    linkedin.fault("POST *", "delay", seconds=0.7 * wait)
    process = world.tick(stop_point="last-byte")
    process.wait_stopped()
    process.kill()
    process.release()
    world.settle_down(30)
    sent, looked = (next(e.time for e in linkedin.log if e.method == method)
                    for method in ("POST", "GET"))
    assert looked - sent > 0.95 * wait
    judge(world)


def test_page_with_a_long_history(world, linkedin):
    """The list of a page's posts is full with older ones, and that is no reason for doubt: what was
    never sent is sent."""
    world.scale(10)
    page = world.receiver(w.LinkedIn(linkedin, organization=True))
    account = page.account(world)
    remote, token = world.rows('SELECT "providerAccountId", "accessToken"'
                               ' FROM public.auth_providers WHERE id::text = %s', (account.id,))[0]
    linkedin.clock_offset = -86400.0
    for n in range(60):
        peers.request("POST", f"{linkedin.url}/rest/posts", token=token, headers={
            "LinkedIn-Version": "202609", "X-Restli-Protocol-Version": "2.0.0",
        }, data={
            "author": remote, "commentary": f"history {n}", "visibility": "PUBLIC",
            "distribution": {"feedDistribution": "MAIN_FEED"}, "lifecycleState": "PUBLISHED",
        }).expect(201)
    linkedin.clock_offset = 0.0
    linkedin.published.clear()
    world.post(account)
    process = world.tick(stop_point="first-byte")
    process.wait_stopped()
    process.kill()
    process.release()
    world.settle_down(30)
    judge(world)


# A whole host dies, and nobody of it can say so.

# What a process of another host has: a name and a boot of its own.
ELSEWHERE = ("unshare", "--uts", "--mount", "sh", "-c",
             'hostname elsewhere; mount --bind "$1" /proc/sys/kernel/random/boot_id; shift;'
             ' exec "$@"', "sh")


def test_who_is_awake_stands_by(world, webhooks):
    """Nothing is left for the second host, but it stays up while the first is at work, and takes
    the work over when that one lapses: by itself, not at a later tick."""
    world.scale(5)
    boot = world.folder / "boot-id"
    boot.write_text("6a55cc1e-5ce8-4e5e-8a39-7c0f8c0ff1ce\n", encoding="ascii")
    hang = webhooks.fake.fault("POST *", "hang-before", 1)
    world.post(webhooks.account(world))
    far = world.tick(prefix=[*ELSEWHERE, str(boot)])
    assert hang.reached.wait(20)
    near = world.tick()
    world.wait_until(lambda: world.value(
        "SELECT count(*) FROM automapost.workers WHERE id = %s AND previous_beat > started_at",
        (near.invocation,)), what="two beats of the second host")
    far.kill()
    assert near.wait() == 0
    assert "social-media on elsewhere gave no sign of life; jobs put back: 1" in near.stderr
    hang.release()
    world.settle_down()
    judge(world)


def test_nobody_stands_by_for_a_worker_of_its_own_host(world, strict):
    """There systemd sees who dies."""
    world.scale(5)
    hang = strict.fake.fault("POST *", "hang-before", 1)
    world.post(strict.account(world))
    first = world.tick()
    assert hang.reached.wait(20)
    world.run()
    assert first.returncode is None
    hang.release()
    assert first.wait() == 0
    judge(world)


# SIGTERM.


def test_sigterm_puts_back_what_is_not_begun(world, strict):
    """Claimed and not begun: back at once and whole, as if it had never been claimed."""
    world.scale(5)
    for _ in range(6):
        world.post(strict.account(world))
    process = world.tick(stop_point="claim")
    process.wait_stopped()
    process.terminate()
    process.cont()
    assert process.wait(3) == 0     # the grace, 15 s, is for what is being sent
    assert world.seen().total() == 0
    assert world.rows("SELECT DISTINCT status, attempts, scheduled_for <= now()"
                      " FROM automapost.job_queue") == [("pending", 0, True)]
    world.assert_nothing_running()
    world.settle_down()
    judge(world)


def test_sigterm_lets_finish_what_is_being_sent(world, strict):
    """Six posts, three actors, an endpoint that takes its time: three are being sent, and finish;
    the others were never taken."""
    world.scale(5)
    for _ in range(6):
        world.post(strict.account(world))
    hang = strict.fake.fault("POST *", "hang-after", 3)
    process = world.tick(env={"AUTOMAPOST_ACTORS": "3"})
    world.wait_until(lambda: world.seen().total() == 3)
    process.terminate()
    world.wait_until(lambda: "Stopping" in process.stderr)
    assert process.returncode is None
    hang.release()
    assert process.wait(10) == 0
    assert world.seen().total() == 3
    assert world.rows("SELECT status, attempts, count(*) FROM automapost.job_queue"
                      " GROUP BY 1, 2 ORDER BY 1") == [("completed", 1, 3), ("pending", 0, 3)]
    world.assert_nothing_running()
    world.settle_down()
    judge(world)


def test_sigterm_ends_within_the_grace(world, webhooks):
    """The endpoint does not answer at all: it is over when the grace is, and what was sent is
    found out later."""
    world.scale(10)
    world.post(webhooks.account(world))
    hang = webhooks.fake.fault("POST *", "hang-after")
    process = world.tick(env={"AUTOMAPOST_GRACE_SEC": "1"})
    world.wait_until(lambda: world.seen().total() == 1)
    start = time.monotonic()
    process.terminate()
    assert process.wait(10) == 0
    assert 0.9 < time.monotonic() - start < 2.0
    assert state_of(world, world.posts[0]) == "unconfirmed"
    hang.release()
    world.settle_down()
    judge(world)


# The connection is gone.


PHASES = ("enter-worker", "collect-social-media-post", "claim-jobs", "claim", "prepare",
          "begin-jobs", "begin", "first-byte", "last-byte", "answer-read", "settle-jobs", "settled")


def test_connection_cut_in_every_phase(world, strict, linkedin):
    """pg_terminate_backend: a worker that lives knows what it did, so nothing is begun twice, and
    nothing waits for a person, not even where nobody could look."""
    world.scale(5)
    member = world.receiver(w.LinkedIn(linkedin))
    for point in PHASES:
        for receiver in (strict, member):
            world.post(receiver.account(world), comment=f"comment at {point} of {receiver}")
        process = world.tick(stop_point=point)
        process.wait_stopped()
        assert world.rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                          " WHERE datname = %s AND usename = %s",
                          (world.dbname, w.SERVICE_ROLE)) == [(True,)]
        process.cont()
        assert process.wait(30) == 0, f"{point}:\n{process.stderr}"
    world.settle_down()
    judge(world)
    assert set(begins(world)) == {1}


@pytest.mark.parametrize("statement", ["claim_jobs", "begin_jobs", "settle_jobs", "beat"])
def test_answer_to_a_commit_is_lost(world, strict, statement):
    """The statement was executed and committed, its answer never came. Asked again it says the
    same: claimed once, begun once, settled once, and by this very worker."""
    world.scale(5)
    for _ in range(5):
        world.post(strict.account(world))
    if statement == "beat":     # one is sent only while something takes its time
        strict.fake.delay = 2 * world.delay("beat")
    with AnswerThief(("127.0.0.1", world.cluster.port)) as thief:
        url = f"postgresql://{w.SERVICE_ROLE}@127.0.0.1:{thief.port}/{world.dbname}"
        thief.steal(f"automapost.{statement}(")
        process = world.run(env={"AUTOMAPOST_DATABASE_URL": url})
        assert thief.stolen == 1
    assert "asking again" in process.stderr
    assert "another worker" not in process.stderr
    assert world.rows("SELECT DISTINCT status, attempts FROM automapost.job_queue") \
        == [("completed", 1)]
    assert set(begins(world)) == {1}
    assert world.rows("SELECT status, count(*) FROM automapost.job_executions"
                      " WHERE job_queue_id IS NOT NULL GROUP BY 1") == [("completed", 5)]
    world.settle_down()
    judge(world)


# The server is away.


@pytest.fixture(scope="module")
def own_cluster(build):
    """A server that these tests may restart and kill."""
    with Cluster(settings={"max_connections": 50}) as running:
        w.make_template(running, "template_automapost", build)
        yield running


@pytest.fixture
def own_world(make_world, own_cluster):
    return make_world(own_cluster)


@pytest.mark.parametrize("outage", ["restart", "kill9"])
def test_server_goes_away_while_sending(own_world, outage):
    """The requests are under way when the server goes; the answers come when it is back."""
    world = own_world
    world.scale(5)
    with w.WebhookReceiver(ignore_ids=True) as fake:
        receiver = world.receiver(w.Webhooks(fake))
        for _ in range(5):
            world.post(receiver.account(world))
        hang = fake.fault("POST *", "hang-after", 5)
        process = world.tick()
        world.wait_until(lambda: world.seen().total() == 5)
        if outage == "restart":
            world.cluster.restart()
        else:
            world.cluster.kill9()
            world.cluster.start()
        world.reconnect()
        hang.release()
        assert process.wait(30) == 0, process.stderr
        assert "Connected to the database again" in process.stderr
        world.settle_down()
        judge(world)
        assert set(begins(world)) == {1}


@pytest.mark.parametrize("point", ["claim-jobs", "begin-jobs", "settle-jobs"])
def test_server_is_killed_with_a_statement_on_the_way(own_world, point):
    """Perhaps it was committed, perhaps not: the same statement again finds out."""
    world = own_world
    world.scale(2)
    with w.WebhookReceiver(ignore_ids=True) as fake:
        receiver = world.receiver(w.Webhooks(fake))
        for _ in range(5):
            world.post(receiver.account(world))
        process = world.tick(stop_point=point)
        process.wait_stopped()
        world.cluster.kill9()
        world.cluster.start()
        world.reconnect()
        process.cont()
        assert process.wait(30) == 0, process.stderr
        world.settle_down()
        judge(world)
        assert set(begins(world)) == {1}


def test_server_is_down_at_the_tick(own_world):
    """75: systemd shows it as a failure that passes, and the next tick does the work."""
    world = own_world
    world.scale(5)
    with w.WebhookReceiver() as fake:
        receiver = world.receiver(w.Webhooks(fake))
        world.post(receiver.account(world), comment="first comment")
        world.cluster.stop()
        for service in ("social-media", "queue", "cleanup"):
            process = world.run(service, status=75, seconds=15)
            assert "cannot connect to the database" in process.stderr
        world.cluster.start()
        world.reconnect()
        world.settle_down()
        judge(world)


def test_pgbouncer_in_transaction_mode(world, webhooks, linkedin):
    """The whole way through a pool that gives every transaction another connection: also a worker
    that dies, and what puts its jobs back."""
    world.scale(10)
    page = world.receiver(w.LinkedIn(linkedin, organization=True))
    for _ in range(20):
        world.post(webhooks.account(world), comment=f"comment {len(world.posts)}")
        world.post(page.account(world))
    try:
        with peers.Pgbouncer(world.cluster, users=[w.SERVICE_ROLE, "postgres"]) as pool:
            world.env["AUTOMAPOST_DATABASE_URL"] = pool.database_url(world.dbname, w.SERVICE_ROLE)
            process = world.tick(stop_point="last-byte:5")
            process.wait_stopped()
            process.kill()
            process.release()
            first, second = world.tick(), world.tick()
            assert (first.wait(), second.wait()) == (0, 0), first.stderr + second.stderr
            world.settle_down()
    except Unavailable as reason:
        pytest.skip(str(reason))
    judge(world)


# One bad thing among good ones.


def test_poison_row_in_settle(world, webhooks):
    """One job's outcome cannot be written. The others of its batch can, and in the same tick; it
    is done when the cause is gone."""
    world.scale(5)
    posts = [world.post(webhooks.account(world)) for _ in range(10)]
    poison(world, posts[4], "automapost.job_executions", """
        IF EXISTS (SELECT FROM automapost.job_queue q WHERE q.id = NEW.job_queue_id
                   AND q.payload ->> 'postId' = TG_ARGV[0]) THEN""")
    world.run()
    assert world.in_state("sent") == {post.text for post in posts} - {posts[4].text}
    world.rows("DROP TRIGGER poison ON automapost.job_executions")
    world.settle_down()
    judge(world)
    assert webhooks.fake.deliveries and not any(d.changed_repeats for d in webhooks.fake.deliveries)


def test_poison_row_in_rescue(world, webhooks):
    """The same of a job whose worker died: the other jobs of that worker, and other workers, are
    put back and sent all the same."""
    world.scale(5)
    posts = [world.post(webhooks.account(world)) for _ in range(6)]
    webhooks.fake.delay = 2.0       # no answer is there, and so nothing is settled, before the sixth
    process = world.tick(stop_point="last-byte:6")
    process.wait_stopped()
    process.kill()
    webhooks.fake.delay = 0.0
    poison(world, posts[2], "automapost.job_executions", """
        IF EXISTS (SELECT FROM automapost.job_queue q WHERE q.id = NEW.job_queue_id
                   AND q.payload ->> 'postId' = TG_ARGV[0]) THEN""")
    good = {post.text for post in posts} - {posts[2].text}
    deadline = time.monotonic() + 30
    while world.in_state("sent") != good and time.monotonic() < deadline:
        world.run()
        time.sleep(world.delay("beat"))
    assert world.in_state("sent") == good
    world.rows("DROP TRIGGER poison ON automapost.job_executions")
    world.settle_down()
    judge(world)


def test_poison_row_in_apply(world, webhooks):
    """A trigger of the application's own raises for one post: the others are told of at once, and
    the receipt of that one stands. It is told when the trigger is gone, without another send."""
    world.scale(5)
    posts = [world.post(webhooks.account(world), comment=f"comment {n}") for n in range(10)]
    poison(world, posts[4], "public.posts", "IF NEW.id::text = TG_ARGV[0] THEN")
    process = world.run()
    assert "refused what a settle tells them" in process.stderr
    # Telling the application is also what starts first comments: this one waits.
    assert world.in_state("sent") \
        == {t for p in posts for t in (p.text, p.comment)} - {posts[4].comment}
    assert world.rows("SELECT id::text FROM public.posts WHERE status <> 'SENT'") \
        == [(posts[4].id,)]
    world.rows("DROP TRIGGER poison ON public.posts")
    world.settle_down()
    judge(world)
    assert set(begins(world)) == {1}
    assert not any(d.repeats for d in webhooks.fake.deliveries)


def poison(world, post, table, condition) -> None:
    world.rows(f"""
        CREATE FUNCTION public.poison() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            {condition}
                RAISE EXCEPTION 'this row is poisoned';
            END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON {table}
            FOR EACH ROW EXECUTE FUNCTION public.poison('{post.id}')""")


def test_hanging_endpoint_silences_nobody(world, webhooks):
    """One endpoint does not answer. What is due beside it goes out at once; what becomes due later
    goes out through the same tick, which is still at it, or through the next."""
    world.scale(5)
    slow = world.post(webhooks.account(world))
    hang = webhooks.fake.fault(lambda request: slow.text.encode() in request.body, "hang-after")
    beside = world.post(webhooks.account(world))
    process = world.tick()
    world.wait_until(lambda: world.seen()[beside.text] == 1, 1.0)
    later = world.post(webhooks.account(world))
    world.wait_until(lambda: world.seen()[later.text] == 1, world.delay("collect_every") + 1.0)
    assert process.returncode is None
    last = world.post(webhooks.account(world))
    world.run()
    world.wait_until(lambda: world.seen()[last.text] == 1, 1.0)     # by whichever took it
    assert process.returncode is None
    hang.release()
    assert process.wait() == 0
    world.settle_down()
    judge(world)


# Two hosts.


@pytest.mark.parametrize("clocks", [("+0", "+0"), ("+40m", "-40m")], ids=["same", "different"])
def test_two_hosts(world, clocks):
    """Two workers over the same 200 posts, each with the clock of its host; what counts is the
    database's."""
    world.scale(5)
    with w.WebhookReceiver(ignore_ids=True, delay=0.01, tolerance=3600) as fake:
        receiver = world.receiver(w.Webhooks(fake))
        for n in range(200):
            world.post(receiver.account(world), comment=f"comment {n}" if n % 10 == 0 else None)
        hosts = [world.tick(env={"AUTOMAPOST_ACTORS": "8", **clock(offset)}) for offset in clocks]
        for host in hosts:
            assert host.wait() == 0, host.stderr
            claimed = re.search(r"claimed (\d+)", host.stderr)
            assert claimed and int(claimed[1]) > 20, "it had no part in it"
        if clocks[0] != clocks[1]:
            offsets = world.rows("SELECT round(extract(epoch FROM clock_offset) / 60)"
                                 " FROM automapost.workers ORDER BY 1")
            assert [int(o) for (o,) in offsets] == [-40, 40]
        world.settle_down()
        judge(world)
        assert set(begins(world)) == {1}


def clock(offset: str) -> dict:
    if offset == "+0":
        return {}
    if not FAKETIME.exists():
        pytest.skip("libfaketime is not installed (package faketime)")
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
