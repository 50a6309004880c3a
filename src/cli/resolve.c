/* SPDX-License-Identifier: MIT */

#include <inttypes.h>

#include "cli/cli.h"
#include "queries.h"

/* All that are held because the database was put back in time. */
static int resolve_restored(Cli *c, const char *outcome, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        _cleanup_free_ char *until = NULL;
        int r = 0;

        if (cli_option(c, "url"))
                return cli_usage(c, "--url is of one post");
        if (cli_option(c, "until"))
                r = cli_parse_time(c, "--until", cli_option(c, "until"), true, &until);
        if (r == 0)
                r = cli_ask_one(c, &query_resolve_restored,
                                (const char *[]){ outcome, until, cli_option(c, "platform") },
                                &answer, ret_error);
        if (r != 0)
                return r;
        if (c->json)
                return cli_print_json(answer);
        cli_print(c, STYLE_NONE, "%" PRId64 " deliveries of %" PRId64 " posts are %s%s",
                  json_int64(answer, "deliveries", 0), json_int64(answer, "posts", 0),
                  streq(outcome, "sent") ? "sent" : "taken up again",
                  streq(outcome, "sent") ? "." : ": they are published if their time allows.");
        return EX_OK;
}

static int resolve_run(Cli *c, Error *ret_error) {
        const char *outcome = c->args[1], *url = cli_option(c, "url");
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        int r;

        if (!streq(outcome, "sent") && !streq(outcome, "not-sent"))
                return cli_usage(c, "say sent or not-sent, not \"%s\"", outcome);
        if (streq(c->args[0], "restored"))
                return resolve_restored(c, outcome, ret_error);
        if (cli_option(c, "until") || cli_option(c, "platform"))
                return cli_usage(c, "--until and --platform are of resolve restored");
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
        .arguments = "ID|restored sent|not-sent",
        .help = "Say what became of a held post",
        .details =
                "Look at the platform first: \"automapost held\" tells where. \"sent\" is final;\n"
                "\"not-sent\" publishes it again, so be sure. \"restored\" are all that are held\n"
                "because the database was put back to an earlier state.",
        .group = GROUP_ACT,
        .options =
                (const Option[]){
                        { "url", 0, "URL", "where the post can be seen (sent)" },
                        { "until", 0, "T", "of the restored, those that were due until then" },
                        { "platform", 0, "NAME", "of the restored, those on this platform" },
                        {},
                },
        .min_args = 2,
        .max_args = 2,
        .run = resolve_run,
};
