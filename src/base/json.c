/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>

#include "text.h"

#define JSON_SIZE_MAX ((size_t) 1024 * 1024)
#define JSON_DEPTH_MAX 32

static inline void tokener_free(struct json_tokener *t) {
        json_tokener_free(t);
}
DEFINE_CLEANUP(struct json_tokener, tokener_free);

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* The length of the JSON number at s, 0 if it is none. */
static size_t number_length(const char *s, const char *end) {
        const char *p = s, *digits;

        if (p < end && *p == '-')
                p++;
        digits = p;
        while (p < end && is_digit(*p))
                p++;
        if (p == digits || (*digits == '0' && p > digits + 1))
                return 0;
        if (p < end && *p == '.') {
                digits = ++p;
                while (p < end && is_digit(*p))
                        p++;
                if (p == digits)
                        return 0;
        }
        if (p < end && (*p == 'e' || *p == 'E')) {
                p++;
                if (p < end && (*p == '+' || *p == '-'))
                        p++;
                digits = p;
                while (p < end && is_digit(*p))
                        p++;
                if (p == digits)
                        return 0;
        }

        return (size_t) (p - s);
}

static size_t word_length(const char *s, const char *end) {
        static const char *const words[] = { "true", "false", "null" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t n = strlen(words[i]);

                if ((size_t) (end - s) >= n && memcmp(s, words[i], n) == 0)
                        return n;
        }

        return 0;
}

/* The length of the string at s with its quotes, 0 if it has no end or holds control characters. */
static size_t string_length(const char *s, const char *end) {
        for (const char *p = s + 1; p < end && (unsigned char) *p >= 0x20; p++) {
                if (*p == '"')
                        return (size_t) (p + 1 - s);
                if (*p == '\\' && ++p == end)
                        break;
        }

        return 0;
}

/* What json-c lets pass although it is asked to be strict, and would print again: NaN, Infinity,
 * "1.", "-01", control characters in strings. Where tokens may stand is its business. */
static int check_tokens(const char *text, size_t length) {
        const char *end = text + length;
        size_t depth = 0, n;

        for (const char *p = text; p < end; p += n) {
                n = 1;
                switch (*p) {
                case '[':
                case '{':
                        if (++depth > JSON_DEPTH_MAX)
                                return -E2BIG;
                        break;
                case ']':
                case '}':
                        if (depth-- == 0)
                                return -EINVAL;
                        break;
                case ' ':
                case '\t':
                case '\n':
                case '\r':
                case ',':
                case ':':
                        break;
                case '"':
                        n = string_length(p, end);
                        break;
                default:
                        n = *p == '-' || is_digit(*p) ? number_length(p, end) : word_length(p, end);
                }
                if (n == 0)
                        return -EINVAL;
        }

        return 0;
}

int json_parse(const char *text, size_t length, JsonObject **ret) {
        _cleanup_(tokener_freep) struct json_tokener *tokener = NULL;
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        enum json_tokener_error error;
        int r;

        assert(text || length == 0);
        assert(ret);

        if (length > JSON_SIZE_MAX)
                return -E2BIG;
        if (length == 0 || !utf8_is_valid(text, length))
                return -EINVAL;
        r = check_tokens(text, length);
        if (r < 0)
                return r;

        tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);

        o = json_tokener_parse_ex(tokener, text, (int) length);
        error = json_tokener_get_error(tokener);
        if (error == json_tokener_continue) {
                /* A number at the very end is only known to be whole when something follows. */
                o = json_tokener_parse_ex(tokener, "", 1);
                error = json_tokener_get_error(tokener);
        } else if (json_tokener_get_parse_end(tokener) != length)
                return -EINVAL;

        if (error != json_tokener_success)
                return -EINVAL;

        *ret = TAKE_PTR(o);
        return 0;
}

JsonObject *json_member(JsonObject *o, const char *name) {
        JsonObject *member;

        if (!json_object_is_type(o, json_type_object) ||
            !json_object_object_get_ex(o, name, &member))
                return NULL;

        return member;
}

JsonObject *json_path(JsonObject *o, ...) {
        const char *name;
        va_list ap;

        va_start(ap, o);
        while (o && (name = va_arg(ap, const char *)))
                o = json_member(o, name);
        va_end(ap);

        return o;
}

/* The text of a string without NUL inside: what follows one would be lost unseen. */
static const char *string_of(JsonObject *o) {
        const char *s;

        if (!json_object_is_type(o, json_type_string))
                return NULL;

        s = json_object_get_string(o);
        return s && strlen(s) == (size_t) json_object_get_string_len(o) ? s : NULL;
}

const char *json_string(JsonObject *o, const char *name) {
        return string_of(json_member(o, name));
}

static bool parse_int64(const char *s, int64_t *ret) {
        const char *digits = *s == '-' ? s + 1 : s;
        long long value;

        if (isempty(digits) || digits[strspn(digits, "0123456789")] != '\0')
                return false;

        errno = 0;
        value = strtoll(s, NULL, 10);
        if (errno != 0)
                return false;

        *ret = value;
        return true;
}

int64_t json_int64(JsonObject *o, const char *name, int64_t missing) {
        JsonObject *member = json_member(o, name);
        const char *s;
        int64_t n;
        double d;

        if (json_object_is_type(member, json_type_int)) {
                n = json_object_get_int64(member);
                /* json-c cuts what is too large to the largest. */
                return n == INT64_MAX && json_object_get_uint64(member) > INT64_MAX ? missing : n;
        }

        if (json_object_is_type(member, json_type_double)) {
                d = json_object_get_double(member);
                /* 2^53: up to there a double says which whole number was meant. */
                return fabs(d) <= 9007199254740992.0 && !(d < trunc(d)) && !(d > trunc(d))
                               ? (int64_t) d
                               : missing;
        }

        s = string_of(member);
        return s && parse_int64(s, &n) ? n : missing;
}

bool json_boolean(JsonObject *o, const char *name, bool missing) {
        JsonObject *member = json_member(o, name);

        return json_object_is_type(member, json_type_boolean) ? json_object_get_boolean(member)
                                                              : missing;
}

int json_set(JsonObject *o, const char *name, JsonObject *value) {
        assert(json_object_is_type(o, json_type_object));
        assert(name);

        if (json_object_object_add(o, name, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }

        return 0;
}

int json_set_string(JsonObject *o, const char *name, const char *value) {
        _cleanup_free_ char *valid = NULL;
        JsonObject *string;
        size_t n;

        if (!value)
                return json_set(o, name, NULL);

        n = strlen(value);
        if (n > INT32_MAX)
                return -ENOMEM;
        if (!utf8_is_valid(value, n)) {
                valid = utf8_make_valid(value, n, SIZE_MAX);
                if (!valid)
                        return -ENOMEM;
                value = valid;
        }

        string = json_object_new_string(value);
        return string ? json_set(o, name, string) : -ENOMEM;
}

int json_set_int64(JsonObject *o, const char *name, int64_t value) {
        JsonObject *number = json_object_new_int64(value);

        return number ? json_set(o, name, number) : -ENOMEM;
}

int json_set_bool(JsonObject *o, const char *name, bool value) {
        JsonObject *boolean = json_object_new_boolean(value);

        return boolean ? json_set(o, name, boolean) : -ENOMEM;
}

const char *json_text(JsonObject *o) {
        return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                         JSON_C_TO_STRING_NOSLASHESCAPE);
}
