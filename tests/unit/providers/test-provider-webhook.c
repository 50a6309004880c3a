/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/settings.h"
#include "base/time-util.h"
#include "providers/parts.h"

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

static int prepare(const Account *account, const Post *post, Request *ret, Error *e) {
        Settings settings = {};

        return provider_find("webhook")->prepare(&(const ProviderContext){ .settings = &settings },
                                                 account, post, ret, e);
}

static void test_prepare(_unused_ void **state) {
        const Account account = { .service_url = "https://example.org/hook",
                                  .access_token = SECRET };
        Post post = { .id = "p", .delivery_id = "d-1", .text = "hi", .kind = KIND_POST };
        _cleanup_(error_done) Error e = ERROR_NULL;
        Request r = {};

        assert_int_equal(time_parse_iso8601("2026-11-23T10:00:00Z", &post.due_at), 0);
        assert_int_equal(prepare(&account, &post, &r, &e), 0);
        assert_string_equal(r.handle, "d-1");
        assert_int_equal(r.way, WAY_RESEND);
        assert_string_equal(
                r.body, "{\"type\":\"post.published\",\"timestamp\":\"2026-11-23T10:00:00.000Z\","
                        "\"data\":{\"postId\":\"p\",\"deliveryId\":\"d-1\",\"kind\":\"post\","
                        "\"text\":\"hi\"}}");
        request_done(&r);

        post.kind = KIND_COMMENT;
        assert_true(prepare(&account, &post, &r, &e) < 0);
        assert_string_equal(e.code, "parent-missing");
        post.parent_remote_id = "r-7";
        assert_int_equal(prepare(&account, &post, &r, &e), 0);
        assert_non_null(strstr(r.body, "\"type\":\"comment.published\""));
        assert_non_null(
                strstr(r.body, "\"kind\":\"comment\",\"text\":\"hi\",\"parentId\":\"r-7\""));
        request_done(&r);
}

static void test_account(_unused_ void **state) {
        const Post post = { .id = "p", .delivery_id = "d-1", .text = "hi" };
        _cleanup_(error_done) Error e = ERROR_NULL;
        Request r = {};

        assert_true(prepare(&(const Account){ .access_token = SECRET }, &post, &r, &e) < 0);
        assert_string_equal(e.code, "account-invalid");
        assert_true(prepare(&(const Account){ .service_url = "https://example.org",
                                              .access_token = "whsec_?" },
                            &post, &r, &e) < 0);
        assert_string_equal(e.code, "account-invalid");
        assert_true(prepare(&(const Account){ .service_url = "https://example.org" }, &post, &r,
                            &e) < 0);
        assert_int_equal(e.class, ERROR_PERMANENT);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sign),
                cmocka_unit_test(test_prepare),
                cmocka_unit_test(test_account),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
