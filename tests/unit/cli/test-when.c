/* SPDX-License-Identifier: MIT */

/* Times as people type them (src/cli/when.c). Expected moments are counted by hand in UTC; zones
 * are set per test, one of them with the clock changes of Madrid in 2026 (29 March, 25 October). */

#include "cli/when.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/time-util.h"

#define MADRID "CET-1CEST,M3.5.0,M10.5.0/3"

static void set_zone(const char *zone) {
        assert_int_equal(setenv("TZ", zone, 1), 0);
        tzset();
}

static usec_t utc(const char *iso) {
        usec_t t = 0;

        assert_int_equal(time_parse_iso8601(iso, &t), 0);
        return t;
}

static void expect(const char *text, const char *base, bool past, const char *iso) {
        usec_t t = 0;
        char got[ISO8601_SIZE], wanted[ISO8601_SIZE];

        if (when_parse(text, utc(base), past, &t) < 0)
                fail_msg("\"%s\" is refused", text);
        time_format_iso8601(t, got);
        time_format_iso8601(utc(iso), wanted);
        assert_string_equal(got, wanted);
}

static void expect_error(const char *text, int r) {
        usec_t t = 42;

        if (when_parse(text, utc("2026-11-23T12:00:00Z"), false, &t) != r)
                fail_msg("\"%s\" does not end with %d", text, r);
        assert_int_equal(t, 42);
}

static void test_absolute(_unused_ void **state) {
        const char *base = "2026-11-23T12:00:00Z";

        set_zone(MADRID);
        expect("2026-11-24T08:00:00Z", base, false, "2026-11-24T08:00:00Z");
        expect("2026-11-24T08:00Z", base, false, "2026-11-24T08:00:00Z");
        expect("2026-11-24T08:00:00.250Z", base, false, "2026-11-24T08:00:00.250Z");
        expect("2026-11-24T08:00+02:00", base, false, "2026-11-24T06:00:00Z");
        expect("2026-11-24T08:00:00-05:00", base, false, "2026-11-24T13:00:00Z");
        /* without a zone it is the terminal's: winter, then summer */
        expect("2026-11-24T08:00", base, false, "2026-11-24T07:00:00Z");
        expect("2026-11-24 08:00:30", base, false, "2026-11-24T07:00:30Z");
        expect("2026-07-01 08:00", base, false, "2026-07-01T06:00:00Z");
        expect("2026-11-24", base, false, "2026-11-23T23:00:00Z");
        expect("now", base, false, base);
}

static void test_clock(_unused_ void **state) {
        set_zone(MADRID);
        /* it is 13:00 in Madrid */
        expect("14:30", "2026-11-23T12:00:00Z", false, "2026-11-23T13:30:00Z");
        expect("08:00", "2026-11-23T12:00:00Z", false, "2026-11-24T07:00:00Z");
        expect("8:00", "2026-11-23T12:00:00Z", false, "2026-11-24T07:00:00Z");
        expect("13:00", "2026-11-23T12:00:00Z", false, "2026-11-24T12:00:00Z");
        expect("08:00:15", "2026-11-23T12:00:00Z", true, "2026-11-23T07:00:15Z");
        expect("14:30", "2026-11-23T12:00:00Z", true, "2026-11-22T13:30:00Z");
        expect("13:00", "2026-11-23T12:00:00Z", true, "2026-11-23T12:00:00Z");
        /* after midnight in Madrid it is still yesterday in UTC */
        expect("01:00", "2026-11-23T23:30:00Z", false, "2026-11-24T00:00:00Z");
}

