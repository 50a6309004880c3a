/* SPDX-License-Identifier: MIT */
#pragma once

/* What this host says without the database: our units and timers as systemd knows them, the last
 * error of each in the journal, the disks. Asked on a thread of its own: a disk that is gone knows
 * no deadline. */

#include "health/health.h"

typedef struct HostLook HostLook;
HostLook *host_look_new(bool local_database, usec_t deadline); /* NULL when memory is short */
void *host_look_run(void *look);                               /* for pthread_create() */
void host_look_free(HostLook *l);
DEFINE_CLEANUP(HostLook, host_look_free);

/* Adds what it found; l is NULL where there was no answer in time. elsewhere: another host
 * publishes. *ret_host stays untouched where systemd does not run our units. -ENOMEM. */
int host_problems(HostLook *l, bool elsewhere, JsonObject *problems, JsonObject **ret_host);
