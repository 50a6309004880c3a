/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "base/env-file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/time-util.h"
#include "jobs/job-types.h"
#include "queries.h"
#include "queue/host.h"
#include "queue/rescue.h"
#include "queue/schedule.h"
#include "services/collects.h"
#include "services/service.h"

#define CONNECT_TIMEOUT (10 * USEC_PER_SEC)
#define QUERY_TIMEOUT (10 * USEC_PER_SEC)

static bool arg_dry_run = false;
static bool arg_now = false;
static bool arg_verbose = false;
static const char *arg_settings = NULL;

static void help(const Service *s) {
        printf("%s [OPTIONS]\n\n"
               "%s.\n"
               "%s%s%s\n\n"
               "  -h --help     show this help\n"
               "     --version  show the version\n"
               "  -n --dry-run  say what would be done, and change nothing\n"
               "%s"
               "  -v --verbose  log at level debug\n\n"
               "Settings come from the environment: see automapost config.\n"
               "Exit status: 0 done or nothing to do, 75 try again later, 78 an operator\n"
               "must act, 70 a mistake of ours.\n",
               s->name, s->description,
               s->resident ? "Stays until SIGTERM; SIGHUP makes it read "
                             "its settings anew."
                           : "Started by ",
               s->resident ? "" : s->name,
               s->resident ? "" : ".timer; by hand it does the same, once.",
               s->resident
                       ? "     --settings FILE\n"
                         "                settings from FILE (NAME=value), which count more than\n"
                         "                the environment's\n"
                       : "     --now      collect now, as by hand, whatever the schedule says\n");
}

/* 1: go on, 0: end well, negative: wrong usage. */
static int parse_options(const Service *s, int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { "dry-run", no_argument, NULL, 'n' },
                { "now", no_argument, NULL, 'N' },
                { "verbose", no_argument, NULL, 'v' },
                { "settings", required_argument, NULL, 'S' },
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "hnv", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        help(s);
                        return 0;
                case 'V':
                        printf("%s %s\n", s->name, PROJECT_VERSION);
                        return 0;
                case 'n':
                        arg_dry_run = true;
                        break;
                case 'N':
                        arg_now = true;
                        break;
                case 'S':
                        arg_settings = optarg;
                        break;
                case 'v':
                        arg_verbose = true;
                        break;
                default:
                        return -EINVAL; /* getopt has said what is wrong */
                }
        if (optind < argc) {
                (void) fprintf(stderr, "%s: takes no argument \"%s\" (see --help)\n", s->name,
                               argv[optind]);
                return -EINVAL;
        }
        return 1;
}

/* The name in job_definitions: the unit's without the prefix. */
static const char *definition_name(const Service *s) {
        return s->name + strlen("automapost-");
}

/* Types of other services: what every_other leaves out. */
static bool is_named_elsewhere(const char *type) {
        static const char *const named[] = { "social-media-post", "refresh-token" };

        for (size_t i = 0; i < ELEMENTSOF(named); i++)
                if (streq(named[i], type))
                        return true;
        return false;
}

static size_t service_types(const Service *s, const JobType **ret, size_t max) {
        size_t n_all, n = 0;
        const JobType *const *all = job_type_list(&n_all);

        for (size_t i = 0; i < n_all && n < max; i++) {
                bool wanted = s->all_types || (s->other_types && !is_named_elsewhere(all[i]->name));

                for (const char *const *t = s->types; t && *t; t++)
                        wanted = wanted || streq(*t, all[i]->name);
                if (wanted)
                        ret[n++] = all[i];
        }
        return n;
}

