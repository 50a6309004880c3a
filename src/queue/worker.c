/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include "base/id.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/stop-point.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/rescue.h"
#include "queue/settle.h"
#include "queue/task.h"
#include "queue/worker.h"

#define SETTLE_BATCH 100
#define SETTLE_TRIES 5
#define WORKER_ID_SIZE (ID128_SIZE + 12) /* ID, or ID-N after it was given up */

typedef struct Worker {
        const WorkerConfig *config;
        const Engine *engine;
        Db **db;
        const char *first_id;
        char id[WORKER_ID_SIZE];
        unsigned lives; /* how often it was given up and went on */
        char *types;    /* as a PostgreSQL array */
        Pool pool;
        Task **tasks; /* every task that is not settled */
        size_t n_tasks, max_tasks;
        int signal_fd;
        bool stopping; /* claims nothing any more */
        usec_t stop_by, budget_ends;
        usec_t next_beat, next_claim, next_collect, next_rescue;
        bool drained;   /* the last claim found nothing */
        bool collected; /* the last round of collecting is through */
        void *collect_state;
        WorkerCounts counts;
} Worker;

/* Waits for a signal, an actor, or until a time. */
static void worker_wait(Worker *w, usec_t until) {
        struct pollfd fds[] = {
                { .fd = w->signal_fd, .events = POLLIN },
                { .fd = w->pool.wake_fd, .events = POLLIN },
        };
        usec_t t = now(CLOCK_BOOTTIME);
        struct signalfd_siginfo info;
        uint64_t count;

        (void) poll(fds, ELEMENTSOF(fds), until > t ? (int) ((until - t) / USEC_PER_MSEC + 1) : 0);
        (void) !read(w->pool.wake_fd, &count, sizeof(count));
        if (read(w->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info) && !w->stopping) {
                w->stopping = true;
                w->stop_by = now(CLOCK_BOOTTIME) + w->config->settings->grace_sec * USEC_PER_SEC;
                sd_notify(0, "STOPPING=1\nSTATUS=Stopping: what is being sent may finish");
                log_info("Stopping: what is being sent may finish within %" PRIu64 " s",
                         w->config->settings->grace_sec);
        }
}

static bool worker_has_begun(const Worker *w) {
        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i]->job.begun)
                        return true;
        return false;
}

/* Asks until there is an answer: every statement of a worker may be repeated, because it carries a
 * batch id, a lease or an execution's id. Gives up when nothing is at stake and a lapse has passed,
 * or when it must stop. */
static int worker_query(Worker *w, const Query *query, const char *const *params, Rows **ret,
                        Error *ret_error) {
        usec_t give_up = now(CLOCK_BOOTTIME) + w->engine->lapse, pause = 100 * USEC_PER_MSEC;

        for (bool lost = false;; lost = true) {
                _cleanup_(error_done) Error error = ERROR_NULL;
                int r = 0;

                if (!db_is_open(*w->db)) {
                        db_free(*w->db);
                        *w->db = NULL;
                        r = db_connect(w->config->settings->database_url, PROJECT_NAME,
                                       w->engine->statement_limit, w->db, &error);
                        if (r >= 0 && lost)
                                log_info("Connected to the database again");
                }
                if (r >= 0)
                        r = db_query(*w->db, query, params, w->engine->statement_limit, ret,
                                     &error);
                if (r >= 0)
                        return r;
                if (error.class != ERROR_TRANSIENT) {
                        error_move(ret_error, &error);
                        return r;
                }
                if (!lost)
                        log_full(LOG_WARNING, NULL, &error, "%s failed, asking again", query->name);

                usec_t t = now(CLOCK_BOOTTIME);
                usec_t limit = w->stopping           ? w->stop_by
                               : worker_has_begun(w) ? MAX(give_up, w->budget_ends)
                                                     : give_up;
                if (t >= limit) {
                        error_move(ret_error, &error);
                        return r;
                }
                worker_wait(w, MIN(t + pause, limit));
                pause = MIN(pause * 2, 2 * USEC_PER_SEC);
        }
}

