/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/settings.h"
#include "base/text.h"
#include "providers/parts.h"

static const struct {
        const char *text, *little;
} little[] = {
        { "", "" },
        { "plain", "plain" },
        { "a|b{c}d@e[f]g(h)i<j>k\\l*m_n~o",
          "a\\|b\\{c\\}d\\@e\\[f\\]g\\(h\\)i\\<j\\>k\\\\l\\*m\\_n\\~o" },
        { "# 1 #1 a#b", "\\# 1 \\#1 a\\#b" },
        { "go #go!", "go {hashtag|\\#|go}!" },
        { "#a_b", "{hashtag|\\#|a\\_b}" },
        { "#\xc3\xa9t\xc3\xa9 #two", "{hashtag|\\#|\xc3\xa9t\xc3\xa9} {hashtag|\\#|two}" },
        { "\xef\xbc\x83wide", "{hashtag|\xef\xbc\x83|wide}" },
        { "(\xe2\x82\xac)", "\\(\xe2\x82\xac\\)" },
};

static void test_little_text(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(little); i++) {
                _cleanup_free_ char *there = NULL, *back = NULL;

                assert_int_equal(linkedin_little_text(little[i].text, &there), 0);
                assert_string_equal(there, little[i].little);
                assert_int_equal(linkedin_plain_text(there, &back), 0);
                assert_string_equal(back, little[i].text);
        }
}

/* The reserved characters, each of which is a plain character only behind a backslash, and the
 * grammar: "little text format" in Microsoft Learn's LinkedIn documentation (Community Management,
 * Posts API), versions of 2025 and 2026:
 *
 *     Text             one or more of: a character that is not reserved, '\' and a reserved one
 *     HashtagTemplate  "{hashtag|", the sign ("\#" or U+FF03), "|", Text, "}"
 *     HashtagElement   '#' and a single word
 *     MentionElement   '@', a name in '[' ']' or none, '(' URN ')'
 *
 * What we write is Text and HashtagTemplates: anything else is an element that nobody meant. */
#define LITTLE_RESERVED "|{}@[]()<>#\\*_~"

/* Text up to a reserved character that is not escaped, which stays at *p. */
static void read_text(const char **p, Str *ret) {
        for (; **p; (*p)++) {
                if (**p == '\\') {
                        (*p)++;
                        if (!**p || !strchr(LITTLE_RESERVED, **p))
                                fail_msg("'\\' in front of what is not reserved: \"%s\"", *p);
                } else if (strchr(LITTLE_RESERVED, **p))
                        return;
                assert_int_equal(str_append_n(ret, *p, 1), 0);
        }
}

static bool take(const char **p, const char *word) {
        if (strncmp(*p, word, strlen(word)) != 0)
                return false;
        *p += strlen(word);
        return true;
}

/* What a reader sees of a commentary, by the grammar alone. */
static void read_little(const char *commentary, Str *ret) {
        const char *p = commentary;

        assert_int_equal(str_append(ret, ""), 0);
        for (read_text(&p, ret); *p; read_text(&p, ret)) {
                size_t before;

                if (!take(&p, "{hashtag|"))
                        fail_msg("\"%s\" is not plain at \"%s\"", commentary, p);
                if (take(&p, "\\#|"))
                        assert_int_equal(str_append(ret, "#"), 0);
                else if (take(&p, "\xef\xbc\x83|"))
                        assert_int_equal(str_append(ret, "\xef\xbc\x83"), 0);
                else
                        fail_msg("\"%s\" has no sign at \"%s\"", commentary, p);
                before = ret->length;
                read_text(&p, ret);
                if (ret->length == before || !take(&p, "}"))
                        fail_msg("\"%s\" has no hashtag at \"%s\"", commentary, p);
        }
}

