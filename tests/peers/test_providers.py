# SPDX-License-Identifier: MIT
"""The providers against what answers them: scripted sockets, the fakes, real servers.

Each call is one run of provider-call (its path in PROVIDER_CALL), so that what is tested is what
a worker links: HTTP client, classes and codes, bytes on the wire. Nothing here knows of jobs or
of the database.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from harness.certificate import make as make_certificate  # noqa: E402
from linkedin_fake import LinkedInFake  # noqa: E402
from mastodon_fake import MastodonFake  # noqa: E402
from provider_call import (PROGRAM, UNKNOWN, a_post, at, call, environment,  # noqa: E402
                           failure, needs_program)
from webhook_receiver import DEFAULT_SECRET, WebhookReceiver  # noqa: E402

pytestmark = needs_program


# HTTP: a webhook whose server is a script of bytes


class Script:
    """Accepts connections on loopback and plays answer(connection) on each."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self.answer = answer
        self.connections = 0
        self.received: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/hook"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                try:
                    self.answer(connection)
                except OSError:
                    pass

    def read_request(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            body += connection.recv(65536)
        self.received.append(head + b"\r\n\r\n" + body)

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    scripts: list[Script] = []

    def make(answer: bytes | Callable[[socket.socket], None], pause: float = 0) -> Script:
        def play(connection: socket.socket) -> None:
            s.read_request(connection)
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)
                time.sleep(pause)

        s = Script(play)
        scripts.append(s)
        return s

    yield make
    for s in scripts:
        s.close()


def hook(url: str) -> dict:
    return {"id": "1", "provider": "webhook", "remote_id": url, "service_url": url,
            "access_token": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


def send_hook(url: str, settings: dict[str, str] | None = None, **more: Any) -> dict:
    post = a_post()
    prepared = call("webhook", "prepare", settings, account=hook(url), post=post)
    return call("webhook", "send", settings, account=hook(url), post=post,
                request=prepared["request"], **more)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize("answer", [
    b"",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"no HTTP at all\r\n\r\n",
], ids=["nothing", "cut-status", "cut-headers", "only-continue", "garbage"])
def test_lost_answer_is_unknown_and_not_repeated(script, answer: bytes) -> None:
    server = script(answer)
    assert failure(send_hook(server.url)) == UNKNOWN
    assert server.connections == 1


@pytest.mark.parametrize("answer", [
    OK,
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (3 << 20),
], ids=["plain", "continue", "no-content", "cut-body", "cut-chunk", "3-MiB"])
def test_status_and_headers_are_an_answer(script, answer: bytes) -> None:
    server = script(answer)
    assert send_hook(server.url)["ok"]
    assert server.connections == 1


def test_a_trickle_ends_at_the_deadline(script) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.1)

    start = time.monotonic()
    assert send_hook(script(trickle).url, deadline_msec=1000)["ok"]
    assert time.monotonic() - start < 5


def test_silence_ends_at_the_deadline(script) -> None:
    start = time.monotonic()
    result = send_hook(script(b"", pause=30).url, deadline_msec=1000)
    assert failure(result) == UNKNOWN
    assert time.monotonic() - start < 5


def test_a_write_follows_no_redirect(script) -> None:
    other = script(OK)
    server = script(b"HTTP/1.1 307 Elsewhere\r\nLocation: " + other.url.encode() +
                    b"\r\nContent-Length: 0\r\n\r\n")
    assert failure(send_hook(server.url)) == ("permanent", "rejected")
    assert other.connections == 0


def test_nothing_is_sent_once_cancelled(script) -> None:
    server = script(OK)
    assert failure(send_hook(server.url, cancelled=True)) == ("transient", "cancelled")
    assert server.received == []


def test_headers_of_a_request(script) -> None:
    server = script(OK)
    send_hook(server.url)
    head = server.received[0].partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nexpect:" not in head
    assert head.count(b"\r\ncontent-type:") == 1


def test_a_port_that_speaks_no_tls() -> None:
    server = Script(lambda connection: connection.sendall(b"220 plain\r\n"))
    assert failure(send_hook(server.url.replace("http", "https"))) == ("transient", "tls")


