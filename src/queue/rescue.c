/* SPDX-License-Identifier: MIT */

#include <inttypes.h>

#include "base/log.h"
#include "queries.h"
#include "queue/rescue.h"

int rescue_lapsed(Db *db, usec_t timeout, int64_t *ret_jobs, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        int64_t jobs = 0;
        int r;

        r = db_query(db, &query_rescue_lapsed, NULL, timeout, &rows, ret_error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < rows_count(rows); i++) {
                jobs += rows_int64(rows, i, 3, 0);
                log_event(LOG_WARNING, EVENT_RESCUED,
                          "%s on %s gave no sign of life; jobs put back: %" PRId64,
                          rows_text(rows, i, 1), rows_text(rows, i, 2), rows_int64(rows, i, 3, 0));
        }
        *ret_jobs = jobs;
        return 0;
}
