/* SPDX-License-Identifier: MIT */
#include "id.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <systemd/sd-id128.h>

#include "time-util.h"

static void random_bytes(uint8_t *ret, size_t n) {
        int r;

        /* The kernel gives up to 256 bytes whole once it is seeded, and we run long after that. */
        r = getentropy(ret, n);
        assert(r == 0);
}

static void hex(const uint8_t *bytes, size_t n, char *ret) {
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < n; i++) {
                *ret++ = digits[bytes[i] >> 4];
                *ret++ = digits[bytes[i] & 15];
        }
        *ret = '\0';
}

void uuid_v7(char ret[static UUID_SIZE]) {
        static const size_t groups[] = { 4, 2, 2, 2, 6 };
        usec_t t = now(CLOCK_REALTIME), msec = t / USEC_PER_MSEC;
        /* The 12 bits after the version are a fraction of the millisecond (RFC 9562, 6.2, method
         * 3), so that what one host makes in a row sorts in that row more often than not. */
        uint64_t fraction = (t % USEC_PER_MSEC) * 4096 / USEC_PER_MSEC;
        uint8_t b[16];
        const uint8_t *from = b;

        random_bytes(b, sizeof(b));
        for (size_t i = 0; i < 6; i++)
                b[i] = (uint8_t) (msec >> (40 - 8 * i));
        b[6] = (uint8_t) (0x70 | fraction >> 8);
        b[7] = (uint8_t) fraction;
        b[8] = (uint8_t) (0x80 | (b[8] & 0x3f));

        for (size_t i = 0; i < ELEMENTSOF(groups); i++) {
                if (i > 0)
                        *ret++ = '-';
                hex(from, groups[i], ret);
                from += groups[i];
                ret += 2 * groups[i];
        }
}

void id128_random(char ret[static ID128_SIZE]) {
        uint8_t b[16];

        random_bytes(b, sizeof(b));
        hex(b, sizeof(b), ret);
}

static bool is_id128(const char *s) {
        return s && strlen(s) == ID128_SIZE - 1 && strspn(s, "0123456789abcdef") == ID128_SIZE - 1;
}

void worker_id(char ret[static ID128_SIZE]) {
        static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        static char id[ID128_SIZE];
        static pid_t owner;
        const char *exec_pid, *invocation_id;
        char pid[16];

        (void) pthread_mutex_lock(&mutex);

        /* A child after fork() is another worker. */
        if (owner != getpid()) {
                owner = getpid();
                (void) snprintf(pid, sizeof(pid), "%d", (int) owner);
                exec_pid = getenv("SYSTEMD_EXEC_PID");
                invocation_id = getenv("INVOCATION_ID");
                if (streq_ptr(exec_pid, pid) && is_id128(invocation_id))
                        memcpy(id, invocation_id, ID128_SIZE);
                else
                        id128_random(id);
        }
        memcpy(ret, id, ID128_SIZE);

        (void) pthread_mutex_unlock(&mutex);
}

int machine_hash(char ret[static ID128_SIZE]) {
        /* Drawn once; another one would be another machine everywhere. */
        static const sd_id128_t application =
                SD_ID128_MAKE(1b, 47, da, 54, a9, eb, 43, 51, b0, 42, 5e, 96, df, bd, 4a, 9a);
        sd_id128_t id;
        int r;

        r = sd_id128_get_machine_app_specific(application, &id);
        if (r < 0)
                return r;
        hex(id.bytes, sizeof(id.bytes), ret);
        return 0;
}

void boot_id(char ret[static ID128_SIZE]) {
        const char *told = getenv("BOOT_ID");
        _cleanup_close_ int fd = -1;
        char text[UUID_SIZE], *to = ret;
        ssize_t n;

        *ret = '\0';

        fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                if (told && is_id128(told))
                        memcpy(ret, told, ID128_SIZE);
                return;
        }

        n = read(fd, text, sizeof(text) - 1);
        if (n != sizeof(text) - 1)
                return;

        for (const char *p = text; p < text + n; p++)
                if (*p != '-' && to < ret + ID128_SIZE - 1)
                        *to++ = *p;
        *to = '\0';

        if (!is_id128(ret))
                *ret = '\0';
}
