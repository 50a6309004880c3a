# SPDX-License-Identifier: MIT
"""automapost setup on a booted machine with the package and a server of Debian's, as an operator has
them: units, timers and peer authentication are the real ones. The ways that need no systemd are in
tests/integration/test_setup.py. The tests tell one story, in the order in which they stand."""

import shlex

import pytest

from harness import app

from . import site as s

PUBLISHING = "automapost-social-media.timer"
OTHERS = [f"automapost-{name}.timer" for name in s.SERVICES if name != "social-media"]
ENV = "/var/www/automapost/.env"
ROLE = "application"


class Operator:
    """Who sits at the machine. The application runs there: its database, its .env."""

    def __init__(self, site: s.Site):
        self.site = site
        self.machine = site.machine

    def make_application(self) -> None:
        self.psql(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'p@ss/word'",
                  f"CREATE DATABASE {s.DATABASE} OWNER {ROLE}")
        self.site.db = self.machine.connect(s.DATABASE)
        self.site.rows(f"ALTER SCHEMA public OWNER TO {ROLE}; SET ROLE {ROLE}")
        app.install(self.site.db)
        self.site.rows("RESET ROLE")
        self.machine.write(ENV, f"DATABASE_URL='postgresql://{ROLE}:p%40ss%2Fword@localhost:5432/"
                                f"{s.DATABASE}?schema=public'\n", mode=0o600)

    def psql(self, *statements: str) -> None:
        for statement in statements:
            self.machine.run("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--command", statement,
                             user="postgres")

    def setup(self, *options: str, **how) -> str:
        return self.machine.run("automapost", "setup", *options, **how).stdout

    def setup_on_terminal(self, answer: str) -> str:
        """script(1) is a terminal; it types what comes from its input."""
        return self.machine.run("script", "--quiet", "--return", "--command", "automapost setup",
                                "/dev/null", stdin=f"{answer}\n", env={"TERM": "dumb"}).stdout

    def timers(self) -> dict:
        """Enabled and waiting, for each."""
        facts = {name: self.machine.show(name, "ActiveState", "UnitFileState")
                 for name in [PUBLISHING, *OTHERS]}
        return {name: (f["UnitFileState"], f["ActiveState"]) for name, f in facts.items()}


@pytest.fixture(scope="module")
def operator(make_site, package):
    made = make_site()
    made.install(package)
    person = Operator(made)
    person.make_application()
    return person


OFF = {PUBLISHING: ("disabled", "inactive"), **{name: ("enabled", "active") for name in OTHERS}}
ON = {name: ("enabled", "active") for name in OFF}


def test_nothing_is_touched_by_a_dry_run(operator):
    files = operator.site.files()
    said = operator.setup("--dry-run")
    assert "without a password: the kernel vouches for the services" in said
    assert "Nothing was changed" in said
    assert operator.site.files() == files and operator.timers() == ON
    assert operator.site.value("SELECT to_regnamespace('automapost') IS NULL")


def test_a_unit_of_the_plan_stands_in_the_way(operator):
    unit = "/etc/systemd/system/automapost-social-media.service"
    operator.machine.write(unit, "[Service]\nExecStart=/usr/bin/node /srv/scripts/"
                                 "social-media-scheduler.js\n")
    operator.machine.run("systemctl", "daemon-reload")
    refused = operator.machine.run("automapost", "setup", "--publish", check=False)
    assert refused.returncode == 78 and f"{unit} stands in the way" in refused.stdout
    assert operator.timers()[PUBLISHING] == ("disabled", "inactive")
    operator.machine.run("rm", unit)
    operator.machine.run("systemctl", "daemon-reload")


def test_all_timers_but_publishings(operator):
    said = operator.setup()
    assert "Started the timers of " in said
    assert "this is no terminal, and nobody was asked" in said
    assert operator.timers() == OFF
    facts = operator.machine.read("stat", "--format=%a %U:%G", s.ENV_FILE)
    assert facts == f"640 root:{s.USER}"


def test_the_others_do_their_work(operator):
    """By peer authentication, in their sandbox."""
    for name in ("queue", "cleanup"):
        operator.site.start(name)
        unit = operator.machine.show(f"automapost-{name}.service", "Result", "ExecMainStatus",
                                     "ConditionResult")
        assert unit == {"Result": "success", "ExecMainStatus": "0", "ConditionResult": "yes"}


def test_no_on_a_terminal(operator):
    said = operator.setup_on_terminal("no")
    assert "Publish for real from this host? [y/N]" in said
    assert "Nothing is published from this host. When it shall be" in said
    assert operator.timers() == OFF


def test_what_is_off_stays_off_after_a_boot(operator):
    operator.site.db.close()
    operator.machine.reboot()
    operator.site.db = operator.machine.connect(s.DATABASE)
    assert operator.timers() == OFF


def test_yes_on_a_terminal_publishes_what_comes_due(operator):
    operator.machine.run("sh", "-c", f"echo AUTOMAPOST_ALLOW_PRIVATE_HOSTS=yes >>{s.ENV_FILE}")
    with operator.site.receiver_inside(s.w.WebhookReceiver) as fake:
        receiver = operator.site.receiver(s.w.Webhooks(fake))
        account = receiver.account(operator.site)
        operator.site.post(account, text="due before anybody said yes")
        said = operator.setup_on_terminal("y")
        assert "1 post that was due before now" in said
        assert "Publishing from this host is on." in said
        assert operator.timers() == ON
        operator.site.post(account, text="due after that")
        assert fake.wait_until(lambda: fake.deliveries, 75), operator.machine.messages(
            "--unit=automapost-social-media.service")
        operator.site.wait_idle()
        assert receiver.texts() == ["due after that"]
    operator.site.receivers.clear()


def test_a_second_run_asks_nothing(operator):
    said = operator.setup_on_terminal("n")
    assert "[y/N]" not in said and "Publishing from this host is on." in said
    assert operator.timers() == ON


def test_operators_in_and_out_of_the_group(operator):
    machine = operator.machine
    machine.run("useradd", "--groups", s.USER, "alice")
    machine.run("useradd", "bob")
    operator.setup()

    def as_person(name: str, *words: str):
        # as after a new login: with the groups of now
        command = shlex.join(["automapost", *words])
        return machine.run("su", name, "--shell", "/bin/sh", "--command", command, check=False)

    assert as_person("alice", "pause", "social-media-post", "a test").returncode == 0
    assert operator.site.value("SELECT paused_by FROM automapost.job_definitions"
                               " WHERE name = 'social-media-post'") == "alice"
    assert as_person("alice", "resume", "social-media-post").returncode == 0
    assert "Permission denied" in as_person("bob", "jobs").stdout

    machine.run("gpasswd", "--delete", "alice", s.USER)
    assert "Permission denied" in as_person("alice", "jobs").stdout
    operator.setup()
    said = machine.run("psql", "--dbname", s.DATABASE, "--command", "SELECT 1", user="alice",
                       check=False).stdout
    assert "is not permitted to log in" in said


def test_migrate_finds_the_way_back(operator):
    assert "The schema is up to date." in operator.machine.read("automapost", "migrate")
