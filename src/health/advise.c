/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/text.h"
#include "health/advise.h"

#define UNQUOTED                                                         \
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" \
        "%+,-./:=@_"

bool advise_systemd(void) {
        return access("/run/systemd/system", F_OK) == 0; /* sd_booted(3) */
}

/* One word for a POSIX shell. */
static int append_word(Str *s, const char *word) {
        int r = s->length > 0 ? str_append(s, " ") : 0;

        if (r < 0)
                return r;
        if (*word && strspn(word, UNQUOTED) == strlen(word))
                return str_append(s, word);
        r = str_append(s, "'");
        for (const char *p = word; *p && r >= 0; p++)
                r = *p == '\'' ? str_append(s, "'\\''") : str_append_n(s, p, 1);
        return r < 0 ? r : str_append(s, "'");
}

int advise_words(bool root, const char *const *words, char **ret) {
        _cleanup_(str_done) Str s = {};
        int r = root && geteuid() != 0 ? append_word(&s, "sudo") : 0;

        for (const char *const *w = words; *w && r >= 0; w++)
                r = append_word(&s, *w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s.data);
        return 0;
}

/* The program of a service: beside this one (a build folder), or where it is installed. */
static char *service_program(const char *name) {
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash, *path;

        self[MAX(n, 0)] = '\0';
        slash = strrchr(self, '/');
        if (slash) {
                *slash = '\0';
                path = strjoinf("%s/automapost-%s", self, name);
                if (!path || access(path, X_OK) == 0)
                        return path;
                free(path);
        }
        return strjoinf("%s/automapost-%s", LIBEXECDIR, name);
}

static int start_service(const char *name, char **ret) {
        _cleanup_free_ char *service = NULL, *timer = NULL, *program = NULL;

        if (!advise_systemd()) {
                program = service_program(name);
                return program ? advise_words(false, (const char *[]){ program, NULL }, ret)
                               : -ENOMEM;
        }
        service = strjoinf("automapost-%s.service", name);
        timer = strjoinf("automapost-%s.timer", name);
        if (!service || !timer)
                return -ENOMEM;
        return advise_words(true,
                            (const char *[]){ "systemctl", "start", "--no-block", timer, service,
                                              NULL },
                            ret);
}

/* setup changes this machine; whatever else is advised needs the database alone. */
static bool needs_root(JsonObject *words) {
        return words && json_object_array_length(words) > 1 &&
               streq_ptr(json_object_get_string(json_object_array_get_idx(words, 1)), "setup");
}

int advise_command(JsonObject *o, char **ret) {
        JsonObject *array = json_member(o, "command");
        const char *start = json_string(o, "start");
        _cleanup_(str_done) Str s = {};

        if (start)
                return start_service(start, ret);
        if (needs_root(array) && geteuid() != 0 && append_word(&s, "sudo") < 0)
                return -ENOMEM;
        for (size_t i = 0; array && i < json_object_array_length(array); i++)
                if (append_word(&s, json_object_get_string(json_object_array_get_idx(array, i))
                                            ?: "") < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(s.data);
        return 0;
}
