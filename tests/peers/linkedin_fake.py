# SPDX-License-Identifier: MIT
"""A fake of LinkedIn: posts, first comments and token refresh, strict and stateful.

It accepts what the documented contract allows and nothing else, knows duplicates and the ghosts
that deleted posts leave, and keeps what a reader would see. It does not upload media (any image
URN is believed), does not resolve mentions, and has no feed, likes, metrics or login page.
Where the real service is lenient without a promise (unknown fields, unescaped text) this fake
refuses, so that a test notices. Faults are scripted as in `fake.py`.
"""
from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from fake import Answer, Exchange, Fake, serve, standalone_parser

MEMBER_SCOPES = ("w_member_social",)
ORGANIZATION_SCOPES = ("w_organization_social", "r_organization_social")
DEFAULT_SCOPES = MEMBER_SCOPES + ORGANIZATION_SCOPES  # r_member_social is for a chosen few
DAY = 86400


@dataclass
class Token:
    value: str
    member: str           # urn:li:person:…
    authors: set[str]     # the member, and the organizations that it administers
    scopes: set[str]
    state: str = "valid"  # "expired", "revoked"

    def may(self, mode: str, author: str) -> bool:
        """`mode` is "r" or "w". Two spellings of every scope are in use."""
        scope = f"{mode}_{'organization' if is_organization(author) else 'member'}_social"
        return author in self.authors and bool({scope, scope + "_feed"} & self.scopes)


@dataclass
class Grant:
    """What a refresh token stands for."""
    member: str
    organizations: tuple[str, ...]
    scopes: tuple[str, ...]
    ends: float


@dataclass
class Comment:
    urn: str
    id: str
    actor: str
    text: str
    created: float

    def as_json(self, post: Post) -> dict[str, Any]:
        return {"id": self.id, "commentUrn": self.urn, "actor": self.actor, "object": post.urn,
                "message": {"text": self.text}, "created": {"time": int(self.created * 1000)}}


@dataclass
class Post:
    urn: str
    author: str
    commentary_raw: str   # as sent
    commentary: str       # as kept: cut at the first unescaped reserved character
    visible_text: str
    fields: dict[str, Any]
    created: float
    comments: list[Comment] = field(default_factory=list)
    comment_404s: int = 0
    deleted: bool = False

    def as_json(self) -> dict[str, Any]:
        milliseconds = int(self.created * 1000)
        return {**self.fields, "id": self.urn, "commentary": self.commentary,
                "createdAt": milliseconds, "publishedAt": milliseconds,
                "lastModifiedAt": milliseconds}


