/* SPDX-License-Identifier: MIT */
#pragma once

/* The frame of every service: options, log, settings, connection, the first question, sd_notify,
 * exit status. A service file is its table and six lines of main. */

#include "db/db.h"
#include "queue/worker.h"

#define SERVICE_COLLECTS 16

typedef struct ServiceContext {
        const struct Service *service;
        Settings *settings;
        Engine engine;
        Db *db;
        char worker[33];
        usec_t started; /* CLOCK_REALTIME */
        bool actors_left;
        unsigned lives; /* runs before this one, of a service that stays */
        bool reload;    /* it was asked to begin anew, with its settings as they are now */
        CollectRun collects[SERVICE_COLLECTS]; /* what this run is to collect */
        size_t n_collects;
        JsonObject *counts; /* what it did, for its summary */
} ServiceContext;

typedef struct Service {
        const char *name;        /* of the binary and its unit: automapost-NAME */
        const char *description; /* one line, for --help */
        /* Job types that it drains, NULL at the end; NULL with other_types: every type of this
         * build that no service names. */
        const char *const *types;
        bool other_types;
        bool all_types;
        bool resident; /* stays until it is stopped; collects whatever publishing has to collect */
        const char *done_word; /* "published" */
        /* Work beside the queue, before draining; fills counts (a JSON object's members). May be
         * NULL. Always runs, also where tick() sees no job; 1: it has made some. */
        int (*run)(ServiceContext *c, JsonObject *counts, Error *ret_error);
} Service;

/* One more thing that this run is to collect; slot 0: without one. */
int service_collect(ServiceContext *c, const Collect *collect, usec_t slot, Error *ret_error);

int service_main(const Service *service, int argc, char *argv[]);
