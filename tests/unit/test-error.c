/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/error.h"

#include <errno.h>

#include "fake.h"

static void test_setf(void **state _unused_) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        int r;

        r = error_setf(&e, ERROR_PERMANENT, -EBADMSG, "22023", "cannot %s %d", "do", 7);
        assert_int_equal(r, -EBADMSG);
        assert_int_equal(e.class, ERROR_PERMANENT);
        assert_string_equal(e.code, "22023");
        assert_string_equal(e.message, "cannot do 7");
        assert_int_equal(e.retry_at, 0);
        assert_int_equal(e.r, -EBADMSG);
}

static void test_setf_without_code(void **state _unused_) {
        _cleanup_(error_done) Error e = ERROR_NULL;

        (void) error_setf(&e, ERROR_CONFIG, -EINVAL, NULL, "x");
        assert_null(e.code);
}

static void test_setf_replaces(void **state _unused_) {
        _cleanup_(error_done) Error e = ERROR_NULL;

        (void) error_setf(&e, ERROR_RATE_LIMITED, -EAGAIN, "429", "slow down");
        e.retry_at = 5 * USEC_PER_SEC;

        /* What it replaces may be among the arguments. */
        (void) error_setf(&e, ERROR_AUTH, -EACCES, e.code, "while posting: %s", e.message);
        assert_int_equal(e.class, ERROR_AUTH);
        assert_string_equal(e.code, "429");
        assert_string_equal(e.message, "while posting: slow down");
        assert_int_equal(e.retry_at, 0);
        assert_int_equal(e.r, -EACCES);
}

static void test_setf_null(void **state _unused_) {
        assert_int_equal(error_setf(NULL, ERROR_CONFIG, -EPERM, "1", "%s", "x"), -EPERM);
        assert_int_equal(error_oom(NULL), -ENOMEM);
}

static void test_setf_no_memory(void **state _unused_) {
        for (size_t i = 0; i < 10; i++) {
                _cleanup_(error_done) Error e = ERROR_NULL;

                oom_at(i);
                assert_int_equal(error_setf(&e, ERROR_AUTH, -EACCES, "401", "no %s", "way"),
                                 -EACCES);
                if (!oom_off()) {
                        assert_true(i > 0);
                        assert_string_equal(e.message, "no way");
                        return;
                }
                /* The text may go, the class may not. */
                assert_int_equal(e.class, ERROR_AUTH);
        }
        fail();
}

static void test_oom(void **state _unused_) {
        _cleanup_(error_done) Error e = ERROR_NULL;

        assert_int_equal(error_oom(&e), -ENOMEM);
        assert_int_equal(e.class, ERROR_TRANSIENT);
        assert_string_equal(e.message, "out of memory");
}

static void test_done(void **state _unused_) {
        Error e = ERROR_NULL;

        (void) error_setf(&e, ERROR_AUTH, -EACCES, "401", "x");
        error_done(&e);
        assert_int_equal(e.class, ERROR_NONE);
        assert_null(e.code);
        assert_null(e.message);

        error_done(&e);
        error_done(NULL);
}

static void test_move(void **state _unused_) {
        _cleanup_(error_done) Error from = ERROR_NULL, to = ERROR_NULL;

        (void) error_setf(&to, ERROR_CONFIG, -EINVAL, "a", "old");
        (void) error_setf(&from, ERROR_RATE_LIMITED, -EAGAIN, "429", "new");
        from.retry_at = 42;

        error_move(&to, &from);
        assert_int_equal(to.class, ERROR_RATE_LIMITED);
        assert_string_equal(to.code, "429");
        assert_string_equal(to.message, "new");
        assert_int_equal(to.retry_at, 42);
        assert_int_equal(from.class, ERROR_NONE);
        assert_null(from.code);
        assert_null(from.message);

        error_move(&to, &to);
        assert_string_equal(to.message, "new");

        error_move(NULL, &to);
        assert_int_equal(to.class, ERROR_NONE);
        assert_null(to.message);
}

static void test_class_names(void **state _unused_) {
        static const struct {
                ErrorClass class;
                const char *name;
                int exit_status;
        } expected[] = {
                { ERROR_NONE, "none", 0 },
                { ERROR_TRANSIENT, "transient", 75 },
                { ERROR_RATE_LIMITED, "rate-limited", 75 },
                { ERROR_AUTH, "auth", 78 },
                { ERROR_PERMISSION, "permission", 78 },
                { ERROR_PERMANENT, "permanent", 70 },
                { ERROR_CONFIG, "config", 78 },
                { ERROR_UNKNOWN_OUTCOME, "unknown-outcome", 75 },
        };

        assert_int_equal(ELEMENTSOF(expected), _ERROR_CLASS_MAX);
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                assert_string_equal(error_class_to_string(expected[i].class), expected[i].name);
                assert_int_equal(error_class_from_string(expected[i].name), expected[i].class);
                assert_int_equal(error_class_to_exit_status(expected[i].class),
                                 expected[i].exit_status);
        }

        assert_null(error_class_to_string(_ERROR_CLASS_MAX));
        assert_null(error_class_to_string(_ERROR_CLASS_INVALID));
        assert_int_equal(error_class_from_string("Transient"), _ERROR_CLASS_INVALID);
        assert_int_equal(error_class_from_string(""), _ERROR_CLASS_INVALID);
        assert_int_equal(error_class_from_string(NULL), _ERROR_CLASS_INVALID);
        assert_int_equal(error_class_to_exit_status(_ERROR_CLASS_INVALID), 70);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_setf),           cmocka_unit_test(test_setf_without_code),
                cmocka_unit_test(test_setf_replaces),  cmocka_unit_test(test_setf_null),
                cmocka_unit_test(test_setf_no_memory), cmocka_unit_test(test_oom),
                cmocka_unit_test(test_done),           cmocka_unit_test(test_move),
                cmocka_unit_test(test_class_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
