/* SPDX-License-Identifier: MIT */

/* The sandbox stands in for every platform: the same checks of the same text, and then nothing
 * leaves the machine. What would have been published is a line of posts.jsonl and a card on a
 * page, index.html, that a browser opens without a server. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/time-util.h"
#include "common.h"

#define CARDS_MAX 500U
#define LINE_MAX_BYTES ((size_t) 1024 * 1024)

static inline void file_close(FILE *f) {
        (void) fclose(f);
}
DEFINE_CLEANUP(FILE, file_close);

static int sandbox_error(Error *ret_error, int r, const char *what, const char *path) {
        return error_setf(ret_error, ERROR_CONFIG, r, CODE_OPERATOR_ACTION,
                          "the sandbox cannot %s %s: %s", what, path, strerrordesc_np(-r));
}

static int sandbox_prepare(const ProviderContext *c, const Account *account, const Post *post,
                           Request *ret, Error *ret_error) {
        const ProviderContext offline = { .settings = c->settings };
        const Provider *real = provider_find(account->provider);
        _cleanup_(json_unrefp) JsonObject *body = json_object_new_object();
        _cleanup_(request_done) Request request = {};
        char due_at[ISO8601_SIZE] = "";
        int r;

        if (!real)
                return error_setf(ret_error, ERROR_PERMANENT, -ENOENT, CODE_UNSUPPORTED_PLATFORM,
                                  "nothing can be published to %s", strnull(account->provider));
        if (real->needs_media && post->n_media == 0)
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_MEDIA_REQUIRED,
                                  "%s takes no post without a picture or video", real->title);

        r = real->prepare(&offline, account, post, &request, ret_error);
        if (r < 0)
                return r;

        if (post->due_at)
                time_format_iso8601(post->due_at, due_at);
        if (!body || json_set_string(body, "deliveryId", post->delivery_id) < 0 ||
            json_set_string(body, "provider", account->provider) < 0 ||
            json_set_string(body, "title", real->title) < 0 ||
            json_set_string(body, "account", account->remote_id) < 0 ||
            json_set_string(body, "kind", kind_to_string(post->kind)) < 0 ||
            json_set_string(body, "postId", post->id) < 0 ||
            json_set_string(body, "parentId",
                            post->kind == KIND_COMMENT ? post->parent_remote_id : NULL) < 0 ||
            json_set_string(body, "dueAt", *due_at ? due_at : NULL) < 0 ||
            json_set_string(body, "text", post->text) < 0 ||
            json_set_string(body, "request", request.body) < 0)
                return error_oom(ret_error);

        return request_make("sandbox", post->delivery_id, body, WAY_RESEND, ret, ret_error);
}

static int append_escaped(Str *s, const char *text) {
        int r = 0;

        for (const char *p = text ?: ""; *p && r >= 0; p++)
                switch (*p) {
                case '&':
                        r = str_append(s, "&amp;");
                        break;
                case '<':
                        r = str_append(s, "&lt;");
                        break;
                case '>':
                        r = str_append(s, "&gt;");
                        break;
                case '"':
                        r = str_append(s, "&quot;");
                        break;
                default:
                        r = str_append_n(s, p, 1);
                }
        return r;
}

static int append_element(Str *s, const char *open, const char *text, const char *close) {
        int r;

        r = str_append(s, open);
        if (r >= 0)
                r = append_escaped(s, text);
        return r < 0 ? r : str_append(s, close);
}

static int append_card(Str *s, JsonObject *post) {
        bool comment = streq_ptr(json_string(post, "kind"), "comment");

        if (append_element(s, "<article id=\"", json_string(post, "deliveryId"), "\">\n") < 0 ||
            append_element(s, "<header><b>", json_string(post, "title"), "</b> ") < 0 ||
            append_element(s, "<span>", json_string(post, "account"), "</span> ") < 0 ||
            str_append(s, comment ? "<em>comment</em> " : "") < 0 ||
            append_element(s, "<time>", json_string(post, "sentAt"), "</time></header>\n") < 0 ||
            append_element(s, "<p>", json_string(post, "text"), "</p>\n") < 0 ||
            append_element(s, "<footer>due ", json_string(post, "dueAt") ?: "at once", "") < 0)
                return -ENOMEM;
        if (comment && append_element(s, ", under ", json_string(post, "parentId"), "") < 0)
                return -ENOMEM;
        if (append_element(s, "<details><summary>request</summary><pre>",
                           json_string(post, "request"),
                           "</pre></details></footer>\n</article>\n") < 0)
                return -ENOMEM;
        return 0;
}

static const char page_head[] =
        "<!doctype html>\n"
        "<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" "
        "content=\"5\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>Sandbox</title>\n"
        "<style>\n"
        "body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; "
        "padding: 0 1rem; background: #f4f5f7; color: #1c2430; }\n"
        "article { background: #fff; border: 1px solid #d9dde3; border-radius: 8px; padding: 1rem; "
        "margin: 1rem 0; }\n"
        "header span, footer, time { color: #5b6573; }\n"
        "time { float: right; }\n"
        "p { white-space: pre-wrap; overflow-wrap: anywhere; }\n"
        "pre { white-space: pre-wrap; overflow-wrap: anywhere; }\n"
        "footer { font-size: 0.875rem; }\n"
        "@media (prefers-color-scheme: dark) { body { background: #14181e; color: #e4e8ee; } "
        "article { background: #1d232b; border-color: #333c47; } header span, footer, time { "
        "color: #9aa5b3; } }\n"
        "</style></head><body>\n"
        "<h1>Sandbox</h1>\n"
        "<p>What would have been published, newest first. Nothing of this left the machine.</p>\n";

/* posts: an array in the order of time. */
static int make_page(JsonObject *posts, char **ret) {
        size_t n = json_object_array_length(posts), shown = 0;
        _cleanup_(str_done) Str s = {};

        if (str_append(&s, page_head) < 0)
                return -ENOMEM;
        for (size_t i = n; i > 0 && shown < CARDS_MAX; i--, shown++)
                if (append_card(&s, json_object_array_get_idx(posts, i - 1)) < 0)
                        return -ENOMEM;
        if (str_append(&s, "</body></html>\n") < 0)
                return -ENOMEM;

        *ret = TAKE_PTR(s.data);
        return 0;
}

