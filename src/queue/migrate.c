/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "queries.h"
#include "queue/migrate.h"
#include "queue/one-role.h"
#include "queue/schema.h"

/* Any constant will do: every automapost-jobs takes the same. ("automapo" as a number.) */
#define LOCK "SELECT pg_catalog.pg_advisory_xact_lock(7022364301935348847);\n"
#define AS_OWNER "SET LOCAL ROLE automapost_jobs_owner;\n"
#define STEP_TIMEOUT (120 * USEC_PER_SEC)

/* One migration that does nothing where it is applied already, whoever runs it, also twice. */
static int migration_script(const Migration *m, Str *s) {
        return str_appendf(
                s,
                LOCK AS_OWNER
                "DO $migration$\n"
                "BEGIN\n"
                "    IF EXISTS (SELECT FROM automapost.schema_migrations WHERE version = %" PRId64
                ") THEN\n"
                "        RETURN;\n"
                "    END IF;\n"
                "    EXECUTE $sql$\n%s$sql$;\n"
                "    INSERT INTO automapost.schema_migrations (version, name, checksum)\n"
                "    VALUES (%" PRId64 ", '%s', '%s');\n"
                "END\n"
                "$migration$;\n",
                m->version, m->sql, m->version, m->name, m->checksum);
}

/* Comes first: nothing is changed where the shipped binding would take another one's place. */
static const char check_binding[] = AS_OWNER
        "DO $binding$\n"
        "DECLARE\n"
        "    other text;\n"
        "BEGIN\n"
        "    IF pg_catalog.to_regclass('automapost.binding') IS NOT NULL THEN\n"
        "        SELECT b.name INTO other FROM automapost.binding b\n"
        "        WHERE b.name <> '" BINDING_DEFAULT "';\n"
        "    END IF;\n"
        "    IF other IS NOT NULL THEN\n"
        "        RAISE EXCEPTION 'this database is bound to its application by another file: %', other\n"
        "            USING ERRCODE = 'AM003', HINT = 'automapost migrate --binding ' || other\n"
        "                || ' applies it again, --binding " BINDING_DEFAULT " the shipped one.';\n"
        "    END IF;\n"
        "END\n"
        "$binding$;\n"
        "RESET ROLE;\n";

static int bootstrap_script(const Binding *binding, Str *s) {
        return str_appendf(s, "%s\n%s", schema_bootstrap, binding ? "" : check_binding);
}

static int functions_script(const Binding *binding, Str *s) {
        const char *name = binding ? binding->name : BINDING_DEFAULT,
                   *sql = binding && binding->sql ? binding->sql : schema_binding;
        _cleanup_free_ char *checksum = sha256_hex(sql), *plain = strdup(name);

        if (!checksum || !plain)
                return -ENOMEM;
        for (char *c = plain; *c; c++)
                if (strchr("'\\\n\r", *c))
                        *c = '_';
        return str_appendf(
                s,
                LOCK AS_OWNER
                "SET LOCAL check_function_bodies = off;\n%s\n%s\n"
                "INSERT INTO automapost.binding AS b (name, checksum) VALUES ('%s', '%s')\n"
                "ON CONFLICT (only_row) DO UPDATE\n"
                "    SET name = excluded.name, checksum = excluded.checksum,\n"
                "        applied_at = excluded.applied_at, applied_by = excluded.applied_by\n"
                "    WHERE (b.name, b.checksum) <> (excluded.name, excluded.checksum);\n",
                sql, schema_functions, plain, checksum);
}

char *migrate_print(const Binding *binding) {
        _cleanup_(str_done) Str s = {};
        int r;

        r = str_append(
                &s,
                "-- automapost-jobs: the whole schema. Idempotent; psql -v ON_ERROR_STOP=1 -f FILE\n"
                "BEGIN;\n" LOCK);
        if (r >= 0)
                r = bootstrap_script(binding, &s);
        if (r >= 0)
                r = str_append(&s, "\nCOMMIT;\n");
        for (size_t i = 0; r >= 0 && i < n_schema_migrations; i++) {
                r = str_append(&s, "\nBEGIN;\n");
                if (r >= 0)
                        r = migration_script(&schema_migrations[i], &s);
                if (r >= 0)
                        r = str_append(&s, "COMMIT;\n");
        }
        if (r >= 0)
                r = str_append(&s, "\nBEGIN;\n");
        if (r >= 0)
                r = functions_script(binding, &s);
        if (r >= 0)
                r = str_append(&s, "COMMIT;\n");
        return r < 0 ? NULL : TAKE_PTR(s.data);
}

