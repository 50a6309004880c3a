/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/time-util.h"
#include "queries.h"
#include "services/service.h"

#define STEP "1000"

/* Repeats a bounded statement until it finds nothing more, or a minute has passed. */
static int repeat(ServiceContext *c, const Query *query, int64_t *ret, Error *ret_error) {
        usec_t until = now(CLOCK_BOOTTIME) + USEC_PER_MINUTE;
        int64_t n = 1, total = 0;

        while (n > 0 && now(CLOCK_BOOTTIME) < until) {
                _cleanup_(rows_freep) Rows *rows = NULL;
                int r;

                r = db_query(c->db, query, (const char *[]){ STEP }, c->engine.statement_limit,
                             &rows, ret_error);
                if (r < 0)
                        return r;
                n = rows_int64(rows, 0, 0, 0);
                total += n;
        }
        *ret = total;
        return 0;
}

static int cleanup_run(ServiceContext *c, JsonObject *counts, Error *ret_error) {
        int64_t overdue = 0, missed = 0, forgotten = 0;
        int r;

        r = repeat(c, &query_expire_overdue, &overdue, ret_error);
        if (r < 0)
                return r;
        if (overdue > 0) {
                log_event(LOG_WARNING, EVENT_RESCUED,
                          "%" PRId64 " jobs ran far past their timeout and were put back", overdue);
                if (json_set_int64(counts, "overdue", overdue) < 0)
                        return error_oom(ret_error);
        }
        r = repeat(c, &query_mark_missed, &missed, ret_error);
        if (r < 0)
                return r;
        if (missed > 0) {
                log_event(LOG_WARNING, EVENT_MISSED,
                          "%" PRId64 " deliveries are too late and marked missed", missed);
                if (json_set_int64(counts, "missed", missed) < 0)
                        return error_oom(ret_error);
        }
        r = repeat(c, &query_forget_old, &forgotten, ret_error);
        if (r < 0)
                return r;
        return forgotten > 0 ? json_set_int64(counts, "forgotten", forgotten) : 0;
}

int main(int argc, char *argv[]) {
        static const Service cleanup = {
                .name = "automapost-cleanup",
                .description =
                        "Puts back what dead workers held, marks missed posts, forgets old history",
                .run = cleanup_run,
        };

        return service_main(&cleanup, argc, argv);
}
