/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files worker*.c share and nobody else sees: worker.c takes one turn after another, the
 * others are what it does in a turn. All of it runs on the coordinator's thread. */

#include "base/id.h"
#include "base/settings.h"
#include "queue/host.h"
#include "queue/task.h"
#include "queue/worker.h"

#define WORKER_ID_SIZE (ID128_SIZE + 12) /* ID, or ID-N after it was given up */
#define SETTLE_BATCH 500
#define BATCH_SIZE 16

/* Jobs of types that touch the world (urgent), or of the others (plain). */
typedef struct Kind {
        char *types;    /* as a PostgreSQL array; NULL for none */
        usec_t next;    /* when they are claimed again, if nothing was there */
        unsigned ahead; /* how many are claimed beyond those for which actors are idle; of plain
                           ones: at a time; 0: none beyond */
        usec_t since;   /* when some were claimed last, … */
        bool full;      /* … and these were as many as asked for */
} Kind;

/* A connection beside the first, on which one statement at a time is under way. */
typedef struct Side {
        Db *db;
        usec_t used; /* when it last was */
} Side;

/* A settle of n tasks that is under way; 0: none. */
typedef struct Settle {
        Side side;
        Task *tasks[SETTLE_BATCH];
        size_t n;
} Settle;

typedef struct Worker {
        const WorkerConfig *config;
        const Engine *engine;
        Db **db;
        const char *first_id;
        char id[WORKER_ID_SIZE];
        unsigned lives; /* how often it was given up and went on */
        char *types;    /* all of them, as a PostgreSQL array */
        Pool pool;
        Task **tasks; /* every task that is not settled */
        size_t n_tasks, max_tasks;
        int signal_fd;
        usec_t watchdog; /* how long systemd waits for a sign of life; 0: for ever */
        usec_t next_sign;
        bool stopping; /* claims nothing any more */
        Host host;
        bool must_meet; /* the database begins nothing of this host's now, and may say why */
        usec_t stop_by, budget_ends;
        usec_t next_beat, next_claim, next_collect, next_rescue, next_show;
        usec_t next_meeting, begin_at, settle_at, spread_at, return_at;
        Kind plain, urgent;
        Settle settles[2]; /* while one waits for the disk, the server is at work on the other */
        struct {
                Side side;
                Kind *kind; /* NULL: none */
                Kind *last; /* of the last claim */
                char batch[BATCH_SIZE];
                unsigned n;     /* how many are asked for */
        } claim;                /* under way */
        unsigned batches;       /* how many claims and begins were asked for */
        unsigned wanted;        /* how often there was a reason to claim, … */
        unsigned wanted_before; /* … and before the last claim was asked for */
        struct {
                usec_t next_try; /* where one could not be had */
                bool failed;     /* since one did its part: once is enough to say so */
        } sides;
        struct {
                usec_t next; /* the next look */
                int64_t due; /* jobs due, as far as they are counted */
                usec_t lag;  /* how late the oldest of them is */
                bool paused;
                bool plain;   /* one of a plain type was notified: these are claimed first */
                bool listens; /* this connection has said LISTEN … */
                bool deaf;    /* … to somebody who passes no notifications on */
        } look;               /* of a resident worker */
        char shown[128];      /* the last STATUS */
        bool drained;         /* the last claim found nothing */
        bool log_refused;     /* said once */
        Error collect_error;  /* of the first collecting that failed under a slot */
        WorkerCounts counts;
} Worker;

/* worker.c */

/* A moment's patience saves many a commit: whether those who are there wait for more, which are
 * expected. *at, USEC_INFINITY between two times, is when patience ends. */
bool worker_gathers(const Worker *w, bool more, usec_t patience, usec_t *at);

/* worker-link.c: the worker and its first connection. */

/* Waits for a signal, an actor, or until a time. */
void worker_wait(Worker *w, usec_t until);
/* Asks until there is an answer: every statement of a worker may be repeated, because it carries a
 * batch id, a lease or an execution's id. Gives up when nothing is at stake and a lapse has passed,
 * or when it must stop. */
