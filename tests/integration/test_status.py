# SPDX-License-Identifier: MIT
"""automapost status: each problem is brought about by its cause, is said in the first line and in
the exit status, and goes when the command that is printed with it is typed as it is printed (or,
where a person must decide or a platform recover, when that has happened). What other releases bring about
is in test_releases.py."""

import contextlib
import json
import math
import re
import socket
import subprocess

import pytest

from harness import app
from harness.postgres import Cluster
from linkedin_fake import LinkedInFake

from . import world as w
from .command import administrator, shell

pytestmark = pytest.mark.usefixtures("build")

WELL = "All is well."
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def status(world, env=None, **options):
    said = shell(world, "automapost status", env, **options)
    assert said.stderr == ""
    assert said.seconds < 3
    return said


def assert_said(said, code, line, *problems):
    """The whole verdict, and exactly these problems (regular expressions, in this order)."""
    assert (said.status, said.first_line) == (code, line), said.stdout
    found = list(said.problems)
    assert len(found) == len(problems), said.stdout
    for text, pattern in zip(found, problems):
        assert re.fullmatch(pattern, text), f"{text!r} is not {pattern!r}"


def the_command(said, pattern=""):
    """What is printed with the one problem that matches."""
    found = [command for text, command in said.problems.items() if re.search(pattern, text)]
    assert len(found) == 1, said.stdout
    return found[0]


def assert_well(world, env=None):
    assert_said(status(world, env), 0, WELL)


def until_said(world, first_line, seconds=20):
    """The cause is there; the verdict follows when its time has come."""
    return world.wait_until(lambda: (lambda said: said.first_line == first_line and said)(
        status(world)), seconds, first_line)


def type_it(world, command, env=None, code=0):
    said = shell(world, command, env)
    assert said.status == code, f"{command}: {said}"
    return said


def linkedin(world, **options):
    """A fake of LinkedIn that belongs to the world, and its receiver."""
    fake = LinkedInFake(**options)
    world.env |= {"AUTOMAPOST_LINKEDIN_URL": fake.url, "AUTOMAPOST_LINKEDIN_AUTH_URL": fake.url}
    return fake, world.receiver(w.LinkedIn(fake))


# Nothing is wrong

def test_a_new_database_is_well(world):
    said = status(world)
    assert_said(said, 0, WELL)
    assert "Now          0 due, 0 running\n" in said.stdout
    assert "Next due     nothing is scheduled\n" in said.stdout


def test_what_was_published_and_what_is_to_come_is_counted(world, webhooks):
    account = webhooks.account(world)
    world.post(account)
    world.run()
    world.post(account, due=w.utc_now() + w.timedelta(hours=2, seconds=30))
    said = status(world)
    assert_said(said, 0, WELL)
    assert "Published    1 in the last hour, 1 in the last day\n" in said.stdout
    assert re.search(r"Next due     .* \(in 2 h\)\n", said.stdout)


def test_busy_is_well(world, webhooks):
    """200 posts to a slow receiver, one of them limited, and every question meanwhile says 0."""
    world.scale(20, pace_after="6 s")
    webhooks.fake.delay = 0.4
    accounts = [webhooks.account(world) for _ in range(200)]
    webhooks.fake.fault("POST /hook-7", "answer", 1, status=429, headers={"retry-after": "3600"})
    for account in accounts:
        world.post(account)
    tick = world.tick(env={"AUTOMAPOST_ACTORS": "16"})
    asked = []
    while tick.returncode is None:
        asked.append(status(world))
        assert_said(asked[-1], 0, WELL)
    assert tick.wait() == 0
    running = [int(re.search(r"(\d+) running", said.stdout).group(1)) for said in asked]
    assert sum(n >= 10 for n in running) >= 5, running
    assert_well(world)
    assert world.in_state("sent") == {post.text for post in world.posts} - {world.posts[6].text}


