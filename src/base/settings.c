/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#include "mailbox.h"
#include "text.h"

#define PREFIX "AUTOMAPOST_"
#define CREDENTIAL_SIZE_MAX ((size_t) 64 * 1024)

static void *field_of(const Setting *setting, Settings *s) {
        return (char *) s + setting->offset;
}

static const void *const_field_of(const Setting *setting, const Settings *s) {
        return (const char *) s + setting->offset;
}

static bool is_text(const Setting *setting) {
        return setting->type != SETTING_UINT && setting->type != SETTING_BOOL;
}

/* ---- values ---- */

static int parse_uint(const Setting *setting, const char *value, uint64_t *ret) {
        unsigned long long n;

        if (value[strspn(value, "0123456789")] != '\0')
                return -EINVAL;

        errno = 0;
        n = strtoull(value, NULL, 10);
        if (errno != 0 || n < setting->min || n > setting->max)
                return -EINVAL;

        *ret = n;
        return 0;
}

static int parse_bool(const char *value, bool *ret) {
        static const char *const words[][2] = {
                { "no", "yes" }, { "false", "true" }, { "off", "on" }, { "0", "1" }
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                for (size_t k = 0; k < 2; k++)
                        if (strcasecmp(value, words[i][k]) == 0) {
                                *ret = k == 1;
                                return 0;
                        }

        return -EINVAL;
}

static bool is_choice(const char *choices, const char *value) {
        size_t n = strlen(value), k;

        for (const char *p = choices;; p += k + 1) {
                k = strcspn(p, "|");
                if (k == n && memcmp(p, value, n) == 0)
                        return true;
                if (p[k] == '\0')
                        return false;
        }
}

static bool is_month(const char *value) {
        int month;

        if (strlen(value) != 6 || strspn(value, "0123456789") != 6)
                return false;

        month = (value[4] - '0') * 10 + (value[5] - '0');
        return value[0] == '2' && month >= 1 && month <= 12;
}

/* SCHEME://HOST[:PORT][/PATH]; a path is joined to it, so neither query nor fragment, and no
 * slash at its end. Returns the length that is kept, 0 if it is none. */
static size_t url_length(const char *value) {
        size_t n = strlen(value), scheme, host;

        if (strncmp(value, "https://", 8) == 0)
                scheme = 8;
        else if (strncmp(value, "http://", 7) == 0)
                scheme = 7;
        else
                return 0;

        for (const char *p = value; *p; p++)
                if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f ||
                    strchr("\"<>\\^`{|}?#@", *p))
                        return 0;

        host = strcspn(value + scheme, "/");
        if (host == 0 || value[scheme] == ':')
                return 0;

        while (n > scheme + host && value[n - 1] == '/')
                n--;

        return n;
}

/* SCHEME://HOST…, to be asked for as it is. */
static bool is_link(const char *value) {
        const char *host = strstr(value, "://");

        if (strncmp(value, "https://", 8) != 0 && strncmp(value, "http://", 7) != 0)
                return false;
        for (const char *p = value; *p; p++)
                if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f ||
                    strchr("\"<>\\^`{|}#@", *p))
                        return false;
        return strcspn(host + 3, "/?:") > 0;
}

static int check_mailboxes(const char *value, size_t max) {
        size_t pos = 0, n = 0;
        int r;

        for (;; n++) {
                _cleanup_free_ char *mailbox = NULL, *name = NULL, *address = NULL;

                r = mailbox_next(value, &pos, &mailbox);
                if (r <= 0)
                        return r < 0 ? r : n > max ? -EINVAL : 0;
                r = mailbox_parse(mailbox, &name, &address);
                if (r < 0)
                        return r;
        }
}

static int parse_text(const Setting *setting, const char *value, char **ret) {
        size_t n = strlen(value);
        char *text;
        int r = 0;

        if (setting->type == SETTING_CHOICE && !is_choice(setting->choices, value))
                return -EINVAL;
        if (setting->type == SETTING_MONTH && !is_month(value))
                return -EINVAL;
        if (setting->type == SETTING_URL && n > 0) {
                n = url_length(value);
                if (n == 0)
                        return -EINVAL;
        }
        if (setting->type == SETTING_LINK && n > 0 && !is_link(value))
                return -EINVAL;
        if (setting->type == SETTING_MAILBOX || setting->type == SETTING_MAILBOXES)
                r = check_mailboxes(value, setting->type == SETTING_MAILBOX ? 1 : SIZE_MAX);
        if (r < 0)
                return r;

        text = strndup(value, n);
        if (!text)
                return -ENOMEM;

        free(*ret);
        *ret = text;
        return 0;
}

static int parse(const Setting *setting, const char *value, Settings *s) {
        switch (setting->type) {
        case SETTING_UINT:
                return parse_uint(setting, value, field_of(setting, s));
        case SETTING_BOOL:
                return parse_bool(value, field_of(setting, s));
        case SETTING_STRING:
        case SETTING_CHOICE:
        case SETTING_URL:
        case SETTING_MONTH:
        case SETTING_LINK:
        case SETTING_MAILBOX:
        case SETTING_MAILBOXES:
                return parse_text(setting, value, field_of(setting, s));
        }

        return -EINVAL;
}

