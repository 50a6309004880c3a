/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/stop-point.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/settle.h"
#include "queue/worker-internal.h"

/* How long ended tasks wait for others that are about to end. */
#define SETTLE_GATHER (4 * USEC_PER_MSEC)
#define SETTLE_TRIES 5

/* Forgets what is recorded. */
static void worker_forget_recorded(Worker *w) {
        size_t n = 0;

        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i]->recorded)
                        task_free(w->tasks[i]);
                else
                        w->tasks[n++] = w->tasks[i];
        w->n_tasks = n;
}

/* due: when it runs again, microseconds since 1970; 0: not. */
static void worker_report(Worker *w, Task *t, const char *outcome, const char *verdict,
                          const char *status, usec_t due) {
        if (t->type->quiet && streq(status, "completed") && !streq(verdict, "lost") &&
            log_get_max_level() < LOG_DEBUG) {
                w->counts.completed++;
                return;
        }

        const Error *e = t->outcome.error.class != ERROR_NONE ? &t->outcome.error : NULL;
        usec_t t0 = now(CLOCK_REALTIME);
        _cleanup_free_ char *when = NULL;
        _cleanup_(log_popp) _unused_ LogField *id = log_push(FIELD_JOB_ID, "%s", t->job.id);
        _cleanup_(log_popp) _unused_ LogField *type = log_push(FIELD_JOB_TYPE, "%s", t->job.type);
        _cleanup_(log_popp) _unused_ LogField *attempt =
                log_push(FIELD_ATTEMPT, "%" PRId64, t->job.attempt);
        _cleanup_(log_popp) _unused_ LogField *execution =
                log_push(FIELD_EXECUTION_ID, "%s", t->job.execution_id);
        JsonObject *account = json_member(t->job.input, "account");
        const char *provider = json_string(account, "provider");
        const char *post = json_string(json_member(t->job.input, "post"), "id");
        _cleanup_(log_popp) _unused_ LogField *account_id =
                log_push(FIELD_ACCOUNT_ID, "%s", json_string(account, "id") ?: "");
        _cleanup_(log_popp) _unused_ LogField *provider_name =
                provider ? log_push(FIELD_PROVIDER, "%s", provider) : NULL;
        _cleanup_(log_popp) _unused_ LogField *post_id =
                post ? log_push(FIELD_POST_ID, "%s", post) : NULL;

        if (streq(verdict, "lost")) {
                w->counts.lost++;
                log_full(LOG_WARNING, NULL, e,
                         "Job %s was given to another worker meanwhile (%s%s)", t->job.id, outcome,
                         t->outcome.receipt ? ", its receipt is recorded" : "");
                return;
        }
        if (streq(status, "completed")) {
                w->counts.completed++;
                log_full(LOG_INFO, t->job.reconcile ? EVENT_JOB_RECONCILED : EVENT_JOB_COMPLETED,
                         NULL,
                         t->job.reconcile ? "Job %s: it was sent, and is recorded now"
                                          : "Job %s completed",
                         t->job.id);
        } else if (streq(outcome, "held") || streq(status, "held")) {
                w->counts.held++;
                log_full(LOG_WARNING, EVENT_JOB_HELD, e, "Job %s waits for a person", t->job.id);
        } else if (streq(status, "failed") || streq(status, "timeout")) {
                w->counts.failed++;
                log_full(LOG_WARNING, EVENT_JOB_FAILED, e, "Job %s failed for good", t->job.id);
        } else if (streq(status, "cancelled")) {
                w->counts.cancelled++;
                log_info("Job %s is cancelled", t->job.id);
        } else if (streq(outcome, "put-back")) {
                w->counts.put_back++;
                log_debug("Job %s is put back", t->job.id);
        } else {
                if (streq(outcome, "unknown"))
                        w->counts.unconfirmed++;
                w->counts.retried++;
                if (time_format_relative(due, t0, &when) < 0)
                        when = NULL;
                log_full(LOG_NOTICE, EVENT_JOB_RETRIED, e, "Job %s runs again %s (%s)", t->job.id,
                         strnull(when), outcome);
        }
}

static void worker_done_with(Worker *w, Task *t) {
        t->recorded = true;
        if (!t->type->quiet)
                worker_wants_any(w);
        else
                worker_wants(w, t->type->prepare ? &w->urgent : &w->plain);
        w->begin_at = 0; /* what waited for this one to be settled may begin */
}

