/* SPDX-License-Identifier: MIT */

/* Tells people. Not in the frame of the other services, whose first question goes to the database:
 * this one is there for the night in which the database is down. Started each minute it looks once,
 * tells what is due and calls the watch outside; started for a unit that failed (OnFailure=) it
 * tells of that. What was told is written down before it is sent. */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "alerts/channel.h"
#include "alerts/message.h"
#include "alerts/sights.h"
#include "alerts/store.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "base/time-util.h"
#include "health/journal.h"

#define NAME "automapost-alert"
#define CONNECT_TIMEOUT (3 * USEC_PER_SEC)
/* For all that is sent in one run; what is left comes with the next. */
#define SEND_BUDGET (60 * USEC_PER_SEC)
#define JOURNAL_LINES 20
#define JOURNAL_AGE USEC_PER_HOUR

static const char *arg_unit = NULL;
static bool arg_verbose = false;

typedef struct Run {
        Settings settings;
        Error settings_error; /* what is wrong with them; what can be used is used */
        AlertTimes times;
        char **channels; /* that are configured, NULL at the end */
        char host[65];
        usec_t now;            /* CLOCK_REALTIME, of the look */
        usec_t deadline;       /* CLOCK_BOOTTIME */
        Http *http;            /* when something is sent */
        const char *silent[8]; /* channels that did not answer in this run */
        size_t n_silent;
        int status; /* of sysexits(3): what could not be told */

        int lock_fd;
        Book own;    /* this host's, in the file */
        Book shared; /* all hosts', while we hold it */
        Db *db;      /* open while we hold it */
        char taker[ID128_SIZE];
} Run;

static void run_done(Run *c) {
        settings_done(&c->settings);
        error_done(&c->settings_error);
        channels_free(c->channels);
        http_free(c->http);
        book_done(&c->own);
        book_done(&c->shared);
        db_free(c->db);
        closep(&c->lock_fd);
}

/* ---- this host's book ---- */

/* Where the state folder cannot be written (a disk that is full is one of the things to tell of),
 * memory has to do: better told twice after a reboot than not at all. */
static const char *spare_dir(void) {
        return getenv("RUNTIME_DIRECTORY");
}

static int lock_own(Run *c, Error *ret_error) {
        const char *spare = spare_dir();

        return store_lock(isempty(spare) ? c->settings.state_dir : spare, &c->lock_fd, ret_error);
}

static int read_own(Run *c, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        const char *spare = spare_dir();
        int r;

        r = store_read(!isempty(spare) && store_exists(spare) ? spare : c->settings.state_dir,
                       &c->own, &error);
        if (r == -EINVAL) {
                log_full(LOG_WARNING, NULL, &error, "Who was told before is not known");
                return 0;
        }
        if (r < 0)
                error_move(ret_error, &error);
        return r;
}

static int write_own(Run *c, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        const char *spare = spare_dir();
        int r;

        r = store_write(c->settings.state_dir, &c->own, &error);
        if (r >= 0 && !isempty(spare))
                store_remove(spare);
        if (r >= 0)
                return 0;
        log_full(LOG_WARNING, NULL, &error, "Who was told is kept until the next reboot only");
        if (isempty(spare)) {
                error_move(ret_error, &error);
                return r;
        }
        return store_write(spare, &c->own, ret_error);
}

/* ---- telling ---- */

/* libcurl is loaded when something is sent, which is hardly ever. */
static int open_http(Run *c, Error *ret_error) {
        int r;

        if (c->http)
                return 0;
        r = http_global_init(ret_error);
        if (r < 0)
                return r;
        return http_new(&(const HttpConfig){ .user_agent = PROJECT_NAME "/" PROJECT_VERSION,
                                             .ca_file = c->settings.ca_file },
                        &c->http, ret_error);
}

static bool is_silent(const Run *c, const char *channel) {
        for (size_t i = 0; i < c->n_silent; i++)
                if (streq(c->silent[i], channel))
                        return true;
        return false;
}

