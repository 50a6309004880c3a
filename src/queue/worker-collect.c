/* SPDX-License-Identifier: MIT */

#include "base/log.h"
#include "base/stop-point.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/worker-internal.h"

void collect_run_done(CollectRun *run) {
        free(run->state);
        *run = (CollectRun){};
}

static CollectRun *next_run(const Worker *w) {
        for (size_t i = 0; i < w->config->n_collects; i++)
                if (!w->config->collects[i].done)
                        return &w->config->collects[i];
        return NULL;
}

static bool repeats(const Worker *w) {
        for (size_t i = 0; i < w->config->n_collects; i++)
                if (w->config->collects[i].repeat)
                        return true;
        return false;
}

bool worker_collected(const Worker *w) {
        return !next_run(w);
}

usec_t worker_next_collect(const Worker *w) {
        return next_run(w) ? 0 : repeats(w) ? w->next_collect : USEC_INFINITY;
}

/* Whether the run may go on: it has its slot, or needs none. */
static int take_slot(Worker *w, CollectRun *run, bool *ret, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

        *ret = true;
        if (isempty(run->slot) || run->taken)
                return 0;
        r = worker_query(w, &query_take_slot,
                         (const char *[]){ run->collect->service, run->slot, w->id }, &rows,
                         ret_error);
        if (r < 0)
                return r;
        stop_point("slot");
        run->taken = streq_ptr(rows_text(rows, 0, 0), "t");
        if (!run->taken)
                log_debug("Somebody else has the slot %s of %s", run->slot, run->collect->service);
        *ret = run->taken || run->anyway;
        return 0;
}

static int finish(Worker *w, CollectRun *run, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;

        run->done = true;
        w->next_collect = now(CLOCK_BOOTTIME) + w->engine->collect_every;
        if (!run->taken)
                return 0;
        stop_point("slot-collected");
        return worker_query(w, &query_finish_slot,
                            (const char *[]){ run->collect->service, run->slot, w->id }, &rows,
                            ret_error);
}

static int collect_step(Worker *w, CollectRun *run, Error *ret_error) {
        bool mine, more = false;
        int r;

        r = take_slot(w, run, &mine, ret_error);
        if (r >= 0 && !mine) {
                run->done = true;
                return 0;
        }
        if (r >= 0)
                r = run->collect->step(run, *w->db, w->engine->statement_limit, &more, ret_error);
        if (r < 0)
                return r;
        worker_wants_any(w);
        return more ? 0 : finish(w, run, ret_error);
}

int worker_collect(Worker *w, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        CollectRun *run;
        int r;

        if (!next_run(w)) /* it is time for those that repeat */
                for (size_t i = 0; i < w->config->n_collects; i++)
                        w->config->collects[i].done = !w->config->collects[i].repeat;
        run = next_run(w);
        if (!run)
                return 0;
        r = collect_step(w, run, &error);
        if (r < 0 && streq_ptr(error.code, "AM001"))
                return worker_was_given_up(w, ret_error);
        if (r >= 0)
                return 0;
        if (run->repeat && error.class == ERROR_CONFIG) {
                error_move(ret_error, &error);
                return r;
        }
        /* What is in the queue already need not wait for it. */
        log_full(LOG_WARNING, NULL, &error, "Collecting for %s failed, it is tried again",
                 run->collect->service);
        run->done = true;
        w->next_collect = now(CLOCK_BOOTTIME) + w->engine->beat;
        /* Its slot is open again when this run has ended, and that it failed is said then. */
        if (!run->repeat && w->collect_error.class == ERROR_NONE)
                error_move(&w->collect_error, &error);
        return 0;
}
