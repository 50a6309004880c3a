/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/text.h"

/* A text, and what is found in it, one after the other, with '|' between. */
typedef struct Case {
        const char *text;
        const char *expected;
} Case;

static int next_url(const char *s, size_t *pos, TextSpan *ret) {
        return text_next_url(s, false, pos, ret);
}

static int next_bare_url(const char *s, size_t *pos, TextSpan *ret) {
        return text_next_url(s, true, pos, ret);
}

static void check(int (*next)(const char *s, size_t *pos, TextSpan *ret), const Case *cases,
                  size_t n) {
        for (size_t i = 0; i < n; i++) {
                _cleanup_(str_done) Str found = {};
                const char *s = cases[i].text;
                TextSpan span;
                size_t pos = 0;
                int r;

                assert_int_equal(str_append(&found, ""), 0);
                while ((r = next(s, &pos, &span)) > 0) {
                        assert_true(span.start < span.end && span.end <= strlen(s));
                        assert_true(pos >= span.end);
                        if (found.length > 0)
                                assert_int_equal(str_append(&found, "|"), 0);
                        assert_int_equal(str_append_n(&found, s + span.start,
                                                      span.end - span.start),
                                         0);
                }
                assert_int_equal(r, 0);
                assert_true(pos >= strlen(s));
                if (!streq(found.data, cases[i].expected))
                        fail_msg("in \"%s\": found \"%s\", expected \"%s\"", s, found.data,
                                 cases[i].expected);
        }
}

static void test_url(void **state _unused_) {
        static const Case cases[] = {
                { "", "" },
                { "no link here", "" },
                { "http://example.org", "http://example.org" },
                { "https://example.org/", "https://example.org/" },
                { "HTTPS://Example.ORG/A", "HTTPS://Example.ORG/A" },
                { "see http://a.example/x and https://b.example/y",
                  "http://a.example/x|https://b.example/y" },
                { "http://a.example\nhttp://b.example\thttp://c.example",
                  "http://a.example|http://b.example|http://c.example" },
                { "https://example.org:8080/a?b=c&d=%20e#f",
                  "https://example.org:8080/a?b=c&d=%20e#f" },
                { "https://example.org?q=1", "https://example.org?q=1" },
                { "https://example.org#top", "https://example.org#top" },
                { "http://localhost:3000/x", "http://localhost:3000/x" },
                { "http://192.0.2.1/x", "http://192.0.2.1/x" },
                { "http://[2001:db8::1]:80/x", "http://[2001:db8::1]:80/x" },
                { "http://user:pa$$@example.org/x", "http://user:pa$$@example.org/x" },
                { "http://a-b.c_d.example/~me/-x_", "http://a-b.c_d.example/~me/-x_" },
                { "https://example.org/@name/1", "https://example.org/@name/1" },
        };

        check(next_url, cases, ELEMENTSOF(cases));
        check(next_bare_url, cases, ELEMENTSOF(cases));
}

static void test_url_punctuation(void **state _unused_) {
        static const Case cases[] = {
                { "http://example.org.", "http://example.org" },
                { "http://example.org...", "http://example.org" },
                { "http://example.org, and", "http://example.org" },
                { "http://example.org/a.", "http://example.org/a" },
                { "http://example.org/a.b", "http://example.org/a.b" },
                { "http://example.org/a?", "http://example.org/a" },
                { "http://example.org/a?!", "http://example.org/a" },
                { "http://example.org/a?b=c!", "http://example.org/a?b=c" },
                { "http://example.org/a,b;", "http://example.org/a,b" },
                { "http://example.org/a:", "http://example.org/a" },
                { "http://example.org:", "http://example.org" },
                { "http://example.org/?", "http://example.org/" },
                { "\"http://example.org/a\"", "http://example.org/a" },
                { "'http://example.org/a'", "http://example.org/a" },
                { "<http://example.org/a>", "http://example.org/a" },
                { "<a href=\"http://example.org/a\">x</a>", "http://example.org/a" },
                { "*http://example.org/a*", "http://example.org/a" },
                { "http://example.org/a?b=1|2||3", "http://example.org/a?b=1|2||3" },
                { "http://example.org/a| b", "http://example.org/a" },
                { "http://example.org/a|", "http://example.org/a" },
                { "http://example.org/a||", "http://example.org/a" },
                { "http://a.example/a|http://b.example/b",
                  "http://a.example/a|http://b.example/b" },
                { "http://example.org/A\xe2\x80\x93" /* – */
                  "B_feud",
                  "http://example.org/A\xe2\x80\x93"
                  "B_feud" },
                { "http://example.org/a\xe2\x80\x93", "http://example.org/a" },
                { "http://example.org/a\xe2\x80\x93, so", "http://example.org/a" },
                { "http://example.org/a\xe2\x80\xa6", "http://example.org/a" }, /* … */
                { "\xe2\x80\x9chttp://example.org/a\xe2\x80\x9d", "http://example.org/a" }, /* “” */
                { "\xc2\xabhttp://example.org/a\xc2\xbb", "http://example.org/a" }, /* «» */
                { "http://example.org/a\xe2\x80\x94so", "http://example.org/a" },   /* — */
        };

        check(next_url, cases, ELEMENTSOF(cases));
        check(next_bare_url, cases, ELEMENTSOF(cases));
}