/* What a value may be, after "must be". */
static char *allowed(const Setting *setting) {
        switch (setting->type) {
        case SETTING_UINT:
                return strjoinf("a whole number from %" PRIu64 " to %" PRIu64 "%s%s", setting->min,
                                setting->max, setting->unit ? " " : "",
                                setting->unit ? setting->unit : "");
        case SETTING_BOOL:
                return strdup("yes or no");
        case SETTING_CHOICE:
                return strjoinf("one of %s", setting->choices);
        case SETTING_URL:
                return strdup("an http:// or https:// URL without user, query and fragment");
        case SETTING_MONTH:
                return strdup("a year and month as YYYYMM");
        case SETTING_LINK:
                return strdup("an http:// or https:// URL without user and fragment");
        case SETTING_MAILBOX:
                return strdup("a mail address: user@host or Name <user@host>");
        case SETTING_MAILBOXES:
                return strdup("mail addresses, separated by commas");
        case SETTING_STRING:
                return strdup("text");
        }

        return NULL;
}

static int refuse(const Setting *setting, const char *value, Error *ret_error) {
        _cleanup_free_ char *may = NULL, *shown = NULL;

        may = allowed(setting);
        shown = utf8_make_valid(value, strlen(value), 80);
        if (!may || !shown)
                return error_oom(ret_error);

        /* A URL with a user in it may have a password there. */
        if (setting->secret || (setting->type == SETTING_URL && strchr(value, '@')))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, NULL, "%s must be %s",
                                  setting->name, may);

        return error_setf(ret_error, ERROR_CONFIG, -EINVAL, NULL, "%s is \"%s\", must be %s",
                          setting->name, shown, may);
}

/* ---- where values come from ---- */

/* Where systemd has put it: by its own name, or as one of a folder (LoadCredential=automapost:…).
 */
static char *credential_path(const char *name) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        _cleanup_free_ char *alone = strjoinf("%s/%s", directory, name),
                            *of_folder = strjoinf("%s/automapost_%s", directory, name);

        if (!alone || !of_folder)
                return NULL;
        return access(alone, F_OK) == 0 || access(of_folder, F_OK) < 0 ? TAKE_PTR(alone)
                                                                       : TAKE_PTR(of_folder);
}

/* What systemd hands on below /run is a copy that nobody changes. */
const char *credentials_home(void) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY");

        return isempty(directory) || strncmp(directory, "/run/", 5) == 0 ? CREDENTIALS_INSTALLED
                                                                         : directory;
}

int credential_read(const char *name, char **ret, Error *ret_error) {
        _cleanup_(erase_and_freep) char *content = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        size_t n = 0;
        ssize_t k;

        if (isempty(getenv("CREDENTIALS_DIRECTORY")))
                return 0;

        path = credential_path(name);
        content = calloc(1, CREDENTIAL_SIZE_MAX + 1);
        if (!path || !content)
                return error_oom(ret_error);

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) {
                if (errno == ENOENT)
                        return 0;
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL,
                                  "cannot open credential %s: %m", path);
        }

        while ((k = read(fd, content + n, CREDENTIAL_SIZE_MAX - n)) != 0) {
                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return error_setf(ret_error, ERROR_CONFIG, -errno, NULL,
                                          "cannot read credential %s: %m", path);
                }
                n += (size_t) k;
        }
        if (n == CREDENTIAL_SIZE_MAX || strlen(content) != n)
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, NULL,
                                  "credential %s is no text or too large", path);

        if (n > 0 && content[n - 1] == '\n')
                content[--n] = '\0';

        *ret = TAKE_PTR(content);
        return 1;
}

/* The value of the environment; an empty one is as good as none. */
static const char *read_environment(const Setting *setting) {
        const char *value = getenv(setting->name);

        return isempty(value) ? NULL : value;
}

/* The first of systemd's $STATE_DIRECTORY, or NULL. -ENOMEM. */
static int read_state_directory(const Setting *setting, char **ret) {
        const char *value = getenv("STATE_DIRECTORY");

        *ret = NULL;
        if (setting->offset != offsetof(Settings, state_dir) || isempty(value))
                return 0;

        *ret = strndup(value, strcspn(value, ":"));
        return *ret ? 0 : -ENOMEM;
}

static int load_one(const Setting *setting, Settings *s, Error *ret_error) {
        _cleanup_(erase_and_freep) char *credential = NULL;
        _cleanup_free_ char *state = NULL;
        const char *value;
        int r;

        r = setting->credential ? credential_read(setting->credential, &credential, ret_error) : 0;
        if (r < 0)
                return r;

        r = read_state_directory(setting, &state);
        if (r < 0)
                return error_oom(ret_error);

        value = credential;
        if (!value)
                value = read_environment(setting);
        if (!value)
                value = state ? state : setting->fallback;

        r = parse(setting, value, s);
        if (r == -EINVAL)
                return refuse(setting, value, ret_error);
        if (r < 0)
                return error_oom(ret_error);

        return 0;
}

