/* SPDX-License-Identifier: MIT */

/* ExecStopPost=+ of every service that claims jobs: nothing to do after success, which is nearly
 * always, so this is libc alone and costs a millisecond; else the program that knows the database
 * puts the jobs of the dead process back, as the services' user.
 *
 * With the plus systemd sets up no sandbox for it, which every minute would cost ten times what the
 * tick itself does; so it is root, and gives that up before it runs anything else. */

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of root's powers one is left: to read the service's credentials, which systemd gives to whom it
 * starts a command as, and to nobody else. */
static int keep_reading(void) {
        const uint32_t bit = CAP_TO_MASK(CAP_DAC_READ_SEARCH);
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
                { .effective = bit, .permitted = bit, .inheritable = bit },
        };

        if (syscall(SYS_capset, &header, data) < 0)
                return -1;
        return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0);
}

static int become_service_user(void) {
        const struct passwd *user = getpwnam(SERVICE_USER);

        if (!user)
                return -1;
        if (initgroups(user->pw_name, user->pw_gid) < 0 ||
            setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
            prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
            setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0 || keep_reading() < 0)
                return -1;
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int main(int argc, char *argv[]) {
        const char *result = getenv("SERVICE_RESULT");
        char *settings = argc == 2 && strncmp(argv[1], "--settings=", 11) == 0 ? argv[1] : NULL;

        if (argc > 1 && strcmp(argv[1], "--version") == 0) {
                printf("automapost-release %s\n", PROJECT_VERSION);
                return 0;
        }
        if (argc > 1 && !settings) {
                printf("automapost-release [--settings=FILE]\n\n"
                       "Run by systemd when a service has ended (ExecStopPost=): where it died, its\n"
                       "jobs are put back at once instead of after the lapse. Settings come from the\n"
                       "environment, and from FILE, which counts more.\n");
                return strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ? 0 : 64;
        }
        if (result && strcmp(result, "success") == 0)
                return 0;
        if (result && geteuid() == 0 && become_service_user() < 0) {
                perror("automapost-release: cannot become " SERVICE_USER);
                return 71; /* EX_OSERR */
        }
        execl(LIBEXECDIR "/automapost-release-jobs", "automapost-release-jobs", settings,
              (char *) NULL);
        perror("automapost-release: " LIBEXECDIR "/automapost-release-jobs");
        return 70;
}
