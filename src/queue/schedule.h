/* SPDX-License-Identifier: MIT */
#pragma once

/* A definition's schedule as the database says it, and which of its slots is open. A slot is an
 * instant at which the definition is due; the tick decides by it, on the database's clock, and the
 * timer only wakes: early, late or twice is harmless. */

#include "base/cron.h"
#include "base/json.h"
#include "db/db.h"

typedef struct Schedule {
        char *name;
        bool is_type;     /* a job type, not a service */
        bool active;      /* not paused */
        bool given;       /* there is one that can be used; else only on demand */
        Error problem;    /* why the row's own cannot be used; then the last good is */
        const char *text; /* of the one in use, borrowed from row */
        const char *zone_name;
        Cron cron;
        Zone *zone;
        usec_t now;       /* the database's */
        usec_t due_after; /* what was due until then is done, or not missed */
        usec_t idle_from, idle_until;
        JsonObject *row;
} Schedule;

/* One object of automapost.schedules(), or the member "schedule" of a tick. A schedule that cannot
 * be used is no error here. -ENOMEM, -EPROTO. */
int schedule_read(JsonObject *row, Schedule *ret, Error *ret_error);
void schedule_done(Schedule *s);

/* The last slot that was due, where it is neither done nor was due in a pause. The database has the
 * last word: somebody may be at it. */
bool schedule_open_slot(const Schedule *s, usec_t *ret);
/* When it is due next, CLOCK_REALTIME; USEC_INFINITY on demand. */
usec_t schedule_next(const Schedule *s, usec_t after);

typedef struct ScheduleList {
        Schedule *items;
        size_t n;
} ScheduleList;
void schedule_list_done(ScheduleList *l);
/* Every definition. What came of reading it is recorded where that is news: status() tells, and the
 * last good schedule stays in use. */
int schedule_list(Db *db, usec_t timeout, ScheduleList *ret, Error *ret_error);
