/* SPDX-License-Identifier: MIT */

/* What the tables of the verbs say of themselves: to a person, and to the programs that make the
 * manual and the completion of it. */

#include <errno.h>
#include <stdio.h>

#include "cli/cli.h"

static const char *const group_titles[_GROUP_MAX] = {
        [GROUP_LOOK] = "Look",
        [GROUP_ACT] = "Act",
        [GROUP_SETUP] = "Set up",
};

void cli_help(void) {
        printf("automapost VERB [ARGUMENTS] [OPTIONS]\n\n"
               "The jobs of AutomaPost: what they do, why they wait, and how to steer them.\n");
        for (VerbGroup g = 0; g < _GROUP_MAX; g++) {
                printf("\n%s:\n", group_titles[g]);
                for (size_t i = 0; i < n_verbs; i++)
                        if (verbs[i]->group == g)
                                printf("  %-11s %s\n", verbs[i]->name, verbs[i]->help);
        }
        printf("\nOptions of every verb:\n"
               "      --json     JSON instead of text\n"
               "  -h, --help     help on the verb\n"
               "      --version  the version\n\n"
               "Ids may be cut to their first 4 digits or more. Exit status: 0 done, 1 refused\n"
               "or not found, 64 wrong usage, 75 try again later, 78 an operator must act,\n"
               "70 a mistake of ours.\n");
}

void cli_verb_help(const Verb *v) {
        printf("automapost %s%s%s [OPTIONS]\n\n%s.\n", v->name, v->arguments ? " " : "",
               v->arguments ?: "", v->help);
        if (v->details)
                printf("\n%s\n", v->details);
        printf("\nOptions:\n");
        for (const Option *o = v->options; o && o->name; o++) {
                char text[64], letter[8] = "    ";

                if (o->letter)
                        (void) snprintf(letter, sizeof(letter), "-%c, ", o->letter);
                (void) snprintf(text, sizeof(text), "%s--%s%s%s", letter, o->name,
                                o->argument ? " " : "", o->argument ?: "");
                printf("  %-24s %s\n", text, o->help);
        }
        printf("  %-24s %s\n", "    --json", "JSON instead of text");
        printf("  %-24s %s\n", "-h, --help", "this help");
}

static JsonObject *option_json(const Option *o) {
        _cleanup_(json_unrefp) JsonObject *object = json_object_new_object();
        char letter[2] = { o->letter, '\0' };

        if (!object || json_set_string(object, "name", o->name) < 0 ||
            json_set_string(object, "letter", o->letter ? letter : NULL) < 0 ||
            json_set_string(object, "argument", o->argument) < 0 ||
            json_set_string(object, "help", o->help) < 0)
                return NULL;
        return TAKE_PTR(object);
}

static JsonObject *verb_json(const Verb *v) {
        _cleanup_(json_unrefp) JsonObject *object = json_object_new_object();
        _cleanup_(json_unrefp) JsonObject *options = json_object_new_array();

        for (const Option *o = v->options; o && o->name; o++) {
                JsonObject *option = option_json(o);

                if (!options || !option || json_object_array_add(options, option) < 0) {
                        json_unref(option);
                        return NULL;
                }
        }
        if (!object || !options || json_set_string(object, "name", v->name) < 0 ||
            json_set_string(object, "group", group_titles[v->group]) < 0 ||
            json_set_string(object, "arguments", v->arguments) < 0 ||
            json_set_string(object, "help", v->help) < 0 ||
            json_set_string(object, "details", v->details) < 0 ||
            json_set(object, "options", TAKE_PTR(options)) < 0)
                return NULL;
        return TAKE_PTR(object);
}

int cli_help_json(void) {
        _cleanup_(json_unrefp) JsonObject *list = json_object_new_array();

        for (size_t i = 0; i < n_verbs; i++) {
                JsonObject *verb = verb_json(verbs[i]);

                if (!list || !verb || json_object_array_add(list, verb) < 0) {
                        json_unref(verb);
                        return -ENOMEM;
                }
        }
        return cli_print_json(list);
}
