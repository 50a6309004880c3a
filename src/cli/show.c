/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "base/time-util.h"
#include "cli/cli.h"
#include "cli/log-line.h"
#include "queries.h"

static void section(const Cli *c, const char *title) {
        printf("\n");
        cli_print(c, STYLE_BOLD, "%s", title);
}

static void time_field(const Cli *c, const char *label, const char *iso) {
        _cleanup_free_ char *text = iso ? cli_time_age(iso) : NULL;

        cli_field(c, label, STYLE_NONE, text);
}

/* "reconnect-account (auth): the token expired", of what is known. */
static char *error_text(const char *code, const char *class, const char *message) {
        _cleanup_(str_done) Str s = {};

        if (code && str_append(&s, code) < 0)
                return NULL;
        if (class && str_appendf(&s, s.length > 0 ? " (%s)" : "%s", class) < 0)
                return NULL;
        if (message && str_appendf(&s, "%s%s", s.length > 0 ? ": " : "", message) < 0)
                return NULL;
        return s.data ? TAKE_PTR(s.data) : strdup("");
}

/* With spaces, between which it can be wrapped. */
static const char *spaced(JsonObject *o) {
        return o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_SPACED |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE)
                 : NULL;
}

static void print_definition(const Cli *c, JsonObject *definition) {
        const char *reason = json_string(definition, "paused_reason");
        _cleanup_free_ char *text = NULL;

        if (!definition)
                cli_field(c, "Note", STYLE_WARN, "this job type has no definition");
        else if (!json_boolean(definition, "active", true)) {
                text = strjoinf("this job type is paused by %s: %s",
                                strnull(json_string(definition, "paused_by")),
                                reason ?: "not active");
                cli_field(c, "Note", STYLE_WARN, text);
        }
}

static int print_job(const Cli *c, JsonObject *job, JsonObject *worker) {
        _cleanup_free_ char *tries = NULL, *error = NULL, *by = NULL, *where = NULL,
                            *created = NULL;
        const char *status = json_string(job, "status");
        JsonObject *payload = json_member(job, "payload"), *result = json_member(job, "result");
        int64_t max = json_int64(job, "max_attempts", 0);

        tries = max > 0 ? strjoinf("%" PRId64 " of %" PRId64, json_int64(job, "attempts", 0), max)
                        : strjoinf("%" PRId64, json_int64(job, "attempts", 0));
        error = error_text(json_string(job, "error_code"), json_string(job, "error_class"),
                           json_string(job, "error_message"));
        created = cli_time_age(json_string(job, "created_at"));
        if (!tries || !error || !created)
                return -ENOMEM;
        by = strjoinf("%s by %s", created, strnull(json_string(job, "created_by")));
        if (worker)
                where = strjoinf("%s on %s, process %" PRId64,
                                 strnull(json_string(worker, "service")),
                                 strnull(json_string(worker, "host")),
                                 json_int64(worker, "pid", 0));

        cli_field(c, "Job", STYLE_BOLD, json_string(job, "id"));
        cli_field(c, "Type", STYLE_NONE, json_string(job, "job_type"));
        cli_field(c, "Status", style_of_status(status), status);
        time_field(c, "Ended", json_string(job, "finished_at"));
        if (streq_ptr(status, "pending"))
                time_field(c, "Next try", json_string(job, "scheduled_for"));
        time_field(c, "Running since", json_string(job, "locked_at"));
        cli_field(c, "Worker", STYLE_NONE, where);
        time_field(c, "Due", json_string(job, "due_at"));
        cli_field(c, "Attempts", STYLE_NONE, tries);
        cli_field(c, streq_ptr(status, "pending") ? "Last error" : "Error",
                  streq_ptr(status, "pending") ? STYLE_WARN : STYLE_BAD, error);
        cli_field(c, "Waits for", STYLE_WARN, json_string(job, "waits_for"));
        if (json_string(job, "cancel_requested_at"))
                cli_field(c, "Cancelled by", STYLE_WARN, json_string(job, "cancel_requested_by"));
        cli_field(c, "Key", STYLE_NONE, json_string(job, "job_key"));
        cli_field(c, "Payload", STYLE_NONE, spaced(payload));
        cli_field(c, "Result", STYLE_NONE, spaced(result));
        cli_field(c, "Created", STYLE_NONE, by);
        return 0;
}

