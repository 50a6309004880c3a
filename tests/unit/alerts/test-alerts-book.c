/* SPDX-License-Identifier: MIT */

/* Alerting as a list of looks: each names the minute and what was seen, and what is told at it. */

#include "test.h"

#include "alerts/book.h"

#include <errno.h>

#include "base/text.h"

#define START (1780000000 * USEC_PER_SEC)
#define AT(minutes) (START + (usec_t) (minutes) *USEC_PER_MINUTE)
#define HOURS(n) ((n) *60)

/* As they are shipped: test-settings has the numbers. */
static const AlertTimes times = {
        .after = 5 * USEC_PER_MINUTE,
        .person_after = USEC_PER_HOUR,
        .repeat = 6 * USEC_PER_HOUR,
        .over = 2 * USEC_PER_MINUTE,
};

static const char *const both[] = { "webhook", "mail:operator@example.org", NULL };

/* "database" posts do not go out, "held" waits for a person, "crash" has happened; with a '*'
 * before it everybody sees it. */
static Sight sight(const char *name, JsonObject **problems, size_t i) {
        bool shared = *name == '*';
        const char *key = name + shared;

        problems[i] = json_object_new_object();
        assert_int_equal(json_set_string(problems[i], "unit", key), 0);
        return (Sight){
                .key = key,
                .shared = shared,
                .at_once = strncmp(key, "crash", 5) == 0,
                .severity = strncmp(key, "held", 4) == 0 ? SEVERITY_PERSON : SEVERITY_NOT_GOING,
                .problem = problems[i],
        };
}

/* Everything that is due at t is told; delivered says to whom. Returns "begun KEY, over KEY". */
static char *tell(Book *b, usec_t t, const char *const *delivered) {
        _cleanup_(str_done) Str s = {};

        assert_int_equal(str_append(&s, ""), 0);
        for (size_t i = 0; i < b->n; i++) {
                Alert *a = &b->alerts[i];
                AlertKind due = alert_due(a, &times, t);
                Message m = { .id = strdup("id"), .kind = due, .at = t };

                if (due < 0) {
                        message_done(&m);
                        continue;
                }
                m.subject = strdup("subject");
                m.text = strdup("text");
                assert_int_equal(alert_tell(a, &m, both), 0);
                for (; delivered && *delivered; delivered++)
                        alert_delivered(a, *delivered);
                assert_int_equal(str_appendf(&s, "%s%s %s", s.length > 0 ? ", " : "",
                                             alert_kind_to_string(due), a->key),
                                 0);
                delivered = delivered ? both : NULL;
        }
        return TAKE_PTR(s.data);
}

/* The book as the next run reads it. */
static void store_and_load(Book *b) {
        _cleanup_(json_unrefp) JsonObject *o = NULL, *again = NULL, *o_again = NULL;
        Book loaded = {};

        assert_int_equal(book_print(b, &o), 0);
        assert_int_equal(json_parse(json_text(o), strlen(json_text(o)), &again), 0);
        assert_int_equal(book_parse(again, &loaded), 0);
        assert_int_equal(book_print(&loaded, &o_again), 0);
        assert_string_equal(json_text(o_again), json_text(o));
        book_done(b);
        *b = loaded;
}

/* One look, at which names (NULL at the end) were seen. */
static void look_in(Book *b, unsigned scope, int minute, const char *const *names,
                    const char *expected) {
        JsonObject *problems[8] = {};
        _cleanup_free_ char *told = NULL;
        Sight sights[8] = {};
        size_t n = 0;

        for (; names[n]; n++)
                sights[n] = sight(names[n], problems, n);
        assert_int_equal(book_look(b, sights, n, scope, &times, AT(minute)), 0);
        for (size_t i = 0; i < n; i++)
                json_unref(problems[i]);
        told = tell(b, AT(minute), both);
        if (!streq(told, expected))
                fail_msg("minute %d: told \"%s\", not \"%s\"", minute, told, expected);
        assert_int_equal(book_close(b, AT(minute)), 0);
        store_and_load(b);
}

#define look(b, minute, expected, ...)                                                          \
        look_in(b, SCOPE_ALL, minute, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL }, \
                expected)

