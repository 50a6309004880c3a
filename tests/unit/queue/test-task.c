/* SPDX-License-Identifier: MIT */

/* Tasks, and the actors that work on them (src/queue/task.c, pool.c). */

#include "../test.h"

#include "queue/task.h"

#include <poll.h>
#include <stdio.h>

#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/time-util.h"

#define DEADLINE (20 * USEC_PER_SEC)

static const Settings settings;

/* Starts a pool, and a task of that type with that input. */
static void begin(Pool *pool, unsigned actors, Task **tasks, size_t n, const JobType *type,
                  const char *input) {
        _cleanup_(error_done) Error error = ERROR_NULL;

        assert_int_equal(pool_init(pool, &settings, actors, &error), 0);
        pool->fence = USEC_INFINITY;
        for (size_t i = 0; i < n; i++) {
                tasks[i] = task_new(pool, type);
                assert_non_null(tasks[i]);
                tasks[i]->job.id = strdup("0192f0c8-0000-7000-8000-000000000001");
                tasks[i]->job.input = json_tokener_parse(input);
                tasks[i]->claimed_at = now(CLOCK_BOOTTIME);
        }
        assert_int_equal(pool_submit(pool, tasks, n, &error), 0);
}

static TaskState state_of(Pool *pool, const Task *t) {
        TaskState state;

        pthread_mutex_lock(&pool->lock);
        state = t->has_actor ? TASK_ACTING : t->state;
        pthread_mutex_unlock(&pool->lock);
        return state;
}

/* What the coordinator does: waits for its actors' word, then looks. */
static void wait_for(Pool *pool, const Task *t, TaskState state) {
        usec_t give_up = now(CLOCK_BOOTTIME) + DEADLINE;

        while (state_of(pool, t) != state) {
                struct pollfd fd = { .fd = pool->wake_fd, .events = POLLIN };

                assert_true(now(CLOCK_BOOTTIME) < give_up);
                if (poll(&fd, 1, 10) > 0)
                        pool_heard(pool);
        }
}

static void end(Pool *pool, Task **tasks, size_t n) {
        assert_true(pool_done(pool, DEADLINE));
        for (size_t i = 0; i < n; i++)
                task_free(tasks[i]);
}

static int act_talkative(Job *job, const Prepared *prepared _unused_, Outcome *ret) {
        for (int i = 0; i < 1500; i++)
                job_log(job, LOG_INFO, "line %d", i);
        ret->kind = OUTCOME_DONE;
        return 0;
}

static void test_it_says_too_much(void **state _unused_) {
        const JobType type = { .name = "talkative", .act = act_talkative };
        _cleanup_(json_unrefp) JsonObject *lines = NULL, *rest = NULL;
        Pool pool;
        Task *t;

        begin(&pool, 1, &t, 1, &type, "{}");
        wait_for(&pool, t, TASK_ENDED);
        assert_int_equal(task_lines(t, 10000, &lines), 0);
        assert_int_equal(json_object_array_length(lines), 1000);
        assert_string_equal(json_string(json_object_array_get_idx(lines, 0), "message"), "line 0");
        assert_string_equal(json_string(json_object_array_get_idx(lines, 998), "message"),
                            "line 998");
        assert_string_equal(json_string(json_object_array_get_idx(lines, 999), "message"),
                            "what it says further is in the journal");
        assert_int_equal(json_int64(json_object_array_get_idx(lines, 999), "n", -1), 999);

        /* Those that are stored are forgotten; the others are handed over next. */
        task_lines_stored(t, 600);
        assert_int_equal(task_lines(t, 100, &rest), 0);
        assert_int_equal(json_object_array_length(rest), 100);
        assert_string_equal(json_string(json_object_array_get_idx(rest, 0), "message"), "line 600");
        end(&pool, &t, 1);
}

static int act_indiscreet(Job *job, const Prepared *prepared _unused_, Outcome *ret) {
        char wide[3000];

        job_log(job, LOG_ERR, "it refused access-1 and refresh-1");
        memset(wide, 'x', sizeof(wide) - 1);
        wide[sizeof(wide) - 1] = '\0';
        job_log(job, LOG_WARNING, "%s", wide);
        job_log(job, LOG_DEBUG, "caf\xc3");
        ret->kind = OUTCOME_DONE;
        return 0;
}

static void test_a_line_is_clean(void **state _unused_) {
        const JobType type = { .name = "indiscreet", .act = act_indiscreet };
        _cleanup_(json_unrefp) JsonObject *lines = NULL;
        const char *const levels[] = { "error", "warn", "debug" };
        Pool pool;
        Task *t;

        begin(&pool, 1, &t, 1, &type,
              "{\"account\": {\"accessToken\": \"access-1\", \"refreshToken\": \"refresh-1\"}}");
        wait_for(&pool, t, TASK_ENDED);
        assert_int_equal(task_lines(t, 10, &lines), 0);
        assert_int_equal(json_object_array_length(lines), ELEMENTSOF(levels));
        for (size_t i = 0; i < ELEMENTSOF(levels); i++) {
                JsonObject *line = json_object_array_get_idx(lines, i);

                assert_string_equal(json_string(line, "level"), levels[i]);
                assert_null(strstr(json_string(line, "message"), "access-1"));
                assert_null(strstr(json_string(line, "message"), "refresh-1"));
                assert_true(strlen(json_string(line, "message")) <= 1000);
        }
        assert_non_null(
                strstr(json_string(json_object_array_get_idx(lines, 0), "message"), "it refused "));
        assert_string_equal(json_string(json_object_array_get_idx(lines, 2), "message"),
                            "caf\xef\xbf\xbd");
        end(&pool, &t, 1);
}

