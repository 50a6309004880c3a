/* SPDX-License-Identifier: MIT */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "address.h"
#include "base/codes.h"
#include "base/stop-point.h"
#include "base/text.h"
#include "base/time-util.h"
#include "curl.h"

#define BODY_MAX ((size_t) 1024 * 1024)
#define HEADERS_MAX 256U
#define REDIRECTS_MAX 3L
#define RETRY_AFTER_MAX (7 * USEC_PER_DAY)
#define CONNECT_TIMEOUT_DEFAULT (10 * USEC_PER_SEC)
#define READ_TIMEOUT_DEFAULT (15 * USEC_PER_SEC)
#define WRITE_TIMEOUT_DEFAULT (30 * USEC_PER_SEC)

struct HttpHeader {
        char *name, *value;
};

struct Http {
        CURL *curl;
        char *user_agent, *ca_file;
        bool allow_private_hosts;
        usec_t connect_timeout;
        bool (*may_send)(void *userdata);
        void *userdata;
        usec_t deadline;
};

/* One request under way, as its callbacks see it. */
typedef struct Call {
        Http *http;
        const HttpRequest *request;
        HttpResponse response;
        Str body;
        usec_t deadline;
        bool started;   /* the first byte was let go */
        bool sent_all;  /* the last one was seen to go */
        bool answered;  /* a final status and all its headers are there */
        bool cancelled; /* the check said no */
        bool expired;
        bool too_large;
        bool no_memory;
        unsigned n_refused, n_allowed; /* addresses of the host */
} Call;

static void header_list_free(struct curl_slist *list) {
        /* They hold bearer tokens, and curl has copied them. */
        for (struct curl_slist *i = list; i; i = i->next)
                explicit_bzero(i->data, strlen(i->data));
        curl_slist_free_all(list);
}

typedef struct curl_slist HeaderList;
DEFINE_CLEANUP(HeaderList, header_list_free);
DEFINE_CLEANUP(CURLU, curl_url_cleanup);
DEFINE_CLEANUP(char, curl_free);

static void response_headers_free(HttpResponse *r) {
        for (size_t i = 0; i < r->n_headers; i++) {
                free(r->headers[i].name);
                free(r->headers[i].value);
        }
        free(r->headers);
        r->headers = NULL;
        r->n_headers = 0;
}

void http_response_done(HttpResponse *r) {
        response_headers_free(r);
        if (r->body)
                explicit_bzero(r->body, r->body_size);
        free(r->body);
        *r = (HttpResponse){};
}

static void call_done(Call *c) {
        http_response_done(&c->response);
        if (c->body.data)
                explicit_bzero(c->body.data, c->body.length);
        str_done(&c->body);
}

int http_global_init(Error *ret_error) {
        int r = curl_load(ret_error);

        if (r < 0)
                return r;
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
                return error_setf(ret_error, ERROR_CONFIG, -EIO, CODE_OPERATOR_ACTION,
                                  "the HTTP library cannot be initialised");
        return 0;
}

void http_free(Http *h) {
        if (!h)
                return;
        curl_easy_cleanup(h->curl);
        free(h->user_agent);
        free(h->ca_file);
        free(h);
}

int http_new(const HttpConfig *config, Http **ret, Error *ret_error) {
        _cleanup_(http_freep) Http *h = NULL;
        int r;

        r = curl_load(ret_error);
        if (r < 0)
                return r;
        h = calloc(1, sizeof(*h));
        if (!h)
                return error_oom(ret_error);

        h->curl = curl_easy_init();
        h->user_agent = strdup(config->user_agent ?: "automapost-jobs");
        h->ca_file = strdup(config->ca_file ?: "");
        if (!h->curl || !h->user_agent || !h->ca_file)
                return error_oom(ret_error);

        h->allow_private_hosts = config->allow_private_hosts;
        h->connect_timeout = config->connect_timeout ?: CONNECT_TIMEOUT_DEFAULT;
        h->deadline = USEC_INFINITY;
        *ret = TAKE_PTR(h);
        return 0;
}

void http_set_check(Http *h, bool (*may_send)(void *userdata), void *userdata) {
        h->may_send = may_send;
        h->userdata = userdata;
}

void http_set_deadline(Http *h, usec_t deadline) {
        h->deadline = deadline ?: USEC_INFINITY;
}

/* Callbacks of libcurl. */

/* False: stop. */
static bool call_may_go_on(Call *c) {
        if (now(CLOCK_BOOTTIME) >= c->deadline) {
                c->expired = true;
                return false;
        }

        if (c->started && c->request->writes)
                return true;
        if (c->http->may_send && !c->http->may_send(c->http->userdata)) {
                c->cancelled = true;
                return false;
        }
        return true;
}

