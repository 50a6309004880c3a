/* SPDX-License-Identifier: MIT */
#pragma once

/* The journal of this host, read. */

#include "base/json.h"

typedef struct JournalLine {
        usec_t time; /* CLOCK_REALTIME */
        char *message;
} JournalLine;

/* May this user read what the services say? */
bool journal_is_readable(void);
/* The last line of automapost-SERVICE.service of level error or worse, without what all of them
 * begin with; only what is younger than `since`. *ret stays untouched where there is none. */
void journal_last_error(const char *service, usec_t since, JournalLine *ret);

/* The last lines of a unit and what systemd says of it, with an invocation of that run alone; with
 * neither, what all our services say that is a warning or worse. An array of texts like "06:41:10
 * automapost-queue[4711]: a message", the oldest first; at most max, none older than `since`. *ret
 * is NULL where the journal cannot be read. -ENOMEM. */
int journal_tail(const char *unit, const char *invocation, usec_t since, size_t max,
                 JsonObject **ret);
