/* SPDX-License-Identifier: MIT */
#pragma once

/* Times: usec_t since the epoch (CLOCK_REALTIME), or of CLOCK_BOOTTIME for measuring. */

#include <time.h>

#include "macro.h"

usec_t now(clockid_t clock);

/* "2026-11-23T10:00:00.000Z", millisecond exact, always UTC. ret holds 25 bytes. */
#define ISO8601_SIZE 25
void time_format_iso8601(usec_t t, char ret[static ISO8601_SIZE]);
/* RFC 3339 / ISO 8601 with "T" or " ", optional fraction, "Z" or an offset; without one it is UTC.
 * -EINVAL. */
int time_parse_iso8601(const char *s, usec_t *ret);
/* The next 00:00 UTC after t. */
usec_t time_next_utc_midnight(usec_t t);

/* For people, in the zone of the terminal: "23 Nov 10:00:00 +01:00". -ENOMEM. */
int time_format_local(usec_t t, char **ret);
/* "2 h 14 min", "45 s", "3 d 2 h", "< 1 s": the two largest units. -ENOMEM. */
int time_format_span(usec_t span, char **ret);
/* "in 2 h 14 min", "3 min ago", "now". -ENOMEM. */
int time_format_relative(usec_t t, usec_t base, char **ret);
