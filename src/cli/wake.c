/* SPDX-License-Identifier: MIT */

#include <inttypes.h>

#include "cli/cli.h"
#include "queries.h"

static int wake_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        int64_t n;
        int r;

        r = cli_ask_one(c, &query_wake, (const char *[]){ c->args[0] }, &answer, ret_error);
        if (r < 0) {
                cli_rephrase_hint(ret_error, "is no job id", "a job's id, or a job type");
                return r;
        }
        if (c->json)
                return cli_print_json(answer);
        n = json_int64(answer, "woken", 0);
        if (n == 0)
                cli_print(c, STYLE_NONE, "No job waits that could be woken.");
        else
                cli_print(c, STYLE_NONE, "%" PRId64 " %s due now; the next tick takes %s.", n,
                          n == 1 ? "job is" : "jobs are", n == 1 ? "it" : "them");
        return EX_OK;
}

const Verb verb_wake = {
        .name = "wake",
        .arguments = "ID|TYPE",
        .help = "Make a waiting job, or all of a type, due now",
        .details = "Rate limits and pauses still hold, and a job whose outcome is being looked up\n"
                   "is not woken before its time.",
        .group = GROUP_ACT,
        .min_args = 1,
        .max_args = 1,
        .run = wake_run,
};
