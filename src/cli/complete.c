/* SPDX-License-Identifier: MIT */

/* automapost --complete WORD…: what may stand in the place of the last word, one a line, for the
 * shell's completion (packaging/completion). Read from the verbs' own tables, so that there is no
 * second list of them. */

#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"

/* The word, if it begins with what was typed behind the dashes. */
static void offer(const char *dashes, const char *typed, const char *word, size_t length) {
        if (strlen(typed) <= length && strncmp(word, typed, strlen(typed)) == 0)
                printf("%s%.*s\n", dashes, (int) length, word);
}

static void offer_verbs(const char *typed) {
        for (size_t i = 0; i < n_verbs; i++)
                offer("", typed, verbs[i]->name, strlen(verbs[i]->name));
}

static void offer_options(const Verb *v, const char *typed) {
        for (const Option *o = v->options; o && o->name; o++)
                offer("--", typed, o->name, strlen(o->name));
        offer("--", typed, "json", 4);
        offer("--", typed, "help", 4);
}

/* Of "ID sent|not-sent" the second argument: words in small letters are meant literally. */
static void offer_argument(const Verb *v, unsigned n, const char *typed) {
        const char *p = v->arguments ?: "";

        for (; n > 0 && *p; n--)
                p += strcspn(p, " ") + (p[strcspn(p, " ")] == ' ' ? 1 : 0);
        for (size_t length; *p && *p != ' '; p += length) {
                length = strspn(p, "abcdefghijklmnopqrstuvwxyz-");
                if (length > 0 && *p != '-')
                        offer("", typed, p, length);
                length += length == 0 ? 1 : 0;
        }
}

/* The option whose value the word after it would be, or NULL. */
static const Option *option_with_value(const Verb *v, const char *word) {
        for (const Option *o = v->options; o && o->name; o++) {
                if (!o->argument || word[0] != '-')
                        continue;
                if (word[1] == '-' ? streq(word + 2, o->name)
                                   : word[1] == o->letter && word[1] && !word[2])
                        return o;
        }
        return NULL;
}

int cli_complete(char **words, unsigned n) {
        const char *typed = n > 0 ? words[n - 1] : "";
        const Verb *v = n > 1 ? cli_find_verb(words[0]) : NULL;
        unsigned n_args = 0;

        if (n < 2 || streq(words[0], "help")) {
                offer_verbs(typed);
                return EX_OK;
        }
        for (unsigned i = 1; v && i + 1 < n; i++) {
                if (option_with_value(v, words[i])) {
                        if (i + 2 == n)
                                return EX_OK; /* a value, which we do not know */
                        i++;
                } else if (words[i][0] != '-')
                        n_args++;
        }
        if (v && typed[0] == '-')
                offer_options(v, typed + (typed[1] == '-' ? 2 : 1));
        else if (v)
                offer_argument(v, n_args, typed);
        return EX_OK;
}
