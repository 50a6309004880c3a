# SPDX-License-Identifier: MIT
"""automapost-schedule writes down the times of timers, automapost-schedule-apply gives them to
systemd: both on folders of the test, the times read by systemd's own systemd-analyze."""

import os
import re
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from . import world as w
from .one_world import world, world_of_file  # noqa: F401  fixtures


@pytest.fixture
def units(tmp_path) -> Path:
    folder = tmp_path / "units"
    folder.mkdir()
    return folder


@pytest.fixture
def state(world, tmp_path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    world.env = {**world.env, "AUTOMAPOST_STATE_DIR": str(folder)}
    return folder


def change(world: w.World, cron, zone: str = "UTC", name: str = "cleanup") -> None:
    world.rows("UPDATE automapost.job_definitions SET cron_schedule = %s, timezone = %s"
               " WHERE name = %s", (cron, zone, name))


def times(folder: Path, name: str = "cleanup") -> list:
    text = (folder / "timers" / f"{name}.conf").read_text(encoding="utf-8")
    head, section, reset, *lines = text.splitlines()
    assert head.startswith("# Made by automapost-schedule: ")
    assert (section, reset) == ("[Timer]", "OnCalendar=")
    assert all(line.startswith("OnCalendar=") for line in lines)
    return [line.removeprefix("OnCalendar=") for line in lines]


def apply(build, state: Path, units: Path, status: int = 0) -> str:
    done = subprocess.run([build.program("automapost-schedule-apply"), state, units], text=True,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr


def dropin(units: Path, name: str = "cleanup") -> Path:
    return units / f"automapost-{name}.timer.d" / "50-schedule.conf"


def test_times_follow_the_table(world, state):
    world.run("schedule")
    assert times(state, "social-media") == times(state, "queue") == ["*-*-* *:*:00 UTC"]
    assert times(state) == ["*-*-* *:00,10,20,30,40,50:00 UTC"]
    change(world, "0 0 13 * fri")
    assert "The timer of cleanup follows: 0 0 13 * fri UTC" in world.run("schedule").stderr
    assert times(state) == ["*-*-13 00:00:00 UTC", "Fri *-*-* 00:00:00 UTC"]
    assert "follows" not in world.run("schedule").stderr

    world.rows("SELECT automapost.pause('cleanup', 'a look')")
    world.run("schedule")
    assert times(state) == ["2199-01-01 00:00:00 UTC"]
    world.rows("SELECT automapost.resume('cleanup')")
    world.run("schedule")
    assert times(state)[0] == "*-*-13 00:00:00 UTC"
    change(world, None)
    world.run("schedule")
    assert times(state) == ["2199-01-01 00:00:00 UTC"]


def test_times_by_the_clocks_of_a_zone(world, state):
    change(world, "0 8 * * *", "Europe/Berlin")
    world.run("schedule")
    first = times(state)
    assert len(first) in (59, 60)
    at = [datetime.strptime(line, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=timezone.utc)
          for line in first]
    assert all(timedelta(hours=23) <= b - a <= timedelta(hours=25) for a, b in zip(at, at[1:]))
    assert {t.hour for t in at} <= {6, 7}

    # Some are used: they stay, until it is half of them.
    def age(n: int) -> None:
        past = [(w.utc_now() - timedelta(days=n - i)).strftime("%Y-%m-%d %H:%M:%S UTC")
                for i in range(n)]
        path = state / "timers" / "cleanup.conf"
        head = path.read_text(encoding="utf-8").split("OnCalendar=\n")[0]
        path.write_text(head + "OnCalendar=\n"
                        + "".join(f"OnCalendar={t}\n" for t in past + first[:60 - n]),
                        encoding="utf-8")

    age(20)
    assert "follows" not in world.run("schedule").stderr
    assert len(times(state)) == 60 and times(state) != first
    age(31)
    assert "follows" in world.run("schedule").stderr
    assert times(state) == first
    # Another zone's times, or times that a newer tzdata knows better, are written at once.
    (state / "timers" / "cleanup.conf").write_text(
        (state / "timers" / "cleanup.conf").read_text("utf-8").replace(first[5], first[5].replace(
            ":00:00", ":30:00")), encoding="utf-8")
    world.run("schedule")
    assert times(state) == first
    change(world, "*/7 8-20 * * *", "Europe/Berlin")
    world.run("schedule")
    assert len(times(state)) == 200


def test_a_bad_row_leaves_the_last_good(world, state):
    world.run("schedule")
    before = times(state)
    change(world, "0 25 * * *")
    said = world.run("schedule").stderr
    assert 'the hour "25" is out of range' in said and "follows" not in said
    assert times(state) == before
    world.rows("INSERT INTO automapost.job_definitions (name, kind, cron_schedule)"
               " VALUES ('someone-else', 'service', '* * * * *')")
    world.run("schedule")
    assert not (state / "timers" / "someone-else.conf").exists()


def test_the_queue_says_that_something_changed(world, state):
    world.run("queue")
    said = (state / "schedules").read_text("utf-8")
    mtime = (state / "schedules").stat().st_mtime_ns
    world.run("queue")
    assert (state / "schedules").stat().st_mtime_ns == mtime    # a path unit would be woken
    for step in ("SELECT automapost.pause('cleanup', 'a look')",
                 "UPDATE automapost.job_definitions SET timezone = 'Asia/Tokyo'"
                 " WHERE name = 'social-media'"):
        world.rows(step)
        world.run("queue")
        assert (state / "schedules").read_text("utf-8") != said
        said = (state / "schedules").read_text("utf-8")


def test_apply(world, state, units, build):
    assert apply(build, state, units) == ""      # nothing written yet: the units' own times
    assert not list(units.iterdir())
    world.run("schedule")
    apply(build, state, units)
    assert sorted(p.name for p in units.iterdir()) == [
        f"automapost-{name}.timer.d" for name in ("cleanup", "queue", "schedule", "social-media")]
    assert dropin(units).read_text("utf-8") == (state / "timers/cleanup.conf").read_text("utf-8")
    assert dropin(units).stat().st_mode & 0o777 == 0o644
    mtime = dropin(units).stat().st_mtime_ns
    apply(build, state, units)
    assert dropin(units).stat().st_mtime_ns == mtime


GOOD = "# Made by automapost-schedule: x\n[Timer]\nOnCalendar=\nOnCalendar=*-*-* 08:00:00 UTC\n"


@pytest.mark.parametrize("text", [
    "",
    GOOD + "Unit=evil.service\n",
    GOOD + "\n[Service]\nExecStart=/bin/sh\n",
    GOOD.replace("x", "x\\"),
    GOOD.replace("x\n", "x\nOnBootSec=1\n"),
    GOOD.replace("08:00:00 UTC", "08:00:00 UTC\nPersistent=yes"),
    GOOD.replace("08:00:00", "08:00:01"),
    GOOD.replace("*-*-* ", "*-*-* 0"),
    GOOD.replace(" UTC", " Europe/Berlin"),
    GOOD.replace(" UTC", ""),
    GOOD.replace("08", "24"),
    GOOD.replace("*-*-*", "*-13-*"),
    GOOD.replace("*-*-*", "Xyz *-*-*"),
    GOOD[:-1],
    GOOD + "OnCalendar=*-*-* 08:00:00 UTC\n" * 1000,
    GOOD + "\0",
], ids=range(16))
def test_apply_takes_times_and_nothing_else(tmp_path, units, build, text):
    (tmp_path / "timers").mkdir()
    (tmp_path / "timers" / "cleanup.conf").write_text(text, encoding="utf-8")
    (tmp_path / "timers" / "queue.conf").write_text(GOOD, encoding="utf-8")
    assert "cleanup.conf is no file of times" in apply(build, tmp_path, units, status=78)
    assert not dropin(units).exists()
    assert dropin(units, "queue").read_text("utf-8") == GOOD     # it holds up no other


def test_apply_follows_no_link(tmp_path, units, build):
    (tmp_path / "timers").mkdir()
    secret = tmp_path / "secret"
    secret.write_text(GOOD, encoding="utf-8")
    (tmp_path / "timers" / "cleanup.conf").symlink_to(secret)
    os.mkfifo(tmp_path / "timers" / "queue.conf")
    apply(build, tmp_path, units, status=78)
    assert not dropin(units).exists() and not dropin(units, "queue").exists()
    (tmp_path / "elsewhere").mkdir()
    (units / "automapost-social-media.timer.d").symlink_to(tmp_path / "elsewhere")
    for bad in ("cleanup.conf", "queue.conf"):
        (tmp_path / "timers" / bad).unlink()
    (tmp_path / "timers" / "social-media.conf").write_text(GOOD, encoding="utf-8")
    apply(build, tmp_path, units, status=75)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_apply_needs_no_libpq(build):
    linked = subprocess.run(["ldd", build.program("automapost-schedule-apply")], text=True,
                            capture_output=True, check=True).stdout
    assert "libsystemd" in linked and not re.search(r"libpq|libcurl", linked)
