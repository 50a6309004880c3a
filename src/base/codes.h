/* SPDX-License-Identifier: MIT */
#pragma once

/* The closed list of codes with which a delivery or an account says what is wrong. They are stored
 * and the application translates them: never rename one. What a platform said in its own words is
 * the Error's message. */

/* A member must do something about an account. */
#define CODE_RECONNECT_ACCOUNT "reconnect-account"   /* the token is refused or expired */
#define CODE_PERMISSION_MISSING "permission-missing" /* the token lacks a right */
#define CODE_ACCOUNT_INVALID "account-invalid"       /* no such account, host or signing secret */
#define CODE_NOT_YOUR_ACCOUNT "not-your-account"     /* the account is not the post's member's */
#define CODE_NO_ACCOUNT "no-account"                 /* the post names no account at all */
#define CODE_FORBIDDEN_HOST "forbidden-host"         /* a private address, http, or a bad URL */
#define CODE_ENDPOINT_GONE "endpoint-gone"           /* the webhook says that it is gone: 410 */

/* The content is refused. */
#define CODE_TEXT_TOO_LONG "text-too-long"
#define CODE_TEXT_EMPTY "text-empty"
#define CODE_MEDIA_REQUIRED "media-required" /* the platform takes no post without media */
#define CODE_DUPLICATE "duplicate"           /* the platform has this very text already */
#define CODE_PARENT_MISSING "parent-missing" /* a comment whose post cannot be named or found */
#define CODE_REJECTED "rejected"             /* refused; the message says why */
#define CODE_UNSUPPORTED_PLATFORM "unsupported-platform"

/* It will pass, or has passed. */
#define CODE_RATE_LIMITED "rate-limited"
#define CODE_PLATFORM_DOWN "platform-down" /* not reached, or it answered with its own failure */
#define CODE_TLS "tls"                     /* no encrypted connection: certificate or protocol */
#define CODE_CANCELLED "cancelled"         /* stopped by us before the first byte */
#define CODE_MISSED_LATE "missed-late"     /* past the late limit */
#define CODE_UNCONFIRMED "unconfirmed"     /* sent, but the answer is not known */

/* An operator must act (a setting, an API version): the post stays scheduled. */
#define CODE_OPERATOR_ACTION "operator-action"
