/* SPDX-License-Identifier: MIT */

/* Bluesky, or any server of the AT Protocol.
 *
 * A post is a record under a key that the client chooses. Key and record are made once, in prepare;
 * whether the record is there can be read by anyone, for ever. swapRecord null makes the server
 * refuse to write over another record, should two posts ever have the same key. */

#include <assert.h>
#include <errno.h>

#include "base/time-util.h"
#include "bluesky.h"

#define GRAPHEMES_MAX 300
#define BYTES_MAX 3000
#define COLLECTION "app.bsky.feed.post"
#define PUT_RECORD "/xrpc/com.atproto.repo.putRecord"
#define REFRESH "/xrpc/com.atproto.server.refreshSession"
/* A post that goes out late says so, instead of appearing below what was posted since. */
#define ON_TIME (10 * USEC_PER_MINUTE)

/* Keys */

void bluesky_tid(uint64_t usec, unsigned clock_id, char ret[static TID_SIZE]) {
        static const char digits[] = "234567abcdefghijklmnopqrstuvwxyz";
        uint64_t value = ((usec & ((UINT64_C(1) << 53) - 1)) << 10) | (clock_id & 0x3ff);

        for (unsigned i = 0; i < TID_SIZE - 1; i++)
                ret[i] = digits[(value >> (5 * (TID_SIZE - 2 - i))) & 0x1f];
        ret[TID_SIZE - 1] = '\0';
}

int bluesky_record_key(const char *delivery_id, usec_t due_at, char ret[static TID_SIZE]) {
        uint8_t digest[SHA256_SIZE];
        uint64_t fraction;
        unsigned clock_id;
        int r;

        r = sha256(delivery_id, strlen(delivery_id), digest);
        if (r < 0)
                return r;

        /* Posts are due at whole seconds, several of one account at the same: the fraction is
         * free to carry 20 bits more than the clock id has. */
        memcpy(&fraction, digest, sizeof(fraction));
        clock_id = ((unsigned) digest[8] << 8) | digest[9];
        bluesky_tid(due_at / USEC_PER_SEC * USEC_PER_SEC + fraction % USEC_PER_SEC, clock_id, ret);
        return 0;
}

/* Records */

static int get_record(const ProviderContext *c, const BlueskyServer *server, const char *repo,
                      const char *rkey, HttpResponse *ret_response, JsonObject **ret,
                      Error *ret_error) {
        _cleanup_free_ char *encoded = percent_encode(repo), *url = NULL;

        url = encoded ? strjoinf("%s/xrpc/com.atproto.repo.getRecord?repo=%s&collection=" COLLECTION
                                 "&rkey=%s",
                                 server->url, encoded, rkey)
                      : NULL;
        if (!url)
                return error_oom(ret_error);
        return bluesky_read_json(c, url, server->member_host, ret_response, ret, ret_error);
}

/* {"uri","cid"} of the post that a comment goes under, both as root and as parent. */
static int make_reply(const Post *post, JsonObject **ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *reply = json_object_new_object(), *receipt = NULL;
        static const char *const roles[] = { "root", "parent" };
        const char *uri, *cid;

        if (post->parent_receipt)
                (void) json_parse(post->parent_receipt, strlen(post->parent_receipt), &receipt);
        uri = usable_id(json_string(receipt, "uri"), BLUESKY_ID_MAX);
        cid = usable_id(json_string(receipt, "cid"), BLUESKY_ID_MAX);
        if (!uri || !cid)
                return error_setf(ret_error, ERROR_PERMANENT, -ENOENT, CODE_PARENT_MISSING,
                                  "the post to comment on has no known uri and cid");

        for (size_t i = 0; i < ELEMENTSOF(roles); i++) {
                _cleanup_(json_unrefp) JsonObject *ref = json_object_new_object();

                if (!reply || !ref || json_set_string(ref, "uri", uri) < 0 ||
                    json_set_string(ref, "cid", cid) < 0 ||
                    json_set(reply, roles[i], TAKE_PTR(ref)) < 0)
                        return error_oom(ret_error);
        }

        *ret = TAKE_PTR(reply);
        return 0;
}

