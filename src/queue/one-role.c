/* SPDX-License-Identifier: MIT */

#include "queue/one-role.h"

#include <errno.h>

#include "base/text.h"

#define PREFIX "automapost_jobs_"

/* The length of one of our roles' names at s; 0 where there is none. */
static size_t role_length(const char *s) {
        static const char *const names[] = { "owner", "service", "schedule", "app" };
        size_t prefix = strlen(PREFIX);

        if (strncmp(s, PREFIX, prefix) != 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                size_t n = prefix + strlen(names[i]);

                if (strncmp(s + prefix, names[i], n - prefix) == 0 &&
                    strspn(s + n, "abcdefghijklmnopqrstuvwxyz0123456789_") == 0)
                        return n;
        }
        return 0;
}

int one_role_check(const char *role) {
        return isempty(role) || strpbrk(role, "'\"\\$%\r\n") ? -EINVAL : 0;
}

char *one_role_sql(const char *sql, const char *role) {
        _cleanup_(str_done) Str s = {};
        const char *copied = sql;

        for (const char *p = strstr(sql, PREFIX); p; p = strstr(p + 1, PREFIX)) {
                size_t n = role_length(p);
                bool literal, name_in_literal;

                if (n == 0)
                        continue;
                literal = p > sql && p[-1] == '\'' && p[n] == '\'';
                name_in_literal = literal && strncmp(p + n, "'::reg", strlen("'::reg")) == 0;
                if (str_append_n(&s, copied, (size_t) (p - copied)) < 0 ||
                    str_appendf(&s, literal && !name_in_literal ? "%s" : "\"%s\"", role) < 0)
                        return NULL;
                copied = p + n;
        }
        return str_append(&s, copied) < 0 ? NULL : TAKE_PTR(s.data);
}
