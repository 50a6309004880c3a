/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "queries.h"

static int print_held(const Cli *c, JsonObject *o) {
        _cleanup_free_ char *due = cli_time_age(json_string(o, "due_at")),
                            *begun = cli_time_age(json_string(o, "begun_at")), *where = NULL;
        const char *account = json_string(o, "account") ?: json_string(o, "auth_provider_id");

        where = strjoinf("%s, account %s", strnull(json_string(o, "provider")), strnull(account));
        if (!due || !begun || !where)
                return -ENOMEM;
        cli_field(c, "Held", STYLE_BAD, json_string(o, "id"));
        cli_field(c, "What", STYLE_NONE,
                  streq_ptr(json_string(o, "kind"), "comment") ? "a first comment" : "a post");
        cli_field(c, "Where", STYLE_NONE, where);
        cli_field(c, "Text", STYLE_NONE, json_string(o, "text"));
        cli_field(c, "Due", STYLE_NONE, due);
        cli_field(c, "Sent", STYLE_NONE, begun);
        cli_field(c, "Why", STYLE_NONE, json_string(o, "detail"));
        cli_field(c, "Post", STYLE_NONE, json_string(o, "post_id"));
        cli_field(c, "Job", STYLE_NONE, json_string(o, "job_id"));
        printf("\n");
        return 0;
}

/* Of those that are held since a restore there may be hundreds: a line each. */
static int print_restored(const Cli *c, JsonObject *rows) {
        static const Column columns[] = {
                { "DUE", 0 },  { "PLATFORM", 0 },      { "ACCOUNT", COLUMN_CUT },
                { "KIND", 0 }, { "TEXT", COLUMN_CUT }, { "ID", 0 },
        };
        _cleanup_(table_freep) Table *table = NULL;
        const char *why = NULL;
        int r;

        r = table_new(c, columns, ELEMENTSOF(columns), &table);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(rows); i++) {
                JsonObject *o = json_object_array_get_idx(rows, i);
                _cleanup_free_ char *due = NULL;

                if (!json_boolean(o, "restored", false))
                        continue;
                due = cli_time_age(json_string(o, "due_at"));
                if (!due)
                        return -ENOMEM;
                why = why ?: json_string(o, "detail");
                r = table_add(table,
                              (const char *[]){ due, json_string(o, "provider"),
                                                json_string(o, "account"), json_string(o, "kind"),
                                                json_string(o, "text"), json_string(o, "id") });
        }
        if (r < 0 || !why)
                return r;
        cli_print(c, STYLE_BAD, "Held, for %s:", why);
        r = table_print(table);
        printf("\n");
        cli_print(c, STYLE_NONE,
                  "They went out in the order of their times. Look from when on nothing is there,\n"
                  "then say it for all of them, the first for those up to that time:");
        cli_print(c, STYLE_BOLD, "  automapost resolve restored sent --until TIME");
        cli_print(c, STYLE_BOLD, "  automapost resolve restored not-sent");
        return r;
}

static int held_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *rows = NULL;
        size_t n, n_single = 0;
        int r;

        r = cli_ask(c, &query_held_deliveries, NULL, &rows, ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return cli_print_json(rows);
        n = json_object_array_length(rows);
        if (n == 0) {
                cli_print(c, STYLE_NONE, "Nothing waits for a person.");
                return EX_OK;
        }
        for (size_t i = 0; i < n; i++) {
                JsonObject *o = json_object_array_get_idx(rows, i);

                if (json_boolean(o, "restored", false))
                        continue;
                n_single++;
                if (print_held(c, o) < 0)
                        return error_oom(ret_error);
        }
        if (n_single < n && print_restored(c, rows) < 0)
                return error_oom(ret_error);
        if (n_single == 0)
                return EX_OK;
        cli_print(c, STYLE_NONE, "Look at each account on its platform, then say what you saw:");
        cli_print(c, STYLE_BOLD, "  automapost resolve ID sent [--url URL]");
        cli_print(c, STYLE_BOLD, "  automapost resolve ID not-sent");
        return EX_OK;
}

const Verb verb_held = {
        .name = "held",
        .help = "List posts of which nobody knows whether they are out",
        .details =
                "Their answer was lost and the platform cannot be asked: a person looks and says.",
        .group = GROUP_LOOK,
        .run = held_run,
};
