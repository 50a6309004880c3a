/* SPDX-License-Identifier: MIT */

/* LinkedIn: Posts and Comments API of the Community Management product.
 *
 * It knows no idempotency key, but refuses a text that the same author has just posted with 422 and
 * the URN of that post. So a member's post whose answer was lost is sent once more, byte for byte:
 * 201 is the post, 422 names it. An organization's posts can be listed instead; comments neither.
 */

#include <assert.h>
#include <errno.h>

#include "base/time-util.h"
#include "common.h"
#include "parts.h"

#define WHO "LinkedIn"
#define TEXT_MAX 3000 /* UTF-16 units: the strictest reading of "characters" */
#define ID_MAX ((size_t) 200)
#define FINDER_COUNT 50U
#define CLOCK_SLACK (60 * USEC_PER_SEC)
#define COMMENT_THROTTLE USEC_PER_MINUTE
#define COMMENT_TOO_EARLY (5 * USEC_PER_SEC)
#define RESERVED "\\|{}@[]()<>#*_~"
#define HASHTAG_OPEN "{hashtag|"
#define FULLWIDTH_HASH "\xef\xbc\x83"

static int append_escaped(Str *s, const char *text, size_t n) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++) {
                if (strchr(RESERVED, text[i]))
                        r = str_append_n(s, "\\", 1);
                if (r >= 0)
                        r = str_append_n(s, text + i, 1);
        }
        return r;
}

int linkedin_little_text(const char *text, char **ret) {
        _cleanup_(str_done) Str s = {};
        size_t pos = 0, done = 0;
        TextSpan tag;
        int r;

        r = str_append(&s, "");
        if (r < 0)
                return r;

        while ((r = text_next_hashtag(text, &pos, &tag)) > 0) {
                bool wide = text[tag.start] != '#';
                size_t word = tag.start + (wide ? strlen(FULLWIDTH_HASH) : 1);

                r = append_escaped(&s, text + done, tag.start - done);
                if (r >= 0)
                        r = str_append(&s, wide ? HASHTAG_OPEN FULLWIDTH_HASH "|"
                                                : HASHTAG_OPEN "\\#|");
                if (r >= 0)
                        r = append_escaped(&s, text + word, tag.end - word);
                if (r >= 0)
                        r = str_append(&s, "}");
                if (r < 0)
                        return r;
                done = tag.end;
        }
        if (r < 0)
                return r;

        r = append_escaped(&s, text + done, strlen(text + done));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s.data);
        return 0;
}

int linkedin_plain_text(const char *little, char **ret) {
        _cleanup_(str_done) Str s = {};
        bool template = false;
        int r;

        r = str_append(&s, "");
        for (const char *p = little; *p && r >= 0; p++) {
                if (*p == '\\' && p[1]) {
                        p++;
                        r = str_append_n(&s, p, 1);
                } else if (strncmp(p, HASHTAG_OPEN, strlen(HASHTAG_OPEN)) == 0) {
                        p += strlen(HASHTAG_OPEN) - 1;
                        template = true;
                } else if (template && (*p == '|' || *p == '}'))
                        template = *p != '}';
                else
                        r = str_append_n(&s, p, 1);
        }
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s.data);
        return 0;
}

int linkedin_find_urn(const char *s, char **ret) {
        static const char *const kinds[] = { "share:", "ugcPost:", "activity:" };

        for (const char *p = s ? strstr(s, "urn:li:") : NULL; p; p = strstr(p + 1, "urn:li:"))
                for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                        size_t prefix = strlen("urn:li:") + strlen(kinds[i]), digits;

                        if (strncmp(p + strlen("urn:li:"), kinds[i], strlen(kinds[i])) != 0)
                                continue;
                        digits = strspn(p + prefix, "0123456789");
                        if (digits == 0 || prefix + digits > ID_MAX)
                                continue;

                        *ret = strndup(p, prefix + digits);
                        return *ret ? 0 : -ENOMEM;
                }

        *ret = NULL;
        return 0;
}

LinkedinError linkedin_parse_error(JsonObject *body) {
        JsonObject *inputs = json_path(body, "errorDetails", "inputErrors", NULL), *first = NULL;
        LinkedinError e = {
                .code = json_string(body, "code"),
                .message = json_string(body, "message"),
        };

        if (json_object_is_type(inputs, json_type_array))
                first = json_object_array_get_idx(inputs, 0);
        if (!e.code)
                e.code = json_string(first, "code");
        if (!e.message)
                e.message = json_string(first, "description");
        return e;
}

