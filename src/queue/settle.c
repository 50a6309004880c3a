/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codes.h"
#include "base/text.h"
#include "base/time-util.h"
#include "queue/settle.h"

#define MESSAGE_MAX 600

static const char *outcome_of_error(const Task *t) {
        const Error *e = &t->outcome.error;
        /* Reconciling reads and sends nothing: whatever fails there leaves the outcome unknown. */
        bool reading = t->job.reconcile && !t->job.begun;

        switch (e->class) {
        case ERROR_TRANSIENT:
                if (streq_ptr(e->code, CODE_CANCELLED))
                        return t->cancelled ? "unsent" : "put-back";
                return reading ? "unclear" : "retry";
        case ERROR_RATE_LIMITED:
                return reading ? "unclear" : "limited";
        case ERROR_CONFIG:
                return reading ? "unclear" : "config";
        case ERROR_UNKNOWN_OUTCOME:
                return t->job.begun ? "unknown" : reading ? "unclear" : "retry";
        case ERROR_AUTH:
        case ERROR_PERMISSION:
        case ERROR_PERMANENT:
                return reading ? "held" : "failed";
        case ERROR_NONE:
        case _ERROR_CLASS_MAX:
        case _ERROR_CLASS_INVALID:
                break;
        }
        return t->job.begun ? "unknown" : "retry"; /* a failure without a class: our mistake */
}

const char *settle_outcome(const Task *t) {
        static const char *const words[_OUTCOME_MAX] = {
                [OUTCOME_DONE] = "done",         [OUTCOME_WAIT_TOKEN] = "wait-token",
                [OUTCOME_SNOOZE] = "snooze",     [OUTCOME_ABSENT] = "absent",
                [OUTCOME_UNCLEAR] = "unclear",   [OUTCOME_HELD] = "held",
                [OUTCOME_PUT_BACK] = "put-back",
        };

        return t->outcome.kind == OUTCOME_ERROR ? outcome_of_error(t) : words[t->outcome.kind];
}

static int set_time(JsonObject *o, const char *name, usec_t t) {
        char text[ISO8601_SIZE];

        if (t == 0)
                return 0;
        time_format_iso8601(t, text);
        return json_set_string(o, name, text);
}

static int set_object(JsonObject *o, const char *name, JsonObject *value) {
        return value ? json_set(o, name, json_object_get(value)) : 0;
}

JsonObject *settle_item(Task *t, const char *outcome, const Error *error) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        const Error *e = error ?: &t->outcome.error;
        const char *delivery = json_string(json_member(t->job.input, "delivery"), "id");
        usec_t ended = t->ended_at ?: now(CLOCK_REALTIME);
        _cleanup_(json_unrefp) JsonObject *lines = NULL;
        _cleanup_free_ char *message = NULL;

        if (!outcome)
                outcome = settle_outcome(t);
        if (e->message) {
                message = utf8_make_valid(e->message, strlen(e->message), MESSAGE_MAX);
                if (!message)
                        return NULL;
        }
        if (!o || task_lines(t, SIZE_MAX, &lines) < 0 || json_set_string(o, "id", t->job.id) < 0 ||
            json_set_int64(o, "lease", t->job.lease) < 0 ||
            json_set_string(o, "execution_id", t->job.execution_id) < 0 ||
            set_time(o, "started_at", t->job.started_at) < 0 ||
            json_set_int64(o, "duration_ms",
                           ended > t->job.started_at
                                   ? (int64_t) ((ended - t->job.started_at) / USEC_PER_MSEC)
                                   : 0) < 0 ||
            json_set_string(o, "outcome", outcome) < 0)
                return NULL;
        if (e->class != ERROR_NONE &&
            (json_set_string(o, "class", error_class_to_string(e->class)) < 0 ||
             json_set_string(o, "code", e->code) < 0 ||
             json_set_string(o, "message", message) < 0 ||
             set_time(o, "retry_at", e->retry_at) < 0))
                return NULL;
        if (set_time(o, "retry_at", t->outcome.again_at) < 0)
                return NULL;
        if (t->outcome.limit_scope && json_set_string(o, "limit_scope", t->outcome.limit_scope) < 0)
                return NULL;
        if (json_set_string(o, "token_version",
                            json_string(json_member(t->job.input, "account"), "tokenVersion")) <
                    0 ||
            (delivery && json_set_string(o, "delivery_id", delivery) < 0) ||
            (t->job.begun && json_set_int64(o, "begin_number", t->job.begin_number) < 0) ||
            set_object(o, "result", t->outcome.result) < 0 ||
            set_object(o, "receipt", t->outcome.receipt) < 0 ||
            set_object(o, "tokens", t->outcome.tokens) < 0 ||
            json_set(o, "logs", TAKE_PTR(lines)) < 0)
                return NULL;
        return TAKE_PTR(o);
}