typedef struct Resolver {
        const ProviderContext *c;
        const Account *account;
} Resolver;

static int resolve_mention(void *userdata, const char *handle, char **ret, Error *ret_error) {
        const Resolver *resolver = userdata;

        return bluesky_resolve_handle(resolver->c, resolver->account, handle, ret, ret_error);
}

static int make_record(const ProviderContext *c, const Account *account, const Post *post,
                       JsonObject **ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *record = json_object_new_object(), *facets = NULL,
                                          *reply = NULL;
        Resolver resolver = { .c = c, .account = account };
        usec_t created = now(CLOCK_REALTIME);
        char created_at[ISO8601_SIZE];
        int r;

        if (post->kind == KIND_COMMENT) {
                r = make_reply(post, &reply, ret_error);
                if (r < 0)
                        return r;
        }
        r = bluesky_facets(post->text, c->http ? resolve_mention : NULL, &resolver, &facets,
                           ret_error);
        if (r < 0)
                return r;

        if (post->due_at && post->due_at + ON_TIME > created)
                created = post->due_at;
        time_format_iso8601(created, created_at);

        if (!record || json_set_string(record, "$type", COLLECTION) < 0 ||
            json_set_string(record, "text", post->text) < 0 ||
            json_set_string(record, "createdAt", created_at) < 0)
                return error_oom(ret_error);
        if (json_object_array_length(facets) > 0 &&
            json_set(record, "facets", TAKE_PTR(facets)) < 0)
                return error_oom(ret_error);
        if (reply && json_set(record, "reply", TAKE_PTR(reply)) < 0)
                return error_oom(ret_error);

        *ret = TAKE_PTR(record);
        return 0;
}

static int bluesky_prepare(const ProviderContext *c, const Account *account, const Post *post,
                           Request *ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *body = json_object_new_object(), *record = NULL;
        _cleanup_free_ char *repo = NULL;
        char rkey[TID_SIZE];
        int r;

        r = check_text(BLUESKY, post->text, text_count_graphemes(post->text), GRAPHEMES_MAX,
                       "characters", ret_error);
        if (r < 0)
                return r;
        r = check_text(BLUESKY, post->text, (int64_t) strlen(post->text), BYTES_MAX, "bytes",
                       ret_error);
        if (r < 0)
                return r;

        r = bluesky_find_repo(c, account, &repo, ret_error);
        if (r < 0)
                return r;
        assert(repo);
        r = make_record(c, account, post, &record, ret_error);
        if (r < 0)
                return r;

        if (bluesky_record_key(post->delivery_id, post->due_at ?: now(CLOCK_REALTIME), rkey) < 0 ||
            !body || json_set_string(body, "repo", repo) < 0 ||
            json_set_string(body, "collection", COLLECTION) < 0 ||
            json_set_string(body, "rkey", rkey) < 0 ||
            json_set(body, "record", TAKE_PTR(record)) < 0 ||
            json_set(body, "swapRecord", NULL) < 0)
                return error_oom(ret_error);

        return request_make(COLLECTION, rkey, body, WAY_READ, ret, ret_error);
}

static const char *const dead_tokens[] = {
        "ExpiredToken",    "InvalidToken",       "AuthMissing",      "AuthenticationRequired",
        "AccountTakedown", "AccountDeactivated", "AccountSuspended",
};

static bool is_dead_token(const char *word) {
        for (size_t i = 0; word && i < ELEMENTSOF(dead_tokens); i++)
                if (streq(dead_tokens[i], word))
                        return true;
        return false;
}

