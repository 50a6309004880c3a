/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/settings.h"
#include "base/time-util.h"
#include "providers/parts.h"

#include <errno.h>

static void test_tid(_unused_ void **state) {
        char tid[TID_SIZE];

        bluesky_tid(0, 0, tid);
        assert_string_equal(tid, "2222222222222");
        bluesky_tid(UINT64_C(1700000000000000), 7, tid);
        assert_string_equal(tid, "3ke6kg3wk222b");
        bluesky_tid(UINT64_MAX, 1023, tid);
        assert_string_equal(tid, "bzzzzzzzzzzzz"); /* 53 bits, so never above 'j' */
}

static void test_record_key(_unused_ void **state) {
        usec_t due = 1700000000 * USEC_PER_SEC;
        char a[TID_SIZE], b[TID_SIZE], second[TID_SIZE];

        assert_int_equal(bluesky_record_key("delivery-1", due, a), 0);
        assert_int_equal(bluesky_record_key("delivery-1", due + 5, b), 0);
        assert_string_equal(a, b);
        assert_int_equal(bluesky_record_key("delivery-2", due, b), 0);
        assert_string_not_equal(a, b);

        /* Within the second: "3ke6kg3wk" is that of the check value above. */
        bluesky_tid(due + USEC_PER_SEC, 0, second);
        assert_true(strcmp(a, "3ke6kg3wk2222") >= 0);
        assert_true(strcmp(a, second) < 0);
}

static int resolve_known(_unused_ void *userdata, const char *handle, char **ret,
                         _unused_ Error *ret_error) {
        if (!streq(handle, "alice.test"))
                return 0;
        *ret = strdup("did:plc:alice");
        return *ret ? 1 : -ENOMEM;
}

static int resolve_fails(_unused_ void *userdata, _unused_ const char *handle, _unused_ char **ret,
                         Error *ret_error) {
        return error_setf(ret_error, ERROR_TRANSIENT, -ETIMEDOUT, CODE_PLATFORM_DOWN, "down");
}

#define LINK(start, end, uri)                                    \
        "{\"index\":{\"byteStart\":" #start ",\"byteEnd\":" #end \
        "},\"features\":[{\"$type\":\"app.bsky.richtext.facet#link\",\"uri\":\"" uri "\"}]}"
#define TAG(start, end, tag)                                     \
        "{\"index\":{\"byteStart\":" #start ",\"byteEnd\":" #end \
        "},\"features\":[{\"$type\":\"app.bsky.richtext.facet#tag\",\"tag\":\"" tag "\"}]}"
#define MENTION(start, end, did)                                 \
        "{\"index\":{\"byteStart\":" #start ",\"byteEnd\":" #end \
        "},\"features\":[{\"$type\":\"app.bsky.richtext.facet#mention\",\"did\":\"" did "\"}]}"

static const struct {
        const char *text, *facets;
} facets[] = {
        { "", "[]" },
        { "nothing here", "[]" },
        { "see https://example.org/a.", "[" LINK(4, 25, "https://example.org/a") "]" },
        /* offsets are bytes: the euro sign has three, the smiley four */
        { "\xe2\x82\xac \xf0\x9f\x98\x80 https://example.org",
          "[" LINK(9, 28, "https://example.org") "]" },
        { "at example.org/x now", "[" LINK(3, 16, "https://example.org/x") "]" },
        { "hi @alice.test!", "[" MENTION(3, 14, "did:plc:alice") "]" },
        { "hi @Alice.Test", "[" MENTION(3, 14, "did:plc:alice") "]" },
        { "hi @nobody.example.org", "[]" },
        { "#one and #two_3", "[" TAG(0, 4, "one") "," TAG(9, 15, "two_3") "]" },
        { "\xef\xbc\x83wide", "[" TAG(0, 7, "wide") "]" },
        { "https://example.org/@alice.test#frag",
          "[" LINK(0, 36, "https://example.org/@alice.test#frag") "]" },
};

static void test_facets(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(facets); i++) {
                _cleanup_(error_done) Error e = ERROR_NULL;
                _cleanup_(json_unrefp) JsonObject *o = NULL;

                assert_int_equal(bluesky_facets(facets[i].text, resolve_known, NULL, &o, &e), 0);
                assert_string_equal(json_text(o), facets[i].facets);
        }
}

static void test_facets_resolve(_unused_ void **state) {
        _cleanup_(json_unrefp) JsonObject *offline = NULL, *none = NULL;
        _cleanup_(error_done) Error e = ERROR_NULL;

        assert_int_equal(bluesky_facets("@alice.test", NULL, NULL, &offline, &e), 0);
        assert_string_equal(json_text(offline), "[]");
        assert_true(bluesky_facets("@alice.test", resolve_fails, NULL, &none, &e) < 0);
        assert_int_equal(e.class, ERROR_TRANSIENT);
        assert_null(none);
}

