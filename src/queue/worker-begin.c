/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "base/log.h"
#include "base/stop-point.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/mark.h"
#include "queue/worker-internal.h"

/* How long prepared tasks wait for others that are about to be. */
#define BEGIN_GATHER (2 * USEC_PER_MSEC)
#define BEGIN_BATCH 512

static JsonObject *begin_item(const Task *t) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();

        if (!o || json_set_string(o, "id", t->job.id) < 0 ||
            json_set_int64(o, "lease", t->job.lease) < 0 ||
            json_set_string(o, "version",
                            json_string(json_member(t->job.input, "post"), "version")) < 0 ||
            json_set_string(o, "handle", t->prepared.handle) < 0 ||
            json_set_string(o, "way", t->prepared.way) < 0 ||
            json_set(o, "request", json_object_get(t->prepared.request)) < 0)
                return NULL;
        return TAKE_PTR(o);
}

/* A task that is not to be sent, or not now. */
static void worker_not_begun(Worker *w, Task *t, const char *verdict, const char *detail) {
        if (streq(verdict, "stale")) {
                w->must_meet = w->engine->installation; /* or a beat comes first */
                return;
        }
        log_debug("Job %s was not begun: %s%s%s", t->job.id, verdict, detail ? ", " : "",
                  detail ?: "");
        if (streq(verdict, "cancelled") || streq(verdict, "late"))
                w->counts.cancelled++;
        else if (streq(verdict, "held"))
                w->counts.held++;
        else
                w->counts.put_back++;
        worker_wants_any(w);
        pool_drop(&w->pool, t);
}

/* Puts into the state folder what begin has just put on record, before anything of it is sent. */
static int worker_mark(const Worker *w, const Rows *rows, Error *ret_error) {
        bool go = false;
        Mark mark = {};

        for (size_t i = 0; i < rows_count(rows); i++)
                if (streq(rows_text(rows, i, 1), "go"))
                        go = true;
                else if (streq(rows_text(rows, i, 1), "mark")) {
                        mark.begins = rows_int64(rows, i, 2, 0);
                        (void) snprintf(mark.at, sizeof(mark.at), "%s", rows_text(rows, i, 3));
                }
        if (!go || mark.begins == 0)
                return 0;
        return mark_write(w->config->settings->state_dir, w->engine->installation, w->host.machine,
                          &mark, ret_error);
}

/* A task that could not be begun at all (its row, the application's tables or the state folder
 * refuse): said, and put back to be tried later. */
static void worker_cannot_begin(Worker *w, Task *t, const Error *error) {
        pthread_mutex_lock(&w->pool.lock);
        t->outcome.kind = OUTCOME_ERROR;
        (void) error_setf(&t->outcome.error, error->class, error->r, error->code, "%s",
                          strnull(error->message));
        pthread_mutex_unlock(&w->pool.lock);
        log_full(LOG_ERR, NULL, &t->outcome.error, "Job %s cannot be begun", t->job.id);
        pool_drop(&w->pool, t);
}

/* Begins what is prepared: n tasks, at most BEGIN_BATCH, in one statement. */
static int worker_begin(Worker *w, Task **ready, size_t n, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *items = json_object_new_array();
        _cleanup_(rows_freep) Rows *rows = NULL;
        _cleanup_(error_done) Error unmarked = ERROR_NULL;
        char batch[BATCH_SIZE];
        Task *go[BEGIN_BATCH];
        size_t n_go = 0;
        usec_t asked;
        int r;

        tasks_sort(ready, n);
        for (size_t i = 0; i < n; i++) {
                JsonObject *item = begin_item(ready[i]);

                if (!items || !item || json_object_array_add(items, item) < 0)
                        return error_oom(ret_error);
        }
        worker_next_batch(w, batch);
        asked = now(CLOCK_BOOTTIME); /* not after the database's begun_at */
        r = worker_query(w, &query_begin_jobs, (const char *[]){ w->id, batch, json_text(items) },
                         &rows, ret_error);
        if (r < 0)
                return r;
        stop_point("begin");
        r = worker_mark(w, rows, &unmarked);
        stop_point("mark");
        for (size_t i = 0; i < rows_count(rows); i++) {
                Task *t = tasks_find(ready, n, rows_text(rows, i, 0));

                if (!t)
                        continue;
                if (!streq(rows_text(rows, i, 1), "go")) {
                        worker_not_begun(w, t, rows_text(rows, i, 1), rows_text(rows, i, 3));
                } else if (r < 0) {
                        worker_cannot_begin(w, t, &unmarked);
                } else {
                        t->job.begun = true;
                        t->job.begin_number = rows_int64(rows, i, 2, 0);
                        t->job.send_by = asked + w->engine->send_deadline;
                        go[n_go++] = t;
                }
        }
        pool_go(&w->pool, go, n_go);
        return 0;
}

