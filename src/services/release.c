/* SPDX-License-Identifier: MIT */

/* ExecStopPost= of every service that claims jobs: nothing to do after success, which is nearly
 * always, so this is libc alone and costs a millisecond; else the program that knows the database
 * puts the jobs of the dead process back. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char *argv[]) {
        const char *result = getenv("SERVICE_RESULT");

        if (argc > 1 && strcmp(argv[1], "--version") == 0) {
                printf("automapost-release %s\n", PROJECT_VERSION);
                return 0;
        }
        if (argc > 1) {
                printf("automapost-release\n\n"
                       "Run by systemd when a service has ended (ExecStopPost=): where it died, its\n"
                       "jobs are put back at once instead of after the lapse.\n");
                return strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ? 0 : 64;
        }
        if (result && strcmp(result, "success") == 0)
                return 0;
        execl(LIBEXECDIR "/automapost-release-jobs", "automapost-release-jobs", (char *) NULL);
        perror("automapost-release: " LIBEXECDIR "/automapost-release-jobs");
        return 70;
}
