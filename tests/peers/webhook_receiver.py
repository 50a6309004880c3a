# SPDX-License-Identifier: MIT
"""A fake receiver of webhooks that is as strict as the Standard Webhooks specification allows.

It checks method, content type, id, timestamp and signature, says why it refuses, and takes an
id once: a repeat gets the first answer again and is recorded as a repeat. It does not check
ed25519 signatures (`v1a`), does not disable endpoints, and never forgets an id. Faults are
scripted as in `fake.py`; `delay` holds back every answer after the delivery was taken.
"""
from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from fake import Answer, Exchange, Fake, serve, standalone_parser

DEFAULT_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the specification's own example


@dataclass
class Delivery:
    """One delivery that was accepted the first time it came."""
    id: str
    path: str
    body: bytes
    payload: Any
    answer: Answer
    repeats: int = 0          # how often the id came again
    changed_repeats: int = 0  # … with another body, which a sender must never do


class Refused(Exception):
    def __init__(self, status: int, reason: str, **headers: str) -> None:
        self.answer = Answer.json(status, {"error": reason}, **headers)


class WebhookReceiver(Fake):
    """`secrets` maps a path to its secret, or to several while they are being rotated."""

    def __init__(self, secrets: dict[str, str | list[str]] | None = None, *,
                 answer_ids: bool = True, ignore_ids: bool = False, delay: float = 0.0,
                 tolerance: float = 300.0, **base: Any) -> None:
        super().__init__(**base)
        self.answer_ids = answer_ids
        self.ignore_ids = ignore_ids
        self.delay = delay
        self.tolerance = tolerance
        self.deliveries: list[Delivery] = []
        self._keys: dict[str, list[bytes]] = {}
        self._by_id: dict[tuple[str, str], Delivery] = {}
        for path, given in (secrets or {}).items():
            self.register(path, *([given] if isinstance(given, str) else given))

    def register(self, path: str, *secrets: str) -> None:
        self._keys[path] = [decode_secret(secret) for secret in secrets]

    def handle(self, exchange: Exchange) -> Answer | None:
        answer = super().handle(exchange)
        if self.delay and answer is not None:
            self._stopping.wait(self.delay)
        return answer

    def process(self, request: Exchange) -> Answer:
        try:
            check_method(request)
            if request.path not in self._keys:
                raise Refused(404, "no endpoint at this path")
            check_content_type(request)
            message_id = check_id(request)
            timestamp = check_timestamp(request, self.now(), self.tolerance)
            check_signature(request, message_id, timestamp, self._keys[request.path])
            payload = check_payload(request)
        except Refused as refused:
            return refused.answer
        return self._accept(request, message_id, payload)

    def _accept(self, request: Exchange, message_id: str, payload: Any) -> Answer:
        known = self._by_id.get((request.path, message_id))
        if known is not None and not self.ignore_ids:
            known.repeats += 1
            known.changed_repeats += known.body != request.body
            self._note("repeat", known)
            return known.answer
        answer = Answer(200)
        if self.answer_ids:
            number = len(self.deliveries) + 1
            answer = Answer.json(200, {"id": f"wh-{number}", "url": f"{self.url}/posts/{number}"})
        delivery = Delivery(message_id, request.path, request.body, payload, answer)
        self.deliveries.append(delivery)
        self._by_id[request.path, message_id] = delivery
        self._note("publication", delivery)
        return answer

    def _note(self, kind: str, delivery: Delivery) -> None:
        self.record(kind=kind, id=delivery.id, path=delivery.path, payload=delivery.payload)


# The rules, each from the Standard Webhooks specification.

def decode_secret(secret: str) -> bytes:
    """Standard Webhooks, "signature scheme": whsec_<base64> of 24 to 64 random bytes."""
    prefix, _, encoded = secret.partition("_")
    key = base64.b64decode(encoded, validate=True)
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValueError("a secret is whsec_ and the base64 of 24 to 64 bytes")
    return key


def sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Standard Webhooks, "signature scheme": HMAC-SHA256 of id.timestamp.body."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def check_method(request: Exchange) -> None:
    """Standard Webhooks: a webhook is a POST."""
    if request.method != "POST":
        raise Refused(405, "only POST", allow="POST")


def check_content_type(request: Exchange) -> None:
    """Standard Webhooks, "payload structure": JSON."""
    if request.media_type() != "application/json":
        raise Refused(400, "content-type must be application/json")


def check_id(request: Exchange) -> str:
    """Standard Webhooks, "webhook headers": an id without full stop, which separates."""
    message_id = request.headers.get("webhook-id", "")
    if not message_id or "." in message_id:
        raise Refused(400, "webhook-id is missing or has a full stop")
    return message_id


def check_timestamp(request: Exchange, now: float, tolerance: float) -> str:
    """Standard Webhooks, "webhook headers": integer unix seconds, of this attempt."""
    timestamp = request.headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise Refused(400, "webhook-timestamp is missing or not a number of seconds")
    if abs(now - int(timestamp)) > tolerance:
        raise Refused(401, "webhook-timestamp is too old or in the future")
    return timestamp


def check_signature(request: Exchange, message_id: str, timestamp: str,
                    keys: list[bytes]) -> None:
    """Standard Webhooks, "signature scheme": any one entry of the list suffices.

    Several are sent while a secret is rotated; entries of another version are passed over.
    """
    entries = request.headers.get("webhook-signature", "").split(" ")
    for entry in entries:
        version, comma, signature = entry.partition(",")
        try:
            base64.b64decode(signature, validate=True)
        except binascii.Error:
            comma = ""
        if not (version and comma and signature):
            raise Refused(400, "webhook-signature is not a list of version,base64")
    expected = [sign(key, message_id, timestamp, request.body) for key in keys]
    if not any(hmac.compare_digest(e.encode(), x.encode()) for e in entries for x in expected):
        raise Refused(401, "no signature matches")


def check_payload(request: Exchange) -> Any:
    """Standard Webhooks, "payload structure": the body is JSON, as the content type says."""
    try:
        return json.loads(request.body)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None


def main() -> None:
    parser = standalone_parser("A strict receiver of Standard Webhooks, for tests.")
    parser.add_argument("--secret", nargs=2, metavar=("PATH", "SECRET"), action="append",
                        help=f"default: /hook {DEFAULT_SECRET}")
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS")
    parser.add_argument("--ignore-ids", action="store_true", help="take repeats as new")
    parser.add_argument("--no-ids", action="store_true", help="answer with an empty body")
    options = parser.parse_args()
    secrets: dict[str, list[str]] = {}
    for path, secret in options.secret or [("/hook", DEFAULT_SECRET)]:
        secrets.setdefault(path, []).append(secret)
    serve(WebhookReceiver(secrets, answer_ids=not options.no_ids, ignore_ids=options.ignore_ids,
                          delay=options.delay / 1000, port=options.port,
                          record_file=options.log), options)


if __name__ == "__main__":
    main()
