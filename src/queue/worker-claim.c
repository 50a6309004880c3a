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

/* What takes up room. Plain tasks do until their settle is sent, for that is what a death puts
 * back: what the server has heard it does, whatever becomes of us. */
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
                        l.plain += !t->leaving;
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

        if (!w->urgent.types || (w->urgent.ahead > 0 && l.unbegun > w->urgent.ahead / 2))
                *ret_urgent = 0;
        else
                *ret_urgent = LESS_BY(actors + w->urgent.ahead, l.urgent + at_plain);
        if (!w->plain.types)
                *ret_plain = 0;
        else if (w->plain.ahead > most)
                *ret_plain = l.plain > w->plain.ahead ? 0 : w->plain.ahead;
        else
                *ret_plain = most - at_plain;
}

usec_t worker_next_claim(Worker *w) {
        usec_t next = USEC_INFINITY;
        unsigned urgent, plain;

        if (w->claim.kind)
                return USEC_INFINITY; /* its answer wakes us */
        worker_room(w, &urgent, &plain);
        if (urgent > 0)
                next = w->urgent.next;
        if (plain > 0)
                next = MIN(next, w->plain.next);
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
                w->plain.ahead =
                        MIN(MAX(w->plain.ahead, most) * 2, MAX((unsigned) AHEAD_MAX, most));
        w->plain.full = false;
        if (w->urgent.full && urgent >= actors / 2) {
                w->urgent.ahead =
                        t < w->urgent.since + AHEAD_QUICK
                                ? MIN(MAX(w->urgent.ahead, actors / 2) * 2, (unsigned) AHEAD_MAX)
                                : 0;
                w->urgent.full = false;
        }
}

static void return_plain(Worker *w) {
        pool_return(&w->pool, &w->pool.plain);
        w->plain.ahead = 0;
}

/* What touches the world and is not begun, but for what an actor prepares just now. */
static void return_urgent(Worker *w) {
        pool_return(&w->pool, &w->pool.urgent);
        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i]->state == TASK_READY)
                        task_put_back(w->tasks[i]);
        pthread_mutex_unlock(&w->pool.lock);
        w->urgent.ahead = 0;
        w->urgent.full = false;
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

void worker_wants(Worker *w, Kind *kind) {
        w->drained = false;
        w->next_claim = 0;
        kind->next = 0;
        w->wanted++;
}

void worker_wants_any(Worker *w) {
        worker_wants(w, &w->urgent);
        worker_wants(w, &w->plain);
}

/* Whether there is anything to be claimed of that kind: it has types, and was not found empty a
 * moment ago. */
static bool kind_is_open(const Kind *kind) {
        return kind->types && now(CLOCK_BOOTTIME) >= kind->next;
}

/* What is known after a claim of a kind that took n of those asked for. */
static void worker_claimed(Worker *w, Kind *kind, unsigned asked, size_t n) {
        const Kind *other = kind == &w->plain ? &w->urgent : &w->plain;
        usec_t t = now(CLOCK_BOOTTIME);
        bool empty = n == 0 && w->wanted == w->wanted_before; /* and nothing came meanwhile */

        kind->next = empty ? t + w->engine->beat / 12 : 0;
        if (n > 0) {
                kind->since = t;
                /* Of a few urgent ones that are done one knows nothing of the many. */
                kind->full = n == asked && (kind == &w->plain || asked >= w->pool.max_threads / 2);
                w->return_at = MIN(w->return_at, t + RETURN_AFTER);
                if (kind == &w->plain)
                        w->spread_at = MIN(w->spread_at, t + SPREAD_AFTER);
        } else if (kind == &w->urgent) {
                kind->ahead = 0;
                kind->full = false;
        }
        w->drained = empty && !kind_is_open(other);
        /* What is due and was passed over, for a limit, may be free at any moment. */
        w->next_claim = !w->drained                               ? 0
                        : w->config->resident && w->look.due == 0 ? USEC_INFINITY
                                                                  : t + w->engine->beat / 12;
}

/* Asks over the first connection. Where the same was asked over another one before, nothing is
 * taken twice: the batch has its id. */
static int worker_ask(Worker *w, const Kind *kind, const char *batch, unsigned n, Rows **ret,
                      Error *ret_error) {
        char count[16];

        (void) snprintf(count, sizeof(count), "%u", n);
        return worker_query(w, &query_claim_jobs,
                            (const char *[]){ w->id, batch, kind->types, count }, ret, ret_error);
}

/* The answer to a claim of n, or what came instead of it. */
static int worker_take_all(Worker *w, Kind *kind, unsigned n, int r, const Rows *rows, Error *error,
                           Error *ret_error) {
        size_t before = w->n_tasks;

        if (r < 0 && streq_ptr(error->code, "AM001"))
                return worker_was_given_up(w, ret_error);
        if (r < 0) {
                error_move(ret_error, error);
                return r;
        }
        stop_point("claim");
        for (size_t i = 0; i < rows_count(rows); i++) {
                r = worker_take(w, rows, i, ret_error);
                if (r < 0)
                        return r; /* what was not taken is named in no beat, and so put back */
        }
        w->counts.claimed += (unsigned) rows_count(rows);
        worker_claimed(w, kind, n, rows_count(rows));
        /* All at once: until they are there an actor would only be in the way. */
        return pool_submit(&w->pool, w->tasks + before, w->n_tasks - before, ret_error);
}

int worker_hear_claim(Worker *w, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(rows_freep) Rows *rows = NULL;
        Kind *kind = w->claim.kind;
        int r;

        if (!kind)
                return 0;
        r = side_receive(w, &w->claim.side, &rows);
        if (r == 0)
                return 0;
        w->claim.kind = NULL;
        if (r < 0)
                r = worker_ask(w, kind, w->claim.batch, w->claim.n, &rows, &error);
        return worker_take_all(w, kind, w->claim.n, r, rows, &error, ret_error);
}

/* The kind that is claimed now, and how many; NULL where there is none. They take turns, so that
 * none waits for as long as there is some of the other; but a plain one that was notified goes
 * first. */
static Kind *worker_next_kind(Worker *w, unsigned *ret) {
        unsigned urgent, plain;
        bool may_urgent, may_plain;

        worker_room(w, &urgent, &plain);
        may_urgent = urgent > 0 && kind_is_open(&w->urgent);
        may_plain = plain > 0 && kind_is_open(&w->plain);
        if (may_plain && (w->look.plain || w->claim.last == &w->urgent || !may_urgent)) {
                *ret = plain;
                return &w->plain;
        }
        *ret = urgent;
        return may_urgent ? &w->urgent : NULL;
}

int worker_claim(Worker *w, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(rows_freep) Rows *rows = NULL;
        char count[16];
        unsigned n;
        Kind *kind;
        int r;

        worker_adapt(w);
        kind = worker_next_kind(w, &n);
        if (!kind)
                return 0;
        w->claim.last = kind;
        if (kind == &w->plain)
                w->look.plain = false;
        worker_next_batch(w, w->claim.batch);
        w->wanted_before = w->wanted;
        if (worker_uses_sides(w)) {
                (void) snprintf(count, sizeof(count), "%u", n);
                r = side_send(w, &w->claim.side, &query_claim_jobs,
                              (const char *[]){ w->id, w->claim.batch, kind->types, count }, NULL);
                if (r >= 0) {
                        w->claim.kind = kind;
                        w->claim.n = n;
                        w->drained = false;
                        return 0;
                }
        }
        r = worker_ask(w, kind, w->claim.batch, n, &rows, &error);
        return worker_take_all(w, kind, n, r, rows, &error, ret_error);
}
