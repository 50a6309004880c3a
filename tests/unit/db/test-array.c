/* SPDX-License-Identifier: MIT */

/* Arrays in binary form (src/db/array.c), byte by byte as array_recv() of PostgreSQL and the types'
 * own functions (int8recv, textrecv, timestamptz_recv, uuid_recv) read them. */

#include "db/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HEADER(type, n) "\0\0\0\1\0\0\0\0" type "\0\0\0" n "\0\0\0\1"

static void check(Array *a, const void *expected, size_t n) {
        assert_int_equal(a->bytes.length, n);
        assert_memory_equal(a->bytes.data, expected, n);
        array_done(a);
        assert_null(a->bytes.data);
}
#define CHECK(a, expected) check(a, expected, sizeof(expected) - 1)

static void test_empty(_unused_ void **state) {
        Array a;

        assert_int_equal(array_start(&a, ARRAY_TEXT), 0);
        CHECK(&a, HEADER("\0\0\0\x19", "\0"));
}

static void test_bigint(_unused_ void **state) {
        Array a;

        assert_int_equal(array_start(&a, ARRAY_BIGINT), 0);
        assert_int_equal(array_add_bigint(&a, 258), 0);
        assert_int_equal(array_add_bigint(&a, -1), 0);
        CHECK(&a, HEADER("\0\0\0\x14", "\2") "\0\0\0\x8\0\0\0\0\0\0\1\2"
                                             "\0\0\0\x8\xff\xff\xff\xff\xff\xff\xff\xff");
}

static void test_text(_unused_ void **state) {
        Array a;

        assert_int_equal(array_start(&a, ARRAY_TEXT), 0);
        assert_int_equal(array_add_text(&a, "a\"\\"), 0);
        assert_int_equal(array_add_text(&a, NULL), 0);
        assert_int_equal(array_add_text(&a, ""), 0);
        CHECK(&a, HEADER("\0\0\0\x19", "\3") "\0\0\0\3a\"\\\xff\xff\xff\xff\0\0\0\0");
}

static void test_time(_unused_ void **state) {
        Array a;

        /* Counted from the year 2000, and a moment before it. */
        assert_int_equal(array_start(&a, ARRAY_TIMESTAMPTZ), 0);
        assert_int_equal(array_add_time(&a, 946684800000000 + 3), 0);
        assert_int_equal(array_add_time(&a, 946684800000000 - 1), 0);
        CHECK(&a, HEADER("\0\0\x04\xa0", "\2") "\0\0\0\x8\0\0\0\0\0\0\0\3"
                                               "\0\0\0\x8\xff\xff\xff\xff\xff\xff\xff\xff");
}

static void test_uuid(_unused_ void **state) {
        sd_id128_t id;
        Array a;

        assert_int_equal(sd_id128_from_string("00112233-4455-6677-8899-aabbccddeeff", &id), 0);
        assert_int_equal(array_start(&a, ARRAY_UUID), 0);
        assert_int_equal(array_add_uuid(&a, id), 0);
        CHECK(&a, HEADER("\0\0\x0b\x86", "\1") "\0\0\0\x10\0\x11\x22\x33\x44\x55\x66\x77"
                                               "\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty), cmocka_unit_test(test_bigint),
                cmocka_unit_test(test_text),  cmocka_unit_test(test_time),
                cmocka_unit_test(test_uuid),
        };

        return cmocka_run_group_tests_name("db-array", tests, NULL, NULL);
}