/* The name as it is among those that are configured, which live as long as the run. */
static const char *configured(const Run *c, const char *channel) {
        for (char **i = c->channels; *i; i++)
                if (streq(*i, channel))
                        return *i;
        return NULL;
}

/* One that did not answer is not asked again in this run: the other's time is not to be waited
 * away. */
static void tell(Run *c, Alert *a, const char *channel) {
        _cleanup_(error_done) Error error = ERROR_NULL;

        if (!channel || is_silent(c, channel) || now(CLOCK_BOOTTIME) >= c->deadline)
                return;
        if (open_http(c, &error) >= 0 &&
            channel_send(channel, &c->settings, c->http, &a->message, &error) >= 0) {
                log_event(LOG_NOTICE, EVENT_ALERT_TOLD, "Told by %s: %s", channel,
                          a->message.subject);
                alert_delivered(a, channel);
                return;
        }
        log_full(LOG_WARNING, EVENT_ALERT_FAILED, &error, "Cannot tell by %s, tried again: %s",
                 channel, a->message.subject);
        if (c->n_silent < ELEMENTSOF(c->silent))
                c->silent[c->n_silent++] = channel;
        /* Refused for good (no such address, no such hook) is an operator's business here. */
        c->status = error.class == ERROR_PERMANENT ? EX_CONFIG
                                                   : error_class_to_exit_status(error.class);
}

static void tell_all(Run *c, Book *b) {
        for (size_t i = 0; i < b->n; i++) {
                Alert *a = &b->alerts[i];

                /* Whoever has it is taken off the list. */
                for (size_t k = 0; k < a->n_owed;) {
                        size_t n = a->n_owed;

                        tell(c, a, configured(c, a->owed[k]));
                        k += a->n_owed == n;
                }
        }
}

static int compose(Run *c, Alert *a, AlertKind kind, Error *ret_error) {
        const char *unit = json_string(a->problem, "unit"), *invocation = NULL;
        _cleanup_(json_unrefp) JsonObject *lines = NULL;
        _cleanup_(message_done) Message m = {};

        if (unit && streq_ptr(unit, arg_unit))
                invocation = getenv("MONITOR_INVOCATION_ID");
        if (kind != ALERT_OVER &&
            journal_tail(unit, invocation, c->now - JOURNAL_AGE, JOURNAL_LINES, &lines) < 0)
                return error_oom(ret_error);
        if (message_compose(&(const MessageContext){ .settings = &c->settings,
                                                     .host = c->host,
                                                     .now = c->now,
                                                     .lines = lines },
                            kind, a, &m) < 0 ||
            alert_tell(a, &m, (const char *const *) c->channels) < 0)
                return error_oom(ret_error);
        return 0;
}