static void test_url_brackets(void **state _unused_) {
        static const Case cases[] = {
                { "(http://example.org)", "http://example.org" },
                { "(http://example.org/a)", "http://example.org/a" },
                { "(http://example.org/a).", "http://example.org/a" },
                { "(see http://example.org/a, or not)", "http://example.org/a" },
                { "http://example.org/a_(b)", "http://example.org/a_(b)" },
                { "(http://example.org/a_(b))", "http://example.org/a_(b)" },
                { "http://example.org/a_(b)_c.", "http://example.org/a_(b)_c" },
                { "http://example.org/a_((b)c)", "http://example.org/a_((b)c)" },
                { "http://example.org/a(b", "http://example.org/a" },
                { "http://example.org/a.(b", "http://example.org/a" },
                { "[http://example.org/a]", "http://example.org/a" },
                { "http://example.org/a?b[0]=1", "http://example.org/a?b[0]=1" },
                { "http://example.org/a[(b])", "http://example.org/a" },
                { "[x](http://example.org/a)", "http://example.org/a" },
                { "{http://example.org/a}", "http://example.org/a" },
                { "http://example.org/((((((((((((((((((((", "http://example.org/" },
        };

        check(next_url, cases, ELEMENTSOF(cases));
        check(next_bare_url, cases, ELEMENTSOF(cases));
}

static void test_url_none(void **state _unused_) {
        static const Case cases[] = {
                { "http", "" },
                { "http:", "" },
                { "http://", "" },
                { "https://", "" },
                { "http:// example", "" },
                { "http:///example", "" },
                { "http://.", "" },
                { "http://-a", "" },
                /* a mistake, not a link to what is in front of it */
                { "http://example-.org", "" },
                { "http://example.-org", "" },
                { "http://example_.org", "" },
                { "http://?x", "" },
                { "http://[nonsense]/", "" },
                { "http://[]/", "" },
                { "http:/example", "" },
                { "ftp://example.org/a", "" },
                { "xhttp://example.org", "" },
                { "git+https://example.org", "" },
                { "http://\xff", "" },
                { "http://http://", "http://http" },
        };

        check(next_url, cases, ELEMENTSOF(cases));
        check(next_bare_url, cases, ELEMENTSOF(cases));
}