/* Settles n tasks in one statement; those that are settled are forgotten. */
static int worker_settle(Worker *w, Task **ended, size_t n, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *items = json_object_new_array();
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

        tasks_sort(ended, n);
        for (size_t i = 0; i < n; i++) {
                JsonObject *item = settle_item(ended[i], NULL, NULL);

                if (!items || !item || json_object_array_add(items, item) < 0)
                        return error_oom(ret_error);
        }
        r = worker_query(w, &query_settle_jobs, (const char *[]){ w->id, json_text(items) }, &rows,
                         ret_error);
        if (r < 0)
                return r;
        stop_point("settled");
        for (size_t i = 0; i < rows_count(rows); i++) {
                if (!rows_text(rows, i, 0)) {
                        log_warning(
                                "The application's tables refused what a settle tells them (it is "
                                "repeated at the next collect): %s",
                                strnull(rows_text(rows, i, 4)));
                        continue;
                }

                Task *t = tasks_find(ended, n, rows_text(rows, i, 0));

                if (t)
                        worker_report(w, t, settle_outcome(t), rows_text(rows, i, 1),
                                      rows_text(rows, i, 2) ?: "gone",
                                      (usec_t) rows_int64(rows, i, 3, 0));
        }
        for (size_t i = 0; i < n; i++)
                worker_done_with(w, ended[i]);
        worker_forget_recorded(w);
        return 0;
}

/* Sorts out tasks that ended, without or with those that go aside: most are settled; dropped ones,
 * and those whose lease is gone and that have nothing to record, are forgotten. */
static size_t worker_ended(Worker *w, bool (*is_wanted)(const Task *), Task **ret, size_t max) {
        size_t n = 0;

        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = w->n_tasks; i-- > 0;) {
                Task *t = w->tasks[i];
                bool nothing = t->state == TASK_DROPPED && t->outcome.kind != OUTCOME_ERROR;

                if (t->leaving || t->has_actor ||
                    (t->state != TASK_ENDED && t->state != TASK_DROPPED) || !is_wanted(t))
                        continue;
                if (nothing || ((t->lost || t->abandoned) && !t->outcome.receipt)) {
                        w->tasks[i] = w->tasks[--w->n_tasks];
                        task_free(t);
                } else if (n < max)
                        ret[n++] = t;
        }
        pthread_mutex_unlock(&w->pool.lock);
        return n;
}

static bool is_any(const Task *t) {
        (void) t;
        return true;
}

static bool is_not_plain(const Task *t) {
        return !settle_is_plain(t);
}

/* Settles n tasks now. One row that cannot be recorded holds up no other. */
static int worker_settle_each(Worker *w, Task **ended, size_t n, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        r = worker_settle(w, ended, n, &error);
        if (r >= 0)
                return 0;
        if (error.class == ERROR_TRANSIENT && streq_ptr(error.code, "connection")) {
                error_move(ret_error, &error);
                return r;
        }
        for (size_t i = 0; i < n; i++) {
                Task *t = ended[i];

                error_done(&error);
                r = worker_settle(w, &t, 1, &error);
                if (r >= 0)
                        continue;
                if (++t->tries < SETTLE_TRIES)
                        continue;
                log_full(LOG_ERR, NULL, &error,
                         "Job %s cannot be recorded; it is put back as if this worker had died",
                         t->job.id);
                t->recorded = true;
        }
        worker_forget_recorded(w);
        return 0;
}

/* Quick jobs end one right after the other. */
static bool worker_waits_for_more(Worker *w, size_t n) {
        return worker_gathers(w, n < SETTLE_BATCH && pool_has_quick(&w->pool), SETTLE_GATHER,
                              &w->settle_at);
}

/* Whatever happens to the settle of these, the first connection does the same a little later. */
static void worker_settle_again(Task **tasks, size_t n) {
        for (size_t i = 0; i < n; i++) {
                tasks[i]->leaving = false;
                tasks[i]->odd = true;
        }
}

/* Those that have ended by now, where these are at least so many. */
static void settle_send(Worker *w, Settle *settle, size_t least) {
        const char *params[1 + SETTLE_ARRAYS] = { w->id };
        int lengths[1 + SETTLE_ARRAYS] = {};
        Array arrays[SETTLE_ARRAYS] = {};
        Task **ended = settle->tasks;
        size_t n;
        int r;

        n = worker_ended(w, settle_is_plain, ended, SETTLE_BATCH);
        if (n < least || worker_waits_for_more(w, n))
                return;
        r = settle_arrays(ended, n, arrays);
        for (size_t i = 0; i < SETTLE_ARRAYS; i++) {
                params[1 + i] = arrays[i].bytes.data;
                lengths[1 + i] = (int) arrays[i].bytes.length;
        }
        if (r >= 0)
                r = side_send(w, &settle->side, &query_settle_done, params, lengths);
        for (size_t i = 0; i < SETTLE_ARRAYS; i++)
                array_done(&arrays[i]);
        if (r < 0) {
                worker_settle_again(ended, n);
                return;
        }
        for (size_t i = 0; i < n; i++)
                ended[i]->leaving = true;
        settle->n = n;
}

