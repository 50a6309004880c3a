# SPDX-License-Identifier: MIT
"""Tests of the fakes themselves: what each rule must refuse, and what it must take.

A fake that lets a wrong request pass hides the very bug that it is there to show. These tests
speak raw HTTP and use nothing of the project; they do not test any client.
"""
from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest

from fake import Answer, Exchange, Fake
from linkedin_fake import LinkedInFake, parse_little_text, utf16_length
from mastodon_fake import MastodonFake, to_html
from webhook_receiver import DEFAULT_SECRET, WebhookReceiver, decode_secret, sign

HERE = Path(__file__).parent
MEMBER = "urn:li:person:AbC-1"
PAGE = "urn:li:organization:42"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(fake: Fake, method: str, target: str, headers: dict[str, str | None] | None = None,
         body: bytes | str | None = None) -> Reply:
    """One request on a connection of its own; a header of None is left out."""
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
    try:
        sent = {name: value for name, value in (headers or {}).items() if value is not None}
        connection.request(method, target, body, sent)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def in_thread(*arguments: Any) -> tuple[threading.Thread, list[Reply]]:
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(call(*arguments)))
    thread.start()
    return thread, replies


# The base.

class Echo(Fake):
    def process(self, request: Exchange) -> Answer:
        if request.path == "/bug":
            raise RuntimeError("on purpose")
        self.record(body=request.body.decode())
        return Answer(200, {"x-echo": "yes"}, request.body)


@pytest.fixture
def echo():
    with Echo() as fake:
        yield fake


def test_every_request_is_logged_with_its_answer(echo):
    call(echo, "POST", "/a?b=c%20d", {"X-Name": "value"}, b"body")
    [exchange] = echo.log
    assert (exchange.method, exchange.path, exchange.query) == ("POST", "/a", {"b": "c d"})
    assert exchange.headers["x-name"] == "value" and exchange.body == b"body"
    assert exchange.answer.status == 200 and exchange.answer.body == b"body"
    assert abs(exchange.time - time.time()) < 5


def test_a_connection_is_kept(echo):
    connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
    for body in (b"one", b"two"):
        connection.request("POST", "/", body)
        assert connection.getresponse().read() == body
    connection.close()


def test_a_post_without_length_is_refused(echo):
    assert call(echo, "POST", "/", {"transfer-encoding": "chunked"}, b"0\r\n\r\n").status == 411
    assert not echo.log


def test_fault_answer_comes_before_processing_and_only_so_often(echo):
    echo.fault("POST /a", "answer", 2, status=429, headers={"retry-after": "7"}, body="busy")
    for _ in range(2):
        reply = call(echo, "POST", "/a", body=b"x")
        assert (reply.status, reply.headers["retry-after"], reply.body) == (429, "7", b"busy")
    assert not echo.published and echo.log[0].processed is None
    assert call(echo, "POST", "/a", body=b"x").status == 200


def test_fault_matches_by_pattern_or_function(echo):
    echo.fault("GET /x/*", "answer", status=501)
    echo.fault(lambda exchange: exchange.body == b"poison", "answer", status=502)
    assert call(echo, "GET", "/x/y?z").status == 501
    assert call(echo, "POST", "/", body=b"fine").status == 200
    assert call(echo, "POST", "/", body=b"poison").status == 502


def test_fault_process_then_answer(echo):
    echo.fault("* *", "process-then-answer", status=503)
    assert call(echo, "POST", "/", body=b"x").status == 503
    assert len(echo.published) == 1 and echo.log[0].processed.status == 200


@pytest.mark.parametrize("reset, error", [(False, http.client.RemoteDisconnected),
                                          (True, ConnectionResetError)])
@pytest.mark.parametrize("kind, published", [("close", 0), ("process-then-close", 1)])
def test_fault_close(echo, kind, published, reset, error):
    echo.fault("* *", kind, reset=reset)
    with pytest.raises(error) as raised:
        call(echo, "POST", "/", body=b"x")
    assert raised.type is error
    assert len(echo.published) == published and echo.log[0].answer is None


@pytest.mark.parametrize("kind, published", [("hang-before", 0), ("hang-after", 1)])
def test_fault_hang(echo, kind, published):
    fault = echo.fault("* *", kind)
    thread, replies = in_thread(echo, "POST", "/", {}, b"x")
    assert fault.reached.wait(10)
    assert len(echo.published) == published and not replies
    fault.release()
    thread.join(10)
    assert replies[0].status == 200 and len(echo.published) == 1


def test_fault_hang_ends_with_the_fake():
    with Echo() as fake:
        connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
        fault = fake.fault("* *", "hang-before")
        connection.request("POST", "/", b"x")
        assert fault.reached.wait(10)
    with pytest.raises(ConnectionError):
        connection.getresponse()
    assert not fake.published


def test_fault_delay(echo):
    echo.fault("* *", "delay", seconds=0.05)
    before = time.monotonic()
    assert call(echo, "POST", "/", body=b"x").status == 200
    assert time.monotonic() - before >= 0.05


def test_fault_kind_must_exist(echo):
    with pytest.raises(ValueError):
        echo.fault("* *", "explode")


def test_faults_can_be_cleared(echo):
    echo.fault("* *", "answer", 9)
    echo.clear_faults()
    assert call(echo, "POST", "/", body=b"x").status == 200


def test_wait_until_sees_requests_of_others(echo):
    thread, _ = in_thread(echo, "POST", "/", {}, b"x")
    assert echo.wait_until(lambda: len(echo.log) == 1 and echo.log[0].answer is not None)
    thread.join(10)
    assert not echo.wait_until(lambda: len(echo.log) == 2, timeout=0.01)