static void call_sent_all(Call *c) {
        if (c->sent_all)
                return;
        c->sent_all = true;
        if (c->request->writes)
                stop_point("last-byte");
}

static int on_first_byte(void *userdata, _unused_ char *remote_ip, _unused_ char *local_ip,
                         _unused_ int remote_port, _unused_ int local_port) {
        Call *c = userdata;

        /* The check comes last: a process that was stopped here finds out that it is too late. */
        if (c->request->writes)
                stop_point("first-byte");
        if (!call_may_go_on(c))
                return CURL_PREREQFUNC_ABORT;

        c->started = true;
        return CURL_PREREQFUNC_OK;
}

static int on_progress(void *userdata, _unused_ curl_off_t dltotal, _unused_ curl_off_t dlnow,
                       curl_off_t ultotal, curl_off_t ulnow) {
        Call *c = userdata;

        if (c->started && ultotal > 0 && ulnow >= ultotal)
                call_sent_all(c);
        return call_may_go_on(c) ? 0 : 1;
}

static curl_socket_t on_open_socket(void *userdata, _unused_ curlsocktype purpose,
                                    struct curl_sockaddr *address) {
        Call *c = userdata;

        if (!address_is_public(&address->addr, address->addrlen)) {
                c->n_refused++;
                return CURL_SOCKET_BAD;
        }

        c->n_allowed++;
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int response_add_header(HttpResponse *r, const char *line, size_t n) {
        const char *colon = memchr(line, ':', n), *value, *end = line + n;
        struct HttpHeader *headers;

        if (!colon || r->n_headers >= HEADERS_MAX)
                return 0;

        value = colon + 1;
        while (value < end && (*value == ' ' || *value == '\t'))
                value++;
        while (end > value && strchr(" \t\r\n", end[-1]))
                end--;

        headers = reallocarray(r->headers, r->n_headers + 1, sizeof(*headers));
        if (!headers)
                return -ENOMEM;
        r->headers = headers;
        headers[r->n_headers] = (struct HttpHeader){
                .name = strndup(line, (size_t) (colon - line)),
                .value = strndup(value, (size_t) (end - value)),
        };
        r->n_headers++;
        return headers[r->n_headers - 1].name && headers[r->n_headers - 1].value ? 0 : -ENOMEM;
}

static size_t on_header(char *line, _unused_ size_t one, size_t n, void *userdata) {
        Call *c = userdata;
        long status = 0;

        call_sent_all(c);

        /* A new head: after 100 Continue, or after a redirect. */
        if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
                response_headers_free(&c->response);
                return n;
        }

        if (n <= 2 && (n == 0 || line[0] == '\r' || line[0] == '\n')) {
                (void) curl_easy_getinfo(c->http->curl, CURLINFO_RESPONSE_CODE, &status);
                c->answered = status >= 200;
                return n;
        }

        if (response_add_header(&c->response, line, n) < 0) {
                c->no_memory = true;
                return 0;
        }
        return n;
}

static size_t on_body(char *data, _unused_ size_t one, size_t n, void *userdata) {
        Call *c = userdata;
        size_t room = BODY_MAX - c->body.length;

        if (str_append_n(&c->body, data, MIN(n, room)) < 0) {
                c->no_memory = true;
                return 0;
        }
        if (n > room) {
                c->too_large = true;
                return 0;
        }
        return n;
}

/* The host of a URL for messages, and whether the URL may be asked for at all. */
static int check_url(const Http *h, const HttpRequest *request, char **ret_host, Error *ret_error) {
        _cleanup_(curl_url_cleanupp) CURLU *url = curl_url();
        _cleanup_(curl_freep) char *scheme = NULL, *host = NULL, *user = NULL, *password = NULL;
        char *copy;

        if (!url)
                return error_oom(ret_error);

        if (curl_url_set(url, CURLUPART_URL, request->url, 0) != CURLUE_OK ||
            curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
            curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK || isempty(host)) {
                if (request->member_host)
                        return error_setf(ret_error, ERROR_PERMANENT, -EACCES, CODE_FORBIDDEN_HOST,
                                          "the account's URL is not a URL");
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, CODE_OPERATOR_ACTION,
                                  "a configured base URL is not a URL");
        }

        (void) curl_url_get(url, CURLUPART_USER, &user, 0);
        (void) curl_url_get(url, CURLUPART_PASSWORD, &password, 0);
        if (request->member_host && (user || password))
                return error_setf(ret_error, ERROR_PERMANENT, -EACCES, CODE_FORBIDDEN_HOST,
                                  "the account's URL holds a user name or password");

        if (!streq(scheme, "https") && !streq(scheme, "http")) {
                if (request->member_host)
                        return error_setf(ret_error, ERROR_PERMANENT, -EACCES, CODE_FORBIDDEN_HOST,
                                          "the account's URL does not begin with https://");
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, CODE_OPERATOR_ACTION,
                                  "a configured base URL begins neither with https:// nor http://");
        }
        if (request->member_host && !h->allow_private_hosts && !streq(scheme, "https"))
                return error_setf(ret_error, ERROR_PERMANENT, -EACCES, CODE_FORBIDDEN_HOST,
                                  "the account's URL does not begin with https://");

        copy = utf8_make_valid(host, strlen(host), 100);
        if (!copy)
                return error_oom(ret_error);
        *ret_host = copy;
        return 0;
}

