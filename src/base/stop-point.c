/* SPDX-License-Identifier: MIT */
#include "stop-point.h"

#ifdef HAVE_STOP_POINTS

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "macro.h"

static unsigned long number(const char *s, unsigned long missing) {
        char *end = NULL;
        unsigned long n;

        if (isempty(s))
                return missing;

        errno = 0;
        n = strtoul(s, &end, 10);
        return errno == 0 && *end == '\0' ? n : missing;
}

void stop_point(const char *name) {
        static atomic_ulong arrivals = 0;
        const char *wanted, *colon;
        size_t length;
        int fd;

        /* Tests set it once, before the first thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
        wanted = getenv("AUTOMAPOST_STOP_POINT");
        if (isempty(wanted))
                return;

        colon = strchr(wanted, ':');
        length = colon ? (size_t) (colon - wanted) : strlen(wanted);
        if (strlen(name) != length || strncmp(name, wanted, length) != 0)
                return;
        if (atomic_fetch_add(&arrivals, 1) + 1 != number(colon ? colon + 1 : NULL, 1))
                return;

        fd = (int) number(getenv("AUTOMAPOST_STOP_FD"), STDERR_FILENO);
        (void) dprintf(fd, "stop-point %s\n", name);
        (void) raise(SIGSTOP);
}

#endif
