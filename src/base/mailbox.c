/* SPDX-License-Identifier: MIT */
#include "mailbox.h"

#include <errno.h>

#include "text.h"

#define ADDRESS_MAX ((size_t) 254) /* RFC 5321: what fits between the brackets of a path */

static bool is_address(const char *s, size_t n) {
        const char *at = memchr(s, '@', n);

        if (n > ADDRESS_MAX || !at || at == s || at == s + n - 1 ||
            memchr(at + 1, '@', (size_t) (s + n - at - 1)))
                return false;
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) s[i] <= ' ' || s[i] == 0x7f || strchr("<>()[],;:\\\"", s[i]))
                        return false;
        return utf8_is_valid(s, n);
}

static void strip(const char **s, size_t *n) {
        while (*n > 0 && (**s == ' ' || **s == '\t')) {
                (*s)++;
                (*n)--;
        }
        while (*n > 0 && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\t'))
                (*n)--;
}

static bool is_name(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) s[i] < ' ' || s[i] == 0x7f || strchr("<>\"\\", s[i]))
                        return false;
        return utf8_is_valid(s, n);
}

int mailbox_parse(const char *s, char **ret_name, char **ret_address) {
        _cleanup_free_ char *name = NULL, *address = NULL;
        size_t n = strlen(s), n_name = 0;
        const char *open, *start = s;

        strip(&s, &n);
        open = memchr(s, '<', n);
        if (open) {
                if (s[n - 1] != '>')
                        return -EINVAL;
                start = s;
                n_name = (size_t) (open - s);
                n = (size_t) (s + n - 1 - (open + 1));
                s = open + 1;
                strip(&start, &n_name);
                if (n_name >= 2 && start[0] == '"' && start[n_name - 1] == '"') {
                        start++;
                        n_name -= 2;
                }
        }
        if (!is_address(s, n) || !is_name(start, n_name))
                return -EINVAL;

        address = strndup(s, n);
        if (n_name > 0)
                name = strndup(start, n_name);
        if (!address || (n_name > 0 && !name))
                return -ENOMEM;
        *ret_name = TAKE_PTR(name);
        *ret_address = TAKE_PTR(address);
        return 0;
}

int mailbox_next(const char *list, size_t *pos, char **ret) {
        const char *s;
        size_t n;

        do {
                if (list[*pos] == '\0')
                        return 0;
                s = list + *pos;
                n = strcspn(s, ",");
                *pos += n + (s[n] == ',');
                strip(&s, &n);
        } while (n == 0);

        *ret = strndup(s, n);
        return *ret ? 1 : -ENOMEM;
}
