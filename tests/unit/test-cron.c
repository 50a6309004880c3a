/* SPDX-License-Identifier: MIT */

/* Schedules (src/base/cron.c). Expected times are counted by hand from the calendar of 2026 (1
 * January is a Thursday) and from the known changes of the clocks. */

#include "test.h"

#include "base/cron.h"

#include <errno.h>
#include <stdlib.h>

#include "base/time-util.h"
#include "fake.h"

static Cron cron(const char *text) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        Cron c = {};

        if (cron_parse(text, &c, &e) < 0)
                fail_msg("%s", e.message);
        return c;
}

static usec_t at(const char *iso) {
        usec_t t;

        assert_int_equal(time_parse_iso8601(iso, &t), 0);
        return t;
}

/* What comes after a time, up to `n` times, joined by spaces. */
static void assert_next(const char *text, const char *zone, const char *after,
                        const char *expected) {
        _cleanup_(zone_freep) Zone *z = NULL;
        _cleanup_(str_done) Str got = {};
        Cron c = cron(text);
        usec_t t = at(after);

        assert_int_equal(zone_open(zone, &z, NULL), 0);
        for (size_t i = 0; i == 0 || got.length < strlen(expected); i++) {
                char iso[ISO8601_SIZE];
                usec_t before = t;

                t = cron_next(&c, z, t);
                assert_true(t > before);
                assert_int_equal(cron_previous(&c, z, t), t);
                assert_true(cron_previous(&c, z, t - 1) < t);
                time_format_iso8601(t, iso);
                assert_int_equal(str_appendf(&got, "%s%.16s", i > 0 ? " " : "", iso), 0);
        }
        assert_string_equal(got.data, expected);
}

