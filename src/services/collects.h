/* SPDX-License-Identifier: MIT */
#pragma once

/* Which service collects what: the one table. A service whose slot is open does it itself, and
 * where it does not for a while, the queue's tick does it in its place. */

#include "queue/collect.h"

/* Of a service, by its name in job_definitions; NULL where it collects nothing. */
const Collect *collect_find(const char *service);