/* RateLimit-Reset is in seconds since the epoch; there is no Retry-After. */
static usec_t reset_time(const HttpResponse *response) {
        const char *reset = http_header(response, "ratelimit-reset");
        char *end = NULL;
        long long t = 0;

        if (response->retry_at == 0 && reset) {
                errno = 0;
                t = strtoll(reset, &end, 10);
                if (errno != 0 || end == reset || *end != '\0' || t < 0 || t > 100000000000LL)
                        t = 0;
        }
        return clamp_retry(response->retry_at ?: (usec_t) t * USEC_PER_SEC, 5 * USEC_PER_MINUTE);
}

static int bluesky_refuse(const ProviderContext *c, const Account *account,
                          const BlueskyServer *server, const HttpResponse *response,
                          JsonObject *body, Error *ret_error) {
        Refusal refusal = {
                .who = BLUESKY,
                .class = ERROR_PERMANENT,
                .code = CODE_REJECTED,
                .status = response->status,
                .word = json_string(body, "error"),
                .words = json_string(body, "message"),
        };

        if (response->status == 401 || (response->status == 400 && is_dead_token(refusal.word))) {
                /* An expired token is 400 here, not 401. */
                refusal.class = ERROR_AUTH;
                refusal.code = CODE_RECONNECT_ACCOUNT;
        } else if (response->status == 403) {
                refusal.class = ERROR_PERMISSION;
                refusal.code = CODE_PERMISSION_MISSING;
        } else if (response->status == 429) {
                refusal.class = ERROR_RATE_LIMITED;
                refusal.code = CODE_RATE_LIMITED;
                refusal.retry_at = reset_time(response);
        } else if (response->status == 408 || response->status >= 500) {
                refusal.class = ERROR_UNKNOWN_OUTCOME;
                refusal.code = CODE_UNCONFIRMED;
                refusal.retry_at = response->retry_at;
        } else if (response->status < 400 || response->status == 404) {
                /* Not a server of this protocol. */
                refusal.class = server->member_host ? ERROR_PERMANENT : ERROR_CONFIG;
                refusal.code = server->member_host ? CODE_ACCOUNT_INVALID : CODE_OPERATOR_ACTION;
        }
        return refuse(c, account, &refusal, ret_error);
}

/* answer: of putRecord or getRecord. Without it, or parts of it, what is known anyway. */
static int make_receipt(const ProviderContext *c, JsonObject *answer, const char *repo,
                        const char *rkey, Receipt *ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *extra = json_object_new_object();
        const char *uri = usable_id(json_string(answer, "uri"), BLUESKY_ID_MAX);
        const char *cid = usable_id(json_string(answer, "cid"), BLUESKY_ID_MAX);
        _cleanup_free_ char *own_uri = NULL, *path = NULL, *url = NULL;

        own_uri = strjoinf("at://%s/" COLLECTION "/%s", repo, rkey);
        path = strjoinf("/profile/%s/post/%s", repo, rkey);
        url = path ? join_url(c->settings->bluesky_web_url, path) : NULL;
        if (!own_uri || !url || !extra || json_set_string(extra, "uri", uri ?: own_uri) < 0 ||
            json_set_string(extra, "cid", cid) < 0)
                return error_oom(ret_error);

        return receipt_make(uri ?: own_uri, url, extra, ret, ret_error);
}

/* The parts of a stored request. */
typedef struct Stored {
        JsonObject *body;
        const char *repo, *rkey;
} Stored;

static void stored_done(Stored *s) {
        json_unref(s->body);
}

static int parse_stored(const Request *request, Stored *ret, Error *ret_error) {
        if (json_parse(request->body, strlen(request->body), &ret->body) < 0)
                ret->body = NULL;
        ret->repo = json_string(ret->body, "repo");
        ret->rkey = json_string(ret->body, "rkey");
        if (!ret->repo || !ret->rkey)
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_REJECTED,
                                  "the stored request is no Bluesky request");
        return 0;
}

