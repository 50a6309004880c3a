/* SPDX-License-Identifier: MIT */
#pragma once

/* libcurl, loaded when the first job needs it. Nearly every tick finds nothing to do, and linked in
 * the ordinary way libcurl and what is behind it are a fifth of what such a tick costs. For http.c
 * and mail.c alone, which call its functions by their own names. */

#include <curl/curl.h>

#include "base/error.h"

#define FOREACH_CURL_FUNCTION(X) \
        X(curl_easy_cleanup)     \
        X(curl_easy_init)        \
        X(curl_easy_perform)     \
        X(curl_easy_reset)       \
        X(curl_easy_strerror)    \
        X(curl_free)             \
        X(curl_global_init)      \
        X(curl_slist_append)     \
        X(curl_slist_free_all)   \
        X(curl_url)              \
        X(curl_url_cleanup)      \
        X(curl_url_get)          \
        X(curl_url_set)

/* Before any other function of libcurl; again, and from any thread, is harmless. */
int curl_load(Error *ret_error);

/* What every transfer of ours has: a deadline that holds, no signals, no proxy, and who is trusted.
 * error_text (CURL_ERROR_SIZE) must live until the transfer has ended. */
void curl_set_basics(CURL *curl, const char *ca_file, char *error_text, usec_t timeout,
                     usec_t connect_timeout);
/* No trusted encryption, as opposed to no connection. */
bool curl_is_tls_error(CURLcode code);

typedef struct LibCurl {
#define X(name) __typeof__(name) *p_##name;
        FOREACH_CURL_FUNCTION(X)
#undef X
} LibCurl;

extern LibCurl libcurl;

#define curl_easy_cleanup libcurl.p_curl_easy_cleanup
#define curl_easy_init libcurl.p_curl_easy_init
#define curl_easy_perform libcurl.p_curl_easy_perform
#define curl_easy_reset libcurl.p_curl_easy_reset
#define curl_easy_strerror libcurl.p_curl_easy_strerror
#define curl_free libcurl.p_curl_free
#define curl_global_init libcurl.p_curl_global_init
#define curl_slist_append libcurl.p_curl_slist_append
#define curl_slist_free_all libcurl.p_curl_slist_free_all
#define curl_url libcurl.p_curl_url
#define curl_url_cleanup libcurl.p_curl_url_cleanup
#define curl_url_get libcurl.p_curl_url_get
#define curl_url_set libcurl.p_curl_url_set
