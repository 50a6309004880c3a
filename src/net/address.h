/* SPDX-License-Identifier: MIT */
#pragma once

/* Which addresses a host that a member named may have. Asked after name resolution, so that every
 * way of writing an address, and every name that resolves to one, meets the same answer. */

#include <sys/socket.h>

#include "base/macro.h"

/* True for IPv4 and IPv6 addresses of the public internet. False for loopback, private,
 * link-local, shared (CGNAT), multicast, unspecified, benchmarking, documentation and reserved
 * ranges, for IPv6 forms that carry such an IPv4 address (mapped, NAT64, 6to4, Teredo), and for
 * every other address family. */
bool address_is_public(const struct sockaddr *address, socklen_t length);
