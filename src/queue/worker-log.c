/* SPDX-License-Identifier: MIT */

#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/worker-internal.h"

#define LINES_OF_ONE 50
#define TASKS_MAX 200

/* Somebody may be watching: a job that takes long gives a sign of life, ever more rarely. */
static void still_running(Task *t, usec_t age) {
        _cleanup_(log_popp) _unused_ LogField *id = log_push(FIELD_JOB_ID, "%s", t->job.id);
        _cleanup_(log_popp) _unused_ LogField *type = log_push(FIELD_JOB_TYPE, "%s", t->job.type);
        _cleanup_free_ char *span = NULL;

        if (age < t->sign_after || time_format_span(age, &span) < 0)
                return;
        job_log(&t->job, t->sign_after == 0 ? LOG_INFO : LOG_DEBUG, "still running after %s", span);
        t->sign_after = 2 * age;
}

/* The item for automapost.log_jobs(); NULL where the task has nothing to say. */
static int log_item(Task *t, JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *o = NULL, *lines = NULL;

        *ret = NULL;
        if (task_lines(t, LINES_OF_ONE, &lines) < 0)
                return -ENOMEM;
        if (json_object_array_length(lines) == 0)
                return 0;
        o = json_object_new_object();
        if (!o || json_set_string(o, "id", t->job.id) < 0 ||
            json_set_int64(o, "lease", t->job.lease) < 0 ||
            json_set_string(o, "execution_id", t->job.execution_id) < 0 ||
            json_set(o, "logs", TAKE_PTR(lines)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}

static bool task_runs(Task *t) {
        bool runs;

        pthread_mutex_lock(&t->pool->lock);
        runs = task_is_at_work(t);
        pthread_mutex_unlock(&t->pool->lock);
        return runs;
}

int worker_log_running(Worker *w, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *items = json_object_new_array();
        _cleanup_(rows_freep) Rows *rows = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        usec_t t = now(CLOCK_BOOTTIME);
        int r;

        for (size_t i = 0; items && i < w->n_tasks && json_object_array_length(items) < TASKS_MAX;
             i++) {
                Task *task = w->tasks[i];
                JsonObject *item;

                /* What ends soon settles soon, and its lines with it. */
                if (t < task->claimed_at + w->engine->beat || !task_runs(task))
                        continue;
                still_running(task, t - task->claimed_at);
                if (log_item(task, &item) < 0)
                        return error_oom(ret_error);
                if (item && json_object_array_add(items, item) < 0) {
                        json_object_put(item);
                        return error_oom(ret_error);
                }
        }
        if (!items)
                return error_oom(ret_error);
        if (json_object_array_length(items) == 0)
                return 0;

        r = worker_query(w, &query_log_jobs, (const char *[]){ w->id, json_text(items) }, &rows,
                         &error);
        if (r < 0 && error.class == ERROR_TRANSIENT) {
                error_move(ret_error, &error);
                return r;
        }
        if (r < 0) {
                /* They come with the settle. */
                log_full(w->log_refused ? LOG_DEBUG : LOG_WARNING, NULL, &error,
                         "What running jobs say cannot be stored yet");
                w->log_refused = true;
        }
        for (size_t i = 0; r >= 0 && i < rows_count(rows); i++) {
                Task *task = worker_task_by_lease(w, rows_int64(rows, i, 0, -1));

                if (task)
                        task_lines_stored(task, rows_int64(rows, i, 1, 0));
        }
        return 0;
}
