/* SPDX-License-Identifier: MIT */

/* Who an account is in the AT Protocol, and which server keeps its records: handle to DID, DID to
 * document, document to server. */

#include <errno.h>

#include "bluesky.h"

#define HANDLE_MAX ((size_t) 253)
#define DEFAULT_SERVER "https://bsky.social"

bool bluesky_is_handle(const char *s) {
        size_t n = strlen(s);

        return n > 0 && n <= HANDLE_MAX && strchr(s, '.') && s[0] != '.' && s[n - 1] != '.' &&
               s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ==
                       '\0';
}

static bool is_did(const char *s) {
        size_t n = strlen(s);

        return n <= BLUESKY_ID_MAX && strncmp(s, "did:", 4) == 0 && n > 4 &&
               s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_")] ==
                       '\0';
}

int bluesky_did_pds(JsonObject *document, const char *did, char **ret) {
        _cleanup_free_ char *full_id = strjoinf("%s#atproto_pds", did);
        JsonObject *services = json_member(document, "service");
        size_t n;

        if (!full_id)
                return -ENOMEM;
        if (!streq_ptr(json_string(document, "id"), did) ||
            !json_object_is_type(services, json_type_array))
                return -EINVAL;

        n = json_object_array_length(services);
        for (size_t i = 0; i < n; i++) {
                JsonObject *service = json_object_array_get_idx(services, i);
                const char *id = json_string(service, "id");
                const char *endpoint =
                        usable_id(json_string(service, "serviceEndpoint"), BLUESKY_ID_MAX);

                if (!id || !endpoint || (!streq(id, "#atproto_pds") && !streq(id, full_id)) ||
                    !streq_ptr(json_string(service, "type"), "AtprotoPersonalDataServer"))
                        continue;
                *ret = join_url(endpoint, "");
                return *ret ? 0 : -ENOMEM;
        }
        return -EINVAL;
}

void bluesky_server_done(BlueskyServer *s) {
        free(s->url);
}

static int account_invalid(Error *ret_error, const char *what) {
        return error_setf(ret_error, ERROR_PERMANENT, -ENOENT, CODE_ACCOUNT_INVALID, "%s", what);
}

int bluesky_read_json(const ProviderContext *c, const char *url, bool member_host,
                      HttpResponse *ret_response, JsonObject **ret, Error *ret_error) {
        int r;

        r = http_perform(c->http,
                         &(const HttpRequest){
                                 .method = "GET",
                                 .url = url,
                                 .headers =
                                         (const char *const[]){ "Accept: application/json", NULL },
                                 .member_host = member_host,
                         },
                         ret_response, ret_error);
        if (r >= 0)
                *ret = http_json(ret_response);
        return r;
}

int bluesky_read_failed(const ProviderContext *c, const Account *account, const char *who,
                        const HttpResponse *response, JsonObject *body, Error *ret_error) {
        bool limited = response->status == 429;

        return refuse(c, account,
                      &(const Refusal){
                              .who = who,
                              .class = limited ? ERROR_RATE_LIMITED : ERROR_TRANSIENT,
                              .code = limited ? CODE_RATE_LIMITED : CODE_PLATFORM_DOWN,
                              .retry_at =
                                      limited ? clamp_retry(response->retry_at, 5 * USEC_PER_MINUTE)
                                              : response->retry_at,
                              .status = response->status,
                              .word = json_string(body, "error"),
                              .words = json_string(body, "message"),
                      },
                      ret_error);
}

/* The server that answers questions about anybody: not necessarily where the account lives. */
static int any_server(const ProviderContext *c, const Account *account, BlueskyServer *ret) {
        bool own = !isempty(account->service_url);

        ret->url = join_url(own ? account->service_url : c->settings->bluesky_url, "");
        ret->member_host = own;
        return ret->url ? 0 : -ENOMEM;
}

