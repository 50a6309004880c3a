/* SPDX-License-Identifier: MIT */
#pragma once

/* One mail to one recipient, by SMTP: the message, and how it is handed to a mail server. Blocking,
 * with a deadline that always holds; never repeated on its own. */

#include "base/error.h"

typedef enum MailSecurity {
        MAIL_STARTTLS, /* an open connection that must become an encrypted one */
        MAIL_TLS,      /* encrypted from its first byte */
        MAIL_OPEN,     /* never encrypted: for a relay on this host */
        _MAIL_SECURITY_MAX,
        _MAIL_SECURITY_INVALID = -22, /* -EINVAL */
} MailSecurity;

MailSecurity mail_security_from_string(const char *s); /* "starttls", "tls", "none" */

typedef struct MailServer {
        const char *host;
        uint64_t port; /* 0 = 587, 465 or 25, as security has it */
        MailSecurity security;
        const char *user, *password; /* without a user nobody is authenticated */
        const char *ca_file;         /* NULL or "" = the system's */
} MailServer;

typedef struct Mail {
        const char *from; /* user@host or Name <user@host> */
        const char *to;   /* likewise: one */
        const char *subject;
        const char *text;           /* UTF-8; lines end with \n */
        const char *html;           /* beside it, or NULL */
        const char *id;             /* unique, and the same when it is sent again */
        usec_t date;                /* CLOCK_REALTIME */
        const char *const *headers; /* further ones, "Name: value" in ASCII; NULL at the end */
} Mail;

/* The message as it goes over the wire (RFC 5322, 2045-2047): CRLF, ASCII alone, no line longer
 * than 76 but for a long word of a header. Line ends within a header become blanks. ERROR_CONFIG
 * for a sender, ERROR_PERMANENT for a recipient that is no address. */
int mail_compose(const Mail *mail, char **ret, Error *ret_error);

/* 0: the server has taken it (250 after the message). Otherwise, by what it replied: 4xx
 * ERROR_TRANSIENT; 5xx ERROR_PERMANENT, but ERROR_CONFIG where it is our login or our right to send
 * that is refused (RFC 3463 X.7.X, 530, 535); no connection, no trusted encryption, a timeout
 * ERROR_TRANSIENT; ERROR_UNKNOWN_OUTCOME where the whole message went out and no reply came. The
 * code is the reply's enhanced one ("5.1.1"), else the reply's ("550"), else of base/codes.h.
 * Messages name the server and what it said, never a password. timeout: 0 = 30 s. */
int mail_send(const MailServer *server, const Mail *mail, usec_t timeout, Error *ret_error);
