# SPDX-License-Identifier: MIT
"""A fake of a Mastodon server: statuses, replies, idempotency keys, limits.

It keeps statuses and gives them back as the HTML that a Mastodon server makes of them. It does
not federate, does not take media or scheduled statuses, and knows no polls and no streaming.
Where Mastodon ignores an unknown parameter this fake refuses it, so that a test notices. Faults
are scripted as in `fake.py`.
"""
from __future__ import annotations

import html
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl

from fake import Answer, Exchange, Fake, serve, standalone_parser

KEY_LIFETIME = 3600
URL = re.compile(r"https?://[^\s<>\"]+")
REMOTE_MENTION = re.compile(r"(?<![\w/])(@\w+)@[\w-]+(?:\.[\w-]+)+")
LINK = re.compile(rf"(?P<url>{URL.pattern})|(?<![\w/])#(?P<tag>\w*[^\W\d]\w*)")


@dataclass
class Account:
    id: str
    username: str
    state: str = "active"  # "revoked": its token is dead; "disabled": its login is


@dataclass
class Status:
    id: str
    account: Account
    fields: dict[str, Any]
    created: float
    text: str
    reblog_of: Status | None = None
    replies: list[Status] = field(default_factory=list)


class Refused(Exception):
    def __init__(self, status: int, error: str) -> None:
        self.answer = Answer.json(status, {"error": error})


# The rules, each named after its place in the Mastodon documentation.

def counted_length(text: str, per_url: int) -> int:
    """"Posting": a URL counts as 23 whatever its length, of a remote mention only @user.

    Counted in code points; a server counts what readers call characters, which is never more.
    """
    return len(REMOTE_MENTION.sub(r"\1", URL.sub("x" * per_url, text)))


def check_text(status: str, spoiler: str, maximum: int, per_url: int) -> None:
    """"Post a new status", 422: there is a text, and it fits."""
    if not status.strip():
        raise Refused(422, "Validation failed: Text can't be blank")
    if counted_length(status, per_url) + len(spoiler) > maximum:
        raise Refused(422, f"Validation failed: Text character limit of {maximum} exceeded")


def check_visibility(visibility: str) -> None:
    """"Post a new status": the four visibilities."""
    if visibility not in ("public", "unlisted", "private", "direct"):
        raise Refused(422, "Validation failed: Visibility is not included in the list")


def check_language(language: str | None) -> None:
    """"Post a new status": ISO 639 code."""
    if language is not None and not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4})?", language):
        raise Refused(422, "Validation failed: Language is invalid")


PARAMETERS = {"status": str, "visibility": str, "language": str, "in_reply_to_id": str,
              "spoiler_text": str, "sensitive": bool}


def read_parameters(request: Exchange) -> dict[str, Any]:
    """"REST API, parameters": a form or JSON, of the same meaning."""
    if request.media_type() == "application/json":
        try:
            given = json.loads(request.body)
        except ValueError:
            raise Refused(400, "Error occurred while parsing request parameters") from None
    elif request.media_type() == "application/x-www-form-urlencoded":
        try:
            given = dict(parse_qsl(request.body.decode("ascii"), True, errors="strict"))
        except ValueError:
            raise Refused(400, "Invalid query parameters: Invalid encoding") from None
        truth = {"true": True, "1": True, "false": False, "0": False}
        if "sensitive" in given:
            given["sensitive"] = truth.get(given["sensitive"], given["sensitive"])
    else:
        raise Refused(415, f"Unsupported content type {request.media_type()!r}")
    check_parameters(given)
    return given


def check_parameters(given: Any) -> None:
    """"Post a new status": these parameters, of these types."""
    if not isinstance(given, dict):
        raise Refused(400, "Parameters must be named")
    for name, value in given.items():
        if name not in PARAMETERS:
            raise Refused(422, f"Unknown parameter: {name}")
        if not isinstance(value, PARAMETERS[name]):
            raise Refused(422, f"Validation failed: {name} is invalid")


