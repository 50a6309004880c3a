/* SPDX-License-Identifier: MIT */
#pragma once

/* Named points at which a test stops a process, to kill it or to let others overtake it. They exist
 * only with the build option stop-points: without it nothing is compiled.
 *
 * AUTOMAPOST_STOP_POINT=NAME[:N] makes the process, at its N-th (default first) arrival at NAME in
 * any thread, write "stop-point NAME\n" to the descriptor AUTOMAPOST_STOP_FD (or stderr) and raise
 * SIGSTOP. Points:
 *     claim, begin, settled, slot  the answer to that statement is there: it is committed
 *     slot-collected  a slot's collecting is through, and not recorded yet
 *     mark         what begin put on record is in the state folder too
 *     prepare      a job has made its request, begin comes next
 *     first-byte   a request that writes is about to be sent: the check has not been asked yet
 *     last-byte    it has been handed to the kernel completely
 *     answer-read  its whole answer is there
 *     QUERY        a statement (settle-jobs, …) has been handed to the kernel completely */

#ifdef HAVE_STOP_POINTS
void stop_point(const char *name);
#else
static inline void stop_point(const char *name) {
        (void) name;
}
#endif
