/* SPDX-License-Identifier: MIT */

/* The part of text.h that turns bytes into other bytes: base64, percent-encoding, digests. */

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>

#include "text.h"

static const char base64_digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

int base64_encode(const void *data, size_t n, char **ret) {
        const uint8_t *b = data;
        char *s, *to;

        assert(data || n == 0);
        assert(ret);

        if (n > SIZE_MAX / 2)
                return -ENOMEM;

        s = to = malloc((n + 2) / 3 * 4 + 1);
        if (!s)
                return -ENOMEM;

        for (size_t i = 0; i < n; i += 3) {
                size_t have = MIN(n - i, (size_t) 3);
                uint32_t group = (uint32_t) b[i] << 16;

                if (have > 1)
                        group |= (uint32_t) b[i + 1] << 8;
                if (have > 2)
                        group |= b[i + 2];

                *to++ = base64_digits[group >> 18];
                *to++ = base64_digits[group >> 12 & 63];
                *to++ = base64_digits[have > 1 ? group >> 6 & 63 : 64];
                *to++ = base64_digits[have > 2 ? group & 63 : 64];
        }
        *to = '\0';

        *ret = s;
        return 0;
}

static int base64_value(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+')
                return 62;
        if (c == '/')
                return 63;
        return -EINVAL;
}

int base64_decode(const char *s, uint8_t **ret, size_t *ret_n) {
        _cleanup_free_ uint8_t *b = NULL;
        uint32_t bits = 0;
        unsigned n_bits = 0;
        size_t n, digits, got = 0;
        int v;

        assert(s);
        assert(ret);
        assert(ret_n);

        n = digits = strlen(s);
        while (digits > 0 && n - digits < 2 && s[digits - 1] == '=')
                digits--;
        /* One digit alone says nothing, and padding that is there has to be right. */
        if (digits % 4 == 1 || (digits < n && n % 4 != 0))
                return -EINVAL;

        b = malloc(digits / 4 * 3 + 3);
        if (!b)
                return -ENOMEM;

        for (size_t i = 0; i < digits; i++) {
                v = base64_value(s[i]);
                if (v < 0)
                        return v;

                bits = bits << 6 | (uint32_t) v;
                n_bits += 6;
                if (n_bits >= 8) {
                        n_bits -= 8;
                        b[got++] = (uint8_t) (bits >> n_bits);
                        bits &= (1U << n_bits) - 1;
                }
        }
        /* Bits left over must be zero, or several texts would mean the same bytes. */
        if (bits != 0)
                return -EINVAL;
        b[got] = '\0';

        *ret = TAKE_PTR(b);
        *ret_n = got;
        return 0;
}

char *percent_encode(const char *s) {
        static const char digits[] = "0123456789ABCDEF";
        size_t n;
        char *encoded, *to;

        assert(s);

        n = strlen(s);
        if (n > SIZE_MAX / 4)
                return NULL;

        encoded = to = malloc(n * 3 + 1);
        if (!encoded)
                return NULL;

        for (; *s; s++) {
                unsigned char c = (unsigned char) *s;

                if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    strchr("-._~", c))
                        *to++ = (char) c;
                else {
                        *to++ = '%';
                        *to++ = digits[c >> 4];
                        *to++ = digits[c & 15];
                }
        }
        *to = '\0';

        return encoded;
}

int sha256(const void *data, size_t n, uint8_t ret[static SHA256_SIZE]) {
        uint8_t digest[SHA256_SIZE];

        assert(data || n == 0);

        if (EVP_Digest(data, n, digest, NULL, EVP_sha256(), NULL) != 1)
                return -EIO;

        memcpy(ret, digest, sizeof(digest));
        return 0;
}

int hmac_sha256(const void *key, size_t key_n, const void *data, size_t n,
                uint8_t ret[static SHA256_SIZE]) {
        uint8_t digest[SHA256_SIZE];
        size_t got;

        assert(key || key_n == 0);
        assert(data || n == 0);

        if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key_n > 0 ? key : "", key_n,
                       n > 0 ? data : "", n, digest, sizeof(digest), &got) ||
            got != sizeof(digest))
                return -EIO;

        memcpy(ret, digest, sizeof(digest));
        return 0;
}

char *sha256_hex(const char *s) {
        static const char digits[] = "0123456789abcdef";
        uint8_t digest[SHA256_SIZE];
        char *hex;

        assert(s);

        if (sha256(s, strlen(s), digest) < 0)
                return NULL;

        hex = malloc(2 * sizeof(digest) + 1);
        if (!hex)
                return NULL;

        for (size_t i = 0; i < sizeof(digest); i++) {
                hex[2 * i] = digits[digest[i] >> 4];
                hex[2 * i + 1] = digits[digest[i] & 15];
        }
        hex[2 * sizeof(digest)] = '\0';

        return hex;
}
