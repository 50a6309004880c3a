/* SPDX-License-Identifier: MIT */
#pragma once

/* What to type next, as text that works when it is pasted into a shell on this host, and sentences
 * with the reader's times in them. */

#include "cli/cli.h"

/* Of an object with "command" (an array of words) or "start" (a service of which one run is the way
 * out): the text. *ret is NULL where it has neither. -ENOMEM. */
int advise_command(JsonObject *o, char **ret);
/* words ends with NULL; root: it needs root, so others get it with sudo. -ENOMEM. */
int advise_words(bool root, const char *const *words, char **ret);
/* Is this host run by systemd? */
bool advise_systemd(void);

/* Fills {name} with the text and {@name} with the time facts.name, in one pass, as automapost.why()
 * says it. -ENOMEM. */
int advise_fill(const char *template, JsonObject *facts, char **ret);
