/* SPDX-License-Identifier: MIT */
#pragma once

/* Collecting: bounded steps of SQL that turn application data into jobs, or tend our own tables. A
 * service collects when a slot of its schedule is open; which service collects what is the table in
 * src/services/collects.c. */

#include "base/json.h"
#include "base/time-util.h"
#include "db/db.h"

typedef struct CollectRun CollectRun;

typedef struct Collect {
        const char *service; /* name in job_definitions */
        /* One bounded step; *ret_more while more is to be done at once. */
        int (*step)(CollectRun *run, Db *db, usec_t timeout, bool *ret_more, Error *ret_error);
} Collect;

/* One collecting that a run is to do. */
struct CollectRun {
        const Collect *collect;
        char slot[ISO8601_SIZE]; /* "": without a slot */
        bool anyway;             /* also where somebody else has the slot: started by hand */
        bool repeat;             /* again and again while work goes on: services of every minute */
        JsonObject *counts;      /* of the run; steps set what they did */
        /* The worker's own. */
        bool taken, done;
        /* The steps' own, zero at first and freed with the run. */
        char *state;
        unsigned stage;
        int64_t count;
};
void collect_run_done(CollectRun *run);
