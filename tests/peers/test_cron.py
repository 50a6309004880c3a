# SPDX-License-Identifier: MIT
"""Random schedules in zones and on days that are hard, by our evaluator, by croner, and by
systemd's own systemd-analyze. Where two do not agree there is a name for it, and a rule which says
exactly what the other does instead; a difference without one fails, and so does a name that
nothing needed.

The seed is fixed: what is compared today is compared tomorrow. SCHEDULES_SEED takes another.
"""
from __future__ import annotations

import json
import os
import random
import re
import subprocess
import tempfile
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from harness.peers import HERE, node_folder
from harness.process import Unavailable

PROGRAM = os.environ.get("PROVIDER_CALL", "")
CRON_CALL = Path(PROGRAM).with_name("cron-call") if PROGRAM else None
pytestmark = pytest.mark.skipif(not CRON_CALL or not CRON_CALL.exists(),
                                reason="cron-call is not built: PROVIDER_CALL")

SEED = int(os.environ.get("SCHEDULES_SEED", "20260329"))
CASES = 1000
COUNT = 10
MINUTE, HOUR, DAY = 60, 3600, 86400
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "America/Santiago",
    "Asia/Kolkata", "Asia/Kathmandu", "Europe/Dublin", "Africa/Cairo", "America/Nuuk",
    "Australia/Lord_Howe", "Pacific/Chatham", "Asia/Beirut", "Africa/Casablanca",
]


def changes(zone: str) -> list[int]:
    """When the clocks of a zone are changed from 2026 to 2030, as Python's zoneinfo knows it."""
    def offset(at: int) -> timedelta:
        return datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset()

    found = []
    start = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp())
    for day in range(start, start + 5 * 365 * DAY, DAY):
        if offset(day) != offset(day + DAY):
            low, high = day, day + DAY
            while high - low > MINUTE:
                middle = (low + high) // (2 * MINUTE) * MINUTE
                low, high = (low, middle) if offset(middle) != offset(low) else (middle, high)
            found.append(high)
    return found


CHANGES = {zone: changes(zone) for zone in ZONES}


# ---- random schedules

def field(rng: random.Random, low: int, high: int, every: float) -> str:
    if rng.random() < every:
        return "*"
    kind = rng.randrange(5)
    if kind == 0:
        return f"*/{rng.choice([2, 3, 5, 7, 10, 15, 20, 30])}" if high > 12 else f"*/{rng.choice([2, 3])}"
    if kind == 1:
        a = rng.randint(low, high)
        b = rng.randint(a, high)
        return f"{a}-{b}" + (f"/{rng.randint(1, 5)}" if rng.random() < 0.3 else "")
    if kind == 2:
        return ",".join(map(str, sorted({rng.randint(low, high) for _ in range(3)})))
    return str(rng.randint(low, high))


def schedule(rng: random.Random) -> str:
    """Dense in the hours around midnight and three, where clocks are changed."""
    hour = field(rng, 0, 23, 0.25) if rng.random() < 0.6 else rng.choice(["0", "1", "2", "0-3", "1-4"])
    return " ".join([field(rng, 0, 59, 0.15), hour, field(rng, 1, 31, 0.6),
                     field(rng, 1, 12, 0.8), field(rng, 0, 7, 0.6)])


# What chance finds too rarely.
HARD = [
    ("*/20 * * * *", "Europe/Berlin", 1792886400),     # 2026-10-25 00:00 UTC, an hour before
    ("7 0-23 * * *", "America/New_York", 1793509200),  # 2026-11-01 05:00 UTC
    ("40-59 * * * 6", "America/Nuuk", 1792892519),     # in the hour that comes twice
    ("42 0 */30 * *", "UTC", 1863561600),              # 2029-01-20
]


class Case:
    def __init__(self, cron: str, zone: str, after: int):
        self.cron, self.zone, self.after = cron, zone, after
        fields = self.cron.split()
        # A day field that begins with a star is no restriction: then both must match.
        self.both = fields[2].startswith("*") or fields[4].startswith("*")
        self.ours: dict = {}
        self.theirs: list[int] = []

    def __str__(self) -> str:
        return f"'{self.cron}' in {self.zone} after {utc(self.after)}"


def random_case(rng: random.Random) -> Case:
    zone = rng.choice(ZONES)
    near = CHANGES[zone]
    if near and rng.random() < 0.7:
        return Case(schedule(rng), zone, rng.choice(near) - rng.randint(-3 * HOUR, 2 * DAY))
    return Case(schedule(rng), zone, 1767225600 + rng.randrange(5 * 365 * DAY))