void worker_settle_aside(Worker *w) {
        Settle *idle = NULL;
        /* Two batches that are begun one after the other are settled together. */
        size_t least = worker_begins_many(w) ? 2 * w->pool.max_threads : 1;

        for (size_t i = 0; i < ELEMENTSOF(w->settles); i++)
                if (w->settles[i].n == 0)
                        idle = &w->settles[i];
                else
                        least = MAX(least, (size_t) SETTLE_BATCH / 2); /* may become more */
        if (idle && worker_uses_sides(w))
                settle_send(w, idle, least);
}

static void settle_hear(Worker *w, Settle *settle) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        size_t n = settle->n;
        int r;

        if (n == 0)
                return;
        r = side_receive(w, &settle->side, &rows);
        if (r == 0)
                return;
        settle->n = 0;
        if (r < 0) {
                worker_settle_again(settle->tasks, n);
                return;
        }
        for (size_t i = 0; i < rows_count(rows); i++) {
                Task *t = worker_task_by_lease(w, rows_int64(rows, i, 0, -1));

                if (t)
                        t->odd = true;
        }
        for (size_t i = 0; i < n; i++) {
                Task *t = settle->tasks[i];

                t->leaving = false;
                if (t->odd)
                        continue;
                worker_report(w, t, "done", "settled", "completed", 0);
                worker_done_with(w, t);
        }
        worker_forget_recorded(w);
}

void worker_hear_settle(Worker *w) {
        for (size_t i = 0; i < ELEMENTSOF(w->settles); i++)
                settle_hear(w, &w->settles[i]);
}

int worker_settle_ended(Worker *w, Error *ret_error) {
        Task *ended[SETTLE_BATCH];
        size_t n;
        int r;

        if (!worker_uses_sides(w)) {
                n = worker_ended(w, is_any, ended, ELEMENTSOF(ended));
                if (n == 0 || worker_waits_for_more(w, n))
                        return 0;
                return worker_settle_each(w, ended, n, ret_error);
        }
        n = worker_ended(w, is_not_plain, ended, ELEMENTSOF(ended));
        r = n > 0 ? worker_settle_each(w, ended, n, ret_error) : 0;
        if (r >= 0)
                worker_settle_aside(w);
        return r;
}

int worker_expire(Worker *w, Error *ret_error) {
        usec_t t = now(CLOCK_BOOTTIME);

        for (size_t i = 0; i < w->n_tasks; i++) {
                Task *task = w->tasks[i];
                _cleanup_(json_unrefp) JsonObject *items = NULL;
                _cleanup_(rows_freep) Rows *rows = NULL;
                _cleanup_(error_done) Error error = ERROR_NULL;
                JsonObject *item;
                bool overdue;
                int r;

                pthread_mutex_lock(&w->pool.lock);
                overdue = task_is_at_work(task) && t > task->job.deadline;
                if (overdue)
                        task->abandoned = true;
                pthread_mutex_unlock(&w->pool.lock);
                if (!overdue)
                        continue;
                error_setf(&error, ERROR_TRANSIENT, -ETIMEDOUT, "timeout",
                           "did not end within its timeout");
                items = json_object_new_array();
                item = settle_item(task, "timeout", &error);
                if (!items || !item || json_object_array_add(items, item) < 0)
                        return error_oom(ret_error);
                log_full(LOG_WARNING, EVENT_JOB_RETRIED, &error, "Job %s", task->job.id);
                r = worker_query(w, &query_settle_jobs, (const char *[]){ w->id, json_text(items) },
                                 &rows, ret_error);
                if (r < 0)
                        return r;
                w->counts.retried++;
        }
        return 0;
}

void worker_put_back_unbegun(Worker *w) {
        pool_return(&w->pool, &w->pool.plain);
        pool_return(&w->pool, &w->pool.urgent);
        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks; i++) {
                Task *t = w->tasks[i];

                t->put_back = true;
                if (t->state == TASK_READY)
                        task_put_back(t);
        }
        pthread_mutex_unlock(&w->pool.lock);
}
