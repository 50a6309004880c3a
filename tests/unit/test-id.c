/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define HEX "0123456789abcdef"

static void assert_id128(const char *id) {
        assert_int_equal(strlen(id), 32);
        assert_int_equal(strspn(id, HEX), 32);
}

static void test_uuid_v7(void **state _unused_) {
        char uuid[UUID_SIZE], digits[17];
        struct timespec before, after;
        uint64_t msec;

        (void) clock_gettime(CLOCK_REALTIME, &before);
        uuid_v7(uuid);
        (void) clock_gettime(CLOCK_REALTIME, &after);

        /* RFC 9562, 5.7: 48 bits of Unix time in ms, version 7, variant 10. */
        assert_int_equal(strlen(uuid), 36);
        for (size_t i = 0; i < 36; i++)
                if (i == 8 || i == 13 || i == 18 || i == 23)
                        assert_int_equal(uuid[i], '-');
                else
                        assert_non_null(strchr(HEX, uuid[i]));
        assert_int_equal(uuid[14], '7');
        assert_non_null(strchr("89ab", uuid[19]));

        (void) snprintf(digits, sizeof(digits), "%.8s%.4s", uuid, uuid + 9);
        msec = strtoull(digits, NULL, 16);
        assert_in_range(msec, (uint64_t) before.tv_sec * 1000 + (uint64_t) before.tv_nsec / 1000000,
                        (uint64_t) after.tv_sec * 1000 + (uint64_t) after.tv_nsec / 1000000);
}

static void test_uuid_v7_order(void **state _unused_) {
        static const struct timespec pause = { .tv_nsec = 2000000 };
        char a[UUID_SIZE], b[UUID_SIZE];

        for (size_t i = 0; i < 5; i++) {
                uuid_v7(a);
                (void) nanosleep(&pause, NULL);
                uuid_v7(b);
                assert_true(strcmp(a, b) < 0);
        }
}

static void test_random_differs(void **state _unused_) {
        char a[ID128_SIZE], b[ID128_SIZE], u[UUID_SIZE], v[UUID_SIZE];

        id128_random(a);
        id128_random(b);
        assert_id128(a);
        assert_id128(b);
        assert_string_not_equal(a, b);

        uuid_v7(u);
        uuid_v7(v);
        assert_string_not_equal(u + 24, v + 24);
}

/* worker_id() is made once for a process, so each case is a child of its own. */
static void worker_of_child(const char *invocation_id, bool own_pid, char ret[static ID128_SIZE]) {
        int fds[2], status;
        pid_t child;

        assert_int_equal(pipe(fds), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                char pid[16], id[ID128_SIZE], again[ID128_SIZE];

                (void) snprintf(pid, sizeof(pid), "%d", (int) (own_pid ? getpid() : getppid()));
                (void) setenv("SYSTEMD_EXEC_PID", pid, 1);
                if (invocation_id)
                        (void) setenv("INVOCATION_ID", invocation_id, 1);
                else
                        (void) unsetenv("INVOCATION_ID");
                worker_id(id);
                worker_id(again);
                _exit(streq(id, again) && write(fds[1], id, sizeof(id)) == sizeof(id) ? 0 : 1);
        }

        assert_int_equal(read(fds[0], ret, ID128_SIZE), ID128_SIZE);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        (void) close(fds[0]);
        (void) close(fds[1]);
}

static void test_worker_id(void **state _unused_) {
        static const char invocation[] = "0123456789abcdef0123456789abcdef";
        char id[ID128_SIZE], other[ID128_SIZE];

        worker_of_child(invocation, true, id);
        assert_string_equal(id, invocation);

        /* started by a service, not by systemd itself */
        worker_of_child(invocation, false, id);
        assert_id128(id);
        assert_string_not_equal(id, invocation);

        worker_of_child("not an id", true, id);
        assert_id128(id);
        worker_of_child(NULL, true, other);
        assert_id128(other);
        assert_string_not_equal(id, other);
}

static void test_worker_id_after_fork(void **state _unused_) {
        char mine[ID128_SIZE], again[ID128_SIZE], childs[ID128_SIZE];

        worker_id(mine);
        worker_of_child(NULL, false, childs);
        assert_string_not_equal(mine, childs);

        worker_id(again);
        assert_string_equal(mine, again);
}

static void test_boot_id(void **state _unused_) {
        char id[ID128_SIZE], again[ID128_SIZE];

        boot_id(id);
        boot_id(again);
        assert_string_equal(id, again);
        if (access("/proc/sys/kernel/random/boot_id", R_OK) == 0)
                assert_id128(id);
        else
                assert_string_equal(id, "");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_uuid_v7),
                cmocka_unit_test(test_uuid_v7_order),
                cmocka_unit_test(test_random_differs),
                cmocka_unit_test(test_worker_id),
                cmocka_unit_test(test_worker_id_after_fork),
                cmocka_unit_test(test_boot_id),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
