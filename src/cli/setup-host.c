/* SPDX-License-Identifier: MIT */

/* This machine: the settings file, and the timers. */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/env-file.h"
#include "base/text.h"
#include "cli/program.h"
#include "cli/setup.h"

#define CREDENTIALS SETUP_FOLDER "/credentials"
#define SYSTEMCTL_TIMEOUT (60 * USEC_PER_SEC)
#define HEAD                                                                               \
        "# Settings of automapost-jobs, see automapost config. Made by automapost setup, " \
        "which keeps what you add."

static const char *const services[] = {
#define SERVICE(name) name,
#include "service-list.h"
#undef SERVICE
};

int setup_check_host(const Setup *s, Error *ret_error) {
        if (geteuid() != 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPERM, "root",
                                  "only root can set this machine up\n"
                                  "HINT: sudo automapost setup; without root, --dry-run shows what "
                                  "it would do");
        if (!getpwnam(SETUP_USER) || !getgrnam(SETUP_USER))
                return error_setf(ret_error, ERROR_CONFIG, -ENOENT, "user",
                                  "the system user " SETUP_USER
                                  ", which the services run as, is not there\n"
                                  "HINT: the package makes it; where it was built by hand: "
                                  "systemd-sysusers, or useradd --system --user-group " SETUP_USER);
        (void) s;
        return 0;
}

/* ---- files ---- */

static int make_folder(const char *path, mode_t mode, gid_t gid, Error *ret_error) {
        if ((mkdir(path, mode) < 0 && errno != EEXIST) || chown(path, 0, gid) < 0 ||
            chmod(path, mode) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL,
                                  "cannot make the folder %s: %s", path, strerrordesc_np(errno));
        return 0;
}

static int write_file(const Setup *s, const char *path, Error *ret_error) {
        const EnvVariable variables[] = {
                { "AUTOMAPOST_DATABASE_URL", s->login_url },
                { "AUTOMAPOST_APPLICATION_ENV", s->env_path },
        };
        const struct group *group = getgrnam(SETUP_USER);
        gid_t gid = group ? group->gr_gid : 0;
        int r;

        r = make_folder(SETUP_FOLDER, 0750, gid, ret_error);
        if (r >= 0)
                r = make_folder(CREDENTIALS, 0700, 0, ret_error);
        return r < 0 ? r
                     : env_file_set(path, HEAD, variables, ELEMENTSOF(variables), 0640, gid,
                                    ret_error);
}

int setup_keep_pending(const Setup *s, Error *ret_error) {
        return write_file(s, SETUP_PENDING, ret_error);
}

/* ---- timers ---- */

/* The exit status. */
static int systemctl(const char *const *arguments, char **ret_output, Error *ret_error) {
        const char *argv[ELEMENTSOF(services) + 8] = { "systemctl" };
        size_t n = 1;

        for (; *arguments && n < ELEMENTSOF(argv) - 1; arguments++)
                argv[n++] = *arguments;
        return program_run(argv, 0, 0, SYSTEMCTL_TIMEOUT, ret_output, ret_error);
}

/* Fails with what systemctl said. */
static int systemctl_or_fail(const char *what, const char *const *arguments, Error *ret_error) {
        _cleanup_free_ char *output = NULL;
        int r;

        r = systemctl(arguments, &output, ret_error);
        if (r > 0)
                return error_setf(ret_error, ERROR_CONFIG, -EIO, "systemctl", "cannot %s: %s", what,
                                  strnull(output));
        return r;
}

int setup_publishing_is_on(bool *ret, Error *ret_error) {
        int r;

        *ret = false;
        if (sd_booted() <= 0)
                return 0;
        r = systemctl((const char *[]){ "is-enabled", "--quiet", PUBLISHING_TIMER, NULL }, NULL,
                      ret_error);
        if (r == 0)
                r = systemctl((const char *[]){ "is-active", "--quiet", PUBLISHING_TIMER, NULL },
                              NULL, ret_error);
        *ret = r == 0;
        return MIN(r, 0);
}

/* The package enables all timers, and they wait for the settings file: publishing's must not begin
 * with it. */
int setup_write_settings(const Setup *s, Error *ret_error) {
        int r = 0;

        if (sd_booted() > 0 && access(SETUP_FILE, F_OK) < 0)
                r = systemctl_or_fail("hold publishing back",
                                      (const char *[]){ "disable", "--now", "--quiet",
                                                        PUBLISHING_TIMER, NULL },
                                      ret_error);
        if (r >= 0)
                r = write_file(s, SETUP_FILE, ret_error);
        if (r < 0)
                return r;
        (void) unlink(SETUP_PENDING);
        setup_say(s, STYLE_NONE, "Wrote %s.", SETUP_FILE);
        return 0;
}

int setup_start_timers(Setup *s, Error *ret_error) {
        _cleanup_(str_done) Str names = {};
        const char *arguments[ELEMENTSOF(services) + 4] = { "enable", "--now", "--quiet" };
        char timers[ELEMENTSOF(services)][64];
        size_t n = 3;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(services); i++) {
                (void) snprintf(timers[i], sizeof(timers[i]), "automapost-%s.timer", services[i]);
                if (streq(timers[i], PUBLISHING_TIMER))
                        continue;
                arguments[n++] = timers[i];
                if (str_appendf(&names, "%s%s", names.length > 0 ? ", " : "", services[i]) < 0)
                        return error_oom(ret_error);
        }
        if (json_set_bool(s->report, "timers", sd_booted() > 0) < 0)
                return error_oom(ret_error);
        if (sd_booted() <= 0) {
                setup_say(s, STYLE_WARN,
                          "This machine is not run by systemd: nothing starts the services. Let "
                          "something start " LIBEXECDIR "/automapost-* at their times, with the "
                          "variables of %s.",
                          SETUP_FILE);
                return 0;
        }
        r = systemctl_or_fail("start the timers", arguments, ret_error);
        if (r < 0)
                return r;
        setup_say(s, STYLE_NONE, "Started the timers of %s.", strnull(names.data));
        return 0;
}

int setup_start_publishing_timer(Error *ret_error) {
        return systemctl_or_fail("start publishing",
                                 (const char *[]){ "enable", "--now", "--quiet", PUBLISHING_TIMER,
                                                   NULL },
                                 ret_error);
}

int setup_start_realtime(const Setup *s, Error *ret_error) {
        int r;

        if (sd_booted() <= 0) {
                setup_say(s, STYLE_NONE,
                          "Within the second, as long as something keeps " LIBEXECDIR
                          "/automapost-realtime running.");
                return 0;
        }
        r = systemctl_or_fail("start the real-time worker",
                              (const char *[]){ "enable", "--now", "--quiet",
                                                "automapost-realtime.service", NULL },
                              ret_error);
        if (r >= 0)
                setup_say(s, STYLE_GOOD, "Within the second: automapost-realtime.service runs.");
        return r;
}
