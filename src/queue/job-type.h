/* SPDX-License-Identifier: MIT */
#pragma once

/* What every job type must do, and what it is handed. The engine gets a table of these; it knows
 * none by name. A job type that only computes or reads has act(); one that touches the world (sends
 * something that cannot be taken back) has prepare() too, and the engine puts the request on record
 * (begin) between the two.
 *
 * Both run on an actor thread, are plain and blocking, and never see the database: input in,
 * outcome out. */

#include <syslog.h>

#include "base/error.h"
#include "base/json.h"

typedef struct Settings Settings;

typedef enum OutcomeKind {
        OUTCOME_DONE,       /* result, receipt or tokens say what came of it */
        OUTCOME_ERROR,      /* error.class decides */
        OUTCOME_WAIT_TOKEN, /* the account's token must be refreshed first */
        OUTCOME_SNOOZE,     /* not yet: again at again_at, no attempt used */
        OUTCOME_ABSENT,     /* reconciling: it is not there */
        OUTCOME_UNCLEAR,    /* reconciling: could not be told; error says why */
        OUTCOME_HELD,       /* cannot be told for good: a person must look; error says why */
        OUTCOME_PUT_BACK,   /* the worker's own: not done, as if never claimed */
        _OUTCOME_MAX,
} OutcomeKind;

typedef struct Outcome {
        OutcomeKind kind;
        Error error;
        JsonObject *result; /* kept with the job; may be NULL */
        JsonObject
                *receipt;   /* proof that the world took it: recorded whatever happens to the job */
        JsonObject *tokens; /* for the application's table alone */
        usec_t again_at;    /* with OUTCOME_SNOOZE; CLOCK_REALTIME */
        const char *limit_scope; /* with ERROR_RATE_LIMITED: "account" or "provider" */
} Outcome;
void outcome_done(Outcome *o);

/* What prepare() hands over, and what begin stores before the first byte leaves. */
typedef struct Prepared {
        char *handle;
        char *way;           /* read, resend, none */
        JsonObject *request; /* complete; no header, no token */
} Prepared;
void prepared_done(Prepared *p);

typedef struct Job {
        char *id, *execution_id, *type;
        int64_t lease, attempt;
        bool reconcile; /* the outcome of an earlier send is unknown; input has its request */
        bool begun;     /* under this lease */
        int64_t begin_number;
        usec_t deadline;   /* CLOCK_BOOTTIME: timeout_ms after the claim */
        usec_t send_by;    /* CLOCK_BOOTTIME: nothing of what is begun goes on after it */
        usec_t started_at; /* CLOCK_REALTIME */
        JsonObject *input;
        const Settings *settings;
        void *thread;                            /* whatever .thread_new made for this actor */
        bool (*may_send)(const struct Job *job); /* asked right before the first byte */
        struct Task *task;                       /* the worker's own */
} Job;

/* One line to the journal and to job_logs, there within seconds where the job runs for longer.
 * level: LOG_ERR … LOG_DEBUG. Secrets of the input's account are scrubbed. */
void job_log(Job *job, int level, const char *format, ...) _printf_(3, 4);

typedef struct JobType {
        const char *name; /* as in job_definitions */
        /* Required. For a type with prepare: prepared is what begin stored. */
        int (*act)(Job *job, const Prepared *prepared, Outcome *ret);
        /* NULL for types that do not touch the world. Either fills ret_prepared and returns 0, or
         * fills ret_outcome and returns 1: nothing is to be sent. */
        int (*prepare)(Job *job, Prepared *ret_prepared, Outcome *ret_outcome);
        /* Once per process, on the main thread, before the first job; may be NULL. */
        int (*process_init)(const Settings *settings, Error *ret_error);
        /* Once per actor thread; may be NULL. */
        int (*thread_new)(const Settings *settings, void **ret, Error *ret_error);
        void (*thread_free)(void *thread);
        bool quiet; /* its jobs may be many: that one is completed is no line of the journal */
        /* SQL that turns application data into jobs is named by the service, not here. */
} JobType;