static int gate[2];

static int act_at_the_gate(Job *job _unused_, const Prepared *prepared _unused_, Outcome *ret) {
        char c;

        ret->kind = read(gate[0], &c, 1) == 1 ? OUTCOME_DONE : OUTCOME_ERROR;
        return 0;
}

/* Of what was claimed ahead, that with which no actor has begun is taken back; the rest is done. */
static void test_what_waits_is_taken_back(void **state _unused_) {
        const JobType type = { .name = "slow", .act = act_at_the_gate };
        enum {
                N = 4
        };
        Task *tasks[N];
        Pool pool;

        assert_int_equal(pipe(gate), 0);
        begin(&pool, 1, tasks, N, &type, "{}");
        while (pool_waiting_since(&pool) != tasks[1]->claimed_at)
                (void) poll(NULL, 0, 1); /* until the one actor has taken the first */
        pool_return(&pool, &pool.plain);
        for (int i = 1; i < N; i++) {
                assert_int_equal(state_of(&pool, tasks[i]), TASK_ENDED);
                assert_int_equal(tasks[i]->outcome.kind, OUTCOME_PUT_BACK);
        }
        assert_int_equal(pool_waiting_since(&pool), USEC_INFINITY);
        assert_int_equal(state_of(&pool, tasks[0]), TASK_ACTING);
        assert_int_equal(write(gate[1], "", 1), 1);
        wait_for(&pool, tasks[0], TASK_ENDED);
        assert_int_equal(tasks[0]->outcome.kind, OUTCOME_DONE);
        end(&pool, tasks, N);
        (void) close(gate[0]);
        (void) close(gate[1]);
}

static int prepare_anything(Job *job, Prepared *ret _unused_, Outcome *ret_outcome) {
        if (json_int64(job->input, "ends", 0) == 0)
                return 0;
        ret_outcome->kind = OUTCOME_SNOOZE;
        return 1;
}

static bool has_unready(Pool *pool) {
        bool any;

        pthread_mutex_lock(&pool->lock);
        any = pool->n_unready > 0;
        pthread_mutex_unlock(&pool->lock);
        return any;
}

static void wait_until_ready(Pool *pool, Task *const *tasks, size_t n) {
        usec_t give_up = now(CLOCK_BOOTTIME) + DEADLINE;

        while (has_unready(pool)) {
                struct pollfd fd = { .fd = pool->wake_fd, .events = POLLIN };

                assert_true(now(CLOCK_BOOTTIME) < give_up);
                if (poll(&fd, 1, 10) > 0)
                        pool_heard(pool);
        }
        for (size_t i = 0; i < n; i++)
                assert_int_equal(tasks[i]->state, TASK_READY);
}

/* Who waits for begin keeps no actor from its work, and each verdict is its own. */
static void test_what_is_prepared_waits(void **state _unused_) {
        const JobType type = { .name = "sent",
                               .prepare = prepare_anything,
                               .act = act_at_the_gate };
        enum {
                N = 5
        };
        Task *tasks[N];
        Pool pool;

        assert_int_equal(pipe(gate), 0);
        begin(&pool, 1, tasks, N, &type, "{}");
        wait_until_ready(&pool, tasks, N);
        pool_go(&pool, (Task *const[]){ tasks[3], tasks[0] }, 2);
        pool_drop(&pool, tasks[1]);
        pthread_mutex_lock(&pool.lock);
        task_put_back(tasks[2]);
        pthread_mutex_unlock(&pool.lock);
        assert_int_equal(state_of(&pool, tasks[1]), TASK_DROPPED);
        assert_int_equal(state_of(&pool, tasks[2]), TASK_ENDED);
        assert_int_equal(tasks[2]->outcome.kind, OUTCOME_PUT_BACK);
        assert_int_equal(write(gate[1], "", 1), 1);
        wait_for(&pool, tasks[3], TASK_ENDED); /* in their order */
        assert_int_equal(state_of(&pool, tasks[0]), TASK_ACTING);
        assert_int_equal(write(gate[1], "", 1), 1);
        wait_for(&pool, tasks[0], TASK_ENDED);
        assert_int_equal(tasks[0]->outcome.kind, OUTCOME_DONE);
        assert_int_equal(tasks[4]->state, TASK_READY);
        end(&pool, tasks, N);
        (void) close(gate[0]);
        (void) close(gate[1]);
}

