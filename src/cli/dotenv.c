/* SPDX-License-Identifier: MIT */

#include "cli/dotenv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"

#define FILE_MAX ((off_t) 1024 * 1024)
#define VALUE_MAX ((size_t) 64 * 1024)
#define DEPTH_MAX 16U
#define PIECES_MAX 1000U

typedef struct DotenvEntry {
        char *name;
        char *value; /* before expansion */
} DotenvEntry;

void dotenv_done(Dotenv *d) {
        for (size_t i = 0; i < d->n; i++) {
                free(d->entries[i].name);
                erase_and_freep(&d->entries[i].value);
        }
        free(d->entries);
        *d = (Dotenv){};
}

static const DotenvEntry *find(const Dotenv *d, const char *name, size_t n) {
        for (size_t i = 0; i < d->n; i++)
                if (strlen(d->entries[i].name) == n && memcmp(d->entries[i].name, name, n) == 0)
                        return &d->entries[i];
        return NULL;
}

/* ---- parsing ---- */

static bool is_name(char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-';
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

static bool is_space(char c) {
        return is_blank(c) || c == '\n' || c == '\r';
}

/* Where we are in the text; it ends with a NUL that belongs to nothing. */
typedef struct Cursor {
        const char *p, *end;
} Cursor;

static void skip_blanks(Cursor *c) {
        while (c->p < c->end && is_blank(*c->p))
                c->p++;
}

static void skip_line(Cursor *c) {
        while (c->p < c->end && *c->p != '\n' && *c->p != '\r')
                c->p++;
        while (c->p < c->end && (*c->p == '\n' || *c->p == '\r'))
                c->p++;
}

/* The text between two quotes; false where the second one is missing, and nothing is taken. */
static bool take_quoted(Cursor *c, const char **ret, size_t *ret_n) {
        char quote = *c->p;

        for (const char *p = c->p + 1; p < c->end; p++) {
                if (*p == '\\' && p + 1 < c->end && p[1] == quote)
                        p++;
                else if (*p == quote) {
                        *ret = c->p + 1;
                        *ret_n = (size_t) (p - c->p - 1);
                        c->p = p + 1;
                        return true;
                }
        }
        return false;
}

/* Up to a # or the line's end, without blanks around it. */
static void take_bare(Cursor *c, const char **ret, size_t *ret_n) {
        const char *start = c->p, *end;

        while (c->p < c->end && *c->p != '#' && *c->p != '\n' && *c->p != '\r')
                c->p++;
        end = c->p;
        while (end > start && is_space(end[-1]))
                end--;
        *ret = start;
        *ret_n = (size_t) (end - start);
}

/* A copy; in double quotes the two letters \n and \r are what they stand for. */
static char *copy_value(const char *s, size_t n, bool escapes) {
        char *value = malloc(n + 1), *to = value;

        if (!value)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                if (s[i] == '\0')
                        continue; /* no value of an environment has one */
                if (escapes && s[i] == '\\' && i + 1 < n && (s[i + 1] == 'n' || s[i + 1] == 'r'))
                        *to++ = s[++i] == 'n' ? '\n' : '\r';
                else
                        *to++ = s[i];
        }
        *to = '\0';
        return value;
}

/* The last assignment of a name counts. */
static int set(Dotenv *d, const char *name, size_t n, char *value) {
        const DotenvEntry *old = find(d, name, n);
        DotenvEntry *entries;
        char *copy;

        if (old) {
                DotenvEntry *e = &d->entries[old - d->entries];

                erase_and_freep(&e->value);
                e->value = value;
                return 0;
        }
        copy = strndup(name, n);
        entries = copy ? reallocarray(d->entries, d->n + 1, sizeof(DotenvEntry)) : NULL;
        if (!entries) {
                free(copy);
                free(value);
                return -ENOMEM;
        }
        d->entries = entries;
        d->entries[d->n++] = (DotenvEntry){ .name = copy, .value = value };
        return 0;
}

/* One assignment, or a line that is none. */
static int take_line(Cursor *c, Dotenv *d) {
        const char *name, *text = NULL;
        size_t name_n, n = 0;
        bool quoted = false;
        char *value, quote;

        while (c->p < c->end && is_space(*c->p))
                c->p++;
        if (c->end - c->p > 7 && strncmp(c->p, "export", 6) == 0 && is_blank(c->p[6])) {
                c->p += 6;
                skip_blanks(c);
        }
        name = c->p;
        while (c->p < c->end && is_name(*c->p))
                c->p++;
        name_n = (size_t) (c->p - name);
        skip_blanks(c);
        if (name_n == 0 || c->p >= c->end ||
            !(*c->p == '=' || (*c->p == ':' && c->p + 1 < c->end && is_blank(c->p[1])))) {
                skip_line(c);
                return 0;
        }
        c->p++;
        skip_blanks(c);
        quote = (char) (c->p < c->end ? *c->p : '\0');
        if (quote == '\'' || quote == '"' || quote == '`')
                quoted = take_quoted(c, &text, &n);
        if (!quoted)
                take_bare(c, &text, &n);
        value = copy_value(text, n, quoted && quote == '"');
        skip_line(c);
        return value ? set(d, name, name_n, value) : -ENOMEM;
}