def link_html(match: re.Match[str], base: str) -> str:
    if match["tag"]:
        tag = match["tag"]
        return (f'<a href="{base}/tags/{tag}" class="mention hashtag" rel="tag">'
                f"#<span>{tag}</span></a>")
    scheme, _, rest = match["url"].partition("://")
    shown, hidden = html.escape(rest[:30]), html.escape(rest[30:])
    return (f'<a href="{html.escape(match["url"])}" target="_blank" rel="nofollow noopener" '
            f'translate="no"><span class="invisible">{scheme}://</span>'
            f'<span class="{"ellipsis" if hidden else ""}">{shown}</span>'
            f'<span class="invisible">{hidden}</span></a>')


def to_html(text: str, base: str) -> str:
    """"Status" entity, content: HTML. Links are cut in three for display, hashtags are links."""
    pieces, at = [], 0
    for match in LINK.finditer(text):
        pieces += [html.escape(text[at:match.start()]), link_html(match, base)]
        at = match.end()
    body = "".join(pieces) + html.escape(text[at:])
    paragraphs = re.split(r"\n{2,}", body.strip())
    return "".join(f"<p>{lines}</p>" for lines in paragraphs).replace("\n", "<br />")


def iso_time(seconds: float, unit: str) -> str:
    stamp = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec=unit)
    return stamp.replace("+00:00", "Z")


