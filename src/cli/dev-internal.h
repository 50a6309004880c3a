/* SPDX-License-Identifier: MIT */

#pragma once

/* Between the files dev-….c. */

#include "cli/dev.h"

/* ---- dev-folder.c ---- */

/* Whether there is something of that name. */
bool dev_has(const Dev *d, const char *name);
/* As a whole, or not at all. */
int dev_write(const Dev *d, const char *name, mode_t mode, const char *text, Error *ret_error);
/* Also where there is none. */
int dev_remove_tree(const Dev *d, const char *name, Error *ret_error);
/* With the marker; refused where other things are. The server's user can enter it. */
int dev_make_folder(const Dev *d, Error *ret_error);
/* Waits for another "up". The caller closes it. */
int dev_lock(const Dev *d, int *ret_fd, Error *ret_error);

/* ---- dev-fill.c ---- */

/* Makes what is missing in the running server: database, logins, tables, samples, and files. */
int dev_fill(const Dev *d, Error *ret_error);
