/* SPDX-License-Identifier: MIT */
#include "base/timer-file.h"

#include "fuzz.h"

/* Root writes it where systemd reads: nothing but times may stand there. */
static void check_valid(const char *text) {
        const char *times = timer_file_times(text);

        assert(times);
        for (const char *p = times; *p; p = strchr(p, '\n') + 1) {
                assert(strncmp(p, "OnCalendar=", strlen("OnCalendar=")) == 0);
                assert(strspn(p + strlen("OnCalendar="), "0123456789*-:, MonTueWdhFriSatUC") ==
                       strcspn(p + strlen("OnCalendar="), "\n"));
        }
        assert(!strchr(text, '\\') && !strchr(text + 1, '#'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_free_ char *text = calloc(1, n + 1);
        _cleanup_(str_done) Str made = {};

        assert(text);
        memcpy(text, data, n);
        if (timer_file_is_valid(text, n))
                check_valid(text);

        /* Whatever a schedule is called, what is made is accepted. */
        assert(timer_file_make(text, "Mon,Sun *-01-15 00,12:30:00 UTC\n" TIMER_NEVER, &made) == 0);
        assert(timer_file_is_valid(made.data, made.length));
        check_valid(made.data);
        return 0;
}
