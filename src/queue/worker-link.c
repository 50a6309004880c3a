/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/worker-internal.h"

void worker_wait(Worker *w, usec_t until) {
        struct pollfd fds[] = {
                { .fd = w->signal_fd, .events = POLLIN },
                { .fd = w->pool.wake_fd, .events = POLLIN },
                /* who stops takes no notice of new jobs */
                { .fd = w->config->resident && !w->stopping ? db_fd(*w->db) : -1,
                  .events = POLLIN },
                { .fd = w->settles[0].n > 0 ? db_fd(w->settles[0].side.db) : -1, .events = POLLIN },
                { .fd = w->settles[1].n > 0 ? db_fd(w->settles[1].side.db) : -1, .events = POLLIN },
                { .fd = w->claim.kind ? db_fd(w->claim.side.db) : -1, .events = POLLIN },
        };
        usec_t t = now(CLOCK_BOOTTIME);
        struct signalfd_siginfo info;

        /* Whoever supervises us hears that turns are taken, and so of one that never ends. */
        if (w->watchdog > 0) {
                if (t >= w->next_sign) {
                        sd_notify(0, "WATCHDOG=1");
                        w->next_sign = t + w->watchdog / 4;
                }
                until = MIN(until, w->next_sign);
        }
        (void) poll(fds, ELEMENTSOF(fds), until > t ? (int) ((until - t) / USEC_PER_MSEC + 1) : 0);
        pool_heard(&w->pool);
        if (read(w->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info) && !w->stopping) {
                w->stopping = true;
                w->stop_by = now(CLOCK_BOOTTIME) + w->config->settings->grace_sec * USEC_PER_SEC;
                w->counts.reload = info.ssi_signo == SIGHUP;
                if (w->counts.reload) {
                        sd_notify(0, "RELOADING=1\nSTATUS=Reloading: what is being sent finishes");
                        log_info("Reloading when what is being sent has finished");
                } else {
                        sd_notify(0, "STOPPING=1\nSTATUS=Stopping: what is being sent may finish");
                        log_info("Stopping: what is being sent may finish within %" PRIu64 " s",
                                 w->config->settings->grace_sec);
                }
        }
}

static bool worker_has_begun(const Worker *w) {
        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i]->job.begun)
                        return true;
        return false;
}

int worker_query(Worker *w, const Query *query, const char *const *params, Rows **ret,
                 Error *ret_error) {
        usec_t give_up = now(CLOCK_BOOTTIME) + w->engine->lapse, pause = 100 * USEC_PER_MSEC;

        for (bool lost = false;; lost = true) {
                _cleanup_(error_done) Error error = ERROR_NULL;
                int r = 0;

                if (!db_is_open(*w->db)) {
                        lost |= *w->db != NULL;
                        db_free(*w->db);
                        *w->db = NULL;
                        worker_look_lost(w);
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

void worker_next_batch(Worker *w, char ret[static BATCH_SIZE]) {
        (void) snprintf(ret, BATCH_SIZE, "%u", ++w->batches);
}

int worker_register(Worker *w, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        char pid[24], clock[ISO8601_SIZE];
        usec_t asked = now(CLOCK_BOOTTIME);
        int r;

        (void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
        time_format_iso8601(now(CLOCK_REALTIME), clock);
        /* A schema that lists no hosts knows the statement without the last parameter. */
        r = worker_query(w, w->engine->installation ? &query_enter_worker : &query_register_worker,
                         (const char *[]){ w->id, w->config->service, w->host.name, w->host.boot,
                                           pid, PROJECT_VERSION, clock, w->host.machine },
                         &rows, ret_error);
        if (r < 0)
                return r;
        pthread_mutex_lock(&w->pool.lock);
        w->pool.fence = asked + w->engine->self_fence;
        pthread_mutex_unlock(&w->pool.lock);
        w->next_beat = asked + w->engine->beat;
        return 0;
}

int worker_was_given_up(Worker *w, Error *ret_error) {
        log_warning("This worker lapsed and its jobs were put back; going on under a new name");
        pthread_mutex_lock(&w->pool.lock);
        w->pool.fence = 0;
        for (size_t i = 0; i < w->n_tasks; i++)
                w->tasks[i]->lost = true;
        pthread_mutex_unlock(&w->pool.lock);
        /* A claim that is under way is not the new name's. */
        w->claim.kind = NULL;
        db_free(w->claim.side.db);
        w->claim.side.db = NULL;
        /* A database that does not know this worker may be another one: a copy put in its place. */
        w->must_meet = w->engine->installation;
        worker_wants_any(w);
        (void) snprintf(w->id, sizeof(w->id), "%s-%u", w->first_id, ++w->lives);
        return worker_register(w, ret_error);
}

Task *worker_task_by_lease(Worker *w, int64_t lease) {
        for (size_t i = 0; i < w->n_tasks; i++)
                if (w->tasks[i]->job.lease == lease)
                        return w->tasks[i];
        return NULL;
}

int worker_beat(Worker *w, Error *ret_error) {
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
        /* Of who stays no time is to run out, and systemd's watchdog would wait as long. */
        if (!w->config->resident)
                sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, 60 * USEC_PER_SEC);
        return 0;
}

void worker_show(Worker *w) {
        usec_t t = now(CLOCK_BOOTTIME);
        char status[sizeof(w->shown)];

        if (t < w->next_show || w->stopping)
                return;
        (void) snprintf(status, sizeof(status), "%s %u, retrying %u, %zu to go",
                        w->config->done_word, w->counts.completed, w->counts.retried, w->n_tasks);
        if (w->config->resident)
                worker_show_look(w, status, sizeof(status));
        if (streq(status, w->shown))
                return;
        memcpy(w->shown, status, sizeof(status));
        w->next_show = t + 200 * USEC_PER_MSEC;
        sd_notifyf(0, "STATUS=%s", status);
}

void worker_end(Worker *w, const char *reason) {
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
