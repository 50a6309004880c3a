# SPDX-License-Identifier: MIT
"""One machine from bare to purged, in the order in which an operator meets things. The tests build
on each other; each asks for the state that it needs, and the states are made in this order."""

import json
import math
import re

import pytest

from . import conftest, site as s

RUN_FINISHED = "38a487774eb0487db9e3e06a69fdc890"
JOB_COMPLETED = "d1eea7af43634ef8a05ea83fbf5df6f4"

TIMERS = [f"automapost-{name}.timer" for name in s.SERVICES]


class Story:
    """What earlier chapters saw."""

    def __init__(self, site: s.Site):
        self.site = site
        self.files_before: set = set()
        self.apt = ""
        self.web_before: dict = {}


def web(story: Story) -> dict:
    """How the application's own service stands."""
    return story.site.machine.show("automapost-web.service", "MainPID", "ActiveState", "User",
                                   "MemoryDenyWriteExecute", "PrivateUsers", "DropInPaths", "Slice")


@pytest.fixture(scope="module")
def installed(make_site, package):
    """The package is there, nothing is configured; the application has a service of our prefix."""
    story = Story(make_site())
    machine = story.site.machine
    machine.write("/etc/systemd/system/automapost-web.service", conftest.WEB_SERVICE)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "automapost-web.service")
    story.web_before = web(story)
    story.files_before = story.site.files()
    story.apt = story.site.install(package)
    return story


@pytest.fixture(scope="module")
def skipped(installed):
    """The minute has passed once: the timers have fired into a machine without settings."""
    installed.site.machine.wait_until(
        lambda: all(installed.site.unit_journal(name) for name in ("social-media", "queue")),
        70, "the minute timers fire")
    return installed


@pytest.fixture(scope="module")
def configured(skipped):
    skipped.site.make_database()
    skipped.site.configure()
    fake = skipped.site.receiver_inside(s.w.WebhookReceiver)
    with fake:
        skipped.site.receiver(s.w.Webhooks(fake))
        yield skipped


@pytest.fixture(scope="module")
def published(configured):
    """A post came due, and nobody but the timer did anything."""
    site = configured.site
    receiver = site.receivers[0]
    post = site.post(receiver.account(site), text="published by the minute's timer")
    assert receiver.fake.wait_until(lambda: receiver.fake.deliveries, 70), \
        f"not published: {site.machine.messages('--unit=automapost-social-media.service')}"
    site.wait_idle()
    return configured, post


def test_it_says_what_comes_next(installed):
    said = installed.apt.splitlines()
    assert "Installed, not configured: sudo automapost setup" in said
    # … and nothing that sounds like trouble.
    assert not [line for line in said if re.search("warning|error|fail|static", line, re.I)]


def test_what_is_there(installed):
    machine = installed.site.machine
    facts = machine.read("stat", "--format=%n %a %U:%G", "/etc/automapost-jobs",
                         "/etc/automapost-jobs/credentials").splitlines()
    assert facts == ["/etc/automapost-jobs 750 root:automapost-jobs",
                     "/etc/automapost-jobs/credentials 700 root:root"]
    assert machine.read("ls", "/etc/automapost-jobs") == "credentials"
    listed = machine.read("systemctl", "list-timers", "automapost-*")
    assert all(name in listed for name in TIMERS)
    assert machine.read("systemctl", "is-enabled", "automapost.target", *TIMERS).split() \
        == ["enabled"] * (1 + len(TIMERS))
    assert machine.read("ls", "/usr/share/man/man1/automapost.1.gz")


def test_completion(installed):
    """As bash asks for it: the verbs, then a verb's own words."""
    script = (". /usr/share/bash-completion/bash_completion; _completion_loader automapost;"
              'COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _automapost;'
              ' echo "${{COMPREPLY[*]}}"')
    ask = lambda words: installed.site.machine.read("bash", "-c", script.format(words=words))
    assert ask("automapost res") == "resolve resume"
    assert ask("automapost resolve 0192f7c4 ''") == "sent not-sent"
    assert ask("automapost jobs --st") == "--status"


