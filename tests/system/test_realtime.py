# SPDX-License-Identifier: MIT
"""automapost-realtime under systemd: what is due appears in its second, and whatever happens to the
process, it is there again and every post is there once."""

import pytest

from harness.process import HarnessError

from . import site as s

UNIT = "automapost-realtime.service"


@pytest.fixture
def resident(site, webhooks):
    """Enabled as setup --realtime does it; the timers are held."""
    site.machine.run("systemctl", "enable", "--now", UNIT)
    yield
    site.machine.run("systemctl", "disable", "--now", UNIT)
    site.machine.run("systemctl", "reset-failed", UNIT, check=False)


def seen_at(site, webhooks, post, seconds=30):
    """When the receiver has it."""
    def find():
        for entry in webhooks.fake.log:
            if post.text.encode() in entry.body:
                return entry.time
        return None
    return site.machine.wait_until(find, seconds, "the post is there")


def main_pid(site) -> int:
    return int(site.machine.show(UNIT, "MainPID")["MainPID"])


def at_work_again(site, before: int) -> None:
    def there():
        unit = site.machine.show(UNIT, "MainPID", "ActiveState")
        return int(unit["MainPID"]) not in (0, before) and unit["ActiveState"] == "active"

    try:
        site.machine.wait_until(there, 60)
    except HarnessError:
        raise AssertionError("\n".join(site.machine.messages(f"--unit={UNIT}", "-n30"))) from None


def judge(site) -> None:
    site.machine.wait_until(lambda: site.in_state("sent") == {p.text for p in site.posts}, 90,
                            "everything is sent")
    site.assert_exactly_once()


def test_in_its_second(site, webhooks, resident):
    """Inserted, and moved, two seconds ahead by plain SQL."""
    account = webhooks.account(site)
    moved = site.post(account, due=s.w.utc_now() + s.w.timedelta(hours=2))
    due = s.w.utc_now() + s.w.timedelta(seconds=2)
    inserted = site.post(account, due=due)
    site.rows('UPDATE posts SET "scheduledTo" = %s WHERE id = %s', (due, moved.id))
    for post in (inserted, moved):
        late = seen_at(site, webhooks, post) - due.timestamp()
        # The seconds of a busy machine are no promise; that it was no timer's minute is.
        assert 0 <= late < 10, late
    judge(site)
    site.machine.wait_until(lambda: site.machine.show(UNIT, "StatusText")["StatusText"].startswith(
        "done 2, 0 to go, "), 20, "its status says so")


@pytest.mark.parametrize("signal", ["KILL", "SEGV", "STOP"])
def test_it_comes_back(site, quick, webhooks, resident, signal):
    """Ended by a signal, or stopped until systemd's watchdog ends it, with a post in its hands."""
    if signal == "STOP":
        site.machine.write(f"/run/systemd/system/{UNIT}.d/90-test.conf",
                           "[Service]\nWatchdogSec=5\n")
        site.machine.run("systemctl", "daemon-reload")
        site.machine.run("systemctl", "restart", UNIT)
    hang = webhooks.fake.fault(lambda e: e.method == "POST", "hang-after")
    site.post(webhooks.account(site))
    assert hang.reached.wait(30), site.unit_journal("realtime")
    before = main_pid(site)
    site.machine.run("systemctl", "kill", "--kill-whom=main", f"--signal={signal}", UNIT)
    at_work_again(site, before)
    hang.release()
    judge(site)
    reason = {"KILL": "signal KILL", "SEGV": "signal SEGV", "STOP": "watchdog"}[signal]
    assert any(m.startswith(f"The service ended by {reason}") and m.endswith("jobs put back: 1")
               for m in site.machine.messages(f"--unit={UNIT}")), site.unit_journal("realtime")[-20:]
    if signal == "STOP":
        assert any("Watchdog timeout" in m for m in site.machine.messages(f"--unit={UNIT}"))
        site.machine.run("rm", "-r", f"/run/systemd/system/{UNIT}.d")
        site.machine.run("systemctl", "daemon-reload")


def test_reload_is_no_restart(site, webhooks, resident):
    before = main_pid(site)
    site.configure(ACTORS="3")
    site.machine.run("systemctl", "reload", UNIT)
    site.post(webhooks.account(site))
    judge(site)
    assert main_pid(site) == before
    assert any(m.startswith("Reloading when")
               for m in site.machine.messages(f"--unit={UNIT}"))
    site.configure()


def test_an_upgrade_restarts_it(site, webhooks, resident, package):
    before = main_pid(site)
    site.install(s.as_version(package, "0.1.4"))
    at_work_again(site, before)
    site.post(webhooks.account(site))
    judge(site)
    site.machine.run("apt-get", "install", "-y", "--allow-downgrades",
                     f"/mnt/{package.parent.name}/{package.name}")
    site.hold_timers()
