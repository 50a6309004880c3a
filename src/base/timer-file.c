/* SPDX-License-Identifier: MIT */
#include "timer-file.h"

#include <ctype.h>

/* An empty OnCalendar= takes away what the unit was shipped with. */
#define HEAD "# Made by automapost-schedule: "
#define SECTION "\n[Timer]\nOnCalendar=\n"
#define LINE "OnCalendar="
#define ABOUT_MAX 200
#define LINES_MAX 400

/* A schedule, or the name of a zone; no backslash, which would join lines. */
static bool is_about(char c) {
        return isalnum((unsigned char) c) || (c != '\0' && strchr(" *,-/+_@:.'()?", c));
}

int timer_file_make(const char *about, const char *times, Str *ret) {
        int r = str_append(ret, HEAD);

        for (size_t i = 0; about[i] && i < ABOUT_MAX && r >= 0; i++)
                r = str_append_n(ret, is_about(about[i]) ? &about[i] : "?", 1);
        if (r >= 0)
                r = str_append(ret, SECTION);
        while (*times && r >= 0) {
                size_t n = strcspn(times, "\n");

                r = str_append(ret, LINE);
                if (r >= 0)
                        r = str_append_n(ret, times, n);
                if (r >= 0)
                        r = str_append(ret, "\n");
                times += n + (times[n] == '\n');
        }
        return r;
}

/* ---- checking ---- */

static bool take(const char **p, const char *word) {
        size_t n = strlen(word);

        if (strncmp(*p, word, n) != 0)
                return false;
        *p += n;
        return true;
}

/* Exactly n digits from min to max. */
static bool take_digits(const char **p, size_t n, int min, int max) {
        int value = 0;

        for (size_t i = 0; i < n; i++) {
                if (!isdigit((unsigned char) (*p)[i]))
                        return false;
                value = value * 10 + ((*p)[i] - '0');
        }
        *p += n;
        return value >= min && value <= max;
}

/* "*", or "01,15": two digits each. */
static bool take_list(const char **p, int min, int max) {
        if (take(p, "*"))
                return true;
        do
                if (!take_digits(p, 2, min, max))
                        return false;
        while (take(p, ","));
        return true;
}

static bool take_weekday(const char **p) {
        static const char *const names[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (take(p, names[i]))
                        return true;
        return false;
}

/* "Mon,Tue *-*-01 08:00,30:00 UTC", "2026-03-29 01:00:00 UTC". */
static bool take_expression(const char **p) {
        if (isalpha((unsigned char) **p)) {
                do
                        if (!take_weekday(p))
                                return false;
                while (take(p, ","));
                if (!take(p, " "))
                        return false;
        }
        return (take(p, "*") || take_digits(p, 4, 1970, 2199)) && take(p, "-") &&
               take_list(p, 1, 12) && take(p, "-") && take_list(p, 1, 31) && take(p, " ") &&
               take_list(p, 0, 23) && take(p, ":") && take_list(p, 0, 59) && take(p, ":00 UTC");
}

const char *timer_file_times(const char *text) {
        size_t n = 0;

        if (!take(&text, HEAD))
                return NULL;
        while (n <= ABOUT_MAX && is_about(text[n]))
                n++;
        text += n;
        return n <= ABOUT_MAX && take(&text, SECTION) ? text : NULL;
}

bool timer_file_is_valid(const char *text, size_t n) {
        const char *p = n <= TIMER_FILE_MAX && strlen(text) == n ? timer_file_times(text) : NULL;
        size_t lines = 0;

        if (!p)
                return false;
        for (; *p; lines++)
                if (!take(&p, LINE) || !take_expression(&p) || !take(&p, "\n"))
                        return false;
        return lines > 0 && lines <= LINES_MAX;
}