def test_ticks_are_skipped(skipped):
    machine = skipped.site.machine
    for name in ("social-media", "queue"):
        said = skipped.site.unit_journal(name)[-1]["MESSAGE"]
        assert "was skipped because of an unmet condition check" in said
        assert f"ConditionPathExists={s.ENV_FILE}" in said
        unit = machine.show(f"automapost-{name}.service", "ActiveState", "Result",
                            "ConditionResult")
        assert unit == {"ActiveState": "inactive", "Result": "success", "ConditionResult": "no"}
    assert machine.read("systemctl", "--failed", "--plain", "--no-legend") == ""


def test_the_timer_publishes(published):
    story, post = published
    site = story.site
    site.assert_exactly_once()
    site.assert_told()
    runs = [e for e in site.unit_journal("social-media") if e.get("MESSAGE_ID") == RUN_FINISHED]
    assert [e["MESSAGE"] for e in runs] == ["Finished: claimed 1, published 1"]
    # The run's last own line is its summary.
    own = [e for e in site.unit_journal("social-media", "_COMM=automapost-soci")
           if e["_SYSTEMD_INVOCATION_ID"] == runs[0]["_SYSTEMD_INVOCATION_ID"]]
    assert own[-1] == runs[0]


def test_journal_fields(published):
    """From the job to its lines and from a line to the job's row, in the operator's own words."""
    story, post = published
    machine = story.site.machine
    job, execution = story.site.rows(
        "SELECT q.id::text, x.id::text FROM automapost.job_queue q"
        " JOIN automapost.job_executions x ON x.job_queue_id = q.id"
        " WHERE q.job_type = 'social-media-post'")[0]
    lines = [json.loads(line) for line in machine.read(
        "journalctl", "--output=json", f"AUTOMAPOST_JOB_ID={job}").splitlines()]
    done = [e for e in lines if e.get("MESSAGE_ID") == JOB_COMPLETED]
    assert len(done) == 1
    expected = {"AUTOMAPOST_JOB_TYPE": "social-media-post", "AUTOMAPOST_EXECUTION_ID": execution,
                "AUTOMAPOST_PROVIDER": "webhook", "AUTOMAPOST_POST_ID": post.id,
                "AUTOMAPOST_ATTEMPT": "1", "_SYSTEMD_UNIT": "automapost-social-media.service",
                "_SYSTEMD_SLICE": "automapost.slice"}
    assert {name: done[0].get(name) for name in expected} == expected
    # The catalog explains what the message id means.
    assert f"Its history: automapost show {job}" in machine.read(
        "journalctl", "--catalog", f"MESSAGE_ID={JOB_COMPLETED}")


def test_status_while_it_runs(configured):
    site = configured.site
    receiver = site.receivers[0]
    site.post(receiver.account(site))
    slow = receiver.fake.fault("POST *", "hang-before")
    site.start("social-media", wait=False)
    assert slow.reached.wait(30)
    text = site.machine.wait_until(
        lambda: site.machine.show("automapost-social-media.service", "StatusText")["StatusText"],
        10, "a status")
    assert text == "published 0, retrying 0, 1 to go"
    slow.release()
    site.wait_idle()
    site.assert_exactly_once()


def test_the_applications_service_is_untouched(configured):
    """Node needs writable and executable memory: under our hardening it would not even start."""
    machine = configured.site.machine
    assert web(configured) == configured.web_before
    assert configured.web_before["ActiveState"] == "active"
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "automapost-web.service")
    again = web(configured)
    assert {**again, "MainPID": ""} == {**configured.web_before, "MainPID": ""}
    # The same binary under our lines: the test would notice.
    lines = machine.read("cat", "/lib/systemd/system/automapost-queue.service.d/10-hardening.conf")
    assert "MemoryDenyWriteExecute=yes" in lines
    denied = machine.run("systemd-run", "--quiet", "--wait", "--pipe", "--property",
                         "MemoryDenyWriteExecute=yes", "node", "-e", "1", check=False)
    assert denied.returncode != 0


