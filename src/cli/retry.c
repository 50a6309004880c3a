/* SPDX-License-Identifier: MIT */

#include "cli/cli.h"
#include "queries.h"

static int retry_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        int r;

        r = cli_ask_one(c, &query_retry,
                        (const char *[]){ c->args[0], cli_flag(c, "late") ? "true" : "false" },
                        &answer, ret_error);
        if (r < 0) {
                cli_rephrase_hint(ret_error, "late => true",
                                  "automapost retry %s --late sends it all the same", c->args[0]);
                cli_rephrase_hint(ret_error, "resolve_delivery",
                                  "look at the platform, then: automapost resolve %s sent|not-sent",
                                  c->args[0]);
                return r;
        }
        if (c->json)
                return cli_print_json(answer);
        cli_print(c, STYLE_NONE, "Job %s was %s and is due now.", json_string(answer, "job_id"),
                  strnull(json_string(answer, "was")));
        return EX_OK;
}

const Verb verb_retry = {
        .name = "retry",
        .arguments = "ID",
        .help = "Do a failed, timed out or cancelled job once more",
        .details = "It is due at once, its attempts begin anew, and a publishing job reopens its\n"
                   "delivery. What may be published already is never retried: see held, resolve.",
        .group = GROUP_ACT,
        .options =
                (const Option[]){
                        { "late", 0, NULL, "publish it even though it is past the late limit" },
                        {},
                },
        .min_args = 1,
        .max_args = 1,
        .run = retry_run,
};
