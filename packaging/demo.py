# SPDX-License-Identifier: MIT
"""The story that packaging/demo tells: each step is done for real, by the service binaries, on real
servers on loopback, and read back from those servers. Ends with status 1 if anything read back is
not what it should be.
"""

import datetime
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg2

from harness import app
from harness.peers import Pds, Unavailable
from webhook_receiver import DEFAULT_SECRET, WebhookReceiver

BUILD = Path(sys.argv[1])
AUTOMAPOST = BUILD / "src/automapost"
SERVICE = BUILD / "src/automapost-social-media"
FOLDER = BUILD / "dev"
# The waits between attempts, at a fifth: nobody likes to watch 45 seconds go by.
FASTER = """
    UPDATE automapost.engine
    SET beat = beat / 5, self_fence = self_fence / 5, lapse = lapse / 5,
        statement_limit = statement_limit / 5, send_deadline = send_deadline / 5,
        reconcile_margin = reconcile_margin / 5, reread_after = reread_after / 5
    WHERE beat = '3 s'
"""
wrong: list[str] = []


def say(text: str = "") -> None:
    print(textwrap.fill(text, 96) if text else "", flush=True)


def step(number: int, text: str) -> None:
    print(f"\n\033[1m{number}. {text}\033[0m" if sys.stdout.isatty() else f"\n{number}. {text}")


def check(what: str, is_so: bool) -> None:
    print(f"   {'ok ' if is_so else 'NOT SO'}  {what}", flush=True)
    if not is_so:
        wrong.append(what)


def environment() -> dict[str, str]:
    values = dict(os.environ, AUTOMAPOST_PROVIDERS="real", AUTOMAPOST_ALLOW_PRIVATE_HOSTS="yes")
    for line in (FOLDER / "env").read_text().splitlines():
        name, _, value = line.partition("=")
        if name.startswith("AUTOMAPOST_") and name != "AUTOMAPOST_PROVIDERS":
            values[name] = value.strip("'\"")
    return values


def command(*arguments: str, show: bool = True) -> str:
    """Runs automapost as an operator would, and shows it."""
    if show:
        print("   $ automapost " + " ".join(a if " " not in a else f"'{a}'" for a in arguments))
    done = subprocess.run([AUTOMAPOST, *arguments], env=ENV, capture_output=True, text=True,
                          timeout=60)
    text = (done.stdout + done.stderr).rstrip()
    if show and text:
        print(textwrap.indent(text, "     "), flush=True)
    return text


def publish() -> str:
    """One start of the service, as its timer would."""
    return subprocess.run([SERVICE], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60).stdout


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def one(sql: str, *parameters):
    with database.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


def execute(sql: str, *parameters) -> None:
    with database.cursor() as cursor:
        cursor.execute(sql, parameters)


def job_of(post: str) -> str:
    return one("SELECT job_id::text FROM automapost.post_deliveries WHERE post_id = %s LIMIT 1", post)


class World:
    """A member with an account on each server that is there."""

    def __init__(self, receiver: WebhookReceiver, pds):
        self.receiver, self.pds = receiver, pds
        self.member = app.member(database)
        receiver.register("/hook", DEFAULT_SECRET)
        self.webhook = app.account(database, self.member, "webhook", receiver.url + "/hook",
                                   DEFAULT_SECRET)
        self.bluesky = None
        if pds:
            self.did = pds.create_account("member-1")
            self.bluesky = app.account(database, self.member, "bluesky", self.did.did,
                                       self.did.access_jwt, self.did.refresh_jwt)

    def accounts(self) -> list[str]:
        return [a for a in (self.bluesky, self.webhook) if a]

    def post(self, text: str, accounts=None, **more) -> str:
        return app.post(database, self.member, text, now(), [], accounts or self.accounts(), **more)

    def at_receiver(self, post: str) -> list[str]:
        return [d.payload["data"]["text"] for d in self.receiver.deliveries
                if d.payload["data"]["postId"] == post]

    def on_bluesky(self, text: str) -> list[dict]:
        return [r["value"] for r in self.pds.records(self.did.did) if r["value"]["text"] == text]


def due_posts(world: World) -> None:
    step(1, "A post becomes due, and appears on the member's accounts, once")
    text = "Good morning from https://example.org/news #automapost"
    post = world.post(text, first_comment="And a first comment.")
    publish()
    command("jobs", "--all", "--post", post)
    check("the webhook has it, signed, once", world.at_receiver(post) == [text, "And a first comment."])
    if world.pds:
        found = world.on_bluesky(text)
        check("Bluesky has it once, word for word", len(found) == 1)
        features = sorted(f["features"][0]["$type"].split("#")[1]
                          for f in (found[0].get("facets", []) if found else []))
        check("with its link and its hashtag to be clicked on", features == ["link", "tag"])
        comments = world.on_bluesky("And a first comment.")
        check("and the first comment is a reply to it", len(comments) == 1 and "reply" in comments[0])
    check("the application's post says SENT",
          one('SELECT status::text FROM public.posts WHERE id = %s::uuid', post) == "SENT")


