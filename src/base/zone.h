/* SPDX-License-Identifier: MIT */
#pragma once

/* A time zone of the system's tzdata: what the clocks there show, and which of those times come
 * never or twice. Read from its TZif file (RFC 9636), because the C library knows one zone at a
 * time, that of the process, and takes a name that it does not know for UTC. Instants are seconds
 * since the epoch; "wall" is what the clock shows, as if it were UTC. */

#include "error.h"

typedef struct Zone Zone;

/* "Europe/Berlin", "UTC" (known without tzdata). ERROR_PERMANENT: -EINVAL no name of a zone,
 * -ENOENT there is none of that name; ERROR_CONFIG: -EBADMSG and others, its file cannot be read;
 * -ENOMEM. */
int zone_open(const char *name, Zone **ret, Error *ret_error);
/* The content of a TZif file. -EBADMSG, -ENOMEM. */
int zone_parse(const void *data, size_t n, Zone **ret);
void zone_free(Zone *z);
DEFINE_CLEANUP(Zone, zone_free);

/* Seconds east of Greenwich at an instant. */
int32_t zone_offset(const Zone *z, int64_t at);
/* The next instant at which the clocks are changed; false when they never are again. */
bool zone_next_change(const Zone *z, int64_t after, int64_t *ret);

typedef enum WallTime {
        WALL_ONCE,
        WALL_NEVER, /* the clocks jump over it */
        WALL_TWICE, /* the clocks are put back over it */
} WallTime;
/* When the clocks show it first, or, where they never do, the end of the gap. ret_kind may be NULL.
 */
int64_t zone_first(const Zone *z, int64_t wall, WallTime *ret_kind);
