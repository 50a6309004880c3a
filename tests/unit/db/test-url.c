/* SPDX-License-Identifier: MIT */

/* Connection URLs taken apart and put together (src/db/url.c). */

#include "db/url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void check_get(const char *url, const char *keyword, const char *expected) {
        _cleanup_free_ char *value = NULL;

        assert_int_equal(db_url_get(url, keyword, &value), 0);
        if (expected) {
                assert_non_null(value);
                assert_string_equal(value, expected);
        } else
                assert_null(value);
}

static void test_get(_unused_ void **state) {
        const char *url = "postgresql://us%40er:p%2Fw@host:5433/db?schema=public&sslmode=require"
                          "&connection_limit=5&pgbouncer=true&pool_timeout=0&sslaccept=strict"
                          "&statement_cache_size=0";
        char *value = NULL;

        check_get(url, "user", "us@er");
        check_get(url, "password", "p/w");
        check_get(url, "host", "host");
        check_get(url, "port", "5433");
        check_get(url, "dbname", "db");
        check_get(url, "sslmode", "require");
        check_get(url, "options", NULL);
        check_get("postgres://h/db", "user", NULL);
        check_get("host=h dbname=db", "host", "h");
        assert_int_equal(db_url_get("postgresql://h/db?no_such=1", "host", &value), -EINVAL);
        assert_int_equal(db_url_get("postgresql://h/d%", "host", &value), -EINVAL);
}

static void check_set(const char *url, const char *const *changes, const char *expected) {
        _cleanup_free_ char *value = NULL, *again = NULL;

        assert_int_equal(db_url_set(url, changes, &value), 0);
        assert_string_equal(value, expected);
        assert_int_equal(db_url_set(value, (const char *[]){ NULL }, &again), 0);
        assert_string_equal(again, expected);
}

static void test_set(_unused_ void **state) {
        const char *url = "postgres://u:p@h:5433/db?schema=public&sslmode=require&pgbouncer=true";

        check_set(url, (const char *[]){ NULL }, "postgresql://u:p@h:5433/db?sslmode=require");
        check_set(url, (const char *[]){ "user", "a b", "password", "@/:?", NULL },
                  "postgresql://a%20b:%40%2F%3A%3F@h:5433/db?sslmode=require");
        check_set(url,
                  (const char *[]){ "user", "u", "password", NULL, "host", "/run/x", "sslmode",
                                    NULL, NULL },
                  "postgresql://u@/db?host=%2Frun%2Fx&port=5433");
        check_set(url, (const char *[]){ "dbname", "other", NULL },
                  "postgresql://u:p@h:5433/other?sslmode=require");
        check_set("postgresql://u@a:1,b:2/db?target_session_attrs=any", (const char *[]){ NULL },
                  "postgresql://u@/db?host=a%2Cb&port=1%2C2&target_session_attrs=any");
        check_set("postgresql://u@[::1]:5432/db", (const char *[]){ NULL },
                  "postgresql://u@/db?host=%3A%3A1&port=5432");
        check_set("host=h dbname=db", (const char *[]){ NULL }, "postgresql://h/db");
        check_set("postgresql:///", (const char *[]){ NULL }, "postgresql:///");
}

static void test_peer(_unused_ void **state) {
        assert_true(db_url_is_peer("postgresql://u@/db?host=/run/postgresql"));
        assert_true(db_url_is_peer("postgresql:///db"));
        assert_false(db_url_is_peer("postgresql://u:p@/db?host=/run/postgresql"));
        assert_false(db_url_is_peer("postgresql://u@localhost/db"));
        assert_false(db_url_is_peer("postgresql://u@/d%"));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_get),
                cmocka_unit_test(test_set),
                cmocka_unit_test(test_peer),
        };

        return cmocka_run_group_tests_name("db-url", tests, NULL, NULL);
}
