/* SPDX-License-Identifier: MIT */

#include "health/host.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-bus.h>

#include "base/text.h"
#include "base/time-util.h"
#include "health/advise.h"
#include "health/disk.h"
#include "health/journal.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define PUBLISHES "social-media"

/* ---- asking, on a thread ---- */

/* What systemd says of a service or of a timer: the properties of table[]. */
typedef struct Unit {
        char *load_state, *active_state, *sub_state, *file_state, *result, *status_text;
        char *needs; /* the path of its ConditionPathExists= */
        uint64_t changed, condition_at, last_trigger, next_realtime, next_monotonic, started;
        int condition_result, exit_code, exit_status;
} Unit;

typedef struct Host {
        Unit service, timer;
        JournalLine last_error;
} Host;

static const char *const services[] = {
#define SERVICE(name) name,
#define RESIDENT(name) name,
#include "service-list.h"
#undef SERVICE
};

struct HostLook {
        bool local_database;
        usec_t deadline; /* CLOCK_BOOTTIME */
        bool booted;     /* systemd runs this host */
        bool installed;  /* and has units of ours */
        int r;           /* why it cannot be asked */
        Host hosts[ELEMENTSOF(services)];
        bool journal_unreadable;
        DiskList disks;
};

static const struct {
        const char *name;
        char type;
        size_t offset;
} properties[] = {
        { "LoadState", 's', offsetof(Unit, load_state) },
        { "ActiveState", 's', offsetof(Unit, active_state) },
        { "SubState", 's', offsetof(Unit, sub_state) },
        { "UnitFileState", 's', offsetof(Unit, file_state) },
        { "Result", 's', offsetof(Unit, result) },
        { "StatusText", 's', offsetof(Unit, status_text) },
        { "StateChangeTimestamp", 't', offsetof(Unit, changed) },
        { "ConditionTimestamp", 't', offsetof(Unit, condition_at) },
        { "ConditionResult", 'b', offsetof(Unit, condition_result) },
        { "LastTriggerUSec", 't', offsetof(Unit, last_trigger) },
        { "NextElapseUSecRealtime", 't', offsetof(Unit, next_realtime) },
        { "NextElapseUSecMonotonic", 't', offsetof(Unit, next_monotonic) },
        { "ExecMainStartTimestamp", 't', offsetof(Unit, started) },
        { "ExecMainCode", 'i', offsetof(Unit, exit_code) },
        { "ExecMainStatus", 'i', offsetof(Unit, exit_status) },
};

HostLook *host_look_new(bool local_database, usec_t deadline) {
        HostLook *l = calloc(1, sizeof(HostLook));

        if (!l)
                return NULL;
        l->local_database = local_database;
        l->deadline = deadline;
        return l;
}

static void unit_done(Unit *u) {
        for (size_t i = 0; i < ELEMENTSOF(properties); i++) {
                void *value = (char *) u + properties[i].offset;

                if (properties[i].type == 's')
                        freep(value);
        }
        free(u->needs);
        *u = (Unit){};
}

void host_look_free(HostLook *l) {
        for (size_t i = 0; i < ELEMENTSOF(l->hosts); i++) {
                unit_done(&l->hosts[i].service);
                unit_done(&l->hosts[i].timer);
                free(l->hosts[i].last_error.message);
        }
        free(l);
}

/* The path of the first ConditionPathExists=. */
static int read_conditions(sd_bus_message *m, Unit *u) {
        const char *type, *path;
        int r, trigger, negate, state;

        r = sd_bus_message_enter_container(m, 'v', "a(sbbsi)");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(sbbsi)");
        while (r >= 0 &&
               (r = sd_bus_message_read(m, "(sbbsi)", &type, &trigger, &negate, &path, &state)) > 0)
                if (!u->needs && !negate && streq(type, "ConditionPathExists")) {
                        u->needs = strdup(path);
                        if (!u->needs)
                                return -ENOMEM;
                }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, const char *name, Unit *u) {
        if (streq(name, "Conditions"))
                return read_conditions(m, u);
        for (size_t i = 0; i < ELEMENTSOF(properties); i++) {
                const char type[] = { properties[i].type, '\0' };
                void *value = (char *) u + properties[i].offset;
                const char *text;
                int r;

                if (!streq(properties[i].name, name))
                        continue;
                if (*type != 's')
                        return sd_bus_message_read(m, "v", type, value);
                r = sd_bus_message_read(m, "v", type, &text);
                if (r >= 0 && !(*(char **) value = strdup(text)))
                        r = -ENOMEM;
                return r;
        }
        return sd_bus_message_skip(m, "v");
}

