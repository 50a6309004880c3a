/* SPDX-License-Identifier: MIT */

/* From installed to working. Says what it finds, makes what is missing, asks one question. */

#include "cli/setup.h"

#include <errno.h>
#include <stdio.h>

#include "db/url.h"

void setup_done(Setup *s) {
        erase_and_freep(&s->admin_url);
        free(s->catch_up);
        free(s->env_path);
        erase_and_freep(&s->url);
        db_free(s->admin_db);
        json_unref(s->survey);
        json_unref(s->admin_survey);
        db_free(s->service);
        free(s->login_name);
        erase_and_freep(&s->login_url);
        erase_and_freep(&s->verifier);
        json_unref(s->logins);
        free(s->host);
        json_unref(s->report);
        *s = (Setup){};
}

/* ---- saying ---- */

void setup_say(const Setup *s, Style style, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        if (s->c->json)
                return;
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        cli_print(s->c, style, "%s", text);
        (void) fflush(stdout);
}

void setup_field(const Setup *s, const char *label, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        if (s->c->json)
                return;
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        cli_field(s->c, label, STYLE_NONE, text);
}

/* ---- what was found, and what will be ---- */

static int show_found(Setup *s, Error *ret_error) {
        _cleanup_free_ char *host = NULL, *port = NULL, *where = NULL;
        const char *version = strnull(json_string(s->survey, "version"));

        if (db_url_target(s->url, &host, &port) < 0)
                return error_oom(ret_error);
        where = strjoinf("%s%s%s", host ?: "this machine", port ? ":" : "", port ?: "");
        if (!where || json_set_string(s->report, "application", s->env_path) < 0 ||
            json_set_string(s->report, "variable", s->url_name) < 0 ||
            json_set_string(s->report, "database", json_string(s->survey, "database")) < 0 ||
            json_set_string(s->report, "host", host) < 0 ||
            json_set_string(s->report, "server", version) < 0 ||
            json_set_string(s->report, "login", json_string(s->survey, "login")) < 0)
                return error_oom(ret_error);
        setup_field(s, "Application", "%s, by its %s", s->env_path, s->url_name);
        setup_field(s, "Database", "\"%s\" on %s, PostgreSQL %.*s, as \"%s\"",
                    json_string(s->survey, "database"), where, (int) strcspn(version, " "), version,
                    json_string(s->survey, "login"));
        setup_field(s, "Schema", "%s",
                    json_string(s->survey, "schemaOwner") ? "automapost is there"
                                                          : "none of ours yet");
        if (strstr(s->url, "pgbouncer=true"))
                setup_field(s, "Pooler",
                            "%s says pgbouncer: a DIRECT_URL beside it would be taken first, and "
                            "the pooler must know the login that is made here",
                            s->url_name);
        return 0;
}

/* What it costs is for the operator to know before, not after. */
static void show_single_role(const Setup *s) {
        setup_field(s, "Single role",
                    "\"%s\" for all, which costs what four roles keep apart: the services may read "
                    "and write whatever the application may, the application may change jobs past "
                    "the functions that keep them in order, and nobody's actions are told from "
                    "another's",
                    json_string(s->survey, "login"));
}

static void show_roles(const Setup *s) {
        static const char roles[] = "automapost_jobs_owner, _service, _schedule and _app";

        if (s->admin)
                setup_field(s, "Roles", "%s, which nobody logs in as; made by \"%s\"", roles,
                            s->admin_name);
        else
                setup_field(
                        s, "Roles",
                        "%s, which nobody logs in as; \"%s\" may make none, so an administrator "
                        "would be asked to, with the SQL for it",
                        roles, json_string(s->survey, "login"));
        setup_field(s, "Login",
                    s->login_by_peer ? "\"%s\", without a password: the kernel vouches for the "
                                       "services"
                                     : "\"%s\", with a password made for it",
                    s->login_name);
}

static int show_plan(Setup *s, Error *ret_error) {
        _cleanup_free_ char *operators = NULL;

        if (setup_operators(s, &operators) < 0)
                return error_oom(ret_error);
        setup_say(s, STYLE_NONE, "%s", "");
        setup_say(s, STYLE_BOLD, "What setup would make");
        if (s->single_role)
                setup_field(s, "Roles", "none; all under \"%s\"", s->login_name);
        else
                show_roles(s);
        if (operators)
                setup_field(s, "Operators", "logins of their own for %s, of the group " SETUP_USER,
                            operators);
        setup_field(s, "Schema", "automapost, and in it all that is ours");
        setup_field(s, "File", "%s", SETUP_FILE);
        setup_say(s, STYLE_NONE, "%s", "");
        setup_say(s, STYLE_BOLD, "What it would change of the application's");
        setup_field(s, "Tables", "nothing: no table, column, index or trigger");
        setup_field(s, "Rows",
                    "once publishing is on, posts that are out get their status and publishedAt, "
                    "accounts their refreshed tokens");
        setup_field(
                s, "The way back",
                "DROP SCHEMA automapost CASCADE; nothing of the application's depends on it, and "
                "it holds up none of its migrations");
        return 0;
}

/* ---- the way ---- */

static int look(Setup *s, Error *ret_error) {
        int r;

        r = setup_application(s, cli_option(s->c, "env"), ret_error);
        if (r >= 0)
                r = setup_connect(s, ret_error);
        if (r >= 0)
                r = show_found(s, ret_error);
        if (r >= 0)
                r = setup_check_database(s, ret_error);
        if (r < 0)
                return r;
        if (s->single_role)
                show_single_role(s);
        r = setup_find_rights(s, ret_error);
        return r < 0 ? r : setup_find_login(s, ret_error);
}

