/* SPDX-License-Identifier: MIT */

/* The folder of "automapost dev": what is in it, and that nothing of anybody else's is. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/text.h"
#include "cli/dev-internal.h"
#include "cli/program.h"

#define MARKER "made-by-automapost-dev"

char *dev_path(const Dev *d, const char *name) {
        return strjoinf("%s/%s", d->dir, name);
}

bool dev_has(const Dev *d, const char *name) {
        _cleanup_free_ char *path = dev_path(d, name);

        return path && access(path, F_OK) == 0;
}

bool dev_is_ours(const Dev *d) {
        return dev_has(d, MARKER);
}

static int make_parents(const char *path) {
        _cleanup_free_ char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1; *p; p++)
                if (*p == '/') {
                        *p = '\0';
                        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                                return -errno;
                        *p = '/';
                }
        return 0;
}

int dev_write(const Dev *d, const char *name, mode_t mode, const char *text, Error *ret_error) {
        _cleanup_free_ char *path = dev_path(d, name), *fresh = strjoinf("%s.new", path);
        _cleanup_close_ int fd = -1;
        size_t n = strlen(text);

        if (!path || !fresh)
                return error_oom(ret_error);
        (void) unlink(fresh);
        fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0 || write(fd, text, n) != (ssize_t) n || rename(fresh, path) < 0)
                return error_setf(ret_error, ERROR_CONFIG, errno > 0 ? -errno : -EIO, NULL,
                                  "cannot write %s: %s", path, strerrordesc_np(errno));
        return 0;
}

/* The server's user must be able to come here: asked of the kernel, as that user. */
static int check_reachable(const Dev *d, Error *ret_error) {
        int r;

        if (d->uid == 0)
                return 0;
        r = program_run((const char *[]){ "test", "-w", d->dir, NULL }, d->uid, d->gid, CLI_TIMEOUT,
                        NULL, ret_error);
        if (r < 0)
                return r;
        if (r != 0)
                return error_setf(
                        ret_error, ERROR_CONFIG, -EACCES, NULL,
                        "the folder %s cannot be reached by the user that the server runs as\n"
                        "HINT: PostgreSQL does not run as root; --dir a folder whose parents everybody may enter",
                        d->dir);
        return 0;
}

static bool is_empty_folder(const char *path) {
        DIR *dir = opendir(path);
        const struct dirent *entry;
        bool empty = true;

        while (dir && empty && (entry = readdir(dir)))
                empty = streq(entry->d_name, ".") || streq(entry->d_name, "..");
        if (dir)
                (void) closedir(dir);
        return empty;
}

int dev_make_folder(const Dev *d, Error *ret_error) {
        struct sockaddr_un address;
        int r;

        if (strlen(d->dir) + strlen("/.s.PGSQL.65535.lock") >= sizeof(address.sun_path))
                return error_setf(ret_error, ERROR_CONFIG, -ENAMETOOLONG, NULL,
                                  "the path %s is too long for a socket\nHINT: --dir a shorter one",
                                  d->dir);
        if (strpbrk(d->dir, "'\\\n"))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, NULL,
                                  "the path %s has a quote or backslash\nHINT: --dir another one",
                                  d->dir);
        r = make_parents(d->dir);
        if (r < 0 || (mkdir(d->dir, 0700) < 0 && errno != EEXIST))
                return error_setf(ret_error, ERROR_CONFIG, r < 0 ? r : -errno, NULL,
                                  "cannot make the folder %s: %s", d->dir,
                                  strerrordesc_np(r < 0 ? -r : errno));
        if (!dev_has(d, MARKER)) {
                if (!is_empty_folder(d->dir))
                        return error_setf(
                                ret_error, ERROR_CONFIG, -ENOTEMPTY, NULL,
                                "the folder %s has other things in it\nHINT: --dir an empty or a new one",
                                d->dir);
                r = dev_write(d, MARKER, 0644,
                              "This folder is the development database of automapost-jobs.\n"
                              "\"automapost dev down\" removes it.\n",
                              ret_error);
                if (r < 0)
                        return r;
        }
        if (d->uid != 0 && chown(d->dir, d->uid, d->gid) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL,
                                  "cannot give %s to the server's user: %s", d->dir,
                                  strerrordesc_np(errno));
        return check_reachable(d, ret_error);
}

static int remove_entry(const char *path, _unused_ const struct stat *st, _unused_ int type,
                        _unused_ struct FTW *ftw) {
        return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

int dev_remove_tree(const Dev *d, const char *name, Error *ret_error) {
        _cleanup_free_ char *path = dev_path(d, name);
        int r;

        if (!path)
                return error_oom(ret_error);
        r = nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
        if (r < 0 && !(r == -1 && errno == ENOENT))
                return error_setf(ret_error, ERROR_CONFIG, r == -1 ? -errno : r, NULL,
                                  "cannot remove %s: %s", path,
                                  strerrordesc_np(r == -1 ? errno : -r));
        return 0;
}

int dev_remove(const Dev *d, Error *ret_error) {
        /* The marker goes last but for the folder: until then "dev down" can be said again. */
        static const char *const names[] = {
                "data",
                "data.new",
                "sandbox",
                "state",
                "credentials",
                "env",
                "env.new",
                "application.env",
                "application.env.new",
                "listen",
                "listen.new",
                "server.conf",
                "server.conf.new",
                "postgresql.log",
                ".lock",
                MARKER,
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                int r = dev_remove_tree(d, names[i], ret_error);

                if (r < 0)
                        return r;
        }
        if (rmdir(d->dir) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL, "cannot remove %s: %s",
                                  d->dir, strerrordesc_np(errno));
        return 0;
}

/* Two at once would both make it: the second waits and finds it made. */
int dev_lock(const Dev *d, int *ret_fd, Error *ret_error) {
        _cleanup_free_ char *path = dev_path(d, ".lock");
        _cleanup_close_ int fd = -1;

        if (!path)
                return error_oom(ret_error);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL, "cannot lock %s: %s", path,
                                  strerrordesc_np(errno));
        *ret_fd = TAKE_FD(fd);
        return 0;
}
