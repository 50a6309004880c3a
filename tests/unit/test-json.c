/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/json.h"

#include <errno.h>

#include "fake.h"

static JsonObject *parse(const char *text) {
        JsonObject *o = NULL;

        if (json_parse(text, strlen(text), &o) != 0)
                fail_msg("%s is refused", text);
        return o;
}

static void test_parse(void **state _unused_) {
        /* RFC 8259: any value may stand alone, white space around it; what it prints as */
        static const char *const good[][2] = {
                { "{}", "{}" },
                { "[]", "[]" },
                { "null", "null" },
                { "true", "true" },
                { " \t\r\n false \t\r\n ", "false" },
                { "0", "0" },
                { "-1", "-1" },
                { "9223372036854775807", "9223372036854775807" },
                { "-9223372036854775808", "-9223372036854775808" },
                { "1.5", "1.5" },
                { "\"\"", "\"\"" },
                { "\"\\u0041\\n\\\"\\\\\\/\"", "\"A\\n\\\"\\\\/\"" },
                { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
                { "{\"b\":1,\"a\":[1,{\"c\":null}]}", "{\"b\":1,\"a\":[1,{\"c\":null}]}" },
                { "[ 1 , 2 ]", "[1,2]" },
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_(json_unrefp) JsonObject *o = parse(good[i][0]);

                assert_string_equal(json_text(o), good[i][1]);
        }
}

static void test_parse_bad(void **state _unused_) {
        static const char *const bad[] = {
                "",
                " ",
                "{",
                "[",
                "}",
                "[}",
                "[1,]",
                "[,1]",
                "[1 2]",
                "{\"a\":1,}",
                "{\"a\" 1}",
                "{a:1}",
                "{1:1}",
                "1 2",
                "{}{}",
                "{} x",
                "'a'",
                "\"a",
                "\"a\\\"",
                "\"\\x41\"",
                "\"\\u12\"",
                "/**/1",
                "tru",
                "True",
                "nulL",
                /* json-c alone lets these pass */
                "NaN",
                "[NaN]",
                "Infinity",
                "-Infinity",
                "1.",
                "[1.]",
                "-01",
                "00",
                "\"\t\"",
                "\"\x01\"",
                "\"a\nb\"",
                "01",
                "+1",
                ".5",
                "-",
                "1e",
                "1e+",
                "0x10",
                "1,",
                "\v1",
                "\xef\xbb\xbf 1",
                /* no UTF-8: a stray byte, a surrogate, an overlong slash */
                "\"\xff\"",
                "\"\xed\xa0\x80\"",
                "\"\xc0\xaf\"",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                JsonObject *o = NULL;

                if (json_parse(bad[i], strlen(bad[i]), &o) != -EINVAL)
                        fail_msg("%s is taken", bad[i]);
                assert_null(o);
        }
}

static void test_parse_length(void **state _unused_) {
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        JsonObject *none = NULL;

        /* Only length bytes count, and a NUL is not the end. */
        assert_int_equal(json_parse("123", 2, &o), 0);
        assert_string_equal(json_text(o), "12");
        assert_int_equal(json_parse("1\0"
                                    "2",
                                    3, &none),
                         -EINVAL);
        assert_int_equal(json_parse("\"a\0b\"", 5, &none), -EINVAL);
        assert_int_equal(json_parse(NULL, 0, &none), -EINVAL);
}

static void test_parse_size(void **state _unused_) {
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        const size_t max = 1024 * 1024;
        _cleanup_free_ char *text = malloc(max + 1);
        JsonObject *none = NULL;

        memset(text, ' ', max + 1);
        text[0] = '7';
        assert_int_equal(json_parse(text, max, &o), 0);
        assert_string_equal(json_text(o), "7");
        assert_int_equal(json_parse(text, max + 1, &none), -E2BIG);
}

static void test_parse_depth(void **state _unused_) {
        char text[2 * 33 + 2];

        for (size_t depth = 31; depth <= 33; depth++)
                for (size_t inner = 0; inner < 2; inner++) {
                        _cleanup_(json_unrefp) JsonObject *o = NULL;
                        size_t n = 0;

                        memset(text, '[', depth);
                        n += depth;
                        if (inner)
                                text[n++] = '1';
                        memset(text + n, ']', depth);
                        n += depth;
                        assert_int_equal(json_parse(text, n, &o), depth <= 32 ? 0 : -E2BIG);
                }
}

static void test_member(void **state _unused_) {
        _cleanup_(json_unrefp) JsonObject *o = parse("{\"a\":{\"b\":{\"c\":\"d\"}},\"n\":null,"
                                                     "\"l\":[1],\"s\":\"x\"}");

        assert_string_equal(json_text(json_member(o, "l")), "[1]");
        assert_null(json_member(o, "n"));
        assert_null(json_member(o, "z"));
        assert_null(json_member(NULL, "a"));
        assert_null(json_member(json_member(o, "l"), "a"));
        assert_null(json_member(json_member(o, "s"), "a"));

        assert_string_equal(json_string(json_path(o, "a", "b", NULL), "c"), "d");
        assert_ptr_equal(json_path(o, NULL), o);
        assert_null(json_path(o, "a", "x", "c", NULL));
        assert_null(json_path(o, "s", "x", NULL));
        assert_null(json_path(NULL, "a", NULL));
}

static void test_string(void **state _unused_) {
        _cleanup_(json_unrefp) JsonObject *o =
                parse("{\"s\":\"text\",\"e\":\"\",\"i\":5,\"n\":null,\"z\":\"a\\u0000b\"}");

        assert_string_equal(json_string(o, "s"), "text");
        assert_string_equal(json_string(o, "e"), "");
        assert_null(json_string(o, "i"));
        assert_null(json_string(o, "n"));
        assert_null(json_string(o, "missing"));
        assert_null(json_string(NULL, "s"));
        /* half of a text would be worse than none */
        assert_null(json_string(o, "z"));
}

static void test_int64(void **state _unused_) {
        static const struct {
                const char *value;
                int64_t expected; /* -77 = missing */
        } cases[] = {
                { "0", 0 },
                { "42", 42 },
                { "-42", -42 },
                { "9223372036854775807", INT64_MAX },
                { "-9223372036854775808", INT64_MIN },
                { "9223372036854775808", -77 },
                { "18446744073709551616", -77 },
                { "\"123\"", 123 },
                { "\"-123\"", -123 },
                { "\"007\"", 7 },
                { "\"9223372036854775807\"", INT64_MAX },
                { "\"9223372036854775808\"", -77 },
                { "\"\"", -77 },
                { "\"-\"", -77 },
                { "\"+1\"", -77 },
                { "\" 1\"", -77 },
                { "\"1 \"", -77 },
                { "\"0x1\"", -77 },
                { "\"1.0\"", -77 },
                { "3600.0", 3600 },
                { "1e3", 1000 },
                { "-2.0", -2 },
                { "1.5", -77 },
                { "1e300", -77 },
                { "1e400", -77 },
                { "-1e300", -77 },
                { "true", -77 },
                { "null", -77 },
                { "[1]", -77 },
                { "{}", -77 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
                int64_t n;

                assert_int_equal(json_set(o, "m", parse(cases[i].value)), 0);
                n = json_int64(o, "m", -77);
                if (n != cases[i].expected)
                        fail_msg("%s is %lld", cases[i].value, (long long) n);
        }
        assert_int_equal(json_int64(NULL, "m", -77), -77);
}

static void test_boolean(void **state _unused_) {
        _cleanup_(json_unrefp) JsonObject *o =
                parse("{\"t\":true,\"f\":false,\"i\":1,\"s\":\"true\",\"n\":null}");

        assert_true(json_boolean(o, "t", false));
        assert_false(json_boolean(o, "f", true));
        assert_true(json_boolean(o, "i", true));
        assert_false(json_boolean(o, "i", false));
        assert_false(json_boolean(o, "s", false));
        assert_true(json_boolean(o, "n", true));
        assert_true(json_boolean(o, "z", true));
        assert_false(json_boolean(NULL, "t", false));
}

static void test_build(void **state _unused_) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();

        assert_int_equal(json_set_string(o, "text", "a/b \"q\" \xf0\x9f\x98\x80\n"), 0);
        assert_int_equal(json_set_string(o, "null", NULL), 0);
        assert_int_equal(json_set_int64(o, "min", INT64_MIN), 0);
        assert_int_equal(json_set_bool(o, "yes", true), 0);
        assert_int_equal(json_set_bool(o, "no", false), 0);
        assert_int_equal(json_set(o, "list", json_object_new_array()), 0);
        assert_string_equal(json_text(o), "{\"text\":\"a/b \\\"q\\\" \xf0\x9f\x98\x80\\n\","
                                          "\"null\":null,\"min\":-9223372036854775808,"
                                          "\"yes\":true,\"no\":false,\"list\":[]}");

        /* a name set again keeps its place */
        assert_int_equal(json_set_string(o, "text", "new"), 0);
        assert_memory_equal(json_text(o), "{\"text\":\"new\",", 14);
}

static void test_build_makes_valid(void **state _unused_) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object(), *again = NULL;
        const char *text;

        assert_int_equal(json_set_string(o, "s",
                                         "a\xff"
                                         "b"),
                         0);
        text = json_text(o);
        assert_string_equal(text, "{\"s\":\"a\xef\xbf\xbd"
                                  "b\"}");
        assert_int_equal(json_parse(text, strlen(text), &again), 0);
}

static void test_text_of_null(void **state _unused_) {
        assert_string_equal(json_text(NULL), "null");
}

static void test_no_memory(void **state _unused_) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();

        oom_at(0);
        assert_int_equal(json_set_string(o, "s", "\xff"), -ENOMEM);
        assert_true(oom_off());
        assert_string_equal(json_text(o), "{}");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_parse_bad),
                cmocka_unit_test(test_parse_length),
                cmocka_unit_test(test_parse_size),
                cmocka_unit_test(test_parse_depth),
                cmocka_unit_test(test_member),
                cmocka_unit_test(test_string),
                cmocka_unit_test(test_int64),
                cmocka_unit_test(test_boolean),
                cmocka_unit_test(test_build),
                cmocka_unit_test(test_build_makes_valid),
                cmocka_unit_test(test_text_of_null),
                cmocka_unit_test(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
