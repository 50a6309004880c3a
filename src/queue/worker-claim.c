/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
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

/* As many tasks are claimed as actors are idle, until a whole batch is done quickly: then twice as
 * many, so that there is a batch to go on with while the next is claimed. */
#define AHEAD_MAX 500
#define AHEAD_QUICK (250 * USEC_PER_MSEC)
/* After how long those that still wait are not the quick kind: more actors, and then back with
 * them, for others may have the time, and theirs is running. */
#define SPREAD_AFTER (5 * USEC_PER_MSEC)
#define RETURN_AFTER (1 * USEC_PER_SEC)

/* What takes up room. Plain tasks do until they are settled, for that is what a death puts back. */
typedef struct Load {
        unsigned plain, urgent;
        unsigned unbegun;      /* of the urgent ones those that may still go back as they came */
        usec_t oldest_plain;   /* when it was claimed; USEC_INFINITY for none */
        usec_t oldest_waiting; /* … of the unbegun ones with which no actor is at work */
} Load;

static Load worker_load(Worker *w) {
        Load l = { .oldest_plain = USEC_INFINITY, .oldest_waiting = USEC_INFINITY };

        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks; i++) {
                const Task *t = w->tasks[i];

                if (!t->type->prepare) {
                        l.plain++;
                        l.oldest_plain = MIN(l.oldest_plain, t->claimed_at);
                } else if (t->has_actor) {
                        l.urgent++;
                        l.unbegun += t->state <= TASK_READY;
                        if (t->state == TASK_QUEUED || t->state == TASK_READY)
                                l.oldest_waiting = MIN(l.oldest_waiting, t->claimed_at);
                }
        }
        pthread_mutex_unlock(&w->pool.lock);
        return l;
}

/* How many jobs there is room for: of types that touch the world no more than actors are idle, and
 * where these are quick a batch beside. */
static void worker_room(Worker *w, unsigned *ret_urgent, unsigned *ret_plain) {
        const Load l = worker_load(w);
        unsigned actors = w->pool.max_threads, most = w->pool.max_plain;
        unsigned at_plain = MIN(l.plain, most);

        if (!w->urgent_types || (w->urgent.n > 0 && l.unbegun > w->urgent.n / 2))
                *ret_urgent = 0;
        else
                *ret_urgent = LESS_BY(actors + w->urgent.n, l.urgent + at_plain);
        if (!w->plain_types)
                *ret_plain = 0;
        else if (w->plain.n > most)
                *ret_plain = l.plain > w->plain.n ? 0 : w->plain.n;
        else
                *ret_plain = most - at_plain;
}

usec_t worker_next_claim(Worker *w) {
        usec_t next = USEC_INFINITY;
        unsigned urgent, plain;

        worker_room(w, &urgent, &plain);
        if (urgent > 0)
                next = w->next_urgent;
        if (plain > 0)
                next = MIN(next, w->next_plain);
        return MAX(next, w->next_claim);
}

/* Whether the jobs claimed last were the quick kind, where there were as many as asked for. Of the
 * urgent ones one knows when there is room for many again. */
static void worker_adapt(Worker *w) {
        const Load l = worker_load(w);
        usec_t t = now(CLOCK_BOOTTIME);
        unsigned urgent, plain, most = w->pool.max_plain, actors = w->pool.max_threads;

        worker_room(w, &urgent, &plain);
        if (w->plain.full && t < MIN(w->plain.since, l.oldest_plain) + AHEAD_QUICK)
                w->plain.n = MIN(MAX(w->plain.n, most) * 2, MAX((unsigned) AHEAD_MAX, most));
        w->plain.full = false;
        if (w->urgent.full && urgent >= actors / 2) {
                w->urgent.n = t < w->urgent.since + AHEAD_QUICK
                                      ? MIN(MAX(w->urgent.n, actors / 2) * 2, (unsigned) AHEAD_MAX)
                                      : 0;
                w->urgent.full = false;
        }
}

static void return_plain(Worker *w) {
        pool_return(&w->pool, &w->pool.plain);
        w->plain.n = 0;
}

/* What touches the world and is not begun, but for what an actor prepares just now. */
static void return_urgent(Worker *w) {
        pool_return(&w->pool, &w->pool.urgent);
        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i]->state == TASK_READY)
                        task_put_back(w->tasks[i]);
        pthread_mutex_unlock(&w->pool.lock);
        w->urgent = (Ahead){};
}

/* Returns what waits for an actor since then, if that is too long; else when it will be. */
static usec_t return_late(Worker *w, usec_t since, void (*return_them)(Worker *w)) {
        if (since == USEC_INFINITY)
                return USEC_INFINITY;
        if (now(CLOCK_BOOTTIME) < since + RETURN_AFTER)
                return since + RETURN_AFTER;
        return_them(w);
        return USEC_INFINITY;
}

