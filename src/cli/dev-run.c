/* SPDX-License-Identifier: MIT */

/* What systemd's timers do on a host, in the foreground: each service at its time by the clock, not
 * twice at once. Services end with this process, whatever ends it. */

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/env-file.h"
#include "base/text.h"
#include "base/time-util.h"
#include "cli/dev.h"

/* A little more than services take themselves (AUTOMAPOST_GRACE_SEC). */
#define END_TIMEOUT (20 * USEC_PER_SEC)

typedef struct Runner {
        const char *name;
        unsigned every; /* minutes */
        pid_t pid;      /* 0: not running */
        char *path;
} Runner;

/* Beside this program where it was built, else where services are installed. */
static char *find_service(const char *name) {
        char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash, *path;

        if (n > 0) {
                self[n] = '\0';
                slash = strrchr(self, '/');
                if (slash) {
                        *slash = '\0';
                        path = strjoinf("%s/automapost-%s", self, name);
                        if (!path || access(path, X_OK) == 0)
                                return path;
                        free(path);
                }
        }
        return strjoinf("%s/automapost-%s", LIBEXECDIR, name);
}

static int start(Runner *s) {
        pid_t parent = getpid(), pid;

        (void) fflush(stdout);
        assert(s->path);
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                sigset_t none;

                /* Ctrl-C is for us: we tell services to end in good order. */
                (void) setpgid(0, 0);
                (void) sigemptyset(&none);
                (void) sigprocmask(SIG_SETMASK, &none, NULL);
                (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
                if (getppid() != parent)
                        _exit(EX_TEMPFAIL);
                (void) execl(s->path, s->path, NULL);
                (void) dprintf(STDERR_FILENO, "cannot run %s: %s\n", s->path,
                               strerrordesc_np(errno));
                _exit(127);
        }
        s->pid = pid;
        return 0;
}

static void reap(const Cli *c, Runner *services, size_t n) {
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                for (size_t i = 0; i < n; i++) {
                        if (services[i].pid != pid)
                                continue;
                        services[i].pid = 0;
                        if (WIFSIGNALED(status))
                                cli_print(c, STYLE_BAD, "automapost-%s was killed by signal %d",
                                          services[i].name, WTERMSIG(status));
                        else if (WEXITSTATUS(status) != 0)
                                cli_print(c, STYLE_WARN, "automapost-%s ended with status %d",
                                          services[i].name, WEXITSTATUS(status));
                }
}

static bool any_runs(const Runner *services, size_t n) {
        bool any = false;

        for (size_t i = 0; i < n; i++)
                any = any || services[i].pid > 0;
        return any;
}

static void kill_all(const Runner *services, size_t n, int sig) {
        for (size_t i = 0; i < n; i++)
                if (services[i].pid > 0)
                        (void) kill(services[i].pid, sig);
}

/* The next of these signals, or 0 after so long. */
static int wait_signal(const sigset_t *signals, usec_t timeout) {
        const struct timespec ts = {
                .tv_sec = (time_t) (timeout / USEC_PER_SEC),
                .tv_nsec = (long) (timeout % USEC_PER_SEC * 1000),
        };
        int sig = sigtimedwait(signals, NULL, &ts);

        return sig < 0 ? 0 : sig;
}

/* In good order; who does not end in time, or when somebody insists, is killed. */
static void end_all(const Cli *c, Runner *services, size_t n, const sigset_t *signals) {
        usec_t deadline = now(CLOCK_BOOTTIME) + END_TIMEOUT, t;
        int sig;

        kill_all(services, n, SIGTERM);
        while (any_runs(services, n) && (t = now(CLOCK_BOOTTIME)) < deadline) {
                sig = wait_signal(signals, deadline - t);
                reap(c, services, n);
                if (sig == SIGINT || sig == SIGTERM)
                        break;
        }
        kill_all(services, n, SIGKILL);
        for (size_t i = 0; i < n; i++)
                if (services[i].pid > 0)
                        (void) waitpid(services[i].pid, NULL, 0);
}

static int loop(Cli *c, Runner *services, size_t n, const sigset_t *signals, Error *ret_error) {
        uint64_t minute = now(CLOCK_REALTIME) / USEC_PER_MINUTE;
        bool first = true;

        for (;;) {
                uint64_t t = now(CLOCK_REALTIME), this = t / USEC_PER_MINUTE;
                int sig, r;

                for (size_t i = 0; i < n; i++) {
                        bool due = first ? services[i].every == 1
                                         : this != minute && this % services[i].every == 0;

                        if (!due || services[i].pid > 0)
                                continue;
                        r = start(&services[i]);
                        if (r < 0)
                                return error_setf(ret_error, ERROR_TRANSIENT, r, NULL,
                                                  "cannot start %s: %s", services[i].path,
                                                  strerrordesc_np(-r));
                }
                first = false;
                minute = this;
                /* Not longer than a few seconds at a time: the clock may be set, or the laptop
                 * sleep. */
                sig = wait_signal(signals, MIN((this + 1) * USEC_PER_MINUTE - t, 5 * USEC_PER_SEC));
                reap(c, services, n);
                if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP)
                        return 0;
        }
}

static int prepare(const Dev *d, bool real, Runner *services, size_t n, Error *ret_error) {
        _cleanup_free_ char *env = dev_path(d, "env"), *credentials = dev_path(d, "credentials");
        int r;

        if (!env || !credentials)
                return error_oom(ret_error);
        /* Whatever this shell is set to: these services are the development database's. */
        r = env_file_load(env, true, ret_error);
        if (r < 0)
                return r;
        if (setenv("CREDENTIALS_DIRECTORY", credentials, 1) < 0 ||
            (real && setenv("AUTOMAPOST_PROVIDERS", "real", 1) < 0))
                return error_oom(ret_error);
        for (size_t i = 0; i < n; i++) {
                services[i].path = find_service(services[i].name);
                if (!services[i].path)
                        return error_oom(ret_error);
                if (access(services[i].path, X_OK) < 0)
                        return error_setf(
                                ret_error, ERROR_CONFIG, -errno, NULL,
                                "cannot run %s: %s\nHINT: services are installed with this command, "
                                "or built beside it",
                                services[i].path, strerrordesc_np(errno));
        }
        return 0;
}

int dev_run(Cli *c, const Dev *d, bool real, Error *ret_error) {
        Runner services[] = {
                { .name = "social-media", .every = 1 },
                { .name = "queue", .every = 1 },
                { .name = "cleanup", .every = 10 },
        };
        const size_t n = ELEMENTSOF(services);
        sigset_t signals;
        int r;

        (void) sigemptyset(&signals);
        (void) sigaddset(&signals, SIGINT);
        (void) sigaddset(&signals, SIGTERM);
        (void) sigaddset(&signals, SIGHUP);
        (void) sigaddset(&signals, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &signals, NULL);

        r = prepare(d, real, services, n, ret_error);
        if (r >= 0) {
                if (real)
                        cli_print(c, STYLE_WARN, "Delivering to the real platforms.");
                else
                        cli_print(c, STYLE_NONE,
                                  "Delivering to the sandbox page: file://%s/sandbox/index.html",
                                  d->dir);
                cli_print(c, STYLE_NONE,
                          "What is due is done at once, and then by the minute. Ctrl-C ends it.");
                (void) fflush(stdout);
                r = loop(c, services, n, &signals, ret_error);
                end_all(c, services, n, &signals);
        }
        for (size_t i = 0; i < n; i++)
                free(services[i].path);
        return r;
}
