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

static int held_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *rows = NULL;
        size_t n;
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
        for (size_t i = 0; i < n; i++)
                if (print_held(c, json_object_array_get_idx(rows, i)) < 0)
                        return error_oom(ret_error);
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
