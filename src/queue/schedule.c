/* SPDX-License-Identifier: MIT */
#include "queue/schedule.h"

#include <errno.h>

#include "base/log.h"
#include "base/time-util.h"
#include "queries.h"

void schedule_done(Schedule *s) {
        error_done(&s->problem);
        free(s->name);
        zone_free(s->zone);
        json_unref(s->row);
        *s = (Schedule){};
}

/* A time of the row; without one, `missing`. */
static usec_t time_of(JsonObject *row, const char *name, usec_t missing) {
        const char *text = json_string(row, name);
        usec_t t;

        return text && time_parse_iso8601(text, &t) >= 0 ? t : missing;
}

/* Both or neither; -EINVAL and the like are about the text. */
static int use(Schedule *s, const char *text, const char *zone_name, Error *ret_error) {
        _cleanup_(zone_freep) Zone *zone = NULL;
        Cron cron;
        int r;

        r = cron_parse(text, &cron, ret_error);
        if (r >= 0)
                r = zone_open(zone_name, &zone, ret_error);
        if (r < 0)
                return r;
        s->given = true;
        s->text = text;
        s->zone_name = zone_name;
        s->cron = cron;
        s->zone = TAKE_PTR(zone);
        return 0;
}

int schedule_read(JsonObject *row, Schedule *ret, Error *ret_error) {
        _cleanup_(schedule_done) Schedule s = {};
        const char *text = json_string(row, "cron_schedule"),
                   *zone = json_string(row, "timezone") ?: "UTC",
                   *good = json_string(row, "good_schedule"),
                   *good_zone = json_string(row, "good_timezone") ?: "UTC";
        int r = 0;

        s.row = json_object_get(row);
        s.name = strdup(json_string(row, "name") ?: "");
        if (!s.name)
                return error_oom(ret_error);
        s.is_type = streq_ptr(json_string(row, "kind"), "type");
        s.active = json_boolean(row, "active", true);
        s.now = time_of(row, "now", 0);
        s.due_after = time_of(row, "due_after", 0);
        s.idle_from = time_of(row, "idle_from", USEC_INFINITY);
        s.idle_until = time_of(row, "idle_until", USEC_INFINITY);
        if (s.now == 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "schema",
                                  "the database gives no time with a schedule\n"
                                  "HINT: run automapost migrate");
        if (text)
                r = use(&s, text, zone, &s.problem);
        if (r < 0 && r != -ENOMEM && good)
                r = use(&s, good, good_zone, NULL);
        if (r == -ENOMEM)
                return error_oom(ret_error);
        *ret = s;
        s = (Schedule){};
        return 0;
}

bool schedule_open_slot(const Schedule *s, usec_t *ret) {
        usec_t slot;

        if (!s->given)
                return false;
        slot = cron_previous(&s->cron, s->zone, s->now);
        if (slot <= s->due_after || (slot >= s->idle_from && slot < s->idle_until))
                return false;
        *ret = slot;
        return true;
}

usec_t schedule_next(const Schedule *s, usec_t after) {
        return s->given ? cron_next(&s->cron, s->zone, after) : USEC_INFINITY;
}

/* Whether the database knows already what came of it. */
static bool is_news(const Schedule *s) {
        const char *text = json_string(s->row, "cron_schedule"),
                   *recorded = json_string(s->row, "problem");

        if (s->problem.class != ERROR_NONE)
                return !streq_ptr(recorded, s->problem.message);
        return recorded || !streq_ptr(text, json_string(s->row, "good_schedule")) ||
               !streq_ptr(json_string(s->row, "timezone"), json_string(s->row, "good_timezone"));
}

static int note(Db *db, usec_t timeout, const Schedule *s, Error *ret_error) {
        _cleanup_free_ char *still = NULL;

        if (s->problem.class != ERROR_NONE)
                log_full(LOG_WARNING, EVENT_SCHEDULE_REFUSED, &s->problem,
                         "The schedule of %s cannot be used, %s", s->name,
                         s->given ? "the last good one stays" : "it runs by hand only");
        return db_value(db, &query_note_schedule,
                        (const char *[]){ s->name, json_string(s->row, "cron_schedule"),
                                          json_string(s->row, "timezone"), s->problem.message },
                        timeout, &still, ret_error);
}

void schedule_list_done(ScheduleList *l) {
        for (size_t i = 0; i < l->n; i++)
                schedule_done(&l->items[i]);
        free(l->items);
        *l = (ScheduleList){};
}

int schedule_list(Db *db, usec_t timeout, ScheduleList *ret, Error *ret_error) {
        _cleanup_(schedule_list_done) ScheduleList l = {};
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

        r = db_query(db, &query_schedules, NULL, timeout, &rows, ret_error);
        if (r < 0)
                return r;
        l.items = calloc(rows_count(rows) + 1, sizeof(Schedule));
        if (!l.items)
                return error_oom(ret_error);
        for (size_t i = 0; i < rows_count(rows); i++) {
                _cleanup_(json_unrefp) JsonObject *row = NULL;
                const char *text = rows_text(rows, i, 0);

                if (!text || json_parse(text, strlen(text), &row) < 0)
                        return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "schema",
                                          "a schedule of the database is no JSON");
                r = schedule_read(row, &l.items[l.n], ret_error);
                if (r < 0)
                        return r;
                l.n++;
                if (is_news(&l.items[i])) {
                        r = note(db, timeout, &l.items[i], ret_error);
                        if (r < 0)
                                return r;
                }
        }
        *ret = l;
        l = (ScheduleList){};
        return 0;
}
