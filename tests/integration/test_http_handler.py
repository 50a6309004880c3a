# SPDX-License-Identifier: MIT
"""Job types that the application does when it is called (handler = 'http'): what it is sent, and
what follows from each of its answers. The application is a strict receiver of Standard Webhooks
that answers as a test says."""

import json
from collections import deque
from datetime import datetime, timedelta

import psycopg2
import pytest

from fake import Answer
from webhook_receiver import DEFAULT_SECRET, WebhookReceiver

from . import world as w

OTHER_SECRET = "whsec_" + "B" * 32


class Application(WebhookReceiver):
    """Answers what is queued in `answers`, then 200 without a word; repeats are calls as well."""

    def __init__(self):
        super().__init__({"/jobs": DEFAULT_SECRET}, ignore_ids=True)
        self.answers = deque()

    def _accept(self, request, message_id, payload):
        super()._accept(request, message_id, payload)
        return self.answers.popleft() if self.answers else Answer(200)

    def calls(self):
        with self.lock:
            return [(d.id, d.payload) for d in self.deliveries]


@pytest.fixture
def application(world):
    """Its secret is a credential, as systemd gives it."""
    credentials = world.folder / "credentials"
    credentials.mkdir()
    (credentials / "automapost_jobs-secret").write_text(DEFAULT_SECRET + "\n", encoding="ascii")
    world.env["CREDENTIALS_DIRECTORY"] = str(credentials)
    with Application() as fake:
        yield fake


def define(world, fake, name="report", **columns):
    columns = {"http_url": f"{fake.url}/jobs", "http_credential": "jobs-secret", **columns}
    world.as_owner(world.db.cursor().mogrify(
        f"INSERT INTO automapost.job_definitions (name, kind, handler, {', '.join(columns)})"
        f" VALUES (%s, 'type', 'http', {', '.join(['%s'] * len(columns))})",
        (name, *columns.values())).decode())


def enqueue(world, name="report", payload=None, **arguments) -> str:
    names = "".join(f", {key} => %s" for key in arguments)
    return world.value(f"SELECT id FROM automapost.enqueue(%s, %s{names})",
                       (name, json.dumps(payload or {}), *arguments.values()))


def job(world, job_id) -> dict:
    return world.value("SELECT to_jsonb(q) FROM automapost.job_queue q WHERE id = %s", (job_id,))


def now_due(world, job_id) -> None:
    """Its time has come."""
    world.rows("SELECT automapost.wake(%s)", (job_id,))


def test_it_is_called(world, application):
    define(world, application, http_headers=json.dumps({"X-Tenant": "eu-1"}))
    lines = ["read", {"level": "warning", "message": "two are missing"}]
    application.answers.append(Answer.json(200, {"result": {"rows": 3}, "lines": lines}))
    done = enqueue(world, payload={"month": "2026-11", "deep": {"list": [1, None, "é"]}})
    world.run("queue")

    (called, body), = application.calls()
    entry, = application.log
    assert called == done and body["type"] == "report"
    assert entry.headers["x-tenant"] == "eu-1" and entry.headers["authorization"] is None
    data = body["data"]
    assert data["payload"] == {"month": "2026-11", "deep": {"list": [1, None, "é"]}}
    assert (data["jobId"], data["attempt"]) == (done, 1)
    assert data["executionId"] == world.value("SELECT id::text FROM automapost.job_executions"
                                              " WHERE job_queue_id = %s", (done,))
    left = datetime.fromisoformat(data["deadline"].replace("Z", "+00:00")) - w.utc_now()
    assert timedelta(seconds=200) < left < timedelta(seconds=301)     # timeout_ms, by default 5 min

    after = job(world, done)
    assert (after["status"], after["result"]) == ("completed", {"rows": 3})
    said = world.rows("SELECT l.level, l.message FROM automapost.job_logs l JOIN"
                      " automapost.job_executions x ON x.id = l.job_execution_id"
                      " WHERE x.job_queue_id = %s ORDER BY l.id", (done,))
    assert ("info", "read") in said and ("warn", "two are missing") in said
    world.assert_nothing_running()


