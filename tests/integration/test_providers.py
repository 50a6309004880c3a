# SPDX-License-Identifier: MIT
"""Each platform through the whole way: what is refused before it is sent, what readers see, and what
every answer of a platform makes of a post. The platforms are strict fakes; what they saw decides."""

import contextlib
import json
import socket
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from . import publishing as p
from . import world as w
from .one_world import world, world_of_file     # noqa: F401

# publishing.py has added their folder to the path.
from fake import Answer, Fake                                               # noqa: E402
from linkedin_fake import LinkedInFake                                      # noqa: E402
from mastodon_fake import MastodonFake                                      # noqa: E402
from webhook_receiver import DEFAULT_SECRET, WebhookReceiver                # noqa: E402


@pytest.fixture(autouse=True)
def scaled(world):
    world.scale(20, send_deadline="200 ms")


@pytest.fixture
def linkedin(world):
    with LinkedInFake() as fake:
        world.env |= {"AUTOMAPOST_LINKEDIN_URL": fake.url,
                      "AUTOMAPOST_LINKEDIN_AUTH_URL": fake.url,
                      "AUTOMAPOST_LINKEDIN_CLIENT_ID": "client",
                      "AUTOMAPOST_LINKEDIN_CLIENT_SECRET": "secret"}
        yield world.receiver(w.LinkedIn(fake))


@pytest.fixture
def mastodon(world):
    with MastodonFake() as fake:
        world.env["AUTOMAPOST_MASTODON_URL"] = fake.url
        yield world.receiver(w.Mastodon(fake))


@pytest.fixture
def platform(request):
    """One of the three, by the parameter's name."""
    return request.getfixturevalue(request.param)


def every(*names):
    return pytest.mark.parametrize("platform", names, indirect=True)


def utc(seconds=0.0):
    return w.utc_now() + timedelta(seconds=seconds)


# Before anything is sent


@pytest.mark.parametrize("platform, unit, limit", [
    ("linkedin", "x", 3000), ("linkedin", "\N{GRINNING FACE}", 1500), ("linkedin", "_", 3000),
    ("mastodon", "x", 500), ("webhooks", "x", 100_000)], indirect=["platform"])
def test_a_text_that_is_too_long_is_never_sent(world, platform, unit, limit):
    account = platform.account(world)
    fits = world.post(account, text=unit * limit)
    too_long = world.post(account, text=unit * limit + "y")
    world.settle_down()
    assert p.delivery(world, too_long)[:2] == ("failed", "text-too-long")
    assert p.delivery(world, too_long).attempts == 0
    assert platform.texts() == [fits.text]
    assert len(p.writes(platform.fake)) == 1


@every("linkedin", "mastodon", "webhooks")
def test_an_empty_text_is_never_sent(world, platform):
    post = world.post(platform.account(world), text=" \N{ZERO WIDTH SPACE}\n\t")
    world.settle_down()
    assert p.delivery(world, post)[:2] == ("failed", "text-empty")
    assert p.writes(platform.fake) == []


@pytest.mark.parametrize("platform, n", [("linkedin", 3001), ("mastodon", 501)],
                         indirect=["platform"])
def test_a_comment_has_the_same_limit(world, platform, n):
    post = world.post(platform.account(world), comment="x" * n)
    world.settle_down()
    assert platform.texts() == [post.text]
    assert p.delivery(world, post, kind="comment")[:2] == ("failed", "text-too-long")


NASTY = (
    r"(a) [b] {c} <d> @e #f *g* _h_ ~i~ |j| \k",
    "@[Somebody](urn:li:person:abc) and {hashtag|\\#|word}",
    "#tag_1 #\N{LATIN SMALL LETTER U WITH DIAERESIS}ber, C# and a#b",
    '"quotes", \'more\', \\" and \\\\ and \\n as they stand',
    "two\n\nparagraphs\nand a line",
    "&amp; <b>bold</b> &#60; <script>alert(1)</script>",
    "\N{GRINNING FACE}\N{ZERO WIDTH JOINER}\N{HEBREW LETTER ALEF}\N{LEFT-TO-RIGHT MARK} e\u0301",
    "https://example.org/a_b?c=d&e=(f)#g_h tail",
    "\u2028 \x01 \x7f end",
    "'; DROP TABLE posts; -- $1 %s {0}",
)