/* What a status, and where it matters a code, means. The first row that fits. */
static const struct Meaning {
        long status;
        const char *code;
        ErrorClass class;
        const char *ours;
} meanings[] = {
        { 400, "VERSION_MISSING", ERROR_CONFIG, CODE_OPERATOR_ACTION },
        { 400, "NONEXISTENT_VERSION", ERROR_CONFIG, CODE_OPERATOR_ACTION },
        { 400, "FIELD_LENGTH_TOO_LONG", ERROR_PERMANENT, CODE_TEXT_TOO_LONG },
        /* Said of a text as well; no request of ours has an array with anything in it. */
        { 400, "FIELD_ARRAY_SIZE_TOO_HIGH", ERROR_PERMANENT, CODE_TEXT_TOO_LONG },
        { 401, NULL, ERROR_AUTH, CODE_RECONNECT_ACCOUNT },
        { 403, NULL, ERROR_PERMISSION, CODE_PERMISSION_MISSING },
        { 409, NULL, ERROR_TRANSIENT, CODE_PLATFORM_DOWN }, /* "Retry the request." */
        { 422, "DUPLICATE_POST", ERROR_PERMANENT, CODE_DUPLICATE },
        { 422, "FIELD_LENGTH_TOO_LONG", ERROR_PERMANENT, CODE_TEXT_TOO_LONG },
        { 422, "FIELD_ARRAY_SIZE_TOO_HIGH", ERROR_PERMANENT, CODE_TEXT_TOO_LONG },
        { 426, NULL, ERROR_CONFIG, CODE_OPERATOR_ACTION },
        { 429, NULL, ERROR_RATE_LIMITED, CODE_RATE_LIMITED },
};

/* Fills the error for an answer that is no success; is_duplicate needs a URN beside the code. */
static int linkedin_refuse(const ProviderContext *c, const Account *account, Kind kind, bool writes,
                           const HttpResponse *response, const LinkedinError *said,
                           Error *ret_error) {
        Refusal refusal = {
                .who = WHO,
                .class = ERROR_PERMANENT,
                .code = CODE_REJECTED,
                .status = response->status,
                .word = said->code,
                .words = said->message,
        };
        const struct Meaning *m;

        for (m = meanings; m < meanings + ELEMENTSOF(meanings); m++)
                if (m->status == response->status && (!m->code || streq_ptr(m->code, said->code))) {
                        refusal.class = m->class;
                        refusal.code = m->ours;
                        break;
                }

        if (response->status >= 500 || response->status == 408) {
                refusal.class = writes ? ERROR_UNKNOWN_OUTCOME : ERROR_TRANSIENT;
                refusal.code = writes ? CODE_UNCONFIRMED : CODE_PLATFORM_DOWN;
                refusal.retry_at = response->retry_at;
        } else if (response->status < 400) {
                /* No answer of this API: the base URL is wrong. */
                refusal.class = ERROR_CONFIG;
                refusal.code = CODE_OPERATOR_ACTION;
        } else if (response->status == 404 && kind == KIND_COMMENT) {
                /* For some seconds a new post cannot be commented on. */
                refusal.class = ERROR_TRANSIENT;
                refusal.code = CODE_PARENT_MISSING;
                refusal.retry_at = now(CLOCK_REALTIME) + COMMENT_TOO_EARLY;
        } else if (response->status == 429) {
                /* Day quotas end at midnight UTC; those for comments are per minute. */
                refusal.retry_at = response->retry_at;
                if (!refusal.retry_at && kind == KIND_COMMENT)
                        refusal.retry_at = now(CLOCK_REALTIME) + COMMENT_THROTTLE;
                if (!refusal.retry_at)
                        refusal.retry_at = time_next_utc_midnight(now(CLOCK_REALTIME)) +
                                           jitter(USEC_PER_MINUTE);
        }

        return refuse(c, account, &refusal, ret_error);
}

