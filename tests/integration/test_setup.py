# SPDX-License-Identifier: MIT
"""automapost setup, on a machine of its own (machine.py): every way to a working installation, what
it says to a person, and what it leaves alone. What systemd does is tested on a booted machine."""

import contextlib
import itertools
import json
import os
import re
import stat
from datetime import datetime, timedelta, timezone

import pytest

from harness import app

from . import machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root")

_numbers = itertools.count(1)
OUR_ROLES = {"automapost_jobs_app", "automapost_jobs_owner", "automapost_jobs_schedule",
             "automapost_jobs_service"}


@pytest.fixture(scope="module")
def server():
    with machine.server() as running:
        yield running


@pytest.fixture
def m(server, build):
    """A machine with the application's database; the roles of all of them are the server's."""
    made = machine.Machine(server, build.program("automapost"), f"shop_{next(_numbers)}")
    made.make_database()
    yield made
    made.close()
    server.drop_database(made.dbname)
    for (role,) in server.execute("SELECT quote_ident(rolname) FROM pg_roles"
                                  " WHERE rolname <> 'postgres' AND rolname !~ '^pg_'"):
        server.execute(f"DROP ROLE {role}")


def roles(m) -> set:
    return {name for (name,) in m.execute("SELECT rolname::text FROM pg_roles"
                                          " WHERE rolname LIKE 'automapost%'")}


def variables(m) -> dict:
    lines = m.settings.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def works(m) -> None:
    """A service can do its tick with what was written, as the user that it runs as."""
    tick = m.program.parent / "automapost-social-media"
    done = m(user="automapost-jobs", program=tick, env=variables(m))
    assert done.out == ""
    assert m("status").out.startswith("All is well.")


def make_posts(m) -> dict:
    """A member with an account of LinkedIn and one of TikTok, and posts around now."""
    now = datetime.now(timezone.utc)
    with contextlib.closing(m.connect()) as connection:
        member = app.member(connection)
        linkedin = app.account(connection, member, "linkedin", "urn:1", "token")
        app.account(connection, member, "tiktok", "shown", "token")
        expired = app.account(connection, member, "mastodon", "m@example.test", "token", None,
                              now - timedelta(days=1))
        posts = {name: app.post(connection, member, f"post {name}", now + timedelta(minutes=minutes),
                                providers, accounts)
                 for name, minutes, providers, accounts in (
                     ("late", -150, ["linkedin"], []),
                     ("due", -30, ["linkedin"], []),
                     ("soon", 30, [], [linkedin]),
                     ("later", 300, ["linkedin", "tiktok"], []),
                     ("nowhere", 400, ["bluesky"], []),
                     ("expired", 500, [], [expired]))}
    return posts


# A dry run


def test_a_dry_run_shows_all_and_changes_nothing(m):
    make_posts(m)
    m.set_group("alice")
    before = m.dump()
    said = m.setup("--dry-run").out
    assert m.dump() == before
    assert not m.settings.parent.exists()
    for sentence in ("automapost_jobs_owner, _service, _schedule and _app", 'made by "postgres"',
                     '"automapost-jobs", without a password', "logins of their own for alice",
                     "nothing: no table, column, index or trigger", "Nothing was changed"):
        assert sentence in said, said


def test_a_dry_run_needs_neither_root_nor_rights(m):
    m.env.chmod(0o644)
    before = m.dump()
    said = m.setup("--dry-run", user="bob").out
    assert m.dump() == before
    assert f'"{m.dbname}" may make none, so an administrator would be asked to' in said
    again = m.setup("--dry-run", "--json", user="bob").json
    assert again["database"] == m.dbname and again["preview"]["due"] == 0


def test_a_dry_run_of_what_is_there_changes_nothing(m):
    m.setup("--publish")
    before, settings = m.dump(), m.settings.read_text(encoding="utf-8")
    said = m.setup("--dry-run").out
    assert "automapost is there" in said
    assert m.dump() == before and m.settings.read_text(encoding="utf-8") == settings


# The ways