/* ---- names nobody knows ---- */

enum {
        NAME_MAX_SEEN = 64
};

/* How many letters must be put in, taken out or changed to make b of a. Only the beginning of
 * longer names is looked at. */
static size_t edit_distance(const char *a, size_t a_n, const char *b) {
        size_t b_n = strnlen(b, NAME_MAX_SEEN), row[NAME_MAX_SEEN + 1];

        a_n = MIN(a_n, (size_t) NAME_MAX_SEEN);
        for (size_t k = 0; k <= b_n; k++)
                row[k] = k;

        for (size_t i = 1; i <= a_n; i++) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t k = 1; k <= b_n; k++) {
                        size_t changed = diagonal + (a[i - 1] == b[k - 1] ? 0 : 1);

                        diagonal = row[k];
                        row[k] = MIN(changed, MIN(row[k - 1], row[k]) + 1);
                }
        }

        return row[b_n];
}

static int check_name(const char *entry, Error *ret_error) {
        size_t n = strcspn(entry, "="), best = SIZE_MAX, distance;
        _cleanup_free_ char *name = NULL;
        const Setting *nearest = NULL;

#ifdef HAVE_STOP_POINTS
        /* stop-point.h's own, which are no settings */
        if (strncmp(entry, PREFIX "STOP_", strlen(PREFIX "STOP_")) == 0)
                return 0;
#endif

        for (const Setting *t = settings_table; t < settings_table + n_settings; t++) {
                if (strlen(t->name) == n && memcmp(t->name, entry, n) == 0)
                        return 0;

                distance = edit_distance(entry, n, t->name);
                if (distance < best) {
                        best = distance;
                        nearest = t;
                }
        }

        name = utf8_make_valid(entry, n, 80);
        if (!name || !nearest)
                return error_oom(ret_error);

        return error_setf(ret_error, ERROR_CONFIG, -EINVAL, NULL,
                          "unknown setting %s, did you mean %s?", name, nearest->name);
}

/* go_on: past what cannot be used, to the end. The first error is the one that counts. */
static int load(Settings *ret, bool go_on, Error *ret_error) {
        _cleanup_(settings_done) Settings s = {};
        int r, first = 0;

        assert(ret);

        for (char **e = environ; e && *e; e++)
                if (strncmp(*e, PREFIX, strlen(PREFIX)) == 0) {
                        r = check_name(*e, first < 0 ? NULL : ret_error);
                        if (r < 0 && !go_on)
                                return r;
                        first = first < 0 ? first : r;
                }

        for (size_t i = 0; i < n_settings; i++) {
                const Setting *setting = &settings_table[i];

                r = load_one(setting, &s, first < 0 ? NULL : ret_error);
                if (r < 0 && !go_on)
                        return r;
                if (r < 0 && parse(setting, setting->fallback, &s) < 0)
                        return error_oom(ret_error);
                first = first < 0 ? first : r;
        }

        *ret = s;
        s = (Settings){};
        return first;
}

int settings_load(Settings *ret, Error *ret_error) {
        return load(ret, false, ret_error);
}

int settings_load_usable(Settings *ret, Error *ret_error) {
        return load(ret, true, ret_error);
}

void settings_done(Settings *s) {
        if (!s)
                return;

        for (const Setting *t = settings_table; t < settings_table + n_settings; t++)
                if (is_text(t)) {
                        char **text = field_of(t, s);

                        if (t->secret)
                                erase_and_freep(text);
                        else
                                free(*text);
                }
        *s = (Settings){};
}

int setting_describe(const Setting *setting, const Settings *s, char **ret,
                     SettingOrigin *ret_origin) {
        _cleanup_free_ char *path = NULL, *state = NULL;
        const void *field;
        const char *value;
        char *text;
        int r;

        assert(setting);
        assert(s);
        assert(ret);

        r = read_state_directory(setting, &state);
        if (r < 0)
                return r;
        if (setting->credential && !isempty(getenv("CREDENTIALS_DIRECTORY"))) {
                path = credential_path(setting->credential);
                if (!path)
                        return -ENOMEM;
        }

        field = const_field_of(setting, s);
        if (setting->type == SETTING_UINT)
                text = strjoinf("%" PRIu64, *(const uint64_t *) field);
        else if (setting->type == SETTING_BOOL)
                text = strdup(*(const bool *) field ? "yes" : "no");
        else {
                value = *(char *const *) field;
                value = value ? value : "";
                text = strdup(setting->secret && *value ? "[set]" : value);
        }
        if (!text)
                return -ENOMEM;

        if (ret_origin)
                *ret_origin = path && access(path, F_OK) == 0      ? ORIGIN_CREDENTIAL
                              : read_environment(setting) || state ? ORIGIN_ENVIRONMENT
                                                                   : ORIGIN_DEFAULT;
        *ret = text;
        return 0;
}
