/* SPDX-License-Identifier: MIT */

/* What publishing would do from here, who publishes already, and the one question. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "base/text.h"
#include "base/time-util.h"
#include "cli/old-workers.h"
#include "cli/setup.h"
#include "queries.h"

#define LATE_LIMIT "2 hours" /* of a schema that is not there yet */

/* ---- since when ---- */

int setup_read_state(const Setup *s, JsonObject **ret, Error *ret_error) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (!s->service || (s->dry_run && !json_string(s->survey, "schemaOwner"))) {
                *ret = json_object_new_object();
                return *ret ? 0 : error_oom(ret_error);
        }
        r = db_value(s->service, &query_publishing_state, NULL, CLI_TIMEOUT, &text, ret_error);
        if (r < 0)
                return r;
        if (!text || json_parse(text, strlen(text), ret) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "shape",
                                  "the state of publishing is no JSON");
        return 0;
}

static int check_catch_up(const Setup *s, JsonObject *state, Error *ret_error) {
        usec_t t, limit = (usec_t) json_int64(state, "lateLimit", 2 * 3600) * USEC_PER_SEC;
        _cleanup_free_ char *span = NULL;

        if (!s->catch_up || time_parse_iso8601(s->catch_up, &t) < 0 ||
            t + limit + USEC_PER_SEC >= now(CLOCK_REALTIME))
                return 0;
        (void) time_format_span(limit, &span);
        return error_setf(ret_error, ERROR_CONFIG, -ERANGE, "catch-up",
                          "--catch-up reaches back %s at most: what is later than that is missed, "
                          "not published\n"
                          "HINT: members can give such posts a new time; the limit is late_limit, "
                          "see automapost config",
                          strnull(span));
}

/* ---- what it would do ---- */

#define PROVIDER(name) #name ","
static const char platforms[] = "{"
#include "providers/provider-list.h"
                                "}";
#undef PROVIDER

static int read_preview(Setup *s, JsonObject *state, JsonObject **ret, Error *ret_error) {
        _cleanup_free_ char *names = strdup(platforms), *limit = NULL;
        char iso[ISO8601_SIZE];
        const char *from = s->catch_up ?: json_string(state, "from");

        if (!names)
                return error_oom(ret_error);
        names[strlen(names) - 2] = '}'; /* in the place of the last comma */
        names[strlen(names) - 1] = '\0';
        if (!s->catch_up && !json_string(state, "since")) {
                time_format_iso8601(now(CLOCK_REALTIME), iso);
                from = iso;
        }
        limit = json_member(state, "lateLimit")
                        ? strjoinf("%" PRId64 " s", json_int64(state, "lateLimit", 0))
                        : strdup(LATE_LIMIT);
        if (!limit)
                return error_oom(ret_error);
        return cli_ask_one(s->c, &query_setup_publishing, (const char *[]){ names, limit, from },
                           ret, ret_error);
}

static const char *plural(int64_t n) {
        return n == 1 ? "" : "s";
}

static void show_counts(const Setup *s, JsonObject *p) {
        int64_t due = json_int64(p, "due", 0), soon = json_int64(p, "soon", 0),
                later = json_int64(p, "later", 0), before = json_int64(p, "before", 0),
                late = json_int64(p, "late", 0);
        _cleanup_free_ char *next = cli_time_age(json_string(p, "next"));

        setup_field(s, "At once", "%" PRId64 " post%s", due, plural(due));
        setup_field(s, "Within 1 h", "%" PRId64 " post%s", soon, plural(soon));
        setup_field(s, "Later", "%" PRId64 " post%s%s%s", later, plural(later),
                    isempty(next) ? "" : "; the next one is due ", strnull(next));
        if (before > 0)
                setup_field(s, "Never",
                            "%" PRId64
                            " post%s that %s due before now: --catch-up 2h takes up what "
                            "was due since then",
                            before, plural(before), before == 1 ? "was" : "were");
        if (late > 0)
                setup_field(s, "Too late", "%" PRId64 " post%s: missed, and said so in %s", late,
                            plural(late), "automapost status");
}

static int show_platforms(const Setup *s, JsonObject *list) {
        static const Column columns[] = {
                { "PLATFORM", 0 },
                { "AT ONCE", COLUMN_RIGHT },
                { "WITHIN 1 H", COLUMN_RIGHT },
                { "LATER", COLUMN_RIGHT },
                { "ACCOUNTS", COLUMN_RIGHT },
        };
        static const char *const members[] = { "due", "soon", "later", "accounts" };
        _cleanup_(table_freep) Table *table = NULL;

        if (json_object_array_length(list) == 0)
                return 0;
        if (table_new(s->c, columns, ELEMENTSOF(columns), &table) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                JsonObject *o = json_object_array_get_idx(list, i);
                char numbers[ELEMENTSOF(members)][24];
                const char *cells[ELEMENTSOF(columns)] = { json_string(o, "provider") };

                for (size_t k = 0; k < ELEMENTSOF(members); k++) {
                        (void) snprintf(numbers[k], sizeof(numbers[k]), "%" PRId64,
                                        json_int64(o, members[k], 0));
                        cells[k + 1] = numbers[k];
                }
                if (table_add(table, cells) < 0)
                        return -ENOMEM;
        }
        printf("\n");
        return table_print(table);
}

