# SPDX-License-Identifier: MIT
"""The application as seen by this project: its tables, and members, accounts and posts in them.

Each function takes a psycopg2 connection first and returns the new row's id as text. Names are
numbered (member-1@example.test): a reader sees at once that nobody is meant.
"""

import itertools
from datetime import datetime
from pathlib import Path
from typing import Optional, Sequence

SCHEMA = Path(__file__).parents[2] / "sql" / "dev" / "application.sql"

_numbers = itertools.count(1)


def install(connection) -> None:
    """Creates the application's tables in an empty database."""
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA.read_text(encoding="utf-8"))


def member(connection, email: Optional[str] = None, *, name: Optional[str] = None,
           verified: bool = True) -> str:
    number = next(_numbers)
    return _insert(connection, "users", {
        "email": email or f"member-{number}@example.test",
        "name": name or f"Member {number}",
        "emailVerified": verified,
    })


def account(connection, user_id: str, provider: str, provider_account_id: str,
            access_token: Optional[str], refresh_token: Optional[str] = None,
            expires_at: Optional[datetime] = None, *, scope: Optional[str] = None) -> str:
    return _insert(connection, "auth_providers", {
        "userId": user_id,
        "provider": provider,
        "providerAccountId": provider_account_id,
        "accessToken": access_token,
        "refreshToken": refresh_token,
        "expiresAt": expires_at,
        "scope": scope,
    })


def post(connection, user_id: str, content: str, scheduled_to: Optional[datetime],
         providers: Sequence[str] = (), auth_provider_ids: Sequence[str] = (),
         first_comment: Optional[str] = None, status: str = "SCHEDULED") -> str:
    return _insert(connection, "posts", {
        "userId": user_id,
        "content": content,
        "scheduledTo": scheduled_to,
        "providers": list(providers),
        "authProviderIds": list(auth_provider_ids),
        "firstComment": first_comment,
        "status": status,
    })


def session(connection, user_id: str, last_activity_at: Optional[datetime] = None, *,
            active: bool = True) -> str:
    """A sign-in; without a time it is the server's now."""
    columns = {"userId": user_id, "isActive": active}
    if last_activity_at is not None:
        columns["lastActivityAt"] = last_activity_at
    return _insert(connection, "sessions", columns)


def _insert(connection, table: str, columns: dict) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks}) RETURNING id::text',
                       list(columns.values()))
        return cursor.fetchone()[0]
