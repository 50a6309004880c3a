/* SPDX-License-Identifier: MIT */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

typedef struct Range {
        uint8_t prefix[16];
        unsigned bits;
} Range;

/* IANA's special-purpose IPv4 registry, and multicast. */
static const Range ranges4[] = {
        { { 0 }, 8 },             /* "this network" */
        { { 10 }, 8 },            /* private */
        { { 100, 64 }, 10 },      /* shared by carriers' NAT */
        { { 127 }, 8 },           /* loopback */
        { { 169, 254 }, 16 },     /* link-local, clouds' metadata */
        { { 172, 16 }, 12 },      /* private */
        { { 192, 0, 0 }, 24 },    /* protocol assignments */
        { { 192, 0, 2 }, 24 },    /* documentation */
        { { 192, 31, 196 }, 24 }, /* AS112 */
        { { 192, 52, 193 }, 24 }, /* AMT */
        { { 192, 88, 99 }, 24 },  /* 6to4 relays, deprecated */
        { { 192, 168 }, 16 },     /* private */
        { { 192, 175, 48 }, 24 }, /* AS112 */
        { { 198, 18 }, 15 },      /* benchmarking */
        { { 198, 51, 100 }, 24 }, /* documentation */
        { { 203, 0, 113 }, 24 },  /* documentation */
        { { 224 }, 4 },           /* multicast */
        { { 240 }, 4 },           /* reserved, broadcast */
};

/* Global unicast is 2000::/3 alone; these are the parts of it that are not. 6to4 and Teredo, which
 * carry IPv4 addresses, are nobody's way to a web server any more: refused whole. */
static const Range ranges6[] = {
        { { 0x20, 0x01 }, 23 },                   /* assignments, Teredo, benchmarking */
        { { 0x20, 0x01, 0x0d, 0xb8 }, 32 },       /* documentation */
        { { 0x20, 0x02 }, 16 },                   /* 6to4 */
        { { 0x26, 0x20, 0x00, 0x4f, 0x80 }, 48 }, /* AS112 */
        { { 0x3f, 0xff }, 20 },                   /* documentation */
        { { 0x3f, 0xfe }, 16 },                   /* 6bone, returned */
};

static const Range nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };
static const Range global_unicast = { { 0x20 }, 3 };

static bool in_range(const uint8_t *address, const Range *range) {
        unsigned bytes = range->bits / 8, bits = range->bits % 8;

        if (memcmp(address, range->prefix, bytes) != 0)
                return false;
        return bits == 0 || ((address[bytes] ^ range->prefix[bytes]) >> (8 - bits)) == 0;
}

static bool is_public4(const uint8_t address[static 4]) {
        for (size_t i = 0; i < ELEMENTSOF(ranges4); i++)
                if (in_range(address, ranges4 + i))
                        return false;
        return true;
}

static bool is_public6(const uint8_t address[static 16]) {
        /* The well-known NAT64 prefix is how an IPv6-only host reaches IPv4: judged by what it
         * carries. A mapped address never leaves as such, and no server is named by one. */
        if (in_range(address, &nat64))
                return is_public4(address + 12);
        if (!in_range(address, &global_unicast))
                return false;

        for (size_t i = 0; i < ELEMENTSOF(ranges6); i++)
                if (in_range(address, ranges6 + i))
                        return false;
        return true;
}

bool address_is_public(const struct sockaddr *address, socklen_t length) {
        if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
                struct sockaddr_in in;

                memcpy(&in, address, sizeof(in));
                return is_public4((const uint8_t *) &in.sin_addr);
        }

        if (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
                struct sockaddr_in6 in6;

                memcpy(&in6, address, sizeof(in6));
                return is_public6(in6.sin6_addr.s6_addr);
        }

        return false;
}
