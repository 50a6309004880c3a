/* SPDX-License-Identifier: MIT */
#pragma once

/* What every platform must do. One const table per provider, no state of its own; it speaks HTTP
 * and knows nothing of jobs or the database.
 *
 * A post is published in two steps because what is sent must be on record before it is sent:
 * prepare() makes the complete request and changes nothing anywhere; send() sends exactly those
 * bytes, perhaps in another process than the one that prepared them. When the outcome of a send is
 * unknown, .way says what may be done about it. */

#include "base/codes.h"
#include "base/error.h"
#include "net/http.h"

typedef struct Settings Settings;

/* How an unknown outcome is resolved. A resend is only allowed where the table below proves that
 * the platform itself refuses, or does nothing for, the same bytes or key:
 *     bluesky    read     getRecord of our own record key
 *     mastodon   resend   Idempotency-Key, on a server known to honour it, while < 50 min old;
 *                read     else: the account's own statuses
 *     linkedin   read     organizations: the author finder
 *                resend   members: a duplicate is refused with 422 that names the post
 *                none     comments
 *     webhook    resend   webhook-id is the receiver's idempotency key (Standard Webhooks)
 */
typedef enum Way {
        WAY_NONE,
        WAY_READ,
        WAY_RESEND,
        _WAY_MAX,
        _WAY_INVALID = -22, /* -EINVAL */
} Way;
const char *way_to_string(Way w);
Way way_from_string(const char *s);

typedef enum Kind {
        KIND_POST,
        KIND_COMMENT,
        _KIND_MAX,
        _KIND_INVALID = -22, /* -EINVAL */
} Kind;
const char *kind_to_string(Kind k);
Kind kind_from_string(const char *s);

typedef struct Account {
        const char *id; /* of auth_providers */
        const char *provider;
        const char *remote_id;   /* the platform's id of the account (providerAccountId) */
        const char *service_url; /* or NULL: the platform's default */
        const char *access_token, *refresh_token; /* or NULL */
        usec_t expires_at;                        /* of the access token; 0 = unknown */
} Account;

typedef struct Post {
        Kind kind;
        const char *id;          /* of the application's post */
        const char *delivery_id; /* uuid of the delivery: the same over attempts */
        const char *text;        /* content, or firstComment for a comment */
        usec_t due_at;
        unsigned n_media; /* media cannot be sent yet; a platform that demands it refuses */
        const char *parent_remote_id, *parent_url,
                *parent_receipt; /* of a comment; receipt: JSON */
} Post;

/* Everything needed to send, and to send again. Stored as JSON before the first byte leaves: no
 * header, no token, no host of a member. */
typedef struct Request {
        char *target; /* provider's own: path or record collection */
        char *handle; /* idempotency handle: key, record key, webhook-id */
        char *body;   /* exact bytes, UTF-8 */
        Way way;      /* what may be done when the outcome of this request is unknown */
        bool resend;  /* set by the caller of send(): an earlier send of these bytes may have
                       * arrived, so a refusal as duplicate may name our own post */
} Request;
void request_done(Request *r);

/* Proof that the platform took it. */
typedef struct Receipt {
        char *remote_id;
        char *url;   /* for people; may be NULL */
        char *extra; /* JSON that a comment's prepare needs (a cid, …); may be NULL */
} Receipt;
void receipt_done(Receipt *r);

typedef struct Tokens {
        char *access_token;
        char *refresh_token; /* NULL: keep the stored one */
        usec_t expires_at;   /* 0 = unknown */
} Tokens;
void tokens_done(Tokens *t);

typedef enum Finding {
        FINDING_UNKNOWN, /* could not be told: goes with a negative result and its Error */
        FINDING_SENT,    /* it is there: *ret is filled */
        FINDING_ABSENT,  /* the platform answered and it is not there */
} Finding;

/* What providers share: the thread's HTTP client and the settings (base URLs, client secrets). */
typedef struct ProviderContext {
        Http *http; /* NULL: nothing can be read; a prepare then goes by the platform's documented
                     * limits and leaves what only the platform can tell as it is */
        const Settings *settings;
} ProviderContext;

typedef struct Provider {
        const char *name;  /* as stored in auth_providers.provider */
        const char *title; /* for people: "LinkedIn" */
        bool needs_media;
        /* How long after it was begun a WAY_RESEND request may be sent again; an older one is
         * reconciled as WAY_READ. 0: for ever. */
        usec_t resend_for;
        /* Required. May read over HTTP, changes nothing. Refuses a text that is too long with
         * ERROR_PERMANENT "text-too-long". */
        int (*prepare)(const ProviderContext *c, const Account *account, const Post *post,
                       Request *ret, Error *ret_error);
        /* Required. Sends exactly request->body. ERROR_UNKNOWN_OUTCOME when it may be there. */
        int (*send)(const ProviderContext *c, const Account *account, const Post *post,
                    const Request *request, Receipt *ret, Error *ret_error);
        /* Required where a request can have WAY_READ, else NULL. begun: when it was sent. */
        int (*reconcile)(const ProviderContext *c, const Account *account, const Post *post,
                         const Request *request, usec_t begun, Finding *ret_finding, Receipt *ret,
                         Error *ret_error);
        /* NULL where tokens do not expire. ERROR_AUTH: refused for good, a person must reconnect.
         */
        int (*refresh)(const ProviderContext *c, const Account *account, Tokens *ret,
                       Error *ret_error);
} Provider;

/* NULL where no code for that platform exists (google, instagram, …). */
const Provider *provider_find(const char *name);
/* Every provider, in the order of the list in meson.build; *ret_n of them. */
const Provider *const *provider_list(size_t *ret_n);
/* The sandbox in a platform's place: same prepare (same limits), send writes to a local page. */
const Provider *provider_sandbox(void);
