/* SPDX-License-Identifier: MIT */
#pragma once

/* What is wrong, and what to type: the one place where problems are found, for whoever shows them
 * or tells somebody. It answers within three seconds, whatever is down, and changes nothing. */

#include "base/json.h"
#include "base/settings.h"
#include "health/problems.h"

#define HEALTH_DEADLINE (2500 * USEC_PER_MSEC)

typedef struct HealthQuestion {
        const Settings *settings;    /* NULL where they cannot be used … */
        const Error *settings_error; /* … for this reason */
        bool dev;                    /* the database is one of "automapost dev" */
} HealthQuestion;

typedef struct Health {
        /* An array, the worst first. Each has "id" (of problem_kinds), "what" (a sentence without
         * full stop), "severity" and "words" of its kind, and where they are known "since",
         * "posts", "members", "command" (what to type next, as text for a shell) and "facts". */
        JsonObject *problems;
        /* Those of them, and those that one line here stands for, of which every host hears from
         * the database; NULL where it did not answer. */
        JsonObject *shared;
        JsonObject *counts; /* as automapost.status() answers them; NULL where nobody answered */
        /* {"units": [{"name" (without prefix), "timer" ("on", "stopped", "disabled", "masked", …),
         * "state", "lastRun", "result", "next", "lastError": {"time", "message"}}], "note": a
         * sentence on what could not be seen, or null}. NULL where systemd does not run our units.
         */
        JsonObject *host;
        Severity verdict; /* of the worst */
        char *words;      /* "Posts are not going out: publishing is paused." */
        /* A thread of this process is still inside of libpq, the resolver or a disk: nothing may be
         * torn down under it, so the process ends by _exit(). */
        bool abandoned;
} Health;

/* -ENOMEM, and nothing else; *ret is untouched then but for abandoned. */
int health_look(const HealthQuestion *question, Health *ret);
void health_done(Health *h);