static int show_examples(const Setup *s, JsonObject *list) {
        static const Column columns[] = {
                { "DUE", 0 },
                { "PLATFORM", 0 },
                { "ACCOUNT", COLUMN_CUT },
                { "FOR EXAMPLE", COLUMN_CUT },
        };
        _cleanup_(table_freep) Table *table = NULL;

        if (json_object_array_length(list) == 0)
                return 0;
        if (table_new(s->c, columns, ELEMENTSOF(columns), &table) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                JsonObject *o = json_object_array_get_idx(list, i);
                _cleanup_free_ char *due = cli_time(json_string(o, "due_at"));

                if (!due || table_add(table, (const char *[]){ due, json_string(o, "provider"),
                                                               json_string(o, "account"),
                                                               json_string(o, "text") }) < 0)
                        return -ENOMEM;
        }
        printf("\n");
        return table_print(table);
}

static const char *reason(const char *code) {
        static const char *const words[][2] = {
                { "no-account", "the member has no account there" },
                { "not-your-account", "the account is gone, or another member's" },
                { "unsupported-platform", "nothing can be published to this platform yet" },
                { "reconnect-account", "its token is missing or will have expired: the member must "
                                       "connect the account again" },
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq_ptr(words[i][0], code))
                        return words[i][1];
        return code;
}

static int show_failing(const Setup *s, JsonObject *list) {
        static const Column columns[] = {
                { "WOULD FAIL", COLUMN_CUT },
                { "PLATFORM", 0 },
                { "POSTS", COLUMN_RIGHT },
                { "BECAUSE", COLUMN_WRAP },
        };
        _cleanup_(table_freep) Table *table = NULL;

        if (json_object_array_length(list) == 0)
                return 0;
        if (table_new(s->c, columns, ELEMENTSOF(columns), &table) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                JsonObject *o = json_object_array_get_idx(list, i);
                char posts[24];

                (void) snprintf(posts, sizeof(posts), "%" PRId64, json_int64(o, "posts", 0));
                if (table_add(table, (const char *[]){ json_string(o, "account")
                                                               ?: json_string(o, "account_id"),
                                                       json_string(o, "provider"), posts,
                                                       reason(json_string(o, "code")) }) < 0)
                        return -ENOMEM;
        }
        printf("\n");
        return table_print(table);
}

static int show(const Setup *s, JsonObject *p) {
        int r;

        setup_say(s, STYLE_NONE, "%s", "");
        setup_say(s, STYLE_BOLD, "What publishing from here would do");
        show_counts(s, p);
        r = show_platforms(s, json_member(p, "platforms"));
        if (r >= 0)
                r = show_examples(s, json_member(p, "examples"));
        return r < 0 ? r : show_failing(s, json_member(p, "failing"));
}

/* ---- who publishes already ---- */

static void show_old_workers(const Setup *s, JsonObject *list) {
        bool publishes = false;

        for (size_t i = 0; i < json_object_array_length(list); i++) {
                JsonObject *o = json_object_array_get_idx(list, i);

                setup_say(s, STYLE_NONE, "%s", "");
                setup_say(s, STYLE_WARN,
                          "%s runs a worker of the application's own:", json_string(o, "where"));
                setup_say(s, STYLE_NONE, "  %s", json_string(o, "what"));
                setup_say(s, STYLE_NONE, "  to end it: %s", json_string(o, "stop"));
                publishes = publishes || json_boolean(o, "publishes", false);
        }
        if (publishes)
                setup_say(s, STYLE_BAD,
                          "While it runs, posts would be published twice: by it and from here.");
}

static void show_old_queue(const Setup *s, JsonObject *list) {
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                JsonObject *o = json_object_array_get_idx(list, i);
                const char *by = json_string(o, "locked_by");
                int64_t jobs = json_int64(o, "jobs", 0);
                _cleanup_free_ char *at = cli_time_age(json_string(o, "locked_at"));

                if (i == 0) {
                        setup_say(s, STYLE_NONE, "%s", "");
                        setup_say(s, STYLE_WARN,
                                  "The application's own queue, public.job_queue, is not empty. "
                                  "Nothing here works on it:");
                }
                if (by)
                        setup_say(s, STYLE_NONE, "  %" PRId64 " job%s locked by %s, last %s%s",
                                  jobs, plural(jobs), by, strnull(at),
                                  json_int64(o, "fresh", 0) > 0 ? ": a worker of it still runs"
                                                                : "");
                else
                        setup_say(s, STYLE_NONE, "  %" PRId64 " job%s that nobody has locked", jobs,
                                  plural(jobs));
        }
}

