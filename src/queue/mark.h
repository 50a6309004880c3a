/* SPDX-License-Identifier: MIT */
#pragma once

/* This host's mark: how often it has begun to send for an installation, and when last, by the
 * database's clock. Written to the state folder after begin is on record and before the first byte
 * leaves; so a database that knows of fewer begins has lost what it knew. The file is the
 * machine's: what a clone brings with it is not its own. */

#include "base/error.h"

#define MARK_TIME_SIZE 40

typedef struct Mark {
        int64_t begins; /* 0: none is kept */
        char at[MARK_TIME_SIZE];
} Mark;

/* No file is a mark of 0. ERROR_CONFIG where it cannot be read, or the folder cannot be written. */
int mark_read(const char *state_dir, const char *installation, const char *machine, Mark *ret,
              Error *ret_error);
/* Durable when it returns 0. Keeps a higher mark, which another process of this host has written
 * meanwhile. ERROR_CONFIG names the folder. */
int mark_write(const char *state_dir, const char *installation, const char *machine,
               const Mark *mark, Error *ret_error);
