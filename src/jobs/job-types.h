/* SPDX-License-Identifier: MIT */
#pragma once

/* Every job type of this build. */

#include "queue/job-type.h"

/* NULL where this build has none of that name. */
const JobType *job_type_find(const char *name);
/* All of them; *ret_n. */
const JobType *const *job_type_list(size_t *ret_n);
