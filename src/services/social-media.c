/* SPDX-License-Identifier: MIT */

#include "services/service.h"

int main(int argc, char *argv[]) {
        static const char *const types[] = { "social-media-post", "refresh-token", NULL };
        static const Service social_media = {
                .name = "automapost-social-media",
                .description = "Publishes due posts and first comments",
                .types = types,
                .done_word = "published",
        };

        return service_main(&social_media, argc, argv);
}
