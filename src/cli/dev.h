/* SPDX-License-Identifier: MIT */
#pragma once

/* The development database: what other files of the command must know of "automapost dev". */

/* ${XDG_DATA_HOME:-~/.local/share}/automapost-jobs/dev; NULL without a home or memory. */
char *dev_default_dir(void);