/* Reads posts.jsonl; lines that are none (a write that was cut) are left out. *ret_known: the post
 * of that delivery, borrowed, or NULL. */
static int read_posts(FILE *f, const char *delivery_id, JsonObject **ret, JsonObject **ret_known) {
        _cleanup_(json_unrefp) JsonObject *posts = json_object_new_array();
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0;
        ssize_t n;

        if (!posts)
                return -ENOMEM;

        *ret_known = NULL;
        rewind(f);
        while ((n = getline(&line, &allocated, f)) > 0) {
                JsonObject *post = NULL;

                if ((size_t) n > LINE_MAX_BYTES || json_parse(line, strcspn(line, "\n"), &post) < 0)
                        continue;
                if (streq_ptr(json_string(post, "deliveryId"), delivery_id))
                        *ret_known = post;
                if (json_object_array_add(posts, post) < 0) {
                        json_unref(post);
                        return -ENOMEM;
                }
        }

        *ret = TAKE_PTR(posts);
        return 0;
}

/* Adds the post's line; a line that an earlier write left without its end is ended first. */
static int append_post(FILE *f, JsonObject *post) {
        const char *text = json_text(post);
        bool torn;

        if (!text)
                return -ENOMEM;

        torn = fseek(f, -1, SEEK_END) == 0 && fgetc(f) != '\n';
        if (fseek(f, 0, SEEK_END) < 0 || fprintf(f, "%s%s\n", torn ? "\n" : "", text) < 0 ||
            fflush(f) != 0 || fsync(fileno(f)) < 0)
                return errno > 0 ? -errno : -EIO;
        return 0;
}

