/* SPDX-License-Identifier: MIT */
#pragma once

/* Times as people type them, in the zone of the terminal where they give none:
 *
 *     2026-11-24T08:00[:00[.123]][Z|+01:00]  2026-11-24 08:00  2026-11-24
 *     08:00  today 08:00  tomorrow 08:00  yesterday 08:00  tomorrow
 *     now  +2h  -30min  +1h30min  2h     (s, min or m, h, d, w)
 *
 * "08:00" and "2h" without a sign look ahead, or back where the past is meant. */

#include "base/macro.h"

/* base: CLOCK_REALTIME. -EINVAL: none of the above; -ERANGE: before 1970, past 9999, or an hour
 * that the clocks skip on that day. *ret is untouched on failure. */
int when_parse(const char *s, usec_t base, bool past, usec_t *ret);

/* For messages. */
#define WHEN_EXAMPLES "08:00, \"tomorrow 08:00\", +2h, 2026-11-24T08:00, 2026-11-24T08:00Z"