static int worker_register(Worker *w, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        char host[65] = "", boot[ID128_SIZE], pid[24], clock[ISO8601_SIZE];
        usec_t asked = now(CLOCK_BOOTTIME);
        int r;

        (void) gethostname(host, sizeof(host) - 1);
        boot_id(boot);
        (void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
        time_format_iso8601(now(CLOCK_REALTIME), clock);
        r = worker_query(w, &query_register_worker,
                         (const char *[]){ w->id, w->config->service, host, boot, pid,
                                           PROJECT_VERSION, clock },
                         &rows, ret_error);
        if (r < 0)
                return r;
        pthread_mutex_lock(&w->pool.lock);
        w->pool.fence = asked + w->engine->self_fence;
        pthread_mutex_unlock(&w->pool.lock);
        w->next_beat = asked + w->engine->beat;
        return 0;
}

/* This worker was given up (it slept, or the database was away): its jobs are somebody else's. What
 * is being sent is still recorded when it ends; everything else is dropped. */
static int worker_was_given_up(Worker *w, Error *ret_error) {
        log_warning("This worker lapsed and its jobs were put back; going on under a new name");
        pthread_mutex_lock(&w->pool.lock);
        w->pool.fence = 0;
        for (size_t i = 0; i < w->n_tasks; i++)
                w->tasks[i]->lost = true;
        pthread_mutex_unlock(&w->pool.lock);
        (void) snprintf(w->id, sizeof(w->id), "%s-%u", w->first_id, ++w->lives);
        return worker_register(w, ret_error);
}

static Task *worker_task_by_lease(Worker *w, int64_t lease) {
        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i]->job.lease == lease)
                        return w->tasks[i];
        return NULL;
}

static int worker_beat(Worker *w, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(str_done) Str leases = {};
        char clock[ISO8601_SIZE];
        usec_t asked = now(CLOCK_BOOTTIME);
        const char *separator = "{";
        int r;

        for (size_t i = 0; i < w->n_tasks; i++) {
                const Task *t = w->tasks[i];

                if (t->lost || t->abandoned)
                        continue;
                if (str_appendf(&leases, "%s%" PRId64, separator, t->job.lease) < 0)
                        return error_oom(ret_error);
                separator = ",";
        }
        if (str_append(&leases, *separator == '{' ? "{}" : "}") < 0)
                return error_oom(ret_error);
        time_format_iso8601(now(CLOCK_REALTIME), clock);
        r = worker_query(w, &query_beat, (const char *[]){ w->id, leases.data, clock }, &rows,
                         &error);
        if (r < 0 && streq_ptr(error.code, "AM001"))
                return worker_was_given_up(w, ret_error);
        if (r < 0) {
                error_move(ret_error, &error);
                return r;
        }

        pthread_mutex_lock(&w->pool.lock);
        w->pool.fence = asked + w->engine->self_fence;
        for (size_t i = 0; i < rows_count(rows); i++) {
                Task *t = worker_task_by_lease(w, rows_int64(rows, i, 0, -1));

                if (t && streq(rows_text(rows, i, 1), "cancelled"))
                        t->cancelled = true;
                else if (t)
                        t->lost = true;
        }
        pthread_mutex_unlock(&w->pool.lock);
        w->next_beat = asked + w->engine->beat;
        sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=%s %u, retrying %u, %zu to go",
                   60 * USEC_PER_SEC, w->config->done_word, w->counts.completed, w->counts.retried,
                   w->n_tasks);
        return 0;
}

static const JobType *worker_type(const Worker *w, const char *name) {
        for (size_t i = 0; i < w->config->n_types; i++)
                if (streq(w->config->types[i]->name, name))
                        return w->config->types[i];
        return NULL;
}