/* One call of the versioned API. extra: one more header, or NULL. */
static int linkedin_call(const ProviderContext *c, const Account *account, const char *method,
                         const char *path, const char *body, const char *extra, HttpResponse *ret,
                         Error *ret_error) {
        _cleanup_(erase_and_freep) char *authorization = NULL;
        _cleanup_free_ char *version = NULL, *url = NULL;
        int r;

        r = token_header("Authorization: Bearer", account->access_token, &authorization, ret_error);
        if (r < 0)
                return r;

        version = strjoinf("LinkedIn-Version: %s", c->settings->linkedin_version);
        url = join_url(c->settings->linkedin_url, path);
        if (!version || !url)
                return error_oom(ret_error);

        return http_perform(c->http,
                            &(const HttpRequest){
                                    .method = method,
                                    .url = url,
                                    .headers =
                                            (const char *const[]){
                                                    authorization,
                                                    version,
                                                    "X-Restli-Protocol-Version: 2.0.0",
                                                    "Accept: application/json",
                                                    body ? "Content-Type: application/json" : extra,
                                                    NULL,
                                            },
                                    .body = body,
                                    .body_size = body ? strlen(body) : 0,
                                    .writes = body != NULL,
                            },
                            ret, ret_error);
}

static bool is_organization(const char *author) {
        return strncmp(author, "urn:li:organization:", strlen("urn:li:organization:")) == 0;
}

static int make_author(const Account *account, char **ret, Error *ret_error) {
        const char *id = usable_id(account->remote_id, ID_MAX);
        char *author;

        if (!id)
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_ACCOUNT_INVALID,
                                  "the account has no usable LinkedIn id");

        author = strncmp(id, "urn:li:", strlen("urn:li:")) == 0 ? strdup(id)
                                                                : strjoinf("urn:li:person:%s", id);
        if (!author)
                return error_oom(ret_error);
        *ret = author;
        return 0;
}

static int make_post(const char *author, const char *text, JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *body = json_object_new_object();
        _cleanup_free_ char *little = NULL;
        JsonObject *distribution = json_object_new_object();
        int r;

        r = linkedin_little_text(text, &little);
        if (r < 0) {
                json_unref(distribution);
                return r;
        }

        if (!body || !distribution ||
            json_set_string(distribution, "feedDistribution", "MAIN_FEED") < 0 ||
            json_set(distribution, "targetEntities", json_object_new_array()) < 0 ||
            json_set(distribution, "thirdPartyDistributionChannels", json_object_new_array()) < 0) {
                json_unref(distribution);
                return -ENOMEM;
        }

        if (json_set_string(body, "author", author) < 0 ||
            json_set_string(body, "commentary", little) < 0 ||
            json_set_string(body, "visibility", "PUBLIC") < 0) {
                json_unref(distribution);
                return -ENOMEM;
        }
        if (json_set(body, "distribution", distribution) < 0 ||
            json_set_string(body, "lifecycleState", "PUBLISHED") < 0 ||
            json_set_bool(body, "isReshareDisabledByAuthor", false) < 0)
                return -ENOMEM;

        *ret = TAKE_PTR(body);
        return 0;
}

static int make_comment(const char *actor, const Post *post, JsonObject **ret) {
        _cleanup_(json_unrefp) JsonObject *body = json_object_new_object();
        _cleanup_(json_unrefp) JsonObject *message = json_object_new_object();

        /* A comment is plain text: escaped, its backslashes would show. */
        if (!body || !message || json_set_string(message, "text", post->text) < 0 ||
            json_set_string(body, "actor", actor) < 0 ||
            json_set_string(body, "object", post->parent_remote_id) < 0 ||
            json_set(body, "message", TAKE_PTR(message)) < 0)
                return -ENOMEM;

        *ret = TAKE_PTR(body);
        return 0;
}

static int linkedin_prepare(_unused_ const ProviderContext *c, const Account *account,
                            const Post *post, Request *ret, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *body = NULL;
        _cleanup_free_ char *author = NULL, *target = NULL, *digest = NULL, *urn = NULL;
        Way way;
        int r;

        /* What members see is counted, not what the escaping makes of it. */
        r = check_text(WHO, post->text, text_count_utf16(post->text), TEXT_MAX, "characters",
                       ret_error);
        if (r < 0)
                return r;
        r = make_author(account, &author, ret_error);
        if (r < 0)
                return r;
        assert(author);

        if (post->kind == KIND_COMMENT) {
                if (!usable_id(post->parent_remote_id, ID_MAX))
                        return error_setf(ret_error, ERROR_PERMANENT, -ENOENT, CODE_PARENT_MISSING,
                                          "the post to comment on has no known LinkedIn id");
                urn = percent_encode(post->parent_remote_id);
                target = urn ? strjoinf("/rest/socialActions/%s/comments", urn) : NULL;
                way = WAY_NONE;
                r = make_comment(author, post, &body);
        } else {
                target = strdup("/rest/posts");
                way = is_organization(author) ? WAY_READ : WAY_RESEND;
                r = make_post(author, post->text, &body);
        }
        if (r < 0 || !target)
                return error_oom(ret_error);

        /* There is no key; what LinkedIn itself goes by is the content. */
        digest = sha256_hex(json_text(body));
        if (!digest)
                return error_oom(ret_error);
        return request_make(target, digest, body, way, ret, ret_error);
}