def test_one_account_that_fails_is_no_platform(world, webhooks):
    account = webhooks.account(world)
    webhooks.fake.fault("POST *", "answer", math.inf, status=503)
    world.post(account)
    world.post(account)
    world.run()
    assert world.in_state("sent") == set()
    assert_well(world)


def test_a_platform_that_takes_some_is_not_down(world, webhooks):
    world.post(webhooks.account(world))
    world.run()
    webhooks.fake.fault("POST *", "answer", math.inf, status=503)
    for _ in range(2):
        world.post(webhooks.account(world))
    world.run()
    assert world.in_state("sent") == {world.posts[0].text}
    assert_well(world)


def test_tens_of_thousands_of_due_posts_are_counted_in_time(world, webhooks):
    account = webhooks.account(world)
    world.rows("""
        INSERT INTO posts ("userId", content, "scheduledTo", status, "authProviderIds")
        SELECT %s, 'post ' || i, now(), 'SCHEDULED', ARRAY[%s] FROM generate_series(1, 20000) i;
        SELECT automapost.ensure_deliveries(ARRAY(SELECT id::text FROM posts LIMIT 10000));
        -- As after having published for as many accounts.
        INSERT INTO automapost.limit_keys SELECT 'webhook:' || i, now()
            FROM generate_series(1, 5000) i;
        ANALYZE""", (account.user, account.id))
    said = status(world)                # which looks at the time that it takes
    assert_said(said, 0, WELL)
    assert "Now          20000 due, 0 running\n" in said.stdout


# Cannot tell

def test_no_database_is_configured(world):
    unset = {"AUTOMAPOST_DATABASE_URL": None}
    said = status(world, unset)
    assert_said(said, 3, "Cannot tell: no database is configured.",
                "AUTOMAPOST_DATABASE_URL is not set")
    assert "AUTOMAPOST_DATABASE_URL" in type_it(world, the_command(said), unset).stdout
    assert_well(world)


def test_settings_that_are_refused(world):
    wrong = {"AUTOMAPOST_ACTORS": "many"}
    said = status(world, wrong)
    assert_said(said, 3, "Cannot tell: the settings cannot be used.", "AUTOMAPOST_ACTORS.*")
    assert "AUTOMAPOST_ACTORS" in repr(shell(world, the_command(said), wrong))
    assert_well(world)


def test_the_database_is_down(build, make_world):
    with Cluster() as own:
        w.make_template(own, "template_own", build)
        world = make_world(own, "template_own")
        assert_well(world)
        own.stop()
        said = status(world)
        assert_said(said, 3, "Cannot tell: the database does not answer.",
                    r"cannot connect to the database: .*Connection refused")
        command = the_command(said)
        type_it(world, command, code=2)         # pg_isready: no response
        own.start()
        type_it(world, command)
        assert_well(world)


def test_the_database_hangs(build, make_world):
    with Cluster() as own:
        w.make_template(own, "template_own", build)
        world = make_world(own, "template_own")
        with own.paused():
            said = status(world)
            assert_said(said, 3, "Cannot tell: the database does not answer.",
                        r"connecting: no answer from the database within 2\.5 s")
        assert_well(world)


def test_the_database_is_a_socket_that_never_answers(world):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://a:secret@127.0.0.1:{port}/x"
        said = status(world, {"AUTOMAPOST_DATABASE_URL": url})
        assert_said(said, 3, "Cannot tell: the database does not answer.", "connecting: .*")
        assert 2.4 < said.seconds
        assert the_command(said) == f"pg_isready -h 127.0.0.1 -p {port}"


SLOW_LOOKUP = """
#define _GNU_SOURCE
#include <netdb.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret) {
        (void) node; (void) service; (void) hints; (void) ret;
        sleep(60);
        return EAI_AGAIN;
}
"""


def test_the_name_of_the_database_cannot_be_looked_up(world):
    """A resolver that hangs: libpq looks names up without any deadline."""
    library = world.folder / "slow-lookup.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=SLOW_LOOKUP,
                   text=True, timeout=60, check=True)
    said = status(world, {"AUTOMAPOST_DATABASE_URL": "postgresql://a@db.example/x",
                          "LD_PRELOAD": str(library)})
    assert_said(said, 3, "Cannot tell: the database does not answer.",
                r"no answer within 2\.5 s")
    assert the_command(said) == "pg_isready -h db.example"


