/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <errno.h>
#include <sys/random.h>

#include "base/time-util.h"

#define MESSAGE_MAX 300
#define RETRY_MAX (7 * USEC_PER_DAY)

int refuse(const ProviderContext *c, const Account *account, const Refusal *refusal,
           Error *ret_error) {
        const char *secrets[3], *candidates[] = {
                account->access_token,
                account->refresh_token,
                c->settings->linkedin_client_secret,
        };
        _cleanup_free_ char *scrubbed = NULL, *message = NULL;
        _cleanup_(str_done) Str s = {};
        size_t n = 0;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(candidates); i++)
                if (!isempty(candidates[i]))
                        secrets[n++] = candidates[i];

        r = str_appendf(&s, "%s answered %ld", refusal->who, refusal->status);
        if (r >= 0 && !isempty(refusal->word))
                r = str_appendf(&s, " %s", refusal->word);
        if (r >= 0 && !isempty(refusal->words))
                r = str_appendf(&s, ": %s", refusal->words);
        if (r < 0)
                return error_oom(ret_error);

        scrubbed = text_scrub(s.data, secrets, n);
        if (!scrubbed)
                return error_oom(ret_error);
        message = utf8_make_valid(scrubbed, strlen(scrubbed), MESSAGE_MAX);
        if (!message)
                return error_oom(ret_error);

        (void) error_setf(ret_error, refusal->class, -EREMOTEIO, refusal->code, "%s", message);
        if (ret_error)
                ret_error->retry_at = refusal->retry_at;
        return -EREMOTEIO;
}

int refresh_failed(Error *error, Error *ret_error) {
        int r = error->r < 0 ? error->r : -EREMOTEIO;

        if (error->class == ERROR_UNKNOWN_OUTCOME)
                return error_setf(ret_error, ERROR_TRANSIENT, r, CODE_PLATFORM_DOWN, "%s",
                                  strnull(error->message));
        if (ret_error)
                error_move(ret_error, error);
        return r;
}

int token_header(const char *prefix, const char *token, char **ret, Error *ret_error) {
        char *header;

        if (isempty(token))
                return error_setf(ret_error, ERROR_AUTH, -EACCES, CODE_RECONNECT_ACCOUNT,
                                  "the account has no token");
        if (!usable_id(token, TOKEN_MAX))
                return error_setf(ret_error, ERROR_AUTH, -EACCES, CODE_RECONNECT_ACCOUNT,
                                  "the account's token is not one");

        header = strjoinf("%s %s", prefix, token);
        if (!header)
                return error_oom(ret_error);
        *ret = header;
        return 0;
}

char *join_url(const char *base, const char *path) {
        size_t n = strlen(base);

        while (n > 0 && base[n - 1] == '/')
                n--;
        return strjoinf("%.*s%s", (int) n, base, path);
}

static bool is_blank(uint32_t c) {
        return c <= ' ' || c == 0x7f || c == 0x85 || c == 0xa0 || c == 0x1680 ||
               (c >= 0x2000 && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
               c == 0x205f || c == 0x2060 || c == 0x3000 || c == 0xfeff;
}

bool text_is_blank(const char *s) {
        size_t left = strlen(s);
        uint32_t c;
        int n;

        for (; left > 0; s += n, left -= (size_t) n) {
                n = utf8_decode(s, left, &c);
                if (n <= 0 || !is_blank(c))
                        return false;
        }
        return true;
}

int check_text(const char *who, const char *text, int64_t count, int64_t max, const char *unit,
               Error *ret_error) {
        if (count < 0)
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_REJECTED,
                                  "the text is not valid UTF-8");
        if (text_is_blank(text))
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_TEXT_EMPTY,
                                  "the text is empty");
        if (count > max)
                return error_setf(ret_error, ERROR_PERMANENT, -EMSGSIZE, CODE_TEXT_TOO_LONG,
                                  "the text has %lld %s, %s takes %lld", (long long) count, unit,
                                  who, (long long) max);
        return 0;
}

static bool is_word_char(uint32_t c) {
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
               (c >= 0x80 && (c < 0x2000 || c > 0x206f) && !is_blank(c));
}

/* Comparable forms of a text: composed, with every run of blanks as one space; and what words are
 * made of alone. */
