/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/stop-point.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queue/task.h"

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
