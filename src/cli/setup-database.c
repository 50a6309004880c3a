/* SPDX-License-Identifier: MIT */

/* The database: what is in it, and who may do what there. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/setup.h"
#include "db/url.h"
#include "queries.h"
#include "queue/migrate.h"
#include "queue/schema.h"

#define LOWEST_SERVER 140000
#define ADMINISTRATOR "postgres"            /* Debian's, by peer authentication */
#define SOCKET_FOLDER "/var/run/postgresql" /* Debian's */
#define PORT_DEFAULT "5432"

int setup_survey(const Setup *s, Db *db, JsonObject **ret, Error *ret_error) {
        _cleanup_free_ char *text = NULL;
        int r = 0;

        if (s->dry_run)
                r = db_script(db, "begin", "BEGIN TRANSACTION READ ONLY", CLI_TIMEOUT, ret_error);
        if (r >= 0)
                r = db_value(db, &query_setup_survey,
                             (const char *[]){ schema_binding, MIGRATE_OWNER }, CLI_TIMEOUT, &text,
                             ret_error);
        if (r < 0)
                return r;
        if (!text || json_parse(text, strlen(text), ret) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "shape",
                                  "the survey of the database is no JSON");
        return 0;
}

int setup_connect(Setup *s, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        const char *owner;
        int r;

        r = db_connect(s->url, SETUP_NAME, CLI_TIMEOUT, &s->c->db, &error);
        if (r < 0)
                return error_setf(
                        ret_error, error.class, r, error.code, "%s of %s: %s\nHINT: %s",
                        s->url_name, s->env_path, error.message,
                        error.class == ERROR_CONFIG
                                ? "the application itself would not get in with it either"
                                : "is PostgreSQL running, and may this machine reach it? On the "
                                  "same one: systemctl status postgresql");
        s->app = s->c->db;
        r = setup_survey(s, s->app, &s->survey, ret_error);
        if (r < 0)
                return r;
        owner = json_string(s->survey, "schemaOwner");
        if (owner && !streq(owner, MIGRATE_OWNER))
                s->single_role = true; /* it lies under one, and stays there */
        return 0;
}

/* ---- the application's tables ---- */

static int append_missing(JsonObject *table, Str *missing) {
        JsonObject *columns = json_member(table, "missing");
        size_t n = columns ? json_object_array_length(columns) : 0;
        int r = 0;

        if (!json_boolean(table, "there", false))
                return str_appendf(missing, "%s%s is not there", missing->length > 0 ? "; " : "",
                                   json_string(table, "table"));
        if (n > 0)
                r = str_appendf(missing, "%s%s lacks the column%s ",
                                missing->length > 0 ? "; " : "", json_string(table, "table"),
                                n > 1 ? "s" : "");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = str_appendf(missing, "%s\"%s\"", i == 0 ? "" : ", ",
                                json_object_get_string(json_object_array_get_idx(columns, i)));
        return r;
}

/* The ORM's own parameter schema=X, which says where the application's tables are. */
static const char *other_schema(const char *url) {
        const char *p = strchr(url, '?');

        p = p ? strstr(p, "schema=") : NULL;
        return p && strncmp(p + 7, "public", 6) != 0 && (p[-1] == '?' || p[-1] == '&') ? p + 7
                                                                                       : NULL;
}

static int check_tables(const Setup *s, Error *ret_error) {
        JsonObject *tables = json_member(s->survey, "tables");
        _cleanup_(str_done) Str missing = {};
        const char *schema = other_schema(s->url);
        int r = 0;

        for (size_t i = 0; r >= 0 && tables && i < json_object_array_length(tables); i++)
                r = append_missing(json_object_array_get_idx(tables, i), &missing);
        if (r < 0)
                return error_oom(ret_error);
        if (missing.length == 0)
                return 0;
        if (schema)
                return error_setf(
                        ret_error, ERROR_CONFIG, -ENOENT, "tables",
                        "in the database \"%s\", %s\n"
                        "HINT: the URL says schema=%.*s; the binding reads the schema public, and "
                        "another one takes a file of its own: automapost migrate --binding FILE",
                        json_string(s->survey, "database"), missing.data,
                        (int) strcspn(schema, "&"), schema);
        return error_setf(ret_error, ERROR_CONFIG, -ENOENT, "tables",
                          "in the database \"%s\", %s\n"
                          "HINT: is it the application's, and has the application migrated it? "
                          "See %s in %s",
                          json_string(s->survey, "database"), missing.data, s->url_name,
                          s->env_path);
}

int setup_check_database(const Setup *s, Error *ret_error) {
        if (json_int64(s->survey, "versionNumber", 0) < LOWEST_SERVER)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "version",
                                  "the server is PostgreSQL %s; automapost-jobs needs 14 or newer",
                                  json_string(s->survey, "version"));
        if (json_boolean(s->survey, "standby", false))
                return error_setf(ret_error, ERROR_CONFIG, -EROFS, "standby",
                                  "the server is a standby, which takes no changes\n"
                                  "HINT: %s in %s must lead to the primary",
                                  s->url_name, s->env_path);
        return check_tables(s, ret_error);
}

/* ---- rights ---- */

bool setup_same_database(JsonObject *a, JsonObject *b) {
        return streq_ptr(json_string(a, "identity"), json_string(b, "identity"));
}

