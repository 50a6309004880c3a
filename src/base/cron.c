/* SPDX-License-Identifier: MIT */
#include "cron.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "time-util.h"

#define DAY_MINUTES ((int64_t) 24 * 60)
#define LATEST ((int64_t) 7258118400) /* 2200-01-01T00:00:00Z */
#define HOURS_ALL ((1U << 24) - 1)
#define MINUTES_ALL ((UINT64_C(1) << 60) - 1)
#define DAYS_ALL (UINT32_MAX & ~1U)
#define WEEKDAYS_ALL ((1U << 7) - 1)
#define MONTHS_ALL (((1U << 13) - 1) & ~1U)

/* ---- reading ---- */

typedef struct Field {
        const char *name;
        int min, max;
        const char *const *words; /* for min, min + 1, … */
        const char *example;
} Field;

static const char *const month_words[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
                                           "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const weekday_words[] = {
        "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL
};

enum {
        MINUTE,
        HOUR,
        DAY,
        MONTH,
        WEEKDAY,
        FIELDS
};
static const Field fields[FIELDS] = {
        [MINUTE] = { "minute", 0, 59, NULL, "30, 0,15,30,45 or */10" },
        [HOUR] = { "hour", 0, 23, NULL, "8, 8-18 or */6" },
        [DAY] = { "day of the month", 1, 31, NULL, "1, 1,15 or 1-7" },
        [MONTH] = { "month", 1, 12, month_words, "12, jan,jul or */3" },
        [WEEKDAY] = { "day of the week", 0, 7, weekday_words, "mon, 1-5 or sat,sun" },
};

/* One field of the text, being read. */
typedef struct Part {
        const Field *field;
        const char *text, *p;
        Error *error;
} Part;

static int refuse(const Part *part, const char *why) {
        _cleanup_free_ char *shown = utf8_make_valid(part->text, strlen(part->text), 60);
        const Field *f = part->field;

        return error_setf(part->error, ERROR_PERMANENT, -EINVAL, "schedule",
                          "the %s \"%s\" %s\n"
                          "HINT: it may be *, %d to %d%s, a range, a step, or a list of them: %s",
                          f->name, strnull(shown), why, f->min, f->max,
                          !f->words                 ? ""
                          : f->words == month_words ? " (7 is jul)"
                                                    : " (0 and 7 are sun)",
                          f->example);
}

static bool take(Part *part, char c) {
        if (*part->p != c)
                return false;
        part->p++;
        return true;
}

static int take_number(Part *part, int *ret) {
        int n = 0;

        if (!isdigit((unsigned char) *part->p))
                return refuse(part, "is not written as this field is");
        for (; isdigit((unsigned char) *part->p); part->p++) {
                n = n * 10 + (*part->p - '0');
                if (n > 999)
                        return refuse(part, "is out of range");
        }
        *ret = n;
        return 0;
}

/* A number in range, or a name. */
static int take_value(Part *part, int *ret) {
        const Field *f = part->field;
        int r;

        for (int i = 0; f->words && f->words[i]; i++)
                if (strncasecmp(part->p, f->words[i], 3) == 0 &&
                    !isalpha((unsigned char) part->p[3])) {
                        part->p += 3;
                        *ret = f->min + i;
                        return 0;
                }
        r = take_number(part, ret);
        if (r < 0)
                return r;
        return *ret < f->min || *ret > f->max ? refuse(part, "is out of range") : 0;
}

/* "*", "5", "8-18", each with "/2" after it but for a single number. */
static int take_item(Part *part, uint64_t *bits) {
        const Field *f = part->field;
        int low = f->min, high = f->max, step = 1, r;
        bool single = false;

        if (take(part, '*'))
                high = f->words == weekday_words ? 6 : f->max;
        else {
                r = take_value(part, &low);
                if (r < 0)
                        return r;
                high = low;
                single = !take(part, '-');
                if (!single && (r = take_value(part, &high)) < 0)
                        return r;
                if (high < low)
                        return refuse(part, "has a range that ends before it begins");
        }
        if (take(part, '/')) {
                if (single)
                        return refuse(part, "has a step without a range");
                r = take_number(part, &step);
                if (r < 0)
                        return r;
                if (step == 0 || step > f->max)
                        return refuse(part, "has a step that leads nowhere");
        }
        for (int i = low; i <= high; i += step)
                *bits |= UINT64_C(1) << i;
        return 0;
}