static void test_begins_lasts_is_over(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};

        look(&b, 0, "");
        for (int i = 1; i < 6; i++)
                look(&b, i, "", "database");
        look(&b, 6, "begun database", "database");
        for (int i = 7; i < 6 + HOURS(6); i++)
                look(&b, i, "", "database");
        look(&b, 6 + HOURS(6), "lasts database", "database");
        for (int i = 7 + HOURS(6); i < 6 + HOURS(12); i++)
                look(&b, i, "", "database");
        look(&b, 6 + HOURS(12), "lasts database", "database");
        look(&b, 7 + HOURS(12), "");
        look(&b, 8 + HOURS(12), "over database");
        look(&b, 9 + HOURS(12), "");
        assert_int_equal(b.n, 0);
}

static void test_what_waits_for_a_person_may_wait_an_hour(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};

        for (int i = 0; i < 60; i++)
                look(&b, i, "", "held");
        look(&b, 60, "begun held", "held");
}

static void test_short_troubles_are_nobodys(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};

        for (int i = 0; i < 5; i++)
                look(&b, i, "", "database");
        for (int i = 5; i < 10; i++)
                look(&b, i, "");
        assert_int_equal(b.n, 0);
}

/* Now and then it is not seen for a moment: that is neither the end nor a new beginning. */
static void test_flapping_is_one_condition(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};

        for (int i = 0; i < 5; i++)
                if (i % 2)
                        look(&b, i, "");
                else
                        look(&b, i, "", "database");
        look(&b, 5, "");
        look(&b, 6, "begun database", "database");
        for (int i = 7; i < 60; i++)
                if (i % 2)
                        look(&b, i, "");
                else
                        look(&b, i, "", "database");
}

static void test_two_at_once(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};

        look(&b, 0, "", "database");
        look(&b, 5, "begun database", "database", "held");
        look(&b, 64, "", "database", "held");
        look(&b, 65, "begun held", "database", "held");
        look(&b, 66, "", "held");
        look(&b, 67, "over database", "held");
        look(&b, 68, "");
        look(&b, 69, "over held");
        assert_int_equal(b.n, 0);
}

/* Told since when, the database knows better than who looks. */
static void test_since(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};
        _cleanup_free_ char *none = NULL, *told = NULL;
        JsonObject *problem = NULL;
        Sight s = sight("*database", &problem, 0);

        s.since = AT(0) - 4 * USEC_PER_MINUTE;
        assert_int_equal(book_look(&b, &s, 1, SCOPE_ALL, &times, AT(0)), 0);
        none = tell(&b, AT(0), both);
        assert_string_equal(none, "");
        assert_int_equal(book_look(&b, &s, 1, SCOPE_ALL, &times, AT(1)), 0);
        told = tell(&b, AT(1), both);
        assert_string_equal(told, "begun database");

        /* a later time does not make it younger; one in the future counts for nothing */
        s.since = AT(1);
        assert_int_equal(book_look(&b, &s, 1, SCOPE_ALL, &times, AT(2)), 0);
        assert_true(b.alerts[0].since == AT(0) - 4 * USEC_PER_MINUTE);
        book_done(&b);
        s.since = AT(100);
        assert_int_equal(book_look(&b, &s, 1, SCOPE_ALL, &times, AT(2)), 0);
        assert_true(b.alerts[0].since == AT(2));
        json_unref(problem);
}

/* While the database cannot be asked, what it said before is neither over nor told again. */
static void test_scope(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};
        const char *const here[] = { "database", NULL };

        look(&b, 0, "", "*held", "*platform");
        look(&b, 5, "begun platform", "*held", "*platform");
        for (int i = 6; i < HOURS(7); i++)
                look_in(&b, SCOPE_OWN, i, here,
                        i == 11              ? "begun database"
                        : i == 11 + HOURS(6) ? "lasts database"
                                             : "");
        assert_int_equal(b.n, 3);
        look(&b, HOURS(7), "begun held, lasts platform", "*held", "*platform");
        look(&b, HOURS(7) + 1, "over database", "*held", "*platform");
        look(&b, HOURS(7) + 2, "", "*held");
        look(&b, HOURS(7) + 3, "over platform", "*held");
}

