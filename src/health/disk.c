/* SPDX-License-Identifier: MIT */

#include "health/disk.h"

#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static void add(DiskList *list, dev_t *seen, const char *path) {
        struct statvfs fs;
        struct stat st;
        Disk *d = &list->disks[list->n];

        if (list->n == ELEMENTSOF(list->disks) || stat(path, &st) < 0 || statvfs(path, &fs) < 0)
                return;
        for (size_t i = 0; i < list->n; i++)
                if (seen[i] == st.st_dev)
                        return;
        if ((size_t) snprintf(d->path, sizeof(d->path), "%s", path) >= sizeof(d->path))
                return;
        d->free = (uint64_t) fs.f_bavail * fs.f_frsize;
        d->size = (uint64_t) fs.f_blocks * fs.f_frsize;
        seen[list->n++] = st.st_dev;
}

void disk_look(bool local_database, DiskList *ret) {
        DiskList list = {};
        dev_t seen[ELEMENTSOF(list.disks)] = {};
        glob_t found;

        add(&list, seen, "/var/lib/" PROJECT_NAME);
        /* Where Debian's clusters lie; what is below is the server's own. */
        if (local_database && glob("/var/lib/postgresql/*/*", 0, NULL, &found) == 0) {
                for (size_t i = 0; i < found.gl_pathc; i++)
                        add(&list, seen, found.gl_pathv[i]);
                globfree(&found);
        }
        *ret = list;
}

bool disk_is_nearly_full(const Disk *d) {
        /* A twentieth, or 1 GiB of a large one. */
        return d->free < MIN(d->size / 20, UINT64_C(1) << 30);
}