static int adopt(const char *urn, const char *post_urn, Receipt *ret, Error *ret_error) {
        _cleanup_free_ char *url = NULL;

        if (!isempty(post_urn)) {
                url = strjoinf("https://www.linkedin.com/feed/update/%s/", post_urn);
                if (!url)
                        return error_oom(ret_error);
        }
        return receipt_make(urn, url, NULL, ret, ret_error);
}

/* A 422 named the post that our bytes duplicate. After a deletion LinkedIn goes on naming a post
 * that is gone ("ghost"), so it is looked at where the token may look. */
static int adopt_duplicate(const ProviderContext *c, const Account *account, const char *author,
                           const char *urn, Receipt *ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_free_ char *encoded = percent_encode(urn), *path = NULL;
        _cleanup_(json_unrefp) JsonObject *post = NULL;
        const char *post_author;
        int r;

        path = encoded ? strjoinf("/rest/posts/%s", encoded) : NULL;
        if (!path)
                return error_oom(ret_error);

        r = linkedin_call(c, account, "GET", path, NULL, NULL, &response, ret_error);
        if (r < 0 || response.status == 408 || response.status == 429 || response.status >= 500)
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO, CODE_UNCONFIRMED,
                                  "LinkedIn calls it a duplicate of %s, which cannot be looked at "
                                  "now",
                                  urn);
        if (response.status == 404 || response.status == 410)
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO, CODE_UNCONFIRMED,
                                  "LinkedIn calls it a duplicate of %s, which does not exist", urn);

        if (response.status == 200) {
                post = http_json(&response);
                post_author = json_string(post, "author");
                if (post_author && !streq_ptr(post_author, author))
                        return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO,
                                          CODE_UNCONFIRMED,
                                          "LinkedIn calls it a duplicate of %s, which is not this "
                                          "account's",
                                          urn);
        }

        /* 200, or the token has no right to read: the platform's word is what there is. */
        return adopt(urn, urn, ret, ret_error);
}

static int linkedin_send(const ProviderContext *c, const Account *account, const Post *post,
                         const Request *request, Receipt *ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *body = NULL, *sent = NULL;
        _cleanup_free_ char *urn = NULL;
        LinkedinError said;
        const char *id;
        int r;

        r = linkedin_call(c, account, "POST", request->target, request->body, NULL, &response,
                          ret_error);
        if (r < 0)
                return r;

        body = http_json(&response);
        (void) json_parse(request->body, strlen(request->body), &sent);

        if (response.status >= 200 && response.status < 300) {
                /* Without an id it is published all the same. */
                id = usable_id(http_header(&response, "x-restli-id"), ID_MAX) ?: "";
                if (post->kind == KIND_COMMENT)
                        return adopt(usable_id(json_string(body, "commentUrn"), ID_MAX) ?: id,
                                     json_string(sent, "object"), ret, ret_error);
                return adopt(id, id, ret, ret_error);
        }

        said = linkedin_parse_error(body);
        if (response.status == 422 && post->kind == KIND_POST) {
                if (linkedin_find_urn(said.message, &urn) < 0)
                        return error_oom(ret_error);
                if (urn)
                        said.code = "DUPLICATE_POST";
                if (urn && request->resend)
                        return adopt_duplicate(c, account, json_string(sent, "author"), urn, ret,
                                               ret_error);
                if (request->resend && streq_ptr(said.code, "DUPLICATE_POST"))
                        return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO,
                                          CODE_UNCONFIRMED,
                                          "LinkedIn calls it a duplicate and does not say of what");
        }

        return linkedin_refuse(c, account, post->kind, true, &response, &said, ret_error);
}

