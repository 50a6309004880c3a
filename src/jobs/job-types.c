/* SPDX-License-Identifier: MIT */

#include "jobs/job-types.h"

#define JOB_TYPE(name) extern const JobType job_type_##name;
#include "jobs/job-list.h"
#undef JOB_TYPE

static const JobType *const job_types[] = {
#define JOB_TYPE(name) &job_type_##name,
#include "jobs/job-list.h"
#undef JOB_TYPE
};

const JobType *job_type_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(job_types); i++)
                if (streq(job_types[i]->name, name))
                        return job_types[i];
        return NULL;
}

const JobType *const *job_type_list(size_t *ret_n) {
        *ret_n = ELEMENTSOF(job_types);
        return job_types;
}
