/* SPDX-License-Identifier: MIT */

/* Time zones (src/base/zone.c): every zone of this system against the C library, which reads the
 * same files its own way; and changes of the clocks that are known from elsewhere. */

#include "test.h"

#include "base/zone.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "base/time-util.h"
#include "fake.h"

#define FOLDER "/usr/share/zoneinfo/"

static int64_t at(const char *iso) {
        usec_t t;

        assert_int_equal(time_parse_iso8601(iso, &t), 0);
        return (int64_t) (t / USEC_PER_SEC);
}

static Zone *zone(const char *name) {
        Zone *z = NULL;

        assert_int_equal(zone_open(name, &z, NULL), 0);
        return z;
}

static void assert_first(const char *name, const char *wall, WallTime kind, const char *instant) {
        _cleanup_(zone_freep) Zone *z = zone(name);
        WallTime got;

        assert_int_equal(zone_first(z, at(wall), &got), at(instant));
        assert_int_equal(got, kind);
}

static void test_changes(void **state _unused_) {
        assert_first("Europe/Berlin", "2026-03-29T01:59:59", WALL_ONCE, "2026-03-29T00:59:59Z");
        assert_first("Europe/Berlin", "2026-03-29T02:00:00", WALL_NEVER, "2026-03-29T01:00:00Z");
        assert_first("Europe/Berlin", "2026-03-29T02:59:59", WALL_NEVER, "2026-03-29T01:00:00Z");
        assert_first("Europe/Berlin", "2026-03-29T03:00:00", WALL_ONCE, "2026-03-29T01:00:00Z");
        assert_first("Europe/Berlin", "2026-10-25T01:59:59", WALL_ONCE, "2026-10-24T23:59:59Z");
        assert_first("Europe/Berlin", "2026-10-25T02:00:00", WALL_TWICE, "2026-10-25T00:00:00Z");
        assert_first("Europe/Berlin", "2026-10-25T02:59:59", WALL_TWICE, "2026-10-25T00:59:59Z");
        assert_first("Europe/Berlin", "2026-10-25T03:00:00", WALL_ONCE, "2026-10-25T02:00:00Z");

        /* Half an hour. */
        assert_first("Australia/Lord_Howe", "2026-10-04T02:15:00", WALL_NEVER,
                     "2026-10-03T15:30:00Z");
        assert_first("Australia/Lord_Howe", "2026-04-05T01:45:00", WALL_TWICE,
                     "2026-04-04T14:45:00Z");
        /* At midnight. */
        assert_first("America/Santiago", "2026-09-06T00:00:00", WALL_NEVER, "2026-09-06T04:00:00Z");
        /* A whole day, when Samoa went over the date line. */
        assert_first("Pacific/Apia", "2011-12-30T12:00:00", WALL_NEVER, "2011-12-30T10:00:00Z");
        /* Long after the last change that any file has. */
        assert_first("Europe/Berlin", "2125-03-25T02:30:00", WALL_NEVER, "2125-03-25T01:00:00Z");
        assert_first("Australia/Sydney", "2125-04-01T02:30:00", WALL_TWICE, "2125-03-31T15:30:00Z");
        assert_first("UTC", "2026-03-29T02:30:00", WALL_ONCE, "2026-03-29T02:30:00Z");
}

/* ---- against the C library ---- */

static unsigned n_zones, n_compared;

static int32_t offset_of_libc(int64_t t) {
        time_t seconds = t;
        struct tm tm = {};

        assert_non_null(localtime_r(&seconds, &tm));
        return (int32_t) tm.tm_gmtoff;
}

static int64_t random_between(int64_t from, int64_t to) {
        return from + (int64_t) ((double) random() / RAND_MAX * (double) (to - from));
}

static void compare_offset(const char *name, const Zone *z, int64_t t) {
        if (zone_offset(z, t) != offset_of_libc(t)) {
                char text[ISO8601_SIZE];

                time_format_iso8601((usec_t) t * USEC_PER_SEC, text);
                fail_msg("%s at %s: %d, not %d", name, text, zone_offset(z, t), offset_of_libc(t));
        }
        n_compared++;
}