def test_a_bug_in_a_fake_is_shown():
    with pytest.raises(RuntimeError, match="on purpose"):
        with Echo() as fake:
            assert call(fake, "GET", "/bug").status == 500


# LinkedIn.

@pytest.fixture
def linkedin():
    with LinkedInFake() as fake:
        fake.add_token("t", MEMBER, PAGE)
        fake.add_token("reader", MEMBER, PAGE, scopes=("w_member_social", "r_member_social"))
        yield fake


def li_headers(**changes: str | None) -> dict[str, str | None]:
    headers = {"authorization": "Bearer t", "linkedin-version": "202609",
               "x-restli-protocol-version": "2.0.0", "content-type": "application/json"}
    return {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}


def li_post(text: str = "hello", **changes: Any) -> dict[str, Any]:
    body = {"author": MEMBER, "commentary": text, "visibility": "PUBLIC",
            "distribution": {"feedDistribution": "MAIN_FEED", "targetEntities": [],
                             "thirdPartyDistributionChannels": []},
            "lifecycleState": "PUBLISHED", "isReshareDisabledByAuthor": False, **changes}
    return {name: value for name, value in body.items() if value is not None}


def publish(fake: LinkedInFake, body: dict[str, Any], **headers: str | None) -> Reply:
    return call(fake, "POST", "/rest/posts", li_headers(**headers), json.dumps(body))


def comments_of(urn: str) -> str:
    return f"/rest/socialActions/{quote(urn, safe='')}/comments"


def comment(fake: LinkedInFake, urn: str, text: str = "first", **changes: Any) -> Reply:
    body = {"actor": MEMBER, "object": urn, "message": {"text": text}, **changes}
    return call(fake, "POST", comments_of(urn), li_headers(), json.dumps(body))


def code_of(reply: Reply) -> str | None:
    """The code of an error, whichever of the three shapes it has."""
    body = reply.json
    if "errorDetails" in body:
        return body["errorDetails"]["inputErrors"][0]["code"]
    return body.get("code")


def test_linkedin_takes_a_post(linkedin):
    reply = publish(linkedin, li_post("hello"))
    urn = reply.headers["x-restli-id"]
    assert (reply.status, reply.body) == (201, b"") and re.fullmatch(r"urn:li:share:\d+", urn)
    assert linkedin.posts == [{"urn": urn, "author": MEMBER, "commentary_raw": "hello",
                               "visible_text": "hello", "comments": []}]
    assert linkedin.published[0]["kind"] == "post"


@pytest.mark.parametrize("headers, status, code", [
    ({"linkedin_version": None}, 400, "VERSION_MISSING"),
    ({"linkedin_version": "202504"}, 426, "NONEXISTENT_VERSION"),
    ({"linkedin_version": "2026-09"}, 426, "NONEXISTENT_VERSION"),
    ({"x_restli_protocol_version": None}, 400, None),
    ({"x_restli_protocol_version": "1.0.0"}, 400, None),
    ({"content_type": "text/plain"}, 415, None),
    ({"authorization": None}, 401, "EMPTY_ACCESS_TOKEN"),
    ({"authorization": "Basic t"}, 401, "EMPTY_ACCESS_TOKEN"),
    ({"authorization": "Bearer unknown"}, 401, None),
])
def test_linkedin_refuses_headers(linkedin, headers, status, code):
    reply = publish(linkedin, li_post(), **headers)
    assert (reply.status, code_of(reply)) == (status, code)
    assert not linkedin.posts


def test_linkedin_names_the_sunset_version(linkedin):
    assert publish(linkedin, li_post(), linkedin_version="202504").json == {
        "status": 426, "code": "NONEXISTENT_VERSION",
        "message": "Requested version 20250401 is not active"}


def test_linkedin_refuses_a_token_that_ended(linkedin):
    for state, service_code in (("expired", 65600), ("revoked", 65601)):
        linkedin.tokens["t"].state = state
        reply = publish(linkedin, li_post())
        assert (reply.status, reply.json["serviceErrorCode"]) == (401, service_code)
    linkedin.tokens["t"].state = "valid"
    assert publish(linkedin, li_post()).status == 201


@pytest.mark.parametrize("changes, status, code", [
    ({"surprise": 1}, 403, None),
    ({"author": None}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"commentary": None}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"visibility": None}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"distribution": None}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"lifecycleState": None}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"commentary": 7}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"isReshareDisabledByAuthor": "no"}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"distribution": {}}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"distribution": {"feedDistribution": "EVERYWHERE"}}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"distribution": {"feedDistribution": "NONE", "more": 1}}, 403, None),
    ({"lifecycleState": "DRAFT"}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"visibility": "SECRET"}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"author": PAGE, "visibility": "CONNECTIONS"}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"author": "urn:li:share:1"}, 400, "INVALID_URN_TYPE"),
    ({"author": "AbC-1"}, 400, "INVALID_URN_TYPE"),
    ({"author": "urn:li:person:"}, 400, "INVALID_URN_ID"),
    ({"author": "urn:li:organization:acme"}, 400, "INVALID_URN_ID"),
    ({"author": "urn:li:person:other"}, 403, "ACCESS_DENIED"),
    ({"author": "urn:li:organization:43"}, 403, "ACCESS_DENIED"),
    ({"commentary": "  "}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"content": {}}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"content": {"poll": {}}}, 403, None),
    ({"content": {"media": {"title": "no id"}}}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"content": {"media": {"id": "urn:li:share:1"}}}, 400, "INVALID_URN_TYPE"),
    ({"content": {"article": {"source": "https://a.example"}}}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"content": {"article": {"source": "https://a.example", "title": "t", "thumbnail": "x"}}},
     400, "INVALID_URN_TYPE"),
    ({"content": {"multiImage": {}}}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"content": {"multiImage": {"images": ["x"]}}}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"content": {"multiImage": {"images": [{}]}}}, 400, "INVALID_VALUE_FOR_FIELD"),
    ({"content": {"multiImage": {"images": [{"id": "urn:li:video:1"}]}}}, 400,
     "INVALID_URN_TYPE"),
])
def test_linkedin_refuses_posts(linkedin, changes, status, code):
    reply = publish(linkedin, li_post(**changes))
    assert (reply.status, code_of(reply)) == (status, code)
    assert not linkedin.posts


