/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "alerts/scrub.h"
#include "base/text.h"

static void assert_scrubbed(const Settings *settings, const char *s, const char *expected) {
        _cleanup_free_ char *scrubbed = alert_scrub(s, settings);

        assert_string_equal(scrubbed, expected);
}

static void test_known(_unused_ void **state) {
        const Settings settings = {
                .database_url = (char *) (uintptr_t) "postgresql://jobs:sesame@db.example/app",
                .smtp_password = (char *) (uintptr_t) "correct horse",
                .alert_webhook_url = (char *) (uintptr_t) "https://hooks.example/T01/abc",
        };

        assert_scrubbed(&settings, "cannot use postgresql://jobs:sesame@db.example/app here",
                        "cannot use [secret] here");
        assert_scrubbed(&settings, "the server said sesame, or correct horse",
                        "the server said [secret], or [secret]");
        assert_scrubbed(&settings, "POST https://hooks.example/T01/abc", "POST [secret]");
}

static void test_likely(_unused_ void **state) {
        static const char *const cases[][2] = {
                { "password=hunter2 user=x", "password=[secret] user=x" },
                { "refused: access_token=abc&scope=x", "refused: access_token=[secret]&scope=x" },
                { "{\"token\":\"abc\",\"a\":1}", "{\"token\":\"[secret]\",\"a\":1}" },
                { "Authorization: Bearer abc.def-1", "Authorization: Bearer [secret]" },
                { "postgresql://jobs:sesame@db/x?y", "postgresql://jobs:[secret]@db/x?y" },
                { "whsec_MfKQ9r8GKYqr", "[secret]" },
                { "eyJhbGciOiJIUzI1NiIsInR5cCI6.e30", "[secret].e30" },
                { "got ya29A0AfB_byC4kQ7w1234 back", "got [secret] back" },
                { "0123456789abcdef0123456789abcdef", "[secret]" },
        };
        const Settings settings = {};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_scrubbed(&settings, cases[i][0], cases[i][1]);
}

/* What a person needs stays. */
static void test_kept(_unused_ void **state) {
        static const char *const lines[] = {
                "",
                "job 0192f7c4-8a3b-7cde-9f01-23456789abcd failed: LinkedIn refuses the token: expired",
                "automapost-social-media.service: Failed with result 'exit-code'.",
                "cannot connect to the database: connection to server at \"127.0.0.1\", port 5432 failed",
                "FATAL:  password authentication failed for user \"jobs\"",
                "2026-11-26T06:41:10.123456+00:00 host-with-a-long-name kernel: Out of memory",
                "see /usr/libexec/automapost/automapost-social-media and https://example.org/a:b@c",
                "Grüße aus Unterpfaffenhofen-Germering",
        };
        const Settings settings = {};

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                assert_scrubbed(&settings, lines[i], lines[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_known),
                cmocka_unit_test(test_likely),
                cmocka_unit_test(test_kept),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
