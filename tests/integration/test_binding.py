# SPDX-License-Identifier: MIT
"""The application is bound by one file of functions, and nothing else holds on to its tables: it
migrates them as it likes, before, after and beside ours, and another application is another file."""

import json
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from harness import app

from . import publishing as p
from . import world as w

from linkedin_fake import LinkedInFake                                      # noqa: E402
from webhook_receiver import DEFAULT_SECRET                                 # noqa: E402

SECOND = Path(__file__).with_name("second-binding.sql")

SECOND_TABLES = """
    CREATE SCHEMA desk;
    CREATE TABLE desk.social_accounts (
        account_id text PRIMARY KEY, member_id text NOT NULL, platform text NOT NULL,
        remote_name text NOT NULL, remote_url text, token text, renewal text,
        token_ends timestamp without time zone);
    CREATE TABLE desk.scheduled_posts (
        post_id text PRIMARY KEY, member_id text NOT NULL, body text NOT NULL, remark text,
        publish_at timestamp without time zone, published_at timestamp without time zone,
        state text NOT NULL DEFAULT 'draft', targets text[] NOT NULL DEFAULT '{}',
        removed boolean NOT NULL DEFAULT false);
"""


def migrate(world, *arguments):
    """What an administrator runs after an upgrade, theirs or ours."""
    done = world.start("automapost", "migrate", *arguments, env={
        "AUTOMAPOST_DATABASE_URL": world.cluster.url(world.dbname)})
    assert done.wait(30) == 0, done.stderr
    return done.stderr


def scale(world):
    world.scale(20, send_deadline="200 ms")
    world.rows("UPDATE automapost.installation SET publish_from = now() - interval '1 day'")


@pytest.fixture
def bare(make_world):
    """A database with nothing in it."""
    return make_world(template="template1")


# Another application


@pytest.fixture
def second(bare):
    bare.rows(SECOND_TABLES)
    # Times without zone must mean the same whatever the database's zone is.
    bare.rows(f"ALTER DATABASE {bare.dbname} SET timezone = 'America/Sao_Paulo'")
    migrate(bare, "--binding", str(SECOND))
    scale(bare)
    bare.reconnect()
    return bare


def second_account(world, account_id, platform, remote, token, **fields):
    columns = {"account_id": account_id, "member_id": "member/1", "platform": platform,
               "remote_name": remote, "token": token, **fields}
    world.rows(f"INSERT INTO desk.social_accounts ({', '.join(columns)})"
               f" VALUES ({', '.join(['%s'] * len(columns))})", list(columns.values()))
    return w.Account(account_id, "member/1", None)


def second_post(world, number, *accounts, remark=None, late=1.0):
    post = w.Post(f"post:{number}", f"post number {number}", remark, accounts)
    due = datetime.now(timezone.utc) - timedelta(seconds=late)
    world.rows("INSERT INTO desk.scheduled_posts (post_id, member_id, body, remark, publish_at,"
               " state, targets) VALUES (%s, 'member/1', %s, %s, %s, 'ready', %s)",
               (post.id, post.text, remark, due.replace(tzinfo=None), [a.id for a in accounts]))
    world.posts.append(post)
    return post