def test_a_server_on_this_machine_by_peer_authentication(m):
    said = m.setup().out
    assert roles(m) == OUR_ROLES | {"automapost-jobs"}
    url = variables(m)["AUTOMAPOST_DATABASE_URL"]
    assert url == (f"postgresql://automapost-jobs@/{m.dbname}?host=%2Fvar%2Frun%2Fpostgresql"
                   f"&port={m.cluster.port}")
    assert variables(m)["AUTOMAPOST_APPLICATION_ENV"] == str(m.env)
    status = m.settings.stat()
    assert stat.S_IMODE(status.st_mode) == 0o640 and status.st_gid == machine.SERVICES
    assert stat.S_IMODE((m.settings.parent / "credentials").stat().st_mode) == 0o700
    assert not m.settings.with_name("automapost-jobs.env.new").exists()
    assert "this is no terminal, and nobody was asked" in said
    # neither the services' login nor the application's may become the owner
    assert m.execute("SELECT r.rolname::text FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.member"
                     " WHERE a.roleid = 'automapost_jobs_owner'::regrole") == []
    assert m.value("SELECT pg_has_role(%s, 'automapost_jobs_app', 'MEMBER')", (m.dbname,))
    works(m)


def test_a_second_run_changes_nothing(m):
    m.setup("--publish")
    before, settings = m.dump(), m.settings.read_text(encoding="utf-8")
    m("setup")      # it knows the .env
    assert m.dump() == before and m.settings.read_text(encoding="utf-8") == settings
    works(m)


def test_lines_of_others_in_the_settings_stay(m):
    m.setup()
    text = m.settings.read_text(encoding="utf-8")
    m.settings.write_text("# ours\nAUTOMAPOST_ACTORS=7\n" + text, encoding="utf-8")
    m.setup()
    assert m.settings.read_text(encoding="utf-8") == "# ours\nAUTOMAPOST_ACTORS=7\n" + text


def test_an_administrator_runs_what_was_printed(m):
    with m.far_away():
        refused = m.setup(status=78).out
        script = re.search(r"^BEGIN;\n.*^COMMIT;\n", refused, re.M | re.S)[0]
        assert "automapost-jobs.env" not in [p.name for p in m.settings.parent.iterdir()]
        pending = m.settings.with_name("automapost-jobs.env.new")
        assert stat.S_IMODE(pending.stat().st_mode) == 0o640
        password = re.search(r":([0-9a-f]{32})@", pending.read_text(encoding="utf-8"))[1]
        assert password not in refused and "PASSWORD 'SCRAM-SHA-256$" in script
        m.execute(script)
        said = m.setup().out
        assert "may not do all of this" not in said
        url = variables(m)["AUTOMAPOST_DATABASE_URL"]
        assert url == (f"postgresql://automapost-jobs:{password}@localhost:{m.cluster.port}/"
                       f"{m.dbname}")
        assert not pending.exists()
        works(m)


def test_the_same_in_json(m):
    with m.far_away():
        answer = m.setup("--json", status=78).json
        m.execute(answer["sql"])
        assert answer["then"] == f"sudo automapost setup --env {m.env}"
        assert m.setup("--json").json["publishing"] is False
        works(m)


def test_an_administrator_by_url_over_tcp(m):
    m.execute("CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'b@ss'")
    url = f"postgresql://boss:b%40ss@localhost:{m.cluster.port}/postgres"
    with m.far_away():
        said = m.setup("--admin-url", url).out
        assert 'Made the roles, as "boss".' in said
        works(m)
        said = m("setup").out       # not needed any more …
        assert f'is left as it is: "{m.dbname}" may not renew it' in said
    with m.far_away():      # … but for what only it may do
        assert f'"{m.dbname}" lacks a right' in m("migrate", status=78).err


def test_an_administrator_who_is_none_or_of_another_server(m):
    with m.far_away():
        url = f"postgresql://{m.dbname}:a%20p%40ss%2Fword@localhost:{m.cluster.port}/"
        assert "may not create roles either" in m.setup("--admin-url", url, status=78).err
        assert "--admin-url: cannot connect" in m.setup("--admin-url", url.replace("word", "x"),
                                                        status=78).err
    with machine.Cluster() as other:
        said = m.setup("--admin-url", other.url(m.dbname), status=78).err
        assert "does not exist" in said
        other.create_database(m.dbname)
        said = m.setup("--admin-url", other.url(), status=78).err
        assert "leads to another server" in said
    assert roles(m) == set()


def test_a_login_that_may_create_roles(m):
    m.execute(f"ALTER ROLE {m.dbname} CREATEROLE")
    with m.far_away():
        said = m.setup().out
        assert f'Made the roles, as "{m.dbname}".' in said
        works(m)
        assert "The schema is up to date." in m("migrate").out


