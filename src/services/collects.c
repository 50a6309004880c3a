/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/text.h"
#include "queries.h"
#include "services/collects.h"

/* Posts at a time: a step is a statement of some ten milliseconds. */
#define POSTS_STEP "250"
#define ROWS_STEP "1000"

static int collect_posts(CollectRun *run, Db *db, usec_t timeout, bool *ret_more,
                         Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

        r = db_query(db, &query_collect_social_media_post,
                     (const char *[]){ run->state, POSTS_STEP }, timeout, &rows, ret_error);
        if (r < 0)
                return r;
        free(run->state);
        run->state = NULL;
        if (rows_text(rows, 0, 2)) {
                run->state = strdup(rows_text(rows, 0, 2));
                if (!run->state)
                        return error_oom(ret_error);
        }
        *ret_more = run->state != NULL;
        return 0;
}

/* What cleanup does, one thing after the other, each until nothing is left of it. */
static const struct {
        const Query *query; /* $1: how much at most; one row: how much it was */
        const char *count;
        const char *event; /* worth a warning of its own */
        const char *words;
} cleanup_stages[] = {
        { &query_expire_overdue, "overdue", EVENT_RESCUED,
          "jobs ran far past their timeout and were put back" },
        { &query_mark_missed, "missed", EVENT_MISSED, "deliveries are too late and marked missed" },
        { &query_forget_old, "forgotten", NULL, NULL },
};

static int end_stage(CollectRun *run, Error *ret_error) {
        const char *event = cleanup_stages[run->stage].event,
                   *count = cleanup_stages[run->stage].count;
        int64_t n = run->count;

        if (n > 0 && event)
                log_event(LOG_WARNING, event, "%" PRId64 " %s", n,
                          cleanup_stages[run->stage].words);
        run->count = 0;
        run->stage++;
        return n == 0 || json_set_int64(run->counts, count, n) >= 0 ? 0 : error_oom(ret_error);
}

static int collect_cleanup(CollectRun *run, Db *db, usec_t timeout, bool *ret_more,
                           Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        int64_t n;
        int r;

        r = db_query(db, cleanup_stages[run->stage].query, (const char *[]){ ROWS_STEP }, timeout,
                     &rows, ret_error);
        if (r < 0)
                return r;
        n = rows_int64(rows, 0, 0, 0);
        run->count += n;
        r = n == 0 ? end_stage(run, ret_error) : 0;
        *ret_more = run->stage < ELEMENTSOF(cleanup_stages);
        return r;
}

static const Collect collects[] = {
        { "social-media", collect_posts },
        { "cleanup", collect_cleanup },
};

const Collect *collect_find(const char *service) {
        for (size_t i = 0; i < ELEMENTSOF(collects); i++)
                if (streq(collects[i].service, service))
                        return &collects[i];
        return NULL;
}
