/* SPDX-License-Identifier: MIT */

/* Runs one command and prints, on descriptor 3, its wall time and its processor time in
 * microseconds and its peak resident memory in KiB. A program of its own because the peak that
 * wait4(2) tells includes that of the process which called exec: a Python interpreter would be
 * heavier than what is measured. First comes the user id to run it as; 0: as is. */

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static long long usec(struct timeval t) {
        return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char *argv[]) {
        long long start = now_usec(), end;
        struct rusage usage;
        int status;
        uid_t user;
        pid_t pid;

        if (argc < 3)
                return 64;
        user = (uid_t) atoi(argv[1]);
        pid = fork();
        if (pid < 0)
                return 71;
        if (pid == 0) {
                close(3);
                if (user > 0 && (setgroups(0, NULL) < 0 || setgid(user) < 0 || setuid(user) < 0)) {
                        perror("to be another user");
                        _exit(127);
                }
                execvp(argv[2], argv + 2);
                perror(argv[2]);
                _exit(127);
        }
        if (wait4(pid, &status, 0, &usage) != pid)
                return 71;
        end = now_usec();
        dprintf(3, "%lld %lld %ld\n", end - start, usec(usage.ru_utime) + usec(usage.ru_stime),
                usage.ru_maxrss);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
