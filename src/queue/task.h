/* SPDX-License-Identifier: MIT */
#pragma once

/* A claimed job on its way through an actor, and the pool of actors. An actor prepares, waits for
 * the coordinator's begin, acts, and hands the outcome over; it never touches the database. All
 * fields below "shared" are guarded by the pool's lock. */

#include <pthread.h>

#include "queue/job-type.h"

typedef enum TaskState {
        TASK_QUEUED,
        TASK_PREPARING,
        TASK_READY, /* prepared: waits for begin */
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
        bool has_actor; /* some thread still works on it */
        bool cancelled; /* somebody wants it cancelled */
        bool lost;      /* the lease is somebody else's now */
        bool abandoned; /* past its timeout: settled already, only a receipt still counts */
        bool put_back;  /* stopping: not to be begun any more */
        unsigned tries; /* failed settles */
        Line *lines;    /* said, and not known to be stored */
        size_t n_lines, max_lines;
        int64_t n_said; /* lines ever */
        Outcome outcome;
        usec_t ended_at;        /* CLOCK_REALTIME */
        pthread_cond_t verdict; /* its actor waits for begin's */
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
        unsigned max_threads, n_threads, n_idle, n_called; /* of the idle, those on their way */
        bool closing;
        bool woken; /* the coordinator is, and has not looked yet */
        TaskQueue
                urgent;  /* of types that touch the world: first, and never held up by the others */
        TaskQueue plain; /* may be claimed ahead */
        unsigned max_plain, n_plain_running;
        /* CLOCK_BOOTTIME until which this worker may begin to send: last acknowledged beat + fence
         */
        usec_t fence;
};

int pool_init(Pool *p, const Settings *settings, unsigned max_threads, Error *ret_error);
/* Waits up to timeout for actors to end. false: some still act; the process must end by _exit(). */
bool pool_done(Pool *p, usec_t timeout);

/* The coordinator has heard the wake_fd: what ends from now on wakes it again. */
void pool_heard(Pool *p);

/* Hands tasks to the pool: starts threads where none are idle. Of plain tasks only the first gets
 * an actor at once, for mostly it is done with all of them before a second one is awake. */
int pool_submit(Pool *p, Task **tasks, size_t n, Error *ret_error);
/* It was not: an actor for each plain task that still waits. */
void pool_spread(Pool *p);
/* When the plain task was claimed that waits longest for an actor; USEC_INFINITY where none waits.
 */
usec_t pool_waiting_since(Pool *p);
/* Takes back what no actor has begun with: plain tasks, or all. They end as put back. */
void pool_return(Pool *p, bool all);
/* The coordinator's verdict on a ready task: go on with act(), or drop it. */
void pool_verdict(Pool *p, Task *task, bool go);

Task *task_new(Pool *pool, const JobType *type);
void task_free(Task *task);

/* "info", "warn", …: as job_logs has them. */
const char *line_level(const Line *line);
/* The first lines, at most max, that are not known to be stored; an array of {"n", "level",
 * "message", "at"}. n, the line's number, makes it the same line however often it is sent. -ENOMEM.
 */
int task_lines(Task *task, size_t max, JsonObject **ret);
/* The lines with smaller numbers are stored. */
void task_lines_stored(Task *task, int64_t n);
