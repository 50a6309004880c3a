/* SPDX-License-Identifier: MIT */

/* Mastodon, and the servers that speak its client API.
 *
 * Mastodon itself keeps an Idempotency-Key for an hour and answers a repetition with the status
 * that the first one made. Other servers ignore the header, so a request to them is never repeated:
 * the account's own statuses are read and compared. */

#include <errno.h>
#include <strings.h>

#include "base/time-util.h"
#include "common.h"
#include "parts.h"

#define WHO "Mastodon"
#define CHARACTERS_DEFAULT 500
#define URL_LENGTH_DEFAULT 23
#define ID_MAX ((size_t) 200)
#define URL_MAX ((size_t) 2048)
/* In characters: beyond them Mastodon sees no link, and no account of another server. */
#define LINK_MAX 4096
#define DOMAIN_MAX 253
#define STATUSES "/api/v1/statuses"
#define LIST_COUNT 40U
#define CLOCK_SLACK (60 * USEC_PER_SEC)
/* Keys are kept for an hour; what is left is for a clock and a queue that are late. */
#define KEY_LIFETIME (50 * USEC_PER_MINUTE)
#define SOURCE "https://github.com/mastodon/mastodon"

/* Text */

/* What Mastodon takes for a link, of what looks like one: it has to have a domain with a name at
 * its top (no "localhost", no bare address), and there is an end to its length. */
static bool is_counted_link(const char *url, size_t n) {
        const char *host = memmem(url, n, "://", 3), *dot;
        size_t n_chars = 0, length;

        for (size_t i = 0; i < n; i++)
                n_chars += ((uint8_t) url[i] & 0xc0) != 0x80;
        if (!host || n_chars > LINK_MAX)
                return false;

        host += strlen("://");
        length = MIN(strcspn(host, "/?#:"), (size_t) (url + n - host));
        dot = memrchr(host, '.', length);
        return dot && host + length - dot > 2 && !(dot[1] >= '0' && dot[1] <= '9');
}

/* The end of the host name in "@name@host", s being behind the second '@'; s if there is none. */
static const char *mention_host_end(const char *s) {
        const char *end = s;
        int n_chars = 0, k;
        uint32_t c;

        for (const char *p = s; (k = utf8_decode(p, strnlen(p, 4), &c)) > 0; p += k) {
                if (text_is_word(c))
                        end = p + k;
                else if (c != '.' && c != '-')
                        break;
                if (++n_chars > DOMAIN_MAX)
                        return s;
        }

        return end;
}

/* The text with "@name@host" shortened to "@name", as it is counted and shown. */
static int shorten_mentions(const char *text, char **ret) {
        _cleanup_(str_done) Str s = {};
        size_t pos = 0, done = 0;
        TextSpan span;
        int r;

        r = str_append(&s, "");
        while (r >= 0 && (r = text_next_mention(text, &pos, &span)) > 0) {
                const char *at = text + span.end, *end;

                if (span.start < done || *at != '@')
                        continue;
                end = mention_host_end(at + 1);
                if (end == at + 1)
                        continue;
                r = str_append_n(&s, text + done, span.end - done);
                done = (size_t) (end - text);
        }
        if (r >= 0)
                r = str_append(&s, text + done);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s.data);
        return 0;
}

int64_t mastodon_count(const char *text, int64_t url_length, bool graphemes) {
        _cleanup_free_ char *rest = NULL;
        _cleanup_(str_done) Str s = {};
        size_t pos = 0, done = 0;
        int64_t n_urls = 0, n;
        TextSpan span;
        int r;

        if (!utf8_is_valid(text, strlen(text)))
                return -EINVAL;

        /* A URL is taken out and counted apart; a letter in its place keeps its neighbours from
         * becoming one character. */
        r = str_append(&s, "");
        while (r >= 0 && (r = text_next_url(text, false, &pos, &span)) > 0) {
                if (!is_counted_link(text + span.start, span.end - span.start))
                        continue;
                r = str_append_n(&s, text + done, span.start - done);
                if (r >= 0)
                        r = str_append(&s, "x");
                done = span.end;
                n_urls++;
        }
        if (r >= 0)
                r = str_append(&s, text + done);
        if (r >= 0)
                r = shorten_mentions(s.data, &rest);
        if (r < 0)
                return r;

        n = graphemes ? text_count_graphemes(rest) : text_count_code_points(rest);
        return n < 0 ? n : n + n_urls * (url_length - 1);
}