def test_the_database_refuses(world):
    world.rows("CREATE ROLE nobody_in_particular LOGIN")
    try:
        login = {"AUTOMAPOST_DATABASE_URL": world.cluster.url(world.dbname,
                                                              "nobody_in_particular")}
        said = status(world, login)
        assert_said(said, 3, "Cannot tell: the database refuses to be asked.",
                    "permission denied for schema automapost")
        type_it(world, the_command(said), login)
        world.rows("GRANT automapost_jobs_service TO nobody_in_particular")
        assert_well(world, login)
    finally:
        world.rows("DROP ROLE nobody_in_particular")


# Posts are not going out

@pytest.mark.parametrize("name", ["social-media", "social-media-post"])
def test_publishing_is_paused(world, webhooks, name):
    world.post(webhooks.account(world))
    type_it(world, f"automapost pause {name} 'it is what \"it\" is'")
    said = status(world)
    assert_said(said, 2, "Posts are not going out: publishing is paused.",
                name + f' is paused by {w.SERVICE_ROLE}: it is what "it" is; since TIME; '
                "1 post of 1 member")
    world.run()
    assert world.seen().total() == 0
    type_it(world, the_command(said))
    assert_well(world)
    world.run()
    world.assert_exactly_once()


def test_publishing_is_paused_and_nothing_is_due(world):
    type_it(world, "automapost pause social-media 'maintenance'")
    said = status(world)
    assert_said(said, 1, "Something waits for a person: something is paused.",
                f"social-media is paused by {w.SERVICE_ROLE}: maintenance; since TIME")
    type_it(world, the_command(said))
    assert_well(world)


def test_a_platform_is_paused(world, webhooks):
    world.post(webhooks.account(world))
    type_it(world, "automapost pause --provider webhook 'they asked us to'")
    world.run()
    said = status(world)
    assert_said(said, 2, "Posts are not going out: a platform or an account is paused.",
                f"webhook is paused by {w.SERVICE_ROLE}: they asked us to; since TIME; "
                "1 post of 1 member")
    type_it(world, the_command(said))
    assert_well(world)
    world.run()
    world.assert_exactly_once()


def test_no_tick_runs(world, webhooks):
    world.scale(20, pace_after="3 s")
    account = webhooks.account(world)
    world.post(account)
    world.post(account)
    assert_well(world)          # due, and it is not yet time to say so
    said = until_said(world, "Posts are not going out: posts are due and nothing is begun.")
    assert_said(said, 2, "Posts are not going out: posts are due and nothing is begun.",
                "2 posts are due and nothing is begun: automapost-social-media does not run, or "
                "it fails; since TIME; 2 posts of 1 member")
    tick = the_command(said)

    # Where somebody paused it, that is the cause, and the only one that is said.
    type_it(world, "automapost pause social-media 'x'")
    said = status(world)
    assert_said(said, 2, "Posts are not going out: publishing is paused.", ".* is paused by .*")
    type_it(world, the_command(said))

    type_it(world, tick)
    assert_well(world)
    world.settle_down()
    world.assert_exactly_once()


def test_posts_wait_too_long(world, webhooks):
    """Something is begun all the time, but there is more to do than one actor can."""
    world.scale(20, pace="0.8 s", pace_after="3 s")
    webhooks.fake.delay = 0.7
    for _ in range(20):
        world.post(webhooks.account(world))
    tick = world.tick(env={"AUTOMAPOST_ACTORS": "1"})
    said = until_said(world, "Posts are not going out: posts wait too long.", 10)
    assert_said(said, 2, "Posts are not going out: posts wait too long.",
                r"\d+ posts? due for longer than 4 s; since TIME; \d+ posts? of \d+ members?")
    # The job it names is the next: it may begin before anybody has typed the command.
    sentence = "automapost-social-media is at work: it follows when a place is free."
    world.wait_until(lambda: sentence in type_it(world, the_command(status(world))).stdout, 10,
                     sentence)
    webhooks.fake.delay = 0
    assert tick.wait() == 0
    assert_well(world)
    world.assert_exactly_once()


