/* SPDX-License-Identifier: MIT */

#include "base/log.h"
#include "base/time-util.h"
#include "queue/worker-internal.h"

#define IDLE_MAX (60 * USEC_PER_SEC)

bool worker_uses_sides(const Worker *w) {
        return (w->plain.ahead > w->pool.max_plain || w->urgent.ahead > 0) && !w->stopping &&
               now(CLOCK_BOOTTIME) >= w->sides.next_try;
}

static void side_close(Side *side) {
        db_free(side->db);
        side->db = NULL;
}

static void side_failed(Worker *w, Side *side, const Error *error) {
        log_full(w->sides.failed ? LOG_DEBUG : LOG_NOTICE, NULL, error,
                 "A further connection failed; all goes over the first for now");
        w->sides.failed = true;
        w->sides.next_try = now(CLOCK_BOOTTIME) + w->engine->beat;
        side_close(side);
}

int side_send(Worker *w, Side *side, const Query *query, const char *const *params,
              const int *lengths) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r = 0;

        if (!side->db)
                r = db_connect(w->config->settings->database_url, PROJECT_NAME,
                               w->engine->statement_limit, &side->db, &error);
        if (r >= 0)
                r = db_send(side->db, query, params, lengths, w->engine->statement_limit, &error);
        if (r < 0)
                side_failed(w, side, &error);
        side->used = now(CLOCK_BOOTTIME);
        return r;
}

int side_receive(Worker *w, Side *side, Rows **ret) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        r = db_receive(side->db, ret, &error);
        if (r < 0)
                side_failed(w, side, &error);
        else if (r > 0)
                w->sides.failed = false;
        return r;
}

static void side_rest(Side *side) {
        if (side->db && !db_is_asked(side->db) && now(CLOCK_BOOTTIME) > side->used + IDLE_MAX)
                side_close(side);
}

void worker_rest_sides(Worker *w) {
        for (size_t i = 0; i < ELEMENTSOF(w->settles); i++)
                side_rest(&w->settles[i].side);
        side_rest(&w->claim.side);
}
