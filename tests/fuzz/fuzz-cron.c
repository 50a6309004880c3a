/* SPDX-License-Identifier: MIT */
#include "base/cron.h"

#include <errno.h>

#include "base/time-util.h"
#include "fuzz.h"

#define START ((usec_t) 1774656000 * USEC_PER_SEC) /* 2026-03-28T00:00:00Z */

/* What comes next is later and of the schedule, and nothing of it lies between. */
static void check_times(const Cron *c, const Zone *z) {
        usec_t t = START, previous;

        for (int i = 0; i < 5; i++) {
                usec_t next = cron_next(c, z, t);
                int64_t at = (int64_t) (next / USEC_PER_SEC);

                assert(next > t);
                if (next == USEC_INFINITY)
                        return; /* 29 February on a weekday: every 28 years */
                assert(next % USEC_PER_MINUTE == 0);
                previous = cron_previous(c, z, next - 1);
                assert(previous < next && (i == 0 || previous == t));
                assert(cron_previous(c, z, next) == next);
                assert(cron_matches(c, at + zone_offset(z, at)) ||
                       zone_offset(z, at) > zone_offset(z, at - 1)); /* the end of a gap */
                t = next;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static const char *const names[] = { "UTC", "Europe/Berlin", "Australia/Lord_Howe" };
        static Zone *zones[ELEMENTSOF(names)];
        _cleanup_free_ char *text = strndup((const char *) data, n);
        _cleanup_(error_done) Error e = ERROR_NULL;
        Cron c = {};
        int r;

        assert(text);
        r = cron_parse(text, &c, &e);
        if (r < 0) {
                assert(r == -EINVAL && e.class == ERROR_PERMANENT);
                assert(utf8_is_valid(e.message, strlen(e.message)) && strstr(e.message, "HINT: "));
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(str_done) Str lines = {};

                if (!zones[i])
                        assert(zone_open(names[i], &zones[i], NULL) == 0);
                check_times(&c, zones[i]);
                r = cron_calendar(&c, zones[i], START, 60 * USEC_PER_DAY, 200, &lines);
                assert(r == 1 || (r == 0 && i > 0));
                assert(r == 0 || lines.length > 0);
        }
        return 0;
}