@pytest.mark.parametrize("changes", [
    {"author": PAGE},
    {"visibility": "CONNECTIONS"},
    {"visibility": "LOGGED_IN"},
    {"isReshareDisabledByAuthor": None},
    {"commentary": "", "content": {"media": {"id": "urn:li:image:C4", "title": "t"}}},
    {"content": {"article": {"source": "https://a.example", "title": "t", "description": "d",
                             "thumbnail": "urn:li:image:C4"}}},
    {"content": {"multiImage": {"images": [{"id": "urn:li:image:1"}, {"id": "urn:li:image:2"}]}}},
])
def test_linkedin_takes_posts(linkedin, changes):
    assert publish(linkedin, li_post(**changes)).status == 201


def test_linkedin_refuses_what_is_not_json(linkedin):
    reply = call(linkedin, "POST", "/rest/posts", li_headers(), b"{")
    assert reply.status == 400 and "JSON" in reply.json["message"]
    assert call(linkedin, "POST", "/rest/posts", li_headers(), b"[]").status == 400


@pytest.mark.parametrize("scope, author, status", [
    ("r_organization_social", MEMBER, 403),
    ("w_organization_social", MEMBER, 403),
    ("w_member_social", PAGE, 403),
    ("w_member_social", MEMBER, 201),
    ("w_member_social_feed", MEMBER, 201),
    ("w_organization_social_feed", PAGE, 201),
])
def test_linkedin_asks_for_the_scope(linkedin, scope, author, status):
    linkedin.add_token("t", MEMBER, PAGE, scopes=(scope,))
    assert publish(linkedin, li_post(author=author)).status == status


def test_linkedin_says_who_is_no_administrator(linkedin):
    reply = publish(linkedin, li_post(author="urn:li:organization:43"))
    assert "no longer an administrator" in reply.json["message"]


def test_linkedin_unknown_paths(linkedin):
    assert call(linkedin, "GET", "/rest/nothing", li_headers()).status == 404
    assert call(linkedin, "PUT", "/rest/posts", li_headers(), b"").status == 404


@pytest.mark.parametrize("raw, visible", [
    ("plain → ✅", "plain → ✅"),
    (r"\| \{ \} \@ \[ \] \( \) \< \> \# \\ \* \_ \~", r"| { } @ [ ] ( ) < > # \ * _ ~"),
    ("#word next", "#word next"),
    (r"{hashtag|\#|word}!", "#word!"),
    (r"{hashtag|\#|two\_words}", "#two_words"),
    ("hi @[Ac Me](urn:li:organization:1)", "hi Ac Me"),
    (r"@[Ac\_me](urn:li:person:a-B_c)", "Ac_me"),
])
def test_little_text_takes(linkedin, raw, visible):
    assert publish(linkedin, li_post(raw)).status == 201
    assert linkedin.posts[0]["visible_text"] == visible
    assert linkedin.posts[0]["commentary_raw"] == raw


@pytest.mark.parametrize("raw, kept", [
    *((f"a {c} b", "a ") for c in "|{}@[]()<>#\\*_~"),
    ("C# 12", "C"),
    ("a\\nb", "a"),
    ("at the end\\", "at the end"),
    ("{hashtag|#|word}", ""),
    ("{hashtag|\\#|}", ""),
    ("@[name](urn:li:share:1)", ""),
    ("@[](urn:li:person:a)", ""),
])
def test_little_text_refuses_or_cuts(linkedin, raw, kept):
    reply = publish(linkedin, li_post(raw))
    assert (reply.status, code_of(reply)) == (400, "INVALID_VALUE_FOR_FIELD")
    assert reply.json["errorDetails"]["inputErrors"][0]["input"] == {
        "inputPath": {"fieldPath": "/commentary"}}
    linkedin.strict_escapes = False
    assert publish(linkedin, li_post(raw)).status == 201
    assert linkedin.posts[0]["visible_text"] == kept


def test_little_text_of_nothing():
    assert parse_little_text("").visible == ""


@pytest.mark.parametrize("text, status", [
    ("x" * 3000, 201),
    ("x" * 3001, 400),
    (r"\(" * 3000, 201),                   # escapes are not counted
    (r"\(" * 3001, 400),
    ("😀" * 1500, 201),                    # two UTF-16 units each
    ("😀" * 1500 + "x", 400),
    (r"{hashtag|\#|x}" * 1500, 201),       # seen: #x
    (r"{hashtag|\#|x}" * 1500 + "x", 400),
])
def test_linkedin_length(linkedin, text, status):
    reply = publish(linkedin, li_post(text))
    assert reply.status == status
    assert status == 201 or code_of(reply) == "FIELD_LENGTH_TOO_LONG"


def test_utf16_length():
    assert utf16_length("a😀") == 3


