/* SPDX-License-Identifier: MIT */

/* A member's own endpoint, spoken to as Standard Webhooks 1.0 says. The delivery's id is the
 * webhook-id, by which a receiver tells a repetition from something new: sending again is harmless
 * for ever. */

#include <errno.h>

#include "base/time-util.h"
#include "common.h"
#include "parts.h"

#define WHO "the webhook"
#define TEXT_MAX 100000 /* a bound, not a rule of anybody's */
#define ID_MAX ((size_t) 255)
#define URL_MAX ((size_t) 2048)
#define SECRET_PREFIX "whsec_"

static int append_signature(Str *s, const char *secret, const char *content) {
        uint8_t digest[SHA256_SIZE];
        _cleanup_free_ char *text = NULL;
        uint8_t *key = NULL;
        size_t key_size = 0;
        int r;

        if (strncmp(secret, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0)
                secret += strlen(SECRET_PREFIX);
        r = base64_decode(secret, &key, &key_size);
        if (r < 0)
                return r;

        r = key_size > 0 ? hmac_sha256(key, key_size, content, strlen(content), digest) : -EINVAL;
        explicit_bzero(key, key_size);
        free(key);
        if (r < 0)
                return r;

        r = base64_encode(digest, sizeof(digest), &text);
        if (r < 0)
                return r;
        return str_appendf(s, "%sv1,%s", s->length > 0 ? " " : "", text);
}

int webhook_sign(const char *secrets, const char *id, int64_t timestamp, const char *body,
                 char **ret) {
        _cleanup_(erase_and_freep) char *copy = strdup(secrets);
        _cleanup_free_ char *content = NULL;
        _cleanup_(str_done) Str s = {};
        char *state = NULL;
        int r;

        content = strjoinf("%s.%lld.%s", id, (long long) timestamp, body);
        if (!copy || !content)
                return -ENOMEM;

        for (char *secret = strtok_r(copy, " ", &state); secret;
             secret = strtok_r(NULL, " ", &state)) {
                r = append_signature(&s, secret, content);
                if (r < 0)
                        return r;
        }
        if (s.length == 0)
                return -EINVAL;

        *ret = TAKE_PTR(s.data);
        return 0;
}

static int make_data(const Post *post, JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *data = json_object_new_object();

        if (!data || json_set_string(data, "postId", post->id) < 0 ||
            json_set_string(data, "deliveryId", post->delivery_id) < 0 ||
            json_set_string(data, "kind", kind_to_string(post->kind)) < 0 ||
            json_set_string(data, "text", post->text) < 0)
                return -ENOMEM;
        if (post->kind == KIND_COMMENT &&
            json_set_string(data, "parentId", post->parent_remote_id) < 0)
                return -ENOMEM;

        *ret = TAKE_PTR(data);
        return 0;
}

static int webhook_prepare(_unused_ const ProviderContext *c, const Account *account,
                           const Post *post, Request *ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *body = NULL, *data = NULL;
        _cleanup_free_ char *signature = NULL;
        char timestamp[ISO8601_SIZE];
        int r;

        r = check_text(WHO, post->text, text_count_code_points(post->text), TEXT_MAX, "characters",
                       ret_error);
        if (r < 0)
                return r;
        if (post->kind == KIND_COMMENT && isempty(post->parent_remote_id))
                return error_setf(ret_error, ERROR_PERMANENT, -ENOENT, CODE_PARENT_MISSING,
                                  "the post to comment on has no known id");

        /* What would fail for sure is said before anything is begun. */
        r = webhook_sign(account->access_token ?: "", post->delivery_id, 0, "", &signature);
        if (r == -EINVAL || isempty(account->service_url))
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_ACCOUNT_INVALID,
                                  "the account has no %s",
                                  r < 0 ? "usable signing secret (whsec_…)" : "URL");
        if (r < 0)
                return error_oom(ret_error);

        body = json_object_new_object();
        if (!body || make_data(post, &data) < 0)
                return error_oom(ret_error);

        time_format_iso8601(post->due_at ?: now(CLOCK_REALTIME), timestamp);
        if (json_set_string(body, "type",
                            post->kind == KIND_COMMENT ? "comment.published" : "post.published") <
                    0 ||
            json_set_string(body, "timestamp", timestamp) < 0 ||
            json_set(body, "data", TAKE_PTR(data)) < 0)
                return error_oom(ret_error);

        return request_make("endpoint", post->delivery_id, body, WAY_RESEND, ret, ret_error);
}

