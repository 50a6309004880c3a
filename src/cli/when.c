/* SPDX-License-Identifier: MIT */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/time-util.h"
#include "cli/when.h"

#define DAY_MAX 253402214400LL /* 9999-12-31 */

/* 1 to n digits. */
static bool take_digits(const char **p, size_t n, int *ret) {
        int value = 0;
        size_t i = 0;

        for (; i < n && (*p)[i] >= '0' && (*p)[i] <= '9'; i++)
                value = value * 10 + ((*p)[i] - '0');
        if (i == 0)
                return false;
        *p += i;
        *ret = value;
        return true;
}

static bool take_word(const char **p, const char *word) {
        size_t n = strlen(word);

        if (strncmp(*p, word, n) != 0)
                return false;
        *p += n;
        return true;
}

/* H:MM or HH:MM, with :SS and a fraction where they stand; up to the end. */
static bool take_clock(const char **p, struct tm *tm, usec_t *ret_fraction) {
        const char *start = *p;

        *ret_fraction = 0;
        tm->tm_sec = 0;
        if (!take_digits(p, 2, &tm->tm_hour) || !take_word(p, ":") || *p == start)
                return false;
        start = *p;
        if (!take_digits(p, 2, &tm->tm_min) || *p - start != 2)
                return false;
        if (**p == ':') {
                start = ++*p;
                if (!take_digits(p, 2, &tm->tm_sec) || *p - start != 2)
                        return false;
                if (**p == '.') {
                        usec_t unit = USEC_PER_SEC / 10;

                        (*p)++;
                        if (**p < '0' || **p > '9')
                                return false;
                        for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
                                *ret_fraction += (usec_t) (**p - '0') * unit;
                }
        }
        return tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 59;
}

static bool same_clock(const struct tm *a, const struct tm *b) {
        return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday &&
               a->tm_hour == b->tm_hour && a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

/* What the clocks on the wall show, as a moment: the first of two where they are set back. -EINVAL
 * for a date that the calendar lacks, -ERANGE for an hour that is skipped. */
static int from_wall(const struct tm *wall, usec_t fraction, usec_t *ret) {
        struct tm day = { .tm_year = wall->tm_year,
                          .tm_mon = wall->tm_mon,
                          .tm_mday = wall->tm_mday };
        bool found = false;
        time_t earliest = 0, midnight;

        midnight = timegm(&day);
        if (day.tm_mon != wall->tm_mon || day.tm_mday != wall->tm_mday)
                return -EINVAL;
        if (midnight < 0)
                return -ERANGE;
        for (int dst = 1; dst >= 0; dst--) {
                struct tm tm = *wall;
                time_t t;

                tm.tm_isdst = dst;
                t = mktime(&tm);
                if (t < 0 || !same_clock(&tm, wall))
                        continue;
                earliest = found ? MIN(earliest, t) : t;
                found = true;
        }
        if (!found || earliest >= DAY_MAX)
                return -ERANGE;
        *ret = (usec_t) earliest * USEC_PER_SEC + fraction;
        return 0;
}

/* "+1h30min": sign, then numbers with units, at least one. */
static int parse_span(const char *s, usec_t base, bool past, usec_t *ret) {
        static const struct {
                const char *name;
                usec_t size;
        } units[] = {
                /* longer names before those that they begin with */
                { "min", USEC_PER_MINUTE }, { "m", USEC_PER_MINUTE }, { "s", USEC_PER_SEC },
                { "h", USEC_PER_HOUR },     { "d", USEC_PER_DAY },    { "w", 7 * USEC_PER_DAY },
        };
        usec_t span = 0;
        bool back = past;

        if (*s == '+' || *s == '-')
                back = *s++ == '-';
        if (*s == '\0')
                return -EINVAL;
        while (*s) {
                size_t i = 0;
                int n;

                if (!take_digits(&s, 6, &n))
                        return -EINVAL;
                while (*s == ' ')
                        s++;
                while (i < ELEMENTSOF(units) && !take_word(&s, units[i].name))
                        i++;
                if (i == ELEMENTSOF(units))
                        return -EINVAL;
                span += (usec_t) n * units[i].size;
                while (*s == ' ')
                        s++;
        }
        if (back ? span > base : span > (usec_t) DAY_MAX * USEC_PER_SEC - base)
                return -ERANGE;
        *ret = back ? base - span : base + span;
        return 0;
}

/* [today|tomorrow|yesterday] [HH:MM[:SS]], one of the two at least. */
static int parse_day(const char *s, usec_t base, bool past, usec_t *ret) {
        static const struct {
                const char *word;
                int days;
        } words[] = { { "today", 0 }, { "tomorrow", 1 }, { "yesterday", -1 } };
        time_t seconds = (time_t) (base / USEC_PER_SEC);
        struct tm tm = {};
        bool named = false;
        usec_t fraction = 0, t;
        int days = 0, r;

        tzset();
        if (!localtime_r(&seconds, &tm))
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(words) && !named; i++)
                if (take_word(&s, words[i].word)) {
                        named = true;
                        days = words[i].days;
                }
        if (named && *s == '\0')
                tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        else {
                if (named && *s++ != ' ')
                        return -EINVAL;
                s += strspn(s, " ");
                if (!take_clock(&s, &tm, &fraction) || *s != '\0')
                        return -EINVAL;
        }

        for (int attempt = 0; attempt < 2; attempt++) {
                struct tm noon = { .tm_year = tm.tm_year,
                                   .tm_mon = tm.tm_mon,
                                   .tm_mday = tm.tm_mday + days,
                                   .tm_hour = 12 };
                struct tm wall = tm;

                /* the calendar's arithmetic, free of any zone */
                (void) timegm(&noon);
                wall.tm_year = noon.tm_year;
                wall.tm_mon = noon.tm_mon;
                wall.tm_mday = noon.tm_mday;
                r = from_wall(&wall, fraction, &t);
                if (r < 0)
                        return r;
                if (named || (past ? t <= base : t > base))
                        break;
                days = past ? -1 : 1;
        }
        *ret = t;
        return 0;
}

