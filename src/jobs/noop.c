/* SPDX-License-Identifier: MIT */

/* Nothing: what remains is what the queue itself costs. An operator sees with it that jobs are
 * done, and the bench measures with it. */

#include "queue/job-type.h"

static int noop_act(Job *job, const Prepared *prepared, Outcome *ret) {
        (void) prepared;
        job_log(job, LOG_DEBUG, "There is nothing to do");
        job_log(job, LOG_DEBUG, "Nothing is done");
        ret->kind = OUTCOME_DONE;
        return 0;
}

extern const JobType job_type_noop;
const JobType job_type_noop = {
        .name = "noop",
        .act = noop_act,
        .quiet = true,
};
