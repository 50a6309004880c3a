/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "base/time-util.h"
#include "cli/cli.h"
#include "queries.h"
#include "queue/schedule.h"

#define PREVIEW 10
#define DAY ((int64_t) 86400)

/* What it is, and what it is to be. */
typedef struct Change {
        const char *name;
        JsonObject *row;      /* of automapost.schedules() */
        const char *schedule; /* NULL: on demand */
        const char *zone_name;
        Cron cron;
        Zone *zone;
        usec_t now;
} Change;

static void change_done(Change *change) {
        zone_free(change->zone);
        json_unref(change->row);
}

static int find_definition(Cli *c, const char *name, JsonObject **ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *rows = NULL;
        int r;

        r = cli_ask(c, &query_schedules, NULL, &rows, ret_error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                JsonObject *row = json_object_array_get_idx(rows, i);

                if (streq_ptr(json_string(row, "name"), name)) {
                        *ret = json_object_get(row);
                        return 0;
                }
        }
        return error_setf(ret_error, ERROR_PERMANENT, -ENOENT, "P0002",
                          "nothing is named \"%s\"\nHINT: automapost definitions lists the names",
                          name);
}

/* ---- the next times ---- */

/* "Mon 30 Mar 2026 08:00 +02:00", by the clocks of a zone. */
static char *clock_text(const Zone *z, int64_t at) {
        static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        int32_t offset = zone_offset(z, at);
        time_t wall = at + offset;
        struct tm tm = {};

        (void) gmtime_r(&wall, &tm);
        return strjoinf("%s %2d %s %d %02d:%02d %c%02d:%02d", days[tm.tm_wday], tm.tm_mday,
                        months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                        offset < 0 ? '-' : '+', abs(offset) / 3600, abs(offset) / 60 % 60);
}

/* What there is to say of a time on a day on which the clocks are changed; NULL on others. */
static const char *clock_note(const Change *change, int64_t at) {
        int64_t wall = at + zone_offset(change->zone, at), day = wall - (wall % DAY + DAY) % DAY;
        int32_t before = zone_offset(change->zone, zone_first(change->zone, day, NULL)),
                after = zone_offset(change->zone, zone_first(change->zone, day + DAY, NULL));
        WallTime kind;

        if (before == after)
                return NULL;
        (void) zone_first(change->zone, wall, &kind);
        if (!cron_matches(&change->cron, wall))
                return "the clocks go forward: the time itself does not exist that day";
        if (kind == WALL_TWICE)
                return "the clocks go back: this time comes twice, and counts once";
        return after > before ? "the clocks go forward that day" : "the clocks go back that day";
}

static int next_runs(const Change *change, JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *runs = json_object_new_array();
        usec_t t = change->now;

        for (size_t i = 0; runs && change->schedule && i < PREVIEW; i++) {
                _cleanup_(json_unrefp) JsonObject *run = json_object_new_object();
                _cleanup_free_ char *local = NULL;
                char iso[ISO8601_SIZE];

                t = cron_next(&change->cron, change->zone, t);
                if (t == USEC_INFINITY)
                        break;
                time_format_iso8601(t, iso);
                local = clock_text(change->zone, (int64_t) (t / USEC_PER_SEC));
                if (!run || !local || json_set_string(run, "at", iso) < 0 ||
                    json_set_string(run, "local", local) < 0 ||
                    json_set_string(run, "note", clock_note(change, (int64_t) (t / USEC_PER_SEC))) <
                            0 ||
                    json_object_array_add(runs, json_object_get(run)) < 0)
                        return -ENOMEM;
        }
        if (!runs)
                return -ENOMEM;
        *ret = TAKE_PTR(runs);
        return 0;
}

static int print_runs(const Cli *c, JsonObject *runs) {
        for (size_t i = 0; i < json_object_array_length(runs); i++) {
                JsonObject *run = json_object_array_get_idx(runs, i);
                const char *note = json_string(run, "note");
                _cleanup_free_ char *age = cli_age(json_string(run, "at"));

                if (!age)
                        return -ENOMEM;
                cli_print(c, note ? STYLE_WARN : STYLE_NONE, "  %s  (%s)%s%s",
                          strnull(json_string(run, "local")), age, note ? "  " : "", note ?: "");
        }
        return 0;
}

/* ---- changing ---- */

