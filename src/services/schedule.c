/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/time-util.h"
#include "base/timer-file.h"
#include "queue/schedule.h"
#include "services/service.h"
#include "services/state-file.h"

/* Where the clocks of a zone count, these are written out, and anew when half of them are used. */
#define SPAN (60 * USEC_PER_DAY)
#define TIMES_MAX 200

static const char *const names[] = {
#define SERVICE(name) name,
#include "service-list.h"
#undef SERVICE
};

static bool is_ours(const Schedule *s) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (!s->is_type && streq(names[i], s->name))
                        return true;
        return false;
}

/* The times of a schedule's timer, one per line. This service never stops its own: nobody would
 * start it again. */
static int times_of(const Schedule *s, Str *ret) {
        if (!s->given || (!s->active && !streq(s->name, "schedule")))
                return str_append(ret, TIMER_NEVER);
        return cron_calendar(&s->cron, s->zone, now(CLOCK_REALTIME), SPAN, TIMES_MAX, ret);
}

static char *about(const Schedule *s) {
        return strjoinf("%s %s%s", s->given ? s->text : "on demand", s->given ? s->zone_name : "",
                        s->active ? "" : " (paused)");
}

static size_t count_lines(const char *p) {
        size_t n = 0;

        for (; *p; p++)
                n += *p == '\n';
        return n;
}

/* The rest of the times from the first that is to come. */
static const char *times_left(const char *times) {
        for (const char *p = times; *p; p += strcspn(p, "\n") + 1) {
                usec_t t;
                _cleanup_free_ char *text = strndup(p, strlen("OnCalendar=2026-03-29 01:00:00"));

                if (text && (time_parse_iso8601(text + strlen("OnCalendar="), &t) < 0 ||
                             t > now(CLOCK_REALTIME)))
                        return p;
        }
        return times + strlen(times);
}

/* Whether times that were written earlier do still: they are the first of those that would be
 * written now, and not half of them are used. */
static bool still_does(const char *old, const char *fresh) {
        const char *old_times = timer_file_times(old), *fresh_times = timer_file_times(fresh),
                   *left;

        if (!old_times || !fresh_times || strncmp(old, fresh, (size_t) (fresh_times - fresh)) != 0)
                return false;
        left = times_left(old_times);
        return *left && 2 * count_lines(left) >= count_lines(old_times) &&
               strncmp(left, fresh_times, strlen(left)) == 0;
}

/* 1: the timer has other times than before. */
static int update(const char *folder, const Schedule *s, Error *ret_error) {
        _cleanup_free_ char *path = strjoinf("%s/%s.conf", folder, s->name), *old = NULL,
                            *words = about(s);
        _cleanup_(str_done) Str times = {}, text = {};
        int r;

        if (!path || !words || times_of(s, &times) < 0 ||
            timer_file_make(words, times.data, &text) < 0)
                return error_oom(ret_error);
        r = state_file_read(path, TIMER_FILE_MAX, &old);
        if (r >= 0 && (streq(old, text.data) || still_does(old, text.data)))
                return 0;
        if (r == -ENOMEM)
                return error_oom(ret_error);
        r = state_file_write(path, text.data, ret_error);
        if (r < 0)
                return r;
        log_info("The timer of %s follows: %s", s->name, words);
        return 1;
}

static int schedule_run(ServiceContext *c, JsonObject *counts, Error *ret_error) {
        _cleanup_free_ char *folder = strjoinf("%s/timers", c->settings->state_dir);
        _cleanup_(schedule_list_done) ScheduleList list = {};
        int64_t n = 0;
        int r;

        if (!folder)
                return error_oom(ret_error);
        if (c->engine.schema < SCHEMA_SLOTS)
                return 0;
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return error_setf(ret_error, ERROR_CONFIG, -errno, "folder",
                                  "cannot make the folder %s: %s", folder, strerrordesc_np(errno));
        r = schedule_list(c->db, c->engine.statement_limit, &list, ret_error);
        for (size_t i = 0; r >= 0 && i < list.n; i++) {
                const Schedule *s = &list.items[i];

                /* What was never good has no timer of its own: the unit's stays. */
                if (!is_ours(s) || (s->problem.class != ERROR_NONE && !s->given))
                        continue;
                r = update(folder, s, ret_error);
                n += r > 0;
        }
        if (r < 0)
                return r;
        return n > 0 && json_set_int64(counts, "timers", n) < 0 ? error_oom(ret_error) : 0;
}

int main(int argc, char *argv[]) {
        static const Service schedule = {
                .name = "automapost-schedule",
                .description =
                        "Writes down the times of timers; automapost-schedule-apply does the rest",
                .run = schedule_run,
        };

        return service_main(&schedule, argc, argv);
}
