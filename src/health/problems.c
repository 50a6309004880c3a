/* SPDX-License-Identifier: MIT */

#include "health/problems.h"

#include <stdarg.h>
#include <stdio.h>

const ProblemKind problem_kinds[] = {
        { "not-configured", SEVERITY_UNKNOWN, "no database is configured",
          "Nothing is published by this host.",
          "AUTOMAPOST_DATABASE_URL was taken out of the settings, or its credential is gone." },
        { "settings-refused", SEVERITY_UNKNOWN, "the settings cannot be used",
          "Nothing is published by this host.", "A line of the settings was changed last." },
        { "database-unreachable", SEVERITY_UNKNOWN, "the database does not answer",
          "Nothing yet; what falls due waits, and is missed after the late limit.",
          "PostgreSQL is down or restarts, or the network between is." },
        { "database-refuses", SEVERITY_UNKNOWN, "the database refuses to be asked",
          "What falls due waits, and is missed after the late limit.",
          "A password, a role or a right was changed in the database." },

        { "schema-apart", SEVERITY_NOT_GOING,
          "this version and the database's schema do not fit together",
          "What falls due waits, and is missed after the late limit.",
          "The package or the database was brought up to date without the other." },
        { "copy", SEVERITY_NOT_GOING, "the database is a copy",
          "Nothing, where this is a copy; where it is the real one, posts stay scheduled.",
          "It was restored from a dump, or a server was cloned." },
        { "comparing", SEVERITY_NOT_GOING, "hosts have to say what they sent last",
          "Posts are a minute late.", "The database failed over, or was put back." },
        { "not-set-up", SEVERITY_NOT_GOING, "this host is not set up",
          "Nothing is published by this host.",
          "The package was installed, and setup was not run; or its file is gone." },
        { "publishing-stopped", SEVERITY_NOT_GOING, "what publishes is not started on this host",
          "Posts stay scheduled past their time.",
          "Somebody stopped the timer and did not start it again." },
        { "publishing-fails", SEVERITY_NOT_GOING, "what publishes fails on this host",
          "Posts stay scheduled past their time.", "The last words of the run say it." },
        { "application-tables", SEVERITY_NOT_GOING, "the application's tables cannot be read",
          "Posts stay scheduled past their time.",
          "The application's last migration changed a table, or holds a lock on it." },
        { "publishing-paused", SEVERITY_NOT_GOING, "publishing is paused",
          "Posts stay scheduled past their time.",
          "Somebody paused it, and posts have come due since." },
        { "platform-paused", SEVERITY_NOT_GOING, "a platform or an account is paused",
          "Posts to it stay scheduled past their time.",
          "Somebody paused it, and posts have come due since." },
        /* A lapsed worker's jobs are nobody's until a tick takes them back: what it was to send
         * does not go out, and within a minute some tick should have come. */
        { "worker-lapsed", SEVERITY_NOT_GOING, "a worker gives no sign of life and holds jobs",
          "Some posts are late; they are looked up, and sent where they are not out.",
          "A host or a process died, or hangs, and no other run has come since." },
        { "nothing-begun", SEVERITY_NOT_GOING, "posts are due and nothing is begun",
          "Posts stay scheduled past their time.", "The timer is stopped, or each run fails." },
        { "platform-failing", SEVERITY_NOT_GOING, "a whole platform fails",
          "Posts to it are late, and are tried again.",
          "The platform is down, or this host is cut off from it." },
        { "operator-action", SEVERITY_NOT_GOING, "a platform refuses until an operator acts",
          "Posts to it are late, and are tried again.",
          "A setting or a version of the platform's interface is out of date." },
        { "posts-failing", SEVERITY_NOT_GOING, "the posts of many members fail alike",
          "Each of them sees that the post failed, and why.",
          "The application writes something that is not what a platform or this project expects." },
        { "posts-too-old", SEVERITY_NOT_GOING, "posts wait too long", "Posts are late.",
          "More is due than goes out, or the first in the row fails again and again." },

        { "restored", SEVERITY_PERSON,
          "the database was put back, and somebody must look which posts are out",
          "Their posts of that time wait.", "An older state of the database was restored." },
        { "host-refused", SEVERITY_PERSON, "a machine may not publish, and wants to", "Nothing.",
          "A machine was cloned, or joined without being told to." },
        { "held", SEVERITY_PERSON, "somebody must look whether posts arrived",
          "They see that it is not known whether their post is out.",
          "An answer was lost, and the platform cannot be asked." },
        { "account-to-reconnect", SEVERITY_PERSON, "members must reconnect accounts",
          "Their posts to these accounts fail until they connect them again.",
          "They changed a password, took the right away, or the token ended." },
        { "paused", SEVERITY_PERSON, "something is paused", "Nothing yet.",
          "Somebody paused it and did not resume it." },
        { "schedule-bad", SEVERITY_PERSON, "a schedule cannot be used",
          "Nothing; what was scheduled before goes on.",
          "A schedule or a time zone was mistyped." },
        { "jobs-too-old", SEVERITY_PERSON, "jobs other than posts wait too long",
          "What these jobs do is late.",
          "Their service does not run, or nothing works on this type." },
        { "service-stopped", SEVERITY_PERSON, "a service is not started on this host",
          "What this service does is late.",
          "Somebody stopped the timer and did not start it again." },
        { "service-fails", SEVERITY_PERSON, "a service fails on this host",
          "What this service does is late.", "The last words of the run say it." },
        { "not-enabled", SEVERITY_PERSON, "a service would not come back after a reboot",
          "Nothing until the next reboot.", "The timer was started and not enabled." },
        { "disk-full", SEVERITY_PERSON, "a disk is nearly full", "Nothing until it is full.",
          "Logs, a backup, or a database that grows." },
        { "systemd-silent", SEVERITY_PERSON, "systemd does not answer", "Perhaps nothing.",
          "The bus does not answer, or the machine is short of memory." },
        { "migrations-pending", SEVERITY_PERSON, "the database's schema is older than this version",
          "Nothing; what is new does not work yet.",
          "The package was brought up to date, and the database was not." },
        { "package-old", SEVERITY_PERSON, "this version is older than the database's schema",
          "Nothing.", "The database was brought up to date from another host." },
        { "clock-off", SEVERITY_PERSON, "a clock is off", "Posts appear early or late by as much.",
          "Nothing sets this machine's clock: chrony or systemd-timesyncd does not run." },
};
const size_t n_problem_kinds = ELEMENTSOF(problem_kinds);

const ProblemKind *problem_kind(const char *id) {
        static const ProblemKind unknown = {
                "unknown",
                SEVERITY_PERSON,
                "the database names a problem that is newer than this version",
                "Perhaps nothing.",
                "The database was brought up to date from another host.",
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