static int read_properties(sd_bus_message *m, Unit *u) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = read_property(m, name, u);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

/* -ENOENT where systemd does not know of it. */
static int read_unit(HostLook *l, sd_bus *bus, const char *service, const char *suffix, Unit *ret) {
        _cleanup_free_ char *name = strjoinf("automapost-%s.%s", service, suffix), *path = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        usec_t t = now(CLOCK_BOOTTIME);
        int r;

        if (!name || sd_bus_path_encode("/org/freedesktop/systemd1/unit", name, &path) < 0)
                return -ENOMEM;
        (void) sd_bus_set_method_call_timeout(bus, t < l->deadline ? l->deadline - t : 1);
        r = sd_bus_call_method(bus, SYSTEMD, path, "org.freedesktop.DBus.Properties", "GetAll",
                               &error, &reply, "s", "");
        if (r < 0 && sd_bus_error_has_name(&error, "org.freedesktop.DBus.Error.InvalidArgs"))
                r = -ENOENT;
        sd_bus_error_free(&error);
        if (r >= 0)
                r = read_properties(reply, ret);
        sd_bus_message_unref(reply);
        return r >= 0 && streq_ptr(ret->load_state, "not-found") ? -ENOENT : MIN(r, 0);
}

static int read_units(HostLook *l, sd_bus *bus) {
        for (size_t i = 0; i < ELEMENTSOF(services); i++) {
                static const char *const suffixes[] = { "service", "timer" };
                Unit *units[] = { &l->hosts[i].service, &l->hosts[i].timer };

                for (size_t k = 0; k < ELEMENTSOF(units); k++) {
                        int r = read_unit(l, bus, services[i], suffixes[k], units[k]);

                        if (r == -ENOENT)
                                unit_done(units[k]);
                        else if (r < 0)
                                return r;
                        else
                                l->installed = true;
                }
        }
        return 0;
}

void *host_look_run(void *userdata) {
        HostLook *l = userdata;
        sd_bus *bus = NULL;
        usec_t day_ago = now(CLOCK_REALTIME) - USEC_PER_DAY;

        l->booted = advise_systemd();
        if (!l->booted)
                return NULL;
        l->r = sd_bus_open_system(&bus);
        if (l->r >= 0)
                l->r = read_units(l, bus);
        sd_bus_close_unref(bus);
        disk_look(l->local_database, &l->disks);
        l->journal_unreadable = !journal_is_readable();
        for (size_t i = 0; i < ELEMENTSOF(services); i++)
                if (l->hosts[i].service.load_state && now(CLOCK_BOOTTIME) < l->deadline)
                        journal_last_error(services[i], day_ago, &l->hosts[i].last_error);
        return NULL;
}

/* ---- what it means ---- */

static bool is_running(const Unit *u) {
        static const char *const states[] = { "activating", "active", "reloading", "deactivating" };

        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (streq_ptr(u->active_state, states[i]))
                        return true;
        return false;
}

static bool is_masked(const Unit *u) {
        return streq_ptr(u->load_state, "masked");
}

/* Its last start was skipped by a condition. */
static bool was_skipped(const Unit *u) {
        return u->condition_at > u->started && !u->condition_result;
}

/* Its next start will be, for want of a file. Who may not look believes the last one. */
static bool is_skipped(const Unit *u) {
        return u->needs && access(u->needs, F_OK) < 0 && (errno == ENOENT || was_skipped(u));
}

/* Since this host was booted. */
static bool has_run(const Unit *u) {
        return u->started > 0 || was_skipped(u);
}

