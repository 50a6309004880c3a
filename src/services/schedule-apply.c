/* SPDX-License-Identifier: MIT */

/* Gives timers the times that automapost-schedule has written down: as root, and therefore without
 * database, network or anybody's word for what the files hold. They are in a folder that the
 * services' user can write: read without following links, by a grammar that allows times and
 * nothing else, for the names of our own units. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-bus.h>

#include "base/log.h"
#include "base/text.h"
#include "base/timer-file.h"

#define STATE_FOLDER "/var/lib/automapost-jobs"
#define UNIT_FOLDER "/run/systemd/system"
#define FILE_NAME "50-schedule.conf"
#define MANAGER "unix:path=/run/systemd/private"
#define MANAGER_TIMEOUT (20 * USEC_PER_SEC)

static const char *const names[] = {
#define SERVICE(name) name,
#include "service-list.h"
#undef SERVICE
};

static int failed(void) {
        return errno > 0 ? -errno : -EIO;
}

static int read_file_at(int folder, const char *name, char **ret) {
        _cleanup_close_ int fd =
                openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        _cleanup_free_ char *text = calloc(1, TIMER_FILE_MAX + 2);
        struct stat st;
        ssize_t n;

        if (!text)
                return -ENOMEM;
        if (fd < 0 || fstat(fd, &st) < 0)
                return errno == ELOOP ? -EBADMSG : failed();
        if (!S_ISREG(st.st_mode))
                return -EBADMSG;
        n = read(fd, text, TIMER_FILE_MAX + 1);
        if (n < 0)
                return failed();
        if (!timer_file_is_valid(text, (size_t) n))
                return -EBADMSG;
        *ret = TAKE_PTR(text);
        return 0;
}

/* The whole file or none of it. */
static int write_file_at(int folder, const char *name, const char *text) {
        size_t n = strlen(text);
        _cleanup_close_ int fd =
                openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        if (fd < 0 || write(fd, text, n) != (ssize_t) n)
                return failed();
        return 0;
}

/* 1: this timer has other times than before. */
static int apply(int from, int to, const char *name) {
        _cleanup_free_ char *file = strjoinf("%s.conf", name), *text = NULL, *old = NULL,
                            *folder = strjoinf("automapost-%s.timer.d", name);
        _cleanup_close_ int dropins = -1;
        int r;

        if (!file || !folder)
                return -ENOMEM;
        r = read_file_at(from, file, &text);
        if (r == -ENOENT)
                return 0; /* nobody has given it other times: the unit's own */
        if (r < 0)
                return r;
        assert(text);
        if (mkdirat(to, folder, 0755) < 0 && errno != EEXIST)
                return -errno;
        dropins = openat(to, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dropins < 0)
                return -errno;
        r = read_file_at(dropins, FILE_NAME, &old);
        if (r >= 0 && streq_ptr(old, text))
                return 0;
        r = write_file_at(dropins, FILE_NAME ".new", text);
        if (r < 0)
                return r;
        return renameat(dropins, FILE_NAME ".new", dropins, FILE_NAME) < 0 ? -errno : 1;
}

/* So that the next run sees a change that systemd has not. */
static void take_back(int to, const char *name) {
        _cleanup_free_ char *path = strjoinf("automapost-%s.timer.d/" FILE_NAME, name);

        if (path)
                (void) unlinkat(to, path, 0);
}

static int call(sd_bus *bus, const char *method, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus_error e = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1",
                                           "/org/freedesktop/systemd1",
                                           "org.freedesktop.systemd1.Manager", method);
        if (r >= 0 && unit)
                r = sd_bus_message_append(m, "ss", unit, "replace");
        if (r >= 0)
                r = sd_bus_call(bus, m, MANAGER_TIMEOUT, &e, NULL);
        if (r < 0)
                log_error("systemd refuses %s%s%s: %s", method, unit ? " of " : "", unit ?: "",
                          e.message ?: strerrordesc_np(-r));
        sd_bus_error_free(&e);
        return r;
}

/* systemd itself, not the bus: at boot there is none yet. */
static int tell_systemd(const bool changed[static ELEMENTSOF(names)]) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, MANAGER);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                log_error("Cannot reach systemd at " MANAGER ": %s", strerrordesc_np(-r));
                return r;
        }
        r = call(bus, "Reload", NULL);
        for (size_t i = 0; i < ELEMENTSOF(names) && r >= 0; i++) {
                _cleanup_free_ char *unit = strjoinf("automapost-%s.timer", names[i]);

                if (!unit)
                        return -ENOMEM;
                if (changed[i]) /* one that is stopped stays so */
                        r = call(bus, "TryRestartUnit", unit);
        }
        return r;
}

static int run(const char *state, const char *units, bool tell) {
        _cleanup_free_ char *path = strjoinf("%s/timers", state);
        _cleanup_close_ int from = -1, to = -1;
        bool changed[ELEMENTSOF(names)] = {}, any = false;
        int status = EX_OK;

        if (!path)
                return EX_TEMPFAIL;
        from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (from < 0 && errno == ENOENT)
                return EX_OK; /* not written yet */
        to = open(units, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (from < 0 || to < 0) {
                log_error("Cannot open %s: %s", from < 0 ? path : units, strerrordesc_np(errno));
                return EX_CONFIG;
        }
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                int r = apply(from, to, names[i]);

                if (r == -EBADMSG)
                        log_error("%s/%s.conf is no file of times; the timer stays as it is", path,
                                  names[i]);
                else if (r < 0)
                        log_error("Cannot give the timer of %s its times: %s", names[i],
                                  strerrordesc_np(-r));
                if (r < 0)
                        status = r == -EBADMSG ? EX_CONFIG : EX_TEMPFAIL;
                changed[i] = r > 0;
                any = any || changed[i];
        }
        if (any && tell && tell_systemd(changed) < 0) {
                for (size_t i = 0; i < ELEMENTSOF(names); i++)
                        if (changed[i])
                                take_back(to, names[i]);
                return EX_TEMPFAIL;
        }
        return status;
}

int main(int argc, char *argv[]) {
        if (argc > 1 && streq(argv[1], "--version")) {
                printf("automapost-schedule-apply %s\n", PROJECT_VERSION);
                return EX_OK;
        }
        if (argc != 1 && argc != 3) {
                (void) fprintf(
                        argc == 2 && streq(argv[1], "--help") ? stdout : stderr,
                        "automapost-schedule-apply [STATE-FOLDER UNIT-FOLDER]\n\n"
                        "Run by systemd as root: gives timers the times that automapost-schedule\n"
                        "has written down. With folders it writes there and tells systemd nothing.\n");
                return argc == 2 && streq(argv[1], "--help") ? EX_OK : EX_USAGE;
        }
        log_open();
        (void) umask(0022); /* what timers do is no secret */
        return run(argc == 3 ? argv[1] : STATE_FOLDER, argc == 3 ? argv[2] : UNIT_FOLDER,
                   argc == 1);
}
