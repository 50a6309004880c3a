/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/text.h"

#include <errno.h>

#include "fake.h"

static void test_strjoinf(void **state _unused_) {
        _cleanup_free_ char *s = strjoinf("%s-%d", "a", 5);

        assert_string_equal(s, "a-5");
        oom_at(0);
        assert_null(strjoinf("x"));
        assert_true(oom_off());
}

static void test_str(void **state _unused_) {
        _cleanup_(str_done) Str s = {};

        assert_int_equal(str_append(&s, ""), 0);
        assert_string_equal(s.data, "");
        assert_int_equal(str_append(&s, "ab"), 0);
        assert_int_equal(str_append_n(&s, "cdefgh", 2), 0);
        assert_int_equal(str_append_n(&s, NULL, 0), 0);
        assert_int_equal(str_appendf(&s, "-%03d", 7), 0);
        assert_string_equal(s.data, "abcd-007");
        assert_int_equal(s.length, 8);

        for (size_t i = 0; i < 1000; i++)
                assert_int_equal(str_append_n(&s, "x\0y", 3), 0);
        assert_int_equal(s.length, 3008);
        assert_memory_equal(s.data + 3005, "x\0y", 4);
        assert_true(s.allocated > s.length);

        str_done(&s);
        assert_null(s.data);
        assert_int_equal(s.length, 0);
        str_done(NULL);
}

static void test_str_no_memory(void **state _unused_) {
        _cleanup_(str_done) Str s = {};
        char large[200];

        memset(large, 'x', sizeof(large));
        assert_int_equal(str_append(&s, "kept"), 0);
        oom_at(0);
        assert_int_equal(str_append_n(&s, large, sizeof(large)), -ENOMEM);
        assert_int_equal(str_appendf(&s, "%d", 1), -ENOMEM);
        assert_true(oom_off());
        assert_string_equal(s.data, "kept");
        assert_int_equal(s.length, 4);
        assert_int_equal(str_append_n(&s, "x", SIZE_MAX - 1), -ENOMEM);
        assert_string_equal(s.data, "kept");
}