def killed(world: World) -> None:
    step(2, "The worker is killed between the platform's answer and the record")
    text = "Written once, whatever dies"
    account = [world.bluesky or world.webhook]
    post = world.post(text, account)
    reader, writer = os.pipe()
    process = subprocess.Popen([SERVICE], pass_fds=[writer],
                               env=dict(ENV, AUTOMAPOST_STOP_POINT="answer-read",
                                        AUTOMAPOST_STOP_FD=str(writer)),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writer)
    reached = os.read(reader, 100)
    os.close(reader)
    process.send_signal(signal.SIGKILL)
    process.wait()
    say(f"   kill -9 {process.pid}, just after the platform had said that it has the post.")
    check("the kill hit that moment", b"answer-read" in reached)
    command("why", post)
    say("   A worker that dies under systemd is noticed at once; here the next tick finds that it "
        "has no beat, waits until no send can be under way, and asks the platform.")
    deadline = time.monotonic() + 60
    output = ""
    while time.monotonic() < deadline and not one(
            "SELECT bool_and(state = 'sent') FROM automapost.post_deliveries WHERE post_id = %s", post):
        output += publish()
        time.sleep(0.5)
    for line in output.splitlines():
        if "has it" in line or "is recorded now" in line or "no sign of life" in line:
            print("     " + line)
    if world.pds:
        check("the post is there once", len(world.on_bluesky(text)) == 1)
    else:
        check("the post is there once", world.at_receiver(post) == [text])


def edited(world: World) -> None:
    step(3, "A member edits a post in the last second")
    post = world.post("A text with a tpyo", [world.webhook])
    execute("UPDATE public.posts SET content = 'A text without a typo' WHERE id = %s::uuid", post)
    publish()
    check("what appears is the last word", world.at_receiver(post) == ["A text without a typo"])


def limited(world: World) -> None:
    step(4, "A platform says: not now (429, Retry-After: 2 hours)")
    world.receiver.fault("POST /hook", "answer", status=429, headers={"Retry-After": "7000"})
    post = world.post("Waits its turn", [world.webhook])
    publish()
    command("why", job_of(post))
    check("nothing was published", world.at_receiver(post) == [])
    say("   Suppose the receiver's operator says that it is over:")
    command("resume", f"provider:webhook:{world.webhook}")
    publish()
    check("now it is there", world.at_receiver(post) == ["Waits its turn"])


def too_long(world: World) -> None:
    step(5, "A text too long for the platform is refused before it is sent")
    post = world.post("x" * 301, [world.bluesky])
    publish()
    command("show", job_of(post))
    check("the member is told which it is", one(
        "SELECT accounts -> 0 ->> 'code' FROM automapost.post_publication WHERE post_id = %s",
        post) == "text-too-long")
    check("Bluesky was not asked", world.on_bluesky("x" * 301) == [])


def story(receiver: WebhookReceiver, pds) -> None:
    world = World(receiver, pds)
    if not pds:
        say("node is missing: the Bluesky server is left out, and the webhook receiver plays alone.")
    due_posts(world)
    killed(world)
    edited(world)
    limited(world)
    if pds:
        too_long(world)
    step(6 if pds else 5, "What an operator sees")
    command("status")


subprocess.run([AUTOMAPOST, "dev", "up", "--dir", FOLDER], check=True, timeout=60)
ENV = environment()
# As the application and its administrator, where the services have their own login.
database = psycopg2.connect(ENV["AUTOMAPOST_DATABASE_URL"].replace("automapost_service@", "postgres@"))
database.autocommit = True
execute(FASTER)
# The sample posts are for the sandbox; here everything is delivered for real.
execute("DELETE FROM public.users WHERE email LIKE '%%@example.test'")

with WebhookReceiver() as webhook_receiver:
    try:
        with Pds() as bluesky:
            ENV["AUTOMAPOST_BLUESKY_URL"] = bluesky.url
            story(webhook_receiver, bluesky)
    except Unavailable:
        story(webhook_receiver, None)

say()
if wrong:
    say(f"{len(wrong)} things were not as they should be: " + "; ".join(wrong))
    sys.exit(1)
say("Everything was read back as it should be. What still runs: a private PostgreSQL in "
    f"{FOLDER}. Look around:")
print(f"""   set -a; . {FOLDER}/env; set +a
   {AUTOMAPOST} jobs --all
   {AUTOMAPOST} status
   {AUTOMAPOST} dev psql --dir {FOLDER}
   {AUTOMAPOST} dev down --dir {FOLDER}      (stops and removes it)""")
