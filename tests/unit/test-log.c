/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fake.h"

#define EVENT EVENT_JOB_COMPLETED

/* stderr is a pipe while a test runs; what came out is read here. */
static int real_stderr = -1, read_end = -1;
static char captured[65536];

static const char *output(void) {
        ssize_t n = read(read_end, captured, sizeof(captured) - 1);

        captured[MAX(n, (ssize_t) 0)] = '\0';
        return captured;
}

static int set_up(void **state _unused_) {
        static char name[] = "automapost-x";
        int fds[2];

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -1;
        read_end = fds[0];
        real_stderr = dup(STDERR_FILENO);
        (void) dup2(fds[1], STDERR_FILENO);
        (void) close(fds[1]);

        (void) unsetenv("JOURNAL_STREAM");
        (void) unsetenv("SYSTEMD_EXEC_PID");
        program_invocation_short_name = name;
        journal_entry = NULL;
        journal_result = 0;
        log_set_max_level(LOG_INFO);
        log_open();
        return 0;
}

static int tear_down(void **state _unused_) {
        (void) dup2(real_stderr, STDERR_FILENO);
        (void) close(real_stderr);
        (void) close(read_end);
        return 0;
}

/* What systemd sets when stderr is the journal. */
static void open_journal(void) {
        char stream[64];
        struct stat st;

        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        (void) snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long) st.st_dev,
                        (unsigned long) st.st_ino);
        assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
        log_open();
}

static bool has_field(const char *line) {
        size_t n = strlen(line);

        for (const char *p = journal_entry; p && *p; p = strchr(p, '\n') + 1)
                if (strncmp(p, line, n) == 0 && p[n] == '\n')
                        return true;

        return false;
}

static void test_stderr(void **state _unused_) {
        log_info("hello %d", 5);
        assert_string_equal(output(), "automapost-x: hello 5\n");
        assert_null(journal_entry);
}

static void test_levels(void **state _unused_) {
        log_debug("no");
        assert_string_equal(output(), "");
        log_set_max_level(LOG_ERR);
        assert_int_equal(log_get_max_level(), LOG_ERR);
        log_warning("no");
        log_error("yes");
        assert_string_equal(output(), "automapost-x: yes\n");
        log_set_max_level(LOG_DEBUG);
        log_debug("yes");
        assert_string_equal(output(), "automapost-x: yes\n");
}

static void test_error(void **state _unused_) {
        _cleanup_(error_done) Error e = ERROR_NULL;

        log_full(LOG_WARNING, NULL, &e, "fine");
        assert_string_equal(output(), "automapost-x: fine\n");

        (void) error_setf(&e, ERROR_AUTH, -EACCES, "401", "token refused");
        log_full(LOG_WARNING, NULL, &e, "cannot publish");
        assert_string_equal(output(), "automapost-x: cannot publish: token refused\n");

        /* no memory for its text: the class says something */
        free(e.message);
        e.message = NULL;
        log_full(LOG_WARNING, NULL, &e, "cannot publish");
        assert_string_equal(output(), "automapost-x: cannot publish: auth\n");
}

static void test_prefix(void **state _unused_) {
        char pid[16];

        (void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
        (void) setenv("SYSTEMD_EXEC_PID", pid, 1);
        log_open();
        log_error("bad");
        log_info("good");
        assert_string_equal(output(), "<3>bad\n<6>good\n");

        /* a child of a service only inherits it */
        (void) setenv("SYSTEMD_EXEC_PID", "1", 1);
        log_open();
        log_error("bad");
        assert_string_equal(output(), "automapost-x: bad\n");
}

/* On a terminal a person reads, whoever started it. */
static void test_terminal(void **state _unused_) {
        _cleanup_close_ int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), end = -1;
        char pid[16], text[100] = "";

        if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0)
                skip();
        end = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (end < 0)
                skip();
        assert_true(dup2(end, STDERR_FILENO) >= 0);

        (void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
        (void) setenv("SYSTEMD_EXEC_PID", pid, 1);
        log_open();
        log_error("bad");
        assert_true(read(terminal, text, sizeof(text) - 1) > 0);
        assert_string_equal(text, "automapost-x: bad\r\n");
}

static void test_control_characters(void **state _unused_) {
        log_info("a\x1b[31mb\rc\x7f\td");
        assert_string_equal(output(), "automapost-x: a?[31mb?c?\td\n");
}

static void test_journal(void **state _unused_) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        char line[32];

        open_journal();
        (void) error_setf(&e, ERROR_RATE_LIMITED, -EAGAIN, "429", "slow down");
        log_full(LOG_WARNING, EVENT, &e, "cannot publish %s", "it");
        (void) snprintf(line, sizeof(line), "CODE_LINE=%d", __LINE__ - 1);

        assert_string_equal(output(), "");
        assert_true(has_field("MESSAGE=cannot publish it: slow down"));
        assert_true(has_field("PRIORITY=4"));
        assert_true(has_field(line));
        assert_true(has_field("CODE_FUNC=test_journal"));
        assert_non_null(strstr(journal_entry, "test-log.c\n"));
        assert_true(has_field("MESSAGE_ID=" EVENT));
        assert_true(has_field("AUTOMAPOST_ERROR_CLASS=rate-limited"));
        assert_true(has_field("AUTOMAPOST_ERROR_CODE=429"));
        (void) snprintf(line, sizeof(line), "ERRNO=%d", EAGAIN);
        assert_true(has_field(line));
}

