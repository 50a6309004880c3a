/* SPDX-License-Identifier: MIT */
#pragma once

/* The drop-in that gives a timer of ours its times: made by an unprivileged service, and checked by
 * root before systemd reads it. What is accepted is what is made here, and nothing else. */

#include "text.h"

#define TIMER_FILE_MAX ((size_t) 32 * 1024)
/* The last instant that systemd 252 knows, for timers that are not to elapse: one without any time
 * would be refused. */
#define TIMER_NEVER "2199-01-01 00:00:00 UTC\n"

/* about: what a person who opens the file reads (the schedule and its zone). times: expressions of
 * systemd.time(7), one per line, as cron_calendar() writes them. -ENOMEM. */
int timer_file_make(const char *about, const char *times, Str *ret);
/* Whether it could be one of those. */
bool timer_file_is_valid(const char *text, size_t n);
/* The lines that are times, as they were given; NULL where it is none of ours. Borrowed from text.
 */
const char *timer_file_times(const char *text);
