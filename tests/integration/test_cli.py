# SPDX-License-Identifier: MIT
"""The command automapost, as a person and a script use it: every verb with good and bad input, its
JSON, what it says when the database is down, unknown or closed to it."""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid

import psycopg2
import pytest

from harness import app
from harness.process import Child, free_port, process_state, wait_readable

from .cli_fixtures import Answer, Command, environment, short_folder, sourced

_numbers = itertools.count(1)
ESCAPE = "\033"


def counts(db) -> tuple:
    return tuple(db.execute("SELECT status, count(*) FROM automapost.job_queue GROUP BY 1 ORDER BY 1"))


# The frame


def test_help_names_every_verb_and_fits_a_terminal(bare):
    text = bare().out
    assert text == bare("--help").out == bare("help").out
    verbs = re.findall(r"^  ([a-z]+) {2,}", text, re.M)
    assert {"status", "why", "jobs", "show", "logs", "held", "enqueue", "retry", "cancel", "wake",
            "resolve", "pause", "resume", "migrate", "config", "dev"} <= set(verbs)
    for verb in verbs:
        own = bare(verb, "--help").out
        assert own.startswith(f"automapost {verb}") and own == bare("help", verb).out
        assert max(map(len, own.splitlines())) <= 80, own
    assert max(map(len, text.splitlines())) <= 80, text


def test_version(bare):
    assert re.fullmatch(r"automapost \d+\.\d+\.\d+\n", bare("--version").out)
    assert bare("jobs", "--version").out == bare("--version").out


def test_unknown_verb_suggests_the_nearest(bare):
    answer = bare("cnacel", status=64)
    assert '"cnacel"' in answer.err and 'did you mean "cancel"?' in answer.err
    answer = bare("xyzzyxyzzy", status=64)
    assert "did you mean" not in answer.err and "HINT: automapost --help" in answer.err


@pytest.mark.parametrize("arguments, said", [
    (["cancel"], "ID is missing"),
    (["cancel", "abcd", "more"], '"more" is one argument too many'),
    (["jobs", "--nonsense"], "--nonsense"),
    (["jobs", "--limit", "0"], "--limit must be a whole number from 1 to 10000"),
    (["jobs", "--limit", "ten"], '"ten"'),
    (["jobs", "--since", "soon"], '"soon" is no time; write 08:00'),
    (["enqueue"], "TYPE"),
    (["enqueue", "chore", "{a:1}"], "the payload is no JSON: {a:1}"),
    (["enqueue", "chore", "[1]"], "must be a JSON object"),
    (["enqueue", "chore", "--priority", "1001"], "--priority"),
    (["enqueue", "chore", "--at", "25:00"], '"25:00"'),
    (["enqueue", "chore", "--on-conflict", "ignore"], '"ignore"'),
    (["pause", "chore"], "a reason is missing"),
    (["pause", "chore", "two", "words"], "put the reason in quotes"),
    (["pause", "--all", "--provider", "x", "why"], "either --all or --provider"),
    (["pause", "--provider", "nowhere", "why"],
     'nothing is sent to a platform "nowhere"; there are linkedin, webhook, bluesky, mastodon'),
    (["pause", "--provider", "linkedln:7", "why"], 'a platform "linkedln"'),
    (["resume"], "a name, --all or --provider is missing"),
    (["resolve", "abcd", "maybe"], 'not "maybe"'),
    (["resolve", "abcd", "not-sent", "--url", "https://x.test"], "--url"),
    (["resolve", "abcd", "sent", "--url", "ftp://x.test"], "https://"),
    (["migrate", "--status", "--print"], "one of"),
    (["dev", "sideways"], '"sideways"'),
    (["dev", "up", "--real"], '"up" has no option --real'),
])
def test_wrong_usage_says_what_is_wrong_and_asks_no_database(bare, arguments, said):
    answer = bare(*arguments, status=64)
    assert said in answer.err and f"automapost {arguments[0]}: " in answer.err
    assert f"HINT: automapost {arguments[0]} --help" in answer.err
    assert answer.out == ""


READING = [["jobs"], ["show", "abcd"], ["logs"], ["held"], ["pause"]]


@pytest.mark.parametrize("arguments", READING)
def test_not_configured(bare, arguments):
    answer = bare(*arguments, status=78)
    assert "AUTOMAPOST_DATABASE_URL is not set" in answer.err and "HINT:" in answer.err


@pytest.mark.parametrize("arguments", READING)
def test_database_down(bare, arguments):
    url = f"postgresql://cli_operator@127.0.0.1:{free_port()}/nothing"
    answer = bare(*arguments, status=75, env={"AUTOMAPOST_DATABASE_URL": url})
    assert "cannot connect to the database" in answer.err and "HINT:" in answer.err


