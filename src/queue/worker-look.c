/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/worker-internal.h"

#define LOOK_EVERY (1 * USEC_PER_SEC)
/* Posts that become due one after the other are collected some at a time. */
#define LOOK_LEAST (50 * USEC_PER_MSEC)
/* How far automapost.look() counts. */
#define LOOK_COUNT_MAX 10000

void worker_look_lost(Worker *w) {
        w->look.listens = false;
        w->must_meet = w->engine->installation; /* a restarted server gives no jobs before */
        w->look.next = 0;
}

/* Each connection listens for itself. A pooler in transaction mode takes the LISTEN and passes
 * nothing on: it is known by another process of the server answering than the one that we were
 * told. */
static void listen_here(Worker *w) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        _cleanup_(error_done) Error error = ERROR_NULL;
        bool deaf = true;
        int r;

        w->look.listens = true;
        r = db_script(*w->db, "listen", "LISTEN job_queue_channel", w->engine->statement_limit,
                      &error);
        if (r >= 0)
                r = db_query(*w->db, &query_backend_pid, NULL, w->engine->statement_limit, &rows,
                             &error);
        if (r < 0)
                log_full(LOG_WARNING, NULL, &error, "Cannot listen for new jobs");
        else
                deaf = rows_int64(rows, 0, 0, 0) != db_backend_pid(*w->db);
        if (deaf && !w->look.deaf)
                log_full(
                        LOG_NOTICE, NULL, NULL,
                        "Nobody wakes this worker (a pooler lies between): new jobs are looked for "
                        "once a second");
        w->look.deaf = deaf;
}

/* The type of ours that does jobs of that type; NULL for none. */
static const JobType *type_for(const Worker *w, const char *name) {
        const JobType *http = NULL;

        for (size_t i = 0; name && i < w->config->n_types; i++) {
                if (streq(w->config->types[i]->name, name))
                        return w->config->types[i];
                if (streq(w->config->types[i]->name, "http"))
                        http = w->config->types[i]; /* any name may be one of the application's */
        }
        return http;
}

/* Takes what was notified by now. */
static void hear(Worker *w) {
        char *payload;

        while ((payload = db_heard(*w->db))) {
                _cleanup_free_ char *owned = payload;
                _cleanup_(json_unrefp) JsonObject *o = NULL;
                const JobType *type;

                if (json_parse(owned, strlen(owned), &o) < 0)
                        continue; /* anybody may notify anything */
                type = type_for(w, json_string(o, "type"));
                if (!type)
                        continue;
                w->look.deaf = false;
                worker_wants(w, type->prepare ? &w->urgent : &w->plain);
                w->look.plain |= !type->prepare;
        }
}

static int apply_answer(Worker *w, const char *text, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        JsonObject *next;
        usec_t t = now(CLOCK_BOOTTIME);
        bool paused;

        if (!text || json_parse(text, strlen(text), &o) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "schema",
                                  "the database's answer to a look is no JSON");
        paused = json_boolean(o, "paused", false);
        if (paused != w->look.paused)
                log_full(LOG_NOTICE, NULL, NULL, "%s",
                         paused ? "Paused: nothing more is claimed" : "Going on");
        w->look.paused = paused;
        w->look.due = json_int64(o, "due", 0);
        w->look.lag =
                (usec_t) (json_object_get_double(json_member(o, "lag")) * (double) USEC_PER_SEC);
        if (paused)
                return 0;
        if (json_boolean(o, "collect", false))
                w->next_collect = 0;
        if (w->look.due > 0 || json_boolean(o, "sweep", false))
                worker_wants_any(w);
        next = json_member(o, "next");
        if (next)
                w->look.next =
                        MIN(w->look.next,
                            t + MAX((usec_t) (json_object_get_double(next) * (double) USEC_PER_SEC),
                                    LOOK_LEAST));
        return 0;
}

int worker_look(Worker *w, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        usec_t t;
        int r;

        if (!w->look.listens && db_is_open(*w->db))
                listen_here(w);
        hear(w);
        t = now(CLOCK_BOOTTIME);
        if (t < w->look.next)
                return 0;
        w->look.next = t + LOOK_EVERY;
        r = worker_query(w, &query_look, (const char *[]){ w->config->service, w->types }, &rows,
                         ret_error);
        if (r >= 0)
                r = apply_answer(w, rows_text(rows, 0, 0), ret_error);
        if (!w->look.listens) /* it came over a new connection */
                w->look.next = 0;
        return r;
}

void worker_show_look(const Worker *w, char *status, size_t size) {
        _cleanup_free_ char *lag = NULL;

        if (w->look.paused)
                (void) snprintf(status, size, "paused, %zu to go", w->n_tasks);
        else if (w->look.due == 0)
                (void) snprintf(status, size, "%s %u, %zu to go, nothing waits%s",
                                w->config->done_word, w->counts.completed, w->n_tasks,
                                w->look.deaf ? "; not notified, looks each second" : "");
        else
                (void) snprintf(status, size, "%s %u, %zu to go, %" PRId64 "%s wait, up to %s%s",
                                w->config->done_word, w->counts.completed, w->n_tasks, w->look.due,
                                w->look.due >= LOOK_COUNT_MAX ? " or more" : "",
                                time_format_span(w->look.lag, &lag) < 0 ? "?" : lag,
                                w->look.deaf ? "; not notified, looks each second" : "");
}
