/* SPDX-License-Identifier: MIT */

#include "queries.h"
#include "services/service.h"

static int queue_run(ServiceContext *c, JsonObject *counts, Error *ret_error) {
        _cleanup_free_ char *n = NULL;
        int r;

        r = db_value(c->db, &query_try_undefined_jobs, (const char *[]) { "100" },
                     c->engine.statement_limit, &n, ret_error);
        if (r < 0)
                return r;
        return streq_ptr(n, "0") ? 0 : json_set_int64(counts, "undefined", atoll(n));
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
