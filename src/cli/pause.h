/* SPDX-License-Identifier: MIT */
#pragma once

/* What pause and resume share: the name of what is meant. */

#include "cli/cli.h"

/* NAME, --all or --provider P, as the SQL functions take it; how many arguments were used for it.
 * 0, or an exit status. */
int pause_target(const Cli *c, unsigned *n_used, char **ret);