static void test_crash(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};

        look(&b, 0, "begun crash-a", "crash-a");
        /* it crashes each minute: one message, then one each six hours */
        for (int i = 1; i < HOURS(6); i++)
                look(&b, i, "", "crash-a");
        look(&b, HOURS(6), "lasts crash-a", "crash-a");
        /* another one, or another reason, is told at once */
        look(&b, HOURS(6) + 1, "begun crash-b", "crash-b");
        /* a look at which nothing crashed ends nothing, and repeats nothing */
        look(&b, HOURS(20), "");
        assert_int_equal(b.n, 2);
        /* it worked before it crashed: that says nothing */
        book_recovered(&b, "crash-a", AT(HOURS(6) - 1));
        look(&b, HOURS(21), "");
        book_recovered(&b, "crash-a", AT(HOURS(21)));
        look(&b, HOURS(21) + 1, "over crash-a");
        assert_int_equal(b.n, 1);
        book_forget_crashes(&b, AT(HOURS(24 * 7)));
        assert_int_equal(b.n, 1);
        book_forget_crashes(&b, AT(HOURS(24 * 7 + 7)));
        assert_int_equal(b.n, 0);
}

/* A channel that fails has the same message to come, and keeps the other from nothing. */
static void test_owed(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};
        const char *const webhook[] = { "webhook", NULL };
        _cleanup_free_ char *told = NULL, *over = NULL, *again = NULL;
        JsonObject *problem = NULL;
        Sight s = sight("database", &problem, 0);

        s.since = AT(-5);
        assert_int_equal(book_look(&b, &s, 1, SCOPE_ALL, &times, AT(0)), 0);
        told = tell(&b, AT(0), webhook);
        assert_string_equal(told, "begun database");
        store_and_load(&b);
        assert_int_equal(b.alerts[0].n_owed, 1);
        assert_string_equal(b.alerts[0].owed[0], both[1]);
        alert_delivered(&b.alerts[0], "webhook"); /* twice is once */
        assert_int_equal(b.alerts[0].n_owed, 1);

        /* It is over before the mail went out: who was not told of it is told of its end. */
        assert_int_equal(book_look(&b, NULL, 0, SCOPE_ALL, &times, AT(2)), 0);
        over = tell(&b, AT(2), webhook);
        assert_string_equal(over, "over database");
        assert_int_equal(book_close(&b, AT(HOURS(24))), 0);
        assert_int_equal(b.n, 1);

        /* It is back meanwhile: a new one. */
        s.since = AT(10);
        assert_int_equal(book_look(&b, &s, 1, SCOPE_ALL, &times, AT(15)), 0);
        again = tell(&b, AT(15), both);
        assert_string_equal(again, "begun database");
        assert_int_equal(b.alerts[0].n_owed, 0);
        assert_true(b.alerts[0].since == AT(10));
        json_unref(problem);
}

static void test_what_cannot_be_told_for_a_day_is_dropped(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};
        _cleanup_free_ char *told = NULL, *over = NULL;
        JsonObject *problem = NULL;
        Sight s = sight("database", &problem, 0);

        s.since = AT(-5);
        assert_int_equal(book_look(&b, &s, 1, SCOPE_ALL, &times, AT(0)), 0);
        told = tell(&b, AT(0), NULL);
        assert_int_equal(book_close(&b, AT(HOURS(48))), 0); /* it lasts: never dropped */
        assert_int_equal(book_look(&b, NULL, 0, SCOPE_ALL, &times, AT(2)), 0);
        over = tell(&b, AT(2), NULL);
        assert_string_equal(over, "over database");
        assert_int_equal(book_close(&b, AT(2 + HOURS(24) - 1)), 0);
        assert_int_equal(b.n, 1);
        assert_int_equal(book_close(&b, AT(2 + HOURS(24))), 2);
        assert_int_equal(b.n, 0);
        json_unref(problem);
}

