/* SPDX-License-Identifier: MIT */

#include "health/problems.h"
#include "base/macro.h"

const ProblemKind problem_kinds[] = {
        { "not-configured", SEVERITY_UNKNOWN, "no database is configured" },
        { "settings-refused", SEVERITY_UNKNOWN, "the settings cannot be used" },
        { "database-unreachable", SEVERITY_UNKNOWN, "the database does not answer" },
        { "database-refuses", SEVERITY_UNKNOWN, "the database refuses to be asked" },

        { "schema-apart", SEVERITY_NOT_GOING,
          "this version and the database's schema do not fit together" },
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

        { "held", SEVERITY_PERSON, "somebody must look whether posts arrived" },
        { "account-to-reconnect", SEVERITY_PERSON, "members must reconnect accounts" },
        { "paused", SEVERITY_PERSON, "something is paused" },
        { "jobs-too-old", SEVERITY_PERSON, "jobs other than posts wait too long" },
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

const char *severity_words(Severity severity) {
        static const char *const words[_SEVERITY_MAX] = {
                [SEVERITY_WELL] = "All is well",
                [SEVERITY_PERSON] = "Something waits for a person",
                [SEVERITY_NOT_GOING] = "Posts are not going out",
                [SEVERITY_UNKNOWN] = "Cannot tell",
        };

        return words[severity];
}
