# SPDX-License-Identifier: MIT
"""What the clients send and what the fakes answer, compared with what others have written down.

Mastodon: Prism stands between the client and its fake and compares each request and each answer
with the OpenAPI document of the API (tests/data/mastodon). Both kinds of mistake are made on
purpose as well, for every operation: a schema that Prism does not understand would let anything
pass.

Bluesky: the data server validates records by the lexicons that it brings along. That it takes ours
is tested elsewhere; here, that it would not take others, and that it counts as we do.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.peers import Pds, Prism, Response, request
from harness.process import Unavailable
from mastodon_fake import MastodonFake
from provider_call import a_post, at, call, failure, needs_program

pytestmark = needs_program

# Mastodon


DOCUMENT = Path(__file__).parents[1] / "data" / "mastodon" / "openapi.json"
TOKEN = "good-token"
STATUSES = "/api/v1/statuses"
ME = "/api/v1/accounts/verify_credentials"
INSTANCE = "/api/v2/instance"


class Contract:
    """The fake behind Prism, and a member's account there."""

    def __init__(self, fake: MastodonFake, prism: Prism) -> None:
        self.fake, self.prism = fake, prism
        self.account_id = fake.add_token(TOKEN, "alice").id
        self.account = {"id": "1", "provider": "mastodon", "remote_id": "alice@localhost",
                        "access_token": TOKEN}

    def do(self, verb: str, **data: Any) -> dict:
        return call("mastodon", verb, {"AUTOMAPOST_MASTODON_URL": self.prism.url},
                    **({"account": self.account} | data))

    def done(self, verb: str, **data: Any) -> dict:
        result = self.do(verb, **data)
        assert result["ok"], (result, self.told())
        return result

    def ask(self, method: str, path: str, token: str | None = TOKEN, **more: Any) -> Response:
        return request(method, self.prism.url + path, token=token, **more)

    def operations(self) -> set[tuple[str, str]]:
        """What reached the fake, each with its answer."""
        assert all(exchange.answer is not None for exchange in self.fake.log)
        return {(exchange.method, exchange.path.replace(self.account_id, "{id}"))
                for exchange in self.fake.log}

    def answer(self, match: str, body: Any) -> None:
        """What the fake says next instead of its own answer."""
        self.fake.fault(match, "answer", status=200, body=json.dumps(body),
                        headers={"content-type": "application/json"})

    def told(self) -> list[str]:
        """What Prism refused in this test, and why."""
        return self.prism.violations()[self.before:]

    def __enter__(self) -> Contract:
        self.before = len(self.prism.violations())
        self.fake.log.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.fake.clear_faults()
        self.fake.accounts[TOKEN].state = "active"
        self.fake.rate_limit = 300


@pytest.fixture(scope="module")
def running() -> Iterator[Contract]:
    with MastodonFake() as fake:
        try:
            with Prism(DOCUMENT, fake.url) as prism:
                yield Contract(fake, prism)
        except Unavailable as reason:
            pytest.skip(str(reason))


@pytest.fixture
def contract(running: Contract) -> Iterator[Contract]:
    with running:
        yield running