static int types_array(const JobType *const *types, size_t n, char **ret) {
        _cleanup_(str_done) Str s = {};

        if (str_append(&s, "{") < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (str_appendf(&s, "%s%s", i == 0 ? "" : ",", types[i]->name) < 0)
                        return -ENOMEM;
        if (str_append(&s, "}") < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(s.data);
        return 0;
}

/* Jobs of workers that died unseen: looked for by every tick that has work, so that nothing waits
 * for cleanup. */
static int rescue(ServiceContext *c, JsonObject *counts, Error *ret_error) {
        int64_t jobs = 0;
        int r;

        r = rescue_lapsed(c->db, QUERY_TIMEOUT, &jobs, ret_error);
        if (r < 0)
                return r;
        return jobs > 0 ? json_set_int64(counts, "rescued", jobs) : 0;
}

static int preview(ServiceContext *c, const char *types, Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        int r;

        r = db_query(c->db, &query_preview,
                     (const char *[]){ definition_name(c->service), types, "100" }, QUERY_TIMEOUT,
                     &rows, ret_error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < rows_count(rows); i++)
                printf("%s\n", rows_text(rows, i, 0));
        if (rows_count(rows) == 0)
                printf("Nothing to do.\n");
        return 0;
}

static int add_counts(JsonObject *o, const WorkerCounts *n) {
        const struct {
                const char *name;
                unsigned value;
        } table[] = {
                { "claimed", n->claimed },     { "completed", n->completed },
                { "retried", n->retried },     { "failed", n->failed },
                { "held", n->held },           { "unconfirmed", n->unconfirmed },
                { "cancelled", n->cancelled }, { "putBack", n->put_back },
                { "lost", n->lost },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].value > 0 && json_set_int64(o, table[i].name, table[i].value) < 0)
                        return -ENOMEM;
        return 0;
}

/* "published 12, retried 1": the counts as words. */
static char *summary(const Service *s, JsonObject *counts) {
        _cleanup_(str_done) Str text = {};

        json_object_object_foreach(counts, name, value) {
                const char *word = streq(name, "completed") && s->done_word ? s->done_word : name;

                if (str_appendf(&text, "%s%s %" PRId64, text.length > 0 ? ", " : "", word,
                                json_object_get_int64(value)) < 0)
                        return NULL;
        }
        return TAKE_PTR(text.data);
}

/* A run that did something ends with one line and one row. */
static void record_run(ServiceContext *c, JsonObject *counts, int result, const Error *error) {
        _cleanup_free_ char *words = summary(c->service, counts);
        _cleanup_(error_done) Error record_error = ERROR_NULL;
        _cleanup_free_ char *id = NULL;
        char started[ISO8601_SIZE];

        if (json_object_object_length(counts) == 0 && result >= 0) {
                log_debug("Nothing to do");
                return;
        }
        if (result >= 0)
                log_event(LOG_INFO, EVENT_RUN_FINISHED, "Finished: %s", strnull(words));
        time_format_iso8601(c->started, started);
        if (db_is_open(c->db) &&
            db_value(c->db, &query_record_run,
                     (const char *[]){ definition_name(c->service), c->worker, started,
                                       result < 0 ? "failed" : "completed", json_text(counts),
                                       error->message },
                     QUERY_TIMEOUT, &id, &record_error) < 0)
                log_full(LOG_WARNING, NULL, &record_error, "Cannot record this run");
}

static int drain(ServiceContext *c, const JobType *const *types, size_t n_types, JsonObject *counts,
                 Error *ret_error) {
        const WorkerConfig config = {
                .settings = c->settings,
                .service = definition_name(c->service),
                .types = types,
                .n_types = n_types,
                .done_word = c->service->done_word ?: "done",
                .collects = c->collects,
                .n_collects = c->n_collects,
                .resident = c->service->resident,
                .lives = c->lives,
        };
        WorkerCounts n = {};
        int r;

        r = worker_run(&config, &c->engine, &c->db, c->worker, &n, ret_error);
        c->actors_left = n.actors_left;
        c->reload = n.reload && r >= 0 && !n.actors_left;
        c->lives = n.lives;
        if (add_counts(counts, &n) < 0 && r >= 0)
                return error_oom(ret_error);
        return r;
}

int service_collect(ServiceContext *c, const Collect *collect, usec_t slot, Error *ret_error) {
        CollectRun *run = &c->collects[c->n_collects];

        if (c->n_collects == ELEMENTSOF(c->collects))
                return error_setf(ret_error, ERROR_PERMANENT, -E2BIG, NULL,
                                  "more than %zu services to collect for in one run",
                                  ELEMENTSOF(c->collects));
        *run = (CollectRun){ .collect = collect, .counts = c->counts };
        if (slot > 0)
                time_format_iso8601(slot, run->slot);
        c->n_collects++;
        return 0;
}

/* The timer of a service says when it elapsed; whoever starts it by hand does not. */
static bool is_by_hand(void) {
        return arg_now || isempty(getenv("TRIGGER_TIMER_REALTIME_USEC"));
}

/* What this run collects, and under which slot: a service of every minute each time, any other when
 * a slot of its schedule is open, or by hand. *ret_due: there is something beside what the queue
 * holds. */
static int plan_collect(ServiceContext *c, JsonObject *tick, bool *ret_due, Error *ret_error) {
        const Collect *collect = collect_find(definition_name(c->service));
        _cleanup_(schedule_done) Schedule s = {};
        bool every_minute = c->engine.schema < SCHEMA_SLOTS && c->service->types, open;
        usec_t slot = 0;
        int r;

        *ret_due = false;
        if (c->service->resident) {
                *ret_due = true;
                r = service_collect(c, collect_find("social-media"), 0, ret_error);
                if (r >= 0)
                        c->collects[0].repeat = true;
                return r;
        }
        if (!collect)
                return 0;
        if (c->engine.schema >= SCHEMA_SLOTS) {
                r = schedule_read(json_member(tick, "schedule"), &s, ret_error);
                if (r < 0)
                        return r;
                every_minute = s.given && cron_is_every_minute(&s.cron);
        }
        open = !every_minute && schedule_open_slot(&s, &slot);
        *ret_due = !every_minute && (open || is_by_hand() || c->engine.schema < SCHEMA_SLOTS);
        if (!every_minute && !*ret_due)
                return 0;
        r = service_collect(c, collect, slot, ret_error);
        if (r < 0)
                return r;
        c->collects[0].repeat = every_minute;
        c->collects[0].anyway = is_by_hand();
        return 0;
}

/* 1: this host may begin nothing at this moment, and has said why. */
static int meet(ServiceContext *c, JsonObject *tick, Error *ret_error) {
        bool known = false;
        Host host;
        int r;

        if (!c->engine.installation || arg_dry_run)
                return 0;
        r = host_read(&host, ret_error);
        if (r >= 0)
                r = host_is_known(&host, tick, c->settings, c->engine.installation, &known,
                                  ret_error);
        if (r < 0 || known)
                return r;
        return host_meet(c->db, &host, c->settings, c->engine.installation, QUERY_TIMEOUT,
                         ret_error);
}

static int first_question(ServiceContext *c, const char *types, bool *ret_work, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *tick = NULL;
        _cleanup_free_ char *text = NULL;
        bool due;
        int r;

        r = db_value(c->db, &query_tick, (const char *[]){ definition_name(c->service), types },
                     QUERY_TIMEOUT, &text, ret_error);
        if (r < 0)
                return r;
        if (!text || json_parse(text, strlen(text), &tick) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "schema",
                                  "the database's answer to a tick is no JSON");
        r = engine_parse(tick, &c->engine, ret_error);
        if (r < 0)
                return r;
        r = engine_check_version(&c->engine, ret_error);
        if (r < 0)
                return r;
        r = meet(c, tick, ret_error);
        if (r != 0)
                return r;
        if (!json_boolean(tick, "active", false) && !c->service->resident) {
                log_info("%s is paused: %s", definition_name(c->service),
                         json_string(tick, "pausedReason") ?: "not active");
                *ret_work = false;
                return 1;
        }
        r = plan_collect(c, tick, &due, ret_error);
        *ret_work = due || json_boolean(tick, "work", true);
        return r;
}

static int service_run(ServiceContext *c, Error *ret_error) {
        const JobType *types[32];
        size_t n_types = service_types(c->service, types, ELEMENTSOF(types)), n_planned;
        _cleanup_(json_unrefp) JsonObject *counts = json_object_new_object();
        _cleanup_free_ char *names = NULL;
        bool work = false;
        int r;

        c->counts = counts;
        if (!counts || types_array(types, n_types, &names) < 0)
                return error_oom(ret_error);
        r = db_connect(c->settings->database_url, c->service->name, CONNECT_TIMEOUT, &c->db,
                       ret_error);
        if (r < 0)
                return r;
        r = first_question(c, names, &work, ret_error);
        if (r > 0 && c->service->resident)
                return error_setf(ret_error, ERROR_TRANSIENT, -EAGAIN, "comparing",
                                  "this host may begin nothing yet; it is asked again");
        if (r != 0)
                return MIN(r, 0);
        if (arg_dry_run)
                return preview(c, names, ret_error);

        n_planned = c->n_collects;
        if (c->service->run)
                r = c->service->run(c, counts, ret_error);
        work = work || r > 0 || c->n_collects > n_planned;
        if (r >= 0 && work)
                r = rescue(c, counts, ret_error);
        if (r >= 0 && c->service->resident)
                sd_notify(0, "READY=1");
        if (r >= 0 && work && (n_types > 0 || c->n_collects > 0))
                r = drain(c, types, n_types, counts, ret_error);
        record_run(c, counts, r, ret_error);
        return r;
}

static const char *event_of_error(const Error *e) {
        static const char *const not_a_host[] = { "copy", "unknown-host", "clone", "AM003" };

        if (e->class != ERROR_CONFIG)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(not_a_host); i++)
                if (streq_ptr(e->code, not_a_host[i]))
                        return EVENT_NOT_A_HOST;
        return EVENT_CONFIG_ERROR;
}

