/* SPDX-License-Identifier: MIT */
#include "time-util.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "text.h"

/* 9999-12-31T23:59:59.999999Z: the last moment that four digits of a year can say. */
#define USEC_LATEST ((usec_t) 253402300799ULL * USEC_PER_SEC + USEC_PER_SEC - 1)

usec_t now(clockid_t clock) {
        struct timespec ts;
        int r;

        r = clock_gettime(clock, &ts);
        assert(r == 0);

        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

void time_format_iso8601(usec_t t, char ret[static ISO8601_SIZE]) {
        usec_t shown = MIN(t, USEC_LATEST);
        time_t seconds = (time_t) (shown / USEC_PER_SEC);
        struct tm tm = {};

        (void) gmtime_r(&seconds, &tm);
        (void) strftime(ret, ISO8601_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
        (void) snprintf(ret + 19, ISO8601_SIZE - 19, ".%03uZ",
                        (unsigned) (shown % USEC_PER_SEC / USEC_PER_MSEC) % 1000U);
}

/* Reads exactly n digits and moves on. */
static bool take_number(const char **p, size_t n, int *ret) {
        int value = 0;

        for (size_t i = 0; i < n; i++) {
                char c = (*p)[i];

                if (c < '0' || c > '9')
                        return false;
                value = value * 10 + (c - '0');
        }

        *p += n;
        *ret = value;
        return true;
}

static bool take_char(const char **p, const char *allowed) {
        if (**p == '\0' || !strchr(allowed, **p))
                return false;

        (*p)++;
        return true;
}

/* ".123456789" → microseconds, what is finer is dropped. */
static bool take_fraction(const char **p, usec_t *ret) {
        usec_t unit = USEC_PER_SEC / 10, value = 0;
        const char *start;

        if (!take_char(p, ".,")) {
                *ret = 0;
                return true;
        }

        for (start = *p; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
                value += unit * (usec_t) (**p - '0');

        *ret = value;
        return *p > start;
}

/* "Z", "+01:00", "+0100", "+01" or nothing → seconds east of Greenwich. */
static bool take_offset(const char **p, int *ret) {
        int hours, minutes = 0, sign;

        if (**p == '\0' || take_char(p, "Zz")) {
                *ret = 0;
                return true;
        }

        sign = **p == '-' ? -1 : 1;
        if (!take_char(p, "+-") || !take_number(p, 2, &hours))
                return false;
        if (**p != '\0') {
                (void) take_char(p, ":");
                if (!take_number(p, 2, &minutes))
                        return false;
        }
        if (hours > 23 || minutes > 59)
                return false;

        *ret = sign * (hours * 3600 + minutes * 60);
        return true;
}

static int days_of_month(int year, int month) {
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

int time_parse_iso8601(const char *s, usec_t *ret) {
        int year, month, day, hour, minute, second, offset;
        struct tm tm = {};
        usec_t fraction;
        time_t seconds;

        assert(s);
        assert(ret);

        if (!take_number(&s, 4, &year) || !take_char(&s, "-") || !take_number(&s, 2, &month) ||
            !take_char(&s, "-") || !take_number(&s, 2, &day) || !take_char(&s, "Tt ") ||
            !take_number(&s, 2, &hour) || !take_char(&s, ":") || !take_number(&s, 2, &minute) ||
            !take_char(&s, ":") || !take_number(&s, 2, &second) || !take_fraction(&s, &fraction) ||
            !take_offset(&s, &offset) || *s != '\0')
                return -EINVAL;

        /* A leap second, 23:59:60, is the second after, as everywhere in POSIX. */
        if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month) || hour > 23 ||
            minute > 59 || second > 60)
                return -EINVAL;

        tm = (struct tm){
                .tm_year = year - 1900,
                .tm_mon = month - 1,
                .tm_mday = day,
                .tm_hour = hour,
                .tm_min = minute,
                .tm_sec = second,
        };
        seconds = timegm(&tm) - offset;
        if (seconds < 0)
                return -EINVAL;

        *ret = (usec_t) seconds * USEC_PER_SEC + fraction;
        return 0;
}

usec_t time_next_utc_midnight(usec_t t) {
        usec_t days = t / USEC_PER_DAY;

        /* Days of POSIX time all have 86400 seconds. */
        return days >= USEC_INFINITY / USEC_PER_DAY ? USEC_INFINITY : (days + 1) * USEC_PER_DAY;
}

int time_format_local(usec_t t, char **ret) {
        static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        time_t seconds = (time_t) (MIN(t, USEC_LATEST) / USEC_PER_SEC);
        struct tm tm = {};
        long offset;
        char *s;

        assert(ret);

        tzset();
        if (!localtime_r(&seconds, &tm))
                return -EINVAL;

        offset = labs(tm.tm_gmtoff) / 60;
        s = strjoinf("%d %s %02d:%02d:%02d %c%02ld:%02ld", tm.tm_mday, months[tm.tm_mon],
                     tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_gmtoff < 0 ? '-' : '+', offset / 60,
                     offset % 60);
        if (!s)
                return -ENOMEM;

        *ret = s;
        return 0;
}

int time_format_span(usec_t span, char **ret) {
        static const struct {
                usec_t size;
                const char *name;
        } units[] = {
                { USEC_PER_DAY, "d" },
                { USEC_PER_HOUR, "h" },
                { USEC_PER_MINUTE, "min" },
                { USEC_PER_SEC, "s" },
        };
        size_t i = 0;
        usec_t rest;
        char *s;

        assert(ret);

        while (i < ELEMENTSOF(units) && span < units[i].size)
                i++;

        if (i == ELEMENTSOF(units))
                s = strdup("< 1 s");
        else {
                rest = i + 1 < ELEMENTSOF(units) ? span % units[i].size / units[i + 1].size : 0;
                if (rest > 0)
                        s = strjoinf("%" PRIu64 " %s %" PRIu64 " %s", span / units[i].size,
                                     units[i].name, rest, units[i + 1].name);
                else
                        s = strjoinf("%" PRIu64 " %s", span / units[i].size, units[i].name);
        }
        if (!s)
                return -ENOMEM;

        *ret = s;
        return 0;
}

int time_format_relative(usec_t t, usec_t base, char **ret) {
        usec_t distance = t > base ? t - base : base - t;
        _cleanup_free_ char *span = NULL;
        char *s;
        int r;

        assert(ret);

        if (distance < USEC_PER_SEC)
                s = strdup("now");
        else {
                r = time_format_span(distance, &span);
                if (r < 0)
                        return r;

                s = t > base ? strjoinf("in %s", span) : strjoinf("%s ago", span);
        }
        if (!s)
                return -ENOMEM;

        *ret = s;
        return 0;
}
