/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be wrong: the one list of kinds, with severities and words, for `automapost status` and
 * its --kinds, for alerts and for the manual. automapost.status() names them by id. */

#include "base/json.h"

/* Also the exit status; the worst one found is the verdict. */
typedef enum Severity {
        SEVERITY_WELL,
        SEVERITY_PERSON,    /* something waits for a person */
        SEVERITY_NOT_GOING, /* posts are not going out */
        SEVERITY_UNKNOWN,   /* cannot tell */
        _SEVERITY_MAX,
} Severity;

typedef struct ProblemKind {
        const char *id;
        Severity severity;
        const char *words;  /* end the verdict: "Posts are not going out: WORDS." */
        const char *notice; /* what members notice */
        const char *cause;  /* what it comes from most often */
} ProblemKind;

/* The worst first; of the same severity, causes before what may follow from them. */
extern const ProblemKind problem_kinds[];
extern const size_t n_problem_kinds;

/* One that this version does not know waits for a person. */
const ProblemKind *problem_kind(const char *id);
/* Puts one more into the array, {"id", "what", "command"}; command may be NULL. The object,
 * borrowed, or NULL when memory is short. */
JsonObject *problem_add(JsonObject *problems, const char *id, const char *command,
                        const char *format, ...) _printf_(4, 5);
/* "Posts are not going out". */
const char *severity_words(Severity severity);
