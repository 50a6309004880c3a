/* SPDX-License-Identifier: MIT */

/* Which installation this machine publishes for: a further host joins it, a restored database is
 * taken over. */

#include "cli/setup.h"
#include "queue/host.h"

#define STATE_FOLDER "/var/lib/automapost-jobs" /* StateDirectory= of the units */

static void say_adopted(const Setup *s, JsonObject *answer) {
        const char *id = json_string(answer, "installation");

        if (streq_ptr(json_string(answer, "state"), "unchanged")) {
                setup_say(s, STYLE_NONE, "Nothing to take over: this database is installation %s.",
                          strnull(id));
                return;
        }
        setup_say(s, STYLE_GOOD, "This database is installation %s now.", strnull(id));
        setup_field(s, "Publishing", "goes on within two minutes; %s. Then see automapost status.",
                    strnull(json_string(answer, "detail")));
}

int setup_installation(const Setup *s, Db *db, Error *ret_error) {
        JsonObject *answer = NULL;
        Host host;
        int r;

        if (!s->adopt && !s->join)
                return 0;
        r = host_read(&host, ret_error);
        if (r >= 0)
                r = s->adopt ? host_adopt(db, &host, CLI_TIMEOUT, &answer, ret_error)
                             : host_join(db, &host, s->join, CLI_TIMEOUT, &answer, ret_error);
        if (r < 0)
                return r;
        if (s->adopt)
                say_adopted(s, answer);
        else
                setup_say(s, STYLE_GOOD, "%s %s host of installation %s.", host.name,
                          streq_ptr(json_string(answer, "state"), "member") ? "is already a"
                                                                            : "is now a",
                          s->join);
        return json_set(s->report, s->adopt ? "adopted" : "joined", answer) < 0
                       ? error_oom(ret_error)
                       : 0;
}

int setup_installation_alone(const Setup *s, bool *ret_done, Error *ret_error) {
        int r;

        *ret_done = false;
        if ((!s->adopt && !s->join) || cli_option(s->c, "env"))
                return 0;
        r = cli_settings(s->c, ret_error);
        if (r < 0 || isempty(s->c->settings.database_url) || s->c->settings_in_dev)
                return r;
        *ret_done = true;
        r = cli_connect(s->c, ret_error);
        return r < 0 ? r : setup_installation(s, s->c->db, ret_error);
}

int setup_admission(Setup *s, Error *ret_error) {
        _cleanup_free_ char *state_folder = strdup(STATE_FOLDER);
        const Settings settings = { .state_dir = state_folder };
        _cleanup_(json_unrefp) JsonObject *state = NULL;
        const char *id;
        Host host;
        int r;

        r = state_folder ? setup_read_state(s, &state, ret_error) : error_oom(ret_error);
        if (r >= 0)
                r = host_read(&host, ret_error);
        if (r < 0)
                return r;
        id = json_string(state, "installation");
        r = host_meet(s->service, &host, &settings, strnull(id), CLI_TIMEOUT, ret_error);
        if (r < 0)
                return r;
        setup_say(s, STYLE_NONE,
                  "This machine is a host of installation %s. A further one joins with: sudo "
                  "automapost setup --join %s",
                  strnull(id), strnull(id));
        return json_set_string(s->report, "installation", id) < 0 ? error_oom(ret_error) : 0;
}
