/* SPDX-License-Identifier: MIT */
#include "base/zone.h"

#include <errno.h>

#include "fuzz.h"

/* Whatever a file says, a wall time has one first moment, and clocks change forwards only. */
static void check_zone(const Zone *z, int64_t t) {
        int64_t wall = t + zone_offset(z, t), change = t;
        WallTime kind;
        int64_t first = zone_first(z, wall, &kind);

        assert(kind != WALL_NEVER && first <= t);
        assert(first + zone_offset(z, first) == wall);
        assert(kind == WALL_TWICE || first == t);
        for (int i = 0; i < 10 && zone_next_change(z, change, &change); i++) {
                assert(change > t);
                assert(zone_offset(z, change) != zone_offset(z, t) || i > 0);
                t = change;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(zone_freep) Zone *z = NULL;
        int r;

        r = zone_parse(data, n, &z);
        assert(r == 0 || (r == -EBADMSG && !z));
        if (r < 0)
                return 0;
        check_zone(z, 0);
        check_zone(z, 1774746000);
        check_zone(z, INT64_C(4102444800));
        check_zone(z, -1234567890);
        return 0;
}
