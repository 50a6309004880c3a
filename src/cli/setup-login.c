/* SPDX-License-Identifier: MIT */

/* What the services log in as, and the operators: without a password where the server is on this
 * machine (the kernel says who calls), else with one that is made here and kept in the settings
 * file alone. The server is told its verifier. */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "base/env-file.h"
#include "base/id.h"
#include "base/text.h"
#include "cli/setup.h"
#include "db/url.h"
#include "queries.h"

#define COMMENT_SERVICES "automapost-jobs: the services on %s"
#define COMMENT_OPERATOR "automapost-jobs: an operator on %s"
#define HOST_MAX 30

/* ---- who is there ---- */

/* The machine's name as far as it may stand in a role's, and what tells it from another of that
 * name. */
static char *host_name(void) {
        char name[256] = "", hash[ID128_SIZE] = "";

        (void) gethostname(name, sizeof(name) - 1);
        name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")] =
                '\0';
        (void) machine_hash(hash);
        return strjoinf("%.*s-%.8s", HOST_MAX, *name ? name : "host", *hash ? hash : "0");
}

static JsonObject *find_login(const Setup *s, const char *name) {
        for (size_t i = 0; i < json_object_array_length(s->logins); i++) {
                JsonObject *o = json_object_array_get_idx(s->logins, i);

                if (streq_ptr(json_string(o, "login"), name))
                        return o;
        }
        return NULL;
}

static int append_name(Str *names, const char *name) {
        return str_appendf(names, "%s\"%s\"", names->length > 1 ? "," : "", name);
}

/* Our two possible names, and the members of the group. */
static int wanted_names(const Setup *s, const char *with_host, char **ret) {
        const struct group *group = getgrnam(SETUP_USER);
        _cleanup_(str_done) Str names = {};
        int r;

        r = str_append(&names, "{");
        if (r >= 0)
                r = append_name(&names, SETUP_USER);
        if (r >= 0)
                r = append_name(&names, with_host);
        for (char **m = group ? group->gr_mem : NULL; r >= 0 && m && *m; m++)
                if (!strpbrk(*m, "\"\\") && !streq(*m, SETUP_USER) && !streq(*m, "root"))
                        r = append_name(&names, *m);
        if (r >= 0)
                r = str_append(&names, "}");
        if (r < 0)
                return r;
        (void) s;
        *ret = TAKE_PTR(names.data);
        return 0;
}

static int look_at_logins(Setup *s, const char *with_host, Error *ret_error) {
        _cleanup_free_ char *names = NULL, *comment = strjoinf(COMMENT_OPERATOR, s->host);

        if (!comment || wanted_names(s, with_host, &names) < 0)
                return error_oom(ret_error);
        json_unref(TAKE_PTR(s->logins));
        return cli_ask(s->c, &query_setup_logins, (const char *[]){ names, comment }, &s->logins,
                       ret_error);
}

/* ---- which login ---- */

/* A URL that was written before; forgotten where it does not lead into this database any more. */
static int take_old_url(Setup *s, const char *path, bool *ret_works, Error *ret_error) {
        _cleanup_(erase_and_freep) char *url = NULL;
        _cleanup_(json_unrefp) JsonObject *seen = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_free_ char *user = NULL;
        _cleanup_(db_freep) Db *db = NULL;
        int r;

        *ret_works = false;
        r = env_file_get(path, "AUTOMAPOST_DATABASE_URL", &url, ret_error);
        if (r < 0)
                return r;
        if (isempty(url) || db_url_get(url, "user", &user) < 0 || !user)
                return 0;
        s->login_url = TAKE_PTR(url);
        s->login_name = TAKE_PTR(user);
        s->login_by_peer = db_url_is_peer(s->login_url);
        r = db_connect(s->login_url, SETUP_NAME, CLI_TIMEOUT, &db, &error);
        if (r >= 0)
                r = setup_survey(s, db, &seen, &error);
        if (r == -ENOMEM)
                return error_oom(ret_error);
        *ret_works = r >= 0 && setup_same_database(s->survey, seen) &&
                     json_boolean(json_member(seen, "memberOf"), "automapost_jobs_service", false);
        if (*ret_works)
                s->service = TAKE_PTR(db);
        return 0;
}

static void forget_url(Setup *s) {
        erase_and_freep(&s->login_url);
        free(s->login_name);
        s->login_url = s->login_name = NULL;
}