/* Whether an element of the finder's answer is what these bytes became. */
static int compare_element(JsonObject *element, const char *wanted, usec_t begun, Likeness *ret,
                           bool *ret_older) {
        int64_t created = json_int64(element, "createdAt", json_int64(element, "publishedAt", 0));
        const char *commentary = json_string(element, "commentary");
        _cleanup_free_ char *plain = NULL;
        int r;

        *ret = TEXT_DIFFERENT;
        *ret_older = created > 0 && created < (int64_t) ((begun - CLOCK_SLACK) / USEC_PER_MSEC);
        if (!commentary || created == 0 || *ret_older)
                return 0;
        r = linkedin_plain_text(commentary, &plain);
        return r < 0 ? r : compare_texts(plain, wanted, ret);
}

/* Lists the author's newest posts: only an organization's token may. */
static int linkedin_reconcile(const ProviderContext *c, const Account *account, const Post *post,
                              const Request *request, usec_t begun, Finding *ret_finding,
                              Receipt *ret, Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *sent = NULL, *body = NULL;
        _cleanup_free_ char *encoded = NULL, *path = NULL, *wanted = NULL;
        JsonObject *elements;
        bool similar = false, reaches_back = false;
        LinkedinError said;
        size_t n;
        int r;

        *ret_finding = FINDING_UNKNOWN;
        if (json_parse(request->body, strlen(request->body), &sent) < 0 ||
            !json_string(sent, "author") || !json_string(sent, "commentary"))
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EINVAL, CODE_UNCONFIRMED,
                                  "a comment on LinkedIn cannot be looked up");

        encoded = percent_encode(json_string(sent, "author"));
        path = encoded ? strjoinf("/rest/posts?author=%s&q=author&count=%u&sortBy=CREATED", encoded,
                                  FINDER_COUNT)
                       : NULL;
        if (!path || linkedin_plain_text(json_string(sent, "commentary"), &wanted) < 0)
                return error_oom(ret_error);

        r = linkedin_call(c, account, "GET", path, NULL, "X-RestLi-Method: FINDER", &response,
                          ret_error);
        if (r < 0)
                return r;

        body = http_json(&response);
        if (response.status != 200) {
                said = linkedin_parse_error(body);
                return linkedin_refuse(c, account, post->kind, false, &response, &said, ret_error);
        }

        elements = json_member(body, "elements");
        if (!json_object_is_type(elements, json_type_array))
                return error_setf(ret_error, ERROR_TRANSIENT, -EBADMSG, CODE_PLATFORM_DOWN,
                                  "LinkedIn's list of posts is none");

        n = json_object_array_length(elements);
        for (size_t i = 0; i < n; i++) {
                JsonObject *element = json_object_array_get_idx(elements, i);
                const char *id = usable_id(json_string(element, "id"), ID_MAX);
                Likeness likeness;

                bool older;

                if (compare_element(element, wanted, begun, &likeness, &older) < 0)
                        return error_oom(ret_error);
                reaches_back = reaches_back || older;
                similar = similar || likeness != TEXT_DIFFERENT;
                if (likeness != TEXT_SAME || !id)
                        continue;

                r = adopt(id, id, ret, ret_error);
                if (r < 0)
                        return r;
                *ret_finding = FINDING_SENT;
                return 0;
        }

        if (similar)
                return error_setf(ret_error, ERROR_UNKNOWN_OUTCOME, -EREMOTEIO, CODE_UNCONFIRMED,
                                  "LinkedIn shows a similar post of that time, which may be this");

        /* The newest come first. A page full of posts made since says nothing about what came
         * before them. */
        if (n >= FINDER_COUNT && !reaches_back)
                return error_setf(ret_error, ERROR_TRANSIENT, -E2BIG, CODE_PLATFORM_DOWN,
                                  "LinkedIn's list of posts does not reach back far enough");
        *ret_finding = FINDING_ABSENT;
        return 0;
}

static int append_field(Str *form, const char *name, const char *value) {
        _cleanup_(erase_and_freep) char *encoded = percent_encode(value);

        if (!encoded)
                return -ENOMEM;
        return str_appendf(form, "%s%s=%s", form->length > 0 ? "&" : "", name, encoded);
}

static void form_done(Str *form) {
        if (form->data)
                explicit_bzero(form->data, form->length);
        str_done(form);
}