static int make_comparable(const char *text, char **ret_collapsed, char **ret_skeleton) {
        _cleanup_(str_done) Str collapsed = {}, skeleton = {};
        _cleanup_free_ char *composed = NULL;
        bool blank = false;
        size_t left, n;
        int r;

        /* A server may keep an "é" of two code points as one, or the other way round. */
        r = text_nfc(text, &composed);
        if (r == -ENOMEM)
                return r;
        if (composed)
                text = composed;
        left = strlen(text);

        r = str_append(&collapsed, "");
        if (r >= 0)
                r = str_append(&skeleton, "");

        for (const char *p = text; left > 0 && r >= 0; p += n, left -= n) {
                uint32_t c = 0;
                int k = utf8_decode(p, left, &c);

                n = k > 0 ? (size_t) k : 1;
                if (k > 0 && is_blank(c)) {
                        blank = true;
                        continue;
                }
                if (blank && collapsed.length > 0)
                        r = str_append(&collapsed, " ");
                blank = false;
                if (r >= 0)
                        r = str_append_n(&collapsed, p, n);
                if (r >= 0 && is_word_char(c))
                        r = str_append_n(&skeleton, p, n);
        }
        if (r < 0)
                return r;

        *ret_collapsed = TAKE_PTR(collapsed.data);
        *ret_skeleton = TAKE_PTR(skeleton.data);
        return 0;
}

/* The words of a text, with a space before, between and after them. */
static int list_words(const char *text, char **ret) {
        size_t left = strlen(text), n;
        _cleanup_(str_done) Str s = {};
        bool inside = false;
        int r;

        r = str_append(&s, " ");
        for (const char *p = text; left > 0 && r >= 0; p += n, left -= n) {
                uint32_t c = 0;
                int k = utf8_decode(p, left, &c);
                bool word = k > 0 && is_word_char(c);

                n = k > 0 ? (size_t) k : 1;
                if (word)
                        r = str_append_n(&s, p, n);
                else if (inside)
                        r = str_append(&s, " ");
                inside = word;
        }
        if (r >= 0 && inside)
                r = str_append(&s, " ");
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s.data);
        return 0;
}

/* Whether shown has at least half of the words of sent. */
static int is_similar(const char *shown, const char *sent) {
        _cleanup_free_ char *there = NULL, *words = NULL;
        size_t n = 0, n_common = 0;
        char *end;
        int r;

        r = list_words(shown, &there);
        if (r >= 0)
                r = list_words(sent, &words);
        if (r < 0)
                return r;

        for (char *p = words; p[1]; p = end) {
                char after;

                end = strchr(p + 1, ' ');
                after = end[1];
                end[1] = '\0';
                n++;
                n_common += strstr(there, p) != NULL;
                end[1] = after;
        }
        return n > 0 && n_common * 2 >= n;
}

int compare_texts(const char *shown, const char *sent, Likeness *ret) {
        _cleanup_free_ char *a = NULL, *a_skeleton = NULL, *b = NULL, *b_skeleton = NULL;
        int r;

        r = make_comparable(shown, &a, &a_skeleton);
        if (r >= 0)
                r = make_comparable(sent, &b, &b_skeleton);
        if (r < 0)
                return r;

        if (streq(a, b) || (*a_skeleton && streq(a_skeleton, b_skeleton))) {
                *ret = TEXT_SAME;
                return 0;
        }

        r = is_similar(a, b);
        if (r < 0)
                return r;
        *ret = r > 0 ? TEXT_SIMILAR : TEXT_DIFFERENT;
        return 0;
}

const char *usable_id(const char *s, size_t max) {
        size_t n;

        if (isempty(s))
                return NULL;

        n = strnlen(s, max + 1);
        if (n > max || !utf8_is_valid(s, n))
                return NULL;
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) s[i] <= ' ' || s[i] == 0x7f)
                        return NULL;
        return s;
}

usec_t clamp_retry(usec_t t, usec_t missing) {
        usec_t n = now(CLOCK_REALTIME);

        if (t == 0 || t + USEC_PER_HOUR < n)
                t = n + missing;
        return MIN(MAX(t, n + USEC_PER_SEC), n + RETRY_MAX);
}

usec_t jitter(usec_t max) {
        uint64_t random = 0;

        /* Without randomness all ask at the same instant, which is no reason to fail. */
        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t) sizeof(random))
                return 0;
        return random % max;
}

int request_make(const char *target, const char *handle, JsonObject *body, Way way, Request *ret,
                 Error *ret_error) {
        _cleanup_(request_done) Request request = { .way = way };
        const char *text = json_text(body);

        request.target = strdup(target);
        request.handle = strdup(handle);
        request.body = text ? strdup(text) : NULL;
        if (!request.target || !request.handle || !request.body)
                return error_oom(ret_error);

        *ret = request;
        request = (Request){};
        return 0;
}

int receipt_make(const char *remote_id, const char *url, JsonObject *extra, Receipt *ret,
                 Error *ret_error) {
        _cleanup_(receipt_done) Receipt receipt = {};
        const char *text = extra ? json_text(extra) : NULL;

        receipt.remote_id = strdup(remote_id);
        receipt.url = url ? strdup(url) : NULL;
        receipt.extra = text ? strdup(text) : NULL;
        if (!receipt.remote_id || (url && !receipt.url) || (extra && !receipt.extra))
                return error_oom(ret_error);

        *ret = receipt;
        receipt = (Receipt){};
        return 0;
}
