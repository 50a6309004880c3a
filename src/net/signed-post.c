/* SPDX-License-Identifier: MIT */
#include "signed-post.h"

#include <errno.h>

#include "base/codes.h"
#include "base/text.h"
#include "base/time-util.h"

#define SECRET_PREFIX "whsec_"

static int append_signature(Str *s, const char *secret, const char *content) {
        uint8_t digest[SHA256_SIZE];
        _cleanup_free_ char *text = NULL;
        uint8_t *key = NULL;
        size_t key_size = 0;
        int r;

        if (strncmp(secret, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0)
                secret += strlen(SECRET_PREFIX);
        r = base64_decode(secret, &key, &key_size);
        if (r < 0)
                return r;

        r = key_size > 0 ? hmac_sha256(key, key_size, content, strlen(content), digest) : -EINVAL;
        explicit_bzero(key, key_size);
        free(key);
        if (r < 0)
                return r;

        r = base64_encode(digest, sizeof(digest), &text);
        if (r < 0)
                return r;
        return str_appendf(s, "%sv1,%s", s->length > 0 ? " " : "", text);
}

int webhook_sign(const char *secrets, const char *id, int64_t timestamp, const char *body,
                 char **ret) {
        _cleanup_(erase_and_freep) char *copy = strdup(secrets);
        _cleanup_free_ char *content = NULL;
        _cleanup_(str_done) Str s = {};
        char *state = NULL;
        int r;

        content = strjoinf("%s.%lld.%s", id, (long long) timestamp, body);
        if (!copy || !content)
                return -ENOMEM;

        for (char *secret = strtok_r(copy, " ", &state); secret;
             secret = strtok_r(NULL, " ", &state)) {
                r = append_signature(&s, secret, content);
                if (r < 0)
                        return r;
        }
        if (s.length == 0)
                return -EINVAL;

        *ret = TAKE_PTR(s.data);
        return 0;
}

int signed_post(Http *h, const SignedPost *post, HttpResponse *ret, Error *ret_error) {
        int64_t at = (int64_t) (now(CLOCK_REALTIME) / USEC_PER_SEC);
        _cleanup_free_ char *signature = NULL, *id = NULL, *timestamp = NULL, *signed_by = NULL;
        _cleanup_free_ const char **headers = NULL;
        size_t n = 0, n_further = 0;
        bool is_signed = !post->unsigned_allowed || !isempty(post->secrets);
        int r;

        if (is_signed) {
                r = webhook_sign(post->secrets ?: "", post->id, at, post->body, &signature);
                if (r == -EINVAL)
                        return error_setf(ret_error, ERROR_CONFIG, -EKEYREJECTED,
                                          CODE_OPERATOR_ACTION,
                                          "the signing secret is none: it is whsec_ and base64");
                if (r < 0)
                        return error_oom(ret_error);
        }

        id = strjoinf("webhook-id: %s", post->id);
        timestamp = strjoinf("webhook-timestamp: %lld", (long long) at);
        signed_by = is_signed ? strjoinf("webhook-signature: %s", signature) : NULL;
        while (post->headers && post->headers[n_further])
                n_further++;
        headers = calloc(n_further + 5, sizeof(char *));
        if (!id || !timestamp || (is_signed && !signed_by) || !headers)
                return error_oom(ret_error);
        headers[n++] = "Content-Type: application/json";
        headers[n++] = id;
        headers[n++] = timestamp;
        if (signed_by)
                headers[n++] = signed_by;
        for (size_t i = 0; i < n_further; i++)
                headers[n++] = post->headers[i];

        return http_perform(h,
                            &(const HttpRequest){
                                    .method = "POST",
                                    .url = post->url,
                                    .headers = headers,
                                    .body = post->body,
                                    .body_size = strlen(post->body),
                                    .timeout = post->timeout,
                                    .writes = true,
                                    .member_host = post->member_host,
                            },
                            ret, ret_error);
}
