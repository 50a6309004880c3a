/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "health/advise.h"
#include "queries.h"

/* Fills {name} with the text and {@name} with the time facts.name, in one pass. -ENOMEM. */
static int fill(const char *template, JsonObject *facts, char **ret) {
        _cleanup_(str_done) Str s = {};
        int r = str_append(&s, "");

        for (const char *p = template; *p && r >= 0;) {
                size_t n = strcspn(p, "{"), length;
                _cleanup_free_ char *name = NULL, *time = NULL;
                const char *value;
                bool is_time;

                r = str_append_n(&s, p, n);
                p += n;
                length = strcspn(p, "}");
                if (r < 0 || p[length] != '}')
                        continue; /* its end: a '{' of a template always has its '}' */
                is_time = p[1] == '@';
                name = strndup(p + 1 + is_time, length - 1 - is_time);
                if (!name)
                        return -ENOMEM;
                value = json_object_get_string(json_member(facts, name));
                if (is_time) {
                        time = cli_time_age(value);
                        if (!time)
                                return -ENOMEM;
                        value = time;
                }
                r = str_append(&s, isempty(value) ? "-" : value);
                p += length + 1;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s.data);
        return 0;
}

/* The sentence, then what can be typed: each command on a line of its own, to be copied whole. */
static int print_why(const Cli *c, JsonObject *o) {
        JsonObject *commands = json_member(o, "commands");
        _cleanup_free_ char *text = NULL;
        int r;

        r = fill(json_string(o, "template") ?: "", json_member(o, "facts"), &text);
        if (r < 0)
                return r;
        cli_print(c, STYLE_NONE, "%s", text);
        for (size_t i = 0; commands && i < json_object_array_length(commands); i++) {
                JsonObject *item = json_object_array_get_idx(commands, i);
                _cleanup_free_ char *command = NULL;

                r = advise_command(item, &command);
                if (r < 0)
                        return r;
                if (command)
                        cli_print(c, STYLE_BOLD, "  %s: %s", strnull(json_string(item, "purpose")),
                                  command);
        }
        return 0;
}

static int why_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *rows = NULL;
        int r;

        r = cli_ask(c, &query_why, (const char *[]){ c->args[0] }, &rows, ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return cli_print_json(rows);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                if (i > 0)
                        printf("\n");
                if (print_why(c, json_object_array_get_idx(rows, i)) < 0)
                        return error_oom(ret_error);
        }
        return EX_OK;
}

const Verb verb_why = {
        .name = "why",
        .arguments = "ID",
        .help = "Say why a job or a post is in its state, and what to do",
        .details = "ID is a job's, a delivery's or a post's; of a post it says each account.",
        .group = GROUP_LOOK,
        .min_args = 1,
        .max_args = 1,
        .run = why_run,
};