def test_certificates(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "IP:127.0.0.1")
    context, certificate = made.context(), made.certificate

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            server.read_request(encrypted)
            encrypted.sendall(OK)

    server = Script(answer)
    url = server.url.replace("http", "https")
    assert failure(send_hook(url)) == ("transient", "tls")
    assert server.received == []
    assert send_hook(url, {"AUTOMAPOST_CA_FILE": str(certificate)})["ok"]
    assert failure(send_hook(url, {"AUTOMAPOST_CA_FILE": str(tmp_path / "none")})) == \
        ("config", "operator-action")
    assert failure(send_hook(url.replace("127.0.0.1", "localhost"),
                             {"AUTOMAPOST_CA_FILE": str(certificate)})) == ("transient", "tls")


def test_a_port_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    assert failure(send_hook(url)) == ("transient", "platform-down")


@pytest.mark.parametrize("url", [
    "http://example.org/", "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/",
    "https://017700000001/", "https://127.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
    "https://localhost/", "https://user:password@example.org/", "https://user@example.org/",
    "ftp://example.org/", "https:///x y",
])
def test_hosts_that_a_member_may_not_reach(url: str) -> None:
    result = send_hook(url, {"AUTOMAPOST_ALLOW_PRIVATE_HOSTS": "no"})
    assert failure(result) == ("permanent", "forbidden-host")
    assert "user:password" not in result["error"]["message"]