static int write_page(int dir_fd, JsonObject *posts) {
        _cleanup_(file_closep) FILE *f = NULL;
        _cleanup_free_ char *page = NULL;
        int fd, r;

        r = make_page(posts, &page);
        if (r < 0)
                return r;

        fd = openat(dir_fd, ".index.html.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        f = fdopen(fd, "w");
        if (!f) {
                r = -errno;
                (void) close(fd);
                return r;
        }
        if (fputs(page, f) < 0 || fflush(f) != 0 ||
            renameat(dir_fd, ".index.html.new", dir_fd, "index.html") < 0)
                return -errno;
        return 0;
}

static int make_sandbox_receipt(const ProviderContext *c, const Request *request, Receipt *ret,
                                Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *extra = json_object_new_object();
        _cleanup_free_ char *id = NULL, *url = NULL, *uri = NULL;

        /* What a comment's prepare of any platform looks for. */
        id = strjoinf("sandbox-%s", request->handle);
        uri = strjoinf("at://sandbox/%s", request->handle);
        url = strjoinf("file://%s/index.html#%s", c->settings->sandbox_dir, request->handle);
        if (!id || !uri || !url || !extra || json_set_string(extra, "uri", uri) < 0 ||
            json_set_string(extra, "cid", "sandbox") < 0)
                return error_oom(ret_error);
        return receipt_make(id, url, extra, ret, ret_error);
}

static int sandbox_send(const ProviderContext *c, _unused_ const Account *account,
                        _unused_ const Post *post, const Request *request, Receipt *ret,
                        Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *line = NULL, *posts = NULL;
        const char *path = c->settings->sandbox_dir;
        _cleanup_close_ int dir_fd = -1;
        _cleanup_(file_closep) FILE *f = NULL;
        JsonObject *known = NULL;
        char sent_at[ISO8601_SIZE];
        int fd, r;

        if (isempty(path))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, CODE_OPERATOR_ACTION,
                                  "AUTOMAPOST_SANDBOX_DIR is not set");
        if (json_parse(request->body, strlen(request->body), &line) < 0)
                return error_setf(ret_error, ERROR_PERMANENT, -EINVAL, CODE_REJECTED,
                                  "the stored request is no sandbox request");

        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return sandbox_error(ret_error, -errno, "make", path);
        dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0)
                return sandbox_error(ret_error, -errno, "open", path);
        fd = openat(dir_fd, "posts.jsonl", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
                return sandbox_error(ret_error, -errno, "write to", path);
        f = fdopen(fd, "r+");
        if (!f) {
                r = -errno;
                (void) close(fd);
                return sandbox_error(ret_error, r, "write to", path);
        }

        /* Held until the file is closed: the page and the list change as one. */
        if (flock(fd, LOCK_EX) < 0)
                return sandbox_error(ret_error, -errno, "lock", path);

        r = read_posts(f, request->handle, &posts, &known);
        if (r < 0)
                return error_oom(ret_error);
        if (!known) {
                time_format_iso8601(now(CLOCK_REALTIME), sent_at);
                if (json_set_string(line, "sentAt", sent_at) < 0)
                        return error_oom(ret_error);
                r = append_post(f, line);
                if (r < 0)
                        return sandbox_error(ret_error, r, "write to", path);
                if (json_object_array_add(posts, line) < 0)
                        return error_oom(ret_error);
                line = NULL;
        }

        /* The line is the post; a page that could not be written comes with the next one. */
        (void) write_page(dir_fd, posts);
        return make_sandbox_receipt(c, request, ret, ret_error);
}

static const Provider provider_in_sandbox = {
        .name = "sandbox",
        .title = "Sandbox",
        .prepare = sandbox_prepare,
        .send = sandbox_send,
};

const Provider *provider_sandbox(void) {
        return &provider_in_sandbox;
}