def documented() -> dict[tuple[str, str], set[str]]:
    """The names of each operation's parameters and body members: an unknown one is ignored by the
    server, and by Prism."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    schemas = document["components"]["schemas"]

    def members(schema: dict) -> set[str]:
        if "$ref" in schema:
            return members(schemas[schema["$ref"].rpartition("/")[2]])
        parts = schema.get("oneOf", []) + schema.get("allOf", [])
        return set(schema.get("properties", {})).union(*map(members, parts))

    return {(method.upper(), path):
            {parameter["name"] for parameter in operation.get("parameters", [])} |
            (members(operation["requestBody"]["content"]["application/json"]["schema"])
             if "requestBody" in operation else set())
            for path, item in document["paths"].items() for method, operation in item.items()}


def test_what_the_client_sends_and_is_answered(contract: Contract) -> None:
    """Every call that it makes: limits, a post, a comment, both looked up; and refusals."""
    post = a_post("Hi \u20ac #tag https://example.org/a?b=1&c=2 @bob@example.org")
    prepared = contract.done("prepare", post=post)["request"]
    sent = contract.done("send", post=post, request=prepared)["receipt"]
    comment = a_post("first", kind="comment", parent_remote_id=sent["remote_id"])
    reply = contract.done("prepare", post=comment)["request"]
    answer = contract.done("send", post=comment, request=reply)["receipt"]
    for what, stored, receipt in ((post, prepared, sent), (comment, reply, answer)):
        found = contract.done("reconcile", post=what, request=stored, begun=at())
        assert (found["finding"], found["receipt"]) == ("sent", receipt)

    orphan = a_post(kind="comment", parent_remote_id="404")
    lost = contract.done("prepare", post=orphan)["request"]
    assert failure(contract.do("send", post=orphan, request=lost)) == \
        ("permanent", "parent-missing")
    contract.fake.accounts[TOKEN].state = "revoked"
    assert failure(contract.do("send", post=post, request=prepared)) == \
        ("auth", "reconnect-account")
    contract.fake.accounts[TOKEN].state = "active"
    contract.fake.rate_limit = 0
    assert failure(contract.do("send", post=post, request=prepared)) == \
        ("rate-limited", "rate-limited")

    assert contract.told() == []
    names = documented()
    assert contract.operations() == set(names)
    for exchange in contract.fake.log:
        known = names[exchange.method, exchange.path.replace(contract.account_id, "{id}")]
        body = json.loads(exchange.body) if exchange.body else {}
        assert set(exchange.query) | set(body) <= known
        assert "Idempotency-Key" in known or "idempotency-key" not in exchange.headers


@pytest.mark.parametrize("body, why", [
    ({}, "must have required property 'status'"),
    ({"status": 7}, "status must be string"),
    ({"status": "x", "in_reply_to_id": 7}, "in_reply_to_id must be string"),
    ({"status": "x", "visibility": "secret"}, "visibility must be equal to one of"),
])
def test_a_wrong_post_of_the_client_s_is_refused(contract: Contract, body: dict, why: str) -> None:
    """The client's own request with other bytes; the fake never hears of it."""
    post = a_post()
    wrong = contract.done("prepare", post=post)["request"] | {"body": json.dumps(body)}
    contract.fake.log.clear()
    assert failure(contract.do("send", post=post, request=wrong)) == ("permanent", "rejected")
    assert contract.fake.log == []
    assert why in contract.told()[0]


def test_other_wrong_requests_are_refused(contract: Contract) -> None:
    theirs = f"/api/v1/accounts/{contract.account_id}/statuses"
    assert contract.ask("GET", theirs + "?limit=many").status == 422
    assert contract.ask("GET", theirs + "?exclude_reblogs=maybe").status == 422
    assert contract.ask("GET", theirs, token=None).status == 401
    assert contract.ask("GET", ME, token=None).status == 401
    assert contract.ask("POST", STATUSES, token=None, data={"status": "x"}).status == 401
    assert contract.ask("GET", INSTANCE + "s").status == 404
    assert contract.fake.log == []
    told = contract.told()
    assert [line.split()[0] for line in told] == ["request"] * 2 + ["security"] * 3 + ["route"]
    assert "query.limit" in told[0] and "query.exclude_reblogs" in told[1]


@pytest.mark.parametrize("method, path, body, why", [
    ("POST", STATUSES, {"id": 7}, "must have required property 'account'"),
    ("POST", STATUSES, [], "must be object"),
    ("GET", ME, {"id": "1"}, "must have required property 'acct'"),
    ("GET", "/api/v1/accounts/{id}/statuses", {}, "must be array"),
    ("GET", "/api/v1/accounts/{id}/statuses", [{"id": "1"}], "required property 'account'"),
    ("GET", INSTANCE, {"version": "4.3.2"}, "must have required property 'api_versions'"),
])
def test_a_broken_answer_is_refused(contract: Contract, method: str, path: str, body: Any,
                                    why: str) -> None:
    path = path.replace("{id}", contract.account_id)
    contract.answer(f"{method} {path}", body)
    assert contract.ask(method, path,
                        data={"status": "x"} if method == "POST" else None).status == 500
    assert why in contract.told()[0]


