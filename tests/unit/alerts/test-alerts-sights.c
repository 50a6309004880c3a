/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "alerts/sights.h"
#include "base/time-util.h"

static JsonObject *parse(const char *text) {
        JsonObject *o = NULL;

        assert_int_equal(json_parse(text, strlen(text), &o), 0);
        return o;
}

static JsonObject *add(JsonObject *array, const char *text) {
        JsonObject *o = parse(text);

        assert_int_equal(json_object_array_add(array, o), 0);
        return json_object_get(o);
}

static void test_health(_unused_ void **state) {
        _cleanup_(health_done) Health h = { .problems = json_object_new_array(),
                                            .shared = json_object_new_array() };
        _cleanup_(sights_done) Sights s = {};
        usec_t since;

        /* both in what is shown, one of them everybody's; and one that is shown by its cause */
        (void) json_object_array_add(h.shared,
                                     add(h.problems,
                                         "{\"id\":\"platform-failing\",\"facts\":{\"provider\":"
                                         "\"mastodon\",\"host\":\"m.example\",\"accounts\":2}}"));
        (void) json_object_array_add(h.shared,
                                     add(h.problems,
                                         "{\"id\":\"publishing-paused\",\"since\":"
                                         "\"2026-11-20T10:00:00Z\",\"facts\":{\"name\":\"social-"
                                         "media\",\"waiting\":\"2026-11-26T10:00:00Z\"}}"));
        (void) json_object_array_add(h.shared, parse("{\"id\":\"nothing-begun\"}"));
        json_unref(add(h.problems, "{\"id\":\"publishing-stopped\",\"since\":"
                                   "\"2026-11-26T10:00:00Z\"}"));
        json_unref(add(h.problems, "{\"id\":\"clock-off\"}"));
        json_unref(add(h.problems, "{\"id\":\"clock-off\",\"facts\":{\"host\":\"elsewhere\"}}"));

        assert_int_equal(sights_of_health(&h, &s), 0);
        assert_int_equal(s.n, 5);
        assert_string_equal(s.list[0].key, "publishing-stopped");
        assert_false(s.list[0].shared);
        assert_int_equal(s.list[0].severity, SEVERITY_NOT_GOING);
        assert_int_equal(time_parse_iso8601("2026-11-26T10:00:00Z", &since), 0);
        assert_true(s.list[0].since == since);
        assert_string_equal(s.list[1].key, "clock-off");
        assert_true(s.list[1].since == 0);
        assert_string_equal(s.list[2].key, "platform-failing:mastodon:m.example");
        assert_true(s.list[2].shared && !s.list[2].folded);
        assert_string_equal(s.list[3].key, "publishing-paused:social-media");
        assert_true(s.list[3].since == since);
        assert_string_equal(s.list[4].key, "nothing-begun");
        assert_true(s.list[4].shared && s.list[4].folded);
}

static void test_crash(_unused_ void **state) {
        static const struct {
                const char *result, *status, *key, *what;
        } cases[] = {
                { "signal", "KILL", "crash:u:signal:KILL", "u ended by signal KILL" },
                { "oom-kill", "KILL", "crash:u:oom-kill:KILL", "u ended by oom-kill KILL" },
                { "timeout", "TERM", "crash:u:timeout:TERM", "u ended by timeout TERM" },
                { "exit-code", "70", "crash:u:exit-code:70", "u ended by exit-code 70" },
                { "exit-code", "78", "crash:u:exit-code:78", "u ended by exit-code 78" },
                { NULL, NULL, "crash:u:failure:", "u ended by failure" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sights_done) Sights s = {};
                _cleanup_(json_unrefp) JsonObject *problem = NULL;

                assert_int_equal(sight_of_crash("u", cases[i].result, cases[i].status, 7, &s,
                                                &problem),
                                 0);
                assert_int_equal(s.n, 1);
                assert_true(s.list[0].at_once);
                assert_string_equal(s.list[0].key, cases[i].key);
                assert_string_equal(json_string(problem, "what"), cases[i].what);
                assert_non_null(json_string(problem, "cause"));
        }
}

static void test_no_crash(_unused_ void **state) {
        _cleanup_(json_unrefp) JsonObject *problem = NULL;
        Sights s = {};

        assert_int_equal(sight_of_crash("u", "exit-code", "75", 7, &s, &problem), 0);
        assert_int_equal(s.n, 0);
        assert_null(problem);
}

/* Every kind that can be found has words for people. */
static void test_words(_unused_ void **state) {
        for (size_t i = 0; i < n_problem_kinds; i++) {
                assert_true(strlen(problem_kinds[i].notice ?: "") > 5);
                assert_true(strlen(problem_kinds[i].cause ?: "") > 5);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_health),
                cmocka_unit_test(test_crash),
                cmocka_unit_test(test_no_crash),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