@every("linkedin", "mastodon", "webhooks")
def test_readers_see_what_the_member_wrote(world, platform):
    """Posts and comments; the fakes keep the text as a reader sees it."""
    for text in NASTY:
        world.post(platform.account(world), text=text, comment="comment: " + text)
    world.settle_down()
    world.assert_exactly_once()


def test_no_platform_is_sent_media(world, linkedin, mastodon, webhooks):
    """The application's posts have none: what leaves has no field that would carry any."""
    accounts = p.same_member(world, linkedin.account(world), mastodon.account(world),
                             webhooks.account(world))
    world.post(*accounts)
    world.settle_down()
    bodies = [json.loads(exchange.body) for receiver in (linkedin, mastodon, webhooks)
              for exchange in p.writes(receiver.fake)]
    assert len(bodies) == 3
    assert not {"content", "media", "media_ids", "embed"} & {key for body in bodies for key in body}


# First comments


def test_a_comment_waits_until_linkedin_finds_the_new_post(world, linkedin):
    linkedin.fake.comment_404s = 2
    post = world.post(linkedin.account(world), comment="the first one")
    world.run()
    for _ in range(2):
        waiting = p.delivery(world, post, kind="comment")
        assert (waiting.state, waiting.code) == ("pending", "parent-missing")
        assert waiting.scheduled_for > utc(2)        # some seconds, LinkedIn's own
        p.wake(world, post, "comment")
        world.run()
    world.assert_exactly_once()
    (published,) = linkedin.fake.posts
    assert [comment["text"] for comment in published["comments"]] == ["the first one"]
    assert p.publication(world, post) == "sent"


def test_a_comment_of_unknown_outcome_waits_for_a_person(world, linkedin):
    """LinkedIn takes the same comment twice and lets nobody look: it is never sent again."""
    linkedin.fake.fault("POST */comments", "process-then-close")
    post = world.post(linkedin.account(world), comment="the first one")
    world.settle_down()
    assert p.delivery(world, post, kind="comment")[:2] == ("held", "unconfirmed")
    world.assert_exactly_once(held={"the first one"})
    assert linkedin.texts().count("the first one") == 1
    assert p.publication(world, post) == "sent"


# 429: the platform says when


class TooMany(Fake):
    """A server of Bluesky's protocol that asks for patience."""

    reset = 0

    def process(self, request):
        return Answer.json(429, {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"},
                           RateLimit_Reset=str(self.reset))


def limited(world, post):
    """(key, until) of the one limit that stands now; the job waits and has used no attempt."""
    waiting = p.delivery(world, post)
    assert (waiting.state, waiting.code, waiting.attempts) == ("pending", "rate-limited", 0)
    assert p.status(world, post) == "SCHEDULED"
    (row,) = world.rows("SELECT key, until FROM automapost.rate_limits")
    assert row[0].split(":")[1] == post.accounts[0].id
    # No longer than the post may be late, and never before the platform's time.
    assert waiting.scheduled_for <= row[1]
    return row


def check_limit(world, receiver, post, other, until, slack):
    """The account waits until the platform's time; another post of it is not even tried, and other
    accounts go on."""
    world.run()
    key, stands = limited(world, post)
    assert abs(stands - until) <= timedelta(seconds=slack), (stands, until)
    asked = len(p.writes(receiver.fake))
    second = world.post(post.accounts[0])
    elsewhere = world.post(other)
    world.run()
    assert p.delivery(world, second).begins == 0
    assert p.delivery(world, elsewhere).state == "sent"
    assert len(p.writes(receiver.fake)) == asked + (other.receiver is receiver)
    # When it ends (here: an operator knows better), both go out, once each.
    world.rows("SELECT * FROM automapost.resume(%s)", ("provider:" + key,))
    world.settle_down()
    world.assert_exactly_once()


def test_linkedin_s_day_ends_at_midnight_utc(world, linkedin):
    tomorrow = utc().date() + timedelta(days=1)
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=timezone.utc)
    linkedin.fake.fault("POST /rest/posts", "answer", **p.problem(429, "TOO_MANY_REQUESTS", "DAY"))
    post = world.post(linkedin.account(world))
    check_limit(world, linkedin, post, linkedin.account(world), midnight, 61)


