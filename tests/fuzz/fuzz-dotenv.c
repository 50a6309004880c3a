/* SPDX-License-Identifier: MIT */
#include "cli/dotenv.h"

#include <errno.h>

#include "base/text.h"
#include "fuzz.h"

/* Any bytes are some file, and what is asked for is a text or an error that names it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static const char *const names[] = { "DIRECT_URL", "DATABASE_URL", "A", "B" };
        _cleanup_(dotenv_done) Dotenv d = {};
        int r;

        r = dotenv_parse((const char *) data, n, &d);
        assert(r == 0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(error_done) Error e = ERROR_NULL;
                _cleanup_free_ char *value = NULL;

                r = dotenv_get(&d, names[i], &value, &e);
                if (r < 0) {
                        assert(r == -ENOENT || r == -ELOOP || r == -E2BIG);
                        assert(e.class == ERROR_CONFIG && !value);
                        assert(utf8_is_valid(e.message, strlen(e.message)));
                } else
                        assert(!value || strlen(value) <= 2 * 64 * 1024);
        }
        return 0;
}