/* Each of n tasks gets its verdict, or is put back. */
static int worker_begin_each(Worker *w, Task **ready, size_t n, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        r = worker_begin(w, ready, n, &error);
        if (r >= 0)
                return 0;
        if (streq_ptr(error.code, "AM001")) {
                r = worker_was_given_up(w, ret_error);
                for (size_t i = 0; i < n; i++)
                        pool_drop(&w->pool, ready[i]);
                return r;
        }
        if (error.class == ERROR_TRANSIENT) {
                for (size_t i = 0; i < n; i++)
                        pool_drop(&w->pool, ready[i]);
                error_move(ret_error, &error);
                return r;
        }
        for (size_t i = 0; i < n; i++) {
                r = n == 1 ? r : worker_begin(w, &ready[i], 1, &error);
                if (r < 0)
                        worker_cannot_begin(w, ready[i], &error);
        }
        return 0;
}

/* How many may begin: as many as actors are idle, as long as what is begun, which is what a death
 * leaves in doubt, is no more than a batch at work and one whose settle is not sent yet. Called
 * with the lock held. */
static size_t worker_begin_room(const Worker *w) {
        unsigned unsettled = 0;
        size_t room;

        for (size_t i = 0; i < w->n_tasks; i++)
                unsettled += w->tasks[i]->job.begun && !w->tasks[i]->leaving;
        room = MIN(pool_idle(&w->pool), LESS_BY(2 * w->pool.max_threads, unsettled));
        return MIN(room, (size_t) BEGIN_BATCH);
}

bool worker_begins_many(Worker *w) {
        size_t n = 0, room;

        if (w->must_meet)
                return false;
        pthread_mutex_lock(&w->pool.lock);
        room = worker_begin_room(w);
        for (size_t i = 0; i < w->n_tasks && n < room; i++)
                n += w->tasks[i]->state == TASK_READY;
        pthread_mutex_unlock(&w->pool.lock);
        return n >= MAX(w->pool.max_threads / 2, 1U);
}

int worker_begin_ready(Worker *w, Error *ret_error) {
        Task *ready[BEGIN_BATCH];
        size_t n = 0, max;
        bool waits;
        int r;

        pthread_mutex_lock(&w->pool.lock);
        max = worker_begin_room(w);
        for (size_t i = 0; i < w->n_tasks && n < max; i++)
                if (w->tasks[i]->state == TASK_READY)
                        ready[n++] = w->tasks[i];
        waits = worker_gathers(w, n > 0 && n < max && w->pool.n_unready > 0, BEGIN_GATHER,
                               &w->begin_at);
        w->pool.n_reserved = waits ? 0 : (unsigned) n;
        pthread_mutex_unlock(&w->pool.lock);
        if (waits || n == 0)
                return 0;
        r = worker_begin_each(w, ready, n, ret_error);
        pool_release(&w->pool);
        return r;
}

int worker_meet(Worker *w, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        w->next_meeting = now(CLOCK_BOOTTIME) + w->engine->beat / 3;
        r = host_meet(*w->db, &w->host, w->config->settings, w->engine->installation,
                      w->engine->statement_limit, &error);
        if (r < 0 && error.class == ERROR_CONFIG) {
                error_move(ret_error, &error);
                return r;
        }
        if (r < 0)
                log_full(LOG_WARNING, NULL, &error, "Cannot ask whether this host may begin");
        if (r != 0)
                return 0;
        w->must_meet = false;
        worker_wants_any(w);
        return worker_begin_ready(w, ret_error);
}
