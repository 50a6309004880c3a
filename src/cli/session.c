/* SPDX-License-Identifier: MIT */

/* Where the command finds its settings and its database, and what it says when it does not. */

#include <errno.h>
#include <pwd.h>
#include <stdio.h>

#include "base/env-file.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/dev.h"
#include "db/url.h"

#define INSTALLED_FILE "/etc/automapost-jobs/automapost-jobs.env"

static bool has_url(void) {
        _cleanup_free_ char *path = NULL;

        if (!isempty(getenv("AUTOMAPOST_DATABASE_URL")))
                return true;
        if (isempty(getenv("CREDENTIALS_DIRECTORY")))
                return false;
        path = strjoinf("%s/database-url", getenv("CREDENTIALS_DIRECTORY"));
        return path && access(path, F_OK) == 0;
}

/* The file that stands in for an environment without a database. */
static int read_stand_in(Cli *c, Error *ret_error) {
        _cleanup_free_ char *dir = NULL, *dev = NULL;
        int r;

        r = env_file_load(INSTALLED_FILE, false, ret_error);
        if (r > 0) {
                /* As a service has them; they are root's. */
                if (access(CREDENTIALS_INSTALLED, R_OK | X_OK) == 0)
                        (void) setenv("CREDENTIALS_DIRECTORY", CREDENTIALS_INSTALLED, false);
                c->settings_file = strdup(INSTALLED_FILE);
                return c->settings_file ? 0 : error_oom(ret_error);
        }
        if (r == -EACCES)
                return r;

        dir = dev_default_dir();
        dev = dir ? strjoinf("%s/env", dir) : NULL;
        if (!dev)
                return 0; /* no home: no development database */
        r = env_file_load(dev, false, ret_error);
        if (r > 0) {
                (void) fprintf(
                        stderr,
                        "%sAUTOMAPOST_DATABASE_URL is not set: using the development database in %s%s\n",
                        isatty(STDERR_FILENO) ? cli_style(c, STYLE_DIM) : "", dir,
                        isatty(STDERR_FILENO) ? cli_style(c, STYLE_NONE) : "");
                c->settings_file = TAKE_PTR(dev);
                c->settings_in_dev = true;
        }
        return MIN(r, 0);
}

/* The file names the services' login. By peer authentication everybody comes in as who they are,
 * and what they do is recorded under that name. */
static int use_own_login(Cli *c, Error *ret_error) {
        const struct passwd *me = geteuid() != 0 ? getpwuid(geteuid()) : NULL;
        char *url = NULL;
        int r;

        if (!c->settings_file || c->settings_in_dev || !me ||
            !db_url_is_peer(c->settings.database_url))
                return 0;
        r = db_url_set(c->settings.database_url, (const char *[]){ "user", me->pw_name, NULL },
                       &url);
        if (r < 0)
                return error_oom(ret_error);
        free(c->settings.database_url);
        c->settings.database_url = url;
        return 0;
}

int cli_settings(Cli *c, Error *ret_error) {
        int r;

        if (c->settings_loaded)
                return 0;
        if (!has_url()) {
                r = read_stand_in(c, ret_error);
                if (r < 0)
                        return r;
        }
        r = settings_load(&c->settings, ret_error);
        if (r >= 0)
                r = use_own_login(c, ret_error);
        if (r >= 0)
                c->settings_loaded = true;
        return r;
}

int cli_connect(Cli *c, Error *ret_error) {
        int r;

        if (c->db)
                return 0;
        r = cli_settings(c, ret_error);
        if (r < 0)
                return r;
        if (isempty(c->settings.database_url))
                return error_setf(
                        ret_error, ERROR_CONFIG, -EINVAL, "database-url",
                        "AUTOMAPOST_DATABASE_URL is not set, and there is no %s\n"
                        "HINT: on a laptop \"automapost dev up\" makes a database to play with",
                        INSTALLED_FILE);
        r = db_connect(c->settings.database_url, "automapost", CLI_TIMEOUT, &c->db, ret_error);
        if (r < 0)
                cli_explain(c, ret_error);
        return r;
}

/* Says more where the frame knows the way out. */
static void add_hint(Error *error, const char *hint) {
        _cleanup_(error_done) Error old = ERROR_NULL;

        if (!hint || !error->message || strstr(error->message, "HINT:"))
                return;
        error_move(&old, error);
        (void) error_setf(error, old.class, old.r, old.code, "%s\nHINT: %s", old.message, hint);
}

