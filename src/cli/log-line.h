/* SPDX-License-Identifier: MIT */
#pragma once

/* One line of a job's log, as show and logs print it. */

#include "cli/cli.h"

/* id_length: how much of the job's id to show; 0 for none. -ENOMEM. */
int log_line_print(const Cli *c, JsonObject *line, size_t id_length);
