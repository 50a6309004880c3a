/* SPDX-License-Identifier: MIT */

/* A new access token for one account. The key of its jobs is the account: one at a time, so that a
 * refresh token that rotates is never used twice. */

#include <errno.h>

#include "base/codes.h"
#include "base/time-util.h"
#include "jobs/account.h"

static int tokens_to_outcome(const Tokens *tokens, Outcome *ret) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        char expires[ISO8601_SIZE];

        if (tokens->expires_at > 0)
                time_format_iso8601(tokens->expires_at, expires);
        if (!o || json_set_string(o, "accessToken", tokens->access_token) < 0 ||
            json_set_string(o, "refreshToken", tokens->refresh_token) < 0 ||
            json_set_string(o, "expiresAt", tokens->expires_at > 0 ? expires : NULL) < 0)
                return -ENOMEM;
        ret->kind = OUTCOME_DONE;
        ret->tokens = TAKE_PTR(o);
        return 0;
}

static int refresh_token_act(Job *job, const Prepared *prepared, Outcome *ret) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(tokens_done) Tokens tokens = {};
        const Provider *provider = NULL;
        ProviderContext context;
        Account account = {};
        int r;

        (void) prepared;
        r = account_from_input(job, &account, &error);
        if (r >= 0)
                r = provider_of_account(job, &account, &provider, &error);
        if (r < 0)
                return outcome_error(ret, r, &error);
        if (!provider->refresh || isempty(account.refresh_token)) {
                r = error_setf(&error, ERROR_AUTH, -EKEYEXPIRED, CODE_RECONNECT_ACCOUNT,
                               "the account has no refresh token: its member must reconnect it");
                return outcome_error(ret, r, &error);
        }
        context = provider_context(job);
        r = provider->refresh(&context, &account, &tokens, &error);
        if (r < 0) {
                job_log(job, LOG_WARNING, "%s: %s", provider->title, strnull(error.message));
                return outcome_error(ret, r, &error);
        }
        r = tokens_to_outcome(&tokens, ret);
        if (r < 0) {
                error_oom(&error);
                return outcome_error(ret, r, &error);
        }
        job_log(job, LOG_INFO, "%s gave a new token", provider->title);
        return 0;
}

extern const JobType job_type_refresh_token;
const JobType job_type_refresh_token = {
        .name = "refresh-token",
        .act = refresh_token_act,
        .process_init = http_process_init,
        .thread_new = http_thread_new,
        .thread_free = http_thread_free,
};
