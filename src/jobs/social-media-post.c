/* SPDX-License-Identifier: MIT */

/* One post, or one first comment, on one account. */

#include <errno.h>

#include "base/codes.h"
#include "base/time-util.h"
#include "jobs/account.h"

/* A token that ends within this is refreshed first: it must outlive the request. */
#define TOKEN_MARGIN (60 * USEC_PER_SEC)

static int post_from_input(const Job *job, Post *ret, Error *ret_error) {
        JsonObject *delivery = json_member(job->input, "delivery");
        JsonObject *post = json_member(job->input, "post");
        JsonObject *parent = json_member(job->input, "parent");
        JsonObject *extra = json_member(parent, "receipt");
        const char *due = json_string(post, "dueAt");
        Post p = {
                .kind = kind_from_string(json_string(delivery, "kind") ?: ""),
                .id = json_string(post, "id") ?: "",
                .delivery_id = json_string(delivery, "id"),
                .text = json_string(post, "text") ?: "",
                .n_media = (unsigned) json_int64(post, "media", 0),
                .parent_remote_id = json_string(parent, "remoteId"),
                .parent_url = json_string(parent, "url"),
                .parent_receipt = extra ? json_text(extra) : NULL,
        };

        if (p.kind < 0 || !p.delivery_id || !due || time_parse_iso8601(due, &p.due_at) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "input",
                                  "the database gave a delivery without its kind, id or time");
        *ret = p;
        return 0;
}

/* What is sent, where, and by whom. */
static int target_from_input(const Job *job, const Provider **ret_provider, Account *ret_account,
                             Post *ret_post, Error *ret_error) {
        int r;

        r = account_from_input(job, ret_account, ret_error);
        if (r >= 0)
                r = provider_of_account(job, ret_account, ret_provider, ret_error);
        if (r >= 0)
                r = post_from_input(job, ret_post, ret_error);
        return r;
}

static int request_from_json(JsonObject *o, Request *ret, Error *ret_error) {
        _cleanup_(request_done) Request q = { .way = WAY_NONE };
        const char *way = json_string(o, "way");

        q.target = strdup(json_string(o, "target") ?: "");
        q.handle = strdup(json_string(o, "handle") ?: "");
        q.body = strdup(json_string(o, "body") ?: "");
        q.way = way ? way_from_string(way) : WAY_NONE;
        if (!q.target || !q.handle || !q.body)
                return error_oom(ret_error);
        if (q.way < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "input",
                                  "the stored request names the way \"%s\"", way);
        *ret = q;
        q = (Request){};
        return 0;
}

static int prepared_from_request(const Request *q, Prepared *ret, Error *ret_error) {
        _cleanup_(prepared_done) Prepared p = {};

        p.handle = strdup(q->handle ?: "");
        p.way = strdup(way_to_string(q->way));
        p.request = json_object_new_object();
        if (!p.handle || !p.way || !p.request ||
            json_set_string(p.request, "target", q->target ?: "") < 0 ||
            json_set_string(p.request, "handle", p.handle) < 0 ||
            json_set_string(p.request, "way", p.way) < 0 ||
            json_set_string(p.request, "body", q->body) < 0)
                return error_oom(ret_error);
        *ret = p;
        p = (Prepared){};
        return 0;
}

static int receipt_to_outcome(const Receipt *receipt, Outcome *o) {
        _cleanup_(json_unrefp) JsonObject *r = json_object_new_object();
        _cleanup_(json_unrefp) JsonObject *result = json_object_new_object();
        JsonObject *extra = NULL;

        if (receipt->extra && json_parse(receipt->extra, strlen(receipt->extra), &extra) < 0)
                extra = NULL; /* it is sent whatever its extra says; only comments would miss it */
        if (!r || !result || json_set_string(r, "remoteId", receipt->remote_id) < 0 ||
            json_set_string(r, "url", receipt->url) < 0 || json_set(r, "extra", extra) < 0 ||
            json_set_string(result, "url", receipt->url) < 0)
                return -ENOMEM;
        o->kind = OUTCOME_DONE;
        o->receipt = TAKE_PTR(r);
        o->result = TAKE_PTR(result);
        return 0;
}

/* A refused token is refreshed where that is possible; the settle decides whether somebody did. */
static int outcome_failure(const Provider *provider, const Account *account, int r, Error *error,
                           Outcome *o) {
        if (error->class == ERROR_AUTH && provider->refresh && !isempty(account->refresh_token)) {
                error_move(&o->error, error);
                o->kind = OUTCOME_WAIT_TOKEN;
                return r;
        }
        return outcome_error(o, r, error);
}

