/* SPDX-License-Identifier: MIT */

/* What is in the database of "automapost dev", and the files that say how to come there. */

#include <errno.h>
#include <sys/stat.h>

#include "base/id.h"
#include "base/text.h"
#include "cli/dev-internal.h"
#include "queries.h"
#include "queue/migrate.h"

/* The logins of the cluster: what services use, and what a developer's application would. */
#define LOGIN_SERVICE "automapost_service"
#define LOGIN_APPLICATION "automapost_application"

extern const char *const sql_dev_application;
extern const char *const sql_dev_sample;

char *dev_url(const Dev *d, const char *login, const char *database) {
        _cleanup_free_ char *host = percent_encode(d->dir);

        return host ? strjoinf("postgresql://%s@/%s?host=%s&port=%u", login, database, host,
                               d->port)
                    : NULL;
}

static int connect_to(const Dev *d, const char *database, Db **ret, Error *ret_error) {
        _cleanup_free_ char *url = dev_url(d, "postgres", database);

        if (!url)
                return error_oom(ret_error);
        return db_connect(url, "automapost dev", CLI_TIMEOUT, ret, ret_error);
}

static int make_database(const Dev *d, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(db_freep) Db *db = NULL;
        int r;

        r = connect_to(d, "postgres", &db, ret_error);
        if (r < 0)
                return r;
        r = db_script(db, "create database", "CREATE DATABASE " DEV_DATABASE, CLI_TIMEOUT, &error);
        if (r < 0 && !streq_ptr(error.code, "42P04")) { /* it is there */
                error_move(ret_error, &error);
                return r;
        }
        return 0;
}

static const char *address_for_application(const Dev *d) {
        if (streq(d->host, "0.0.0.0"))
                return "127.0.0.1";
        return strchr(d->host, ':') ? "[::1]" : d->host;
}

/* One credential, with the names that an application has from the README: what signs the calls of
 * its http jobs. Hexadecimal digits are base64 as well. */
static int make_secret(const Dev *d, char ret[static ID128_SIZE], Error *ret_error) {
        _cleanup_free_ char *folder = dev_path(d, "credentials");
        _cleanup_(erase_and_freep) char *text = NULL;

        id128_random(ret);
        text = strjoinf("whsec_%s\n", ret);
        if (!folder || !text)
                return error_oom(ret_error);
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL, "cannot make %s: %s",
                                  folder, strerrordesc_np(errno));
        return dev_write(d, "credentials/jobs-secret", 0600, text, ret_error);
}

/* The logins, their passwords (for TCP alone; over the socket none is needed), the files that name
 * them, quoted so that a shell can read them too (a URL has an &). Passwords are made anew where
 * the files are missing. The application may make databases, as "prisma migrate dev" wants. */