def test_tables_of_another_role(m):
    m.execute("CREATE ROLE tables_owner")
    for table in ("posts", "auth_providers"):
        m.execute(f"ALTER TABLE {table} OWNER TO tables_owner")
        m.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {m.dbname}")
    with m.far_away():
        script = m.setup("--json", status=78).json["sql"]
        assert "ON public.posts TO automapost_jobs_owner" in script
        m.execute(script)
        done = m.setup()
        works(m)
    m.execute(f"DROP SCHEMA automapost CASCADE; DROP OWNED BY {', '.join(OUR_ROLES)};"
              f" REASSIGN OWNED BY tables_owner TO postgres")
    assert done.err == ""


def test_a_server_that_does_not_ask_the_kernel(m):
    """No line of pg_hba.conf for peer: the login gets a password, and nobody is asked."""
    with m.cluster_hba(machine.HBA.replace("local all all peer\n", "")):
        m.setup()
        assert re.search(r"automapost-jobs:[0-9a-f]{32}@localhost",
                         variables(m)["AUTOMAPOST_DATABASE_URL"])
        works(m)


def test_a_further_host_gets_a_login_of_its_own(m):
    m.execute("CREATE ROLE \"automapost-jobs\" LOGIN PASSWORD 'of the first host';"
              " COMMENT ON ROLE \"automapost-jobs\" IS 'automapost-jobs: the services on elsewhere'")
    verifier = m.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'automapost-jobs'")
    m.execute(f"ALTER ROLE {m.dbname} CREATEROLE")
    with m.far_away():
        m.setup()
        works(m)
    assert m.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'automapost-jobs'") == verifier
    ours = re.search(r"//(automapost-jobs-[^:]+-[0-9a-f]{8}):", variables(m)["AUTOMAPOST_DATABASE_URL"])[1]
    assert ours in roles(m)


# Installations and hosts


def test_a_further_host_joins(m, build):
    m.setup("--publish")
    installation = str(m.value("SELECT id FROM automapost.installation"))
    other = machine.Machine(m.cluster, m.program, m.dbname)
    try:
        refused = other.setup(status=78).err
        assert f"this machine is no host of installation {installation}" in refused
        assert f"sudo automapost setup --join {installation}" in refused
        assert not other.settings.exists()
        wrong = "00000000-0000-4000-8000-000000000000"
        assert installation in other.setup("--join", wrong, status=1).err
        assert not other.settings.exists()
        assert installation in other.setup("--join", installation).out
        works(other)
        other("setup")      # it stays one
        works(m)
    finally:
        other.close()


def test_a_copy_is_taken_over(m):
    m.setup("--publish")
    copy = m.cluster.create_database(f"{m.dbname}_copy", m.dbname)
    m.write_env(f"DATABASE_URL={m.url()}\n".replace(f"/{m.dbname}?", f"/{copy}?"))
    before = m.settings.read_text(encoding="utf-8")
    try:
        refused = m.setup("--publish", status=78).err
        assert "this database is a copy" in refused and "sudo automapost setup --adopt" in refused
        assert m.settings.read_text(encoding="utf-8") == before
        said = m.setup("--adopt").out
        assert "what was due until now, and may be out, is held" in said
        assert f"/{copy}?" in m.settings.read_text(encoding="utf-8")
    finally:
        m.cluster.drop_database(copy)


# One role


def test_a_single_role(m):
    m.set_group("alice")
    with m.far_away():
        said = m.setup("--single-role").out
        assert f'"{m.dbname}" for all, which costs what four roles keep apart' in said.replace("\n", " ")
        assert roles(m) == set()
        works(m)
        assert m.value("SELECT nspowner::regrole::text FROM pg_namespace"
                       " WHERE nspname = 'automapost'") == m.dbname
        # it stays so, whoever migrates, and what is the application's stays as it was
        m("setup")
        assert "The schema is up to date." in m("migrate").out
    m("migrate")
    assert roles(m) == set()
    assert m.execute("SELECT FROM pg_default_acl") == []
    # nobody else may call what is ours
    assert m.execute("SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'automapost'::regnamespace"
                     " AND has_function_privilege('public', p.oid, 'EXECUTE')") == []


@pytest.mark.parametrize("name", ["Odd-Shop", "shop.de", "shop owner"])
def test_a_single_role_of_any_name(m, name):
    m.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'a p@ss/word'; GRANT {m.dbname} TO \"{name}\";"
              f" ALTER DATABASE {m.dbname} OWNER TO \"{name}\"")
    m.write_env(f"DATABASE_URL={m.url(name.replace(' ', '%20'))}")
    with m.far_away():
        m.setup("--single-role")
        works(m)
    m.execute(f"DROP SCHEMA automapost CASCADE; ALTER DATABASE {m.dbname} OWNER TO {m.dbname}")