void worker_hurry(Worker *w) {
        usec_t t = now(CLOCK_BOOTTIME);
        Load l;

        if (t >= w->spread_at) {
                pool_spread(&w->pool);
                w->spread_at = USEC_INFINITY;
        }
        if (t < w->return_at)
                return;
        w->return_at = return_late(w, pool_waiting_since(&w->pool), return_plain);
        l = worker_load(w);
        if (l.urgent > w->pool.max_threads)
                w->return_at = MIN(w->return_at, return_late(w, l.oldest_waiting, return_urgent));
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

/* The claim itself. What ends meanwhile goes aside, where quick tasks do: both connections work at
 * the same time then. Whatever comes of that instead of an answer, asking once more in the ordinary
 * way is safe: the batch has its id. */
static int worker_ask(Worker *w, const char *const *params, Rows **ret, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        if (!worker_goes_aside(w) || !db_is_open(*w->db))
                return worker_query(w, &query_claim_jobs, params, ret, ret_error);
        r = db_send(*w->db, &query_claim_jobs, params, w->engine->statement_limit, &error);
        while (r >= 0 && (r = db_receive(*w->db, ret, &error)) == 0) {
                worker_wait(w, MIN(w->settle_at, db_deadline(*w->db)));
                worker_hear_aside(w);
                worker_settle_aside(w);
        }
        if (r > 0)
                return 0;
        log_full(LOG_DEBUG, NULL, &error, "A claim failed, asking again");
        return worker_query(w, &query_claim_jobs, params, ret, ret_error);
}

/* *ret: how many jobs of these types were taken, at most n. */
static int claim_types(Worker *w, const char *types, unsigned n, size_t *ret, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        char batch[ID128_SIZE], count[16];
        size_t before;
        int r;

        *ret = 0;
        if (!types || n == 0)
                return 0;
        id128_random(batch);
        (void) snprintf(count, sizeof(count), "%u", n);
        r = worker_ask(w, (const char *[]){ w->id, batch, types, count }, &rows, ret_error);
        if (r < 0)
                return r;
        stop_point("claim");
        before = w->n_tasks;
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

void worker_wants(Worker *w) {
        w->drained = false;
        w->next_claim = 0;
        w->next_urgent = 0;
        w->next_plain = 0;
}

/* When a kind is claimed again, of which a claim took n of those asked for. */
static void set_next(const Worker *w, unsigned asked, size_t n, usec_t *next) {
        if (asked > 0)
                *next = n == 0 ? now(CLOCK_BOOTTIME) + w->engine->beat / 12 : 0;
}

int worker_claim(Worker *w, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        unsigned urgent, plain, completed = w->counts.completed;
        size_t n_urgent = 0, n_plain = 0;
        int r = 0;

        worker_adapt(w);
        worker_room(w, &urgent, &plain);
        if (now(CLOCK_BOOTTIME) < w->next_urgent)
                urgent = 0;
        if (now(CLOCK_BOOTTIME) < w->next_plain)
                plain = 0;
        if (w->look.plain)
                r = claim_types(w, w->plain_types, plain, &n_plain, &error);
        if (r >= 0)
                r = claim_types(w, w->urgent_types, urgent, &n_urgent, &error);
        if (r >= 0 && !w->look.plain)
                r = claim_types(w, w->plain_types, plain, &n_plain, &error);
        w->look.plain = false;
        if (r < 0 && streq_ptr(error.code, "AM001"))
                return worker_was_given_up(w, ret_error);
        if (r < 0) {
                error_move(ret_error, &error);
                return r;
        }
        set_next(w, urgent, n_urgent, &w->next_urgent);
        set_next(w, plain, n_plain, &w->next_plain);
        if (n_plain > 0) {
                w->plain.since = now(CLOCK_BOOTTIME);
                w->plain.full = n_plain == plain;
                w->spread_at = MIN(w->spread_at, w->plain.since + SPREAD_AFTER);
                w->return_at = MIN(w->return_at, w->plain.since + RETURN_AFTER);
        }
        if (n_urgent > 0) {
                /* Of a few that are done one knows nothing of the many. */
                w->urgent.full = n_urgent == urgent && urgent >= w->pool.max_threads / 2;
                w->urgent.since = now(CLOCK_BOOTTIME);
                w->return_at = MIN(w->return_at, w->urgent.since + RETURN_AFTER);
        } else if (urgent > 0) {
                w->urgent = (Ahead){};
        }
        w->drained = n_urgent == 0 && n_plain == 0;
        /* What is due and was passed over, for a limit, may be free at any moment. */
        w->next_claim = !w->drained ? 0
                        : w->config->resident && w->look.due == 0
                                ? USEC_INFINITY
                                : now(CLOCK_BOOTTIME) + w->engine->beat / 12;
        if (w->counts.completed != completed)
                worker_wants(w); /* what was settled meanwhile may have been in the way */
        return 0;
}
