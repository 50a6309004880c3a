/* SPDX-License-Identifier: MIT */

/* Puts back the jobs of a process that systemd saw die, with the reason. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/env-file.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "db/db.h"
#include "queries.h"

#define TIMEOUT (5 * USEC_PER_SEC)

/* "signal KILL", "exit-code 70", "timeout": what systemd.exec(5) tells ExecStopPost=. */
static char *reason(void) {
        const char *result = getenv("SERVICE_RESULT"), *status = getenv("EXIT_STATUS");

        return strjoinf("%s%s%s", result ?: "unknown", isempty(status) ? "" : " ", status ?: "");
}

static int release(const char *invocation, const char *file, Error *ret_error) {
        _cleanup_(settings_done) Settings settings = {};
        _cleanup_(db_freep) Db *db = NULL;
        _cleanup_free_ char *why = reason(), *n = NULL;
        int r;

        if (!why)
                return error_oom(ret_error);
        r = file ? env_file_load(file, true, ret_error) : 0;
        if (r >= 0)
                r = settings_load(&settings, ret_error);
        if (r < 0)
                return r;
        r = db_connect(settings.database_url, "automapost-release", TIMEOUT, &db, ret_error);
        if (r < 0)
                return r;
        r = db_value(db, &query_release_process, (const char *[]){ invocation, why }, TIMEOUT, &n,
                     ret_error);
        if (r < 0)
                return r;
        if (!streq_ptr(n, "0"))
                log_event(LOG_WARNING, EVENT_RESCUED, "The service ended by %s; jobs put back: %s",
                          why, strnull(n));
        return 0;
}

int main(int argc, char *argv[]) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        const char *file =
                argc == 2 && strncmp(argv[1], "--settings=", 11) == 0 ? argv[1] + 11 : NULL;
        const char *invocation = argc == 2 && !file ? argv[1] : getenv("INVOCATION_ID");
        int r;

        log_open();
        if (isempty(invocation)) {
                (void) fprintf(stderr,
                               "automapost-release-jobs INVOCATION-ID: which process died?\n");
                return EX_USAGE;
        }
        r = release(invocation, file, &error);
        if (r >= 0)
                return EX_OK;
        log_full(LOG_WARNING, NULL, &error,
                 "Cannot put the jobs back now; that is done after the lapse");
        return error_class_to_exit_status(error.class);
}
