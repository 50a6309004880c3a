/* SPDX-License-Identifier: MIT */

/* The verdict, the problems, the counts. It answers within three seconds whatever is down: one
 * deadline over everything that is asked, and all of it asked on a thread of its own, because
 * looking up the database's name (in libpq) knows no deadline. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "base/text.h"
#include "base/time-util.h"
#include "cli/advise.h"
#include "cli/dev.h"
#include "cli/problems.h"
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

static int add_unreachable(const Cli *c, JsonObject *problems, const Error *e) {
        _cleanup_free_ char *host = NULL, *port = NULL, *command = NULL, *dev = dev_default_dir();
        const char *words[8] = { "pg_isready" };
        bool root = false;
        size_t n = 1;
        int r;

        r = db_target(c->settings.database_url, &host, &port);
        if (r < 0)
                return r;
        if (dev && c->settings_file && strncmp(c->settings_file, dev, strlen(dev)) == 0) {
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
static int add_failure(const Cli *c, JsonObject *problems, const Error *e) {
        if (streq_ptr(e->code, "42501") || e->class == ERROR_CONFIG || e->class == ERROR_PERMANENT)
                return add_error(problems, "database-refuses", "automapost config", e);
        return add_unreachable(c, problems, e);
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

/* Everything that is wrong, into an array; *ret_counts stays NULL where nothing is known.
 * *ret_abandoned: the thread still asks. */
static int find_problems(Cli *c, JsonObject *problems, JsonObject **ret_counts,
                         bool *ret_abandoned) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(look_freep) Look *l = NULL;
        JsonObject *known;
        int r;

        if (cli_settings(c, &error) < 0)
                return add_error(problems, "settings-refused", "automapost config", &error);
        if (isempty(c->settings.database_url))
                return add_problem(problems, "not-configured", "automapost config",
                                   "AUTOMAPOST_DATABASE_URL is not set");
        r = look(c->settings.database_url, &l);
        if (r < 0)
                return r;
        if (r == 0) {
                TAKE_PTR(l);
                *ret_abandoned = true;
                (void) error_setf(&error, ERROR_TRANSIENT, -ETIMEDOUT, "connection",
                                  "no answer within %.1f s",
                                  (double) DEADLINE / (double) USEC_PER_SEC);
                return add_unreachable(c, problems, &error);
        }
        if (l->old_schema)
                return add_schema(problems, l->answer);
        if (l->error.class != ERROR_NONE)
                return add_failure(c, problems, &l->error);

        known = json_member(l->answer, "problems");
        for (size_t i = 0; known && i < json_object_array_length(known); i++) {
                JsonObject *o = json_object_array_get_idx(known, i);
                _cleanup_free_ char *command = NULL;

                if (advise_command(o, &command) < 0 || json_set_string(o, "command", command) < 0 ||
                    json_object_array_add(problems, json_object_get(o)) < 0)
                        return -ENOMEM;
                json_object_object_del(o, "start");
        }
        *ret_counts = json_object_get(json_member(l->answer, "counts"));
        r = add_schema(problems, l->answer);
        return r < 0 ? r : add_clock(problems, l);
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

/* ---- showing ---- */

static int print_problem(const Cli *c, JsonObject *o) {
        const char *command = json_string(o, "command");
        int64_t posts = json_int64(o, "posts", 0), members = json_int64(o, "members", 0);
        _cleanup_free_ char *since = cli_time_age(json_string(o, "since")), *whom = NULL;

        if (posts > 0) {
                whom = strjoinf("; %" PRId64 " post%s of %" PRId64 " member%s", posts,
                                posts == 1 ? "" : "s", members, members == 1 ? "" : "s");
                if (!whom)
                        return -ENOMEM;
        }
        if (!since)
                return -ENOMEM;
        cli_print(c, STYLE_NONE, "- %s%s%s%s", strnull(json_string(o, "what")),
                  *since ? "; since " : "", since, whom ?: "");
        if (command)
                cli_print(c, STYLE_BOLD, "  %s", command);
        return 0;
}

static int print_counts(const Cli *c, JsonObject *o) {
        _cleanup_free_ char *next = cli_time_age(json_string(o, "nextDue")), *at_present = NULL,
                            *published = NULL, *failed = NULL, *held = NULL;

        at_present = strjoinf("%" PRId64 " due, %" PRId64 " running", json_int64(o, "due", 0),
                              json_int64(o, "running", 0));
        published = strjoinf("%" PRId64 " in the last hour, %" PRId64 " in the last day",
                             json_int64(o, "publishedHour", 0), json_int64(o, "publishedDay", 0));
        failed = strjoinf("%" PRId64 " and %" PRId64 " missed in the last day",
                          json_int64(o, "failedDay", 0), json_int64(o, "missedDay", 0));
        held = strjoinf("%" PRId64, json_int64(o, "held", 0));
        if (!next || !at_present || !published || !failed || !held)
                return -ENOMEM;
        cli_field(c, "Now", STYLE_NONE, at_present);
        cli_field(c, "Next due", STYLE_NONE, *next ? next : "nothing is scheduled");
        cli_field(c, "Published", STYLE_NONE, published);
        cli_field(c, "Failed", STYLE_NONE, failed);
        cli_field(c, "Held", STYLE_NONE, held);
        return 0;
}

