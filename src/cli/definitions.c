/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "base/time-util.h"
#include "cli/cli.h"
#include "queries.h"
#include "queue/schedule.h"

/* "4 tries, 60 s each, 2 at a time": what a person changes in the row. */
static char *limits(JsonObject *o) {
        int64_t at_once = json_int64(o, "concurrency_limit", 0);
        _cleanup_free_ char *timeout = NULL;

        if (!streq_ptr(json_string(o, "kind"), "type"))
                return strdup("-");
        if (time_format_span((usec_t) json_int64(o, "timeout_ms", 0) * USEC_PER_MSEC, &timeout) < 0)
                return NULL;
        if (at_once > 0)
                return strjoinf("%" PRId64 " tries of %s, %" PRId64 " at once",
                                json_int64(o, "max_retries", 0) + 1, timeout, at_once);
        return strjoinf("%" PRId64 " tries of %s", json_int64(o, "max_retries", 0) + 1, timeout);
}

static char *state(JsonObject *o) {
        const char *until = json_string(o, "paused_until");
        _cleanup_free_ char *when = until ? cli_age(until) : NULL;

        if (json_boolean(o, "active", false))
                return strdup(json_string(o, "problem") ? "active, bad schedule" : "active");
        if (!json_string(o, "paused_at"))
                return strdup("not active");
        return when ? strjoinf("paused, resumes %s", when) : strdup("paused");
}

/* When it is due next, into the object; nothing where it never is by itself. */
static int add_next_run(JsonObject *o, Error *ret_error) {
        _cleanup_(schedule_done) Schedule s = {};
        char iso[ISO8601_SIZE];
        usec_t next;
        int r;

        r = schedule_read(o, &s, ret_error);
        if (r < 0)
                return r;
        next = s.active ? schedule_next(&s, s.now) : USEC_INFINITY;
        if (next != USEC_INFINITY)
                time_format_iso8601(next, iso);
        r = json_set_string(o, "next_run", next != USEC_INFINITY ? iso : NULL);
        return r < 0 ? error_oom(ret_error) : 0;
}

static int add_row(Table *table, JsonObject *o) {
        const char *next = json_string(o, "next_run");
        _cleanup_free_ char *age = next ? cli_age(next) : NULL, *what = state(o),
                            *limit = limits(o);
        int r;

        if (!what || !limit)
                return -ENOMEM;
        r = table_add(table,
                      (const char *[]){ json_string(o, "name"), json_string(o, "kind"),
                                        json_string(o, "cron_schedule") ?: "on demand",
                                        json_string(o, "cron_schedule") ? json_string(o, "timezone")
                                                                        : NULL,
                                        age, what, limit });
        if (r >= 0 && !streq(what, "active"))
                table_style(table, 5, STYLE_WARN);
        return r;
}

static int definitions_run(Cli *c, Error *ret_error) {
        static const Column columns[] = {
                { "NAME", 0 }, { "KIND", 0 },  { "SCHEDULE", 0 },        { "ZONE", 0 },
                { "NEXT", 0 }, { "STATE", 0 }, { "LIMITS", COLUMN_CUT },
        };
        _cleanup_(json_unrefp) JsonObject *rows = NULL;
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        r = cli_ask(c, &query_schedules, NULL, &rows, ret_error);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(rows); i++)
                r = add_next_run(json_object_array_get_idx(rows, i), ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return cli_print_json(rows);
        r = table_new(c, columns, ELEMENTSOF(columns), &table);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(rows); i++)
                r = add_row(table, json_object_array_get_idx(rows, i));
        return r < 0 ? error_oom(ret_error) : table_print(table);
}

const Verb verb_definitions = {
        .name = "definitions",
        .help = "List services and job types: when they run, and what limits them",
        .details = "One schedule in full, with its next times: automapost schedule NAME",
        .group = GROUP_LOOK,
        .run = definitions_run,
};
