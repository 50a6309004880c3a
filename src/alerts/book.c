/* SPDX-License-Identifier: MIT */
#include "alerts/book.h"

#include <errno.h>

#include "base/text.h"
#include "base/time-util.h"

#define ALERTS_MAX 200U
#define CHANNELS_MAX 100U
#define UNTOLD_MAX USEC_PER_DAY /* for what is over and cannot be told */
#define CRASH_SILENCE_MAX (7 * USEC_PER_DAY)

static const char *const kinds[_ALERT_KIND_MAX] = {
        [ALERT_BEGUN] = "begun",
        [ALERT_LASTS] = "lasts",
        [ALERT_OVER] = "over",
        [ALERT_TEST] = "test",
};

const char *alert_kind_to_string(AlertKind kind) {
        return kind >= 0 && kind < _ALERT_KIND_MAX ? kinds[kind] : NULL;
}

AlertKind alert_kind_from_string(const char *s) {
        for (AlertKind i = 0; s && i < _ALERT_KIND_MAX; i++)
                if (streq(kinds[i], s))
                        return i;
        return _ALERT_KIND_INVALID;
}

void message_done(Message *m) {
        free(m->id);
        free(m->subject);
        free(m->text);
        json_unref(m->data);
        *m = (Message){};
}

static void free_owed(Alert *a) {
        for (size_t i = 0; i < a->n_owed; i++)
                free(a->owed[i]);
        free(a->owed);
        a->owed = NULL;
        a->n_owed = 0;
}

static void alert_done(Alert *a) {
        free(a->key);
        json_unref(a->problem);
        message_done(&a->message);
        free_owed(a);
        *a = (Alert){};
}

void book_done(Book *b) {
        for (size_t i = 0; i < b->n; i++)
                alert_done(&b->alerts[i]);
        free(b->alerts);
        *b = (Book){};
}

static void book_remove(Book *b, size_t i) {
        alert_done(&b->alerts[i]);
        b->n--;
        memmove(&b->alerts[i], &b->alerts[i + 1], (b->n - i) * sizeof(Alert));
}

static Alert *book_find(Book *b, const char *key) {
        for (size_t i = 0; i < b->n; i++)
                if (streq(b->alerts[i].key, key))
                        return &b->alerts[i];
        return NULL;
}

/* Room for one more, all zero. */
static Alert *book_add(Book *b) {
        Alert *alerts = reallocarray(b->alerts, b->n + 1, sizeof(Alert));

        if (!alerts)
                return NULL;
        b->alerts = alerts;
        alerts[b->n] = (Alert){};
        return &alerts[b->n++];
}

static bool is_over(const Alert *a) {
        return a->message.id && a->message.kind == ALERT_OVER;
}

/* ---- a look ---- */

int book_enter(Book *b, const Sight *s, usec_t t) {
        Alert *a = book_find(b, s->key);
        usec_t since;

        if (s->folded && (!a || !a->told || is_over(a)))
                return 0;
        if (!a && b->n >= ALERTS_MAX)
                return 0;
        if (!a) {
                a = book_add(b);
                if (!a)
                        return -ENOMEM;
                a->key = strdup(s->key);
                if (!a->key) {
                        book_remove(b, b->n - 1);
                        return -ENOMEM;
                }
                a->first_seen = t;
        } else if (is_over(a)) {
                /* It is back before everybody has heard that it was over: a new one. */
                message_done(&a->message);
                free_owed(a);
                a->told = 0;
                a->first_seen = t;
        }

        a->shared = s->shared;
        a->at_once = s->at_once;
        a->severity = s->severity;
        /* What is told of never gets younger; until then the finder may know better. */
        since = s->since > 0 ? MIN(s->since, a->first_seen) : a->first_seen;
        a->since = a->told > 0 ? MIN(a->since, since) : since;
        a->last_seen = t;
        a->ended = 0;
        json_unref(a->problem);
        a->problem = json_object_get(s->problem);
        return 0;
}

/* What nobody has been told of goes without a word. */
static void end(Book *b, size_t i, usec_t when) {
        if (b->alerts[i].told > 0)
                b->alerts[i].ended = when;
        else
                book_remove(b, i);
}

static bool in_scope(unsigned scope, bool shared) {
        return scope & (shared ? SCOPE_SHARED : SCOPE_OWN);
}

int book_look(Book *b, const Sight *sights, size_t n, unsigned scope, const AlertTimes *times,
              usec_t t) {
        int r;

        for (size_t i = 0; i < n; i++)
                if (in_scope(scope, sights[i].shared)) {
                        r = book_enter(b, &sights[i], t);
                        if (r < 0)
                                return r;
                }

        for (size_t i = b->n; i-- > 0;) {
                const Alert *a = &b->alerts[i];

                if (in_scope(scope, a->shared) && !a->at_once && !a->ended && a->last_seen < t &&
                    a->last_seen + times->over <= t)
                        end(b, i, a->last_seen);
        }
        return 0;
}