def test_linkedin_duplicates_name_the_live_post(linkedin):
    urn = publish(linkedin, li_post("same")).headers["x-restli-id"]
    reply = publish(linkedin, li_post("same"))
    assert (reply.status, code_of(reply)) == (422, "DUPLICATE_POST")
    assert reply.json["message"].endswith(f"Content is a duplicate of {urn}")
    assert publish(linkedin, li_post("same", author=PAGE)).status == 201
    assert publish(linkedin, li_post("other")).status == 201
    assert len(linkedin.posts) == 3


def test_linkedin_escapes_do_not_hide_a_duplicate(linkedin):
    publish(linkedin, li_post("#tag"))
    assert publish(linkedin, li_post(r"{hashtag|\#|tag}")).status == 422


def test_linkedin_pictures_without_text_differ(linkedin):
    for image, status in (("1", 201), ("2", 201), ("1", 422)):
        content = {"media": {"id": f"urn:li:image:{image}"}}
        assert publish(linkedin, li_post("", content=content)).status == status


def test_linkedin_a_deleted_post_leaves_a_ghost(linkedin):
    urn = publish(linkedin, li_post("same")).headers["x-restli-id"]
    reader = li_headers(authorization="Bearer reader")
    one = f"/rest/posts/{quote(urn, safe='')}"
    assert call(linkedin, "GET", one, reader).status == 200
    linkedin.delete_post(urn)
    for _ in range(2):
        reply = publish(linkedin, li_post("same"))
        assert reply.status == 422 and urn in reply.json["message"]
    assert call(linkedin, "GET", one, reader).status == 404
    assert comment(linkedin, urn).status == 404
    assert not linkedin.posts


def test_linkedin_one_of_many_equal_posts_wins(linkedin):
    calls = [in_thread(linkedin, "POST", "/rest/posts", li_headers(), json.dumps(li_post()))
             for _ in range(16)]
    for thread, _ in calls:
        thread.join(10)
    assert sorted(replies[0].status for _, replies in calls) == [201] + [422] * 15


def test_linkedin_gets_a_post(linkedin):
    urn = publish(linkedin, li_post(r"a \(b\)", author=PAGE)).headers["x-restli-id"]
    reply = call(linkedin, "GET", f"/rest/posts/{quote(urn, safe='')}", li_headers())
    assert reply.status == 200
    assert (reply.json["id"], reply.json["author"]) == (urn, PAGE)
    assert reply.json["commentary"] == r"a \(b\)"
    assert abs(reply.json["createdAt"] / 1000 - time.time()) < 5


def test_linkedin_reading_a_post_has_its_rules(linkedin):
    urn = publish(linkedin, li_post()).headers["x-restli-id"]
    one = f"/rest/posts/{quote(urn, safe='')}"
    assert call(linkedin, "GET", one, li_headers()).status == 403
    assert call(linkedin, "GET", one, li_headers(authorization="Bearer reader")).status == 200
    assert call(linkedin, "GET", f"/rest/posts/{urn}", li_headers()).status == 400
    assert call(linkedin, "GET", one[:-1] + "99", li_headers()).status == 404


FIND_PAGE = f"/rest/posts?q=author&author={quote(PAGE, safe='')}"


def test_linkedin_finds_posts_of_a_page(linkedin):
    urns = [publish(linkedin, li_post(text, author=PAGE)).headers["x-restli-id"]
            for text in ("one", "two", "three")]
    publish(linkedin, li_post("mine"))
    linkedin.delete_post(urns[0])
    target = FIND_PAGE + "&count=10&sortBy=CREATED"
    reply = call(linkedin, "GET", target, li_headers(x_restli_method="FINDER"))
    assert [post["id"] for post in reply.json["elements"]] == [urns[2], urns[1]]
    reply = call(linkedin, "GET", FIND_PAGE + "&count=1&start=1",
                 li_headers(x_restli_method="FINDER"))
    assert [post["id"] for post in reply.json["elements"]] == [urns[1]]


@pytest.mark.parametrize("target, method, status", [
    (FIND_PAGE, None, 400),
    (FIND_PAGE, "GET", 400),
    (f"/rest/posts?author={quote(PAGE, safe='')}", "FINDER", 400),
    (f"/rest/posts?q=author&author={PAGE}", "FINDER", 400),
    ("/rest/posts?q=author", "FINDER", 400),
    (FIND_PAGE + "&count=0", "FINDER", 400),
    (FIND_PAGE + "&count=101", "FINDER", 400),
    (FIND_PAGE + "&sortBy=NAME", "FINDER", 400),
    (FIND_PAGE + "&since=1", "FINDER", 400),
    (f"/rest/posts?q=author&author={quote(MEMBER, safe='')}", "FINDER", 403),
    (f"/rest/posts?q=author&author={quote(PAGE, safe='')}3", "FINDER", 403),
])
def test_linkedin_refuses_finders(linkedin, target, method, status):
    assert call(linkedin, "GET", target, li_headers(x_restli_method=method)).status == status


def test_linkedin_takes_a_comment_as_plain_text(linkedin):
    urn = publish(linkedin, li_post()).headers["x-restli-id"]
    reply = comment(linkedin, urn, r"see (this) \( #tag")
    assert reply.status == 201 and reply.headers["x-restli-id"].isdigit()
    comment_urn = reply.json["commentUrn"]
    assert re.fullmatch(r"urn:li:comment:\(urn:li:activity:\d+,\d+\)", comment_urn)
    assert linkedin.posts[0]["comments"] == [
        {"urn": comment_urn, "actor": MEMBER, "text": r"see (this) \( #tag"}]


