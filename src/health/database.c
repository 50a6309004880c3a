/* SPDX-License-Identifier: MIT */

/* The database's half: its own answer, this binary beside the schema, this host's clock, or why
 * there is no answer. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "base/text.h"
#include "base/time-util.h"
#include "db/db.h"
#include "db/url.h"
#include "health/advise.h"
#include "health/database.h"
#include "queries.h"
#include "queue/engine.h"
#include "queue/schema.h"

#define CLOCK_TOLERANCE 2.0 /* seconds */

/* ---- asking, on a thread ---- */

struct DatabaseLook {
        char *url;
        usec_t deadline; /* CLOCK_BOOTTIME */
        JsonObject *answer;
        usec_t asked, answered; /* CLOCK_REALTIME around the answer */
        bool old_schema;        /* the answer is that of schema-version */
        Error error;
};

DatabaseLook *database_look_new(const char *url, usec_t deadline) {
        _cleanup_(database_look_freep) DatabaseLook *l = calloc(1, sizeof(DatabaseLook));

        if (!l || !(l->url = strdup(url)))
                return NULL;
        l->deadline = deadline;
        return TAKE_PTR(l);
}

void database_look_free(DatabaseLook *l) {
        free(l->url);
        json_unref(l->answer);
        error_done(&l->error);
        free(l);
}

static usec_t time_left(const DatabaseLook *l) {
        usec_t t = now(CLOCK_BOOTTIME);

        return t < l->deadline ? l->deadline - t : 1;
}

static int ask(DatabaseLook *l, Db *db, const Query *query, Error *ret_error) {
        _cleanup_free_ char *text = NULL;
        int r;

        l->asked = now(CLOCK_REALTIME);
        r = db_value(db, query, NULL, time_left(l), &text, ret_error);
        l->answered = now(CLOCK_REALTIME);
        if (r < 0)
                return r;
        if (!text || json_parse(text, strlen(text), &l->answer) < 0 || !l->answer)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "shape",
                                  "%s answered something that is no JSON", query->name);
        return 0;
}

static bool is_missing(const Error *e) {
        static const char *const codes[] = { "3F000", "42883", "42P01", "42703", "42704" };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (streq_ptr(e->code, codes[i]))
                        return true;
        return false;
}

void *database_look_run(void *userdata) {
        DatabaseLook *l = userdata;
        _cleanup_(db_freep) Db *db = NULL;
        int r;

        r = db_connect(l->url, "automapost", time_left(l), &db, &l->error);
        if (r >= 0)
                r = ask(l, db, &query_status, &l->error);
        if (r < 0 && is_missing(&l->error)) {
                _cleanup_(error_done) Error error = ERROR_NULL;

                /* A schema without our question: which is it? One that cannot say is none. */
                l->old_schema = true;
                (void) ask(l, db, &query_schema_version, &error);
        }
        return NULL;
}

/* ---- what it means ---- */

/* The first line of an error: its hint speaks of what the command line says itself. */
static int add_error(JsonObject *problems, const char *id, const char *command, const Error *e) {
        const char *message = e->message ?: "out of memory";

        return problem_add(problems, id, command, "%.*s", (int) strcspn(message, "\n"), message)
                       ? 0
                       : -ENOMEM;
}

static bool is_local(const char *host) {
        return isempty(host) || *host == '/' || streq(host, "localhost") || streq(host, "::1") ||
               strncmp(host, "127.", 4) == 0;
}

static int add_unreachable(const HealthQuestion *q, JsonObject *problems, const Error *e) {
        _cleanup_free_ char *host = NULL, *port = NULL, *command = NULL;
        const char *words[8] = { "pg_isready" };
        bool root = false;
        size_t n = 1;
        int r;

        r = db_url_target(q->settings->database_url, &host, &port);
        if (r < 0)
                return r;
        if (q->dev) {
                words[0] = "automapost";
                words[n++] = "dev";
                words[n++] = "up";
        } else if (advise_systemd() && is_local(host)) {
                words[0] = "systemctl";
                words[n++] = "start";
                words[n++] = "postgresql";
                root = true;
        } else {
                if (host) {
                        words[n++] = "-h";
                        words[n++] = host;
                }
                if (port) {
                        words[n++] = "-p";
                        words[n++] = port;
                }
        }
        r = advise_words(root, words, &command);
        return r < 0 ? r : add_error(problems, "database-unreachable", command, e);
}

/* Why there is no answer. */
static int add_failure(const HealthQuestion *q, JsonObject *problems, const Error *e) {
        if (streq_ptr(e->code, "42501") || e->class == ERROR_CONFIG || e->class == ERROR_PERMANENT)
                return add_error(problems, "database-refuses", "automapost config", e);
        return add_unreachable(q, problems, e);
}

