# SPDX-License-Identifier: MIT
"""automapost-realtime: the worker that stays, as systemd starts it (a socket that hears what it
says). No timer runs here: what happens, it does."""

import contextlib
import json
import math
import os
import queue
import signal
import socket
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest

from harness import peers
from harness.postgres import Cluster
from harness.process import Unavailable

from . import world as w
from .answer_thief import AnswerThief


class Supervisor:
    """Hears what a service tells systemd, as it is said: who tells waits until it is heard."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        os.chmod(self.path, 0o777)
        self.messages = queue.SimpleQueue()
        self.heard = []
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        with contextlib.suppress(OSError):
            while message := self.socket.recv(8192):
                self.messages.put(message.decode())

    def listen(self, seconds):
        """One more message, or None."""
        try:
            self.heard.append(self.messages.get(timeout=seconds))
        except queue.Empty:
            return None
        return self.heard[-1]

    def drain(self):
        while not self.messages.empty():
            self.listen(0)

    def until(self, text, seconds=20):
        """The next message with that text."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            message = self.listen(left)
            if message and text in message:
                return message
        raise AssertionError(f'nothing with "{text}" within {seconds} s, but {self.heard[-20:]}')

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def supervisor(tmp_path):
    with contextlib.closing(Supervisor(tmp_path)) as made:
        yield made


@pytest.fixture
def resident(world, supervisor):
    """Starts one and waits until it is ready."""
    def start(*arguments, env=None, **options):
        process = world.start("automapost-realtime", *arguments, env={
            "NOTIFY_SOCKET": str(supervisor.path), "WATCHDOG_USEC": "2000000", **(env or {})},
            **options)
        supervisor.until("READY=1")
        return process
    return start


def idle(world):
    """It has looked once more from now on, and so listens, and waits."""
    now = world.value("SELECT clock_timestamp()")
    for _ in range(2):
        now = world.wait_until(lambda: world.value(
            "SELECT max(query_start) FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename = %s AND state = 'idle' AND query LIKE '%%automapost.look%%'"
            " AND query_start > %s", (w.SERVICE_ROLE, now)), what="the look")


def hold_looks_off(world):
    """The look finds nothing from now on: what is still found, was notified."""
    body = world.value("SELECT pg_get_functiondef('automapost.look(text, text[])'::regprocedure)")
    world.as_owner("""CREATE OR REPLACE FUNCTION automapost.look(p_service text, p_types text[])
        RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
        $$ SELECT '{"paused": false, "collect": false, "due": 0, "lag": 0, "next": null}'::jsonb $$""")
    return body


def job(world, n):
    """The status of the job whose payload has that number."""
    return world.value("SELECT max(status) FROM automapost.job_queue WHERE payload ->> 'n' = %s",
                       (str(n),))


def done(world, n, seconds=20):
    world.wait_until(lambda: job(world, n) == "completed", seconds, f"job {n}")


def enqueue(world, n, job_type="noop", **arguments):
    names = "".join(f", {name} => %s" for name in arguments)
    return world.value(f"SELECT id FROM automapost.enqueue(%s, %s{names})",
                       (job_type, json.dumps({"n": n, **({"ms": 0} if job_type == "sleep" else {})}),
                        *arguments.values()))


def stop(process):
    process.terminate()
    assert process.wait() == 0, process.stderr


# When things happen


def test_a_post_appears_when_it_is_due(world, webhooks, resident):
    """One that is there before, one that is inserted, and one that is moved; by plain SQL on the
    application's table, and none before its time by the receiver's clock."""
    account = webhooks.account(world)
    moved = world.post(account, due=w.utc_now() + timedelta(hours=1))
    process = resident()
    due = w.utc_now() + timedelta(seconds=2)
    inserted = world.post(account, due=due)
    world.rows('UPDATE posts SET "scheduledTo" = %s WHERE id = %s', (due, moved.id))
    world.wait_until(lambda: world.seen() == Counter([inserted.text, moved.text]))
    with webhooks.fake.lock:
        assert all(x["time"] >= due.timestamp() for x in webhooks.fake.published)
    stop(process)
    world.assert_exactly_once()
    world.assert_nothing_running()
    world.assert_told()