static void check_little(const char *text) {
        _cleanup_free_ char *commentary = NULL, *back = NULL;
        _cleanup_(str_done) Str seen = {};

        assert_int_equal(linkedin_little_text(text, &commentary), 0);
        read_little(commentary, &seen);
        if (!streq(seen.data, text))
                fail_msg("\"%s\" becomes \"%s\", which reads \"%s\"", text, commentary, seen.data);
        assert_int_equal(linkedin_plain_text(commentary, &back), 0);
        assert_string_equal(back, text);
}

static void test_little_text_grammar(_unused_ void **state) {
        static const char singles[] = LITTLE_RESERVED " \na0.%";
        static const char *const pieces[] = {
                "Zz",
                "#a",
                "#b_",
                "://",
                "{hashtag|",
                "@[a](urn:li:person:1)",
                "{hashtag|\\#|",
                "\xef\xbc\x83",
                "\xc3\xa9",
                "\xf0\x9f\x98\x80",
                "\xcc\x81",
        };
        uint64_t random = UINT64_C(0x9e3779b97f4a7c15);

        /* Each character by itself: escaped exactly if it is reserved. */
        for (char c = 1; c < 0x7f; c++) {
                char text[] = { c, '\0' }, escaped[] = { '\\', c, '\0' };
                _cleanup_free_ char *commentary = NULL;

                assert_int_equal(linkedin_little_text(text, &commentary), 0);
                assert_string_equal(commentary, strchr(LITTLE_RESERVED, c) ? escaped : text);
        }

        /* And all of them in any order, up to twelve: a fixed sequence of xorshift64. */
        for (size_t i = 0; i < 20000; i++) {
                _cleanup_(str_done) Str text = {};

                assert_int_equal(str_append(&text, ""), 0);
                for (size_t k = i % 13; k > 0; k--) {
                        size_t n;

                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        n = random % (strlen(singles) + ELEMENTSOF(pieces));
                        if (n < strlen(singles))
                                assert_int_equal(str_append_n(&text, singles + n, 1), 0);
                        else
                                assert_int_equal(str_append(&text, pieces[n - strlen(singles)]), 0);
                }
                check_little(text.data);
        }
}