@pytest.mark.parametrize("name", ["account", "content", "created_at", "uri", "visibility"])
def test_a_status_without_a_member_is_refused(contract: Contract, name: str) -> None:
    """One member less than the fake's own answer, which passes."""
    body = contract.ask("POST", STATUSES, data={"status": "x"}).expect().json()
    assert contract.told() == []
    del body[name]
    contract.answer(f"POST {STATUSES}", body)
    assert contract.ask("POST", STATUSES, data={"status": "x"}).status == 500
    assert f"required property '{name}'" in contract.told()[0]


# Bluesky


@pytest.fixture(scope="module")
def pds() -> Iterator[Pds]:
    try:
        with Pds() as pds:
            yield pds
    except Unavailable as reason:
        pytest.skip(str(reason))


class Member:
    """An account of the data server, and what our client does for it there."""

    def __init__(self, pds: Pds, name: str) -> None:
        self.url = pds.url
        account = pds.create_account(name)
        self.account = {"id": "1", "provider": "bluesky", "remote_id": account.did,
                        "access_token": account.access_jwt, "refresh_token": account.refresh_jwt}

    def do(self, verb: str, **data: Any) -> dict:
        return call("bluesky", verb, {"AUTOMAPOST_BLUESKY_URL": self.url},
                    account=self.account, **data)

    def send(self, post: dict, request: dict, **changes: Any) -> dict:
        """The request as prepared, but for changes of its record; None takes a member away."""
        body = json.loads(request["body"])
        record = body["record"] | changes
        body["record"] = {name: value for name, value in record.items() if value is not None}
        return self.do("send", post=post, request=request | {"body": json.dumps(body)})


@pytest.fixture(scope="module")
def member(pds: Pds) -> Member:
    return Member(pds, "careful")


FACET = {"index": {"byteStart": 0, "byteEnd": 2},
         "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "x"}]}


@pytest.mark.parametrize("changes", [
    {"text": None},
    {"text": 7},
    {"createdAt": None},
    {"createdAt": "today"},
    {"facets": [FACET | {"index": {"byteStart": "0", "byteEnd": 2}}]},
    {"facets": [FACET | {"index": {"byteStart": 0}}]},
    {"facets": [FACET | {"features": [{"$type": "app.bsky.richtext.facet#tag"}]}]},
    {"facets": [FACET | {"features": [{"$type": "app.bsky.richtext.facet#link", "uri": "x y"}]}]},
    {"facets": [FACET | {"features": [{"$type": "app.bsky.richtext.facet#mention", "did": "me"}]}]},
    {"facets": [FACET | {"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "x" * 65}]}]},
    {"reply": {"root": {"uri": "at://x", "cid": "x"}}},
    {"langs": ["en", "de", "fr", "it"]},
], ids=json.dumps)
def test_a_record_with_one_mistake_is_refused(member: Member, changes: dict) -> None:
    post = a_post("#x")
    request = member.do("prepare", post=post)["request"]
    assert failure(member.send(post, request, **changes)) == ("permanent", "rejected")
    assert member.send(post, request, facets=[FACET])["ok"]


@pytest.mark.parametrize("cluster", [
    "x", "e\u0301", "\N{EURO SIGN}", "1\ufe0f\u20e3",
    "\U0001F1EB\U0001F1F7",                # a flag
    "\u1112\u1161\u11ab",                 # Hangul of three jamo
    "\u0e01\u0e4d", "\u0b95\u0bcb",       # Thai, Tamil
    "\u0915\u094d\u0924", "\u09b2\u09cd\u09b2", "\u0c15\u0c4d\u0c37",     # conjuncts
    "\u0d15\u0d4d\u0d37", "\u1780\u17d2\u1780", "\u1000\u1039\u1000",
], ids=ascii)
def test_it_counts_as_we_do(member: Member, cluster: str) -> None:
    """300 fit for both; 301 for neither, if we sent them."""
    post = a_post(cluster * 300)
    prepared = member.do("prepare", post=post)
    assert prepared["ok"], prepared
    assert member.send(post, prepared["request"])["ok"]

    assert failure(member.do("prepare", post=a_post(cluster * 301))) == \
        ("permanent", "text-too-long")
    other = a_post("x")
    longer = member.do("prepare", post=other)["request"]
    assert failure(member.send(other, longer, text=cluster * 301)) == ("permanent", "rejected")