/* The first minute at which the clock of the C library shows a wall time, looked for minute by
 * minute. */
static int64_t first_of_libc(int64_t wall) {
        for (int64_t t = wall - INT64_C(27) * 3600; t < wall + INT64_C(26) * 3600; t += 60)
                if (t + offset_of_libc(t) >= wall)
                        return t;
        fail();
        return 0;
}

static int compare_file(const char *path, const struct stat *st _unused_, int type,
                        struct FTW *ftw _unused_) {
        const char *name = path + strlen(FOLDER);
        _cleanup_(zone_freep) Zone *z = NULL;
        _cleanup_free_ char *tz = NULL;
        int64_t change = at("1975-01-01T00:00:00");

        if (type != FTW_F || strchr(name, '.') || strncmp(name, "right/", 6) == 0 ||
            strncmp(name, "posix", 5) == 0 || streq(name, "leapseconds") ||
            streq(name, "leap-seconds.list"))
                return 0;
        z = zone(name);
        tz = strjoinf(":%s", name);
        assert_int_equal(setenv("TZ", tz, 1), 0);
        tzset();
        n_zones++;

        for (int i = 0; i < 60; i++)
                compare_offset(name, z, random_between(0, at("2190-01-01T00:00:00")));
        for (int i = 0; i < 150 && zone_next_change(z, change, &change); i++) {
                compare_offset(name, z, change - 1);
                compare_offset(name, z, change);
                assert_int_not_equal(zone_offset(z, change - 1), zone_offset(z, change));
                /* Of minutes: clocks that stood off by seconds are of no use to a schedule. */
                if (i % 30 == 0 && zone_offset(z, change - 1) % 60 == 0) {
                        int64_t wall =
                                change + zone_offset(z, change) + 60 * random_between(-120, 120);

                        wall -= wall % 60;
                        assert_int_equal(zone_first(z, wall, NULL), first_of_libc(wall));
                }
        }
        return 0;
}

/* Every month of a century: no change is overlooked. */
static void compare_changes(const char *name) {
        _cleanup_(zone_freep) Zone *z = zone(name);
        _cleanup_free_ char *tz = strjoinf(":%s", name);

        assert_int_equal(setenv("TZ", tz, 1), 0);
        tzset();
        for (int64_t t = at("1970-01-01T00:00:00"); t < at("2070-01-01T00:00:00"); t += 30 * 86400)
                compare_offset(name, z, t);
}

static void test_libc(void **state _unused_) {
        srandom(20260329);
        assert_int_equal(nftw(FOLDER, compare_file, 16, FTW_PHYS), 0);
        compare_changes("Africa/Casablanca");
        compare_changes("America/Nuuk");
        compare_changes("Europe/Dublin");
        compare_changes("Asia/Gaza");
        assert_int_equal(unsetenv("TZ"), 0);
        assert_true(n_zones > 300);
        assert_true(n_compared > 30000);
}

/* ---- refusals ---- */

static void assert_refused(const char *name, int result, const char *says) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        Zone *z = NULL;

        assert_int_equal(zone_open(name, &z, &e), result);
        assert_null(z);
        assert_int_equal(e.class, result == -EBADMSG ? ERROR_CONFIG : ERROR_PERMANENT);
        assert_non_null(strstr(e.message, says));
}

static void test_names(void **state _unused_) {
        assert_refused("Europe/Atlantis", -ENOENT, "there is no time zone \"Europe/Atlantis\"");
        assert_refused("Europe", -ENOENT, "there is no time zone \"Europe\"");
        assert_refused("UTC/Berlin", -ENOENT, "there is no time zone");
        assert_refused("", -EINVAL, "there is no time zone");
        assert_refused("../zoneinfo/UTC", -EINVAL, "there is no time zone");
        assert_refused("/etc/localtime", -EINVAL, "there is no time zone");
        assert_refused("CET-1CEST", -ENOENT, "there is no time zone");
        assert_refused("Europe/Berlin\n", -EINVAL, "there is no time zone");
        assert_refused("tzdata.zi", -EINVAL, "there is no time zone");
        assert_refused("leapseconds", -EBADMSG, "cannot be read");
}

