# SPDX-License-Identifier: MIT
"""automapost why: every state that a job and its delivery can be in, brought about by what brings
it about, and said in a sentence that names the cause, the time and what to do. The commands that
come with a sentence are typed as they are printed."""

import json
import re
import socket
import uuid

import psycopg2
import pytest

from linkedin_fake import LinkedInFake

from . import world as w
from .command import shell

HOST = re.escape(socket.gethostname())
NOW = "Nothing to do."
SUBJECT = r"Job [0-9a-f]{8}… \(post [0-9a-f]{8}… to webhook account [0-9a-f]{8}…\)"
LINKEDIN = (r"Job [0-9a-f]{8}… \((?:first comment of )?post [0-9a-f]{8}… to LinkedIn account "
            r"[0-9a-f]{8}…\)")
ERROR = r".+"
# What people write is no placeholder, and nothing is filled into it.
NO_PLACEHOLDERS = "{why} and {@since} 100%"


def why(world, id_, reason, *sentences):
    """What is said of id_: the sentence of each row, and the reason of the last."""
    said = shell(world, f"automapost why {id_}")
    assert said.status == 0, said
    assert said.stderr == ""
    assert len(said.sentences) == len(sentences), said.stdout
    for text, pattern in zip(said.sentences, sentences):
        assert re.fullmatch(pattern, text), f"{text!r} is not {pattern!r}"
    rows = json.loads(shell(world, f"automapost why --json {id_}").stdout)
    assert rows[-1]["reason"] == reason
    for row in rows:                    # for the application: nothing is left to be filled in
        text = row["sentence"].replace(NO_PLACEHOLDERS, "")
        assert text and "{" not in text and " - " not in text
    return said


def type_it(world, command, code=0):
    said = shell(world, command)
    assert said.status == code, f"{command}: {said}"
    return said


def enqueue(world, job_type, payload=None, **arguments):
    names = ", ".join(["%s", "%s", *(f"{name} => %s" for name in arguments)])
    return world.value(f"SELECT id FROM automapost.enqueue({names})",
                       (job_type, json.dumps(payload or {}), *arguments.values()))


def define(world, name, **columns):
    """A type of the application's own, as a row of the definitions."""
    columns = {"name": name, "kind": "type", **columns}
    world.rows(f"INSERT INTO automapost.job_definitions ({', '.join(columns)})"
               f" VALUES ({', '.join(['%s'] * len(columns))})", tuple(columns.values()))
    return name


def job_of(world, post, kind="post"):
    return world.value("SELECT job_id::text FROM automapost.post_deliveries"
                       " WHERE post_id = %s AND kind = %s", (post.id, kind))


@pytest.fixture
def linkedin(world):
    with LinkedInFake() as fake:
        world.env |= {"AUTOMAPOST_LINKEDIN_URL": fake.url,
                      "AUTOMAPOST_LINKEDIN_AUTH_URL": fake.url}
        yield world.receiver(w.LinkedIn(fake))


# Posts that nobody has collected

def test_a_post_that_is_not_due(world, webhooks):
    post = world.post(webhooks.account(world), due=w.utc_now() + w.timedelta(hours=1))
    why(world, post.id, "future", f"Post {post.id[:8]}… is due TIME. {NOW}")


@pytest.mark.parametrize("change, reason, sentence", [
    ("status = 'DRAFT'", "not-scheduled",
     "is DRAFT, not SCHEDULED: nothing is published of it until it is."),
    ("status = 'SENT'", "sent-elsewhere", "is SENT already, and nothing is known of how: .*"),
    ('"deletedAt" = now()', "deleted", "was deleted TIME: nothing is published of it."),
    ('"scheduledTo" = NULL', "no-time",
     "is SCHEDULED without a time: nothing is published of it until it has one."),
    ("\"scheduledTo\" = now() - interval '3 hours'", "late",
     "was due TIME and is past its late limit: the next run of automapost-cleanup says that it is "
     "missed."),
    ("\"scheduledTo\" = now() - interval '3 days'", "before-publishing",
     r"was due TIME, before publishing began here \(TIME\): it is not published\. Give it a new "
     r"time\."),
])
def test_a_post_of_which_nothing_is_published(world, webhooks, change, reason, sentence):
    post = world.post(webhooks.account(world))
    world.rows(f"UPDATE posts SET {change} WHERE id = %s", (post.id,))
    why(world, post.id, reason, f"Post {post.id[:8]}… {sentence}")


