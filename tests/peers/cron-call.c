/* SPDX-License-Identifier: MIT */

/* Evaluates schedules for tests in other languages. One question per line of stdin, its parts
 * separated by tabs: zone, seconds since the epoch, how many times, schedule. One line of JSON
 * each:
 * {"times": [seconds], "calendar": ["*-*-* 08:00:00 UTC"], "ofUtc": true}, or {"error": "…"}. */

#include <inttypes.h>
#include <stdio.h>

#include "base/cron.h"
#include "base/json.h"

#define SPAN (60 * USEC_PER_DAY)
#define TIMES_MAX 200

static JsonObject *lines(const char *text) {
        JsonObject *array = json_object_new_array();

        for (const char *p = text; *p; p += strcspn(p, "\n") + 1)
                json_object_array_add(array, json_object_new_string_len(p, (int) strcspn(p, "\n")));
        return array;
}

static JsonObject *answer(const char *zone_name, usec_t after, unsigned n, const char *schedule) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(zone_freep) Zone *zone = NULL;
        _cleanup_(str_done) Str calendar = {};
        JsonObject *o = json_object_new_object(), *times = json_object_new_array();
        Cron cron;
        int of_utc;

        if (cron_parse(schedule, &cron, &error) < 0 || zone_open(zone_name, &zone, &error) < 0) {
                json_object_put(times);
                json_set_string(o, "error", error.message);
                return o;
        }
        of_utc = cron_calendar(&cron, zone, after, SPAN, TIMES_MAX, &calendar);
        json_set_bool(o, "ofUtc", of_utc == 1);
        json_set(o, "calendar", lines(calendar.data));
        for (unsigned i = 0; i < n; i++) {
                after = cron_next(&cron, zone, after);
                if (after == USEC_INFINITY)
                        break;
                json_object_array_add(times,
                                      json_object_new_int64((int64_t) (after / USEC_PER_SEC)));
        }
        json_set(o, "times", times);
        return o;
}

int main(void) {
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        while (getline(&line, &size, stdin) > 0) {
                char *rest = line, *zone = strsep(&rest, "\t"), *after = strsep(&rest, "\t"),
                     *n = strsep(&rest, "\t"), *schedule = strsep(&rest, "\n");
                JsonObject *o;

                if (!schedule)
                        return 1;
                o = answer(zone, strtoull(after, NULL, 10) * USEC_PER_SEC,
                           (unsigned) strtoul(n, NULL, 10), schedule);
                puts(json_text(o));
                json_object_put(o);
        }
        return 0;
}
