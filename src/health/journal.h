/* SPDX-License-Identifier: MIT */
#pragma once

/* The journal of this host, read. */

#include "base/macro.h"

typedef struct JournalLine {
        usec_t time; /* CLOCK_REALTIME */
        char *message;
} JournalLine;

/* May this user read what the services say? */
bool journal_is_readable(void);
/* The last line of automapost-SERVICE.service of level error or worse, without what all of them
 * begin with; only what is younger than `since`. *ret stays untouched where there is none. */
void journal_last_error(const char *service, usec_t since, JournalLine *ret);