int worker_query(Worker *w, const Query *query, const char *const *params, Rows **ret,
                 Error *ret_error);
/* The id of a batch: this worker's next number. It is compared with this worker's alone, whose own
 * id never comes again, and it is written into every row: so it is short. */
void worker_next_batch(Worker *w, char ret[static BATCH_SIZE]);
int worker_register(Worker *w, Error *ret_error);
/* This worker was given up (it slept, or the database was away): its jobs are somebody else's. What
 * is being sent is still recorded when it ends; everything else is dropped. */
int worker_was_given_up(Worker *w, Error *ret_error);
int worker_beat(Worker *w, Error *ret_error);
/* STATUS for systemctl, where it has changed and a moment has passed since the last. */
void worker_show(Worker *w);
Task *worker_task_by_lease(Worker *w, int64_t lease);
/* Puts back whatever is left and ends the worker's row; a database that is away finds it lapsed. */
void worker_end(Worker *w, const char *reason);

/* worker-claim.c: jobs become tasks with an actor each. */

/* When the next claim is due; USEC_INFINITY where there is no room, or nothing to wait for. */
usec_t worker_next_claim(Worker *w);
/* There may be something to claim, of that kind, or of either. */
void worker_wants(Worker *w, Kind *kind);
void worker_wants_any(Worker *w);
/* Sees to plain tasks that still wait for an actor, a moment after they were claimed. */
void worker_hurry(Worker *w);
/* Claims jobs of one kind; or sends the claim over a connection of its own, … */
int worker_claim(Worker *w, Error *ret_error);
/* … and takes the answer, where it is there. */
int worker_hear_claim(Worker *w, Error *ret_error);

/* worker-collect.c: application data become jobs, under slots. */

/* Whether all that this run collects is collected for now, and when there is more to do. */
bool worker_collected(const Worker *w);
usec_t worker_next_collect(const Worker *w);
/* One bounded step. */
int worker_collect(Worker *w, Error *ret_error);

/* worker-begin.c: what is prepared goes on record, and is then sent. */

/* Whether as many as half the actors, or more, may begin at once. */
bool worker_begins_many(Worker *w);
int worker_begin_ready(Worker *w, Error *ret_error);
/* Where begin was refused to this host: asks why, and what could not be begun is tried again. */
int worker_meet(Worker *w, Error *ret_error);

/* worker-look.c: how a resident worker learns that there is something to do. */

/* Whatever was heard by now; a look, where it is time for one. */
int worker_look(Worker *w, Error *ret_error);
/* STATUS of a resident worker: how much is due and how late the oldest of it is. */
void worker_show_look(const Worker *w, char *status, size_t size);
/* The connection is another one: what was said on the old one is forgotten. */
void worker_look_lost(Worker *w);

/* worker-log.c: what long jobs say before they end. */

int worker_log_running(Worker *w, Error *ret_error);

/* worker-side.c: while jobs come and end by the hundred, three more connections, so that the
 * server's processors have something to do: one claims the next jobs, the others settle those that
 * are done and have nothing else to tell. */

/* Whether they do at this time. */
bool worker_uses_sides(const Worker *w);
/* Sends a statement, as db_send() does. Where that cannot be done, or there is an error instead of
 * an answer, it is said and the connection closed: the first one does the same a little later, for
 * every statement of a worker may be asked twice. */
int side_send(Worker *w, Side *side, const Query *query, const char *const *params,
              const int *lengths);
/* 0: no answer yet. */
int side_receive(Worker *w, Side *side, Rows **ret);
/* Closes those that were not used for a while. */
void worker_rest_sides(Worker *w);

/* worker-settle.c: what became of tasks. */

/* While stopping, what has not begun goes back. */
void worker_put_back_unbegun(Worker *w);
int worker_settle_ended(Worker *w, Error *ret_error);
/* Sends the settle of what goes aside, where it does and not all are under way; and takes their
 * answers, where these are there. */
void worker_settle_aside(Worker *w);
void worker_hear_settle(Worker *w);
/* Past timeout_ms: recorded now, and the actor left to itself; only a receipt of it counts. */
int worker_expire(Worker *w, Error *ret_error);
