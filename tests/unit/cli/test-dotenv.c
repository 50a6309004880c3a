/* SPDX-License-Identifier: MIT */

/* The application's .env (src/cli/dotenv.c). What is expected is what dotenv 16 with dotenv-expand
 * 11 make of the same text, but for four lines: a dollar of a value that is put into another, an
 * empty default, an open brace, and a $ without brace, all of which they lose or guess at. */

#include "cli/dotenv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/text.h"

static Dotenv parse(const char *text) {
        Dotenv d = {};

        assert_int_equal(dotenv_parse(text, strlen(text), &d), 0);
        return d;
}

static void check(const char *text, const char *name, const char *expected) {
        _cleanup_(dotenv_done) Dotenv d = parse(text);
        _cleanup_free_ char *value = NULL;

        assert_int_equal(dotenv_get(&d, name, &value, NULL), 0);
        if (!expected)
                assert_null(value);
        else {
                assert_non_null(value);
                assert_string_equal(value, expected);
        }
}

static void check_refused(const char *text, const char *name, int r, const char *part) {
        _cleanup_(dotenv_done) Dotenv d = parse(text);
        _cleanup_(error_done) Error e = ERROR_NULL;
        char *value = NULL;

        assert_int_equal(dotenv_get(&d, name, &value, &e), r);
        assert_null(value);
        assert_int_equal(e.class, ERROR_CONFIG);
        assert_non_null(strstr(e.message, part));
}

static void test_assignments(_unused_ void **state) {
        check("A=1", "A", "1");
        check("A=1\n", "A", "1");
        check("\xef\xbb\xbf"
              "A=1\r\nB=2\r\n",
              "A", "1");
        check("A=1\r\nB=2\r\n", "B", "2");
        check("  A  =  1  ", "A", "1");
        check("export A=1", "A", "1");
        check("export\tA=1", "A", "1");
        check("exportA=1", "exportA", "1");
        check("A: 1", "A", "1");
        check("A:1", "A", NULL);
        check("A.b-c=1", "A.b-c", "1");
        check("A=", "A", "");
        check("A=\nB=2", "A", "");
        check("A=\nB=2", "B", "2");
        check("A=1\nA=2", "A", "2");
        check("no assignment\n=1\nA\nB=2", "A", NULL);
        check("no assignment\n=1\nA\nB=2", "B", "2");
        check("a=1", "A", NULL);
        check("", "A", NULL);
}

static void test_comments(_unused_ void **state) {
        check("# A=1", "A", NULL);
        check("#\nA=1 # one", "A", "1");
        check("A=1#2", "A", "1");
        check("A=\"1#2\" # three", "A", "1#2");
        check("A='1#2'", "A", "1#2");
        check("A=#1", "A", "");
}

static void test_quotes(_unused_ void **state) {
        check("A='it is'", "A", "it is");
        check("A=\" it is \"", "A", " it is ");
        check("A=`it's \"so\"`", "A", "it's \"so\"");
        check("A=\"one\\ntwo\"", "A", "one\ntwo");
        check("A='one\\ntwo'", "A", "one\\ntwo");
        check("A=one\\ntwo", "A", "one\\ntwo");
        check("A=\"one\ntwo\"\nB=2", "A", "one\ntwo");
        check("A=\"one\ntwo\"\nB=2", "B", "2");
        check("A='one\ntwo'", "A", "one\ntwo");
        check("A=\"a \\\" quote\"", "A", "a \\\" quote");
        check("A='open", "A", "'open");
        check("A='open\nB=2", "B", "2");
}

static void test_expansion(_unused_ void **state) {
        check("USER=app\nPASSWORD=p\\$ss\nHOST=db\n"
              "URL='postgresql://${USER}:${PASSWORD}@${HOST}:5432/x'\n",
              "URL", "postgresql://app:p$ss@db:5432/x");
        check("A=${B}\nB=2", "A", "2");
        check("A=${B}${C}\nB=${C}\nC=3", "A", "33");
        check("A=${B:-5}", "A", "5");
        check("A=${B-5}", "A", "5");
        check("A=${B:-}", "A", "");
        check("A=${B:-5}\nB=", "A", "5");
        check("A=${B-5}\nB=", "A", "5");
        check("A=${B:-5}\nB=2", "A", "2");
        check("A=\\${B}\nB=2", "A", "${B}");
        check("A=$\nB=2", "A", "$");
        check("A=${B\nB=2", "A", "${B");
        check("A=a$B\nB=2", "A", "a$B");
}

static void test_refused(_unused_ void **state) {
        _cleanup_(str_done) Str many = {};

        check_refused("A=secret${B}", "A", -ENOENT, "A needs ${B}");
        check_refused("A=${A}", "A", -ELOOP, "made of itself");
        check_refused("A=${B}\nB=${A}", "A", -ELOOP, "made of itself");
        /* 10 values of ten pieces each: 10^10 if nobody counted */
        for (unsigned i = 0; i < 10; i++) {
                assert_int_equal(str_appendf(&many, "V%u=", i), 0);
                for (unsigned k = 0; k < 10; k++)
                        assert_int_equal(str_appendf(&many, "${V%u}", i + 1), 0);
                assert_int_equal(str_append(&many, "\n"), 0);
        }
        assert_int_equal(str_append(&many, "V10=x\n"), 0);
        check_refused(many.data, "V0", -ELOOP, "too many");
}

static void test_files(_unused_ void **state) {
        char path[] = "/tmp/test-dotenv.XXXXXX";
        _cleanup_(dotenv_done) Dotenv d = {};
        _cleanup_(error_done) Error e = ERROR_NULL;
        _cleanup_free_ char *value = NULL;
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "A=1\n", 4), 4);
        assert_int_equal(dotenv_load(path, &d, NULL), 0);
        assert_int_equal(dotenv_get(&d, "A", &value, NULL), 0);
        assert_string_equal(value, "1");

        assert_int_equal(dotenv_load("/tmp", &d, &e), -EINVAL);
        assert_non_null(strstr(e.message, "/tmp is no file"));
        assert_int_equal(ftruncate(fd, 1024 * 1024 + 1), 0);
        assert_int_equal(dotenv_load(path, &d, NULL), -EINVAL);
        assert_int_equal(close(fd), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(dotenv_load(path, &d, &e), -ENOENT);
        assert_non_null(strstr(e.message, path));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_assignments), cmocka_unit_test(test_comments),
                cmocka_unit_test(test_quotes),      cmocka_unit_test(test_expansion),
                cmocka_unit_test(test_refused),     cmocka_unit_test(test_files),
        };

        return cmocka_run_group_tests_name("dotenv", tests, NULL, NULL);
}
