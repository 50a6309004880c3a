/* SPDX-License-Identifier: MIT */
#pragma once

/* What can go wrong outside, in the words in which it is stored and decided upon. A function that
 * talks to the outside (db, net, providers, job types) returns -errno and fills an Error; its class
 * is decided where the knowledge is and is the only input of every retry decision above. */

#include "macro.h"

typedef enum ErrorClass {
        ERROR_NONE,
        ERROR_TRANSIENT,       /* later may work, and nothing happened */
        ERROR_RATE_LIMITED,    /* later will work: retry_at says when; burns no attempt */
        ERROR_AUTH,            /* the token is refused: refresh it, or a person must reconnect */
        ERROR_PERMISSION,      /* a person must grant something */
        ERROR_PERMANENT,       /* never will: content or payload refused */
        ERROR_CONFIG,          /* an operator must act */
        ERROR_UNKNOWN_OUTCOME, /* it may have happened: reconcile first, never repeat blindly */
        _ERROR_CLASS_MAX,
        _ERROR_CLASS_INVALID = -22, /* -EINVAL */
} ErrorClass;

typedef struct Error {
        ErrorClass class;
        char *code;      /* of the closed list, an SQLSTATE or an HTTP status; may be NULL */
        usec_t retry_at; /* CLOCK_REALTIME; 0 = unknown */
        char *message;   /* lower case, no full stop; never a secret */
        int r;           /* the -errno that was returned with it; 0 = unknown */
} Error;

#define ERROR_NULL ((Error){})

/* Fills *e (which may be NULL) and returns r, so that `return error_setf(…)` is one statement.
 * r must be negative. An error already in *e is replaced. */
int error_setf(Error *e, ErrorClass class, int r, const char *code, const char *format, ...)
        _printf_(5, 6);

/* The error for memory that could not be had: TRANSIENT, -ENOMEM. */
int error_oom(Error *e);

void error_done(Error *e);
/* Moves the content; *from is empty afterwards. */
void error_move(Error *to, Error *from);

const char *error_class_to_string(ErrorClass class); /* "transient", "rate-limited", … */
ErrorClass error_class_from_string(const char *s);   /* or _ERROR_CLASS_INVALID */

/* sysexits(3): 0, 75 (try again later), 78 (an operator must act), 70 (our mistake). */
int error_class_to_exit_status(ErrorClass class);
