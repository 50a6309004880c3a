/* SPDX-License-Identifier: MIT */

/* One call of one provider, for tests: `provider-call NAME prepare|send|reconcile|refresh`, NAME a
 * platform or "sandbox". Settings come from the environment. Reads a JSON object from stdin:
 *
 *     {"account": {"id", "provider", "remote_id", "service_url", "access_token", "refresh_token"},
 *      "post": {"kind", "id", "delivery_id", "text", "due_at", "n_media", "parent_remote_id",
 *               "parent_url", "parent_receipt"},
 *      "request": {"target", "handle", "body", "way", "resend"}, "begun": TIME,
 *      "cancelled": BOOL, "deadline_msec": N}
 *
 * and prints {"ok": true, "request" | "receipt" | "finding" [and "receipt"] | "tokens": …} or
 * {"ok": false, "error": {"class", "code", "message", "retry_at"}[, "finding"]}. Times are ISO
 * 8601. Exit status 0 for both; 1 for a mistake in the call. It is not installed. */

#include <errno.h>
#include <stdio.h>

#include "base/settings.h"
#include "base/time-util.h"
#include "providers/provider.h"

#define INPUT_MAX ((size_t) 1024 * 1024)

static bool not_cancelled(void *userdata) {
        const bool *cancelled = userdata;

        return !*cancelled;
}

static usec_t json_time(JsonObject *o, const char *name) {
        const char *s = json_string(o, name);
        usec_t t = 0;

        return s && time_parse_iso8601(s, &t) >= 0 ? t : 0;
}

static Account read_account(JsonObject *o) {
        return (Account){
                .id = json_string(o, "id"),
                .provider = json_string(o, "provider"),
                .remote_id = json_string(o, "remote_id"),
                .service_url = json_string(o, "service_url"),
                .access_token = json_string(o, "access_token"),
                .refresh_token = json_string(o, "refresh_token"),
                .expires_at = json_time(o, "expires_at"),
        };
}

static Post read_post(JsonObject *o) {
        return (Post){
                .kind = streq_ptr(json_string(o, "kind"), "comment") ? KIND_COMMENT : KIND_POST,
                .id = json_string(o, "id"),
                .delivery_id = json_string(o, "delivery_id"),
                .text = json_string(o, "text"),
                .due_at = json_time(o, "due_at"),
                .n_media = (unsigned) json_int64(o, "n_media", 0),
                .parent_remote_id = json_string(o, "parent_remote_id"),
                .parent_url = json_string(o, "parent_url"),
                .parent_receipt = json_string(o, "parent_receipt"),
        };
}

static char *copy(JsonObject *o, const char *name) {
        const char *s = json_string(o, name);

        return s ? strdup(s) : NULL;
}

static Request read_request(JsonObject *o) {
        return (Request){
                .target = copy(o, "target"),
                .handle = copy(o, "handle"),
                .body = copy(o, "body"),
                .way = way_from_string(json_string(o, "way")),
                .resend = json_boolean(o, "resend", false),
        };
}

static JsonObject *print_request(const Request *request) {
        JsonObject *o = json_object_new_object();

        (void) json_set_string(o, "target", request->target);
        (void) json_set_string(o, "handle", request->handle);
        (void) json_set_string(o, "body", request->body);
        (void) json_set_string(o, "way", way_to_string(request->way));
        return o;
}

static JsonObject *print_receipt(const Receipt *receipt) {
        JsonObject *o = json_object_new_object();

        (void) json_set_string(o, "remote_id", receipt->remote_id);
        (void) json_set_string(o, "url", receipt->url);
        (void) json_set_string(o, "extra", receipt->extra);
        return o;
}

static void set_time(JsonObject *o, const char *name, usec_t t) {
        char text[ISO8601_SIZE];

        if (t)
                time_format_iso8601(t, text);
        (void) json_set_string(o, name, t ? text : NULL);
}

static JsonObject *print_tokens(const Tokens *tokens) {
        JsonObject *o = json_object_new_object();

        (void) json_set_string(o, "access_token", tokens->access_token);
        (void) json_set_string(o, "refresh_token", tokens->refresh_token);
        set_time(o, "expires_at", tokens->expires_at);
        return o;
}

static JsonObject *print_error(const Error *error) {
        JsonObject *o = json_object_new_object();

        (void) json_set_string(o, "class", error_class_to_string(error->class));
        (void) json_set_string(o, "code", error->code);
        (void) json_set_string(o, "message", error->message);
        set_time(o, "retry_at", error->retry_at);
        return o;
}

