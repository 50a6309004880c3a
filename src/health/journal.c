/* SPDX-License-Identifier: MIT */

#include "health/journal.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "base/text.h"
#include "base/time-util.h"

#define MESSAGE_MAX 1000
#define TAIL_DEADLINE (2 * USEC_PER_SEC)

bool journal_is_readable(void) {
        static const char *const patterns[] = { "/var/log/journal/*/system.journal",
                                                "/run/log/journal/*/system.journal" };
        bool there = false, readable = false;

        for (size_t i = 0; i < ELEMENTSOF(patterns); i++) {
                glob_t found;

                if (glob(patterns[i], 0, NULL, &found) != 0)
                        continue;
                for (size_t k = 0; k < found.gl_pathc; k++) {
                        there = true;
                        readable = readable || access(found.gl_pathv[k], R_OK) == 0;
                }
                globfree(&found);
        }
        return !there || readable;
}

/* Of this service, error or worse. What systemd says of its end is known from the unit itself. */
static int match_errors(sd_journal *j, const char *service) {
        static const char *const priorities[] = { "PRIORITY=0", "PRIORITY=1", "PRIORITY=2",
                                                  "PRIORITY=3" };
        _cleanup_free_ char *unit = strjoinf("_SYSTEMD_UNIT=automapost-%s.service", service);
        int r = unit ? sd_journal_add_match(j, unit, 0) : -ENOMEM;

        /* the same field again is "or", another one is "and" */
        for (size_t i = 0; i < ELEMENTSOF(priorities) && r >= 0; i++)
                r = sd_journal_add_match(j, priorities[i], 0);
        return r;
}

static void read_last(sd_journal *j, const char *service, usec_t since, JournalLine *ret) {
        static const char key[] = "MESSAGE=";
        const size_t key_n = sizeof(key) - 1;
        _cleanup_free_ char *prefix = strjoinf("automapost-%s cannot do its work: ", service);
        const void *data;
        size_t n, skip;
        char *message;
        usec_t t;

        if (match_errors(j, service) < 0 || sd_journal_seek_tail(j) < 0 ||
            sd_journal_previous(j) <= 0 || sd_journal_get_realtime_usec(j, &t) < 0 || t < since ||
            sd_journal_get_data(j, "MESSAGE", &data, &n) < 0 || n < key_n || !prefix)
                return;
        skip = strlen(prefix);
        skip = n - key_n > skip && memcmp((const char *) data + key_n, prefix, skip) == 0
                       ? key_n + skip
                       : key_n;
        message = utf8_make_valid((const char *) data + skip, n - skip, MESSAGE_MAX);
        if (message)
                *ret = (JournalLine){ .time = t, .message = message };
}

void journal_last_error(const char *service, usec_t since, JournalLine *ret) {
        sd_journal *j;

        if (sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY) < 0)
                return;
        read_last(j, service, since, ret);
        sd_journal_close(j);
}

/* ---- the tail ---- */

static int match(sd_journal *j, const char *field, const char *value) {
        _cleanup_free_ char *text = strjoinf("%s=%s", field, value);

        return text ? sd_journal_add_match(j, text, 0) : -ENOMEM;
}

static int match_bad(sd_journal *j) {
        int r = 0;

        for (const char *p = "01234"; *p && r >= 0; p++)
                r = match(j, "PRIORITY", (char[]){ *p, '\0' });
        return r;
}

/* What it says itself, or what systemd says of it. */
static int match_tail(sd_journal *j, const char *unit, const char *invocation) {
        static const char *const services[] = {
#define SERVICE(name) "automapost-" name ".service",
#define RESIDENT SERVICE
#include "service-list.h"
#undef SERVICE
        };
        static const char *const sources[][2] = { { "_SYSTEMD_UNIT", "_SYSTEMD_INVOCATION_ID" },
                                                  { "UNIT", "INVOCATION_ID" } };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(sources) && r >= 0; i++) {
                if (unit)
                        r = match(j, sources[i][0], unit);
                for (size_t k = 0; !unit && k < ELEMENTSOF(services) && r >= 0; k++)
                        /* who asks says little that is news */
                        if (!streq(services[k], "automapost-alert.service"))
                                r = match(j, sources[i][0], services[k]);
                if (r >= 0 && invocation)
                        r = match(j, sources[i][1], invocation);
                if (r >= 0 && !unit)
                        r = match_bad(j);
                if (r >= 0)
                        r = sd_journal_add_disjunction(j);
        }
        return r;
}

/* A field's text, valid, or NULL. */
static char *field(sd_journal *j, const char *name) {
        size_t n, skip = strlen(name) + 1;
        const void *data;

        if (sd_journal_get_data(j, name, &data, &n) < 0 || n < skip)
                return NULL;
        return utf8_make_valid((const char *) data + skip, n - skip, MESSAGE_MAX);
}

static int line(sd_journal *j, usec_t t, JsonObject **ret) {
        _cleanup_free_ char *who = field(j, "SYSLOG_IDENTIFIER"), *pid = field(j, "_PID"),
                            *message = field(j, "MESSAGE"), *text = NULL;
        time_t seconds = (time_t) (t / USEC_PER_SEC);
        char time[sizeof("00:00:00")];
        struct tm tm;

        if (!localtime_r(&seconds, &tm) || strftime(time, sizeof(time), "%H:%M:%S", &tm) == 0)
                return -EINVAL;
        text = strjoinf("%s %s[%s]: %s", time, strnull(who), strnull(pid), strnull(message));
        *ret = text ? json_object_new_string(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}

/* From the end backwards, so the array's order is turned at last. */
static int read_tail(sd_journal *j, usec_t since, size_t max, JsonObject *lines) {
        usec_t deadline = now(CLOCK_BOOTTIME) + TAIL_DEADLINE, t;
        JsonObject *found[64];
        size_t n = 0;
        int r;

        r = sd_journal_seek_tail(j);
        while (r >= 0 && n < MIN(max, ELEMENTSOF(found)) && now(CLOCK_BOOTTIME) < deadline) {
                r = sd_journal_previous(j);
                if (r <= 0 || sd_journal_get_realtime_usec(j, &t) < 0 || t < since)
                        break;
                r = line(j, t, &found[n]);
                n += r >= 0;
        }
        while (n > 0) {
                JsonObject *text = found[--n];

                if (r == -ENOMEM || json_object_array_add(lines, text) < 0) {
                        json_unref(text);
                        r = -ENOMEM;
                }
        }
        return r == -ENOMEM ? r : 0;
}

int journal_tail(const char *unit, const char *invocation, usec_t since, size_t max,
                 JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *lines = json_object_new_array();
        sd_journal *j;
        int r;

        if (!lines)
                return -ENOMEM;
        *ret = NULL;
        if (!journal_is_readable() || sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY) < 0)
                return 0;
        r = match_tail(j, unit, invocation);
        if (r >= 0)
                r = read_tail(j, since, max, lines);
        sd_journal_close(j);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        *ret = TAKE_PTR(lines);
        return 0;
}
