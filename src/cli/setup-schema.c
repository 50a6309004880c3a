/* SPDX-License-Identifier: MIT */

/* Roles, schema, binding: made, or what an administrator must say first. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/setup.h"
#include "queue/migrate.h"
#include "queue/one-role.h"

#define SCRIPT_TIMEOUT (60 * USEC_PER_SEC)

static const char *text_of(JsonObject *array, size_t i) {
        return json_object_get_string(json_object_array_get_idx(array, i));
}

static size_t count(JsonObject *array) {
        return array ? json_object_array_length(array) : 0;
}

/* What the application's login lacks where it is to make the schema. One that is there already it
 * need not be able to renew. */
static int maker_sql(const Setup *s, Str *sql) {
        JsonObject *tables = json_member(s->survey, "tables"),
                   *grants = json_member(s->survey, "grants");
        const char *login = json_string(s->survey, "loginQuoted"),
                   *database = json_string(s->survey, "databaseQuoted");
        bool owned = true;
        int r = 0;

        if (!setup_may_make(s) && json_string(s->survey, "schemaOwner"))
                return 0;
        if (!json_boolean(s->survey, "mayOwn", false))
                r = str_appendf(sql, "GRANT " MIGRATE_OWNER " TO %s;\n", login);
        if (r >= 0 && !json_boolean(s->survey, "createSchema", false))
                r = str_appendf(sql, "GRANT CREATE ON DATABASE %s TO %s;\n", database, login);
        for (size_t i = 0; i < count(tables); i++)
                owned = owned && json_boolean(json_object_array_get_idx(tables, i), "owned", false);
        owned = owned || json_boolean(s->survey, "granted", false);
        for (size_t i = 0; r >= 0 && !owned && i < count(grants); i++)
                r = str_appendf(sql, "%s;\n", text_of(grants, i));
        return r;
}

bool setup_may_make(const Setup *s) {
        return s->single_role || s->maker != s->app || json_boolean(s->survey, "mayOwn", false) ||
               json_boolean(s->survey, "createRole", false);
}

int setup_administrator_sql(const Setup *s, char **ret, Error *ret_error) {
        JsonObject *missing = json_member(s->survey, "rolesMissing");
        _cleanup_(str_done) Str sql = {};
        int r;

        r = str_append(&sql, "");
        for (size_t i = 0; r >= 0 && i < count(missing); i++)
                r = str_appendf(&sql, "CREATE ROLE %s NOLOGIN;\n", text_of(missing, i));
        if (r >= 0)
                r = setup_login_sql(s, &sql);
        if (r >= 0 && !json_boolean(s->survey, "publicConnect", true))
                r = str_appendf(&sql, "GRANT CONNECT ON DATABASE %s TO automapost_jobs_service;\n",
                                json_string(s->survey, "databaseQuoted"));
        if (r >= 0 &&
            !json_boolean(json_member(s->survey, "memberOf"), "automapost_jobs_app", false))
                r = str_appendf(&sql, "GRANT automapost_jobs_app TO %s;\n",
                                json_string(s->survey, "loginQuoted"));
        if (r >= 0 && s->maker == s->app)
                r = maker_sql(s, &sql);
        if (r < 0)
                return error_oom(ret_error);
        *ret = TAKE_PTR(sql.data);
        return 0;
}