def test_linkedin_s_comments_are_limited_by_the_minute(world, linkedin):
    linkedin.fake.throttled_comments = 1
    post = world.post(linkedin.account(world), comment="a comment")
    world.run()
    waiting = p.delivery(world, post, kind="comment")
    assert (waiting.state, waiting.code, waiting.attempts) == ("pending", "rate-limited", 0)
    assert utc(50) < waiting.scheduled_for < utc(70)
    world.rows("SELECT * FROM automapost.resume(%s)", (f"provider:linkedin:{post.accounts[0].id}",))
    world.settle_down()
    world.assert_exactly_once()


@pytest.mark.parametrize("value", ["600", "date"])
def test_a_webhook_s_retry_after(world, webhooks, value):
    until = utc(600)
    header = format_datetime(until, usegmt=True) if value == "date" else value
    first, other = webhooks.account(world), webhooks.account(world)
    webhooks.fake.fault("POST *", "answer", status=429, headers={"retry-after": header})
    check_limit(world, webhooks, world.post(first), other, until, 5)


def test_mastodon_s_reset_is_a_time(world, mastodon):
    until = utc(600)
    mastodon.fake.fault("POST /api/v1/statuses", "answer", status=429,
                        headers={"x-ratelimit-reset": until.isoformat().replace("+00:00", "Z")})
    check_limit(world, mastodon, world.post(mastodon.account(world)), mastodon.account(world),
                until, 5)


def test_bluesky_s_reset_is_in_seconds_since_1970(world, webhooks):
    until = utc(600)
    with TooMany() as fake:
        fake.reset = int(until.timestamp())
        world.env["AUTOMAPOST_BLUESKY_URL"] = fake.url
        post = world.post(p.plain_account(world, "bluesky", "did:plc:" + "a" * 24))
        elsewhere = world.post(webhooks.account(world))
        world.run()
        _, stands = limited(world, post)
        assert abs(stands - until) <= timedelta(seconds=5)
        assert p.delivery(world, elsewhere).state == "sent"
        assert len(p.writes(fake)) == 1


# Answers for good


LINKEDIN_TOO_LONG = p.problem(400, "FIELD_ARRAY_SIZE_TOO_HIGH",
                              "ShareCommentary text length (3016 characters) exceeded the maximum"
                              " allowed (3000 characters)")

# platform, the answer, the delivery's state, its code
ANSWERS = {
    "linkedin 403": ("linkedin", p.problem(403, "ACCESS_DENIED", "no"), "failed",
                     "permission-missing"),
    "linkedin 400": ("linkedin", p.problem(400, "INVALID_VALUE", "no"), "failed", "rejected"),
    "linkedin too long": ("linkedin", p.problem(400, "FIELD_LENGTH_TOO_LONG", "no"), "failed",
                          "text-too-long"),
    "linkedin too long in other words": ("linkedin", LINKEDIN_TOO_LONG, "failed",
                                         "text-too-long"),
    "linkedin 426": ("linkedin", p.problem(426, "NONEXISTENT_VERSION", "no"), "pending",
                     "operator-action"),
    "linkedin 302": ("linkedin", {"status": 302, "headers": {"location": "/elsewhere"}},
                     "pending", "operator-action"),
    "webhook 400": ("webhooks", {"status": 400}, "failed", "rejected"),
    "webhook 401": ("webhooks", {"status": 401}, "failed", "reconnect-account"),
    "webhook 403": ("webhooks", {"status": 403}, "failed", "permission-missing"),
    "webhook 410": ("webhooks", {"status": 410}, "failed", "endpoint-gone"),
    "webhook 308": ("webhooks", {"status": 308, "headers": {"location": "/elsewhere"}}, "failed",
                    "rejected"),
    "mastodon 401": ("mastodon", {"status": 401}, "failed", "reconnect-account"),
    "mastodon 403": ("mastodon", {"status": 403}, "failed", "reconnect-account"),
    "mastodon 422": ("mastodon", {"status": 422}, "failed", "rejected"),
    "mastodon 301": ("mastodon", {"status": 301, "headers": {"location": "/elsewhere"}},
                     "failed", "account-invalid"),
}