def test_a_post_that_is_due_and_then_nobody_comes(world, webhooks):
    world.scale(20, pace_after="2 s")
    post = world.post(webhooks.account(world))
    why(world, post.id, "due", f"Post {post.id[:8]}… is due since TIME: the next tick of "
        f"automapost-social-media takes it, within a minute. {NOW}")
    type_it(world, f"automapost pause social-media '{NO_PLACEHOLDERS}' --until +1h")
    said = why(world, post.id, "service-paused", f"Post {post.id[:8]}… is due since TIME and "
               f"waits: the service social-media is paused by {w.SERVICE_ROLE} since TIME, until "
               f"TIME: {re.escape(NO_PLACEHOLDERS)}\\. Past TIME it is missed\\.")
    type_it(world, said.commands["To go on"])
    world.wait_until(lambda: "To run it" in shell(world, f"automapost why {post.id}").commands)
    said = why(world, post.id, "no-worker", f"Post {post.id[:8]}… is due since TIME, and nobody "
               "has looked: automapost-social-media does not run, or it fails. Past TIME it is "
               "missed.")
    type_it(world, said.commands["To run it"])
    why(world, post.id, "sent", f"{SUBJECT} is published since TIME: http://.*")


# Jobs that wait

def test_a_job_in_the_future_and_its_cancellation(world):
    job = enqueue(world, "refresh-token", {"authProviderId": "a-1"},
                  scheduled_for=w.utc_now() + w.timedelta(hours=3))
    it = fr"Job {job[:8]}… \(refresh-token of account a-1\)"
    said = why(world, job[:8], "future", f"{it} is due TIME. {NOW}")
    type_it(world, said.commands["To stop"])
    said = why(world, job, "cancelled",
               f"{it} was cancelled TIME: cancelled by {w.SERVICE_ROLE}\\.")
    type_it(world, said.commands["To try again"])
    why(world, job, "due", f"{it} is due since TIME: the next tick of automapost-social-media "
        f"takes it, within a minute. {NOW}")


def test_no_worker_has_looked(world):
    world.scale(60, pace_after="1 s")
    job = enqueue(world, "refresh-token", {"authProviderId": "a-1"})
    world.wait_until(lambda: "To run it" in shell(world, f"automapost why {job}").commands)
    said = why(world, job, "no-worker", f"Job {job[:8]}… .* is due since TIME, and no worker has "
               "looked: automapost-social-media does not run, or it fails.")
    type_it(world, said.commands["To run it"])
    why(world, job, "cancelled", f"Job {job[:8]}… .* was cancelled TIME: the account is gone.")


@pytest.mark.parametrize("name, reason, what", [
    ("social-media-post", "type-paused", "the job type social-media-post"),
    ("social-media", "service-paused", "the service social-media"),
    ("provider:webhook", "platform-paused", "webhook"),
    ("provider:webhook:{account}", "platform-paused", "webhook account [0-9a-f]{{8}}…"),
])
def test_paused(world, webhooks, name, reason, what):
    account = webhooks.account(world)
    post = world.post(account)
    world.rows("SELECT automapost.collect_social_media_post(NULL, 10)")
    name = name.format(account=account.id)
    world.rows("SELECT automapost.pause(%s, %s)", (name, NO_PLACEHOLDERS))
    said = why(world, job_of(world, post), reason, f"{SUBJECT} waits: {what.format()} is paused "
               f"by postgres since TIME: {re.escape(NO_PLACEHOLDERS)}\\.")
    world.rows("SELECT automapost.pause(%s, 'x', now() + interval '2 hours')", (name,))
    why(world, post.id, reason, f"{SUBJECT} waits: .* since TIME, until TIME: x\\.")
    type_it(world, said.commands["To go on"])
    why(world, post.id, "due", f"{SUBJECT} is due since TIME: .* {NOW}")


