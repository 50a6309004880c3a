/* SPDX-License-Identifier: MIT */
#pragma once

#include "db/db.h"

/* Puts back the jobs of workers that lapsed, and says so in the log. *ret_jobs: how many. */
int rescue_lapsed(Db *db, usec_t timeout, int64_t *ret_jobs, Error *ret_error);