static int make_header_list(const HttpRequest *request, HeaderList **ret) {
        _cleanup_(header_list_freep) HeaderList *list = NULL;
        static const char *const none[] = { NULL };
        HeaderList *longer;

        for (const char *const *i = request->headers ?: none; *i; i++) {
                longer = curl_slist_append(list, *i);
                if (!longer)
                        return -ENOMEM;
                list = longer;
        }

        /* No waiting for 100 Continue: it would only blur when the first byte went. */
        longer = curl_slist_append(list, "Expect:");
        if (!longer)
                return -ENOMEM;
        list = longer;

        if (!request->body) {
                longer = curl_slist_append(list, "Content-Type:");
                if (!longer)
                        return -ENOMEM;
                list = longer;
        }

        *ret = TAKE_PTR(list);
        return 0;
}

/* The one place that knows libcurl's options for HTTP. All are constants of ours: none can fail but
 * for memory, which the perform then reports. */
static void set_options(Call *c, HeaderList *headers, char error_text[static CURL_ERROR_SIZE],
                        usec_t left) {
        const HttpRequest *r = c->request;
        Http *h = c->http;
        CURL *curl = h->curl;
        bool alone = r->writes || r->member_host;

        curl_easy_reset(curl);
        curl_set_basics(curl, h->ca_file, error_text, left, h->connect_timeout);
        (void) curl_easy_setopt(curl, CURLOPT_URL, r->url);
        (void) curl_easy_setopt(curl, CURLOPT_USERAGENT, h->user_agent);
        (void) curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        (void) curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);

        if (r->body || streq(r->method, "POST")) {
                (void) curl_easy_setopt(curl, CURLOPT_POST, 1L);
                (void) curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                                        (curl_off_t) (r->body ? r->body_size : 0));
                (void) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body ?: "");
        }
        if (!streq(r->method, "GET") && !streq(r->method, "POST"))
                (void) curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);

        /* On a re-used connection that dies before the answer libcurl itself sends again, POST
         * included: what writes gets a connection of its own. A member's host too, so that its
         * address is always checked. */
        if (alone) {
                (void) curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
                (void) curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
        } else {
                (void) curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
                (void) curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
                (void) curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
        }
        (void) curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                                r->writes ? (long) CURL_HTTP_VERSION_1_1
                                          : (long) CURL_HTTP_VERSION_2TLS);
        if (r->member_host && !h->allow_private_hosts) {
                (void) curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
                (void) curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, c);
        }

        (void) curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_first_byte);
        (void) curl_easy_setopt(curl, CURLOPT_PREREQDATA, c);
        (void) curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        (void) curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        (void) curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
        (void) curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
        (void) curl_easy_setopt(curl, CURLOPT_HEADERDATA, c);
        (void) curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
        (void) curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
}

/* What a request that brought no answer means. */
static int call_failed(const Call *c, CURLcode code, const char *host, const char *why,
                       Error *ret_error) {
        long request_size = 0;
        bool sent;

        (void) curl_easy_getinfo(c->http->curl, CURLINFO_REQUEST_SIZE, &request_size);
        sent = c->started && request_size > 0;

        if (c->request->writes && sent)
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO, CODE_UNCONFIRMED,
                                  "sent to %s, but no answer came: %s", host, why);
        if (c->no_memory || code == CURLE_OUT_OF_MEMORY)
                return error_oom(ret_error);
        if (c->cancelled)
                return error_setf(ret_error, ERROR_TRANSIENT, -ECANCELED, CODE_CANCELLED,
                                  "stopped before anything was sent to %s", host);
        if (c->n_refused > 0 && c->n_allowed == 0)
                return error_setf(ret_error, ERROR_PERMANENT, -EACCES, CODE_FORBIDDEN_HOST,
                                  "%s is not a host of the public internet", host);

        if (code == CURLE_SSL_CACERT_BADFILE)
                return error_setf(ret_error, ERROR_CONFIG, -EIO, CODE_OPERATOR_ACTION,
                                  "the file of certificate authorities cannot be used: %s", why);
        if (curl_is_tls_error(code))
                return error_setf(ret_error, ERROR_TRANSIENT, -EPROTO, CODE_TLS,
                                  "no trusted connection to %s: %s", host, why);

        return error_setf(ret_error, ERROR_TRANSIENT,
                          c->expired || code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT
                                                                         : -EHOSTUNREACH,
                          CODE_PLATFORM_DOWN, "%s %s: %s",
                          sent ? "no answer from" : "no connection to", host, why);
}

