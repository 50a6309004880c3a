/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/text.h"

#include <errno.h>

#include "fake.h"

/* RFC 4648, section 10. */
static const char *const base64_vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
};

static void test_base64_encode(void **state _unused_) {
        /* All digits but the padding: the table of RFC 4648 read as six bits each. */
        static const uint8_t all[] = {
                0x00, 0x10, 0x83, 0x10, 0x51, 0x87, 0x20, 0x92, 0x8b, 0x30, 0xd3, 0x8f,
                0x41, 0x14, 0x93, 0x51, 0x55, 0x97, 0x61, 0x96, 0x9b, 0x71, 0xd7, 0x9f,
                0x82, 0x18, 0xa3, 0x92, 0x59, 0xa7, 0xa2, 0x9a, 0xab, 0xb2, 0xdb, 0xaf,
                0xc3, 0x1c, 0xb3, 0xd3, 0x5d, 0xb7, 0xe3, 0x9e, 0xbb, 0xf3, 0xdf, 0xbf,
        };
        _cleanup_free_ char *s = NULL;

        for (size_t i = 0; i < ELEMENTSOF(base64_vectors); i++) {
                _cleanup_free_ char *encoded = NULL;

                assert_int_equal(base64_encode(base64_vectors[i][0], strlen(base64_vectors[i][0]),
                                               &encoded),
                                 0);
                assert_string_equal(encoded, base64_vectors[i][1]);
        }

        assert_int_equal(base64_encode(all, sizeof(all), &s), 0);
        assert_string_equal(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
}

static void test_base64_encode_nothing(void **state _unused_) {
        _cleanup_free_ char *s = NULL;

        assert_int_equal(base64_encode(NULL, 0, &s), 0);
        assert_string_equal(s, "");
}

static void test_base64_decode(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(base64_vectors); i++) {
                _cleanup_free_ uint8_t *padded = NULL, *bare = NULL;
                _cleanup_free_ char *without = NULL;
                const char *text = base64_vectors[i][0], *encoded = base64_vectors[i][1];
                size_t n = 99;

                assert_int_equal(base64_decode(encoded, &padded, &n), 0);
                assert_int_equal(n, strlen(text));
                assert_memory_equal(padded, text, n);

                without = strndup(encoded, strcspn(encoded, "="));
                assert_int_equal(base64_decode(without, &bare, &n), 0);
                assert_int_equal(n, strlen(text));
                assert_memory_equal(bare, text, n);
        }
}

static void test_base64_decode_bad(void **state _unused_) {
        static const char *const bad[] = {
                "Z",     /* six bits are no byte */
                "Zg=",   /* half of the padding */
                "Zg===", /* too much */
                "Zm9v=",
                "Zm9v====",
                "=",
                "==",
                "====",
                "Z===",
                "Zg==Zg==", /* padding in the middle */
                "Z=g=",
                "Zm9v\n",
                " Zm9v",
                "Zm 9v",
                "Zm9-",
                "Zm9_", /* the alphabet of URLs is another */
                "Zh==",
                "Zm9=", /* bits that belong to no byte are set */
                "Zm9v\xc3\xa4",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                uint8_t *b = NULL;
                size_t n = 99;

                if (base64_decode(bad[i], &b, &n) != -EINVAL)
                        fail_msg("\"%s\" is taken", bad[i]);
                assert_null(b);
                assert_int_equal(n, 99);
        }
}

static void test_percent_encode(void **state _unused_) {
        static const char *const vectors[][2] = {
                { "", "" },
                /* RFC 3986, 2.3: unreserved */
                { "ABCXYZabcxyz0189-._~", "ABCXYZabcxyz0189-._~" },
                /* 2.2: reserved */
                { ":/?#[]@!$&'()*+,;=", "%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D" },
                { " %\"<>\\^`{|}\x7f\n", "%20%25%22%3C%3E%5C%5E%60%7B%7C%7D%7F%0A" },
                /* 2.5: À, ア */
                { "\xc3\x80\xe3\x82\xa2", "%C3%80%E3%82%A2" },
                { "\xff", "%FF" },
        };

        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                _cleanup_free_ char *s = percent_encode(vectors[i][0]);

                assert_string_equal(s, vectors[i][1]);
        }
}

