# SPDX-License-Identifier: MIT
"""The delays and deadlines as they are shipped, and that they fit each other.

No double post and no lost post rest on these numbers: a worker must fence itself before it lapses,
no send may still be under way when somebody looks whether it arrived, and systemd must not lose
patience before we do. Some are in the database, some in C, some in the units; here they meet.
"""

import json
import re
import subprocess

import psycopg2
import pytest

from . import world as w

MINUTE, HOUR, DAY = 60, 3600, 86400

ENGINE = {
    "beat": 3,
    "self_fence": 8,
    "lapse": 15,
    "statement_limit": 4,
    "send_deadline": 30,
    "reconcile_margin": 15,
    "reread_after": 60,
    "reconcile_limit": DAY,
    "retry_base": 15,
    "retry_cap": 30 * MINUTE,
    "rate_limited_max": 7 * DAY,
    "token_wait": 10 * MINUTE,
    "token_ahead": 10 * MINUTE,
    "locked_wait": 1,
    "late_limit": 2 * HOUR,
    "pace": 60,
    "pace_after": 2 * MINUTE,
    "collect_every": 10,
    "long_run": 2,
    "keep_completed": 7 * DAY,
    "keep_failed": 30 * DAY,
    "slot_grace": 2 * MINUTE,
    "compare_wait": 75,
    "seen_every": 30 * MINUTE,
}

UNITS = {"USEC_PER_SEC": 1, "USEC_PER_MINUTE": MINUTE, "USEC_PER_DAY": DAY}


def defined(path: str, name: str) -> int:
    """A time of the C code, in seconds."""
    text = (w.TOP / "src" / path).read_text(encoding="utf-8")
    found = re.search(rf"^#define {name} \(?(?:(\d+) \* )?(USEC_PER_\w+)\)?\s", text, re.MULTILINE)
    assert found, f"{path} has no {name}"
    return int(found[1] or 1) * UNITS[found[2]]


def unit(service: str, name: str) -> int:
    text = (w.TOP / "systemd" / f"automapost-{service}.service.in").read_text(encoding="utf-8")
    return int(re.search(rf"^{name}=(\d+)$", text, re.MULTILINE)[1])


def services() -> list:
    """Those that are started by timers."""
    return [path.name.removeprefix("automapost-").removesuffix(".service.in")
            for path in sorted((w.TOP / "systemd").glob("automapost-*.service.in"))
            if (path.parent / path.name.replace(".service.in", ".timer")).exists()]


@pytest.fixture(scope="module")
def settings(build) -> dict:
    """The defaults, as the operator's command shows them."""
    done = subprocess.run([build.program("automapost"), "config", "--json"], env={},
                          stdout=subprocess.PIPE, timeout=10, check=False)
    return {s["name"]: s["default"] for s in json.loads(done.stdout)["settings"]}


def test_shipped_delays(world):
    row = world.value("SELECT to_jsonb(e) - 'only_row' FROM automapost.engine e")
    assert {name: world.delay(name) for name in row} == ENGINE


def test_shipped_deadlines(world, settings):
    assert defined("net/http.c", "CONNECT_TIMEOUT_DEFAULT") == 10
    assert defined("net/http.c", "READ_TIMEOUT_DEFAULT") == 15
    assert defined("net/http.c", "WRITE_TIMEOUT_DEFAULT") == 30
    assert defined("services/service.c", "CONNECT_TIMEOUT") == 10
    assert defined("jobs/social-media-post.c", "TOKEN_MARGIN") == 60
    assert defined("providers/mastodon.c", "KEY_LIFETIME") == 50 * MINUTE
    assert settings["AUTOMAPOST_BUDGET_SEC"] == "600"
    assert settings["AUTOMAPOST_GRACE_SEC"] == "15"
    assert dict(world.rows("SELECT name, timeout_ms FROM automapost.job_definitions"
                           " WHERE name IN ('social-media-post', 'refresh-token')")) \
        == {"social-media-post": 60000, "refresh-token": 60000}


