# SPDX-License-Identifier: MIT
"""Alerts: the cause is brought about, the service looks as its timer has it look, and people are told
by a real mail server and by a receiver that checks signatures.

A look is one run of automapost-alert. Where a test is about something else than the shipped delays,
they are 0 and every look tells at once; where it is about them, the clock is moved."""

import json
import re
import subprocess
import uuid
from pathlib import Path

import pytest

from harness.certificate import make as make_certificate
from harness.mail import MailServer
from harness.postgres import Cluster

from . import world as w
from .command import environment, shell

pytestmark = pytest.mark.usefixtures("build")

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
AT_ONCE = {"AUTOMAPOST_ALERT_AFTER_SEC": "0", "AUTOMAPOST_ALERT_PERSON_AFTER_SEC": "0",
           "AUTOMAPOST_ALERT_OVER_SEC": "0"}
DOWN = "Cannot tell: the database does not answer"


class People:
    """Who is told: a channel of a chat by webhook, an operator by mail; and the watch outside."""

    def __init__(self, world, hook: w.WebhookReceiver, mail: MailServer):
        self.world = world
        self.hook = hook
        self.mail = mail
        hook.register("/alerts", w.DEFAULT_SECRET)
        self.by_mail = {
            "AUTOMAPOST_SMTP_HOST": "127.0.0.1", "AUTOMAPOST_SMTP_PORT": str(mail.port),
            "AUTOMAPOST_SMTP_TLS": "none", "AUTOMAPOST_MAIL_FROM": "AutomaPost <alerts@example.org>",
            "AUTOMAPOST_ALERT_MAIL_TO": "Night shift <operator@example.org>"}
        self.by_webhook = {
            "AUTOMAPOST_ALERT_WEBHOOK_URL": hook.url + "/alerts?channel=night",
            "AUTOMAPOST_ALERT_WEBHOOK_SECRET": w.DEFAULT_SECRET}
        world.env |= AT_ONCE | self.by_mail | self.by_webhook

    def look(self, *arguments: str, status: int = 0, **options) -> w.Process:
        return self.world.run("alert", *arguments, status=status, **options)

    @property
    def chat(self) -> list:
        """(kind, first line) of what came by webhook."""
        with self.hook.lock:
            return [(d.payload["type"].removeprefix("alert."), headline(d.payload["text"]))
                    for d in self.hook.deliveries]

    @property
    def mails(self) -> list:
        return [headline(f"{m.subject}\n\n{m.text}") for m in self.mail.mails]

    def told(self) -> list:
        """What both were told, the same."""
        assert [line for _, line in self.chat] == self.mails
        return self.chat


def headline(text: str) -> str:
    """The subject, without how long it has been."""
    return re.sub(r" after (<|\d)[^:]*:", " after N:", text.partition("\n")[0]) \
        .removeprefix("[AutomaPost] ")


@pytest.fixture
def people(world):
    with w.WebhookReceiver() as hook, MailServer() as mail:
        yield People(world, hook, mail)


@pytest.fixture(scope="module")
def own_cluster(build):
    """A server that tests may stop."""
    with Cluster() as own:
        w.make_template(own, "template_own", build)
        yield own


@pytest.fixture
def with_own_cluster(own_cluster, make_world):
    """A world whose server can be stopped, and its people."""
    if not own_cluster.running:
        own_cluster.start()
    with w.WebhookReceiver() as hook, MailServer() as mail:
        yield People(make_world(own_cluster, "template_own"), hook, mail)


def paused(world, webhooks) -> str:
    """A cause that everybody sees in the database: two posts are due, and publishing is paused."""
    account = webhooks.account(world)
    world.post(account)
    world.post(account)
    said = shell(world, "automapost pause social-media 'a new design'")
    assert said.status == 0, said
    return "Posts are not going out: publishing is paused"


def resume(world) -> None:
    assert shell(world, "automapost resume social-media").status == 0


# What is told, and when

def test_all_is_well(people):
    people.look()
    assert people.told() == []
    assert not (people.world.folder / "alerts.json").exists() or \
        json.loads((people.world.folder / "alerts.json").read_text()) == {"alerts": []}