def test_a_single_role_without_the_right_to_a_schema(m):
    m.execute(f"ALTER DATABASE {m.dbname} OWNER TO postgres")
    with m.far_away():
        said = m.setup("--single-role", status=78).err
    assert f"GRANT CREATE ON DATABASE \"{m.dbname}\" TO \"{m.dbname}\"" in said
    assert m.value("SELECT to_regnamespace('automapost') IS NULL")


# Who may use the command


def test_operators_come_in_under_their_names(m):
    m.set_group("alice")
    assert "alice, of the group automapost-jobs" in m.setup().out
    m("pause", "social-media-post", "a test", user="alice")
    assert m.value("SELECT paused_by FROM automapost.job_definitions"
                   " WHERE name = 'social-media-post'") == "alice"
    m("resume", "social-media-post")        # root is the services' login

    assert "Permission denied" in m("jobs", user="bob", status=78).err
    m.set_group("bob")
    assert "sudo automapost setup makes the login" in m("jobs", user="bob", status=78).err
    m("setup")
    m("jobs", user="bob")
    m.set_group("alice", "bob")     # alice reads the file again, and the server knows her no more
    assert "is not permitted to log in" in m("jobs", user="alice", status=78).err
    m("setup")
    m("jobs", user="alice")


def test_a_role_that_was_there_stays_whose_it_is(m):
    m.execute("CREATE ROLE alice NOLOGIN; COMMENT ON ROLE alice IS 'hers'")
    m.set_group("alice")
    m.setup()
    assert m.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'alice'") is False
    assert m.value("SELECT pg_has_role('alice', 'automapost_jobs_service', 'MEMBER')")


# Publishing


def test_what_publishing_would_do(m):
    make_posts(m)
    preview = m.setup("--json").json["preview"]
    assert {name: preview[name] for name in ("due", "soon", "later", "before", "late")} == {
        "due": 0, "soon": 1, "later": 3, "before": 1, "late": 1}
    assert preview["platforms"] == [
        {"provider": "linkedin", "due": 0, "soon": 1, "later": 1, "accounts": 1}]
    assert [(e["provider"], e["account"], e["text"]) for e in preview["examples"]] == [
        ("linkedin", "urn:1", "post soon"), ("linkedin", "urn:1", "post later")]
    assert [(f["provider"], f["code"], f["posts"]) for f in preview["failing"]] == [
        ("bluesky", "no-account", 1), ("mastodon", "reconnect-account", 1),
        ("tiktok", "unsupported-platform", 1)]
    said = m.setup("--catch-up", "1h").out
    assert re.search(r"^At once +1 post$", said, re.M) and "--catch-up" not in said
    assert re.search(r"^shown +tiktok +1 nothing can be published to this platform yet$", said, re.M)


def test_accounts_are_chosen_as_the_engine_chooses_them(m):
    """The two queries agree on every combination of platforms and accounts."""
    now = datetime.now(timezone.utc)
    with contextlib.closing(m.connect()) as connection:
        member, other = app.member(connection), app.member(connection)
        own = [app.account(connection, member, provider, f"{provider}-{n}", "token")
               for provider in ("linkedin", "mastodon") for n in (1, 2)]
        foreign = app.account(connection, other, "linkedin", "foreign", "token")
        gone = "00000000-0000-4000-8000-000000000000"
        platforms = ([], ["linkedin"], ["linkedin", "mastodon"], ["bluesky"], [""])
        accounts = ([], [own[0]], [own[0], own[0]], [own[0], own[2]], [foreign], [gone],
                    [gone, own[3]], ["no uuid"], [""])
        for p, a in itertools.product(platforms, accounts):
            app.post(connection, member, "text", now - timedelta(minutes=1), p, a)
    m.setup("--publish", "--catch-up", "1h")
    engine = m.execute("""
        SELECT coalesce(nullif(t.provider, ''), '-'), coalesce(t.code, 'published'), count(*)
        FROM automapost.post_targets(ARRAY(SELECT id::text FROM posts)) t
        GROUP BY 1, 2 ORDER BY 1, 2""")
    preview = m.setup("--json").json["preview"]
    ours = [(p["provider"], "published", p["due"]) for p in preview["platforms"]]
    failing: dict = {}
    for f in preview["failing"]:
        key = (f["provider"] or "-", f["code"])
        failing[key] = failing.get(key, 0) + f["posts"]
    ours += [(*key, n) for key, n in failing.items()]
    assert sorted(ours) == sorted(engine)