def test_limited_by_the_platform(world, webhooks):
    account = webhooks.account(world)
    webhooks.fake.fault("POST *", "answer", 1, status=429, headers={"retry-after": "1800"})
    first = world.post(account)
    world.run()
    second = world.post(account)
    world.run()
    said = why(world, first.id, "account-limited", f"{SUBJECT} waits: the receiver takes no more "
               f"from this account until TIME: {ERROR}\\. Attempt 1 follows then. {NOW}")
    assert re.search(r"until .* \((in 30 min|in 29 min.*)\): ", said.stdout), said.stdout
    why(world, second.id, "account-limited", f"{SUBJECT} waits: the receiver takes no more from "
        f"this account until TIME: {ERROR}\\. Attempt 1 follows then. {NOW}")
    type_it(world, said.commands["To stop"])
    why(world, first.id, "cancelled", f"{SUBJECT} was cancelled by {w.SERVICE_ROLE} TIME. "
        "Only an edit or a new time takes it up again.")


def test_limited_for_too_long(world, webhooks):
    account = webhooks.account(world)
    webhooks.fake.fault("POST *", "answer", 1, status=429, headers={"retry-after": "9000"})
    post = world.post(account, due=w.utc_now() - w.timedelta(minutes=1))
    world.run()
    why(world, post.id, "account-limited", f"{SUBJECT} waits: the receiver takes no more from "
        f"this account until TIME: {ERROR}\\. That is past its late limit: it is missed TIME.")


def test_a_key_that_runs_and_a_type_at_its_limit(world):
    """Types that the application's own workers do."""
    kind = define(world, "report", handler="external", concurrency_limit=2)
    it = fr"Job [0-9a-f]{{8}}… \({kind}\)"
    first = enqueue(world, kind, job_key="monday")
    why(world, first, "handler-external", f"{it} is due since TIME and waits for the application: "
        "the type report is done by its own workers, and none has taken it.")
    world.rows("SELECT * FROM automapost.claim(ARRAY['report'], 'worker-one', 'batch-1')")
    why(world, first, "running", f"{it} runs since TIME on local \\(worker worker-one\\). Its "
        "worker's last sign of life was TIME.")
    second = enqueue(world, kind, job_key="monday", on_conflict="replace")
    said = why(world, second, "key-running", f"{it} waits: job {first[:8]}… has the same key and "
               f"runs since TIME. It follows then. {NOW}")
    assert first[:8] in type_it(world, said.commands["The other job"]).stdout

    enqueue(world, kind)
    world.rows("SELECT * FROM automapost.claim(ARRAY['report'], 'worker-one', 'batch-2', 1)")
    third = enqueue(world, kind)
    why(world, third, "concurrency-limit", f"{it} waits: 2 of at most 2 jobs of type report run. "
        f"It follows then. {NOW}")


def test_types_that_nobody_does(world):
    unknown = enqueue(world, define(world, "from-tomorrow"))
    why(world, unknown, "type-unknown", f"Job {unknown[:8]}… \\(from-tomorrow\\) is due since "
        "TIME, and no service knows the type from-tomorrow: it waits for a version that does.")
    undefined = enqueue(world, define(world, "from-yesterday"), max_attempts=2)
    world.rows("DELETE FROM automapost.job_definitions WHERE name = 'from-yesterday'")
    why(world, undefined, "type-undefined", f"Job {undefined[:8]}… \\(from-yesterday\\) waits: no "
        'job type "from-yesterday" is defined. The next tick of automapost-queue tries it, in '
        "vain unless somebody defines it.")
    world.run("queue")
    why(world, undefined, "type-undefined", f"Job {undefined[:8]}… .* waits: no job type "
        '"from-yesterday" is defined. Attempt 2 of 2 follows TIME, and ends in vain unless '
        "somebody defines it.")
    type_it(world, f"automapost wake {undefined}")
    world.run("queue")
    why(world, undefined, "failed", f"Job {undefined[:8]}… .* failed for good TIME after 2 "
        "attempts: no handler for job type: from-yesterday. Its type needs a definition, and a "
        "service that knows it.")


