/* SPDX-License-Identifier: MIT */
#pragma once

/* Where a database has one role to give (many a managed PostgreSQL): the schema's SQL with that
 * role in the place of all four of ours. Grants to oneself say nothing, and what the four keep
 * apart is then kept apart by nobody. */

#include "base/macro.h"

/* A role's name that may stand there: -EINVAL for one with quotes, backslashes, dollars, percent
 * signs or line ends, which the texts around the names were not written for. */
int one_role_check(const char *role);

/* sql with role, which one_role_check() has seen, as an identifier or a literal as the place
 * demands. NULL when memory is short. */
char *one_role_sql(const char *sql, const char *role);
