/* SPDX-License-Identifier: MIT */
#include "base/settings.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "fuzz.h"

static void clear(void) {
        (void) unsetenv("STATE_DIRECTORY");
        (void) unsetenv("CREDENTIALS_DIRECTORY");
        for (char **e = environ; e && *e;) {
                _cleanup_free_ char *name = strndup(*e, strcspn(*e, "="));

                if (name && strncmp(name, "AUTOMAPOST_", 11) == 0) {
                        (void) unsetenv(name);
                        e = environ;
                } else
                        e++;
        }
}

/* Lines NAME=value, as of an EnvironmentFile=; the names get our prefix. */
static void set_lines(char *lines) {
        for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
                char *value = strchr(line, '='), name[128];

                if (!value)
                        continue;
                *value++ = '\0';
                (void) snprintf(name, sizeof(name), "AUTOMAPOST_%s", line);
                (void) setenv(name, value, 1);
        }
}

/* What was taken says the same when it is given again. */
static void check_round_trip(const Settings *s) {
        for (size_t i = 0; i < n_settings; i++) {
                const Setting *t = &settings_table[i];
                _cleanup_(settings_done) Settings again = {};
                _cleanup_free_ char *text = NULL, *text_again = NULL;
                SettingOrigin origin;
                int r;

                r = setting_describe(t, s, &text, &origin);
                assert(r == 0);
                assert(!t->secret || isempty(text) || streq(text, "[set]"));
                assert(origin == (isempty(getenv(t->name)) ? ORIGIN_DEFAULT : ORIGIN_ENVIRONMENT));
                assert(t->type != SETTING_URL || isempty(text) || text[strlen(text) - 1] != '/');
                if (t->secret)
                        continue;

                r = setenv(t->name, text, 1);
                assert(r == 0);
                r = settings_load(&again, NULL);
                assert(r == 0);
                r = setting_describe(t, &again, &text_again, NULL);
                assert(r == 0);
                assert(isempty(text) || streq(text, text_again));
        }

        assert(s->actors >= 1 && s->actors <= 512);
        assert(s->budget_sec >= 1 && s->budget_sec <= 3600);
        assert(s->grace_sec >= 1 && s->grace_sec <= 300);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(settings_done) Settings s = {};
        _cleanup_(error_done) Error e = ERROR_NULL;
        _cleanup_free_ char *lines = NULL;
        const char *secret;
        int r;

        clear();
        lines = strndup((const char *) data, n);
        assert(lines);
        set_lines(lines);

        r = settings_load(&s, &e);
        if (r < 0) {
                assert(r == -EINVAL && e.class == ERROR_CONFIG);
                assert(!isempty(e.message) && utf8_is_valid(e.message, strlen(e.message)));
                assert(strlen(e.message) < 400);
                secret = getenv("AUTOMAPOST_LINKEDIN_CLIENT_SECRET");
                /* A text of ours may hold a short one by chance. */
                assert(isempty(secret) || strlen(secret) < 16 || !strstr(e.message, secret) ||
                       !strstr(e.message, "CLIENT_SECRET"));
                return 0;
        }

        assert(e.class == ERROR_NONE);
        check_round_trip(&s);
        return 0;
}
