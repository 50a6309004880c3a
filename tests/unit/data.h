/* SPDX-License-Identifier: MIT */
#pragma once

/* What others have measured or written down: the files of tests/data. */

#include <stddef.h>

/* The contents of a file of tests/data (TEST_DATA in the environment), NUL-terminated; the test
 * fails if it cannot be read. */
char *read_data(const char *name, size_t *ret_n);
