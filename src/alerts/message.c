/* SPDX-License-Identifier: MIT */
#include "alerts/message.h"

#include <errno.h>
#include <inttypes.h>

#include "alerts/scrub.h"
#include "base/id.h"
#include "base/text.h"
#include "base/time-util.h"

#define SUBJECT_MAX ((size_t) 200)
#define LINES_MAX ((size_t) 20)
#define LINE_MAX_LENGTH ((size_t) 300)

/* ---- parts ---- */

/* "12 posts of 5 members"; NULL in *ret where nobody is touched, or nobody knows. */
static int affected(JsonObject *problem, char **ret) {
        int64_t posts = json_int64(problem, "posts", 0),
                members = json_int64(problem, "members", 0);

        if (posts <= 0)
                return 0;
        *ret = strjoinf("%" PRId64 " post%s of %" PRId64 " member%s", posts, posts == 1 ? "" : "s",
                        members, members == 1 ? "" : "s");
        return *ret ? 0 : -ENOMEM;
}

/* "26 Nov 06:41:10 +00:00, 7 min ago" */
static int since(const Alert *a, usec_t t, char **ret) {
        _cleanup_free_ char *time = NULL, *age = NULL;

        if (time_format_local(a->since, &time) < 0 || time_format_relative(a->since, t, &age) < 0)
                return -ENOMEM;
        *ret = strjoinf("%s, %s", time, age);
        return *ret ? 0 : -ENOMEM;
}

static int lasted(const Alert *a, usec_t t, char **ret) {
        usec_t end = a->ended ? a->ended : t;

        return time_format_span(end > a->since ? end - a->since : 0, ret);
}

static int append_field(Str *s, const char *label, const char *value) {
        return isempty(value) ? 0 : str_appendf(s, "%-9s%s\n", label, value);
}

/* Without secrets, valid, one line. */
static int clean(const MessageContext *c, const char *text, char **ret) {
        _cleanup_free_ char *scrubbed = alert_scrub(text, c->settings);
        char *s = scrubbed ? utf8_make_valid(scrubbed, strlen(scrubbed), LINE_MAX_LENGTH) : NULL;

        if (!s)
                return -ENOMEM;
        for (char *p = s; *p; p++)
                if ((unsigned char) *p < ' ')
                        *p = ' ';
        *ret = s;
        return 0;
}

/* Of the problem itself, or else of its kind. */
static const char *words_of(JsonObject *problem, const char *name, const char *of_kind) {
        return json_string(problem, name) ?: of_kind;
}

static int append_lines(const MessageContext *c, Str *s, JsonObject *data) {
        _cleanup_(json_unrefp) JsonObject *array = json_object_new_array();
        size_t n = c->lines ? json_object_array_length(c->lines) : 0;

        if (!array)
                return -ENOMEM;
        if (n > 0 && str_append(s, "\nThe journal's last lines:\n") < 0)
                return -ENOMEM;
        for (size_t i = n - MIN(n, LINES_MAX); i < n; i++) {
                _cleanup_free_ char *line = NULL;
                JsonObject *text;

                if (clean(c, json_object_get_string(json_object_array_get_idx(c->lines, i)) ?: "",
                          &line) < 0 ||
                    str_appendf(s, "  %s\n", line) < 0)
                        return -ENOMEM;
                text = json_object_new_string(line);
                if (!text || json_object_array_add(array, text) < 0) {
                        json_unref(text);
                        return -ENOMEM;
                }
        }
        if (!c->lines && str_append(s, "\nThe journal cannot be read here.\n") < 0)
                return -ENOMEM;
        return json_set(data, "journal", TAKE_PTR(array));
}

/* ---- the message ---- */

/* "Posts are not going out: the database does not answer" */
static int headline(const Alert *a, char **ret) {
        const ProblemKind *k = problem_kind(json_string(a->problem, "id") ?: "");

        *ret = strjoinf("%s: %s", severity_words(a->severity),
                        words_of(a->problem, "words", k->words));
        return *ret ? 0 : -ENOMEM;
}

static int make_subject(AlertKind kind, const Alert *a, usec_t t, const char *head, char **ret) {
        _cleanup_free_ char *span = NULL, *s = NULL;

        if (lasted(a, t, &span) < 0)
                return -ENOMEM;
        if (kind == ALERT_BEGUN)
                s = strjoinf("[AutomaPost] %s", head);
        else
                s = strjoinf("[AutomaPost] %s %s: %s",
                             kind == ALERT_OVER ? "Over after" : "Still after", span, head);
        *ret = s ? utf8_make_valid(s, strlen(s), SUBJECT_MAX) : NULL;
        return *ret ? 0 : -ENOMEM;
}

/* What an end has to say: little. */
static int append_end(const MessageContext *c, const Alert *a, Str *s) {
        _cleanup_free_ char *span = NULL, *from = NULL, *until = NULL, *time = NULL;

        if (lasted(a, c->now, &span) < 0 || time_format_local(a->since, &from) < 0 ||
            time_format_local(a->ended ? a->ended : c->now, &until) < 0)
                return -ENOMEM;
        time = strjoinf("%s to %s, %s", from, until, span);
        if (!time || append_field(s, "It was", time) < 0 ||
            append_field(s, "See", "automapost status") < 0)
                return -ENOMEM;
        return 0;
}