/* Unicode 15, table 3-7: the first and last of each row, and what lies just outside. */
static void test_utf8_decode(void **state _unused_) {
        static const struct {
                const char *s;
                size_t n;
                int length;
                uint32_t c;
        } cases[] = {
                { "\0", 1, 1, 0 },
                { "\x7f", 1, 1, 0x7f },
                { "\xc2\x80", 2, 2, 0x80 },
                { "\xdf\xbf", 2, 2, 0x7ff },
                { "\xe0\xa0\x80", 3, 3, 0x800 },
                { "\xed\x9f\xbf", 3, 3, 0xd7ff },
                { "\xee\x80\x80", 3, 3, 0xe000 },
                { "\xef\xbf\xbf", 3, 3, 0xffff },
                { "\xf0\x90\x80\x80", 4, 4, 0x10000 },
                { "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
                { "\xe2\x82\xac!", 4, 3, 0x20ac },
                { "", 0, -EINVAL, 0 },
                { "\x80", 1, -EINVAL, 0 },
                { "\xbf", 1, -EINVAL, 0 },
                { "\xc0\x80", 2, -EINVAL, 0 },
                { "\xc1\xbf", 2, -EINVAL, 0 },
                { "\xc2", 1, -EINVAL, 0 },
                { "\xc2\x7f", 2, -EINVAL, 0 },
                { "\xc2\xc0", 2, -EINVAL, 0 },
                { "\xe0\x9f\xbf", 3, -EINVAL, 0 },
                { "\xed\xa0\x80", 3, -EINVAL, 0 },
                { "\xed\xbf\xbf", 3, -EINVAL, 0 },
                { "\xe2\x82", 2, -EINVAL, 0 },
                { "\xe2\x82\xac", 2, -EINVAL, 0 },
                { "\xf0\x8f\xbf\xbf", 4, -EINVAL, 0 },
                { "\xf4\x90\x80\x80", 4, -EINVAL, 0 },
                { "\xf5\x80\x80\x80", 4, -EINVAL, 0 },
                { "\xfe", 1, -EINVAL, 0 },
                { "\xff", 1, -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint32_t c = 4711;

                assert_int_equal(utf8_decode(cases[i].s, cases[i].n, &c), cases[i].length);
                assert_int_equal(c, cases[i].length < 0 ? 4711 : cases[i].c);
                assert_int_equal(utf8_is_valid(cases[i].s, cases[i].n),
                                 cases[i].n == 0 || cases[i].length > 0);
        }
        assert_true(utf8_is_valid(NULL, 0));
}

static void assert_valid(const char *s, size_t n, size_t max, const char *expected) {
        _cleanup_free_ char *valid = utf8_make_valid(s, n, max);

        assert_string_equal(valid, expected);
}

#define R "\xef\xbf\xbd"
#define E "\xe2\x80\xa6"

static void test_utf8_make_valid(void **state _unused_) {
        assert_valid("", 0, 10, "");
        assert_valid(NULL, 0, 10, "");
        assert_valid("h\xc3\xa9llo", 6, 10, "h\xc3\xa9llo");
        assert_valid("a\0b", 3, 10, "ab");
        assert_valid("\x01\x02\t\n\r\x1b[0m\x1f", 10, 10, "\t\n[0m");
        assert_valid("\xc2\x85\x7f", 3, 10, "\xc2\x85\x7f");
        assert_valid("\xff", 1, SIZE_MAX, R);
}

/* Unicode 15, 3.9: tables 3-8 to 3-11. */
static void test_utf8_make_valid_subparts(void **state _unused_) {
        assert_valid("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", 9, 99, R R R R R R R R "A");
        assert_valid("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", 9, 99, R R R R R R R R "A");
        assert_valid("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", 9, 99, R R R R R "A" R R "B");
        assert_valid("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9, 99, R R R R "A");
}

static void test_utf8_make_valid_cut(void **state _unused_) {
        assert_valid("abcdef", 6, 6, "abcdef");
        assert_valid("abcdef", 6, 5, "ab" E);
        assert_valid("abcdef", 6, 3, E);
        assert_valid("abcdef", 6, 2, "ab");
        assert_valid("abcdef", 6, 0, "");
        /* 2 bytes each: the third would need 6 + 3 */
        assert_valid("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa4", 10, 8, "\xc3\xa4\xc3\xb6" E);
        assert_valid("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa4", 10, 9,
                     "\xc3\xa4\xc3\xb6\xc3\xbc" E);
        assert_valid("\xf0\x9f\x98\x80", 4, 3, E);
        assert_valid("\xf0\x9f\x98\x80", 4, 2, "");
        /* what is removed needs no room */
        assert_valid("abc\x01\x02", 5, 3, "abc");
        /* what is replaced needs more */
        assert_valid("\xff\xff\xff", 3, 8, R E);
}

static void test_utf8_make_valid_no_memory(void **state _unused_) {
        oom_at(0);
        assert_null(utf8_make_valid("a", 1, 5));
        assert_true(oom_off());
        assert_null(utf8_make_valid("a", SIZE_MAX, 5));
}

static void test_counts(void **state _unused_) {
        static const struct {
                const char *s;
                int64_t code_points, utf16, graphemes;
        } cases[] = {
                { "", 0, 0, 0 },
                { "a", 1, 1, 1 },
                { "  ", 2, 2, 2 },
                /* CR LF, and each alone */
                { "\r\n", 2, 2, 1 },
                { "\n\r", 2, 2, 2 },
                { "\r\xcc\x88\n", 3, 3, 3 },
                { "\t\xcc\x88", 2, 2, 2 },
                /* e + COMBINING ACUTE, composed é */
                { "e\xcc\x81", 2, 2, 1 },
                { "\xc3\xa9", 1, 1, 1 },
                { " \xcc\x88 ", 3, 3, 2 },
                /* Z̶a̷l̸: several marks */
                { "Z\xcc\xb6\xcc\x81", 3, 3, 1 },
                /* Hangul: L V T, LV T, LV V, LVT T, LVT V, LVT LV */
                { "\xe1\x84\x80\xe1\x85\xa0\xe1\x86\xa8", 3, 3, 1 },
                { "\xea\xb0\x80\xe1\x86\xa8", 2, 2, 1 },
                { "\xea\xb0\x80\xe1\x85\xa0", 2, 2, 1 },
                { "\xea\xb0\x81\xe1\x86\xa8", 2, 2, 1 },
                { "\xea\xb0\x81\xe1\x85\xa0", 2, 2, 2 },
                { "\xea\xb0\x81\xea\xb0\x80", 2, 2, 2 },
                /* flags: RI RI, RI RI RI, RI RI RI RI, with letters, with ZWJ */
                { "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa", 2, 4, 1 },
                { "\xf0\x9f\x87\xa6\xf0\x9f\x87\xa7\xf0\x9f\x87\xa8", 3, 6, 2 },
                { "\xf0\x9f\x87\xa6\xf0\x9f\x87\xa7\xf0\x9f\x87\xa8\xf0\x9f\x87\xa9", 4, 8, 2 },
                { "a\xf0\x9f\x87\xa6\xf0\x9f\x87\xa7\xf0\x9f\x87\xa8"
                  "b",
                  5, 8, 4 },
                { "\xf0\x9f\x87\xa6\xe2\x80\x8d\xf0\x9f\x87\xa7", 3, 5, 2 },
                /* ZWJ: after a letter it joins nothing */
                { "a\xe2\x80\x8d", 2, 2, 1 },
                { "a\xe2\x80\x8d\xf0\x9f\x9b\x91", 3, 4, 2 },
                { "\xf0\x9f\x9b\x91\xe2\x80\x8d\xf0\x9f\x9b\x91", 3, 5, 1 },
                { "\xe2\x9c\x81\xe2\x80\x8d\xe2\x9c\x81", 3, 3, 1 },
                /* skin tones: a baby and another; baby and a letter with one */
                { "\xf0\x9f\x91\xb6\xf0\x9f\x8f\xbf\xf0\x9f\x91\xb6", 3, 6, 2 },
                { "a\xf0\x9f\x8f\xbf\xf0\x9f\x91\xb6", 3, 5, 2 },
                /* family of four: man, woman, girl, boy joined */
                { "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7"
                  "\xe2\x80\x8d\xf0\x9f\x91\xa6",
                  7, 11, 1 },
                /* baby, tone, mark, ZWJ, baby, tone */
                { "\xf0\x9f\x91\xb6\xf0\x9f\x8f\xbf\xcc\x88\xe2\x80\x8d\xf0\x9f\x91\xb6\xf0\x9f"
                  "\x8f\xbf",
                  6, 10, 1 },
                /* rainbow flag, keycap, red heart with VS16 */
                { "\xf0\x9f\x8f\xb3\xef\xb8\x8f\xe2\x80\x8d\xf0\x9f\x8c\x88", 4, 6, 1 },
                { "1\xef\xb8\x8f\xe2\x83\xa3", 3, 3, 1 },
                { "\xe2\x9d\xa4\xef\xb8\x8f", 2, 2, 1 },
                /* flag of Scotland: black flag and tags */
                { "\xf0\x9f\x8f\xb4\xf3\xa0\x81\xa7\xf3\xa0\x81\xa2\xf3\xa0\x81\xb3\xf3\xa0\x81\xa3"
                  "\xf3\xa0\x81\xb4\xf3\xa0\x81\xbf",
                  7, 14, 1 },
                /* prepend: ARABIC NUMBER SIGN; spacing mark: DEVANAGARI SIGN VISARGA */
                { "a\xd8\x80"
                  "b",
                  3, 3, 2 },
                { "a\xe0\xa4\x83"
                  "b",
                  3, 3, 2 },
                /* Tamil ni (UAX #29, table 1a), Thai ko kam (its extended cluster) */
                { "\xe0\xae\xa8\xe0\xae\xbf", 2, 2, 1 },
                { "\xe0\xb8\x81\xe0\xb8\xb3", 2, 2, 1 },
                /* Han, one of them beyond the BMP */
                { "\xe6\xbc\xa2\xe5\xad\x97\xf0\xa0\x80\x80", 3, 4, 3 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                if (text_count_graphemes(cases[i].s) != cases[i].graphemes)
                        fail_msg("case %zu: %s", i, cases[i].s);
                assert_int_equal(text_count_code_points(cases[i].s), cases[i].code_points);
                assert_int_equal(text_count_utf16(cases[i].s), cases[i].utf16);
        }

        assert_int_equal(text_count_code_points("a\xff"), -EINVAL);
        assert_int_equal(text_count_utf16("a\xff"), -EINVAL);
        assert_int_equal(text_count_graphemes("a\xff"), -EINVAL);
        oom_at(0);
        assert_int_equal(text_count_graphemes("a"), -ENOMEM);
        assert_true(oom_off());
}

static void test_nfc(void **state _unused_) {
        static const char *const cases[][2] = {
                { "", "" },
                { "plain", "plain" },
                { "e\xcc\x81", "\xc3\xa9" },
                { "\xc3\xa9", "\xc3\xa9" },
                /* UAX #15, figures 3 to 5: ANGSTROM, OHM; s with two dots; ligature fi stays */
                { "\xe2\x84\xab", "\xc3\x85" },
                { "A\xcc\x8a", "\xc3\x85" },
                { "\xe2\x84\xa6", "\xce\xa9" },
                { "s\xcc\xa3\xcc\x87", "\xe1\xb9\xa9" },
                { "s\xcc\x87\xcc\xa3", "\xe1\xb9\xa9" },
                { "\xe1\xb8\x8b\xcc\xa3", "\xe1\xb8\x8d\xcc\x87" },
                { "\xef\xac\x81", "\xef\xac\x81" },
                /* Hangul: 1100 1161 11A8 → AC01 */
                { "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81" },
                /* excluded from composition: DEVANAGARI QA */
                { "\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc" },
        };
        char *none = NULL;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *s = NULL;

                assert_int_equal(text_nfc(cases[i][0], &s), 0);
                assert_string_equal(s, cases[i][1]);
        }
        assert_int_equal(text_nfc("\xff", &none), -EINVAL);
        assert_null(none);
}

static void assert_scrubbed(const char *s, const char *a, const char *b, const char *expected) {
        const char *const secrets[] = { a, b };
        _cleanup_free_ char *scrubbed = text_scrub(s, secrets, 2);

        assert_string_equal(scrubbed, expected);
}

static void test_scrub(void **state _unused_) {
        _cleanup_free_ char *none = text_scrub("kept", NULL, 0);

        assert_string_equal(none, "kept");
        assert_scrubbed("", "secret1", NULL, "");
        assert_scrubbed("nothing here", "secret1", NULL, "nothing here");
        assert_scrubbed("secret1", "secret1", NULL, "[secret]");
        assert_scrubbed("a secret1 b secret1", "secret1", NULL, "a [secret] b [secret]");
        assert_scrubbed("secret1secret1", "secret1", NULL, "[secret][secret]");
        assert_scrubbed("secret1,topsecret2.", "topsecret2", "secret1", "[secret],[secret].");
        /* the shorter is part of the longer, in both orders */
        assert_scrubbed("x longsecret y", "longse", "longsecret", "x [secret] y");
        assert_scrubbed("x longsecret y", "longsecret", "longse", "x [secret] y");
        /* two that overlap leave nothing of either */
        assert_scrubbed("-abcdefghij-", "abcdefg", "defghij", "-[secret]-");
        assert_scrubbed("-aaaaaaaaa-", "aaaaaa", NULL, "-[secret]-");
        assert_scrubbed("secret", "secret1", NULL, "secret");
        /* five bytes are no secret, six are */
        assert_scrubbed("12345 123456", "12345", NULL, "12345 123456");
        assert_scrubbed("12345 123456", "123456", "", "12345 [secret]");
}

static void test_scrub_no_memory(void **state _unused_) {
        const char *const secrets[] = { "topsecret" };

        oom_at(0);
        assert_null(text_scrub("a topsecret", secrets, 1));
        assert_true(oom_off());
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_strjoinf),
                cmocka_unit_test(test_str),
                cmocka_unit_test(test_str_no_memory),
                cmocka_unit_test(test_utf8_decode),
                cmocka_unit_test(test_utf8_make_valid),
                cmocka_unit_test(test_utf8_make_valid_subparts),
                cmocka_unit_test(test_utf8_make_valid_cut),
                cmocka_unit_test(test_utf8_make_valid_no_memory),
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_nfc),
                cmocka_unit_test(test_scrub),
                cmocka_unit_test(test_scrub_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
