# SPDX-License-Identifier: MIT
"""What automapost status says of the host it is typed on: each cause is brought about, the verdict and
the line are compared, the command is typed as it is printed, and the line goes."""

import re
import shutil
import time
from pathlib import Path

import pytest

from integration.command import Said

from . import site as s

SOCIAL = "automapost-social-media"
QUEUE = "automapost-queue"
STOPPED = "Posts are not going out: what publishes is not started on this host."
SERVICE_STOPPED = "Something waits for a person: a service is not started on this host."
FAILS = "Posts are not going out: what publishes fails on this host."
SERVICE_FAILS = "Something waits for a person: a service fails on this host."
STATE = "/var/lib/automapost-jobs"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def status(site, *, user="root", env=None) -> Said:
    begin = time.monotonic()
    done = site.machine.run("automapost", "status", check=False, user=user,
                            env={"TZ": "UTC", **(env or {})})
    return Said(done.returncode, done.stdout, "", time.monotonic() - begin)


def type_it(site, command, **options):
    return site.machine.run("sh", "-c", command, **options)


def assert_well(site) -> None:
    said = status(site)
    assert (said.status, said.first_line) == (0, "All is well."), said.stdout


def assert_said(said, code, first_line, line) -> str:
    """One problem, the line a regular expression; the command that is printed with it."""
    assert (said.status, said.first_line) == (code, first_line), said.stdout
    (text, command), = said.problems.items()
    assert re.fullmatch(line, text), f"{line}\n{text}"
    assert command, said.stdout
    return command


@pytest.fixture(autouse=True)
def well(site, timers):
    assert_well(site)


def show_table(said) -> dict:
    """TIMER and RESULT of each service."""
    lines = said.stdout.split("\n")
    titles = next(line for line in lines if line.startswith("SERVICE") and "TIMER" in line)
    at = [titles.index(title) for title in ("SERVICE", "TIMER", "LAST RUN", "RESULT", "NEXT")]
    rows = lines[lines.index(titles) + 1:]
    rows = rows[:rows.index("")]
    return {row[:at[1]].strip(): (row[at[1]:at[2]].strip(), row[at[3]:at[4]].strip())
            for row in rows}


# Timers

@pytest.mark.parametrize("cause, line, command", [
    ("systemctl stop {}.timer", "{}.timer is stopped; since TIME", "systemctl start {}.timer"),
    ("systemctl disable --now {}.timer", "{}.timer is disabled(; since TIME)?",
     "systemctl enable --now {}.timer"),
    ("systemctl mask --now {}.timer", "{}.timer is masked(; since TIME)?",
     "systemctl unmask {}.timer && systemctl enable --now {}.timer"),
    ("systemctl mask --now --runtime {}.timer", "{}.timer is masked(; since TIME)?",
     "systemctl unmask --runtime {}.timer && systemctl enable --now {}.timer"),
    ("systemctl mask --runtime {}.service", "{}.service is masked(; since TIME)?",
     "systemctl unmask --runtime {}.service"),
])
@pytest.mark.parametrize("unit, code, first_line", [(SOCIAL, 2, STOPPED),
                                                    (QUEUE, 1, SERVICE_STOPPED)])
def test_a_timer_does_not_run(site, unit, code, first_line, cause, line, command):
    type_it(site, cause.format(unit))
    said = status(site)
    assert assert_said(said, code, first_line, line.format(unit)) == command.format(unit, unit)
    name = unit.removeprefix("automapost-")
    assert show_table(said)[name][0] == line.format(unit).split(" is ")[1].partition("(")[0] \
        .partition(";")[0]
    type_it(site, command.format(unit, unit))
    assert_well(site)


def test_a_timer_was_started_by_hand(site):
    type_it(site, f"systemctl disable {QUEUE}.timer && systemctl start {QUEUE}.timer")
    said = status(site)
    command = assert_said(said, 1, "Something waits for a person: a service would not come back "
                          "after a reboot.", f"{QUEUE}.timer runs, but would not after a reboot")
    assert command == f"systemctl enable {QUEUE}.timer"
    type_it(site, command)
    assert_well(site)


def test_a_timer_has_no_next_run(site):
    file = f"/run/systemd/system/{SOCIAL}.timer.d/99-test.conf"
    site.machine.write(file,
                       "[Timer]\nOnCalendar=\nOnCalendar=2020-01-01\n")
    type_it(site, f"systemctl daemon-reload && systemctl restart {SOCIAL}.timer")
    said = status(site)
    command = assert_said(said, 2, STOPPED, f"{SOCIAL}.timer has no next run; since TIME")
    assert "OnCalendar=2020-01-01" in type_it(site, command).stdout
    type_it(site, f"rm {file} && systemctl daemon-reload && systemctl restart {SOCIAL}.timer")
    assert_well(site)


