/* SPDX-License-Identifier: MIT */

#include "cli/cli.h"
#include "queries.h"

static int resolve_run(Cli *c, Error *ret_error) {
        const char *outcome = c->args[1], *url = cli_option(c, "url");
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        int r;

        if (!streq(outcome, "sent") && !streq(outcome, "not-sent"))
                return cli_usage(c, "say sent or not-sent, not \"%s\"", outcome);
        if (url && streq(outcome, "not-sent"))
                return cli_usage(c, "--url is where a post that was sent can be seen");
        if (url && strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
                return cli_usage(c, "--url must begin with https:// or http://, not \"%s\"", url);

        r = cli_ask_one(c, &query_resolve_delivery, (const char *[]){ c->args[0], outcome, url },
                        &answer, ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return cli_print_json(answer);
        if (streq(outcome, "sent"))
                cli_print(c, STYLE_NONE, "Delivery %s is sent.",
                          json_string(answer, "delivery_id"));
        else
                cli_print(c, STYLE_NONE,
                          "Delivery %s is %s: it is published again if its time allows.",
                          json_string(answer, "delivery_id"),
                          strnull(json_string(answer, "state")));
        return EX_OK;
}

const Verb verb_resolve = {
        .name = "resolve",
        .arguments = "ID sent|not-sent",
        .help = "Say what became of a held post",
        .details =
                "Look at the platform first: \"automapost held\" tells where. \"sent\" is final;\n"
                "\"not-sent\" publishes it again, so be sure.",
        .group = GROUP_ACT,
        .options =
                (const Option[]){
                        { "url", 0, "URL", "where the post can be seen (sent)" },
                        {},
                },
        .min_args = 2,
        .max_args = 2,
        .run = resolve_run,
};