def test_an_account_that_is_busy_and_workers_that_are(world, webhooks):
    hang = webhooks.fake.fault("POST *", "hang-before", 3)
    busy, other = webhooks.account(world), webhooks.account(world)
    posts = [world.post(busy, due=w.utc_now() - w.timedelta(seconds=9 - n)) for n in range(3)]
    posts += [world.post(other)]
    tick = world.tick(env={"AUTOMAPOST_ACTORS": "2"})
    assert hang.reached.wait(20)
    world.wait_until(
        lambda: "are being sent" in shell(world, f"automapost why {posts[2].id}").stdout)
    why(world, posts[2].id, "account-busy", f"{SUBJECT} waits: 2 posts of this account are being "
        f"sent, and more are not at once. It follows then. {NOW}")
    why(world, posts[3].id, "next", f"{SUBJECT} is due since TIME, and automapost-social-media is "
        f"at work: it follows when a place is free. {NOW}")
    why(world, posts[0].id, "sending", fr"{SUBJECT} runs since TIME on {HOST} \(automapost-social-"
        fr"media, pid {tick.pid}\)\. It is being sent since TIME\. Its worker's last sign of life "
        r"was TIME\.")
    hang.release()
    assert tick.wait() == 0
    world.assert_exactly_once()


def test_an_account_that_is_behind(world, webhooks):
    account = webhooks.account(world)
    posts = [world.post(account, due=w.utc_now() - w.timedelta(minutes=30 - n)) for n in range(3)]
    world.run()
    why(world, posts[0].id, "sent", f"{SUBJECT} is published since TIME: http://.*")
    why(world, posts[1].id, "pacing", f"{SUBJECT} waits: its account is behind, and what is late "
        "goes out at least 1 min apart. The last one began TIME; this one is next, TIME. " + NOW)
    why(world, posts[2].id, "pacing", f"{SUBJECT} waits: its account is behind, .* The last one "
        f"began TIME; 1 post of the account is before it. {NOW}")


def test_a_try_that_failed(world, webhooks):
    """Nobody listens there: certainly not received."""
    post = world.post(webhooks.account(world))
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/hook"
    world.rows('UPDATE auth_providers SET "providerAccountId" = %s', (nowhere,))
    world.run()
    said = why(world, post.id, "retry", f"{SUBJECT} waits until TIME: the last try failed: "
               f"{ERROR}. Attempt 2 follows then. {NOW}")
    type_it(world, said.commands["To try at once"])
    why(world, post.id, "due", f"{SUBJECT} is due since TIME: .*")


def test_an_operator_is_waited_for(world, linkedin):
    world.env["AUTOMAPOST_LINKEDIN_VERSION"] = "202001"
    post = world.post(linkedin.account(world))
    world.run()
    said = why(world, post.id, "operator-action", f"{LINKEDIN} waits for an operator: {ERROR}. It "
               "tries again TIME, which uses no attempt.")
    del world.env["AUTOMAPOST_LINKEDIN_VERSION"]
    type_it(world, said.commands["When that is mended"])
    world.run()
    why(world, post.id, "sent", f"{LINKEDIN} is published since TIME: https://.*")


def test_a_token_that_is_being_fetched(world, linkedin):
    """The access token has expired, and the refresh fails for now."""
    world.env |= {"AUTOMAPOST_LINKEDIN_CLIENT_ID": "client",
                  "AUTOMAPOST_LINKEDIN_CLIENT_SECRET": "secret"}
    account = linkedin.account(world)
    linkedin.fake.tokens["token-member-1"].state = "expired"
    linkedin.fake.add_refresh_token("refresh-1", "urn:li:person:member-1",
                                    scopes=("w_member_social",))
    world.rows("""UPDATE auth_providers SET "refreshToken" = 'refresh-1' WHERE id = %s""",
               (account.id,))
    linkedin.fake.fault("POST /oauth/*", "answer", 1, status=503, headers={"retry-after": "60"})
    post = world.post(account)
    world.run()
    said = why(world, post.id, "waits-for-token", f"{LINKEDIN} waits for a new access token of "
               rf"its account. It is fetched at TIME \(the last try failed: {ERROR}\); at the "
               f"latest it looks again TIME. {NOW}")
    refresh = type_it(world, said.commands["The fetching"])
    assert re.fullmatch(r"Job [0-9a-f]{8}… \(refresh-token of account [0-9a-f]{8}…\) waits until "
                        rf"TIME: the last try failed: {ERROR}. Attempt 2 of 12 follows then. {NOW}",
                        refresh.sentences[0])
    type_it(world, refresh.commands["To try at once"])
    world.run()
    why(world, post.id, "sent", f"{LINKEDIN} is published since TIME: https://.*")


# Running, and what comes of a worker that dies