static int refresh_refused(const ProviderContext *c, const Account *account,
                           const HttpResponse *response, JsonObject *body, Error *ret_error) {
        const char *word = json_string(body, "error");
        Refusal refusal = {
                .who = WHO,
                .class = ERROR_TRANSIENT,
                .code = CODE_PLATFORM_DOWN,
                .status = response->status,
                .word = word,
                .words = json_string(body, "error_description"),
                .retry_at = response->retry_at,
        };

        if (response->status == 400 || response->status == 401) {
                if (streq_ptr(word, "invalid_grant") || streq_ptr(word, "invalid_request")) {
                        refusal.class = ERROR_AUTH;
                        refusal.code = CODE_RECONNECT_ACCOUNT;
                } else if (streq_ptr(word, "invalid_client") ||
                           streq_ptr(word, "unauthorized_client")) {
                        refusal.class = ERROR_CONFIG;
                        refusal.code = CODE_OPERATOR_ACTION;
                }
        } else if (response->status == 429) {
                refusal.class = ERROR_RATE_LIMITED;
                refusal.code = CODE_RATE_LIMITED;
                refusal.retry_at = clamp_retry(response->retry_at, USEC_PER_MINUTE);
        }
        return refuse(c, account, &refusal, ret_error);
}

static int linkedin_refresh(const ProviderContext *c, const Account *account, Tokens *ret,
                            Error *ret_error) {
        _cleanup_(http_response_done) HttpResponse response = {};
        _cleanup_(json_unrefp) JsonObject *body = NULL;
        _cleanup_(tokens_done) Tokens tokens = {};
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(form_done) Str form = {};
        _cleanup_free_ char *url = NULL;
        const char *access, *refresh;
        int64_t expires_in;
        int r;

        if (isempty(account->refresh_token))
                return error_setf(ret_error, ERROR_AUTH, -EACCES, CODE_RECONNECT_ACCOUNT,
                                  "LinkedIn gave this account no refresh token");
        if (isempty(c->settings->linkedin_client_id) ||
            isempty(c->settings->linkedin_client_secret))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, CODE_OPERATOR_ACTION,
                                  "LinkedIn's client id and client secret are not set");

        url = join_url(c->settings->linkedin_auth_url, "/oauth/v2/accessToken");
        if (!url || append_field(&form, "grant_type", "refresh_token") < 0 ||
            append_field(&form, "refresh_token", account->refresh_token) < 0 ||
            append_field(&form, "client_id", c->settings->linkedin_client_id) < 0 ||
            append_field(&form, "client_secret", c->settings->linkedin_client_secret) < 0)
                return error_oom(ret_error);

        r = http_perform(c->http,
                         &(const HttpRequest){
                                 .method = "POST",
                                 .url = url,
                                 .headers =
                                         (const char *const[]){
                                                 "Content-Type: application/x-www-form-urlencoded",
                                                 "Accept: application/json",
                                                 NULL,
                                         },
                                 .body = form.data,
                                 .body_size = form.length,
                                 .writes = true,
                         },
                         &response, &error);
        if (r < 0)
                return refresh_failed(&error, ret_error);

        body = http_json(&response);
        if (response.status != 200)
                return refresh_refused(c, account, &response, body, ret_error);

        access = usable_id(json_string(body, "access_token"), TOKEN_MAX);
        if (!access)
                return error_setf(ret_error, ERROR_TRANSIENT, -EBADMSG, CODE_PLATFORM_DOWN,
                                  "LinkedIn answered 200 without a token");

        refresh = json_string(body, "refresh_token");
        expires_in = json_int64(body, "expires_in", 0);
        tokens.access_token = strdup(access);
        tokens.refresh_token = isempty(refresh) ? NULL : strdup(refresh);
        if (!tokens.access_token || (!isempty(refresh) && !tokens.refresh_token))
                return error_oom(ret_error);
        if (expires_in > 0 && expires_in < (int64_t) 10 * 366 * 86400)
                tokens.expires_at = now(CLOCK_REALTIME) + (usec_t) expires_in * USEC_PER_SEC;

        *ret = tokens;
        tokens = (Tokens){};
        return 0;
}

const Provider provider_linkedin = {
        .name = "linkedin",
        .title = "LinkedIn",
        .prepare = linkedin_prepare,
        .send = linkedin_send,
        .reconcile = linkedin_reconcile,
        .refresh = linkedin_refresh,
};
