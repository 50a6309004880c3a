/* SPDX-License-Identifier: MIT */
#pragma once

/* json-c with errors: reading members by name and type, building, printing. Texts that go out are
 * valid UTF-8. Numbers in members are int64 unless said otherwise. */

#include <json-c/json.h>

#include "error.h"

typedef struct json_object JsonObject;

static inline void json_unref(JsonObject *o) {
        json_object_put(o);
}
DEFINE_CLEANUP(JsonObject, json_unref);

/* Parses exactly one JSON value (RFC 8259) of at most 1 MiB and 32 levels; "null" gives NULL.
 * -EINVAL, -E2BIG, -ENOMEM. */
int json_parse(const char *text, size_t length, JsonObject **ret);

/* A member of an object, borrowed; NULL where o is no object, the member is absent or null. */
JsonObject *json_member(JsonObject *o, const char *name);
/* Follows a path of member names, e.g. json_path(o, "error", "message", NULL). */
JsonObject *json_path(JsonObject *o, ...) __attribute__((sentinel));
/* The text of a string member, borrowed; NULL where it is absent, null, no string or has a NUL
 * inside. */
const char *json_string(JsonObject *o, const char *name);
/* The number of a member (a string of digits counts, a fraction does not), or otherwise
 * `missing`. */
int64_t json_int64(JsonObject *o, const char *name, int64_t missing);
bool json_boolean(JsonObject *o, const char *name, bool missing);

/* Setters; a NULL text is JSON null. -ENOMEM. */
int json_set_string(JsonObject *o, const char *name, const char *value);
int json_set_int64(JsonObject *o, const char *name, int64_t value);
int json_set_bool(JsonObject *o, const char *name, bool value);
/* Takes value over (also on failure). */
int json_set(JsonObject *o, const char *name, JsonObject *value);

/* Compact text, slashes not escaped, members in the order of insertion: the same object prints the
 * same bytes. Owned by o until it changes. */
const char *json_text(JsonObject *o);