static int parse_field(const Field *f, const char *text, uint64_t *ret, Error *ret_error) {
        Part part = { f, text, text, ret_error };
        uint64_t bits = 0;
        int r;

        do {
                r = take_item(&part, &bits);
                if (r < 0)
                        return r;
        } while (take(&part, ','));
        if (*part.p)
                return refuse(&part, "is not written as this field is");
        *ret = bits;
        return 0;
}

/* 31 February: a day that no month of the schedule has. */
static bool ever_comes(const Cron *c) {
        static const int longest[] = { 0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

        if (!c->both_days)
                return true;
        for (unsigned month = 1; month <= 12; month++)
                if (c->months >> month & 1 &&
                    c->days & (uint32_t) ((UINT64_C(1) << (longest[month] + 1)) - 1))
                        return true;
        return false;
}

static const char *expand(const char *text) {
        static const struct {
                const char *name, *fields;
        } table[] = {
                { "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },
                { "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
                { "@monthly", "0 0 1 * *" },  { "@yearly", "0 0 1 1 *" },
                { "@annually", "0 0 1 1 *" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcasecmp(text, table[i].name) == 0)
                        return table[i].fields;
        return NULL;
}

static int refuse_all(Error *ret_error, const char *text, const char *why) {
        _cleanup_free_ char *shown = utf8_make_valid(text, strlen(text), 100);

        return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, "schedule",
                          "the schedule \"%s\" %s\n"
                          "HINT: five fields: minute, hour, day of the month, month, day of the "
                          "week, such as '0 8 * * 1-5'; or @hourly, @daily, @weekly, @monthly, "
                          "@yearly",
                          strnull(shown), why);
}

int cron_parse(const char *text, Cron *ret, Error *ret_error) {
        const char *space = " \t", *source = text + strspn(text, space);
        _cleanup_free_ char *copy = strdup(source);
        uint64_t bits[FIELDS];
        char *part[FIELDS], *rest = NULL;
        size_t n = 0, length;
        Cron c;
        int r;

        if (!copy)
                return error_oom(ret_error);
        for (length = strlen(copy); length > 0 && strchr(space, copy[length - 1]); length--)
                copy[length - 1] = '\0';
        if (copy[0] == '@') {
                const char *expanded = expand(copy);

                if (!expanded)
                        return refuse_all(ret_error, text, "is not one of the names");
                free(copy);
                copy = strdup(expanded);
                if (!copy)
                        return error_oom(ret_error);
        }
        for (char *p = strtok_r(copy, space, &rest); p; p = strtok_r(NULL, space, &rest)) {
                if (n == FIELDS)
                        return refuse_all(ret_error, text, "has more than five fields");
                part[n++] = p;
        }
        if (n < FIELDS)
                return refuse_all(ret_error, text, "has fewer than five fields");
        for (size_t i = 0; i < FIELDS; i++) {
                r = parse_field(&fields[i], part[i], &bits[i], ret_error);
                if (r < 0)
                        return r;
        }
        c = (Cron){
                .minutes = bits[MINUTE],
                .hours = (uint32_t) bits[HOUR],
                .days = (uint32_t) bits[DAY],
                .months = (uint32_t) bits[MONTH],
                .weekdays = (uint32_t) ((bits[WEEKDAY] | bits[WEEKDAY] >> 7) & WEEKDAYS_ALL),
                .both_days = part[DAY][0] == '*' || part[WEEKDAY][0] == '*',
        };
        if (!ever_comes(&c))
                return refuse_all(ret_error, text,
                                  "never comes: no month of it has that day of the month");
        *ret = c;
        return 0;
}

/* ---- on the wall ---- */

static bool day_matches(const Cron *c, int64_t day) {
        time_t seconds = day * DAY_MINUTES * 60;
        struct tm tm = {};
        bool by_month, by_week;

        (void) gmtime_r(&seconds, &tm);
        by_month = c->days >> tm.tm_mday & 1;
        by_week = c->weekdays >> tm.tm_wday & 1;
        return c->months >> (tm.tm_mon + 1) & 1 &&
               (c->both_days ? by_month && by_week : by_month || by_week);
}

static bool is_every_day(const Cron *c) {
        bool month = c->days == DAYS_ALL, week = c->weekdays == WEEKDAYS_ALL;

        return c->months == MONTHS_ALL && (c->both_days ? month && week : month || week);
}

bool cron_is_every_minute(const Cron *c) {
        return c->minutes == MINUTES_ALL && c->hours == HOURS_ALL && is_every_day(c);
}

static int64_t floor_div(int64_t a, int64_t b) {
        return a / b - (a % b < 0);
}

bool cron_matches(const Cron *c, int64_t wall) {
        int64_t minute = floor_div(wall, 60), day = floor_div(minute, DAY_MINUTES);

        minute -= day * DAY_MINUTES;
        return c->minutes >> (minute % 60) & 1 && c->hours >> (minute / 60) & 1 &&
               day_matches(c, day);
}

/* The first time of the schedule at or after a minute (since the epoch), or -1. */
static int64_t next_wall(const Cron *c, int64_t minute) {
        int64_t day = floor_div(minute, DAY_MINUTES), rest = minute - day * DAY_MINUTES;

        for (; day * DAY_MINUTES * 60 < LATEST; day++, rest = 0) {
                if (!day_matches(c, day))
                        continue;
                for (int64_t hour = rest / 60; hour < 24; hour++) {
                        uint64_t left = c->minutes >> (hour == rest / 60 ? rest % 60 : 0);

                        if (c->hours >> hour & 1 && left)
                                return day * DAY_MINUTES + hour * 60 +
                                       (hour == rest / 60 ? rest % 60 : 0) + __builtin_ctzll(left);
                }
        }
        return -1;
}

/* ---- in a zone ---- */

/* The minutes of the hour, by clocks that stand so far from these. */
static uint64_t shift_minutes(uint64_t minutes, int64_t by) {
        unsigned n = (unsigned) ((by % 60 + 60) % 60);

        return (minutes << n | minutes >> (60 - n)) & MINUTES_ALL;
}

/* Whether the schedule is one of UTC too: in UTC itself, and where it names minutes of every hour,
 * and these are the same minutes of UTC whatever the clocks do. */
static bool is_of_utc(const Cron *c, const Zone *z, int64_t at, Cron *ret) {
        int32_t offset = zone_offset(z, at);
        int64_t change = at;
        bool changes = zone_next_change(z, at, &change);

        *ret = *c;
        if (offset == 0 && !changes)
                return true;
        if (c->hours != HOURS_ALL || !is_every_day(c) || offset % 60 != 0)
                return false;
        ret->minutes = shift_minutes(c->minutes, -offset / 60);
        /* Rules repeat themselves: some twenty years of them are all. */
        for (int i = 0; changes && i < 40; i++) {
                offset = zone_offset(z, change);
                if (offset % 60 != 0 || shift_minutes(c->minutes, -offset / 60) != ret->minutes)
                        return false;
                changes = zone_next_change(z, change, &change);
        }
        return true;
}

usec_t cron_next(const Cron *c, const Zone *z, usec_t after) {
        int64_t at = (int64_t) (after / USEC_PER_SEC), minute;
        Cron utc;

        if (at >= LATEST)
                return USEC_INFINITY;
        if (is_of_utc(c, z, at, &utc)) {
                minute = next_wall(&utc, at / 60 + 1);
                return minute < 0 ? USEC_INFINITY : (usec_t) minute * USEC_PER_MINUTE;
        }
        /* The later on the wall, the later (or, in a gap, at the same moment) it is: so nothing
         * after `at` is before what its clock shows. Times that are shown again have been. */
        for (minute = floor_div(at + zone_offset(z, at), 60);; minute++) {
                int64_t first;

                minute = next_wall(c, minute);
                if (minute < 0)
                        return USEC_INFINITY;
                first = zone_first(z, minute * 60, NULL);
                if (first > at)
                        return (usec_t) first * USEC_PER_SEC;
        }
}

usec_t cron_previous(const Cron *c, const Zone *z, usec_t at) {
        usec_t back = USEC_PER_MINUTE, found = 0;

        /* Twice as far back until there is one, then on to the last. */
        for (;;) {
                usec_t from = at > back ? at - back : 0;

                found = cron_next(c, z, from);
                if (found <= at)
                        break;
                if (from == 0)
                        return 0;
                back *= 2;
        }
        for (usec_t next; (next = cron_next(c, z, found)) <= at;)
                found = next;
        return found;
}

/* ---- for systemd ---- */

/* "00,15,30", or "*" where all are set. */
static int append_list(Str *s, uint64_t bits, uint64_t all, unsigned min) {
        const char *separator = "";
        int r = 0;

        if (bits == all)
                return str_append(s, "*");
        for (unsigned i = min; i < 64 && r >= 0; i++)
                if (bits >> i & 1) {
                        r = str_appendf(s, "%s%02u", separator, i);
                        separator = ",";
                }
        return r;
}

static int append_weekdays(Str *s, uint32_t weekdays) {
        static const char *const names[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        const char *separator = "";
        int r = 0;

        for (unsigned i = 1; i <= 7 && r >= 0; i++)
                if (weekdays >> (i % 7) & 1) {
                        r = str_appendf(s, "%s%s", separator, names[i % 7]);
                        separator = ",";
                }
        return r < 0 ? r : str_append(s, " ");
}

/* One expression; all weekdays, or all days, are not written out. */
static int append_expression(Str *s, const Cron *c, uint32_t days, uint32_t weekdays) {
        int r = weekdays == WEEKDAYS_ALL ? 0 : append_weekdays(s, weekdays);

        if (r >= 0)
                r = str_append(s, "*-");
        if (r >= 0)
                r = append_list(s, c->months, MONTHS_ALL, 1);
        if (r >= 0)
                r = str_append(s, "-");
        if (r >= 0)
                r = append_list(s, days, DAYS_ALL, 1);
        if (r >= 0)
                r = str_append(s, " ");
        if (r >= 0)
                r = append_list(s, c->hours, HOURS_ALL, 0);
        if (r >= 0)
                r = str_append(s, ":");
        if (r >= 0)
                r = append_list(s, c->minutes, MINUTES_ALL, 0);
        return r < 0 ? r : str_append(s, ":00 UTC\n");
}

static int append_times(Str *s, const Cron *c, const Zone *z, usec_t after, usec_t span,
                        size_t max) {
        usec_t t = after;
        int r = 0;

        for (size_t i = 0; i < max && r >= 0; i++) {
                char text[ISO8601_SIZE];

                t = cron_next(c, z, t);
                if (t == USEC_INFINITY || (t - after > span && i > 0))
                        break;
                time_format_iso8601(t, text);
                r = str_appendf(s, "%.10s %.8s UTC\n", text, text + 11);
        }
        return r;
}

int cron_calendar(const Cron *c, const Zone *z, usec_t after, usec_t span, size_t max, Str *ret) {
        Cron utc;
        int r;

        if (!is_of_utc(c, z, (int64_t) (after / USEC_PER_SEC), &utc))
                return append_times(ret, c, z, after, span, max);
        if (utc.both_days)
                r = append_expression(ret, &utc, utc.days, utc.weekdays);
        else if (utc.days == DAYS_ALL || utc.weekdays == WEEKDAYS_ALL)
                r = append_expression(ret, &utc, DAYS_ALL, WEEKDAYS_ALL);
        else {
                /* Either day is enough: systemd would want both in one expression. */
                r = append_expression(ret, &utc, utc.days, WEEKDAYS_ALL);
                if (r >= 0)
                        r = append_expression(ret, &utc, DAYS_ALL, utc.weekdays);
        }
        return r < 0 ? r : 1;
}