/* The settings as they are now: the environment that the process was started with, and over it the
 * file that may have changed since. */
static int read_settings(Settings *ret, Error *ret_error) {
        static char **at_start = NULL;
        int r;

        if (arg_settings && !at_start) {
                size_t n = 0;

                while (environ[n])
                        n++;
                at_start = calloc(n + 1, sizeof(char *));
                for (size_t i = 0; at_start && i < n; i++)
                        if (!(at_start[i] = strdup(environ[i])))
                                return error_oom(ret_error);
        }
        if (arg_settings) {
                if (!at_start || clearenv() != 0)
                        return error_oom(ret_error);
                for (char **e = at_start; *e; e++)
                        if (putenv(*e) != 0)
                                return error_oom(ret_error);
                r = env_file_load(arg_settings, true, ret_error);
                if (r == 0)
                        return error_setf(ret_error, ERROR_CONFIG, -ENOENT, "settings-file",
                                          "there is no file %s\nHINT: sudo automapost setup",
                                          arg_settings);
                if (r < 0)
                        return r;
        }
        r = settings_load(ret, ret_error);
        if (r >= 0)
                log_set_max_level(arg_verbose ? LOG_DEBUG : log_level_from_string(ret->log_level));
        return r;
}

/* What cannot be used changes nothing: the settings stay as they were. */
static void reload(ServiceContext *c) {
        _cleanup_(settings_done) Settings fresh = {};
        _cleanup_(error_done) Error error = ERROR_NULL;

        if (read_settings(&fresh, &error) < 0)
                log_full(LOG_ERR, EVENT_CONFIG_ERROR, &error,
                         "Going on with the settings as they were");
        else {
                settings_done(c->settings);
                *c->settings = fresh;
                fresh = (Settings){};
        }
}

