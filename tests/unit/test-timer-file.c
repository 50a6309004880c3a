/* SPDX-License-Identifier: MIT */

/* Drop-ins of timers (src/base/timer-file.c). */

#include "test.h"

#include "base/timer-file.h"

#include <errno.h>

#include "fake.h"

#define HEAD "# Made by automapost-schedule: "

static void assert_valid(const char *times) {
        _cleanup_(str_done) Str s = {};

        assert_int_equal(timer_file_make("x", times, &s), 0);
        assert_true(timer_file_is_valid(s.data, s.length));
}

static void assert_invalid(const char *times) {
        _cleanup_(str_done) Str s = {};

        assert_int_equal(timer_file_make("x", times, &s), 0);
        assert_false(timer_file_is_valid(s.data, s.length));
}

static void test_make(void **state _unused_) {
        _cleanup_(str_done) Str s = {};

        assert_int_equal(timer_file_make("*/5 8-18 * * mon,fri Etc/GMT+1 (paused)",
                                         "*-*-* 08:00:00 UTC\nFri *-*-* 00:00:00 UTC\n", &s),
                         0);
        assert_string_equal(s.data, HEAD "*/5 8-18 * * mon,fri Etc/GMT+1 (paused)\n[Timer]\n"
                                         "OnCalendar=\nOnCalendar=*-*-* 08:00:00 UTC\n"
                                         "OnCalendar=Fri *-*-* 00:00:00 UTC\n");
        assert_true(timer_file_is_valid(s.data, s.length));
        assert_string_equal(timer_file_times(s.data), "OnCalendar=*-*-* 08:00:00 UTC\n"
                                                      "OnCalendar=Fri *-*-* 00:00:00 UTC\n");
}

/* What an operator, or who can write the table, puts there stays one line of comment. */
static void test_about(void **state _unused_) {
        _cleanup_(str_done) Str s = {};

        assert_int_equal(timer_file_make("a\n[Timer]\\\nUnit=x \xc3\xa9#", TIMER_NEVER, &s), 0);
        assert_int_equal(strncmp(s.data, HEAD "a??Timer???Unit?x ???\n[Timer]\n", 51), 0);
        assert_true(timer_file_is_valid(s.data, s.length));
}

static void test_expressions(void **state _unused_) {
        assert_valid("*-*-* *:*:00 UTC\n");
        assert_valid("Mon,Tue,Wed,Thu,Fri,Sat,Sun *-01,12-01,31 00,23:00,59:00 UTC\n");
        assert_valid("2026-03-29 01:00:00 UTC\n");
        assert_valid(TIMER_NEVER);
        assert_invalid("");
        assert_invalid("\n");
        assert_invalid("minutely\n");
        assert_invalid("Mon..Fri *-*-* 08:00:00 UTC\n");
        assert_invalid("*-*-* 08/2:00:00 UTC\n");
        assert_invalid("*-*-* 08:00 UTC\n");
        assert_invalid("*-*-* 8:00:00 UTC\n");
        assert_invalid("*-*-* 08:60:00 UTC\n");
        assert_invalid("*-*-00 08:00:00 UTC\n");
        assert_invalid("2200-01-01 00:00:00 UTC\n");
        assert_invalid("*-*-* 08:00:00 UTC \n");
        assert_invalid(" *-*-* 08:00:00 UTC\n");
        assert_invalid("*-*-* 08:00:00 UTC\\\n");
}

static void test_memory(void **state _unused_) {
        bool failed = true;

        for (size_t i = 0; failed; i++) {
                _cleanup_(str_done) Str s = {};
                int r;

                oom_at(i);
                r = timer_file_make("x", TIMER_NEVER, &s);
                failed = oom_off();
                assert_int_equal(r, failed ? -ENOMEM : 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_make),
                cmocka_unit_test(test_about),
                cmocka_unit_test(test_expressions),
                cmocka_unit_test(test_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
