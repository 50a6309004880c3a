# SPDX-License-Identifier: MIT
"""Tokens that end, rotate, are refused, or cannot be had just now. The OAuth 2 server and the
Bluesky server are real: one use of an old refresh token revokes all that came from it, which is what
two workers refreshing at once would do."""

import json
import threading
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.peers import Oidc, Pds
from harness.process import Unavailable

from . import publishing as p
from . import world as w
from .one_world import world, world_of_file     # noqa: F401

from linkedin_fake import LinkedInFake                                      # noqa: E402

MEMBER = "urn:li:person:member-1"


@pytest.fixture(autouse=True)
def scaled(world):
    world.scale(20, send_deadline="200 ms")


def running(peer):
    """The peer until the tests of this file are through; a skip where this machine lacks it."""
    try:
        peer.start()
    except Unavailable as reason:
        peer.close()
        pytest.skip(str(reason))
    try:
        yield peer
    finally:
        peer.close()


@pytest.fixture(scope="module")
def oidc():
    yield from running(Oidc())


@pytest.fixture(scope="module")
def pds():
    yield from running(Pds())


class Gate:
    """LinkedIn's token address in front of the OAuth 2 server: passes requests on, and counts them.
    What the server gives is told to the platform (`learn`), which takes no other token."""

    def __init__(self, target, learn):
        gate = self
        self.calls = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                gate.calls += 1
                assert self.path == "/oauth/v2/accessToken"
                body = self.rfile.read(int(self.headers["content-length"]))
                request = urllib.request.Request(
                    target, body, {"content-type": self.headers["content-type"]})
                try:
                    with urllib.request.urlopen(request, timeout=10) as answer:
                        status, told = answer.status, answer.read()
                        learn(told)
                except urllib.error.HTTPError as error:
                    with error:
                        status, told = error.code, error.read()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_):
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def linkedin(world):
    with LinkedInFake() as fake:
        world.env |= {"AUTOMAPOST_LINKEDIN_URL": fake.url,
                      "AUTOMAPOST_LINKEDIN_AUTH_URL": fake.url,
                      "AUTOMAPOST_LINKEDIN_CLIENT_ID": "client",
                      "AUTOMAPOST_LINKEDIN_CLIENT_SECRET": "secret"}
        yield world.receiver(w.LinkedIn(fake))


@pytest.fixture
def rotating(world, linkedin, oidc):
    """LinkedIn whose tokens the real server gives; an account that has just been connected."""
    def learn(told):
        linkedin.fake.add_token(json.loads(told)["access_token"], MEMBER)

    gate = Gate(oidc.token_url, learn)
    world.env |= {"AUTOMAPOST_LINKEDIN_AUTH_URL": gate.url,
                  "AUTOMAPOST_LINKEDIN_CLIENT_ID": oidc.client_id,
                  "AUTOMAPOST_LINKEDIN_CLIENT_SECRET": oidc.client_secret}
    account = linkedin.account(world)
    seeded = oidc.seed(account.id)
    linkedin.fake.add_token(seeded["access_token"], MEMBER)
    p.connect_again(world, account, seeded["access_token"], seeded["refresh_token"],
                    timedelta(seconds=-1))
    yield account, gate, oidc
    gate.close()


