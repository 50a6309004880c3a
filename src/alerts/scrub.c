/* SPDX-License-Identifier: MIT */
#include "alerts/scrub.h"

#include <ctype.h>
#include <strings.h>

#include "base/text.h"

#define LONG_WORD ((size_t) 20)
#define REPLACEMENT "[secret]"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define WORD LETTERS DIGITS "_-+"

/* ---- what is known ---- */

/* The password inside of a URL, borrowed; 0 where there is none. */
static size_t url_password(const char *url, const char **ret) {
        const char *start = strstr(url, "://"), *colon;
        size_t authority, at;

        if (!start)
                return 0;
        start += 3;
        authority = strcspn(start, "/?#");
        for (at = authority; at > 0 && start[at - 1] != '@'; at--)
                ;
        colon = at > 0 ? memchr(start, ':', at - 1) : NULL;
        if (!colon)
                return 0;
        *ret = colon + 1;
        return (size_t) (start + at - 1 - *ret);
}

typedef struct Secrets {
        const char *list[32];
        char *passwords[32]; /* of URLs; also in the list */
        size_t n, n_passwords;
} Secrets;

static void secrets_done(Secrets *s) {
        for (size_t i = 0; i < s->n_passwords; i++)
                erase_and_freep(&s->passwords[i]);
}

static int find_secrets(const Settings *settings, Secrets *ret) {
        for (const Setting *t = settings_table; t < settings_table + n_settings; t++) {
                const char *value, *password;
                size_t n;

                if (!t->secret || ret->n + 2 > ELEMENTSOF(ret->list))
                        continue;
                value = *(char *const *) (const void *) ((const char *) settings + t->offset);
                if (isempty(value))
                        continue;
                ret->list[ret->n++] = value;
                n = url_password(value, &password);
                if (n == 0)
                        continue;
                ret->passwords[ret->n_passwords] = strndup(password, n);
                if (!ret->passwords[ret->n_passwords])
                        return -1;
                ret->list[ret->n++] = ret->passwords[ret->n_passwords++];
        }
        return 0;
}

/* ---- what looks like one ---- */

static bool is_uuid(const char *s, size_t n) {
        static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

        for (size_t i = 0; i < sizeof(shape) - 1; i++)
                if (i >= n || (shape[i] == '-' ? s[i] != '-' : !isxdigit((unsigned char) s[i])))
                        return false;
        return n == sizeof(shape) - 1;
}

/* Long, of letters and digits mixed as no word of a language has them. */
static bool is_token(const char *s, size_t n) {
        size_t digits = 0, letters = 0;

        for (size_t i = 0; i < n; i++) {
                digits += s[i] >= '0' && s[i] <= '9';
                letters += s[i] != '\0' && strchr(LETTERS, s[i]) != NULL;
        }
        return n >= LONG_WORD && digits >= 2 && letters >= 2 && !is_uuid(s, n);
}

/* How long the name of a secret at s is, with the sign that its value follows; 0 if it is none. */
static size_t secret_name(const char *s) {
        static const char *const names[] = {
                "password", "passwd",  "pwd",     "secret", "token",
                "apikey",   "api_key", "api-key", "key",
        };

        if (strncasecmp(s, "bearer ", 7) == 0)
                return 7;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                size_t n = strlen(names[i]);

                if (strncasecmp(s, names[i], n) != 0)
                        continue;
                n += s[n] == '"' || s[n] == '\'';
                /* "token: expired" is a sentence */
                if ((s[n] != '=' && s[n] != ':') || s[n + 1] == '\0' ||
                    isspace((unsigned char) s[n + 1]))
                        continue;
                n++;
                return n + (s[n] == '"' || s[n] == '\'');
        }
        return 0;
}

/* How much at s is to be replaced, after *ret_keep bytes that stay. */
static size_t looks_secret(const char *s, bool at_word, size_t *ret_keep) {
        const char *password;
        size_t n;

        *ret_keep = secret_name(s);
        if (*ret_keep > 0)
                return strcspn(s + *ret_keep, " \t\n\"'&,;)");

        if (strncmp(s, "://", 3) == 0) {
                size_t word = strcspn(s, " \t\n\"'<>");
                _cleanup_free_ char *url = strndup(s, word);

                n = url ? url_password(url, &password) : 0;
                *ret_keep = n > 0 ? (size_t) (password - url) : 0;
                return n;
        }

        n = at_word ? strspn(s, WORD) : 0;
        return n > 0 && (strncmp(s, "whsec_", 6) == 0 || is_token(s, n)) ? n : 0;
}

static char *scrub_likely(const char *s) {
        _cleanup_(str_done) Str out = {};
        bool at_word = true;

        if (str_append(&out, "") < 0)
                return NULL;
        while (*s) {
                size_t keep, n = looks_secret(s, at_word, &keep);

                if (n == 0) {
                        at_word = !strchr(WORD, *s);
                        if (str_append_n(&out, s++, 1) < 0)
                                return NULL;
                        continue;
                }
                if (str_append_n(&out, s, keep) < 0 || str_append(&out, REPLACEMENT) < 0)
                        return NULL;
                s += keep + n;
                at_word = true;
        }
        return TAKE_PTR(out.data);
}

char *alert_scrub(const char *s, const Settings *settings) {
        _cleanup_(secrets_done) Secrets secrets = {};
        _cleanup_free_ char *known = NULL;

        if (find_secrets(settings, &secrets) < 0)
                return NULL;
        known = text_scrub(s, secrets.list, secrets.n);
        return known ? scrub_likely(known) : NULL;
}