@pytest.mark.parametrize("platform, answer, state, code", ANSWERS.values(), ids=ANSWERS.keys(),
                         indirect=["platform"])
def test_answer(world, platform, answer, state, code):
    """The request was answered and not processed: it went out once, nowhere else, and what is left
    of it is the state, with a code that the application can translate."""
    platform.fake.fault("POST *", "answer", **answer)
    post = world.post(platform.account(world))
    world.run()
    assert p.delivery(world, post)[:2] == (state, code)
    assert len(p.writes(platform.fake)) == 1
    assert p.status(world, post) == "SCHEDULED"
    assert p.publication(world, post) == {"failed": "failed", "pending": "publishing"}[state]
    if state == "pending":      # whoever is to act has acted
        assert p.delivery(world, post).attempts == 0
        p.wake(world, post)
        world.run()
        assert platform.texts() == [post.text]
    assert [x.target for x in platform.fake.log if x.target == "/elsewhere"] == []


def test_a_refused_token_without_another_asks_for_the_member(world, linkedin):
    """Later posts of the account fail without a call until the member reconnects."""
    account = linkedin.account(world)
    linkedin.fake.tokens["token-member-1"].state = "revoked"
    first = world.post(account)
    world.run()
    assert p.delivery(world, first)[:2] == ("failed", "reconnect-account")
    assert p.account_status(world, account) == "reconnect"
    second = world.post(account)
    world.run()
    assert p.delivery(world, second)[:2] == ("failed", "reconnect-account")
    assert len(p.writes(linkedin.fake)) == 1
    assert p.delivery(world, second).begins == 0


def test_a_refused_token_is_refreshed_where_that_is_possible(world, linkedin):
    account = linkedin.account(world)
    linkedin.fake.tokens["token-member-1"].state = "expired"
    linkedin.fake.add_refresh_token("again", "urn:li:person:member-1")
    p.connect_again(world, account, "token-member-1", "again")
    post = world.post(account)
    world.settle_down()
    world.assert_exactly_once()
    assert p.tokens(world, account)[0] in linkedin.fake.tokens
    assert p.delivery(world, post).state == "sent"


def test_a_token_that_is_refused_as_soon_as_it_is_refreshed(world, linkedin):
    """The platform gives tokens and takes none: that is not tried until the post is too late."""
    account = linkedin.account(world)
    linkedin.fake.add_refresh_token("again", "urn:li:person:member-1")
    p.connect_again(world, account, "token-member-1", "again")
    linkedin.fake.fault("POST /rest/posts", "answer", times=float("inf"),
                        **p.problem(401, "REVOKED_ACCESS_TOKEN", "no"))
    post = world.post(account)
    world.settle_down(seconds=20)
    assert p.delivery(world, post)[:2] == ("failed", "reconnect-account")
    assert p.account_status(world, account) == "reconnect"
    paths = [exchange.path for exchange in p.writes(linkedin.fake)]
    assert paths.count("/rest/posts") == 2
    assert paths.count("/oauth/v2/accessToken") == 1


# Duplicates, and outcomes that are not known


