/* SPDX-License-Identifier: MIT */

/* Links, hashtags and mentions against the conformance cases of twitter-text
 * (tests/data/twitter-text): cases that others wrote, for a platform that is none of ours. Where
 * our platforms go another way the case is listed below with the reason and with what is found
 * instead; a listed case that comes to agree, or that is not there, fails like one that is not
 * listed and disagrees. */

#include "test.h"

#include "data.h"

#include "base/json.h"
#include "base/text.h"

static int next_link(const char *s, size_t *pos, TextSpan *ret) {
        return text_next_url(s, true, pos, ret);
}

typedef struct Section {
        const char *name;
        int (*next)(const char *s, size_t *pos, TextSpan *ret);
        const char *member; /* of expectations that have offsets, in code points */
} Section;

static const Section sections[] = {
        { "mentions", text_next_mention, NULL },
        { "mentions_with_indices", text_next_mention, "screen_name" },
        { "urls", next_link, NULL },
        { "urls_with_indices", next_link, "url" },
        { "urls_with_directional_markers", next_link, "url" },
        { "tco_urls_with_params", next_link, NULL },
        { "hashtags", text_next_hashtag, NULL },
        { "hashtags_from_astral", text_next_hashtag, NULL },
        { "hashtags_with_indices", text_next_hashtag, "hashtag" },
};

/* Mastodon documentation, "Posting", Mentions: @alice@example.com is an account of another server.
 * Who uses the span looks at what follows it. */
#define REMOTE_MENTION "on Mastodon a second '@' goes on with the account's server"
#define RETWEET "\"RT\" in front of a name is a custom of Twitter's"
/* Bluesky's own client (@atproto/api, rich-text/detection.ts) takes whatever follows "http://" up
 * to a blank. Mastodon wants a domain: mastodon_count() looks at that. */
#define HAS_SCHEME "what is written with its scheme is meant as a link, whatever its domain"
#define SYMBOL_HOST "a symbol is no part of a host name (RFC 5892), nor is the rest of it one"
#define SHORT_LIST "without a scheme only names under a domain of our list are links (text-span.c)"
#define TWITTERS_OWN "twitter-text knows how addresses of Twitter's shortener look"
#define CASHTAG "'$' in front of a name of the stock exchange is a custom of Twitter's"
/* Mastodon (app/models/tag.rb) takes [[:word:]] and a list of separators, Bluesky's client letters:
 * neither has punctuation such as these. */
#define PUNCTUATION "is punctuation, of which neither Mastodon nor Bluesky makes a part of a tag"
#define MEDIAL "stands between letters of a tag, not at its end (UAX #31)"