def test_the_database_goes_and_comes_back(with_own_cluster):
    people = with_own_cluster
    people.look()
    people.world.cluster.stop()
    people.look()
    people.look()
    assert people.told() == [("begun", DOWN)]
    people.world.cluster.start()
    people.look()
    assert people.told() == [("begun", DOWN), ("over", f"Over after N: {DOWN}")]
    people.look()
    assert len(people.told()) == 2
    first, last = people.hook.deliveries
    assert first.id != last.id
    assert first.payload["data"]["id"] == "database-unreachable"


def test_what_it_says(with_own_cluster):
    people = with_own_cluster
    people.world.cluster.stop()
    people.look()
    mail, = people.mail.mails
    delivery, = people.hook.deliveries
    assert delivery.payload["text"] == f"{mail.subject}\n\n{mail.text}"
    fields = dict(re.findall(r"^(\w+) +(.+)$", mail.text, re.M))
    assert re.search(r"cannot connect to the database: .*Connection refused", mail.text)
    assert re.fullmatch(r"\d+ \w+ [\d:]+ [+-]\d\d:\d\d, now", fields["Since"])
    assert "missed after the late limit" in fields["Members"]
    assert "PostgreSQL is down" in fields["Cause"]
    command = shell(people.world, "automapost status").stdout.splitlines()[2].strip()
    assert fields["Type"] == command
    assert "told again every 6 h while it lasts, and once when it is over" in mail.text
    data = delivery.payload["data"]
    assert data["command"] == command and data["severity"] == 3 and data["kind"] == "begun"
    assert mail.message["auto-submitted"] == "auto-generated"
    assert mail.recipient == "operator@example.org"


def test_shipped_delays(with_own_cluster):
    """Five minutes until it is told, six hours until it is told again, two minutes until it is over:
    by the clock that the service sees."""
    people = with_own_cluster
    for name in AT_ONCE:
        del people.world.env[name]
    people.world.cluster.stop()
    at = 0

    def look_at(minutes: float) -> list:
        nonlocal at
        people.hook.advance((minutes - at) * 60)
        at = minutes
        people.look(env={"LD_PRELOAD": FAKETIME, "FAKETIME": f"+{int(minutes * 60)}s"})
        return people.told()

    assert look_at(0) == []
    assert look_at(4.9) == []
    assert look_at(5.1) == [("begun", DOWN)]
    assert len(look_at(6)) == 1
    assert len(look_at(5.1 + 359)) == 1
    assert look_at(5.1 + 361)[1:] == [("lasts", f"Still after N: {DOWN}")]
    text = people.mail.mails[1].text
    assert re.search(r"^Since .*, 6 h 6 min ago$", text, re.M), text
    assert len(look_at(5.1 + 362)) == 2
    people.world.cluster.start()
    assert len(look_at(5.1 + 363)) == 2
    assert look_at(5.1 + 365)[2:] == [("over", f"Over after N: {DOWN}")]


def test_what_the_database_knows(people, webhooks):
    """It says how many posts and members, and the command that is printed ends it."""
    line = paused(people.world, webhooks)
    people.look()
    assert people.told() == [("begun", line)]
    text = people.mail.mails[0].text
    assert "social-media is paused by " in text and "a new design" in text
    assert "\nTouches  2 posts of 1 member\n" in text
    command = re.search(r"^Type +(.+)$", text, re.M)[1]
    assert shell(people.world, command).status == 0
    people.world.settle_down()
    people.look()
    assert people.told()[1:] == [("over", f"Over after N: {line}")]


def test_a_pause_that_is_older_than_its_posts(people, webhooks):
    """Nobody is told before posts have waited for five minutes, however old the pause is."""
    del people.world.env["AUTOMAPOST_ALERT_AFTER_SEC"]
    paused(people.world, webhooks)
    people.world.as_owner("UPDATE automapost.job_definitions SET paused_at = now() - interval '1 day'"
                          " WHERE paused_at IS NOT NULL")
    people.look()
    assert people.told() == []
    people.world.rows("""UPDATE posts SET "scheduledTo" = now() - interval '6 min'""")
    people.look()
    assert len(people.told()) == 1


def test_settings_that_are_refused(people):
    people.look(env={"AUTOMAPOST_ACTORS": "many"})
    assert people.told() == [("begun", "Cannot tell: the settings cannot be used")]
    assert "AUTOMAPOST_ACTORS" in people.mail.mails[0].text
    people.look()
    assert people.told()[1][0] == "over"