static void test_find_urn(_unused_ void **state) {
        static const struct {
                const char *text, *urn;
        } table[] = {
                { "Content is a duplicate of urn:li:share:7123", "urn:li:share:7123" },
                { "urn:li:person:1 urn:li:ugcPost:5.", "urn:li:ugcPost:5" },
                { "(urn:li:activity:99)", "urn:li:activity:99" },
                { "urn:li:share: urn:li:", NULL },
                { "urn:li:person:AbC", NULL },
                { "", NULL },
                { NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *urn = NULL;

                assert_int_equal(linkedin_find_urn(table[i].text, &urn), 0);
                assert_true(streq_ptr(urn, table[i].urn));
        }
}

static void test_parse_error(_unused_ void **state) {
        static const struct {
                const char *body, *code, *message;
        } table[] = {
                { "{\"message\":\"m\",\"serviceErrorCode\":65601,\"status\":401}", NULL, "m" },
                { "{\"status\":426,\"code\":\"NONEXISTENT_VERSION\",\"message\":\"m\"}",
                  "NONEXISTENT_VERSION", "m" },
                { "{\"errorDetailType\":\"x\",\"errorDetails\":{\"inputErrors\":[{\"description\":"
                  "\"d\",\"code\":\"FIELD_LENGTH_TOO_LONG\"}]},\"status\":400}",
                  "FIELD_LENGTH_TOO_LONG", "d" },
                { "{\"errorDetails\":{\"inputErrors\":[]}}", NULL, NULL },
                { "{\"errorDetails\":{\"inputErrors\":{\"code\":1}},\"message\":3}", NULL, NULL },
                { "[]", NULL, NULL },
                { "\"text\"", NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(json_unrefp) JsonObject *o = NULL;
                LinkedinError e;

                assert_int_equal(json_parse(table[i].body, strlen(table[i].body), &o), 0);
                e = linkedin_parse_error(o);
                assert_true(streq_ptr(e.code, table[i].code));
                assert_true(streq_ptr(e.message, table[i].message));
        }
}

static int prepare(const char *author, const char *text, Kind kind, Request *ret, Error *e) {
        Settings settings = {};

        return provider_find("linkedin")
                ->prepare(&(const ProviderContext){ .settings = &settings },
                          &(const Account){ .remote_id = author },
                          &(const Post){
                                  .kind = kind,
                                  .id = "1",
                                  .delivery_id = "d",
                                  .text = text,
                                  .parent_remote_id =
                                          kind == KIND_COMMENT ? "urn:li:share:5" : NULL,
                          },
                          ret, e);
}

static void test_prepare(_unused_ void **state) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        Request r = {};

        assert_int_equal(prepare("AbC", "hi (you)", KIND_POST, &r, &e), 0);
        assert_int_equal(r.way, WAY_RESEND);
        assert_string_equal(r.target, "/rest/posts");
        assert_string_equal(
                r.body,
                "{\"author\":\"urn:li:person:AbC\",\"commentary\":\"hi \\\\(you\\\\)\","
                "\"visibility\":\"PUBLIC\",\"distribution\":{\"feedDistribution\":"
                "\"MAIN_FEED\",\"targetEntities\":[],\"thirdPartyDistributionChannels\":"
                "[]},\"lifecycleState\":\"PUBLISHED\",\"isReshareDisabledByAuthor\":false}");
        request_done(&r);

        assert_int_equal(prepare("urn:li:organization:7", "x", KIND_POST, &r, &e), 0);
        assert_int_equal(r.way, WAY_READ);
        request_done(&r);

        assert_int_equal(prepare("AbC", "a #b (c)", KIND_COMMENT, &r, &e), 0);
        assert_int_equal(r.way, WAY_NONE);
        assert_string_equal(r.target, "/rest/socialActions/urn%3Ali%3Ashare%3A5/comments");
        assert_string_equal(r.body,
                            "{\"actor\":\"urn:li:person:AbC\",\"object\":\"urn:li:share:5\","
                            "\"message\":{\"text\":\"a #b (c)\"}}");
        request_done(&r);
}

static void test_limits(_unused_ void **state) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        char text[4 * 1500 + 2];
        Request r = {};

        /* 3000 visible characters that the escaping doubles */
        memset(text, '(', 3000);
        text[3000] = '\0';
        assert_int_equal(prepare("a", text, KIND_POST, &r, &e), 0);
        request_done(&r);
        text[3000] = 'x';
        text[3001] = '\0';
        assert_true(prepare("a", text, KIND_POST, &r, &e) < 0);
        assert_int_equal(e.class, ERROR_PERMANENT);
        assert_string_equal(e.code, "text-too-long");

        /* beyond the basic plane a character is two units */
        for (size_t i = 0; i < 1500; i++)
                memcpy(text + 4 * i, "\xf0\x9f\x98\x80", 4);
        text[6000] = '\0';
        assert_int_equal(prepare("a", text, KIND_POST, &r, &e), 0);
        request_done(&r);
        strcpy(text + 6000, "x"); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
        assert_true(prepare("a", text, KIND_POST, &r, &e) < 0);
        assert_string_equal(e.code, "text-too-long");

        assert_true(prepare("a", " \n", KIND_POST, &r, &e) < 0);
        assert_string_equal(e.code, "text-empty");
        assert_true(prepare("a", "\xff", KIND_POST, &r, &e) < 0);
        assert_string_equal(e.code, "rejected");
        assert_true(prepare("", "x", KIND_POST, &r, &e) < 0);
        assert_string_equal(e.code, "account-invalid");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_little_text), cmocka_unit_test(test_little_text_grammar),
                cmocka_unit_test(test_find_urn),    cmocka_unit_test(test_parse_error),
                cmocka_unit_test(test_prepare),     cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
