/* SPDX-License-Identifier: MIT */

#include "cli/pause.h"
#include "base/text.h"
#include "cli/cli.h"
#include "providers/provider.h"
#include "queries.h"

int pause_target(const Cli *c, unsigned *n_used, char **ret) {
        const char *provider = cli_option(c, "provider");
        bool all = cli_flag(c, "all");

        *n_used = 0;
        if (all && provider)
                return cli_usage(c, "either --all or --provider");
        if (provider && isempty(provider))
                return cli_usage(c, "--provider is empty");
        if (!all && !provider && c->n_args == 0)
                return cli_usage(c, "a name, --all or --provider is missing");
        if (provider)
                *ret = strjoinf("provider:%s", provider);
        else
                *ret = strdup(all ? "--all" : c->args[(*n_used)++]);
        return *ret ? 0 : EX_TEMPFAIL;
}

static int list_pauses(Cli *c, Error *ret_error) {
        static const Column columns[] = {
                { "NAME", 0 },
                { "WHAT", 0 },
                { "UNTIL", 0 },
                { "BY", COLUMN_CUT },
                { "REASON", COLUMN_WRAP },
        };
        _cleanup_(json_unrefp) JsonObject *rows = NULL;
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        r = cli_ask(c, &query_pauses, NULL, &rows, ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return cli_print_json(rows);
        if (json_object_array_length(rows) == 0) {
                cli_print(c, STYLE_NONE, "Nothing is paused or limited.");
                return EX_OK;
        }
        r = table_new(c, columns, ELEMENTSOF(columns), &table);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(rows); i++) {
                JsonObject *o = json_object_array_get_idx(rows, i);
                _cleanup_free_ char *until = cli_age(json_string(o, "until"));

                r = table_add(table, (const char *[]){
                                             json_string(o, "name"), json_string(o, "what"), until,
                                             json_string(o, "by"), json_string(o, "reason") });
        }
        return r < 0 ? error_oom(ret_error) : table_print(table);
}

/* A platform that nothing is sent to cannot be paused: it would be a typing error that nobody sees.
 */
static int check_platform(const Cli *c, const char *provider) {
        _cleanup_free_ char *name = strndup(provider, strcspn(provider, ":"));
        _cleanup_(str_done) Str known = {};
        const Provider *const *all;
        size_t n;

        if (!name)
                return EX_TEMPFAIL;
        if (provider_find(name))
                return 0;
        all = provider_list(&n);
        for (size_t i = 0; i < n; i++)
                if (str_appendf(&known, "%s%s", i == 0 ? "" : ", ", all[i]->name) < 0)
                        return EX_TEMPFAIL;
        return cli_usage(c, "nothing is sent to a platform \"%s\"; there are %s", name, known.data);
}

static int pause_run(Cli *c, Error *ret_error) {
        _cleanup_free_ char *name = NULL, *until = NULL, *shown = NULL;
        _cleanup_(json_unrefp) JsonObject *rows = NULL;
        unsigned n;
        int r;

        if (c->n_args == 0 && !cli_flag(c, "all") && !cli_option(c, "provider"))
                return list_pauses(c, ret_error);
        r = pause_target(c, &n, &name);
        if (r == 0 && cli_option(c, "provider"))
                r = check_platform(c, cli_option(c, "provider"));
        if (r != 0)
                return r;
        if (c->n_args < n + 1)
                return cli_usage(
                        c, "a reason is missing: whoever finds it paused at night must know why");
        if (c->n_args > n + 1)
                return cli_usage(c, "\"%s\" is one argument too many; put the reason in quotes",
                                 c->args[n + 1]);
        if (cli_option(c, "until")) {
                r = cli_parse_time(c, "--until", cli_option(c, "until"), false, &until);
                if (r != 0)
                        return r;
        }

        r = cli_ask(c, &query_pause, (const char *[]){ name, c->args[n], until }, &rows, ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return cli_print_json(rows);
        shown = cli_time_age(until);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                const char *paused = json_string(json_object_array_get_idx(rows, i), "paused");

                cli_print(c, STYLE_NONE, "Paused %s %s%s.", strnull(paused),
                          until ? "until " : "until resumed", until ? strnull(shown) : "");
        }
        cli_print(c, STYLE_DIM, "What has begun finishes.");
        return EX_OK;
}

const Verb verb_pause = {
        .name = "pause",
        .arguments = "[NAME] \"REASON\"",
        .help = "Pause a service, a job type or a platform; alone, list pauses",
        .details =
                "NAME is a service (social-media) or a job type (social-media-post). What is due\n"
                "meanwhile waits; posts past the late limit are missed.",
        .group = GROUP_ACT,
        .options =
                (const Option[]){
                        { "all", 0, NULL, "every job type" },
                        { "provider", 0, "P",
                          "a platform (linkedin), or an account (linkedin:ID)" },
                        { "until", 0, "TIME",
                          "resume by itself then: 08:00, \"tomorrow 08:00\", +2h" },
                        {},
                },
        .max_args = UINT_MAX,
        .run = pause_run,
};