/* Of those that take long each has an actor, though one is called at a time. */
static void test_slow_ones_have_an_actor_each(void **state _unused_) {
        const JobType type = { .name = "sent",
                               .prepare = prepare_anything,
                               .act = act_at_the_gate };
        enum {
                N = 8
        };
        usec_t give_up = now(CLOCK_BOOTTIME) + DEADLINE;
        unsigned acting = 0;
        Task *tasks[N];
        Pool pool;

        assert_int_equal(pipe(gate), 0);
        begin(&pool, N, tasks, N, &type, "{}");
        wait_until_ready(&pool, tasks, N);
        pool_go(&pool, tasks, N);
        while (acting < N) {
                assert_true(now(CLOCK_BOOTTIME) < give_up);
                (void) poll(NULL, 0, 1);
                acting = 0;
                pthread_mutex_lock(&pool.lock);
                for (int i = 0; i < N; i++)
                        acting += tasks[i]->state == TASK_ACTING;
                pthread_mutex_unlock(&pool.lock);
        }
        for (int i = 0; i < N; i++)
                assert_int_equal(write(gate[1], "", 1), 1);
        for (int i = 0; i < N; i++)
                wait_for(&pool, tasks[i], TASK_ENDED);
        end(&pool, tasks, N);
        (void) close(gate[0]);
        (void) close(gate[1]);
}

/* While something is being begun its actors do nothing else, so that it is sent as soon as it is on
 * record. */
static void test_what_is_begun_has_an_actor(void **state _unused_) {
        const JobType type = { .name = "sent",
                               .prepare = prepare_anything,
                               .act = act_at_the_gate };
        _cleanup_(error_done) Error error = ERROR_NULL;
        usec_t give_up = now(CLOCK_BOOTTIME) + DEADLINE;
        bool on_their_way = true;
        Task *tasks[2];
        Pool pool;

        assert_int_equal(pipe(gate), 0);
        begin(&pool, 1, tasks, 1, &type, "{}");
        wait_until_ready(&pool, tasks, 1);
        pthread_mutex_lock(&pool.lock);
        assert_int_equal(pool_idle(&pool), 1);
        pool.n_reserved = 1;
        pthread_mutex_unlock(&pool.lock);

        tasks[1] = task_new(&pool, &type);
        assert_non_null(tasks[1]);
        tasks[1]->job.id = strdup("0192f0c8-0000-7000-8000-000000000002");
        assert_int_equal(pool_submit(&pool, tasks + 1, 1, &error), 0);
        while (on_their_way) {
                assert_true(now(CLOCK_BOOTTIME) < give_up);
                (void) poll(NULL, 0, 1);
                pthread_mutex_lock(&pool.lock);
                on_their_way = pool.n_called + pool.n_new > 0;
                pthread_mutex_unlock(&pool.lock);
        }
        assert_int_equal(tasks[1]->state, TASK_QUEUED);

        pool_go(&pool, tasks, 1);
        pool_release(&pool);
        assert_int_equal(write(gate[1], "", 1), 1);
        wait_for(&pool, tasks[0], TASK_ENDED);
        wait_until_ready(&pool, tasks + 1, 1);
        end(&pool, tasks, 2);
        (void) close(gate[0]);
        (void) close(gate[1]);
}

/* What prepare ends needs no begin. */
static void test_prepare_ends_it(void **state _unused_) {
        const JobType type = { .name = "sent",
                               .prepare = prepare_anything,
                               .act = act_at_the_gate };
        Pool pool;
        Task *t;

        begin(&pool, 1, &t, 1, &type, "{\"ends\": 1}");
        wait_for(&pool, t, TASK_ENDED);
        assert_int_equal(t->outcome.kind, OUTCOME_SNOOZE);
        assert_false(has_unready(&pool));
        end(&pool, &t, 1);
}

/* The last question before the first byte. */
static void test_it_may_send(void **state _unused_) {
        const JobType type = { .name = "plain", .act = act_talkative };
        Pool pool;
        Task *t;

        begin(&pool, 1, &t, 1, &type, "{}");
        wait_for(&pool, t, TASK_ENDED);
        assert_true(t->job.may_send(&t->job));
        pool.fence = now(CLOCK_BOOTTIME);
        assert_false(t->job.may_send(&t->job));
        pool.fence = USEC_INFINITY;
        t->cancelled = true;
        assert_false(t->job.may_send(&t->job));
        t->cancelled = false;
        t->lost = true;
        assert_false(t->job.may_send(&t->job));
        end(&pool, &t, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_says_too_much),
                cmocka_unit_test(test_a_line_is_clean),
                cmocka_unit_test(test_what_waits_is_taken_back),
                cmocka_unit_test(test_what_is_prepared_waits),
                cmocka_unit_test(test_slow_ones_have_an_actor_each),
                cmocka_unit_test(test_what_is_begun_has_an_actor),
                cmocka_unit_test(test_prepare_ends_it),
                cmocka_unit_test(test_it_may_send),
        };

        log_set_max_level(LOG_ERR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