static void test_days(_unused_ void **state) {
        set_zone(MADRID);
        expect("tomorrow 08:00", "2026-11-23T12:00:00Z", false, "2026-11-24T07:00:00Z");
        expect("today 08:00", "2026-11-23T12:00:00Z", false, "2026-11-23T07:00:00Z");
        expect("yesterday 08:00", "2026-11-23T12:00:00Z", true, "2026-11-22T07:00:00Z");
        expect("tomorrow", "2026-11-23T12:00:00Z", false, "2026-11-23T23:00:00Z");
        expect("tomorrow 08:00", "2026-12-31T12:00:00Z", false, "2027-01-01T07:00:00Z");
        /* 23:30 UTC is 00:30 of the 24th in Madrid: its tomorrow is the 25th */
        expect("tomorrow 08:00", "2026-11-23T23:30:00Z", false, "2026-11-25T07:00:00Z");
        /* across a change of the clocks the wall's hour is meant */
        expect("tomorrow 08:00", "2026-03-28T12:00:00Z", false, "2026-03-29T06:00:00Z");
        expect("tomorrow 08:00", "2026-10-24T12:00:00Z", false, "2026-10-25T07:00:00Z");
}

static void test_spans(_unused_ void **state) {
        const char *base = "2026-11-23T12:00:00Z";

        set_zone("UTC");
        expect("+2h", base, false, "2026-11-23T14:00:00Z");
        expect("2h", base, false, "2026-11-23T14:00:00Z");
        expect("2h", base, true, "2026-11-23T10:00:00Z");
        expect("-2h", base, false, "2026-11-23T10:00:00Z");
        expect("+2h", base, true, "2026-11-23T14:00:00Z");
        expect("+90s", base, false, "2026-11-23T12:01:30Z");
        expect("+30min", base, false, "2026-11-23T12:30:00Z");
        expect("+30m", base, false, "2026-11-23T12:30:00Z");
        expect("+1h30min", base, false, "2026-11-23T13:30:00Z");
        expect("+1 h 30 min", base, false, "2026-11-23T13:30:00Z");
        expect("+3d", base, false, "2026-11-26T12:00:00Z");
        expect("1w", base, true, "2026-11-16T12:00:00Z");
}

static void test_changing_clocks(_unused_ void **state) {
        set_zone(MADRID);
        /* 02:30 is skipped on 29 March, and comes twice on 25 October: the first is meant */
        expect_error("2026-03-29T02:30", -ERANGE);
        expect("2026-03-29T01:59", "2026-03-01T00:00:00Z", false, "2026-03-29T00:59:00Z");
        expect("2026-03-29T03:00", "2026-03-01T00:00:00Z", false, "2026-03-29T01:00:00Z");
        expect("2026-10-25T02:30", "2026-10-01T00:00:00Z", false, "2026-10-25T00:30:00Z");
        expect("2026-10-25T03:00", "2026-10-01T00:00:00Z", false, "2026-10-25T02:00:00Z");
}

static void test_refused(_unused_ void **state) {
        static const char *const none[] = {
                "",
                " ",
                "tomorow",
                "tomorrow8:00",
                "tomorrow 8",
                "25:00",
                "08:60",
                "8",
                "+",
                "-",
                "+2",
                "+2x",
                "h",
                "2h!",
                "08:00 pm",
                "08:00x",
                "2026-13-01",
                "2026-02-30",
                "2026-02-29 08:00",
                "2026-11-24T",
                "2026-11-24T8",
                "2026-11-24T08",
                "11-24",
                "2026-1-1",
                "+1234567h",
                "--2h",
                "+ -2h",
                "2026-11-24T08:00:00+99:00",
                "08:0",
                "008:00",
                "::",
                "2026-11-24T08:00Zulu",
                "infinity",
        };

        set_zone(MADRID);
        for (size_t i = 0; i < ELEMENTSOF(none); i++)
                expect_error(none[i], -EINVAL);
        expect_error("-999999w", -ERANGE);
        expect_error("1969-01-01", -ERANGE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_absolute),
                cmocka_unit_test(test_clock),
                cmocka_unit_test(test_days),
                cmocka_unit_test(test_spans),
                cmocka_unit_test(test_changing_clocks),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
