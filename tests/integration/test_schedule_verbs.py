# SPDX-License-Identifier: MIT
"""automapost definitions and automapost schedule: what a person sees of schedules, and how one is
changed."""

import re
from datetime import datetime, timezone

import pytest



def row(db, name):
    return db.execute("SELECT cron_schedule, timezone FROM automapost.job_definitions"
                      " WHERE name = %s", (name,))[0]


def test_definitions(cli, db):
    cli("pause", "queue", "platform work")
    cli("schedule", "chore", "0 9 * * 1-5", "--timezone", "America/New_York")
    rows = {o["name"]: o for o in cli("definitions", "--json").json}
    assert set(rows) >= {"social-media", "queue", "cleanup", "schedule", "chore", "refresh-token"}
    assert rows["cleanup"]["kind"] == "service" and rows["chore"]["kind"] == "type"
    assert rows["queue"]["next_run"] is None and rows["queue"]["paused_reason"] == "platform work"
    assert rows["refresh-token"]["next_run"] is None
    due = datetime.fromisoformat(rows["chore"]["next_run"].replace("Z", "+00:00"))
    assert (due.hour, due.minute) in ((13, 0), (14, 0)) and due > datetime.now(timezone.utc)
    due = datetime.fromisoformat(rows["cleanup"]["next_run"].replace("Z", "+00:00"))
    assert due.minute % 10 == 0

    table = cli("definitions").out
    lines = {line.split()[0]: line for line in table.splitlines()}
    assert re.search(r"service\s+\*/10 \* \* \* \*\s+UTC\s+in .*active", lines["cleanup"])
    assert re.search(r"service\s+\* \* \* \* \*\s+UTC\s+-\s+paused", lines["queue"])
    assert re.search(r"type\s+0 9 \* \* 1-5\s+America/New_York\s+in .*active", lines["chore"])
    assert re.search(r"type\s+on demand\s+-\s+-\s+active\s+12 tries of 1 min", lines["refresh-token"])


def test_schedule_is_changed(cli, db):
    said = cli("schedule", "cleanup", "0 8 * * 1-5", "--timezone", "Europe/Berlin").out.splitlines()
    assert said[0] == "cleanup is now due at '0 8 * * 1-5' by the clocks of Europe/Berlin:"
    assert len(said) == 12
    for line in said[1:11]:
        assert re.match(r"  (Mon|Tue|Wed|Thu|Fri) [ \d]\d [A-Z][a-z]{2} \d{4} 08:00 \+0[12]:00  \(in ",
                        line), line
    assert said[11] == "It was '*/10 * * * *'. Timers follow within a minute."
    assert row(db, "cleanup") == ("0 8 * * 1-5", "Europe/Berlin")

    said = cli("schedule", "cleanup", "0 9 * * *").out     # the zone stays
    assert "0 9 * * *' by the clocks of Europe/Berlin" in said
    said = cli("schedule", "cleanup", "--timezone", "Asia/Tokyo").out   # the times stay
    assert row(db, "cleanup") == ("0 9 * * *", "Asia/Tokyo") and "+09:00" in said
    cli("schedule", "cleanup", "--default")
    assert row(db, "cleanup") == ("*/10 * * * *", "UTC")
    said = cli("schedule", "cleanup", "--off").out
    assert said.startswith("cleanup is now on demand: nothing starts it by itself.")
    assert row(db, "cleanup")[0] is None
    assert "It was on demand." in cli("schedule", "cleanup", "@daily").out


def test_schedule_is_shown_or_tried(cli, db):
    said = cli("schedule", "cleanup").out
    assert said.startswith("cleanup is due at '*/10 * * * *' by the clocks of UTC:")
    said = cli("schedule", "cleanup", "0 8 * * *", "--dry-run").out
    assert said.startswith("cleanup would be due at '0 8 * * *' by the clocks of UTC:")
    assert row(db, "cleanup") == ("*/10 * * * *", "UTC")
    runs = cli("schedule", "cleanup", "0 8 * * *", "-n", "--json").json["next_runs"]
    assert len(runs) == 10 and all(run["at"].endswith("T08:00:00.000Z") for run in runs)
    cli("pause", "cleanup", "a look")
    assert "It is paused: automapost resume cleanup" in cli("schedule", "cleanup").out


def test_days_on_which_clocks_are_changed(cli):
    """The last Sundays of March and of October, whatever the year."""
    runs = cli("schedule", "cleanup", "30 2 25-31 3,10 */7", "-n", "--timezone", "Europe/Berlin",
               "--json").json["next_runs"]
    notes = {}
    for run in runs:
        notes.setdefault(run["local"].split()[2], set()).add((run["local"][-12:], run["note"]))
    assert notes == {
        "Mar": {("03:00 +02:00", "the clocks go forward: the time itself does not exist that day")},
        "Oct": {("02:30 +02:00", "the clocks go back: this time comes twice, and counts once")}}
    runs = cli("schedule", "cleanup", "0 12 25-31 3,10 */7", "-n", "--timezone", "Europe/Berlin",
               "--json").json["next_runs"]
    assert {run["note"] for run in runs} == {"the clocks go forward that day",
                                             "the clocks go back that day"}
    runs = cli("schedule", "cleanup", "0 12 25-31 3,10 */7", "-n", "--json").json["next_runs"]
    assert {run["note"] for run in runs} == {None}


@pytest.mark.parametrize("arguments, says", [
    (["61 * * * *"], 'the minute "61" is out of range\nHINT: it may be *, 0 to 59'),
    (["0 8 * * monday"], 'the day of the week "monday" is not written as this field is\nHINT: '),
    (["0 0 31 2 *"], 'the schedule "0 0 31 2 *" never comes: no month of it has that day'),
    (["0 8 * *"], "has fewer than five fields\nHINT: five fields"),
    (["@reboot"], "is not one of the names"),
    (["0 8 * * *", "--timezone", "Berlin"], 'there is no time zone "Berlin"\nHINT: names are'),
])
def test_what_cannot_be_used_is_refused(cli, db, arguments, says):
    answer = cli("schedule", "cleanup", *arguments, status=1)
    assert says in answer.err and not answer.out
    assert row(db, "cleanup") == ("*/10 * * * *", "UTC")


def test_wrong_usage(cli):
    assert "nothing is named" in cli("schedule", "no-such", "@daily", status=1).err
    assert "has no schedule" in cli("schedule", "refresh-token", "@daily", status=1).err
    assert "one of CRON, --default and --off" in cli("schedule", "cleanup", "@daily", "--off",
                                                     status=64).err
    assert "is missing" in cli("schedule", status=64).err
    # without quotes
    assert "one argument too many" in cli("schedule", "cleanup", "0", "8", "*", "*", "*",
                                          status=64).err