/* 0; 1 where an administrator must act first. */
static int make(Setup *s, Error *ret_error) {
        int r;

        r = setup_roles(s, ret_error);
        if (r != 0)
                return r;
        r = setup_try_login(s, ret_error);
        if (r == 0) { /* not by peer authentication: the server is told of a password */
                r = setup_roles(s, ret_error);
                if (r != 0)
                        return r;
                r = setup_try_login(s, ret_error);
        }
        if (r >= 0)
                r = setup_schema(s, ret_error);
        if (r >= 0)
                r = setup_installation(s, s->service, ret_error);
        if (r >= 0)
                r = setup_admission(s, ret_error);
        if (r >= 0)
                r = setup_write_settings(s, ret_error);
        return r < 0 ? r : setup_start_timers(s, ret_error);
}

static int show_operators(const Setup *s) {
        _cleanup_free_ char *operators = NULL;

        if (setup_operators(s, &operators) < 0)
                return -ENOMEM;
        setup_say(s, STYLE_NONE, "%s", "");
        if (!s->login_by_peer)
                setup_field(s, "Operators",
                            "who else may use the command: adduser NAME " SETUP_USER
                            "; what they do is recorded under \"%s\", whose password they share",
                            s->login_name);
        else if (!operators)
                setup_field(s, "Operators",
                            "who else may use the command: adduser NAME " SETUP_USER
                            ", then this again; what they do is recorded under their names");
        else
                setup_field(s, "Operators",
                            "%s, of the group " SETUP_USER
                            "; after a change of the group, this again",
                            operators);
        return 0;
}

static int run(Setup *s, Error *ret_error) {
        int r;

        if (!s->dry_run) {
                r = setup_check_host(s, ret_error);
                if (r < 0)
                        return r;
        }
        r = look(s, ret_error);
        if (r >= 0)
                r = s->dry_run ? show_plan(s, ret_error) : make(s, ret_error);
        if (r != 0)
                return r < 0 ? r : EX_CONFIG;
        r = setup_show_publishing(s, ret_error);
        if (r < 0)
                return r;
        if (s->dry_run) {
                setup_say(s, STYLE_NONE, "%s", "");
                setup_say(s, STYLE_GOOD,
                          "Nothing was changed: all of this was read in a read only "
                          "transaction.");
                return EX_OK;
        }
        if (show_operators(s) < 0)
                return error_oom(ret_error);
        r = setup_start_publishing(s, ret_error);
        return r < 0 ? r : EX_OK;
}

static int check_options(Cli *c, Setup *s) {
        const char *catch_up = cli_option(c, "catch-up");

        if (s->dry_run && (s->publish || s->adopt || s->join))
                return cli_usage(c, "--dry-run changes nothing, so it goes with neither --publish, "
                                    "--join nor --adopt");
        if (s->adopt && s->join)
                return cli_usage(c, "--adopt takes the installation over, --join adds this host to "
                                    "it: one of the two");
        if (s->single_role && s->admin_url)
                return cli_usage(c, "--single-role needs no administrator, --admin-url is one");
        return catch_up ? cli_parse_time(c, "--catch-up", catch_up, true, &s->catch_up) : 0;
}

/* Out of the list of processes, where everybody could read a password in it. */
static int take_admin_url(Setup *s) {
        const char *given = cli_option(s->c, "admin-url");

        if (!given)
                return 0;
        s->admin_url = strdup(given);
        if (!s->admin_url)
                return -ENOMEM;
        memset((char *) (uintptr_t) given, 'x', strlen(given));
        return 0;
}

static int setup_run(Cli *c, Error *ret_error) {
        _cleanup_(setup_done) Setup s = {
                .c = c,
                .dry_run = cli_flag(c, "dry-run"),
                .single_role = cli_flag(c, "single-role"),
                .publish = cli_flag(c, "publish"),
                .adopt = cli_flag(c, "adopt"),
                .realtime = cli_flag(c, "realtime"),
                .join = cli_option(c, "join"),
                .report = json_object_new_object(),
        };
        bool done = false;
        int r;

        if (!s.report || take_admin_url(&s) < 0)
                return error_oom(ret_error);
        r = check_options(c, &s);
        if (r != 0)
                return r;
        r = setup_installation_alone(&s, &done, ret_error);
        if (r >= 0 && !done)
                r = run(&s, ret_error);
        if (r >= 0 && c->json)
                (void) cli_print_json(s.report);
        return r;
}

const Verb verb_setup = {
        .name = "setup",
        .help = "From installed to working: roles, schema, settings, timers",
        .details = "Reads the application's .env, makes what is missing in its database, and asks\n"
                   "once whether to publish. Twice is as good as once. Publishes nothing that was\n"
                   "due before it was first switched on.",
        .group = GROUP_SETUP,
        .options =
                (const Option[]){
                        { "env", 0, "FILE", "the application's .env, or its folder" },
                        { "dry-run", 0, NULL, "show all of it, and change nothing" },
                        { "publish", 0, NULL, "publish from this host, without being asked" },
                        { "catch-up", 0, "T", "publish what was due since then too" },
                        { "admin-url", 0, "URL", "as whom to make roles" },
                        { "single-role", 0, NULL, "where only one role can be had" },
                        { "join", 0, "ID", "a further host of the installation ID" },
                        { "adopt", 0, NULL, "take over a database that was restored" },
                        { "realtime", 0, NULL,
                          "publish within the second, by a worker that stays" },
                        {},
                },
        .run = setup_run,
};