static int call_finish(Call *c, HttpResponse *ret, Error *ret_error) {
        curl_off_t retry_after = 0;

        if (!c->body.data && str_append(&c->body, "") < 0)
                return error_oom(ret_error);

        (void) curl_easy_getinfo(c->http->curl, CURLINFO_RESPONSE_CODE, &c->response.status);
        (void) curl_easy_getinfo(c->http->curl, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0)
                c->response.retry_at = now(CLOCK_REALTIME) +
                                       ((usec_t) retry_after >= RETRY_AFTER_MAX / USEC_PER_SEC
                                                ? RETRY_AFTER_MAX
                                                : (usec_t) retry_after * USEC_PER_SEC);

        c->response.body_size = c->body.length;
        c->response.body = TAKE_PTR(c->body.data);
        c->body = (Str){};
        *ret = c->response;
        c->response = (HttpResponse){};
        return 0;
}

int http_perform(Http *h, const HttpRequest *request, HttpResponse *ret, Error *ret_error) {
        _cleanup_(call_done) Call c = { .http = h, .request = request };
        _cleanup_(header_list_freep) HeaderList *headers = NULL;
        char error_text[CURL_ERROR_SIZE] = "";
        _cleanup_free_ char *host = NULL;
        usec_t timeout, start;
        CURLcode code;
        int r;

        r = check_url(h, request, &host, ret_error);
        if (r < 0)
                return r;

        start = now(CLOCK_BOOTTIME);
        timeout = request->timeout
                          ?: request->writes ? WRITE_TIMEOUT_DEFAULT
                                             : READ_TIMEOUT_DEFAULT;
        c.deadline = MIN(start + timeout, h->deadline);
        if (c.deadline <= start)
                return error_setf(ret_error, ERROR_TRANSIENT, -ETIMEDOUT, CODE_PLATFORM_DOWN,
                                  "no time was left to ask %s", host);

        if (make_header_list(request, &headers) < 0)
                return error_oom(ret_error);
        set_options(&c, headers, error_text, c.deadline - start);

        code = curl_easy_perform(h->curl);

        /* A connection that ends within the headers is no error to libcurl; to us it is no answer.
         * A body that was cut after them is one, where it is the status that matters. */
        if (c.answered && !c.no_memory && (code == CURLE_OK || c.too_large || request->writes)) {
                if (request->writes)
                        stop_point("answer-read");
                r = call_finish(&c, ret, ret_error);
        } else
                r = call_failed(&c, code, host,
                                code == CURLE_OK      ? "the answer was cut off"
                                : isempty(error_text) ? curl_easy_strerror(code)
                                                      : error_text,
                                ret_error);

        /* Leaves no pointer to this call's memory in the handle; connections stay. */
        curl_easy_reset(h->curl);
        return r;
}

const char *http_header(const HttpResponse *r, const char *name) {
        for (size_t i = r->n_headers; i > 0; i--)
                if (strcasecmp(r->headers[i - 1].name, name) == 0)
                        return r->headers[i - 1].value;
        return NULL;
}

JsonObject *http_json(const HttpResponse *r) {
        JsonObject *o = NULL;

        if (!r->body || json_parse(r->body, r->body_size, &o) < 0)
                return NULL;
        return o;
}

static ErrorClass status_class(const HttpRequest *request, long status) {
        if (status == 401)
                return ERROR_AUTH;
        if (status == 403)
                return ERROR_PERMISSION;
        if (status == 429)
                return ERROR_RATE_LIMITED;
        if (status == 408 || status >= 500)
                return request->writes ? ERROR_UNKNOWN_OUTCOME : ERROR_TRANSIENT;
        return ERROR_PERMANENT;
}

int http_status_error(const HttpRequest *request, const HttpResponse *r, const char *detail,
                      Error *ret_error) {
        char code[sizeof("-9223372036854775808")];

        (void) snprintf(code, sizeof(code), "%ld", r->status);
        (void) error_setf(ret_error, status_class(request, r->status), -EREMOTEIO, code,
                          "answered %ld%s%s", r->status, isempty(detail) ? "" : ": ", detail ?: "");
        if (ret_error)
                ret_error->retry_at = r->retry_at;
        return -EREMOTEIO;
}
