/* SPDX-License-Identifier: MIT */

#include "db/array.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/time-util.h"

/* PostgreSQL counts from 2000-01-01 00:00 UTC. */
#define EPOCH (946684800 * USEC_PER_SEC)

/* After these comes each element: its length in bytes, or -1 for null, and its bytes. */
typedef struct Header {
        uint32_t dimensions, has_nulls, type, size, lower_bound;
} Header;

static int append(Array *a, const void *bytes, size_t n) {
        return str_append_n(&a->bytes, bytes, n);
}

int array_start(Array *a, ArrayType type) {
        Header h = { .dimensions = htobe32(1), .type = htobe32(type), .lower_bound = htobe32(1) };

        *a = (Array){};
        return append(a, &h, sizeof(h));
}

static int add(Array *a, const void *bytes, size_t n) {
        uint32_t length = htobe32(bytes ? (uint32_t) n : UINT32_MAX), size = htobe32(a->n + 1);
        int r;

        if (n > INT32_MAX || a->n == INT32_MAX)
                return -ENOMEM;
        r = append(a, &length, sizeof(length));
        if (r >= 0 && bytes)
                r = append(a, bytes, n);
        if (r < 0)
                return r;
        memcpy(a->bytes.data + offsetof(Header, size), &size, sizeof(size));
        a->n++;
        return 0;
}

int array_add_bigint(Array *a, int64_t n) {
        uint64_t bytes = htobe64((uint64_t) n);

        return add(a, &bytes, sizeof(bytes));
}

int array_add_text(Array *a, const char *text) {
        return add(a, text, text ? strlen(text) : 0);
}

int array_add_time(Array *a, usec_t t) {
        return array_add_bigint(a, (int64_t) (t - EPOCH));
}

int array_add_uuid(Array *a, sd_id128_t uuid) {
        return add(a, uuid.bytes, sizeof(uuid.bytes));
}

void array_done(Array *a) {
        str_done(&a->bytes);
        *a = (Array){};
}