static const Migration *migration_find(int64_t version) {
        for (size_t i = 0; i < n_schema_migrations; i++)
                if (schema_migrations[i].version == version)
                        return &schema_migrations[i];
        return NULL;
}

static int set_row(MigrationRow *row, int64_t version, const char *name, MigrationState state,
                   const char *applied_at) {
        row->version = version;
        row->state = state;
        row->name = strdup(name);
        row->applied_at = applied_at ? strdup(applied_at) : NULL;
        return row->name && (row->applied_at || !applied_at) ? 0 : -ENOMEM;
}

/* The binding that is applied, as a row of its own; ret_n 0 where the database remembers none. The
 * shipped one of another release is pending: the next migration renews it. */
static int binding_status(Db *db, MigrationRow *ret, size_t *ret_n, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        _cleanup_free_ char *exists = NULL, *name = NULL, *shipped = NULL;
        bool renewed;
        int r;

        *ret_n = 0;
        r = db_value(db, &query_binding_exists, NULL, STEP_TIMEOUT, &exists, ret_error);
        if (r < 0 || !streq_ptr(exists, "t"))
                return r;
        r = db_query(db, &query_schema_binding, NULL, STEP_TIMEOUT, &rows, ret_error);
        if (r < 0 || rows_count(rows) == 0)
                return r;
        name = strjoinf("binding %s", rows_text(rows, 0, 0));
        shipped = sha256_hex(schema_binding);
        if (!name || !shipped)
                return error_oom(ret_error);
        renewed = streq(rows_text(rows, 0, 0), BINDING_DEFAULT) &&
                  !streq(rows_text(rows, 0, 1), shipped);
        if (set_row(ret, 0, name, renewed ? MIGRATION_PENDING : MIGRATION_APPLIED,
                    rows_text(rows, 0, 2)) < 0)
                return error_oom(ret_error);
        *ret_n = 1;
        return 0;
}

int migrate_status(Db *db, MigrationRow **ret, size_t *ret_n, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        _cleanup_free_ char *exists = NULL;
        size_t n_applied = 0, n = 0;
        MigrationRow *list;
        int r;

        r = db_value(db, &query_schema_exists, NULL, STEP_TIMEOUT, &exists, ret_error);
        if (r < 0)
                return r;
        if (streq_ptr(exists, "t")) {
                r = db_query(db, &query_schema_migrations, NULL, STEP_TIMEOUT, &rows, ret_error);
                if (r < 0)
                        return r;
                n_applied = rows_count(rows);
        }
        list = calloc(n_applied + n_schema_migrations + 1, sizeof(MigrationRow));
        if (!list)
                return error_oom(ret_error);
        for (size_t i = 0; i < n_applied && r >= 0; i++) {
                int64_t version = rows_int64(rows, i, 0, 0);
                const Migration *known = migration_find(version);

                r = set_row(&list[n++], version, rows_text(rows, i, 1),
                            !known                                          ? MIGRATION_NEWER
                            : streq(known->checksum, rows_text(rows, i, 2)) ? MIGRATION_APPLIED
                                                                            : MIGRATION_CHANGED,
                            rows_text(rows, i, 3));
        }
        for (size_t i = 0; i < n_schema_migrations && r >= 0; i++) {
                bool applied = false;

                for (size_t k = 0; k < n_applied; k++)
                        applied = applied || list[k].version == schema_migrations[i].version;
                if (!applied)
                        r = set_row(&list[n++], schema_migrations[i].version,
                                    schema_migrations[i].name, MIGRATION_PENDING, NULL);
        }
        if (r < 0) {
                migration_rows_free(list, n);
                return error_oom(ret_error);
        }
        r = binding_status(db, &list[n], &n_applied, ret_error);
        if (r < 0) {
                migration_rows_free(list, n);
                return r;
        }
        n += n_applied;
        *ret = list;
        *ret_n = n;
        return 0;
}

