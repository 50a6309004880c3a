/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdio.h>

#include "base/macro.h"
#include "cli/env-file.h"

static inline void env_close(FILE *f) {
        (void) fclose(f);
}
DEFINE_CLEANUP(FILE, env_close);

/* Takes NAME=value apart in place; false where it is none. */
static bool take_apart(char *line, char **ret_name, char **ret_value) {
        char *value = strchr(line, '=');
        size_t n;

        if (!value || value == line ||
            line[strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] !=
                    '=')
                return false;
        *value++ = '\0';
        n = strlen(value);
        if (n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n - 1] == value[0]) {
                value[n - 1] = '\0';
                value++;
        }
        *ret_name = line;
        *ret_value = value;
        return true;
}

int env_file_load(const char *path, bool replace, Error *ret_error) {
        _cleanup_(env_closep) FILE *f = fopen(path, "re");
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0, number = 0;
        ssize_t n;

        if (!f) {
                if (errno == ENOENT || errno == ENOTDIR)
                        return 0;
                return error_setf(ret_error, ERROR_CONFIG, -errno, "settings-file",
                                  "cannot read %s: %s\nHINT: members of its group may; or set "
                                  "AUTOMAPOST_DATABASE_URL yourself",
                                  path, strerrordesc_np(errno));
        }
        while ((n = getline(&line, &allocated, f)) > 0) {
                char *start = line + strspn(line, " \t"), *name, *value;

                number++;
                while (n > 0 && strchr(" \t\r\n", line[n - 1]))
                        line[--n] = '\0';
                if (*start == '\0' || *start == '#' || *start == ';')
                        continue;
                if (!take_apart(start, &name, &value))
                        return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "settings-file",
                                          "%s, line %zu is not NAME=value", path, number);
                if (setenv(name, value, replace) < 0)
                        return error_oom(ret_error);
        }
        return 1;
}