/* What is to be told at this look, made. */
static int compose_due(Run *c, Book *b, Error *ret_error) {
        for (size_t i = 0; i < b->n; i++) {
                AlertKind kind = alert_due(&b->alerts[i], &c->times, c->now);
                int r = kind >= 0 ? compose(c, &b->alerts[i], kind, ret_error) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

static void close_book(Run *c, Book *b) {
        size_t n = book_close(b, c->now);

        if (n > 0)
                log_warning("Gave up telling of %zu ends after a day", n);
}

/* Written before it is sent and after: who dies in between sends it again, with the same id. */
static int tell_own(Run *c, Error *ret_error) {
        int r;

        r = compose_due(c, &c->own, ret_error);
        if (r >= 0)
                r = write_own(c, ret_error);
        if (r < 0)
                return r;
        tell_all(c, &c->own);
        close_book(c, &c->own);
        return write_own(c, ret_error);
}

static int tell_shared(Run *c, Error *ret_error) {
        int r;

        r = compose_due(c, &c->shared, ret_error);
        if (r >= 0)
                r = store_put(c->db, c->taker, &c->shared, true, ret_error);
        if (r < 0)
                return r;
        tell_all(c, &c->shared);
        close_book(c, &c->shared);
        return store_put(c->db, c->taker, &c->shared, false, ret_error);
}

/* ---- the look ---- */

/* The book of all hosts: 1 it is ours for now, 0 another host tells, negative: it cannot be had,
 * and each host tells for itself. */
static int take_shared(Run *c) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        r = db_connect(c->settings.database_url, NAME, CONNECT_TIMEOUT, &c->db, &error);
        if (r >= 0)
                r = store_take(c->db, c->taker, &c->shared, &error);
        if (r == -EINVAL) {
                log_full(LOG_WARNING, NULL, &error, "Who was told before is not known");
                return 1;
        }
        if (r < 0)
                log_full(LOG_WARNING, NULL, &error, "This host tells for itself");
        return r;
}

/* Runs that ended well, as systemd knows them. */
static void enter_recoveries(Book *b, JsonObject *units) {
        for (size_t i = 0; units && i < json_object_array_length(units); i++) {
                JsonObject *o = json_object_array_get_idx(units, i);
                _cleanup_free_ char *unit =
                        strjoinf("automapost-%s.service", json_string(o, "name") ?: "");
                const char *last = json_string(o, "lastRun");
                usec_t t;

                if (unit && last && streq_ptr(json_string(o, "result"), "done") &&
                    streq_ptr(json_string(o, "state"), "inactive") &&
                    time_parse_iso8601(last, &t) >= 0)
                        book_recovered(b, unit, t);
        }
}

static int tell_look(Run *c, const Health *h, Error *ret_error) {
        _cleanup_(sights_done) Sights sights = {};
        int taken = h->shared ? take_shared(c) : 0, r;
        /* Not heard of is not over. */
        unsigned scope = h->shared && taken < 0 ? SCOPE_ALL : SCOPE_OWN;

        if (sights_of_health(h, &sights) < 0 ||
            (taken > 0 && book_move_shared(&c->own, &c->shared) < 0) ||
            (taken > 0 &&
             book_look(&c->shared, sights.list, sights.n, SCOPE_SHARED, &c->times, c->now) < 0) ||
            book_look(&c->own, sights.list, sights.n, scope, &c->times, c->now) < 0)
                return error_oom(ret_error);
        enter_recoveries(&c->own, json_path(h->host, "units", NULL));
        book_forget_crashes(&c->own, c->now);

        r = tell_own(c, ret_error);
        if (taken > 0) {
                _cleanup_(error_done) Error error = ERROR_NULL;

                if (tell_shared(c, &error) < 0)
                        log_full(LOG_WARNING, NULL, &error, "The alerts of all hosts are not told");
        }
        return r;
}

static int tell_crash(Run *c, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *problem = NULL;
        _cleanup_(sights_done) Sights sights = {};

        if (sight_of_crash(arg_unit, getenv("MONITOR_SERVICE_RESULT"),
                           getenv("MONITOR_EXIT_STATUS"), c->now, &sights, &problem) < 0)
                return error_oom(ret_error);
        for (size_t i = 0; i < sights.n; i++)
                if (book_enter(&c->own, &sights.list[i], c->now) < 0)
                        return error_oom(ret_error);
        return tell_own(c, ret_error);
}

/* ---- a run ---- */

/* Nobody is to be told, and no watch outside waits: there is nothing to look for. */
static bool is_configured(const Run *c) {
        return *c->channels || !isempty(c->settings.heartbeat_url);
}

static void call_watch(Run *c) {
        _cleanup_(error_done) Error error = ERROR_NULL;

        if (open_http(c, &error) < 0 || heartbeat(&c->settings, c->http, &error) < 0)
                log_full(LOG_WARNING, NULL, &error, "The watch outside was not called");
}

static int look(Run *c, bool *ret_abandoned, Error *ret_error) {
        const HealthQuestion question = {
                .settings = c->settings_error.class == ERROR_NONE ? &c->settings : NULL,
                .settings_error = &c->settings_error,
        };
        _cleanup_(health_done) Health h = {};
        int r;

        r = health_look(&question, &h);
        *ret_abandoned = h.abandoned;
        if (r < 0)
                return error_oom(ret_error);
        c->now = now(CLOCK_REALTIME);
        r = *c->channels ? tell_look(c, &h, ret_error) : 0;
        if (h.verdict == SEVERITY_WELL && !isempty(c->settings.heartbeat_url))
                call_watch(c);
        return r;
}

static int run(Run *c, bool *ret_abandoned, Error *ret_error) {
        int r;

        (void) gethostname(c->host, sizeof(c->host) - 1);
        id128_random(c->taker);
        c->now = now(CLOCK_REALTIME);
        c->deadline = now(CLOCK_BOOTTIME) + SEND_BUDGET;
        if (settings_load_usable(&c->settings, &c->settings_error) == -ENOMEM ||
            channels_find(&c->settings, &c->channels) < 0)
                return error_oom(ret_error);
        c->times = (AlertTimes){
                .after = c->settings.alert_after_sec * USEC_PER_SEC,
                .person_after = c->settings.alert_person_after_sec * USEC_PER_SEC,
                .repeat = c->settings.alert_repeat_sec * USEC_PER_SEC,
                .over = c->settings.alert_over_sec * USEC_PER_SEC,
        };
        log_set_max_level(arg_verbose ? LOG_DEBUG : log_level_from_string(c->settings.log_level));

        if (!is_configured(c) || (arg_unit && !*c->channels)) {
                log_debug("Nobody is to be told: see automapost alert");
                return 0;
        }
        r = *c->channels ? lock_own(c, ret_error) : 0;
        if (r >= 0 && *c->channels)
                r = read_own(c, ret_error);
        if (r < 0)
                return r;
        return arg_unit ? tell_crash(c, ret_error) : look(c, ret_abandoned, ret_error);
}

static void help(void) {
        printf(NAME " [OPTIONS]\n\n"
                    "Tell people by webhook and mail when posts are not going out.\n"
                    "Started by " NAME ".timer; by hand it does the same, once.\n\n"
                    "  -h --help       show this help\n"
                    "     --version    show the version\n"
                    "  -u --unit=UNIT  tell of this unit, which failed (from OnFailure=)\n"
                    "  -v --verbose    log at level debug\n\n"
                    "Settings come from the environment: see automapost config.\n"
                    "Exit status: 0 told or nothing to tell, 75 somebody was not reached, 78 an\n"
                    "operator must act, 70 a mistake of ours.\n");
}

/* 1: go on, 0: end well, negative: wrong usage. */
static int parse_options(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { "unit", required_argument, NULL, 'u' },
                { "verbose", no_argument, NULL, 'v' },
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "hu:v", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        help();
                        return 0;
                case 'V':
                        printf(NAME " %s\n", PROJECT_VERSION);
                        return 0;
                case 'u':
                        arg_unit = optarg;
                        break;
                case 'v':
                        arg_verbose = true;
                        break;
                default:
                        return -EINVAL; /* getopt has said what is wrong */
                }
        if (optind < argc) {
                (void) fprintf(stderr, NAME ": takes no argument \"%s\" (see --help)\n",
                               argv[optind]);
                return -EINVAL;
        }
        return 1;
}

int main(int argc, char *argv[]) {
        Run c = { .lock_fd = -1 };
        _cleanup_(error_done) Error error = ERROR_NULL;
        bool abandoned = false;
        int r;

        r = parse_options(argc, argv);
        if (r <= 0)
                return r < 0 ? EX_USAGE : EX_OK;
        log_open();
        r = run(&c, &abandoned, &error);
        if (r < 0)
                log_full(LOG_ERR, error.class == ERROR_CONFIG ? EVENT_CONFIG_ERROR : NULL, &error,
                         NAME " cannot do its work");
        r = r < 0 ? error_class_to_exit_status(error.class) : c.status;
        run_done(&c);
        if (abandoned) {
                (void) fflush(NULL);
                _exit(r); /* under a thread that is inside of libpq or the resolver */
        }
        return r;
}