/* A record is there under our key, and it was to be new: our own from before, or a stranger. */
static int adopt_existing(const ProviderContext *c, const BlueskyServer *server,
                          const Stored *stored, Receipt *ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        JsonObject *ours = json_member(stored->body, "record"), *theirs;
        int r;

        r = get_record(c, server, stored->repo, stored->rkey, &response, &answer, NULL);
        if (r < 0 || response.status != 200)
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO, CODE_UNCONFIRMED,
                                  "Bluesky has a record under the post's key that cannot be read "
                                  "now");

        theirs = json_member(answer, "value");
        if (!streq_ptr(json_string(theirs, "text"), json_string(ours, "text")) ||
            !streq_ptr(json_string(theirs, "createdAt"), json_string(ours, "createdAt")))
                return error_setf(ret_error, ERROR_PERMANENT, -EEXIST, CODE_DUPLICATE,
                                  "Bluesky has another record under the post's key");
        return make_receipt(c, answer, stored->repo, stored->rkey, ret, ret_error);
}

static int bluesky_send(const ProviderContext *c, const Account *account, _unused_ const Post *post,
                        const Request *request, Receipt *ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(erase_and_freep) char *authorization = NULL;
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        _cleanup_(bluesky_server_done) BlueskyServer server = {};
        _cleanup_(stored_done) Stored stored = {};
        _cleanup_free_ char *url = NULL;
        int r;

        r = parse_stored(request, &stored, ret_error);
        if (r < 0)
                return r;
        r = token_header("Authorization: Bearer", account->access_token, &authorization, ret_error);
        if (r < 0)
                return r;
        r = bluesky_find_server(c, account, stored.repo, &server, ret_error);
        if (r < 0)
                return r;
        url = join_url(server.url, PUT_RECORD);
        if (!url)
                return error_oom(ret_error);

        r = http_perform(c->http,
                         &(const HttpRequest){
                                 .method = "POST",
                                 .url = url,
                                 .headers =
                                         (const char *const[]){
                                                 authorization,
                                                 "Content-Type: application/json",
                                                 "Accept: application/json",
                                                 NULL,
                                         },
                                 .body = request->body,
                                 .body_size = strlen(request->body),
                                 .writes = true,
                                 .member_host = server.member_host,
                         },
                         &response, ret_error);
        if (r < 0)
                return r;

        answer = http_json(&response);
        if (response.status == 200)
                return make_receipt(c, answer, stored.repo, stored.rkey, ret, ret_error);
        if (response.status == 400 && streq_ptr(json_string(answer, "error"), "InvalidSwap"))
                return adopt_existing(c, &server, &stored, ret, ret_error);
        return bluesky_refuse(c, account, &server, &response, answer, ret_error);
}

static int bluesky_reconcile(const ProviderContext *c, const Account *account,
                             _unused_ const Post *post, const Request *request,
                             _unused_ usec_t begun, Finding *ret_finding, Receipt *ret,
                             Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        _cleanup_(bluesky_server_done) BlueskyServer server = {};
        _cleanup_(stored_done) Stored stored = {};
        int r;

        *ret_finding = FINDING_UNKNOWN;
        r = parse_stored(request, &stored, ret_error);
        if (r < 0)
                return r;
        r = bluesky_find_server(c, account, stored.repo, &server, ret_error);
        if (r < 0)
                return r;
        r = get_record(c, &server, stored.repo, stored.rkey, &response, &answer, ret_error);
        if (r < 0)
                return r;

        if (response.status == 200 && json_member(answer, "value")) {
                r = make_receipt(c, answer, stored.repo, stored.rkey, ret, ret_error);
                if (r < 0)
                        return r;
                *ret_finding = FINDING_SENT;
                return 0;
        }
        if (response.status == 400 && streq_ptr(json_string(answer, "error"), "RecordNotFound")) {
                *ret_finding = FINDING_ABSENT;
                return 0;
        }
        return bluesky_read_failed(c, account, BLUESKY, &response, answer, ret_error);
}

