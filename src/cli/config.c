/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "queries.h"

static const char *origin_name(SettingOrigin origin) {
        return origin == ORIGIN_CREDENTIAL    ? "credential"
               : origin == ORIGIN_ENVIRONMENT ? "environment"
                                              : "default";
}

/* "1 to 512", "real, sandbox", "yes, no", "URL", … */
static char *range_of(const Setting *s) {
        switch (s->type) {
        case SETTING_UINT:
                return strjoinf("%" PRIu64 " to %" PRIu64 "%s%s", s->min, s->max,
                                s->unit ? " " : "", s->unit ?: "");
        case SETTING_BOOL:
                return strdup("yes, no");
        case SETTING_CHOICE: {
                _cleanup_(str_done) Str text = {};

                for (const char *p = s->choices; *p;) {
                        size_t n = strcspn(p, "|");

                        if (str_appendf(&text, "%s%.*s", text.length > 0 ? ", " : "", (int) n, p) <
                            0)
                                return NULL;
                        p += n + (p[n] == '|');
                }
                return TAKE_PTR(text.data);
        }
        case SETTING_URL:
        case SETTING_LINK:
                return strdup("URL");
        case SETTING_MAILBOX:
                return strdup("mail address");
        case SETTING_MAILBOXES:
                return strdup("mail addresses");
        case SETTING_MONTH:
                return strdup("YYYYMM");
        case SETTING_STRING:
                return strdup("text");
        }
        return strdup("");
}

static int collect_settings(const Cli *c, JsonObject **ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *list = json_object_new_array();

        if (!list)
                return error_oom(ret_error);
        for (const Setting *s = settings_table; s < settings_table + n_settings; s++) {
                _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
                _cleanup_free_ char *value = NULL, *range = range_of(s);
                SettingOrigin origin = ORIGIN_DEFAULT;

                if (setting_describe(s, &c->settings, &value, &origin) < 0 || !o || !range ||
                    json_set_string(o, "name", s->name) < 0 ||
                    json_set_string(o, "value", value) < 0 ||
                    json_set_string(o, "origin", origin_name(origin)) < 0 ||
                    json_set_string(o, "default", s->secret ? "" : s->fallback) < 0 ||
                    json_set_string(o, "unit", s->unit) < 0 ||
                    json_set_string(o, "range", range) < 0 ||
                    json_set_string(o, "help", s->help) < 0 ||
                    json_set_bool(o, "secret", s->secret) < 0 || json_object_array_add(list, o) < 0)
                        return error_oom(ret_error);
                o = NULL;
        }
        *ret = TAKE_PTR(list);
        return 0;
}

static int print_setting(const Cli *c, JsonObject *o) {
        const char *value = json_string(o, "value"), *origin = json_string(o, "origin");
        bool is_default = streq_ptr(origin, "default");
        _cleanup_free_ char *line = NULL;

        line = strjoinf("%s (%s%s%s)", json_string(o, "help"), json_string(o, "range"),
                        is_default ? "" : "; from the ", is_default ? "" : origin);
        if (!line)
                return -ENOMEM;
        printf("%s%s%s=%s\n", cli_style(c, STYLE_BOLD), json_string(o, "name"),
               cli_style(c, STYLE_NONE), strnull(value));
        cli_field(c, "", STYLE_DIM, line);
        return 0;
}

static int print_engine(const Cli *c, JsonObject *engine) {
        static const Column columns[] = {
                { "NAME", 0 },
                { "VALUE", COLUMN_RIGHT },
                { "DEFAULT", COLUMN_RIGHT },
                { "WHAT", COLUMN_WRAP },
        };
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        printf("\n");
        cli_print(c, STYLE_BOLD, "In the database, the same for every host (automapost.engine)");
        r = table_new(c, columns, ELEMENTSOF(columns), &table);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(engine); i++) {
                JsonObject *o = json_object_array_get_idx(engine, i);

                r = table_add(table, (const char *[]){
                                             json_string(o, "name"), json_string(o, "value"),
                                             json_string(o, "default"), json_string(o, "help") });
                if (r >= 0 && !streq_ptr(json_string(o, "value"), json_string(o, "default")))
                        table_style(table, 1, STYLE_WARN);
        }
        return r < 0 ? r : table_print(table);
}

static int config_run(Cli *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *settings = NULL, *engine = NULL, *all = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        r = cli_settings(c, ret_error);
        if (r < 0)
                return r;
        r = collect_settings(c, &settings, ret_error);
        if (r < 0)
                return r;
        /* Without a database there is still something to show. */
        if (!isempty(c->settings.database_url))
                (void) cli_ask(c, &query_engine_settings, NULL, &engine, &error);

        if (c->json) {
                all = json_object_new_object();
                if (!all || json_set(all, "settings", TAKE_PTR(settings)) < 0 ||
                    json_set(all, "engine", TAKE_PTR(engine)) < 0)
                        return error_oom(ret_error);
                return cli_print_json(all);
        }
        for (size_t i = 0; i < json_object_array_length(settings); i++)
                if (print_setting(c, json_object_array_get_idx(settings, i)) < 0)
                        return error_oom(ret_error);
        if (engine && print_engine(c, engine) < 0)
                return error_oom(ret_error);
        if (error.class != ERROR_NONE) {
                printf("\n");
                cli_print(c, STYLE_WARN,
                          "The engine's numbers are in the database, which cannot be asked: %.*s",
                          (int) strcspn(error.message, "\n"), error.message);
        }
        return EX_OK;
}

const Verb verb_config = {
        .name = "config",
        .help = "Show every setting: its value, where it comes from, what it may be",
        .details = "Settings are environment variables, on an installed host in\n"
                   "/etc/automapost-jobs/automapost-jobs.env. Secrets are never shown.",
        .group = GROUP_SETUP,
        .run = config_run,
};