/* What one run has of the database. */
static void forget_run(ServiceContext *c) {
        for (size_t i = 0; i < c->n_collects; i++)
                collect_run_done(&c->collects[i]);
        c->n_collects = 0;
        engine_done(&c->engine);
        db_free(c->db);
        c->db = NULL;
}

int service_main(const Service *service, int argc, char *argv[]) {
        _cleanup_(settings_done) Settings settings = {};
        _cleanup_(error_done) Error error = ERROR_NULL;
        ServiceContext c = { .service = service, .settings = &settings };
        int r;

        r = parse_options(service, argc, argv);
        if (r <= 0)
                return r < 0 ? EX_USAGE : EX_OK;

        log_open();
        c.started = now(CLOCK_REALTIME);
        worker_id(c.worker);
        _cleanup_(log_popp) _unused_ LogField *worker = log_push(FIELD_WORKER, "%s", c.worker);

        r = read_settings(&settings, &error);
        if (r >= 0)
                r = service_run(&c, &error);
        while (r >= 0 && c.reload) {
                forget_run(&c);
                reload(&c);
                r = service_run(&c, &error);
        }
        if (r < 0) {
                log_full(LOG_ERR, event_of_error(&error), &error, "%s cannot do its work",
                         service->name);
                sd_notifyf(0, "STATUS=%s", strnull(error.message));
        }
        r = r < 0 ? error_class_to_exit_status(error.class) : EX_OK;
        if (c.actors_left) {
                (void) fflush(NULL);
                _exit(r); /* actors that outlived their deadline use what an orderly end would free
                           */
        }
        forget_run(&c);
        return r;
}