class MastodonFake(Fake):
    """The constructor's settings are attributes and may be changed at any time.

    rate_limit   calls per account in a window of rate_period seconds, then 429
    ignore_keys  publish again whatever the Idempotency-Key, as some compatible servers do
    """

    def __init__(self, *, max_characters: int = 500, characters_per_url: int = 23,
                 rate_limit: int = 300, rate_period: int = 300, ignore_keys: bool = False,
                 version: str = "4.3.2", **base: Any) -> None:
        super().__init__(**base)
        self.max_characters = max_characters
        self.characters_per_url = characters_per_url
        self.rate_limit = rate_limit
        self.rate_period = rate_period
        self.ignore_keys = ignore_keys
        self.version = version
        self.accounts: dict[str, Account] = {}
        self._statuses: dict[str, Status] = {}
        self._by_key: dict[tuple[str, str], Status] = {}
        self._calls: Counter[tuple[int, str]] = Counter()
        self._number = 113_000_000_000_000_000

    # For tests.

    def add_token(self, value: str, username: str) -> Account:
        with self.lock:
            self.accounts[value] = Account(str(self._next_number()), username)
            return self.accounts[value]

    def add_reblog(self, account: Account, status_id: str) -> str:
        """The account shares a status: its list has an entry that is not a publication."""
        with self.lock:
            original = self._statuses[status_id]
            return self._store(account, {"visibility": "public"}, "", original).id

    @property
    def posts(self) -> list[dict[str, Any]]:
        """What was published, oldest first, without reblogs."""
        with self.lock:
            return [{"id": status.id, "username": status.account.username, "text": status.text,
                     "visibility": status.fields["visibility"],
                     "in_reply_to_id": status.fields["in_reply_to_id"]}
                    for status in self._statuses.values() if status.reblog_of is None]

    # Routing.

    def process(self, request: Exchange) -> Answer:
        try:
            if (request.method, request.path) == ("GET", "/api/v2/instance"):
                return self._instance()
            account = self._authenticate(request)
        except Refused as refused:
            return refused.answer
        left = self._count_call(account)
        try:
            if left < 0:
                raise Refused(429, "Too many requests")
            answer = self._route(request, account)
        except Refused as refused:
            answer = refused.answer
        headers = {**answer.headers, **self._limit_headers(max(left, 0))}
        return Answer(answer.status, headers, answer.body)

    def _route(self, request: Exchange, account: Account) -> Answer:
        match request.method, *request.path.strip("/").split("/"):
            case "POST", "api", "v1", "statuses":
                return self._post_status(request, account)
            case "GET", "api", "v1", "statuses", status_id:
                return Answer.json(200, self._as_json(self._readable(status_id, account)))
            case "GET", "api", "v1", "accounts", "verify_credentials":
                return Answer.json(200, self._credential_account_json(account))
            case "GET", "api", "v1", "accounts", account_id, "statuses":
                return self._list_statuses(request, account_id, account)
        raise Refused(404, "Record not found")

    def _authenticate(self, request: Exchange) -> Account:
        """"Authentication", 401 and 403: an unknown or revoked token, a disabled login."""
        account = self.accounts.get(request.bearer())
        if account is None:
            raise Refused(401, "The access token is invalid")
        if account.state == "revoked":
            raise Refused(401, "The access token was revoked")
        if account.state == "disabled":
            raise Refused(403, "Your login is currently disabled")
        return account

    def _count_call(self, account: Account) -> int:
        """"Rate limits": 300 calls in 5 minutes. The calls left; negative: too many."""
        window = int(self.now() // self.rate_period)
        self._calls[window, account.id] += 1
        return self.rate_limit - self._calls[window, account.id]

    def _limit_headers(self, left: int) -> dict[str, str]:
        """"Rate limits", headers: the reset is a point in time, ISO 8601."""
        ends = (self.now() // self.rate_period + 1) * self.rate_period
        return {"X-RateLimit-Limit": str(self.rate_limit), "X-RateLimit-Remaining": str(left),
                "X-RateLimit-Reset": iso_time(ends, "microseconds")}

    # Statuses.

    def _post_status(self, request: Exchange, account: Account) -> Answer:
        """"Post a new status", Idempotency-Key: for an hour the same key is the same status.

        Whatever the second body says: the key alone decides.
        """
        key = request.headers.get("idempotency-key")
        known = self._by_key.get((account.id, key or ""))
        if key and known and not self.ignore_keys and self.now() < known.created + KEY_LIFETIME:
            return Answer.json(200, self._as_json(known))
        status = self._publish(read_parameters(request), account)
        if key:
            self._by_key[account.id, key] = status
        return Answer.json(200, self._as_json(status))

    def _publish(self, given: dict[str, Any], account: Account) -> Status:
        text, spoiler = given.get("status", ""), given.get("spoiler_text", "")
        fields = {"visibility": given.get("visibility", "public"), "spoiler_text": spoiler,
                  "language": given.get("language"), "sensitive": given.get("sensitive", False),
                  "in_reply_to_id": given.get("in_reply_to_id") or None}
        check_text(text, spoiler, self.max_characters, self.characters_per_url)
        check_visibility(fields["visibility"])
        check_language(fields["language"])
        parent_id = fields["in_reply_to_id"]
        parent = self._readable(parent_id, account) if parent_id else None
        status = self._store(account, fields, text)
        if parent is not None:
            parent.replies.append(status)
        self.record(kind="comment" if parent else "post", id=status.id, text=text,
                    username=account.username, in_reply_to_id=parent_id)
        return status

    def _store(self, account: Account, fields: dict[str, Any], text: str,
               reblog_of: Status | None = None) -> Status:
        status = Status(str(self._next_number()), account, fields, self.now(), text, reblog_of)
        self._statuses[status.id] = status
        return status

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _visible(self, status: Status, reader: Account) -> bool:
        return status.account is reader or status.fields["visibility"] in ("public", "unlisted")

    def _readable(self, status_id: str, reader: Account) -> Status:
        """"View a single status", 404: not there, or not for this reader."""
        status = self._statuses.get(status_id)
        if status is None or not self._visible(status, reader):
            raise Refused(404, "Record not found")
        return status

    def _list_statuses(self, request: Exchange, account_id: str, reader: Account) -> Answer:
        """"Get account's statuses": newest first, at most 40."""
        query = request.query
        unknown = query.keys() - {"limit", "exclude_reblogs"}
        if unknown:
            raise Refused(422, f"Unknown parameter: {sorted(unknown)[0]}")
        if account_id not in {account.id for account in self.accounts.values()}:
            raise Refused(404, "Record not found")
        limit = query.get("limit", "20")
        if not limit.isdigit() or not 1 <= int(limit) <= 40:
            raise Refused(422, "limit is 1 to 40")
        plain = query.get("exclude_reblogs") in ("true", "1")
        found = [status for status in reversed(self._statuses.values())
                 if status.account.id == account_id and self._visible(status, reader)
                 and not (plain and status.reblog_of)]
        return Answer.json(200, [self._as_json(status) for status in found[:int(limit)]])

    # Entities.

    def _as_json(self, status: Status) -> dict[str, Any]:
        """"Status" entity."""
        profile = f"{self.url}/@{status.account.username}"
        reblog = self._as_json(status.reblog_of) if status.reblog_of else None
        return {"in_reply_to_id": None, "sensitive": False, "spoiler_text": "", "language": None,
                **status.fields, "id": status.id, "account": self._account_json(status.account),
                "created_at": iso_time(status.created, "milliseconds"),
                "url": f"{profile}/{status.id}",
                "uri": f"{self.url}/users/{status.account.username}/statuses/{status.id}",
                "content": to_html(status.text, self.url) if status.text else "",
                "tags": [{"name": match["tag"].lower(), "url": f"{self.url}/tags/{match['tag']}"}
                         for match in LINK.finditer(status.text) if match["tag"]],
                "mentions": [], "emojis": [], "media_attachments": [],
                "reblog": reblog, "replies_count": len(status.replies), "reblogs_count": 0,
                "favourites_count": 0}

    def _account_json(self, account: Account) -> dict[str, Any]:
        """"Account" entity."""
        picture = f"{self.url}/missing.png"
        return {"id": account.id, "username": account.username, "acct": account.username,
                "display_name": account.username.title(), "note": "", "fields": [], "emojis": [],
                "url": f"{self.url}/@{account.username}",
                "uri": f"{self.url}/users/{account.username}",
                "avatar": picture, "avatar_static": picture,
                "header": picture, "header_static": picture,
                "created_at": "2026-01-02T00:00:00.000Z",
                "bot": False, "group": False, "locked": False, "indexable": False,
                "followers_count": 0, "following_count": 0, "statuses_count": 0}

    def _credential_account_json(self, account: Account) -> dict[str, Any]:
        """"CredentialAccount" entity: an account as its owner sees it."""
        return {**self._account_json(account),
                "source": {"note": "", "fields": [], "privacy": "public", "sensitive": False,
                           "indexable": False, "follow_requests_count": 0},
                "role": {"id": "-99", "name": "", "color": "", "permissions": "0",
                         "highlighted": False}}

    def _instance(self) -> Answer:
        """"View server information", version 2: without a token."""
        return Answer.json(200, {
            "domain": f"127.0.0.1:{self.port}", "title": "A fake", "version": self.version,
            "source_url": "https://github.com/mastodon/mastodon", "description": "",
            "api_versions": {"mastodon": 2}, "usage": {"users": {"active_month": 1}},
            "thumbnail": {"url": f"{self.url}/missing.png"}, "icon": [], "languages": ["en"],
            "rules": [], "contact": {"email": "admin@example.org", "account": None},
            "registrations": {"enabled": False, "approval_required": False,
                              "url": f"{self.url}/auth/sign_up"},
            "configuration": {
                "urls": {}, "translation": {"enabled": False},
                "accounts": {"max_featured_tags": 10, "max_pinned_statuses": 5},
                "statuses": {"max_characters": self.max_characters, "max_media_attachments": 4,
                             "characters_reserved_per_url": self.characters_per_url},
                "media_attachments": {
                    "supported_mime_types": ["image/png"], "image_size_limit": 16777216,
                    "image_matrix_limit": 33177600, "video_size_limit": 103809024,
                    "video_frame_rate_limit": 120, "video_matrix_limit": 8294400},
                "polls": {"max_options": 4, "max_characters_per_option": 50,
                          "min_expiration": 300, "max_expiration": 2629746}}})


def main() -> None:
    parser = standalone_parser("A fake of a Mastodon server, for tests.")
    parser.add_argument("--token", nargs=2, metavar=("TOKEN", "USERNAME"), action="append",
                        help="default: token member")
    parser.add_argument("--ignore-keys", action="store_true")
    options = parser.parse_args()
    fake = MastodonFake(ignore_keys=options.ignore_keys, port=options.port,
                        record_file=options.log)
    for token, username in options.token or [("token", "member")]:
        fake.add_token(token, username)
    serve(fake, options)


if __name__ == "__main__":
    main()
