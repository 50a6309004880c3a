/* SPDX-License-Identifier: MIT */

/* Takes the time that its payload names, payload.ms milliseconds: for trying limits, timeouts and
 * cancellation. */

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/time-util.h"
#include "queue/job-type.h"

#define SLEEP_MAX_MS (INT64_C(24) * 60 * 60 * 1000)

static int sleep_act(Job *job, const Prepared *prepared, Outcome *ret) {
        int64_t ms = json_int64(job->input, "ms", 0);
        usec_t until;

        (void) prepared;
        if (ms < 0 || ms > SLEEP_MAX_MS) {
                ret->kind = OUTCOME_ERROR;
                return error_setf(&ret->error, ERROR_PERMANENT, -ERANGE, "input",
                                  "payload.ms must be from 0 to %" PRId64 ", not %" PRId64,
                                  SLEEP_MAX_MS, ms);
        }
        job_log(job, LOG_DEBUG, "Sleeping for %" PRId64 " ms", ms);
        until = now(CLOCK_MONOTONIC) + (usec_t) ms * USEC_PER_MSEC;
        if (ms > 0) {
                const struct timespec t = { .tv_sec = (time_t) (until / USEC_PER_SEC),
                                            .tv_nsec = (long) (until % USEC_PER_SEC) * 1000 };

                while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
                        ;
        }
        job_log(job, LOG_DEBUG, "Awake again");
        ret->kind = OUTCOME_DONE;
        return 0;
}

extern const JobType job_type_sleep;
const JobType job_type_sleep = {
        .name = "sleep",
        .act = sleep_act,
        .quiet = true,
};
