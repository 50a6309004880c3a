/* SPDX-License-Identifier: MIT */

#include "queue/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/text.h"
#include "base/time-util.h"

#define LOCK_TIMEOUT (5 * USEC_PER_SEC)
#define LOCK_POLL_MSEC 5
/* Of the file: always the same, so that it can be overwritten. */
#define TEXT_LENGTH 64

static int cannot(const char *state_dir, int error, Error *ret_error) {
        return error_setf(ret_error, ERROR_CONFIG, -error, "state-dir",
                          "cannot keep in %s how far this host has sent: %s\n"
                          "HINT: AUTOMAPOST_STATE_DIR names a folder that the services may write",
                          state_dir, strerrordesc_np(error));
}

/* The state folder, made where only it is missing. */
static int open_folder(const char *state_dir) {
        if (mkdir(state_dir, 0750) < 0 && errno != EEXIST)
                return -errno;
        int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
                int r = -errno;

                (void) close(fd);
                return r;
        }
        return fd;
}

static int file_name(const char *installation, const char *machine, const char *suffix,
                     char ret[static NAME_MAX]) {
        int n = snprintf(ret, NAME_MAX, "begun-%s-%s%s", installation, machine, suffix);

        return n < NAME_MAX && !strchr(installation, '/') ? 0 : -EINVAL;
}

/* "57 2026-11-26T08:15:00.123456Z\n", with spaces before. Anything else is no mark of ours, and
 * says nothing that could be trusted. */
static int parse(const char *text, Mark *ret) {
        Mark m = {};
        char *rest;
        size_t n;
        usec_t at;

        errno = 0;
        m.begins = strtoll(text, &rest, 10);
        if (errno != 0 || m.begins <= 0 || *rest++ != ' ')
                return -EBADMSG;
        n = strcspn(rest, "\n");
        if (n >= sizeof(m.at) || !streq(rest + n, "\n"))
                return -EBADMSG;
        memcpy(m.at, rest, n);
        if (time_parse_iso8601(m.at, &at) < 0)
                return -EBADMSG;
        *ret = m;
        return 0;
}

static int read_at(int folder, const char *name, Mark *ret) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char text[128];
        ssize_t n;

        *ret = (Mark){};
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return parse(text, ret);
}

static int write_to(int fd, const Mark *mark) {
        char line[TEXT_LENGTH + 1], text[TEXT_LENGTH];
        int n = snprintf(line, sizeof(line), "%" PRId64 " %s\n", mark->begins, mark->at);
        ssize_t written;

        if (n < 0 || n > TEXT_LENGTH)
                return -EINVAL;
        memset(text, ' ', sizeof(text));
        memcpy(text + TEXT_LENGTH - n, line, (size_t) n);
        written = pwrite(fd, text, TEXT_LENGTH, 0);
        if (written < 0 || fdatasync(fd) < 0)
                return -errno;
        return written == TEXT_LENGTH ? 0 : -EIO;
}

/* Whole and on the disk, under its name, before anybody can see it there. */
static int create_at(int folder, const char *name, const char *new_name, const Mark *mark) {
        _cleanup_close_ int fd =
                openat(folder, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                       0600);
        int r = fd < 0 ? -errno : write_to(fd, mark);

        if (r < 0)
                return r;
        return renameat(folder, new_name, folder, name) < 0 || fsync(folder) < 0 ? -errno : 0;
}

/* In place: what is shorter than a sector is written whole or not at all, as PostgreSQL has it of
 * its pg_control. Nothing is sent before this, and a new file would take two flushes more. */
static int overwrite_at(int folder, const char *name, const Mark *mark) {
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : write_to(fd, mark);
}

/* Processes of one host take turns; none holds it for longer than its disk takes. */
static int lock_folder(int folder) {
        usec_t give_up = now(CLOCK_BOOTTIME) + LOCK_TIMEOUT;

        while (flock(folder, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return -errno;
                if (now(CLOCK_BOOTTIME) > give_up)
                        return -ETIMEDOUT;
                (void) poll(NULL, 0, LOCK_POLL_MSEC);
        }
        return 0;
}

int mark_read(const char *state_dir, const char *installation, const char *machine, Mark *ret,
              Error *ret_error) {
        char name[NAME_MAX];
        _cleanup_close_ int folder = open_folder(state_dir);
        int r = folder;

        if (r >= 0)
                r = file_name(installation, machine, "", name);
        if (r >= 0)
                r = lock_folder(folder);
        if (r >= 0)
                r = read_at(folder, name, ret);
        if (r == -EBADMSG)
                return error_setf(ret_error, ERROR_CONFIG, r, "state-dir",
                                  "the file %s/%s does not say how far this host has sent\n"
                                  "HINT: look what was sent last, then remove the file",
                                  state_dir, name);
        return r < 0 ? cannot(state_dir, -r, ret_error) : 0;
}

int mark_write(const char *state_dir, const char *installation, const char *machine,
               const Mark *mark, Error *ret_error) {
        char name[NAME_MAX], new_name[NAME_MAX];
        _cleanup_close_ int folder = open_folder(state_dir);
        Mark before = {};
        int r = folder;

        if (r >= 0)
                r = file_name(installation, machine, "", name);
        if (r >= 0)
                r = file_name(installation, machine, ".new", new_name);
        if (r >= 0)
                r = lock_folder(folder);
        if (r >= 0)
                r = read_at(folder, name, &before);
        if (r >= 0 && before.begins < mark->begins)
                r = before.begins == 0 ? create_at(folder, name, new_name, mark)
                                       : overwrite_at(folder, name, mark);
        return r < 0 ? cannot(state_dir, -r, ret_error) : 0;
}