def utc(at: int) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def wall(at: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=None)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Those that are schedules at all, with our answers."""
    rng = random.Random(SEED)
    made = [Case(*hard) for hard in HARD] + [random_case(rng) for _ in range(CASES)]
    questions = "".join(f"{c.zone}\t{c.after}\t{COUNT}\t{c.cron}\n" for c in made)
    done = subprocess.run([CRON_CALL], input=questions, stdout=subprocess.PIPE, text=True,
                          timeout=60, check=True)
    for case, line in zip(made, done.stdout.splitlines(), strict=True):
        case.ours = json.loads(line)
    refused = [c for c in made if "error" in c.ours]
    assert all("never comes" in c.ours["error"] or "leads nowhere" in c.ours["error"]
               for c in refused), [str(c) for c in refused]
    return [c for c in made if c not in refused]


# ---- against croner

def ask_croner(cases: list[Case]) -> None:
    try:
        modules = node_folder() / "node_modules"
    except Unavailable as reason:
        pytest.skip(str(reason))
    with tempfile.TemporaryDirectory(prefix="automapost-croner-") as folder:
        # node looks for packages beside the script, and the installation is elsewhere.
        (Path(folder) / "node_modules").symlink_to(modules)
        script = Path(folder) / "croner.mjs"
        script.write_text((HERE / "node" / "croner.mjs").read_text(encoding="utf-8"),
                          encoding="utf-8")
        questions = "".join(json.dumps({"cron": c.cron, "zone": c.zone, "after": c.after,
                                        "count": COUNT, "both": c.both}) + "\n" for c in cases)
        done = subprocess.run(["node", script], input=questions, stdout=subprocess.PIPE, text=True,
                              timeout=300, check=True)
    for case, line in zip(cases, done.stdout.splitlines(), strict=True):
        case.theirs = [int(at) for at in json.loads(line)]


def shift(case: Case, at: int):
    """(how the clocks are changed, when, by how much), where that is within a day and a bit."""
    for change in CHANGES[case.zone]:
        if abs(at - change) < 26 * HOUR:
            by = wall(change, case.zone) - wall(change - MINUTE, case.zone) - timedelta(minutes=1)
            return ("forward" if by > timedelta(0) else "back"), change, abs(int(by.total_seconds()))
    return None, 0, 0


def named(case: Case, at: int, by_us: bool) -> str:
    """The name of why a time is only ours, or only theirs; "" where there is none."""
    kind, change, by = shift(case, at)
    there = wall(at, case.zone)
    if kind == "forward":
        # Theirs: as far behind the gap as the time was into it. Ours: its end, for all of them.
        if by_us and at == change:
            return "the end of the gap"
        if not by_us and change <= at < change + by:
            return "as far behind the gap"
        if by_us and change < at < change + by:
            return "passed over behind the gap"     # it goes on from where it has come to
    if kind == "back" and by_us and change <= at < change + by \
            and case.cron.split()[1] in ("*", "0-23"):
        return "every hour goes on"     # theirs counts as a time of the day
    if kind == "back" and by < HOUR \
            and (change - by <= at < change if by_us else change <= at < change + by):
        return "half an hour back, the second time"
    if not by_us and at <= case.after:
        return "before the start"       # which lies in an hour that comes twice
    if by_us and (there.month, there.day) == (3, 1) \
            and max(expand(case.cron.split()[2], 1, 31)) > 28:
        return "1 March passed over"    # where it looks for a later day of February
    return ""


def test_croner_agrees_or_we_know_why(cases):
    ask_croner(cases)
    names: Counter = Counter()
    unnamed = []
    equal = 0
    for case in cases:
        ours = case.ours["times"]
        until = min(ours[-1], case.theirs[-1]) if ours and case.theirs else 0
        mine = {at for at in ours if at <= until}
        other = {at for at in case.theirs if at <= until}
        equal += mine == other
        for at in sorted(mine ^ other):
            name = named(case, at, at in mine)
            names[name] += 1
            if not name:
                unnamed.append(f"{case}: only {'ours' if at in mine else 'croner'}: {utc(at)}")
    assert not unnamed, "\n".join(unnamed[:40]) + f"\n{len(unnamed)} of {sum(names.values())}"
    assert equal > 0.8 * len(cases), names
    assert set(names) == {"the end of the gap", "as far behind the gap",
                          "passed over behind the gap", "every hour goes on",
                          "half an hour back, the second time", "before the start",
                          "1 March passed over"}, names


# ---- against zoneinfo, minute by minute: the rules as they are meant

def expand(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def brute(case: Case, start: int, end: int) -> set[int]:
    """Every wall minute that is shown between, and every one that is jumped over at its end."""
    minute, hour, day, month, weekday = case.cron.split()
    minutes, hours = expand(minute, 0, 59), expand(hour, 0, 23)
    days, months = expand(day, 1, 31), expand(month, 1, 12)
    weekdays = {d % 7 for d in expand(weekday, 0, 7 if weekday[0] != "*" else 6)}

    def matches(t: datetime) -> bool:
        by_month, by_week = t.day in days, t.isoweekday() % 7 in weekdays
        return (t.minute in minutes and t.hour in hours and t.month in months
                and (by_month and by_week if case.both else by_month or by_week))

    found = set()
    begin = (start - DAY) // MINUTE * MINUTE
    latest = wall(begin, case.zone)
    for at in range(begin, end, MINUTE):
        now = wall(at, case.zone)
        # all that the clock has not shown yet: one minute, none when put back, more in a gap
        while latest < now:
            latest += timedelta(minutes=1)
            if matches(latest) and at > start:
                found.add(at)
    return found


def test_the_rules_minute_by_minute(cases):
    """Where clocks are changed, but for schedules of every hour, whose rule is the next test's."""
    tried = 0
    for case in cases:
        if case.ours["ofUtc"] or not case.ours["times"] or shift(case, case.after)[0] is None:
            continue
        end = min(case.ours["times"][-1], case.after + 2 * DAY)
        expected = brute(case, case.after, end + 1)
        assert {t for t in case.ours["times"] if t <= end} == expected, str(case)
        tried += 1
        if tried == 120:
            break
    assert tried == 120


