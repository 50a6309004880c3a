/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queue/task.h"

#define LINE_MAX_BYTES 1000
#define LINES_MAX 1000 /* of one attempt */

void outcome_done(Outcome *o) {
        error_done(&o->error);
        json_object_put(o->result);
        json_object_put(o->receipt);
        json_object_put(o->tokens);
        *o = (Outcome){};
}

void prepared_done(Prepared *p) {
        free(p->handle);
        free(p->way);
        json_object_put(p->request);
        *p = (Prepared){};
}

static int compare_ids(const void *a, const void *b) {
        const Task *const *x = a, *const *y = b;

        return strcmp((*x)->job.id, (*y)->job.id);
}

static int compare_id(const void *id, const void *task) {
        return strcmp(id, (*(Task *const *) task)->job.id);
}

void tasks_sort(Task **tasks, size_t n) {
        qsort(tasks, n, sizeof(Task *), compare_ids);
}

Task *tasks_find(Task *const *tasks, size_t n, const char *id) {
        Task *const *t = id ? bsearch(id, tasks, n, sizeof(Task *), compare_id) : NULL;

        return t ? *t : NULL;
}

/* Asked right before the first byte, on the actor's thread: the beats of a worker that may have
 * been given up are old, and then it sends nothing. */
static bool task_may_send(const Job *job) {
        const Task *t = job->task;
        bool may;

        pthread_mutex_lock(&t->pool->lock);
        may = !t->cancelled && !t->lost && now(CLOCK_BOOTTIME) < t->pool->fence;
        pthread_mutex_unlock(&t->pool->lock);
        return may;
}

Task *task_new(Pool *pool, const JobType *type) {
        Task *t = calloc(1, sizeof(Task));

        if (!t)
                return NULL;
        t->pool = pool;
        t->type = type;
        t->job.task = t;
        t->job.settings = pool->settings;
        t->job.may_send = task_may_send;
        return t;
}

void task_free(Task *t) {
        if (!t)
                return;
        prepared_done(&t->prepared);
        outcome_done(&t->outcome);
        free(t->job.id);
        free(t->job.execution_id);
        free(t->job.type);
        json_object_put(t->job.input);
        for (size_t i = 0; i < t->n_lines; i++)
                free(t->lines[i].message);
        free(t->lines);
        free(t);
}

const char *line_level(const Line *line) {
        return line->level <= LOG_ERR       ? "error"
               : line->level == LOG_WARNING ? "warn"
               : line->level == LOG_DEBUG   ? "debug"
                                            : "info";
}

/* A job that says too much is cut short, and says so. Without memory it says nothing. */
static void task_add_line(Task *t, int level, const char *message) {
        pthread_mutex_lock(&t->pool->lock);
        if (t->n_said < LINES_MAX && t->n_lines == t->max_lines) {
                Line *more = reallocarray(t->lines, t->max_lines * 2 + 4, sizeof(Line));

                if (more) {
                        t->lines = more;
                        t->max_lines = t->max_lines * 2 + 4;
                }
        }
        if (t->n_said < LINES_MAX && t->n_lines < t->max_lines) {
                Line line = {
                        .n = t->n_said,
                        .level = level,
                        .at = now(CLOCK_REALTIME),
                        .message = strdup(t->n_said == LINES_MAX - 1
                                                  ? "what it says further is in the journal"
                                                  : message),
                };

                if (line.message) {
                        t->lines[t->n_lines++] = line;
                        t->n_said++;
                }
        }
        pthread_mutex_unlock(&t->pool->lock);
}

static JsonObject *line_json(const Line *line) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        char at[ISO8601_SIZE];

        time_format_iso8601(line->at, at);
        if (!o || json_set_int64(o, "n", line->n) < 0 ||
            json_set_string(o, "level", line_level(line)) < 0 ||
            json_set_string(o, "message", line->message) < 0 || json_set_string(o, "at", at) < 0)
                return NULL;
        return TAKE_PTR(o);
}

int task_lines(Task *t, size_t max, JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *lines = json_object_new_array();
        int r = lines ? 0 : -ENOMEM;

        pthread_mutex_lock(&t->pool->lock);
        for (size_t i = 0; r >= 0 && i < MIN(max, t->n_lines); i++) {
                JsonObject *line = line_json(&t->lines[i]);

                if (!line || json_object_array_add(lines, line) < 0) {
                        json_object_put(line);
                        r = -ENOMEM;
                }
        }
        pthread_mutex_unlock(&t->pool->lock);
        if (r >= 0)
                *ret = TAKE_PTR(lines);
        return r;
}

void task_lines_stored(Task *t, int64_t n) {
        size_t stored = 0;

        pthread_mutex_lock(&t->pool->lock);
        while (stored < t->n_lines && t->lines[stored].n < n)
                free(t->lines[stored++].message);
        t->n_lines -= stored;
        if (stored > 0)
                memmove(t->lines, t->lines + stored, t->n_lines * sizeof(Line));
        pthread_mutex_unlock(&t->pool->lock);
}

void job_log(Job *job, int level, const char *format, ...) {
        JsonObject *account = json_member(job->input, "account");
        const char *secrets[2];
        size_t n_secrets = 0;
        _cleanup_free_ char *text = NULL, *scrubbed = NULL, *clean = NULL;
        va_list args;
        int r;

        va_start(args, format);
        r = vasprintf(&text, format, args);
        va_end(args);
        if (r < 0) {
                text = NULL;
                return;
        }
        if (json_string(account, "accessToken"))
                secrets[n_secrets++] = json_string(account, "accessToken");
        if (json_string(account, "refreshToken"))
                secrets[n_secrets++] = json_string(account, "refreshToken");
        scrubbed = text_scrub(text, secrets, n_secrets);
        clean = scrubbed ? utf8_make_valid(scrubbed, strlen(scrubbed), LINE_MAX_BYTES) : NULL;
        if (!clean)
                return;
        log_full(level, NULL, NULL, "%s", clean);
        task_add_line(job->task, level, clean);
}

void task_put_back(Task *t) {
        t->outcome.kind = OUTCOME_PUT_BACK;
        t->state = TASK_ENDED;
        t->ended_at = now(CLOCK_REALTIME);
        t->has_actor = false;
}

bool task_is_at_work(const Task *t) {
        return t->has_actor && !t->abandoned && !t->lost &&
               (t->state == TASK_ACTING || t->state == TASK_PREPARING);
}