def test_a_job_due_later_is_done_then(world, resident):
    process = resident()
    due = w.utc_now() + timedelta(seconds=2)
    enqueue(world, 1, scheduled_for=due)
    done(world, 1)
    assert world.value("SELECT min(started_at) FROM automapost.job_executions"
                       " WHERE job_queue_id IS NOT NULL") >= due
    stop(process)


@pytest.mark.parametrize("how", ["enqueue", "insert", "enqueue_many"])
def test_a_notification_wakes_it(world, resident, how):
    process = resident()
    idle(world)
    body = hold_looks_off(world)
    if how == "enqueue":
        enqueue(world, 1)
    elif how == "insert":
        with contextlib.closing(world.cluster.connect(world.dbname, w.APP_ROLE)) as application:
            application.cursor().execute(
                "INSERT INTO automapost.job_queue (job_type, payload) VALUES ('noop', '{\"n\": 1}')")
    else:
        world.rows("SELECT * FROM automapost.enqueue_many"
                   "('[{\"job_type\": \"noop\", \"payload\": {\"n\": 1}}]')")
    done(world, 1)
    world.as_owner(body)
    stop(process)


def test_without_notifications_it_looks(world, supervisor, resident):
    """A pool in transaction mode takes the LISTEN and passes nothing on."""
    try:
        with peers.Pgbouncer(world.cluster, users=[w.SERVICE_ROLE, "postgres"]) as pool:
            process = resident(env={
                "AUTOMAPOST_DATABASE_URL": pool.database_url(world.dbname, w.SERVICE_ROLE)})
            supervisor.until("not notified, looks each second")
            enqueue(world, 1)
            done(world, 1)
            stop(process)
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert "Nobody wakes this worker" in process.stderr


def test_one_notification_for_each_statement_and_type(world):
    with contextlib.closing(world.cluster.connect(world.dbname)) as listener:
        listener.cursor().execute("LISTEN job_queue_channel")

        def heard():
            listener.cursor().execute("SELECT 1")   # what was notified before is here with it
            listener.poll()
            said = sorted((n.payload for n in listener.notifies))
            listener.notifies.clear()
            return [json.loads(x) for x in said]

        many = [{"job_type": t, "payload": {}} for t in ("noop", "noop", "sleep")]
        world.rows("SELECT * FROM automapost.enqueue_many(%s)", (json.dumps(many),))
        assert heard() == [{"type": "noop", "count": 2}, {"type": "sleep", "count": 1}]
        world.rows("SELECT * FROM automapost.enqueue('noop', scheduled_for => now() + interval '1 h')")
        assert heard() == []
        world.rows("INSERT INTO automapost.job_queue (job_type, scheduled_for)"
                   " SELECT 'noop', now() + n * interval '1 h' FROM generate_series(-1, 1) n")
        assert heard() == [{"type": "noop", "count": 2}]


# Beside others, and while things break


def test_beside_the_timers_and_another_host(world, webhooks, resident):
    """Two of them and ticks at the same posts: each goes out once."""
    first, second = resident(), resident()
    accounts = [webhooks.account(world) for _ in range(10)]
    due = w.utc_now() + timedelta(seconds=1.5)
    for n in range(100):
        world.post(accounts[n % 10], due=due + timedelta(milliseconds=10 * n))
    ticks = []
    while len(world.seen()) < 100:
        ticks.append(world.run())
        assert len(ticks) < 200, world.unsettled()
    world.wait_until(lambda: world.value(
        "SELECT count(*) FROM automapost.job_queue WHERE status <> 'completed'") == 0)
    stop(first)
    stop(second)
    world.assert_exactly_once()
    world.assert_nothing_running()


def test_killed_in_the_middle(world, webhooks, resident):
    """What systemd runs then puts its jobs back, and the next one goes on; nothing is doubled."""
    world.scale(20)
    hang = webhooks.fake.fault("POST *", "hang-after", 1)
    process = resident()
    for account in [webhooks.account(world) for _ in range(20)]:
        world.post(account)
    assert hang.reached.wait(20)
    process.kill()
    hang.release()
    process.release()
    assert world.value("SELECT count(*) FROM automapost.job_queue WHERE status = 'running'") == 0
    again = resident()
    world.wait_until(lambda: len(world.seen()) == 20 and world.value(
        "SELECT count(*) FROM automapost.job_queue WHERE status <> 'completed'") == 0)
    stop(again)
    world.assert_exactly_once()


