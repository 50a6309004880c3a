/* SPDX-License-Identifier: MIT */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/codes.h"
#include "net/curl.h"

#define LIBRARY "libcurl.so.4"

/* curl_easy_setopt() and _getinfo() stay functions: curl.h checks their arguments by macros that
 * call them by name. */
#undef curl_easy_getinfo
#undef curl_easy_setopt

LibCurl libcurl;

static __typeof__(curl_easy_setopt) *setopt;
static __typeof__(curl_easy_getinfo) *getinfo;
static char load_error[200];

static void find(void *library, const char *name, void *ret) {
        void *symbol = dlsym(library, name);

        if (symbol)
                *(void **) ret = symbol; /* as POSIX has it for pointers to functions */
        else if (load_error[0] == 0)
                (void) snprintf(load_error, sizeof(load_error), "%s has no %s", LIBRARY, name);
}

static void load(void) {
        void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

        if (!library) {
                (void) snprintf(load_error, sizeof(load_error), "%s", dlerror());
                return;
        }
#define X(name) find(library, #name, &libcurl.p_##name);
        FOREACH_CURL_FUNCTION(X)
#undef X
        find(library, "curl_easy_setopt", &setopt);
        find(library, "curl_easy_getinfo", &getinfo);
}

int curl_load(Error *ret_error) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void) pthread_once(&once, load);
        if (load_error[0])
                return error_setf(ret_error, ERROR_CONFIG, -ELIBACC, CODE_OPERATOR_ACTION,
                                  "the HTTP library cannot be used: %s\n"
                                  "HINT: install libcurl.so.4 (on Debian the package libcurl4)",
                                  load_error);
        return 0;
}

/* An option's number says what its value is (CURLOPTTYPE_…). */
CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...) {
        int type = (int) option / CURLOPTTYPE_OBJECTPOINT * CURLOPTTYPE_OBJECTPOINT;
        CURLcode code;
        va_list value;

        va_start(value, option);
        /* NOLINTBEGIN(bugprone-branch-clone): the branches take values of different types */
        if (type == CURLOPTTYPE_LONG)
                code = setopt(curl, option, va_arg(value, long));
        else if (type == CURLOPTTYPE_OFF_T)
                code = setopt(curl, option, va_arg(value, curl_off_t));
        else
                code = setopt(curl, option, va_arg(value, void *));
        /* NOLINTEND(bugprone-branch-clone) */
        va_end(value);
        return code;
}

CURLcode curl_easy_getinfo(CURL *curl, CURLINFO info, ...) {
        CURLcode code;
        va_list value;

        va_start(value, info);
        code = getinfo(curl, info, va_arg(value, void *));
        va_end(value);
        return code;
}

static long to_msec(usec_t t) {
        /* 0 would mean "for ever" to curl */
        return (long) MAX(MIN(t / USEC_PER_MSEC, (usec_t) 3600 * 1000), (usec_t) 1);
}

void curl_set_basics(CURL *curl, const char *ca_file, char *error_text, usec_t timeout,
                     usec_t connect_timeout) {
        (void) curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text);
        (void) curl_easy_setopt(curl, CURLOPT_PROXY, "");
        if (!isempty(ca_file))
                (void) curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);

        /* Threads: no signals. A timeout must not wait for a resolver that hangs. */
        (void) curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        (void) curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
        (void) curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, to_msec(timeout));
        (void) curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                                to_msec(MIN(timeout, connect_timeout)));
}

bool curl_is_tls_error(CURLcode code) {
        return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR ||
               code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_INVALIDCERTSTATUS;
}
