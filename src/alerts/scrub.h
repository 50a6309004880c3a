/* SPDX-License-Identifier: MIT */
#pragma once

/* What leaves this host in an alert goes through somebody's mail server and chat: nothing in it may
 * be a secret. */

#include "base/settings.h"

/* A copy of s without the secrets of the settings, and without what looks like one: values of
 * password=, token= and the like, passwords in URLs, long words of letters and digits. Ids of ours
 * (uuids) stay, for they are what a person types. NULL when memory is short. */
char *alert_scrub(const char *s, const Settings *settings);
