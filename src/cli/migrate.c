/* SPDX-License-Identifier: MIT */

#include "queue/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/dev.h"
#include "cli/setup.h"
#include "queries.h"

#define BINDING_MAX ((off_t) 1024 * 1024)

static const char *const state_words[] = {
        [MIGRATION_PENDING] = "pending",
        [MIGRATION_APPLIED] = "applied",
        [MIGRATION_CHANGED] = "changed",
        [MIGRATION_NEWER] = "newer than this program",
};

/* The file's text, or NULL where the shipped binding is meant. */
static int read_binding(const char *path, char **ret, Error *ret_error) {
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -1;
        struct stat st;
        size_t n = 0;
        ssize_t k;

        if (!path || streq(path, BINDING_DEFAULT))
                return 0;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, "binding",
                                  "cannot read the binding %s: %s", path, strerrordesc_np(errno));
        if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > BINDING_MAX)
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "binding",
                                  "the binding %s is no file, empty, or larger than 1 MiB", path);
        text = malloc((size_t) st.st_size + 1);
        if (!text)
                return error_oom(ret_error);
        while (n < (size_t) st.st_size && (k = read(fd, text + n, (size_t) st.st_size - n)) > 0)
                n += (size_t) k;
        text[n] = '\0';
        if (strlen(text) != n || !utf8_is_valid(text, n))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "binding",
                                  "the binding %s is no SQL text", path);
        *ret = TAKE_PTR(text);
        return 0;
}

static int print_schema(const Binding *binding, Error *ret_error) {
        _cleanup_free_ char *text = migrate_print(binding);

        if (!text)
                return error_oom(ret_error);
        (void) fputs(text, stdout);
        return EX_OK;
}

/* A right that is missing: what an administrator says once, so that this login may migrate. */
static void explain_rights(Cli *c, Error *error) {
        _cleanup_(error_done) Error old = ERROR_NULL, ignored = ERROR_NULL;
        _cleanup_(rows_freep) Rows *rows = NULL;
        const char *login, *database;

        if (!error->code || !streq(error->code, "42501"))
                return;
        /* the failed step's transaction is still open */
        if (db_script(c->db, "rollback", "ROLLBACK", CLI_TIMEOUT, &ignored) < 0 ||
            db_query(c->db, &query_whoami, NULL, CLI_TIMEOUT, &rows, &ignored) < 0)
                return;
        login = strnull(rows_text(rows, 0, 0));
        database = strnull(rows_text(rows, 0, 1));
        error_move(&old, error);
        (void) error_setf(
                error, old.class, old.r, old.code,
                "%.*s\n"
                "HINT: \"%s\" lacks a right in the database \"%s\". Migrate as a login that owns the\n"
                "application's tables; what else it needs, an administrator gives once:\n\n"
                "    CREATE ROLE automapost_jobs_owner NOLOGIN;     -- where they are missing\n"
                "    CREATE ROLE automapost_jobs_service NOLOGIN;\n"
                "    CREATE ROLE automapost_jobs_schedule NOLOGIN;\n"
                "    CREATE ROLE automapost_jobs_app NOLOGIN;\n"
                "    GRANT automapost_jobs_owner TO \"%s\";\n"
                "    GRANT CREATE ON DATABASE \"%s\" TO \"%s\";\n\n"
                "Or let the administrator do it all: automapost migrate --print | psql ...",
                (int) strcspn(old.message, "\n"), old.message, login, database, login, database,
                login);
}

static int collect_rows(const MigrationRow *rows, size_t n, bool pending_only, JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *list = json_object_new_array();

        for (size_t i = 0; list && i < n; i++) {
                JsonObject *o;

                /* The binding is applied each time, pending or not. */
                if (pending_only && (rows[i].state != MIGRATION_PENDING || rows[i].version == 0))
                        continue;
                o = json_object_new_object();
                if (!o || json_object_array_add(list, o) < 0 ||
                    json_set_int64(o, "version", rows[i].version) < 0 ||
                    json_set_string(o, "name", rows[i].name) < 0 ||
                    json_set_string(o, "state", state_words[rows[i].state]) < 0 ||
                    json_set_string(o, "applied_at", rows[i].applied_at) < 0)
                        return -ENOMEM;
        }
        if (!list)
                return -ENOMEM;
        *ret = TAKE_PTR(list);
        return 0;
}

static int print_status(const Cli *c, JsonObject *list) {
        static const Column columns[] = {
                { "VERSION", COLUMN_RIGHT },
                { "NAME", 0 },
                { "STATE", 0 },
                { "APPLIED", 0 },
        };
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        r = table_new(c, columns, ELEMENTSOF(columns), &table);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(list); i++) {
                JsonObject *o = json_object_array_get_idx(list, i);
                const char *state = json_string(o, "state");
                int64_t number = json_int64(o, "version", 0);
                _cleanup_free_ char *version =
                                            number > 0 ? strjoinf("%" PRId64, number) : strdup(""),
                                    *applied = cli_time_age(json_string(o, "applied_at"));

                if (!version || !applied)
                        return -ENOMEM;
                r = table_add(table, (const char *[]){ version, json_string(o, "name"), state,
                                                       isempty(applied) ? NULL : applied });
                if (r >= 0)
                        table_style(table, 2,
                                    streq(state, "applied")   ? STYLE_GOOD
                                    : streq(state, "pending") ? STYLE_WARN
                                                              : STYLE_BAD);
        }
        return r < 0 ? r : table_print(table);
}