/* YYYY-MM-DD[(T| )HH:MM[:SS[.fff]]], in the terminal's zone. */
static int parse_date(const char *s, usec_t *ret) {
        const char *p = s;
        struct tm tm = {};
        usec_t fraction = 0;

        if (!take_digits(&p, 4, &tm.tm_year) || p - s != 4 || !take_word(&p, "-") ||
            !take_digits(&p, 2, &tm.tm_mon) || p - s != 7 || !take_word(&p, "-") ||
            !take_digits(&p, 2, &tm.tm_mday) || p - s != 10)
                return -EINVAL;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        if (*p && (!strchr("Tt ", *p++) || !take_clock(&p, &tm, &fraction) || *p != '\0'))
                return -EINVAL;
        tzset();
        return from_wall(&tm, fraction, ret);
}

/* A date with "Z" or an offset behind its clock; minutes are enough. */
static int parse_absolute(const char *s, usec_t *ret) {
        size_t n = strlen(s), clock = 0;
        char text[64];

        if (n < 17 || n > 40 || (s[n - 1] != 'Z' && s[n - 1] != 'z' && !strpbrk(s + 16, "+-")))
                return -EINVAL;
        for (size_t i = 11; s[i] && !strchr("Zz+-", s[i]); i++)
                clock++;
        if (clock == 5) { /* HH:MM: seconds are put in */
                (void) snprintf(text, sizeof(text), "%.16s:00%s", s, s + 16);
                s = text;
        }
        return time_parse_iso8601(s, ret);
}

int when_parse(const char *s, usec_t base, bool past, usec_t *ret) {
        int r;

        assert(s);
        assert(ret);

        s += strspn(s, " ");
        if (streq(s, "now")) {
                *ret = base;
                return 0;
        }
        if (parse_absolute(s, ret) >= 0)
                return 0;
        r = parse_date(s, ret);
        if (r == -EINVAL)
                r = parse_day(s, base, past, ret);
        if (r == -EINVAL)
                r = parse_span(s, base, past, ret);
        return r;
}