static int find_others(Setup *s, JsonObject **ret_workers, JsonObject **ret_queue,
                       Error *ret_error) {
        int r = 0;

        if (old_workers_find(ret_workers) < 0)
                return error_oom(ret_error);
        if (json_boolean(s->survey, "oldQueue", false))
                r = cli_ask(s->c, &query_setup_old_queue, NULL, ret_queue, ret_error);
        else
                *ret_queue = json_object_new_array();
        return r >= 0 && !*ret_queue ? error_oom(ret_error) : r;
}

/* A unit of the same name in /etc is what systemd starts: nothing of ours would ever run. */
static int check_hidden(JsonObject *list, Error *ret_error) {
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                JsonObject *o = json_object_array_get_idx(list, i);

                if (json_boolean(o, "hides", false))
                        return error_setf(ret_error, ERROR_CONFIG, -EEXIST, "unit",
                                          "%s stands in the way of this package's unit of the same "
                                          "name: %s\n"
                                          "HINT: %s; then run this again",
                                          json_string(o, "where"), json_string(o, "what"),
                                          json_string(o, "stop"));
        }
        return 0;
}

int setup_show_publishing(Setup *s, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *state = NULL, *preview = NULL, *workers = NULL,
                                          *queue = NULL;
        int r;

        r = setup_read_state(s, &state, ret_error);
        if (r >= 0)
                r = check_catch_up(s, state, ret_error);
        if (r >= 0)
                r = read_preview(s, state, &preview, ret_error);
        if (r >= 0)
                r = find_others(s, &workers, &queue, ret_error);
        if (r < 0)
                return r;
        if (!s->c->json) {
                if (show(s, preview) < 0)
                        return error_oom(ret_error);
                show_old_workers(s, workers);
                show_old_queue(s, queue);
        }
        r = s->dry_run ? 0 : check_hidden(workers, ret_error);
        if (json_set(s->report, "preview", TAKE_PTR(preview)) < 0 ||
            json_set(s->report, "otherWorkers", TAKE_PTR(workers)) < 0 ||
            json_set(s->report, "otherQueue", TAKE_PTR(queue)) < 0)
                return error_oom(ret_error);
        return r;
}

/* ---- the question ---- */

static bool ask(void) {
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0;

        printf("\nPublish for real from this host? [y/N] ");
        (void) fflush(stdout);
        if (getline(&line, &allocated, stdin) <= 0) {
                printf("\n");
                return false;
        }
        line[strcspn(line, "\n")] = '\0';
        return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}

static int start(Setup *s, Error *ret_error) {
        _cleanup_free_ char *from = NULL;
        int r;

        r = db_value(s->service, &query_start_publishing, (const char *[]){ s->catch_up },
                     CLI_TIMEOUT, &from, ret_error);
        if (r >= 0 && sd_booted() > 0)
                r = setup_start_publishing_timer(ret_error);
        return r;
}

int setup_start_publishing(Setup *s, Error *ret_error) {
        bool on = false, wanted = s->publish,
             terminal = !s->c->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
        int r;

        r = setup_publishing_is_on(&on, ret_error);
        if (r < 0)
                return r;
        if (!on && !wanted && terminal)
                wanted = ask();
        if (wanted && (!on || s->catch_up)) {
                r = start(s, ret_error);
                if (r < 0)
                        return r;
        }
        if (json_set_bool(s->report, "publishing", on || wanted) < 0)
                return error_oom(ret_error);

        setup_say(s, STYLE_NONE, "%s", "");
        if (wanted && sd_booted() <= 0)
                setup_say(s, STYLE_GOOD,
                          "Posts are published as soon as something starts "
                          "automapost-social-media each minute.");
        else if (on || wanted)
                setup_say(s, STYLE_GOOD,
                          "Publishing from this host is on. automapost status tells how "
                          "it goes.");
        else if (terminal)
                setup_say(s, STYLE_NONE,
                          "Nothing is published from this host. When it shall be: "
                          "sudo automapost setup --publish");
        else
                setup_say(s, STYLE_NONE,
                          "Nothing is published from this host: this is no terminal, "
                          "and nobody was asked. When it shall be: sudo automapost "
                          "setup --publish");
        if (!s->realtime)
                return 0;
        if (on || wanted)
                return setup_start_realtime(s, ret_error);
        setup_say(s, STYLE_WARN,
                  "--realtime publishes too, and so waits for that: sudo automapost "
                  "setup --publish --realtime");
        return 0;
}
