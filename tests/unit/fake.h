/* SPDX-License-Identifier: MIT */
#pragma once

/* Stand-ins for what a test cannot arrange: memory that runs out, a journal. */

#include <stdbool.h>
#include <stddef.h>

/* The allocation number n from now on (0 = the next) and all after it fail, until oom_off(). Only
 * those made by our own code count, not those within libraries. */
void oom_at(size_t n);
/* Whether one failed since oom_at(). */
bool oom_off(void);

/* The fields of the last entry that went to the journal, NAME=value each on a line, or NULL; an
 * entry answered with result (0, or -errno as sd_journal_sendv() gives). */
extern const char *journal_entry;
extern int journal_result;
