/* SPDX-License-Identifier: MIT */

#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/text.h"

#define OUTPUT_MAX ((size_t) 64 * 1024)

/* In the child: ends, or becomes the program. */
_Noreturn static void become(const char *const *argv, uid_t uid, gid_t gid, int output) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        /* The output is a file, not a pipe: a server that is started keeps it open for ever. */
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
            dup2(output, STDERR_FILENO) < 0)
                _exit(126);
        /* our folder may be closed to that user */
        if (chdir("/") < 0)
                _exit(126);
        if (uid != 0 && (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)) {
                (void) dprintf(STDERR_FILENO, "cannot become user %u: %s\n", (unsigned) uid,
                               strerrordesc_np(errno));
                _exit(126);
        }
        (void) execvp(argv[0], (char *const *) (uintptr_t) argv);
        (void) dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerrordesc_np(errno));
        _exit(127);
}

static int read_output(int fd, char **ret) {
        _cleanup_free_ char *text = malloc(OUTPUT_MAX + 1);
        size_t n = 0;
        ssize_t k;

        if (!text)
                return -ENOMEM;
        while (n < OUTPUT_MAX && (k = pread(fd, text + n, OUTPUT_MAX - n, (off_t) n)) > 0)
                n += (size_t) k;
        while (n > 0 && text[n - 1] == '\n')
                n--;
        text[n] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

int program_run(const char *const *argv, uid_t uid, gid_t gid, usec_t timeout, char **ret_output,
                Error *ret_error) {
        _cleanup_close_ int output = memfd_create("output", MFD_CLOEXEC), pidfd = -1;
        struct pollfd fd;
        int status, r;
        pid_t pid;

        if (output < 0)
                return error_setf(ret_error, ERROR_TRANSIENT, -errno, NULL,
                                  "cannot keep output: %s", strerrordesc_np(errno));
        (void) fflush(stdout);
        pid = fork();
        if (pid < 0)
                return error_setf(ret_error, ERROR_TRANSIENT, -errno, NULL, "cannot start %s: %s",
                                  argv[0], strerrordesc_np(errno));
        if (pid == 0)
                become(argv, uid, gid, output);

        pidfd = pidfd_open(pid, 0);
        fd = (struct pollfd){ .fd = pidfd, .events = POLLIN };
        do
                r = pidfd < 0 ? 1 : poll(&fd, 1, (int) (timeout / USEC_PER_MSEC));
        while (r < 0 && errno == EINTR);
        if (r <= 0)
                (void) kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return error_setf(ret_error, ERROR_TRANSIENT, -errno, NULL,
                                          "cannot wait for %s: %s", argv[0],
                                          strerrordesc_np(errno));
        if (ret_output && read_output(output, ret_output) < 0)
                return error_oom(ret_error);
        if (r <= 0)
                return error_setf(ret_error, ERROR_TRANSIENT, -ETIMEDOUT, NULL,
                                  "%s did not end within %d s", argv[0],
                                  (int) (timeout / USEC_PER_SEC));
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