static const struct {
        const char *section, *description, *found, *why;
} deviations[] = {
        { "mentions", "DO NOT extract username ending in @", " \"_\" \"username\"",
          REMOTE_MENTION },
        { "mentions", "Extract lone metion but not @user@user (too close to an email)",
          " \"username\" \"test\"", REMOTE_MENTION },
        { "mentions", "Extract mentions after 'RT'", " \"mention\" \"test\"", RETWEET },
        { "mentions", "Extract mentions after 'rt'", " \"mention\" \"test\"", RETWEET },
        { "mentions", "Extract mentions after 'Rt'", " \"mention\" \"test\"", RETWEET },
        { "mentions", "Extract mentions after 'rT'", " \"mention\" \"test\"", RETWEET },
        { "urls", "Extract valid URL: http://✪df.ws/ejp", "", SYMBOL_HOST },
        { "urls", "DO NOT extract invalid URL: http://no-tld", " \"http://no-tld\"", HAS_SCHEME },
        { "urls", "DO NOT extract invalid URL: http://tld-too-short.x",
          " \"http://tld-too-short.x\"", HAS_SCHEME },
        { "urls", "DO NOT Extract a hyphenated TLD (even though it's usually a typo)",
          " \"http://domain.com-that-you-should-have-put-a-space-after\"", HAS_SCHEME },
        { "urls", "DO NOT extract invalid URL", " \"http://xn--はじめよう.com/index.html\"",
          HAS_SCHEME },
        { "urls",
          "DO NOT Extract URL with domain preceeded by underscore: "
          "http://domain-begin_dash_2314352345_dfasd.foo-cow_4352.com",
          " \"http://domain-dash_2314352345_dfasd.foo-cow_4352.com\"", HAS_SCHEME },
        { "urls", "DO NOT extract URLs containing underscores in the domain name",
          " \"http://twitter_underscore.com\"", HAS_SCHEME },
        { "urls", "DO NOT extract URLs containing underscores in the tld",
          " \"http://twitter.c_o_m\"", HAS_SCHEME },
        { "urls", "DO NOT extract URLs in hashtag or @mention", " \"http://test.com\"",
          HAS_SCHEME },
        { "urls", "Extract a t.co URL with a trailing apostrophe", " \"http://t.co/pbY2NfTZ's\"",
          TWITTERS_OWN },
        { "urls", "Extract a t.co URL with a trailing hyphen", " \"http://t.co/FNkPfmii-\"",
          TWITTERS_OWN },
        { "urls", "DO NOT extract URLs with > 40 characters in a t.co slug",
          " \"http://t.co/abcdefghijklmnopqrstuvwxyz012345678901234\"", TWITTERS_OWN },
        { "urls", "Extract domain followed by Japanese characters", " \"example.com\"",
          SHORT_LIST },
        { "urls", "DO NOT extract URL if preceded by $",
          " \"http://twitter.com\" \"http://t.co/abcde\"", CASHTAG },
        { "urls_with_indices",
          "Extract t.co URLs skipping trailing characters and adjusting indices correctly",
          " \"http://t.co/pbY2NfTZ's\"[0,22] \"http://t.co/2vYHpAc5\"[23,43]"
          " \"http://t.co/ulYGBYSo\"[45,65] \"http://t.co/8MkmHU0k+c\"[67,89]"
          " \"http://t.co/TKLp64dY.x\"[90,112] \"http://t.co/8t7G3ddS#a\"[113,135]"
          " \"http://t.co/FNkPfmii-\"[136,157]",
          TWITTERS_OWN },
        { "hashtags", "Hashtag with ideographic iteration mark",
          " \"云々\" \"学問のすゝめ\" \"いすゞ\" \"各〻\" \"各\"", "U+3003 " PUNCTUATION },
        { "hashtags", "Extract hashtag with fullwidth tilde", " \"メ\"", "U+FF5E " PUNCTUATION },
        { "hashtags", "Extract hashtag with wave dash", " \"メ\"", "U+301C " PUNCTUATION },
        { "hashtags", "Extract Hebrew hashtags", " \"עַל־יְדֵי\" \"וכו\" \"מ״כ\"", "geresh " MEDIAL },
        { "hashtags", "Extract Tibetan hashtags", " \"བོད་སྐད\" \"བོད་སྐད\"", "tsheg " MEDIAL },
};

static size_t code_points(const char *s, size_t n) {
        size_t count = 0;

        for (size_t i = 0; i < n; i++)
                count += ((uint8_t) s[i] & 0xc0) != 0x80;

        return count;
}

/* '#' and '@', also as wide as CJK characters. */
static size_t sign_length(const Section *section, const char *s) {
        return section->next == next_link ? 0 : *s == '#' || *s == '@' ? 1 : 3;
}

/* What is found, as the case would say it: ` "tag"[0,4] "other"[9,15]`. */
static void describe_found(const Section *section, const char *s, Str *ret) {
        TextSpan span;
        size_t pos = 0;

        assert_int_equal(str_append(ret, ""), 0);
        while (section->next(s, &pos, &span) > 0) {
                const char *from = s + span.start + sign_length(section, s + span.start);

                assert_int_equal(str_appendf(ret, " \"%.*s\"", (int) (s + span.end - from), from),
                                 0);
                if (section->member)
                        assert_int_equal(str_appendf(ret, "[%zu,%zu]", code_points(s, span.start),
                                                     code_points(s, span.end)),
                                         0);
        }
}

static void describe_expected(const Section *section, JsonObject *expected, Str *ret) {
        assert_true(json_object_is_type(expected, json_type_array));
        assert_int_equal(str_append(ret, ""), 0);
        for (size_t i = 0; i < json_object_array_length(expected); i++) {
                JsonObject *item = json_object_array_get_idx(expected, i), *offsets;

                if (!section->member) {
                        assert_int_equal(str_appendf(ret, " \"%s\"", json_object_get_string(item)),
                                         0);
                        continue;
                }
                offsets = json_member(item, "indices");
                assert_int_equal(str_appendf(ret, " \"%s\"%s", json_string(item, section->member),
                                             json_text(offsets)),
                                 0);
        }
}

/* Whether a case is listed; found is then what the list says. */
static bool deviates(const Section *section, const char *description, const char **ret_found,
                     const char **ret_why, bool used[static ELEMENTSOF(deviations)]) {
        for (size_t i = 0; i < ELEMENTSOF(deviations); i++)
                if (streq(deviations[i].section, section->name) &&
                    streq(deviations[i].description, description)) {
                        *ret_found = deviations[i].found;
                        *ret_why = deviations[i].why;
                        used[i] = true;
                        return true;
                }

        return false;
}

