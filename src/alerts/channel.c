/* SPDX-License-Identifier: MIT */
#include "alerts/channel.h"

#include <errno.h>

#include "alerts/message.h"
#include "base/mailbox.h"
#include "base/text.h"
#include "net/mail.h"
#include "net/signed-post.h"

#define WEBHOOK "webhook"
#define MAIL "mail:"
#define WEBHOOK_TIMEOUT (10 * USEC_PER_SEC)
#define MAIL_TIMEOUT (20 * USEC_PER_SEC)
#define HEARTBEAT_TIMEOUT (5 * USEC_PER_SEC)

void channels_free(char **channels) {
        for (char **c = channels; c && *c; c++)
                free(*c);
        free(channels);
}

/* Where to, at most: the webhook, and as many addresses as commas part. */
static size_t channels_max(const Settings *s) {
        size_t n = 2;

        for (const char *p = s->alert_mail_to; p && *p; p++)
                n += *p == ',';
        return n;
}

int channels_find(const Settings *s, char ***ret) {
        size_t max = channels_max(s), n = 0, pos = 0;
        _cleanup_(channels_freep) char **channels = calloc(max + 1, sizeof(char *));

        if (!channels)
                return -ENOMEM;
        if (!isempty(s->alert_webhook_url)) {
                channels[n] = strdup(WEBHOOK);
                if (!channels[n++])
                        return -ENOMEM;
        }
        while (n < max) {
                _cleanup_free_ char *mailbox = NULL, *name = NULL, *address = NULL;
                int r;

                r = mailbox_next(s->alert_mail_to, &pos, &mailbox);
                if (r == 0)
                        break;
                if (r > 0)
                        r = mailbox_parse(mailbox, &name, &address);
                if (r < 0)
                        return r;
                channels[n] = strjoinf(MAIL "%s", address);
                if (!channels[n++])
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(channels);
        return 0;
}

static int post(const Settings *s, Http *http, const Message *m, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_free_ char *body = NULL;
        int r;

        if (message_body(m, &body) < 0)
                return error_oom(ret_error);
        r = signed_post(http,
                        &(const SignedPost){
                                .url = s->alert_webhook_url,
                                .secrets = s->alert_webhook_secret,
                                .unsigned_allowed = true,
                                .id = m->id,
                                .body = body,
                                .timeout = WEBHOOK_TIMEOUT,
                        },
                        &response, ret_error);
        if (r < 0)
                return r;
        if (response.status < 200 || response.status > 299)
                return http_status_error(&(const HttpRequest){ .writes = true }, &response, NULL,
                                         ret_error);
        return 0;
}

static int mail(const Settings *s, const char *to, const Message *m, Error *ret_error) {
        const MailServer server = {
                .host = s->smtp_host,
                .port = s->smtp_port,
                .security = mail_security_from_string(s->smtp_tls),
                .user = s->smtp_user,
                .password = s->smtp_password,
                .ca_file = s->ca_file,
        };

        if (isempty(s->smtp_host) || isempty(s->mail_from))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, NULL, "%s is not set",
                                  isempty(s->smtp_host) ? "AUTOMAPOST_SMTP_HOST"
                                                        : "AUTOMAPOST_MAIL_FROM");
        return mail_send(&server,
                         &(const Mail){
                                 .from = s->mail_from,
                                 .to = to,
                                 .subject = m->subject,
                                 .text = m->text,
                                 .id = m->id,
                                 .date = m->at,
                         },
                         MAIL_TIMEOUT, ret_error);
}

int channel_send(const char *channel, const Settings *s, Http *http, const Message *m,
                 Error *ret_error) {
        return streq(channel, WEBHOOK) ? post(s, http, m, ret_error)
                                       : mail(s, channel + strlen(MAIL), m, ret_error);
}

int heartbeat(const Settings *s, Http *http, Error *ret_error) {
        const HttpRequest request = {
                .method = "GET",
                .url = s->heartbeat_url,
                .timeout = HEARTBEAT_TIMEOUT,
        };
        _cleanup_(http_response_done) HttpResponse response = {};
        int r;

        r = http_perform(http, &request, &response, ret_error);
        if (r < 0)
                return r;
        if (response.status < 200 || response.status > 299)
                return http_status_error(&request, &response, NULL, ret_error);
        return 0;
}
