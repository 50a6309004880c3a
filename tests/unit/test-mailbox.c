/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/mailbox.h"

#include <errno.h>

#include "fake.h"

static void assert_parsed(const char *s, const char *name, const char *address) {
        _cleanup_free_ char *n = NULL, *a = NULL;

        assert_int_equal(mailbox_parse(s, &n, &a), 0);
        assert_true(streq_ptr(n, name));
        assert_string_equal(a, address);
}

static void test_parse(void **state _unused_) {
        assert_parsed("operator@example.org", NULL, "operator@example.org");
        assert_parsed("  operator@example.org\t", NULL, "operator@example.org");
        assert_parsed("<operator@example.org>", NULL, "operator@example.org");
        assert_parsed("Night shift <night+1@example.org>", "Night shift", "night+1@example.org");
        assert_parsed("\"Shift, night\" <night@example.org>", "Shift, night", "night@example.org");
        assert_parsed("Ночь <ночь@пример.рф>", "Ночь", "ночь@пример.рф");
}

static void test_refused(void **state _unused_) {
        static const char *const wrong[] = {
                "",        "a",         "@",         "a@",        "@b",         "a@b@c",
                "a @b",    "<a@b",      "a@b>",      "x <a@b> y", "<<a@b>>",    "a@b\nc",
                "a\x7f@b", "a\n <b@c>", "\"a <b@c>", "a\xff@b",   "\xff <a@b>",
        };
        char *name = NULL, *address = NULL;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(mailbox_parse(wrong[i], &name, &address), -EINVAL);
        assert_null(name);
        assert_null(address);
}

static void test_longest(void **state _unused_) {
        char s[300];
        char *name = NULL, *address = NULL;

        memset(s, 'a', sizeof(s));
        s[100] = '@';
        s[254] = '\0';
        assert_parsed(s, NULL, s);
        s[254] = 'a';
        s[255] = '\0';
        assert_int_equal(mailbox_parse(s, &name, &address), -EINVAL);
}

static void test_next(void **state _unused_) {
        static const char list[] = " a@b,, Night shift <c@d> ,e@f ,";
        static const char *const expected[] = { "a@b", "Night shift <c@d>", "e@f" };
        size_t pos = 0;
        char *s = NULL;

        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                assert_int_equal(mailbox_next(list, &pos, &s), 1);
                assert_string_equal(s, expected[i]);
                free(s);
        }
        assert_int_equal(mailbox_next(list, &pos, &s), 0);
        assert_int_equal(mailbox_next(list, &pos, &s), 0);
}

static void test_memory(void **state _unused_) {
        char *name = NULL, *address = NULL, *s = NULL;
        size_t pos = 0;

        for (unsigned i = 0;; i++) {
                int r;

                oom_at(i);
                r = mailbox_parse("A <a@b>", &name, &address);
                if (!oom_off())
                        break;
                assert_int_equal(r, -ENOMEM);
                assert_null(name);
                assert_null(address);
        }
        free(name);
        free(address);

        oom_at(0);
        assert_int_equal(mailbox_next("a@b", &pos, &s), -ENOMEM);
        assert_true(oom_off());
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),   cmocka_unit_test(test_refused),
                cmocka_unit_test(test_longest), cmocka_unit_test(test_next),
                cmocka_unit_test(test_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
