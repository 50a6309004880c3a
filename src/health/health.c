/* SPDX-License-Identifier: MIT */

/* It answers within three seconds whatever is down: one deadline over everything that is asked, and
 * all of it asked on a thread of its own, because looking up the database's name (in libpq) knows
 * no deadline. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "base/text.h"
#include "base/time-util.h"
#include "db/db.h"
#include "health/advise.h"
#include "health/health.h"
#include "queries.h"
#include "queue/engine.h"
#include "queue/schema.h"

#define DEADLINE (2500 * USEC_PER_MSEC)
#define CLOCK_TOLERANCE 2.0 /* seconds */

/* ---- asking ---- */

typedef struct Look {
        char *url;
        usec_t deadline; /* CLOCK_BOOTTIME */
        int done_fd;
        /* Written by the thread before done_fd is readable. */
        JsonObject *answer;
        usec_t asked, answered; /* CLOCK_REALTIME around the answer */
        bool old_schema;        /* the answer is that of schema-version */
        Error error;
} Look;

static usec_t time_left(const Look *l) {
        usec_t t = now(CLOCK_BOOTTIME);

        return t < l->deadline ? l->deadline - t : 1;
}

static int look_ask(Look *l, Db *db, const Query *query, Error *ret_error) {
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

static void *look_run(void *userdata) {
        Look *l = userdata;
        _cleanup_(db_freep) Db *db = NULL;
        uint64_t one = 1;
        int r;

        r = db_connect(l->url, "automapost", time_left(l), &db, &l->error);
        if (r >= 0)
                r = look_ask(l, db, &query_status, &l->error);
        if (r < 0 && is_missing(&l->error)) {
                _cleanup_(error_done) Error error = ERROR_NULL;

                /* A schema without our question: which is it? One that cannot say is none. */
                l->old_schema = true;
                (void) look_ask(l, db, &query_schema_version, &error);
        }
        (void) !write(l->done_fd, &one, sizeof(one));
        return NULL;
}

static void look_free(Look *l) {
        free(l->url);
        json_unref(l->answer);
        error_done(&l->error);
        (void) close(l->done_fd);
        free(l);
}
DEFINE_CLEANUP(Look, look_free);

/* 1: answered; 0: not in time, and *ret stays with the thread; negative: -errno. */
static int look(const char *url, Look **ret) {
        Look *l = calloc(1, sizeof(Look));
        pthread_attr_t attributes;
        pthread_t thread;
        int r;

        if (!l)
                return -ENOMEM;
        l->deadline = now(CLOCK_BOOTTIME) + DEADLINE;
        l->url = strdup(url);
        l->done_fd = eventfd(0, EFD_CLOEXEC);
        if (!l->url || l->done_fd < 0) {
                look_free(l);
                return -ENOMEM;
        }
        (void) pthread_attr_init(&attributes);
        (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        r = -pthread_create(&thread, &attributes, look_run, l);
        (void) pthread_attr_destroy(&attributes);
        if (r < 0) {
                look_free(l);
                return r;
        }
        for (;;) {
                struct pollfd fd = { .fd = l->done_fd, .events = POLLIN };

                /* A little longer than what has a deadline of its own, and says more. */
                r = poll(&fd, 1, (int) ((time_left(l) + 100 * USEC_PER_MSEC) / USEC_PER_MSEC));
                if (r >= 0 || errno != EINTR)
                        break;
        }
        *ret = l;
        return r > 0 ? 1 : 0;
}

/* ---- problems ---- */

/* {"id", "what"} and, where they are given, one of a command or a service to start. */
static int add_problem(JsonObject *problems, const char *id, const char *command,
                       const char *format, ...) _printf_(4, 5);
static int add_problem(JsonObject *problems, const char *id, const char *command,
                       const char *format, ...) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        _cleanup_free_ char *what = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&what, format, ap);
        va_end(ap);
        if (n < 0) {
                what = NULL;
                return -ENOMEM;
        }
        if (!o || json_set_string(o, "id", id) < 0 || json_set_string(o, "what", what) < 0 ||
            json_set_string(o, "command", command) < 0 || json_object_array_add(problems, o) < 0)
                return -ENOMEM;
        TAKE_PTR(o);
        return 0;
}

/* The first line of an error: its hint speaks of what the command line says itself. */
static int add_error(JsonObject *problems, const char *id, const char *command, const Error *e) {
        const char *message = e->message ?: "out of memory";

        return add_problem(problems, id, command, "%.*s", (int) strcspn(message, "\n"), message);
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

        r = db_target(q->settings->database_url, &host, &port);
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
        JsonObject *applied = json_member(answer, "migrations");
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
                return add_problem(problems, "migrations-pending", "automapost migrate",
                                   "%zu of this version's migrations %s not been applied",
                                   n_missing, n_missing == 1 ? "has" : "have");
        if (schema > newest)
                return add_problem(problems, "package-old", upgrade,
                                   "the database has schema %" PRId64
                                   ", this version was made for %" PRId64,
                                   schema, newest);
        return 0;
}