def test_the_database_is_restarted(make_world, build, supervisor):
    """Its connection goes, it has another, and listens on that one too."""
    with Cluster() as own:
        w.make_template(own, "template_automapost", build)
        world = make_world(own)
        process = world.start("automapost-realtime", env={"NOTIFY_SOCKET": str(supervisor.path)})
        supervisor.until("READY=1")
        enqueue(world, 1)
        done(world, 1)
        own.restart()
        world.reconnect()
        world.wait_until(lambda: "Connected to the database again" in process.stderr)
        idle(world)
        hold_looks_off(world)
        enqueue(world, 2)
        done(world, 2)
        stop(process)


class Gate:
    """A TCP proxy that can stop passing anything on over its first connection, and keeps it open."""

    def __init__(self, port):
        self.target = port
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.closed = False
        self.accepted = 0
        self.sockets = [self.server]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                self.accepted += 1
                server = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [client, server]
                number = self.accepted
                for a, b in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(a, b, number), daemon=True).start()

    def _pass(self, source, sink, number):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if number == 1 and self.closed:
                    continue                # swallowed, and nobody is told
                sink.sendall(data)

    def close(self):
        for s in self.sockets:
            s.close()


def test_a_half_open_connection_is_found(world, resident):
    """Nothing comes back on a connection that looks alive: it takes another one."""
    with contextlib.closing(Gate(world.cluster.port)) as gate:
        url = (f"postgresql://{w.SERVICE_ROLE}@127.0.0.1:{gate.port}/{world.dbname}")
        process = resident(env={"AUTOMAPOST_DATABASE_URL": url})
        enqueue(world, 1)
        done(world, 1)
        gate.closed = True
        enqueue(world, 2)
        done(world, 2, 40)
        assert gate.accepted == 2
        assert "no answer from the database within" in process.stderr
        stop(process)


# What its operator does


def test_reload(world, supervisor, resident, tmp_path):
    """Settings of the file count from then on; a file that cannot be used changes nothing; what is at
    work comes to its end."""
    settings = tmp_path / "settings.env"
    settings.write_text("AUTOMAPOST_LOG_LEVEL=info\n", encoding="utf-8")
    process = resident(f"--settings={settings}")
    enqueue(world, 1)
    done(world, 1)
    assert "There is nothing to do" not in process.stderr

    settings.write_text("AUTOMAPOST_LOG_LEVEL=debug\n", encoding="utf-8")
    slow = world.value("SELECT id FROM automapost.enqueue('sleep', '{\"n\": 2, \"ms\": 700}')")
    world.wait_until(lambda: job(world, 2) == "running")
    supervisor.drain()
    os.kill(process.pid, signal.SIGHUP)
    supervisor.until("RELOADING=1")
    supervisor.until("READY=1")
    assert world.value("SELECT status FROM automapost.job_queue WHERE id::text = %s",
                       (slow,)) == "completed"
    enqueue(world, 3)
    done(world, 3)
    assert "There is nothing to do" in process.stderr

    settings.write_text("AUTOMAPOST_ACTORS=many\n", encoding="utf-8")
    os.kill(process.pid, signal.SIGHUP)
    supervisor.until("READY=1")
    enqueue(world, 4)
    done(world, 4)
    assert "Going on with the settings as they were" in process.stderr
    assert "AUTOMAPOST_ACTORS" in process.stderr
    stop(process)


def test_it_can_be_paused(world, supervisor, resident):
    process = resident()
    world.rows("SELECT * FROM automapost.pause('realtime', 'for the test')")
    supervisor.until("STATUS=paused")
    enqueue(world, 1)
    world.rows("SELECT * FROM automapost.pause('noop', 'for the test')")
    world.rows("SELECT * FROM automapost.resume('realtime')")
    enqueue(world, 2, "sleep")
    done(world, 2)
    assert job(world, 1) == "pending"
    world.rows("SELECT * FROM automapost.resume('noop')")
    done(world, 1)
    stop(process)