/* How a timer stands; NULL where the service has none. */
static const char *timer_state(const Host *h) {
        if (!h->timer.load_state)
                return NULL;
        if (is_masked(&h->timer) || is_masked(&h->service))
                return "masked";
        if (!streq(h->timer.load_state, "loaded"))
                return "broken";
        if (streq_ptr(h->timer.active_state, "failed"))
                return "failed";
        if (!is_running(&h->timer))
                return streq_ptr(h->timer.file_state, "disabled") ? "disabled" : "stopped";
        if (streq_ptr(h->timer.sub_state, "elapsed") && !is_running(&h->service))
                return "elapsed";
        return "on";
}

/* How the last run ended: "exit status 75", "signal KILL", "timeout", or that it runs. NULL when
 * memory is short. */
static char *result_words(const Unit *u) {
        if (is_running(u))
                return strjoinf("running");
        if (was_skipped(u))
                return strjoinf("skipped");
        if (streq_ptr(u->result, "success"))
                return strjoinf("done");
        if (u->exit_code == CLD_EXITED && streq_ptr(u->result, "exit-code"))
                return strjoinf("exit status %d", u->exit_status);
        if (streq_ptr(u->result, "signal") || streq_ptr(u->result, "core-dump"))
                return strjoinf("signal %s", sigabbrev_np(u->exit_status) ?: "unknown");
        return strjoinf("%s", strnull(u->result));
}

/* What our exit statuses mean, as the services' --help says it. */
static const char *status_words(const Unit *u) {
        if (!streq_ptr(u->result, "exit-code"))
                return "";
        return u->exit_status == EX_TEMPFAIL   ? " (try again later)"
               : u->exit_status == EX_CONFIG   ? " (an operator must act)"
               : u->exit_status == EX_SOFTWARE ? " (a mistake of ours)"
                                               : "";
}

static int set_time(JsonObject *o, const char *name, uint64_t t) {
        char text[ISO8601_SIZE];

        if (t == 0 || t == UINT64_MAX)
                return json_set_string(o, name, NULL);
        time_format_iso8601(t, text);
        return json_set_string(o, name, text);
}

/* When the timer's next run is due, or 0. */
static uint64_t next_run(const Unit *timer) {
        usec_t real = now(CLOCK_REALTIME), monotonic = now(CLOCK_MONOTONIC);
        uint64_t next = UINT64_MAX;

        if (timer->next_realtime > real)
                next = timer->next_realtime;
        if (timer->next_monotonic > monotonic && timer->next_monotonic != UINT64_MAX)
                next = MIN(next, real + (timer->next_monotonic - monotonic));
        return next == UINT64_MAX ? 0 : next;
}

/* "systemctl A automapost-NAME.timer[ && systemctl B …]", with sudo for who needs it. */
static char *systemctl(const char *const *verbs, const char *name, const char *suffix) {
        _cleanup_(str_done) Str s = {};
        _cleanup_free_ char *unit = strjoinf("automapost-%s.%s", name, suffix);

        for (const char *const *v = verbs; *v && unit; v++) {
                _cleanup_free_ char *verb = strdup(*v), *command = NULL;
                char *option = verb ? strchr(verb, ' ') : NULL;

                if (option)
                        *option++ = '\0';
                if (!verb ||
                    advise_words(true,
                                 option ? (const char *[]){ "systemctl", verb, option, unit, NULL }
                                        : (const char *[]){ "systemctl", verb, unit, NULL },
                                 &command) < 0 ||
                    str_appendf(&s, "%s%s", s.length > 0 ? " && " : "", command) < 0)
                        return NULL;
        }
        return TAKE_PTR(s.data);
}

/* What the problem is about: of one kind there may be several. */
static int set_name(JsonObject *o, const char *name) {
        JsonObject *facts = json_object_new_object();

        if (!o || !facts || json_set(o, "facts", facts) < 0)
                return -ENOMEM;
        return json_set_string(facts, "name", name);
}

