/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/settings.h"
#include "providers/parts.h"

#include <errno.h>

static void test_count(_unused_ void **state) {
        assert_int_equal(mastodon_count("", 23, true), 0);
        assert_int_equal(mastodon_count("hello", 23, true), 5);
        assert_int_equal(mastodon_count("https://a.example", 23, true), 23);
        assert_int_equal(
                mastodon_count("x https://example.org/a/very/long/path/that/goes/on/and/on y", 23,
                               true),
                23 + 4);
        assert_int_equal(mastodon_count("hi @alice@example.org!", 23, true), 10);
        assert_int_equal(mastodon_count("hi @alice!", 23, true), 10);
        /* a flag: one character, two code points */
        assert_int_equal(mastodon_count("\xf0\x9f\x87\xab\xf0\x9f\x87\xb7", 23, true), 1);
        assert_int_equal(mastodon_count("\xf0\x9f\x87\xab\xf0\x9f\x87\xb7", 23, false), 2);
        assert_int_equal(mastodon_count("\xff", 23, true), -EINVAL);
}

#define URL_HTML                                                                                    \
        "<a href=\"https://example.org/a?b=1&amp;c=2\" rel=\"nofollow\"><span class=\"invisible\">" \
        "https://</span><span class=\"ellipsis\">example.org/a?b=1</span>"                          \
        "<span class=\"invisible\">&amp;c=2</span></a>"

static const struct {
        const char *html, *shown, *targets;
} plain[] = {
        { "", "", "" },
        { "<p>a</p>", "a\n\n", "a\n\n" },
        { "<p>a<br>b<br/>c<BR />d</p>", "a\nb\nc\nd\n\n", "a\nb\nc\nd\n\n" },
        { "<p>a</p><p>b</p>", "a\n\nb\n\n", "a\n\nb\n\n" },
        { "&lt;b&gt; &amp;amp; &quot;&#39;&#x27;&apos;", "<b> &amp; \"'''", "<b> &amp; \"'''" },
        { "&#8364;&#x1F600;", "\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "&bogus; & &#; &#xzz; &#0;&#xd800;", "&bogus; & &#; &#xzz; ", "&bogus; & &#; &#xzz; " },
        { URL_HTML, "https://example.org/a?b=1&c=2", "https://example.org/a?b=1&c=2" },
        { "<a href=\"https://example.org/long\">example.org/…</a>", "example.org/…",
          "https://example.org/long" },
        { "<a href=\"https://h/@al\" class=\"u-url mention\">@<span>al</span></a>", "@al", "@al" },
        { "<a href=\"https://h/tags/x\" class=\"mention hashtag\">#<span>x</span></a>", "#x",
          "#x" },
        { "<i title=\"a>b\">x</i>", "x", "x" },
        { "x<!-- a -->y", "xy", "xy" },
        { "cut <a href=\"", "cut ", "cut " },
        { "</a></a>x", "x", "x" },
};

static void test_plain_text(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(plain); i++) {
                _cleanup_free_ char *shown = NULL, *targets = NULL;

                assert_int_equal(mastodon_plain_text(plain[i].html, false, &shown), 0);
                assert_string_equal(shown, plain[i].shown);
                assert_int_equal(mastodon_plain_text(plain[i].html, true, &targets), 0);
                assert_string_equal(targets, plain[i].targets);
        }
}

static const struct {
        const char *html, *text;
        Likeness likeness;
} likenesses[] = {
        { "<p>one<br>two</p><p>three</p>", "one\ntwo\n\nthree", TEXT_SAME },
        { "<p>see " URL_HTML "</p>", "see https://example.org/a?b=1&c=2", TEXT_SAME },
        { "<p>hi <span class=\"h-card\"><a href=\"https://h.example/@al\">@<span>al</span></a>"
          "</span></p>",
          "hi @al@h.example", TEXT_SAME },
        { "<p>a <b>bold</b> word</p>", "a *bold* word", TEXT_SAME },
        { "Hi <b> & x<br>", "Hi <b> & x", TEXT_SAME }, /* a server that escapes nothing */
        { "<p>\xe2\x80\x9cquoted\xe2\x80\x9d</p>", "\"quoted\"", TEXT_SAME },
        { "<p>:-)</p>", ":-)", TEXT_SAME },
        { "<p>:-)</p>", ":-(", TEXT_DIFFERENT },
        { "<p>one</p>", "two", TEXT_DIFFERENT },
        { "<p>one two</p>", "one two three", TEXT_SIMILAR },
        { "<p>two</p>", "one two three", TEXT_DIFFERENT },
        { "", "x", TEXT_DIFFERENT },
};