int dotenv_parse(const char *text, size_t n, Dotenv *ret) {
        _cleanup_(dotenv_done) Dotenv d = {};
        Cursor c = { .p = text, .end = text + n };
        int r;

        if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                c.p += 3; /* an editor's mark */
        while (c.p < c.end) {
                r = take_line(&c, &d);
                if (r < 0)
                        return r;
        }
        *ret = d;
        d = (Dotenv){};
        return 0;
}

/* ---- expansion ---- */

typedef struct Expansion {
        const Dotenv *file;
        Str text;
        unsigned
                pieces; /* values put in so far: ${A}${A} of ${B}${B} of … doubles with each step */
} Expansion;

static int expand(Expansion *x, const char *name, const char *value, unsigned depth,
                  Error *ret_error);

/* ${NAME}, ${NAME-default}, ${NAME:-default}: p is behind the brace, n up to the closing one. */
static int expand_one(Expansion *x, const char *in, const char *p, size_t n, unsigned depth,
                      Error *ret_error) {
        _cleanup_(erase_and_freep) char *fallback = NULL;
        const DotenvEntry *e;
        size_t name_n = 0;

        while (name_n < n && is_name(p[name_n]) && p[name_n] != '-')
                name_n++;
        e = find(x->file, p, name_n);
        if (e && (e->value[0] != '\0' || name_n == n))
                return expand(x, e->name, e->value, depth + 1, ret_error);
        if (n - name_n >= 2 && memcmp(p + name_n, ":-", 2) == 0)
                fallback = strndup(p + name_n + 2, n - name_n - 2);
        else if (name_n < n && p[name_n] == '-')
                fallback = strndup(p + name_n + 1, n - name_n - 1);
        else {
                _cleanup_free_ char *shown = utf8_make_valid(p, n, 60);

                return error_setf(ret_error, ERROR_CONFIG, -ENOENT, "dotenv",
                                  "%s needs ${%s}, which the file does not assign", in,
                                  strnull(shown));
        }
        if (!fallback)
                return error_oom(ret_error);
        return expand(x, in, fallback, depth + 1, ret_error);
}

static int expand(Expansion *x, const char *name, const char *value, unsigned depth,
                  Error *ret_error) {
        int r = 0;

        if (depth > DEPTH_MAX || ++x->pieces > PIECES_MAX)
                return error_setf(ret_error, ERROR_CONFIG, -ELOOP, "dotenv",
                                  "%s is made of itself, or of too many other values", name);
        for (const char *p = value; *p && r >= 0;) {
                size_t n = strcspn(p, "\\$"), close;

                if (x->text.length + n > VALUE_MAX)
                        return error_setf(ret_error, ERROR_CONFIG, -E2BIG, "dotenv",
                                          "%s becomes longer than 64 KiB", name);
                r = str_append_n(&x->text, p, n);
                p += n;
                if (r < 0 || *p == '\0')
                        break;
                close = strcspn(p, "}");
                if (*p == '\\' && p[1] == '$') {
                        r = str_append(&x->text, "$");
                        p += 2;
                } else if (*p == '$' && p[1] == '{' && p[close] == '}') {
                        r = expand_one(x, name, p + 2, close - 2, depth, ret_error);
                        if (r < 0)
                                return r;
                        p += close + 1;
                } else {
                        r = str_append_n(&x->text, p, 1);
                        p++;
                }
        }
        return r < 0 ? error_oom(ret_error) : 0;
}

int dotenv_get(const Dotenv *d, const char *name, char **ret, Error *ret_error) {
        const DotenvEntry *e = find(d, name, strlen(name));
        Expansion x = { .file = d };
        int r;

        if (!e) {
                *ret = NULL;
                return 0;
        }
        r = str_append(&x.text, "");
        r = r < 0 ? error_oom(ret_error) : expand(&x, e->name, e->value, 0, ret_error);
        if (r < 0) {
                erase_and_freep(&x.text.data);
                return r;
        }
        *ret = x.text.data;
        return 0;
}

/* ---- files ---- */

int dotenv_load(const char *path, Dotenv *ret, Error *ret_error) {
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        size_t n = 0;
        struct stat st;
        ssize_t k;

        if (fd < 0 || fstat(fd, &st) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, "dotenv", "cannot read %s: %s",
                                  path, strerrordesc_np(errno));
        if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "dotenv",
                                  "%s is no file, or larger than 1 MiB", path);
        text = malloc((size_t) st.st_size + 1);
        if (!text)
                return error_oom(ret_error);
        while (n < (size_t) st.st_size && (k = read(fd, text + n, (size_t) st.st_size - n)) > 0)
                n += (size_t) k;
        text[n] = '\0';
        return dotenv_parse(text, n, ret) < 0 ? error_oom(ret_error) : 0;
}