/* What the arguments ask for; 1: nothing, it is only to be shown. */
static int wanted(Cli *c, Change *change) {
        bool by_default = cli_flag(c, "default"), off = cli_flag(c, "off");
        const char *zone = cli_option(c, "timezone");

        if (by_default + off + (c->n_args > 1) > 1)
                return cli_usage(c, "one of CRON, --default and --off");
        if (off && zone)
                return cli_usage(c, "--off needs no --timezone");
        change->schedule = c->n_args > 1 ? c->args[1]
                           : by_default  ? json_string(change->row, "default_schedule")
                           : off         ? NULL
                                         : json_string(change->row, "cron_schedule");
        change->zone_name = zone         ? zone
                            : by_default ? "UTC"
                                         : json_string(change->row, "timezone") ?: "UTC";
        return !by_default && !off && c->n_args == 1 && !zone;
}

static int read_schedule(Change *change, Error *ret_error) {
        int r;

        if (time_parse_iso8601(json_string(change->row, "now") ?: "", &change->now) < 0)
                change->now = now(CLOCK_REALTIME);
        if (!change->schedule)
                return 0;
        r = cron_parse(change->schedule, &change->cron, ret_error);
        return r < 0 ? r : zone_open(change->zone_name, &change->zone, ret_error);
}

static int show(const Cli *c, const Change *change, JsonObject *answer, bool changed) {
        const char *was = json_string(change->row, "cron_schedule"),
                   *verb = changed                  ? "is now"
                           : cli_flag(c, "dry-run") ? "would be"
                                                    : "is";

        if (c->json)
                return cli_print_json(answer);
        if (!change->schedule)
                cli_print(c, STYLE_BOLD, "%s %s on demand: nothing starts it by itself.",
                          change->name, verb);
        else
                cli_print(c, STYLE_BOLD, "%s %s due at '%s' by the clocks of %s:", change->name,
                          verb, change->schedule, change->zone_name);
        if (print_runs(c, json_member(answer, "next_runs")) < 0)
                return -ENOMEM;
        if (!json_boolean(change->row, "active", true))
                cli_print(c, STYLE_WARN, "It is paused: automapost resume %s", change->name);
        if (changed) {
                cli_print(c, STYLE_DIM, "It was %s%s%s. Timers follow within a minute.",
                          was ? "'" : "", was ?: "on demand", was ? "'" : "");
        } else if (json_string(change->row, "problem"))
                cli_print(c, STYLE_WARN, "Its row cannot be used: %s",
                          json_string(change->row, "problem"));
        return EX_OK;
}

static int schedule_run(Cli *c, Error *ret_error) {
        _cleanup_(change_done) Change change = { .name = c->args[0] };
        _cleanup_(json_unrefp) JsonObject *answer = NULL, *runs = NULL;
        bool apply = false;
        int r;

        r = find_definition(c, change.name, &change.row, ret_error);
        if (r < 0)
                return r;
        r = wanted(c, &change);
        if (r > 1)
                return r; /* wrong usage */
        apply = r == 0 && !cli_flag(c, "dry-run");
        r = read_schedule(&change, ret_error);
        if (r < 0)
                return r;
        if (apply)
                r = cli_ask_one(c, &query_set_schedule,
                                (const char *[]){ change.name, change.schedule, change.zone_name },
                                &answer, ret_error);
        else {
                answer = json_object_new_object();
                r = json_set_string(answer, "name", change.name);
                if (r >= 0)
                        r = json_set_string(answer, "schedule", change.schedule);
                if (r >= 0)
                        r = json_set_string(answer, "timezone", change.zone_name);
        }
        if (r < 0)
                return r;
        if (next_runs(&change, &runs) < 0 ||
            json_set(answer, "next_runs", json_object_get(runs)) < 0)
                return error_oom(ret_error);
        return show(c, &change, answer, apply);
}

const Verb verb_schedule = {
        .name = "schedule",
        .arguments = "NAME ['CRON']",
        .help = "Show or change when a service or a job type runs",
        .details = "CRON has five fields: minute, hour, day of the month, month, day of the week,\n"
                   "such as '0 8 * * 1-5'; or @hourly, @daily, @weekly, @monthly, @yearly. Quote\n"
                   "it. Where both days are restricted, either one is enough. A time that the\n"
                   "clocks skip comes at the end of the gap, one that they show twice comes once.\n"
                   "What was due before a change is not made good.",
        .group = GROUP_ACT,
        .options =
                (const Option[]){
                        { "timezone", 0, "ZONE", "the clocks that count: UTC, Europe/Berlin" },
                        { "default", 0, NULL, "as shipped, in UTC" },
                        { "off", 0, NULL, "on demand: nothing starts it by itself" },
                        { "dry-run", 'n', NULL, "show the next times, change nothing" },
                        {},
                },
        .min_args = 1,
        .max_args = 2,
        .run = schedule_run,
};
