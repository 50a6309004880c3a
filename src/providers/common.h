/* SPDX-License-Identifier: MIT */
#pragma once

/* What the platforms' files share: errors in a platform's own words, requests, small checks. For
 * this folder only. */

#include "base/settings.h"
#include "base/text.h"
#include "provider.h"

#define TOKEN_MAX ((size_t) 16 * 1024)

/* Message and class of an answer that is no success. */
typedef struct Refusal {
        const char *who; /* "LinkedIn", "the webhook" */
        ErrorClass class;
        const char *code; /* of base/codes.h */
        usec_t retry_at;
        long status;
        const char *word;  /* the platform's error name, or NULL */
        const char *words; /* its message, or NULL */
} Refusal;

/* Fills the error: "WHO answered STATUS WORD: WORDS", without the account's and the settings'
 * secrets, valid UTF-8, at most 300 bytes. Returns -EREMOTEIO. */
int refuse(const ProviderContext *c, const Account *account, const Refusal *refusal,
           Error *ret_error);

/* For refresh(): a refresh may be asked for again, so an unknown outcome is a transient failure. */
int refresh_failed(Error *error, Error *ret_error);

/* A header "NAME: PREFIX TOKEN"; ERROR_AUTH where there is no usable token. Erase it. */
int token_header(const char *prefix, const char *token, char **ret, Error *ret_error);

/* base without its trailing slashes, then path. NULL when memory is short. */
char *join_url(const char *base, const char *path);

/* Whether a text has nothing to be seen in it. */
bool text_is_blank(const char *s);
/* ERROR_PERMANENT for a text that is blank, not UTF-8 (count < 0), or of more than max. */
int check_text(const char *who, const char *text, int64_t count, int64_t max, const char *unit,
               Error *ret_error);

/* How a text that a platform shows relates to one that was sent. Platforms trim, mark up and quote
 * in their own ways: what is merely similar may be ours, and so is never proof of absence. */
typedef enum Likeness {
        TEXT_DIFFERENT,
        TEXT_SIMILAR, /* half of the words */
        TEXT_SAME,    /* but for blanks, punctuation and markup */
} Likeness;
int compare_texts(const char *shown, const char *sent, Likeness *ret); /* -ENOMEM */

/* An id or URL that a platform gave, fit to be stored: NULL if it is absent, longer than max or
 * holds a blank or control character. Borrowed. */
const char *usable_id(const char *s, size_t max);

/* At most t from now, at least a second; `missing` from now where t is 0 or long past. */
usec_t clamp_retry(usec_t t, usec_t missing);
/* A random span below max. */
usec_t jitter(usec_t max);

/* Takes body over as the request's bytes. */
int request_make(const char *target, const char *handle, JsonObject *body, Way way, Request *ret,
                 Error *ret_error);
int receipt_make(const char *remote_id, const char *url, JsonObject *extra, Receipt *ret,
                 Error *ret_error);