static int append_trouble(const MessageContext *c, const Alert *a, Str *s) {
        const ProblemKind *k = problem_kind(json_string(a->problem, "id") ?: "");
        _cleanup_free_ char *start = NULL, *whom = NULL, *span = NULL;

        if (since(a, c->now, &start) < 0 || affected(a->problem, &whom) < 0 ||
            time_format_span(c->settings->alert_repeat_sec * USEC_PER_SEC, &span) < 0 ||
            append_field(s, "Since", start) < 0 || append_field(s, "Touches", whom) < 0 ||
            append_field(s, "Members", words_of(a->problem, "notice", k->notice)) < 0 ||
            append_field(s, "Cause", words_of(a->problem, "cause", k->cause)) < 0 ||
            append_field(s, "Type", json_string(a->problem, "command") ?: "automapost status") <
                    0 ||
            append_field(s, "More", "automapost status, man automapost-runbook") < 0)
                return -ENOMEM;
        return str_appendf(s,
                           "\nThis is told again every %s while it lasts, and once when it is "
                           "over.\n",
                           span);
}

static int make_data(const MessageContext *c, AlertKind kind, const Alert *a, JsonObject **ret) {
        static const char *const copied[] = { "id",    "words",   "what",    "since",
                                              "posts", "members", "command", "unit" };
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        char since_text[ISO8601_SIZE];

        if (!o || json_set_string(o, "kind", alert_kind_to_string(kind)) < 0 ||
            json_set_string(o, "host", c->host) < 0)
                return -ENOMEM;
        for (size_t i = 0; a && i < ELEMENTSOF(copied); i++) {
                JsonObject *value = json_member(a->problem, copied[i]);
                _cleanup_free_ char *text = NULL;
                int r = 0;

                if (json_object_is_type(value, json_type_string)) {
                        r = clean(c, json_object_get_string(value), &text);
                        if (r >= 0)
                                r = json_set_string(o, copied[i], text);
                } else if (value)
                        r = json_set(o, copied[i], json_object_get(value));
                if (r < 0)
                        return -ENOMEM;
        }
        if (a) {
                time_format_iso8601(a->since, since_text);
                if (json_set_string(o, "key", a->key) < 0 ||
                    json_set_int64(o, "severity", a->severity) < 0 ||
                    json_set_string(o, "since", since_text) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(o);
        return 0;
}

static int compose_test(const MessageContext *c, Str *text, char **ret_subject) {
        *ret_subject = strdup("[AutomaPost] Test: alerts reach you");
        return *ret_subject ? str_appendf(text,
                                          "This is a test from %s, sent by \"automapost alert "
                                          "--test\".\nNothing is wrong. When something is, it is "
                                          "told this way.\n",
                                          c->host)
                            : -ENOMEM;
}

static int compose_alert(const MessageContext *c, AlertKind kind, const Alert *a, Str *text,
                         char **ret_subject) {
        _cleanup_free_ char *head = NULL, *what = NULL;

        if (headline(a, &head) < 0 || make_subject(kind, a, c->now, head, ret_subject) < 0 ||
            clean(c, json_string(a->problem, "what") ?: "", &what) < 0 ||
            str_appendf(text, "%s.\n%s\n\n", head, what) < 0)
                return -ENOMEM;
        if ((kind == ALERT_OVER ? append_end(c, a, text) : append_trouble(c, a, text)) < 0)
                return -ENOMEM;
        return str_appendf(text, "\nSeen by %s.\n", c->host);
}

int message_compose(const MessageContext *c, AlertKind kind, const Alert *a, Message *ret) {
        _cleanup_(message_done) Message m = { .kind = kind, .at = c->now };
        _cleanup_(str_done) Str text = {};
        char id[ID128_SIZE];
        int r;

        if (make_data(c, kind, a, &m.data) < 0)
                return -ENOMEM;
        r = a ? compose_alert(c, kind, a, &text, &m.subject) : compose_test(c, &text, &m.subject);
        if (r >= 0 && (kind == ALERT_BEGUN || kind == ALERT_LASTS))
                r = append_lines(c, &text, m.data);
        if (r < 0)
                return -ENOMEM;
        id128_random(id);
        m.id = strdup(id);
        m.text = TAKE_PTR(text.data);
        if (!m.id)
                return -ENOMEM;
        *ret = m;
        m = (Message){};
        return 0;
}

int message_body(const Message *m, char **ret) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        _cleanup_free_ char *type = NULL, *text = NULL;
        char timestamp[ISO8601_SIZE];
        const char *printed;

        time_format_iso8601(m->at, timestamp);
        type = strjoinf("alert.%s", alert_kind_to_string(m->kind));
        text = strjoinf("%s\n\n%s", m->subject, m->text);
        if (!o || !type || !text || json_set_string(o, "type", type) < 0 ||
            json_set_string(o, "timestamp", timestamp) < 0 ||
            json_set_string(o, "text", text) < 0 ||
            json_set(o, "data", json_object_get(m->data)) < 0)
                return -ENOMEM;
        printed = json_text(o);
        *ret = printed ? strdup(printed) : NULL;
        return *ret ? 0 : -ENOMEM;
}
