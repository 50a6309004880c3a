# SPDX-License-Identifier: MIT
"""What the tests of publishing share: questions about one post, and changes as the application
makes them. Nothing here judges; the receivers' own lists do, in the tests."""

import json
import sys
from datetime import timedelta
from typing import Any, Callable, NamedTuple, Optional

from harness import app

from . import world as w

sys.path.append(str(w.TOP / "tests" / "peers"))


class Delivery(NamedTuple):
    state: str
    code: Optional[str]
    detail: Optional[str]
    retry_at: Any
    begins: int
    attempts: Optional[int]         # of its job
    scheduled_for: Any              # of its job
    url: Optional[str]
    remote_id: Optional[str]


def delivery(world: w.World, post: w.Post, account: Optional[w.Account] = None,
             kind: str = "post") -> Optional[Delivery]:
    """The delivery of a post to one of its accounts (the first if not said), or None."""
    found = world.rows("""
        SELECT d.state, d.code, d.detail, d.retry_at, d.begin_number, q.attempts, q.scheduled_for,
            d.url, d.remote_id
        FROM automapost.post_deliveries d LEFT JOIN automapost.job_queue q ON q.id = d.job_id
        WHERE d.post_id = %s AND d.auth_provider_id = %s AND d.kind = %s""",
                       (post.id, (account or post.accounts[0]).id, kind))
    return Delivery(*found[0]) if found else None


def status(world: w.World, post: w.Post) -> Optional[str]:
    """posts.status, None when the row is gone."""
    found = world.rows("SELECT status::text FROM public.posts WHERE id::text = %s", (post.id,))
    return found[0][0] if found else None


def publication(world: w.World, post: w.Post) -> Optional[str]:
    """What the application reads, with its own rights; None while there is no row."""
    world.rows(f'SET ROLE "{w.APP_ROLE}"')
    try:
        found = world.rows("SELECT state FROM automapost.post_publication WHERE post_id = %s",
                           (post.id,))
    finally:
        world.rows("RESET ROLE")
    return found[0][0] if found else None


def account_status(world: w.World, account: w.Account) -> Optional[str]:
    world.rows(f'SET ROLE "{w.APP_ROLE}"')
    try:
        found = world.rows(
            "SELECT state FROM automapost.account_status WHERE auth_provider_id = %s",
            (account.id,))
    finally:
        world.rows("RESET ROLE")
    return found[0][0] if found else None


# Changes as the application makes them.


def update(world: w.World, post: w.Post, **columns: Any) -> None:
    assignments = ", ".join(f'"{name}" = %s' for name in columns)
    world.rows(f'UPDATE public.posts SET {assignments}, "updatedAt" = now() WHERE id::text = %s',
               [*columns.values(), post.id])


def hard_delete(world: w.World, post: w.Post) -> None:
    world.rows("DELETE FROM public.posts WHERE id::text = %s", (post.id,))


def cancel(world: w.World, post: w.Post) -> str:
    """What an operator says to the job of the post's first delivery; what cancel() answers."""
    return world.rows("""
        SELECT c.was FROM automapost.post_deliveries d, automapost.cancel(d.job_id::text) c
        WHERE d.post_id = %s AND d.auth_provider_id = %s AND d.kind = 'post'""",
                      (post.id, post.accounts[0].id))[0][0]


def tokens(world: w.World, account: w.Account) -> tuple:
    return world.rows('SELECT "accessToken", "refreshToken", "expiresAt"'
                      " FROM public.auth_providers WHERE id::text = %s", (account.id,))[0]


def connect_again(world: w.World, account: w.Account, access: str, refresh: Optional[str] = None,
                  expires_in: Optional[timedelta] = None) -> None:
    """A member signs in at the platform again: the application stores what it was given."""
    world.rows('UPDATE public.auth_providers SET "accessToken" = %s, "refreshToken" = %s,'
               ' "expiresAt" = now() + %s, "updatedAt" = now() WHERE id::text = %s',
               (access, refresh, expires_in, account.id))


# Receivers.


def is_comment(exchange) -> bool:
    """For faults of the webhook receiver that shall meet comments alone."""
    return exchange.method == "POST" and b'"comment.published"' in exchange.body


def is_to(account: w.Account) -> Callable:
    """For faults that shall meet one account's requests alone."""
    def matches(exchange) -> bool:
        return exchange.method == "POST" and exchange.path == account_path(account)
    return matches


_paths: dict = {}


def account_path(account: w.Account) -> str:
    return _paths[account.id]


def webhook_account(world: w.World, webhooks: w.Webhooks) -> w.Account:
    account = webhooks.account(world)
    remember(world, account)
    return account


def remember(world: w.World, account: w.Account) -> None:
    url = world.value('SELECT "providerAccountId" FROM public.auth_providers WHERE id::text = %s',
                      (account.id,))
    _paths[account.id] = "/" + url.split("/", 3)[3]


def problem(status_code: int, code: str, message: str) -> dict:
    """The arguments of a fault that answers as LinkedIn words its refusals."""
    return {"status": status_code, "headers": {"content-type": "application/json"},
            "body": json.dumps({"status": status_code, "code": code, "message": message})}


def same_member(world: w.World, first: w.Account, *others: w.Account) -> list:
    """The accounts, all of the first one's member."""
    result = [first]
    for other in others:
        world.rows('UPDATE public.auth_providers SET "userId" = %s WHERE id::text = %s',
                   (first.user, other.id))
        result.append(w.Account(other.id, first.user, other.receiver))
    return result


def plain_account(world: w.World, provider: str, remote_id: str, token: Optional[str] = "token",
                  **fields: Any) -> w.Account:
    """An account at a platform of which the test runs no server."""
    user = app.member(world.db)
    return w.Account(app.account(world.db, user, provider, remote_id, token, **fields), user, None)


def wake(world: w.World, post: w.Post, kind: str = "post") -> None:
    """An operator does not wait for the next try."""
    world.rows("SELECT automapost.wake(d.job_id::text) FROM automapost.post_deliveries d"
               " WHERE d.post_id = %s AND d.kind = %s AND d.state = 'pending'", (post.id, kind))


def writes(fake) -> list:
    """The requests that would publish something, as the fake saw them."""
    with fake.lock:
        return [exchange for exchange in fake.log if exchange.method == "POST"]
