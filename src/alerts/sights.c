/* SPDX-License-Identifier: MIT */
#include "alerts/sights.h"

#include <errno.h>

#include "base/text.h"
#include "base/time-util.h"

void sights_done(Sights *s) {
        for (size_t i = 0; i < s->n; i++)
                free(s->keys[i]);
        free(s->keys);
        free(s->list);
        *s = (Sights){};
}

static int append(Sights *s, char *key, const Sight *sight) {
        Sight *list = reallocarray(s->list, s->n + 1, sizeof(Sight));
        char **keys = NULL;

        if (list) {
                s->list = list;
                keys = reallocarray(s->keys, s->n + 1, sizeof(char *));
        }
        if (!keys || !key) {
                free(key);
                return -ENOMEM;
        }
        s->keys = keys;
        keys[s->n] = key;
        list[s->n] = *sight;
        list[s->n++].key = key;
        return 0;
}

/* "platform-failing:linkedin": the kind, and what it is about. */
static char *make_key(JsonObject *problem) {
        static const char *const about[] = { "provider", "host", "key", "name", "type" };
        JsonObject *facts = json_member(problem, "facts");
        _cleanup_(str_done) Str s = {};

        if (str_append(&s, json_string(problem, "id") ?: "unknown") < 0)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(about); i++)
                if (json_string(facts, about[i]) &&
                    str_appendf(&s, ":%s", json_string(facts, about[i])) < 0)
                        return NULL;
        return TAKE_PTR(s.data);
}

static usec_t time_of(JsonObject *o, const char *name) {
        const char *text = json_string(o, name);
        usec_t t = 0;

        return text && time_parse_iso8601(text, &t) >= 0 ? t : 0;
}

/* Since when it keeps posts waiting: a pause may be older than the posts that came due under it. */
static usec_t since(JsonObject *problem) {
        usec_t begun = time_of(problem, "since"),
               waiting = time_of(json_member(problem, "facts"), "waiting");

        return MAX(begun, waiting);
}

static bool contains(JsonObject *array, const JsonObject *o) {
        for (size_t i = 0; array && i < json_object_array_length(array); i++)
                if (json_object_array_get_idx(array, i) == o)
                        return true;
        return false;
}

static int add(Sights *s, JsonObject *problem, bool shared, bool folded) {
        const char *id = json_string(problem, "id") ?: "";

        return append(s, make_key(problem),
                      &(const Sight){
                              .shared = shared,
                              .folded = folded,
                              .severity = problem_kind(id)->severity,
                              .since = since(problem),
                              .problem = problem,
                      });
}

int sights_of_health(const Health *h, Sights *ret) {
        _cleanup_(sights_done) Sights s = {};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < json_object_array_length(h->problems); i++) {
                JsonObject *o = json_object_array_get_idx(h->problems, i);

                /* Of another host's clock that host tells. */
                if (contains(h->shared, o) || (streq_ptr(json_string(o, "id"), "clock-off") &&
                                               json_path(o, "facts", "host", NULL)))
                        continue;
                r = add(&s, o, false, false);
        }
        for (size_t i = 0; r >= 0 && h->shared && i < json_object_array_length(h->shared); i++) {
                JsonObject *o = json_object_array_get_idx(h->shared, i);

                r = add(&s, o, true, !contains(h->problems, o));
        }
        if (r < 0)
                return r;
        *ret = s;
        s = (Sights){};
        return 0;
}

/* ---- crashes ---- */

static const char *cause_of(const char *result, const char *status) {
        if (streq(result, "oom-kill"))
                return "It took more memory than this machine, or automapost.slice, lets it have.";
        if (streq(result, "timeout") || streq(result, "watchdog"))
                return "It hung until systemd lost patience with it.";
        if (streq(result, "core-dump"))
                return "A mistake in the program: please report it, with the journal's lines.";
        if (streq(result, "signal"))
                return streq(status, "KILL")
                               ? "Somebody killed it, or the kernel for want of memory."
                               : "A mistake in the program, or somebody ended it.";
        if (streq(result, "exit-code") && streq(status, "78"))
                return "Something must be set or granted first: the journal's lines say what.";
        if (streq(result, "exit-code"))
                return "The journal's lines say it.";
        return "systemd could not run it: the journal's lines say why.";
}

static int fill_crash(JsonObject *o, const char *unit, const char *result, const char *status) {
        _cleanup_free_ char *what = NULL, *command = NULL;

        what = strjoinf("%s ended by %s%s%s", unit, result, *status ? " " : "", status);
        command = strjoinf("journalctl -u %s -n 50", unit);
        if (!what || !command)
                return -ENOMEM;
        if (json_set_string(o, "id", "crash") < 0 || json_set_string(o, "unit", unit) < 0 ||
            json_set_string(o, "words", "a service crashed") < 0 ||
            json_set_string(o, "what", what) < 0 || json_set_string(o, "command", command) < 0 ||
            json_set_string(o, "notice",
                            "A delay at most: what it was doing is looked up, and goes on with the "
                            "next run.") < 0)
                return -ENOMEM;
        return json_set_string(o, "cause", cause_of(result, status));
}

int sight_of_crash(const char *unit, const char *result, const char *status, usec_t t, Sights *ret,
                   JsonObject **ret_problem) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        _cleanup_(sights_done) Sights s = {};

        *ret = (Sights){};
        result = isempty(result) ? "failure" : result;
        status = status ?: "";
        if (streq(result, "exit-code") && streq(status, "75"))
                return 0;
        if (!o || fill_crash(o, unit, result, status) < 0 ||
            append(&s, strjoinf("crash:%s:%s:%s", unit, result, status),
                   &(const Sight){
                           .at_once = true,
                           .severity = SEVERITY_PERSON,
                           .since = t,
                           .problem = o,
                   }) < 0)
                return -ENOMEM;
        *ret = s;
        s = (Sights){};
        *ret_problem = TAKE_PTR(o);
        return 0;
}
