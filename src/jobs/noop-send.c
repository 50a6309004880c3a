/* SPDX-License-Identifier: MIT */

/* Nothing, on the way of what is sent: prepared, put on record, and then done if the worker may
 * still do it. With noop beside it the bench measures what that costs. Whoever sees no end of it
 * does it once more, for there is nothing to look at and no harm in it. */

#include <errno.h>
#include <string.h>

#include "base/codes.h"
#include "queue/job-type.h"

static int noop_send_prepare(Job *job, Prepared *ret_prepared, Outcome *ret_outcome) {
        (void) ret_outcome;
        job_log(job, LOG_DEBUG, "There is nothing to send");
        ret_prepared->way = strdup("resend");
        return ret_prepared->way ? 0 : -ENOMEM;
}

static int noop_send_act(Job *job, const Prepared *prepared, Outcome *ret) {
        (void) prepared;
        if (!job->may_send(job)) {
                ret->kind = OUTCOME_ERROR;
                return error_setf(&ret->error, ERROR_TRANSIENT, -ECANCELED, CODE_CANCELLED,
                                  "nothing may be sent any more");
        }
        job_log(job, LOG_DEBUG, "Nothing is sent");
        ret->kind = OUTCOME_DONE;
        return 0;
}

extern const JobType job_type_noop_send;
const JobType job_type_noop_send = {
        .name = "noop-send",
        .act = noop_send_act,
        .prepare = noop_send_prepare,
        .quiet = true,
};