def test_another_file_is_all_it_takes(second):
    """Posts, a comment, an edit, a removal, a refreshed token: all the way with the second one."""
    with w.WebhookReceiver({"/hook": DEFAULT_SECRET}) as hook, LinkedInFake() as fake:
        second.env |= {"AUTOMAPOST_LINKEDIN_URL": fake.url,
                       "AUTOMAPOST_LINKEDIN_AUTH_URL": fake.url,
                       "AUTOMAPOST_LINKEDIN_CLIENT_ID": "client",
                       "AUTOMAPOST_LINKEDIN_CLIENT_SECRET": "secret"}
        fake.add_refresh_token("again", "urn:li:person:one")
        url = hook.url + "/hook"
        webhook = second_account(second, "acc,{1}'", "webhook", url, DEFAULT_SECRET,
                                 remote_url=url)
        linkedin = second_account(second, "acc 2", "linkedin", "one", "ended", renewal="again",
                                  token_ends=datetime(2020, 1, 1))
        both = second_post(second, 1, webhook, linkedin, remark="a remark")
        edited, removed = second_post(second, 2, webhook), second_post(second, 3, webhook)
        future = second_post(second, 4, webhook, late=-3600)
        late = second_post(second, 5, webhook, late=2 * 3600 + 60)
        second.rows("UPDATE desk.scheduled_posts SET body = 'edited' WHERE post_id = %s",
                    (edited.id,))
        second.rows("UPDATE desk.scheduled_posts SET removed = true WHERE post_id = %s",
                    (removed.id,))
        second.settle_down()

        assert sorted(d.payload["data"]["text"] for d in hook.deliveries) == \
            ["a remark", "edited", both.text]
        (post,) = fake.posts
        assert (post["visible_text"], [c["text"] for c in post["comments"]]) == \
            (both.text, ["a remark"])
    states = dict(second.rows("SELECT post_id, state FROM desk.scheduled_posts"))
    assert states == {both.id: "out", edited.id: "out", removed.id: "ready", future.id: "ready",
                      late.id: "ready"}
    # Within a minute of now in UTC: three hours off would be the zone of the database.
    off, = second.rows("SELECT bool_or(abs(extract(epoch FROM published_at"
                       " - (now() AT TIME ZONE 'UTC'))) > 60) FROM desk.scheduled_posts")[0]
    assert off is False
    token, renewal, ends = second.rows("SELECT token, renewal, token_ends - (now() AT TIME ZONE"
                                       " 'UTC') FROM desk.social_accounts"
                                       " WHERE account_id = 'acc 2'")[0]
    assert token.startswith("access-") and renewal == "again"
    assert timedelta(days=59) < ends < timedelta(days=61)
    assert p.publication(second, both) == "sent"
    assert p.publication(second, late) == "missed"


def say_migrate(world, *arguments):
    """What the command says, whatever its exit status."""
    done = world.start("automapost", "migrate", *arguments, env={
        "AUTOMAPOST_DATABASE_URL": world.cluster.url(world.dbname)})
    return done.wait(30), done.stderr


def functions(world):
    return world.rows("SELECT proname, prosrc FROM pg_proc WHERE proname LIKE 'app\\_%'"
                      " AND pronamespace = 'automapost'::regnamespace ORDER BY 1")


def test_another_binding_is_not_replaced_unasked(second):
    """An upgrade migrates without a thought of the binding: it is told, and nothing is changed."""
    bound = functions(second)
    status, said = say_migrate(second)
    assert status == 78
    assert "bound to its application by another file: second-binding.sql" in said
    assert "automapost migrate --binding second-binding.sql" in said
    assert functions(second) == bound
    _, printed = say_migrate(second, "--print")
    psql = [second.cluster.bindir / "psql", "-v", "ON_ERROR_STOP=1", "-q",
            second.cluster.url(second.dbname)]
    done = subprocess.run(psql, input=printed, text=True, capture_output=True, check=False)
    assert done.returncode == 3 and "another file: second-binding.sql" in done.stderr
    assert functions(second) == bound
    rows = json.loads(say_migrate(second, "--status", "--json")[1])
    assert rows[-1]["name"] == "binding second-binding.sql" and rows[-1]["state"] == "applied"

    migrate(second, "--binding", str(SECOND))
    assert functions(second) == bound
    migrate(second, "--binding", "default")
    assert functions(second) != bound
    assert "binding default" in say_migrate(second, "--status")[1]
    migrate(second)


# The application's own migrations


def other_migrations():
    yield "a longer text", 'ALTER TABLE posts ALTER content TYPE varchar(200000)'
    yield "text for an enum", 'ALTER TABLE posts ALTER status DROP DEFAULT, ALTER status TYPE text'
    yield "another state", "ALTER TYPE \"PostStatus\" ADD VALUE 'ARCHIVED'"
    yield "a column more", 'ALTER TABLE posts ADD COLUMN "imageUrl" text DEFAULT \'\''
    yield "a column less", 'ALTER TABLE posts DROP COLUMN "createdAt"'
    yield "another order", """
        CREATE TABLE posts_new AS SELECT status, "deletedAt", id, content, "userId",
            "firstComment", "scheduledTo", "publishedAt", providers, "authProviderIds",
            "updatedAt" FROM posts;
        ALTER TABLE posts_new ALTER id SET DEFAULT gen_random_uuid();
        DROP TABLE posts CASCADE; ALTER TABLE posts_new RENAME TO posts"""