def test_stopped_it_puts_back_what_it_has_not_begun(world, resident):
    """More than it has actors for, each of a second: what has an actor ends, the rest waits again."""
    process = resident(env={"AUTOMAPOST_ACTORS": "4"})
    for n in range(12):
        world.rows("SELECT * FROM automapost.enqueue('sleep', %s)",
                   (json.dumps({"n": n, "ms": 1000}),))
    world.wait_until(lambda: world.value(
        "SELECT count(*) FROM automapost.job_queue WHERE status = 'running'") > 0)
    stop(process)
    states = Counter(row[0] for row in world.rows("SELECT status FROM automapost.job_queue"))
    assert states["running"] == 0 and states["pending"] > 0 and states["completed"] > 0, states
    assert world.value("SELECT max(attempts) FROM automapost.job_queue WHERE status = 'pending'") == 0
    world.assert_nothing_running()


def many(world, count, job_type="noop", **payload):
    for start in range(0, count, 1000):
        world.rows("SELECT count(*) FROM automapost.enqueue_many(%s)", (json.dumps([
            {"job_type": job_type, "payload": {"n": n, **payload}}
            for n in range(start, min(start + 1000, count))]),))


def many_at_once(world, count):
    """None of them is done before all are there."""
    world.rows("SELECT * FROM automapost.pause('noop', 'until all are there')")
    many(world, count)
    world.rows("SELECT * FROM automapost.resume('noop')")


def ahead(world, count):
    """Quick jobs first, so that it claims far ahead; then slow ones, all of them at once."""
    many(world, 4000)
    world.wait_until(lambda: world.value("SELECT count(*) FROM automapost.job_queue"
                                         " WHERE status = 'completed'") == 4000, 60)
    many(world, count, "sleep", ms=300)


def statuses(world, job_type="sleep"):
    return Counter(row[0] for row in world.rows(
        "SELECT status FROM automapost.job_queue WHERE job_type = %s", (job_type,)))


def test_what_was_claimed_ahead_has_its_time(world, resident):
    """Slow ones after quick ones: those for which there is no actor are put back before their own time
    is used up by waiting; each is done at its first attempt."""
    world.rows("UPDATE automapost.job_definitions SET timeout_ms = 1500 WHERE name = 'sleep'")
    process = resident(env={"AUTOMAPOST_ACTORS": "4"})
    ahead(world, 40)
    world.wait_until(lambda: statuses(world) == {"completed": 40}, 60)
    assert world.rows("SELECT DISTINCT x.status, x.retry_count FROM automapost.job_executions x"
                      " WHERE x.job_queue_id IS NOT NULL") == [("completed", 0)]
    stop(process)


def test_stopped_it_acts_on_nothing_more(world, resident):
    """Jobs that no actor has begun with go back at once; those at work come to their end."""
    process = resident(env={"AUTOMAPOST_ACTORS": "4"})
    ahead(world, 200)
    world.wait_until(lambda: statuses(world)["running"] > 10)
    before = statuses(world)["completed"]
    stop(process)
    after = statuses(world)
    # Those that ended between the count and the signal, and those at work then.
    assert after["completed"] - before <= 8 and after["pending"] >= 180, (before, after)
    assert world.value("SELECT max(attempts) FROM automapost.job_queue WHERE status = 'pending'") == 0
    world.assert_nothing_running()


def test_what_was_claimed_ahead_goes_to_another_host(world, webhooks, resident):
    """A platform that was quick and is slow now: posts that were claimed ahead and not begun go back, and
    another host publishes them while the first still waits for its few."""
    process = resident(env={"AUTOMAPOST_ACTORS": "4"})
    world.rows("SELECT * FROM automapost.pause('social-media-post', 'until all are there')")
    quick_ones = [world.post(webhooks.account(world)) for _ in range(150)]
    slow_ones = [world.post(webhooks.account(world), text=f"slow {n}") for n in range(30)]
    webhooks.fake.fault(lambda request: b"slow" in request.body, "delay", math.inf, seconds=5.0)
    world.rows("SELECT * FROM automapost.resume('social-media-post')")
    running = "SELECT count(*) FROM automapost.job_queue WHERE status = 'running'"
    world.wait_until(lambda: len(world.seen()) >= len(quick_ones))
    assert world.value(running) > 4
    world.wait_until(lambda: world.value(running) <= 4, 4)
    second = resident()
    world.wait_until(lambda: len(world.seen()) == len(quick_ones) + len(slow_ones), 12)
    stop(process)
    stop(second)
    world.assert_exactly_once()
    world.assert_nothing_running()


