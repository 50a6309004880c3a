/* SPDX-License-Identifier: MIT */
#pragma once

/* Text: UTF-8 and the ways in which platforms count it, base64, hex, percent-encoding, digests,
 * growing strings. Nothing here is locale dependent. */

#include <stdarg.h>

#include "macro.h"

/* printf into new memory; NULL when memory is short. */
char *strjoinf(const char *format, ...) _printf_(1, 2);

/* A string that grows. All zero = empty; .data is NULL or NUL-terminated. */
typedef struct Str {
        char *data;
        size_t length, allocated;
} Str;
int str_append(Str *s, const char *text);                        /* -ENOMEM */
int str_append_n(Str *s, const char *bytes, size_t n);           /* -ENOMEM */
int str_appendf(Str *s, const char *format, ...) _printf_(2, 3); /* -ENOMEM */
void str_done(Str *s);

/* Strict UTF-8 (no surrogates, no overlong forms, nothing past U+10FFFF). */
bool utf8_is_valid(const char *s, size_t n);
/* A copy with each invalid sequence replaced by U+FFFD, NUL and C0 controls except \t \n removed,
 * cut at a code point's border to at most max bytes (3 bytes of them an ellipsis when cut).
 * NULL when memory is short. */
char *utf8_make_valid(const char *s, size_t n, size_t max);
/* Decodes one code point at s (n bytes left): its length, or -EINVAL. */
int utf8_decode(const char *s, size_t n, uint32_t *ret);

/* What s counts as, in each of the ways platforms count. s must be valid UTF-8; -EINVAL if not. */
int64_t text_count_code_points(const char *s);
int64_t text_count_utf16(const char *s);
/* UAX #29 extended grapheme clusters, conjuncts (Unicode 15.1) included; -ENOMEM. */
int64_t text_count_graphemes(const char *s);
/* Unicode NFC. -EINVAL, -ENOMEM. */
int text_nfc(const char *s, char **ret);

/* A URL in running text: [start, end) byte offsets. Finds http:// and https:// URLs and, with
 * bare set, names such as example.org/path with a plausible top-level domain; trailing
 * punctuation and unbalanced brackets are left outside. Starts searching at *pos and moves it on.
 * 0 = none left, 1 = found. */
typedef struct TextSpan {
        size_t start, end;
} TextSpan;
int text_next_url(const char *s, bool bare, size_t *pos, TextSpan *ret);
/* A hashtag: '#' (or U+FF03) at a word's border, then letters, marks, digits, '_' with at least
 * one letter, and what stands between letters in some scripts (zero width joiners, '·', …); the
 * span includes the '#'. 0 = none left, 1 = found. */
int text_next_hashtag(const char *s, size_t *pos, TextSpan *ret);
/* A mention '@name' or '@name.host' at a word's border (ASCII letters, digits, '.', '-', '_');
 * the span includes the '@' and ends before trailing punctuation, or before a second '@'
 * ("@name@host"). 0 = none left, 1 = found. */
int text_next_mention(const char *s, size_t *pos, TextSpan *ret);
/* Letters, marks, digits and '_': what words and names are made of, in any script. */
bool text_is_word(uint32_t c);

/* RFC 4648 base64 with padding. Decode accepts missing padding; -EINVAL for anything else. */
int base64_encode(const void *data, size_t n, char **ret);
int base64_decode(const char *s, uint8_t **ret, size_t *ret_n);
/* RFC 3986 percent-encoding of everything but unreserved characters. NULL when memory is short. */
char *percent_encode(const char *s);

#define SHA256_SIZE 32
int sha256(const void *data, size_t n, uint8_t ret[static SHA256_SIZE]);
int hmac_sha256(const void *key, size_t key_n, const void *data, size_t n,
                uint8_t ret[static SHA256_SIZE]);
/* 64 hexadecimal digits; NULL when memory is short. */
char *sha256_hex(const char *s);

/* Replaces every occurrence of each of the secrets (those of 6 bytes and more) by "[secret]".
 * NULL when memory is short. */
char *text_scrub(const char *s, const char *const *secrets, size_t n_secrets);