def test_no_such_database_and_no_such_login(cluster, bare):
    for url in (cluster.url("no_such_database"), cluster.url("postgres", "no_such_login")):
        answer = bare("jobs", status=78, env={"AUTOMAPOST_DATABASE_URL": url})
        assert "does not exist" in answer.err


def test_not_migrated(cluster, bare):
    name = cluster.create_database(f"cli_empty_{next(_numbers)}")
    answer = bare("jobs", status=78, env={"AUTOMAPOST_DATABASE_URL": cluster.url(name)})
    assert "automapost migrate" in answer.err
    cluster.drop_database(name)


@pytest.mark.parametrize("arguments", [*READING, ["cancel", "abcd"], ["enqueue", "chore"]])
def test_a_login_without_rights_is_told_who_may_help(db, bare, arguments):
    answer = bare(*arguments, status=78, env={"AUTOMAPOST_DATABASE_URL": db.url("cli_nobody")})
    assert "permission denied" in answer.err and "GRANT automapost_jobs_service" in answer.err


def test_the_operators_login_has_no_right_to_a_table(db, cluster):
    with contextlib.closing(cluster.connect(db.name, "cli_operator")) as connection:
        for table in ("job_queue", "post_deliveries", "job_logs", "rate_limits"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                connection.cursor().execute(f"SELECT FROM automapost.{table}")


def test_the_secret_of_the_database_url_is_never_said(bare):
    answer = bare("jobs", status=78, env={"AUTOMAPOST_DATABASE_URL": "postgres//u:hunter2hunter2@h/d"})
    assert "AUTOMAPOST_DATABASE_URL" in answer.err and "hunter2" not in answer.err


def test_output_that_cannot_be_written_is_no_success(program, db):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([program, "jobs"], stdout=full, stderr=subprocess.PIPE, timeout=60,
                              env=environment(AUTOMAPOST_DATABASE_URL=db.url("cli_operator")),
                              check=False)
    assert done.returncode == 74 and b"cannot write" in done.stderr


# enqueue


def test_enqueue(cli, db):
    before = time.time()
    answer = cli("enqueue", "chore", '{"a": [1, "x"]}', "--priority", "9", "--at", "+2h", "--key", "k",
                 "--max-attempts", "7", "--json").json
    assert answer["was"] == "inserted"
    row = db.execute("SELECT job_type, payload, priority, extract(epoch FROM scheduled_for), job_key,"
                     " max_attempts, status, created_by FROM automapost.job_queue WHERE id = %s",
                     (answer["id"],))[0]
    assert row[:3] == ("chore", {"a": [1, "x"]}, 9)
    assert before + 7199 <= float(row[3]) <= time.time() + 7201
    assert row[4:] == ("k", 7, "pending", "cli_operator")


def test_enqueue_takes_the_payload_from_standard_input(cli, db):
    cli("enqueue", "chore", "-", stdin='{"text": "Grüße\\n"}')
    assert db.value("SELECT payload ->> 'text' FROM automapost.job_queue") == "Grüße\n"


def test_enqueue_conflicts(cli, db):
    first = cli("enqueue", "chore", '{"n": 1}', "--key", "k", "--json").json["id"]
    refused = cli("enqueue", "chore", '{"n": 2}', "--key", "k", status=1)
    assert first in refused.err and "--on-conflict" in refused.err and "=>" not in refused.err
    assert "Kept" in cli("enqueue", "chore", '{"n": 2}', "--key", "k", "--on-conflict", "keep").out
    assert db.execute("SELECT payload FROM automapost.job_queue") == [({"n": 1},)]
    assert "replaced" in cli("enqueue", "chore", '{"n": 2}', "--key", "k", "--on-conflict", "replace").out
    assert db.execute("SELECT id::text, payload FROM automapost.job_queue") == [(first, {"n": 2})]
    assert "rescheduled" in cli("enqueue", "chore", '{"n": 3}', "--key", "k", "--at", "+1h",
                                "--on-conflict", "reschedule").out
    assert db.execute("SELECT payload, scheduled_for > now() + interval '59 min'"
                      " FROM automapost.job_queue") == [({"n": 2}, True)]


def test_enqueue_refused(cli, db):
    answer = cli("enqueue", "nope", status=1)
    assert 'job_type "nope" is not defined' in answer.err and "chore" in answer.err
    answer = cli("enqueue", "social-media-post", "{}", status=1)
    assert '"postId"' in answer.err
    assert counts(db) == ()


# jobs


def test_jobs_lists_what_matters_first(cli, db):
    waits = db.job(scheduled_for="2099-01-01T00:00:00Z")
    sooner = db.job(scheduled_for="2098-01-01T00:00:00Z")
    failed = db.job(status="failed", error_code="broken", error_message="it is broken")
    old = db.job(status="failed", finished_at="2020-01-01T00:00:00Z")
    done = db.job(status="completed")
    listed = [job["id"] for job in cli("jobs", "--json").json]
    assert listed == [sooner, waits, failed]
    everything = [job["id"] for job in cli("jobs", "--all", "--json").json]
    assert everything[:2] == [sooner, waits] and set(everything[2:]) == {failed, old, done}
    text = cli("jobs").out
    assert text.splitlines()[0].split() == ["JOB", "TYPE", "STATUS", "WHEN", "TRIES", "ABOUT"]
    assert sooner[:8] in text and "broken" in text and done[:8] not in text


def test_jobs_filters(cli, db):
    db.job(status="completed")
    failed = db.job(status="failed")
    post = db.delivery("failed", "mastodon")
    old = db.job(status="completed", updated_at="2020-01-01T00:00:00Z")

    def ids(*arguments):
        return {job["id"] for job in cli("jobs", "--json", *arguments).json}

    assert ids("--status", "failed") == {failed, post["job"]}
    assert ids("--type", "social-media-post") == {post["job"]}
    assert ids("--provider", "mastodon") == {post["job"]} and ids("--provider", "linkedin") == set()
    assert ids("--post", post["post"]) == {post["job"]} == ids("--post", post["post"][:8])
    assert ids("--account", post["account"]) == {post["job"]}
    assert ids("--post", str(uuid.uuid4())) == set()
    assert old not in ids("--since", "1h") and old in ids("--all")
    assert len(ids("--all", "--limit", "2")) == 2


def test_jobs_refused(cli):
    answer = cli("jobs", "--status", "done", status=1)
    assert '"done"' in answer.err and "completed" in answer.err
    answer = cli("jobs", "--type", "nope", status=1)
    assert '"nope"' in answer.err and "chore" in answer.err


def test_no_jobs(cli):
    assert cli("jobs").out.startswith("No such jobs")
    assert cli("jobs", "--json").json == []


def test_jobs_survive_a_great_many(cli, db):
    db.execute("INSERT INTO automapost.job_queue (job_type, payload, error_message)"
               " SELECT 'chore', jsonb_build_object('n', n), repeat('x', 5000)"
               " FROM generate_series(1, 3000) n")
    assert len(cli("jobs", "--limit", "3000", "--json").json) == 3000
    assert len(cli("jobs").out.splitlines()) == 51


# show


def test_show(cli, db):
    made = db.delivery("failed")
    execution = db.value(
        "INSERT INTO automapost.job_executions (job_queue_id, status, started_at, finished_at,"
        " duration_ms, error_code, error_message) VALUES (%s, 'failed', now(), now(), 1234,"
        " 'rejected', 'the platform said no') RETURNING id::text", (made["job"],))
    db.execute("INSERT INTO automapost.job_logs (job_execution_id, level, message)"
               " VALUES (%s, 'warn', 'it looked bad')", (execution,))
    answer = cli("show", made["job"], "--json").json
    assert answer["job"]["id"] == made["job"]
    assert answer["delivery"]["id"] == made["delivery"]
    assert "request" not in answer["delivery"]
    assert [x["id"] for x in answer["executions"]] == [execution]
    assert [line["message"] for line in answer["logs"]] == ["it looked bad"]
    text = cli("show", made["job"][:6]).out
    for part in (made["job"], made["delivery"], made["post"], "1.23 s", "rejected: the platform said no",
                 "it looked bad", "failed"):
        assert part in text, part


def test_show_not_found_and_ambiguous(cli, db):
    answer = cli("show", "abcdef", status=1)
    assert "no job has the id abcdef" in answer.err
    answer = cli("show", "xyz!", status=1)
    assert '"xyz!" is no job id' in answer.err
    for tail in "12":
        db.job(id=f"aaaa1111-0000-4000-8000-00000000000{tail}")
    answer = cli("show", "aaaa1111", status=1)
    assert "several jobs begin with aaaa1111" in answer.err
    assert cli("show", "aaaa11110000400080000000000000" + "02", "--json").json["job"]["id"].endswith("2")


def test_text_of_others_does_not_steer_the_terminal(cli, db):
    job = db.job(status="failed", error_message="bad \033[2Jnews\007 of\nothers", error_code="x")
    for arguments in (["show", job], ["jobs"]):
        said = cli.on_terminal(*arguments, env={"NO_COLOR": "1"})
        assert ESCAPE not in said and "\007" not in said


# logs


def add_line(db, job, message, level="info", ago="0 s"):
    db.execute(
        "WITH x AS (INSERT INTO automapost.job_executions (job_queue_id, status) VALUES (%s, 'completed')"
        " RETURNING id) INSERT INTO automapost.job_logs (job_execution_id, level, message, timestamp)"
        " SELECT id, %s, %s, clock_timestamp() - %s::interval FROM x", (job, level, message, ago))


def messages(answer: Answer) -> list:
    return [line["message"] for line in answer.json]


def test_logs(cli, db):
    one, two = db.job(), db.job()
    add_line(db, one, "second", "error", "10 s")
    add_line(db, one, "first", "info", "20 s")
    add_line(db, two, "of another", "warn", "15 s")
    add_line(db, two, "in detail", "debug", "5 s")
    add_line(db, two, "long ago", "error", "3 h")
    assert messages(cli("logs", one, "--json")) == ["first", "second"]
    assert messages(cli("logs", "--json")) == ["first", "of another", "second"]
    assert messages(cli("logs", "--level", "warning", "--json")) == ["of another", "second"]
    assert messages(cli("logs", "--level", "debug", "-n", "1", "--json")) == ["in detail"]
    assert messages(cli("logs", "--since", "4h", "--json"))[0] == "long ago"
    assert messages(cli("logs", two, "--json")) == ["long ago", "of another"]
    text = cli("logs").out
    assert re.search(rf"^\d+ \w+ \d\d:\d\d:\d\d \+00:00 {one[:8]} error second$", text, re.M)
    assert "No lines" in cli("logs", one, "--since", "1s").out
    assert '"loud"' in cli("logs", "--level", "loud", status=1).err


def read_until(stream, text: str, seconds: float = 30) -> str:
    said = b""
    deadline = time.monotonic() + seconds
    while text.encode() not in said:
        assert wait_readable([stream.fileno()], max(0.0, deadline - time.monotonic())), said
        piece = os.read(stream.fileno(), 65536)
        assert piece, f"ended before {text!r}: {said!r}"
        said += piece
    return said.decode()


def test_logs_follow_until_interrupted(cli, db):
    job = db.job()
    add_line(db, job, "before")
    with subprocess.Popen([cli.program, "logs", "-f", job], stdout=subprocess.PIPE,
                          env=environment(**cli.env)) as follow:
        try:
            read_until(follow.stdout, "before")
            add_line(db, job, "while we look")
            read_until(follow.stdout, "while we look")
            # said a minute ago, written now: a job's lines come when it settles
            add_line(db, job, "came late", ago="60 s")
            said = read_until(follow.stdout, "came late")
            assert "before" not in said and "while" not in said
            follow.send_signal(signal.SIGINT)
            assert follow.wait(30) == 0
            assert follow.stdout.read() == b""
        finally:
            follow.kill()


def test_logs_follow_survives_a_lost_connection(cli, db, cluster):
    job = db.job()
    add_line(db, job, "before")
    with subprocess.Popen([cli.program, "logs", "-f", job], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL,
                          env=environment(**cli.env)) as follow:
        try:
            read_until(follow.stdout, "before")
            assert cluster.terminate_backends("automapost") >= 1
            add_line(db, job, "after")
            assert "before" not in read_until(follow.stdout, "after")
        finally:
            follow.terminate()


# retry, cancel, wake


def test_retry(cli, db):
    job = db.job(status="failed", attempts=3, error_code="x")
    assert cli("retry", job[:8], "--json").json == {"job_id": job, "was": "failed"}
    assert db.execute("SELECT status, attempts FROM automapost.job_queue") == [("pending", 0)]
    answer = cli("retry", job, status=1)
    assert "is pending" in answer.err


def test_retry_of_a_late_post_needs_to_be_said(cli, db):
    made = db.delivery("missed")
    db.execute("UPDATE automapost.post_deliveries SET due_at = now() - interval '1 day'")
    answer = cli("retry", made["job"], status=1)
    assert f"automapost retry {made['job']} --late" in answer.err and "=>" not in answer.err
    assert db.value("SELECT state FROM automapost.post_deliveries") == "missed"
    cli("retry", made["job"], "--late")
    assert db.execute("SELECT state, late_allowed FROM automapost.post_deliveries") == [("pending", True)]


def test_retry_of_a_held_post_names_resolve(cli, db):
    made = db.delivery("held")
    answer = cli("retry", made["job"], status=1)
    assert "automapost resolve" in answer.err and "automapost." not in answer.err
    assert db.value("SELECT state FROM automapost.post_deliveries") == "held"


def test_cancel(cli, db):
    job = db.job()
    assert cli("cancel", job[:6]).out == f"Cancelled job {job}.\n"
    assert db.execute("SELECT status, error_message FROM automapost.job_queue") == [
        ("cancelled", "cancelled by cli_operator")]
    done = db.job(status="completed")
    assert "had ended already: completed" in cli("cancel", done).out
    assert db.value("SELECT status FROM automapost.job_queue WHERE id = %s", (done,)) == "completed"


def test_cancel_of_what_runs_is_a_request(cli, db):
    job = db.job(status="running", lease=1, locked_at="now", locked_by="w")
    assert cli("cancel", job, "--json").json["was"] == "requested"
    assert db.value("SELECT cancel_requested_by FROM automapost.job_queue") == "cli_operator"


def test_wake(cli, db):
    one = db.job(scheduled_for="2099-01-01T00:00:00Z")
    db.job(scheduled_for="2099-01-01T00:00:00Z")
    assert cli("wake", one[:8], "--json").json == {"woken": 1}
    assert db.execute("SELECT id::text FROM automapost.job_queue WHERE scheduled_for <= now()") == [(one,)]
    assert "1 job is due now" in cli("wake", "chore").out
    assert "No job waits" in cli("wake", "chore").out
    answer = cli("wake", "nope", status=1)
    assert '"nope"' in answer.err and "job type" in answer.err


# pause, resume


def test_pause_and_resume(cli, db):
    assert cli("pause").out == "Nothing is paused or limited.\n"
    cli("pause", "chore", "it is broken")
    cli("pause", "--provider", "linkedin", "they are down", "--until", "+2h")
    paused = {row["name"]: row for row in cli("pause", "--json").json}
    assert set(paused) == {"chore", "provider:linkedin"}
    assert (paused["chore"]["reason"], paused["chore"]["by"], paused["chore"]["until"]) == (
        "it is broken", "cli_operator", "infinity")
    text = cli("pause").out
    assert "for ever" in text and "in 2 h" in text and "they are down" in text
    assert "was: it is broken" in cli("resume", "chore").out
    assert "chore was not paused" in cli("resume", "chore").out
    cli("resume", "--provider", "linkedin")
    assert cli("pause", "--json").json == []


def test_pause_all(cli, db):
    cli("pause", "--all", "everything stops")
    names = {row["name"] for row in cli("pause", "--json").json}
    assert names == {row[0] for row in db.execute(
        "SELECT name FROM automapost.job_definitions WHERE kind = 'type'")}
    cli("resume", "--all")
    assert cli("pause", "--json").json == []


def test_pause_refused(cli):
    answer = cli("pause", "nope", "why", status=1)
    assert '"nope"' in answer.err and "chore" in answer.err
    assert "reason" in cli("pause", "chore", " ", status=1).err
    assert "until" in cli("pause", "chore", "why", "--until", "-2h", status=1).err
    assert '"nope"' in cli("resume", "nope", status=1).err
    assert "neither paused nor limited" in cli("resume", "--provider", "x", status=1).err
    assert cli("pause", "--json").json == []


# held, resolve


def test_held_and_resolve(cli, db):
    assert cli("held").out == "Nothing waits for a person.\n"
    sent = db.delivery("held", content="The one that went out")
    lost = db.delivery("held", "mastodon", content="The one that did not")
    held = {row["id"]: row for row in cli("held", "--json").json}
    assert set(held) == {sent["delivery"], lost["delivery"]}
    assert held[sent["delivery"]]["text"] == "The one that went out"
    assert held[sent["delivery"]]["account"].startswith("remote-")
    text = cli("held").out
    for part in (sent["delivery"], "The one that did not", "the answer was lost", "automapost resolve"):
        assert part in text, part

    cli("resolve", sent["delivery"], "sent", "--url", "https://linkedin.test/1")
    assert db.execute("SELECT state, url FROM automapost.post_deliveries WHERE id = %s",
                      (sent["delivery"],)) == [("sent", "https://linkedin.test/1")]
    assert cli("resolve", lost["job"][:8], "not-sent", "--json").json["state"] == "pending"
    answer = cli("resolve", sent["delivery"], "not-sent", status=1)
    assert "is sent, not held" in answer.err and "automapost held" in answer.err
    assert db.value("SELECT state FROM automapost.post_deliveries WHERE id = %s",
                    (sent["delivery"],)) == "sent"


# config


def test_config(cli, db, bare):
    answer = cli("config", "--json", env={"AUTOMAPOST_ACTORS": "7",
                                          "AUTOMAPOST_LINKEDIN_CLIENT_SECRET": "hunter2hunter2"}).json
    settings = {row["name"]: row for row in answer["settings"]}
    assert settings["AUTOMAPOST_ACTORS"]["value"] == "7"
    assert settings["AUTOMAPOST_ACTORS"]["origin"] == "environment"
    assert settings["AUTOMAPOST_ACTORS"]["range"] == "1 to 512"
    assert settings["AUTOMAPOST_GRACE_SEC"]["origin"] == "default"
    assert settings["AUTOMAPOST_GRACE_SEC"]["unit"] == "s"
    assert all(row["help"] for row in answer["settings"])
    columns = {row[0] for row in db.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'automapost.engine'::regclass"
        " AND attnum > 0 AND NOT attisdropped AND attname <> 'only_row'")}
    assert {row["name"] for row in answer["engine"]} == columns
    assert [row["name"] for row in answer["engine"] if not row["help"] or not row["default"]] == []


