/* SPDX-License-Identifier: MIT */

/* Types whose work the application does: it is called as Standard Webhooks 1.0 says, at the URL
 * that the type's definition names, signed with the credential that it names. The job's id is the
 * webhook-id of every attempt, by which the application tells a repetition; so calling it again is
 * harmless, and an answer that was lost is asked for once more.
 *
 * 2xx: done, or with {"snooze": SECONDS} not yet. 429 and 503 with Retry-After: again then. 408 and
 * 5xx, and what cannot be reached: again. Everything else, 410 (gone) among it, is refused for
 * good.
 */

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/time-util.h"
#include "jobs/account.h"
#include "net/signed-post.h"

#define WHO "the application"
#define SNOOZE_MAX INT64_C(604800) /* seconds: 7 days */
#define RESULT_MAX 65536
#define SAID_MAX ((size_t) 100) /* lines of one answer */
#define HEADERS_MAX ((size_t) 100)

static void headers_free(char **headers) {
        for (char **h = headers; h && *h; h++)
                free(*h);
        free(headers);
}
DEFINE_CLEANUP(char *, headers_free);

/* "Name: value" for each, NULL at the end; the definition was checked when it was made. */
static char **make_headers(JsonObject *given) {
        char **headers = calloc(HEADERS_MAX + 1, sizeof(char *));
        size_t n = 0;

        if (!headers)
                return NULL;
        if (json_object_is_type(given, json_type_object)) {
                json_object_object_foreach(given, name, value) {
                        if (n == HEADERS_MAX)
                                break;
                        headers[n] = strjoinf("%s: %s", name, json_object_get_string(value));
                        if (!headers[n++]) {
                                headers_free(headers);
                                return NULL;
                        }
                }
        }
        return headers;
}

static char *make_body(const Job *job) {
        _cleanup_(json_unrefp) JsonObject *body = json_object_new_object(),
                                          *data = json_object_new_object();
        JsonObject *payload = json_member(job->input, "payload");
        usec_t boot = now(CLOCK_BOOTTIME);
        char at[ISO8601_SIZE], deadline[ISO8601_SIZE];

        time_format_iso8601(job->started_at, at);
        time_format_iso8601(now(CLOCK_REALTIME) + (job->deadline > boot ? job->deadline - boot : 0),
                            deadline);
        if (!body || !data || json_set_string(data, "jobId", job->id) < 0 ||
            json_set_string(data, "executionId", job->execution_id) < 0 ||
            json_set_int64(data, "attempt", job->attempt) < 0 ||
            json_set_string(data, "deadline", deadline) < 0 ||
            json_set(data, "payload",
                     payload ? json_object_get(payload) : json_object_new_object()) < 0 ||
            json_set_string(body, "type", job->type) < 0 ||
            json_set_string(body, "timestamp", at) < 0 ||
            json_set(body, "data", TAKE_PTR(data)) < 0)
                return NULL;
        return strdup(json_text(body));
}

/* Its lines of progress: texts, or {"level", "message"}. */
static void take_lines(Job *job, JsonObject *lines) {
        size_t n =
                json_object_is_type(lines, json_type_array) ? json_object_array_length(lines) : 0;

        for (size_t i = 0; i < MIN(n, SAID_MAX); i++) {
                JsonObject *line = json_object_array_get_idx(lines, i);
                const char *text = json_object_is_type(line, json_type_string)
                                           ? json_object_get_string(line)
                                           : json_string(line, "message");

                if (text)
                        job_log(job, log_level_from_string(json_string(line, "level") ?: "info"),
                                "%s", text);
        }
        if (n > SAID_MAX)
                job_log(job, LOG_WARNING, "%zu lines more were said", n - SAID_MAX);
}

