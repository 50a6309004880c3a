/* SPDX-License-Identifier: MIT */
#pragma once

/* What is known to be wrong, since when, and who has been told: the state of alerting, one JSON
 * object. Nothing here knows the time, sends or stores: a look is handed in with its time, and what
 * is due is read from the alerts afterwards. */

#include "base/json.h"
#include "health/problems.h"

typedef enum AlertKind {
        ALERT_BEGUN, /* something has been wrong for long enough */
        ALERT_LASTS, /* it still is, so long after the last message */
        ALERT_OVER,
        ALERT_TEST,
        _ALERT_KIND_MAX,
        _ALERT_KIND_INVALID = -22, /* -EINVAL */
} AlertKind;

const char *alert_kind_to_string(AlertKind kind); /* "begun", "lasts", "over", "test" */
AlertKind alert_kind_from_string(const char *s);

/* A message, made once: whoever could not be reached gets the same later. */
typedef struct Message {
        char *id; /* 32 hexadecimal digits */
        AlertKind kind;
        usec_t at; /* CLOCK_REALTIME, as all times here */
        char *subject, *text;
        JsonObject *data; /* for programs */
} Message;
void message_done(Message *m);

/* What a look has found wrong. */
typedef struct Sight {
        const char *key; /* what makes it the same thing at the next look */
        bool shared;     /* everybody who asks the same database sees it */
        bool at_once;    /* told without delay: something crashed */
        bool folded;     /* this host says it by its cause: not told anew, and not over */
        Severity severity;
        usec_t since;        /* 0 = not known: since it was first seen */
        JsonObject *problem; /* of health.h; borrowed */
} Sight;

typedef struct Alert {
        char *key;
        bool shared, at_once;
        Severity severity;
        usec_t since, first_seen, last_seen;
        usec_t told;  /* the time of the last message; 0: nobody knows of it yet */
        usec_t ended; /* 0: it lasts */
        JsonObject *problem;
        Message message; /* the last one; no id: none yet */
        char **owed;     /* the channels that have not got it */
        size_t n_owed;
} Alert;

typedef struct Book {
        Alert *alerts;
        size_t n;
} Book;
void book_done(Book *b);

/* -EINVAL for anything that is not a book, -ENOMEM. */
int book_parse(JsonObject *o, Book *ret);
int book_print(const Book *b, JsonObject **ret); /* -ENOMEM */

typedef struct AlertTimes {
        usec_t after;        /* for what keeps posts from going out, and for what cannot be told */
        usec_t person_after; /* for what waits for a person */
        usec_t repeat, over;
} AlertTimes;

typedef enum BookScope {
        SCOPE_OWN = 1 << 0,    /* what only this host can see was looked for */
        SCOPE_SHARED = 1 << 1, /* what the database knows was looked for */
        SCOPE_ALL = SCOPE_OWN | SCOPE_SHARED,
} BookScope;

/* Enters a look. What is in its scope and has not been seen for long enough has ended; where nobody
 * was told of it, it is forgotten. A crash does not end by not happening again: see below. At most
 * 200 alerts are kept. -ENOMEM leaves the book as it may be. */
int book_look(Book *b, const Sight *sights, size_t n, unsigned scope, const AlertTimes *times,
              usec_t t);
/* Enters one alone: nothing else was looked for. */
int book_enter(Book *b, const Sight *s, usec_t t);
/* A service (by its unit) has worked at that time: an earlier crash of it has ended. */
void book_recovered(Book *b, const char *unit, usec_t when);
/* Crashes of which nothing was heard for a week, neither way. */
void book_forget_crashes(Book *b, usec_t t);

/* What is to be told of an alert at t: _ALERT_KIND_INVALID for nothing. */
AlertKind alert_due(const Alert *a, const AlertTimes *times, usec_t t);
/* It is told by this message, which is taken over, to these channels. */
int alert_tell(Alert *a, Message *m, const char *const *channels); /* -ENOMEM */
/* One channel has it. */
void alert_delivered(Alert *a, const char *channel);
/* Removes what is over and told, or could not be told for a day. How many could not. */
size_t book_close(Book *b, usec_t t);
/* Moves every shared alert to the other book, unless that has one of its key. */
int book_move_shared(Book *from, Book *to); /* -ENOMEM */
