/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/settings.h"
#include "base/time-util.h"
#include "providers/provider.h"

#include <errno.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

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
                cmocka_unit_test(test_prepare),
                cmocka_unit_test(test_account),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