def test_every_hour_is_even(cases):
    """Of a schedule of every hour in a zone of whole-hour changes, the distances repeat."""
    tried = 0
    for case in cases:
        if case.ours["ofUtc"] and case.zone != "UTC":
            minutes = sorted(expand(case.cron.split()[0], 0, 59))
            offset = wall(case.after, case.zone) - wall(case.after, "UTC")
            there = {(int(offset.total_seconds()) // 60 + at // MINUTE) % 60
                     for at in case.ours["times"]}
            assert there <= set(minutes), str(case)
            gaps = [b - a for a, b in zip(case.ours["times"], case.ours["times"][1:])]
            assert max(gaps) <= HOUR, str(case)
            tried += 1
    assert tried > 10


# ---- against systemd

def systemd(expressions: list[str], after: int, iterations: int) -> list[list[int]]:
    """The next times of each, as systemd counts them."""
    done = subprocess.run(
        ["systemd-analyze", "calendar", f"--iterations={iterations}", f"--base-time={utc(after)}",
         *expressions], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    found = []
    for part in re.split(r"^\s*(?:Original form|Normalized form): .*$", done.stdout, flags=re.M):
        times = re.findall(r"(?:Next elapse|Iter(?:ation|\.) #\d+): \w{3} (\S+ \S+) UTC", part)
        if times or "Next elapse: never" in part:
            found.append([int(datetime.strptime(t, "%Y-%m-%d %H:%M:%S")
                              .replace(tzinfo=timezone.utc).timestamp()) for t in times])
    assert len(found) == len(expressions), done.stdout
    return found


def test_systemd_reads_them_as_we_mean_them(cases):
    of_utc = [c for c in cases if c.ours["ofUtc"]]
    assert len(of_utc) > 80
    for case in of_utc[:150]:
        times = systemd(case.ours["calendar"], case.after, COUNT)
        both = sorted(set().union(*times))[:COUNT]
        assert both == case.ours["times"][:len(both)], f"{case}: {case.ours['calendar']}"
        assert len(both) == len(case.ours["times"]), str(case)


def test_systemd_knows_the_times(cases):
    """Those that are written out: each is one moment, and the next of ours."""
    for case in [c for c in cases if not c.ours["ofUtc"]][:60]:
        lines = case.ours["calendar"][:COUNT]
        assert [t for (t,) in systemd(lines, case.after, 1)] == case.ours["times"][:len(lines)], \
            str(case)