int bluesky_resolve_handle(const ProviderContext *c, const Account *account, const char *handle,
                           char **ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_free_ char *encoded = percent_encode(handle), *url = NULL;
        _cleanup_(json_unrefp) JsonObject *body = NULL;
        _cleanup_(bluesky_server_done) BlueskyServer server = {};
        const char *did;
        int r;

        if (!encoded || any_server(c, account, &server) < 0)
                return error_oom(ret_error);
        url = strjoinf("%s/xrpc/com.atproto.identity.resolveHandle?handle=%s", server.url, encoded);
        if (!url)
                return error_oom(ret_error);

        r = bluesky_read_json(c, url, server.member_host, &response, &body, ret_error);
        if (r < 0)
                return r;
        if (response.status == 400 || response.status == 404)
                return 0;
        if (response.status != 200)
                return bluesky_read_failed(c, account, BLUESKY, &response, body, ret_error);

        did = json_string(body, "did");
        if (!did || !is_did(did))
                return 0;
        *ret = strdup(did);
        return *ret ? 1 : error_oom(ret_error);
}

int bluesky_find_repo(const ProviderContext *c, const Account *account, char **ret,
                      Error *ret_error) {
        const char *id = account->remote_id;
        int r;

        if (isempty(id))
                return account_invalid(ret_error, "the account has neither a DID nor a handle");
        id += *id == '@';
        if (is_did(id) || (bluesky_is_handle(id) && !c->http)) {
                *ret = strdup(id);
                return *ret ? 0 : error_oom(ret_error);
        }
        if (!bluesky_is_handle(id))
                return account_invalid(ret_error, "the account has neither a DID nor a handle");

        r = bluesky_resolve_handle(c, account, id, ret, ret_error);
        return r == 0 ? account_invalid(ret_error, "Bluesky knows no account of that handle") : r;
}

static int read_did_document(const ProviderContext *c, const Account *account, const char *did,
                             char **ret, Error *ret_error) {
        bool web = strncmp(did, "did:web:", strlen("did:web:")) == 0;
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *document = NULL;
        _cleanup_free_ char *url = NULL, *path = NULL;
        const char *who = web ? "the account's did:web host" : "the PLC directory";
        int r;

        if (web) {
                /* The AT Protocol allows a host name alone, no path and no port. */
                const char *host = did + strlen("did:web:");

                if (!bluesky_is_handle(host))
                        return account_invalid(ret_error, "the account's did:web names no host");
                url = strjoinf("https://%s/.well-known/did.json", host);
        } else if (strncmp(did, "did:plc:", strlen("did:plc:")) == 0) {
                path = strjoinf("/%s", did);
                url = path ? join_url(c->settings->plc_url, path) : NULL;
        } else
                return account_invalid(ret_error, "the account's DID is of an unknown method");
        if (!url)
                return error_oom(ret_error);

        r = bluesky_read_json(c, url, web, &response, &document, ret_error);
        if (r < 0)
                return r;
        if (response.status == 404 || response.status == 410)
                return account_invalid(ret_error, "the account's DID does not exist (any more)");
        if (response.status != 200)
                return bluesky_read_failed(c, account, who, &response, NULL, ret_error);

        r = bluesky_did_pds(document, did, ret);
        if (r == -EINVAL)
                return account_invalid(ret_error, "the account's DID names no data server");
        return r < 0 ? error_oom(ret_error) : 0;
}

int bluesky_find_server(const ProviderContext *c, const Account *account, const char *did,
                        BlueskyServer *ret, Error *ret_error) {
        _cleanup_free_ char *configured = join_url(c->settings->bluesky_url, "");

        if (!configured)
                return error_oom(ret_error);
        if (!isempty(account->service_url) || !streq(configured, DEFAULT_SERVER))
                return any_server(c, account, ret) < 0 ? error_oom(ret_error) : 0;

        ret->member_host = true;
        return read_did_document(c, account, did, &ret->url, ret_error);
}
