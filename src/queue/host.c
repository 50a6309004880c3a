/* SPDX-License-Identifier: MIT */

#include "queue/host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "queries.h"
#include "queue/mark.h"

int host_read(Host *ret, Error *ret_error) {
        Host h = {};
        int r;

        r = machine_hash(h.machine);
        if (r < 0)
                return error_setf(ret_error, ERROR_CONFIG, r, "machine-id",
                                  "this machine has no machine-id by which it can be told from "
                                  "others: %s\n"
                                  "HINT: systemd-machine-id-setup makes one",
                                  strerrordesc_np(-r));
        boot_id(h.boot);
        (void) gethostname(h.name, sizeof(h.name) - 1);
        *ret = h;
        return 0;
}

int host_is_known(const Host *host, JsonObject *tick, const Settings *settings,
                  const char *installation, bool *ret, Error *ret_error) {
        JsonObject *o = json_member(json_member(tick, "hosts"), host->machine);
        Mark mark;
        int r;

        r = mark_read(settings->state_dir, installation, host->machine, &mark, ret_error);
        if (r < 0)
                return r;
        *ret = o && streq_ptr(json_string(o, "boot"), host->boot) &&
               json_int64(o, "begins", 0) >= mark.begins;
        return 0;
}

int host_meet(Db *db, const Host *host, const Settings *settings, const char *installation,
              usec_t timeout, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        const char *verdict, *detail;
        char begins[24];
        int64_t held;
        Mark mark;
        int r;

        r = mark_read(settings->state_dir, installation, host->machine, &mark, ret_error);
        if (r < 0)
                return r;
        (void) snprintf(begins, sizeof(begins), "%" PRId64, mark.begins);
        r = db_query(db, &query_meet_host,
                     (const char *[]){ host->machine, host->name, host->boot, begins,
                                       mark.begins > 0 ? mark.at : NULL },
                     timeout, &rows, ret_error);
        if (r < 0)
                return r;
        if (rows_count(rows) != 1)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "schema",
                                  "the database does not answer whether this host may work");

        verdict = rows_text(rows, 0, 0);
        detail = rows_text(rows, 0, 2);
        held = rows_int64(rows, 0, 4, 0);
        if (held > 0)
                log_event(LOG_WARNING, EVENT_RESTORED,
                          "The database was put back in time: %" PRId64
                          " deliveries that may be out already are held: see automapost held",
                          held);
        if (streq(verdict, "known"))
                return 0;
        if (streq(verdict, "comparing")) {
                log_event(LOG_NOTICE, EVENT_COMPARING, "Nothing is begun yet: %s", detail);
                return 1;
        }
        return error_setf(ret_error, ERROR_CONFIG, -EPERM, verdict, "%s\nHINT: %s", detail,
                          rows_text(rows, 0, 3));
}

static int ask(Db *db, const Query *query, const char *const *params, usec_t timeout,
               JsonObject **ret, Error *ret_error) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = db_value(db, query, params, timeout, &text, ret_error);
        if (r < 0)
                return r;
        if (!text || json_parse(text, strlen(text), ret) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "schema",
                                  "the database's answer to %s is no JSON", query->name);
        return 0;
}

int host_adopt(Db *db, const Host *host, usec_t timeout, JsonObject **ret, Error *ret_error) {
        return ask(db, &query_adopt_installation,
                   (const char *[]){ host->machine, host->name, host->boot }, timeout, ret,
                   ret_error);
}

int host_join(Db *db, const Host *host, const char *installation, usec_t timeout, JsonObject **ret,
              Error *ret_error) {
        return ask(db, &query_join_host,
                   (const char *[]){ installation, host->machine, host->name, host->boot }, timeout,
                   ret, ret_error);
}