static int print_kinds(const Cli *c) {
        static const Column columns[] = { { "STATUS", COLUMN_RIGHT },
                                          { "ID", 0 },
                                          { "WORDS", COLUMN_WRAP } };
        _cleanup_(json_unrefp) JsonObject *array = json_object_new_array();
        _cleanup_(table_freep) Table *t = NULL;

        if (!array || table_new(c, columns, ELEMENTSOF(columns), &t) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n_problem_kinds; i++) {
                const ProblemKind *k = &problem_kinds[i];
                _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
                char severity[12];

                (void) snprintf(severity, sizeof(severity), "%d", (int) k->severity);
                if (!o || json_set_string(o, "id", k->id) < 0 ||
                    json_set_int64(o, "severity", k->severity) < 0 ||
                    json_set_string(o, "words", k->words) < 0 ||
                    json_object_array_add(array, json_object_get(o)) < 0 ||
                    table_add(t, (const char *[]){ severity, k->id, k->words }) < 0)
                        return -ENOMEM;
        }
        return c->json ? cli_print_json(array) : table_print(t);
}

static int print_json(Severity verdict, const char *words, JsonObject *problems,
                      JsonObject *counts) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();

        for (size_t i = 0; i < json_object_array_length(problems); i++) {
                JsonObject *p = json_object_array_get_idx(problems, i);
                const ProblemKind *k = problem_kind(json_string(p, "id") ?: "");

                if (json_set_int64(p, "severity", k->severity) < 0 ||
                    json_set_string(p, "words", k->words) < 0)
                        return -ENOMEM;
        }
        if (!o || json_set_int64(o, "verdict", verdict) < 0 ||
            json_set_string(o, "words", words) < 0 ||
            json_set(o, "problems", json_object_get(problems)) < 0 ||
            json_set(o, "counts", json_object_get(counts)) < 0)
                return -ENOMEM;
        return cli_print_json(o);
}

static int print_text(const Cli *c, Severity verdict, const char *words, JsonObject *problems,
                      JsonObject *counts) {
        static const Style styles[_SEVERITY_MAX] = {
                [SEVERITY_WELL] = STYLE_GOOD,
                [SEVERITY_PERSON] = STYLE_WARN,
                [SEVERITY_NOT_GOING] = STYLE_BAD,
                [SEVERITY_UNKNOWN] = STYLE_BAD,
        };
        size_t n = json_object_array_length(problems);
        int r = 0;

        cli_print(c, styles[verdict], "%s", words);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = print_problem(c, json_object_array_get_idx(problems, i));
        if (counts && r >= 0) {
                printf("\n");
                r = print_counts(c, counts);
        }
        return r;
}

static int status_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *problems = json_object_new_array(), *counts = NULL;
        const ProblemKind *worst = NULL;
        _cleanup_free_ char *words = NULL;
        Severity verdict = SEVERITY_WELL;
        bool abandoned = false;
        int r;

        if (cli_flag(c, "kinds")) {
                r = print_kinds(c);
                return r < 0 ? error_oom(ret_error) : EX_OK;
        }
        r = problems ? find_problems(c, problems, &counts, &abandoned) : -ENOMEM;
        if (r < 0)
                return error_oom(ret_error);

        json_object_array_sort(problems, compare_problems);
        if (json_object_array_length(problems) > 0)
                worst = problem_kind(json_string(json_object_array_get_idx(problems, 0), "id")
                                             ?: "");
        verdict = worst ? worst->severity : SEVERITY_WELL;
        words = worst ? strjoinf("%s: %s.", severity_words(verdict), worst->words)
                      : strjoinf("%s.", severity_words(verdict));
        if (!words)
                return error_oom(ret_error);
        r = c->json ? print_json(verdict, words, problems, counts)
                    : print_text(c, verdict, words, problems, counts);
        if (r < 0)
                return error_oom(ret_error);
        /* Nothing may be torn down under a thread that is inside of libpq or the resolver. */
        if (abandoned && fflush(stdout) == 0)
                _exit((int) verdict);
        return (int) verdict;
}

const Verb verb_status = {
        .name = "status",
        .help = "Say whether posts go out, and what to do if they do not",
        .details =
                "The first line is the verdict, the exit status too: 0 all is well, 1 something\n"
                "waits for a person, 2 posts are not going out, 3 cannot tell. Each problem\n"
                "comes with the command to type next. It answers within 3 seconds.",
        .group = GROUP_LOOK,
        .options =
                (const Option[]){
                        { "kinds", 0, NULL, "list what it can find, and change nothing" },
                        {},
                },
        .run = status_run,
};