def test_an_empty_answer_is_done(world, application):
    define(world, application)
    application.answers.append(Answer(204))
    done = enqueue(world)
    world.run("queue")
    assert (job(world, done)["status"], job(world, done)["result"]) == ("completed", None)


def test_not_yet(world, application):
    """It comes again when the application has said, under the same id, and no attempt is used."""
    define(world, application)
    application.answers.append(Answer.json(200, {"snooze": 3600}))
    slept = enqueue(world, max_attempts=1)
    world.run("queue")
    after = job(world, slept)
    assert (after["status"], after["attempts"]) == ("pending", 0)
    due = datetime.fromisoformat(after["scheduled_for"]) - w.utc_now()
    assert timedelta(minutes=59) < due <= timedelta(hours=1)
    now_due(world, slept)
    world.run("queue")
    assert job(world, slept)["status"] == "completed"
    assert [called for called, _ in application.calls()] == [slept, slept]


@pytest.mark.parametrize("snooze", [0, -1, 604801, "soon", {}])
def test_a_snooze_that_is_none(world, application, snooze):
    define(world, application)
    application.answers.append(Answer.json(200, {"snooze": snooze}))
    failed = enqueue(world)
    world.run("queue")
    after = job(world, failed)
    assert after["status"] == "failed" and '"snooze"' in after["error_message"]


@pytest.mark.parametrize("status, headers, expected", [
    (400, {}, ("failed", "permanent", "rejected")),
    (404, {}, ("failed", "permanent", "rejected")),
    (410, {}, ("failed", "permanent", "endpoint-gone")),
    (302, {"location": "/elsewhere"}, ("failed", "permanent", "rejected")),
    (408, {}, ("pending", "transient", "platform-down")),
    (500, {}, ("pending", "transient", "platform-down")),
    (503, {}, ("pending", "transient", "platform-down")),
    (503, {"retry-after": "600"}, ("pending", "rate-limited", "rate-limited")),
    (429, {"retry-after": "600"}, ("pending", "rate-limited", "rate-limited")),
])
def test_a_refusal(world, application, status, headers, expected):
    define(world, application)
    application.answers.append(Answer(status, {"content-type": "application/json", **headers},
                                      b'{"error": "why it is so"}'))
    refused = enqueue(world)
    world.run("queue")
    after = job(world, refused)
    assert (after["status"], after["error_class"], after["error_code"]) == expected
    assert after["error_message"] == f"the application answered {status}: why it is so"
    if "retry-after" in headers:
        due = datetime.fromisoformat(after["scheduled_for"]) - w.utc_now()
        assert timedelta(minutes=9) < due <= timedelta(minutes=10) and after["attempts"] == 0


def test_the_same_id_over_attempts(world, application):
    """Not reached, no answer, a failure of its own: called again, and the last one counts."""
    world.scale(20)
    define(world, application, max_retries=3)
    application.fault("POST *", "process-then-close")
    application.fault("POST *", "close")
    application.answers.extend([Answer(200), Answer(500)])
    tried = enqueue(world)
    for _ in range(4):
        now_due(world, tried)
        world.run("queue")
    after = job(world, tried)
    assert (after["status"], after["attempts"]) == ("completed", 4), after
    assert {called for called, _ in application.calls()} == {tried}
    assert [body["data"]["attempt"] for _, body in application.calls()] == [1, 3, 4]


def test_it_does_not_answer_in_time(world, application):
    define(world, application, timeout_ms=1000, max_retries=0)
    hang = application.fault("POST *", "hang-before")
    late = enqueue(world)
    world.run("queue")
    assert job(world, late)["status"] in ("failed", "timeout")
    hang.release()
    world.assert_nothing_running()


