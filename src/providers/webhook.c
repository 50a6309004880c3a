/* SPDX-License-Identifier: MIT */

/* A member's own endpoint, spoken to as Standard Webhooks 1.0 says. The delivery's id is the
 * webhook-id, by which a receiver tells a repetition from something new: sending again is harmless
 * for ever. */

#include <errno.h>

#include "base/time-util.h"
#include "common.h"
#include "net/signed-post.h"

#define WHO "the webhook"
#define TEXT_MAX 100000 /* a bound, not a rule of anybody's */
#define ID_MAX ((size_t) 255)
#define URL_MAX ((size_t) 2048)

static int refuse_account(const char *lacks, Error *ret_error) {
        return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_ACCOUNT_INVALID,
                          "the account has no %s", lacks);
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
        if (r == -EINVAL)
                return refuse_account("usable signing secret (whsec_…)", ret_error);
        if (r < 0)
                return error_oom(ret_error);
        if (isempty(account->service_url))
                return refuse_account("URL", ret_error);

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
        _cleanup_(json_unrefp) JsonObject *body = NULL;
        const char *url;
        int r;

        if (isempty(account->service_url))
                return refuse_account("URL", ret_error);
        r = signed_post(c->http,
                        &(const SignedPost){
                                .url = account->service_url,
                                .secrets = account->access_token,
                                .id = request->handle,
                                .body = request->body,
                                .member_host = true,
                        },
                        &response, ret_error);
        if (r == -EKEYREJECTED)
                return refuse_account("usable signing secret (whsec_…)", ret_error);
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
