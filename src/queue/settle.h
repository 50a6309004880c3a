/* SPDX-License-Identifier: MIT */
#pragma once

/* What the worker says of a task: the one place where an Outcome becomes the words of settle_jobs.
 */

#include "queue/task.h"

/* The word for what became of a task that ended; see sql/functions/settle_jobs.sql. */
const char *settle_outcome(const Task *t);

/* The item for automapost.settle_jobs(); outcome NULL = settle_outcome(t). NULL when memory is
 * short. Every text in it is valid UTF-8, without NUL and bounded. */
JsonObject *settle_item(Task *t, const char *outcome, const Error *error);
