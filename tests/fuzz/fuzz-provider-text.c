/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <errno.h>

#include "fuzz.h"
#include "providers/parts.h"

static void check_html(const char *s) {
        _cleanup_free_ char *shown = NULL, *targets = NULL;
        Likeness likeness;

        assert(mastodon_plain_text(s, false, &shown) == 0);
        assert(mastodon_plain_text(s, true, &targets) == 0);
        /* An entity is never shorter than what it stands for. */
        assert(strlen(shown) <= 2 * strlen(s));
        assert(mastodon_compare(s, s, &likeness) == 0);
}

static void check_little(const char *s) {
        _cleanup_free_ char *little = NULL, *back = NULL, *plain = NULL;

        assert(linkedin_plain_text(s, &plain) == 0);
        if (!utf8_is_valid(s, strlen(s)))
                return;
        assert(linkedin_little_text(s, &little) == 0);
        assert(linkedin_plain_text(little, &back) == 0);
        assert(streq(back, s));
}

static void check_facets(const char *s) {
        _cleanup_(json_unrefp) JsonObject *facets = NULL;
        size_t n;

        if (!utf8_is_valid(s, strlen(s)))
                return;
        assert(bluesky_facets(s, NULL, NULL, &facets, NULL) == 0);
        n = json_object_array_length(facets);
        for (size_t i = 0; i < n; i++) {
                JsonObject *index = json_member(json_object_array_get_idx(facets, i), "index");
                int64_t start = json_int64(index, "byteStart", -1);
                int64_t end = json_int64(index, "byteEnd", -1);

                assert(start >= 0 && start < end && (size_t) end <= strlen(s));
                assert(utf8_is_valid(s + start, (size_t) (end - start)));
        }
}

/* Texts of members and of platforms: HTML, little text, what facets are cut from, tokens. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_free_ char *s = strndup((const char *) data, n);
        int64_t count;

        assert(s);
        check_html(s);
        check_little(s);
        check_facets(s);
        (void) bluesky_jwt_expiry(s);
        count = mastodon_count(s, 23, true);
        assert(count >= 0 || count == -EINVAL);
        return 0;
}
