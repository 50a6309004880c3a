/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/text.h"
#include "services/state-file.h"

int state_file_read(const char *path, size_t max, char **ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_free_ char *text = NULL;
        ssize_t n;

        if (fd < 0)
                return -errno;
        text = calloc(1, max + 1);
        if (!text)
                return -ENOMEM;
        n = read(fd, text, max);
        if (n < 0)
                return -errno;
        *ret = TAKE_PTR(text);
        return 0;
}

int state_file_write(const char *path, const char *text, Error *ret_error) {
        _cleanup_free_ char *temporary = strjoinf("%s.new", path);
        _cleanup_close_ int fd = -1;
        size_t n = strlen(text);

        if (!temporary)
                return error_oom(ret_error);
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0 || write(fd, text, n) != (ssize_t) n || fsync(fd) < 0 ||
            rename(temporary, path) < 0)
                return error_setf(ret_error, ERROR_TRANSIENT, errno > 0 ? -errno : -EIO, "file",
                                  "cannot write %s: %s", path, strerrordesc_np(errno));
        return 0;
}