void book_recovered(Book *b, const char *unit, usec_t when) {
        for (size_t i = b->n; i-- > 0;) {
                const Alert *a = &b->alerts[i];

                if (a->at_once && !a->ended && when > a->last_seen &&
                    streq_ptr(json_string(a->problem, "unit"), unit))
                        end(b, i, when);
        }
}

void book_forget_crashes(Book *b, usec_t t) {
        for (size_t i = b->n; i-- > 0;)
                if (b->alerts[i].at_once && b->alerts[i].last_seen + CRASH_SILENCE_MAX < t)
                        book_remove(b, i);
}

/* ---- messages ---- */

AlertKind alert_due(const Alert *a, const AlertTimes *times, usec_t t) {
        usec_t delay = a->at_once                       ? 0
                       : a->severity == SEVERITY_PERSON ? times->person_after
                                                        : times->after;

        if (is_over(a))
                return _ALERT_KIND_INVALID;
        if (a->ended)
                return ALERT_OVER;
        if (a->last_seen < t) /* not in this look: nobody knows */
                return _ALERT_KIND_INVALID;
        if (!a->told)
                return a->since + delay <= t ? ALERT_BEGUN : _ALERT_KIND_INVALID;
        return a->told + times->repeat <= t ? ALERT_LASTS : _ALERT_KIND_INVALID;
}

int alert_tell(Alert *a, Message *m, const char *const *channels) {
        size_t n = 0;

        while (channels[n])
                n++;
        free_owed(a);
        a->owed = calloc(n + 1, sizeof(char *));
        for (; a->owed && a->n_owed < n; a->n_owed++) {
                a->owed[a->n_owed] = strdup(channels[a->n_owed]);
                if (!a->owed[a->n_owed])
                        return -ENOMEM;
        }
        if (!a->owed)
                return -ENOMEM;

        message_done(&a->message);
        a->message = *m;
        *m = (Message){};
        a->told = a->message.at;
        return 0;
}

void alert_delivered(Alert *a, const char *channel) {
        for (size_t i = 0; i < a->n_owed; i++)
                if (streq(a->owed[i], channel)) {
                        free(a->owed[i]);
                        a->n_owed--;
                        memmove(&a->owed[i], &a->owed[i + 1], (a->n_owed - i) * sizeof(char *));
                        return;
                }
}

size_t book_close(Book *b, usec_t t) {
        size_t n = 0;

        for (size_t i = b->n; i-- > 0;) {
                const Alert *a = &b->alerts[i];

                if (!is_over(a) || (a->n_owed > 0 && a->told + UNTOLD_MAX > t))
                        continue;
                n += a->n_owed;
                book_remove(b, i);
        }
        return n;
}

int book_move_shared(Book *from, Book *to) {
        for (size_t i = from->n; i-- > 0;) {
                Alert *a;

                if (!from->alerts[i].shared)
                        continue;
                if (!book_find(to, from->alerts[i].key)) {
                        a = book_add(to);
                        if (!a)
                                return -ENOMEM;
                        *a = from->alerts[i];
                        from->alerts[i] = (Alert){};
                }
                book_remove(from, i);
        }
        return 0;
}

/* ---- as JSON ---- */

static int set_time(JsonObject *o, const char *name, usec_t t) {
        return t ? json_set_int64(o, name, (int64_t) t) : 0;
}

static int print_message(const Message *m, JsonObject *owner) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();

        if (!m->id)
                return 0;
        if (!o || json_set_string(o, "id", m->id) < 0 ||
            json_set_string(o, "kind", alert_kind_to_string(m->kind)) < 0 ||
            set_time(o, "at", m->at) < 0 || json_set_string(o, "subject", m->subject) < 0 ||
            json_set_string(o, "text", m->text) < 0 ||
            json_set(o, "data", json_object_get(m->data)) < 0)
                return -ENOMEM;
        return json_set(owner, "message", TAKE_PTR(o));
}

static int print_owed(const Alert *a, JsonObject *owner) {
        _cleanup_(json_unrefp) JsonObject *array = json_object_new_array();

        if (!array)
                return -ENOMEM;
        for (size_t i = 0; i < a->n_owed; i++) {
                JsonObject *s = json_object_new_string(a->owed[i]);

                if (!s || json_object_array_add(array, s) < 0) {
                        json_unref(s);
                        return -ENOMEM;
                }
        }
        return json_set(owner, "owed", TAKE_PTR(array));
}

