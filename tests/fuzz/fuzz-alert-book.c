/* SPDX-License-Identifier: MIT */
#include "alerts/book.h"

#include <errno.h>

#include "fuzz.h"

/* A book that was read can be printed, and read again it says the same; and no look at it goes
 * astray, whatever times are in it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static const char *const channels[] = { "webhook", NULL };
        const AlertTimes times = { 300 * USEC_PER_SEC, USEC_PER_HOUR, 6 * USEC_PER_HOUR,
                                   2 * USEC_PER_MINUTE };
        const usec_t t = 1780000000 * USEC_PER_SEC;
        _cleanup_(json_unrefp) JsonObject *o = NULL, *printed = NULL, *again = NULL;
        _cleanup_(book_done) Book b = {}, copy = {}, moved = {};
        int r;

        if (json_parse((const char *) data, n, &o) < 0)
                return 0;
        r = book_parse(o, &b);
        if (r < 0) {
                assert(r == -EINVAL && b.n == 0);
                return 0;
        }
        r = book_print(&b, &printed);
        assert(r == 0);
        r = book_parse(printed, &copy);
        assert(r == 0 && copy.n == b.n);
        r = book_print(&copy, &again);
        assert(r == 0 && streq(json_text(printed), json_text(again)));

        r = book_move_shared(&copy, &moved);
        assert(r == 0 && copy.n + moved.n == b.n);
        r = book_look(&b, NULL, 0, SCOPE_ALL, &times, t);
        assert(r == 0);
        for (size_t i = 0; i < b.n; i++) {
                Message m = { .id = strdup("id"), .at = t, .kind = ALERT_OVER };

                if (alert_due(&b.alerts[i], &times, t) >= 0) {
                        r = alert_tell(&b.alerts[i], &m, channels);
                        assert(r == 0 && b.alerts[i].n_owed == 1);
                }
                message_done(&m);
        }
        (void) book_close(&b, t);
        return 0;
}