static int make_verifier(Setup *s, const char *password, Error *ret_error) {
        erase_and_freep(&s->verifier);
        s->verifier = NULL;
        return db_password_verifier(s->app, s->login_name, password, &s->verifier, ret_error);
}

/* Ours alone if nobody has it, or this host did: a further host gets one of its own, so that no
 * host's password is changed by another. */
static int choose_password(Setup *s, const char *with_host, Error *ret_error) {
        _cleanup_free_ char *ours = strjoinf(COMMENT_SERVICES, s->host);
        JsonObject *plain = find_login(s, SETUP_USER);
        char password[ID128_SIZE];
        int r;

        s->login_by_peer = false;
        s->login_name = strdup(ours && json_boolean(plain, "there", false) &&
                                               !streq_ptr(json_string(plain, "comment"), ours)
                                       ? with_host
                                       : SETUP_USER);
        if (!ours || !s->login_name)
                return error_oom(ret_error);
        id128_random(password);
        r = db_url_set(s->url,
                       (const char *[]){ "user", s->login_name, "password", password, NULL },
                       &s->login_url);
        r = r < 0 ? error_oom(ret_error) : make_verifier(s, password, ret_error);
        explicit_bzero(password, sizeof(password));
        return r;
}

/* 1: the server is on this machine, and its socket may do. */
static int choose_peer(Setup *s, Error *ret_error) {
        _cleanup_free_ char *folder = NULL;
        int r;

        if (setup_socket_folder(s->url, &folder) < 0)
                return error_oom(ret_error);
        if (!folder || !getpwnam(SETUP_USER))
                return 0;
        r = db_url_set(s->url,
                       (const char *[]){ "user", SETUP_USER, "password", NULL, "host", folder,
                                         "sslmode", NULL, NULL },
                       &s->login_url);
        s->login_name = strdup(SETUP_USER);
        if (r < 0 || !s->login_name)
                return error_oom(ret_error);
        s->login_by_peer = true;
        return 1;
}

/* The one role that there is: the application's own URL, as libpq understands it. */
static int choose_single_role(Setup *s, Error *ret_error) {
        s->login_name = strdup(json_string(s->survey, "login"));
        if (!s->login_name || db_url_set(s->url, (const char *[]){ NULL }, &s->login_url) < 0)
                return error_oom(ret_error);
        return 0;
}

int setup_find_login(Setup *s, Error *ret_error) {
        _cleanup_(erase_and_freep) char *password = NULL;
        _cleanup_free_ char *with_host = NULL;
        bool works;
        int r;

        s->host = host_name();
        with_host = s->host ? strjoinf(SETUP_USER "-%s", s->host) : NULL;
        if (!with_host)
                return error_oom(ret_error);
        r = look_at_logins(s, with_host, ret_error);
        if (r < 0)
                return r;
        if (s->single_role)
                return choose_single_role(s, ret_error);

        r = take_old_url(s, SETUP_FILE, &works, ret_error);
        if (r < 0 || works)
                return r;
        forget_url(s);
        r = take_old_url(s, SETUP_PENDING, &works, ret_error);
        if (r < 0 || works)
                return r;
        if (s->login_url && db_url_get(s->login_url, "password", &password) >= 0 && password)
                return make_verifier(s, password, ret_error);
        forget_url(s);
        r = choose_peer(s, ret_error);
        return r != 0 ? MIN(r, 0) : choose_password(s, with_host, ret_error);
}

/* 1: the login comes in, and to the same server: what listens on this machine's socket may be
 * another one than what TCP leads to. 0: it does not. */
static int connect_as_services(Setup *s, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *seen = NULL;
        _cleanup_(db_freep) Db *db = NULL;
        int r;

        r = db_connect(s->login_url, SETUP_NAME, CLI_TIMEOUT, &db, ret_error);
        if (r >= 0)
                r = setup_survey(s, db, &seen, ret_error);
        if (r >= 0 && !setup_same_database(s->survey, seen))
                r = error_setf(ret_error, ERROR_CONFIG, -EXDEV, "server",
                               "that is another server than %s of %s leads to", s->url_name,
                               s->env_path);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        s->service = TAKE_PTR(db);
        return 1;
}

