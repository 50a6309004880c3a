/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/time-util.h"

#include <errno.h>
#include <stdlib.h>

#include "fake.h"

#define SEC USEC_PER_SEC
#define MSEC USEC_PER_MSEC

static void test_now(void **state _unused_) {
        usec_t a = now(CLOCK_BOOTTIME), b = now(CLOCK_BOOTTIME), t = now(CLOCK_REALTIME);
        time_t before = time(NULL);

        assert_true(a > 0 && b >= a);
        assert_in_range(t / SEC, (uint64_t) before - 1, (uint64_t) before + 1);
}

/* Seconds from `date -u -d … +%s`. */
static void test_format_iso8601(void **state _unused_) {
        static const struct {
                usec_t t;
                const char *expected;
        } cases[] = {
                { 0, "1970-01-01T00:00:00.000Z" },
                { 999 * MSEC + 999, "1970-01-01T00:00:00.999Z" },
                { 951782399 * SEC, "2000-02-28T23:59:59.000Z" },
                { 951782400 * SEC, "2000-02-29T00:00:00.000Z" },
                { 1795428000 * SEC + 1 * MSEC, "2026-11-23T10:00:00.001Z" },
                { 4107542400 * SEC, "2100-03-01T00:00:00.000Z" },
                { 253402300799 * SEC + 999 * MSEC, "9999-12-31T23:59:59.999Z" },
                /* no fifth digit */
                { 253402300800 * SEC, "9999-12-31T23:59:59.999Z" },
                { USEC_INFINITY, "9999-12-31T23:59:59.999Z" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char s[ISO8601_SIZE];

                time_format_iso8601(cases[i].t, s);
                assert_string_equal(s, cases[i].expected);
        }
}

static void test_parse_iso8601(void **state _unused_) {
        static const struct {
                const char *s;
                usec_t expected;
        } cases[] = {
                { "1970-01-01T00:00:00Z", 0 },
                { "2026-11-23T10:00:00.000Z", 1795428000 * SEC },
                { "2026-11-23T10:00:00Z", 1795428000 * SEC },
                { "2026-11-23t10:00:00z", 1795428000 * SEC },
                { "2026-11-23 10:00:00", 1795428000 * SEC },
                { "2026-11-23 10:00:00+00", 1795428000 * SEC },
                { "2026-11-23T11:00:00+01:00", 1795428000 * SEC },
                { "2026-11-23T11:00:00+0100", 1795428000 * SEC },
                { "2026-11-23T11:00:00+01", 1795428000 * SEC },
                { "2026-11-22T22:30:00-11:30", 1795428000 * SEC },
                { "2026-11-23T10:00:00-00:00", 1795428000 * SEC },
                { "2026-11-23T10:00:00.5Z", 1795428000 * SEC + 500 * MSEC },
                { "2026-11-23T10:00:00,25Z", 1795428000 * SEC + 250 * MSEC },
                { "2026-11-23 10:00:00.123456+00", 1795428000 * SEC + 123456 },
                { "2026-11-23T10:00:00.123456789Z", 1795428000 * SEC + 123456 },
                { "2026-11-23T10:00:00.0000000000000000001Z", 1795428000 * SEC },
                { "2000-02-29T00:00:00Z", 951782400 * SEC },
                { "2028-02-29T00:00:00Z", 1835395200 * SEC },
                /* RFC 3339, 5.8: both are the leap second of 1990 */
                { "1990-12-31T23:59:60Z", 662688000 * SEC },
                { "1990-12-31T15:59:60-08:00", 662688000 * SEC },
                /* RFC 3339, 5.8 */
                { "1985-04-12T23:20:50.52Z", 482196050 * SEC + 520 * MSEC },
                { "1996-12-19T16:39:57-08:00", 851042397 * SEC },
                { "9999-12-31T23:59:59.999999Z", 253402300799 * SEC + 999999 },
                /* before the epoch there, but not here */
                { "1969-12-31T23:00:00-01:00", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                usec_t t = 1;

                if (time_parse_iso8601(cases[i].s, &t) != 0 || t != cases[i].expected)
                        fail_msg("%s is %llu", cases[i].s, (unsigned long long) t);
        }
}

static void test_parse_iso8601_bad(void **state _unused_) {
        static const char *const bad[] = {
                "",
                "now",
                "2026",
                "2026-11-23",
                "2026-11-23T10:00",
                "2026-11-23T10:00Z",
                "2026-11-23_10:00:00Z",
                "2026-11-23T10:00:00X",
                "2026-11-23T10:00:00ZZ",
                "2026-11-23T10:00:00Z ",
                " 2026-11-23T10:00:00Z",
                "2026-11-23T10:00:00.Z",
                "2026-11-23T10:00:00.",
                "2026-11-23T10:00:00+",
                "2026-11-23T10:00:00+1",
                "2026-11-23T10:00:00+1:00",
                "2026-11-23T10:00:00+01:0",
                "2026-11-23T10:00:00+01:",
                "2026-11-23T10:00:00+24:00",
                "2026-11-23T10:00:00+01:60",
                "2026-11-23T10:00:00 +01:00",
                "2026-00-23T10:00:00Z",
                "2026-13-23T10:00:00Z",
                "2026-11-00T10:00:00Z",
                "2026-11-31T10:00:00Z",
                "2026-02-29T10:00:00Z",
                "2100-02-29T10:00:00Z",
                "2026-11-23T24:00:00Z",
                "2026-11-23T10:60:00Z",
                "2026-11-23T10:00:61Z",
                "2026-1-23T10:00:00Z",
                "-026-11-23T10:00:00Z",
                "+026-11-23T10:00:00Z",
                "02026-11-23T10:00:00Z",
                "2026-11-23T1 :00:00Z",
                "1969-12-31T23:59:59Z",
                "1970-01-01T00:00:00+00:01",
                "0000-01-01T00:00:00Z",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                usec_t t = 4711;

                if (time_parse_iso8601(bad[i], &t) != -EINVAL)
                        fail_msg("%s is taken", bad[i]);
                assert_int_equal(t, 4711);
        }
}

static void test_next_utc_midnight(void **state _unused_) {
        assert_int_equal(time_next_utc_midnight(0), USEC_PER_DAY);
        assert_int_equal(time_next_utc_midnight(1), USEC_PER_DAY);
        assert_int_equal(time_next_utc_midnight(USEC_PER_DAY - 1), USEC_PER_DAY);
        assert_int_equal(time_next_utc_midnight(USEC_PER_DAY), 2 * USEC_PER_DAY);
        /* 2026-11-23T10:00:00Z → 2026-11-24T00:00:00Z */
        assert_int_equal(time_next_utc_midnight(1795428000 * SEC), 1795478400 * SEC);
        assert_int_equal(time_next_utc_midnight(USEC_INFINITY), USEC_INFINITY);
}

static void test_format_local(void **state _unused_) {
        static const struct {
                const char *zone; /* POSIX, so that no zone files are needed */
                usec_t t;
                const char *expected;
        } cases[] = {
                { "UTC0", 1795428000 * SEC, "23 Nov 10:00:00 +00:00" },
                { "CET-1CEST,M3.5.0,M10.5.0/3", 1795428000 * SEC, "23 Nov 11:00:00 +01:00" },
                /* 2026-07-01T22:30:59Z */
                { "CET-1CEST,M3.5.0,M10.5.0/3", 1782945059 * SEC, "2 Jul 00:30:59 +02:00" },
                { "NST3:30", 1795428000 * SEC, "23 Nov 06:30:00 -03:30" },
                { "IST-5:30", 0, "1 Jan 05:30:00 +05:30" },
                { "XXX0:30", 1795428000 * SEC, "23 Nov 09:30:00 -00:30" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *s = NULL;

                assert_int_equal(setenv("TZ", cases[i].zone, 1), 0);
                assert_int_equal(time_format_local(cases[i].t, &s), 0);
                assert_string_equal(s, cases[i].expected);
        }
        assert_int_equal(unsetenv("TZ"), 0);
}

static void test_format_span(void **state _unused_) {
        static const struct {
                usec_t span;
                const char *expected;
        } cases[] = {
                { 0, "< 1 s" },
                { SEC - 1, "< 1 s" },
                { SEC, "1 s" },
                { 45 * SEC + 999 * MSEC, "45 s" },
                { 60 * SEC, "1 min" },
                { 61 * SEC, "1 min 1 s" },
                { 59 * USEC_PER_MINUTE + 59 * SEC, "59 min 59 s" },
                { USEC_PER_HOUR, "1 h" },
                { USEC_PER_HOUR + 59 * SEC, "1 h" },
                { 2 * USEC_PER_HOUR + 14 * USEC_PER_MINUTE + 30 * SEC, "2 h 14 min" },
                { USEC_PER_DAY - 1, "23 h 59 min" },
                { USEC_PER_DAY, "1 d" },
                { 3 * USEC_PER_DAY + 2 * USEC_PER_HOUR + 59 * USEC_PER_MINUTE, "3 d 2 h" },
                { 3 * USEC_PER_DAY + 59 * USEC_PER_MINUTE, "3 d" },
                { 400 * USEC_PER_DAY, "400 d" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *s = NULL;

                assert_int_equal(time_format_span(cases[i].span, &s), 0);
                assert_string_equal(s, cases[i].expected);
        }
}

static void test_format_relative(void **state _unused_) {
        const usec_t base = 1795428000 * SEC;
        static const struct {
                int64_t distance;
                const char *expected;
        } cases[] = {
                { 0, "now" },
                { 999999, "now" },
                { -999999, "now" },
                { 1000000, "in 1 s" },
                { -1000000, "1 s ago" },
                { 8040000000, "in 2 h 14 min" },
                { -180000000, "3 min ago" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *s = NULL;

                assert_int_equal(time_format_relative((usec_t) ((int64_t) base + cases[i].distance),
                                                      base, &s),
                                 0);
                assert_string_equal(s, cases[i].expected);
        }
}

static void test_no_memory(void **state _unused_) {
        char *s = NULL;

        oom_at(0);
        assert_int_equal(time_format_span(0, &s), -ENOMEM);
        assert_int_equal(time_format_span(USEC_PER_HOUR, &s), -ENOMEM);
        assert_int_equal(time_format_local(0, &s), -ENOMEM);
        assert_int_equal(time_format_relative(0, 0, &s), -ENOMEM);
        assert_true(oom_off());
        oom_at(1);
        assert_int_equal(time_format_relative(0, USEC_PER_DAY, &s), -ENOMEM);
        assert_true(oom_off());
        assert_null(s);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_now),
                cmocka_unit_test(test_format_iso8601),
                cmocka_unit_test(test_parse_iso8601),
                cmocka_unit_test(test_parse_iso8601_bad),
                cmocka_unit_test(test_next_utc_midnight),
                cmocka_unit_test(test_format_local),
                cmocka_unit_test(test_format_span),
                cmocka_unit_test(test_format_relative),
                cmocka_unit_test(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