def publish_from(m):
    return m.value("SELECT publish_from FROM automapost.installation")


def test_the_first_start_publishes_nothing_that_was_due_before(m):
    posts = make_posts(m)
    m.setup()
    m.execute("UPDATE automapost.installation SET publish_from = now() - interval '1 hour'")
    m("setup", "--publish")     # an hour after the schema was made
    assert m.value("SELECT count(*) FROM automapost.app_due_posts(%s, now())", (publish_from(m),)) == 0
    # switched on once more it moves nothing; what is to be caught up is said
    before = publish_from(m)
    m("setup", "--publish")
    assert publish_from(m) == before
    m("setup", "--publish", "--catch-up", "1h")
    assert m.execute("SELECT post_id FROM automapost.app_due_posts(%s, now())",
                     (publish_from(m),)) == [(posts["due"],)]


def test_catch_up_ends_where_posts_are_too_late(m):
    m.setup()
    before = publish_from(m)
    said = m("setup", "--publish", "--catch-up", "3h", status=78).err
    assert "--catch-up reaches back 2 h at most" in said
    assert publish_from(m) == before


@pytest.mark.parametrize("answer", ["n", "", "no", "perhaps"])
def test_no_is_no(m, answer):
    said = m.setup_on_terminal(answer)
    assert said.count("Publish for real from this host? [y/N]") == 1
    assert "Nothing is published from this host. When it shall be" in said
    assert m.value("SELECT publishing_since FROM automapost.installation") is None


@pytest.mark.parametrize("answer", ["y", "Yes"])
def test_yes_is_yes(m, answer):
    said = m.setup_on_terminal(answer)
    assert "Posts are published as soon as something starts automapost-social-media" in said
    assert m.value("SELECT publishing_since IS NOT NULL FROM automapost.installation")


# Who publishes already

PLAN = "* * * * * node /var/www/automapost/scripts/social-media-scheduler.js >> /var/log/x 2>&1"


def test_workers_of_the_plan(m):
    (m.folder / "cron" / "crontabs").mkdir(parents=True)
    (m.folder / "cron" / "crontabs" / "alice").write_text(f"# {PLAN}\n{PLAN}\n", encoding="utf-8")
    (m.etc / "cron.d").mkdir()
    (m.etc / "cron.d" / "automapost-jobs").write_text(
        "0 2 * * * root node /srv/scripts/analytics.js\n0 3 * * * root node /srv/other.js\n"
        "0 4 * * * root echo social-media-scheduling\n", encoding="utf-8")
    dump = [{"name": "job-worker", "pm_exec_path": "/srv/workers/job-processor.js"},
            {"name": "automapost-app", "pm_exec_path": "/usr/bin/yarn"}]
    m.home("bob").joinpath(".pm2").mkdir(parents=True)
    m.home("bob").joinpath(".pm2", "dump.pm2").write_text(json.dumps(dump), encoding="utf-8")
    found = {w["where"]: w for w in m.setup("--json").json["otherWorkers"]
             if "process" not in w["where"]}
    assert {where: w["publishes"] for where, w in found.items()} == {
        "/var/spool/cron/crontabs/alice": True, "/etc/cron.d/automapost-jobs": False,
        str(m.home("bob") / ".pm2" / "dump.pm2"): True}
    assert found["/var/spool/cron/crontabs/alice"]["what"] == PLAN
    said = m("setup").out
    assert "sudo -u bob pm2 delete job-worker && sudo -u bob pm2 save" in said
    assert "posts would be published twice" in said


def test_a_running_worker(m):
    script = m.folder / "job-processor.js"
    script.write_text("process.stdin.resume()\n", encoding="ascii")
    node = machine.fake_node(m.folder)
    with machine.running([node, script]) as pid:
        found = m.setup("--json").json["otherWorkers"]
        assert [w["where"] for w in found if w["where"] == f"process {pid}"], found


def test_a_unit_that_hides_ours(m):
    unit = m.etc / "systemd" / "system" / "automapost-social-media.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/usr/bin/node /srv/scripts/social-media-scheduler.js\n",
                    encoding="ascii")
    said = m.setup("--publish", status=78).err
    assert f"/etc/systemd/system/{unit.name} stands in the way" in said
    assert m.value("SELECT publishing_since FROM automapost.installation") is None
    unit.unlink()
    m.setup("--publish")