def test_a_duplicate_of_another_post_is_refused_for_good(world, linkedin):
    account = linkedin.account(world)
    first = world.post(account, text="the same words")
    world.settle_down()
    second = world.post(account, text="the same words")
    world.settle_down()
    assert p.delivery(world, first).state == "sent"
    assert p.delivery(world, second)[:2] == ("failed", "duplicate")
    assert linkedin.texts() == ["the same words"]


LOST = ({"kind": "process-then-close"}, {"kind": "process-then-close", "reset": True},
        {"kind": "process-then-answer", "status": 500},
        {"kind": "process-then-answer", "status": 503, "headers": {"retry-after": "1"}})


@every("linkedin", "pages", "mastodon", "webhooks")
def test_published_and_the_answer_lost(world, platform):
    """Found by reading, by the platform's refusal of a duplicate, or by its key: it is there once,
    and we know where."""
    for fault in LOST:
        platform.fake.fault("POST *", **fault)
    posts = [world.post(platform.account(world)) for _ in LOST]
    world.run()
    assert [p.delivery(world, post).state for post in posts] == ["unconfirmed"] * len(LOST)
    world.settle_down()
    world.assert_exactly_once()
    for post in posts:
        sent = p.delivery(world, post)
        assert sent.state == "sent" and sent.url
        assert p.status(world, post) == "SENT"


@every("linkedin", "pages", "mastodon", "webhooks")
def test_not_published_and_the_answer_lost(world, platform):
    """The connection broke before the platform took it: it is there once in the end, too."""
    world.rows("UPDATE automapost.engine SET reread_after = '500 ms'")
    platform.fake.fault("POST *", "close")
    post = world.post(platform.account(world))
    world.run()
    assert p.delivery(world, post).state == "unconfirmed"
    world.settle_down()
    world.assert_exactly_once()


@pytest.fixture
def pages(world, linkedin):
    """LinkedIn's pages: their posts can be listed."""
    world.receivers.remove(linkedin)
    return world.receiver(w.LinkedIn(linkedin.fake, organization=True))


def test_a_ghost_is_not_taken_for_the_post(world, linkedin):
    """LinkedIn names a post that is gone as the original. Where it can be looked up nobody says
    that the post is there, and nobody sends it again."""
    world.rows("UPDATE automapost.engine SET reconcile_limit = '500 ms'")
    linkedin.fake.fault("POST /rest/posts", "process-then-close")
    account = linkedin.account(world)
    linkedin.fake.tokens["token-member-1"].scopes.add("r_member_social")
    post = world.post(account)
    world.run()
    linkedin.fake.delete_post(linkedin.fake.posts[0]["urn"])
    world.settle_down()
    assert p.delivery(world, post)[:2] == ("held", "unconfirmed")
    assert linkedin.texts() == [post.text]
    assert linkedin.fake.posts == []


# Accounts


def test_platforms_that_are_not_supported_harm_no_other(world, webhooks):
    accounts = p.same_member(
        world, webhooks.account(world),
        *(p.plain_account(world, name, f"somebody at {name}")
          for name in ("google", "instagram", "threads", "yet-another")))
    post = world.post(*accounts)
    world.settle_down()
    assert webhooks.texts() == [post.text]
    for account in accounts[1:]:
        assert p.delivery(world, post, account)[:2] == ("failed", "unsupported-platform")
    assert p.publication(world, post) == "partly_sent"


def test_accounts_of_others_and_accounts_that_are_gone(world, webhooks):
    mine, theirs = webhooks.account(world), webhooks.account(world)
    gone = p.plain_account(world, "webhook", webhooks.fake.url + "/gone")
    world.rows("DELETE FROM public.auth_providers WHERE id::text = %s", (gone.id,))
    post = world.post(mine, theirs, gone)
    world.settle_down()
    assert [d.path for d in webhooks.fake.deliveries] == ["/hook-1"]
    for account in (theirs, gone):
        assert p.delivery(world, post, account)[:2] == ("failed", "not-your-account")


@pytest.mark.parametrize("ids, providers, key", [
    ([], [], "no-account"), ([], ["linkedin"], "no-account:linkedin"),
    (["not an id", ""], [], None)])