static int take_answer(Job *job, JsonObject *answer, Outcome *ret) {
        JsonObject *result = json_member(answer, "result"), *snooze = json_member(answer, "snooze");
        int64_t seconds = json_int64(answer, "snooze", -1);

        take_lines(job, json_member(answer, "lines"));
        if (snooze && (seconds < 1 || seconds > SNOOZE_MAX))
                return error_setf(&ret->error, ERROR_PERMANENT, -EBADMSG, CODE_REJECTED,
                                  WHO " answered \"snooze\": %s, which must be from 1 to %" PRId64
                                      " seconds",
                                  json_object_to_json_string(snooze), SNOOZE_MAX);
        if (snooze) {
                ret->kind = OUTCOME_SNOOZE;
                ret->again_at = now(CLOCK_REALTIME) + (usec_t) seconds * USEC_PER_SEC;
                return 0;
        }
        if (result && strlen(json_text(result)) > RESULT_MAX)
                job_log(job, LOG_WARNING,
                        "The result is not kept: it has %zu bytes, at most %d may be",
                        strlen(json_text(result)), RESULT_MAX);
        else if (result)
                ret->result = json_object_get(result);
        ret->kind = OUTCOME_DONE;
        return 0;
}

static int refuse_answer(const HttpResponse *response, JsonObject *answer, Error *ret_error) {
        const char *said = json_string(answer, "error") ?: json_string(answer, "message") ?: "";
        ErrorClass class = ERROR_PERMANENT;
        const char *code = CODE_REJECTED;

        if (response->status == 429 || (response->status == 503 && response->retry_at > 0)) {
                class = ERROR_RATE_LIMITED;
                code = CODE_RATE_LIMITED;
        } else if (response->status == 408 || response->status >= 500) {
                class = ERROR_TRANSIENT;
                code = CODE_PLATFORM_DOWN;
        } else if (response->status == 410)
                code = CODE_ENDPOINT_GONE;

        (void) error_setf(ret_error, class, -EREMOTEIO, code, WHO " answered %ld%s%s",
                          response->status, *said ? ": " : "", said);
        ret_error->retry_at = response->retry_at;
        return -EREMOTEIO;
}

static int call(Job *job, Outcome *ret) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        _cleanup_(erase_and_freep) char *secret = NULL;
        _cleanup_(headers_freep) char **headers = NULL;
        _cleanup_free_ char *body = NULL;
        const char *credential = json_string(job->input, "credential") ?: "";
        ProviderContext c = provider_context(job);
        usec_t t = now(CLOCK_BOOTTIME);
        int r;

        r = credential_read(credential, &secret, &ret->error);
        if (r < 0)
                return r;
        if (r == 0)
                return error_setf(&ret->error, ERROR_CONFIG, -ENOKEY, CODE_OPERATOR_ACTION,
                                  "there is no credential %s to sign the call with\n"
                                  "HINT: put the secret (whsec_…) into %s/%s",
                                  credential, credentials_home(), credential);
        headers = make_headers(json_member(job->input, "headers"));
        body = make_body(job);
        if (!headers || !body)
                return error_oom(&ret->error);

        r = signed_post(c.http,
                        &(const SignedPost){
                                .url = json_string(job->input, "url") ?: "",
                                .secrets = secret,
                                .id = job->id,
                                .body = body,
                                .headers = (const char *const *) headers,
                                .timeout = job->deadline > t ? job->deadline - t : 1,
                        },
                        &response, &ret->error);
        if (r < 0)
                return r;
        answer = http_json(&response);
        return response.status >= 200 && response.status <= 299
                       ? take_answer(job, answer, ret)
                       : refuse_answer(&response, answer, &ret->error);
}

static int http_act(Job *job, _unused_ const Prepared *prepared, Outcome *ret) {
        int r = call(job, ret);

        if (r < 0)
                ret->kind = OUTCOME_ERROR;
        return r;
}

extern const JobType job_type_http;
const JobType job_type_http = {
        .name = "http",
        .act = http_act,
        .process_init = http_process_init,
        .thread_new = http_thread_new,
        .thread_free = http_thread_free,
};