def test_a_queue_of_the_application(m):
    m.execute(f"SET ROLE {m.dbname};"
              " CREATE TABLE job_queue (id int, job_type text, status varchar(50), locked_by text,"
              " locked_at timestamp);"
              " INSERT INTO job_queue VALUES (1, 'x', 'running', 'worker-1', now()),"
              " (2, 'x', 'pending', NULL, NULL), (3, 'x', 'completed', 'worker-0', now())")
    said = m.setup().out
    assert re.search(r"1 job locked by worker-1, last .*: a worker of it still runs", said)
    assert "1 job that nobody has locked" in said and "worker-0" not in said


# What is wrong


@pytest.mark.parametrize("text, said", [
    ("FOO=1\n", "names no database\nHINT: it needs a line like DATABASE_URL="),
    ("DATABASE_URL=\n", "names no database"),
    ("DATABASE_URL=mysql://u:secret@h/x\n", 'begins with "mysql"'),
    ("DATABASE_URL=prisma+postgres://h/?api_key=secret\n", "or a DIRECT_URL of that kind beside it"),
    ("DATABASE_URL=postgresql://u:secret@h#x/x\n", "outside of quotes a # ends it"),
    ("DATABASE_URL='postgresql://u:sec%ret@h/x'\n", "is no URL that libpq understands"),
    ("DATABASE_URL=postgresql://${DB_USER}@h/x\n", "needs ${DB_USER}, which the file does not"),
    ("DATABASE_URL=postgresql://u:secret@127.0.0.1:1/x\n", "is PostgreSQL running"),
])
def test_a_env_that_leads_nowhere(m, text, said):
    m.write_env(text)
    refused = m.setup(status=75 if ":1/" in text else 78).err
    assert said in refused and str(m.env) in refused and "secret" not in refused
    assert not m.settings.parent.exists() and roles(m) == set()


def test_a_direct_url_is_preferred(m):
    m.write_env(f"DATABASE_URL=postgresql://u:p@127.0.0.1:1/x\nexport DIRECT_URL=\"{m.url()}\"\n")
    assert m.setup("--dry-run", "--json").json["variable"] == "DIRECT_URL"


def test_wrong_passwords_and_databases(m):
    m.write_env(f"DATABASE_URL={m.url().replace('word', 'wrong')}\n")
    assert "password authentication failed" in m.setup(status=78).err
    m.write_env(f"DATABASE_URL={m.url()}\n".replace(f"/{m.dbname}?", "/nowhere?"))
    assert 'database "nowhere" does not exist' in m.setup(status=78).err


def test_tables_that_are_not_the_applications(m):
    m.execute('ALTER TABLE posts DROP COLUMN "scheduledTo", DROP COLUMN status;'
              " ALTER TABLE auth_providers RENAME TO accounts")
    said = m.setup(status=78).err
    assert ('public.auth_providers is not there; public.posts lacks the columns "scheduledTo", "status"'
            in said)
    m.write_env(f"DATABASE_URL={m.url().replace('schema=public', 'schema=shop')}\n")
    assert "schema=shop" in m.setup(status=78).err
    assert roles(m) == set() and not m.settings.parent.exists()


def test_nobody_but_root(m):
    assert "only root can set this machine up" in m.setup(user="bob", status=78).err


def test_no_env_anywhere(m):
    assert "automapost setup --env FILE" in m("setup", status=78).err
    assert "cannot read /nowhere/.env" in m("setup", "--env", "/nowhere/.env", status=78).err


def test_what_a_run_left_undone_a_second_one_does(m):
    m.setup("--publish")
    mask = r"\d{4}-\d\d-\d\d [0-9:.+]+"
    whole = re.sub(mask, "", m.dump())
    m.settings.unlink()
    m.execute('ALTER ROLE "automapost-jobs" NOLOGIN;'
              ' REVOKE automapost_jobs_service FROM "automapost-jobs";'
              f" REVOKE automapost_jobs_app FROM {m.dbname};"
              " DROP FUNCTION automapost.tick(text, text[]) CASCADE")
    m.setup("--publish")
    assert re.sub(mask, "", m.dump()) == whole
    works(m)


def test_options_that_do_not_go_together(m):
    for options, said in ((["--dry-run", "--publish"], "--dry-run changes nothing"),
                          (["--join", "x", "--adopt"], "one of the two"),
                          (["--catch-up", "soon"], '"soon" is no time')):
        assert said in m.setup(*options, status=64).err
    assert roles(m) == set()