@pytest.mark.parametrize("migration", [pytest.param(text, id=name)
                                       for name, text in other_migrations()])
def test_what_we_read_may_change(world, webhooks, migration):
    """Nothing of ours refuses it; posts of before and of after go out."""
    scale(world)
    account = p.webhook_account(world, webhooks)
    world.rows("SELECT * FROM automapost.pause('social-media-post', 'test')")
    before = world.post(account)
    world.run()
    assert p.delivery(world, before).state == "pending"
    world.rows(migration)
    if "posts_new" in migration:
        migrate(world)          # another table has no grants
    world.rows("SELECT * FROM automapost.resume('social-media-post')")
    world.post(account, comment="a comment")
    world.settle_down()
    world.assert_exactly_once()
    world.assert_told()


def test_a_migration_beside_a_running_tick_waits_for_nothing(world, webhooks):
    scale(world)
    world.rows("UPDATE automapost.engine SET send_deadline = '30 s'")
    hang = webhooks.fake.fault("POST *", "hang-before")
    world.post(p.webhook_account(world, webhooks))
    process = world.tick()
    assert hang.reached.wait(20)
    world.rows("SET lock_timeout = '2 s'")
    world.rows('ALTER TABLE posts ADD COLUMN "imageUrl" text')
    world.rows('ALTER TABLE auth_providers ADD COLUMN "avatar" text')
    hang.release()
    assert process.wait() == 0
    world.settle_down()
    world.assert_exactly_once()
    world.assert_told()


@pytest.mark.parametrize("table, column, definition", [
    ("posts", "firstComment", "text"), ("posts", "authProviderIds", "text[] NOT NULL DEFAULT '{}'"),
    ("auth_providers", "accessToken", "text")])
def test_a_column_that_we_read_is_dropped(world, webhooks, table, column, definition):
    """Their migration is not refused; ours says what is missing, for an operator; posts wait."""
    scale(world)
    account = p.webhook_account(world, webhooks)
    post = world.post(account)
    world.rows(f'CREATE TABLE kept AS SELECT id, "{column}" AS value FROM {table}')
    world.rows(f'ALTER TABLE {table} DROP COLUMN "{column}"')
    said = world.run(status=78).stderr
    assert column in said
    assert webhooks.fake.log == []
    assert p.status(world, post) == "SCHEDULED"
    assert world.value("SELECT count(*) FROM automapost.post_deliveries"
                       " WHERE state <> 'pending'") == 0
    world.rows(f'ALTER TABLE {table} ADD COLUMN "{column}" {definition}')
    world.rows(f'UPDATE {table} t SET "{column}" = k.value FROM kept k WHERE k.id = t.id')
    migrate(world)
    world.settle_down()
    world.assert_exactly_once()


def test_dropped_after_the_post_was_claimed(world, webhooks):
    """Between load and begin: nothing is sent, nothing is lost."""
    scale(world)
    post = world.post(p.webhook_account(world, webhooks))
    process = world.tick(stop_point="prepare")
    process.wait_stopped()
    world.rows('ALTER TABLE posts RENAME COLUMN content TO text')
    process.cont()
    process.wait()
    assert "content" in process.stderr
    assert webhooks.fake.log == []
    world.rows('ALTER TABLE posts RENAME COLUMN text TO content')
    world.rows("SELECT automapost.wake('social-media-post')")
    world.settle_down()
    world.assert_exactly_once()
    assert p.status(world, post) == "SENT"
    world.assert_nothing_running()