def test_a_post_without_an_account(world, ids, providers, key):
    account = p.plain_account(world, "webhook", "https://example.org/")
    post = world.post(account)
    p.update(world, post, authProviderIds=ids, providers=providers)
    world.settle_down()
    rows = world.rows("SELECT auth_provider_id, state, code FROM automapost.post_deliveries"
                      " WHERE post_id = %s", (post.id,))
    if key:
        assert rows == [(key, "failed", "no-account")]
    else:
        assert {row[1:] for row in rows} == {("failed", "not-your-account")}
    assert p.publication(world, post) == "failed"


def test_a_platform_without_an_id_means_every_account_there(world, webhooks):
    first, second = p.same_member(world, webhooks.account(world), webhooks.account(world))
    other = webhooks.account(world)
    post = world.post(first)
    p.update(world, post, authProviderIds=[], providers=["webhook"])
    world.settle_down()
    assert {d.path for d in webhooks.fake.deliveries} == {"/hook-1", "/hook-2"}
    assert p.delivery(world, post, second).state == "sent"
    assert p.delivery(world, post, other) is None


def test_a_secret_that_is_none_is_said_before_anything_is_sent(world, webhooks):
    account = p.plain_account(world, "webhook", webhooks.fake.url + "/hook", token="not base64!")
    post = world.post(account)
    world.settle_down()
    assert p.delivery(world, post)[:2] == ("failed", "account-invalid")
    assert webhooks.fake.log == []


# Where a member's URL may lead


class Trap:
    """Listens on loopback, in both families, and tells whether anybody came."""

    def __init__(self):
        self.sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self.sockets[0].getsockname()[1]
        if socket.has_ipv6:
            self.sockets.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        for listener in self.sockets:
            listener.setblocking(False)

    def caught(self):
        for listener in self.sockets:
            try:
                return listener.accept()[1]
            except BlockingIOError:
                pass
        return None

    def close(self):
        for listener in self.sockets:
            listener.close()


@pytest.fixture
def trap():
    made = Trap()
    yield made
    made.close()


FORBIDDEN = (
    "http://127.0.0.1:{port}/", "http://example.org/", "https://127.0.0.1:{port}/",
    "https://localhost:{port}/", "https://LocalHost:{port}/", "https://127.1:{port}/",
    "https://2130706433:{port}/", "https://0x7f000001:{port}/", "https://0177.0.0.1:{port}/",
    "https://0:{port}/", "https://0.0.0.0:{port}/", "https://[::1]:{port}/", "https://[::]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/", "https://[::ffff:7f00:1]:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/", "https://10.0.0.1/", "https://172.16.0.1/",
    "https://192.168.0.1/", "https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/",
    "https://[fd00::1]/", "https://[fe80::1]/", "https://224.0.0.1/",
    "https://name:password@127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "nonsense",
)


def test_no_member_s_url_leads_inside(world, trap):
    world.env["AUTOMAPOST_ALLOW_PRIVATE_HOSTS"] = "no"
    posts = {url: world.post(p.plain_account(world, "webhook", url.format(port=trap.port),
                                             token=DEFAULT_SECRET))
             for url in FORBIDDEN}
    posts |= {name: world.post(p.plain_account(world, "mastodon", name.format(port=trap.port)))
              for name in ("me@127.0.0.1:{port}", "me@localhost:{port}", "me@[::1]:{port}")}
    world.run(seconds=40)
    wrong = {url: p.delivery(world, post)[:3] for url, post in posts.items()
             if p.delivery(world, post)[:2] not in (("failed", "forbidden-host"),
                                                    ("failed", "account-invalid"))
             or url in FORBIDDEN and p.delivery(world, post).code != "forbidden-host"}
    assert wrong == {}
    assert trap.caught() is None