class Refused(Exception):
    """A rule is broken; `answer` is what LinkedIn says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


# LinkedIn "error handling": three shapes of a body are in use, and a client must read all.

def classic_error(status: int, message: str, service_code: int = 0) -> Answer:
    return Answer.json(status, {"message": message, "serviceErrorCode": service_code,
                                "status": status})


def short_error(status: int, code: str, message: str) -> Answer:
    return Answer.json(status, {"status": status, "code": code, "message": message})


def detailed_error(status: int, code: str, message: str, path: str | None = None) -> Answer:
    about = {"inputPath": {"fieldPath": path}} if path else {}
    return Answer.json(status, {
        "errorDetailType": "com.linkedin.common.error.BadRequest",
        "message": f"com.linkedin.content.common.exception.BadRequestResponseException: {message}",
        "errorDetails": {"inputErrors": [{"description": message, "input": about, "code": code}]},
        "status": status})


# "little text format": the markup of a post's commentary.

RESERVED = frozenset("|{}@[]()<>#\\*_~")
ESCAPED = r"(?:\\[|{}@\[\]()<>#\\*_~]|[^|{}@\[\]()<>#\\*_~])"
MARKUP = re.compile(
    rf"\{{hashtag\|\\#\|(?P<template>{ESCAPED}+)\}}"
    r"|#(?P<hashtag>[^\W_]+)"
    rf"|@\[(?P<name>{ESCAPED}+)\]\(urn:li:(?:person:[\w-]+|organization:[0-9]+)\)")


@dataclass
class LittleText:
    kept: str              # the raw text up to the first unescaped reserved character
    visible: str           # what a reader sees of it
    unescaped: int | None  # where that character is


def parse_little_text(raw: str) -> LittleText:
    """"little text format": 15 characters are reserved; unescaped ones must be markup."""
    visible: list[str] = []
    at = 0
    while at < len(raw):
        markup = MARKUP.match(raw, at)
        if markup:
            tag = markup["template"] or markup["hashtag"]
            visible.append("#" + unescape(tag) if tag else unescape(markup["name"]))
            at = markup.end()
        elif raw[at] == "\\" and raw[at + 1:at + 2] in RESERVED:
            visible.append(raw[at + 1])
            at += 2
        elif raw[at] in RESERVED:
            return LittleText(raw[:at], "".join(visible), at)
        else:
            visible.append(raw[at])
            at += 1
    return LittleText(raw, "".join(visible), None)


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


# URNs and fields.

def is_organization(urn: str) -> bool:
    return urn.startswith("urn:li:organization:")


def check_author_urn(urn: Any, path: str) -> str:
    """Posts API, Comments API: an author is urn:li:person:{sub} or urn:li:organization:{id}."""
    if not isinstance(urn, str) or not re.match(r"urn:li:(person|organization):", urn):
        raise Refused(detailed_error(400, "INVALID_URN_TYPE", f"{urn} is no author", path))
    if not re.fullmatch(r"urn:li:(person:[\w-]+|organization:[0-9]+)", urn, re.ASCII):
        raise Refused(detailed_error(400, "INVALID_URN_ID", f"{urn} has no valid id", path))
    return urn


def invalid(path: str, message: str) -> Refused:
    return Refused(detailed_error(400, "INVALID_VALUE_FOR_FIELD", message, path))


def check_fields(value: Any, path: str, required: dict[str, type],
                 optional: dict[str, type] | None = None) -> None:
    """Rest.li validates a record: no field missing, none unknown, each of its type."""
    if not isinstance(value, dict):
        raise invalid(path, f"{path} must be a record")
    allowed = {**required, **(optional or {})}
    for name in value:
        if name not in allowed:
            raise Refused(classic_error(403, "Unpermitted fields present in REQUEST_BODY: Data "
                                        f"Processing Exception while processing fields "
                                        f"[{path.rstrip('/')}/{name}]", 100))
        if not isinstance(value[name], allowed[name]):
            raise invalid(f"{path.rstrip('/')}/{name}", "wrong type")
    for name in required:
        if name not in value:
            raise invalid(f"{path.rstrip('/')}/{name}", "field is required but not found")


def check_post_fields(body: Any) -> None:
    """Posts API, "create a post": the schema."""
    check_fields(body, "/", {"author": str, "commentary": str, "visibility": str,
                             "distribution": dict, "lifecycleState": str},
                 {"isReshareDisabledByAuthor": bool, "content": dict})
    check_fields(body["distribution"], "/distribution", {"feedDistribution": str},
                 {"targetEntities": list, "thirdPartyDistributionChannels": list})
    if body["distribution"]["feedDistribution"] not in ("MAIN_FEED", "NONE"):
        raise invalid("/distribution/feedDistribution", "MAIN_FEED or NONE")
    if body["lifecycleState"] != "PUBLISHED":
        raise invalid("/lifecycleState", "a new post is PUBLISHED")


def check_visibility(body: dict[str, Any]) -> None:
    """Posts API, "visibility": an organization's post is PUBLIC."""
    allowed = ("PUBLIC",) if is_organization(body["author"]) else (
        "PUBLIC", "CONNECTIONS", "LOGGED_IN")
    if body["visibility"] not in allowed:
        raise invalid("/visibility", f"visibility must be one of {', '.join(allowed)}")


def check_content(body: dict[str, Any]) -> None:
    """Posts API, "content": one of media, multiImage, article; without it there must be text."""
    content = body.get("content")
    if content is None:
        if not body["commentary"].strip():
            raise invalid("/commentary", "a post without content needs a text")
        return
    check_fields(content, "/content", {}, {"media": dict, "multiImage": dict, "article": dict})
    if len(content) != 1:
        raise invalid("/content", "exactly one kind of content")
    if "media" in content:
        check_fields(content["media"], "/content/media", {"id": str}, {"title": str})
        check_media_urn(content["media"]["id"], "/content/media/id", "image|video|document")
    elif "article" in content:
        check_fields(content["article"], "/content/article", {"source": str, "title": str},
                     {"description": str, "thumbnail": str})
        if "thumbnail" in content["article"]:
            check_media_urn(content["article"]["thumbnail"], "/content/article/thumbnail", "image")
    else:
        check_fields(content["multiImage"], "/content/multiImage", {"images": list})
        for image in content["multiImage"]["images"]:
            check_fields(image, "/content/multiImage/images", {"id": str})
            check_media_urn(image["id"], "/content/multiImage/images/id", "image")