def test_the_watchdog_hears_of_each_turn(world, supervisor, resident):
    process = resident()
    supervisor.until("WATCHDOG=1")
    process.stop()
    supervisor.drain()
    # A quarter of the watchdog's two seconds would have been the next; silence can only be waited for.
    assert supervisor.listen(2) is None
    process.cont()
    supervisor.until("WATCHDOG=1")
    stop(process)


# Hundreds at a time, which are claimed over one connection, and settled over another

def quick(world, count):
    """Jobs of two types, each with a key, of 50 limit keys; each says two lines."""
    for start in range(0, count, 1000):
        world.rows("SELECT count(*) FROM automapost.enqueue_many(%s)", (json.dumps([
            {"job_type": ("noop", "sleep")[n % 2], "payload": {"n": n}, "job_key": f"key {n}",
             "limit_key": f"limit {n % 50}"} for n in range(start, min(start + 1000, count))]),))


def completed(world):
    return world.value("SELECT count(*) FROM automapost.job_queue WHERE status = 'completed'")


def assert_each_done_once(world, count):
    world.wait_until(lambda: completed(world) == count, 60)
    assert world.rows("""
        SELECT count(*), count(DISTINCT x.job_queue_id), sum((
            SELECT count(*) FROM automapost.job_logs l WHERE l.job_execution_id = x.id
                AND l.message NOT LIKE 'still running%%' AND l."timestamp" BETWEEN x.started_at - interval '1 ms'
                AND x.finished_at + interval '1 ms' AND l.id = automapost.line_id(x.id, ('x' ||
                    right(l.id::text, 4))::bit(16)::integer::smallint)))
        FROM automapost.job_executions x
        WHERE x.job_queue_id IS NOT NULL AND x.status = 'completed'
            AND x.finished_at BETWEEN now() - interval '10 min' AND now()""") == [(count, count, 2 * count)]


def aside(world):
    """The server process of the connection that settles; None where there is none."""
    return world.value("SELECT max(pid) FROM pg_stat_activity WHERE datname = current_database()"
                       " AND usename = %s AND query LIKE '%%automapost.settle_done(%%'",
                       (w.SERVICE_ROLE,))


def test_many_quick_jobs(world, resident):
    process = resident()
    quick(world, 6000)
    assert_each_done_once(world, 6000)
    assert aside(world)
    stop(process)
    world.assert_nothing_running()
    assert "completed 6000" in process.stderr


READ = """
    SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid))::bigint FROM pg_index i
    WHERE i.indrelid = 'automapost.job_queue'::regclass
"""