# Two ways, each for itself

def test_mail_is_down(with_own_cluster):
    people = with_own_cluster
    people.world.cluster.stop()
    people.mail.stop()
    said = people.look(status=75).stderr
    assert "Cannot tell by mail:operator@example.org" in said
    assert people.chat == [("begun", DOWN)] and people.mails == []
    people.look(status=75)
    people.mail.start()
    people.look()
    people.look()
    assert people.told() == [("begun", DOWN)]
    assert people.hook.deliveries[0].repeats == 0


def test_the_webhook_is_down(with_own_cluster):
    people = with_own_cluster
    people.world.cluster.stop()
    people.hook.fault("POST /alerts", "answer", 2, status=503)
    people.look(status=75)
    assert people.chat == [] and people.mails == [DOWN]
    people.look(status=75)
    people.look()
    people.look()
    assert people.told() == [("begun", DOWN)]
    asked = [e.headers["webhook-id"] for e in people.hook.log]
    assert len(asked) == 3 and len(set(asked)) == 1


def test_the_webhook_hangs(with_own_cluster):
    people = with_own_cluster
    people.world.cluster.stop()
    hang = people.hook.fault("POST /alerts", "hang-before")
    people.look(status=75)
    assert people.mails == [DOWN]
    hang.release()
    people.look()
    assert people.told() == [("begun", DOWN)]


def test_an_answer_that_is_lost(with_own_cluster):
    """It was taken, and nobody heard: the same id, the same bytes, so a receiver knows it again."""
    people = with_own_cluster
    people.world.cluster.stop()
    people.hook.fault("POST /alerts", "process-then-close")
    people.look(status=75)
    people.look()
    assert people.told() == [("begun", DOWN)]
    delivery, = people.hook.deliveries
    assert (delivery.repeats, delivery.changed_repeats) == (1, 0)


def test_it_is_over_before_everybody_knew(with_own_cluster):
    people = with_own_cluster
    people.world.cluster.stop()
    people.mail.stop()
    people.look(status=75)
    people.world.cluster.start()
    people.look(status=75)
    people.mail.start()
    people.look()
    assert people.mails == [f"Over after N: {DOWN}"]
    assert [kind for kind, _ in people.chat] == ["begun", "over"]


def test_one_address_is_wrong(with_own_cluster):
    people = with_own_cluster
    people.world.cluster.stop()
    people.look(status=78, env={
        "AUTOMAPOST_ALERT_MAIL_TO": "unknown@example.org, operator@example.org"})
    assert people.told() == [("begun", DOWN)]
    assert people.mail.refused == ["unknown@example.org"]


def test_a_chat_that_checks_no_signature(with_own_cluster):
    people = with_own_cluster
    people.world.cluster.stop()
    people.hook.fault("POST /alerts", "answer", status=200, body="ok")
    people.look(env={"AUTOMAPOST_ALERT_WEBHOOK_SECRET": "", "AUTOMAPOST_ALERT_MAIL_TO": ""})
    exchange, = people.hook.log
    assert exchange.headers["webhook-signature"] is None
    assert exchange.target == "/alerts?channel=night"
    assert DOWN in json.loads(exchange.body)["text"]
    assert people.mails == []


def test_an_encrypted_mail_server(with_own_cluster, tmp_path):
    certificate = make_certificate(tmp_path)
    with MailServer(security="starttls", context=certificate.context(),
                    login=("jobs", "correct horse")) as mail:
        people = People(with_own_cluster.world, with_own_cluster.hook, mail)
        credentials = tmp_path / "credentials"
        credentials.mkdir()
        (credentials / "smtp-password").write_text("correct horse\n")
        people.world.env |= {
            "AUTOMAPOST_SMTP_TLS": "starttls", "AUTOMAPOST_SMTP_HOST": "localhost",
            "AUTOMAPOST_SMTP_USER": "jobs", "AUTOMAPOST_CA_FILE": str(certificate.certificate),
            "CREDENTIALS_DIRECTORY": str(credentials)}
        people.world.cluster.stop()
        people.look()
        assert people.told() == [("begun", DOWN)]
        assert mail.mails[0].encrypted and mail.mails[0].login == "jobs"


# Several hosts

