/* SPDX-License-Identifier: MIT */
#include "base/time-util.h"

#include <errno.h>

#include "fuzz.h"

static void check_formats(usec_t t, usec_t base) {
        _cleanup_free_ char *local = NULL, *span = NULL, *relative = NULL;
        int r;

        r = time_format_local(t, &local);
        assert(r == 0 && strlen(local) >= strlen("1 Nov 10:00:00 +01:00"));
        r = time_format_span(t, &span);
        assert(r == 0 && *span);
        r = time_format_relative(t, base, &relative);
        assert(r == 0 && *relative);
        assert(streq(relative, "now") == (MAX(t, base) - MIN(t, base) < USEC_PER_SEC));
}

/* format → parse gives the time back, to the millisecond. */
static void check_round_trip(usec_t t) {
        char text[ISO8601_SIZE], again[ISO8601_SIZE];
        usec_t back, midnight;
        int r;

        time_format_iso8601(t, text);
        assert(strlen(text) == ISO8601_SIZE - 1);
        r = time_parse_iso8601(text, &back);
        assert(r == 0);
        assert(back == t - t % USEC_PER_MSEC || streq(text, "9999-12-31T23:59:59.999Z"));
        time_format_iso8601(back, again);
        assert(streq(text, again));

        midnight = time_next_utc_midnight(back);
        assert(midnight > back && midnight - back <= USEC_PER_DAY && midnight % USEC_PER_DAY == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_free_ char *text = NULL;
        usec_t t = 4711, numbers[2] = {};
        int r;

        /* The same bytes as a text, and as two numbers. */
        text = strndup((const char *) data, n);
        assert(text);
        r = time_parse_iso8601(text, &t);
        assert(r == 0 || (r == -EINVAL && t == 4711));
        if (r == 0)
                check_round_trip(t);

        if (n > 0)
                memcpy(numbers, data, MIN(n, sizeof(numbers)));
        check_round_trip(numbers[0]);
        check_formats(numbers[0], numbers[1]);

        return 0;
}
