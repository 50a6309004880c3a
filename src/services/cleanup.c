/* SPDX-License-Identifier: MIT */

#include "services/service.h"

int main(int argc, char *argv[]) {
        static const Service cleanup = {
                .name = "automapost-cleanup",
                .description =
                        "Puts back what dead workers held, marks missed posts, forgets old history",
        };

        return service_main(&cleanup, argc, argv);
}