static unsigned worker_idle_actors(Worker *w) {
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
        t->job.deadline =
                now(CLOCK_BOOTTIME) + (usec_t) rows_int64(rows, i, 5, 60000) * USEC_PER_MSEC;
        if (!t->job.id || !t->job.execution_id || !t->job.type || !t->job.logs ||
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

static int worker_claim(Worker *w, unsigned n, Error *ret_error) {
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
        w->next_claim = w->drained ? now(CLOCK_BOOTTIME) + w->engine->beat / 12 : 0;
        return 0;
}

/* Every process-wide preparation of the types, once, before the first actor. */
static int worker_process_init(Worker *w, Error *ret_error) {
        for (size_t i = 0; i < w->config->n_types; i++) {
                const JobType *type = w->config->types[i];

                if (type->process_init) {
                        int r = type->process_init(w->config->settings, ret_error);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

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

static void worker_apply_verdict(Worker *w, Task *t, usec_t asked, const Rows *rows, size_t i) {
        const char *verdict = rows_text(rows, i, 1);

        if (streq(verdict, "stale"))
                return; /* a beat comes first, then it is asked again */
        if (streq(verdict, "go")) {
                t->job.begun = true;
                t->job.begin_number = rows_int64(rows, i, 2, 0);
                t->job.send_by = asked + w->engine->send_deadline;
                pool_verdict(&w->pool, t, true);
                return;
        }
        log_debug("Job %s was not begun: %s%s%s", t->job.id, verdict,
                  rows_text(rows, i, 3) ? ", " : "", rows_text(rows, i, 3) ?: "");
        if (streq(verdict, "cancelled") || streq(verdict, "late"))
                w->counts.cancelled++;
        else if (streq(verdict, "held"))
                w->counts.held++;
        else
                w->counts.put_back++;
        w->drained = false;
        pool_verdict(&w->pool, t, false);
}

/* Begins what is prepared: n tasks in one statement. */
static int worker_begin(Worker *w, Task *const *ready, size_t n, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *items = json_object_new_array();
        _cleanup_(rows_freep) Rows *rows = NULL;
        char batch[ID128_SIZE];
        usec_t asked;
        int r;

        for (size_t i = 0; i < n; i++) {
                JsonObject *item = begin_item(ready[i]);

                if (!items || !item || json_object_array_add(items, item) < 0)
                        return error_oom(ret_error);
        }
        id128_random(batch);
        asked = now(CLOCK_BOOTTIME); /* not after the database's begun_at */
        r = worker_query(w, &query_begin_jobs, (const char *[]){ w->id, batch, json_text(items) },
                         &rows, ret_error);
        if (r < 0)
                return r;
        stop_point("begin");
        for (size_t i = 0; i < rows_count(rows); i++)
                for (size_t k = 0; k < n; k++)
                        if (streq(ready[k]->job.id, rows_text(rows, i, 0)))
                                worker_apply_verdict(w, ready[k], asked, rows, i);
        return 0;
}

/* A task that could not be begun at all (its row or the application's tables refuse): said, and put
 * back to be tried later. */
static void worker_cannot_begin(Worker *w, Task *t, Error *error) {
        pthread_mutex_lock(&w->pool.lock);
        t->outcome.kind = OUTCOME_ERROR;
        error_move(&t->outcome.error, error);
        pthread_mutex_unlock(&w->pool.lock);
        log_full(LOG_ERR, NULL, &t->outcome.error, "Job %s cannot be begun", t->job.id);
        pool_verdict(&w->pool, t, false);
}

static int worker_begin_ready(Worker *w, Error *ret_error) {
        Task *ready[512];
        size_t n = 0;
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks && n < ELEMENTSOF(ready); i++)
                if (w->tasks[i]->state == TASK_READY)
                        ready[n++] = w->tasks[i];
        pthread_mutex_unlock(&w->pool.lock);
        if (n == 0)
                return 0;

        r = worker_begin(w, ready, n, &error);
        if (r >= 0)
                return 0;
        if (streq_ptr(error.code, "AM001")) {
                r = worker_was_given_up(w, ret_error);
                for (size_t i = 0; i < n; i++)
                        pool_verdict(&w->pool, ready[i], false);
                return r;
        }
        if (error.class == ERROR_TRANSIENT) {
                for (size_t i = 0; i < n; i++)
                        pool_verdict(&w->pool, ready[i], false);
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

static void worker_forget(Worker *w, Task *t) {
        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i] == t) {
                        w->tasks[i] = w->tasks[--w->n_tasks];
                        task_free(t);
                        return;
                }
}

static void worker_report(Worker *w, Task *t, const char *outcome, const Rows *rows, size_t i) {
        const char *verdict = rows_text(rows, i, 1), *status = rows_text(rows, i, 2) ?: "gone";
        const Error *e = t->outcome.error.class != ERROR_NONE ? &t->outcome.error : NULL;
        usec_t due = (usec_t) rows_int64(rows, i, 3, 0), t0 = now(CLOCK_REALTIME);
        _cleanup_free_ char *when = NULL;
        _cleanup_(log_popp) _unused_ LogField *id = log_push(FIELD_JOB_ID, "%s", t->job.id);
        _cleanup_(log_popp) _unused_ LogField *type = log_push(FIELD_JOB_TYPE, "%s", t->job.type);
        _cleanup_(log_popp) _unused_ LogField *attempt =
                log_push(FIELD_ATTEMPT, "%" PRId64, t->job.attempt);
        _cleanup_(log_popp) _unused_ LogField *account =
                log_push(FIELD_ACCOUNT_ID, "%s",
                         json_string(json_member(t->job.input, "account"), "id") ?: "");
        const char *post = json_string(json_member(t->job.input, "post"), "id");
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
        } else if (streq(outcome, "held") || streq_ptr(rows_text(rows, i, 2), "held")) {
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

/* Settles n tasks in one statement; those that are settled are forgotten. */
static int worker_settle(Worker *w, Task *const *ended, size_t n, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *items = json_object_new_array();
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

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
                for (size_t k = 0; k < n; k++)
                        if (streq(ended[k]->job.id, rows_text(rows, i, 0)))
                                worker_report(w, ended[k], settle_outcome(ended[k]), rows, i);
        }
        for (size_t i = 0; i < n; i++)
                worker_forget(w, ended[i]);
        w->drained = false;
        w->next_claim = 0;
        return 0;
}

/* Sorts out tasks that ended: most are settled; dropped ones, and those whose lease is gone and
 * that have nothing to record, are forgotten. */
static size_t worker_ended(Worker *w, Task **ret, size_t max) {
        size_t n = 0;

        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = w->n_tasks; i-- > 0;) {
                Task *t = w->tasks[i];
                bool nothing = t->state == TASK_DROPPED && t->outcome.kind != OUTCOME_ERROR;

                if (t->has_actor || (t->state != TASK_ENDED && t->state != TASK_DROPPED))
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

static int worker_settle_ended(Worker *w, Error *ret_error) {
        Task *ended[SETTLE_BATCH];
        size_t n = worker_ended(w, ended, ELEMENTSOF(ended));
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        if (n == 0)
                return 0;
        r = worker_settle(w, ended, n, &error);
        if (r >= 0)
                return 0;
        if (error.class == ERROR_TRANSIENT && streq_ptr(error.code, "connection")) {
                error_move(ret_error, &error);
                return r;
        }
        /* One row that cannot be recorded holds up no other. */
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
                worker_forget(w, t);
        }
        return 0;
}

/* Past timeout_ms: recorded now, the actor is left to end by itself; only a receipt of it counts.
 */
static int worker_expire(Worker *w, Error *ret_error) {
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
                overdue = task->has_actor && !task->abandoned && !task->lost &&
                          t > task->job.deadline &&
                          (task->state == TASK_ACTING || task->state == TASK_PREPARING);
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

/* While stopping, what has not begun goes back. */
static void worker_put_back_unbegun(Worker *w) {
        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks; i++) {
                Task *t = w->tasks[i];

                t->put_back = true;
                if (t->state == TASK_READY) {
                        t->state = TASK_ENDED;
                        pthread_cond_signal(&t->verdict);
                }
        }
        pthread_mutex_unlock(&w->pool.lock);
}

/* While this worker lives, others may die. */
static void worker_rescue(Worker *w) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int64_t jobs = 0;

        w->next_rescue = now(CLOCK_BOOTTIME) + w->engine->lapse;
        if (rescue_lapsed(*w->db, w->engine->statement_limit, &jobs, &error) < 0)
                log_full(LOG_WARNING, NULL, &error, "Cannot look for lapsed workers");
        if (jobs > 0)
                w->drained = false;
}

static int worker_collect(Worker *w, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        bool more = false;
        int r;

        r = w->config->collect(*w->db, w->engine->statement_limit, &w->collect_state, &more,
                               &error);
        if (r < 0 && error.class == ERROR_CONFIG) {
                error_move(ret_error, &error);
                return r;
        }
        if (r < 0) {
                /* What is in the queue already need not wait for it. */
                log_full(LOG_WARNING, NULL, &error, "Collecting failed, it is tried again");
                w->next_collect = now(CLOCK_BOOTTIME) + w->engine->beat;
                w->collected = true;
                return 0;
        }
        w->collected = !more;
        if (!more)
                w->next_collect = now(CLOCK_BOOTTIME) + w->engine->collect_every;
        w->next_claim = 0;
        w->drained = false;
        return 0;
}

/* One turn. Returns 1 when there is nothing more to do. */
static int worker_turn(Worker *w, Error *ret_error) {
        usec_t t = now(CLOCK_BOOTTIME);
        unsigned idle;
        int r;

        if (t >= w->budget_ends && !w->stopping) {
                log_info("The time for one run is used up; the next run goes on");
                w->stopping = true;
                w->stop_by = t + w->config->settings->grace_sec * USEC_PER_SEC;
        }
        if (w->stopping)
                worker_put_back_unbegun(w);
        if (t >= w->next_beat && (r = worker_beat(w, ret_error)) < 0)
                return r;
        if (!w->stopping && (r = worker_begin_ready(w, ret_error)) < 0)
                return r;
        r = worker_settle_ended(w, ret_error);
        if (r < 0)
                return r;
        r = worker_expire(w, ret_error);
        if (r < 0)
                return r;
        if (w->stopping)
                return w->n_tasks == 0 || t >= w->stop_by ? 1 : 0;

        t = now(CLOCK_BOOTTIME);
        if (t >= w->next_rescue)
                worker_rescue(w);
        if (w->config->collect && (!w->collected || t >= w->next_collect) &&
            (r = worker_collect(w, ret_error)) < 0)
                return r;
        idle = worker_idle_actors(w);
        if (idle > 0 && t >= w->next_claim && (r = worker_claim(w, idle, ret_error)) < 0)
                return r;
        return w->drained && w->n_tasks == 0 && (w->collected || !w->config->collect);
}

/* When something is to be done without an event. */
static usec_t worker_next(Worker *w) {
        usec_t next = MIN(MIN(w->next_beat, w->next_rescue), w->budget_ends);

        if (w->stopping)
                return MIN(next, w->stop_by);
        if (w->config->collect)
                next = MIN(next, w->collected ? w->next_collect : 0);
        if (worker_idle_actors(w) > 0)
                next = MIN(next, w->next_claim);
        for (size_t i = 0; i < w->n_tasks; i++)
                if (!w->tasks[i]->abandoned)
                        next = MIN(next, w->tasks[i]->job.deadline);
        return next;
}

static int types_array(const WorkerConfig *config, char **ret) {
        _cleanup_(str_done) Str s = {};

        for (size_t i = 0; i < config->n_types; i++)
                if (str_appendf(&s, "%s%s", i == 0 ? "{" : ",", config->types[i]->name) < 0)
                        return -ENOMEM;
        if (str_append(&s, "}") < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(s.data);
        return 0;
}

static int worker_loop(Worker *w, Error *ret_error) {
        int r;

        r = worker_register(w, ret_error);
        while (r == 0) {
                r = worker_turn(w, ret_error);
                if (r == 0)
                        worker_wait(w, worker_next(w));
        }
        return r < 0 ? r : 0;
}

/* Puts back whatever is left and ends the worker's row; a database that is away finds it lapsed. */
static void worker_end(Worker *w, const char *reason) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;

        if (!db_is_open(*w->db))
                return;
        if (db_query(*w->db, &query_release_worker, (const char *[]){ w->id, reason },
                     w->engine->statement_limit, &rows, &error) < 0)
                log_full(LOG_WARNING, NULL, &error, "Cannot end this worker in the database");
        else if (rows_int64(rows, 0, 0, 0) > 0)
                log_info("Put back %" PRId64 " jobs that were under way",
                         rows_int64(rows, 0, 0, 0));
}

int worker_run(const WorkerConfig *config, const Engine *engine, Db **db, const char *worker_id,
               WorkerCounts *ret_counts, Error *ret_error) {
        Worker w = {
                .config = config,
                .engine = engine,
                .db = db,
                .first_id = worker_id,
                .signal_fd = -1,
                .budget_ends = now(CLOCK_BOOTTIME) + config->settings->budget_sec * USEC_PER_SEC,
        };
        sigset_t mask, before;
        int r;

        (void) snprintf(w.id, sizeof(w.id), "%s", worker_id);
        r = types_array(config, &w.types);
        if (r < 0)
                return error_oom(ret_error);
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        pthread_sigmask(SIG_BLOCK, &mask, &before);
        w.signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        r = pool_init(&w.pool, config->settings, (unsigned) config->settings->actors, ret_error);
        if (r >= 0)
                r = worker_process_init(&w, ret_error);
        if (r >= 0) {
                r = worker_loop(&w, ret_error);
                worker_end(&w, r < 0 ? "ended with an error" : w.stopping ? "stopped" : "finished");
        }

        if (w.pool.wake_fd >= 0)
                w.counts.actors_left = !pool_done(&w.pool, w.n_tasks == 0 ? 5 * USEC_PER_SEC : 0);
        *ret_counts = w.counts;
        if (w.counts.actors_left)
                return r; /* what they use stays */
        while (w.n_tasks > 0)
                task_free(w.tasks[--w.n_tasks]);
        free(w.tasks);
        free(w.types);
        free(w.collect_state);
        if (w.signal_fd >= 0)
                (void) close(w.signal_fd);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r;
}
