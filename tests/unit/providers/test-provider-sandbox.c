/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/settings.h"
#include "base/text.h"
#include "providers/provider.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static char dir[] = "/tmp/sandbox-XXXXXX";
static char bluesky_url[] = "https://bsky.social", empty[] = "";
static Settings settings = { .sandbox_dir = dir,
                             .bluesky_url = bluesky_url,
                             .mastodon_url = empty };
static const ProviderContext context = { .settings = &settings };

static char *read_file(const char *name) {
        _cleanup_free_ char *path = strjoinf("%s/%s", dir, name);
        _cleanup_(str_done) Str s = {};
        char buffer[4096];
        size_t n;
        FILE *f;

        f = fopen(path, "re");
        assert_non_null(f);
        while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
                assert_int_equal(str_append_n(&s, buffer, n), 0);
        assert_int_equal(fclose(f), 0);
        return TAKE_PTR(s.data);
}

static size_t count(const char *haystack, const char *needle) {
        size_t n = 0;

        for (const char *p = haystack; (p = strstr(p, needle)); p++)
                n++;
        return n;
}

static void deliver(const char *delivery_id, const char *text) {
        const Account account = { .provider = "mastodon", .remote_id = "al@example.org" };
        const Post post = { .id = "p", .delivery_id = delivery_id, .text = text };
        _cleanup_(error_done) Error e = ERROR_NULL;
        _cleanup_(receipt_done) Receipt receipt = {};
        _cleanup_(request_done) Request request = {};
        const Provider *sandbox = provider_sandbox();

        assert_int_equal(sandbox->prepare(&context, &account, &post, &request, &e), 0);
        assert_int_equal(request.way, WAY_RESEND);
        assert_int_equal(sandbox->send(&context, &account, &post, &request, &receipt, &e), 0);
        assert_non_null(strstr(receipt.remote_id, delivery_id));
}

static void test_page(_unused_ void **state) {
        _cleanup_free_ char *page = NULL, *lines = NULL;

        deliver("d-1", "<script>alert(1)</script> & \"you\"");
        deliver("d-2", "second");
        deliver("d-1", "<script>alert(1)</script> & \"you\"");

        page = read_file("index.html");
        lines = read_file("posts.jsonl");
        assert_int_equal(count(lines, "\n"), 2);
        assert_int_equal(count(page, "<article"), 2);
        assert_null(strstr(page, "<script"));
        assert_non_null(
                strstr(page, "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;you&quot;"));
        /* newest first */
        assert_true(strstr(page, "id=\"d-2\"") < strstr(page, "id=\"d-1\""));
}

/* A line that a crash cut off takes nothing else with it. */
static void test_torn_line(_unused_ void **state) {
        _cleanup_free_ char *path = strjoinf("%s/posts.jsonl", dir), *lines = NULL, *page = NULL;
        int fd;

        deliver("d-3", "third");
        fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "{\"deliveryId\":\"d-4", 18), 18);
        assert_int_equal(close(fd), 0);
        deliver("d-5", "fifth");

        lines = read_file("posts.jsonl");
        page = read_file("index.html");
        assert_non_null(strstr(lines, "d-4\n{"));
        assert_null(strstr(page, "id=\"d-4"));
        assert_non_null(strstr(page, "id=\"d-3\""));
        assert_non_null(strstr(page, "id=\"d-5\""));
}

static void test_limits(_unused_ void **state) {
        const Account account = { .provider = "bluesky", .remote_id = "did:plc:me" };
        const Account nowhere = { .provider = "google", .remote_id = "1" };
        _cleanup_(error_done) Error e = ERROR_NULL;
        Request request = {};
        char text[302] = "";

        memset(text, 'x', 301);
        assert_true(provider_sandbox()->prepare(
                            &context, &account,
                            &(const Post){ .id = "p", .delivery_id = "d", .text = text }, &request,
                            &e) < 0);
        assert_string_equal(e.code, "text-too-long");
        assert_true(provider_sandbox()->prepare(
                            &context, &nowhere,
                            &(const Post){ .id = "p", .delivery_id = "d", .text = "x" }, &request,
                            &e) < 0);
        assert_string_equal(e.code, "unsupported-platform");
}

/* What the sandbox says of a post is enough for every platform's comment. */
static void test_comments(_unused_ void **state) {
        static const struct {
                const char *provider, *remote_id;
        } platforms[] = {
                { "linkedin", "AbC" },
                { "bluesky", "did:plc:me" },
                { "mastodon", "al@example.org" },
        };

        for (size_t i = 0; i < ELEMENTSOF(platforms); i++) {
                const Account account = { .provider = platforms[i].provider,
                                          .remote_id = platforms[i].remote_id };
                Post post = { .id = "p", .delivery_id = "c-1", .text = "x" };
                _cleanup_(error_done) Error e = ERROR_NULL;
                _cleanup_(receipt_done) Receipt receipt = {};
                Request request = {};
                const Provider *sandbox = provider_sandbox();

                assert_int_equal(sandbox->prepare(&context, &account, &post, &request, &e), 0);
                assert_int_equal(sandbox->send(&context, &account, &post, &request, &receipt, &e),
                                 0);
                request_done(&request);

                post.kind = KIND_COMMENT;
                post.parent_remote_id = receipt.remote_id;
                post.parent_receipt = receipt.extra;
                assert_int_equal(sandbox->prepare(&context, &account, &post, &request, &e), 0);
                request_done(&request);
        }
}

static int make_dir(_unused_ void **state) {
        return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(_unused_ void **state) {
        static const char *const names[] = { "index.html", "posts.jsonl", ".index.html.new" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = strjoinf("%s/%s", dir, names[i]);

                (void) unlink(path);
        }
        return rmdir(dir);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_page),
                cmocka_unit_test(test_torn_line),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_comments),
        };

        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