static void test_url_unicode(void **state _unused_) {
        static const Case cases[] = {
                /* 見てhttps://example.org/aです。 */
                { "\xe8\xa6\x8b\xe3\x81\xa6https://example.org/a\xe3\x81\xa7\xe3\x81\x99\xe3\x80\x82",
                  "https://example.org/a" },
                /* https://example.jpは良い */
                { "https://example.jp\xe3\x81\xaf\xe8\x89\xaf\xe3\x81\x84", "https://example.jp" },
                /* full-width brackets and full stop */
                { "\xef\xbc\x88https://example.org/a\xef\xbc\x89", "https://example.org/a" },
                { "https://example.org/a\xe3\x80\x82", "https://example.org/a" },
                { "https://example.org/a\xef\xbc\x8c"
                  "b",
                  "https://example.org/a" },
                /* http://例え.テスト/ */
                { "http://\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88/",
                  "http://\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88/" },
                /* Hangul particle: https://example.org/a은 */
                { "https://example.org/a\xec\x9d\x80", "https://example.org/a" },
                /* http://münchen.example/straße */
                { "http://m\xc3\xbcnchen.example/stra\xc3\x9f"
                  "e",
                  "http://m\xc3\xbcnchen.example/stra\xc3\x9f"
                  "e" },
                /* Cyrillic */
                { "http://\xd0\xb0\xd0\xb1.\xd1\x80\xd1\x84/\xd0\xb2.",
                  "http://\xd0\xb0\xd0\xb1.\xd1\x80\xd1\x84/\xd0\xb2" },
                /* Arabic path, Arabic comma */
                { "http://example.org/\xd8\xa7\xd8\xa8\xd8\x8c x",
                  "http://example.org/\xd8\xa7\xd8\xa8" },
                /* right-to-left marks around */
                { "\xe2\x80\x8fhttp://example.org/a\xe2\x80\x8f", "http://example.org/a" },
                /* emoji on both sides */
                { "\xf0\x9f\x98\x80https://example.org/a\xf0\x9f\x98\x80",
                  "https://example.org/a" },
                /* NO-BREAK SPACE, IDEOGRAPHIC SPACE end it */
                { "https://example.org/a\xc2\xa0"
                  "b",
                  "https://example.org/a" },
                { "https://example.org/a\xe3\x80\x80"
                  "b",
                  "https://example.org/a" },
                /* invalid bytes end it */
                { "https://example.org/a\xff"
                  "b",
                  "https://example.org/a" },
        };

        check(next_url, cases, ELEMENTSOF(cases));
        check(next_bare_url, cases, ELEMENTSOF(cases));
}

static void test_url_bare(void **state _unused_) {
        static const Case cases[] = {
                { "example.org", "example.org" },
                { "see example.org/path?x=1#y.", "example.org/path?x=1#y" },
                { "(example.org)", "example.org" },
                { "www.example.co.uk:8080/x", "www.example.co.uk:8080/x" },
                { "EXAMPLE.ORG", "EXAMPLE.ORG" },
                { "Example.org", "Example.org" },
                { "a.example.org, b.example.com!", "a.example.org|b.example.com" },
                { "example.org.", "example.org" },
                { "example.org:", "example.org" },
                { "m\xc3\xbcnchen.de", "m\xc3\xbcnchen.de" },
                { "\xe8\xa6\x8b\xe3\x81\xa6"
                  "example.org\xe3\x81\xa7\xe3\x81\x99",
                  "example.org" },
                { "x/example.org", "" },
                /* no top-level domains */
                { "file.txt main.c node.js e.g. 3.14 v1.0 a.b etc...", "" },
                { "index.html, photo.jpeg", "" },
                { "example.invalid", "" },
                { "org", "" },
                { ".org", "" },
                { "-.org", "" },
                { "example..org", "" },
                /* the end of a sentence and a new one */
                { "Thanks.It works. Done.So there", "" },
                /* addresses */
                { "bob@example.org", "" },
                { "first.last@example.org", "" },
                { "mail.me@example.org, bob@mail.example.org", "" },
                { "bob@my-site.example.org", "" },
                { "name.al-last@example.org name.al+last@example.org", "" },
                { "mailto:bob@example.org", "" },
                { "@example.org", "" },
                { "#example.org", "" },
                { "$example.org", "" },
                { "ftp://example.org", "" },
                { "ftp://x.example.org/example.com", "" },
                { "my_example.org_x", "" },
                { "/usr/lib/example.org", "" },
                { "x.example.org-", "" },
                /* what is wrong behind its scheme is not half right */
                { "http://\xe2\x9c\xaa"
                  "example.org/x",
                  "" },
                { "https://(example.org", "" },
                { "http://\xe2\x9c\xaa"
                  "example.org/x example.com",
                  "example.com" },
        };

        check(next_bare_url, cases, ELEMENTSOF(cases));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                TextSpan span;
                size_t pos = 0;

                assert_int_equal(text_next_url(cases[i].text, false, &pos, &span), 0);
        }
}

