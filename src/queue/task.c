/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/stop-point.h"
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

/* Called with the lock held. */
static void pool_wake_coordinator(Pool *p) {
        uint64_t one = 1;

        if (!p->woken)
                (void) !write(p->wake_fd, &one, sizeof(one));
        p->woken = true;
}

void pool_heard(Pool *p) {
        uint64_t count;

        pthread_mutex_lock(&p->lock);
        p->woken = false;
        (void) !read(p->wake_fd, &count, sizeof(count));
        pthread_mutex_unlock(&p->lock);
}

static void queue_append(TaskQueue *q, Task *t) {
        if (q->last)
                q->last->next = t;
        else
                q->first = t;
        q->last = t;
        q->n++;
}

static Task *queue_take(TaskQueue *q) {
        Task *t = q->first;

        if (!t)
                return NULL;
        q->first = t->next;
        if (!q->first)
                q->last = NULL;
        q->n--;
        t->next = NULL;
        return t;
}

/* Wakes or starts one actor. Called with the lock held. */
static int pool_add_actor(Pool *p);

/* Whether an actor may do anything but act on what is begun. Called with the lock held. */
static bool pool_has_room(const Pool *p) {
        return p->n_working + p->n_reserved < p->max_threads;
}

/* Calls an actor for what waits, where none is on its way: that one will see to the next. Called
 * with the lock held. */
static void pool_call_next(Pool *p) {
        if (p->n_called + p->n_new == 0 &&
            (p->begun.n > 0 || (p->urgent.n > 0 && pool_has_room(p))))
                (void) pool_add_actor(p); /* else those that there are do it */
}

/* The next task for an idle actor, or NULL. Called with the lock held. */
static Task *pool_take(Pool *p) {
        Task *t = queue_take(&p->begun);

        if (!t && pool_has_room(p)) {
                t = queue_take(&p->urgent);
                if (!t && p->n_plain_running < p->max_plain && (t = queue_take(&p->plain)))
                        p->n_plain_running++;
        }
        if (t)
                p->n_working++;
        pool_call_next(p);
        return t;
}

