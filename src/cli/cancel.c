/* SPDX-License-Identifier: MIT */

#include "cli/cli.h"
#include "queries.h"

static int cancel_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        const char *id, *was;
        int r;

        r = cli_ask_one(c, &query_cancel, (const char *[]){ c->args[0] }, &answer, ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return cli_print_json(answer);

        id = json_string(answer, "job_id");
        was = json_string(answer, "was");
        if (streq_ptr(was, "cancelled"))
                cli_print(c, STYLE_NONE, "Cancelled job %s.", id);
        else if (streq_ptr(was, "requested"))
                cli_print(c, STYLE_NONE,
                          "Job %s is running: it is cancelled unless it has begun to send.", id);
        else
                cli_print(c, STYLE_NONE, "Job %s had ended already: %s.", id, strnull(was));
        return EX_OK;
}

const Verb verb_cancel = {
        .name = "cancel",
        .arguments = "ID",
        .help = "Cancel a job",
        .details =
                "A pending job ends at once. One that is running ends before it begins to send;\n"
                "what is being sent is not aborted, and its outcome is recorded as it is.",
        .group = GROUP_ACT,
        .min_args = 1,
        .max_args = 1,
        .run = cancel_run,
};
