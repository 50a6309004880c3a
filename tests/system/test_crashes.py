# SPDX-License-Identifier: MIT
"""A service dies under systemd while a receiver has the post and nobody has the answer: its jobs
are put back by ExecStopPost= (not by the lapse, whose reason would be another), the execution says
how it died, and the post is there once."""

import pytest

from harness.process import Unavailable

from . import site as s

UNIT = "automapost-social-media.service"

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def lines(site):
    """Further lines for the unit, for one test."""
    folder = f"/run/systemd/system/{UNIT}.d"

    def add(*text: str) -> None:
        site.machine.write(f"{folder}/90-test.conf", "\n".join(["[Service]", *text, ""]))
        site.machine.run("systemctl", "daemon-reload")

    yield add
    site.machine.run("rm", "-rf", folder)
    site.machine.run("systemctl", "daemon-reload")
    site.machine.run("systemctl", "reset-failed")


def sending(site, webhooks) -> "object":
    """The service is at work: the receiver has taken the post and does not answer."""
    post = site.post(webhooks.account(site))
    hang = webhooks.fake.fault(lambda e: e.method == "POST", "hang-after")
    site.start("social-media", wait=False)
    assert hang.reached.wait(30), site.machine.messages(f"--unit={UNIT}")
    return post, hang


def ended(site) -> dict:
    """How the unit ended, ExecStopPost= included."""
    site.wait_idle()
    return site.machine.show(UNIT, "Result", "ExecMainStatus", "ActiveState")


def reasons(site, post: s.w.Post) -> list:
    """Of the post's attempts that did not end by themselves."""
    return [row[0] for row in site.rows("""
        SELECT x.error_message FROM automapost.job_executions x
        JOIN automapost.post_deliveries d ON d.job_id = x.job_queue_id
        WHERE d.post_id = %s AND x.error_message IS NOT NULL ORDER BY x.started_at""", (post.id,))]


def comes_right(site, hang) -> None:
    hang.release()
    site.machine.run("systemctl", "reset-failed", check=False)
    site.settle_down()
    site.assert_exactly_once()
    site.assert_nothing_running()


@pytest.mark.parametrize("name, result, reason", [
    ("KILL", "signal", "signal KILL"),
    ("SEGV", "core-dump", "core-dump SEGV"),
    ("ABRT", "core-dump", "core-dump ABRT"),
])
def test_killed(site, webhooks, name, result, reason):
    post, hang = sending(site, webhooks)
    site.machine.run("systemctl", "kill", f"--signal={name}", "--kill-whom=main", UNIT)
    assert ended(site)["Result"] in (result, "signal")
    said = reasons(site, post)
    # Without a place for the core (its limit is 0 where the host's is), it is a mere signal.
    assert said in ([f"the service ended by {reason}"], [f"the service ended by signal {name}"])
    comes_right(site, hang)


def test_hangs_until_the_timeout(site, webhooks, lines):
    """Stopped, it neither works nor says that it does; and systemd, which would wake it with its
    SIGTERM, does not ask."""
    lines("TimeoutStartSec=3", "TimeoutStartFailureMode=kill", "NotifyAccess=none")
    post, hang = sending(site, webhooks)
    site.machine.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", UNIT)
    assert ended(site)["Result"] == "timeout"
    assert reasons(site, post) == ["the service was killed at its timeout"]
    comes_right(site, hang)


def test_work_extends_the_timeout(site, webhooks, lines):
    """The timeout is for what hangs: who still works says so, and is let go on."""
    lines("TimeoutStartSec=2")
    site.post(webhooks.account(site))
    slow = webhooks.fake.fault("POST *", "delay", seconds=4)
    site.start("social-media")
    assert slow.reached.is_set()
    assert ended(site)["Result"] == "success"
    site.assert_exactly_once()


def test_out_of_memory(site, webhooks, lines):
    """The kernel kills it in the middle of many posts."""
    try:
        site.machine.enforce_limits()
    except Unavailable as reason:
        pytest.skip(str(reason))
    # Enough for a few small posts, which are being sent …
    lines("MemoryMax=10M", "MemorySwapMax=0")
    for _ in range(4):
        site.post(webhooks.account(site))
    hang = webhooks.fake.fault("POST *", "hang-after", times=4)
    site.start("social-media", wait=False)
    assert hang.reached.wait(30)
    # … and not for many large ones beside them.
    for number in range(60):
        site.post(webhooks.account(site), text=f"large {number} " + "x" * 90_000)
    assert ended(site)["Result"] in ("oom-kill", "signal")
    hang.release()
    assert site.value("SELECT count(*) FROM automapost.job_executions"
                      " WHERE error_message ~ '(oom-kill|signal) KILL$'") > 0
    webhooks.fake.clear_faults()
    lines()
    site.settle_down()
    site.assert_exactly_once()
    site.assert_nothing_running()