def test_a_worker_lapsed(world, webhooks):
    world.scale(20)
    hang = webhooks.fake.fault("POST *", "hang-before", 1)
    world.post(webhooks.account(world))
    tick = world.tick()
    assert hang.reached.wait(20)
    assert_well(world)
    tick.stop()
    first_line = "Posts are not going out: a worker gives no sign of life and holds jobs."
    said = until_said(world, first_line)
    assert_said(said, 2, first_line,
                fr"a worker of social-media on {socket.gethostname()} \(pid {tick.pid}\) gives no "
                "sign of life and holds 1 job; since TIME; 1 post of 1 member")
    type_it(world, the_command(said))
    assert_well(world)
    hang.release()
    tick.cont()
    assert tick.wait() == 0
    world.settle_down()
    world.assert_exactly_once()


def test_a_platform_fails(world, webhooks):
    world.scale(20)
    accounts = [webhooks.account(world) for _ in range(3)]
    webhooks.fake.fault("POST *", "answer", math.inf, status=503)
    for account in accounts:
        world.post(account)
    world.run()
    said = status(world)
    assert_said(said, 2, "Posts are not going out: a whole platform fails.",
                fr"webhook 127\.0\.0\.1:{webhooks.fake.port} takes nothing from 3 accounts: "
                r".*503.*; since TIME; 3 posts of 3 members")
    why = type_it(world, the_command(said))
    assert "503" in why.stdout
    webhooks.fake.clear_faults()
    world.settle_down()
    assert_well(world)
    world.assert_exactly_once()


def test_an_operator_must_act(world):
    """The version of the API that is set has been switched off."""
    fake, receiver = linkedin(world, versions=("202611",))
    with fake:
        world.post(receiver.account(world))
        world.run()
        said = status(world)
        assert_said(said, 2, "Posts are not going out: a platform refuses until an operator acts.",
                    "publishing to LinkedIn needs an operator: .*; since TIME; "
                    "1 post of 1 member")
        why = type_it(world, the_command(said))
        world.env["AUTOMAPOST_LINKEDIN_VERSION"] = "202611"
        type_it(world, why.commands["When that is mended"])
        world.run()
        assert_well(world)
        world.assert_exactly_once()


def test_the_posts_of_many_fail_alike(world, webhooks):
    """A release of the application has written secrets that are none. What nine members do wrong is
    theirs."""
    accounts = [webhooks.account(world) for _ in range(10)]
    world.rows("UPDATE auth_providers SET \"accessToken\" = 'no secret'")
    for account in accounts[:9]:
        world.post(account)
    world.run()
    assert world.value("SELECT count(*) FROM automapost.post_deliveries WHERE state = 'failed'") == 9
    assert_well(world)
    world.post(accounts[9])
    world.run()
    said = status(world)
    assert_said(said, 2, "Posts are not going out: the posts of many members fail alike.",
                r"10 accounts of webhook failed alike within an hour \(account-invalid\), more than went "
                "out: the account has no .*; since TIME; 10 posts of 10 members")
    assert "the account has no" in type_it(world, the_command(said)).stdout
    world.rows(f"UPDATE auth_providers SET \"accessToken\" = '{w.DEFAULT_SECRET}'")
    for failed in json.loads(type_it(world, "automapost jobs --status failed --json").stdout):
        type_it(world, f"automapost retry {failed['id']}")
    world.run()
    assert_well(world)
    world.assert_exactly_once()