def test_they_fit(world, settings):
    grace, budget = int(settings["AUTOMAPOST_GRACE_SEC"]), int(settings["AUTOMAPOST_BUDGET_SEC"])
    connect = defined("services/service.c", "CONNECT_TIMEOUT")
    write = defined("net/http.c", "WRITE_TIMEOUT_DEFAULT")
    read = defined("net/http.c", "READ_TIMEOUT_DEFAULT")
    timeouts = {name: ms / 1000 for name, ms in world.rows(
        "SELECT name, timeout_ms FROM automapost.job_definitions WHERE kind = 'type'")}
    post = timeouts["social-media-post"]

    # One beat may be lost, and the next one late by a statement, before a worker fences itself.
    assert 2 * ENGINE["beat"] < ENGINE["self_fence"]
    # What it asked for within the fence is answered before anybody takes it for dead.
    assert ENGINE["self_fence"] + ENGINE["statement_limit"] < ENGINE["lapse"]
    # A send that began at the last moment has ended when somebody looks, and its worker, if it
    # lives, has been heard of.
    assert write <= ENGINE["send_deadline"]
    assert ENGINE["reconcile_margin"] >= ENGINE["lapse"]
    # A job looks, sends, and looks once more: all within its timeout.
    assert read + write + read <= post
    # A token that was good enough when the job looked at it outlives the send.
    assert defined("jobs/social-media-post.c", "TOKEN_MARGIN") >= write + read
    assert ENGINE["token_ahead"] > defined("jobs/social-media-post.c", "TOKEN_MARGIN")
    # A key is used again while the platform knows it (an hour): also by a send that takes its time.
    assert defined("providers/mastodon.c", "KEY_LIFETIME") + post < HOUR
    # systemd waits longer than we do: to start …
    publishing = ("social-media-post", "refresh-token")
    assert unit("social-media", "TimeoutStartSec") \
        > connect + budget + max(timeouts[name] for name in publishing) + grace
    assert unit("queue", "TimeoutStartSec") > connect + budget + grace + max(
        [300, *(s for name, s in timeouts.items() if name not in publishing)])
    # … also for what cleans up as long as it may, and for systemd to read new times …
    query = defined("services/service.c", "QUERY_TIMEOUT")
    assert unit("cleanup", "TimeoutStartSec") > connect + budget + grace
    assert unit("schedule", "TimeoutStartSec") \
        > connect + 3 * query + defined("services/schedule-apply.c", "MANAGER_TIMEOUT")
    # … and for who tells people: another one at it, a look at the database, what is sent …
    sending = defined("services/alert.c", "SEND_BUDGET")
    assert unit("alert", "TimeoutStartSec") > 2 * sending \
        + defined("services/alert.c", "CONNECT_TIMEOUT") \
        + defined("alerts/store.c", "QUERY_TIMEOUT") + defined("alerts/channel.c", "MAIL_TIMEOUT")
    # … and to stop: the grace, the last statements, the end of the threads.
    # (What tells people holds nothing that would need it.)
    for name in set(services()) - {"alert"}:
        assert unit(name, "TimeoutStopSec") > grace + 2 * ENGINE["statement_limit"] + 5, name


def test_no_service_waits_for_ever():
    """A timer starts no unit that still runs, and systemd's own limit for a oneshot is none: one
    that hangs would silence its timer for good. Whoever adds a service says above what it needs."""
    assert set(services()) == {"social-media", "queue", "cleanup", "schedule", "alert"}
    for name in services():
        assert 0 < unit(name, "TimeoutStartSec") < HOUR, name


@pytest.mark.parametrize("change", [
    "beat = '4 s'",                 # a lost beat would already fence
    "beat = '0'",
    "self_fence = '11 s'",          # with a statement it reaches the lapse
    "statement_limit = '7 s'",
    "lapse = '12 s'",
    "lapse = '16 s'",               # longer than the margin
    "reconcile_margin = '14 s'",
    "reread_after = '0'",
    "retry_cap = '14 s'",
    "late_limit = '2 min'",         # who is behind would be late at once
    "rate_limited_max = '8 days'",
])
def test_a_misfit_is_refused(world, change):
    with pytest.raises(psycopg2.errors.CheckViolation):
        world.rows(f"UPDATE automapost.engine SET {change}")


def test_a_send_ends_at_its_deadline(world, webhooks):
    """The number in the database is the one that actors go by: a send that could outlive it would
    arrive after somebody had looked."""
    world.scale(10)
    world.post(webhooks.account(world))
    hang = webhooks.fake.fault("POST *", "hang-after")
    process = world.run(seconds=20)
    ended = world.rows("""
        SELECT extract(epoch FROM x.finished_at - d.begun_at)::float, d.state
        FROM automapost.job_executions x
        JOIN automapost.post_deliveries d ON d.job_id = x.job_queue_id
        """)
    assert len(ended) == 1 and ended[0][1] == "unconfirmed", process.stderr
    limit = world.delay("send_deadline")
    assert limit - 0.3 < ended[0][0] < limit + 0.3
    hang.release()
    world.settle_down()
    world.assert_exactly_once()
    world.assert_nothing_running()