static void test_fields(void **state _unused_) {
        assert_next("* * * * *", "UTC", "2026-01-01T00:00:00Z",
                    "2026-01-01T00:01 2026-01-01T00:02");
        assert_next("* * * * *", "UTC", "2026-01-01T00:00:59.999Z", "2026-01-01T00:01");
        assert_next("*/7 * * * *", "UTC", "2026-01-01T00:50:00Z",
                    "2026-01-01T00:56 2026-01-01T01:00");
        assert_next("*/45 * * * *", "UTC", "2026-01-01T00:00:00Z",
                    "2026-01-01T00:45 2026-01-01T01:00");
        assert_next("5-59/20 * * * *", "UTC", "2026-01-01T00:00:00Z",
                    "2026-01-01T00:05 2026-01-01T00:25 2026-01-01T00:45 2026-01-01T01:05");
        assert_next("0 */5 * * *", "UTC", "2026-01-01T15:00:00Z",
                    "2026-01-01T20:00 2026-01-02T00:00");
        assert_next("0 8 * * 1-5", "UTC", "2026-01-02T08:00:00Z",
                    "2026-01-05T08:00 2026-01-06T08:00");
        assert_next("0 8 * * MON-fri", "UTC", "2026-01-02T08:00:00Z", "2026-01-05T08:00");
        assert_next("0 0 * * 5-7", "UTC", "2026-01-01T00:00:00Z",
                    "2026-01-02T00:00 2026-01-03T00:00 2026-01-04T00:00 2026-01-09T00:00");
        assert_next("0 0 * * 7", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00");
        assert_next("0 0 * * sun", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00");
        assert_next("0 0 * * */2", "UTC", "2026-01-01T00:00:00Z",
                    "2026-01-03T00:00 2026-01-04T00:00 2026-01-06T00:00");
        assert_next("0 0 1 JAN,jul *", "UTC", "2026-01-01T00:00:00Z",
                    "2026-07-01T00:00 2027-01-01T00:00");
        assert_next("0 0 1 */3 *", "UTC", "2026-01-01T00:00:00Z",
                    "2026-04-01T00:00 2026-07-01T00:00");
        assert_next("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z",
                    "2028-02-29T00:00 2032-02-29T00:00");
        assert_next("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z",
                    "2026-03-31T00:00 2026-05-31T00:00");
        assert_next(" 30  4\t1,15 * 5 ", "UTC", "2026-01-02T04:30:00Z",
                    "2026-01-09T04:30 2026-01-15T04:30 2026-01-16T04:30");
}

/* Either day is enough, unless one of the fields begins with a star. */
static void test_days(void **state _unused_) {
        assert_next("0 0 13 * 5", "UTC", "2026-02-06T00:00:00Z",
                    "2026-02-13T00:00 2026-02-20T00:00 2026-02-27T00:00 2026-03-06T00:00");
        assert_next("0 0 12 * fri", "UTC", "2026-02-06T00:00:00Z",
                    "2026-02-12T00:00 2026-02-13T00:00");
        assert_next("0 0 */2 * 1", "UTC", "2026-01-01T00:00:00Z",
                    "2026-01-05T00:00 2026-01-19T00:00 2026-02-09T00:00");
        assert_next("0 0 1-31 * 1", "UTC", "2026-01-01T00:00:00Z",
                    "2026-01-02T00:00 2026-01-03T00:00");
        assert_next("0 0 13 * */5", "UTC", "2026-01-01T00:00:00Z",
                    "2026-02-13T00:00 2026-03-13T00:00 2026-09-13T00:00");
}

static void test_names(void **state _unused_) {
        assert_next("@hourly", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:00");
        assert_next("@daily", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00");
        assert_next("@Midnight", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00");
        assert_next("@weekly", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00");
        assert_next("@monthly", "UTC", "2026-01-01T00:00:00Z", "2026-02-01T00:00");
        assert_next("@yearly", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00");
        assert_next(" @annually ", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00");
}

static void test_changed_clocks(void **state _unused_) {
        /* 29 March 2026, 02:00 to 03:00, is no time in Berlin: 01:00 UTC. */
        assert_next("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
                    "2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30");
        assert_next("30 2 * * sun", "Europe/Berlin", "2026-03-28T00:00:00Z",
                    "2026-03-29T01:00 2026-04-05T00:30");
        assert_next("*/20 1-3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z",
                    "2026-03-29T00:20 2026-03-29T00:40 2026-03-29T01:00 2026-03-29T01:20");
        /* 25 October, 02:00 to 03:00, comes twice: the first time from 00:00 UTC. */
        assert_next("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z",
                    "2026-10-24T00:30 2026-10-25T00:30 2026-10-26T01:30");
        assert_next("*/30 2-3 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z",
                    "2026-10-25T00:30 2026-10-25T02:00 2026-10-25T02:30");
        assert_next("30 2 * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-26T01:30");
        /* Midnight does not exist on 6 September 2026 in Santiago: no day is lost. */
        assert_next("@daily", "America/Santiago", "2026-09-05T00:00:00Z",
                    "2026-09-05T04:00 2026-09-06T04:00 2026-09-07T03:00");
        /* Monday there, Sunday in UTC. */
        assert_next("0 8 * * mon", "Pacific/Auckland", "2026-06-01T00:00:00Z", "2026-06-07T20:00");
}

/* Every hour, evenly, whatever the clocks do. */
static void test_every_hour(void **state _unused_) {
        assert_next("*/15 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z",
                    "2026-10-25T00:45 2026-10-25T01:00 2026-10-25T01:15 2026-10-25T01:30");
        assert_next("7 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z",
                    "2026-10-25T00:07 2026-10-25T01:07 2026-10-25T02:07");
        assert_next("@hourly", "Asia/Kolkata", "2026-01-01T00:00:00Z",
                    "2026-01-01T00:30 2026-01-01T01:30");
        /* Put back by half an hour, minutes do not stay what they are: these are times. */
        assert_next("45 * * * *", "Australia/Lord_Howe", "2026-04-04T14:00:00Z",
                    "2026-04-04T14:45 2026-04-04T16:15");
}

static void assert_refused(const char *text, const char *says) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        Cron c = { .minutes = 4711 };

        assert_int_equal(cron_parse(text, &c, &e), -EINVAL);
        assert_int_equal(c.minutes, 4711);
        assert_int_equal(e.class, ERROR_PERMANENT);
        assert_string_equal(e.code, "schedule");
        if (!strstr(e.message, says))
                fail_msg("%s", e.message);
}

static void test_refusals(void **state _unused_) {
        assert_refused("60 * * * *", "the minute \"60\" is out of range");
        assert_refused("60 * * * *", "0 to 59");
        assert_refused("0 24 * * *", "the hour \"24\" is out of range");
        assert_refused("0 0 0 * *", "the day of the month \"0\" is out of range");
        assert_refused("0 0 32 * *", "1 to 31");
        assert_refused("0 0 1 13 *", "the month \"13\" is out of range");
        assert_refused("0 0 * * 8", "the day of the week \"8\" is out of range");
        assert_refused("0 0 * * monday", "the day of the week \"monday\" is not written");
        assert_refused("0 0 * * feb", "the day of the week \"feb\" is not written");
        assert_refused("jan 0 * * *", "the minute \"jan\" is not written");
        assert_refused("*/90 * * * *", "the minute \"*/90\" has a step that leads nowhere");
        assert_refused("*/0 * * * *", "the minute \"*/0\" has a step that leads nowhere");
        assert_refused("5/15 * * * *", "the minute \"5/15\" has a step without a range");
        assert_refused("0 22-2 * * *", "the hour \"22-2\" has a range that ends before it begins");
        assert_refused("0 0 * * fri-sun", "the day of the week \"fri-sun\" has a range that ends");
        assert_refused("0 8-18/ * * *", "the hour \"8-18/\"");
        assert_refused("0 8- * * *", "the hour \"8-\"");
        assert_refused("0 8,,9 * * *", "the hour \"8,,9\"");
        assert_refused("0, 8 * * *", "the minute \"0,\"");
        assert_refused("*5 8 * * *", "the minute \"*5\"");
        assert_refused("-1 8 * * *", "the minute \"-1\"");
        assert_refused("0 0 L * *", "the day of the month \"L\"");
        assert_refused("99999999999999999999 * * * *", "is out of range");
        assert_refused("0 8 * *", "has fewer than five fields");
        assert_refused("", "has fewer than five fields");
        assert_refused("0 0 8 * * *", "has more than five fields");
        assert_refused("@reboot", "is not one of the names");
        assert_refused("@", "is not one of the names");
        assert_refused("0 0 31 2 *", "never comes");
        assert_refused("0 0 30,31 feb *", "never comes");
        assert_refused("0 0 31 4,6,9,11 *", "never comes");
        assert_refused("0 0 31 2 */2", "never comes");
        /* That comes on Mondays. */
        (void) cron("0 0 31 2 1");
}

static void test_every_minute(void **state _unused_) {
        Cron yes[] = { cron("* * * * *"), cron("*/1 0-23 1-31 * *"), cron("0-59 * * * 0-6"),
                       cron("* * 1-31 1-12 1") };
        Cron no[] = { cron("*/2 * * * *"), cron("* 0-22 * * *"), cron("* * */2 * *"),
                      cron("* * * * 1-5"), cron("* * 1-30 * *") };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++)
                assert_true(cron_is_every_minute(&yes[i]));
        for (size_t i = 0; i < ELEMENTSOF(no); i++)
                assert_false(cron_is_every_minute(&no[i]));
}

static void test_bounds(void **state _unused_) {
        _cleanup_(zone_freep) Zone *z = NULL;
        Cron c = cron("0 0 29 2 *");

        assert_int_equal(zone_open("UTC", &z, NULL), 0);
        assert_int_equal(cron_next(&c, z, at("2199-01-01T00:00:00Z")), USEC_INFINITY);
        assert_int_equal(cron_next(&c, z, USEC_INFINITY - 1), USEC_INFINITY);
        assert_int_equal(cron_previous(&c, z, at("1970-06-01T00:00:00Z")), 0);
        assert_int_equal(cron_previous(&c, z, at("2026-01-01T00:00:00Z")),
                         at("2024-02-29T00:00:00Z"));
}

static void assert_calendar(const char *text, const char *zone, int of_utc, const char *expected) {
        _cleanup_(zone_freep) Zone *z = NULL;
        _cleanup_(str_done) Str got = {};
        Cron c = cron(text);

        assert_int_equal(zone_open(zone, &z, NULL), 0);
        assert_int_equal(cron_calendar(&c, z, at("2026-03-27T12:00:00Z"), 3 * USEC_PER_DAY, 4,
                                       &got),
                         of_utc);
        assert_string_equal(got.data, expected);
}

static void test_calendar(void **state _unused_) {
        assert_calendar("* * * * *", "Europe/Berlin", 1, "*-*-* *:*:00 UTC\n");
        assert_calendar("*/20 8-10 * * *", "UTC", 1, "*-*-* 08,09,10:00,20,40:00 UTC\n");
        assert_calendar("0 8 * jan,jul mon-wed,sun", "Etc/UTC", 1,
                        "Mon,Tue,Wed,Sun *-01,07-* 08:00:00 UTC\n");
        assert_calendar("0 0 13 * 5", "UTC", 1, "*-*-13 00:00:00 UTC\nFri *-*-* 00:00:00 UTC\n");
        assert_calendar("0 0 */15 * 1", "UTC", 1, "Mon *-*-01,16,31 00:00:00 UTC\n");
        assert_calendar("0 0 1-31 * 1", "UTC", 1, "*-*-* 00:00:00 UTC\n");
        assert_calendar("@hourly", "Asia/Kolkata", 1, "*-*-* *:30:00 UTC\n");
        /* By the clocks of a zone: times, so many or so far. */
        assert_calendar(
                "30 2 * * *", "Europe/Berlin", 0,
                "2026-03-28 01:30:00 UTC\n2026-03-29 01:00:00 UTC\n2026-03-30 00:30:00 UTC\n");
        assert_calendar("0 */6 * * *", "Europe/Berlin", 0,
                        "2026-03-27 17:00:00 UTC\n2026-03-27 23:00:00 UTC\n"
                        "2026-03-28 05:00:00 UTC\n2026-03-28 11:00:00 UTC\n");
        /* One at least, however far. */
        assert_calendar("@yearly", "Europe/Berlin", 0, "2026-12-31 23:00:00 UTC\n");
}

static void test_memory(void **state _unused_) {
        _cleanup_(zone_freep) Zone *z = NULL;
        Cron c = cron("0 8 13 * 1-5");
        bool failed = true;

        assert_int_equal(zone_open("UTC", &z, NULL), 0);
        for (size_t i = 0; failed; i++) {
                Cron again;
                int r;

                oom_at(i);
                r = cron_parse("@daily", &again, NULL);
                failed = oom_off();
                assert_int_equal(r, failed ? -ENOMEM : 0);
        }
        failed = true;
        for (size_t i = 0; failed; i++) {
                _cleanup_(str_done) Str s = {};
                int r;

                oom_at(i);
                r = cron_calendar(&c, z, at("2026-01-01T00:00:00Z"), USEC_PER_DAY, 1, &s);
                failed = oom_off();
                assert_int_equal(r, failed ? -ENOMEM : 1);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields),       cmocka_unit_test(test_days),
                cmocka_unit_test(test_names),        cmocka_unit_test(test_changed_clocks),
                cmocka_unit_test(test_every_hour),   cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_every_minute), cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_calendar),     cmocka_unit_test(test_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