def test_linkedin_comments_have_no_duplicate_check(linkedin):
    urn = publish(linkedin, li_post()).headers["x-restli-id"]
    assert [comment(linkedin, urn).status for _ in range(2)] == [201, 201]
    assert len(linkedin.posts[0]["comments"]) == 2


@pytest.mark.parametrize("changes, status", [
    ({"content": []}, 403),
    ({"message": {"text": "x", "style": "bold"}}, 403),
    ({"message": {}}, 400),
    ({"message": {"text": " "}}, 400),
    ({"message": "x"}, 400),
    ({"actor": "urn:li:share:1"}, 400),
    ({"actor": "urn:li:person:other"}, 403),
    ({"object": "urn:li:share:1"}, 400),
])
def test_linkedin_refuses_comments(linkedin, changes, status):
    urn = publish(linkedin, li_post()).headers["x-restli-id"]
    reply = comment(linkedin, urn, **changes)
    assert reply.status == status
    assert "content" not in changes or "Unpermitted fields" in reply.json["message"]
    assert not linkedin.posts[0]["comments"]


def test_linkedin_comment_path_must_be_encoded(linkedin):
    urn = publish(linkedin, li_post()).headers["x-restli-id"]
    body = json.dumps({"actor": MEMBER, "object": urn, "message": {"text": "x"}})
    target = f"/rest/socialActions/{urn}/comments"
    assert call(linkedin, "POST", target, li_headers(), body).status == 400


def test_linkedin_a_new_post_has_no_comments_yet(linkedin):
    linkedin.comment_404s = 2
    urn = publish(linkedin, li_post()).headers["x-restli-id"]
    assert [comment(linkedin, urn).status for _ in range(3)] == [404, 404, 201]
    assert comment(linkedin, "urn:li:share:1").status == 404


def test_linkedin_lists_comments(linkedin):
    urn = publish(linkedin, li_post()).headers["x-restli-id"]
    comment(linkedin, urn, "hello")
    assert call(linkedin, "GET", comments_of(urn), li_headers()).status == 403
    reply = call(linkedin, "GET", comments_of(urn), li_headers(authorization="Bearer reader"))
    [found] = reply.json["elements"]
    assert (found["actor"], found["object"], found["message"]) == (MEMBER, urn, {"text": "hello"})


def test_linkedin_comment_throttle(linkedin):
    urn = publish(linkedin, li_post()).headers["x-restli-id"]
    linkedin.throttled_comments = 1
    reply = comment(linkedin, urn)
    assert reply.status == 429 and "Comment create throttled" in reply.json["message"]
    assert comment(linkedin, urn).status == 201


def test_linkedin_day_quotas(linkedin):
    linkedin.add_token("u", "urn:li:person:second")
    linkedin.member_day_quota = 1
    assert publish(linkedin, li_post("a")).status == 201
    reply = publish(linkedin, li_post("b"))
    assert (reply.status, code_of(reply)) == (429, "TOO_MANY_REQUESTS")
    assert "retry-after" not in reply.headers
    second = {"author": "urn:li:person:second"}
    assert publish(linkedin, li_post("b", **second), authorization="Bearer u").status == 201
    linkedin.advance(86400)
    assert publish(linkedin, li_post("b")).status == 201
    linkedin.app_day_quota = 1
    assert publish(linkedin, li_post("c", **second), authorization="Bearer u").status == 429


