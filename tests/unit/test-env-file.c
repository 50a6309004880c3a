/* SPDX-License-Identifier: MIT */

/* Settings in a file (src/base/env-file.c): what systemd would read of the same lines. */

#include "base/env-file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

static char path[] = "/tmp/test-env-file.XXXXXX";

static int load(const char *text, bool replace, Error *error) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        return env_file_load(path, replace, error);
}

static void test_values(_unused_ void **state) {
        (void) unsetenv("TEST_A");
        (void) unsetenv("TEST_B");
        (void) unsetenv("TEST_C");
        assert_int_equal(
                load("# a comment\n; another\n\nTEST_A=plain value \n  TEST_B=\"in = quotes\"\r\n"
                     "TEST_C='single'",
                     false, NULL),
                1);
        assert_string_equal(getenv("TEST_A"), "plain value");
        assert_string_equal(getenv("TEST_B"), "in = quotes");
        assert_string_equal(getenv("TEST_C"), "single");
}

static void test_replace(_unused_ void **state) {
        assert_int_equal(setenv("TEST_A", "mine", 1), 0);
        assert_int_equal(load("TEST_A=file\n", false, NULL), 1);
        assert_string_equal(getenv("TEST_A"), "mine");
        assert_int_equal(load("TEST_A=file\n", true, NULL), 1);
        assert_string_equal(getenv("TEST_A"), "file");
}

static void test_errors(_unused_ void **state) {
        static const char *const bad[] = { "no equals sign\n", "=value\n", "A B=c\n",
                                           "export A=b\n" };
        _cleanup_(error_done) Error error = ERROR_NULL;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(load(bad[i], false, &error), -EINVAL);
                assert_int_equal(error.class, ERROR_CONFIG);
                assert_non_null(strstr(error.message, path));
                assert_non_null(strstr(error.message, "line 1"));
        }
        assert_int_equal(env_file_load("/nonexistent/file", false, NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_replace),
                cmocka_unit_test(test_errors),
        };
        int fd = mkstemp(path), r;

        if (fd < 0)
                return EXIT_FAILURE;
        (void) close(fd);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        (void) unlink(path);
        return r;
}
