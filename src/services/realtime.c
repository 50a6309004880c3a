/* SPDX-License-Identifier: MIT */

#include "services/service.h"

int main(int argc, char *argv[]) {
        static const Service realtime = {
                .name = "automapost-realtime",
                .description =
                        "Does every due job of every type, and publishes due posts, within a "
                        "second",
                .all_types = true,
                .resident = true,
        };

        return service_main(&realtime, argc, argv);
}