REFRESH = {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "client",
           "client_secret": "secret"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def refresh(fake: LinkedInFake, **changes: str | None) -> Reply:
    form = {name: text for name, text in {**REFRESH, **changes}.items() if text is not None}
    return call(fake, "POST", "/oauth/v2/accessToken", FORM, urlencode(form))


def test_linkedin_refreshes_a_token(linkedin):
    linkedin.add_refresh_token("r", MEMBER, PAGE)
    reply = refresh(linkedin)
    assert reply.status == 200
    assert (reply.json["expires_in"], reply.json["refresh_token"]) == (5184000, "r")
    year = reply.json["refresh_token_expires_in"]
    authorization = f"Bearer {reply.json['access_token']}"
    assert publish(linkedin, li_post(author=PAGE), authorization=authorization).status == 201
    linkedin.advance(59 * 86400)
    assert year - refresh(linkedin).json["refresh_token_expires_in"] >= 59 * 86400
    linkedin.advance(307 * 86400)
    assert refresh(linkedin).status == 400


@pytest.mark.parametrize("changes, status, error", [
    ({"refresh_token": "other"}, 400, "invalid_grant"),
    ({"refresh_token": ""}, 400, "invalid_grant"),
    ({"client_secret": "wrong"}, 401, "invalid_client"),
    ({"client_id": "wrong"}, 401, "invalid_client"),
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ({"client_id": None}, 400, "invalid_request"),
    ({"scope": "w_member_social"}, 400, "invalid_request"),
])
def test_linkedin_refuses_refreshes(linkedin, changes, status, error):
    linkedin.add_refresh_token("r", MEMBER)
    reply = refresh(linkedin, **changes)
    assert (reply.status, reply.json["error"]) == (status, error)


def test_linkedin_refresh_is_a_posted_form(linkedin):
    linkedin.add_refresh_token("r", MEMBER)
    target, json_type = "/oauth/v2/accessToken", {"content-type": "application/json"}
    assert call(linkedin, "POST", target, json_type, urlencode(REFRESH)).status == 400
    assert call(linkedin, "GET", f"{target}?{urlencode(REFRESH)}").status == 405


def test_linkedin_refresh_tokens_can_be_revoked(linkedin):
    linkedin.add_refresh_token("r", MEMBER)
    linkedin.revoke_refresh_token("r")
    assert refresh(linkedin).json["error"] == "invalid_grant"


def test_linkedin_refresh_tokens_may_rotate(linkedin):
    linkedin.rotate_refresh_tokens = True
    linkedin.add_refresh_token("r", MEMBER)
    second = refresh(linkedin).json["refresh_token"]
    assert second != "r" and refresh(linkedin).json["error"] == "invalid_grant"
    assert refresh(linkedin, refresh_token=second).status == 200


def test_linkedin_lost_answer_then_duplicate(linkedin):
    """The moment that all this is for: published, unheard, asked again."""
    linkedin.fault("POST /rest/posts", "process-then-close")
    with pytest.raises(http.client.RemoteDisconnected):
        publish(linkedin, li_post("once"))
    reply = publish(linkedin, li_post("once"))
    assert reply.status == 422 and linkedin.posts[0]["urn"] in reply.json["message"]
    assert len(linkedin.posts) == 1


# Webhooks.

HOOK_BODY = b'{"test": 2432232314}'


@pytest.fixture
def hook():
    with WebhookReceiver({"/hook": DEFAULT_SECRET}) as fake:
        yield fake


def hook_headers(message_id: str = "msg_1", body: bytes = HOOK_BODY, age: float = 0,
                 secret: str = DEFAULT_SECRET, **changes: str | None) -> dict[str, str | None]:
    timestamp = str(int(time.time() - age))
    signature = sign(decode_secret(secret), message_id, timestamp, body)
    headers = {"content-type": "application/json", "webhook-id": message_id,
               "webhook-timestamp": timestamp, "webhook-signature": signature}
    return {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}


def deliver(fake: WebhookReceiver, headers: dict[str, str | None] | None = None,
            body: bytes = HOOK_BODY, path: str = "/hook") -> Reply:
    return call(fake, "POST", path, headers or hook_headers(), body)


VECTOR = {"webhook_id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook_timestamp": "1614265330",
          "webhook_signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}


def test_webhook_vector_of_the_specification(hook):
    assert sign(decode_secret(DEFAULT_SECRET), VECTOR["webhook_id"],
                VECTOR["webhook_timestamp"], HOOK_BODY) == VECTOR["webhook_signature"]
    assert deliver(hook, hook_headers(**VECTOR)).status == 401  # it is years old
    hook.advance(1614265330 - time.time())
    assert deliver(hook, hook_headers(**VECTOR)).status == 200


def test_webhook_takes_a_delivery(hook):
    reply = deliver(hook)
    assert reply.status == 200
    assert reply.json == {"id": "wh-1", "url": f"{hook.url}/posts/1"}
    [delivery] = hook.deliveries
    assert (delivery.id, delivery.body, delivery.repeats) == ("msg_1", HOOK_BODY, 0)
    assert hook.published[0]["kind"] == "publication"


@pytest.mark.parametrize("changes, status", [
    ({"content_type": "text/plain"}, 400),
    ({"content_type": None}, 400),
    ({"webhook_id": None}, 400),
    ({"webhook_id": ""}, 400),
    ({"webhook_id": "msg_2"}, 401),
    ({"webhook_timestamp": None}, 400),
    ({"webhook_timestamp": "soon"}, 400),
    ({"webhook_timestamp": "1614265330.5"}, 400),
    ({"webhook_signature": None}, 400),
    ({"webhook_signature": "v1"}, 400),
    ({"webhook_signature": "v1,not base64"}, 400),
    ({"webhook_signature": "v1,"}, 400),
    ({"webhook_signature": VECTOR["webhook_signature"]}, 401),
    ({"webhook_signature": "v1a,AAAA"}, 401),
    ({"age": 301}, 401),
    ({"age": -302}, 401),
    ({"message_id": "msg.1"}, 400),
    ({"secret": "whsec_" + "A" * 32}, 401),
    ({"body": b'{"test": 2432232315}'}, 401),
])
def test_webhook_refuses(hook, changes, status):
    reply = deliver(hook, hook_headers(**changes))
    assert reply.status == status and reply.json["error"]
    assert not hook.deliveries and not hook.published


def test_webhook_refuses_other_requests(hook):
    assert call(hook, "GET", "/hook").status == 405
    assert deliver(hook, path="/elsewhere").status == 404
    assert deliver(hook, hook_headers(body=b"{"), b"{").status == 400


def test_webhook_takes_times_within_five_minutes(hook):
    assert deliver(hook, hook_headers("a", age=290)).status == 200
    assert deliver(hook, hook_headers("b", age=-290)).status == 200


def test_webhook_takes_one_of_several_signatures(hook):
    right = hook_headers()["webhook-signature"]
    several = f"v1a,AAAA {VECTOR['webhook_signature']} {right}"
    assert deliver(hook, hook_headers(webhook_signature=several)).status == 200


def test_webhook_takes_either_secret_while_rotating(hook):
    other = "whsec_" + "B" * 32
    hook.register("/hook", DEFAULT_SECRET, other)
    assert deliver(hook, hook_headers("a")).status == 200
    assert deliver(hook, hook_headers("b", secret=other)).status == 200


@pytest.mark.parametrize("secret", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA",
                                    "whsec_!", "whsec_" + "A" * 88])
def test_webhook_secrets_have_a_form(secret):
    with pytest.raises(ValueError):
        decode_secret(secret)


def test_webhook_a_repeat_gets_the_same_result(hook):
    first = deliver(hook)
    deliver(hook, hook_headers("msg_2"))
    again = deliver(hook, hook_headers(age=1))
    assert (again.status, again.json) == (200, first.json)
    assert [record["kind"] for record in hook.published] == [
        "publication", "publication", "repeat"]
    assert (hook.deliveries[0].repeats, hook.deliveries[0].changed_repeats) == (1, 0)
    deliver(hook, hook_headers(body=b"{}"), b"{}")
    assert (hook.deliveries[0].repeats, hook.deliveries[0].changed_repeats) == (2, 1)


def test_webhook_may_ignore_ids(hook):
    hook.ignore_ids = True
    assert [deliver(hook).json["id"] for _ in range(2)] == ["wh-1", "wh-2"]
    assert len(hook.deliveries) == 2


def test_webhook_may_answer_nothing(hook):
    hook.answer_ids = False
    reply = deliver(hook)
    assert (reply.status, reply.body) == (200, b"")


def test_webhook_delay_holds_the_answer_back(hook):
    hook.delay = 0.05
    before = time.monotonic()
    assert deliver(hook).status == 200
    assert time.monotonic() - before >= 0.05


# Mastodon.

@pytest.fixture
def mastodon():
    with MastodonFake() as fake:
        fake.add_token("t", "member")
        fake.add_token("u", "other")
        yield fake


def toot(fake: MastodonFake, status: str | None = "hello", key: str | None = None,
         token: str = "t", **fields: Any) -> Reply:
    body = {**fields, **({} if status is None else {"status": status})}
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json",
               "idempotency-key": key}
    return call(fake, "POST", "/api/v1/statuses", headers, json.dumps(body))