class Host:
    """Another host of the same database: its own state folder and its own host name."""

    def __init__(self, people: People, name: str):
        self.people = people
        self.name = name
        self.folder = people.world.folder / name
        self.folder.mkdir()

    def start(self, **env: str) -> w.Process:
        return self.people.world.start(
            "automapost-alert", env={"AUTOMAPOST_STATE_DIR": str(self.folder), **env},
            prefix=["unshare", "--uts", "sh", "-c", f'hostname {self.name} && exec "$@"', "sh"])

    def look(self, status: int = 0, **env: str) -> None:
        process = self.start(**env)
        assert process.wait() == status, process.stderr


def test_one_of_many_hosts_tells(people, webhooks):
    line = paused(people.world, webhooks)
    hosts = [Host(people, f"host-{i}") for i in range(5)]
    for _ in range(3):
        running = [host.start() for host in hosts]
        assert [process.wait() for process in running] == [0] * 5
    assert people.told() == [("begun", line)]
    resume(people.world)
    people.world.settle_down()
    for host in hosts:
        host.look()
    assert people.told()[1:] == [("over", f"Over after N: {line}")]


def test_another_host_goes_on(people, webhooks):
    """The one that told is gone, or cannot tell: what was told and what is still to be told is known
    to the others."""
    line = paused(people.world, webhooks)
    one, other = Host(people, "one"), Host(people, "other")
    people.mail.stop()
    one.look(75)
    assert people.chat == [("begun", line)]
    people.mail.start()
    other.look()
    assert people.told() == [("begun", line)]
    resume(people.world)
    people.world.settle_down()
    other.look()
    assert people.told()[1:] == [("over", f"Over after N: {line}")]
    one.look()
    assert len(people.told()) == 2


def test_a_host_that_died_while_it_told(people, webhooks):
    """It holds the book; until its time is over nobody tells, and then another does."""
    line = paused(people.world, webhooks)
    one, other = Host(people, "one"), Host(people, "other")
    hang = people.hook.fault("POST /alerts", "hang-before")
    process = one.start()
    assert hang.reached.wait(10)
    process.kill()
    other.look()
    assert people.told() == []
    people.world.as_owner("UPDATE automapost.alert_book SET taken_until = now() - interval '1 s'")
    hang.release()
    other.look()
    assert people.told() == [("begun", line)]
    ids = {exchange.headers["webhook-id"] for exchange in people.hook.log}
    assert len(ids) == 1


def test_each_host_tells_for_itself_without_a_database(with_own_cluster):
    people = with_own_cluster
    hosts = [Host(people, "one"), Host(people, "other")]
    people.world.cluster.stop()
    for host in hosts:
        host.look()
        host.look()
    assert people.told() == [("begun", DOWN)] * 2
    assert [d.payload["data"]["host"] for d in people.hook.deliveries] == ["one", "other"]


def test_a_database_without_the_book(people, webhooks):
    """The schema is a release behind: the host tells for itself, and when the book is there it goes
    on from what it has told."""
    line = paused(people.world, webhooks)
    people.world.as_owner("ALTER FUNCTION automapost.take_alerts(text) RENAME TO not_yet")
    people.look()
    people.look()
    assert ("begun", line) in people.told()
    n = len(people.told())
    people.world.as_owner("ALTER FUNCTION automapost.not_yet(text) RENAME TO take_alerts")
    people.look()
    assert len(people.told()) == n
    Host(people, "other").look()
    assert len(people.told()) == n
    resume(people.world)
    people.world.settle_down()
    Host(people, "third").look()
    assert people.told()[n:] == [("over", f"Over after N: {line}")]


# Crashes

def crash(people, unit="automapost-social-media.service", result="signal", code="KILL", **options):
    people.look("--unit", unit, env={
        "MONITOR_SERVICE_RESULT": result, "MONITOR_EXIT_CODE": "killed", "MONITOR_EXIT_STATUS": code,
        "MONITOR_INVOCATION_ID": uuid.uuid4().hex, "MONITOR_UNIT": unit}, **options)


