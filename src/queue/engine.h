/* SPDX-License-Identifier: MIT */
#pragma once

/* What every host agrees on: the row automapost.engine, as the first question of a tick brings it.
 */

#include "base/error.h"
#include "base/json.h"

typedef struct Engine {
        usec_t beat, self_fence, lapse, statement_limit, send_deadline, collect_every, slot_grace;
        int64_t schema;      /* version of the schema */
        char *lowest_binary; /* that this schema bears */
        char *installation;  /* its id; NULL where the schema is older than hosts */
} Engine;

/* The first schema in which schedules have slots; before, whoever is woken collects. */
#define SCHEMA_SLOTS 2

/* From the JSON of automapost.tick(). -EPROTO, ERROR_CONFIG when something is missing. */
int engine_parse(JsonObject *tick, Engine *ret, Error *ret_error);
void engine_done(Engine *e);

/* Versions meet: ERROR_CONFIG "schema" when this binary needs a newer schema, or the schema a newer
 * binary; says what to do. */
int engine_check_version(const Engine *e, Error *ret_error);
