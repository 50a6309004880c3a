/* SPDX-License-Identifier: MIT */
#include "mail.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/codes.h"
#include "base/mailbox.h"
#include "base/text.h"
#include "base/time-util.h"
#include "curl.h"

#define TIMEOUT_DEFAULT (30 * USEC_PER_SEC)
#define CONNECT_TIMEOUT (10 * USEC_PER_SEC)
#define REPLY_MAX ((size_t) 300)
#define CODE_SIZE sizeof("5.999.999")

static const struct {
        const char *name, *scheme;
        unsigned port;
        long ssl;
} securities[_MAIL_SECURITY_MAX] = {
        [MAIL_STARTTLS] = { "starttls", "smtp", 587, CURLUSESSL_ALL },
        [MAIL_TLS] = { "tls", "smtps", 465, CURLUSESSL_ALL },
        [MAIL_OPEN] = { "none", "smtp", 25, CURLUSESSL_NONE },
};

MailSecurity mail_security_from_string(const char *s) {
        for (MailSecurity i = 0; i < _MAIL_SECURITY_MAX; i++)
                if (streq(securities[i].name, s))
                        return i;
        return _MAIL_SECURITY_INVALID;
}

/* One mail under way, as its callbacks see it. */
typedef struct Call {
        const MailServer *server;
        CURL *curl;
        const char *message;
        size_t size, sent;
        usec_t deadline; /* CLOCK_BOOTTIME */
        Str reply;       /* the last refusal */
        char error_text[CURL_ERROR_SIZE];
} Call;

typedef struct curl_slist RecipientList;
DEFINE_CLEANUP(RecipientList, curl_slist_free_all);

static void call_done(Call *c) {
        curl_easy_cleanup(c->curl);
        str_done(&c->reply);
}

/* Callbacks of libcurl. */

static size_t on_read(char *buffer, size_t one, size_t n, void *userdata) {
        Call *c = userdata;
        size_t k = MIN(c->size - c->sent, one * n);

        memcpy(buffer, c->message + c->sent, k);
        c->sent += k;
        return k;
}

static size_t on_reply(char *line, _unused_ size_t one, size_t n, void *userdata) {
        Call *c = userdata;

        /* After a refusal libcurl takes its leave, and is answered that too. */
        if (n == 0 || (line[0] != '4' && line[0] != '5'))
                return n;
        str_done(&c->reply);
        if (str_append_n(&c->reply, line, MIN(n, REPLY_MAX)) < 0)
                return 0;
        while (c->reply.length > 0 && isspace((unsigned char) c->reply.data[c->reply.length - 1]))
                c->reply.data[--c->reply.length] = '\0';
        return n;
}

/* The answer to its QUIT libcurl awaits by a deadline of its own, two minutes; in this transfer, or
 * where the connection outlives it, in a cleanup that knows no callbacks (hence FORBID_REUSE). */
static int on_progress(void *userdata, _unused_ curl_off_t dltotal, _unused_ curl_off_t dlnow,
                       _unused_ curl_off_t ultotal, _unused_ curl_off_t ulnow) {
        const Call *c = userdata;

        return now(CLOCK_BOOTTIME) < c->deadline ? 0 : 1;
}

/* What came of it. */

/* One to three digits at s. */
static size_t number_length(const char *s) {
        size_t n = strspn(s, "0123456789");

        return n <= 3 ? n : 0;
}

/* "5.1.1" of "550 5.1.1 no such user", else "". */
static void enhanced_code(const char *reply, char ret[static CODE_SIZE]) {
        const char *code = strlen(reply) > 4 ? reply + 4 : "";
        size_t subject = 0, detail = 0, n;

        ret[0] = '\0';
        if ((code[0] != '4' && code[0] != '5') || code[1] != '.')
                return;
        subject = number_length(code + 2);
        if (subject > 0 && code[2 + subject] == '.')
                detail = number_length(code + 3 + subject);
        n = 3 + subject + detail;
        if (detail > 0 && (code[n] == ' ' || code[n] == '\0'))
                (void) snprintf(ret, CODE_SIZE, "%.*s", (int) n, code);
}

static bool is_our_fault(long status, const char *enhanced, CURLcode code) {
        return code == CURLE_LOGIN_DENIED || status == 530 || status == 535 ||
               strncmp(enhanced, "5.7.", 4) == 0;
}

/* The server said no. */
static int refused(const Call *c, long status, CURLcode code, Error *ret_error) {
        _cleanup_free_ char *scrubbed = NULL, *reply = NULL;
        char enhanced[CODE_SIZE], number[24];
        ErrorClass class;

        scrubbed = text_scrub(c->reply.data ?: "", &c->server->password, 1);
        reply = scrubbed ? utf8_make_valid(scrubbed, strlen(scrubbed), REPLY_MAX) : NULL;
        if (!reply)
                return error_oom(ret_error);

        enhanced_code(reply, enhanced);
        (void) snprintf(number, sizeof(number), "%ld", status);
        class = status < 500                           ? ERROR_TRANSIENT
                : is_our_fault(status, enhanced, code) ? ERROR_CONFIG
                                                       : ERROR_PERMANENT;
        return error_setf(ret_error, class, -EREMOTEIO, *enhanced ? enhanced : number,
                          "the mail server %s answered %s", c->server->host, reply);
}