bool settle_is_plain(const Task *t) {
        return !json_member(t->job.input, "delivery") && t->state == TASK_ENDED &&
               t->outcome.kind == OUTCOME_DONE && !t->outcome.receipt && !t->outcome.tokens &&
               !t->lost && !t->abandoned && !t->odd && t->n_said == (int64_t) t->n_lines;
}

/* As automapost.line_id() makes it. */
static sd_id128_t line_id(sd_id128_t execution, int64_t n) {
        execution.bytes[14] = (uint8_t) (n >> 8);
        execution.bytes[15] = (uint8_t) n;
        return execution;
}

int settle_arrays(Task **tasks, size_t n, Array ret[static SETTLE_ARRAYS]) {
        Array *ids = &ret[0], *leases = &ret[1], *executions = &ret[2], *started = &ret[3],
              *durations = &ret[4], *results = &ret[5];
        Array *line_ids = &ret[6], *line_of = &ret[7], *levels = &ret[8], *messages = &ret[9],
              *times = &ret[10];
        int r;

        if ((r = array_start(ids, ARRAY_UUID)) < 0 || (r = array_start(leases, ARRAY_BIGINT)) < 0 ||
            (r = array_start(executions, ARRAY_UUID)) < 0 ||
            (r = array_start(started, ARRAY_TIMESTAMPTZ)) < 0 ||
            (r = array_start(durations, ARRAY_BIGINT)) < 0 ||
            (r = array_start(results, ARRAY_TEXT)) < 0 ||
            (r = array_start(line_ids, ARRAY_UUID)) < 0 ||
            (r = array_start(line_of, ARRAY_UUID)) < 0 ||
            (r = array_start(levels, ARRAY_TEXT)) < 0 ||
            (r = array_start(messages, ARRAY_TEXT)) < 0 ||
            (r = array_start(times, ARRAY_TIMESTAMPTZ)) < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                const Task *t = tasks[i];
                usec_t ran = t->ended_at > t->job.started_at ? t->ended_at - t->job.started_at : 0;
                JsonObject *result = t->outcome.result;
                sd_id128_t id, execution;

                if ((r = sd_id128_from_string(t->job.id, &id)) < 0 ||
                    (r = sd_id128_from_string(t->job.execution_id, &execution)) < 0 ||
                    (r = array_add_uuid(ids, id)) < 0 ||
                    (r = array_add_bigint(leases, t->job.lease)) < 0 ||
                    (r = array_add_uuid(executions, execution)) < 0 ||
                    (r = array_add_time(started, t->job.started_at)) < 0 ||
                    (r = array_add_bigint(durations, (int64_t) (ran / USEC_PER_MSEC))) < 0 ||
                    (r = array_add_text(results, result ? json_text(result) : NULL)) < 0)
                        return r;
                for (size_t k = 0; k < t->n_lines; k++) {
                        const Line *line = &t->lines[k];

                        if ((r = array_add_uuid(line_ids, line_id(execution, line->n))) < 0 ||
                            (r = array_add_uuid(line_of, execution)) < 0 ||
                            (r = array_add_text(levels, line_level(line))) < 0 ||
                            (r = array_add_text(messages, line->message)) < 0 ||
                            (r = array_add_time(times, line->at)) < 0)
                                return r;
                }
        }
        return 0;
}
