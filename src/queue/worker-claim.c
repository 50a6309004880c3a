/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdio.h>

#include "base/stop-point.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/worker-internal.h"

static const JobType *worker_type(const Worker *w, const char *name) {
        for (size_t i = 0; i < w->config->n_types; i++)
                if (streq(w->config->types[i]->name, name))
                        return w->config->types[i];
        return NULL;
}

unsigned worker_idle_actors(Worker *w) {
        unsigned busy = 0;

        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i]->has_actor)
                        busy++;
        pthread_mutex_unlock(&w->pool.lock);
        return w->pool.max_threads > busy ? w->pool.max_threads - busy : 0;
}

/* One row of claim-jobs becomes a task with an actor. */
static int worker_take(Worker *w, const Rows *rows, size_t i, Error *ret_error) {
        const JobType *type = worker_type(w, rows_text(rows, i, 3));
        const char *input = rows_text(rows, i, 7);
        Task *t;
        int r;

        if (!type)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "type",
                                  "the database gave a job of type %s that was not asked for",
                                  rows_text(rows, i, 3));
        if (w->n_tasks == w->max_tasks) {
                Task **more = reallocarray(w->tasks, w->max_tasks * 2 + 64, sizeof(Task *));

                if (!more)
                        return error_oom(ret_error);
                w->tasks = more;
                w->max_tasks = w->max_tasks * 2 + 64;
        }
        t = task_new(&w->pool, type);
        if (!t)
                return error_oom(ret_error);
        t->job.id = strdup(rows_text(rows, i, 0));
        t->job.execution_id = strdup(rows_text(rows, i, 2));
        t->job.type = strdup(type->name);
        t->job.lease = rows_int64(rows, i, 1, -1);
        t->job.attempt = rows_int64(rows, i, 4, 0);
        t->job.reconcile = streq(rows_text(rows, i, 6), "reconcile");
        t->job.started_at = now(CLOCK_REALTIME);
        t->claimed_at = now(CLOCK_BOOTTIME);
        t->job.deadline = t->claimed_at + (usec_t) rows_int64(rows, i, 5, 60000) * USEC_PER_MSEC;
        if (!t->job.id || !t->job.execution_id || !t->job.type || !t->lines ||
            json_parse(input, strlen(input), &t->job.input) < 0) {
                task_free(t);
                return error_oom(ret_error);
        }
        w->tasks[w->n_tasks++] = t;
        r = pool_submit(&w->pool, t, ret_error);
        if (r < 0) {
                w->n_tasks--;
                task_free(t);
        }
        return r;
}

int worker_claim(Worker *w, unsigned n, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        char batch[ID128_SIZE], count[16];
        int r;

        id128_random(batch);
        (void) snprintf(count, sizeof(count), "%u", n);
        r = worker_query(w, &query_claim_jobs, (const char *[]){ w->id, batch, w->types, count },
                         &rows, &error);
        if (r < 0 && streq_ptr(error.code, "AM001"))
                return worker_was_given_up(w, ret_error);
        if (r < 0) {
                error_move(ret_error, &error);
                return r;
        }
        stop_point("claim");
        for (size_t i = 0; i < rows_count(rows); i++) {
                r = worker_take(w, rows, i, ret_error);
                if (r < 0)
                        return r; /* what was not taken is named in no beat, and so put back */
        }
        w->counts.claimed += (unsigned) rows_count(rows);
        w->drained = rows_count(rows) == 0;
        /* What is due and was passed over, for a limit, may be free at any moment. */
        w->next_claim = !w->drained ? 0
                        : w->config->resident && w->look.due == 0
                                ? USEC_INFINITY
                                : now(CLOCK_BOOTTIME) + w->engine->beat / 12;
        return 0;
}