/* This binary beside the schema; 1 where they cannot work together. */
static int add_schema(JsonObject *problems, JsonObject *answer) {
        _cleanup_free_ char *upgrade = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        const char *lowest = json_string(answer, "lowestBinary")
                                     ?: json_string(answer, "lowest_binary") ?: "";
        JsonObject *applied = json_member(answer, "migrations"), *o;
        int64_t newest = schema_migrations[n_schema_migrations - 1].version;
        size_t n_applied = applied ? json_object_array_length(applied) : 0, n_missing = 0;
        int64_t schema = json_int64(answer, "schema", json_int64(answer, "version", 0));
        int r;

        r = advise_words(true,
                         (const char *[]){ "apt-get", "install", "--only-upgrade", PROJECT_NAME,
                                           NULL },
                         &upgrade);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_schema_migrations; i++) {
                bool there = false;

                for (size_t k = 0; k < n_applied; k++)
                        there = there ||
                                json_object_get_int64(json_object_array_get_idx(applied, k)) ==
                                        schema_migrations[i].version;
                n_missing += !there;
        }
        if (engine_check_version(&(Engine){ .schema = schema,
                                            .lowest_binary = (char *) (uintptr_t) lowest },
                                 &error) < 0) {
                r = add_error(problems, "schema-apart",
                              n_missing > 0 ? "automapost migrate" : upgrade, &error);
                return r < 0 ? r : 1;
        }
        if (n_missing > 0)
                o = problem_add(problems, "migrations-pending", "automapost migrate",
                                "%zu of this version's migrations %s not been applied", n_missing,
                                n_missing == 1 ? "has" : "have");
        else if (schema > newest)
                o = problem_add(problems, "package-old", upgrade,
                                "the database has schema %" PRId64
                                ", this version was made for %" PRId64,
                                schema, newest);
        else
                return 0;
        return o ? 0 : -ENOMEM;
}

/* This host's clock, measured now; what a worker of this host said earlier counts no more. */
static int add_clock(JsonObject *problems, const DatabaseLook *l) {
        const char *said = json_string(l->answer, "now");
        char host[65] = "";
        double ahead = 0;
        usec_t t;

        if (!said || time_parse_iso8601(said, &t) < 0)
                return 0;
        (void) gethostname(host, sizeof(host) - 1);
        for (size_t i = json_object_array_length(problems); i-- > 0;) {
                JsonObject *o = json_object_array_get_idx(problems, i);

                if (streq_ptr(json_string(o, "id"), "clock-off") &&
                    streq_ptr(json_string(json_member(o, "facts"), "host"), host))
                        (void) json_object_array_del_idx(problems, i, 1);
        }
        /* The database's clock was read between asked and answered. */
        if (l->asked > t)
                ahead = (double) (l->asked - t) / USEC_PER_SEC;
        else if (l->answered < t)
                ahead = -((double) (t - l->answered) / USEC_PER_SEC);
        if (fabs(ahead) <= CLOCK_TOLERANCE)
                return 0;
        return problem_add(problems, "clock-off", advise_systemd() ? "timedatectl" : "date -u",
                           "the clock of this host is %.1f s %s the database's", fabs(ahead),
                           ahead > 0 ? "ahead of" : "behind")
                       ? 0
                       : -ENOMEM;
}

static int add_settings(JsonObject *problems, const Error *e) {
        _cleanup_free_ char *command = NULL;
        int r;

        r = advise_words(e->r == -EACCES,
                         (const char *[]){ "automapost", e->r == -EACCES ? "status" : "config",
                                           NULL },
                         &command);
        return r < 0 ? r : add_error(problems, "settings-refused", command, e);
}

/* Did another host publish in the last hour? */
static bool publishes_elsewhere(JsonObject *publishers) {
        char host[65] = "";

        (void) gethostname(host, sizeof(host) - 1);
        for (size_t i = 0; publishers && i < json_object_array_length(publishers); i++)
                if (!streq_ptr(json_object_get_string(json_object_array_get_idx(publishers, i)),
                               host))
                        return true;
        return false;
}

bool database_is_local(const HealthQuestion *q) {
        _cleanup_free_ char *host = NULL, *port = NULL;

        return q->settings && !isempty(q->settings->database_url) &&
               db_url_target(q->settings->database_url, &host, &port) >= 0 && is_local(host);
}

int database_problems(const HealthQuestion *q, DatabaseLook *l, JsonObject *problems,
                      JsonObject **ret_shared, JsonObject **ret_counts, bool *ret_elsewhere) {
        _cleanup_(json_unrefp) JsonObject *shared = json_object_new_array();
        JsonObject *known;
        int r;

        if (!shared)
                return -ENOMEM;
        if (!q->settings)
                return add_settings(problems, q->settings_error);
        if (isempty(q->settings->database_url))
                return problem_add(problems, "not-configured", "automapost config",
                                   "AUTOMAPOST_DATABASE_URL is not set")
                               ? 0
                               : -ENOMEM;
        if (!l) {
                _cleanup_(error_done) Error error = ERROR_NULL;

                (void) error_setf(&error, ERROR_TRANSIENT, -ETIMEDOUT, "connection",
                                  "no answer within %.1f s",
                                  (double) HEALTH_DEADLINE / (double) USEC_PER_SEC);
                return add_unreachable(q, problems, &error);
        }
        if (l->old_schema)
                return add_schema(problems, l->answer);
        if (l->error.class != ERROR_NONE)
                return add_failure(q, problems, &l->error);

        known = json_member(l->answer, "problems");
        for (size_t i = 0; known && i < json_object_array_length(known); i++) {
                JsonObject *o = json_object_array_get_idx(known, i);
                _cleanup_free_ char *command = NULL;

                if (advise_command(o, &command) < 0 || json_set_string(o, "command", command) < 0 ||
                    json_object_array_add(problems, json_object_get(o)) < 0)
                        return -ENOMEM;
                json_object_object_del(o, "start");
                /* Each host looks at its own clock. */
                if (!streq_ptr(json_string(o, "id"), "clock-off") &&
                    json_object_array_add(shared, json_object_get(o)) < 0)
                        return -ENOMEM;
        }
        *ret_shared = TAKE_PTR(shared);
        *ret_counts = json_object_get(json_member(l->answer, "counts"));
        *ret_elsewhere = publishes_elsewhere(json_member(l->answer, "publishers"));
        r = add_schema(problems, l->answer);
        return r < 0 ? r : add_clock(problems, l);
}