def test_posts_that_wait_for_a_stopped_timer(site, webhooks):
    """One cause, one line: that nothing is begun follows from it."""
    shipped = site.value("SELECT pace_after::text FROM automapost.engine")
    site.rows("UPDATE automapost.engine SET pace_after = '1 s'")
    try:
        type_it(site, f"systemctl stop {SOCIAL}.timer")
        site.post(webhooks.account(site))
        said = site.machine.wait_until(
            lambda: (lambda said: "1 post of 1 member" in said.stdout and said)(status(site)), 10)
        command = assert_said(said, 2, STOPPED,
                              f"{SOCIAL}.timer is stopped; since TIME; 1 post of 1 member")
        type_it(site, command)
        site.start("social-media")
        assert_well(site)
        site.assert_exactly_once()
    finally:
        site.rows("UPDATE automapost.engine SET pace_after = %s", (shipped,))


# Services

def test_not_set_up(site):
    type_it(site, f"mv {s.ENV_FILE} {s.ENV_FILE}.away")
    site.start("queue")
    said = status(site)
    command = assert_said(said, 2, "Posts are not going out: this host is not set up.",
                          f"every run is skipped: there is no {s.ENV_FILE}")
    assert command == "automapost setup"
    assert show_table(said)["queue"] == ("on", "skipped")
    type_it(site, f"mv {s.ENV_FILE}.away {s.ENV_FILE}")
    assert_well(site)


@pytest.mark.parametrize("service, code, first_line", [("social-media", 2, FAILS),
                                                       ("queue", 1, SERVICE_FAILS)])
def test_a_service_fails(site, service, code, first_line):
    """The last words of the run are in the line, for who may read the journal."""
    good = site.machine.read("cat", s.ENV_FILE)
    site.machine.write(s.ENV_FILE, good + "\nAUTOMAPOST_ACTORS=many\n", mode=0o640, group=s.USER)
    site.start(service)
    words = 'AUTOMAPOST_ACTORS is "many", must be a whole number from 1 to 512'
    said = status(site)     # the same file is the command's: said once
    assert assert_said(said, 3, "Cannot tell: the settings cannot be used.", words) \
        == "automapost config"
    assert show_table(said)[service] == ("on", "exit status 78")
    assert re.search(fr"^{service} +(now|\d+ s ago) +{words}$", said.stdout, re.M), said.stdout

    site.machine.write(s.ENV_FILE, good + "\n", mode=0o640, group=s.USER)
    said = status(site)
    command = assert_said(
        said, code, first_line, f"the last run of automapost-{service} ended with exit status 78 "
        fr"\(an operator must act\): {words}; since TIME")
    assert command == f"systemctl start automapost-{service}.service"
    type_it(site, command)
    assert_well(site)


def test_a_service_is_killed(site, webhooks):
    """Its attempt and its own run say how it died, and nothing is left running."""
    posts = [site.post(webhooks.account(site)).id for _ in range(2)]
    hang = webhooks.fake.fault("POST *", "hang-after", 1)
    site.start("social-media", wait=False)
    assert hang.reached.wait(30)
    said = site.machine.wait_until(
        lambda: (lambda said: "published 1" in said.stdout and said)(status(site)), 20)
    assert show_table(said)["social-media"] == ("on", "published 1, retrying 0, 1 to go")

    type_it(site, f"systemctl kill --signal=SEGV --kill-whom=main {SOCIAL}.service")
    site.wait_idle()
    said = status(site)
    command = assert_said(said, 2, FAILS,
                          f"the last run of {SOCIAL} ended with signal SEGV(: .*)?; since TIME")
    how = {"signal": "SEGV"}
    rows = site.rows("""
        SELECT x.job_definition_id IS NOT NULL, x.status, x.error_code, x.error_message,
            x.metadata - 'result', x.metadata ->> 'result'
        FROM automapost.job_executions x
        LEFT JOIN automapost.post_deliveries d ON d.job_id = x.job_queue_id
        WHERE x.error_code = 'worker-died'
            AND (d.post_id = ANY (%s) OR x.job_definition_id IS NOT NULL)
            AND x.finished_at > now() - interval '1 minute' ORDER BY 1""", (posts,))
    words = "the service ended by signal SEGV"
    assert [row[:5] for row in rows] == [(False, "failed", "worker-died", words, how),
                                         (True, "failed", "worker-died", words, how)], rows
    assert {row[5] for row in rows} <= {"signal", "core-dump"}
    assert site.unit_journal("social-media", "MESSAGE_ID=da6dc3e9e14543daa3877a38db19aa3b")
    site.assert_nothing_running()
    hang.release()
    type_it(site, command)
    assert_well(site)
    site.settle_down(90)        # looked up when no send can be under way any more
    site.assert_exactly_once()