def check_media_urn(urn: str, path: str, kinds: str) -> None:
    """Posts API, "content": media are named by the URNs that their uploads gave."""
    if not re.fullmatch(rf"urn:li:(?:{kinds}):[\w-]+", urn, re.ASCII):
        raise Refused(detailed_error(400, "INVALID_URN_TYPE", f"{urn} is no {kinds}", path))


def check_length(text: LittleText) -> None:
    """Posts API, FIELD_LENGTH_TOO_LONG: 3,000, of the text that is seen, not of its escapes."""
    length = utf16_length(text.visible)
    if length > 3000:
        raise Refused(detailed_error(
            400, "FIELD_LENGTH_TOO_LONG", f"ShareCommentary text length ({length} characters) "
            "exceeded the maximum allowed (3000 characters)", "/commentary"))


# Headers and the request line.

def check_version(request: Exchange, active: set[str]) -> None:
    """LinkedIn "versioning": YYYYMM on every call; versions are put to sleep after a year."""
    version = request.headers.get("linkedin-version")
    if not version:
        raise Refused(short_error(400, "VERSION_MISSING", "A version must be present. Please "
                                  "specify a version by adding the LinkedIn-Version header."))
    if version not in active:
        asked = version + "01" if re.fullmatch("[0-9]{6}", version) else version
        raise Refused(short_error(426, "NONEXISTENT_VERSION",
                                  f"Requested version {asked} is not active"))


def check_protocol(request: Exchange) -> None:
    """Rest.li protocol: the version header is required, and it is 2.0.0."""
    if request.headers.get("x-restli-protocol-version") != "2.0.0":
        raise Refused(classic_error(400, "X-Restli-Protocol-Version must be 2.0.0"))


def read_json(request: Exchange) -> Any:
    """Posts API, Comments API: a body is application/json."""
    if request.media_type() != "application/json":
        raise Refused(classic_error(415, "Content-Type must be application/json"))
    try:
        return json.loads(request.body)
    except ValueError:
        raise Refused(classic_error(400, "Cannot parse request entity: no valid JSON")) from None


def urn_in_path(encoded: str) -> str:
    """Rest.li protocol 2.0.0: a URN that is a key in the path is percent-encoded."""
    if re.search(r"[:(),]", encoded):
        raise Refused(classic_error(400, f"Syntax exception in path variables: {encoded}"))
    return unquote(encoded)


def denied(message: str) -> Refused:
    return Refused(short_error(403, "ACCESS_DENIED", message))


NOT_FOUND = classic_error(404, "Could not find entity")


