/* SPDX-License-Identifier: MIT */
#pragma once

/* Runs a program to its end, as another user where we are root, and keeps what it said. */

#include <sys/types.h>

#include "base/error.h"

/* The exit status, or -errno with *ret_error. ret_output (may be NULL): stdout and stderr. uid 0
 * stays what we are. Past the deadline it is killed. */
int program_run(const char *const *argv, uid_t uid, gid_t gid, usec_t timeout, char **ret_output,
                Error *ret_error);