def test_running_and_not_begun(world, webhooks):
    post = world.post(webhooks.account(world))
    tick = world.tick(stop_point="prepare")
    tick.wait_stopped()
    here = fr"{SUBJECT} runs since TIME on {HOST} \(automapost-social-media, pid {tick.pid}\)\. "
    said = why(world, post.id, "running", here + "Nothing is sent yet. Its worker's last sign of "
               "life was TIME.")
    type_it(world, said.commands["To stop"])
    said = why(world, post.id, "running", here + "Nothing is sent yet, and it ends before that: "
               f"{w.SERVICE_ROLE} cancelled it TIME. Its worker's last sign of life was TIME.")
    assert said.commands == {}
    tick.cont()
    assert tick.wait() == 0
    why(world, post.id, "cancelled", f"{SUBJECT} was cancelled by {w.SERVICE_ROLE} TIME. .*")


def test_running_and_lapsed(world, webhooks):
    """Stopped after its begin: nobody knows whether anything was sent."""
    world.scale(20, send_deadline="20 s")
    post = world.post(webhooks.account(world))
    tick = world.tick(stop_point="begin")
    tick.wait_stopped()
    type_it(world, f"automapost cancel {job_of(world, post)}")
    world.wait_until(lambda: "too long ago" in shell(world, f"automapost why {post.id}").stdout)
    said = why(world, post.id, "worker-lapsed", fr"{SUBJECT} runs since TIME on {HOST} \(.*\)\. It "
               f"is being sent since TIME, which nobody aborts: {w.SERVICE_ROLE} wanted it "
               "cancelled TIME. Its worker's last sign of life was TIME. That is too long ago: the "
               "next tick of any service takes the job back, and it is looked up whether it "
               "arrived.")
    type_it(world, said.commands["To take it back now"])
    said = why(world, post.id, "reconciling", f"{SUBJECT} waits: it was sent TIME, and whether it "
               f"arrived is not known: {ERROR}. Not before TIME, when no send can be under way any "
               "more, the same bytes are sent once more: the receiver knows them again, so that "
               f"nothing appears twice. {NOW}")
    assert said.commands == {}
    tick.kill()


@pytest.mark.parametrize("organization, sentence", [
    (True, "LinkedIn is asked. If two looks find nothing, it is sent anew."),
    (False, "the same bytes are sent once more: LinkedIn knows them again, so that nothing "
     "appears twice."),
])
def test_the_ways_of_reconciling(world, linkedin, organization, sentence):
    receiver = w.LinkedIn(linkedin.fake, organization=organization)
    post = world.post(receiver.account(world))
    linkedin.fake.fault("POST /rest/posts", "process-then-close", 1)
    world.run()
    why(world, post.id, "reconciling", f"{LINKEDIN} waits: it was sent TIME, and whether it "
        f"arrived is not known: {ERROR}. Not before TIME, when no send can be under way any more, "
        f"{sentence} {NOW}")


def test_a_comment_that_is_held(world, linkedin):
    world.scale(20)
    post = world.post(linkedin.account(world), comment="the first comment")
    linkedin.fake.fault("POST *comments", "process-then-close", 1)
    world.run()
    job = job_of(world, post, "comment")
    why(world, job, "reconciling", f"{LINKEDIN} waits: it was sent TIME, and whether it arrived is "
        f"not known: {ERROR}. Not before TIME, when no send can be under way any more, it is given "
        f"to a person: LinkedIn cannot be asked. {NOW}")
    world.settle_down()
    said = why(world, post.id, "held", f"{LINKEDIN} is published since TIME: https://.*",
               f"{LINKEDIN} was sent TIME, and whether it arrived is not known: {ERROR}. Somebody "
               "must look at the LinkedIn account and say what is there.")
    assert set(said.commands) == {"If it is there", "If it is not"}
    type_it(world, said.commands["If it is there"])
    why(world, job, "sent", f"{LINKEDIN} is published since TIME \\(the platform gave no link\\) "
        f"\\(confirmed by {w.SERVICE_ROLE}\\).")


# What has ended

def test_refused_for_good(world, webhooks):
    post = world.post(webhooks.account(world))
    webhooks.fake.fault("POST *", "answer", 1, status=410)
    world.run()
    said = why(world, post.id, "failed", f"{SUBJECT} failed for good TIME after 1 attempt: "
               f"{ERROR}. The endpoint says that it is gone: the member must remove it or give a "
               "new address.")
    type_it(world, said.commands["To try again"])
    world.run()
    why(world, post.id, "sent", f"{SUBJECT} is published since TIME: http://.*")
    world.assert_exactly_once()


