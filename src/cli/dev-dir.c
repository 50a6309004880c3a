/* SPDX-License-Identifier: MIT */

#include "base/text.h"
#include "cli/dev.h"

char *dev_default_dir(void) {
        const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

        if (data && *data == '/')
                return strjoinf("%s/automapost-jobs/dev", data);
        if (geteuid() == 0)
                return strdup("/var/lib/automapost-jobs-dev");
        if (home && *home == '/')
                return strjoinf("%s/.local/share/automapost-jobs/dev", home);
        return NULL;
}
