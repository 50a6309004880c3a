/* SPDX-License-Identifier: MIT */
#pragma once

/* Small texts in the folder of the state, written as a whole or not at all. */

#include "base/error.h"

/* At most max bytes. -errno, -ENOMEM. */
int state_file_read(const char *path, size_t max, char **ret);
/* TRANSIENT: the disk is full, or not ours. */
int state_file_write(const char *path, const char *text, Error *ret_error);
