/* SPDX-License-Identifier: MIT */

#include "base/log.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/settle.h"
#include "queue/worker-internal.h"

#define IDLE_MAX (60 * USEC_PER_SEC)

bool worker_goes_aside(const Worker *w) {
        return (w->plain.n > w->pool.max_plain || w->urgent.n > 0) && !w->stopping &&
               now(CLOCK_BOOTTIME) >= w->aside.next_try;
}

/* Without it the first connection does the same a little later: nothing is lost, for a settle may
 * be asked twice. */
static void worker_aside_failed(Worker *w, const Error *error) {
        log_full(w->aside.failed ? LOG_DEBUG : LOG_NOTICE, NULL, error,
                 "The second connection failed; settling over the first for now");
        w->aside.failed = true;
        for (size_t i = 0; i < w->aside.n; i++) {
                w->aside.tasks[i]->leaving = false;
                w->aside.tasks[i]->odd = true;
        }
        w->aside.n = 0;
        w->aside.next_try = now(CLOCK_BOOTTIME) + w->engine->beat;
        db_free(w->aside.db);
        w->aside.db = NULL;
}

void worker_send_aside(Worker *w, Task **ended, size_t n) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        const char *params[1 + SETTLE_ARRAYS] = { w->id };
        Str arrays[SETTLE_ARRAYS] = {};
        int r = 0;

        if (!w->aside.db)
                r = db_connect(w->config->settings->database_url, PROJECT_NAME,
                               w->engine->statement_limit, &w->aside.db, &error);
        if (r >= 0 && (r = settle_arrays(ended, n, arrays)) < 0)
                error_oom(&error);
        if (r >= 0) {
                for (size_t i = 0; i < SETTLE_ARRAYS; i++)
                        params[1 + i] = arrays[i].data;
                r = db_send(w->aside.db, &query_settle_done, params, w->engine->statement_limit,
                            &error);
        }
        for (size_t i = 0; i < SETTLE_ARRAYS; i++)
                str_done(&arrays[i]);
        if (r < 0) {
                worker_aside_failed(w, &error);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                ended[i]->leaving = true;
                w->aside.tasks[i] = ended[i];
        }
        w->aside.n = n;
        w->aside.used = now(CLOCK_BOOTTIME);
}

void worker_hear_aside(Worker *w) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

        if (w->aside.n == 0)
                return;
        r = db_receive(w->aside.db, &rows, &error);
        if (r < 0)
                worker_aside_failed(w, &error);
        if (r <= 0)
                return;
        for (size_t i = 0; i < rows_count(rows); i++) {
                Task *t = worker_task_by_lease(w, rows_int64(rows, i, 0, -1));

                if (t)
                        t->odd = true;
        }
        for (size_t i = 0; i < w->aside.n; i++) {
                Task *t = w->aside.tasks[i];

                t->leaving = false;
                if (!t->odd)
                        worker_settled_plain(w, t);
        }
        w->aside.n = 0;
        w->aside.failed = false;
        worker_forget_recorded(w);
}

void worker_rest_aside(Worker *w) {
        if (!w->aside.db || w->aside.n > 0 || now(CLOCK_BOOTTIME) < w->aside.used + IDLE_MAX)
                return;
        db_free(w->aside.db);
        w->aside.db = NULL;
}