def test_a_crash_is_told_at_once_and_once(people):
    for name in AT_ONCE:
        del people.world.env[name]
    line = "Something waits for a person: a service crashed"
    for _ in range(3):
        crash(people)
        people.look()
    assert people.told() == [("begun", line)]
    assert "automapost-social-media.service ended by signal KILL\n" in people.mail.mails[0].text
    crash(people, result="core-dump", code="SEGV")          # another reason
    crash(people, unit="automapost-queue.service")          # another unit
    assert people.told() == [("begun", line)] * 3
    # The database is away: that is what is told, in its time.
    crash(people, result="exit-code", code="75")
    assert len(people.told()) == 3
    crash(people, result="exit-code", code="78")
    assert len(people.told()) == 4
    later = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+6h"}
    people.hook.advance(6 * 3600)
    people.look(env=later)
    assert len(people.told()) == 4
    people.look("--unit", "automapost-queue.service", env={
        "MONITOR_SERVICE_RESULT": "signal", "MONITOR_EXIT_STATUS": "KILL", **later})
    assert people.told()[4:] == [("lasts", f"Still after N: {line}")]


def test_crashes_of_two_units_at_the_same_moment(people):
    units = [f"automapost-{name}.service" for name in ("social-media", "queue", "cleanup")]
    running = [people.world.start("automapost-alert", "--unit", unit,
                                  env={"MONITOR_SERVICE_RESULT": "oom-kill"}) for unit in units]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert sorted(d.payload["data"]["unit"] for d in people.hook.deliveries) == sorted(units)
    assert len(json.loads((people.world.folder / "alerts.json").read_text())["alerts"]) == 3


# The watch outside

def test_the_heartbeat(people, webhooks):
    """Called at each look while all is well, and never otherwise."""
    beats = "/beat/0192f7c4"
    people.world.env["AUTOMAPOST_HEARTBEAT_URL"] = people.hook.url + beats
    people.hook.fault(f"GET {beats}", "answer", 1000, status=200, body="ok")

    def n_beats() -> int:
        return sum(exchange.path == beats for exchange in people.hook.log)

    people.look()
    people.look()
    assert n_beats() == 2
    paused(people.world, webhooks)
    people.look()
    assert n_beats() == 2
    resume(people.world)
    people.world.settle_down()
    people.look()
    assert n_beats() == 3
    people.look(env={"AUTOMAPOST_DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"})
    assert n_beats() == 3
    # also where nobody is told of anything
    people.look(env={"AUTOMAPOST_ALERT_MAIL_TO": "", "AUTOMAPOST_ALERT_WEBHOOK_URL": ""})
    assert n_beats() == 4


def test_a_watch_that_does_not_answer(people):
    people.world.env["AUTOMAPOST_HEARTBEAT_URL"] = people.hook.url + "/nobody"
    said = people.look().stderr
    assert "The watch outside was not called" in said
    assert "/nobody" not in said
    assert people.told() == []


# What must not happen

def test_no_secret_gets_out(with_own_cluster):
    people = with_own_cluster
    url = people.world.env["AUTOMAPOST_DATABASE_URL"].replace("@", ":hunter2hunter2@")
    assert "hunter2" in url
    people.world.env["AUTOMAPOST_DATABASE_URL"] = url
    people.world.cluster.stop()
    people.hook.fault("POST /alerts", "answer", status=500)
    people.mail.refuse_with = "451 4.3.2 not now"
    said = people.look(status=75).stderr
    said += people.look().stderr if not setattr(people.mail, "refuse_with", None) else ""
    everything = said + "".join(m.raw.decode() for m in people.mail.mails) \
        + "".join(d.body.decode() for d in people.hook.deliveries) \
        + (people.world.folder / "alerts.json").read_text()
    assert people.told() == [("begun", DOWN)]
    for secret in ("hunter2", w.DEFAULT_SECRET.removeprefix("whsec_"), "channel=night"):
        assert secret not in everything


def test_a_book_that_is_none(with_own_cluster):
    people = with_own_cluster
    (people.world.folder / "alerts.json").write_text("{")
    people.world.cluster.stop()
    said = people.look().stderr
    assert "alerts.json is no book of alerts" in said
    assert people.told() == [("begun", DOWN)]
    people.look()
    assert len(people.told()) == 1


def test_a_state_folder_that_cannot_be_written(with_own_cluster, tmp_path):
    """Memory has to do, and is given up when the folder is there again."""
    people = with_own_cluster
    folder: Path = people.world.folder / "gone"
    away = {"AUTOMAPOST_STATE_DIR": str(folder), "RUNTIME_DIRECTORY": str(tmp_path)}
    people.world.cluster.stop()
    people.look(env=away)
    people.look(env=away)
    assert people.told() == [("begun", DOWN)]
    folder.mkdir()
    people.look(env=away)
    assert len(people.told()) == 1
    assert (folder / "alerts.json").exists() and not (tmp_path / "alerts.json").exists()
    people.world.cluster.start()
    people.look(env=away)
    assert people.told()[1][0] == "over"