def test_the_applications_tables_cannot_be_read(world):
    world.rows("REVOKE SELECT ON posts FROM automapost_jobs_owner")
    world.rows('REVOKE SELECT ("scheduledTo") ON posts FROM automapost_jobs_owner')
    said = status(world)
    assert_said(said, 2, "Posts are not going out: the application's tables cannot be read.",
                "the application's tables cannot be read: permission denied for table posts")
    type_it(world, the_command(said), administrator(world))
    assert_well(world)


def test_the_applications_tables_are_locked(world):
    """A migration of the application's takes long: said in time, and it goes by itself."""
    with world.cluster.connect(world.dbname) as other:
        other.autocommit = False
        other.cursor().execute("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")
        said = status(world)
        assert_said(said, 2, "Posts are not going out: the application's tables cannot be read.",
                    "the application's tables cannot be read: .*lock timeout")
        other.rollback()
    assert_well(world)


def test_a_database_without_our_schema(world):
    empty = world.cluster.create_database(f"{world.dbname}_empty")
    try:
        with contextlib.closing(world.cluster.connect(empty)) as connection:
            app.install(connection)
        env = {"AUTOMAPOST_DATABASE_URL": world.cluster.url(empty)}
        said = status(world, env)
        assert_said(said, 2, "Posts are not going out: this version and the database's schema do "
                    "not fit together.", "the database has schema 0, this binary needs .*")
        command = the_command(said)
        assert command == "automapost migrate"
        type_it(world, command, env)
        assert_well(world, env)
    finally:
        world.cluster.drop_database(empty)


# Something waits for a person

def test_a_delivery_is_held(world):
    """A comment's worker is killed when the platform has it and the answer is on its way: nobody
    can ask LinkedIn for comments."""
    world.scale(20)
    fake, receiver = linkedin(world)
    with fake:
        post = world.post(receiver.account(world), comment="a first comment")
        hang = fake.fault("POST *comments", "hang-after", 1)
        tick = world.tick()
        assert hang.reached.wait(20)
        tick.kill()
        hang.release()
        world.settle_down()
        assert world.in_state("held") == {post.comment}

        said = status(world)
        assert_said(said, 1, "Something waits for a person: somebody must look whether posts "
                    "arrived.", "1 delivery held: sent, but nobody could tell whether it arrived; "
                    "since TIME; 1 post of 1 member")
        assert "a first comment" in type_it(world, the_command(said)).stdout
        why = type_it(world, f"automapost why {post.id}")
        type_it(world, why.commands["If it is there"])
        assert_well(world)
        world.assert_exactly_once()


def test_an_account_must_be_reconnected(world):
    fake, receiver = linkedin(world)
    with fake:
        account = receiver.account(world)
        fake.tokens["token-member-1"].state = "revoked"
        world.post(account)
        world.run()
        said = status(world)
        assert_said(said, 1, "Something waits for a person: members must reconnect accounts.",
                    "1 account to reconnect: LinkedIn refuses the token; since TIME; "
                    "1 post of 1 member")
        why = type_it(world, the_command(said))
        assert "The member must connect the account again" in why.stdout
        # What the application does when the member has been there.
        fake.add_token("token-new", "urn:li:person:member-1", scopes=("w_member_social",))
        world.rows('UPDATE auth_providers SET "accessToken" = %s WHERE id = %s',
                   ("token-new", account.id))
        assert_well(world)


def test_other_jobs_wait_too_long_or_are_paused(world, webhooks):
    """A token is to be refreshed, and nobody does it."""
    world.scale(60)
    account = webhooks.account(world)
    type_it(world, "automapost enqueue refresh-token"
            f" '{{\"authProviderId\": \"{account.id}\"}}'")
    said = until_said(world, "Something waits for a person: jobs other than posts wait too long.")
    assert_said(said, 1, "Something waits for a person: jobs other than posts wait too long.",
                "1 job of type refresh-token due for longer than 5 s; since TIME")
    too_old = the_command(said)

    type_it(world, "automapost pause refresh-token 'for a while'")
    said = status(world)
    assert_said(said, 1, "Something waits for a person: something is paused.",
                f"refresh-token is paused by {w.SERVICE_ROLE}: for a while; since TIME")
    type_it(world, the_command(said))
    type_it(world, too_old)
    assert_well(world)