static int make_logins(const Dev *d, Db *db, Error *ret_error) {
        _cleanup_(erase_and_freep) char *script = NULL, *env = NULL, *application = NULL,
                                        *own = NULL;
        _cleanup_free_ char *url = NULL;
        char password[ID128_SIZE], secret[ID128_SIZE];
        int r;

        if (dev_has(d, "application.env") && dev_has(d, "env"))
                return 0;
        id128_random(password);
        script = strjoinf("DO $$ BEGIN\n"
                          "    IF to_regrole('" LOGIN_SERVICE
                          "') IS NULL THEN CREATE ROLE " LOGIN_SERVICE "; END IF;\n"
                          "    IF to_regrole('" LOGIN_APPLICATION
                          "') IS NULL THEN CREATE ROLE " LOGIN_APPLICATION "; END IF;\n"
                          "END $$;\n"
                          "ALTER ROLE " LOGIN_SERVICE " LOGIN;\n"
                          "ALTER ROLE " LOGIN_APPLICATION " LOGIN CREATEDB PASSWORD '%s';\n"
                          "ALTER DATABASE " DEV_DATABASE " OWNER TO " LOGIN_APPLICATION ";\n"
                          "ALTER SCHEMA public OWNER TO " LOGIN_APPLICATION ";\n",
                          password);
        url = dev_url(d, LOGIN_SERVICE, DEV_DATABASE);
        own = d->host ? strjoinf("postgresql://" LOGIN_APPLICATION ":%s@%s:%u/" DEV_DATABASE,
                                 password, address_for_application(d), d->port)
                      : dev_url(d, LOGIN_APPLICATION, DEV_DATABASE);
        if (!script || !url || !own)
                return error_oom(ret_error);
        r = db_script(db, "logins", script, CLI_TIMEOUT, ret_error);
        if (r >= 0)
                r = make_secret(d, secret, ret_error);
        if (r < 0)
                return r;
        env = strjoinf(
                "# What the services and the command use; written by \"automapost dev up\".\n"
                "AUTOMAPOST_DATABASE_URL='%s'\n"
                "AUTOMAPOST_PROVIDERS=sandbox\n"
                "AUTOMAPOST_SANDBOX_DIR='%s/sandbox'\n"
                "AUTOMAPOST_STATE_DIR='%s/state'\n",
                url, d->dir, d->dir);
        application =
                strjoinf("# For the application itself%s.\n"
                         "DATABASE_URL='%s'\n"
                         "# Signs the calls of jobs whose http_credential is \"jobs-secret\".\n"
                         "JOBS_SECRET='whsec_%s'\n",
                         d->host ? ""
                                 : "; \"automapost dev up --listen 127.0.0.1:PORT\" gives it TCP",
                         own, secret);
        if (!env || !application)
                return error_oom(ret_error);
        r = dev_write(d, "application.env", 0600, application, ret_error);
        return r < 0 ? r : dev_write(d, "env", 0600, env, ret_error);
}

/* As the application's own login, which owns its tables. */
static int make_tables(Db *db, bool *ret_new, Error *ret_error) {
        _cleanup_free_ char *there = NULL, *script = NULL;
        int r;

        r = db_value(db, &query_dev_tables_exist, NULL, CLI_TIMEOUT, &there, ret_error);
        if (r < 0)
                return r;
        *ret_new = !streq_ptr(there, "t");
        if (!*ret_new)
                return 0;
        script = strjoinf("BEGIN;\nSET LOCAL ROLE " LOGIN_APPLICATION ";\n%s\nCOMMIT;",
                          sql_dev_application);
        return script ? db_script(db, "application tables", script, CLI_TIMEOUT, ret_error)
                      : error_oom(ret_error);
}

/* After the schema: what is due before it was made is not published. */
static int fill_tables(Db *db, Error *ret_error) {
        _cleanup_free_ char *empty = NULL, *script = NULL;
        int r;

        r = db_value(db, &query_dev_tables_empty, NULL, CLI_TIMEOUT, &empty, ret_error);
        if (r < 0 || !streq_ptr(empty, "t"))
                return MIN(r, 0);
        script = strjoinf("BEGIN;\nSET LOCAL ROLE " LOGIN_APPLICATION ";\n%s\nCOMMIT;",
                          sql_dev_sample);
        return script ? db_script(db, "sample data", script, CLI_TIMEOUT, ret_error)
                      : error_oom(ret_error);
}

int dev_fill(const Dev *d, Error *ret_error) {
        _cleanup_(db_freep) Db *db = NULL;
        bool fresh;
        int r;

        r = make_database(d, ret_error);
        if (r >= 0)
                r = connect_to(d, DEV_DATABASE, &db, ret_error);
        if (r >= 0)
                r = make_logins(d, db, ret_error);
        if (r >= 0)
                r = make_tables(db, &fresh, ret_error);
        if (r >= 0)
                r = migrate_apply(db, NULL, NULL, NULL, ret_error);
        if (r >= 0)
                r = db_script(db, "grants",
                              "SET client_min_messages = warning;\n"
                              "GRANT automapost_jobs_service TO " LOGIN_SERVICE ";\n"
                              "GRANT automapost_jobs_app TO " LOGIN_APPLICATION ";",
                              CLI_TIMEOUT, ret_error);
        return r < 0 ? r : fill_tables(db, ret_error);
}