static void test_compare(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(likenesses); i++) {
                Likeness likeness;

                assert_int_equal(mastodon_compare(likenesses[i].html, likenesses[i].text,
                                                  &likeness),
                                 0);
                if (likeness != likenesses[i].likeness)
                        fail_msg("%s: %d", likenesses[i].html, (int) likeness);
        }
}

static void test_is_proper(_unused_ void **state) {
        static const struct {
                const char *version, *source;
                bool proper;
        } table[] = {
                { "4.3.1", "https://github.com/mastodon/mastodon", true },
                { "4.4.0-nightly.2025-01-01", "https://github.com/mastodon/mastodon", true },
                { "4.3.1+fork", "https://github.com/example/mastodon", false },
                { "2.7.2 (compatible; Other 2.5)", "https://github.com/mastodon/mastodon", false },
                { "4.0.0 (not true)", "https://github.com/mastodon/mastodon", false },
                { "4.3.1", "https://example.org", false },
                { "", "https://github.com/mastodon/mastodon", false },
                { "4.3.1", NULL, false },
                { NULL, "https://github.com/mastodon/mastodon", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();

                assert_int_equal(json_set_string(o, "version", table[i].version), 0);
                assert_int_equal(json_set_string(o, "source_url", table[i].source), 0);
                assert_int_equal(mastodon_is_proper(o), table[i].proper);
        }
        assert_false(mastodon_is_proper(NULL));
}

static int prepare(const Post *post, Request *ret, Error *e) {
        char url[] = "";
        Settings settings = { .mastodon_url = url };

        return provider_find("mastodon")
                ->prepare(&(const ProviderContext){ .settings = &settings },
                          &(const Account){ .remote_id = "al@example.org" }, post, ret, e);
}

static void test_prepare(_unused_ void **state) {
        Post post = { .id = "p", .delivery_id = "d", .text = "hi" };
        _cleanup_(error_done) Error e = ERROR_NULL;
        Request r = {}, other = {};
        char text[502] = "";

        assert_int_equal(prepare(&post, &r, &e), 0);
        assert_string_equal(r.body, "{\"status\":\"hi\"}");
        assert_int_equal(r.way, WAY_READ);
        post.text = "ho";
        assert_int_equal(prepare(&post, &other, &e), 0);
        assert_string_not_equal(r.handle, other.handle);
        request_done(&r);
        request_done(&other);

        post.kind = KIND_COMMENT;
        assert_true(prepare(&post, &r, &e) < 0);
        assert_string_equal(e.code, "parent-missing");
        post.parent_remote_id = "99";
        assert_int_equal(prepare(&post, &r, &e), 0);
        assert_string_equal(r.body, "{\"status\":\"ho\",\"in_reply_to_id\":\"99\"}");
        request_done(&r);

        memset(text, 'x', 501);
        post.text = text;
        assert_true(prepare(&post, &r, &e) < 0);
        assert_string_equal(e.code, "text-too-long");
        text[500] = '\0';
        assert_int_equal(prepare(&post, &r, &e), 0);
        request_done(&r);
        post.text = "\n ";
        assert_true(prepare(&post, &r, &e) < 0);
        assert_string_equal(e.code, "text-empty");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_count),   cmocka_unit_test(test_plain_text),
                cmocka_unit_test(test_compare), cmocka_unit_test(test_is_proper),
                cmocka_unit_test(test_prepare),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
