/* SPDX-License-Identifier: MIT */
#pragma once

/* Schedules of five fields, as cron(8) takes them: minute, hour, day of the month, month, day of
 * the week, with names, ranges, steps, lists and @hourly … @yearly.
 *
 * Where both days are restricted either one is enough. A day field that begins with a star, even
 * with a step after it, is no restriction of this kind: then both must match (as in Vixie cron).
 *
 * In a zone whose clocks are changed, a time that does not exist comes at the end of the gap, and
 * one that exists twice comes once, the first time. A schedule of every hour is none of times of
 * the day: it goes on evenly, whatever the clocks do. */

#include "error.h"
#include "text.h"
#include "zone.h"

typedef struct Cron {
        uint64_t minutes;  /* bit n: minute n */
        uint32_t hours;    /* bits 0 to 23 */
        uint32_t days;     /* bits 1 to 31 */
        uint32_t months;   /* bits 1 to 12 */
        uint32_t weekdays; /* bits 0 (Sunday) to 6 */
        bool both_days;    /* day of the month and of the week must match, not one of them */
} Cron;

/* ERROR_PERMANENT "schedule", -EINVAL: names the field, what it says and what may stand there;
 * a schedule that never comes (31 February) is one. */
int cron_parse(const char *text, Cron *ret, Error *ret_error);
bool cron_is_every_minute(const Cron *c);
/* Whether a wall time (seconds, as zone.h says) is one of the schedule. */
bool cron_matches(const Cron *c, int64_t wall);

/* CLOCK_REALTIME. The first time after `after`, and the last one at or before `at`: USEC_INFINITY,
 * or 0, where there is none from 1970 to 2200. */
usec_t cron_next(const Cron *c, const Zone *z, usec_t after);
usec_t cron_previous(const Cron *c, const Zone *z, usec_t at);

/* The schedule as expressions of systemd.time(7) in UTC, one per line; systemd's own arithmetic in
 * local time is wrong around changes of the clocks. 1: they are the schedule. 0: it follows the
 * zone's clocks, and these are its next times: all of `span`, at most `max`. -ENOMEM. */
int cron_calendar(const Cron *c, const Zone *z, usec_t after, usec_t span, size_t max, Str *ret);
