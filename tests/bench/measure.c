/* SPDX-License-Identifier: MIT */

/* Runs one command and prints, on descriptor 3, its wall time and its processor time in
 * microseconds and its peak resident memory in KiB. A program of its own because the peak that
 * wait4(2) tells includes that of the process which called exec: a Python interpreter would be
 * heavier than what is measured. */

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
        pid_t pid;

        if (argc < 2)
                return 64;
        pid = fork();
        if (pid < 0)
                return 71;
        if (pid == 0) {
                close(3);
                execvp(argv[1], argv + 1);
                perror(argv[1]);
                _exit(127);
        }
        if (wait4(pid, &status, 0, &usage) != pid)
                return 71;
        end = now_usec();
        dprintf(3, "%lld %lld %ld\n", end - start, usec(usage.ru_utime) + usec(usage.ru_stime),
                usage.ru_maxrss);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
