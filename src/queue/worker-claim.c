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

/* Of plain tasks as many are claimed as actors may work on them, until a whole batch is done
 * quickly: then twice as many, and one batch while the other is done. */
#define AHEAD_MAX 500
#define AHEAD_QUICK (250 * USEC_PER_MSEC)
/* After how long those that still wait are not the quick kind: more actors, and then back with
 * them, for others may have the time, and theirs is running. */
#define SPREAD_AFTER (5 * USEC_PER_MSEC)
#define RETURN_AFTER (1 * USEC_PER_SEC)

/* How many tasks of both kinds there are, as far as they take up room; *oldest is lowered to when
 * the oldest plain one was claimed. Those that have ended are plain ones still, until they are
 * settled: that is what a death puts back. */
static void count_tasks(Worker *w, unsigned *ret_urgent, unsigned *ret_plain, usec_t *oldest) {
        unsigned urgent = 0, plain = 0;

        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks; i++) {
                const Task *t = w->tasks[i];

                if (!t->type->prepare) {
                        plain++;
                        *oldest = MIN(*oldest, t->claimed_at);
                } else if (t->has_actor)
                        urgent++;
        }
        pthread_mutex_unlock(&w->pool.lock);
        *ret_urgent = urgent;
        *ret_plain = plain;
}

/* How many jobs there is room for: of types that touch the world no more than actors are idle. */
static void worker_room(Worker *w, unsigned *ret_urgent, unsigned *ret_plain) {
        unsigned urgent, plain, actors = w->pool.max_threads, at_plain, most = w->pool.max_plain;
        usec_t oldest = USEC_INFINITY;

        count_tasks(w, &urgent, &plain, &oldest);
        at_plain = MIN(plain, most);
        *ret_urgent =
                w->urgent_types && actors > urgent + at_plain ? actors - urgent - at_plain : 0;
        if (!w->plain_types)
                *ret_plain = 0;
        else if (w->ahead > most)
                *ret_plain = plain > w->ahead ? 0 : w->ahead;
        else
                *ret_plain = most - at_plain;
}

bool worker_has_room(Worker *w) {
        unsigned urgent, plain;

        worker_room(w, &urgent, &plain);
        return urgent > 0 || plain > 0;
}

/* Whether the plain jobs claimed last were the quick kind, where there were as many as asked for.
 */
static void worker_adapt(Worker *w) {
        usec_t t = now(CLOCK_BOOTTIME), oldest = t;
        unsigned urgent, plain, most = w->pool.max_plain;

        count_tasks(w, &urgent, &plain, &oldest);
        if (w->ahead_full && t < MIN(w->ahead_since, oldest) + AHEAD_QUICK)
                w->ahead = MIN(MAX(w->ahead, most) * 2, MAX((unsigned) AHEAD_MAX, most));
        w->ahead_full = false;
}

void worker_hurry(Worker *w) {
        usec_t t = now(CLOCK_BOOTTIME), since;

        if (t >= w->spread_at) {
                pool_spread(&w->pool);
                w->spread_at = USEC_INFINITY;
        }
        if (t < w->return_at)
                return;
        since = pool_waiting_since(&w->pool);
        if (t >= since + RETURN_AFTER && since != USEC_INFINITY) {
                pool_return(&w->pool, false);
                w->ahead = 0;
                since = USEC_INFINITY;
        }
        w->return_at = since == USEC_INFINITY ? USEC_INFINITY : since + RETURN_AFTER;
}

/* One row of claim-jobs becomes a task. */
static int worker_take(Worker *w, const Rows *rows, size_t i, Error *ret_error) {
        const char *name = rows_text(rows, i, 3), *mode = rows_text(rows, i, 6);
        /* Of a type that the application does there is no code but the one that calls it. */
        const JobType *type = worker_type(w, streq(mode, "http") ? "http" : name);
        const char *input = rows_text(rows, i, 7);
        Task *t;

        if (!type)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "type",
                                  "the database gave a job of type %s that was not asked for",
                                  name);
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
        t->job.type = strdup(name);
        t->job.lease = rows_int64(rows, i, 1, -1);
        t->job.attempt = rows_int64(rows, i, 4, 0);
        t->job.reconcile = streq(mode, "reconcile");
        t->job.started_at = now(CLOCK_REALTIME);
        t->claimed_at = now(CLOCK_BOOTTIME);
        t->job.deadline = t->claimed_at + (usec_t) rows_int64(rows, i, 5, 60000) * USEC_PER_MSEC;
        if (!t->job.id || !t->job.execution_id || !t->job.type ||
            json_parse(input, strlen(input), &t->job.input) < 0) {
                task_free(t);
                return error_oom(ret_error);
        }
        w->tasks[w->n_tasks++] = t;
        return 0;
}

/* *ret: how many jobs of these types were taken, at most n. */
static int claim_types(Worker *w, const char *types, unsigned n, size_t *ret, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        char batch[ID128_SIZE], count[16];
        size_t before = w->n_tasks;
        int r;

        *ret = 0;
        if (!types || n == 0)
                return 0;
        id128_random(batch);
        (void) snprintf(count, sizeof(count), "%u", n);
        r = worker_query(w, &query_claim_jobs, (const char *[]){ w->id, batch, types, count },
                         &rows, ret_error);
        if (r < 0)
                return r;
        stop_point("claim");
        for (size_t i = 0; i < rows_count(rows); i++) {
                r = worker_take(w, rows, i, ret_error);
                if (r < 0)
                        return r; /* what was not taken is named in no beat, and so put back */
        }
        w->counts.claimed += (unsigned) rows_count(rows);
        *ret = rows_count(rows);
        /* All at once: until they are there an actor would only be in the way. */
        return pool_submit(&w->pool, w->tasks + before, w->n_tasks - before, ret_error);
}

int worker_claim(Worker *w, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        unsigned urgent, plain;
        size_t n_urgent = 0, n_plain = 0;
        int r = 0;

        worker_adapt(w);
        worker_room(w, &urgent, &plain);
        if (now(CLOCK_BOOTTIME) < w->next_urgent)
                urgent = 0;
        if (w->look.plain)
                r = claim_types(w, w->plain_types, plain, &n_plain, &error);
        if (r >= 0)
                r = claim_types(w, w->urgent_types, urgent, &n_urgent, &error);
        if (r >= 0 && urgent > 0)
                w->next_urgent = n_urgent == 0 ? now(CLOCK_BOOTTIME) + w->engine->beat / 12 : 0;
        if (r >= 0 && !w->look.plain)
                r = claim_types(w, w->plain_types, plain, &n_plain, &error);
        w->look.plain = false;
        if (r < 0 && streq_ptr(error.code, "AM001"))
                return worker_was_given_up(w, ret_error);
        if (r < 0) {
                error_move(ret_error, &error);
                return r;
        }
        if (n_plain > 0) {
                w->ahead_since = now(CLOCK_BOOTTIME);
                w->ahead_full = n_plain == plain;
                w->spread_at = MIN(w->spread_at, w->ahead_since + SPREAD_AFTER);
                w->return_at = MIN(w->return_at, w->ahead_since + RETURN_AFTER);
        }
        w->drained = n_urgent == 0 && n_plain == 0;
        /* What is due and was passed over, for a limit, may be free at any moment. */
        w->next_claim = !w->drained ? 0
                        : w->config->resident && w->look.due == 0
                                ? USEC_INFINITY
                                : now(CLOCK_BOOTTIME) + w->engine->beat / 12;
        return 0;
}