/* This host's clock, measured now; what a worker of this host said earlier counts no more. */
static int add_clock(JsonObject *problems, const Look *l) {
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
        return add_problem(problems, "clock-off", advise_systemd() ? "timedatectl" : "date -u",
                           "the clock of this host is %.1f s %s the database's", fabs(ahead),
                           ahead > 0 ? "ahead of" : "behind");
}

/* Everything that is wrong, into h->problems; h->counts stays NULL where nothing is known. */
static int find_problems(const HealthQuestion *q, Health *h) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(look_freep) Look *l = NULL;
        JsonObject *known;
        int r;

        if (!q->settings)
                return add_error(h->problems, "settings-refused", "automapost config",
                                 q->settings_error);
        if (isempty(q->settings->database_url))
                return add_problem(h->problems, "not-configured", "automapost config",
                                   "AUTOMAPOST_DATABASE_URL is not set");
        r = look(q->settings->database_url, &l);
        if (r < 0)
                return r;
        if (r == 0) {
                TAKE_PTR(l);
                h->abandoned = true;
                (void) error_setf(&error, ERROR_TRANSIENT, -ETIMEDOUT, "connection",
                                  "no answer within %.1f s",
                                  (double) DEADLINE / (double) USEC_PER_SEC);
                return add_unreachable(q, h->problems, &error);
        }
        if (l->old_schema)
                return add_schema(h->problems, l->answer);
        if (l->error.class != ERROR_NONE)
                return add_failure(q, h->problems, &l->error);

        known = json_member(l->answer, "problems");
        for (size_t i = 0; known && i < json_object_array_length(known); i++) {
                JsonObject *o = json_object_array_get_idx(known, i);
                _cleanup_free_ char *command = NULL;

                if (advise_command(o, &command) < 0 || json_set_string(o, "command", command) < 0 ||
                    json_object_array_add(h->problems, json_object_get(o)) < 0)
                        return -ENOMEM;
                json_object_object_del(o, "start");
        }
        h->counts = json_object_get(json_member(l->answer, "counts"));
        r = add_schema(h->problems, l->answer);
        return r < 0 ? r : add_clock(h->problems, l);
}

static int compare_problems(const void *a, const void *b) {
        const char *x = json_string(*(JsonObject *const *) a, "id") ?: "";
        const char *y = json_string(*(JsonObject *const *) b, "id") ?: "";
        const ProblemKind *p = problem_kind(x), *q = problem_kind(y);

        if (p->severity != q->severity)
                return p->severity > q->severity ? -1 : 1;
        /* the order of the list; what is not in it comes last */
        for (size_t i = 0; p != q && i < n_problem_kinds; i++) {
                if (p == &problem_kinds[i])
                        return -1;
                if (q == &problem_kinds[i])
                        return 1;
        }
        return strcmp(json_string(*(JsonObject *const *) a, "what") ?: "",
                      json_string(*(JsonObject *const *) b, "what") ?: "");
}

/* The worst first, each with its severity and its kind's words, and the verdict of the worst. */
static int judge(Health *h) {
        const ProblemKind *worst = NULL;

        json_object_array_sort(h->problems, compare_problems);
        for (size_t i = 0; i < json_object_array_length(h->problems); i++) {
                JsonObject *o = json_object_array_get_idx(h->problems, i);
                const ProblemKind *k = problem_kind(json_string(o, "id") ?: "");

                if (json_set_int64(o, "severity", k->severity) < 0 ||
                    json_set_string(o, "words", k->words) < 0)
                        return -ENOMEM;
                worst = worst ?: k;
        }
        h->verdict = worst ? worst->severity : SEVERITY_WELL;
        h->words = worst ? strjoinf("%s: %s.", severity_words(h->verdict), worst->words)
                         : strjoinf("%s.", severity_words(h->verdict));
        return h->words ? 0 : -ENOMEM;
}

int health_look(const HealthQuestion *question, Health *ret) {
        _cleanup_(health_done) Health h = { .problems = json_object_new_array() };
        int r;

        r = h.problems ? find_problems(question, &h) : -ENOMEM;
        if (r >= 0)
                r = judge(&h);
        if (r < 0) {
                ret->abandoned = h.abandoned;
                return r;
        }
        *ret = h;
        h = (Health){};
        return 0;
}

void health_done(Health *h) {
        json_unref(h->problems);
        json_unref(h->counts);
        free(h->words);
        *h = (Health){};
}
