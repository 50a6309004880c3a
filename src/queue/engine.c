/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>

#include "queue/engine.h"
#include "queue/schema.h"

/* The lowest schema that this binary can work with: raised when a query needs more. */
#define LOWEST_SCHEMA 1

int engine_parse(JsonObject *tick, Engine *ret, Error *ret_error) {
        _cleanup_(engine_done) Engine e = {};
        JsonObject *delays = json_member(tick, "engine");
        const char *installation = json_string(tick, "installation");
        const struct {
                const char *name;
                usec_t *value;
                int64_t since; /* the schema that brought it; before, there is no use for it */
        } table[] = {
                { "beat", &e.beat },
                { "self_fence", &e.self_fence },
                { "lapse", &e.lapse },
                { "statement_limit", &e.statement_limit },
                { "send_deadline", &e.send_deadline },
                { "collect_every", &e.collect_every },
                { "slot_grace", &e.slot_grace, SCHEMA_SLOTS },
        };

        e.schema = json_int64(tick, "schema", 0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                double seconds = json_object_get_double(json_member(delays, table[i].name));

                if (e.schema < table[i].since)
                        continue;
                if (!(seconds > 0))
                        return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "schema",
                                          "the database gives no delay \"%s\"\n"
                                          "HINT: run automapost migrate",
                                          table[i].name);
                *table[i].value = (usec_t) (seconds * (double) USEC_PER_SEC);
        }
        e.lowest_binary = strdup(json_string(tick, "lowestBinary") ?: "");
        if (!e.lowest_binary || (installation && !(e.installation = strdup(installation))))
                return error_oom(ret_error);
        *ret = e;
        e = (Engine){};
        return 0;
}

void engine_done(Engine *e) {
        free(e->lowest_binary);
        free(e->installation);
        *e = (Engine){};
}

/* Compares "1.2.3" by numbers. */
static int version_compare(const char *a, const char *b) {
        for (;;) {
                char *a_end, *b_end;
                unsigned long x = strtoul(a, &a_end, 10), y = strtoul(b, &b_end, 10);

                if (x != y)
                        return x < y ? -1 : 1;
                if (*a_end != '.' && *b_end != '.')
                        return 0;
                a = *a_end == '.' ? a_end + 1 : "0";
                b = *b_end == '.' ? b_end + 1 : "0";
        }
}

int engine_check_version(const Engine *e, Error *ret_error) {
        if (e->schema < LOWEST_SCHEMA)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "schema",
                                  "the database has schema %" PRId64 ", this binary needs %d\n"
                                  "HINT: run automapost migrate",
                                  e->schema, LOWEST_SCHEMA);
        if (version_compare(PROJECT_VERSION, e->lowest_binary) < 0)
                return error_setf(
                        ret_error, ERROR_CONFIG, -EPROTO, "schema",
                        "the database's schema needs automapost-jobs %s or newer, this is %s\n"
                        "HINT: upgrade the package on this host",
                        e->lowest_binary, PROJECT_VERSION);
        return 0;
}
