/* SPDX-License-Identifier: MIT */
#pragma once

/* One HTTP request, one response or one classified Error. Blocking, with
 * a deadline that always holds. It never follows redirects for what changes something, never
 * re-sends on its own, never uses a proxy unless told, and refuses addresses that a member must
 * not reach. */

#include "base/error.h"
#include "base/json.h"

typedef struct Http Http;

typedef struct HttpConfig {
        const char *user_agent;
        const char *ca_file;      /* NULL or "" = the system's */
        bool allow_private_hosts; /* member hosts may be private, loopback or plain http */
        usec_t connect_timeout;   /* per request; 10 s when 0 */
} HttpConfig;

/* Once per process, on the main thread, before the first http_new(). */
int http_global_init(Error *ret_error);

/* One per thread. */
int http_new(const HttpConfig *config, Http **ret, Error *ret_error);
void http_free(Http *h);
DEFINE_CLEANUP(Http, http_free);

/* Asked right before a request's first byte, on the open connection, and about once a second until
 * then: false stops it with ERROR_TRANSIENT "cancelled", and nothing was sent. A read is also
 * stopped while it waits; of a request that writes nothing is aborted after its first byte but by
 * the deadline. */
void http_set_check(Http *h, bool (*may_send)(void *userdata), void *userdata);
/* Nothing runs longer than this (CLOCK_BOOTTIME), whatever a request's own timeout. */
void http_set_deadline(Http *h, usec_t deadline);

typedef struct HttpRequest {
        const char *method; /* "GET", "POST", "PUT", "DELETE" */
        const char *url;
        const char *const *headers; /* "Name: value", NULL at the end; may be NULL */
        const char *body;           /* or NULL */
        size_t body_size;
        usec_t timeout;   /* 0 = 15 s for reads, 30 s for writes */
        bool writes;      /* changes something: fresh connection, no redirect, and an
                           * answer that does not come is an unknown outcome */
        bool member_host; /* the host was supplied by a member: https only, and no private,
                           * loopback, link-local … address after DNS */
} HttpRequest;

typedef struct HttpResponse {
        long status;
        char *body; /* at most 1 MiB (the rest is dropped), NUL-terminated, never NULL */
        size_t body_size;
        usec_t retry_at; /* from Retry-After, seconds or date, CLOCK_REALTIME, at most 7 days; or 0
                          */
        struct HttpHeader *headers;
        size_t n_headers;
} HttpResponse;

/* 0 with any complete response, whatever its status; for a request that writes, a status and all
 * headers are enough, even if the body was cut. Errors, with codes of base/codes.h:
 * ERROR_TRANSIENT when certainly not received (name, connection, TLS, timeout before the first
 * byte: "platform-down", "tls", "cancelled"); ERROR_UNKNOWN_OUTCOME "unconfirmed" when a request
 * that writes may have been received; ERROR_TRANSIENT for a read that failed; ERROR_PERMANENT
 * "forbidden-host" for a member's host that may not be reached; ERROR_CONFIG "operator-action" for
 * a URL of ours or a CA file that cannot be used. Messages name the host, never the path. */
int http_perform(Http *h, const HttpRequest *request, HttpResponse *ret, Error *ret_error);
void http_response_done(HttpResponse *r);
/* Case-insensitive; the last one of that name, borrowed; NULL where absent. */
const char *http_header(const HttpResponse *r, const char *name);
/* The body as JSON, or NULL where it is none. */
JsonObject *http_json(const HttpResponse *r);

/* The class that a status has where a platform says nothing more exact: 401 auth, 403 permission,
 * 408 and 5xx unknown-outcome for writes and transient for reads, 429 rate-limited (retry_at from
 * Retry-After), other 4xx permanent, 3xx permanent. Fills code with the status. Returns -EREMOTEIO.
 */
int http_status_error(const HttpRequest *request, const HttpResponse *r, const char *detail,
                      Error *ret_error);
