/* SPDX-License-Identifier: MIT */
#pragma once

/* "automapost setup", in the order of its files:
 *
 *     setup-application.c  finds the application's .env and the database in it
 *     setup-database.c     looks at that database, and who may do what there
 *     setup-login.c        what the services and the operators log in as
 *     setup-schema.c       makes roles, schema and binding, or says what an administrator must
 *     setup-installation.c  which installation this machine is a host of
 *     setup-host.c         the settings file and the timers of this machine
 *     setup-publishing.c   shows what publishing would do, and switches it on
 *
 * Each step looks before it acts, so that a second run mends what a first one left. A dry run stops
 * before the first act; until then everything was read only. */

#include "base/text.h"
#include "cli/cli.h"

#define SETUP_NAME "automapost setup" /* to the server */
#define SETUP_USER "automapost-jobs"  /* the system user, and its group */
#define SETUP_FOLDER "/etc/automapost-jobs"
#define SETUP_FILE SETUP_FOLDER "/automapost-jobs.env"
#define PUBLISHING_TIMER "automapost-social-media.timer"
#define SETUP_PENDING SETUP_FILE ".new" /* a password that the server has not been told yet */

typedef struct Setup {
        Cli *c;
        bool dry_run, single_role, publish, realtime, adopt;
        const char *join;
        char *admin_url;
        char *catch_up; /* ISO 8601, or NULL */

        /* setup-application.c */
        char *env_path;       /* the application's .env */
        const char *url_name; /* "DIRECT_URL" or "DATABASE_URL" */
        char *url;

        /* setup-database.c */
        Db *app; /* of the command */
        Db *admin_db;
        Db *admin; /* who may make roles; borrowed: one of the two above, or NULL */
        Db *maker; /* who makes the schema; borrowed */
        JsonObject *survey, *admin_survey; /* as the application's login, as the administrator */
        const char *admin_name;            /* for people */

        /* setup-login.c */
        char *login_name;
        char *login_url;
        Db *service;    /* as that login */
        char *verifier; /* of the password that the login must be given, or NULL */
        bool login_by_peer;
        JsonObject *logins; /* of setup-logins.sql: ours, and the operators' */
        char *host;         /* this machine's name */

        JsonObject *report; /* for --json */
} Setup;

void setup_done(Setup *s);

/* A line, unless --json was given. */
void setup_say(const Setup *s, Style style, const char *format, ...) _printf_(3, 4);
/* "Label   text", unless --json was given. */
void setup_field(const Setup *s, const char *label, const char *format, ...) _printf_(3, 4);

int setup_application(Setup *s, const char *env, Error *ret_error);

int setup_connect(Setup *s, Error *ret_error);
/* What the connection's role sees. In a dry run the connection can change nothing from here on. */
int setup_survey(const Setup *s, Db *db, JsonObject **ret, Error *ret_error);
/* Of two surveys: the same database of the same server, whichever way led there. */
bool setup_same_database(JsonObject *a, JsonObject *b);
/* Whether the application's tables are there, and what setup finds else. ERROR_CONFIG names it. */
int setup_check_database(const Setup *s, Error *ret_error);
/* The folder of the socket of the server on this machine that url leads to, over TCP or not; NULL
 * where it leads elsewhere, or no socket is there. -ENOMEM. */
int setup_socket_folder(const char *url, char **ret);
/* Finds admin and maker. */
int setup_find_rights(Setup *s, Error *ret_error);

/* For "automapost migrate" on a host that was set up: connects the command as who may make the
 * schema, by the application's .env that the settings name. */
int setup_connect_maker(Cli *c, Error *ret_error);

/* Decides on login_name and login_url; makes nothing but a password. */
int setup_find_login(Setup *s, Error *ret_error);
/* Connects as the services will. 1: it works; 0: the server did not let it in by peer
 * authentication, and it has been given a password that the server must be told; negative: there is
 * no way left. */
int setup_try_login(Setup *s, Error *ret_error);
/* What makes the logins as they should be; nothing where they are. */
int setup_login_sql(const Setup *s, Str *sql);

/* The operators' names, joined; NULL where there are none, or passwords are used. -ENOMEM. */
int setup_operators(const Setup *s, char **ret);

/* Whether we have somebody who may make or renew the schema. */
bool setup_may_make(const Setup *s);
/* All that an administrator does: "" where nothing is to do. */
int setup_administrator_sql(const Setup *s, char **ret, Error *ret_error);
/* 0; 1 where the SQL was printed for an administrator, who must act first. */
int setup_roles(Setup *s, Error *ret_error);
int setup_schema(Setup *s, Error *ret_error);

/* --adopt and --join, over a connection as the services have it; without either, nothing. */
int setup_installation(const Setup *s, Db *db, Error *ret_error);
/* On a machine that is set up already, and told of no other .env, that is all there is to do:
 * *ret_done. */
int setup_installation_alone(const Setup *s, bool *ret_done, Error *ret_error);

int setup_check_host(const Setup *s, Error *ret_error);
/* Keeps a URL with a password before anybody is told of it; found again by setup_find_login(). */
int setup_keep_pending(const Setup *s, Error *ret_error);
/* Whether this machine may publish for the installation. */
int setup_admission(Setup *s, Error *ret_error);
int setup_write_settings(const Setup *s, Error *ret_error);
/* All but publishing's. */
int setup_start_timers(Setup *s, Error *ret_error);
int setup_publishing_is_on(bool *ret, Error *ret_error);
int setup_start_publishing_timer(Error *ret_error);
/* The worker that stays. */
int setup_start_realtime(const Setup *s, Error *ret_error);

/* {"installation", "since", "from", "lateLimit"}: which installation it is, when publishing was
 * first switched on, from when on posts are published; an empty object where there is no schema
 * yet. */
int setup_read_state(const Setup *s, JsonObject **ret, Error *ret_error);
int setup_show_publishing(Setup *s, Error *ret_error);
int setup_start_publishing(Setup *s, Error *ret_error);
