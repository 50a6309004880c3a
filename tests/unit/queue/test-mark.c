/* SPDX-License-Identifier: MIT */

/* How far this host has sent (src/queue/mark.c). */

#include "../test.h"

#include "queue/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/text.h"

#define INSTALLATION "0192f0c8-0000-7000-8000-000000000001"
#define MACHINE "7c1d0000000000000000000000000001"
#define AT "2026-11-26T08:15:00.123456Z"

static char folder[PATH_MAX], file[PATH_MAX + 128];

static int setup(void **state _unused_) {
        (void) snprintf(folder, sizeof(folder), "/tmp/test-mark-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        (void) snprintf(file, sizeof(file), "%s/begun-%s-%s", folder, INSTALLATION, MACHINE);
        return 0;
}

static int teardown(void **state _unused_) {
        (void) chmod(folder, 0700);
        (void) unlink(file);
        return rmdir(folder);
}

static void put_file(const char *text) {
        FILE *f = fopen(file, "w");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void assert_mark(int64_t begins, const char *at) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        Mark m;

        assert_int_equal(mark_read(folder, INSTALLATION, MACHINE, &m, &error), 0);
        assert_int_equal(m.begins, begins);
        assert_string_equal(m.at, at);
}

static void write_mark(int64_t begins, const char *at) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        Mark m = { .begins = begins };

        (void) snprintf(m.at, sizeof(m.at), "%s", at);
        assert_int_equal(mark_write(folder, INSTALLATION, MACHINE, &m, &error), 0);
}

static void test_none_is_zero(void **state _unused_) {
        assert_mark(0, "");
}

static void test_the_higher_one_stays(void **state _unused_) {
        write_mark(57, AT);
        assert_mark(57, AT);
        write_mark(56, "2026-11-26T09:00:00.000000Z");
        assert_mark(57, AT);
        write_mark(58, "2026-11-26T09:00:00.000000Z");
        assert_mark(58, "2026-11-26T09:00:00.000000Z");
}

/* As it was written before it was overwritten in place; and whoever reads it so understands ours.
 */
static void test_an_older_file(void **state _unused_) {
        char text[128] = "";
        FILE *f;

        put_file("57 " AT "\n");
        assert_mark(57, AT);
        write_mark(1000000, "2026-11-26T09:00:00.000000Z");
        assert_mark(1000000, "2026-11-26T09:00:00.000000Z");
        f = fopen(file, "r");
        assert_non_null(f);
        assert_non_null(fgets(text, sizeof(text), f));
        assert_int_equal(fgetc(f), EOF);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(strtoll(text, NULL, 10), 1000000);
        assert_string_equal(strchr(text, '2'), "2026-11-26T09:00:00.000000Z\n");
}

/* Another installation's, and what a clone of the disk brings along from another machine. */
static void test_of_this_machine_alone(void **state _unused_) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        Mark m;

        write_mark(57, AT);
        assert_int_equal(mark_read(folder, INSTALLATION, "7c1d0000000000000000000000000002", &m,
                                   &error),
                         0);
        assert_int_equal(m.begins, 0);
        assert_int_equal(mark_read(folder, "0192f0c8-0000-7000-8000-000000000002", MACHINE, &m,
                                   &error),
                         0);
        assert_int_equal(m.begins, 0);
}

/* To take it for 0 would be to send again what was sent. */
static void test_what_is_no_mark_is_refused(void **state _unused_) {
        const char *const texts[] = {
                "",
                "\n",
                "57",
                "57\n",
                "57 \n",
                "57  " AT "\n",
                "57 " AT,
                "57 " AT "\n\n",
                "57 yesterday\n",
                "0 " AT "\n",
                "-1 " AT "\n",
                "x57 " AT "\n",
                "99999999999999999999 " AT "\n",
                "57 2026-11-26T08:15:00.123456Z and a line that is longer than any\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(error_done) Error error = ERROR_NULL, too = ERROR_NULL;
                Mark m = { .begins = 58, .at = AT };

                put_file(texts[i]);
                assert_true(mark_write(folder, INSTALLATION, MACHINE, &m, &too) < 0);
                assert_int_equal(mark_read(folder, INSTALLATION, MACHINE, &m, &error), -EBADMSG);
                assert_int_equal(error.class, ERROR_CONFIG);
                assert_non_null(strstr(error.message, file));
                assert_non_null(strstr(error.message, "HINT: "));
        }
}

/* A link would be somebody else's file. */
static void test_a_link_is_refused(void **state _unused_) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        Mark m;

        assert_int_equal(symlink("/etc/hostname", file), 0);
        assert_true(mark_read(folder, INSTALLATION, MACHINE, &m, &error) < 0);
        assert_int_equal(error.class, ERROR_CONFIG);
}

static void test_a_folder_that_is_none(void **state _unused_) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        Mark m = { .begins = 1, .at = AT };

        assert_true(mark_write("/dev/null", INSTALLATION, MACHINE, &m, &error) < 0);
        assert_int_equal(error.class, ERROR_CONFIG);
        assert_non_null(strstr(error.message, "/dev/null"));
        assert_non_null(strstr(error.message, "AUTOMAPOST_STATE_DIR"));
}

/* Processes of one host write at once, each a higher one at a time: nobody reads half a line, and
 * the highest is what stays. */
static void test_together(void **state _unused_) {
        enum {
                WRITERS = 4,
                TIMES = 50
        };

        for (int i = 0; i < WRITERS; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid > 0)
                        continue;
                for (int k = 1; k <= TIMES; k++) {
                        Error error = ERROR_NULL;
                        Mark m = { .begins = (int64_t) k * WRITERS + i, .at = AT }, seen;

                        if (mark_write(folder, INSTALLATION, MACHINE, &m, &error) < 0 ||
                            mark_read(folder, INSTALLATION, MACHINE, &seen, &error) < 0 ||
                            seen.begins < m.begins)
                                _exit(1);
                }
                _exit(0);
        }
        for (int i = 0; i < WRITERS; i++) {
                int status;

                assert_true(wait(&status) > 0);
                assert_int_equal(status, 0);
        }
        assert_mark(TIMES * WRITERS + WRITERS - 1, AT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_none_is_zero, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_higher_one_stays, setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_older_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_of_this_machine_alone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_no_mark_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_link_is_refused, setup, teardown),
                cmocka_unit_test(test_a_folder_that_is_none),
                cmocka_unit_test_setup_teardown(test_together, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