static int append_code_point(Str *s, uint32_t c) {
        char bytes[4];
        size_t n;

        if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        if (c < 0x80) {
                bytes[0] = (char) c;
                n = 1;
        } else if (c < 0x800) {
                bytes[0] = (char) (0xc0 | (c >> 6));
                bytes[1] = (char) (0x80 | (c & 0x3f));
                n = 2;
        } else if (c < 0x10000) {
                bytes[0] = (char) (0xe0 | (c >> 12));
                bytes[1] = (char) (0x80 | ((c >> 6) & 0x3f));
                bytes[2] = (char) (0x80 | (c & 0x3f));
                n = 3;
        } else {
                bytes[0] = (char) (0xf0 | (c >> 18));
                bytes[1] = (char) (0x80 | ((c >> 12) & 0x3f));
                bytes[2] = (char) (0x80 | ((c >> 6) & 0x3f));
                bytes[3] = (char) (0x80 | (c & 0x3f));
                n = 4;
        }
        return str_append_n(s, bytes, n);
}

/* One character of HTML text at *p, an entity or a byte; moves *p on. */
static int append_entity(Str *s, const char **p, const char *end) {
        static const struct {
                const char *name;
                uint32_t c;
        } entities[] = {
                { "amp;", '&' },  { "lt;", '<' },    { "gt;", '>' },
                { "quot;", '"' }, { "apos;", '\'' }, { "nbsp;", 0xa0 },
        };
        const char *name = *p + 1;
        size_t left = (size_t) (end - name);

        if (**p != '&')
                return str_append_n(s, (*p)++, 1);

        for (size_t i = 0; i < ELEMENTSOF(entities); i++) {
                size_t n = strlen(entities[i].name);

                if (n <= left && strncmp(name, entities[i].name, n) == 0) {
                        *p = name + n;
                        return append_code_point(s, entities[i].c);
                }
        }

        if (left > 2 && name[0] == '#') {
                bool hex = name[1] == 'x' || name[1] == 'X';
                const char *digits = name + (hex ? 2 : 1), *after = digits;
                uint32_t c = 0;

                for (; after < end && after - digits < 8; after++) {
                        uint32_t digit;

                        if (*after >= '0' && *after <= '9')
                                digit = (uint32_t) (*after - '0');
                        else if (hex && (*after | 0x20) >= 'a' && (*after | 0x20) <= 'f')
                                digit = (uint32_t) ((*after | 0x20) - 'a' + 10);
                        else
                                break;
                        c = c * (hex ? 16 : 10) + digit;
                }
                if (after > digits && after < end && *after == ';') {
                        *p = after + 1;
                        return append_code_point(s, c);
                }
        }

        return str_append_n(s, (*p)++, 1);
}

static int append_decoded(Str *s, const char *p, const char *end) {
        int r = 0;

        while (p < end && r >= 0)
                r = append_entity(s, &p, end);
        return r;
}

static bool is_tag(const char *tag, const char *end, const char *name) {
        size_t n = strlen(name);

        return (size_t) (end - tag) >= n && strncasecmp(tag, name, n) == 0 &&
               (tag + n == end || strchr(" \t\r\n/", tag[n]));
}

/* The value of href="…" in [tag, end). */
static bool find_href(const char *tag, const char *end, const char **ret, const char **ret_end) {
        static const char name[] = "href=\"";
        const char *start = memmem(tag, (size_t) (end - tag), name, strlen(name)), *quote;

        if (!start)
                return false;
        start += strlen(name);
        quote = memchr(start, '"', (size_t) (end - start));
        if (!quote)
                return false;
        *ret = start;
        *ret_end = quote;
        return true;
}