/* An outcome that is not known: look, send the same bytes again, or leave it to a person. */
static int reconcile(Job *job, const Provider *provider, const Account *account, const Post *post,
                     Prepared *ret_prepared, Outcome *ret_outcome, Error *ret_error) {
        JsonObject *delivery = json_member(job->input, "delivery");
        const char *begun_at = json_string(delivery, "begunAt");
        const char *first_sent_at = json_string(delivery, "firstSentAt");
        _cleanup_(request_done) Request request = {};
        _cleanup_(receipt_done) Receipt receipt = {};
        const ProviderContext context = provider_context(job);
        usec_t begun = 0, first_sent = 0;
        Finding finding = FINDING_UNKNOWN;
        Way way;
        int r;

        r = request_from_json(json_member(delivery, "request"), &request, ret_error);
        if (r < 0)
                return r;
        if (!begun_at || time_parse_iso8601(begun_at, &begun) < 0 || !first_sent_at ||
            time_parse_iso8601(first_sent_at, &first_sent) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "input",
                                  "an unconfirmed delivery without the time of its begin");

        way = request.way;
        if (way == WAY_RESEND && provider->resend_for > 0 &&
            now(CLOCK_REALTIME) > first_sent + provider->resend_for)
                way = provider->reconcile ? WAY_READ : WAY_NONE;

        switch (way) {
        case WAY_RESEND:
                r = prepared_from_request(&request, ret_prepared, ret_error);
                return r < 0 ? r : 0;
        case WAY_READ:
                r = provider->reconcile(&context, account, post, &request, first_sent, &finding,
                                        &receipt, ret_error);
                if (r < 0)
                        return r;
                if (finding == FINDING_SENT) {
                        job_log(job, LOG_INFO, "%s has it: %s", provider->title,
                                receipt.url ?: receipt.remote_id ?: "no link");
                        r = receipt_to_outcome(&receipt, ret_outcome);
                        return r < 0 ? error_oom(ret_error) : 1;
                }
                job_log(job, LOG_INFO, "%s does not have it", provider->title);
                ret_outcome->kind = OUTCOME_ABSENT;
                return 1;
        case WAY_NONE:
        case _WAY_MAX:
        case _WAY_INVALID:
                break;
        }
        ret_outcome->kind = OUTCOME_HELD;
        error_setf(&ret_outcome->error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO, CODE_UNCONFIRMED,
                   "it may be published, and %s cannot be asked: look there, then say "
                   "\"automapost resolve ID sent\" or \"not-sent\"",
                   provider->title);
        return 1;
}

static int social_media_post_prepare(Job *job, Prepared *ret_prepared, Outcome *ret_outcome) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(request_done) Request request = {};
        const Provider *provider = NULL;
        ProviderContext context;
        Account account = {};
        Post post = {};
        int r;

        r = target_from_input(job, &provider, &account, &post, &error);
        if (r < 0)
                return outcome_error(ret_outcome, r, &error);

        context = provider_context(job);
        if (provider->refresh && !isempty(account.refresh_token) && account.expires_at > 0 &&
            account.expires_at < now(CLOCK_REALTIME) + TOKEN_MARGIN) {
                ret_outcome->kind = OUTCOME_WAIT_TOKEN;
                error_setf(&ret_outcome->error, ERROR_AUTH, -EKEYEXPIRED, CODE_RECONNECT_ACCOUNT,
                           "the account's token ends; it is refreshed first");
                return 1;
        }
        if (job->reconcile) {
                r = reconcile(job, provider, &account, &post, ret_prepared, ret_outcome, &error);
                return r < 0 ? outcome_failure(provider, &account, r, &error, ret_outcome) : r;
        }
        r = provider->prepare(&context, &account, &post, &request, &error);
        if (r >= 0)
                r = prepared_from_request(&request, ret_prepared, &error);
        if (r < 0) {
                job_log(job, LOG_INFO, "%s is not asked: %s", provider->title,
                        strnull(error.message));
                return outcome_failure(provider, &account, r, &error, ret_outcome);
        }
        return 0;
}

static int social_media_post_act(Job *job, const Prepared *prepared, Outcome *ret) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(request_done) Request request = {};
        _cleanup_(receipt_done) Receipt receipt = {};
        const Provider *provider = NULL;
        ProviderContext context;
        Account account = {};
        Post post = {};
        int r;

        r = target_from_input(job, &provider, &account, &post, &error);
        if (r >= 0)
                r = request_from_json(prepared->request, &request, &error);
        if (r < 0)
                return outcome_error(ret, r, &error);

        context = provider_context(job);
        request.resend = job->reconcile;
        r = provider->send(&context, &account, &post, &request, &receipt, &error);
        if (r < 0) {
                job_log(job, LOG_WARNING, "%s: %s", provider->title, strnull(error.message));
                if (error.class == ERROR_RATE_LIMITED)
                        ret->limit_scope = "account";
                return outcome_failure(provider, &account, r, &error, ret);
        }
        job_log(job, LOG_INFO, "published on %s%s%s", provider->title, receipt.url ? ": " : "",
                receipt.url ?: "");
        r = receipt_to_outcome(&receipt, ret);
        if (r < 0) {
                error_oom(&error);
                error.class = ERROR_UNKNOWN_OUTCOME;
                return outcome_error(ret, r, &error);
        }
        return 0;
}

extern const JobType job_type_social_media_post;
const JobType job_type_social_media_post = {
        .name = "social-media-post",
        .prepare = social_media_post_prepare,
        .act = social_media_post_act,
        .process_init = http_process_init,
        .thread_new = http_thread_new,
        .thread_free = http_thread_free,
};