static int failed(const Call *c, CURLcode code, Error *ret_error) {
        const char *host = c->server->host,
                   *why = *c->error_text ? c->error_text : curl_easy_strerror(code);
        long status = 0;

        (void) curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 400 && status <= 599)
                return refused(c, status, code, ret_error);
        if (code == CURLE_OUT_OF_MEMORY)
                return error_oom(ret_error);

        /* 354 was the last word: what became of a message that was sent whole, nobody knows. */
        if (c->sent == c->size && status == 354)
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO, CODE_UNCONFIRMED,
                                  "sent to the mail server %s, but no answer came: %s", host, why);
        if (code == CURLE_USE_SSL_FAILED)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, CODE_TLS,
                                  "the mail server %s offers no encryption (STARTTLS)", host);
        if (code == CURLE_LOGIN_DENIED)
                return error_setf(ret_error, ERROR_CONFIG, -EACCES, CODE_OPERATOR_ACTION,
                                  "the mail server %s offers no way to log in that is known here",
                                  host);
        if (code == CURLE_SSL_CACERT_BADFILE)
                return error_setf(ret_error, ERROR_CONFIG, -EIO, CODE_OPERATOR_ACTION,
                                  "the file of certificate authorities cannot be used: %s", why);
        if (curl_is_tls_error(code))
                return error_setf(ret_error, ERROR_TRANSIENT, -EPROTO, CODE_TLS,
                                  "no trusted connection to the mail server %s: %s", host, why);
        return error_setf(ret_error, ERROR_TRANSIENT,
                          now(CLOCK_BOOTTIME) >= c->deadline ? -ETIMEDOUT : -EHOSTUNREACH,
                          CODE_PLATFORM_DOWN, "%s the mail server %s: %s",
                          status > 0 ? "no answer from" : "no connection to", host, why);
}

/* Sending. */

static void set_options(Call *c, const char *url, const char *from, RecipientList *to,
                        usec_t left) {
        const MailServer *s = c->server;
        CURL *curl = c->curl;

        curl_set_basics(curl, s->ca_file, c->error_text, left, CONNECT_TIMEOUT);
        (void) curl_easy_setopt(curl, CURLOPT_URL, url);
        (void) curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        (void) curl_easy_setopt(curl, CURLOPT_USE_SSL, securities[s->security].ssl);
        if (!isempty(s->user)) {
                (void) curl_easy_setopt(curl, CURLOPT_USERNAME, s->user);
                (void) curl_easy_setopt(curl, CURLOPT_PASSWORD, s->password ?: "");
        }
        (void) curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from);
        (void) curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
        (void) curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
        (void) curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        (void) curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t) c->size);
        (void) curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        (void) curl_easy_setopt(curl, CURLOPT_READDATA, c);
        (void) curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        (void) curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        (void) curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
        (void) curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_reply);
        (void) curl_easy_setopt(curl, CURLOPT_HEADERDATA, c);
}

static int make_url(const MailServer *s, char **ret) {
        bool literal = strchr(s->host, ':');
        unsigned port = s->port > 0 ? (unsigned) s->port : securities[s->security].port;

        *ret = strjoinf("%s://%s%s%s:%u", securities[s->security].scheme, literal ? "[" : "",
                        s->host, literal ? "]" : "", port);
        return *ret ? 0 : -ENOMEM;
}

/* "<user@host>", of a mailbox that is one: mail_compose() has looked. */
static int make_path(const char *mailbox, char **ret) {
        _cleanup_free_ char *name = NULL, *address = NULL;
        int r = mailbox_parse(mailbox, &name, &address);

        if (r < 0)
                return r;
        *ret = strjoinf("<%s>", address);
        return *ret ? 0 : -ENOMEM;
}

int mail_send(const MailServer *server, const Mail *mail, usec_t timeout, Error *ret_error) {
        _cleanup_(call_done) Call c = { .server = server };
        _cleanup_(curl_slist_free_allp) RecipientList *recipients = NULL;
        _cleanup_free_ char *message = NULL, *url = NULL, *from = NULL, *to = NULL;
        CURLcode code;
        int r;

        r = curl_load(ret_error);
        if (r < 0)
                return r;
        if (isempty(server->host))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, CODE_OPERATOR_ACTION,
                                  "no mail server is configured");
        if (server->security == MAIL_OPEN && !isempty(server->user))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, CODE_OPERATOR_ACTION,
                                  "a password is not sent to the mail server %s unencrypted",
                                  server->host);
        r = mail_compose(mail, &message, ret_error);
        if (r < 0)
                return r;

        c.curl = curl_easy_init();
        c.message = message;
        c.size = strlen(message);
        if (!c.curl || make_url(server, &url) < 0 || make_path(mail->from, &from) < 0 ||
            make_path(mail->to, &to) < 0)
                return error_oom(ret_error);
        recipients = curl_slist_append(NULL, to);
        if (!recipients)
                return error_oom(ret_error);

        timeout = timeout ?: TIMEOUT_DEFAULT;
        c.deadline = now(CLOCK_BOOTTIME) + timeout;
        set_options(&c, url, from, recipients, timeout);
        code = curl_easy_perform(c.curl);
        return code == CURLE_OK ? 0 : failed(&c, code, ret_error);
}