/* --status: what is there and what is missing; 1 where something is missing. --dry-run: the
 * latter alone. */
static int show(Cli *c, bool pending_only, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *list = NULL;
        MigrationRow *rows = NULL;
        size_t n = 0, n_pending = 0;
        int r;

        r = migrate_status(c->db, &rows, &n, ret_error);
        if (r < 0) {
                explain_rights(c, ret_error);
                return r;
        }
        for (size_t i = 0; i < n; i++)
                n_pending += rows[i].state == MIGRATION_PENDING && rows[i].version > 0;
        r = collect_rows(rows, n, pending_only, &list);
        migration_rows_free(rows, n);
        if (r < 0)
                return error_oom(ret_error);

        if (c->json)
                return cli_print_json(list);
        if (!pending_only)
                return print_status(c, list);
        for (size_t i = 0; i < n_pending; i++) {
                JsonObject *o = json_object_array_get_idx(list, i);

                cli_print(c, STYLE_NONE, "Would apply %04" PRId64 " %s.",
                          json_int64(o, "version", 0), json_string(o, "name"));
        }
        if (n_pending == 0)
                cli_print(c, STYLE_NONE, "No migration is missing.");
        cli_print(c, STYLE_NONE, "Functions, grants and the binding are applied each time.");
        return EX_OK;
}

static void say_step(const char *step) {
        printf("%s\n", step);
        (void) fflush(stdout);
}

static void say_nothing(_unused_ const char *step) {
}

/* The development database has a login for it; where setup was done it is found as setup did; else
 * it is the one of the settings. */
static int connect_as_owner(Cli *c, Error *ret_error) {
        _cleanup_(dev_done) Dev d = {};
        char *url;
        int r;

        r = cli_settings(c, ret_error);
        if (r >= 0 && c->settings_in_dev) {
                r = dev_open(NULL, &d, ret_error);
                if (r < 0)
                        return r;
                url = dev_url(&d, "postgres", DEV_DATABASE);
                if (!url)
                        return error_oom(ret_error);
                free(c->settings.database_url);
                c->settings.database_url = url;
        }
        if (r >= 0 && geteuid() == 0 && !isempty(c->settings.application_env))
                return setup_connect_maker(c, ret_error);
        return r < 0 ? r : cli_connect(c, ret_error);
}

static int migrate_run(Cli *c, Error *ret_error) {
        unsigned n_ways = cli_flag(c, "status") + cli_flag(c, "dry-run") + cli_flag(c, "print");
        const char *path = cli_option(c, "binding"), *slash = path ? strrchr(path, '/') : NULL;
        _cleanup_free_ char *sql = NULL;
        Binding chosen = { .name = slash ? slash + 1 : path };
        const Binding *binding = path ? &chosen : NULL;
        int r;

        if (n_ways > 1)
                return cli_usage(c, "one of --status, --dry-run and --print");
        r = read_binding(path, &sql, ret_error);
        if (r < 0)
                return r;
        chosen.sql = sql;
        if (cli_flag(c, "print"))
                return print_schema(binding, ret_error);
        if (cli_flag(c, "on-upgrade")) {
                r = cli_settings(c, ret_error);
                if (r < 0)
                        return r;
                if (!c->settings.migrate_on_upgrade) {
                        cli_print(c, STYLE_NONE,
                                  "Not migrated (AUTOMAPOST_MIGRATE_ON_UPGRADE=no).");
                        return EX_OK;
                }
        }
        r = connect_as_owner(c, ret_error);
        if (r < 0)
                return r;
        if (n_ways > 0)
                return show(c, cli_flag(c, "dry-run"), ret_error);

        r = migrate_apply(c->db, binding, NULL, c->json ? say_nothing : say_step, ret_error);
        if (r < 0) {
                explain_rights(c, ret_error);
                return r;
        }
        if (c->json)
                return show(c, false, ret_error);
        cli_print(c, STYLE_GOOD, "The schema is up to date.");
        return EX_OK;
}

const Verb verb_migrate = {
        .name = "migrate",
        .help = "Bring the database to the schema of this version",
        .details = "Works in the database of AUTOMAPOST_DATABASE_URL, step by step, each in a\n"
                   "transaction; twice is as good as once.",
        .group = GROUP_SETUP,
        .options =
                (const Option[]){
                        { "status", 0, NULL, "which migrations are applied" },
                        { "dry-run", 0, NULL, "which would be, and change nothing" },
                        { "print", 0, NULL,
                          "all of it as one SQL file for psql, without database" },
                        { "binding", 0, "FILE",
                          "functions of another application, or \"default\"" },
                        { "on-upgrade", 0, NULL, "unless AUTOMAPOST_MIGRATE_ON_UPGRADE=no" },
                        {},
                },
        .run = migrate_run,
};
