/* SPDX-License-Identifier: MIT */
#pragma once

/* Brings a database to the schema that this binary carries. Each migration is applied once, in a
 * transaction of its own, under an advisory lock; its checksum is kept, and one that was changed
 * afterwards is refused. Functions, views, grants and the binding are reapplied as a whole. */

#include "db/db.h"

typedef enum MigrationState {
        MIGRATION_PENDING,
        MIGRATION_APPLIED,
        MIGRATION_CHANGED, /* applied, but with another text: somebody edited history */
        MIGRATION_NEWER,   /* in the database, unknown to this binary */
} MigrationState;

typedef struct MigrationRow {
        int64_t version;
        char *name;
        MigrationState state;
        char *applied_at; /* or NULL */
} MigrationRow;

/* Another application's binding. name: of its file, or BINDING_DEFAULT for the shipped one, whose
 * sql is NULL. Where nobody chose (a NULL Binding) the shipped one is applied, but not in the place
 * of another: that is an error, which names it. */
#define BINDING_DEFAULT "default"
typedef struct Binding {
        const char *name;
        const char *sql;
} Binding;

/* What the database has and what it lacks, by version; of version 0 is the binding. */
int migrate_status(Db *db, MigrationRow **ret, size_t *ret_n, Error *ret_error);
void migration_rows_free(MigrationRow *rows, size_t n);

#define MIGRATE_OWNER "automapost_jobs_owner"

/* Applies what is missing. role: NULL, or the one role under which all of it shall lie
 * (one-role.h); a schema that lies under one stays there. say is called before each step.
 * ERROR_CONFIG where the schema is newer or was changed. */
int migrate_apply(Db *db, const Binding *binding, const char *role, void (*say)(const char *step),
                  Error *ret_error);

/* The same as one idempotent file for psql, on any PostgreSQL of 14 or newer. NULL when memory is
 * short. */
char *migrate_print(const Binding *binding);
