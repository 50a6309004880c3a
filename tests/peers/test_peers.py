# SPDX-License-Identifier: MIT
"""The services against the real servers: a Bluesky data server with its directory, and snac. What a
reader sees there decides; where a server is not installed the test is skipped and says so."""

import html
import os
import re
import time
from collections import Counter
from datetime import datetime, timezone

import pytest

from harness import app
from harness.peers import Pds, Snac, request
from harness.process import Unavailable
from integration import publishing as p
from integration import world as w
# Fixtures of theirs: a migrated database for each test, and the real binaries.
from integration.conftest import build, build_stop, cluster, make_world, world  # noqa: F401

pytestmark = pytest.mark.skipif(
    not (os.environ.get("BUILD") and os.environ.get("BUILD_STOP")),
    reason="BUILD and BUILD_STOP name no builds (see tests/run)")


def running(peer):
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
def pds():
    yield from running(Pds(rate_limits=True))


@pytest.fixture(scope="module")
def snac():
    yield from running(Snac())


class Members:
    """New names for every test of this file: the servers are the same for all."""

    number = 0

    @classmethod
    def name(cls):
        cls.number += 1
        return f"writer{cls.number}"


class Bluesky(w.Receiver):
    def __init__(self, pds):
        self.pds = pds
        self.made = []

    def account(self, world):
        self.made.append(self.pds.create_account(Members.name()))
        user = app.member(world.db)
        return w.Account(app.account(world.db, user, "bluesky", self.made[-1].did,
                                     self.made[-1].access_jwt, self.made[-1].refresh_jwt),
                         user, self)

    def records(self, n=0):
        return self.pds.records(self.made[n].did)

    def texts(self):
        return [record["value"]["text"] for n in range(len(self.made)) for record in self.records(n)]


class Mastodon(w.Receiver):
    def __init__(self, snac):
        self.snac = snac
        self.tokens = []

    def account(self, world):
        name = Members.name()
        self.tokens.append(self.snac.create_account(name))
        user = app.member(world.db)
        return w.Account(app.account(world.db, user, "mastodon", f"{name}@localhost",
                                     self.tokens[-1]), user, self)

    def statuses(self, n=0):
        return self.snac.statuses(self.tokens[n])

    def texts(self):
        return [plain(status["content"]) for n in range(len(self.tokens))
                for status in self.statuses(n)]


def plain(content):
    """What a browser shows of a status, but for the blanks."""
    text = re.sub(r"<br ?/?>|</p>\s*<p>", "\n", content)
    return html.unescape(re.sub(r"<[^>]*>", "", text)).strip()


@pytest.fixture(autouse=True)
def scaled(request):
    request.getfixturevalue("world").scale(20, send_deadline="1 s", reread_after="1 s")


@pytest.fixture
def bluesky(world, pds):    # noqa: F811
    world.env["AUTOMAPOST_BLUESKY_URL"] = pds.url
    return world.receiver(Bluesky(pds))


@pytest.fixture
def mastodon(world, snac):    # noqa: F811
    world.env["AUTOMAPOST_MASTODON_URL"] = snac.url
    return world.receiver(Mastodon(snac))


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


both = pytest.mark.parametrize("server", ["bluesky", "mastodon"], indirect=True)


# What readers see


def test_bluesky_marks_links_mentions_and_tags(world, bluesky):    # noqa: F811
    """The marks are read back as a client reads them: bytes of the text, from and to."""
    account, other = bluesky.account(world), bluesky.account(world)
    named = bluesky.made[1]
    del other
    text = (f"\N{EURO SIGN}\N{GRINNING FACE} https://example.org/\N{LATIN SMALL LETTER U WITH DIAERESIS}"
            f"?a=b and example.com (@{named.handle}) @nobody-there.test #Tag, and mail@example.org")
    world.post(account, text=text)
    world.settle_down()
    (record,) = bluesky.records(0)
    assert record["value"]["text"] == text
    raw = text.encode()
    seen = Counter()
    for facet in record["value"]["facets"]:
        (feature,) = facet["features"]
        kind = feature["$type"].partition("#")[2]
        piece = raw[facet["index"]["byteStart"]:facet["index"]["byteEnd"]].decode()
        seen[kind, piece, feature.get("uri") or feature.get("did") or feature.get("tag")] += 1
    assert seen == {
        ("link", "https://example.org/\N{LATIN SMALL LETTER U WITH DIAERESIS}?a=b",
         "https://example.org/\N{LATIN SMALL LETTER U WITH DIAERESIS}?a=b"): 1,
        ("link", "example.com", "https://example.com"): 1,
        ("mention", f"@{named.handle}", named.did): 1,
        ("tag", "#Tag", "Tag"): 1,
    }
    created = datetime.fromisoformat(record["value"]["createdAt"].replace("Z", "+00:00"))
    assert abs((created - datetime.now(timezone.utc)).total_seconds()) < 60


def test_bluesky_s_first_comment_is_a_reply(world, bluesky):    # noqa: F811
    post = world.post(bluesky.account(world), comment="the first comment")
    world.settle_down()
    comment, above = sorted(bluesky.records(), key=lambda record: "reply" not in record["value"])
    reference = {"uri": above["uri"], "cid": above["cid"]}
    assert comment["value"]["reply"] == {"root": reference, "parent": reference}
    world.assert_exactly_once()
    sent = p.delivery(world, post)
    assert sent.remote_id == above["uri"]
    assert sent.url.endswith(above["uri"].rpartition("/")[2])


TEXTS = ("https://example.org/a?b=1&c=2 first\n\nsecond paragraph",
         "\N{GRINNING FACE} e\u0301 \N{HEBREW LETTER ALEF} \"quoted\" 'more' & #tag")