static void print_delivery(const Cli *c, JsonObject *d) {
        const char *state = json_string(d, "state");
        _cleanup_free_ char *error = NULL, *where = NULL;

        error = error_text(json_string(d, "code"), NULL, json_string(d, "detail"));
        where = strjoinf("%s, account %s", strnull(json_string(d, "provider")),
                         strnull(json_string(d, "auth_provider_id")));
        section(c, streq_ptr(json_string(d, "kind"), "comment") ? "First comment" : "Post");
        cli_field(c, "State", style_of_status(state), state);
        cli_field(c, "URL", STYLE_NONE, json_string(d, "url"));
        cli_field(c, "Where", STYLE_NONE, where);
        cli_field(c, "Post", STYLE_NONE, json_string(d, "post_id"));
        cli_field(c, "Delivery", STYLE_NONE, json_string(d, "id"));
        time_field(c, "Sent", json_string(d, "sent_at"));
        if (!json_string(d, "sent_at"))
                time_field(c, "Begun", json_string(d, "begun_at"));
        time_field(c, "Next try", json_string(d, "retry_at"));
        cli_field(c, "Reason", STYLE_NONE, error);
        cli_field(c, "Cancelled by", STYLE_NONE, json_string(d, "cancelled_by"));
        if (streq_ptr(state, "held"))
                cli_field(c, "To do", STYLE_BOLD,
                          "look at the platform, then: automapost resolve ID sent|not-sent");
}

static int print_others(const Cli *c, JsonObject *others) {
        static const Column columns[] = {
                { "WHAT", 0 },
                { "PLATFORM", 0 },
                { "STATE", 0 },
                { "JOB", 0 },
                { "WHERE OR WHY", COLUMN_CUT },
        };
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        if (!others)
                return 0;
        section(c, "Other deliveries of the post");
        r = table_new(c, columns, ELEMENTSOF(columns), &table);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(others); i++) {
                JsonObject *o = json_object_array_get_idx(others, i);
                _cleanup_free_ char *job = strndup(json_string(o, "job_id") ?: "-", 8);

                if (!job)
                        return -ENOMEM;
                r = table_add(table,
                              (const char *[]){ json_string(o, "kind"), json_string(o, "provider"),
                                                json_string(o, "state"), job,
                                                json_string(o, "url") ?: json_string(o, "code") });
                if (r >= 0)
                        table_style(table, 2, style_of_status(json_string(o, "state")));
        }
        return r < 0 ? r : table_print(table);
}

static int print_executions(const Cli *c, JsonObject *executions) {
        static const Column columns[] = {
                { "TRY", COLUMN_RIGHT },         { "STARTED", 0 },
                { "TOOK", COLUMN_RIGHT },        { "STATUS", 0 },
                { "HOW IT ENDED", COLUMN_WRAP },
        };
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        if (json_object_array_length(executions) == 0)
                return 0;
        section(c, "Executions");
        r = table_new(c, columns, ELEMENTSOF(columns), &table);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(executions); i++) {
                JsonObject *x = json_object_array_get_idx(executions, i);
                const char *status = json_string(x, "status");
                _cleanup_free_ char *number = NULL, *started = NULL, *took = NULL, *error = NULL;

                number = strjoinf("%" PRId64, json_int64(x, "retry_count", 0) + 1);
                started = cli_time(json_string(x, "started_at"));
                error = error_text(json_string(x, "error_code"), NULL,
                                   json_string(x, "error_message"));
                if (json_member(x, "duration_ms"))
                        took = strjoinf("%.2f s", (double) json_int64(x, "duration_ms", 0) / 1000);
                if (!number || !started || !error)
                        return -ENOMEM;
                r = table_add(table, (const char *[]){ number, started, took, status,
                                                       isempty(error) ? NULL : error });
                if (r >= 0)
                        table_style(table, 3, style_of_status(status));
        }
        return r < 0 ? r : table_print(table);
}

static int show_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *all = NULL;
        JsonObject *logs;
        int r;

        r = cli_ask_one(c, &query_show_job, (const char *[]){ c->args[0] }, &all, ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return cli_print_json(all);

        r = print_job(c, json_member(all, "job"), json_member(all, "worker"));
        if (r < 0)
                return error_oom(ret_error);
        print_definition(c, json_member(all, "definition"));
        if (json_member(all, "delivery"))
                print_delivery(c, json_member(all, "delivery"));
        if (print_others(c, json_member(all, "others")) < 0 ||
            print_executions(c, json_member(all, "executions")) < 0)
                return error_oom(ret_error);
        logs = json_member(all, "logs");
        if (json_object_array_length(logs) > 0)
                section(c, "Log");
        for (size_t i = 0; i < json_object_array_length(logs); i++)
                if (log_line_print(c, json_object_array_get_idx(logs, i), 0) < 0)
                        return error_oom(ret_error);
        return EX_OK;
}

const Verb verb_show = {
        .name = "show",
        .arguments = "ID",
        .help = "Show all that is known of a job",
        .group = GROUP_LOOK,
        .min_args = 1,
        .max_args = 1,
        .run = show_run,
};