def test_upgrade_while_a_post_is_being_sent(configured, package):
    """The running process goes on with its old program, and every post is there once."""
    site = configured.site
    receiver = site.receivers[0]
    # Two at a time, a second each: at work for as long as an upgrade can take.
    site.configure(ACTORS="2")
    for _ in range(300):
        site.post(receiver.account(site))
    slow = receiver.fake.fault("POST *", "delay", times=math.inf, seconds=1)
    site.start("social-media", wait=False)
    assert slow.reached.wait(30)
    unit = ("automapost-social-media.service", "MainPID", "InvocationID", "ActiveState")
    before = site.machine.show(*unit)
    assert before["ActiveState"] == "activating"
    said = site.install(s.as_version(package, "0.1.1"))
    assert "automapost-jobs (0.1.1) over (0.1.0)" in said
    assert "not configured" not in said
    # Configured by hand, nobody knows as whom to migrate; that is said, and breaks nothing.
    assert "later: sudo automapost migrate" in said
    assert site.machine.show(*unit) == before
    receiver.fake.clear_faults()
    site.wait_idle()
    site.configure()
    assert site.machine.show("automapost-social-media.service", "Result")["Result"] == "success"
    site.assert_exactly_once()
    site.assert_nothing_running()
    assert site.machine.read("systemctl", "is-active", "automapost.target", *TIMERS).split() \
        == ["active"] * (len(TIMERS) + 1)


@pytest.mark.parametrize("version, setting, migrates", [("0.1.2", "no", False),
                                                        ("0.1.3", "yes", True)])
def test_upgrade_migrates_where_setup_was_done(configured, package, version, setting, migrates):
    site = configured.site
    site.machine.write("/srv/application/.env",
                       f"DATABASE_URL='postgresql://postgres@/{s.DATABASE}?host=/run/postgresql'\n",
                       mode=0o600)
    site.configure(APPLICATION_ENV="/srv/application/.env", MIGRATE_ON_UPGRADE=setting)
    site.as_owner("DROP FUNCTION IF EXISTS automapost.wake(text)")
    said = site.install(s.as_version(package, version))
    there = site.value("SELECT to_regprocedure('automapost.wake(text)') IS NOT NULL")
    assert there == migrates, said
    site.machine.run("rm", "-r", "/srv/application")
    site.configure()


def test_remove_lets_running_work_end(configured, package):
    site = configured.site
    machine = site.machine
    receiver = site.receivers[0]
    site.post(receiver.account(site))
    slow = receiver.fake.fault("POST *", "delay", seconds=2)
    site.start("social-media", wait=False)
    assert slow.reached.wait(30)
    machine.run("apt-get", "remove", "-y", "automapost-jobs")
    site.assert_exactly_once()
    site.assert_nothing_running()
    assert site.in_state("sent") == {post.text for post in site.posts}
    assert not machine.read("systemctl", "list-units", "--all", "--no-legend", *TIMERS)
    # Settings and state wait for a reinstallation.
    assert machine.read("ls", "/etc/automapost-jobs").split() \
        == ["automapost-jobs.env", "credentials"]
    said = site.install(package)
    assert "not configured" not in said
    site.post(receiver.account(site))
    site.start("social-media")
    site.assert_exactly_once()


def test_purge_leaves_nothing(configured):
    site = configured.site
    machine = site.machine
    rows = site.value("SELECT count(*) FROM automapost.job_queue")
    machine.run("apt-get", "purge", "-y", "automapost-jobs")
    left = site.files() - configured.files_before
    assert left <= s.KEPT, left
    assert machine.read("find", "/var/lib/systemd", "/run/systemd", "/etc/systemd", "-name",
                        "*automapost*", "-not", "-name", "*automapost-web*") == ""
    # The database is the application's: it is all there.
    assert site.value("SELECT count(*) FROM automapost.job_queue") == rows > 0
    assert web(configured)["ActiveState"] == "active"
    assert machine.read("systemctl", "list-units", "--failed", "--plain", "--no-legend",
                        "automapost-*") == ""
