/* SPDX-License-Identifier: MIT */
#pragma once

/* The disks on which our state and PostgreSQL's data lie, where they are on this host. */

#include <stddef.h>

#include "base/macro.h"

typedef struct Disk {
        char path[64];
        uint64_t free, size; /* bytes; free: for who is not root */
} Disk;

typedef struct DiskList {
        Disk disks[4];
        size_t n;
} DiskList;

/* Looks at each disk once; what is not there is left out. */
void disk_look(bool local_database, DiskList *ret);
bool disk_is_nearly_full(const Disk *d);