/* A timer that does not do its work. */
static int add_timer(JsonObject *problems, const Host *h, const char *name, bool worse) {
        static const struct {
                const char *state, *what;
                const char *verbs[3];
        } table[] = {
                { "stopped", "is stopped", { "start" } },
                { "disabled", "is disabled", { "enable --now" } },
                { "masked", "is masked", { "unmask", "enable --now" } },
                { "failed", "has failed", { "restart" } },
                { "elapsed", "has no next run", { "cat" } },
                { "broken", "cannot be loaded", { "status" } },
        };
        const char *state = timer_state(h);
        bool service_masked = is_masked(&h->service);
        JsonObject *o;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *command = NULL, *first = NULL;
                const char *verbs[3] = {};

                if (!streq(table[i].state, state))
                        continue;
                memcpy(verbs, table[i].verbs, sizeof(verbs));
                if (service_masked) /* only the service is: its timer is as it was */
                        verbs[1] = NULL;
                if (is_masked(service_masked ? &h->service : &h->timer) &&
                    streq_ptr(service_masked ? h->service.file_state : h->timer.file_state,
                              "masked-runtime"))
                        verbs[0] = "unmask --runtime";
                command = systemctl(verbs, name, service_masked ? "service" : "timer");
                if (!command)
                        return -ENOMEM;
                o = problem_add(problems, worse ? "publishing-stopped" : "service-stopped", command,
                                "automapost-%s.%s %s", name, service_masked ? "service" : "timer",
                                table[i].what);
                if (set_name(o, name) < 0)
                        return -ENOMEM;
                return set_time(o, "since", service_masked ? h->service.changed : h->timer.changed);
        }
        if (streq(state, "on") && streq_ptr(h->timer.file_state, "disabled")) {
                _cleanup_free_ char *command =
                        systemctl((const char *[]){ "enable", NULL }, name, "timer");

                if (!command)
                        return -ENOMEM;
                o = problem_add(problems, "not-enabled", command,
                                "automapost-%s.timer runs, but would not after a reboot", name);
                return set_name(o, name);
        }
        return 0;
}

static int add_failure(JsonObject *problems, const Host *h, const char *name, bool worse) {
        const Unit *u = &h->service;
        _cleanup_free_ char *result = result_words(u), *command = NULL;
        /* What it said itself, if that was in this run. */
        const char *said = h->last_error.time >= u->started ? h->last_error.message : NULL;
        JsonObject *o;

        command = systemctl((const char *[]){ "start", NULL }, name, "service");
        if (!result || !command)
                return -ENOMEM;
        o = problem_add(problems, worse ? "publishing-fails" : "service-fails", command,
                        "the last run of automapost-%s ended with %s%s%s%.*s", name, result,
                        status_words(u), said ? ": " : "", said ? (int) strcspn(said, "\n") : 0,
                        said ?: "");
        if (set_name(o, name) < 0 || set_time(o, "since", u->changed) < 0 ||
            json_set_int64(json_member(o, "facts"), "exitStatus",
                           u->exit_code == CLD_EXITED ? u->exit_status : -1) < 0)
                return -ENOMEM;
        return 0;
}

/* A worker that stays, which somebody has switched on. */
static bool is_wanted(const Host *h) {
        return streq_ptr(h->service.file_state, "enabled");
}

/* A service without a timer that is not there for anybody. */
static bool is_unused(const Host *h) {
        return !timer_state(h) && !is_wanted(h) && !is_running(&h->service) &&
               !streq_ptr(h->service.active_state, "failed");
}

static int add_stopped(JsonObject *problems, const Host *h, const char *name) {
        _cleanup_free_ char *command =
                systemctl((const char *[]){ "start", NULL }, name, "service");
        JsonObject *o;

        if (!command)
                return -ENOMEM;
        o = problem_add(problems, "service-stopped", command,
                        "automapost-%s.service is enabled, and is stopped", name);
        if (set_name(o, name) < 0)
                return -ENOMEM;
        return set_time(o, "since", h->service.changed);
}

