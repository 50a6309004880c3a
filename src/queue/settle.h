/* SPDX-License-Identifier: MIT */
#pragma once

/* What the worker says of a task: the one place where an Outcome becomes the words of settle_jobs.
 */

#include "db/array.h"
#include "queue/task.h"

/* The word for what became of a task that ended; see sql/functions/settle_jobs.sql. */
const char *settle_outcome(const Task *t);

/* The item for automapost.settle_jobs(); outcome NULL = settle_outcome(t). NULL when memory is
 * short. Every text in it is valid UTF-8, without NUL and bounded. */
JsonObject *settle_item(Task *t, const char *outcome, const Error *error);

/* Whether settle_done() records all that there is to say of an ended task: it is done, is no
 * delivery, and nothing of it is stored yet. */
bool settle_is_plain(const Task *t);
/* What settle_done() takes after the worker's id. -ENOMEM; -EINVAL where an id is none. */
#define SETTLE_ARRAYS 11
int settle_arrays(Task **tasks, size_t n, Array ret[static SETTLE_ARRAYS]);