static void test_move(_unused_ void **state) {
        _cleanup_(book_done) Book file = {}, row = {};

        look(&file, 0, "", "*a", "*b", "own");
        look(&row, 0, "", "*b");
        assert_int_equal(book_move_shared(&file, &row), 0);
        assert_int_equal(file.n, 1);
        assert_string_equal(file.alerts[0].key, "own");
        assert_int_equal(row.n, 2);
        look(&row, 5, "begun b, begun a", "*a", "*b");
}

static void test_bounded(_unused_ void **state) {
        _cleanup_(book_done) Book b = {};
        JsonObject *problem = NULL;
        Sight s = sight("x", &problem, 0);

        for (unsigned i = 0; i < 300; i++) {
                _cleanup_free_ char *key = strjoinf("key-%u", i);

                s.key = key;
                assert_int_equal(book_look(&b, &s, 1, 0, &times, AT(0)), 0);
                assert_int_equal(b.n, MIN(i, 200U)); /* not in the scope */
                assert_int_equal(book_look(&b, &s, 1, SCOPE_OWN, &times, AT(0)), 0);
        }
        assert_int_equal(b.n, 200);
        store_and_load(&b);
        json_unref(problem);
}

static void test_no_book(_unused_ void **state) {
        static const char *const wrong[] = {
                "[]",
                "1",
                "{\"alerts\":1}",
                "{\"alerts\":[1]}",
                "{\"alerts\":[{}]}",
                "{\"alerts\":[{\"key\":\"a\",\"severity\":2,\"problem\":{}}]}",
                "{\"alerts\":[{\"key\":\"a\",\"severity\":0,\"problem\":{},\"owed\":[]}]}",
                "{\"alerts\":[{\"key\":\"a\",\"severity\":4,\"problem\":{},\"owed\":[]}]}",
                "{\"alerts\":[{\"key\":\"a\",\"severity\":2,\"problem\":{},\"owed\":[1]}]}",
                "{\"alerts\":[{\"key\":\"a\",\"severity\":2,\"problem\":[],\"owed\":[]}]}",
                /* told, and no message */
                "{\"alerts\":[{\"key\":\"a\",\"severity\":2,\"problem\":{},\"owed\":[],\"told\":1}]}",
                "{\"alerts\":[{\"key\":\"a\",\"severity\":2,\"problem\":{},\"owed\":[],\"since\":-1}]}",
                /* twice the same */
                ("{\"alerts\":[{\"key\":\"a\",\"severity\":2,\"problem\":{},\"owed\":[]},"
                 "{\"key\":\"a\",\"severity\":2,\"problem\":{},\"owed\":[]}]}"),
        };
        static const char good[] =
                "{\"alerts\":[{\"key\":\"a\",\"severity\":2,\"problem\":{},\"owed\":[]}]}";
        _cleanup_(json_unrefp) JsonObject *right = NULL, *empty = json_object_new_object();
        Book b = {};

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_(json_unrefp) JsonObject *o = NULL;

                assert_int_equal(json_parse(wrong[i], strlen(wrong[i]), &o), 0);
                assert_int_equal(book_parse(o, &b), -EINVAL);
                assert_int_equal(b.n, 0);
        }
        assert_int_equal(book_parse(NULL, &b), -EINVAL);
        assert_int_equal(book_parse(empty, &b), 0);
        assert_int_equal(b.n, 0);
        assert_int_equal(json_parse(good, strlen(good), &right), 0);
        assert_int_equal(book_parse(right, &b), 0);
        assert_int_equal(b.n, 1);
        book_done(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_begins_lasts_is_over),
                cmocka_unit_test(test_what_waits_for_a_person_may_wait_an_hour),
                cmocka_unit_test(test_short_troubles_are_nobodys),
                cmocka_unit_test(test_flapping_is_one_condition),
                cmocka_unit_test(test_two_at_once),
                cmocka_unit_test(test_since),
                cmocka_unit_test(test_scope),
                cmocka_unit_test(test_crash),
                cmocka_unit_test(test_owed),
                cmocka_unit_test(test_what_cannot_be_told_for_a_day_is_dropped),
                cmocka_unit_test(test_move),
                cmocka_unit_test(test_bounded),
                cmocka_unit_test(test_no_book),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