class LinkedInFake(Fake):
    """`posts`, `tokens`, `versions` and the knobs of the constructor may be changed at any time.

    strict_escapes         refuse unescaped reserved characters; False: cut silently, as LinkedIn
    comment_404s           so many calls to a new post's comments find no post yet
    member_day_quota       calls a member (UTC) day before 429; app_day_quota: of all members
    throttled_comments     so many further comments are refused as too fast
    rotate_refresh_tokens  a refresh token is good for one use, its answer has the next
    """

    def __init__(self, *, versions: tuple[str, ...] = ("202609",), strict_escapes: bool = True,
                 comment_404s: int = 0, member_day_quota: int | None = None,
                 app_day_quota: int | None = None, throttled_comments: int = 0,
                 rotate_refresh_tokens: bool = False, client_id: str = "client",
                 client_secret: str = "secret", **base: Any) -> None:
        super().__init__(**base)
        self.versions = set(versions)
        self.strict_escapes = strict_escapes
        self.comment_404s = comment_404s
        self.member_day_quota = member_day_quota
        self.app_day_quota = app_day_quota
        self.throttled_comments = throttled_comments
        self.rotate_refresh_tokens = rotate_refresh_tokens
        self.client = (client_id, client_secret)
        self.tokens: dict[str, Token] = {}
        self.grants: dict[str, Grant] = {}
        self._posts: dict[str, Post] = {}
        self._by_text: dict[tuple[str, str], Post] = {}
        self._calls: Counter[tuple[int, str]] = Counter()
        self._number = 7_000_000_000_000_000_000

    # For tests.

    def add_token(self, value: str, member: str, *organizations: str,
                  scopes: tuple[str, ...] = DEFAULT_SCOPES) -> Token:
        with self.lock:
            token = Token(value, member, {member, *organizations}, set(scopes))
            self.tokens[value] = token
            return token

    def add_refresh_token(self, value: str, member: str, *organizations: str,
                          scopes: tuple[str, ...] = DEFAULT_SCOPES) -> None:
        with self.lock:
            self.grants[value] = Grant(member, organizations, scopes, self.now() + 365 * DAY)

    def revoke_refresh_token(self, value: str) -> None:
        with self.lock:
            del self.grants[value]

    def delete_post(self, urn: str) -> None:
        """Posts API, seen in the field: a deleted post goes on blocking its text for a day or two.

        The 422 then names a URN that is 404 (a ghost). Here the ghost never ends.
        """
        with self.lock:
            self._posts[urn].deleted = True

    @property
    def posts(self) -> list[dict[str, Any]]:
        """The live posts, oldest first."""
        with self.lock:
            return [{"urn": post.urn, "author": post.author,
                     "commentary_raw": post.commentary_raw, "visible_text": post.visible_text,
                     "comments": [{"urn": c.urn, "actor": c.actor, "text": c.text}
                                  for c in post.comments]}
                    for post in self._posts.values() if not post.deleted]

    # Routing.

    def process(self, request: Exchange) -> Answer:
        try:
            if request.path == "/oauth/v2/accessToken":
                return self._refresh(request)
            token = self._authenticate(request)
            check_version(request, self.versions)
            check_protocol(request)
            self._count_call(token)
            return self._route(request, token)
        except Refused as refused:
            return refused.answer

    def _route(self, request: Exchange, token: Token) -> Answer:
        match request.method, *request.path.strip("/").split("/"):
            case "POST", "rest", "posts":
                return self._create_post(request, token)
            case "GET", "rest", "posts":
                return self._find_posts(request, token)
            case "GET", "rest", "posts", key:
                return self._get_post(urn_in_path(key), token)
            case "POST", "rest", "socialActions", key, "comments":
                return self._create_comment(request, urn_in_path(key), token)
            case "GET", "rest", "socialActions", key, "comments":
                return self._list_comments(urn_in_path(key), token)
        return classic_error(404, f"No virtual resource found for {request.path}")

    def _authenticate(self, request: Exchange) -> Token:
        """LinkedIn "error handling", 401: no token, an unknown, expired or revoked one."""
        value = request.bearer()
        if not value:
            raise Refused(short_error(401, "EMPTY_ACCESS_TOKEN", "Empty oauth2 access token"))
        token = self.tokens.get(value)
        if token is None:
            raise Refused(classic_error(401, "Invalid access token", 65600))
        if token.state == "expired":
            raise Refused(classic_error(401, "The token used in the request has expired", 65600))
        if token.state == "revoked":
            raise Refused(Answer.json(401, {
                "status": 401, "serviceErrorCode": 65601, "code": "REVOKED_ACCESS_TOKEN",
                "message": "The token used in the request has been revoked by the user"}))
        return token

    def _count_call(self, token: Token) -> None:
        """LinkedIn "rate limits": per member and per application, until midnight UTC.

        The answer has no Retry-After and no reset header: the client must know when it ends.
        """
        day = int(self.now() // DAY)
        for whose, quota in ((token.member, self.member_day_quota), ("", self.app_day_quota)):
            if quota is not None and self._calls[day, whose] >= quota:
                raise Refused(short_error(429, "TOO_MANY_REQUESTS", "Resource level throttle DAY "
                                          "limit for calls to this resource is reached."))
        for whose in (token.member, ""):
            self._calls[day, whose] += 1

    def _check_author(self, token: Token, author: str) -> None:
        """Posts API, "permissions": the author is the token's member, or a page of theirs."""
        if author not in token.authors and is_organization(author):
            raise denied("The member is no longer an administrator of the company")
        if not token.may("w", author):
            raise denied(f"Not enough permissions to act as {author}")

    # Posts API.

    def _create_post(self, request: Exchange, token: Token) -> Answer:
        body = read_json(request)
        check_post_fields(body)
        author = check_author_urn(body["author"], "/author")
        self._check_author(token, author)
        check_visibility(body)
        check_content(body)
        text = parse_little_text(body["commentary"])
        if text.unescaped is not None and self.strict_escapes:
            raise invalid("/commentary", f"{body['commentary'][text.unescaped]!r} at "
                          f"{text.unescaped} is reserved in little text and not escaped")
        check_length(text)
        same = self._by_text.get(self._same(author, text, body))
        if same is not None:
            return self._duplicate(same)
        return self._store_post(body, author, text)

    def _same(self, author: str, text: LittleText, body: dict[str, Any]) -> tuple[str, str]:
        """What makes two posts duplicates; posts without text are told apart by their media."""
        return author, text.visible or json.dumps(body.get("content"), sort_keys=True)

    def _duplicate(self, same: Post) -> Answer:
        """Posts API, 422 DUPLICATE_POST: it names the post that is there, or its ghost."""
        answer = detailed_error(422, "DUPLICATE_POST", f"Content is a duplicate of {same.urn}")
        body = json.loads(answer.body)
        body["errorDetails"]["inputErrors"][0]["description"] = "Duplicate post is detected"
        return Answer.json(422, body)

    def _store_post(self, body: dict[str, Any], author: str, text: LittleText) -> Answer:
        """Posts API, 201: no body, the URN is in a header."""
        urn = f"urn:li:share:{self._next_number()}"
        post = Post(urn, author, body["commentary"], text.kept, text.visible, body, self.now(),
                    comment_404s=self.comment_404s)
        self._posts[urn] = post
        self._by_text[self._same(author, text, body)] = post
        self.record(kind="post", urn=urn, author=author, text=text.visible)
        return Answer(201, {"x-restli-id": urn})

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _live_post(self, urn: str) -> Post:
        """Posts API, 404: never there, or deleted."""
        post = self._posts.get(urn)
        if post is None or post.deleted:
            raise Refused(NOT_FOUND)
        return post

    def _check_readable(self, urn: str, token: Token) -> None:
        """Posts API, Comments API, "permissions": reading needs an r_ scope of the author's kind.

        A member's is restricted: most applications can write what they cannot read.
        """
        post = self._posts.get(urn)
        if post is not None and not token.may("r", post.author):
            raise denied("Not enough permissions to access: GET")

    def _get_post(self, urn: str, token: Token) -> Answer:
        self._check_readable(urn, token)
        return Answer.json(200, self._live_post(urn).as_json())

    def _find_posts(self, request: Exchange, token: Token) -> Answer:
        """Posts API, "find posts by authors": a Rest.li finder, newest first."""
        if request.headers.get("x-restli-method") != "FINDER":
            raise Refused(classic_error(400, "X-RestLi-Method must be FINDER"))
        query = request.query
        unknown = query.keys() - {"q", "author", "count", "start", "sortBy"}
        if unknown or query.get("q") != "author":
            raise Refused(classic_error(400, f"No such finder, or unknown: {sorted(unknown)}"))
        if re.search(r"author=urn:", request.target):
            raise Refused(classic_error(400, "Syntax exception: the author is not encoded"))
        author = check_author_urn(query.get("author"), "author")
        if not token.may("r", author):
            raise denied("Not enough permissions to access: posts.FINDER-author.")
        count, start = query.get("count", "10"), query.get("start", "0")
        if not (count.isdigit() and 1 <= int(count) <= 100 and start.isdigit()):
            raise invalid("count", "count is 1 to 100, start is a number")
        if query.get("sortBy", "LAST_MODIFIED") not in ("CREATED", "LAST_MODIFIED"):
            raise invalid("sortBy", "CREATED or LAST_MODIFIED")
        theirs = [post.as_json() for post in reversed(self._posts.values())
                  if post.author == author and not post.deleted]
        page = theirs[int(start):int(start) + int(count)]
        return Answer.json(200, {"elements": page, "paging": {
            "start": int(start), "count": int(count), "links": [], "total": len(theirs)}})

    # Comments API.

    def _create_comment(self, request: Exchange, urn: str, token: Token) -> Answer:
        body = read_json(request)
        check_fields(body, "/", {"actor": str, "object": str, "message": dict},
                     {"parentComment": str})
        check_fields(body["message"], "/message", {"text": str}, {"attributes": list})
        actor = check_author_urn(body["actor"], "/actor")
        self._check_author(token, actor)
        if body["object"] != urn:
            raise invalid("/object", "it is not the entity of the path")
        if not body["message"]["text"].strip():
            raise invalid("/message/text", "a comment needs a text")
        if self.throttled_comments > 0:
            self.throttled_comments -= 1
            raise Refused(short_error(429, "TOO_MANY_REQUESTS", "Comment create throttled: "
                                      "creation rate limit exceeded for member"))
        post = self._live_post(urn)
        if post.comment_404s > 0:
            # Comments API, seen in the field: a new post is not there yet for some seconds.
            post.comment_404s -= 1
            raise Refused(NOT_FOUND)
        return self._store_comment(post, actor, body["message"]["text"])

    def _store_comment(self, post: Post, actor: str, text: str) -> Answer:
        """Comments API, 201: the text is kept as sent, plain, with any backslash that it has.

        There is no duplicate check: the same comment twice is two comments.
        """
        number = str(self._next_number())
        activity = post.urn.rpartition(":")[2]
        comment = Comment(f"urn:li:comment:(urn:li:activity:{activity},{number})", number, actor,
                          text, self.now())
        post.comments.append(comment)
        self.record(kind="comment", urn=comment.urn, post=post.urn, actor=actor, text=text)
        return Answer.json(201, comment.as_json(post), x_restli_id=number)

    def _list_comments(self, urn: str, token: Token) -> Answer:
        self._check_readable(urn, token)
        post = self._live_post(urn)
        found = [comment.as_json(post) for comment in post.comments]
        return Answer.json(200, {"elements": found, "paging": {
            "start": 0, "count": len(found), "links": [], "total": len(found)}})

    # OAuth.

    def _refresh(self, request: Exchange) -> Answer:
        """LinkedIn "programmatic refresh tokens": a form, answered with a new access token.

        The refresh token's year runs from the first grant and is never extended.
        """
        if request.method != "POST":
            return oauth_error(405, "invalid_request", "POST is required")
        if request.media_type() != "application/x-www-form-urlencoded":
            return oauth_error(400, "invalid_request", "the body must be a form")
        form = parse_qsl(request.body.decode("latin-1"), True)
        given = dict(form)
        wanted = {"grant_type", "refresh_token", "client_id", "client_secret"}
        if given.keys() != wanted or len(form) != len(wanted):
            return oauth_error(400, "invalid_request", f"the parameters are {sorted(wanted)}")
        if given["grant_type"] != "refresh_token":
            return oauth_error(400, "unsupported_grant_type", given["grant_type"])
        if (given["client_id"], given["client_secret"]) != self.client:
            return oauth_error(401, "invalid_client", "Client authentication failed")
        grant = self.grants.get(given["refresh_token"])
        if grant is None or grant.ends <= self.now():
            return oauth_error(400, "invalid_grant", "The provided refresh token is invalid, "
                               "expired or revoked")
        return self._issue(given["refresh_token"], grant)

    def _issue(self, refresh_token: str, grant: Grant) -> Answer:
        if self.rotate_refresh_tokens:
            del self.grants[refresh_token]
            refresh_token = f"refresh-{self._next_number()}"
            self.grants[refresh_token] = grant
        token = self.add_token(f"access-{self._next_number()}", grant.member,
                               *grant.organizations, scopes=grant.scopes)
        return Answer.json(200, {
            "access_token": token.value, "expires_in": 60 * DAY,
            "refresh_token": refresh_token,
            "refresh_token_expires_in": int(grant.ends - self.now()),
            "scope": ",".join(grant.scopes)})


def oauth_error(status: int, error: str, description: str) -> Answer:
    return Answer.json(status, {"error": error, "error_description": description})


def main() -> None:
    parser = standalone_parser("A strict fake of LinkedIn, for tests.")
    parser.add_argument("--token", nargs=2, metavar=("TOKEN", "URNS"), action="append",
                        help="member's URN, then organizations' after commas; "
                             "default: token urn:li:person:member")
    parser.add_argument("--refresh-token", nargs=2, metavar=("TOKEN", "URNS"), action="append",
                        default=[])
    parser.add_argument("--version", action="append", metavar="YYYYMM", help="default: 202609")
    parser.add_argument("--comment-404s", type=int, default=0)
    parser.add_argument("--rotate-refresh-tokens", action="store_true")
    options = parser.parse_args()
    fake = LinkedInFake(versions=tuple(options.version or ["202609"]),
                        comment_404s=options.comment_404s,
                        rotate_refresh_tokens=options.rotate_refresh_tokens,
                        port=options.port, record_file=options.log)
    for token, urns in options.token or [("token", "urn:li:person:member")]:
        fake.add_token(token, *urns.split(","))
    for token, urns in options.refresh_token:
        fake.add_refresh_token(token, *urns.split(","))
    serve(fake, options)


if __name__ == "__main__":
    main()