/* For a person who sits elsewhere: nothing in it is secret, a password is there as its verifier. */
static int print_for_administrator(Setup *s, const char *sql, Error *ret_error) {
        _cleanup_free_ char *again = NULL;
        const char *database = json_string(s->survey, "databaseQuoted");

        if (json_set_string(s->report, "sql", sql) < 0)
                return error_oom(ret_error);
        again = strjoinf("sudo automapost setup --env %s", s->env_path);
        if (!again || json_set_string(s->report, "then", again) < 0)
                return error_oom(ret_error);
        setup_say(s, STYLE_NONE, "%s", "");
        setup_say(s, STYLE_WARN,
                  "\"%s\" may not do all of this. Let an administrator of PostgreSQL "
                  "run this once:",
                  json_string(s->survey, "login"));
        if (!s->c->json)
                printf("\n\\connect %s\nBEGIN;\n%sCOMMIT;\n\n", database, sql);
        setup_say(s, STYLE_NONE, "and then run again: %s", again);
        setup_say(s, STYLE_DIM,
                  "Or at once, as such an administrator: --admin-url URL. Where only "
                  "one role can be had at all: --single-role.");
        return 1;
}

static int run_as_administrator(Setup *s, const char *sql, Error *ret_error) {
        _cleanup_(erase_and_freep) char *script =
                strjoinf("BEGIN;\nSET LOCAL client_min_messages = error;\n%sCOMMIT;", sql);
        _cleanup_(error_done) Error error = ERROR_NULL, ignored = ERROR_NULL;
        int r;

        if (!script)
                return error_oom(ret_error);
        r = db_script(s->admin, "roles", script, SCRIPT_TIMEOUT, &error);
        if (r < 0) {
                (void) db_script(s->admin, "rollback", "ROLLBACK", CLI_TIMEOUT, &ignored);
                return error_setf(ret_error, error.class, r, error.code,
                                  "\"%s\" cannot make the roles: %s", s->admin_name, error.message);
        }
        return 0;
}

/* The schema alone is of use to nobody who may not come in: the database's rights and the tables'
 * must be there where one role does it all. */
static int check_single_role(const Setup *s, Error *ret_error) {
        const char *login = json_string(s->survey, "login");

        if (one_role_check(login) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "role",
                                  "the role's name %s has signs that --single-role cannot bear",
                                  login);
        if (!json_string(s->survey, "schemaOwner") &&
            !json_boolean(s->survey, "createSchema", false))
                return error_setf(
                        ret_error, ERROR_CONFIG, -EPERM, "42501",
                        "\"%s\" may not create a schema in the database \"%s\"\n"
                        "HINT: an administrator gives that right: GRANT CREATE ON DATABASE "
                        "\"%s\" TO \"%s\"",
                        login, json_string(s->survey, "database"),
                        json_string(s->survey, "database"), login);
        return 0;
}

int setup_roles(Setup *s, Error *ret_error) {
        _cleanup_(erase_and_freep) char *sql = NULL;
        int r;

        if (s->single_role)
                return check_single_role(s, ret_error);
        r = setup_administrator_sql(s, &sql, ret_error);
        if (r >= 0 && s->verifier)
                r = setup_keep_pending(s, ret_error);
        if (r < 0 || isempty(sql))
                return r;
        if (!s->admin)
                return print_for_administrator(s, sql, ret_error);
        r = run_as_administrator(s, sql, ret_error);
        if (r < 0)
                return r;
        setup_say(s, STYLE_NONE, "Made the roles, as \"%s\".", s->admin_name);
        json_unref(TAKE_PTR(s->survey));
        return setup_survey(s, s->app, &s->survey, ret_error);
}

static void say_nothing(_unused_ const char *step) {
}

int setup_schema(Setup *s, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        const char *login = json_string(s->survey, "login");
        int r;

        if (!setup_may_make(s)) {
                setup_say(s, STYLE_NONE,
                          "The schema automapost is left as it is: \"%s\" may not renew it. With "
                          "--admin-url an administrator does.",
                          login);
                return 0;
        }
        r = migrate_apply(s->maker, NULL, s->single_role ? login : NULL, say_nothing, &error);
        if (r < 0)
                return error_setf(ret_error, error.class, r, error.code,
                                  "the schema cannot be made as \"%s\": %s",
                                  s->maker == s->app ? login : s->admin_name, error.message);
        setup_say(s, STYLE_NONE, "The schema automapost is up to date.");
        return 0;
}