/* All of the application's tables are the role's, or it may act as their owner. */
static bool owns_tables(JsonObject *survey_of_role) {
        JsonObject *tables = json_member(survey_of_role, "tables");
        bool all = true;

        for (size_t i = 0; tables && i < json_object_array_length(tables); i++)
                all = all && json_boolean(json_object_array_get_idx(tables, i), "owned", false);
        return all;
}

static int use_admin_url(Setup *s, Error *ret_error) {
        _cleanup_(erase_and_freep) char *url = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        r = db_url_set(s->admin_url,
                       (const char *[]){ "dbname", json_string(s->survey, "database"), NULL },
                       &url);
        if (r == -ENOMEM)
                return error_oom(ret_error);
        if (r < 0)
                return error_setf(ret_error, ERROR_CONFIG, r, "admin-url",
                                  "--admin-url is no URL that libpq understands\n"
                                  "HINT: postgresql://USER@HOST:5432/; a password is better in "
                                  "PGPASSWORD or .pgpass than on the command line");
        r = db_connect(url, SETUP_NAME, CLI_TIMEOUT, &s->admin_db, &error);
        if (r < 0)
                return error_setf(ret_error, error.class, r, error.code, "--admin-url: %s",
                                  error.message);
        r = setup_survey(s, s->admin_db, &s->admin_survey, ret_error);
        if (r < 0)
                return r;
        if (!setup_same_database(s->survey, s->admin_survey))
                return error_setf(ret_error, ERROR_CONFIG, -EXDEV, "admin-url",
                                  "--admin-url leads to another server than %s of %s", s->url_name,
                                  s->env_path);
        if (!json_boolean(s->admin_survey, "createRole", false))
                return error_setf(ret_error, ERROR_CONFIG, -EPERM, "admin-url",
                                  "\"%s\" of --admin-url may not create roles either",
                                  json_string(s->admin_survey, "login"));
        s->admin_name = json_string(s->admin_survey, "login");
        return 0;
}

static bool is_here(const char *host) {
        static const char *const names[] = { "localhost", "127.0.0.1", "::1" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(host, names[i]))
                        return true;
        return false;
}

int setup_socket_folder(const char *url, char **ret) {
        _cleanup_free_ char *host = NULL, *port = NULL, *socket = NULL, *folder = NULL;
        int r;

        r = db_url_get(url, "host", &host);
        if (r >= 0)
                r = db_url_get(url, "port", &port);
        if (r == -ENOMEM)
                return r;
        *ret = NULL;
        if (r < 0 || (host && *host != '/' && !is_here(host)))
                return 0;
        folder = strdup(host && *host == '/' ? host : SOCKET_FOLDER);
        socket = folder ? strjoinf("%s/.s.PGSQL.%s", folder, port ?: PORT_DEFAULT) : NULL;
        if (!socket)
                return -ENOMEM;
        if (access(socket, F_OK) == 0)
                *ret = TAKE_PTR(folder);
        return 0;
}

/* The superuser of a server on this machine, where root may call as it. Anything else than that
 * very server is no error: then an administrator must act. */
static int try_local_administrator(Setup *s, Error *ret_error) {
        _cleanup_free_ char *folder = NULL, *url = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        if (geteuid() != 0)
                return 0;
        if (setup_socket_folder(s->url, &folder) < 0)
                return error_oom(ret_error);
        if (!folder)
                return 0;
        r = db_url_set(s->url,
                       (const char *[]){ "user", ADMINISTRATOR, "password", NULL, "host", folder,
                                         "sslmode", NULL, NULL },
                       &url);
        if (r < 0)
                return error_oom(ret_error);
        r = db_connect(url, SETUP_NAME, CLI_TIMEOUT, &s->admin_db, &error);
        if (r >= 0)
                r = setup_survey(s, s->admin_db, &s->admin_survey, &error);
        if (r == -ENOMEM)
                return error_oom(ret_error);
        if (r < 0 || !setup_same_database(s->survey, s->admin_survey) ||
            !json_boolean(s->admin_survey, "createRole", false)) {
                db_free(TAKE_PTR(s->admin_db));
                json_unref(TAKE_PTR(s->admin_survey));
                return 0;
        }
        s->admin_name = ADMINISTRATOR;
        return 0;
}

int setup_find_rights(Setup *s, Error *ret_error) {
        int r = 0;

        s->maker = s->app;
        if (s->single_role)
                return 0;
        if (s->admin_url)
                r = use_admin_url(s, ret_error);
        else if (json_boolean(s->survey, "createRole", false)) {
                s->admin = s->app;
                s->admin_name = json_string(s->survey, "login");
        } else
                r = try_local_administrator(s, ret_error);
        if (r < 0)
                return r;
        if (s->admin_db) {
                s->admin = s->admin_db;
                if (owns_tables(s->admin_survey) &&
                    json_boolean(s->admin_survey, "createSchema", false))
                        s->maker = s->admin;
        }
        return 0;
}

int setup_connect_maker(Cli *c, Error *ret_error) {
        _cleanup_(setup_done) Setup s = { .c = c };
        int r;

        r = setup_application(&s, c->settings.application_env, ret_error);
        if (r >= 0)
                r = setup_connect(&s, ret_error);
        if (r >= 0)
                r = setup_find_rights(&s, ret_error);
        if (r >= 0 && s.maker == s.admin_db && s.admin_db) {
                db_free(c->db);
                c->db = TAKE_PTR(s.admin_db);
        }
        return r;
}
