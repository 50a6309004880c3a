/* SPDX-License-Identifier: MIT */

#include <errno.h>

#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/schedule.h"
#include "services/collects.h"
#include "services/service.h"
#include "services/state-file.h"

/* The job of a scheduled job type, once over all hosts. */
static int enqueue_slot(ServiceContext *c, const Schedule *s, usec_t slot, int64_t *n_enqueued) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_free_ char *job = NULL;
        char iso[ISO8601_SIZE];

        time_format_iso8601(slot, iso);
        /* One that cannot be had holds up no other. */
        if (db_value(c->db, &query_enqueue_slot, (const char *[]){ s->name, iso, c->worker },
                     c->engine.statement_limit, &job, &error) < 0) {
                log_full(LOG_WARNING, NULL, &error, "Cannot enqueue %s for %s", s->name, iso);
                return db_is_open(c->db) ? 0 : -EIO;
        }
        if (job) {
                (*n_enqueued)++;
                log_debug("Job %s is %s's for %s", job, s->name, iso);
        }
        return 0;
}

/* What a service did not do for a while, because its timer or its host is down or it failed, is
 * done here. */
static int make_good(ServiceContext *c, const Schedule *s, usec_t slot, Error *ret_error) {
        const Collect *collect = collect_find(s->name);
        _cleanup_free_ char *late = NULL;

        if (!collect || cron_is_every_minute(&s->cron) || s->now - slot < c->engine.slot_grace)
                return 0;
        if (time_format_span(s->now - slot, &late) < 0)
                return error_oom(ret_error);
        log_event(LOG_NOTICE, EVENT_SLOT_MADE_GOOD,
                  "%s was due %s ago and nobody has done it: doing it now", s->name, late);
        return service_collect(c, collect, slot, ret_error);
}

/* The timers follow what is in the table: a file that changes when that does wakes the service that
 * sees to it (automapost-schedule.path), on each host for itself. */
static void tell_timers(const ServiceContext *c, const ScheduleList *list) {
        _cleanup_free_ char *path = strjoinf("%s/schedules", c->settings->state_dir),
                            *digest = NULL, *old = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(str_done) Str all = {};
        int r = path ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < list->n; i++) {
                const Schedule *s = &list->items[i];

                if (!s->is_type)
                        r = str_appendf(&all, "%s %s %s %d\n", s->name, s->given ? s->text : "-",
                                        s->given ? s->zone_name : "-", s->active);
        }
        digest = r >= 0 && all.data ? sha256_hex(all.data) : NULL;
        if (!digest || access(c->settings->state_dir, W_OK) < 0)
                return; /* no folder, no timers */
        if (state_file_read(path, 100, &old) >= 0 && streq(old, digest))
                return;
        if (state_file_write(path, digest, &error) < 0)
                log_full(LOG_WARNING, NULL, &error, "The timers do not hear of changed schedules");
}

static int look_at_slots(ServiceContext *c, JsonObject *counts, Error *ret_error) {
        _cleanup_(schedule_list_done) ScheduleList list = {};
        int64_t n_enqueued = 0;
        int r;

        if (c->engine.schema < SCHEMA_SLOTS)
                return 0;
        r = schedule_list(c->db, c->engine.statement_limit, &list, ret_error);
        if (r >= 0)
                tell_timers(c, &list);
        for (size_t i = 0; r >= 0 && i < list.n; i++) {
                const Schedule *s = &list.items[i];
                usec_t slot;

                if (!s->active || !schedule_open_slot(s, &slot))
                        continue;
                r = s->is_type ? enqueue_slot(c, s, slot, &n_enqueued)
                               : make_good(c, s, slot, ret_error);
        }
        if (r < 0 || n_enqueued == 0)
                return r;
        return json_set_int64(counts, "enqueued", n_enqueued) < 0 ? error_oom(ret_error) : 1;
}

static int queue_run(ServiceContext *c, JsonObject *counts, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        int64_t n;
        int r, more;

        more = look_at_slots(c, counts, ret_error);
        if (more < 0)
                return more;
        r = db_query(c->db, &query_try_undefined_jobs, (const char *[]){ "100" },
                     c->engine.statement_limit, &rows, ret_error);
        if (r < 0)
                return r;
        n = rows_int64(rows, 0, 0, 0);
        return n > 0 && json_set_int64(counts, "undefined", n) < 0 ? error_oom(ret_error) : more;
}

int main(int argc, char *argv[]) {
        static const Service queue = {
                .name = "automapost-queue",
                .description = "Does every due job of every type that has no service of its own",
                .other_types = true,
                .run = queue_run,
        };

        return service_main(&queue, argc, argv);
}
