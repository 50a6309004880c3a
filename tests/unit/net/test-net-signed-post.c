/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "net/signed-post.h"

#include <errno.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static void test_sign(_unused_ void **state) {
        _cleanup_free_ char *one = NULL, *bare = NULL, *two = NULL, *none = NULL;

        /* The standard's own test vector. */
        assert_int_equal(webhook_sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                                      "{\"test\": 2432232314}", &one),
                         0);
        assert_string_equal(one, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");

        assert_int_equal(webhook_sign(&SECRET[6], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                                      "{\"test\": 2432232314}", &bare),
                         0);
        assert_string_equal(bare, one);

        /* While a secret is replaced there are two. */
        assert_int_equal(webhook_sign(SECRET " whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                      "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                                      "{\"test\": 2432232314}", &two),
                         0);
        assert_memory_equal(two, one, strlen(one));
        assert_memory_equal(two + strlen(one), " v1,", 4);

        assert_int_equal(webhook_sign("", "a", 0, "b", &none), -EINVAL);
        assert_int_equal(webhook_sign("whsec_", "a", 0, "b", &none), -EINVAL);
        assert_int_equal(webhook_sign("whsec_*", "a", 0, "b", &none), -EINVAL);
        assert_null(none);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sign),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