def test_a_name_that_a_shell_would_take_apart(world):
    name = "it's $HOME; ls"
    world.rows("INSERT INTO automapost.job_definitions (name, handler) VALUES (%s, 'external')",
               (name,))
    world.rows("SELECT automapost.enqueue(%s)", (name,))
    world.rows("SELECT automapost.pause(%s, 'x')", (name,))
    said = status(world)
    assert_said(said, 1, "Something waits for a person: something is paused.",
                re.escape(name) + " is paused by postgres: x; since TIME")
    type_it(world, the_command(said))
    assert_well(world)


def test_the_clock_of_this_host_is_off(world):
    shifted = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+30s"}
    said = status(world, shifted)
    assert_said(said, 1, "Something waits for a person: a clock is off.",
                r"the clock of this host is (29\.\d|30\.0) s ahead of the database's")
    command = the_command(said)
    now = int(w.utc_now().timestamp())
    seen = type_it(world, command + " +%s", shifted).stdout
    assert 25 < int(seen) - now < 60
    assert_well(world)
    said = status(world, {"LD_PRELOAD": FAKETIME, "FAKETIME": "-5s"})
    assert_said(said, 1, "Something waits for a person: a clock is off.",
                r"the clock of this host is (4\.\d|5\.0) s behind the database's")
    assert_well(world, {"LD_PRELOAD": FAKETIME, "FAKETIME": "+1.5s"})


def test_the_clock_of_another_host_is_off(world, webhooks):
    """A worker says where its clock stands; another host is another host name."""
    world.post(webhooks.account(world))
    elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]
    world.run(prefix=[*elsewhere, "env", f"LD_PRELOAD={FAKETIME}", "FAKETIME=-20s"])
    said = status(world)
    assert_said(said, 1, "Something waits for a person: a clock is off.",
                r"the clock of elsewhere is (20\.\d|19\.9) s behind the database's; since TIME")
    world.post(webhooks.account(world))
    world.run(prefix=elsewhere)
    assert_well(world)


# Several

def test_the_worse_of_two_is_the_verdict(world):
    fake, receiver = linkedin(world)
    with fake:
        account = receiver.account(world)
        fake.tokens["token-member-1"].state = "revoked"
        world.post(account)
        world.run()
        world.post(receiver.account(world))
        type_it(world, "automapost pause social-media-post 'look first'")
        said = status(world)
        assert_said(said, 2, "Posts are not going out: publishing is paused.",
                    "social-media-post is paused by .*; 1 post of 1 member",
                    "1 account to reconnect: .*; 1 post of 1 member")
        type_it(world, the_command(said, "paused"))
        assert_said(status(world), 1,
                    "Something waits for a person: members must reconnect accounts.",
                    "1 account to reconnect: .*")


def test_kinds_are_all_that_the_database_names(world):
    """The list is the manual's: nothing that automapost.status() can say is missing in it."""
    listed = set(re.findall(r"^ +\d (\S+) ", shell(world, "automapost status --kinds").stdout,
                            re.M))
    text = (w.TOP / "sql" / "functions" / "status.sql").read_text(encoding="utf-8")
    named = set(re.findall(r"^ +SELECT '([a-z-]+)', ", text, re.M))
    assert len(named) > 10 and named <= listed


def test_json_has_what_the_lines_have(world, webhooks):
    world.post(webhooks.account(world))
    type_it(world, "automapost pause social-media 'x'")
    said = shell(world, "automapost status --json")
    assert said.status == 2
    answer = json.loads(said.stdout)
    assert answer["verdict"] == 2
    assert answer["words"] == "Posts are not going out: publishing is paused."
    problem, = answer["problems"]
    assert (problem["id"], problem["severity"], problem["posts"], problem["members"],
            problem["command"]) == ("publishing-paused", 2, 1, 1,
                                    "automapost resume social-media")
    assert answer["counts"]["due"] == 1