/* It has ended. Called with the lock held. */
static void task_end(Task *t) {
        t->ended_at = now(CLOCK_REALTIME);
        t->has_actor = false;
        pool_wake_coordinator(t->pool);
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

/* One of the type's functions. r: what it returned. */
static void task_failed(const Task *t, int r, Outcome *outcome) {
        if (r >= 0 || outcome->kind != OUTCOME_DONE)
                return;
        outcome->kind = OUTCOME_ERROR; /* it failed without saying how */
        error_setf(&outcome->error, t->job.begun ? ERROR_UNKNOWN_OUTCOME : ERROR_TRANSIENT, r,
                   "internal", "%s", strerror(-r));
}

/* Its actor is free for another. Called with the lock held. */
static void task_let_go(Task *t, bool prepared) {
        Pool *p = t->pool;

        p->n_working--;
        if (prepared)
                p->n_unready--;
        if (!t->type->prepare)
                p->n_plain_running--;
}

/* What an actor has to do with a task for now: prepare it, or act. Called and left with the lock
 * held; released while the type's function works. */
static void task_run(Task *t, void *thread) {
        Pool *p = t->pool;
        bool prepares = t->type->prepare && t->state == TASK_QUEUED;
        Outcome outcome = {};
        int r;

        t->state = prepares ? TASK_PREPARING : TASK_ACTING;
        pthread_mutex_unlock(&p->lock);
        t->job.thread = thread;
        {
                _cleanup_(log_popp) _unused_ LogField *id = log_push(FIELD_JOB_ID, "%s", t->job.id);
                _cleanup_(log_popp) _unused_ LogField *type =
                        log_push(FIELD_JOB_TYPE, "%s", t->job.type);
                _cleanup_(log_popp) _unused_ LogField *execution =
                        log_push(FIELD_EXECUTION_ID, "%s", t->job.execution_id);

                r = prepares ? t->type->prepare(&t->job, &t->prepared, &outcome)
                             : t->type->act(&t->job, &t->prepared, &outcome);
        }
        if (prepares)
                stop_point("prepare");
        task_failed(t, r, &outcome);

        pthread_mutex_lock(&p->lock);
        task_let_go(t, prepares);
        if (prepares && r == 0 && !t->lost && !t->put_back && !t->abandoned) {
                t->state = TASK_READY;
                pool_wake_coordinator(p);
                return;
        }
        if (prepares && r == 0)
                outcome.kind = OUTCOME_PUT_BACK;
        t->outcome = outcome;
        t->state = TASK_ENDED;
        task_end(t);
}

static void *actor_main(void *userdata) {
        Pool *p = userdata;
        void *thread = NULL;
        const JobType *made_for = NULL;

        pthread_mutex_lock(&p->lock);
        p->n_new--;
        for (;;) {
                Task *t;

                while (!(t = pool_take(p)) && !p->closing) {
                        p->n_idle++;
                        pthread_cond_wait(&p->work, &p->lock);
                        p->n_idle--;
                        p->n_called -= MIN(p->n_called, 1U);
                }
                if (!t)
                        break;

                if (t->type->thread_new &&
                    (!made_for || made_for->thread_new != t->type->thread_new)) {
                        _cleanup_(error_done) Error error = ERROR_NULL;
                        int r;

                        pthread_mutex_unlock(&p->lock);
                        if (made_for && made_for->thread_free)
                                made_for->thread_free(thread);
                        thread = NULL;
                        r = t->type->thread_new(p->settings, &thread, &error);
                        pthread_mutex_lock(&p->lock);
                        made_for = r < 0 ? NULL : t->type;
                        if (r < 0) {
                                task_let_go(t, t->state == TASK_QUEUED && t->type->prepare);
                                t->outcome.kind = OUTCOME_ERROR;
                                error_move(&t->outcome.error, &error);
                                t->state = TASK_ENDED;
                                task_end(t);
                                continue;
                        }
                }
                task_run(t, thread);
        }
        pthread_mutex_unlock(&p->lock);
        /* Before it counts as ended: the process may exit as soon as the last one has, and what a
         * library frees then must not be in use here. */
        if (made_for && made_for->thread_free)
                made_for->thread_free(thread);
        pthread_mutex_lock(&p->lock);
        p->n_threads--;
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

int pool_init(Pool *p, const Settings *settings, unsigned max_threads, Error *ret_error) {
        pthread_condattr_t attributes;

        *p = (Pool){
                .settings = settings,
                .max_threads = max_threads,
                .max_plain = max_threads,
                .wake_fd = -1,
        };
        p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (p->wake_fd < 0)
                return error_setf(ret_error, ERROR_TRANSIENT, -errno, "resources",
                                  "cannot make an eventfd: %s", strerror(errno));
        pthread_mutex_init(&p->lock, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&p->work, &attributes);
        pthread_condattr_destroy(&attributes);
        return 0;
}

bool pool_done(Pool *p, usec_t timeout) {
        struct timespec until;
        bool ended;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t) (timeout / USEC_PER_SEC);
        pthread_mutex_lock(&p->lock);
        p->closing = true;
        pthread_cond_broadcast(&p->work);
        while (p->n_threads > 0)
                if (pthread_cond_timedwait(&p->work, &p->lock, &until) == ETIMEDOUT)
                        break;
        ended = p->n_threads == 0;
        pthread_mutex_unlock(&p->lock);
        if (ended)
                (void) close(p->wake_fd);
        return ended;
}

/* Signals are the coordinator's. */
static int start_thread(Pool *p) {
        pthread_attr_t attributes;
        sigset_t all, before;
        pthread_t thread;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, 512 * 1024);
        r = pthread_create(&thread, &attributes, actor_main, p);
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

static int pool_add_actor(Pool *p) {
        int r;

        if (p->n_idle > p->n_called) {
                p->n_called++;
                pthread_cond_signal(&p->work);
                return 0;
        }
        if (p->n_threads >= p->max_threads)
                return 0;
        r = start_thread(p);
        if (r < 0)
                return r;
        p->n_threads++;
        p->n_new++;
        return 0;
}

int pool_submit(Pool *p, Task **tasks, size_t n, Error *ret_error) {
        int r = 0;

        pthread_mutex_lock(&p->lock);
        for (size_t i = 0; i < n; i++) {
                Task *t = tasks[i];

                t->has_actor = true;
                queue_append(t->type->prepare ? &p->urgent : &p->plain, t);
                if (t->type->prepare)
                        p->n_unready++;
                if (i == 0)
                        r = pool_add_actor(p);
        }
        r = p->n_threads == 0 ? r : 0; /* those that there are do it */
        pthread_mutex_unlock(&p->lock);
        if (r < 0)
                return error_setf(ret_error, ERROR_TRANSIENT, r, "resources",
                                  "cannot start a thread: %s", strerror(-r));
        return 0;
}

void pool_spread(Pool *p) {
        pthread_mutex_lock(&p->lock);
        for (unsigned i = p->n_plain_running;
             i < MIN(p->n_plain_running + p->plain.n, p->max_plain); i++)
                if (pool_add_actor(p) < 0)
                        break; /* those that there are do it */
        pthread_mutex_unlock(&p->lock);
}

usec_t pool_waiting_since(Pool *p) {
        usec_t since;

        pthread_mutex_lock(&p->lock);
        since = p->plain.first ? p->plain.first->claimed_at : USEC_INFINITY;
        pthread_mutex_unlock(&p->lock);
        return since;
}

void pool_return(Pool *p, TaskQueue *queue) {
        Task *t;

        pthread_mutex_lock(&p->lock);
        while ((t = queue_take(queue))) {
                if (t->type->prepare)
                        p->n_unready--;
                task_put_back(t);
        }
        pthread_mutex_unlock(&p->lock);
}

bool pool_has_quick(Pool *p) {
        bool any;

        pthread_mutex_lock(&p->lock);
        any = p->plain.n + p->begun.n > 0;
        pthread_mutex_unlock(&p->lock);
        return any;
}

unsigned pool_idle(const Pool *p) {
        return p->max_threads - MIN(p->n_working + p->begun.n, p->max_threads);
}

void pool_release(Pool *p) {
        pthread_mutex_lock(&p->lock);
        p->n_reserved = 0;
        pool_call_next(p);
        if (p->plain.n > 0 && p->n_plain_running == 0)
                (void) pool_add_actor(p);
        pthread_mutex_unlock(&p->lock);
}

void pool_go(Pool *p, Task *const *tasks, size_t n) {
        pthread_mutex_lock(&p->lock);
        for (size_t i = 0; i < n; i++) {
                tasks[i]->state = TASK_BEGUN;
                queue_append(&p->begun, tasks[i]);
        }
        pool_call_next(p);
        pthread_mutex_unlock(&p->lock);
}

void pool_drop(Pool *p, Task *t) {
        pthread_mutex_lock(&p->lock);
        t->state = TASK_DROPPED;
        task_end(t);
        pthread_mutex_unlock(&p->lock);
}
