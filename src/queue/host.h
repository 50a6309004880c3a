/* SPDX-License-Identifier: MIT */
#pragma once

/* This machine as one of the hosts of an installation: a copy of the database publishes nothing,
 * nor does a machine that is none of its hosts, and a database that was put back in time repeats
 * nothing (sql/functions/identity.sql has the rules). */

#include "base/id.h"
#include "base/json.h"
#include "base/settings.h"
#include "db/db.h"

typedef struct Host {
        char machine[ID128_SIZE]; /* a hash of the machine-id */
        char boot[ID128_SIZE];
        char name[65];
} Host;

/* ERROR_CONFIG on a machine without a machine-id. */
int host_read(Host *ret, Error *ret_error);

/* Whether the answer to a tick says already that this host may go on, which is the rule. */
int host_is_known(const Host *host, JsonObject *tick, const Settings *settings,
                  const char *installation, bool *ret, Error *ret_error);

/* May this host work for the installation at this moment? Tells the database this host's mark. 0:
 * go on. 1: nothing is to be begun yet, which is logged. ERROR_CONFIG "copy", "unknown-host" or
 * "clone": never, until an operator acts, and how. */
int host_meet(Db *db, const Host *host, const Settings *settings, const char *installation,
              usec_t timeout, Error *ret_error);

/* An operator says that the database is the installation now, or that this machine is one of the
 * hosts of that id. *ret has what adopt_installation() and join_host() answer. */
int host_adopt(Db *db, const Host *host, usec_t timeout, JsonObject **ret, Error *ret_error);
int host_join(Db *db, const Host *host, const char *installation, usec_t timeout, JsonObject **ret,
              Error *ret_error);