void migration_rows_free(MigrationRow *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(rows[i].name);
                free(rows[i].applied_at);
        }
        free(rows);
}

static int check_history(Db *db, Error *ret_error) {
        MigrationRow *rows = NULL;
        size_t n = 0;
        int r;

        r = migrate_status(db, &rows, &n, ret_error);
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (rows[i].state == MIGRATION_NEWER)
                        r = error_setf(
                                ret_error, ERROR_CONFIG, -EEXIST, "schema",
                                "the database has migration %" PRId64 " (%s), which this program "
                                "does not know\n"
                                "HINT: migrate with the newest version that is installed anywhere",
                                rows[i].version, rows[i].name);
                else if (rows[i].state == MIGRATION_CHANGED)
                        r = error_setf(
                                ret_error, ERROR_CONFIG, -EEXIST, "schema",
                                "migration %" PRId64 " (%s) was applied with another text than "
                                "this binary carries\n"
                                "HINT: the database was migrated by another build; use that one",
                                rows[i].version, rows[i].name);
        migration_rows_free(rows, n);
        return r;
}

/* A step is applied whole or not at all. */
static int apply_step(Db *db, const char *name, const char *sql, const char *role,
                      void (*say)(const char *), Error *ret_error) {
        _cleanup_free_ char *under_role = role ? one_role_sql(sql, role) : NULL,
                            *transaction = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        if (role && !under_role)
                return error_oom(ret_error);
        /* that a schema is there already is no news */
        transaction = strjoinf("BEGIN;\nSET LOCAL client_min_messages = warning;\n%s\nCOMMIT;",
                               under_role ?: sql);
        if (!transaction)
                return error_oom(ret_error);
        if (say)
                say(name);
        r = db_script(db, name, transaction, STEP_TIMEOUT, &error);
        if (r < 0)
                return error_setf(ret_error, error.class, r, error.code, "%s: %s", name,
                                  error.message);
        return 0;
}

/* The one role under which the schema lies, or shall; NULL where it is ours. */
static int find_one_role(Db *db, const char *wanted, char **ret, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        const char *role;
        char *copy = NULL;
        int r;

        r = db_query(db, &query_schema_owner, NULL, STEP_TIMEOUT, &rows, ret_error);
        if (r < 0)
                return r;
        role = rows_count(rows) > 0 ? rows_text(rows, 0, 0) : wanted ?: MIGRATE_OWNER;
        if (wanted && !streq(wanted, role))
                return error_setf(
                        ret_error, ERROR_CONFIG, -EEXIST, "schema",
                        "the schema automapost lies under the role \"%s\" already, not \"%s\"",
                        role, wanted);
        if (!streq(role, MIGRATE_OWNER)) {
                if (one_role_check(role) < 0)
                        return error_setf(
                                ret_error, ERROR_CONFIG, -EINVAL, "schema",
                                "the role's name %s has signs that no single role of ours "
                                "may have: quotes, \\, $, %%",
                                role);
                copy = strdup(role);
                if (!copy)
                        return error_oom(ret_error);
        }
        *ret = copy;
        return 0;
}

int migrate_apply(Db *db, const Binding *binding, const char *role, void (*say)(const char *),
                  Error *ret_error) {
        _cleanup_(str_done) Str bootstrap = {}, functions = {};
        _cleanup_free_ char *one_role = NULL;
        int r;

        if (bootstrap_script(binding, &bootstrap) < 0)
                return error_oom(ret_error);
        r = find_one_role(db, role, &one_role, ret_error);
        if (r >= 0)
                r = apply_step(db, one_role ? "schema" : "roles and schema", bootstrap.data,
                               one_role, say, ret_error);
        if (r < 0)
                return r;
        r = check_history(db, ret_error);
        for (size_t i = 0; r >= 0 && i < n_schema_migrations; i++) {
                _cleanup_(str_done) Str s = {};

                if (migration_script(&schema_migrations[i], &s) < 0)
                        return error_oom(ret_error);
                r = apply_step(db, schema_migrations[i].name, s.data, one_role, say, ret_error);
        }
        if (r < 0)
                return r;
        if (functions_script(binding, &functions) < 0)
                return error_oom(ret_error);
        return apply_step(db, "functions and grants", functions.data, one_role, say, ret_error);
}