static void test_did_pds(_unused_ void **state) {
        static const struct {
                const char *document, *pds;
        } table[] = {
                { "{\"id\":\"did:plc:a\",\"service\":[{\"id\":\"#atproto_pds\",\"type\":"
                  "\"AtprotoPersonalDataServer\",\"serviceEndpoint\":\"https://pds.example/\"}]}",
                  "https://pds.example" },
                { "{\"id\":\"did:plc:a\",\"service\":[{\"id\":\"#other\"},{\"id\":"
                  "\"did:plc:a#atproto_pds\",\"type\":\"AtprotoPersonalDataServer\","
                  "\"serviceEndpoint\":\"https://pds.example\"}]}",
                  "https://pds.example" },
                { "{\"id\":\"did:plc:b\",\"service\":[{\"id\":\"#atproto_pds\",\"type\":"
                  "\"AtprotoPersonalDataServer\",\"serviceEndpoint\":\"https://pds.example\"}]}",
                  NULL },
                { "{\"id\":\"did:plc:a\",\"service\":[{\"id\":\"#atproto_pds\",\"type\":\"Other\","
                  "\"serviceEndpoint\":\"https://pds.example\"}]}",
                  NULL },
                { "{\"id\":\"did:plc:a\",\"service\":[{\"id\":\"#atproto_pds\",\"type\":"
                  "\"AtprotoPersonalDataServer\",\"serviceEndpoint\":{}}]}",
                  NULL },
                { "{\"id\":\"did:plc:a\",\"service\":[1,null,[]]}", NULL },
                { "{\"id\":\"did:plc:a\"}", NULL },
                { "7", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(json_unrefp) JsonObject *o = NULL;
                _cleanup_free_ char *pds = NULL;

                assert_int_equal(json_parse(table[i].document, strlen(table[i].document), &o), 0);
                assert_int_equal(bluesky_did_pds(o, "did:plc:a", &pds), table[i].pds ? 0 : -EINVAL);
                assert_true(streq_ptr(pds, table[i].pds));
        }
}

static void test_jwt_expiry(_unused_ void **state) {
        /* {"exp":1700000000} and {"a":"???>>>","exp":1} in base64url */
        assert_int_equal(bluesky_jwt_expiry("e30.eyJleHAiOjE3MDAwMDAwMDB9.sig"),
                         1700000000 * USEC_PER_SEC);
        assert_int_equal(bluesky_jwt_expiry("e30.eyJhIjoiPz8_Pj4-IiwiZXhwIjoxfQ.sig"),
                         USEC_PER_SEC);
        assert_int_equal(bluesky_jwt_expiry("e30.e30.sig"), 0);
        assert_int_equal(bluesky_jwt_expiry("no jwt"), 0);
        assert_int_equal(bluesky_jwt_expiry("a.*.b"), 0);
        assert_int_equal(bluesky_jwt_expiry(".."), 0);
}

static int prepare(const Post *post, Request *ret, Error *e) {
        char server[] = "https://bsky.social";
        Settings settings = { .bluesky_url = server };

        return provider_find("bluesky")->prepare(&(const ProviderContext){ .settings = &settings },
                                                 &(const Account){ .remote_id = "did:plc:me" },
                                                 post, ret, e);
}

static void test_prepare(_unused_ void **state) {
        Post post = { .id = "p", .delivery_id = "d", .text = "hi" };
        _cleanup_(error_done) Error e = ERROR_NULL;
        Request r = {}, again = {};

        post.due_at = now(CLOCK_REALTIME) - USEC_PER_SEC;
        assert_int_equal(prepare(&post, &r, &e), 0);
        assert_int_equal(prepare(&post, &again, &e), 0);
        assert_string_equal(r.body, again.body);
        assert_string_equal(r.handle, again.handle);
        assert_int_equal(r.way, WAY_READ);
        assert_non_null(strstr(r.body, "\"repo\":\"did:plc:me\",\"collection\":"
                                       "\"app.bsky.feed.post\",\"rkey\":\""));
        assert_non_null(strstr(r.body, "\"swapRecord\":null"));
        request_done(&r);
        request_done(&again);

        post.kind = KIND_COMMENT;
        assert_true(prepare(&post, &r, &e) < 0);
        assert_string_equal(e.code, "parent-missing");
        post.parent_receipt = "{\"uri\":\"at://x/app.bsky.feed.post/1\",\"cid\":\"c\"}";
        assert_int_equal(prepare(&post, &r, &e), 0);
        assert_non_null(strstr(
                r.body,
                "\"reply\":{\"root\":{\"uri\":\"at://x/app.bsky.feed.post/1\",\"cid\":\"c\"},"
                "\"parent\":{\"uri\":\"at://x/app.bsky.feed.post/1\",\"cid\":\"c\"}}"));
        request_done(&r);
}

static void test_limits(_unused_ void **state) {
        /* a family of 25 bytes that is one grapheme */
        static const char family[] = "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d"
                                     "\xf0\x9f\x91\xa7\xe2\x80\x8d\xf0\x9f\x91\xa6";
        _cleanup_(error_done) Error e = ERROR_NULL;
        char text[4000] = "";
        Request r = {};

        memset(text, 'x', 300);
        assert_int_equal(prepare(&(const Post){ .id = "p", .delivery_id = "d", .text = text }, &r,
                                 &e),
                         0);
        request_done(&r);
        text[300] = 'x';
        assert_true(prepare(&(const Post){ .id = "p", .delivery_id = "d", .text = text }, &r, &e) <
                    0);
        assert_string_equal(e.code, "text-too-long");

        /* 120 graphemes, 3000 bytes; and one more */
        for (size_t i = 0; i < 121; i++)
                memcpy(text + 25 * i, family, sizeof(family));
        assert_true(prepare(&(const Post){ .id = "p", .delivery_id = "d", .text = text }, &r, &e) <
                    0);
        assert_string_equal(e.code, "text-too-long");
        text[3000] = '\0';
        assert_int_equal(prepare(&(const Post){ .id = "p", .delivery_id = "d", .text = text }, &r,
                                 &e),
                         0);
        request_done(&r);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tid),     cmocka_unit_test(test_record_key),
                cmocka_unit_test(test_facets),  cmocka_unit_test(test_facets_resolve),
                cmocka_unit_test(test_did_pds), cmocka_unit_test(test_jwt_expiry),
                cmocka_unit_test(test_prepare), cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