# Around it

@pytest.mark.parametrize("unit", ["postgresql", "postgresql@15-main"])
def test_the_database_is_stopped(site, unit):
    type_it(site, f"systemctl stop {unit}")
    said = site.machine.wait_until(
        lambda: (lambda said: "No such file" in said.stdout and said)(status(site)), 30)
    site.start("queue")
    said = status(site)
    command = assert_said(said, 3, "Cannot tell: the database does not answer.",
                          "cannot connect to the database: .*No such file or directory")
    assert command == "systemctl start postgresql"
    assert show_table(said)["queue"] == ("on", "exit status 75")
    type_it(site, command)
    site.machine.wait_until(lambda: status(site).status != 3, 30)
    site.start("queue")
    assert_well(site)
    site.db.close()
    site.db = site.machine.connect(s.DATABASE)


def test_a_disk_is_nearly_full(site):
    type_it(site, f"mount -t tmpfs -o size=16m,mode=755 none {STATE}")
    try:
        assert_well(site)
        type_it(site, f"head -c 15900k /dev/zero >{STATE}/fill")
        said = status(site)
        command = assert_said(said, 1, "Something waits for a person: a disk is nearly full.",
                              f"the disk of {STATE} is nearly full: 0 MiB of 16 MiB are free")
        assert STATE in type_it(site, command).stdout
        type_it(site, f"rm {STATE}/fill")
        assert_well(site)
    finally:
        type_it(site, f"umount {STATE}")


def test_an_upgrade_is_wanted(site):
    site.rows("INSERT INTO automapost.schema_migrations VALUES (9001, 'later', 'x')")
    try:
        command = assert_said(status(site), 1, "Something waits for a person: this version is older "
                              "than the database's schema.",
                              "the database has schema 9001, this version was made for .*")
        assert command == "apt-get install --only-upgrade automapost-jobs"
        type_it(site, command)
    finally:
        site.rows("DELETE FROM automapost.schema_migrations WHERE version = 9001")
    assert_well(site)


def test_the_clock_is_off(site):
    inside = "/usr/local/lib/libfaketime.so.1"
    shutil.copy(FAKETIME, site.machine.path(inside))
    said = status(site, env={"LD_PRELOAD": inside, "FAKETIME": "+30s",
                             "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    command = assert_said(said, 1, "Something waits for a person: a clock is off.",
                          r"the clock of this host is (29\.\d|30\.0) s ahead of the database's")
    assert command == "timedatectl"
    assert "System clock synchronized" in type_it(site, command).stdout
    assert_well(site)


# Somebody who is not root

def test_in_and_out_of_the_groups(site):
    type_it(site, "useradd --create-home joe")
    try:
        said = status(site, user="joe")
        command = assert_said(said, 3, "Cannot tell: the settings cannot be used.",
                              f"cannot read {s.ENV_FILE}: Permission denied")
        assert command == "sudo automapost status"
        note = "Errors in the journal: only for root and the group systemd-journal."
        assert said.stdout.rstrip().endswith(note)
        assert show_table(said)["queue"] == ("on", "done")      # what anybody may see
        type_it(site, "usermod --append --groups systemd-journal joe")
        assert note not in status(site, user="joe").stdout
        type_it(site, f"systemctl stop {QUEUE}.timer")
        said = status(site, user="joe")
        assert said.problems[f"{QUEUE}.timer is stopped; since TIME"] \
            == f"sudo systemctl start {QUEUE}.timer"
    finally:
        type_it(site, "userdel --remove joe")


def test_it_is_pleasant_on_80_columns(site):
    """Nothing but a long message is wider."""
    said = site.machine.read("script", "--quiet", "--return", "--command",
                             "stty columns 80; NO_COLOR=1 automapost status", "/dev/null")
    assert said.startswith("All is well.") and "SERVICE" in said
    assert not [line for line in said.splitlines() if len(line) > 80], said
