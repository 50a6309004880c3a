/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "cli/cli.h"
#include "queries.h"

#define LIMIT_DEFAULT 50

/* "linkedin post 1a2b3c4d: reconnect-account"; what tells one job from another. */
static char *about(JsonObject *o) {
        const char *post = json_string(o, "post_id"), *provider = json_string(o, "provider");
        const char *key = json_string(o, "job_key"), *code = json_string(o, "error_code");
        const char *what = streq_ptr(json_string(o, "kind"), "comment") ? "comment on " : "";
        _cleanup_(str_done) Str s = {};

        if (!isempty(provider) && str_append(&s, provider) < 0)
                return NULL;
        if (post) {
                if (str_appendf(&s, "%s%spost %.8s", s.length > 0 ? " " : "", what, post) < 0)
                        return NULL;
        } else if (!isempty(key) && str_appendf(&s, "%skey %s", s.length > 0 ? " " : "", key) < 0)
                return NULL;
        if (!code)
                code = json_string(o, "error_message");
        if (code && str_appendf(&s, "%s%s", s.length > 0 ? ": " : "", code) < 0)
                return NULL;
        if (s.length == 0 && str_append(&s, "-") < 0)
                return NULL;
        return TAKE_PTR(s.data);
}

static int add_job(Table *table, JsonObject *o, size_t id_length) {
        const char *status = json_string(o, "status"), *at;
        _cleanup_free_ char *id = NULL, *when = NULL, *tries = NULL, *what = about(o);
        int r;

        at = json_string(o, "finished_at")
                     ?: json_string(o,
                                    streq_ptr(status, "running") ? "locked_at" : "scheduled_for");
        id = strndup(strnull(json_string(o, "id")), id_length);
        when = cli_age(at);
        tries = strjoinf("%" PRId64, json_int64(o, "attempts", 0));
        if (!id || !when || !tries || !what)
                return -ENOMEM;
        r = table_add(table, (const char *[]){ id, json_string(o, "job_type"), status, when, tries,
                                               what });
        if (r < 0)
                return r;
        if (streq_ptr(json_string(o, "state"), "unconfirmed") ||
            json_string(o, "cancel_requested_at"))
                table_style(table, 2, STYLE_WARN);
        else
                table_style(table, 2, style_of_status(status));
        return 0;
}

static int print_jobs(const Cli *c, JsonObject *rows, uint64_t limit) {
        static const Column columns[] = {
                { "JOB", 0 },
                { "TYPE", 0 },
                { "STATUS", 0 },
                { "WHEN", 0 },
                { "TRIES", COLUMN_RIGHT },
                { "ABOUT", COLUMN_CUT },
        };
        _cleanup_(table_freep) Table *table = NULL;
        size_t n = json_object_array_length(rows), length = cli_id_length(rows, "id");
        int r;

        r = table_new(c, columns, ELEMENTSOF(columns), &table);
        for (size_t i = 0; r >= 0 && i < n && i < limit; i++)
                r = add_job(table, json_object_array_get_idx(rows, i), length);
        if (r >= 0)
                r = table_print(table);
        if (r >= 0 && n > limit && c->width > 0)
                cli_print(c, STYLE_DIM,
                          "There are more: --limit N, or fewer with --type, --status, --provider.");
        return r;
}

/* One more is asked for than is shown: whether there are more. */
static int make_filters(const Cli *c, uint64_t limit, const char *since, JsonObject **ret) {
        static const char *const names[] = { "type", "status", "post", "account", "provider" };
        _cleanup_(json_unrefp) JsonObject *filters = json_object_new_object();

        if (!filters || json_set_int64(filters, "limit", (int64_t) limit + 1) < 0 ||
            json_set_bool(filters, "all", cli_flag(c, "all")) < 0 ||
            (since && json_set_string(filters, "since", since) < 0))
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (cli_option(c, names[i]) &&
                    json_set_string(filters, names[i], cli_option(c, names[i])) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(filters);
        return 0;
}

static int jobs_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *filters = NULL, *rows = NULL;
        _cleanup_free_ char *since = NULL;
        uint64_t limit = LIMIT_DEFAULT;
        int r;

        r = cli_option_uint(c, "limit", 1, 10000, &limit);
        if (r != 0)
                return r;
        if (cli_option(c, "since")) {
                r = cli_parse_time(c, "--since", cli_option(c, "since"), true, &since);
                if (r != 0)
                        return r;
        }
        r = make_filters(c, limit, since, &filters);
        if (r < 0)
                return error_oom(ret_error);
        r = cli_ask(c, &query_list_jobs, (const char *[]){ json_text(filters) }, &rows, ret_error);
        if (r < 0)
                return r;

        if (c->json) {
                if (json_object_array_length(rows) > limit)
                        json_object_array_del_idx(rows, limit, 1);
                return cli_print_json(rows);
        }
        if (json_object_array_length(rows) == 0) {
                cli_print(
                        c, STYLE_NONE, "No such jobs%s",
                        cli_flag(c, "all") || cli_option(c, "status") || since
                                ? "."
                                : ": none waits or runs, and none failed within a day. See --all.");
                return EX_OK;
        }
        return print_jobs(c, rows, limit) < 0 ? error_oom(ret_error) : EX_OK;
}

const Verb verb_jobs = {
        .name = "jobs",
        .help = "List what runs, what waits, and what failed within a day",
        .details =
                "A job is pending, running, completed, failed, timeout or cancelled. Ids of posts\n"
                "and accounts may be cut.",
        .group = GROUP_LOOK,
        .options =
                (const Option[]){
                        { "type", 't', "TYPE", "of this job type" },
                        { "status", 's', "STATUS", "in this status" },
                        { "post", 0, "ID", "of this post" },
                        { "account", 0, "ID", "of this account" },
                        { "provider", 0, "P", "of this platform" },
                        { "since", 0, "TIME", "changed since: 2h, 08:00, 2026-11-24" },
                        { "limit", 'n', "N", "at most N, 50 unless told" },
                        { "all", 'a', NULL, "also those that completed or were cancelled" },
                        {},
                },
        .run = jobs_run,
};