static int print_alert(const Alert *a, JsonObject *array) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();

        if (!o || json_set_string(o, "key", a->key) < 0 ||
            json_set_bool(o, "shared", a->shared) < 0 ||
            json_set_bool(o, "atOnce", a->at_once) < 0 ||
            json_set_int64(o, "severity", a->severity) < 0 || set_time(o, "since", a->since) < 0 ||
            set_time(o, "firstSeen", a->first_seen) < 0 ||
            set_time(o, "lastSeen", a->last_seen) < 0 || set_time(o, "told", a->told) < 0 ||
            set_time(o, "ended", a->ended) < 0 ||
            json_set(o, "problem", json_object_get(a->problem)) < 0 ||
            print_message(&a->message, o) < 0 || print_owed(a, o) < 0 ||
            json_object_array_add(array, o) < 0)
                return -ENOMEM;
        TAKE_PTR(o);
        return 0;
}

int book_print(const Book *b, JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object(),
                                          *array = json_object_new_array();

        if (!o || !array)
                return -ENOMEM;
        for (size_t i = 0; i < b->n; i++)
                if (print_alert(&b->alerts[i], array) < 0)
                        return -ENOMEM;
        if (json_set(o, "alerts", TAKE_PTR(array)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}

static bool parse_time(JsonObject *o, const char *name, usec_t *ret) {
        int64_t t = json_int64(o, name, 0);

        /* year 2261, so that nothing overflows where a span is added */
        if (t < 0 || t > INT64_MAX / 1000)
                return false;
        *ret = (usec_t) t;
        return true;
}

static bool copy(JsonObject *o, const char *name, char **ret) {
        const char *s = json_string(o, name);

        *ret = s ? strdup(s) : NULL;
        return *ret;
}

static bool parse_message(JsonObject *o, Message *ret) {
        ret->kind = alert_kind_from_string(json_string(o, "kind"));
        ret->data = json_object_get(json_member(o, "data"));
        return ret->kind >= 0 && ret->kind < ALERT_TEST && parse_time(o, "at", &ret->at) &&
               copy(o, "id", &ret->id) && copy(o, "subject", &ret->subject) &&
               copy(o, "text", &ret->text);
}

static bool parse_owed(JsonObject *array, Alert *a) {
        size_t n;

        if (!json_object_is_type(array, json_type_array))
                return false;
        n = json_object_array_length(array);
        if (n > CHANNELS_MAX)
                return false;
        a->owed = calloc(n + 1, sizeof(char *));
        for (size_t i = 0; a->owed && i < n; i++) {
                JsonObject *s = json_object_array_get_idx(array, i);

                if (!json_object_is_type(s, json_type_string))
                        return false;
                a->owed[i] = strdup(json_object_get_string(s));
                if (!a->owed[i])
                        return false;
                a->n_owed++;
        }
        return a->owed;
}

static bool parse_alert(JsonObject *o, Alert *a) {
        JsonObject *message = json_member(o, "message");
        int64_t severity = json_int64(o, "severity", -1);

        if (severity <= SEVERITY_WELL || severity >= _SEVERITY_MAX)
                return false;
        a->severity = (Severity) severity;
        a->shared = json_boolean(o, "shared", false);
        a->at_once = json_boolean(o, "atOnce", false);
        a->problem = json_object_get(json_member(o, "problem"));
        return json_object_is_type(a->problem, json_type_object) && copy(o, "key", &a->key) &&
               parse_time(o, "since", &a->since) && parse_time(o, "firstSeen", &a->first_seen) &&
               parse_time(o, "lastSeen", &a->last_seen) && parse_time(o, "told", &a->told) &&
               parse_time(o, "ended", &a->ended) && parse_owed(json_member(o, "owed"), a) &&
               (message ? parse_message(message, &a->message) : a->told == 0);
}

int book_parse(JsonObject *o, Book *ret) {
        _cleanup_(book_done) Book b = {};
        JsonObject *array = json_member(o, "alerts");

        if (!json_object_is_type(o, json_type_object) ||
            (array && !json_object_is_type(array, json_type_array)) ||
            (array && json_object_array_length(array) > ALERTS_MAX))
                return -EINVAL;
        for (size_t i = 0; array && i < json_object_array_length(array); i++) {
                Alert *a = book_add(&b);

                if (!a)
                        return -ENOMEM;
                if (!parse_alert(json_object_array_get_idx(array, i), a))
                        return -EINVAL;
                for (size_t k = 0; k < i; k++)
                        if (streq(b.alerts[k].key, a->key))
                                return -EINVAL;
        }
        *ret = b;
        b = (Book){};
        return 0;
}
