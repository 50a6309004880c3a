/* SPDX-License-Identifier: MIT */

/* One mail, for tests: settings come from the environment, the mail from stdin as a JSON object
 * {"from", "to", "subject", "text", "html", "id", "date", "headers": […], "timeout_msec"}. Prints
 * {"ok": true} or {"ok": false, "error": {"class", "code", "message"}}; exit status 0 for both.
 * With the argument "compose" it prints the message instead. It is not installed. */

#include <stdio.h>

#include "base/json.h"
#include "base/settings.h"
#include "base/time-util.h"
#include "net/http.h"
#include "net/mail.h"

#define INPUT_MAX ((size_t) 1024 * 1024)
#define HEADERS_MAX 16

static int run(const char *verb, JsonObject *input, Error *ret_error) {
        _cleanup_(settings_done) Settings s = {};
        JsonObject *array = json_member(input, "headers");
        const char *headers[HEADERS_MAX + 1] = {};
        _cleanup_free_ char *message = NULL;
        Mail mail = {
                .from = json_string(input, "from"),
                .to = json_string(input, "to"),
                .subject = json_string(input, "subject"),
                .text = json_string(input, "text"),
                .html = json_string(input, "html"),
                .id = json_string(input, "id"),
                .date = now(CLOCK_REALTIME),
                .headers = headers,
        };
        int r;

        for (size_t i = 0; array && i < json_object_array_length(array) && i < HEADERS_MAX; i++)
                headers[i] = json_object_get_string(json_object_array_get_idx(array, i));
        if (json_string(input, "date"))
                (void) time_parse_iso8601(json_string(input, "date"), &mail.date);

        r = settings_load(&s, ret_error);
        if (r < 0)
                return r;
        if (streq(verb, "compose")) {
                r = mail_compose(&mail, &message, ret_error);
                if (r >= 0)
                        (void) fputs(message, stdout);
                return r;
        }
        r = http_global_init(ret_error);
        if (r < 0)
                return r;
        return mail_send(
                &(const MailServer){
                        .host = s.smtp_host,
                        .port = s.smtp_port,
                        .security = mail_security_from_string(s.smtp_tls),
                        .user = s.smtp_user,
                        .password = s.smtp_password,
                        .ca_file = s.ca_file,
                },
                &mail, (usec_t) json_int64(input, "timeout_msec", 0) * USEC_PER_MSEC, ret_error);
}

int main(int argc, char *argv[]) {
        _cleanup_(json_unrefp) JsonObject *input = NULL, *error = json_object_new_object();
        _cleanup_(error_done) Error e = ERROR_NULL;
        _cleanup_free_ char *text = calloc(1, INPUT_MAX);
        size_t n = text ? fread(text, 1, INPUT_MAX - 1, stdin) : 0;
        int r;

        if (!text || json_parse(text, n, &input) < 0) {
                (void) fprintf(stderr, "mail-call: no JSON on stdin\n");
                return EXIT_FAILURE;
        }
        r = run(argc > 1 ? argv[1] : "send", input, &e);
        if (r >= 0) {
                if (argc < 2)
                        printf("{\"ok\":true}\n");
                return EXIT_SUCCESS;
        }
        (void) json_set_string(error, "class", error_class_to_string(e.class));
        (void) json_set_string(error, "code", e.code);
        (void) json_set_string(error, "message", e.message);
        printf("{\"ok\":false,\"error\":%s}\n", json_text(error));
        return EXIT_SUCCESS;
}