/* The '>' that ends a tag: not one in a quoted attribute. */
static const char *tag_end(const char *p) {
        char quote = 0;

        for (; *p; p++)
                if (quote)
                        quote = (char) (*p == quote ? 0 : quote);
                else if (*p == '"' || *p == '\'')
                        quote = *p;
                else if (*p == '>')
                        return p;
        return NULL;
}

int mastodon_plain_text(const char *html, bool link_targets, char **ret) {
        const char *p = html, *href = NULL, *href_end = NULL;
        _cleanup_(str_done) Str s = {};
        size_t link_start = 0;
        int r;

        r = str_append(&s, "");
        while (*p && r >= 0) {
                const char *tag = p + 1, *end;

                if (*p != '<') {
                        r = append_entity(&s, &p, p + strcspn(p, "<"));
                        continue;
                }

                end = tag_end(tag);
                if (!end)
                        break;
                p = end + 1;

                if (is_tag(tag, end, "br"))
                        r = str_append(&s, "\n");
                else if (is_tag(tag, end, "/p"))
                        r = str_append(&s, "\n\n");
                else if (is_tag(tag, end, "a")) {
                        link_start = s.length;
                        if (!find_href(tag, end, &href, &href_end))
                                href = NULL;
                } else if (is_tag(tag, end, "/a") && href) {
                        /* Mentions and hashtags lead somewhere else than they say. */
                        if (link_targets && s.data[link_start] != '@' &&
                            s.data[link_start] != '#') {
                                s.length = link_start;
                                s.data[link_start] = '\0';
                                r = append_decoded(&s, href, href_end);
                        }
                        href = NULL;
                }
        }
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s.data);
        return 0;
}

int mastodon_compare(const char *html, const char *text, Likeness *ret) {
        _cleanup_free_ char *as_sent = NULL, *stripped = NULL, *as_markup = NULL;
        Likeness best = TEXT_DIFFERENT;
        int r;

        /* Some servers let markup in a post through instead of showing it. */
        r = shorten_mentions(text, &as_sent);
        if (r >= 0)
                r = mastodon_plain_text(text, false, &stripped);
        if (r >= 0)
                r = shorten_mentions(stripped, &as_markup);

        for (int targets = 0; targets < 2 && r >= 0; targets++) {
                _cleanup_free_ char *plain = NULL, *shown = NULL;

                r = mastodon_plain_text(html, targets == 1, &plain);
                if (r >= 0)
                        r = shorten_mentions(plain, &shown);
                for (int markup = 0; markup < 2 && r >= 0; markup++) {
                        Likeness likeness = TEXT_DIFFERENT;

                        r = compare_texts(shown, markup == 1 ? as_markup : as_sent, &likeness);
                        best = MAX(best, likeness);
                }
        }
        if (r < 0)
                return r;

        *ret = best;
        return 0;
}

/* Servers */