static const char *const findings[] = {
        [FINDING_UNKNOWN] = "unknown",
        [FINDING_SENT] = "sent",
        [FINDING_ABSENT] = "absent",
};

/* -EINVAL without an error in *ret_error: no such verb, or a member is missing. */
static int call(const ProviderContext *c, const Provider *provider, const char *verb,
                JsonObject *input, JsonObject *output, Error *ret_error) {
        Account account = read_account(json_member(input, "account"));
        Post post = read_post(json_member(input, "post"));
        _cleanup_(request_done) Request request = read_request(json_member(input, "request"));
        bool has_request = request.target && request.handle && request.body;
        _cleanup_(receipt_done) Receipt receipt = {};
        _cleanup_(tokens_done) Tokens tokens = {};
        Finding finding = FINDING_UNKNOWN;
        int r;

        if (streq(verb, "prepare") && post.id && post.delivery_id && post.text) {
                request_done(&request);
                r = provider->prepare(c, &account, &post, &request, ret_error);
                if (r >= 0)
                        (void) json_set(output, "request", print_request(&request));
                return r;
        }

        if (streq(verb, "send") && has_request) {
                r = provider->send(c, &account, &post, &request, &receipt, ret_error);
                if (r >= 0)
                        (void) json_set(output, "receipt", print_receipt(&receipt));
                return r;
        }

        if (streq(verb, "reconcile") && has_request && provider->reconcile) {
                r = provider->reconcile(c, &account, &post, &request, json_time(input, "begun"),
                                        &finding, &receipt, ret_error);
                (void) json_set_string(output, "finding", findings[finding]);
                if (r >= 0 && finding == FINDING_SENT)
                        (void) json_set(output, "receipt", print_receipt(&receipt));
                return r;
        }

        if (streq(verb, "refresh") && provider->refresh) {
                r = provider->refresh(c, &account, &tokens, ret_error);
                if (r >= 0)
                        (void) json_set(output, "tokens", print_tokens(&tokens));
                return r;
        }

        return -EINVAL;
}

static int make_http(const Settings *settings, Http **ret, Error *ret_error) {
        int r;

        r = http_global_init(ret_error);
        if (r < 0)
                return r;
        return http_new(
                &(const HttpConfig){
                        .user_agent = "automapost-jobs (test)",
                        .ca_file = settings->ca_file,
                        .allow_private_hosts = settings->allow_private_hosts,
                },
                ret, ret_error);
}

static int fail(const char *what) {
        (void) fprintf(stderr, "provider-call: %s\n", what);
        return EXIT_FAILURE;
}

int main(int argc, char *argv[]) {
        _cleanup_(json_unrefp) JsonObject *input = NULL, *output = json_object_new_object();
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(settings_done) Settings settings = {};
        _cleanup_free_ char *text = malloc(INPUT_MAX);
        _cleanup_(http_freep) Http *http = NULL;
        const Provider *provider;
        bool cancelled;
        int64_t msec;
        int r;

        if (argc != 3)
                return fail("usage: provider-call NAME prepare|send|reconcile|refresh < JSON");
        provider = streq(argv[1], "sandbox") ? provider_sandbox() : provider_find(argv[1]);
        if (!provider)
                return fail("no such provider");
        if (!text || json_parse(text, fread(text, 1, INPUT_MAX, stdin), &input) < 0)
                return fail("stdin is no JSON");
        if (settings_load(&settings, &error) < 0 || make_http(&settings, &http, &error) < 0)
                return fail(strnull(error.message));

        cancelled = json_boolean(input, "cancelled", false);
        http_set_check(http, not_cancelled, &cancelled);
        msec = json_int64(input, "deadline_msec", 0);
        if (msec > 0)
                http_set_deadline(http, now(CLOCK_BOOTTIME) + (usec_t) msec * USEC_PER_MSEC);

        r = call(&(const ProviderContext){ .http = http, .settings = &settings }, provider, argv[2],
                 input, output, &error);
        if (r < 0 && error.class == ERROR_NONE)
                return fail("no such verb, or a member of the input is missing");

        (void) json_set_bool(output, "ok", r >= 0);
        if (r < 0)
                (void) json_set(output, "error", print_error(&error));
        (void) printf("%s\n", json_text(output));
        return EXIT_SUCCESS;
}
