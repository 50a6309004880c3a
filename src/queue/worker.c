/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queries.h"
#include "queue/rescue.h"
#include "queue/worker-internal.h"

/* Every process-wide preparation of the types, once, before the first actor. */
static int worker_process_init(Worker *w, Error *ret_error) {
        for (size_t i = 0; i < w->config->n_types; i++) {
                const JobType *type = w->config->types[i];

                if (type->process_init) {
                        int r = type->process_init(w->config->settings, ret_error);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* While this worker lives, others may die. */
static void worker_rescue(Worker *w) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int64_t jobs = 0;

        w->next_rescue = now(CLOCK_BOOTTIME) + w->engine->beat;
        if (rescue_lapsed(*w->db, w->engine->statement_limit, &jobs, &error) < 0)
                log_full(LOG_WARNING, NULL, &error, "Cannot look for lapsed workers");
        if (jobs > 0)
                worker_wants_any(w);
}

/* Nothing is left to do here; but while a worker of another host is at work, this one stays awake:
 * if that host dies, its jobs are taken over when it lapses, not at the next tick. */
static bool worker_stands_by(Worker *w) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_free_ char *others = NULL;

        if (w->config->n_types == 0 || !db_is_open(*w->db))
                return false;
        if (db_value(*w->db, &query_others_at_work, (const char *[]){ w->id, w->types },
                     w->engine->statement_limit, &others, &error) < 0) {
                log_full(LOG_DEBUG, NULL, &error, "Cannot see whether other hosts are at work");
                return false;
        }
        w->next_claim = now(CLOCK_BOOTTIME) + w->engine->beat;
        return others && streq(others, "t");
}

bool worker_gathers(const Worker *w, bool more, usec_t patience, usec_t *at) {
        usec_t t = now(CLOCK_BOOTTIME);

        if (more && !w->stopping) {
                if (*at == USEC_INFINITY)
                        *at = t + patience;
                if (t < *at)
                        return true;
        }
        *at = USEC_INFINITY;
        return false;
}

/* One turn. Returns 1 when there is nothing more to do. */
static int worker_turn(Worker *w, Error *ret_error) {
        usec_t t = now(CLOCK_BOOTTIME);
        int r;

        if (t >= w->budget_ends && !w->stopping) {
                log_info("The time for one run is used up; the next run goes on");
                w->stopping = true;
                w->stop_by = t + w->config->settings->grace_sec * USEC_PER_SEC;
        }
        if (t >= w->next_beat) {
                worker_rest_sides(w);
                r = worker_beat(w, ret_error);
                if (r >= 0)
                        r = worker_log_running(w, ret_error);
                if (r < 0)
                        return r;
        }
        worker_hurry(w);
        worker_hear_settle(w);
        worker_settle_aside(w);
        r = worker_hear_claim(w, ret_error);
        if (r < 0)
                return r;
        if (w->stopping)
                worker_put_back_unbegun(w);
        if (!w->stopping && (r = worker_begin_ready(w, ret_error)) < 0)
                return r;
        if (w->must_meet && t >= w->next_meeting && (r = worker_meet(w, ret_error)) < 0)
                return r;
        r = worker_settle_ended(w, ret_error);
        if (r < 0)
                return r;
        r = worker_expire(w, ret_error);
        if (r < 0)
                return r;
        if (w->stopping)
                return (w->n_tasks == 0 && !w->claim.kind) || t >= w->stop_by ? 1 : 0;

        t = now(CLOCK_BOOTTIME);
        if (t >= w->next_rescue)
                worker_rescue(w);
        if (w->config->resident && (r = worker_look(w, ret_error)) < 0)
                return r;
        if (t >= worker_next_collect(w) && (r = worker_collect(w, ret_error)) < 0)
                return r;
        if (w->config->n_types == 0)
                w->drained = true;
        else if (!w->look.paused && t >= worker_next_claim(w) &&
                 (r = worker_claim(w, ret_error)) < 0)
                return r;
        if (w->config->resident)
                return 0;
        if (!w->drained || w->n_tasks > 0 || !worker_collected(w))
                return 0;
        return worker_stands_by(w) ? 0 : 1;
}

/* When something is to be done without an event. */
static usec_t worker_next(Worker *w) {
        usec_t next = MIN(MIN(w->next_beat, w->next_rescue), w->budget_ends);

        if (w->stopping)
                return MIN(next, w->stop_by);
        next = MIN(next, worker_next_collect(w));
        if (w->config->resident)
                next = MIN(next, w->look.next);
        next = MIN(next, MIN(w->begin_at, w->settle_at));
        next = MIN(next, MIN(w->spread_at, w->return_at));
        if (!w->look.paused)
                next = MIN(next, worker_next_claim(w));
        if (w->must_meet)
                next = MIN(next, w->next_meeting);
        pthread_mutex_lock(&w->pool.lock);
        for (size_t i = 0; i < w->n_tasks; i++)
                if (task_is_at_work(w->tasks[i]))
                        next = MIN(next, w->tasks[i]->job.deadline);
        pthread_mutex_unlock(&w->pool.lock);
        return next;
}

/* The types for which wanted says yes, as a PostgreSQL array; NULL where it is none. */
static int types_array(const WorkerConfig *config, bool (*wanted)(const JobType *), char **ret) {
        _cleanup_(str_done) Str s = {};

        for (size_t i = 0; i < config->n_types; i++)
                if (wanted(config->types[i]) &&
                    str_appendf(&s, "%s%s", s.length == 0 ? "{" : ",", config->types[i]->name) < 0)
                        return -ENOMEM;
        if (s.length > 0 && str_append(&s, "}") < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(s.data);
        return 0;
}

static bool is_any(const JobType *type) {
        (void) type;
        return true;
}

static bool is_urgent(const JobType *type) {
        return type->prepare;
}

static bool is_plain(const JobType *type) {
        return !type->prepare;
}

static void worker_free(Worker *w) {
        while (w->n_tasks > 0)
                task_free(w->tasks[--w->n_tasks]);
        free(w->tasks);
        for (size_t i = 0; i < ELEMENTSOF(w->settles); i++)
                db_free(w->settles[i].side.db);
        db_free(w->claim.side.db);
        free(w->types);
        free(w->urgent.types);
        free(w->plain.types);
        error_done(&w->collect_error);
        free(w);
}

static int worker_loop(Worker *w, Error *ret_error) {
        int r;

        r = worker_register(w, ret_error);
        while (r == 0) {
                r = worker_turn(w, ret_error);
                if (r != 0)
                        break;
                worker_show(w);
                worker_wait(w, worker_next(w));
        }
        return r < 0 ? r : 0;
}

int worker_run(const WorkerConfig *config, const Engine *engine, Db **db, const char *worker_id,
               WorkerCounts *ret_counts, Error *ret_error) {
        /* Not on the stack: actors that are left go on using it. */
        Worker *w = malloc(sizeof(Worker));
        sigset_t mask, before;
        int r;

        if (!w)
                return error_oom(ret_error);
        *w = (Worker){
                .config = config,
                .engine = engine,
                .db = db,
                .first_id = worker_id,
                .signal_fd = -1,
                .begin_at = USEC_INFINITY,
                .settle_at = USEC_INFINITY,
                .spread_at = USEC_INFINITY,
                .return_at = USEC_INFINITY,
                .budget_ends =
                        config->resident
                                ? USEC_INFINITY
                                : now(CLOCK_BOOTTIME) + config->settings->budget_sec * USEC_PER_SEC,
        };
        w->lives = config->lives;
        (void) snprintf(w->id, sizeof(w->id), w->lives > 0 ? "%s-%u" : "%s", worker_id, w->lives);
        if (sd_watchdog_enabled(0, &w->watchdog) <= 0)
                w->watchdog = 0;
        if (types_array(config, is_any, &w->types) < 0 ||
            types_array(config, is_urgent, &w->urgent.types) < 0 ||
            types_array(config, is_plain, &w->plain.types) < 0) {
                worker_free(w);
                return error_oom(ret_error);
        }
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        if (config->resident)
                sigaddset(&mask, SIGHUP);
        pthread_sigmask(SIG_BLOCK, &mask, &before);
        w->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        r = pool_init(&w->pool, config->settings, (unsigned) config->settings->actors, ret_error);
        if (r >= 0 && w->urgent.types) /* others never take all of the actors */
                w->pool.max_plain = MAX(w->pool.max_threads * 3 / 4, 1U);
        if (r >= 0 && engine->installation)
                r = host_read(&w->host, ret_error);
        if (r >= 0)
                r = worker_process_init(w, ret_error);
        if (r >= 0) {
                r = worker_loop(w, ret_error);
                if (r >= 0 && w->collect_error.class != ERROR_NONE) {
                        r = w->collect_error.r < 0 ? w->collect_error.r : -EIO;
                        error_move(ret_error, &w->collect_error);
                }
                worker_end(w, r < 0 ? "ended with an error" : w->stopping ? "stopped" : "finished");
        }

        if (w->pool.wake_fd >= 0)
                w->counts.actors_left =
                        !pool_done(&w->pool, w->n_tasks == 0 ? 5 * USEC_PER_SEC : 0);
        w->counts.lives = w->lives + 1;
        *ret_counts = w->counts;
        if (w->counts.actors_left)
                return r; /* what they use stays */
        if (w->signal_fd >= 0)
                (void) close(w->signal_fd);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        worker_free(w);
        return r;
}
