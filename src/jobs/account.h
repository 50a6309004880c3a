/* SPDX-License-Identifier: MIT */
#pragma once

/* What the job types that speak to a platform share: the account of their input, its provider, and
 * the thread's HTTP client. For this folder only. */

#include "net/http.h"
#include "providers/provider.h"
#include "queue/job-type.h"

/* Borrowed from the job's input. */
int account_from_input(const Job *job, Account *ret, Error *ret_error);

/* The platform, or the sandbox in its place. ERROR_PERMANENT "unsupported-platform". */
int provider_of_account(const Job *job, const Account *account, const Provider **ret,
                        Error *ret_error);

/* The thread's client, told of this job's deadline and fence. */
ProviderContext provider_context(const Job *job);

int http_process_init(const Settings *settings, Error *ret_error);
int http_thread_new(const Settings *settings, void **ret, Error *ret_error);
void http_thread_free(void *thread);

/* The outcome of an Error: moved. Returns its r. */
int outcome_error(Outcome *o, int r, Error *error);
