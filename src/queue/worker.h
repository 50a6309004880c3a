/* SPDX-License-Identifier: MIT */
#pragma once

/* A worker: claims jobs, has actors prepare and act, and keeps the record in the database. Its
 * coordinator runs on the caller's thread, owns the connections, beats, and answers signals. */

#include "db/db.h"
#include "queue/collect.h"
#include "queue/engine.h"
#include "queue/job-type.h"

typedef struct WorkerConfig {
        const Settings *settings;
        const char *service; /* name in job_definitions, without prefix */
        const JobType *const *types;
        size_t n_types;
        const char *done_word; /* for STATUS: "published" */
        CollectRun *collects;  /* what it collects, first and beside draining */
        size_t n_collects;
        /* Stays when nothing is due: woken by notifications, by the next due time, and by a look
         * each second. SIGHUP ends it as SIGTERM does, and is told apart in the counts. */
        bool resident;
        unsigned lives; /* names that worker_id has had before: this run is worker_id-LIVES */
} WorkerConfig;

typedef struct WorkerCounts {
        unsigned claimed, completed, retried, failed, held, unconfirmed, put_back, cancelled, lost;
        bool actors_left; /* some still act: the process must end by _exit(), freeing nothing of
                             theirs */
        bool reload;      /* ended by SIGHUP */
        unsigned lives;   /* names used up, for the next run */
} WorkerCounts;

/* Works until nothing is due and nobody acts, the budget is spent, or SIGTERM/SIGINT; a resident
 * one until a signal. *db is replaced when the connection was lost. Errors: the database for good
 * (TRANSIENT, CONFIG), or a slot's collecting that failed; what happens to single jobs is recorded
 * with them and is no error here. */
int worker_run(const WorkerConfig *config, const Engine *engine, Db **db, const char *worker_id,
               WorkerCounts *ret_counts, Error *ret_error);
