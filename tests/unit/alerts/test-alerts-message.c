/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "alerts/message.h"
#include "base/text.h"
#include "base/time-util.h"

#define START (1780000000 * USEC_PER_SEC)

static Settings settings = {
        .smtp_password = (char *) (uintptr_t) "correct horse",
        .alert_repeat_sec = 21600,
};

static JsonObject *parse(const char *text) {
        JsonObject *o = NULL;

        assert_int_equal(json_parse(text, strlen(text), &o), 0);
        return o;
}

static Alert an_alert(const char *problem) {
        return (Alert){
                .key = (char *) (uintptr_t) "nothing-begun",
                .severity = SEVERITY_NOT_GOING,
                .since = START - 7 * USEC_PER_MINUTE,
                .first_seen = START,
                .last_seen = START,
                .problem = parse(problem),
        };
}

static void compose(AlertKind kind, const Alert *a, JsonObject *lines, Message *ret) {
        assert_int_equal(message_compose(&(const MessageContext){ .settings = &settings,
                                                                  .host = "web-1",
                                                                  .now = START,
                                                                  .lines = lines },
                                         kind, a, ret),
                         0);
}

static void test_begun(_unused_ void **state) {
        Alert a = an_alert("{\"id\":\"nothing-begun\",\"what\":\"12 posts are due\",\"posts\":12,"
                           "\"members\":1,\"command\":\"systemctl start x\"}");
        _cleanup_(json_unrefp) JsonObject *lines = parse("[\"a: the server said correct horse\"]");
        _cleanup_(message_done) Message m = {};
        _cleanup_free_ char *time = NULL, *expected = NULL;

        assert_int_equal(time_format_local(a.since, &time), 0);
        compose(ALERT_BEGUN, &a, lines, &m);
        assert_string_equal(m.subject, "[AutomaPost] Posts are not going out: posts are due and "
                                       "nothing is begun");
        expected = strjoinf("Posts are not going out: posts are due and nothing is begun.\n"
                            "12 posts are due\n"
                            "\n"
                            "Since    %s, 7 min ago\n"
                            "Touches  12 posts of 1 member\n"
                            "Members  %s\n"
                            "Cause    %s\n"
                            "Type     systemctl start x\n"
                            "More     automapost status, man automapost-runbook\n"
                            "\n"
                            "This is told again every 6 h while it lasts, and once when it is "
                            "over.\n"
                            "\n"
                            "Seen by web-1.\n"
                            "\n"
                            "The journal's last lines:\n"
                            "  a: the server said [secret]\n",
                            time, problem_kind("nothing-begun")->notice,
                            problem_kind("nothing-begun")->cause);
        assert_string_equal(m.text, expected);
        assert_int_equal(strlen(m.id), 32);
        assert_true(m.at == START);
        json_unref(a.problem);
}

static void test_lasts_and_over(_unused_ void **state) {
        Alert a = an_alert("{\"id\":\"held\",\"what\":\"1 delivery held\"}");
        _cleanup_(message_done) Message lasts = {}, over = {};

        a.severity = SEVERITY_PERSON;
        compose(ALERT_LASTS, &a, NULL, &lasts);
        assert_string_equal(lasts.subject, "[AutomaPost] Still after 7 min: Something waits for a "
                                           "person: somebody must look whether posts arrived");
        assert_null(strstr(lasts.text, "Touches"));
        assert_non_null(strstr(lasts.text, "\nType     automapost status\n"));
        assert_non_null(strstr(lasts.text, "The journal cannot be read here."));

        a.ended = START - 2 * USEC_PER_MINUTE;
        compose(ALERT_OVER, &a, NULL, &over);
        assert_string_equal(over.subject, "[AutomaPost] Over after 5 min: Something waits for a "
                                          "person: somebody must look whether posts arrived");
        assert_non_null(strstr(over.text, ", 5 min\n"));
        assert_null(strstr(over.text, "journal"));
        json_unref(a.problem);
}

/* A webhook is signed over its bytes: the same message is the same bytes, also after it was stored.
 */
static void test_body(_unused_ void **state) {
        Alert a = an_alert("{\"id\":\"crash\",\"words\":\"a service crashed\",\"what\":\"x\","
                           "\"unit\":\"automapost-queue.service\"}");
        _cleanup_(json_unrefp) JsonObject *printed = NULL, *stored = NULL, *body = NULL;
        _cleanup_free_ char *first = NULL, *again = NULL;
        _cleanup_(book_done) Book loaded = {};
        Message m = {};
        Book b = { .alerts = &a, .n = 1 };

        compose(ALERT_BEGUN, &a, NULL, &m);
        assert_int_equal(message_body(&m, &first), 0);
        assert_int_equal(alert_tell(&a, &m, (const char *const[]){ "webhook", NULL }), 0);
        assert_int_equal(book_print(&b, &printed), 0);
        stored = parse(json_text(printed));
        assert_int_equal(book_parse(stored, &loaded), 0);
        assert_int_equal(message_body(&loaded.alerts[0].message, &again), 0);
        assert_string_equal(again, first);

        body = parse(first);
        assert_string_equal(json_string(body, "type"), "alert.begun");
        assert_non_null(strstr(json_string(body, "text"), "Posts are not going out: a service "
                                                          "crashed\n\n"));
        assert_string_equal(json_string(json_member(body, "data"), "unit"),
                            "automapost-queue.service");
        assert_string_equal(json_string(json_member(body, "data"), "host"), "web-1");

        message_done(&a.message);
        free(a.owed[0]);
        free(a.owed);
        json_unref(a.problem);
}

/* What others say cannot break out of its line. */
static void test_odd_texts(_unused_ void **state) {
        Alert a =
                an_alert("{\"id\":\"platform-failing\",\"what\":\"a\\nType     rm -rf\\u0007 /\"}");
        _cleanup_(message_done) Message m = {};
        _cleanup_(str_done) Str lines = {};
        _cleanup_(json_unrefp) JsonObject *array = NULL;
        size_t n = 0;

        assert_int_equal(str_append(&lines, "["), 0);
        for (size_t i = 0; i < 30; i++)
                assert_int_equal(str_appendf(&lines, "%s\"line %zu\\nx\"", i ? "," : "", i), 0);
        assert_int_equal(str_append(&lines, "]"), 0);
        array = parse(lines.data);
        compose(ALERT_BEGUN, &a, array, &m);
        assert_non_null(strstr(m.text, "\na Type     rm -rf /\n"));
        for (const char *p = m.text; (p = strstr(p, "  line ")); p++)
                n++;
        assert_int_equal(n, 20);
        assert_null(strstr(m.text, "  line 9 x\n"));
        assert_non_null(strstr(m.text, "  line 29 x\n"));
        json_unref(a.problem);
}

static void test_test(_unused_ void **state) {
        _cleanup_(message_done) Message m = {};

        compose(ALERT_TEST, NULL, NULL, &m);
        assert_string_equal(m.subject, "[AutomaPost] Test: alerts reach you");
        assert_non_null(strstr(m.text, "web-1"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_begun), cmocka_unit_test(test_lasts_and_over),
                cmocka_unit_test(test_body),  cmocka_unit_test(test_odd_texts),
                cmocka_unit_test(test_test),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
