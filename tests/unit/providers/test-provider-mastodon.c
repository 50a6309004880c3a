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

/* What Mastodon's documentation says ("Posting to your profile": Text, Links, Mentions), and the
 * behaviour that its own tests hold fast (spec/validators/status_length_validator_spec.rb there,
 * and issue 12884 for links that grow): facts of theirs, for a limit of 500. The text is n_a times
 * 'a', then head, n times piece, tail. */
static const struct {
        const char *fact;
        size_t n_a;
        const char *head;
        size_t n;
        const char *piece, *tail;
        int64_t count;
} documented[] = {
        { "the limit is of characters", 500, "", 0, "", "", 500 },
        { "a link is 23, however long", 476, " http://", 30, "b", ".com/example", 500 },
        { "a link is 23, however short", 0, "https://www.gnu.org", 0, "", "", 23 },
        { "links start with http:// or https://", 0, "see example.com/a/b here", 0, "", "", 24 },
        { "what is glued to a word is no link", 476, "http://", 30, "b", ".com/example", 525 },
        { "nor is what is far too long", 0, "http://example.com/valid?", 1000, "#foo?", "", 5025 },
        { "of a mention only the name counts", 0, "@alice@example.com", 0, "", "", 6 },
        { "of a mention only the name counts", 475, " @alice@", 30, "b", ".com", 482 },
        { "a domain that is too long is none", 0, "@alice@", 500, "b", ".com", 511 },
        { "domains are in any script", 0, "hi @arnt@gr\xc3\xa5.org!", 0, "", "", 9 },
        { "and end with their last letter", 0, "hi @bob@example.org...", 0, "", "", 10 },
        { "an emoji is one", 0, "", 500, "\xe2\x9c\xa8", "", 500 },
        { "an emoji of several is one", 0, "", 500,
          "\xf0\x9f\x8f\xb3\xef\xb8\x8f\xe2\x80\x8d\xe2\x9a\xa7\xef\xb8\x8f", "", 500 },
        /* twitter-text, which Mastodon extracts links with: conformance/extract.yml */
        { "a host without a domain is no link", 0, "http://no-tld", 0, "", "", 13 },
        { "a domain has two letters or more", 0, "http://tld-too-short.x", 0, "", "", 22 },
};

static void test_count_as_documented(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(documented); i++) {
                _cleanup_(str_done) Str text = {};
                int64_t count;

                for (size_t k = 0; k < documented[i].n_a; k++)
                        assert_int_equal(str_append(&text, "a"), 0);
                assert_int_equal(str_append(&text, documented[i].head), 0);
                for (size_t k = 0; k < documented[i].n; k++)
                        assert_int_equal(str_append(&text, documented[i].piece), 0);
                assert_int_equal(str_append(&text, documented[i].tail), 0);

                count = mastodon_count(text.data, 23, true);
                if (count != documented[i].count)
                        fail_msg("%s: counted %d, not %d", documented[i].fact, (int) count,
                                 (int) documented[i].count);
        }
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
        /* composed there, in two code points here, and the other way round */
        { "<p>caf\xc3\xa9</p>", "cafe\xcc\x81", TEXT_SAME },
        { "<p>cafe\xcc\x81</p>", "caf\xc3\xa9", TEXT_SAME },
        { "<p>cafe</p>", "caf\xc3\xa9", TEXT_DIFFERENT },
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
                cmocka_unit_test(test_count),      cmocka_unit_test(test_count_as_documented),
                cmocka_unit_test(test_plain_text), cmocka_unit_test(test_compare),
                cmocka_unit_test(test_is_proper),  cmocka_unit_test(test_prepare),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