static void unhex(const char *hex, uint8_t *ret, size_t n) {
        assert_int_equal(strlen(hex), 2 * n);
        for (size_t i = 0; i < n; i++) {
                char digits[] = { hex[2 * i], hex[2 * i + 1], '\0' };

                ret[i] = (uint8_t) strtoul(digits, NULL, 16);
        }
}

static void test_sha256(void **state _unused_) {
        /* FIPS 180-4 examples. */
        static const char *const vectors[][2] = {
                { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
                { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
                { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                uint8_t expected[SHA256_SIZE], digest[SHA256_SIZE];
                _cleanup_free_ char *hex = NULL;

                unhex(vectors[i][1], expected, sizeof(expected));
                assert_int_equal(sha256(vectors[i][0], strlen(vectors[i][0]), digest), 0);
                assert_memory_equal(digest, expected, sizeof(digest));

                hex = sha256_hex(vectors[i][0]);
                assert_string_equal(hex, vectors[i][1]);
        }
}

static void test_hmac_sha256(void **state _unused_) {
        uint8_t key[131], data[50], expected[SHA256_SIZE], digest[SHA256_SIZE];

        /* RFC 4231, test cases 1 to 4, 6 and 7 */
        memset(key, 0x0b, 20);
        unhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", expected, 32);
        assert_int_equal(hmac_sha256(key, 20, "Hi There", 8, digest), 0);
        assert_memory_equal(digest, expected, 32);

        unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", expected, 32);
        assert_int_equal(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, digest), 0);
        assert_memory_equal(digest, expected, 32);

        memset(key, 0xaa, 20);
        memset(data, 0xdd, 50);
        unhex("773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", expected, 32);
        assert_int_equal(hmac_sha256(key, 20, data, 50, digest), 0);
        assert_memory_equal(digest, expected, 32);

        for (uint8_t i = 0; i < 25; i++)
                key[i] = i + 1;
        memset(data, 0xcd, 50);
        unhex("82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b", expected, 32);
        assert_int_equal(hmac_sha256(key, 25, data, 50, digest), 0);
        assert_memory_equal(digest, expected, 32);

        memset(key, 0xaa, 131);
        unhex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", expected, 32);
        assert_int_equal(hmac_sha256(key, 131,
                                     "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                                     digest),
                         0);
        assert_memory_equal(digest, expected, 32);

        unhex("9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2", expected, 32);
        assert_int_equal(hmac_sha256(key, 131,
                                     "This is a test using a larger than block-size key and a "
                                     "larger than block-size data. The key needs to be hashed "
                                     "before being used by the HMAC algorithm.",
                                     152, digest),
                         0);
        assert_memory_equal(digest, expected, 32);
}

static void test_hmac_sha256_empty(void **state _unused_) {
        uint8_t expected[SHA256_SIZE], digest[SHA256_SIZE];

        /* Python: hmac.new(b"", b"", "sha256").hexdigest() */
        unhex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", expected, 32);
        assert_int_equal(hmac_sha256(NULL, 0, NULL, 0, digest), 0);
        assert_memory_equal(digest, expected, 32);
}

static void test_no_memory(void **state _unused_) {
        uint8_t *b = NULL;
        char *s = NULL;
        size_t n;

        oom_at(0);
        assert_int_equal(base64_encode("foo", 3, &s), -ENOMEM);
        assert_int_equal(base64_decode("Zm9v", &b, &n), -ENOMEM);
        assert_null(percent_encode("a b"));
        assert_null(sha256_hex("abc"));
        assert_true(oom_off());
        assert_null(s);
        assert_null(b);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_base64_encode),  cmocka_unit_test(test_base64_encode_nothing),
                cmocka_unit_test(test_base64_decode),  cmocka_unit_test(test_base64_decode_bad),
                cmocka_unit_test(test_percent_encode), cmocka_unit_test(test_sha256),
                cmocka_unit_test(test_hmac_sha256),    cmocka_unit_test(test_hmac_sha256_empty),
                cmocka_unit_test(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
