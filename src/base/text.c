/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unictype.h>
#include <unigbrk.h>
#include <uninorm.h>

#define ELLIPSIS "\xe2\x80\xa6"
#define REPLACEMENT "\xef\xbf\xbd"

char *strjoinf(const char *format, ...) {
        va_list ap;
        char *s;
        int n;

        va_start(ap, format);
        n = vasprintf(&s, format, ap);
        va_end(ap);

        return n < 0 ? NULL : s;
}

/* Room for n more bytes and the NUL. */
static int str_reserve(Str *s, size_t n) {
        size_t need, size;
        char *data;

        if (n > SIZE_MAX / 4 || s->length > SIZE_MAX / 4)
                return -ENOMEM;

        need = s->length + n + 1;
        if (need <= s->allocated)
                return 0;

        size = MAX(need, MAX(2 * s->allocated, (size_t) 64));
        data = realloc(s->data, size);
        if (!data)
                return -ENOMEM;

        s->data = data;
        s->allocated = size;
        return 0;
}

int str_append_n(Str *s, const char *bytes, size_t n) {
        int r;

        assert(s);
        assert(bytes || n == 0);

        r = str_reserve(s, n);
        if (r < 0)
                return r;

        if (n > 0)
                memcpy(s->data + s->length, bytes, n);
        s->length += n;
        s->data[s->length] = '\0';
        return 0;
}

int str_append(Str *s, const char *text) {
        assert(text);

        return str_append_n(s, text, strlen(text));
}

int str_appendf(Str *s, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return -ENOMEM;
        }

        return str_append_n(s, text, (size_t) n);
}

void str_done(Str *s) {
        if (!s)
                return;

        free(s->data);
        *s = (Str){};
}

/* Decodes, or says how many bytes the longest beginning of a code point at s has (at least 1):
 * that many become one U+FFFD, as the Unicode Standard (3.9, U+FFFD substitution of maximal
 * subparts) recommends. */
static int decode(const char *s, size_t n, uint32_t *ret, size_t *ret_bad) {
        const uint8_t *b = (const uint8_t *) s;
        /* What the second byte may be keeps out overlong forms, surrogates and too large ones. */
        uint8_t low = 0x80, high = 0xbf;
        uint32_t c;
        size_t length;

        *ret_bad = 1;
        if (n == 0)
                return -EINVAL;

        if (b[0] < 0x80) {
                *ret = b[0];
                return 1;
        }

        if (b[0] >= 0xc2 && b[0] <= 0xdf) {
                length = 2;
                c = b[0] & 0x1fU;
        } else if (b[0] >= 0xe0 && b[0] <= 0xef) {
                length = 3;
                c = b[0] & 0x0fU;
                if (b[0] == 0xe0)
                        low = 0xa0;
                if (b[0] == 0xed)
                        high = 0x9f;
        } else if (b[0] >= 0xf0 && b[0] <= 0xf4) {
                length = 4;
                c = b[0] & 0x07U;
                if (b[0] == 0xf0)
                        low = 0x90;
                if (b[0] == 0xf4)
                        high = 0x8f;
        } else
                return -EINVAL;

        for (size_t i = 1; i < length; i++) {
                if (i >= n || b[i] < low || b[i] > high) {
                        *ret_bad = i;
                        return -EINVAL;
                }
                c = c << 6 | (b[i] & 0x3fU);
                low = 0x80;
                high = 0xbf;
        }

        *ret = c;
        return (int) length;
}

int utf8_decode(const char *s, size_t n, uint32_t *ret) {
        size_t bad;

        assert(s || n == 0);
        assert(ret);

        return decode(s, n, ret, &bad);
}

bool utf8_is_valid(const char *s, size_t n) {
        uint32_t c;
        int k;

        for (; n > 0; s += k, n -= (size_t) k) {
                k = utf8_decode(s, n, &c);
                if (k < 0)
                        return false;
        }

        return true;
}

char *utf8_make_valid(const char *s, size_t n, size_t max) {
        /* How much may stay when an ellipsis must follow, if there is room for one at all. */
        const char *ellipsis = max >= strlen(ELLIPSIS) ? ELLIPSIS : "";
        size_t room = max - strlen(ellipsis), length = 0, keep = 0, size;
        _cleanup_free_ char *valid = NULL;
        uint32_t c;

        assert(s || n == 0);

        if (n > SIZE_MAX / 4)
                return NULL;

        /* A bad byte becomes three; what cannot matter to the result is not looked at. */
        size = MIN(3 * n, max < SIZE_MAX - 8 ? max + 4 : max);
        valid = malloc(size + 1);
        if (!valid)
                return NULL;

        while (n > 0 && length <= max) {
                const char *from = s;
                size_t bad, k;
                int r;

                r = decode(s, n, &c, &bad);
                k = r < 0 ? bad : (size_t) r;
                s += k;
                n -= k;

                if (r >= 0 && c < 0x20 && c != '\t' && c != '\n')
                        continue;
                if (r < 0) {
                        from = REPLACEMENT;
                        k = strlen(REPLACEMENT);
                }
                memcpy(valid + length, from, k);
                length += k;
                if (length <= room)
                        keep = length;
        }

        if (length > max) {
                memcpy(valid + keep, ellipsis, strlen(ellipsis));
                length = keep + strlen(ellipsis);
        }
        valid[length] = '\0';

        return TAKE_PTR(valid);
}