@pytest.mark.parametrize("types", ["{noop}", "{noop,sleep}", "{noop-send}", "{noop-send,social-media-post}"])
def test_a_claim_reads_what_it_takes(world, types):
    """Not what waits, with a plan that is made while much does."""
    waiting, taken = 20000, 64
    many(world, waiting // 2)
    many(world, waiting // 2, "noop-send")
    world.rows("VACUUM ANALYZE automapost.job_queue")
    with contextlib.closing(world.cluster.connect(world.dbname, w.SERVICE_ROLE)) as connection:
        connection.autocommit = False
        cursor = connection.cursor()
        cursor.execute("SELECT automapost.register_worker('reader', 'realtime', 'host', 'boot', 1, '0', now())")
        connection.commit()
        for n in range(3):
            cursor.execute("SELECT count(*) FROM automapost.claim_jobs('reader', %s, %s, %s)",
                           (f"batch {n}", types, taken))
            assert cursor.fetchone()[0] == taken
            cursor.execute(READ)
            # What is looked at is found by an index, and from there on has its place in the table; the
            # claims after the first meet what it took as well.
            assert taken <= cursor.fetchone()[0] < waiting / 8
            connection.commit()


def test_a_claim_planned_on_an_empty_queue_reads_what_it_takes(world):
    """A worker starts with nothing to do, and keeps the plan that it made then."""
    waiting, taken = 20000, 64
    with contextlib.closing(world.cluster.connect(world.dbname, w.SERVICE_ROLE)) as connection:
        connection.autocommit = False
        cursor = connection.cursor()
        cursor.execute("SELECT automapost.register_worker('reader', 'realtime', 'host', 'boot', 1, '0', now())")
        many(world, 1)
        cursor.execute("SELECT count(*) FROM automapost.claim_jobs('reader', 'first', '{noop,sleep}', 64)")
        connection.commit()
        many(world, waiting)
        cursor.execute("SELECT count(*) FROM automapost.claim_jobs('reader', 'second', '{noop,sleep}', %s)", (taken,))
        assert cursor.fetchone()[0] == taken
        cursor.execute(READ)
        assert taken <= cursor.fetchone()[0] < waiting / 8
        connection.commit()


@contextlib.contextmanager
def many_done_under_an_old_transaction(world, resident, done):
    """A connection as a service's, with a worker named reader, whose transaction has just begun."""
    with contextlib.closing(world.cluster.connect(world.dbname)) as holder:
        holder.autocommit = False
        holder.set_session(isolation_level="REPEATABLE READ")
        holder.cursor().execute("SELECT count(*) FROM automapost.job_queue")
        process = resident()
        many(world, done)
        world.wait_until(lambda: completed(world) == done, 60)
        stop(process)
        with contextlib.closing(world.cluster.connect(world.dbname, w.SERVICE_ROLE)) as connection:
            cursor = connection.cursor()
            for name, boot in (("reader", "boot"), ("other", "elsewhere")):
                cursor.execute("SELECT automapost.register_worker(%s, 'realtime', 'host', %s, 1, '0', now())",
                               (name, boot))
            connection.autocommit = False
            yield cursor


def test_a_claim_walks_over_what_is_done_once(world, resident):
    """Where it is not known how far claims have come."""
    done = 4000
    with many_done_under_an_old_transaction(world, resident, done) as cursor:
        many(world, 1)
        world.rows("DELETE FROM automapost.low_water RETURNING 1")
        cursor.execute("SELECT count(*) FROM automapost.claim_jobs('reader', 'first', '{noop,sleep}', 64)")
        assert cursor.fetchone()[0] == 1
        cursor.execute("SELECT pg_stat_get_xact_tuples_returned('automapost.job_queue_due'::regclass)")
        assert done <= cursor.fetchone()[0] < 1.5 * done


@pytest.mark.parametrize("statement", [
    "SELECT automapost.release_worker('reader', 'finished')", "SELECT * FROM automapost.rescue_lapsed()",
    "SELECT automapost.others_at_work('reader', '{noop}')", "SELECT automapost.expire_overdue(10)"])
def test_who_looks_for_what_runs_does_not_walk_over_what_ran(world, resident, statement):
    done = 20000
    with many_done_under_an_old_transaction(world, resident, done) as cursor:
        world.rows("UPDATE automapost.workers SET last_beat = now() - interval '1 min' WHERE id = 'other' RETURNING 1")
        cursor.execute("SET enable_seqscan = off")      # which reads all of it and counts as none
        cursor.execute(statement)
        cursor.execute(READ)
        assert cursor.fetchone()[0] < done / 2


def cut(world):
    """Cuts the connection that settles as soon as there is one; false where the jobs were done before."""
    pid = world.wait_until(lambda: aside(world) or completed(world) == 8000)
    return pid is not True and world.value("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_the_second_connection_is_cut(world, resident):
    """Again and again; what was under way is settled over the first, and another one is made."""
    world.scale(20)     # after a beat
    process = resident()
    quick(world, 8000)
    cuts = 0
    while cuts < 3 and cut(world):
        cuts += 1
    assert cuts > 0
    assert_each_done_once(world, 8000)
    assert aside(world) or cuts == 3
    stop(process)
    world.assert_nothing_running()


def test_the_answer_to_a_settle_aside_is_lost(world, resident):
    """It was committed: asked again over the first connection, nothing is recorded twice."""
    with AnswerThief(("127.0.0.1", world.cluster.port)) as thief:
        thief.steal("automapost.settle_done(")
        url = f"postgresql://{w.SERVICE_ROLE}@127.0.0.1:{thief.port}/{world.dbname}"
        process = resident(env={"AUTOMAPOST_DATABASE_URL": url})
        quick(world, 6000)
        assert_each_done_once(world, 6000)
        assert thief.stolen == 1
        stop(process)
    assert "another worker" not in process.stderr


def test_the_answer_to_a_claim_ahead_is_lost(world, resident):
    """Asked again over the first connection, the batch is the same: nothing was put back in between."""
    with AnswerThief(("127.0.0.1", world.cluster.port)) as thief:
        url = f"postgresql://{w.SERVICE_ROLE}@127.0.0.1:{thief.port}/{world.dbname}"
        process = resident(env={"AUTOMAPOST_DATABASE_URL": url})
        many_at_once(world, 20000)
        world.wait_until(lambda: aside(world))
        thief.steal("automapost.claim_jobs(")
        assert_each_done_once(world, 20000)
        assert thief.stolen == 1
        stop(process)
    assert world.value("SELECT count(*) FROM automapost.job_executions WHERE job_queue_id IS NOT NULL") == 20000


def test_stopped_among_quick_jobs(world, resident):
    """With a claim under way, most likely: what it takes goes back as it came."""
    process = resident()
    many_at_once(world, 20000)
    world.wait_until(lambda: aside(world))
    begun = time.monotonic()
    stop(process)
    assert time.monotonic() - begun < 2
    world.assert_nothing_running()
    assert completed(world) < 20000
    resident()
    assert_each_done_once(world, 20000)
    assert world.value("SELECT max(attempts) FROM automapost.job_queue") == 1


@pytest.mark.parametrize("refusal", [
    "ALTER FUNCTION automapost.settle_done RENAME TO settle_undone",    # by an older schema
    "REVOKE EXECUTE ON FUNCTION automapost.settle_done FROM automapost_jobs_service",
])
def test_a_second_connection_is_of_no_use(world, resident, refusal):
    world.as_owner(refusal)
    process = resident()
    quick(world, 3000)
    assert_each_done_once(world, 3000)
    assert not any("completed" in line and "settle_done" in line for line in process.stderr.splitlines())
    stop(process)


@pytest.mark.parametrize("job_type", ["noop", "noop-send"])
def test_many_quick_jobs_by_one_actor(world, resident, job_type):
    """Claimed are one, two, four, …, and the last of these alone: it waits for no others to be settled with."""
    count = 512
    process = resident(env={"AUTOMAPOST_ACTORS": "1"})
    many(world, count, job_type)
    assert_each_done_once(world, count)
    stop(process)


def test_no_second_connection_is_to_be_had(world, resident):
    world.rows(f'ALTER ROLE "{w.SERVICE_ROLE}" CONNECTION LIMIT 1')
    try:
        process = resident()
        quick(world, 3000)
        assert_each_done_once(world, 3000)
        assert not aside(world)
        stop(process)
        assert process.stderr.count("A further connection failed") == 1
    finally:
        world.rows(f'ALTER ROLE "{w.SERVICE_ROLE}" CONNECTION LIMIT -1')


def test_what_ended_is_settled_while_a_claim_waits(world, resident):
    """Somebody has the turn; the worker does not stand still for that."""
    resident()
    many_at_once(world, 20000)
    world.wait_until(lambda: aside(world))
    running, held = "SELECT count(*) FROM automapost.job_queue WHERE status = 'running'", 0
    with contextlib.closing(world.cluster.connect(world.dbname)) as holder:
        holder.autocommit = False
        while held == 0:
            holder.rollback()
            holder.cursor().execute("SELECT FROM automapost.claim_turns FOR UPDATE")
            held = world.value(running)
            assert completed(world) < 20000
        # A claim gives up after 4 seconds, and what has ended is settled then in any case.
        world.wait_until(lambda: world.value(running) == 0, 3)
    assert_each_done_once(world, 20000)


@pytest.mark.parametrize("point", ["settle-done:3", "claim-jobs:6", "claim:6"])
def test_killed_among_quick_jobs(world, resident, point):
    """With a settle sent, whose answer it never hears, or with a claim: two batches at most are put
    back, and nothing is recorded twice."""
    many(world, 3000)   # without limits, so that no claim comes back empty
    process = world.start("automapost-realtime", stop_point=point)
    process.wait_stopped()
    process.kill()
    process.release()
    world.assert_nothing_running()
    resident()
    assert_each_done_once(world, 3000)
    put_back = world.value("SELECT count(*) FROM automapost.job_executions"
                           " WHERE job_queue_id IS NOT NULL AND status = 'failed'")
    assert put_back <= 1000
    assert put_back > 0 or point != "claim:6"


def test_killed_while_settles_wait(world, resident):
    """It claims no more than two batches beyond what it has sent to be settled; and that is settled."""
    process = resident()
    many_at_once(world, 20000)
    world.wait_until(lambda: aside(world))
    at_work = ("SELECT count(*) FILTER (WHERE query LIKE '%%automapost.settle_done(%%' AND wait_event_type = 'Lock'),"
               " count(*) FILTER (WHERE query LIKE '%%automapost.claim_jobs(%%' AND state = 'idle'"
               " AND state_change < clock_timestamp() - interval '0.1 s')"
               " FROM pg_stat_activity WHERE datname = current_database() AND usename = %s")
    with contextlib.closing(world.cluster.connect(world.dbname)) as holder:
        holder.autocommit = False
        holder.cursor().execute("LOCK TABLE automapost.job_executions IN SHARE MODE")
        world.wait_until(lambda: world.rows(at_work, (w.SERVICE_ROLE,)) == [(2, 1)], 3)
        held = world.value("SELECT count(*) FROM automapost.job_queue WHERE status = 'running'")
        assert 1000 < held <= 2000
        process.kill()
    process.release()
    world.assert_nothing_running()
    resident()
    assert_each_done_once(world, 20000)
    put_back = world.value("SELECT count(*) FROM automapost.job_executions"
                           " WHERE job_queue_id IS NOT NULL AND status = 'failed'")
    assert held - 1000 <= put_back <= 1000


# Those that touch the world: on record before they are sent

def test_many_quick_sends(world, resident):
    process = resident()
    many(world, 8000, "noop-send")
    # More are claimed than there are actors.
    world.wait_until(lambda: world.value("SELECT count(*) FROM automapost.job_queue WHERE status = 'running'") > 64,
                     30)
    assert_each_done_once(world, 8000)
    assert aside(world)
    assert world.value("SELECT max(attempts) FROM automapost.job_queue") == 1
    stop(process)
    world.assert_nothing_running()


@pytest.mark.parametrize("point", ["begin:12", "claim:24", "settle-done:4"])
def test_killed_among_quick_sends(world, resident, point):
    """Many are claimed ahead, but never more are begun than actors can act on, beside those that wait to
    be settled. What was not begun goes back as it came; what was is done once more."""
    world.scale(20)
    many(world, 4000, "noop-send")
    process = world.start("automapost-realtime", stop_point=point)
    process.wait_stopped()
    # What it has sent to be settled, is.
    world.wait_until(lambda: world.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                         " AND usename = %s AND state <> 'idle'", (w.SERVICE_ROLE,)) == 0)
    claimed, begun = world.rows("SELECT count(*), count(*) FILTER (WHERE begun)"
                                " FROM automapost.job_queue WHERE status = 'running'")[0]
    assert begun <= 2 * 64
    assert begun > 0 or point != "begin:12"
    process.kill()
    process.release()
    world.assert_nothing_running()
    left = "SELECT count(*) FILTER (WHERE attempts = 1), count(*) FROM automapost.job_queue WHERE status = 'pending'"
    again, waiting = world.rows(left)[0]
    assert again <= begun and waiting >= claimed - begun
    resident()
    assert_each_done_once(world, 4000)
    assert world.value("SELECT count(*) FROM automapost.job_executions"
                       " WHERE job_queue_id IS NOT NULL AND status = 'failed'") == again
