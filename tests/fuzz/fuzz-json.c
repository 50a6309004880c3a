/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <errno.h>

#include "base/text.h"
#include "fuzz.h"

/* The getters bear any value under any name. */
static void look_into(JsonObject *o) {
        static const char *const names[] = { "a", "id", "error", "expires_in", "" };
        int64_t n;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *s = json_string(o, names[i]);

                assert(!s || utf8_is_valid(s, strlen(s)));
                n = json_int64(o, names[i], -4711);
                (void) json_boolean(o, names[i], n > 0);
                assert(json_member(o, names[i]) || json_int64(o, names[i], 4711) == 4711);
        }
        assert(json_path(o, "a", "a", "a", NULL) == json_member(json_path(o, "a", "a", NULL), "a"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(json_unrefp) JsonObject *o = NULL, *again = NULL;
        _cleanup_free_ char *copy = NULL;
        const char *text;
        int r;

        r = json_parse((const char *) data, n, &o);
        if (r < 0) {
                assert(r == -EINVAL || r == -E2BIG);
                assert(!o);
                return 0;
        }
        assert(utf8_is_valid((const char *) data, n));
        look_into(o);

        /* What is printed can be parsed, and prints the same bytes. */
        text = json_text(o);
        assert(text && utf8_is_valid(text, strlen(text)));
        copy = strdup(text);
        assert(copy);
        r = json_parse(copy, strlen(copy), &again);
        /* Escaped control characters are longer than they were. */
        assert(r == 0 || (r == -E2BIG && strlen(copy) > n));
        assert(r < 0 || streq(json_text(again), copy));

        return 0;
}