def test_mastodon_s_texts_and_replies(world, mastodon):    # noqa: F811
    for text in TEXTS:
        world.post(mastodon.account(world), text=text, comment="comment on " + text)
    world.settle_down()
    for n, text in enumerate(TEXTS):
        comment, above = sorted(mastodon.statuses(n), key=lambda s: not s["in_reply_to_id"])
        assert comment["in_reply_to_id"] == above["id"]
        assert "".join(plain(above["content"]).split()) == "".join(text.split())
        assert "".join(plain(comment["content"]).split()) == "".join(("comment on " + text).split())


def test_a_text_that_is_too_long_for_bluesky(world, bluesky):    # noqa: F811
    account = bluesky.account(world)
    fits = world.post(account, text="e\u0301" * 300)
    too_long = world.post(account, text="e\u0301" * 301)
    world.settle_down()
    assert p.delivery(world, too_long)[:2] == ("failed", "text-too-long")
    assert bluesky.texts() == [fits.text]


# Lost answers, outages


@pytest.mark.parametrize("point", ["begin", "first-byte", "last-byte", "answer-read", "settled"])
@both
def test_killed_at(world, server, point):    # noqa: F811
    """Neither server knows our key, nor refuses a duplicate: it is read back, twice before it is
    sent again, and it is there once."""
    world.post(server.account(world))
    process = world.tick(stop_point=point)
    process.wait_stopped()
    process.kill()
    # What was given to the kernel arrives whether we live or not.
    world.settle_down(seconds=40)
    world.assert_exactly_once()
    world.assert_told()
    world.assert_nothing_running()


def test_markup_is_recognized_when_it_is_read_back(world, mastodon):    # noqa: F811
    """snac shows some of it as markup: what is read is not what was sent, letter by letter."""
    post = world.post(mastodon.account(world), text="<b>bold</b> & `code` *and* \"quotes\" #tag")
    process = world.tick(stop_point="last-byte")
    process.wait_stopped()
    process.kill()
    world.settle_down()
    (status,) = mastodon.statuses()
    assert p.delivery(world, post)[:1] == ("sent",)
    assert p.delivery(world, post).url == status["url"]


@both
def test_the_server_hangs_and_goes_on(world, server):    # noqa: F811
    """It takes the post after we gave up waiting: found by reading."""
    world.rows("UPDATE automapost.engine SET send_deadline = '500 ms'")
    world.post(server.account(world))
    process = world.tick(stop_point="first-byte")
    process.wait_stopped()
    peer = getattr(server, "pds", None) or server.snac
    peer.pause()
    process.cont()
    assert process.wait(20) == 0
    assert world.in_state("unconfirmed")
    peer.resume()
    world.settle_down()
    world.assert_exactly_once()


def test_an_outage_of_snac(world, mastodon, snac):    # noqa: F811
    account = mastodon.account(world)
    snac.stop()
    try:
        posts = [world.post(account) for _ in range(2)]
        world.run()
        assert {p.delivery(world, post)[:2] for post in posts} == {("pending", "platform-down")}
    finally:
        snac.start()
    world.settle_down()
    world.assert_exactly_once()


def test_the_same_record_twice_is_one(world, bluesky):    # noqa: F811
    """The key of a record is ours: a second delivery of the same bytes writes nothing new."""
    post = world.post(bluesky.account(world))
    world.settle_down()
    (before,) = bluesky.records()
    # An operator who says that it was not sent, and is wrong.
    world.rows("SET ROLE automapost_jobs_owner")
    world.rows("UPDATE automapost.post_deliveries SET state = 'held', sent_at = NULL,"
               " finished_at = NULL, applied_at = NULL")
    world.rows("UPDATE public.posts SET status = 'SCHEDULED'")
    world.rows("RESET ROLE")
    world.rows("SELECT * FROM automapost.resolve_delivery((SELECT id::text"
               " FROM automapost.post_deliveries), 'not-sent')")
    world.settle_down()
    (after,) = bluesky.records()
    assert after == before
    assert p.delivery(world, post)[0::4][:2] == ("sent", 2)     # begun twice


def test_bluesky_s_rate_limit(world, bluesky, pds):    # noqa: F811
    """Its points of an hour are used up: the account waits until the server's time."""
    busy, other = bluesky.account(world), bluesky.account(world)
    used_up = use_up(pds, bluesky.made[0])
    post, elsewhere = world.post(busy), world.post(other)
    world.run()
    waiting = p.delivery(world, post)
    assert (waiting.state, waiting.code, waiting.attempts) == ("pending", "rate-limited", 0)
    ((key, until),) = world.rows("SELECT key, extract(epoch FROM until)::float"
                                 " FROM automapost.rate_limits")
    assert key == f"bluesky:{busy.id}"
    assert abs(until - used_up) <= 5
    assert p.delivery(world, elsewhere).state == "sent"
    assert post.text not in bluesky.texts()


def use_up(pds, account):
    """Writes until the server refuses; the time that it names."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = request("POST", f"{pds.url}/xrpc/com.atproto.repo.applyWrites", seconds=30,
                         token=account.access_jwt, data={"repo": account.did, "writes": [
                             {"$type": "com.atproto.repo.applyWrites#create",
                              "collection": "app.bsky.feed.like", "value": {
                                  "$type": "app.bsky.feed.like",
                                  "createdAt": "2026-01-02T03:04:05.000Z",
                                  "subject": {"uri": f"at://{account.did}/app.bsky.feed.post/a",
                                              "cid": "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcj"
                                                     "tnci5beludirz2a"}}}
                             for _ in range(200)]})
        if answer.status == 429:
            return int(answer.headers["RateLimit-Reset"])
        assert answer.status == 200, answer.body
    raise AssertionError("the server refused nothing")