def test_the_whole_schema_is_dropped_and_comes_back(world, webhooks):
    """As a reset of the application's database does it, or a restore of an older dump: nothing of
    ours is lost, and what was sent is not sent again."""
    scale(world)
    account = p.webhook_account(world, webhooks)
    sent, waiting = world.post(account), world.post(account, due=w.utc_now() + timedelta(hours=1))
    world.settle_down()
    tables = ("users", "auth_providers", "posts")
    for table in tables:
        world.rows(f"CREATE TABLE automapost.kept_{table} AS SELECT * FROM public.{table}")
    world.rows("ALTER TABLE automapost.kept_posts ALTER status TYPE text")
    counted = """SELECT (SELECT count(*) FROM automapost.post_deliveries),
        (SELECT count(*) FROM automapost.job_queue), (SELECT count(*) FROM automapost.job_executions)"""
    before = world.rows(counted)
    world.rows("DROP SCHEMA public CASCADE")
    assert world.rows(counted) == before
    assert "posts" in world.run(status=78).stderr
    world.rows("CREATE SCHEMA public")
    app.install(world.db)
    world.rows("INSERT INTO users SELECT * FROM automapost.kept_users")
    world.rows("INSERT INTO auth_providers SELECT * FROM automapost.kept_auth_providers")
    names = [row[0] for row in world.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'posts'::regclass AND attnum > 0"
        " AND attname <> 'status' ORDER BY attnum")]
    listed = ", ".join(f'"{name}"' for name in names)
    world.rows(f"INSERT INTO posts ({listed}, status) SELECT {listed}, 'SCHEDULED'"
               " FROM automapost.kept_posts")
    world.run(status=78)        # no right to read them yet
    migrate(world)
    p.update(world, waiting, scheduledTo=w.utc_now())
    world.settle_down()
    world.assert_exactly_once()
    assert [p.status(world, post) for post in (sent, waiting)] == ["SENT", "SENT"]


def test_the_application_s_tables_come_later(bare):
    """Ours first: it says what is missing; then theirs, and once more ours."""
    assert "posts" in migrate(bare)
    assert "posts" in bare.run(status=78).stderr
    app.install(bare.db)
    migrate(bare)
    scale(bare)
    with w.WebhookReceiver() as fake:
        account = bare.receiver(w.Webhooks(fake)).account(bare)
        bare.post(account, comment="a comment")
        bare.settle_down()
        bare.assert_exactly_once()


def test_migrating_again_changes_nothing(world, webhooks):
    scale(world)
    account = p.webhook_account(world, webhooks)
    world.post(account)
    world.settle_down()
    applied = world.rows("SELECT version, checksum, applied_at FROM automapost.schema_migrations")
    for _ in range(2):
        migrate(world)
    assert world.rows("SELECT version, checksum, applied_at"
                      " FROM automapost.schema_migrations") == applied
    world.post(account)
    world.settle_down()
    world.assert_exactly_once()


def test_ids_that_are_none_of_the_application_s(world, webhooks):
    """In a post's accounts, and in a job's payload: harmless to everybody else."""
    scale(world)
    account = p.webhook_account(world, webhooks)
    post = world.post(account)
    odd = ["abc", "", "'; --", "\N{GRINNING FACE}", account.id.upper() + "0", "*", "{a,b}"]
    p.update(world, post, authProviderIds=[*odd, account.id])
    other = world.post(account)
    for payload in ('{"postId": "abc"}', '{"postId": "abc", "authProviderId": "def"}',
                    f'{{"postId": "{post.id}", "authProviderId": "def"}}'):
        world.rows("SELECT * FROM automapost.enqueue('social-media-post', %s)", (payload,))
    world.rows("SELECT * FROM automapost.enqueue('refresh-token', '{\"authProviderId\": \"abc\"}')")
    world.settle_down()
    world.assert_exactly_once()
    odd.remove("")      # is nobody's mistake, and no account
    states = world.rows("SELECT auth_provider_id, state, code FROM automapost.post_deliveries"
                        " WHERE post_id = %s AND state <> 'sent'", (post.id,))
    assert sorted(states) == sorted((name, "failed", "not-your-account") for name in odd)
    assert p.status(world, other) == "SENT"
    ended = world.rows("SELECT DISTINCT status FROM automapost.job_queue"
                       " WHERE payload::text LIKE '%abc%' OR payload::text LIKE '%def%'")
    assert ended == [("cancelled",)]
