/* SPDX-License-Identifier: MIT */

#include "queries.h"
#include "services/service.h"

static int queue_run(ServiceContext *c, JsonObject *counts, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        int64_t n;
        int r;

        r = db_query(c->db, &query_try_undefined_jobs, (const char *[]){ "100" },
                     c->engine.statement_limit, &rows, ret_error);
        if (r < 0)
                return r;
        n = rows_int64(rows, 0, 0, 0);
        return n > 0 ? json_set_int64(counts, "undefined", n) : 0;
}

int main(int argc, char *argv[]) {
        static const Service queue = {
                .name = "automapost-queue",
                .description = "Does every due job of every type that has no service of its own",
                .other_types = true,
                .run = queue_run,
        };

        return service_main(&queue, argc, argv);
}
