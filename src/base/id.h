/* SPDX-License-Identifier: MIT */
#pragma once

/* Identifiers: random 128 bits as 32 hexadecimal digits, uuid version 7 (RFC 9562: time-ordered),
 * and the identity of this process. */

#include "macro.h"

#define UUID_SIZE 37
#define ID128_SIZE 33

void uuid_v7(char ret[static UUID_SIZE]);
void id128_random(char ret[static ID128_SIZE]);

/* This process as a worker: INVOCATION_ID when systemd started this very process
 * ($SYSTEMD_EXEC_PID is its pid; children only inherit the variables), else 128 random bits. */
void worker_id(char ret[static ID128_SIZE]);
/* This machine by its /etc/machine-id, which itself is told to nobody: HMAC-SHA256 keyed with it,
 * as machine-id(5) asks for. -errno where the machine has none. */
int machine_hash(char ret[static ID128_SIZE]);
/* The kernel's boot id without dashes; where /proc/sys is out of reach (ProcSubset=pid) what the
 * unit says of it in $BOOT_ID; "" where neither tells. */
void boot_id(char ret[static ID128_SIZE]);
