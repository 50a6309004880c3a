/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/text.h"
#include "base/time-util.h"
#include "cli/cli.h"
#include "cli/log-line.h"
#include "queries.h"

#define POLL_EVERY USEC_PER_SEC
/* A job's lines come with a beat or when it settles, with the times at which they were said: so far
 * back is looked for lines that came late. */
#define LOOK_BACK (2 * USEC_PER_MINUTE)
#define FOLLOW_LIMIT "5000"

static volatile sig_atomic_t interrupted;

static void on_interrupt(_unused_ int sig) {
        interrupted = 1;
}

int log_line_print(const Cli *c, JsonObject *line, size_t id_length) {
        const char *level = strnull(json_string(line, "level")), *job = json_string(line, "job_id");
        _cleanup_free_ char *at = cli_time(json_string(line, "timestamp"));
        Style style = streq(level, "error")   ? STYLE_BAD
                      : streq(level, "warn")  ? STYLE_WARN
                      : streq(level, "debug") ? STYLE_DIM
                                              : STYLE_NONE;

        if (!at)
                return -ENOMEM;
        printf("%s%s%s ", cli_style(c, STYLE_DIM), at, cli_style(c, STYLE_NONE));
        if (id_length > 0)
                printf("%.*s ", (int) id_length, strnull(job));
        cli_print(c, style, "%-5s %s", level, strnull(json_string(line, "message")));
        return 0;
}

static int print_lines(const Cli *c, JsonObject *lines, JsonObject *seen) {
        /* The first answer's ids set the width; later ones may be longer. */
        size_t length = c->n_args > 0 ? 0 : cli_id_length(lines, "job_id");

        for (size_t i = 0; i < json_object_array_length(lines); i++) {
                JsonObject *line = json_object_array_get_idx(lines, i);
                const char *id = json_string(line, "id");

                if (seen && id && json_object_object_get_ex(seen, id, NULL))
                        continue;
                if (c->json)
                        printf("%s\n", strnull(json_text(line)));
                else if (log_line_print(c, line, length) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* The ids of these lines, and the time from which the next look begins. */
static int remember(JsonObject *lines, JsonObject **seen, char **since) {
        _cleanup_(json_unrefp) JsonObject *ids = json_object_new_object();
        size_t n = json_object_array_length(lines);
        char iso[ISO8601_SIZE];
        usec_t t;

        if (!ids)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const char *id = json_string(json_object_array_get_idx(lines, i), "id");

                if (id && json_set_bool(ids, id, true) < 0)
                        return -ENOMEM;
        }
        json_unref(*seen);
        *seen = TAKE_PTR(ids);
        if (n > 0 && time_parse_iso8601(strnull(json_string(json_object_array_get_idx(lines, n - 1),
                                                            "timestamp")),
                                        &t) >= 0) {
                time_format_iso8601(t - MIN(t, LOOK_BACK), iso);
                free(*since);
                *since = strdup(iso);
                if (!*since)
                        return -ENOMEM;
        }
        return 0;
}

/* Waits for the next look; false when the person has had enough. */
static bool wait_a_moment(void) {
        const struct timespec ts = { .tv_sec = POLL_EVERY / USEC_PER_SEC };

        (void) fflush(stdout);
        if (!interrupted && !ferror(stdout))
                (void) nanosleep(&ts, NULL);
        return !interrupted && !ferror(stdout);
}

/* A database that restarts is waited for: who follows a log is looking at just that. */
static int follow(Cli *c, const char *id, const char *level, JsonObject *lines, char *since,
                  Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *seen = NULL;
        _cleanup_free_ char *from = since;
        const struct sigaction action = { .sa_handler = on_interrupt };
        bool lost = false;
        int r;

        (void) sigaction(SIGINT, &action, NULL);
        (void) sigaction(SIGTERM, &action, NULL);
        r = remember(lines, &seen, &from);
        while (r >= 0 && wait_a_moment()) {
                _cleanup_(json_unrefp) JsonObject *more = NULL;

                r = cli_ask(c, &query_job_log_lines,
                            (const char *[]){ id, from, level, FOLLOW_LIMIT }, &more, ret_error);
                if (r < 0 && ret_error->class == ERROR_TRANSIENT && !interrupted) {
                        if (!lost)
                                (void) cli_report(c, ret_error);
                        lost = true;
                        db_free(c->db);
                        c->db = NULL;
                        error_done(ret_error);
                        r = 0;
                        continue;
                }
                if (r < 0)
                        break;
                lost = false;
                if (print_lines(c, more, seen) < 0 || remember(more, &seen, &from) < 0)
                        r = error_oom(ret_error);
        }
        return MIN(r, 0);
}

static int logs_run(Cli *c, Error *ret_error) {
        const char *id = c->n_args > 0 ? c->args[0] : NULL,
                   *level = cli_option(c, "level") ?: "info";
        _cleanup_(json_unrefp) JsonObject *lines = NULL;
        _cleanup_free_ char *since = NULL, *text = NULL;
        uint64_t limit = 200;
        int r;

        r = cli_option_uint(c, "limit", 1, 10000, &limit);
        if (r == 0 && cli_option(c, "since"))
                r = cli_parse_time(c, "--since", cli_option(c, "since"), true, &since);
        if (r != 0)
                return r;
        text = strjoinf("%" PRIu64, limit);
        if (!text)
                return error_oom(ret_error);
        r = cli_ask(c, &query_job_log_lines, (const char *[]){ id, since, level, text }, &lines,
                    ret_error);
        if (r < 0)
                return r;
        if (c->json && !cli_flag(c, "follow"))
                return cli_print_json(lines);
        if (print_lines(c, lines, NULL) < 0)
                return error_oom(ret_error);
        if (cli_flag(c, "follow"))
                return follow(c, id, level, lines, TAKE_PTR(since), ret_error);
        if (json_object_array_length(lines) == 0)
                cli_print(c, STYLE_NONE, "No lines%s.",
                          id      ? " of this job at this level"
                          : since ? " since then"
                                  : " within the last hour: --since looks further back");
        return EX_OK;
}

const Verb verb_logs = {
        .name = "logs",
        .arguments = "[ID]",
        .help = "Show the log of a job, or of all jobs",
        .details = "What services say themselves is in the journal: journalctl -u 'automapost-*'.\n"
                   "With -f and --json, each line is one object.",
        .group = GROUP_LOOK,
        .options =
                (const Option[]){
                        { "follow", 'f', NULL, "go on with what is added, until interrupted" },
                        { "level", 'l', "LEVEL",
                          "the least important: debug, info, warning, error" },
                        { "since", 0, "TIME", "not older: 2h, 08:00; of all jobs, 1h unless told" },
                        { "limit", 'n', "N", "the last N lines, 200 unless told" },
                        {},
                },
        .max_args = 1,
        .run = logs_run,
};