def test_killed_between_sending_and_writing(with_own_cluster):
    """At any moment: what was told is told again under the same id, and nothing is left out."""
    people = with_own_cluster
    people.world.cluster.stop()
    hang = people.hook.fault("POST /alerts", "hang-after")
    process = people.world.start("automapost-alert")
    assert hang.reached.wait(20)
    process.kill()
    hang.release()
    people.look()
    assert people.chat == [("begun", DOWN)] and people.mails == [DOWN]
    assert people.hook.deliveries[0].repeats == 1
    assert people.hook.deliveries[0].changed_repeats == 0


# automapost alert

def test_the_test(people):
    said = shell(people.world, "automapost alert --test")
    assert (said.status, said.stderr) == (0, "")
    assert said.stdout == "webhook: told\nmail:operator@example.org: told\n"
    assert people.told() == [("test", "Test: alerts reach you")]
    answer = shell(people.world, "automapost alert --test --json")
    assert json.loads(answer.stdout) == [{"channel": "webhook", "told": True},
                                         {"channel": "mail:operator@example.org", "told": True}]


def test_the_test_fails(people):
    people.mail.stop()
    said = shell(people.world, "automapost alert --test")
    assert said.status == 75
    assert re.fullmatch(r"webhook: told\nmail:operator@example.org: no connection to the mail server"
                        r" 127\.0\.0\.1: .+\n", said.stdout)
    people.mail.start()
    people.hook.fault("POST /alerts", "answer", status=404)
    said = shell(people.world, "automapost alert --test")
    assert said.status == 78
    assert said.stdout == "webhook: answered 404\nmail:operator@example.org: told\n"
    said = shell(people.world, "automapost alert --test",
                 {"AUTOMAPOST_SMTP_HOST": "", "AUTOMAPOST_ALERT_WEBHOOK_SECRET": "x?"})
    assert said.status == 78
    assert said.stdout == ("webhook: the signing secret is none: it is whsec_ and base64\n"
                           "mail:operator@example.org: AUTOMAPOST_SMTP_HOST is not set\n")


def test_nobody_is_configured(people):
    none = {"AUTOMAPOST_ALERT_MAIL_TO": None, "AUTOMAPOST_ALERT_WEBHOOK_URL": None}
    for command in ("automapost alert --test", "automapost alert"):
        said = shell(people.world, command, none)
        assert said.status == 78 and said.stdout == ""
        assert "AUTOMAPOST_ALERT_WEBHOOK_URL" in said.stderr
        assert "AUTOMAPOST_ALERT_MAIL_TO" in said.stderr
    said = shell(people.world, "automapost status", none)
    assert (said.status, said.first_line) == (0, "All is well.")
    assert re.search(r"^Alerts +nobody is told: automapost alert --test says how$", said.stdout, re.M)
    said = shell(people.world, "automapost status")
    assert re.search(r"^Alerts +by webhook, mail:operator@example.org$", said.stdout, re.M)
    # and the service does nothing, whatever is down
    env = {name: value for name, value in environment(people.world, none).items()}
    env["AUTOMAPOST_DATABASE_URL"] = "postgresql://127.0.0.1:1/nowhere"
    done = subprocess.run([people.world.build.program("automapost-alert")], env=env, timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_told_can_be_seen(with_own_cluster):
    people = with_own_cluster
    people.world.cluster.stop()
    people.mail.stop()
    people.look(status=75)
    said = shell(people.world, "automapost alert")
    assert said.status == 0
    assert re.search(r"^Told by +webhook, mail:operator@example.org$", said.stdout, re.M)
    assert re.search(r"^- cannot connect to the database: .*; since .*; told; 1 not reached yet$",
                     said.stdout, re.M | re.S), said.stdout
    seen = json.loads(shell(people.world, "automapost alert --json").stdout)
    assert seen["channels"] == ["webhook", "mail:operator@example.org"]
    assert seen["alerts"][0]["owed"] == ["mail:operator@example.org"]