def test_config_never_shows_a_secret(cli):
    for arguments in ([], ["--json"]):
        said = cli("config", *arguments, env={"AUTOMAPOST_LINKEDIN_CLIENT_SECRET": "hunter2hunter2"}).out
        assert "hunter2" not in said and "cli_operator" not in said and "[set]" in said


def test_config_without_database(bare):
    assert "AUTOMAPOST_ACTORS=64" in bare("config").out
    url = f"postgresql://127.0.0.1:{free_port()}/x"
    said = bare("config", env={"AUTOMAPOST_DATABASE_URL": url}).out
    assert "AUTOMAPOST_ACTORS=64" in said and "cannot be asked" in said
    answer = bare("config", status=78, env={"AUTOMAPOST_ACTOR": "1"})
    assert "did you mean AUTOMAPOST_ACTORS" in answer.err
    assert '"0"' in bare("config", status=78, env={"AUTOMAPOST_ACTORS": "0"}).err


# Terminals


TABLES = [["jobs", "--all"], ["pause"], ["config"], ["held"], ["logs"], ["migrate", "--status"]]


def many_things(db) -> str:
    made = db.delivery("held", content="A text that is long enough to be wrapped on any terminal. " * 3)
    db.job(status="failed", error_code="text-too-long", error_message="too long " * 20)
    db.execute("SELECT automapost.pause('chore', 'a reason that is much longer than what fits into the"
               " rest of one line of a terminal', NULL)")
    return made["job"]