def look(fake: MastodonFake, target: str, token: str = "t") -> Reply:
    return call(fake, "GET", target, {"authorization": f"Bearer {token}"})


def statuses_of(fake: MastodonFake, token: str = "t") -> str:
    return f"/api/v1/accounts/{fake.accounts[token].id}/statuses"


class PlainText(HTMLParser):
    def __init__(self, markup: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.text += "\n" if tag == "br" else "\n\n" if tag == "p" and self.text else ""

    def handle_data(self, data: str) -> None:
        self.text += data


def test_mastodon_takes_a_status(mastodon):
    reply = toot(mastodon, "hello", visibility="unlisted", language="en", spoiler_text="careful",
                 sensitive=True)
    assert reply.status == 200 and reply.json["content"] == "<p>hello</p>"
    assert reply.json["url"] == f"{mastodon.url}/@member/{reply.json['id']}"
    assert datetime.fromisoformat(reply.json["created_at"]).tzinfo is not None
    assert reply.json["visibility"] == "unlisted" and reply.json["sensitive"] is True
    assert look(mastodon, f"/api/v1/statuses/{reply.json['id']}").json == reply.json
    assert [post["text"] for post in mastodon.posts] == ["hello"]
    assert mastodon.published[0]["kind"] == "post"


def test_mastodon_takes_a_form(mastodon):
    headers = {"authorization": "Bearer t", **FORM}
    body = urlencode({"status": "ä & b", "sensitive": "true"})
    reply = call(mastodon, "POST", "/api/v1/statuses", headers, body)
    assert reply.status == 200 and reply.json["content"] == "<p>ä &amp; b</p>"


@pytest.mark.parametrize("kind, body, status", [
    ("application/json", b"{", 400),
    ("application/json", b"[]", 400),
    ("application/x-www-form-urlencoded", b"status=%ff", 400),
    ("application/x-www-form-urlencoded", b"status=a&sensitive=maybe", 422),
    ("text/plain", b"status=a", 415),
])
def test_mastodon_refuses_bodies(mastodon, kind, body, status):
    headers = {"authorization": "Bearer t", "content-type": kind}
    assert call(mastodon, "POST", "/api/v1/statuses", headers, body).status == status
    assert not mastodon.posts


@pytest.mark.parametrize("fields, status", [
    ({"status": None}, 422),
    ({"status": " \n"}, 422),
    ({"status": "x" * 501}, 422),
    ({"status": "x" * 500}, 200),
    ({"status": "x" * 490, "spoiler_text": "x" * 11}, 422),
    ({"status": "x" * 490, "spoiler_text": "x" * 10}, 200),
    ({"status": "x" * 476 + " https://a.example/" + "y" * 400}, 200),
    ({"status": "x" * 477 + " https://a.example/" + "y" * 400}, 422),
    ({"status": "x" * 477 + " https://a.io"}, 422),
    ({"status": "x" * 494 + " @abcd@somewhere.example"}, 200),
    ({"status": "x" * 495 + " @abcd@somewhere.example"}, 422),
    ({"visibility": "secret"}, 422),
    ({"language": "klingon"}, 422),
    ({"sensitive": "yes"}, 422),
    ({"scheduled_at": "2030-01-01T00:00:00Z"}, 422),
    ({"in_reply_to_id": "1"}, 404),
])
def test_mastodon_checks_statuses(mastodon, fields, status):
    reply = toot(mastodon, **fields)
    assert reply.status == status
    assert len(mastodon.posts) == (status == 200)
    assert status == 200 or reply.json["error"]


def test_mastodon_authentication(mastodon):
    assert toot(mastodon, token="unknown").status == 401
    mastodon.accounts["t"].state = "revoked"
    assert "revoked" in toot(mastodon).json["error"]
    mastodon.accounts["t"].state = "disabled"
    assert toot(mastodon).status == 403
    mastodon.accounts["t"].state = "active"
    assert toot(mastodon).status == 200


def test_mastodon_same_key_is_same_status_for_an_hour(mastodon):
    first = toot(mastodon, "one", key="k").json
    assert toot(mastodon, "two", key="k").json == first
    assert toot(mastodon, "two", key="l").json["id"] != first["id"]
    assert toot(mastodon, "two", key="k", token="u").json["id"] != first["id"]
    assert len(mastodon.posts) == 3
    mastodon.advance(3599)
    assert toot(mastodon, "one", key="k").json == first
    mastodon.advance(2)
    assert toot(mastodon, "one", key="k").json["id"] != first["id"]


def test_mastodon_without_key_all_is_new(mastodon):
    assert toot(mastodon).json["id"] != toot(mastodon).json["id"]


def test_mastodon_a_refused_status_uses_no_key(mastodon):
    assert toot(mastodon, "", key="k").status == 422
    assert toot(mastodon, "text", key="k").status == 200


def test_mastodon_may_ignore_keys(mastodon):
    mastodon.ignore_keys = True
    toot(mastodon, key="k")
    toot(mastodon, key="k")
    assert len(mastodon.posts) == 2


def test_mastodon_replies(mastodon):
    parent = toot(mastodon).json["id"]
    reply = toot(mastodon, "first comment", in_reply_to_id=parent)
    assert reply.json["in_reply_to_id"] == parent
    assert look(mastodon, f"/api/v1/statuses/{parent}").json["replies_count"] == 1
    assert mastodon.published[1]["kind"] == "comment"


def test_mastodon_lists_own_statuses(mastodon):
    ids = [toot(mastodon, text).json["id"] for text in ("one", "two", "three")]
    reblog = mastodon.add_reblog(mastodon.accounts["t"], ids[0])
    toot(mastodon, "not mine", token="u")
    base = statuses_of(mastodon)
    plain = look(mastodon, f"{base}?limit=20&exclude_reblogs=true").json
    assert [status["id"] for status in plain] == ids[::-1]
    everything = look(mastodon, f"{base}?limit=1").json
    assert [status["id"] for status in everything] == [reblog]
    assert everything[0]["reblog"]["id"] == ids[0]


@pytest.mark.parametrize("query, status", [("limit=0", 422), ("limit=41", 422), ("limit=x", 422),
                                           ("page=2", 422), ("limit=40", 200)])
def test_mastodon_checks_lists(mastodon, query, status):
    base = statuses_of(mastodon)
    assert look(mastodon, f"{base}?{query}").status == status


def test_mastodon_hides_private_statuses(mastodon):
    status_id = toot(mastodon, visibility="private").json["id"]
    base = statuses_of(mastodon)
    assert look(mastodon, f"/api/v1/statuses/{status_id}").status == 200
    assert look(mastodon, f"/api/v1/statuses/{status_id}", "u").status == 404
    assert (len(look(mastodon, base).json), len(look(mastodon, base, "u").json)) == (1, 0)


def test_mastodon_unknown_things(mastodon):
    for target in ("/api/v1/statuses/1", "/api/v1/accounts/1/statuses", "/api/v1/nothing"):
        assert look(mastodon, target).status == 404


def test_mastodon_who_am_i(mastodon):
    reply = look(mastodon, "/api/v1/accounts/verify_credentials", "u")
    assert (reply.json["id"], reply.json["username"]) == (mastodon.accounts["u"].id, "other")
    assert look(mastodon, "/api/v1/accounts/verify_credentials", "x").status == 401


def test_mastodon_instance_needs_no_token(mastodon):
    reply = call(mastodon, "GET", "/api/v2/instance")
    assert reply.json["version"] == "4.3.2"
    assert reply.json["configuration"]["statuses"] == {
        "max_characters": 500, "characters_reserved_per_url": 23, "max_media_attachments": 4}


def test_mastodon_limits_calls(mastodon):
    mastodon.rate_limit = 2
    assert [toot(mastodon).headers["x-ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    reply = toot(mastodon)
    assert (reply.status, reply.headers["x-ratelimit-limit"]) == (429, "2")
    reset = datetime.fromisoformat(reply.headers["x-ratelimit-reset"])
    assert 0 <= reset.timestamp() - time.time() <= 300
    assert len(mastodon.posts) == 2 and toot(mastodon, token="u").status == 200
    mastodon.advance(300)
    assert toot(mastodon).status == 200


@pytest.mark.parametrize("text", [
    "one\ntwo\n\nthree", "a < b & \"c\" 'd'", "#tag and #1 and a#b",
    "https://a.example/a/very/long/path?with=a&lot=of&things=in&it=1#part end"])
def test_mastodon_html_reads_as_the_text(text):
    assert PlainText(to_html(text, "http://x")).text == text


# Standalone.

@pytest.mark.parametrize("script, options, target, headers, body, status", [
    ("linkedin_fake.py", [], "/rest/posts", li_headers(authorization="Bearer token"),
     json.dumps(li_post(author="urn:li:person:member")).encode(), 201),
    ("mastodon_fake.py", [], "/api/v1/statuses", {"authorization": "Bearer token", **FORM},
     b"status=hello", 200),
    ("webhook_receiver.py", ["--delay", "1"], "/hook", None, HOOK_BODY, 200),
])
def test_standalone(tmp_path, script, options, target, headers, body, status):
    log = tmp_path / "log"
    fault = json.dumps({"match": f"POST {target}", "kind": "process-then-answer", "status": 503})
    server = subprocess.Popen(
        [sys.executable, HERE / script, "--port", "0", "--log", log, "--fault", fault, *options],
        stdout=subprocess.PIPE, text=True)
    try:
        listening = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n",
                                 server.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", int(listening[1]), timeout=10)
        connection.request("POST", target, body, headers or hook_headers())
        assert connection.getresponse().status == 503
        [record] = map(json.loads, log.read_text().splitlines())
        assert record["kind"] in ("post", "publication")
        connection.close()
    finally:
        server.terminate()
        server.wait(10)
        server.stdout.close()
