/* SPDX-License-Identifier: MIT */

#include "health/problems.h"

#include <stdarg.h>
#include <stdio.h>

const ProblemKind problem_kinds[] = {
        { "not-configured", SEVERITY_UNKNOWN, "no database is configured" },
        { "settings-refused", SEVERITY_UNKNOWN, "the settings cannot be used" },
        { "database-unreachable", SEVERITY_UNKNOWN, "the database does not answer" },
        { "database-refuses", SEVERITY_UNKNOWN, "the database refuses to be asked" },

        { "schema-apart", SEVERITY_NOT_GOING,
          "this version and the database's schema do not fit together" },
        { "copy", SEVERITY_NOT_GOING, "the database is a copy" },
        { "comparing", SEVERITY_NOT_GOING, "hosts have to say what they sent last" },
        { "not-set-up", SEVERITY_NOT_GOING, "this host is not set up" },
        { "publishing-stopped", SEVERITY_NOT_GOING, "what publishes is not started on this host" },
        { "publishing-fails", SEVERITY_NOT_GOING, "what publishes fails on this host" },
        { "application-tables", SEVERITY_NOT_GOING, "the application's tables cannot be read" },
        { "publishing-paused", SEVERITY_NOT_GOING, "publishing is paused" },
        { "platform-paused", SEVERITY_NOT_GOING, "a platform or an account is paused" },
        /* A lapsed worker's jobs are nobody's until a tick takes them back: what it was to send
         * does not go out, and within a minute some tick should have come. */
        { "worker-lapsed", SEVERITY_NOT_GOING, "a worker gives no sign of life and holds jobs" },
        { "nothing-begun", SEVERITY_NOT_GOING, "posts are due and nothing is begun" },
        { "platform-failing", SEVERITY_NOT_GOING, "a whole platform fails" },
        { "operator-action", SEVERITY_NOT_GOING, "a platform refuses until an operator acts" },
        { "posts-too-old", SEVERITY_NOT_GOING, "posts wait too long" },

        { "restored", SEVERITY_PERSON,
          "the database was put back, and somebody must look which posts are out" },
        { "host-refused", SEVERITY_PERSON, "a machine may not publish, and wants to" },
        { "held", SEVERITY_PERSON, "somebody must look whether posts arrived" },
        { "account-to-reconnect", SEVERITY_PERSON, "members must reconnect accounts" },
        { "paused", SEVERITY_PERSON, "something is paused" },
        { "schedule-bad", SEVERITY_PERSON, "a schedule cannot be used" },
        { "jobs-too-old", SEVERITY_PERSON, "jobs other than posts wait too long" },
        { "service-stopped", SEVERITY_PERSON, "a service is not started on this host" },
        { "service-fails", SEVERITY_PERSON, "a service fails on this host" },
        { "not-enabled", SEVERITY_PERSON, "a service would not come back after a reboot" },
        { "disk-full", SEVERITY_PERSON, "a disk is nearly full" },
        { "systemd-silent", SEVERITY_PERSON, "systemd does not answer" },
        { "migrations-pending", SEVERITY_PERSON,
          "the database's schema is older than this version" },
        { "package-old", SEVERITY_PERSON, "this version is older than the database's schema" },
        { "clock-off", SEVERITY_PERSON, "a clock is off" },
};
const size_t n_problem_kinds = ELEMENTSOF(problem_kinds);

const ProblemKind *problem_kind(const char *id) {
        static const ProblemKind unknown = {
                "unknown", SEVERITY_PERSON,
                "the database names a problem that is newer than this version"
        };

        for (size_t i = 0; i < n_problem_kinds; i++)
                if (streq(problem_kinds[i].id, id))
                        return &problem_kinds[i];
        return &unknown;
}

JsonObject *problem_add(JsonObject *problems, const char *id, const char *command,
                        const char *format, ...) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        _cleanup_free_ char *what = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&what, format, ap);
        va_end(ap);
        if (n < 0) {
                what = NULL;
                return NULL;
        }
        if (!o || json_set_string(o, "id", id) < 0 || json_set_string(o, "what", what) < 0 ||
            json_set_string(o, "command", command) < 0 || json_object_array_add(problems, o) < 0)
                return NULL;
        return TAKE_PTR(o);
}

const char *severity_words(Severity severity) {
        static const char *const words[_SEVERITY_MAX] = {
                [SEVERITY_WELL] = "All is well",
                [SEVERITY_PERSON] = "Something waits for a person",
                [SEVERITY_NOT_GOING] = "Posts are not going out",
                [SEVERITY_UNKNOWN] = "Cannot tell",
        };

        return words[severity];
}
