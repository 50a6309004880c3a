/* SPDX-License-Identifier: MIT */
#include "alerts/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/text.h"
#include "queries.h"

#define LOCK_FILE "alerts.lock"
#define BOOK_FILE "alerts.json"
#define LOCK_TIMEOUT 60 /* seconds */
#define SIZE_MAX_READ ((size_t) 1024 * 1024)
#define QUERY_TIMEOUT (3 * USEC_PER_SEC)

/* ---- the file ---- */

static void on_alarm(_unused_ int sig) {
}

int store_lock(const char *state_dir, int *ret_fd, Error *ret_error) {
        const struct sigaction action = { .sa_handler = on_alarm }; /* no SA_RESTART */
        _cleanup_free_ char *path = strjoinf("%s/" LOCK_FILE, state_dir);
        _cleanup_close_ int fd = -1;
        struct sigaction before;
        int r;

        if (!path)
                return error_oom(ret_error);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
        if (fd < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL, "cannot open %s: %m",
                                  path);
        (void) sigaction(SIGALRM, &action, &before);
        (void) alarm(LOCK_TIMEOUT);
        r = flock(fd, LOCK_EX) < 0 ? -errno : 0;
        (void) alarm(0);
        (void) sigaction(SIGALRM, &before, NULL);
        if (r < 0)
                return error_setf(ret_error, ERROR_TRANSIENT, r, NULL,
                                  "cannot lock %s within %d s: another run holds it", path,
                                  LOCK_TIMEOUT);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int parse(const char *text, size_t n, Book *ret) {
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        int r = json_parse(text, n, &o);

        if (r >= 0)
                r = book_parse(o, ret);
        return r == -ENOMEM ? r : MIN(r, 0) < 0 ? -EINVAL : 0;
}

int store_read(const char *state_dir, Book *ret, Error *ret_error) {
        _cleanup_free_ char *path = strjoinf("%s/" BOOK_FILE, state_dir), *text = NULL;
        _cleanup_close_ int fd = -1;
        size_t n = 0;
        ssize_t k = 1;
        int r;

        text = malloc(SIZE_MAX_READ);
        if (!path || !text)
                return error_oom(ret_error);
        *ret = (Book){};
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return errno == ENOENT ? 0
                                       : error_setf(ret_error, ERROR_CONFIG, -errno, NULL,
                                                    "cannot open %s: %m", path);
        while (n < SIZE_MAX_READ && (k = read(fd, text + n, SIZE_MAX_READ - n)) != 0) {
                if (k < 0 && errno != EINTR)
                        return error_setf(ret_error, ERROR_CONFIG, -errno, NULL,
                                          "cannot read %s: %m", path);
                n += (size_t) MAX(k, 0);
        }
        r = n < SIZE_MAX_READ ? parse(text, n, ret) : -EINVAL;
        if (r == -ENOMEM)
                return error_oom(ret_error);
        if (r < 0)
                return error_setf(ret_error, ERROR_CONFIG, r, NULL,
                                  "%s is no book of alerts: begun anew", path);
        return 0;
}

bool store_exists(const char *state_dir) {
        _cleanup_free_ char *path = strjoinf("%s/" BOOK_FILE, state_dir);

        return path && access(path, F_OK) == 0;
}

void store_remove(const char *state_dir) {
        _cleanup_free_ char *path = strjoinf("%s/" BOOK_FILE, state_dir);

        if (path)
                (void) unlink(path);
}

static int write_all(int fd, const char *text) {
        for (size_t n = strlen(text); n > 0;) {
                ssize_t k = write(fd, text, n);

                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k > 0) {
                        text += k;
                        n -= (size_t) k;
                }
        }
        return fsync(fd) < 0 ? -errno : 0;
}

int store_write(const char *state_dir, const Book *b, Error *ret_error) {
        _cleanup_free_ char *path = strjoinf("%s/" BOOK_FILE, state_dir),
                            *fresh = strjoinf("%s/" BOOK_FILE ".new", state_dir);
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (!path || !fresh || book_print(b, &o) < 0 || !json_text(o))
                return error_oom(ret_error);
        fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0640);
        r = fd < 0 ? -errno : write_all(fd, json_text(o));
        if (r >= 0 && rename(fresh, path) < 0)
                r = -errno;
        if (r < 0)
                return error_setf(ret_error, ERROR_CONFIG, r, NULL, "cannot write %s: %s", path,
                                  strerrordesc_np(-r));
        return 0;
}

/* ---- the row ---- */

int store_take(Db *db, const char *taker, Book *ret, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        const char *text;
        int r;

        r = db_query(db, &query_take_alerts, (const char *[]){ taker }, QUERY_TIMEOUT, &rows,
                     ret_error);
        if (r < 0)
                return r;
        if (rows_count(rows) == 0)
                return 0;
        text = rows_text(rows, 0, 0) ?: "";
        *ret = (Book){};
        r = parse(text, strlen(text), ret);
        if (r < 0)
                return error_setf(ret_error, ERROR_CONFIG, r, NULL,
                                  "automapost.alert_book is no book of alerts");
        return 1;
}

int store_put(Db *db, const char *taker, const Book *b, bool keep, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        _cleanup_free_ char *written = NULL;
        int r;

        if (book_print(b, &o) < 0 || !json_text(o))
                return error_oom(ret_error);
        r = db_value(db, &query_put_alerts,
                     (const char *[]){ taker, json_text(o), keep ? "true" : "false" },
                     QUERY_TIMEOUT, &written, ret_error);
        if (r < 0)
                return r;
        if (!streq_ptr(written, "t"))
                return error_setf(ret_error, ERROR_TRANSIENT, -EBUSY, NULL,
                                  "another host has taken the book of alerts");
        return 0;
}