static void put_32(uint8_t *p, uint32_t n) {
        for (int i = 0; i < 4; i++)
                p[i] = (uint8_t) (n >> (24 - 8 * i));
}

static void put_64(uint8_t *p, int64_t n) {
        put_32(p, (uint32_t) ((uint64_t) n >> 32));
        put_32(p + 4, (uint32_t) n);
}

/* A file with one change, from +1 h to +2 h at 1000000000, and that last line. */
static size_t make_file(uint8_t file[static 256], const char *rule) {
        uint8_t *p = file;

        memset(file, 0, 256);
        for (int i = 0; i < 2; i++) {
                memcpy(p, "TZif2", 5);
                put_32(p + 32, i == 0 ? 0 : 1); /* changes */
                put_32(p + 36, 2);              /* types */
                put_32(p + 40, 4);              /* letters */
                p += 44;
                if (i == 1) {
                        put_64(p, 1000000000);
                        p[8] = 1;
                        p += 9;
                }
                put_32(p, 3600);
                put_32(p + 6, 7200);
                p += 12;
                memcpy(p, "XXX", 4);
                p += 4;
        }
        return (size_t) (p - file) + (size_t) snprintf((char *) p, 64, "\n%s\n", rule);
}

static void test_file(void **state _unused_) {
        static const char *const bad[] = { "-2",      "XXX",         "XXX-25",
                                           "XXX-2Y/", "XXX-2YYY",    "XXX-2YYY,0",
                                           "<XXX-2",  "XXX-2YYY,0,", "XXX-2YYY,M13.1.0,M10.1.0" };
        uint8_t file[256];
        Zone *z = NULL;
        size_t n = make_file(file, "XXX-2");

        assert_int_equal(zone_parse(file, n, &z), 0);
        assert_int_equal(zone_offset(z, 999999999), 3600);
        assert_int_equal(zone_offset(z, 1000000000), 7200);
        zone_free(z);
        z = NULL;
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(zone_parse(file, i, &z), -EBADMSG);
                assert_null(z);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                n = make_file(file, bad[i]);
                assert_int_equal(zone_parse(file, n, &z), -EBADMSG);
        }
        /* RFC 9636's own example: summer all year round. */
        n = make_file(file, "XXX3EDT4,0/0,J365/23");
        assert_int_equal(zone_parse(file, n, &z), 0);
        assert_int_equal(zone_offset(z, at("2026-01-01T03:00:00Z")), -4 * 3600);
        assert_int_equal(zone_offset(z, at("2026-07-01T03:00:00Z")), -4 * 3600);
        zone_free(z);
        /* Days counted without 29 February, and with it: both 1 March in 2027, not in 2028. */
        n = make_file(file, "XXX0YYY,J60/0,J300/0");
        assert_int_equal(zone_parse(file, n, &z), 0);
        assert_int_equal(zone_offset(z, at("2028-02-29T12:00:00Z")), 0);
        assert_int_equal(zone_offset(z, at("2028-03-01T12:00:00Z")), 3600);
        zone_free(z);
        n = make_file(file, "XXX0YYY,59/0,J300/0");
        assert_int_equal(zone_parse(file, n, &z), 0);
        assert_int_equal(zone_offset(z, at("2027-02-28T12:00:00Z")), 0);
        assert_int_equal(zone_offset(z, at("2027-03-01T12:00:00Z")), 3600);
        assert_int_equal(zone_offset(z, at("2028-02-29T12:00:00Z")), 3600);
        zone_free(z);
}

static void test_memory(void **state _unused_) {
        bool failed = true;

        for (size_t i = 0; failed; i++) {
                Zone *z = NULL;
                int r;

                oom_at(i);
                r = zone_open("Europe/Berlin", &z, NULL);
                failed = oom_off();
                assert_int_equal(r, failed ? -ENOMEM : 0);
                zone_free(z);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changes), cmocka_unit_test(test_libc),
                cmocka_unit_test(test_names),   cmocka_unit_test(test_file),
                cmocka_unit_test(test_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
