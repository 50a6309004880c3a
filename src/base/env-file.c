/* SPDX-License-Identifier: MIT */

#include "base/env-file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"

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

static int open_file(const char *path, FILE **ret, Error *ret_error) {
        *ret = fopen(path, "re");
        if (*ret || errno == ENOENT || errno == ENOTDIR)
                return 0;
        return error_setf(ret_error, ERROR_CONFIG, -errno, "settings-file",
                          "cannot read %s: %s\nHINT: members of its group may; or set "
                          "AUTOMAPOST_DATABASE_URL yourself",
                          path, strerrordesc_np(errno));
}

/* The next assignment, in the line that was read into *line. 0: there is none any more. */
static int next(FILE *f, const char *path, char **line, size_t *allocated, size_t *number,
                char **ret_name, char **ret_value, Error *ret_error) {
        ssize_t n;

        while ((n = getline(line, allocated, f)) > 0) {
                char *start = *line + strspn(*line, " \t");

                (*number)++;
                while (n > 0 && strchr(" \t\r\n", (*line)[n - 1]))
                        (*line)[--n] = '\0';
                if (*start == '\0' || *start == '#' || *start == ';')
                        continue;
                if (!take_apart(start, ret_name, ret_value))
                        return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "settings-file",
                                          "%s, line %zu is not NAME=value", path, *number);
                return 1;
        }
        return 0;
}

int env_file_load(const char *path, bool replace, Error *ret_error) {
        _cleanup_(env_closep) FILE *f = NULL;
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0, number = 0;
        char *name, *value;
        int r;

        r = open_file(path, &f, ret_error);
        if (r < 0 || !f)
                return r;
        while ((r = next(f, path, &line, &allocated, &number, &name, &value, ret_error)) > 0)
                if (setenv(name, value, replace) < 0)
                        return error_oom(ret_error);
        return r < 0 ? r : 1;
}

int env_file_get(const char *path, const char *name, char **ret, Error *ret_error) {
        _cleanup_(env_closep) FILE *f = NULL;
        _cleanup_(erase_and_freep) char *found = NULL, *line = NULL;
        size_t allocated = 0, number = 0;
        char *n = NULL, *value = NULL;
        int r;

        r = open_file(path, &f, ret_error);
        if (r < 0)
                return r;
        while (f && (r = next(f, path, &line, &allocated, &number, &n, &value, ret_error)) > 0) {
                assert(n && value);
                if (!streq(n, name))
                        continue;
                erase_and_freep(&found);
                found = strdup(value);
                if (!found)
                        return error_oom(ret_error);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(found);
        return 0;
}

/* ---- writing ---- */

static bool assigns(const char *line, const char *name) {
        size_t n = strlen(name);

        line += strspn(line, " \t");
        return strncmp(line, name, n) == 0 && line[n] == '=';
}

static int append_line(Str *s, const char *line) {
        int r = str_append(s, line);

        return r < 0 || (s->length > 0 && s->data[s->length - 1] == '\n') ? r : str_append(s, "\n");
}

/* The file's new text: each variable in its old place, or at the end. */
static int new_text(FILE *f, const char *head, const EnvVariable *variables, size_t n, Str *s) {
        _cleanup_free_ bool *done = calloc(n + 1, sizeof(bool));
        _cleanup_(erase_and_freep) char *line = NULL;
        size_t allocated = 0;
        int r = 0;

        if (!done)
                return -ENOMEM;
        if (!f)
                r = append_line(s, head);
        while (r >= 0 && f && getline(&line, &allocated, f) > 0) {
                const EnvVariable *v = NULL;

                for (size_t i = 0; i < n; i++)
                        if (assigns(line, variables[i].name))
                                v = &variables[i];
                if (!v)
                        r = append_line(s, line);
                else if (!done[v - variables]) {
                        r = str_appendf(s, "%s=%s\n", v->name, v->value);
                        done[v - variables] = true;
                }
        }
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (!done[i])
                        r = str_appendf(s, "%s=%s\n", variables[i].name, variables[i].value);
        return r;
}

int env_file_set(const char *path, const char *head, const EnvVariable *variables, size_t n,
                 mode_t mode, gid_t gid, Error *ret_error) {
        _cleanup_(env_closep) FILE *f = NULL;
        _cleanup_free_ char *fresh = strjoinf("%s.XXXXXX", path);
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_close_ int fd = -1;
        Str s = {};
        int r;

        r = open_file(path, &f, ret_error);
        if (r < 0)
                return r;
        r = fresh ? new_text(f, head, variables, n, &s) : -ENOMEM;
        text = s.data;
        if (r < 0)
                return error_oom(ret_error);
        fd = mkostemp(fresh, O_CLOEXEC);
        if (fd < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, "settings-file",
                                  "cannot write %s: %s", path, strerrordesc_np(errno));
        if (fchown(fd, (uid_t) -1, gid) < 0 || fchmod(fd, mode) < 0 ||
            write(fd, text, s.length) != (ssize_t) s.length || fsync(fd) < 0 ||
            rename(fresh, path) < 0) {
                r = errno > 0 ? -errno : -EIO;
                (void) unlink(fresh);
                return error_setf(ret_error, ERROR_CONFIG, r, "settings-file",
                                  "cannot write %s: %s", path, strerrordesc_np(-r));
        }
        return 0;
}
