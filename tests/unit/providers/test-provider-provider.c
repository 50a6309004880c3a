/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/time-util.h"
#include "providers/common.h"

static void test_list(_unused_ void **state) {
        const Provider *const *list;
        size_t n;

        list = provider_list(&n);
        assert_true(n >= 4);
        for (size_t i = 0; i < n; i++) {
                assert_ptr_equal(provider_find(list[i]->name), list[i]);
                assert_non_null(list[i]->title);
                assert_non_null(list[i]->prepare);
                assert_non_null(list[i]->send);
        }
        assert_null(provider_find("google"));
        assert_null(provider_find(""));
        assert_null(provider_find(NULL));
        assert_string_equal(provider_sandbox()->name, "sandbox");
}

static void test_words(_unused_ void **state) {
        for (Way w = 0; w < _WAY_MAX; w++)
                assert_int_equal(way_from_string(way_to_string(w)), w);
        for (Kind k = 0; k < _KIND_MAX; k++)
                assert_int_equal(kind_from_string(kind_to_string(k)), k);
        assert_int_equal(way_from_string("never"), _WAY_INVALID);
        assert_int_equal(way_from_string(NULL), _WAY_INVALID);
        assert_int_equal(kind_from_string("like"), _KIND_INVALID);
        assert_null(way_to_string(_WAY_MAX));
        assert_null(kind_to_string(_KIND_INVALID));
}

static void test_refuse(_unused_ void **state) {
        char secret[] = "client-secret-1";
        Settings settings = { .linkedin_client_secret = secret };
        const ProviderContext c = { .settings = &settings };
        const Account account = { .access_token = "token-abcdef", .refresh_token = NULL };
        _cleanup_(error_done) Error e = ERROR_NULL;
        char words[1000];

        assert_true(refuse(&c, &account,
                           &(const Refusal){
                                   .who = "LinkedIn",
                                   .class = ERROR_PERMANENT,
                                   .code = CODE_REJECTED,
                                   .retry_at = 7,
                                   .status = 422,
                                   .word = "NO",
                                   .words = "bad token-abcdef and client-secret-1",
                           },
                           &e) < 0);
        assert_int_equal(e.class, ERROR_PERMANENT);
        assert_string_equal(e.code, "rejected");
        assert_int_equal(e.retry_at, 7);
        assert_string_equal(e.message, "LinkedIn answered 422 NO: bad [secret] and [secret]");

        /* Long, with a character of three bytes across the border, and no UTF-8 at its end. */
        memset(words, 'x', sizeof(words));
        for (size_t i = 0; i + 3 < sizeof(words); i += 3)
                memcpy(words + i, "\xe2\x82\xac", 3);
        words[sizeof(words) - 2] = '\xff';
        words[sizeof(words) - 1] = '\0';
        assert_true(refuse(&c, &account,
                           &(const Refusal){
                                   .who = "it",
                                   .class = ERROR_TRANSIENT,
                                   .code = CODE_PLATFORM_DOWN,
                                   .status = 500,
                                   .words = words,
                           },
                           &e) < 0);
        assert_true(strlen(e.message) <= 300);
        assert_true(utf8_is_valid(e.message, strlen(e.message)));
}

static void test_token_header(_unused_ void **state) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        _cleanup_free_ char *header = NULL;

        assert_int_equal(token_header("Authorization: Bearer", "abc", &header, &e), 0);
        assert_string_equal(header, "Authorization: Bearer abc");

        assert_true(token_header("A:", "abc\r\nX-Other: 1", &header, &e) < 0);
        assert_int_equal(e.class, ERROR_AUTH);
        assert_true(token_header("A:", NULL, &header, &e) < 0);
        assert_string_equal(e.code, CODE_RECONNECT_ACCOUNT);
}

static void test_small(_unused_ void **state) {
        _cleanup_free_ char *a = join_url("https://example.org//", "/x"), *b = join_url("", "");
        usec_t n = now(CLOCK_REALTIME);

        assert_string_equal(a, "https://example.org/x");
        assert_string_equal(b, "");

        assert_true(text_is_blank(""));
        assert_true(text_is_blank(" \n\t\xc2\xa0\xe2\x80\x8b\xe3\x80\x80"));
        assert_false(text_is_blank(" ."));

        assert_non_null(usable_id("urn:li:share:1", 20));
        assert_null(usable_id("urn:li:share:1", 5));
        assert_null(usable_id("a b", 5));
        assert_null(usable_id("a\x7f", 5));
        assert_null(usable_id("\xff", 5));
        assert_null(usable_id("", 5));
        assert_null(usable_id(NULL, 5));

        assert_in_range(clamp_retry(0, 5 * USEC_PER_SEC), n + 5 * USEC_PER_SEC,
                        n + 6 * USEC_PER_SEC);
        assert_in_range(clamp_retry(n - USEC_PER_SEC, 60), n, n + 2 * USEC_PER_SEC);
        assert_in_range(clamp_retry(n + 100 * USEC_PER_DAY, 60), n, n + 8 * USEC_PER_DAY);
        for (int i = 0; i < 100; i++)
                assert_in_range(jitter(10), 0, 9);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_list),   cmocka_unit_test(test_words),
                cmocka_unit_test(test_refuse), cmocka_unit_test(test_token_header),
                cmocka_unit_test(test_small),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
