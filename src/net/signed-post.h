/* SPDX-License-Identifier: MIT */
#pragma once

/* A message to somebody's endpoint, as Standard Webhooks 1.0 says: a POST of JSON with an id that
 * stays the same over retries, by which a receiver tells a repetition from something new, and
 * signatures that prove the sender. */

#include "net/http.h"

/* "v1,BASE64" for each of the secrets ("whsec_…", separated by spaces). -EINVAL for a secret that
 * is none. */
int webhook_sign(const char *secrets, const char *id, int64_t timestamp, const char *body,
                 char **ret);

typedef struct SignedPost {
        const char *url;
        const char *secrets;
        bool unsigned_allowed; /* without a secret it goes out unsigned: for chat systems */
        const char *id;
        const char *body;
        const char *const *headers; /* further ones, NULL at the end; may be NULL */
        bool member_host;           /* of HttpRequest */
        usec_t timeout;
} SignedPost;

/* As http_perform(). -EKEYREJECTED, ERROR_CONFIG: the secrets are none, and nothing was sent. */
int signed_post(Http *h, const SignedPost *post, HttpResponse *ret, Error *ret_error);