def test_a_post_for_no_account(world, webhooks):
    account = webhooks.account(world)
    post = world.post(account)
    world.rows("""UPDATE posts SET "authProviderIds" = '{}' WHERE id = %s""", (post.id,))
    world.run()
    why(world, post.id, "failed", f"The delivery of post {post.id[:8]}… failed for good TIME: "
        f"{ERROR}\\. The member must choose an account for the post\\.")


def test_deleted_before_it_was_sent(world, webhooks):
    post = world.post(webhooks.account(world))
    world.rows("SELECT automapost.collect_social_media_post(NULL, 10)")
    world.rows('UPDATE posts SET "deletedAt" = now() WHERE id = %s', (post.id,))
    world.run()
    why(world, job_of(world, post), "cancelled", f"{SUBJECT} was cancelled TIME: the post was "
        "deleted. It is taken up again if the post comes back and is due.")


def test_missed_and_sent_however_late(world, webhooks):
    post = world.post(webhooks.account(world))
    world.rows("SELECT automapost.collect_social_media_post(NULL, 10)")
    world.rows("UPDATE automapost.engine SET pace_after = '10 ms', late_limit = '20 ms'")
    world.run("cleanup")
    said = why(world, post.id, "missed", f"{SUBJECT} was missed: it was due TIME and could not be "
               f"sent in time: {ERROR}\\. The member may give the post a new time.")
    type_it(world, said.commands["To send it however late"])
    world.run()
    why(world, post.id, "sent", f"{SUBJECT} is published since TIME: http://.*")


def test_a_job_for_a_whole_post(world, webhooks):
    account = webhooks.account(world)
    post = world.post(account)
    job = enqueue(world, "social-media-post", {"postId": post.id})
    world.run()
    why(world, job, "completed", fr"Job {job[:8]}… \(post {post.id[:8]}…\) is done since TIME: it "
        r"made \d jobs?, one for each account\.")


# Ids

def test_by_the_id_of_a_delivery(world, webhooks):
    post = world.post(webhooks.account(world))
    world.run()
    delivery = world.value("SELECT id::text FROM automapost.post_deliveries")
    for id_ in (delivery, delivery[:8], job_of(world, post), post.id, post.id[:8]):
        why(world, id_, "sent", f"{SUBJECT} is published since TIME: http://.*")


def test_ids_that_are_none(world):
    for id_, text in ((str(uuid.uuid4()), "no job, delivery or post has the id"),
                      ("abc", "no job, delivery or post has the id"),
                      ("''", "id is missing: a job's, a delivery's or a post's")):
        said = shell(world, f"automapost why {id_}")
        assert said.status == 1 and said.stdout == "" and text in said.stderr, said


def test_an_id_that_stands_for_several(world):
    define(world, "report")
    for n in range(2):                  # an ORM gives the ids itself
        world.rows("INSERT INTO automapost.job_queue (id, job_type) VALUES (%s, 'report')",
                   (f"abcd0000-0000-4000-8000-00000000000{n}",))
    said = shell(world, "automapost why abcd")
    assert said.status == 1 and "several jobs, deliveries or posts begin with abcd" in said.stderr


def test_the_application_may_ask(world, webhooks):
    post = world.post(webhooks.account(world))
    world.run()
    with world.cluster.connect(world.dbname, w.APP_ROLE) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT reason, sentence FROM automapost.why(%s)", (post.id,))
        (reason, sentence), = cursor.fetchall()
        assert reason == "sent"
        assert re.fullmatch(SUBJECT + r" is published since \d+ \w{3} \d{4} \d\d:\d\d:\d\d UTC: "
                            "http://.*", sentence)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SELECT automapost.explain(NULL, NULL)")


def test_spans(world):
    spans = {"0.4 s": "< 1 s", "1.9 s": "1 s", "61 s": "1 min 1 s", "60 min": "1 h",
             "2 h 14 min 3 s": "2 h 14 min", "3 days 5 min": "3 d", "49 h": "2 d 1 h"}
    for given, expected in spans.items():
        assert world.value("SELECT automapost.span(%s::interval)", (given,)) == expected