@pytest.mark.skipif(os.environ.get("STOP_POINTS") != "1", reason="built without stop points")
@pytest.mark.parametrize("name, received, after", [
    ("first-byte", 0, "cancelled"), ("last-byte", 1, "ok"), ("answer-read", 1, "ok"),
])
def test_stop_points(script, name: str, received: int, after: str) -> None:
    server = script(OK)
    post = a_post()
    request = call("webhook", "prepare", account=hook(server.url), post=post)["request"]
    reader, writer = os.pipe()
    settings = {"AUTOMAPOST_STOP_POINT": name, "AUTOMAPOST_STOP_FD": str(writer)}
    with subprocess.Popen([PROGRAM, "webhook", "send"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=environment(settings),
                          pass_fds=[writer]) as child:
        os.close(writer)
        child.stdin.write(json.dumps({"account": hook(server.url), "post": post,
                                      "request": request, "deadline_msec": 1500}).encode())
        child.stdin.close()
        child.stdin = None
        assert os.read(reader, 100) == f"stop-point {name}\n".encode()
        time.sleep(1.6 if name == "first-byte" else 0.2)
        assert len(server.received) == received
        child.send_signal(signal.SIGCONT)
        result = json.loads(child.communicate()[0])
    os.close(reader)
    # Who was stopped before the first byte until it was too late sends nothing any more.
    assert len(server.received) == received
    if after == "ok":
        assert result["ok"]
    else:
        assert failure(result) == ("transient", "platform-down")


# The fakes: each platform's way out of a lost answer


LOST = [{"kind": "process-then-close"}, {"kind": "process-then-close", "reset": True},
        {"kind": "process-then-answer", "status": 500}, {"kind": "process-then-answer",
                                                         "status": 503}]
NOT_SENT = [{"kind": "close"}, {"kind": "answer", "status": 502}]


class TestLinkedIn:
    MEMBER = {"id": "1", "provider": "linkedin", "remote_id": "AbC-1", "access_token": "good-token",
              "refresh_token": "good-refresh-token"}
    PAGE = MEMBER | {"remote_id": "urn:li:organization:42"}

    @pytest.fixture
    def fake(self) -> Iterator[LinkedInFake]:
        with LinkedInFake() as fake:
            fake.add_token("good-token", "urn:li:person:AbC-1", "urn:li:organization:42")
            yield fake

    def do(self, fake: LinkedInFake, verb: str, settings: dict[str, str] | None = None,
           **data: Any) -> dict:
        return call("linkedin", verb, {
            "AUTOMAPOST_LINKEDIN_URL": fake.url, "AUTOMAPOST_LINKEDIN_AUTH_URL": fake.url,
            "AUTOMAPOST_LINKEDIN_CLIENT_ID": "client",
            "AUTOMAPOST_LINKEDIN_CLIENT_SECRET": "secret"} | (settings or {}), **data)

    def prepare(self, fake: LinkedInFake, account: dict, post: dict) -> dict:
        return self.do(fake, "prepare", account=account, post=post)["request"]

    TEXT = "a|b{c}d@e[f]g(h)i<j>k\\l*m_n~o #tag_1 #two https://example.org/a_b(c) # 1 \u20ac"

    def test_publish(self, fake: LinkedInFake) -> None:
        post = a_post(self.TEXT)
        request = self.prepare(fake, self.MEMBER, post)
        sent = self.do(fake, "send", account=self.MEMBER, post=post, request=request)
        assert sent["receipt"]["remote_id"].startswith("urn:li:share:")
        assert len(fake.published) == 1
        again = self.do(fake, "send", account=self.MEMBER, post=post, request=request)
        assert failure(again) == ("permanent", "duplicate")

    @pytest.mark.parametrize("fault", LOST)
    def test_member_lost_answer(self, fake: LinkedInFake, fault: dict) -> None:
        post = a_post(self.TEXT)
        request = self.prepare(fake, self.MEMBER, post)
        assert request["way"] == "resend"
        fake.fault("POST /rest/posts", **fault)
        lost = self.do(fake, "send", account=self.MEMBER, post=post, request=request)
        assert failure(lost) == UNKNOWN
        found = self.do(fake, "send", account=self.MEMBER, post=post,
                        request=request | {"resend": True})
        assert found["ok"] and len(fake.published) == 1

    @pytest.mark.parametrize("fault", NOT_SENT)
    def test_member_lost_request(self, fake: LinkedInFake, fault: dict) -> None:
        post = a_post(self.TEXT)
        request = self.prepare(fake, self.MEMBER, post)
        fake.fault("POST /rest/posts", **fault)
        assert failure(self.do(fake, "send", account=self.MEMBER, post=post,
                               request=request)) == UNKNOWN
        assert self.do(fake, "send", account=self.MEMBER, post=post,
                       request=request | {"resend": True})["ok"]
        assert len(fake.published) == 1

    @pytest.mark.parametrize("fault, finding", [(f, "sent") for f in LOST] +
                             [(f, "absent") for f in NOT_SENT])
    def test_organization(self, fake: LinkedInFake, fault: dict, finding: str) -> None:
        post = a_post(self.TEXT)
        request = self.prepare(fake, self.PAGE, post)
        assert request["way"] == "read"
        fake.fault("POST /rest/posts", **fault)
        begun = at()
        assert failure(self.do(fake, "send", account=self.PAGE, post=post,
                               request=request)) == UNKNOWN
        found = self.do(fake, "reconcile", account=self.PAGE, post=post, request=request,
                        begun=begun)
        assert found["finding"] == finding

    @pytest.mark.parametrize("status, body, expected", [
        (400, {"code": "VERSION_MISSING"}, ("config", "operator-action")),
        (400, {"errorDetails": {"inputErrors": [{"code": "FIELD_LENGTH_TOO_LONG"}]}},
         ("permanent", "text-too-long")),
        (400, "<html>", ("permanent", "rejected")),
        (401, {"serviceErrorCode": 65601}, ("auth", "reconnect-account")),
        (403, {"code": "ACCESS_DENIED"}, ("permission", "permission-missing")),
        (409, {}, ("transient", "platform-down")),
        (422, {"message": "no"}, ("permanent", "rejected")),
        (426, {"code": "NONEXISTENT_VERSION"}, ("config", "operator-action")),
        (429, {}, ("rate-limited", "rate-limited")),
        (408, {}, UNKNOWN),
        (500, {}, UNKNOWN),
    ])
    def test_errors(self, fake: LinkedInFake, status: int, body: Any, expected: tuple) -> None:
        post = a_post()
        request = self.prepare(fake, self.MEMBER, post)
        fake.fault("POST /rest/posts", "answer", status=status,
                   body=body if isinstance(body, str) else json.dumps(body))
        result = self.do(fake, "send", account=self.MEMBER, post=post, request=request)
        assert failure(result) == expected
        assert (result["error"]["retry_at"] is not None) == (status == 429)

    def test_ghost(self, fake: LinkedInFake) -> None:
        post = a_post()
        request = self.prepare(fake, self.MEMBER, post)
        fake.fault("POST /rest/posts", "answer", status=422, body=json.dumps(
            {"code": "DUPLICATE_POST", "message": "Content is a duplicate of urn:li:share:9"}))
        fake.fault("GET /rest/posts/*", "answer", status=404, body="{}")
        result = self.do(fake, "send", account=self.MEMBER, post=post,
                         request=request | {"resend": True})
        assert failure(result) == UNKNOWN

    def test_comment(self, fake: LinkedInFake) -> None:
        post = a_post()
        sent = self.do(fake, "send", account=self.MEMBER, post=post,
                       request=self.prepare(fake, self.MEMBER, post))["receipt"]
        comment = a_post("(first) #comment", kind="comment", parent_remote_id=sent["remote_id"])
        request = self.prepare(fake, self.MEMBER, comment)
        assert request["way"] == "none"
        fake.fault("POST /rest/socialActions/*", "answer", status=404, body="{}")
        early = self.do(fake, "send", account=self.MEMBER, post=comment, request=request)
        assert failure(early) == ("transient", "parent-missing") and early["error"]["retry_at"]
        assert self.do(fake, "send", account=self.MEMBER, post=comment, request=request)["ok"]

    @pytest.mark.parametrize("status, body, expected", [
        (400, {"error": "invalid_grant"}, ("auth", "reconnect-account")),
        (400, {"error": "invalid_request"}, ("auth", "reconnect-account")),
        (401, {"error": "invalid_client"}, ("config", "operator-action")),
        (400, {}, ("transient", "platform-down")),
        (500, {"error": "invalid_grant"}, ("transient", "platform-down")),
        (200, {}, ("transient", "platform-down")),
        (429, {}, ("rate-limited", "rate-limited")),
    ])
    def test_refresh_errors(self, fake: LinkedInFake, status: int, body: Any,
                            expected: tuple) -> None:
        fake.fault("POST /oauth/v2/accessToken", "answer", status=status, body=json.dumps(body))
        assert failure(self.do(fake, "refresh", account=self.MEMBER)) == expected

    @pytest.mark.parametrize("answer, refresh", [
        ({"access_token": "new", "expires_in": 60, "refresh_token": "next"}, "next"),
        ({"access_token": "new", "expires_in": 60, "refresh_token": ""}, None),
        ({"access_token": "new", "expires_in": 60}, None),
    ])
    def test_refresh(self, fake: LinkedInFake, answer: dict, refresh: str | None) -> None:
        fake.fault("POST /oauth/v2/accessToken", "answer", status=200, body=json.dumps(answer))
        tokens = self.do(fake, "refresh", account=self.MEMBER)["tokens"]
        assert (tokens["access_token"], tokens["refresh_token"]) == ("new", refresh)

    def test_refresh_lost_answer(self, fake: LinkedInFake) -> None:
        fake.fault("POST /oauth/v2/accessToken", "process-then-close")
        assert failure(self.do(fake, "refresh", account=self.MEMBER)) == \
            ("transient", "platform-down")


class TestMastodon:
    ACCOUNT = {"id": "1", "provider": "mastodon", "remote_id": "member@example.org",
               "access_token": "good-token"}
    TEXT = "Hi <b> & https://example.org/a?b=1&c=2 @al@example.org #tag\n\nsecond *para* \"q\""

    @pytest.fixture
    def fake(self) -> Iterator[MastodonFake]:
        with MastodonFake() as fake:
            fake.add_token("good-token", "member")
            yield fake

    def do(self, fake: MastodonFake, verb: str, **data: Any) -> dict:
        return call("mastodon", verb, {"AUTOMAPOST_MASTODON_URL": fake.url},
                    **({"account": self.ACCOUNT} | data))

    @pytest.mark.parametrize("fault, finding", [(f, "sent") for f in LOST] +
                             [(f, "absent") for f in NOT_SENT])
    def test_lost_answer(self, fake: MastodonFake, fault: dict, finding: str) -> None:
        post = a_post(self.TEXT)
        request = self.do(fake, "prepare", post=post)["request"]
        assert request["way"] == "resend"
        fake.fault("POST /api/v1/statuses", **fault)
        begun = at()
        assert failure(self.do(fake, "send", post=post, request=request)) == UNKNOWN
        found = self.do(fake, "reconcile", post=post, request=request, begun=begun)
        assert found["finding"] == finding
        sent = self.do(fake, "send", post=post, request=request)
        assert sent["ok"] and len(fake.published) == 1
        if finding == "sent":
            assert sent["receipt"] == found["receipt"]

    def test_an_older_post_is_not_ours(self, fake: MastodonFake) -> None:
        post = a_post(self.TEXT)
        request = self.do(fake, "prepare", post=post)["request"]
        assert self.do(fake, "send", post=post, request=request)["ok"]
        assert self.do(fake, "reconcile", post=post, request=request,
                       begun=at(300))["finding"] == "absent"

    def test_a_similar_post_may_be_ours(self, fake: MastodonFake) -> None:
        post, other = a_post("one two three four"), a_post("one two three five")
        request = self.do(fake, "prepare", post=post)["request"]
        assert self.do(fake, "send", post=other,
                       request=self.do(fake, "prepare", post=other)["request"])["ok"]
        found = self.do(fake, "reconcile", post=post, request=request, begun=at())
        assert found["finding"] == "unknown" and failure(found) == UNKNOWN

    @pytest.mark.parametrize("status, headers, body, expected", [
        (401, {}, "", ("auth", "reconnect-account")),
        (403, {}, '{"error": "disabled"}', ("auth", "reconnect-account")),
        (404, {}, "", ("permanent", "account-invalid")),
        (422, {}, '{"error": "Validation failed"}', ("permanent", "rejected")),
        (429, {"X-RateLimit-Reset": at(3600)}, "", ("rate-limited", "rate-limited")),
        (301, {"Location": "https://example.org/"}, "", ("permanent", "account-invalid")),
        (200, {}, "{}", UNKNOWN),
        (503, {"Retry-After": "60"}, "<html>", UNKNOWN),
    ])
    def test_errors(self, fake: MastodonFake, status: int, headers: dict, body: str,
                    expected: tuple) -> None:
        post = a_post()
        request = self.do(fake, "prepare", post=post)["request"]
        fake.fault("POST /api/v1/statuses", "answer", status=status, headers=headers, body=body)
        result = self.do(fake, "send", post=post, request=request)
        assert failure(result) == expected
        assert (result["error"]["retry_at"] is not None) == (status in (429, 503))

    def test_comment(self, fake: MastodonFake) -> None:
        post = a_post()
        sent = self.do(fake, "send", post=post,
                       request=self.do(fake, "prepare", post=post)["request"])["receipt"]
        comment = a_post("Hello", kind="comment", parent_remote_id=sent["remote_id"])
        request = self.do(fake, "prepare", post=comment)["request"]
        # The same text, but no reply: not this.
        assert self.do(fake, "reconcile", post=comment, request=request,
                       begun=at())["finding"] == "absent"
        assert self.do(fake, "send", post=comment, request=request)["ok"]
        assert self.do(fake, "reconcile", post=comment, request=request,
                       begun=at())["finding"] == "sent"


class TestWebhook:
    @pytest.fixture
    def fake(self) -> Iterator[WebhookReceiver]:
        with WebhookReceiver({"/hook": DEFAULT_SECRET}) as fake:
            yield fake

    def account(self, fake: WebhookReceiver) -> dict:
        return hook(fake.url + "/hook") | {"access_token": DEFAULT_SECRET}

    @pytest.mark.parametrize("fault", LOST + NOT_SENT)
    def test_lost_answer(self, fake: WebhookReceiver, fault: dict) -> None:
        post, account = a_post("\u20ac"), self.account(fake)
        request = call("webhook", "prepare", account=account, post=post)["request"]
        assert request["way"] == "resend"
        fake.fault("POST /hook", **fault)
        assert failure(call("webhook", "send", account=account, post=post,
                            request=request)) == UNKNOWN
        assert call("webhook", "send", account=account, post=post, request=request)["ok"]
        assert [p["kind"] for p in fake.published].count("publication") == 1

    @pytest.mark.parametrize("status, expected, retry", [
        (302, ("permanent", "rejected"), False), (400, ("permanent", "rejected"), False),
        (401, ("auth", "reconnect-account"), False), (410, ("permanent", "endpoint-gone"), False),
        (429, ("rate-limited", "rate-limited"), True), (503, UNKNOWN, True),
    ])
    def test_errors(self, fake: WebhookReceiver, status: int, expected: tuple,
                    retry: bool) -> None:
        post, account = a_post(), self.account(fake)
        request = call("webhook", "prepare", account=account, post=post)["request"]
        fake.fault("POST /hook", "answer", status=status,
                   headers={"Retry-After": "120"} if retry else {})
        result = call("webhook", "send", account=account, post=post, request=request)
        assert failure(result) == expected
        assert (result["error"]["retry_at"] is not None) == retry


# Real servers, where this machine has them


@pytest.fixture(scope="module")
def peers() -> Any:
    return pytest.importorskip("harness.peers")


class TestBluesky:
    @pytest.fixture(scope="class")
    def pds(self, peers: Any) -> Iterator[Any]:
        from harness.process import Unavailable
        try:
            with peers.Pds() as pds:
                yield pds
        except Unavailable as reason:
            pytest.skip(str(reason))

    @pytest.fixture
    def account(self, pds: Any) -> dict:
        a = pds.create_account("user" + uuid.uuid4().hex[:8])
        return {"id": "1", "provider": "bluesky", "remote_id": a.did, "handle": a.handle,
                "access_token": a.access_jwt, "refresh_token": a.refresh_jwt}

    def do(self, pds: Any, verb: str, **data: Any) -> dict:
        return call("bluesky", verb, {"AUTOMAPOST_BLUESKY_URL": pds.url}, **data)

    def test_publish(self, pds: Any, account: dict) -> None:
        post = a_post(f"\u20ac https://example.org/x example.com @{account['handle']} "
                      "@nobody.test #Tag")
        request = self.do(pds, "prepare", account=account, post=post)["request"]
        data = {"account": account, "post": post, "request": request, "begun": at()}
        assert self.do(pds, "reconcile", **data)["finding"] == "absent"
        sent = self.do(pds, "send", **data)["receipt"]
        assert self.do(pds, "send", **data)["receipt"] == sent
        assert self.do(pds, "reconcile", **data)["receipt"] == sent

        records = pds.records(account["remote_id"])
        assert [record["uri"] for record in records] == [sent["remote_id"]]
        assert records[0]["value"]["text"] == post["text"]
        text = post["text"].encode()
        assert {(text[f["index"]["byteStart"]:f["index"]["byteEnd"]].decode(),
                 f["features"][0].get("uri") or f["features"][0].get("did") or
                 f["features"][0].get("tag")) for f in records[0]["value"]["facets"]} == {
            ("https://example.org/x", "https://example.org/x"),
            ("example.com", "https://example.com"),
            ("@" + account["handle"], account["remote_id"]), ("#Tag", "Tag")}

        # Another record under the same key is not written over.
        other = request | {"body": request["body"].replace("example.com", "example.net")}
        assert failure(self.do(pds, "send", **(data | {"request": other}))) == \
            ("permanent", "duplicate")
        assert pds.records(account["remote_id"]) == records

    def test_comment(self, pds: Any, account: dict) -> None:
        post = a_post()
        sent = self.do(pds, "send", account=account, post=post, request=self.do(
            pds, "prepare", account=account, post=post)["request"])["receipt"]
        comment = a_post(kind="comment", parent_remote_id=sent["remote_id"],
                         parent_receipt=sent["extra"])
        assert self.do(pds, "send", account=account, post=comment, request=self.do(
            pds, "prepare", account=account, post=comment)["request"])["ok"]
        replies = [record["value"]["reply"]["parent"] for record in
                   pds.records(account["remote_id"]) if "reply" in record["value"]]
        assert replies == [json.loads(sent["extra"])]

    def test_tokens(self, pds: Any, account: dict) -> None:
        post = a_post()
        request = self.do(pds, "prepare", account=account, post=post)["request"]
        bad = account | {"access_token": "a.b.c", "refresh_token": "a.b.c"}
        assert failure(self.do(pds, "send", account=bad, post=post, request=request)) == \
            ("auth", "reconnect-account")
        assert failure(self.do(pds, "refresh", account=bad)) == ("auth", "reconnect-account")
        tokens = self.do(pds, "refresh", account=account)["tokens"]
        assert tokens["expires_at"] and tokens["refresh_token"] != account["refresh_token"]
        assert self.do(pds, "send", account=account | tokens, post=post, request=request)["ok"]

    def test_the_did_names_the_server(self, pds: Any, account: dict, script: Any) -> None:
        document = json.dumps({"id": account["remote_id"], "service": [
            {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer",
             "serviceEndpoint": pds.url}]}).encode()
        directory = script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(document) +
                           document)
        settings = {"AUTOMAPOST_PLC_URL": directory.url.removesuffix("/hook")}
        post = a_post()
        request = call("bluesky", "prepare", settings, account=account, post=post)["request"]
        data = {"account": account, "post": post, "request": request, "begun": at()}
        assert call("bluesky", "send", settings, **data)["ok"]
        assert call("bluesky", "reconcile", settings, **data)["finding"] == "sent"
        assert directory.received[0].startswith(f"GET /{account['remote_id']} ".encode())

        # What a DID names is a member's word: it is not believed about private addresses.
        settings["AUTOMAPOST_ALLOW_PRIVATE_HOSTS"] = "no"
        assert failure(call("bluesky", "send", settings, **data)) == \
            ("permanent", "forbidden-host")

    def test_handle(self, pds: Any, account: dict) -> None:
        named = account | {"remote_id": account["handle"]}
        request = self.do(pds, "prepare", account=named, post=a_post())["request"]
        assert json.loads(request["body"])["repo"] == account["remote_id"]
        nobody = account | {"remote_id": "nobody.test"}
        assert failure(self.do(pds, "prepare", account=nobody, post=a_post())) == \
            ("permanent", "account-invalid")


