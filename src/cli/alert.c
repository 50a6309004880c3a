/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <inttypes.h>

#include "alerts/channel.h"
#include "alerts/message.h"
#include "alerts/store.h"
#include "base/text.h"
#include "base/time-util.h"
#include "cli/cli.h"

/* What to set where nobody is told. */
static int nobody(Error *ret_error) {
        return error_setf(
                ret_error, ERROR_CONFIG, -ENOENT, NULL,
                "nobody is told when posts are not going out\n"
                "HINT: set AUTOMAPOST_ALERT_WEBHOOK_URL, or AUTOMAPOST_ALERT_MAIL_TO with "
                "AUTOMAPOST_SMTP_HOST and AUTOMAPOST_MAIL_FROM, then automapost alert --test");
}

/* ---- --test ---- */

static int test_channel(const Cli *c, const char *channel, Http *http, const Message *m,
                        JsonObject *results, int *ret_status) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        _cleanup_(error_done) Error e = ERROR_NULL;
        int r = channel_send(channel, &c->settings, http, m, &e);

        if (!o || json_set_string(o, "channel", channel) < 0 ||
            json_set_bool(o, "told", r >= 0) < 0)
                return -ENOMEM;
        if (r < 0) {
                *ret_status = e.class == ERROR_PERMANENT ? EX_CONFIG
                                                         : error_class_to_exit_status(e.class);
                if (json_set_string(o, "class", error_class_to_string(e.class)) < 0 ||
                    json_set_string(o, "code", e.code) < 0 ||
                    json_set_string(o, "message", e.message) < 0)
                        return -ENOMEM;
        }
        if (!c->json)
                cli_print(c, r < 0 ? STYLE_BAD : STYLE_GOOD, "%s: %s", channel,
                          r < 0 ? strnull(e.message) : "told");
        if (json_object_array_add(results, o) < 0)
                return -ENOMEM;
        TAKE_PTR(o);
        return 0;
}

/* All of them, whatever becomes of one. */
static int test(const Cli *c, char **channels, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *results = json_object_new_array();
        _cleanup_(http_freep) Http *http = NULL;
        _cleanup_(message_done) Message m = {};
        char host[65] = "";
        int r, status = EX_OK;

        r = http_global_init(ret_error);
        if (r >= 0)
                r = http_new(&(const HttpConfig){ .user_agent = PROJECT_NAME "/" PROJECT_VERSION,
                                                  .ca_file = c->settings.ca_file },
                             &http, ret_error);
        if (r < 0)
                return r;
        (void) gethostname(host, sizeof(host) - 1);
        if (!results || message_compose(&(const MessageContext){ .settings = &c->settings,
                                                                 .host = host,
                                                                 .now = now(CLOCK_REALTIME) },
                                        ALERT_TEST, NULL, &m) < 0)
                return error_oom(ret_error);
        for (char **i = channels; *i; i++)
                if (test_channel(c, *i, http, &m, results, &status) < 0)
                        return error_oom(ret_error);
        if (c->json && cli_print_json(results) < 0)
                return error_oom(ret_error);
        return status;
}

/* ---- what is set, and what is told of ---- */

static int print_alert(const Cli *c, const Alert *a) {
        char since[ISO8601_SIZE];
        _cleanup_free_ char *age = NULL, *owed = NULL;

        time_format_iso8601(a->since, since);
        age = cli_time_age(since);
        owed = a->n_owed > 0 ? strjoinf("; %zu not reached yet", a->n_owed) : strdup("");
        if (!age || !owed)
                return -ENOMEM;
        cli_print(c, STYLE_NONE, "- %s; since %s; %s%s", json_string(a->problem, "what") ?: a->key,
                  age, a->told ? "told" : "not told yet", owed);
        return 0;
}

static int print_text(const Cli *c, char **channels, const Book *book) {
        const Settings *s = &c->settings;
        _cleanup_free_ char *after = NULL, *person = NULL, *repeat = NULL, *when = NULL;
        _cleanup_(str_done) Str list = {};

        for (char **i = channels; *i; i++)
                if (str_appendf(&list, "%s%s", list.length > 0 ? ", " : "", *i) < 0)
                        return -ENOMEM;
        if (time_format_span(s->alert_after_sec * USEC_PER_SEC, &after) < 0 ||
            time_format_span(s->alert_person_after_sec * USEC_PER_SEC, &person) < 0 ||
            time_format_span(s->alert_repeat_sec * USEC_PER_SEC, &repeat) < 0)
                return -ENOMEM;
        when = strjoinf(
                "after %s where posts are not going out, after %s where something waits for "
                "a person, a crash at once; again every %s",
                after, person, repeat);
        if (!when)
                return -ENOMEM;
        cli_field(c, "Told by", STYLE_NONE, list.data);
        cli_field(c, "When", STYLE_NONE, when);
        cli_field(c, "Heartbeat", STYLE_NONE,
                  isempty(s->heartbeat_url) ? "none: AUTOMAPOST_HEARTBEAT_URL is not set"
                                            : "each minute while all is well");
        for (size_t i = 0; i < book->n; i++)
                if (print_alert(c, &book->alerts[i]) < 0)
                        return -ENOMEM;
        return 0;
}

static int print_json(const Cli *c, char **channels, const Book *book) {
        _cleanup_(json_unrefp) JsonObject *o = NULL, *list = json_object_new_array();

        for (char **i = channels; list && *i; i++) {
                JsonObject *name = json_object_new_string(*i);

                if (!name || json_object_array_add(list, name) < 0) {
                        json_unref(name);
                        return -ENOMEM;
                }
        }
        if (!list || book_print(book, &o) < 0 || json_set(o, "channels", TAKE_PTR(list)) < 0 ||
            json_set_bool(o, "heartbeat", !isempty(c->settings.heartbeat_url)) < 0)
                return -ENOMEM;
        return cli_print_json(o);
}

static int show(const Cli *c, char **channels, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(book_done) Book book = {};
        int r;

        /* Who may not read this host's book still sees who would be told. */
        (void) store_read(c->settings.state_dir, &book, &error);
        r = c->json ? print_json(c, channels, &book) : print_text(c, channels, &book);
        if (r < 0)
                return error_oom(ret_error);
        if (error.class != ERROR_NONE)
                cli_print(c, STYLE_WARN, "What was told is not known here: %s",
                          strnull(error.message));
        return EX_OK;
}

static int alert_run(Cli *c, Error *ret_error) {
        _cleanup_(channels_freep) char **channels = NULL;
        int r;

        r = cli_settings(c, ret_error);
        if (r < 0)
                return r;
        if (channels_find(&c->settings, &channels) < 0)
                return error_oom(ret_error);
        if (!*channels)
                return nobody(ret_error);
        return cli_flag(c, "test") ? test(c, channels, ret_error) : show(c, channels, ret_error);
}

const Verb verb_alert = {
        .name = "alert",
        .help = "Say who is told when posts are not going out, and try it",
        .details =
                "With --test each way is tried with a message that says that it is a test: exit\n"
                "status 0 when all were told, 75 when somebody was not reached, 78 when something\n"
                "must be set first. automapost-alert.service tells by itself, each minute.",
        .group = GROUP_SETUP,
        .options =
                (const Option[]){
                        { "test", 0, NULL, "send a test by every way, and say what came of it" },
                        {},
                },
        .run = alert_run,
};