def test_the_operator_may_allow_it(world, trap):
    """What makes the test above one: the same address is reached when it is allowed."""
    post = world.post(p.plain_account(world, "webhook", f"https://127.0.0.1:{trap.port}/",
                                      token=DEFAULT_SECRET))
    process = world.tick()
    world.wait_until(trap.caught, what="a connection")
    process.terminate()
    trap.close()
    process.wait()
    assert p.delivery(world, post).code != "forbidden-host"


@every("webhooks", "mastodon", "linkedin")
def test_no_redirect_is_followed_with_a_post(world, platform, trap):
    platform.fake.fault("POST *", "answer", status=307,
                        headers={"location": f"https://127.0.0.1:{trap.port}/"})
    world.post(platform.account(world))
    world.run()
    assert len(p.writes(platform.fake)) == 1
    assert trap.caught() is None


# The sandbox


@pytest.fixture
def sandbox(world, tmp_path):
    folder = tmp_path / "sandbox"
    world.env |= {"AUTOMAPOST_PROVIDERS": "sandbox", "AUTOMAPOST_SANDBOX_DIR": str(folder)}
    return folder


def lines(folder):
    return [json.loads(line) for line in
            (folder / "posts.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_sandbox_writes_a_page_and_sends_nothing(world, sandbox, linkedin):
    mine = linkedin.account(world)
    accounts = p.same_member(
        world, mine, p.plain_account(world, "bluesky", "did:plc:" + "a" * 24),
        p.plain_account(world, "mastodon", "me@mastodon.example"),
        p.plain_account(world, "webhook", "https://example.org/hook", token=DEFAULT_SECRET))
    post = world.post(*accounts, text="<b>in the sandbox</b> & so on", comment="a comment")
    world.settle_down()
    assert p.publication(world, post) == "sent"
    assert sorted((line["provider"], line["kind"], line["text"]) for line in lines(sandbox)) == \
        sorted((name, kind, text) for name in ("linkedin", "bluesky", "mastodon", "webhook")
               for kind, text in (("post", post.text), ("comment", "a comment")))
    page = (sandbox / "index.html").read_text(encoding="utf-8")
    assert page.count("&lt;b&gt;in the sandbox&lt;/b&gt; &amp; so on") >= 4
    assert "<b>in the sandbox" not in page
    assert linkedin.fake.log == []


@pytest.mark.parametrize("provider, remote_id, n", [
    ("linkedin", "member", 3001), ("bluesky", "did:plc:" + "a" * 24, 301),
    ("mastodon", "me@mastodon.example", 501), ("webhook", "https://example.org/", 100_001)])
def test_the_sandbox_has_the_platforms_limits(world, sandbox, provider, remote_id, n):
    account = p.plain_account(world, provider, remote_id, token=DEFAULT_SECRET)
    fits, too_long = world.post(account, text="x" * (n - 1)), world.post(account, text="x" * n)
    world.settle_down()
    assert p.delivery(world, too_long)[:2] == ("failed", "text-too-long")
    assert [line["text"] for line in lines(sandbox)] == [fits.text]


def test_the_sandbox_takes_a_post_once(world, sandbox):
    """The worker dies after the line was written and before that is recorded; another one sends the
    same once more."""
    post = world.post(p.plain_account(world, "webhook", "https://example.org/",
                                      token=DEFAULT_SECRET))
    process = world.tick(stop_point="begin")
    process.wait_stopped()
    with contextlib.closing(world.cluster.connect(world.dbname)) as other:
        other.autocommit = False
        other.cursor().execute("SELECT FROM automapost.workers FOR UPDATE")     # nobody settles
        process.cont()
        world.wait_until(lambda: (sandbox / "posts.jsonl").exists() and lines(sandbox),
                         what="the line")
        process.kill()
        # If it had come to settle, its backend still waits for the lock, and would go on with it.
        world.cluster.terminate_backends("automapost%")
    assert p.delivery(world, post).state == "sending"
    world.settle_down()
    assert p.delivery(world, post)[0::4][:2] == ("sent", 2)     # begun twice
    assert [line["text"] for line in lines(sandbox)] == [post.text]
