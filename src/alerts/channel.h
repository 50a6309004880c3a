/* SPDX-License-Identifier: MIT */
#pragma once

/* The ways on which people are told, each for itself: "webhook", and "mail:user@host" for each
 * address. */

#include "alerts/book.h"
#include "base/settings.h"
#include "net/http.h"

/* The names of those that are configured, NULL at the end. -ENOMEM. */
int channels_find(const Settings *s, char ***ret);
void channels_free(char **channels);
DEFINE_CLEANUP(char *, channels_free);

/* Tells by one of them. Every way has a deadline of its own, 20 s at most. */
int channel_send(const char *channel, const Settings *s, Http *http, const Message *m,
                 Error *ret_error);

/* Says to a watch outside that all is well. */
int heartbeat(const Settings *s, Http *http, Error *ret_error);
