/* SPDX-License-Identifier: MIT */
#pragma once

/* Settings in a file of NAME=value lines, as systemd's EnvironmentFile= reads them: comments with
 * # or ;, values in single or double quotes. Nothing is expanded. */

#include <sys/types.h>

#include "base/error.h"

/* Puts the variables into the environment; those that are set already only where replace says so.
 * 1: done; 0: there is no such file; negative, ERROR_CONFIG: it cannot be read, or a line of it is
 * none. */
int env_file_load(const char *path, bool replace, Error *ret_error);

/* The value of one variable in the file; NULL where it, or the file, is not there. */
int env_file_get(const char *path, const char *name, char **ret, Error *ret_error);

typedef struct EnvVariable {
        const char *name;
        const char *value; /* one line, without quotes and blanks at its ends */
} EnvVariable;

/* Sets variables and leaves every other line, comments too, as it is; a new file begins with head.
 * The file is there whole or as it was, with this mode and group, owned by us. */
int env_file_set(const char *path, const char *head, const EnvVariable *variables, size_t n,
                 mode_t mode, gid_t gid, Error *ret_error);