class TestSnac:
    """A server that ignores Idempotency-Key, and lets markup through."""

    @pytest.fixture(scope="class")
    def snac(self, peers: Any) -> Iterator[Any]:
        from harness.process import Unavailable
        try:
            with peers.Snac() as snac:
                yield snac
        except Unavailable as reason:
            pytest.skip(str(reason))

    def test_reconcile(self, snac: Any) -> None:
        settings = {"AUTOMAPOST_MASTODON_URL": snac.url}
        for i, text in enumerate(["plain", "Hi <b> & https://example.org/a?b=1&c=2 #tag\n\n*p* `c` \"q\"",
                     "> quote\n\n* a\n- b", "x_y_z **bold** ~~no~~", "---\nline"]):
            account = {"id": "1", "provider": "mastodon", "remote_id": f"user{i}@localhost",
                       "access_token": snac.create_account(f"user{i}")}
            post = a_post(text)
            request = call("mastodon", "prepare", settings, account=account, post=post)["request"]
            assert request["way"] == "read"
            data = {"account": account, "post": post, "request": request, "begun": at()}
            assert call("mastodon", "reconcile", settings, **data)["finding"] == "absent"
            sent = call("mastodon", "send", settings, **data)["receipt"]
            found = call("mastodon", "reconcile", settings, **data)
            assert (found["finding"], found["receipt"]) == ("sent", sent), text
