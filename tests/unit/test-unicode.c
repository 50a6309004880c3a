/* SPDX-License-Identifier: MIT */

/* Counting and normalizing against Unicode's own test data (tests/data/unicode). */

#include "test.h"

#include "data.h"

#include <unistr.h>

#include "base/text.h"

/* Appends one code point of hexadecimal digits, moving *p behind it and the blanks that follow. */
static void append_hex(Str *s, char **p) {
        unsigned long c = strtoul(*p, p, 16);
        uint8_t bytes[4];
        int n;

        n = u8_uctomb(bytes, (ucs4_t) c, sizeof(bytes));
        if (n < 0)
                fail_msg("%lX is no code point", c);
        assert_int_equal(str_append_n(s, (const char *) bytes, (size_t) n), 0);
        *p += strspn(*p, " ");
}

/* Calls check with each line that says something, and says how many there were. */
static size_t each_line(const char *name, void (*check)(char *line)) {
        _cleanup_free_ char *data = NULL;
        size_t n_lines = 0, n;
        char *rest;

        rest = data = read_data(name, &n);
        for (char *line; (line = strsep(&rest, "\n"));)
                if (*line && !strchr("#@", *line)) {
                        check(line);
                        n_lines++;
                }

        return n_lines;
}

/* "÷ 0061 × 0308 ÷ 0062 ÷": a break, a code point, none, a code point, … Any number of whole
 * clusters from the beginning counts as that many. */
static void check_graphemes(char *line) {
        static const char yes[] = "\xc3\xb7 ", no[] = "\xc3\x97 ";
        _cleanup_(str_done) Str text = {};
        int64_t n = 0;

        assert_true(strncmp(line, yes, strlen(yes)) == 0);
        for (char *p = line + strlen(yes); *p;) {
                append_hex(&text, &p);
                if (strncmp(p, no, strlen(no)) == 0) {
                        p += strlen(no);
                        continue;
                }
                n++;
                if (text_count_graphemes(text.data) != n)
                        fail_msg("%s: counted %d up to here: \"%s\"", line,
                                 (int) text_count_graphemes(text.data), p);
                p += strcspn(p, " ");
                p += strspn(p, " ");
        }
}

static void test_graphemes(_unused_ void **state) {
        assert_int_equal(each_line("unicode/GraphemeBreakTest.txt", check_graphemes), 602);
}

/* Rule GB9c, which Unicode 15.1 added, with its cases of GraphemeBreakTest-15.1.0.txt, and words
 * with the counts that pages of the W3C and of Ruby's give them. */
static void test_conjuncts(_unused_ void **state) {
        static const char *const lines[] = {
                "÷ 0915 ÷ 0924 ÷",
                "÷ 0915 × 094D × 0924 ÷",
                "÷ 0915 × 094D × 094D × 0924 ÷",
                "÷ 0915 × 094D × 200D × 0924 ÷",
                "÷ 0915 × 093C × 200D × 094D × 0924 ÷",
                "÷ 0915 × 093C × 094D × 200D × 0924 ÷",
                "÷ 0915 × 094D × 0924 × 094D × 092F ÷",
                "÷ 0915 × 094D ÷ 0061 ÷",
                "÷ 0061 × 094D ÷ 0924 ÷",
                "÷ 003F × 094D ÷ 0924 ÷",
        };
        static const struct {
                const char *word;
                int64_t count;
        } words[] = {
                { "हिन्दी", 2 }, { "क्या", 1 }, { "स्कूल", 2 }, { "ঝিল্লি", 2 }, { "ক্ষী", 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                _cleanup_free_ char *line = strdup(lines[i]);

                assert_non_null(line);
                check_graphemes(line);
        }
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                assert_int_equal(text_count_graphemes(words[i].word), words[i].count);
}

/* An emoji is one, alone, beside its like, and between letters. */
static void check_emoji(char *line) {
        _cleanup_(str_done) Str one = {}, two = {}, between = {};
        char *p;

        for (p = line; *p;)
                append_hex(&one, &p);
        assert_int_equal(str_appendf(&two, "%s%s", one.data, one.data), 0);
        assert_int_equal(str_appendf(&between, "a%sb", one.data), 0);

        if (text_count_graphemes(one.data) != 1 || text_count_graphemes(two.data) != 2 ||
            text_count_graphemes(between.data) != 3)
                fail_msg("%s is not counted as one", line);
}

static void test_emoji(_unused_ void **state) {
        assert_int_equal(each_line("unicode/emoji-test.txt", check_emoji), 3655);
}

/* Five columns: source, NFC, NFD, NFKC, NFKD. The NFC of the first three is the second, of the
 * last two the fourth. */
static void check_nfc(char *line) {
        Str columns[5] = {};
        char *p = line;

        for (size_t i = 0; i < ELEMENTSOF(columns); i++) {
                while (*p != ';')
                        append_hex(&columns[i], &p);
                p++;
        }
        for (size_t i = 0; i < ELEMENTSOF(columns); i++) {
                _cleanup_free_ char *normal = NULL;

                assert_int_equal(text_nfc(columns[i].data, &normal), 0);
                if (!streq(normal, columns[i < 3 ? 1 : 3].data))
                        fail_msg("%s: the NFC of column %zu is another", line, i + 1);
        }
        for (size_t i = 0; i < ELEMENTSOF(columns); i++)
                str_done(&columns[i]);
}

static void test_nfc(_unused_ void **state) {
        assert_int_equal(each_line("unicode/NormalizationTest.txt", check_nfc), 2262);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_graphemes),
                cmocka_unit_test(test_conjuncts),
                cmocka_unit_test(test_emoji),
                cmocka_unit_test(test_nfc),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
