/* SPDX-License-Identifier: MIT */
#pragma once

/* What a person reads who is called at night: what members notice, since when, how many, why, and
 * what to type first. */

#include "alerts/book.h"
#include "base/settings.h"

typedef struct MessageContext {
        const Settings *settings; /* whose secrets are taken out, and how often it is told */
        const char *host;
        usec_t now;
        JsonObject *lines; /* of the journal, an array of texts; NULL: none can be read */
} MessageContext;

/* -ENOMEM. a is not touched; for ALERT_TEST it is NULL. */
int message_compose(const MessageContext *c, AlertKind kind, const Alert *a, Message *ret);

/* The body of a webhook: {"type": "alert.KIND", "timestamp", "text", "data"}. The same message
 * gives the same bytes. -ENOMEM. */
int message_body(const Message *m, char **ret);
