# SPDX-License-Identifier: MIT
"""Timers follow the schedules, as systemd itself tells it: after a command, a pause, plain SQL, a
row that cannot be used, and over a boot without a database. One machine, in this order."""

import json

import pytest

from . import site as s

NEVER = "2199-01-01 00:00:00"
SCHEDULE_REFUSED = "00100c6f22534fabbd7f03064d6d9c5e"


@pytest.fixture(scope="module")
def timed(make_site, package) -> s.Site:
    """Its timers run, as after setup."""
    site = make_site()
    site.install(package)
    site.make_database()
    site.configure()
    return site


def following(site: s.Site, service: str = "cleanup") -> str:
    """When systemd will start it next: "2026-11-26 09:00:00", in UTC."""
    shown = site.machine.show(f"automapost-{service}.timer", "NextElapseUSecRealtime")
    return " ".join(shown["NextElapseUSecRealtime"].split()[1:3])


def automapost(site: s.Site, *words: str) -> str:
    return site.machine.read("automapost", *words, user=s.USER)


def follow(site: s.Site) -> None:
    """Timers follow now. A start while it runs would join a run that has read the table before."""
    site.wait_idle()
    site.start("schedule")


def test_a_change_arrives_by_itself(timed):
    """The command, then nothing but the minute's timer and what it wakes. Not at a tenth minute, when
    the shipped timer may say the same."""
    assert timed.machine.show("automapost-schedule.path", "ActiveState")["ActiveState"] == "active"
    said = json.loads(automapost(timed, "schedule", "cleanup", "37 2 * * *", "--timezone",
                                 "Europe/Berlin", "--json"))
    due = said["next_runs"][0]["at"][:19].replace("T", " ")
    timed.machine.wait_until(lambda: following(timed) == due, 80, f"the timer follows: {due}")
    listed = timed.machine.read("systemctl", "list-timers", "automapost-cleanup.timer")
    assert due in listed
    # The others were not restarted: their times are the shipped ones.
    dropin = timed.machine.read("cat", "/run/systemd/system/automapost-cleanup.timer.d/"
                                       "50-schedule.conf").splitlines()
    assert dropin[:3] == ["# Made by automapost-schedule: 37 2 * * * Europe/Berlin", "[Timer]",
                          "OnCalendar="]
    assert len(dropin) in (62, 63)
    assert not timed.machine.read("systemctl", "list-units", "--failed", "--no-legend",
                                  "automapost-*")


def test_a_pause_and_its_end(timed):
    automapost(timed, "pause", "cleanup", "a look at the server")
    follow(timed)
    assert following(timed) == NEVER
    automapost(timed, "resume", "cleanup")
    automapost(timed, "schedule", "cleanup", "--default")
    follow(timed)
    assert following(timed)[14:] in {f"{m}0:00" for m in range(6)}
    assert following(timed, "queue")[17:] == "00"


def test_only_what_changed_is_restarted(timed):
    def since(service: str) -> str:
        return timed.machine.show(f"automapost-{service}.timer", "ActiveEnterTimestampMonotonic")[
            "ActiveEnterTimestampMonotonic"]

    before = since("queue"), since("cleanup")
    timed.rows("UPDATE automapost.job_definitions SET cron_schedule = '5 * * * *'"
               " WHERE name = 'cleanup'")
    follow(timed)
    assert following(timed)[14:] == "05:00"
    assert since("queue") == before[0] and since("cleanup") != before[1]
    # A timer that an operator has stopped stays stopped.
    timed.machine.run("systemctl", "stop", "automapost-cleanup.timer")
    timed.rows("UPDATE automapost.job_definitions SET cron_schedule = '6 * * * *'"
               " WHERE name = 'cleanup'")
    follow(timed)
    assert timed.machine.show("automapost-cleanup.timer", "ActiveState")["ActiveState"] \
        == "inactive"
    timed.machine.run("systemctl", "start", "automapost-cleanup.timer")
    assert following(timed)[14:] == "06:00"


def test_a_row_that_cannot_be_used(timed):
    timed.rows("UPDATE automapost.job_definitions SET cron_schedule = '61 * * * *'"
               " WHERE name = 'cleanup'")
    follow(timed)
    assert following(timed)[14:] == "06:00"
    refused = timed.machine.journal(f"MESSAGE_ID={SCHEDULE_REFUSED}")
    assert 'the minute "61" is out of range' in refused[-1]["MESSAGE"]
    assert refused[-1]["PRIORITY"] == "4"
    status = timed.machine.run("automapost", "status", user=s.USER, check=False)
    assert "the schedule of cleanup cannot be used" in status.stdout
    automapost(timed, "schedule", "cleanup", "--default")


def test_over_a_boot_without_a_database(timed):
    machine = timed.machine
    automapost(timed, "pause", "cleanup", "a look at the server")
    follow(timed)
    assert following(timed) == NEVER
    timed.db.close()
    timed.db = None
    machine.run("systemctl", "mask", "postgresql.service", "postgresql@15-main.service")
    machine.reboot()
    assert following(timed) == NEVER
    assert following(timed, "queue")[17:] == "00"
    # It was done before the timers began.
    restored = machine.show("automapost-schedule-restore.service", "Result",
                            "ExecMainExitTimestampMonotonic")
    began = machine.show("automapost-cleanup.timer", "ActiveEnterTimestampMonotonic")
    assert restored["Result"] == "success"
    assert 0 < int(restored["ExecMainExitTimestampMonotonic"]) \
        <= int(began["ActiveEnterTimestampMonotonic"])
