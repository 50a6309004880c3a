/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <errno.h>

#include "fuzz.h"

typedef int (*NextSpan)(const char *s, size_t *pos, TextSpan *ret);

static int next_url(const char *s, size_t *pos, TextSpan *ret) {
        return text_next_url(s, false, pos, ret);
}

static int next_bare_url(const char *s, size_t *pos, TextSpan *ret) {
        return text_next_url(s, true, pos, ret);
}

static bool is_border(const char *s, size_t i) {
        return ((uint8_t) s[i] & 0xc0) != 0x80;
}

/* Spans are inside, in order, not empty, and cut no code point (of s, if s is UTF-8). */
static void check_spans(const char *s, NextSpan next, const char *first) {
        size_t n = strlen(s), pos = 0, last = 0;
        bool valid = utf8_is_valid(s, n);
        TextSpan span;

        while (next(s, &pos, &span) > 0) {
                assert(span.start >= last && span.start < span.end && span.end <= n);
                assert(pos >= span.end);
                assert(!valid || (is_border(s, span.start) && is_border(s, span.end)));
                assert(!first || strchr(first, s[span.start]));
                last = pos;
        }
        assert(pos == n);
}

static void check_make_valid(const char *s, size_t n, size_t max) {
        _cleanup_free_ char *once = utf8_make_valid(s, n, max), *twice = NULL;
        size_t length;

        assert(once);
        length = strlen(once);
        assert(length <= max);
        assert(utf8_is_valid(once, length));
        for (const char *p = once; *p; p++)
                assert((uint8_t) *p >= 0x20 || *p == '\t' || *p == '\n');

        twice = utf8_make_valid(once, length, max);
        assert(twice && streq(once, twice));
}

static void check_counts(const char *s) {
        int64_t points = text_count_code_points(s), units = text_count_utf16(s),
                graphemes = text_count_graphemes(s);
        _cleanup_free_ char *normal = NULL, *again = NULL;
        int r;

        if (!utf8_is_valid(s, strlen(s))) {
                assert(points == -EINVAL && units == -EINVAL && graphemes == -EINVAL);
                r = text_nfc(s, &normal);
                assert(r == -EINVAL);
                return;
        }
        assert(graphemes >= 0 && graphemes <= points);
        assert((graphemes == 0) == (*s == '\0'));
        assert(points <= units && units <= 2 * points && units <= (int64_t) strlen(s));

        r = text_nfc(s, &normal);
        assert(r == 0 && utf8_is_valid(normal, strlen(normal)));
        r = text_nfc(normal, &again);
        assert(r == 0 && streq(normal, again));
}

static void check_base64(const uint8_t *data, size_t n, const char *s) {
        _cleanup_free_ char *encoded = NULL, *encoded_again = NULL;
        _cleanup_free_ uint8_t *decoded = NULL, *other = NULL;
        size_t decoded_n = 0, other_n = 0;
        int r;

        r = base64_encode(data, n, &encoded);
        assert(r == 0 && strlen(encoded) == (n + 2) / 3 * 4);
        r = base64_decode(encoded, &decoded, &decoded_n);
        assert(r == 0 && decoded_n == n && (n == 0 || memcmp(decoded, data, n) == 0));

        /* There is one text for some bytes, but for padding left out. */
        r = base64_decode(s, &other, &other_n);
        assert(r == 0 || r == -EINVAL);
        if (r == 0) {
                r = base64_encode(other, other_n, &encoded_again);
                assert(r == 0 && strncmp(encoded_again, s, strlen(s)) == 0);
        }
}

static void check_percent(const char *s) {
        _cleanup_free_ char *encoded = percent_encode(s);
        size_t n = 0;

        assert(encoded);
        for (const char *p = encoded; *p; p++, n++)
                if (*p == '%') {
                        char digits[] = { p[1], p[2], '\0' };

                        assert((uint8_t) s[n] == strtoul(digits, NULL, 16));
                        p += 2;
                } else
                        assert(*p == s[n]);
        assert(s[n] == '\0');
}

/* Half of the text is a secret: what is left does not hold it. */
static void check_scrub(const char *s) {
        size_t n = strlen(s);
        _cleanup_free_ char *secret = strndup(s, MIN(n / 2, (size_t) 12)), *scrubbed = NULL;
        const char *secrets[] = { secret, NULL };

        assert(secret);
        scrubbed = text_scrub(s, secrets, ELEMENTSOF(secrets));
        assert(scrubbed);
        if (strlen(secret) < 6)
                assert(streq(scrubbed, s));
        else if (!strpbrk(secret, "[]"))
                /* With brackets it could come about anew around a "[secret]". */
                assert(!strstr(scrubbed, secret) || strstr("[secret]", secret));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        const char *bytes = (const char *) data;
        _cleanup_free_ char *s = NULL;
        uint32_t c;
        int k;

        s = strndup(bytes, n);
        assert(s);

        for (size_t i = 0; i < n; i += (size_t) k) {
                k = utf8_decode(bytes + i, n - i, &c);
                assert(k == -EINVAL || (k >= 1 && k <= 4 && i + (size_t) k <= n && c <= 0x10ffff));
                k = k < 0 ? 1 : k;
        }
        check_make_valid(bytes, n, SIZE_MAX);
        check_make_valid(bytes, n, n);
        check_make_valid(bytes, n, n > 0 ? data[0] % 16U : 0);
        check_counts(s);
        check_spans(s, next_url, "hH");
        check_spans(s, next_bare_url, NULL);
        check_spans(s, text_next_hashtag, "#\xef");
        check_spans(s, text_next_mention, "@");
        check_base64(data, n, s);
        check_percent(s);
        check_scrub(s);

        return 0;
}