static int add_units(const HostLook *l, bool elsewhere, JsonObject *problems) {
        const char *missing = NULL;
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(services) && r >= 0; i++) {
                const Host *h = &l->hosts[i];
                bool worse = streq(services[i], PUBLISHES) && !elsewhere;

                if (timer_state(h))
                        r = add_timer(problems, h, services[i], worse);
                else if (is_wanted(h) && streq_ptr(h->service.active_state, "inactive") &&
                         !is_skipped(&h->service))
                        r = add_stopped(problems, h, services[i]);
                if (is_skipped(&h->service))
                        missing = h->service.needs;
                else if (r >= 0 && streq_ptr(h->service.active_state, "failed"))
                        r = add_failure(problems, h, services[i], worse);
        }
        if (r >= 0 && missing) {
                _cleanup_free_ char *command = NULL;
                JsonObject *o;

                if (advise_words(true, (const char *[]){ "automapost", "setup", NULL }, &command) <
                    0)
                        return -ENOMEM;
                o = problem_add(problems, "not-set-up", command,
                                "every run is skipped: there is no %s", missing);
                r = o ? 0 : -ENOMEM;
        }
        return r;
}

static JsonObject *unit_json(const Host *h, const char *name) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object(), *e = NULL;
        _cleanup_free_ char *result = result_words(&h->service);
        const Unit *u = &h->service;

        if (h->last_error.message) {
                e = json_object_new_object();
                if (!e || set_time(e, "time", h->last_error.time) < 0 ||
                    json_set_string(e, "message", h->last_error.message) < 0)
                        return NULL;
        }
        if (!o || !result || json_set_string(o, "name", name) < 0 ||
            json_set_string(o, "timer", timer_state(h)) < 0 ||
            json_set_string(o, "state", u->active_state) < 0 ||
            json_set_string(o, "status", is_running(u) ? u->status_text : NULL) < 0 ||
            set_time(o, "lastRun", was_skipped(u) ? u->condition_at : u->started) < 0 ||
            json_set_string(o, "result", has_run(u) ? result : NULL) < 0 ||
            set_time(o, "next", next_run(&h->timer)) < 0 ||
            json_set(o, "lastError", TAKE_PTR(e)) < 0)
                return NULL;
        return TAKE_PTR(o);
}

static JsonObject *host_json(const HostLook *l) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object(),
                                          *units = json_object_new_array();

        for (size_t i = 0; i < ELEMENTSOF(services); i++) {
                JsonObject *u;

                if (!l->hosts[i].service.load_state || is_unused(&l->hosts[i]))
                        continue;
                u = unit_json(&l->hosts[i], services[i]);
                if (!u || !units || json_object_array_add(units, u) < 0)
                        return NULL;
        }
        if (!o || !units || json_set(o, "units", TAKE_PTR(units)) < 0 ||
            json_set_string(
                    o, "note",
                    l->journal_unreadable
                            ? "Errors in the journal: only for root and the group systemd-journal."
                            : NULL) < 0)
                return NULL;
        return TAKE_PTR(o);
}

static int add_disks(const DiskList *disks, JsonObject *problems) {
        for (size_t i = 0; i < disks->n; i++) {
                const Disk *d = &disks->disks[i];
                _cleanup_free_ char *command = NULL;
                JsonObject *o;

                if (!disk_is_nearly_full(d))
                        continue;
                if (advise_words(false, (const char *[]){ "df", "-h", d->path, NULL }, &command) <
                    0)
                        return -ENOMEM;
                o = problem_add(problems, "disk-full", command,
                                "the disk of %s is nearly full: %" PRIu64 " MiB of %" PRIu64
                                " MiB are free",
                                d->path, d->free >> 20, d->size >> 20);
                if (set_name(o, d->path) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int host_problems(HostLook *l, bool elsewhere, JsonObject *problems, JsonObject **ret_host) {
        int r;

        if (!l || (l->booted && l->r < 0))
                return problem_add(problems, "systemd-silent", "systemctl status",
                                   "systemd cannot be asked: %s",
                                   strerrordesc_np(l ? -l->r : ETIMEDOUT))
                               ? 0
                               : -ENOMEM;
        if (!l->booted || !l->installed)
                return 0;
        r = add_units(l, elsewhere, problems);
        if (r >= 0)
                r = add_disks(&l->disks, problems);
        if (r < 0)
                return r;
        *ret_host = host_json(l);
        return *ret_host ? 0 : -ENOMEM;
}
