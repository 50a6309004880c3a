/* SPDX-License-Identifier: MIT */

/* The verdict, the problems, the counts, what this host ran: for a person or as JSON. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "alerts/channel.h"
#include "base/text.h"
#include "cli/cli.h"
#include "health/health.h"

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

/* What the services of this host last did; then, of those that have one, the last error. */
static int print_host(const Cli *c, JsonObject *host) {
        static const Column columns[] = { { "SERVICE", 0 },
                                          { "TIMER", 0 },
                                          { "LAST RUN", 0 },
                                          { "RESULT", COLUMN_WRAP },
                                          { "NEXT", 0 } };
        static const Column error_columns[] = { { "SERVICE", 0 },
                                                { "WHEN", 0 },
                                                { "LAST ERROR", COLUMN_WRAP } };
        _cleanup_(table_freep) Table *t = NULL, *errors = NULL;
        JsonObject *units = json_member(host, "units");
        const char *note = json_string(host, "note");
        size_t n_errors = 0;

        if (table_new(c, columns, ELEMENTSOF(columns), &t) < 0 ||
            table_new(c, error_columns, ELEMENTSOF(error_columns), &errors) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(units); i++) {
                JsonObject *u = json_object_array_get_idx(units, i),
                           *e = json_member(u, "lastError");
                const char *name = json_string(u, "name"), *result = json_string(u, "result"),
                           *status = json_string(u, "status"), *timer = json_string(u, "timer");
                _cleanup_free_ char *last = cli_age(json_string(u, "lastRun")),
                                    *next = cli_age(json_string(u, "next")),
                                    *when = cli_age(json_string(e, "time"));

                if (!last || !next || !when)
                        return -ENOMEM;
                if (table_add(t, (const char *[]){ name, timer, *last ? last : NULL,
                                                   isempty(status) ? result : status,
                                                   *next ? next : NULL }) < 0)
                        return -ENOMEM;
                if (timer && !streq(timer, "on"))
                        table_style(t, 1, STYLE_BAD);
                if (streq_ptr(json_string(u, "state"), "failed"))
                        table_style(t, 3, STYLE_BAD);
                if (!e)
                        continue;
                n_errors++;
                if (table_add(errors, (const char *[]){ name, when, json_string(e, "message") }) <
                    0)
                        return -ENOMEM;
        }
        printf("\n");
        if (table_print(t) < 0)
                return -ENOMEM;
        if (n_errors > 0) {
                printf("\n");
                if (table_print(errors) < 0)
                        return -ENOMEM;
        }
        if (note)
                cli_print(c, STYLE_DIM, "\n%s", note);
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

static int print_json(const Health *h) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();

        if (!o || json_set_int64(o, "verdict", h->verdict) < 0 ||
            json_set_string(o, "words", h->words) < 0 ||
            json_set(o, "problems", json_object_get(h->problems)) < 0 ||
            json_set(o, "counts", json_object_get(h->counts)) < 0 ||
            json_set(o, "host", json_object_get(h->host)) < 0)
                return -ENOMEM;
        return cli_print_json(o);
}

/* Whoever reads this need not, if somebody is told. */
static int print_channels(const Cli *c, char **channels) {
        _cleanup_(str_done) Str s = {};

        for (char **i = channels; *i; i++)
                if (str_appendf(&s, "%s%s", s.length > 0 ? ", " : "by ", *i) < 0)
                        return -ENOMEM;
        cli_field(c, "Alerts", *channels ? STYLE_NONE : STYLE_WARN,
                  *channels ? s.data : "nobody is told: automapost alert --test says how");
        return 0;
}

static int print_text(const Cli *c, const Health *h, char **channels) {
        static const Style styles[_SEVERITY_MAX] = {
                [SEVERITY_WELL] = STYLE_GOOD,
                [SEVERITY_PERSON] = STYLE_WARN,
                [SEVERITY_NOT_GOING] = STYLE_BAD,
                [SEVERITY_UNKNOWN] = STYLE_BAD,
        };
        size_t n = json_object_array_length(h->problems);
        int r = 0;

        cli_print(c, styles[h->verdict], "%s", h->words);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = print_problem(c, json_object_array_get_idx(h->problems, i));
        if (h->counts && r >= 0) {
                printf("\n");
                r = print_counts(c, h->counts);
                if (r >= 0 && channels)
                        r = print_channels(c, channels);
        }
        return h->host && r >= 0 ? print_host(c, h->host) : r;
}

static int status_run(Cli *c, Error *ret_error) {
        _cleanup_(error_done) Error settings_error = ERROR_NULL;
        _cleanup_(channels_freep) char **channels = NULL;
        _cleanup_(health_done) Health health = {};
        HealthQuestion question = { .settings_error = &settings_error };
        int r, verdict;

        if (cli_flag(c, "kinds")) {
                r = print_kinds(c);
                return r < 0 ? error_oom(ret_error) : EX_OK;
        }
        if (cli_settings(c, &settings_error) >= 0) {
                question.settings = &c->settings;
                if (channels_find(question.settings, &channels) < 0)
                        return error_oom(ret_error);
        }
        question.dev = c->settings_in_dev;
        r = health_look(&question, &health);
        if (r >= 0)
                r = c->json ? print_json(&health) : print_text(c, &health, channels);
        verdict = r < 0 ? error_class_to_exit_status(ERROR_TRANSIENT) : (int) health.verdict;
        /* Nothing may be torn down under a thread that is inside of libpq or the resolver. */
        if (health.abandoned && fflush(stdout) == 0)
                _exit(verdict);
        return r < 0 ? error_oom(ret_error) : verdict;
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