int64_t text_count_code_points(const char *s) {
        size_t n = strlen(s);
        int64_t count = 0;
        uint32_t c;
        int k;

        for (; n > 0; s += k, n -= (size_t) k, count++) {
                k = utf8_decode(s, n, &c);
                if (k < 0)
                        return k;
        }

        return count;
}

int64_t text_count_utf16(const char *s) {
        size_t n = strlen(s);
        int64_t count = 0;
        uint32_t c;
        int k;

        for (; n > 0; s += k, n -= (size_t) k) {
                k = utf8_decode(s, n, &c);
                if (k < 0)
                        return k;
                count += c > 0xffff ? 2 : 1;
        }

        return count;
}

/* The signs that join two letters of an Indic script (InCB=Linker, Unicode 17). */
static bool is_linker(uint32_t c) {
        static const uint32_t linkers[] = {
                0x094d,  0x09cd,  0x0acd,  0x0b4d,  0x0c4d,  0x0d4d,  0x1039,
                0x17d2,  0x1a60,  0x1b44,  0x1bab,  0xa9c0,  0xaaf6,  0x10a3f,
                0x11133, 0x113d0, 0x1193e, 0x11a47, 0x11a99, 0x11f42,
        };

        for (size_t i = 0; i < ELEMENTSOF(linkers); i++)
                if (c == linkers[i])
                        return true;

        return false;
}

/* The breaks that are none since Unicode 15.1 (UAX #29, GB9c), for libraries of before: within
 * conjuncts, as the "न्द" of "हिन्दी". That the letters are of one script stands in for a table of
 * consonants. */
static int64_t count_breaks_in_conjuncts(const char *s, size_t n, const char *breaks) {
        const uc_script_t *script = NULL; /* of the letter that may go on */
        bool linked = false;
        int64_t count = 0;
        uint32_t c;
        int k;

        for (size_t i = 0; i < n; i += (size_t) k) {
                k = utf8_decode(s + i, n - i, &c);
                assert(k > 0);

                if (c >= 0x900 && uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Lo)) {
                        const uc_script_t *own = uc_script(c);

                        count += linked && own == script && breaks[i] ? 1 : 0;
                        script = own;
                        linked = false;
                } else if (script && is_linker(c))
                        linked = true;
                else if (c != 0x200d && uc_combining_class(c) == UC_CCC_NR) {
                        script = NULL;
                        linked = false;
                }
        }

        return count;
}

int64_t text_count_graphemes(const char *s) {
        _cleanup_free_ char *breaks = NULL;
        size_t n = strlen(s);
        int64_t count = 0;

        if (!utf8_is_valid(s, n))
                return -EINVAL;
        if (n == 0)
                return 0;

        /* Not u8_grapheme_next(): that looks at two code points only, flags and families of emoji
         * need more. */
        breaks = malloc(n);
        if (!breaks)
                return -ENOMEM;

        u8_grapheme_breaks((const uint8_t *) s, n, breaks);
        for (size_t i = 0; i < n; i++)
                count += breaks[i] ? 1 : 0;

        return count - count_breaks_in_conjuncts(s, n, breaks);
}

int text_nfc(const char *s, char **ret) {
        uint8_t *normal;
        size_t n, length;

        assert(s);
        assert(ret);

        n = strlen(s);
        if (!utf8_is_valid(s, n))
                return -EINVAL;

        /* The NUL goes along: nothing composes with it. */
        normal = u8_normalize(UNINORM_NFC, (const uint8_t *) s, n + 1, NULL, &length);
        if (!normal)
                return errno == EILSEQ ? -EINVAL : -ENOMEM;

        *ret = (char *) normal;
        return 0;
}

/* The length of the longest secret that stands at s. */
static size_t secret_at(const char *s, const char *const *secrets, size_t n_secrets) {
        size_t longest = 0, n;

        for (size_t i = 0; i < n_secrets; i++) {
                if (!secrets[i] || secrets[i][0] != *s)
                        continue;
                n = strlen(secrets[i]);
                if (n >= 6 && n > longest && strncmp(s, secrets[i], n) == 0)
                        longest = n;
        }

        return longest;
}

char *text_scrub(const char *s, const char *const *secrets, size_t n_secrets) {
        _cleanup_(str_done) Str scrubbed = {};
        const char *until, *from;
        size_t n;

        assert(s);
        assert(secrets || n_secrets == 0);

        if (str_append(&scrubbed, "") < 0)
                return NULL;

        for (from = until = s; *s; s++) {
                n = secret_at(s, secrets, n_secrets);
                if (n > 0) {
                        /* Of secrets that overlap no rest may stay. */
                        if (s >= until && (str_append_n(&scrubbed, from, (size_t) (s - from)) < 0 ||
                                           str_append(&scrubbed, "[secret]") < 0))
                                return NULL;
                        until = MAX(until, s + n);
                        from = until;
                }
        }
        if (from < s && str_append_n(&scrubbed, from, (size_t) (s - from)) < 0)
                return NULL;

        return TAKE_PTR(scrubbed.data);
}
