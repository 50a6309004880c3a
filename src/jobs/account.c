/* SPDX-License-Identifier: MIT */

#include <errno.h>

#include "base/codes.h"
#include "base/settings.h"
#include "base/time-util.h"
#include "jobs/account.h"

int account_from_input(const Job *job, Account *ret, Error *ret_error) {
        JsonObject *o = json_member(job->input, "account");
        const char *expires = json_string(o, "expiresAt");
        Account a = {
                .id = json_string(o, "id"),
                .provider = json_string(o, "provider"),
                .remote_id = json_string(o, "remoteId"),
                .service_url = json_string(o, "serviceUrl"),
                .access_token = json_string(o, "accessToken"),
                .refresh_token = json_string(o, "refreshToken"),
        };

        if (!a.id || !a.provider || !a.remote_id)
                return error_setf(
                        ret_error, ERROR_PERMANENT, -EINVAL, CODE_ACCOUNT_INVALID,
                        "the account lacks its id, its provider or its id at the provider");
        if (expires && time_parse_iso8601(expires, &a.expires_at) < 0)
                a.expires_at = 0;
        *ret = a;
        return 0;
}

int provider_of_account(const Job *job, const Account *account, const Provider **ret,
                        Error *ret_error) {
        const Provider *p = provider_find(account->provider);

        if (!p)
                return error_setf(ret_error, ERROR_PERMANENT, -EOPNOTSUPP,
                                  CODE_UNSUPPORTED_PLATFORM, "nothing can be published to %s",
                                  account->provider);
        *ret = streq(job->settings->providers, "sandbox") ? provider_sandbox() : p;
        return 0;
}

static bool check_may_send(void *userdata) {
        const Job *job = userdata;

        return job->may_send(job);
}

ProviderContext provider_context(const Job *job) {
        http_set_deadline(job->thread,
                          job->begun ? MIN(job->deadline, job->send_by) : job->deadline);
        http_set_check(job->thread, check_may_send, (void *) (uintptr_t) job);
        return (ProviderContext){ .http = job->thread, .settings = job->settings };
}

int http_process_init(const Settings *settings, Error *ret_error) {
        (void) settings;
        return http_global_init(ret_error);
}

int http_thread_new(const Settings *settings, void **ret, Error *ret_error) {
        const HttpConfig config = {
                .user_agent = "automapost-jobs",
                .ca_file = settings->ca_file,
                .allow_private_hosts = settings->allow_private_hosts,
        };

        return http_new(&config, (Http **) ret, ret_error);
}

void http_thread_free(void *thread) {
        http_free(thread);
}

int outcome_error(Outcome *o, int r, Error *error) {
        o->kind = OUTCOME_ERROR;
        error_move(&o->error, error);
        return r;
}
