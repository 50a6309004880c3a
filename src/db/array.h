/* SPDX-License-Identifier: MIT */
#pragma once

/* One-dimensional arrays as parameters, in the binary form that array_recv() of PostgreSQL's
 * src/backend/utils/adt/arrayfuncs.c takes: of what comes by the hundred the server reads it in a
 * fraction of the time that the text takes. All zero is an array that has no type yet. */

#include <systemd/sd-id128.h>

#include "base/text.h"

/* The elements' type, as its OID in pg_type, which is the same everywhere. */
typedef enum ArrayType {
        ARRAY_BIGINT = 20,
        ARRAY_TEXT = 25,
        ARRAY_TIMESTAMPTZ = 1184,
        ARRAY_UUID = 2950,
} ArrayType;

typedef struct Array {
        Str bytes;
        uint32_t n;
} Array;

/* Empty, of that type. -ENOMEM, as all of them. */
int array_start(Array *a, ArrayType type);
int array_add_bigint(Array *a, int64_t n);
/* NULL: SQL null. */
int array_add_text(Array *a, const char *text);
/* Microseconds since 1970. */
int array_add_time(Array *a, usec_t t);
int array_add_uuid(Array *a, sd_id128_t uuid);
void array_done(Array *a);
