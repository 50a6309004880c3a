/* SPDX-License-Identifier: MIT */
#pragma once

/* What to type next, as text that works when it is pasted into a shell on this host. */

#include "base/json.h"

/* Of an object with "command" (an array of words) or "start" (a service of which one run is the way
 * out): the text. *ret is NULL where it has neither. -ENOMEM. */
int advise_command(JsonObject *o, char **ret);
/* words ends with NULL; root: it needs root, so others get it with sudo. -ENOMEM. */
int advise_words(bool root, const char *const *words, char **ret);
/* Is this host run by systemd? */
bool advise_systemd(void);