@pytest.mark.parametrize("arguments", [*TABLES, ["show"]])
def test_eighty_columns_are_enough(db, program, arguments):
    job = many_things(db)
    cli = Command(program, {"AUTOMAPOST_DATABASE_URL": db.url("postgres")})
    if arguments == ["show"]:
        arguments = ["show", job]
    said = cli.on_terminal(*arguments, env={"NO_COLOR": "1"})
    ids = re.compile(r"\S{60,}|AUTOMAPOST_\S+=")     # what must stay whole to be copied
    wide = [line for line in said.splitlines() if len(line) > 80 and not ids.search(line)]
    assert wide == [], said
    assert "\\x0a" not in said and len(said.splitlines()) >= 2 or arguments == ["logs"]


def test_colour_only_on_a_terminal_and_never_with_no_color(cli, db):
    many_things(db)
    for arguments in (["jobs", "--all"], ["pause"], ["config"]):
        assert ESCAPE in cli.on_terminal(*arguments), arguments
        assert ESCAPE not in cli.on_terminal(*arguments, env={"NO_COLOR": "1"})
        assert ESCAPE not in cli.on_terminal(*arguments, env={"TERM": "dumb"})
        assert ESCAPE not in cli(*arguments).out
        json.loads(cli.on_terminal(*arguments, "--json"))