static int webhook_refuse(const ProviderContext *c, const Account *account,
                          const HttpResponse *response, Error *ret_error) {
        Refusal refusal = {
                .who = WHO,
                .class = ERROR_PERMANENT,
                .code = CODE_REJECTED,
                .status = response->status,
        };

        switch (response->status) {
        case 401:
                refusal.class = ERROR_AUTH;
                refusal.code = CODE_RECONNECT_ACCOUNT;
                break;
        case 403:
                refusal.class = ERROR_PERMISSION;
                refusal.code = CODE_PERMISSION_MISSING;
                break;
        case 410:
                refusal.code = CODE_ENDPOINT_GONE;
                break;
        case 429:
                refusal.class = ERROR_RATE_LIMITED;
                refusal.code = CODE_RATE_LIMITED;
                refusal.retry_at = clamp_retry(response->retry_at, USEC_PER_MINUTE);
                break;
        default:
                /* It may have been taken: the same id again tells. */
                if (response->status == 408 || response->status >= 500) {
                        refusal.class = ERROR_UNKNOWN_OUTCOME;
                        refusal.code = CODE_UNCONFIRMED;
                        refusal.retry_at = response->retry_at;
                }
        }

        return refuse(c, account, &refusal, ret_error);
}

static int webhook_send(const ProviderContext *c, const Account *account, _unused_ const Post *post,
                        const Request *request, Receipt *ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_free_ char *signature = NULL, *id = NULL, *timestamp = NULL, *signed_by = NULL;
        _cleanup_(json_unrefp) JsonObject *body = NULL;
        int64_t at = (int64_t) (now(CLOCK_REALTIME) / USEC_PER_SEC);
        const char *url;
        int r;

        r = webhook_sign(account->access_token ?: "", request->handle, at, request->body,
                         &signature);
        if (r == -EINVAL || isempty(account->service_url))
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_ACCOUNT_INVALID,
                                  "the account has no %s",
                                  r < 0 ? "usable signing secret (whsec_…)" : "URL");
        if (r < 0)
                return error_oom(ret_error);

        id = strjoinf("webhook-id: %s", request->handle);
        timestamp = strjoinf("webhook-timestamp: %lld", (long long) at);
        signed_by = strjoinf("webhook-signature: %s", signature);
        if (!id || !timestamp || !signed_by)
                return error_oom(ret_error);

        r = http_perform(c->http,
                         &(const HttpRequest){
                                 .method = "POST",
                                 .url = account->service_url,
                                 .headers =
                                         (const char *const[]){
                                                 "Content-Type: application/json",
                                                 id,
                                                 timestamp,
                                                 signed_by,
                                                 NULL,
                                         },
                                 .body = request->body,
                                 .body_size = strlen(request->body),
                                 .writes = true,
                                 .member_host = true,
                         },
                         &response, ret_error);
        if (r < 0)
                return r;
        if (response.status < 200 || response.status > 299)
                return webhook_refuse(c, account, &response, ret_error);

        /* The standard has no answer; a receiver that gives a name and an address is believed. */
        body = http_json(&response);
        url = usable_id(json_string(body, "url"), URL_MAX);
        if (url && strncmp(url, "https://", strlen("https://")) != 0 &&
            strncmp(url, "http://", strlen("http://")) != 0)
                url = NULL;
        return receipt_make(usable_id(json_string(body, "id"), ID_MAX) ?: request->handle, url,
                            NULL, ret, ret_error);
}

const Provider provider_webhook = {
        .name = "webhook",
        .title = "Webhook",
        .prepare = webhook_prepare,
        .send = webhook_send,
};