bool mastodon_is_proper(JsonObject *instance) {
        const char *version = json_string(instance, "version");
        const char *source = json_string(instance, "source_url");

        /* "4.3.1", "4.4.0-nightly.2025"; others: "2.7.2 (compatible; Pleroma 2.5)", "4.0.0 (not
         * true…)". A fork may have changed what the key does: only Mastodon's own source counts. */
        return version && source && streq(source, SOURCE) && *version >= '1' && *version <= '9' &&
               strchr(version, '.') &&
               version[strspn(version, "0123456789.+-_~"
                                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] ==
                       '\0';
}

/* Where the account lives, and whether a member says so. */
static int find_base(const ProviderContext *c, const Account *account, char **ret,
                     bool *ret_member_host, Error *ret_error) {
        const char *host = strrchr(account->remote_id ?: "", '@');

        *ret_member_host = isempty(c->settings->mastodon_url);
        if (!*ret_member_host)
                *ret = join_url(c->settings->mastodon_url, "");
        else if (!isempty(account->service_url))
                *ret = join_url(account->service_url, "");
        else if (host && host[1] &&
                 host[1 + strspn(host + 1, "abcdefghijklmnopqrstuvwxyz"
                                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789.-:")] == '\0')
                *ret = strjoinf("https://%s", host + 1);
        else
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_ACCOUNT_INVALID,
                                  "the account names no Mastodon server (user@host)");
        return *ret ? 0 : error_oom(ret_error);
}

/* One call. body and key NULL: a read; token: whether it goes with the account's. */
static int mastodon_call(const ProviderContext *c, const Account *account, bool token,
                         const char *path, const char *body, const char *key, HttpResponse *ret,
                         Error *ret_error) {
        _cleanup_(erase_and_freep) char *authorization = NULL;
        _cleanup_free_ char *base = NULL, *url = NULL, *idempotency = NULL;
        const char *headers[5] = { "Accept: application/json" };
        bool member_host = true;
        size_t n = 1;
        int r;

        r = find_base(c, account, &base, &member_host, ret_error);
        if (r < 0)
                return r;
        url = join_url(base, path);
        if (!url)
                return error_oom(ret_error);

        if (token) {
                r = token_header("Authorization: Bearer", account->access_token, &authorization,
                                 ret_error);
                if (r < 0)
                        return r;
                headers[n++] = authorization;
        }
        if (body) {
                idempotency = strjoinf("Idempotency-Key: %s", key);
                if (!idempotency)
                        return error_oom(ret_error);
                headers[n++] = idempotency;
                headers[n++] = "Content-Type: application/json";
        }
        headers[n] = NULL;

        return http_perform(c->http,
                            &(const HttpRequest){
                                    .method = body ? "POST" : "GET",
                                    .url = url,
                                    .headers = headers,
                                    .body = body,
                                    .body_size = body ? strlen(body) : 0,
                                    .writes = body != NULL,
                                    .member_host = member_host,
                            },
                            ret, ret_error);
}

/* X-RateLimit-Reset is a time, not a number. */
static usec_t reset_time(const HttpResponse *response) {
        const char *reset = http_header(response, "x-ratelimit-reset");
        usec_t t = 0;

        if (response->retry_at == 0 && (!reset || time_parse_iso8601(reset, &t) < 0))
                t = 0;
        return clamp_retry(response->retry_at ?: t, 5 * USEC_PER_MINUTE);
}

static int mastodon_refuse(const ProviderContext *c, const Account *account, bool writes,
                           bool is_reply, const HttpResponse *response, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *body = http_json(response);
        Refusal refusal = {
                .who = WHO,
                .class = ERROR_PERMANENT,
                .code = CODE_REJECTED,
                .status = response->status,
                .words = json_string(body, "error"),
        };

        if (response->status == 401 || response->status == 403) {
                refusal.class = ERROR_AUTH;
                refusal.code = CODE_RECONNECT_ACCOUNT;
        } else if (response->status == 429) {
                refusal.class = ERROR_RATE_LIMITED;
                refusal.code = CODE_RATE_LIMITED;
                refusal.retry_at = reset_time(response);
        } else if (response->status == 408 || response->status >= 500) {
                refusal.class = writes ? ERROR_UNKNOWN_OUTCOME : ERROR_TRANSIENT;
                refusal.code = writes ? CODE_UNCONFIRMED : CODE_PLATFORM_DOWN;
                refusal.retry_at = response->retry_at;
        } else if (response->status == 404 && is_reply)
                refusal.code = CODE_PARENT_MISSING;
        else if (response->status < 400 || response->status == 404 || response->status == 410)
                refusal.code = CODE_ACCOUNT_INVALID; /* no such server, or it has moved */

        return refuse(c, account, &refusal, ret_error);
}

typedef struct Limits {
        int64_t characters, url_length;
        bool proper;
} Limits;

static int read_limits(const ProviderContext *c, const Account *account, Limits *ret,
                       Error *ret_error) {
        Limits limits = { .characters = CHARACTERS_DEFAULT, .url_length = URL_LENGTH_DEFAULT };
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *instance = NULL;
        JsonObject *statuses;
        int r;

        if (c->http) {
                r = mastodon_call(c, account, false, "/api/v2/instance", NULL, NULL, &response,
                                  ret_error);
                if (r < 0)
                        return r;
                if (response.status == 429 || response.status >= 500)
                        return mastodon_refuse(c, account, false, false, &response, ret_error);
                /* Other answers: a server that is older, or tells strangers nothing. */
                if (response.status == 200)
                        instance = http_json(&response);
        }

        statuses = json_path(instance, "configuration", "statuses", NULL);
        limits.characters = json_int64(statuses, "max_characters", CHARACTERS_DEFAULT);
        limits.url_length = json_int64(statuses, "characters_reserved_per_url", URL_LENGTH_DEFAULT);
        if (limits.characters <= 0 || limits.characters > 1000000)
                limits.characters = CHARACTERS_DEFAULT;
        if (limits.url_length <= 0 || limits.url_length > 10000)
                limits.url_length = URL_LENGTH_DEFAULT;
        limits.proper = mastodon_is_proper(instance);
        *ret = limits;
        return 0;
}

static int mastodon_prepare(const ProviderContext *c, const Account *account, const Post *post,
                            Request *ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *body = json_object_new_object();
        _cleanup_free_ char *digest = NULL, *key = NULL;
        Limits limits = {};
        int64_t n;
        int r;

        if (text_is_blank(post->text))
                return check_text(WHO, post->text, 0, 0, "", ret_error);
        if (post->kind == KIND_COMMENT && !usable_id(post->parent_remote_id, ID_MAX))
                return error_setf(ret_error, ERROR_PERMANENT, -ENOENT, CODE_PARENT_MISSING,
                                  "the post to comment on has no known Mastodon id");

        r = read_limits(c, account, &limits, ret_error);
        if (r < 0)
                return r;
        /* Mastodon counts what readers call characters; of others the stricter is assumed. */
        n = mastodon_count(post->text, limits.url_length, limits.proper);
        if (n == -ENOMEM)
                return error_oom(ret_error);
        r = check_text(WHO, post->text, n, limits.characters, "characters", ret_error);
        if (r < 0)
                return r;

        if (!body || json_set_string(body, "status", post->text) < 0 ||
            (post->kind == KIND_COMMENT &&
             json_set_string(body, "in_reply_to_id", post->parent_remote_id) < 0))
                return error_oom(ret_error);

        /* An edited text must not be answered with the status of the old one. */
        digest = sha256_hex(json_text(body));
        key = digest ? strjoinf("%s-%.32s", post->delivery_id, digest) : NULL;
        if (!key)
                return error_oom(ret_error);
        return request_make(STATUSES, key, body, limits.proper ? WAY_RESEND : WAY_READ, ret,
                            ret_error);
}

static int take_status(JsonObject *status, Receipt *ret, Error *ret_error) {
        const char *id = usable_id(json_string(status, "id"), ID_MAX);
        const char *url = usable_id(json_string(status, "url"), URL_MAX);

        if (!id)
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EBADMSG, CODE_UNCONFIRMED,
                                  "Mastodon took the post and did not say under which id");
        return receipt_make(id, url ?: usable_id(json_string(status, "uri"), URL_MAX), NULL, ret,
                            ret_error);
}

static int mastodon_send(const ProviderContext *c, const Account *account, const Post *post,
                         const Request *request, Receipt *ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *status = NULL;
        int r;

        r = mastodon_call(c, account, true, request->target, request->body, request->handle,
                          &response, ret_error);
        if (r < 0)
                return r;
        if (response.status < 200 || response.status > 299)
                return mastodon_refuse(c, account, true, post->kind == KIND_COMMENT, &response,
                                       ret_error);

        status = http_json(&response);
        return take_status(status, ret, ret_error);
}

/* GET, and what is no 200 is an error. */
static int read_json(const ProviderContext *c, const Account *account, const char *path,
                     JsonObject **ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        int r;

        r = mastodon_call(c, account, true, path, NULL, NULL, &response, ret_error);
        if (r < 0)
                return r;
        if (response.status != 200)
                return mastodon_refuse(c, account, false, false, &response, ret_error);

        *ret = http_json(&response);
        if (!*ret)
                return error_setf(ret_error, ERROR_TRANSIENT, -EBADMSG, CODE_PLATFORM_DOWN,
                                  "Mastodon's answer is no JSON");
        return 0;
}

/* Whether a status is what these bytes became. */
static int compare_status(JsonObject *status, JsonObject *sent, usec_t since, Likeness *ret) {
        const char *created = json_string(status, "created_at");
        const char *html = json_string(status, "content");
        usec_t t;

        *ret = TEXT_DIFFERENT;
        if (!created || !html || time_parse_iso8601(created, &t) < 0 || t < since)
                return 0;
        if (!streq_ptr(json_string(status, "in_reply_to_id"), json_string(sent, "in_reply_to_id")))
                return 0;
        return mastodon_compare(html, json_string(sent, "status"), ret);
}

static int mastodon_reconcile(const ProviderContext *c, const Account *account,
                              _unused_ const Post *post, const Request *request, usec_t begun,
                              Finding *ret_finding, Receipt *ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *sent = NULL, *me = NULL, *list = NULL;
        usec_t since = begun > CLOCK_SLACK ? begun - CLOCK_SLACK : 0, oldest;
        _cleanup_free_ char *id = NULL, *path = NULL;
        const char *created;
        bool similar = false;
        size_t n;
        int r;

        *ret_finding = FINDING_UNKNOWN;
        if (json_parse(request->body, strlen(request->body), &sent) < 0 ||
            !json_string(sent, "status"))
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_REJECTED,
                                  "the stored request is no Mastodon request");

        r = read_json(c, account, "/api/v1/accounts/verify_credentials", &me, ret_error);
        if (r < 0)
                return r;
        id = percent_encode(json_string(me, "id") ?: "");
        path = isempty(id) ? NULL
                           : strjoinf("/api/v1/accounts/%s/statuses?limit=%u&exclude_reblogs=true",
                                      id, LIST_COUNT);
        if (!path)
                return error_setf(ret_error, ERROR_TRANSIENT, -EBADMSG, CODE_PLATFORM_DOWN,
                                  "Mastodon did not say which account this is");
        r = read_json(c, account, path, &list, ret_error);
        if (r < 0)
                return r;
        if (!json_object_is_type(list, json_type_array))
                return error_setf(ret_error, ERROR_TRANSIENT, -EBADMSG, CODE_PLATFORM_DOWN,
                                  "Mastodon's list of statuses is none");

        n = json_object_array_length(list);
        for (size_t i = 0; i < n; i++) {
                JsonObject *status = json_object_array_get_idx(list, i);
                Likeness likeness;

                if (compare_status(status, sent, since, &likeness) < 0)
                        return error_oom(ret_error);
                similar = similar || likeness == TEXT_SIMILAR;
                if (likeness != TEXT_SAME)
                        continue;
                r = take_status(status, ret, ret_error);
                if (r < 0)
                        return r;
                *ret_finding = FINDING_SENT;
                return 0;
        }

        if (similar)
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO, CODE_UNCONFIRMED,
                                  "Mastodon shows a similar post of that time, which may be this");

        /* A full page of what was posted since says nothing about what came before it. Servers
         * choose their own page length: any page that ends within the window may be full. */
        created = n > 0 ? json_string(json_object_array_get_idx(list, n - 1), "created_at") : NULL;
        if (created && n >= LIST_COUNT / 2 &&
            (time_parse_iso8601(created, &oldest) < 0 || oldest >= since))
                return error_setf(ret_error, ERROR_TRANSIENT, -E2BIG, CODE_PLATFORM_DOWN,
                                  "Mastodon's list of statuses does not reach back far enough");
        *ret_finding = FINDING_ABSENT;
        return 0;
}

const Provider provider_mastodon = {
        .name = "mastodon",
        .title = "Mastodon",
        .resend_for = KEY_LIFETIME,
        .prepare = mastodon_prepare,
        .send = mastodon_send,
        .reconcile = mastodon_reconcile,
};