static void test_journal_plain(void **state _unused_) {
        open_journal();
        log_info("x");
        assert_true(has_field("MESSAGE=x"));
        assert_true(has_field("PRIORITY=6"));
        assert_null(strstr(journal_entry, "MESSAGE_ID"));
        assert_null(strstr(journal_entry, "ERRNO"));
        assert_null(strstr(journal_entry, "AUTOMAPOST_"));
}

static void test_journal_gone(void **state _unused_) {
        open_journal();
        journal_result = -ENOBUFS;
        log_info("x");
        assert_string_equal(output(), "automapost-x: x\n");
}

static void test_journal_of_others(void **state _unused_) {
        (void) setenv("JOURNAL_STREAM", "1:2", 1);
        log_open();
        log_info("x");
        assert_string_equal(output(), "automapost-x: x\n");
        (void) setenv("JOURNAL_STREAM", "", 1);
        log_open();
        log_info("y");
        assert_string_equal(output(), "automapost-x: y\n");
        assert_null(journal_entry);
}

static void *other_thread(void *arg _unused_) {
        log_info("other");
        return NULL;
}

static void test_fields(void **state _unused_) {
        pthread_t thread;

        open_journal();
        {
                _cleanup_(log_popp) LogField *a = log_push(FIELD_JOB_ID, "%d", 7);
                {
                        _cleanup_(log_popp) LogField *b = log_push(FIELD_PROVIDER, "%s", "x");

                        log_info("both");
                        assert_true(has_field("AUTOMAPOST_JOB_ID=7"));
                        assert_true(has_field("AUTOMAPOST_PROVIDER=x"));
                }
                log_info("one");
                assert_true(has_field("AUTOMAPOST_JOB_ID=7"));
                assert_false(has_field("AUTOMAPOST_PROVIDER=x"));

                /* they belong to this thread */
                assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_true(has_field("MESSAGE=other"));
                assert_false(has_field("AUTOMAPOST_JOB_ID=7"));
        }
        log_info("none");
        assert_false(has_field("AUTOMAPOST_JOB_ID=7"));
}

static void test_fields_any_order(void **state _unused_) {
        LogField *a = log_push("A", "1"), *b = log_push("B", "2");

        open_journal();
        log_pop(a);
        log_info("x");
        assert_false(has_field("A=1"));
        assert_true(has_field("B=2"));
        log_pop(b);
        log_pop(NULL);
}

static void test_fields_on_stderr(void **state _unused_) {
        _cleanup_(log_popp) LogField *a = log_push("A", "%s", "1\x1b"), *b = log_push("B", "2");

        log_info("x");
        assert_string_equal(output(), "automapost-x: x\n");
        log_set_max_level(LOG_DEBUG);
        log_info("x");
        assert_string_equal(output(), "automapost-x: x B=2 A=1?\n");
        assert_non_null(b);
}

static void test_many_fields(void **state _unused_) {
        LogField *fields[100];

        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                fields[i] = log_push("F", "%zu", i);

        open_journal();
        log_info("to the journal");
        assert_true(has_field("MESSAGE=to the journal"));
        assert_true(has_field("PRIORITY=6"));
        assert_true(has_field("F=99"));

        (void) unsetenv("JOURNAL_STREAM");
        log_open();
        log_set_max_level(LOG_DEBUG);
        log_info("to stderr");
        assert_memory_equal(output(), "automapost-x: to stderr F=99 ", 29);

        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                log_pop(fields[i]);
}

static void test_long_message(void **state _unused_) {
        char text[5001];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        log_info("%s", text);
        (void) output();
        assert_int_equal(strlen(captured), strlen("automapost-x: \n") + 5000);
        assert_string_equal(captured + strlen(captured) - 3, "xx\n");
}

static void test_no_memory(void **state _unused_) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        LogField *f;
        char text[5001];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        (void) error_setf(&e, ERROR_AUTH, -EACCES, "401", "token refused");

        open_journal();
        oom_at(0);
        f = log_push("A", "1");
        assert_null(f);
        log_pop(f);
        log_full(LOG_ERR, NULL, &e, "short");
        assert_true(has_field("MESSAGE=short: token refused"));
        assert_true(has_field("AUTOMAPOST_ERROR_CODE=401"));
        /* a long one is cut */
        log_full(LOG_ERR, NULL, &e, "%s", text);
        assert_memory_equal(journal_entry, "MESSAGE=xxxxxxxxxx", 18);
        assert_true(has_field("PRIORITY=3"));
        assert_true(oom_off());
}

static void test_keeps_errno(void **state _unused_) {
        errno = ENOENT;
        log_info("failed: %m");
        assert_int_equal(errno, ENOENT);
        assert_string_equal(output(), "automapost-x: failed: No such file or directory\n");

        /* nobody reads: writing fails */
        (void) close(STDERR_FILENO);
        errno = ENOENT;
        log_info("lost");
        assert_int_equal(errno, ENOENT);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        static const struct CMUnitTest tests[] = {
                TEST(test_stderr),
                TEST(test_levels),
                TEST(test_error),
                TEST(test_prefix),
                TEST(test_terminal),
                TEST(test_control_characters),
                TEST(test_journal),
                TEST(test_journal_plain),
                TEST(test_journal_gone),
                TEST(test_journal_of_others),
                TEST(test_fields),
                TEST(test_fields_any_order),
                TEST(test_fields_on_stderr),
                TEST(test_many_fields),
                TEST(test_long_message),
                TEST(test_no_memory),
                TEST(test_keeps_errno),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