def test_a_pipe_cuts_nothing(cli, db):
    db.job(status="failed", error_message="a long error " * 30)
    assert "a long error " * 29 in cli("jobs").out


def test_times_are_in_the_terminals_zone(cli, db):
    job = db.job(scheduled_for="2099-07-01T10:00:00Z")
    assert "1 Jul 12:00:00 +02:00" in cli("show", job, env={"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}).out


# migrate


def test_migrate(cluster, program):
    name = cluster.create_database(f"cli_migrate_{next(_numbers)}")
    cli = Command(program, {"AUTOMAPOST_DATABASE_URL": cluster.url(name)})
    assert {row["state"] for row in cli("migrate", "--status", "--json").json} == {"pending"}
    assert "Would apply 0001" in cli("migrate", "--dry-run").out
    assert cluster.execute("SELECT to_regnamespace('automapost')", dbname=name) == [(None,)]
    cli("migrate")
    again = cli("migrate")
    assert "up to date" in again.out and again.err.count("NOTICE") == 0
    assert {row["state"] for row in cli("migrate", "--status", "--json").json} == {"applied"}
    assert "applied" in cli("migrate", "--status").out
    assert "No migration is missing" in cli("migrate", "--dry-run").out
    cluster.drop_database(name)


def test_migrate_refuses_what_it_does_not_know(db, program):
    cli = Command(program, {"AUTOMAPOST_DATABASE_URL": db.url("postgres")})
    db.execute("INSERT INTO automapost.schema_migrations (version, name, checksum)"
               " VALUES (9999, 'from-the-future', 'x')")
    answer = cli("migrate", status=78)
    assert "9999" in answer.err and "from-the-future" in answer.err and "HINT:" in answer.err
    db.execute("DELETE FROM automapost.schema_migrations WHERE version = 9999")
    db.execute("UPDATE automapost.schema_migrations SET checksum = 'y' WHERE version = 1")
    assert "another text" in cli("migrate", status=78).err


def test_migrate_print_is_what_migrate_does(cluster, program, bare):
    name = cluster.create_database(f"cli_print_{next(_numbers)}")
    text = bare("migrate", "--print").out
    for _ in range(2):
        done = subprocess.run([cluster.bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1",
                               cluster.url(name)], input=text, capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    cli = Command(program, {"AUTOMAPOST_DATABASE_URL": cluster.url(name)})
    assert {row["state"] for row in cli("migrate", "--status", "--json").json} == {"applied"}
    cluster.drop_database(name)


def test_migrate_without_rights_says_the_sql_that_helps(cluster, program):
    """The hint is followed to the letter by an administrator, and then it works."""
    name = cluster.create_database(f"cli_rights_{next(_numbers)}")
    login = f"cli_owner_{next(_numbers)}"
    cluster.execute(f"CREATE ROLE {login} LOGIN")
    cluster.execute(f"ALTER SCHEMA public OWNER TO {login}", dbname=name)
    with contextlib.closing(cluster.connect(name, login)) as connection:
        app.install(connection)
    cli = Command(program, {"AUTOMAPOST_DATABASE_URL": cluster.url(name, login)})
    answer = cli("migrate", status=78)
    sql = [line.strip() for line in answer.err.splitlines() if line.startswith("    ")]
    assert len(sql) >= 6, answer.err
    for statement in sql:
        with contextlib.suppress(psycopg2.errors.DuplicateObject):   # "where they are missing"
            cluster.execute(statement, dbname=name)
    cli("migrate")
    assert {row["state"] for row in cli("migrate", "--status", "--json").json} == {"applied"}
    cluster.drop_database(name)


def test_migrate_with_another_binding(cluster, program, tmp_path):
    name = cluster.create_database(f"cli_binding_{next(_numbers)}")
    cli = Command(program, {"AUTOMAPOST_DATABASE_URL": cluster.url(name)})
    for content, said in (("", "empty"), (None, "No such file")):
        path = tmp_path / "binding.sql"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content, encoding="utf-8")
        assert said in cli("migrate", "--binding", path, status=78).err
    path.write_text("SELEC 1;", encoding="utf-8")
    assert "SELEC" in cli("migrate", "--binding", path, status=78).err
    assert "SELEC 1;" in cli("migrate", "--binding", path, "--print").out
    cluster.drop_database(name)


# dev


@pytest.fixture
def dev(program):
    """The command with a home of its own; what it starts is stopped."""
    home = short_folder()
    command = Command(program, {"XDG_DATA_HOME": str(home)})
    command.folder = home / "automapost-jobs" / "dev"
    yield command
    subprocess.run([program, "dev", "down", "--yes"], env=environment(**command.env), timeout=120,
                   capture_output=True, check=False)
    shutil.rmtree(home)


def postmaster(folder) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def test_dev_up_run_down(dev):
    assert "There is no development database" in dev("dev", "status", status=1).out
    up = dev("dev", "up")
    assert "running" in up.out and str(dev.folder) in up.out
    pid = postmaster(dev.folder)
    assert os.stat(f"/proc/{pid}").st_uid != 0      # never as root
    dev("dev", "up")
    assert postmaster(dev.folder) == pid            # twice is as good as once
    status = dev("dev", "status", "--json").json
    assert (status["state"], status["jobs"], status["listen"]) == ("running", 0, None)
    assert status["posts"] > 0

    # no TCP unless it is asked for
    jobs = dev("jobs")
    assert "using the development database" in jobs.err and str(dev.folder) in jobs.err
    url = sourced(dev.folder / "env")["AUTOMAPOST_DATABASE_URL"]
    with contextlib.closing(psycopg2.connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone() == ("",)

    run = Child("dev run", [dev.program, "dev", "run"], dev.folder / "run.log",
                env=environment(**dev.env))
    page = dev.folder / "sandbox" / "index.html"
    deadline = time.monotonic() + 60
    run.wait_until(lambda: page.exists() and "This sample post was due" in page.read_text(), deadline)
    run.wait_until(lambda: "Finished: " in run.output(), deadline)
    assert f"file://{page}" in run.output()
    run.stop(signal.SIGINT, 60)
    assert run.returncode == 0
    sent = dev("jobs", "--all", "--status", "completed", "--json").json
    assert {job["provider"] for job in sent} == {"linkedin", "bluesky", "mastodon"}

    refused = dev("dev", "down", status=1)
    assert "jobs" in refused.err and "--yes" in refused.err
    assert postmaster(dev.folder) == pid
    other = dev.folder / "mine.txt"
    other.write_text("not yours")
    (dev.folder / "run.log").unlink()
    assert "other files" in dev("dev", "down", "--yes").out
    assert other.read_text() == "not yours" and list(dev.folder.iterdir()) == [other]
    assert process_state(pid) in (None, "Z")
    assert "There is no development database" in dev("dev", "down").out


def own_address() -> str:
    """One of this machine's that is not loopback; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError as error:
            pytest.skip(f"this machine has no address but loopback's: {error.strerror}")
        return probe.getsockname()[0]


def test_dev_listens_in_a_container(dev):
    """Where the published port comes in by another address; with the password, as on loopback."""
    port = free_port()
    dev("dev", "up", "--listen", f"0.0.0.0:{port}")
    url = sourced(dev.folder / "application.env")["DATABASE_URL"]
    assert f"@127.0.0.1:{port}/" in url
    outside = url.replace("127.0.0.1", own_address())
    with contextlib.closing(psycopg2.connect(outside)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM posts")
    for stranger in (re.sub(r":[0-9a-f]{32}@", ":wrong@", outside),
                     re.sub(r"automapost_application:[0-9a-f]{32}", "postgres", outside)):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(stranger)
    assert dev("dev", "status", "--json").json["listen"] == f"0.0.0.0:{port}"


def test_dev_listens_for_the_application(dev):
    port = free_port()
    dev("dev", "up")
    up = dev("dev", "up", "--listen", f"127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in up.out
    url = sourced(dev.folder / "application.env")["DATABASE_URL"]
    assert f"@127.0.0.1:{port}/" in url
    with contextlib.closing(psycopg2.connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM posts")
        assert cursor.fetchone()[0] > 0
        cursor.execute("SELECT count(*) FROM automapost.post_publication")
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(re.sub(r":[0-9a-f]{32}@", ":wrong@", url))
    assert dev("jobs", "--json").json == []     # the command goes on knowing the way
    dev("dev", "up")
    assert dev("dev", "status", "--json").json["listen"] == f"127.0.0.1:{port}"


def test_dev_starts_again_what_was_stopped(dev):
    dev("dev", "up")
    pid = postmaster(dev.folder)
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGQUIT)        # as when the machine goes down
    assert wait_readable([pidfd], 30)
    os.close(pidfd)
    assert dev("dev", "status", "--json", status=1).json["state"] == "stopped"
    stopped = dev("jobs", status=75)
    assert 'automapost dev up' in stopped.err
    assert "Started the database" in dev("dev", "up").out


def test_dev_refuses_folders_that_are_not_its_own(dev, tmp_path):
    (tmp_path / "precious").write_text("x")
    answer = dev("dev", "up", "--dir", tmp_path, status=78)
    assert str(tmp_path) in answer.err and "HINT: --dir" in answer.err
    dev("dev", "down", "--yes", "--dir", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    answer = dev("dev", "up", "--dir", "/tmp/" + "x" * 120, status=78)
    assert "too long for a socket" in answer.err
    answer = dev("dev", "up", "--listen", "192.0.2.1:5432", status=64)
    assert "127.0.0.1:PORT" in answer.err
    answer = dev("dev", "psql", status=75)
    assert "automapost dev up" in answer.err


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_dev_run_takes_its_services_with_it(dev, how):
    """Services that stand in for the real ones say how they were told to end."""
    dev("dev", "up")
    beside = short_folder()
    program = beside / "automapost"
    shutil.copy(dev.program, program)
    for name in ("social-media", "queue", "cleanup"):
        service = beside / f"automapost-{name}"
        service.write_text("#!/bin/sh\n"
                           f"trap 'echo told > {beside}/told; exit 0' TERM\n"
                           f"echo $$ > {beside}/pid.new; mv {beside}/pid.new {beside}/pid\n"
                           "while :; do sleep 0.05; done\n")
        service.chmod(0o755)
    run = Child("dev run", [program, "dev", "run"], beside / "run.log", env=environment(**dev.env))
    try:
        run.wait_until((beside / "pid").exists, time.monotonic() + 30)
        pidfd = os.pidfd_open(int((beside / "pid").read_text()))
        run.send(how)
        assert wait_readable([pidfd], 15), "a service outlived automapost dev run"
        os.close(pidfd)
        assert (beside / "told").exists()
        assert run.ended_within(15)
        assert run.returncode == (0 if how == signal.SIGTERM else -signal.SIGKILL)
    finally:
        run.stop(signal.SIGKILL)
        shutil.rmtree(beside)
