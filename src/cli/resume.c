/* SPDX-License-Identifier: MIT */

#include "cli/cli.h"
#include "cli/pause.h"
#include "queries.h"

static int resume_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *rows = NULL;
        _cleanup_free_ char *name = NULL;
        unsigned n;
        int r;

        r = pause_target(c, &n, &name);
        if (r != 0)
                return r;
        if (c->n_args > n)
                return cli_usage(c, "\"%s\" is one argument too many", c->args[n]);

        r = cli_ask(c, &query_resume, (const char *[]){ name }, &rows, ret_error);
        if (r < 0) {
                cli_rephrase_hint(ret_error, "nothing is named",
                                  "automapost pause lists what is paused");
                cli_rephrase_hint(ret_error, "neither paused",
                                  "automapost pause lists what is paused");
                return r;
        }
        if (c->json)
                return cli_print_json(rows);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                JsonObject *o = json_object_array_get_idx(rows, i);
                const char *was = json_string(o, "was");

                if (streq_ptr(was, "active"))
                        cli_print(c, STYLE_DIM, "%s was not paused.", json_string(o, "resumed"));
                else
                        cli_print(c, STYLE_NONE, "Resumed %s (was: %s).", json_string(o, "resumed"),
                                  strnull(was));
        }
        return EX_OK;
}

const Verb verb_resume = {
        .name = "resume",
        .arguments = "[NAME]",
        .help = "End a pause, or a rate limit that is known to be over",
        .group = GROUP_ACT,
        .options =
                (const Option[]){
                        { "all", 0, NULL, "every job type" },
                        { "provider", 0, "P",
                          "a platform (linkedin), or an account (linkedin:ID)" },
                        {},
                },
        .max_args = UINT_MAX,
        .run = resume_run,
};