void cli_rephrase_hint(Error *error, const char *part, const char *format, ...) {
        _cleanup_(error_done) Error old = ERROR_NULL;
        _cleanup_free_ char *hint = NULL;
        const char *end;
        va_list ap;
        int n;

        if (!error || !error->message || !strstr(error->message, part))
                return;
        va_start(ap, format);
        n = vasprintf(&hint, format, ap);
        va_end(ap);
        if (n < 0) {
                hint = NULL;
                return;
        }
        error_move(&old, error);
        end = strstr(old.message, "\nHINT: ");
        (void) error_setf(error, old.class, old.r, old.code, "%.*s\nHINT: %s",
                          (int) (end ? (size_t) (end - old.message) : strlen(old.message)),
                          old.message, hint);
}

void cli_explain(Cli *c, Error *error) {
        _cleanup_free_ char *hint = NULL;
        const char *code = error ? error->code : NULL;

        if (!code)
                return;
        if (streq(code, "3F000") || streq(code, "42883") || streq(code, "42P01"))
                hint = strdup("the database lacks this version's schema: automapost migrate");
        else if (streq(code, "42501"))
                hint = strdup(
                        "an administrator of the database may allow it: "
                        "GRANT automapost_jobs_service TO the login of AUTOMAPOST_DATABASE_URL");
        else if (streq(code, "connection") && c->settings_in_dev)
                hint = strdup("\"automapost dev up\" starts the development database");
        else if (streq(code, "connection") && error->class == ERROR_CONFIG && c->settings_file &&
                 geteuid() != 0 && db_url_is_peer(c->settings.database_url))
                hint = strdup("you come in under your own name: sudo automapost setup makes the "
                              "login of who is new in the group automapost-jobs");
        else if (streq(code, "connection") && error->class == ERROR_CONFIG)
                hint = strdup("see AUTOMAPOST_DATABASE_URL, and pg_hba.conf of the server");
        else if (streq(code, "connection"))
                hint = strdup(
                        "is PostgreSQL running, and is AUTOMAPOST_DATABASE_URL the right one? "
                        "systemctl status postgresql tells");
        add_hint(error, hint);
}

int cli_ask(Cli *c, const Query *query, const char *const *params, JsonObject **ret,
            Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *array = json_object_new_array();
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

        if (!array)
                return error_oom(ret_error);
        r = cli_connect(c, ret_error);
        if (r < 0)
                return r;
        r = db_query(c->db, query, params, CLI_TIMEOUT, &rows, ret_error);
        if (r < 0) {
                cli_explain(c, ret_error);
                return r;
        }
        for (size_t i = 0; i < rows_count(rows); i++) {
                const char *text = rows_text(rows, i, 0) ?: "null";
                JsonObject *o = NULL;

                if (json_parse(text, strlen(text), &o) < 0)
                        return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "shape",
                                          "%s answered something that is no JSON", query->name);
                if (json_object_array_add(array, o) < 0) {
                        json_unref(o);
                        return error_oom(ret_error);
                }
        }
        *ret = TAKE_PTR(array);
        return 0;
}

int cli_ask_one(Cli *c, const Query *query, const char *const *params, JsonObject **ret,
                Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *array = NULL;
        int r;

        r = cli_ask(c, query, params, &array, ret_error);
        if (r < 0)
                return r;
        if (json_object_array_length(array) != 1)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "shape",
                                  "%s answered %zu rows instead of one", query->name,
                                  json_object_array_length(array));
        *ret = json_object_get(json_object_array_get_idx(array, 0));
        return 0;
}

/* Refused with a reason that the person who asked can act on: by the database, or a schedule. */
static bool is_refusal(const Error *error) {
        return error->class == ERROR_PERMANENT && error->code &&
               (strlen(error->code) == 5 || streq(error->code, "schedule") ||
                streq(error->code, "timezone"));
}

int cli_report(const Cli *c, const Error *error) {
        bool color = c->color && isatty(STDERR_FILENO);
        _cleanup_free_ char *text = NULL;
        const char *message = error->message ?: "something went wrong";
        char *hint;

        text = utf8_make_valid(message, strlen(message), 4000);
        hint = text ? strstr(text, "\nHINT: ") : NULL;
        if (hint)
                *hint++ = '\0';
        (void) fprintf(stderr, "%sautomapost:%s %s\n", color ? cli_style(c, STYLE_BAD) : "",
                       color ? cli_style(c, STYLE_NONE) : "", strnull(text));
        if (hint)
                (void) fprintf(stderr, "%s\n", hint);
        return is_refusal(error) ? EXIT_REFUSED : error_class_to_exit_status(error->class);
}