static void check_case(const Section *section, JsonObject *c,
                       bool used[static ELEMENTSOF(deviations)]) {
        const char *text = json_string(c, "text"), *description = json_string(c, "description");
        _cleanup_(str_done) Str found = {}, expected = {};
        const char *listed, *why;

        describe_found(section, text, &found);
        describe_expected(section, json_member(c, "expected"), &expected);

        if (!deviates(section, description, &listed, &why, used)) {
                if (!streq(found.data, expected.data))
                        fail_msg("%s, \"%s\": in \"%s\" found%s, expected%s", section->name,
                                 description, text, found.data, expected.data);
                return;
        }
        if (streq(found.data, expected.data))
                fail_msg("%s, \"%s\" agrees and is listed (%s)", section->name, description, why);
        if (!streq(found.data, listed))
                fail_msg("%s, \"%s\": in \"%s\" found%s, listed is%s (%s)", section->name,
                         description, text, found.data, listed, why);
}

static JsonObject *read_json(const char *name) {
        _cleanup_free_ char *text = NULL;
        JsonObject *o = NULL;
        size_t n;

        text = read_data(name, &n);
        assert_int_equal(json_parse(text, n, &o), 0);
        return o;
}

static void test_extract(_unused_ void **state) {
        _cleanup_(json_unrefp) JsonObject *data = read_json("twitter-text/extract.json");
        bool used[ELEMENTSOF(deviations)] = {};
        size_t n_cases = 0;

        for (size_t i = 0; i < ELEMENTSOF(sections); i++) {
                JsonObject *cases = json_member(data, sections[i].name);

                for (size_t k = 0; k < json_object_array_length(cases); k++, n_cases++)
                        check_case(&sections[i], json_object_array_get_idx(cases, k), used);
        }
        assert_int_equal(n_cases, 210);
        for (size_t i = 0; i < ELEMENTSOF(deviations); i++)
                if (!used[i])
                        fail_msg("no case \"%s\" in %s", deviations[i].description,
                                 deviations[i].section);
}

static bool is_whole_link(const char *s, bool bare) {
        TextSpan span;
        size_t pos = 0;

        return text_next_url(s, bare, &pos, &span) == 1 && span.start == 0 && span.end == strlen(s);
}

static bool lists(JsonObject *list, const char *name) {
        for (size_t i = 0; i < json_object_array_length(list); i++)
                if (streq(json_object_get_string(json_object_array_get_idx(list, i)), name))
                        return true;

        return false;
}

static void test_every_domain_with_a_scheme(_unused_ void **state) {
        _cleanup_(json_unrefp) JsonObject *data = read_json("twitter-text/tlds.json");
        size_t n = 0;

        json_object_object_foreach(data, kind, list) {
                for (size_t i = 0; i < json_object_array_length(list); i++, n++) {
                        _cleanup_free_ char *url = NULL;

                        url = strjoinf("https://twitter.%s",
                                       json_object_get_string(json_object_array_get_idx(list, i)));
                        assert_non_null(url);
                        if (!is_whole_link(url, false))
                                fail_msg("%s: \"%s\" is not found whole", kind, url);
                }
        }
        assert_int_equal(n, 1574);
}

/* Without a scheme: country codes are found exactly when they exist, but for those that nobody can
 * register a name under. Of the others we know a part, and none that does not exist: tried for all
 * of three letters. */
static void test_domains_without_a_scheme(_unused_ void **state) {
        static const char unused[] = "an bl bq bv eh gb mf sj tp um";
        _cleanup_(json_unrefp) JsonObject *data = read_json("twitter-text/tlds.json");
        JsonObject *countries = json_member(data, "country"),
                   *generic = json_member(data, "generic");
        size_t n_three = 0;

        for (int i = 0; i < 26 * 26; i++) {
                char url[] = "twitter.xx", *tld = url + strlen("twitter.");

                tld[0] = (char) ('a' + i / 26);
                tld[1] = (char) ('a' + i % 26);
                if (is_whole_link(url, true) != (lists(countries, tld) && !strstr(unused, tld)))
                        fail_msg("\"%s\"", url);
        }

        for (int i = 0; i < 26 * 26 * 26; i++) {
                char url[] = "twitter.xxx", *tld = url + strlen("twitter.");

                tld[0] = (char) ('a' + i / 26 / 26);
                tld[1] = (char) ('a' + i / 26 % 26);
                tld[2] = (char) ('a' + i % 26);
                if (!is_whole_link(url, true))
                        continue;
                if (!lists(generic, tld))
                        fail_msg("\"%s\" is taken for a link", url);
                n_three++;
        }
        assert_true(n_three > 10);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_extract),
                cmocka_unit_test(test_every_domain_with_a_scheme),
                cmocka_unit_test(test_domains_without_a_scheme),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