/* Tokens */

usec_t bluesky_jwt_expiry(const char *jwt) {
        _cleanup_(json_unrefp) JsonObject *claims = NULL;
        _cleanup_free_ char *payload = NULL;
        const char *start = strchr(jwt, '.'), *end = start ? strchr(start + 1, '.') : NULL;
        uint8_t *bytes = NULL;
        size_t n = 0;
        int64_t expiry;

        if (!end)
                return 0;
        payload = strndup(start + 1, (size_t) (end - start - 1));
        if (!payload)
                return 0;
        for (char *p = payload; *p; p++)
                *p = (char) (*p == '-' ? '+' : *p == '_' ? '/' : *p);
        if (base64_decode(payload, &bytes, &n) < 0)
                return 0;

        (void) json_parse((const char *) bytes, n, &claims);
        free(bytes);
        expiry = json_int64(claims, "exp", 0);
        return expiry > 0 && expiry < INT64_C(100000000000) ? (usec_t) expiry * USEC_PER_SEC : 0;
}

static int take_tokens(JsonObject *body, Tokens *ret, Error *ret_error) {
        const char *access = usable_id(json_string(body, "accessJwt"), TOKEN_MAX);
        const char *refresh = usable_id(json_string(body, "refreshJwt"), TOKEN_MAX);
        _cleanup_(tokens_done) Tokens tokens = {};

        if (!access)
                return error_setf(ret_error, ERROR_TRANSIENT, -EBADMSG, CODE_PLATFORM_DOWN,
                                  "Bluesky answered 200 without a token");

        tokens.access_token = strdup(access);
        tokens.refresh_token = refresh ? strdup(refresh) : NULL;
        tokens.expires_at = bluesky_jwt_expiry(access);
        if (!tokens.access_token || (refresh && !tokens.refresh_token))
                return error_oom(ret_error);

        *ret = tokens;
        tokens = (Tokens){};
        return 0;
}

static int bluesky_refresh(const ProviderContext *c, const Account *account, Tokens *ret,
                           Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(erase_and_freep) char *authorization = NULL;
        _cleanup_(json_unrefp) JsonObject *body = NULL;
        _cleanup_(bluesky_server_done) BlueskyServer server = {};
        _cleanup_free_ char *repo = NULL, *url = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        r = token_header("Authorization: Bearer", account->refresh_token, &authorization,
                         ret_error);
        if (r < 0)
                return r;
        r = bluesky_find_repo(c, account, &repo, ret_error);
        if (r < 0)
                return r;
        assert(repo);
        r = bluesky_find_server(c, account, repo, &server, ret_error);
        if (r < 0)
                return r;
        url = join_url(server.url, REFRESH);
        if (!url)
                return error_oom(ret_error);

        r = http_perform(c->http,
                         &(const HttpRequest){
                                 .method = "POST",
                                 .url = url,
                                 .headers =
                                         (const char *const[]){ authorization,
                                                                "Accept: application/json", NULL },
                                 .writes = true,
                                 .member_host = server.member_host,
                         },
                         &response, &error);
        if (r < 0)
                return refresh_failed(&error, ret_error);

        body = http_json(&response);
        if (response.status == 200)
                return take_tokens(body, ret, ret_error);

        /* Only the server's word that the token is dead disconnects an account. */
        (void) bluesky_refuse(c, account, &server, &response, body, &error);
        if (error.class == ERROR_PERMANENT && streq_ptr(error.code, CODE_REJECTED))
                error.class = ERROR_UNKNOWN_OUTCOME;
        return refresh_failed(&error, ret_error);
}

const Provider provider_bluesky = {
        .name = "bluesky",
        .title = "Bluesky",
        .prepare = bluesky_prepare,
        .send = bluesky_send,
        .reconcile = bluesky_reconcile,
        .refresh = bluesky_refresh,
};
