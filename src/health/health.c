/* SPDX-License-Identifier: MIT */

#include "health/health.h"

#include <errno.h>
#include <pthread.h>
#include <sysexits.h>

#include "base/text.h"
#include "base/time-util.h"
#include "health/database.h"
#include "health/host.h"

/* ---- asking ---- */

/* Has the thread ended? One that has not by the deadline is left to itself, and with it what it
 * uses. */
static bool ended_by(pthread_t thread, usec_t deadline) {
        /* A little longer than what has a deadline of its own, and says more. */
        usec_t t = now(CLOCK_BOOTTIME), end = deadline + 100 * USEC_PER_MSEC,
               until = now(CLOCK_MONOTONIC) + (t < end ? end - t : 0);
        struct timespec ts = { .tv_sec = (time_t) (until / USEC_PER_SEC),
                               .tv_nsec = (long) (until % USEC_PER_SEC) * 1000 };

        if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &ts) == 0)
                return true;
        (void) pthread_detach(thread);
        return false;
}

/* Everything that is wrong, into h->problems. */
static int find_problems(const HealthQuestion *q, Health *h) {
        usec_t deadline = now(CLOCK_BOOTTIME) + HEALTH_DEADLINE;
        const char *url = q->settings ? q->settings->database_url : NULL;
        _cleanup_(database_look_freep) DatabaseLook *database = NULL;
        _cleanup_(host_look_freep) HostLook *host = host_look_new(database_is_local(q), deadline);
        pthread_t database_thread, host_thread;
        bool elsewhere = false, asks;
        int r = 0;

        if (!isempty(url))
                database = database_look_new(url, deadline);
        if (!host || (!isempty(url) && !database))
                return -ENOMEM;
        asks = database;
        if (asks)
                r = -pthread_create(&database_thread, NULL, database_look_run, database);
        if (r < 0)
                return -ENOMEM;
        r = -pthread_create(&host_thread, NULL, host_look_run, host);
        if (asks && !ended_by(database_thread, deadline)) {
                TAKE_PTR(database);
                h->abandoned = true;
        }
        if (r < 0)
                return -ENOMEM;
        if (!ended_by(host_thread, deadline)) {
                TAKE_PTR(host);
                h->abandoned = true;
        }
        r = database_problems(q, database, h->problems, &h->shared, &h->counts, &elsewhere);
        return r < 0 ? r : host_problems(host, elsewhere, h->problems, &h->host);
}

/* ---- judging ---- */

static JsonObject *find(JsonObject *problems, const char *id, size_t *ret_at) {
        for (size_t i = 0; i < json_object_array_length(problems); i++) {
                JsonObject *o = json_object_array_get_idx(problems, i);

                if (streq_ptr(json_string(o, "id"), id)) {
                        if (ret_at)
                                *ret_at = i;
                        return o;
                }
        }
        return NULL;
}

/* A failed run that ended with the status of what is said anyway. */
static void fold_failures(JsonObject *problems) {
        static const struct {
                const char *cause;
                int64_t status;
        } table[] = {
                { "database-unreachable", EX_TEMPFAIL }, { "settings-refused", EX_CONFIG },
                { "not-configured", EX_CONFIG },         { "database-refuses", EX_CONFIG },
                { "schema-apart", EX_CONFIG },
        };

        for (size_t i = json_object_array_length(problems); i-- > 0;) {
                JsonObject *o = json_object_array_get_idx(problems, i);
                const char *id = json_string(o, "id") ?: "";
                int64_t status = json_int64(json_member(o, "facts"), "exitStatus", -1);
                bool said = false;

                if (!streq(id, "publishing-fails") && !streq(id, "service-fails"))
                        continue;
                for (size_t k = 0; k < ELEMENTSOF(table); k++)
                        said = said ||
                               (table[k].status == status && find(problems, table[k].cause, NULL));
                if (said)
                        (void) json_object_array_del_idx(problems, i, 1);
        }
}

/* One cause is one problem: what follows from it is not said beside it. */
static int fold(JsonObject *problems) {
        static const char *const causes[] = { "not-set-up", "publishing-stopped",
                                              "publishing-fails" };
        static const char *const passed_on[] = { "since", "posts", "members" };
        JsonObject *cause = NULL, *effect;
        size_t at;

        fold_failures(problems);
        /* Without the file of the settings there is no URL either. */
        if (find(problems, "not-set-up", NULL) && find(problems, "not-configured", &at))
                (void) json_object_array_del_idx(problems, at, 1);
        for (size_t i = 0; i < ELEMENTSOF(causes) && !cause; i++)
                cause = find(problems, causes[i], NULL);
        effect = cause ? find(problems, "nothing-begun", &at) : NULL;
        if (!effect)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(passed_on); i++)
                if (json_member(effect, passed_on[i]) &&
                    json_set(cause, passed_on[i],
                             json_object_get(json_member(effect, passed_on[i]))) < 0)
                        return -ENOMEM;
        (void) json_object_array_del_idx(problems, at, 1);
        return 0;
}

static int compare_problems(const void *a, const void *b) {
        const char *x = json_string(*(JsonObject *const *) a, "id") ?: "";
        const char *y = json_string(*(JsonObject *const *) b, "id") ?: "";
        const ProblemKind *p = problem_kind(x), *q = problem_kind(y);

        if (p->severity != q->severity)
                return p->severity > q->severity ? -1 : 1;
        /* the order of the list; what is not in it comes last */
        for (size_t i = 0; p != q && i < n_problem_kinds; i++) {
                if (p == &problem_kinds[i])
                        return -1;
                if (q == &problem_kinds[i])
                        return 1;
        }
        return strcmp(json_string(*(JsonObject *const *) a, "what") ?: "",
                      json_string(*(JsonObject *const *) b, "what") ?: "");
}

/* The worst first, each with its severity and its kind's words, and the verdict of the worst. */
static int judge(Health *h) {
        const ProblemKind *worst = NULL;

        json_object_array_sort(h->problems, compare_problems);
        for (size_t i = 0; i < json_object_array_length(h->problems); i++) {
                JsonObject *o = json_object_array_get_idx(h->problems, i);
                const ProblemKind *k = problem_kind(json_string(o, "id") ?: "");

                if (json_set_int64(o, "severity", k->severity) < 0 ||
                    json_set_string(o, "words", k->words) < 0)
                        return -ENOMEM;
                worst = worst ?: k;
        }
        h->verdict = worst ? worst->severity : SEVERITY_WELL;
        h->words = worst ? strjoinf("%s: %s.", severity_words(h->verdict), worst->words)
                         : strjoinf("%s.", severity_words(h->verdict));
        return h->words ? 0 : -ENOMEM;
}

int health_look(const HealthQuestion *question, Health *ret) {
        _cleanup_(health_done) Health h = { .problems = json_object_new_array() };
        int r;

        r = h.problems ? find_problems(question, &h) : -ENOMEM;
        if (r >= 0)
                r = fold(h.problems);
        if (r >= 0)
                r = judge(&h);
        if (r < 0) {
                ret->abandoned = h.abandoned;
                return r;
        }
        *ret = h;
        h = (Health){};
        return 0;
}

void health_done(Health *h) {
        json_unref(h->problems);
        json_unref(h->shared);
        json_unref(h->counts);
        json_unref(h->host);
        free(h->words);
        *h = (Health){};
}