def test_without_its_credential(world, application):
    """Nothing is sent, no attempt is used, and it is said where the secret belongs."""
    define(world, application, http_credential="other-secret")
    waits = enqueue(world)
    world.run("queue")
    after = job(world, waits)
    assert (after["status"], after["error_class"], after["attempts"]) == ("pending", "config", 0)
    assert f"{world.env['CREDENTIALS_DIRECTORY']}/other-secret" in after["error_message"]
    assert application.log == []


def test_an_application_with_another_secret(world, application):
    """It refuses what is not signed with its own."""
    define(world, application)
    application.register("/jobs", OTHER_SECRET)
    refused = enqueue(world)
    world.run("queue")
    after = job(world, refused)
    assert after["status"] == "failed" and "401" in after["error_message"]


def test_limits_hold(world, application):
    define(world, application, concurrency_limit=2)
    application.delay = 0.1
    for n in range(8):
        enqueue(world, payload={"n": n})
    world.run("queue")
    assert len(application.calls()) == 8
    times = sorted((e.time, +1) for e in application.log)
    ends = sorted((e.time + application.delay, -1) for e in application.log)
    at_once = most = 0
    for _, step in sorted(times + ends):
        at_once += step
        most = max(most, at_once)
    assert most <= 2


def test_a_schedule_of_its_own(world, application):
    """Two hosts' ticks in the same minute: the slot's job is made, and done, once."""
    define(world, application, cron_schedule="* * * * *")
    world.as_owner("UPDATE automapost.slots s SET due_after = due_after - interval '2 minutes'"
                   " FROM automapost.job_definitions d WHERE d.id = s.definition_id"
                   " AND d.name = 'report'")
    ticks = [world.tick("queue") for _ in range(2)]
    assert [tick.wait() for tick in ticks] == [0, 0]
    world.run("queue")
    slots = [body["data"]["payload"]["slot"] for _, body in application.calls()]
    assert len(slots) == len(set(slots)) >= 1


def test_a_worker_that_stays_is_woken(world, application):
    define(world, application)
    resident = world.start("automapost-realtime")
    world.wait_until(lambda: world.rows("SELECT id FROM automapost.workers WHERE ended_at IS NULL"))
    done = enqueue(world)
    world.wait_until(lambda: job(world, done)["status"] == "completed")
    resident.child.stop()


@pytest.mark.parametrize("columns, message", [
    ({"http_url": None}, "http_url of report must be an http:// or https:// URL"),
    ({"http_url": "ftp://x/y"}, "http_url of report must be"),
    ({"http_url": "https://user:password@x/"}, "http_url of report must be"),
    ({"http_credential": None}, "http_credential of report must be the name of a credential file"),
    ({"http_credential": "../etc/shadow"}, "http_credential of report must be"),
    ({"http_headers": json.dumps({"Authorization": "Bearer x"})}, "Authorization is not yours to set"),
    ({"http_headers": json.dumps({"webhook-id": "x"})}, "webhook-id is not yours to set"),
    ({"http_headers": json.dumps({"X-A": "b\r\nX-C: d"})}, '"X-A" must be'),
    ({"http_headers": json.dumps(["x"])}, "http_headers of report must be a JSON object"),
    ({"touches_world": True}, "touches_world of report must be false"),
])
def test_a_definition_that_cannot_be(world, application, columns, message):
    with pytest.raises(psycopg2.Error, match=message) as refused:
        define(world, application, **columns)
    assert refused.value.pgcode == "22023"
    world.rows("ROLLBACK")


def test_a_member_cannot_name_what_a_definition_may(world, application):
    """Loopback is the operator's to name: an account's URL there is refused as ever."""
    define(world, application)
    world.env["AUTOMAPOST_ALLOW_PRIVATE_HOSTS"] = "no"
    done = enqueue(world)
    world.run("queue")
    assert job(world, done)["status"] == "completed"
    post = world.post(w.Webhooks(application).account(world))
    world.run()
    assert world.value("SELECT code FROM automapost.post_deliveries WHERE post_id = %s",
                       (post.id,)) == "forbidden-host"
