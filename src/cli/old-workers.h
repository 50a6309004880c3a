/* SPDX-License-Identifier: MIT */
#pragma once

/* What worked before us: the Node workers of the application's first plan, which a person started
 * with PM2, cron or units of their own. Where they go on, posts are published twice. Found by the
 * names of their scripts, in what this process may read: crontabs, PM2's saved lists, units of
 * /etc/systemd/system, and running processes. */

#include "base/json.h"

/* An array of {"where", "what", "stop", "publishes", "hides"}: for people; whether it publishes
 * posts; whether it is a unit that stands in the way of one of ours. -ENOMEM. */
int old_workers_find(JsonObject **ret);
