/* SPDX-License-Identifier: MIT */
#pragma once

/* A claimed job on its way through the actors, and the pool of them. One prepares it; when the
 * coordinator has begun it, one (the same or another) acts and hands the outcome over. None touches
 * the database, and none waits for it: of quick tasks a few actors do hundreds. All fields below
 * "shared" are guarded by the pool's lock. */

#include <pthread.h>

#include "queue/job-type.h"

typedef enum TaskState {
        TASK_QUEUED,
        TASK_PREPARING,
        TASK_READY, /* prepared: waits for begin */
        TASK_BEGUN, /* on record: an actor takes it next */
        TASK_ACTING,
        TASK_ENDED,   /* outcome is there: wants to be settled */
        TASK_DROPPED, /* nothing to settle: begin said no, or the lease is lost before it */
} TaskState;

typedef struct Pool Pool;

typedef struct Line {
        int64_t n; /* its number among all that the task said */
        int level;
        usec_t at; /* CLOCK_REALTIME */
        char *message;
} Line;

typedef struct Task {
        Job job;
        const JobType *type;
        Prepared prepared;
        Pool *pool;

        /* the coordinator's */
        usec_t claimed_at; /* CLOCK_BOOTTIME */
        usec_t sign_after; /* how old it is when it gives its next sign of life */
        bool leaving;      /* its settle is under way */
        bool odd;          /* it was, and needs a closer look */
        bool recorded;     /* settled: may be forgotten */

        /* shared */
        TaskState state;
        bool has_actor; /* takes one up: works, or may work at any moment */
        bool cancelled; /* somebody wants it cancelled */
        bool lost;      /* the lease is somebody else's now */
        bool abandoned; /* past its timeout: settled already, only a receipt still counts */
        bool put_back;  /* stopping: not to be begun any more */
        unsigned tries; /* failed settles */
        Line *lines;    /* said, and not known to be stored */
        size_t n_lines, max_lines;
        int64_t n_said; /* lines ever */
        Outcome outcome;
        usec_t ended_at; /* CLOCK_REALTIME */
        struct Task *next;
} Task;

typedef struct TaskQueue {
        Task *first, *last;
        unsigned n;
} TaskQueue;

struct Pool {
        pthread_mutex_t lock;
        pthread_cond_t work; /* actors wait for tasks */
        int wake_fd;         /* the coordinator waits for ready and ended tasks */
        const Settings *settings;
        unsigned max_threads, n_threads, n_idle, n_called, n_new; /* called, new: on their way */
        unsigned n_working;  /* tasks with which an actor is at work now */
        unsigned n_reserved; /* actors for what is being begun: none is to wait for one */
        bool closing;
        bool woken;       /* the coordinator is, and has not looked yet */
        TaskQueue begun;  /* to act on: nothing comes before them */
        TaskQueue urgent; /* to prepare, of types that touch the world: never held up by others */
        TaskQueue plain;  /* may be claimed ahead */
        unsigned max_plain, n_plain_running;
        unsigned n_unready; /* urgent tasks that are not prepared yet */
        /* CLOCK_BOOTTIME until which this worker may begin to send: last acknowledged beat + fence
         */
        usec_t fence;
};

/* pool.c */

int pool_init(Pool *p, const Settings *settings, unsigned max_threads, Error *ret_error);
/* Waits up to timeout for actors to end. false: some still act; the process must end by _exit(). */
bool pool_done(Pool *p, usec_t timeout);

/* The coordinator has heard the wake_fd: what ends from now on wakes it again. */
void pool_heard(Pool *p);

/* Hands tasks to the pool: starts threads where none are idle. Only the first gets an actor at
 * once, for mostly it is done with all of them before a second one is awake; of those that touch
 * the world, who takes one calls the next. */
int pool_submit(Pool *p, Task **tasks, size_t n, Error *ret_error);
/* It was not: an actor for each plain task that still waits. */
void pool_spread(Pool *p);
/* When the plain task was claimed that waits longest for an actor; USEC_INFINITY where none waits.
 */
usec_t pool_waiting_since(Pool *p);
/* Takes back what no actor has begun with, of that queue of the pool. They end as put back. */
void pool_return(Pool *p, TaskQueue *queue);
/* Whether more tasks will have ended in a moment: those before them may wait for these. */
bool pool_has_quick(Pool *p);
/* How many tasks could be acted on at once. Called with the lock held; who sets n_reserved for them
 * takes it back with pool_release(). */
unsigned pool_idle(const Pool *p);
void pool_release(Pool *p);
/* The coordinator's verdict on ready tasks: on with act(), or nothing of it. All at once: an actor
 * that gets one after the other is done with each before the next is there. */
void pool_go(Pool *p, Task *const *tasks, size_t n);
void pool_drop(Pool *p, Task *task);

/* task.c */

Task *task_new(Pool *pool, const JobType *type);
void task_free(Task *task);
/* Whether an actor is at work on it, and what comes of it still counts. Called with the lock held.
 */
bool task_is_at_work(const Task *task);
/* No verdict comes any more: a ready task ends as put back. Called with the lock held. */
void task_put_back(Task *task);

/* Orders tasks by their jobs' ids, and finds one among those so ordered; NULL where it is not
 * there. */
void tasks_sort(Task **tasks, size_t n);
Task *tasks_find(Task *const *tasks, size_t n, const char *id);

/* "info", "warn", …: as job_logs has them. */
const char *line_level(const Line *line);
/* The first lines, at most max, that are not known to be stored; an array of {"n", "level",
 * "message", "at"}. n, the line's number, makes it the same line however often it is sent. -ENOMEM.
 */
int task_lines(Task *task, size_t max, JsonObject **ret);
/* The lines with smaller numbers are stored. */
void task_lines_stored(Task *task, int64_t n);