def test_two_workers_refresh_one_account_once(world, linkedin, rotating):
    account, gate, oidc = rotating
    for _ in range(12):
        world.post(account)
    workers = [world.tick() for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    world.settle_down()
    world.assert_exactly_once()
    assert gate.calls == 1
    access, refresh, expires = p.tokens(world, account)
    assert oidc.active(access), "the family was revoked"
    assert expires > w.utc_now() + timedelta(minutes=50)
    # And again, with the token that was stored.
    p.connect_again(world, account, access, refresh, timedelta(seconds=-1))
    world.post(account)
    world.settle_down()
    world.assert_exactly_once()
    assert gate.calls == 2
    assert oidc.active(p.tokens(world, account)[0])


def test_a_token_that_is_about_to_end_is_refreshed_ahead(world, linkedin, rotating):
    account, gate, _ = rotating
    access, refresh, _ = p.tokens(world, account)
    p.connect_again(world, account, access, refresh, timedelta(minutes=5))
    world.post(account)
    world.settle_down()
    world.assert_exactly_once()
    assert gate.calls == 1
    assert p.tokens(world, account)[0] != access


def test_refused_for_good(world, linkedin, webhooks):
    """Every post that waits for the account fails without a call; others go on. After the member
    has reconnected, later posts go out."""
    account, other = linkedin.account(world), webhooks.account(world)
    p.connect_again(world, account, "token-member-1", "revoked", timedelta(seconds=-1))
    waiting = [world.post(account) for _ in range(3)]
    elsewhere = world.post(other)
    world.settle_down()
    assert [p.delivery(world, post)[:2] for post in waiting] == [("failed", "reconnect-account")] * 3
    assert [p.delivery(world, post).begins for post in waiting] == [0, 0, 0]
    assert [x.path for x in p.writes(linkedin.fake)] == ["/oauth/v2/accessToken"]
    assert p.account_status(world, account) == "reconnect"
    assert p.delivery(world, elsewhere).state == "sent"

    linkedin.fake.add_token("new", MEMBER)
    p.connect_again(world, account, "new", "another", timedelta(days=60))
    later = world.post(account)
    world.settle_down()
    assert p.delivery(world, later).state == "sent"
    assert p.account_status(world, account) == "ok"
    assert linkedin.texts() == [later.text]


@pytest.mark.parametrize("fault", [
    {"kind": "close"}, {"kind": "answer", "status": 500},
    {"kind": "answer", "status": 503, "headers": {"retry-after": "1"}},
    {"kind": "answer", "status": 200, "body": "<html>no token</html>"}],
    ids=["closed", "500", "503", "no-token"])
def test_a_platform_that_is_away_disconnects_nobody(world, linkedin, fault):
    account = linkedin.account(world)
    linkedin.fake.add_refresh_token("again", MEMBER)
    p.connect_again(world, account, "token-member-1", "again", timedelta(seconds=-1))
    met = linkedin.fake.fault("POST /oauth/*", times=2, **fault)
    world.post(account)
    world.run()
    assert met.reached.is_set()
    assert p.account_status(world, account) == "ok"
    world.rows("SELECT automapost.wake('refresh-token')")
    world.settle_down()
    assert p.account_status(world, account) == "ok"
    world.assert_exactly_once()


def test_a_wrong_client_secret_is_the_operator_s(world, linkedin):
    """It says nothing about the member: the post waits."""
    account = linkedin.account(world)
    linkedin.fake.add_refresh_token("again", MEMBER)
    p.connect_again(world, account, "token-member-1", "again", timedelta(seconds=-1))
    post = world.post(account)
    world.run(env={"AUTOMAPOST_LINKEDIN_CLIENT_SECRET": "wrong"})
    assert p.delivery(world, post).state == "pending"
    assert p.account_status(world, account) == "ok"
    assert world.value("SELECT error_code FROM automapost.job_queue"
                       " WHERE job_type = 'refresh-token'") == "operator-action"
    world.rows("SELECT automapost.wake('refresh-token')")
    world.settle_down()
    world.assert_exactly_once()


@pytest.mark.parametrize("old", ["revoked", "good"])
def test_reconnected_while_the_refresh_is_under_way(world, linkedin, old):
    """The member is faster: what the platform then says of the old token harms nobody, and does not
    overwrite the new one."""
    account = linkedin.account(world)
    linkedin.fake.add_refresh_token("good", MEMBER)
    p.connect_again(world, account, "token-member-1", old, timedelta(seconds=-1))
    hang = linkedin.fake.fault("POST /oauth/*", "hang-before")
    world.rows("UPDATE automapost.engine SET send_deadline = '30 s'")
    world.post(account)
    process = world.tick()
    assert hang.reached.wait(20)
    linkedin.fake.add_token("new", MEMBER)
    p.connect_again(world, account, "new", "another", timedelta(days=60))
    hang.release()
    assert process.wait() == 0
    world.settle_down()
    world.assert_exactly_once()
    assert p.tokens(world, account)[:2] == ("new", "another")
    assert p.account_status(world, account) == "ok"


@pytest.mark.parametrize("given", [None, ""], ids=["none", "empty"])
def test_an_answer_without_a_refresh_token_keeps_the_stored_one(world, linkedin, given):
    account = linkedin.account(world)
    linkedin.fake.add_token("fresh", MEMBER)
    answer = {"access_token": "fresh", "expires_in": 5000}
    if given is not None:
        answer["refresh_token"] = given
    linkedin.fake.fault("POST /oauth/*", "answer", status=200, body=json.dumps(answer))
    p.connect_again(world, account, "token-member-1", "kept", timedelta(seconds=-1))
    world.post(account)
    world.settle_down()
    world.assert_exactly_once()
    assert p.tokens(world, account)[:2] == ("fresh", "kept")


def test_an_empty_refresh_token_is_none(world, linkedin):
    """An account whose token ends soon, and that cannot be refreshed, publishes until then."""
    account = linkedin.account(world)
    p.connect_again(world, account, "token-member-1", "", timedelta(minutes=5))
    world.post(account)
    world.settle_down()
    world.assert_exactly_once()
    assert p.account_status(world, account) == "expires-soon"
    assert [x.path for x in p.writes(linkedin.fake)] == ["/rest/posts"]


def test_bluesky_s_session(world, pds):
    """The access token has ended: refreshSession gives both anew, and the post goes out."""
    world.env["AUTOMAPOST_BLUESKY_URL"] = pds.url
    receiver = world.receiver(w.Bluesky(pds))
    account = receiver.account(world)
    access, refresh, _ = p.tokens(world, account)
    p.connect_again(world, account, access, refresh, timedelta(seconds=-1))
    world.post(account, comment="and a comment")
    world.settle_down()
    world.assert_exactly_once()
    # An access token made within the same second as the one before is the same text; the refresh
    # token never is, and the end is ahead again.
    _, new_refresh, ends = p.tokens(world, account)
    assert new_refresh != refresh
    assert ends > datetime.now(timezone.utc)
    assert p.account_status(world, account) == "ok"


def test_no_token_is_stored_with_us(world, linkedin, rotating):
    """Neither the old tokens nor the new ones are in a row of ours or in what the service said."""
    account, _, _ = rotating
    before = p.tokens(world, account)
    world.post(account)
    world.settle_down()
    after = p.tokens(world, account)
    dump = "".join(
        str(world.rows(f"SELECT * FROM automapost.{table}"))
        for (table,) in world.rows("SELECT relname FROM pg_class WHERE relkind = 'r'"
                                   " AND relnamespace = 'automapost'::regnamespace"))
    said = "".join(process.stderr for process in world.processes)
    for secret in (*before[:2], *after[:2]):
        assert secret not in dump
        assert secret not in said
