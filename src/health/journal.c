/* SPDX-License-Identifier: MIT */

#include "health/journal.h"

#include <errno.h>
#include <glob.h>
#include <systemd/sd-journal.h>

#include "base/text.h"

#define MESSAGE_MAX 1000

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
