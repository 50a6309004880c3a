/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static const struct {
        const char *address;
        bool public;
} table[] = {
        { "1.1.1.1", true },
        { "8.8.8.8", true },
        { "9.255.255.255", true },
        { "11.0.0.0", true },
        { "100.63.255.255", true },
        { "100.128.0.0", true },
        { "172.15.255.255", true },
        { "172.32.0.0", true },
        { "192.167.255.255", true },
        { "192.169.0.0", true },
        { "198.17.255.255", true },
        { "198.20.0.0", true },
        { "223.255.255.255", true },
        { "0.0.0.0", false },
        { "0.1.2.3", false },
        { "10.0.0.1", false },
        { "10.255.255.255", false },
        { "100.64.0.0", false },
        { "100.127.255.255", false },
        { "127.0.0.1", false },
        { "127.255.255.254", false },
        { "169.254.169.254", false },
        { "172.16.0.1", false },
        { "172.31.255.255", false },
        { "192.0.0.170", false },
        { "192.0.2.1", false },
        { "192.88.99.1", false },
        { "192.168.1.1", false },
        { "198.18.0.1", false },
        { "198.19.255.255", false },
        { "198.51.100.7", false },
        { "203.0.113.7", false },
        { "224.0.0.1", false },
        { "239.255.255.255", false },
        { "240.0.0.1", false },
        { "255.255.255.255", false },

        { "2606:4700:4700::1111", true },
        { "2001:4860:4860::8888", true },
        { "2a00:1450:4001::1", true },
        { "64:ff9b::808:808", true }, /* 8.8.8.8 as an IPv6-only host sees it */
        { "::", false },
        { "::1", false },
        { "::127.0.0.1", false },
        { "::ffff:8.8.8.8", false },
        { "::ffff:127.0.0.1", false },
        { "::ffff:10.0.0.1", false },
        { "64:ff9b::7f00:1", false },
        { "64:ff9b::a9fe:a9fe", false },
        { "64:ff9b:1::808:808", false },
        { "100::1", false },
        { "fc00::1", false },
        { "fdff::1", false },
        { "fe80::1", false },
        { "fec0::1", false },
        { "ff02::1", false },
        { "2001::1", false },         /* Teredo */
        { "2001:2::1", false },       /* benchmarking */
        { "2001:db8::1", false },     /* documentation */
        { "2002:7f00:1::1", false },  /* 6to4 of 127.0.0.1 */
        { "2002:808:808::1", false }, /* 6to4 */
        { "3fff::1", false },         /* documentation */
        { "4000::1", false },         /* not assigned */
};

static bool is_public(const char *address) {
        struct sockaddr_in in = { .sin_family = AF_INET };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

        if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
                return address_is_public((const struct sockaddr *) &in, sizeof(in));
        assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
        return address_is_public((const struct sockaddr *) &in6, sizeof(in6));
}

static void test_table(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (is_public(table[i].address) != table[i].public)
                        fail_msg("%s", table[i].address);
}

static void test_other_families(_unused_ void **state) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        struct sockaddr_in in = { .sin_family = AF_INET };

        assert_int_equal(inet_pton(AF_INET, "8.8.8.8", &in.sin_addr), 1);
        assert_false(address_is_public((const struct sockaddr *) &un, sizeof(un)));
        assert_false(address_is_public((const struct sockaddr *) &in, sizeof(in) - 1));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_other_families),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