static void test_hashtag(void **state _unused_) {
        static const Case cases[] = {
                { "", "" },
                { "#", "" },
                { "# a", "" },
                { "#a", "#a" },
                { "#tag", "#tag" },
                { "#one #two,#three.", "#one|#two|#three" },
                { "(#tag)", "#tag" },
                { "\"#tag\"", "#tag" },
                { ".#tag", "#tag" },
                { "#snake_case", "#snake_case" },
                { "#_a", "#_a" },
                { "#a-b", "#a" },
                { "#it's", "#it" },
                { "#tag!", "#tag" },
                { "#2026goals", "#2026goals" },
                { "#goals2026", "#goals2026" },
                { "#1", "" },
                { "#2026", "" },
                { "#1_000", "" },
                { "#_", "" },
                { "##a", "" },
                { "###", "" },
                { "#a#b", "#a" },
                { "a#b", "" },
                { "1#b", "" },
                { "_#b", "" },
                { "&#39;", "" },
                { "&#x27;s", "" },
                { "http://example.org/#a", "" },
                { "http://example.org/x#a", "" },
                { "C# and F#", "" },
                { "#http://example.org #https://example.org", "" },
                { "#\xff"
                  "a",
                  "" },
                { "\xff#a", "#a" },
        };

        check(text_next_hashtag, cases, ELEMENTSOF(cases));
}

