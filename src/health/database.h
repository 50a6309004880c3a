/* SPDX-License-Identifier: MIT */
#pragma once

/* The database's half of health.h, asked on a thread of its own: looking up a database's name (in
 * libpq) knows no deadline. */

#include "health/health.h"

typedef struct DatabaseLook DatabaseLook;
DatabaseLook *database_look_new(const char *url, usec_t deadline); /* NULL when memory is short */
void *database_look_run(void *look);                               /* for pthread_create() */
void database_look_free(DatabaseLook *l);
DEFINE_CLEANUP(DatabaseLook, database_look_free);

bool database_is_local(const HealthQuestion *q);
/* Adds what it found, or why it could not be asked; l is NULL where there was no answer in time.
 * *ret_shared (of health.h) and *ret_counts stay untouched where nothing is known, *ret_elsewhere:
 * another host publishes. -ENOMEM. */
int database_problems(const HealthQuestion *q, DatabaseLook *l, JsonObject *problems,
                      JsonObject **ret_shared, JsonObject **ret_counts, bool *ret_elsewhere);
