/* SPDX-License-Identifier: MIT */

#include <errno.h>

#include "base/text.h"
#include "queries.h"
#include "services/service.h"

/* Posts at a time: a step is a statement of some ten milliseconds. */
#define COLLECT_STEP "250"

static int social_media_collect(Db *db, usec_t timeout, void **state, bool *ret_more,
                                Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

        r = db_query(db, &query_collect_social_media_post, (const char *[]){ *state, COLLECT_STEP },
                     timeout, &rows, ret_error);
        if (r < 0)
                return r;
        free(*state);
        *state = NULL;
        if (rows_text(rows, 0, 2)) {
                *state = strdup(rows_text(rows, 0, 2));
                if (!*state)
                        return error_oom(ret_error);
        }
        *ret_more = *state != NULL;
        return 0;
}

int main(int argc, char *argv[]) {
        static const char *const types[] = { "social-media-post", "refresh-token", NULL };
        static const Service social_media = {
                .name = "automapost-social-media",
                .description = "Publishes due posts and first comments",
                .types = types,
                .done_word = "published",
                .collect = social_media_collect,
        };

        return service_main(&social_media, argc, argv);
}