static void test_hashtag_unicode(void **state _unused_) {
        static const Case cases[] = {
                /* full-width sign, and twice */
                { "\xef\xbc\x83tag", "\xef\xbc\x83tag" },
                { "\xef\xbc\x83\xef\xbc\x83tag", "" },
                { "a\xef\xbc\x83tag", "" },
                /* #café with composed and with combining é */
                { "#caf\xc3\xa9.", "#caf\xc3\xa9" },
                { "#cafe\xcc\x81.", "#cafe\xcc\x81" },
                /* #日本語 followed by a full stop, and inside of a word */
                { "#\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x80\x82",
                  "#\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
                { "\xe6\x97\xa5#\xe6\x9c\xac", "" },
                /* #二〇二六: the zero is a number letter */
                { "#\xe4\xba\x8c\xe3\x80\x87\xe4\xba\x8c\xe5\x85\xad",
                  "#\xe4\xba\x8c\xe3\x80\x87\xe4\xba\x8c\xe5\x85\xad" },
                /* #コーヒー with prolonged sound marks */
                { "#\xe3\x82\xb3\xe3\x83\xbc\xe3\x83\x92\xe3\x83\xbc",
                  "#\xe3\x82\xb3\xe3\x83\xbc\xe3\x83\x92\xe3\x83\xbc" },
                /* Hangul, Cyrillic, Arabic (right to left), Hebrew */
                { "#\xed\x95\x9c\xea\xb5\xad #\xd0\xb4\xd0\xb0",
                  "#\xed\x95\x9c\xea\xb5\xad|#\xd0\xb4\xd0\xb0" },
                { "#\xd8\xa7\xd8\xa8\xd8\x8c", "#\xd8\xa7\xd8\xa8" },
                { "#\xd7\xa9\xd7\x9c", "#\xd7\xa9\xd7\x9c" },
                /* Devanagari with vowel signs, which are marks: #हिन्दी */
                { "#\xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\xa8\xe0\xa5\x8d\xe0\xa4\xa6\xe0\xa5\x80 ",
                  "#\xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\xa8\xe0\xa5\x8d\xe0\xa4\xa6\xe0\xa5\x80" },
                /* Persian with ZERO WIDTH NON-JOINER inside, and at the end */
                { "#\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb4",
                  "#\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb4" },
                { "#\xd9\x85\xdb\x8c\xe2\x80\x8c ", "#\xd9\x85\xdb\x8c" },
                { "#\xe2\x80\x8c"
                  "a",
                  "" },
                /* Catalan, Hebrew (maqaf, geresh; geresh at the end), Tibetan, Japanese */
                { "#il\xc2\xb7lusi\xc3\xb3", "#il\xc2\xb7lusi\xc3\xb3" },
                { "#\xd7\xa2\xd7\x9c\xd6\xbe\xd7\x99", "#\xd7\xa2\xd7\x9c\xd6\xbe\xd7\x99" },
                { "#\xd7\x9e\xd7\xb4\xd7\x9b \xd7\xb3", "#\xd7\x9e\xd7\xb4\xd7\x9b" },
                { "#\xd7\x95\xd7\xb3", "#\xd7\x95" },
                { "#\xe0\xbd\x96\xe0\xbc\x8b\xe0\xbd\xa6",
                  "#\xe0\xbd\x96\xe0\xbc\x8b\xe0\xbd\xa6" },
                { "#\xe3\x82\xa2\xe3\x83\xbb\xe3\x82\xa2",
                  "#\xe3\x82\xa2\xe3\x83\xbb\xe3\x82\xa2" },
                /* Arabic digits alone are digits */
                { "#\xd9\xa1\xd9\xa2", "" },
                /* emoji in front, behind, instead */
                { "\xf0\x9f\x98\x80#a\xf0\x9f\x98\x80", "#a" },
                { "\xe2\x9d\xa4\xef\xb8\x8f#a", "#a" },
                { "#love\xef\xb8\x8f", "#love" },
                { "#love\xe2\x9d\xa4\xef\xb8\x8f", "#love" },
                { "#\xf0\x9f\x98\x80", "" },
                /* keycap: # VS16 U+20E3, # U+20E3, before letters too */
                { "#\xef\xb8\x8f\xe2\x83\xa3", "" },
                { "#\xe2\x83\xa3"
                  "a",
                  "" },
                { "#\xef\xb8\x8f\xe2\x83\xa3"
                  "abc",
                  "" },
        };

        check(text_next_hashtag, cases, ELEMENTSOF(cases));
}

static void test_mention(void **state _unused_) {
        static const Case cases[] = {
                { "", "" },
                { "@", "" },
                { "@ a", "" },
                { "@a", "@a" },
                { "@bob hi", "@bob" },
                { "hi @bob, @alice.", "@bob|@alice" },
                { "(@bob)", "@bob" },
                { "@bob!", "@bob" },
                { "@bob's", "@bob" },
                { "@bob.bsky.social", "@bob.bsky.social" },
                { "@bob.bsky.social.", "@bob.bsky.social" },
                { "@bob...", "@bob" },
                { "@bob..alice", "@bob" },
                { "@my-name", "@my-name" },
                { "@my-name-", "@my-name" },
                { "@bob--", "@bob" },
                { "@_bob_", "@_bob_" },
                { "@1abc", "@1abc" },
                { ".@bob hi", "@bob" },
                { "\n@bob", "@bob" },
                { "@-bob", "" },
                { "@.bob", "" },
                { "@@bob", "" },
                { "a@b", "" },
                { "bob@example.org", "" },
                { "bob.smith+tag@example.org", "" },
                { "bob_@example.org", "" },
                { "bob-@example.org", "" },
                { "bob%@example.org", "" },
                { "https://example.social/@bob", "" },
                { "@bob@example.social", "@bob" },
                { "@bob:", "@bob" },
                { "@http://example.org", "" },
                { "@bob/x", "@bob" },
                { "\xff@bob\xff", "@bob" },
        };

        check(text_next_mention, cases, ELEMENTSOF(cases));
}

static void test_mention_unicode(void **state _unused_) {
        static const Case cases[] = {
                /* a name that goes on in letters we do not know is another name */
                { "@jos\xc3\xa9", "" },
                { "@jose\xcc\x81", "" },
                { "\xc3\xa9@bob", "" },
                /* Japanese and Hangul need no space: こんにちは@bobさん, @bob은 */
                { "\xe3\x81\xaf@bob\xe3\x81\x95\xe3\x82\x93", "@bob" },
                { "@bob\xec\x9d\x80", "@bob" },
                { "\xef\xbc\x88@bob\xef\xbc\x89\xe3\x80\x82", "@bob" },
                /* emoji, also with variation selector */
                { "\xf0\x9f\x98\x80@bob\xf0\x9f\x98\x80", "@bob" },
                { "\xe2\x9d\xa4\xef\xb8\x8f@bob", "@bob" },
                /* right to left: Arabic, a space, the name, an Arabic comma */
                { "\xd8\xa7 @bob\xd8\x8c", "@bob" },
                { "\xd8\xa7@bob", "" },
                /* full-width at is no sign of a mention */
                { "\xef\xbc\xa0"
                  "bob",
                  "" },
        };

        check(text_next_mention, cases, ELEMENTSOF(cases));
}

/* DNS takes labels of 63 characters. */
static void test_long_label(void **state _unused_) {
        char label[65] = "";

        memset(label, 'a', sizeof(label) - 1);
        for (size_t i = 0; i < 2; i++) {
                _cleanup_free_ char *url = NULL, *inner = NULL;
                TextSpan span;
                size_t pos = 0;

                url = strjoinf("http://%s.example.org/x", label + 1 - i);
                inner = strjoinf("http://www.%s.org/x", label + 1 - i);
                assert_int_equal(text_next_url(url, false, &pos, &span), 1 - (int) i);
                pos = 0;
                assert_int_equal(text_next_url(inner, false, &pos, &span), 1 - (int) i);
                pos = 0;
                assert_int_equal(text_next_url(url + strlen("http://"), true, &pos, &span),
                                 1 - (int) i);
        }
}

static void test_position(void **state _unused_) {
        static const char text[] = "http://a.example #b @c http://d.example #e @f";
        TextSpan span = { 0 };
        size_t pos;

        /* in the middle of a URL none begins */
        pos = 1;
        assert_int_equal(text_next_url(text, false, &pos, &span), 1);
        assert_int_equal(span.start, 23);
        assert_int_equal(span.end, 39);
        assert_int_equal(pos, 39);

        pos = 18;
        assert_int_equal(text_next_hashtag(text, &pos, &span), 1);
        assert_int_equal(span.start, 40);
        pos = 21;
        assert_int_equal(text_next_mention(text, &pos, &span), 1);
        assert_int_equal(span.start, 43);

        /* at the end and past it there is nothing, and the span stays */
        for (pos = strlen(text); pos < strlen(text) + 2; pos++) {
                size_t p = pos;

                assert_int_equal(text_next_url(text, true, &p, &span), 0);
                assert_int_equal(text_next_hashtag(text, &p, &span), 0);
                assert_int_equal(text_next_mention(text, &p, &span), 0);
                assert_true(p >= pos);
        }
        assert_int_equal(span.start, 43);
}

/* A text made to be slow must not be: if the work grew with the square of its length, this would
 * not end before the test's timeout. */
static void test_long_text(void **state _unused_) {
        static const char *const pieces[] = {
                "a",
                "a.",
                "a-",
                "http://",
                "http://a:",
                "(",
                "#",
                "@a",
                "http://a/(",
                "\xe2\x80\x8c",
                "a@",
                "-",
                "#\xe2\x80\x8c",
                "|",
                "http://\xe2\x9c\xaa",
                "http://a/|",
                "http://a/\xe2\x80\x93",
        };

        for (size_t i = 0; i < ELEMENTSOF(pieces); i++) {
                _cleanup_(str_done) Str s = {};
                TextSpan span;
                size_t pos;

                while (s.length < 200000)
                        assert_int_equal(str_append(&s, pieces[i]), 0);
                for (pos = 0; text_next_url(s.data, true, &pos, &span) > 0;)
                        ;
                assert_true(pos >= s.length);
                for (pos = 0; text_next_hashtag(s.data, &pos, &span) > 0;)
                        ;
                assert_true(pos >= s.length);
                for (pos = 0; text_next_mention(s.data, &pos, &span) > 0;)
                        ;
                assert_true(pos >= s.length);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_url),          cmocka_unit_test(test_url_punctuation),
                cmocka_unit_test(test_url_brackets), cmocka_unit_test(test_url_none),
                cmocka_unit_test(test_url_unicode),  cmocka_unit_test(test_url_bare),
                cmocka_unit_test(test_hashtag),      cmocka_unit_test(test_hashtag_unicode),
                cmocka_unit_test(test_mention),      cmocka_unit_test(test_mention_unicode),
                cmocka_unit_test(test_long_label),   cmocka_unit_test(test_position),
                cmocka_unit_test(test_long_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
