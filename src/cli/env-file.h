/* SPDX-License-Identifier: MIT */
#pragma once

/* Settings in a file of NAME=value lines, as systemd's EnvironmentFile= reads them: comments with
 * # or ;, values in single or double quotes. Nothing is expanded. */

#include "base/error.h"

/* Puts the variables into the environment; those that are set already only where replace says so.
 * 1: done; 0: there is no such file; negative, ERROR_CONFIG: it cannot be read, or a line of it is
 * none. */
int env_file_load(const char *path, bool replace, Error *ret_error);