int setup_try_login(Setup *s, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_free_ char *with_host = NULL;
        int r;

        if (s->service)
                return 1;
        r = connect_as_services(s, &error);
        if (r < 0)
                return error_oom(ret_error);
        if (r > 0)
                return 1;
        if (s->login_by_peer && error.class == ERROR_CONFIG) {
                with_host = strjoinf(SETUP_USER "-%s", s->host);
                if (!with_host)
                        return error_oom(ret_error);
                forget_url(s);
                r = look_at_logins(s, with_host, ret_error);
                return r < 0 ? r : choose_password(s, with_host, ret_error);
        }
        return error_setf(ret_error, error.class, error.r, error.code,
                          "the services cannot log in as \"%s\": %s\n"
                          "HINT: pg_hba.conf of the server must let that role into the database; "
                          "a pooler must know it too. Then run this again",
                          s->login_name, error.message);
}

/* ---- what makes them so ---- */

static int services_sql(const Setup *s, Str *sql) {
        JsonObject *login = find_login(s, s->login_name);
        const char *quoted = json_string(login, "quoted");
        bool there = json_boolean(login, "there", false);
        int r = 0;

        if (!login) /* another name, which somebody gave it: what it may do is theirs to say */
                return 0;
        if (!there || s->verifier || !json_boolean(login, "mayLogin", false))
                r = str_appendf(sql, "%s ROLE %s LOGIN%s%s%s;\n", there ? "ALTER" : "CREATE",
                                quoted, s->verifier ? " PASSWORD '" : "", s->verifier ?: "",
                                s->verifier ? "'" : "");
        if (r >= 0 && !there)
                r = str_appendf(sql, "COMMENT ON ROLE %s IS '" COMMENT_SERVICES "';\n", quoted,
                                s->host);
        if (r >= 0 &&
            !(json_boolean(login, "service", false) && json_boolean(login, "schedule", false)))
                r = str_appendf(sql,
                                "GRANT automapost_jobs_service, automapost_jobs_schedule TO %s;\n",
                                quoted);
        return r;
}

static bool is_operator(const Setup *s, JsonObject *login) {
        const char *name = json_string(login, "login");

        return json_boolean(login, "wanted", false) && !streq(name, s->login_name) &&
               strncmp(name, SETUP_USER, strlen(SETUP_USER)) != 0 &&
               !json_boolean(login, "superuser", false);
}

/* Members of the group come in under their own names; who has left it comes in no more. */
static int operator_sql(const Setup *s, JsonObject *login, Str *sql) {
        const char *quoted = json_string(login, "quoted");
        const char *comment = json_string(login, "comment");
        bool ours =
                comment && strncmp(comment, COMMENT_OPERATOR, strcspn(COMMENT_OPERATOR, "%")) == 0;
        int r = 0;

        if (!is_operator(s, login))
                return json_boolean(login, "wanted", false) ||
                                       !json_boolean(login, "mayLogin", false)
                               ? 0
                               : str_appendf(sql,
                                             "REVOKE automapost_jobs_service FROM %s;\n"
                                             "ALTER ROLE %s NOLOGIN;\n",
                                             quoted, quoted);
        if (!json_boolean(login, "there", false))
                r = str_appendf(sql,
                                "CREATE ROLE %s LOGIN;\n"
                                "COMMENT ON ROLE %s IS '" COMMENT_OPERATOR "';\n",
                                quoted, quoted, s->host);
        else if (ours && !json_boolean(login, "mayLogin", false))
                r = str_appendf(sql, "ALTER ROLE %s LOGIN;\n", quoted);
        if (r >= 0 && !json_boolean(login, "service", false))
                r = str_appendf(sql, "GRANT automapost_jobs_service TO %s;\n", quoted);
        return r;
}

int setup_login_sql(const Setup *s, Str *sql) {
        int r;

        r = services_sql(s, sql);
        for (size_t i = 0; r >= 0 && s->login_by_peer && i < json_object_array_length(s->logins);
             i++)
                r = operator_sql(s, json_object_array_get_idx(s->logins, i), sql);
        return r;
}

int setup_operators(const Setup *s, char **ret) {
        _cleanup_(str_done) Str names = {};
        int r = 0;

        for (size_t i = 0; r >= 0 && s->login_by_peer && i < json_object_array_length(s->logins);
             i++) {
                JsonObject *login = json_object_array_get_idx(s->logins, i);

                if (is_operator(s, login))
                        r = str_appendf(&names, "%s%s", names.length > 0 ? ", " : "",
                                        json_string(login, "login"));
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(names.data);
        return 0;
}
