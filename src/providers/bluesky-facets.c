/* SPDX-License-Identifier: MIT */

/* What in a text is a link, a mention or a hashtag: Bluesky's rich text names each by its bytes. */

#include <errno.h>

#include "bluesky.h"

#define TAG_BYTES_MAX 640
#define TAG_GRAPHEMES_MAX 64
#define MENTIONS_MAX 20U

typedef struct Spans {
        TextSpan *items;
        size_t n, allocated;
} Spans;

static void spans_done(Spans *s) {
        free(s->items);
}

static int spans_add(Spans *s, TextSpan span) {
        TextSpan *items;

        if (s->n == s->allocated) {
                items = reallocarray(s->items, s->allocated * 2 + 8, sizeof(*items));
                if (!items)
                        return -ENOMEM;
                s->items = items;
                s->allocated = s->allocated * 2 + 8;
        }
        s->items[s->n++] = span;
        return 0;
}

static bool spans_overlap(const Spans *s, TextSpan span) {
        for (size_t i = 0; i < s->n; i++)
                if (span.start < s->items[i].end && s->items[i].start < span.end)
                        return true;
        return false;
}

/* feature: "link", "mention" or "tag", whose member `name` is value. */
static int add_facet(JsonObject *facets, TextSpan span, const char *feature, const char *name,
                     const char *value) {
        _cleanup_(json_unrefp) JsonObject *facet = json_object_new_object();
        _cleanup_(json_unrefp) JsonObject *index = json_object_new_object();
        _cleanup_(json_unrefp) JsonObject *object = json_object_new_object();
        _cleanup_(json_unrefp) JsonObject *features = json_object_new_array();
        _cleanup_free_ char *type = strjoinf("app.bsky.richtext.facet#%s", feature);

        if (!facet || !index || !object || !features || !type ||
            json_set_int64(index, "byteStart", (int64_t) span.start) < 0 ||
            json_set_int64(index, "byteEnd", (int64_t) span.end) < 0 ||
            json_set_string(object, "$type", type) < 0 || json_set_string(object, name, value) < 0)
                return -ENOMEM;

        if (json_object_array_add(features, object) < 0)
                return -ENOMEM;
        object = NULL;
        if (json_set(facet, "index", TAKE_PTR(index)) < 0 ||
            json_set(facet, "features", TAKE_PTR(features)) < 0 ||
            json_object_array_add(facets, facet) < 0)
                return -ENOMEM;
        facet = NULL;
        return 0;
}

static int add_link(JsonObject *facets, const char *text, TextSpan span, bool bare) {
        _cleanup_free_ char *uri = strjoinf("%s%.*s", bare ? "https://" : "",
                                            (int) (span.end - span.start), text + span.start);

        return uri ? add_facet(facets, span, "link", "uri", uri) : -ENOMEM;
}

static int add_mention(JsonObject *facets, const char *text, TextSpan span, ResolveHandle resolve,
                       void *userdata, Error *ret_error) {
        _cleanup_free_ char *handle = strndup(text + span.start + 1, span.end - span.start - 1);
        _cleanup_free_ char *did = NULL;
        int r;

        if (!handle)
                return error_oom(ret_error);
        if (!bluesky_is_handle(handle))
                return 0;
        for (char *p = handle; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char) (*p - 'A' + 'a');

        r = resolve(userdata, handle, &did, ret_error);
        if (r <= 0)
                return r;
        return add_facet(facets, span, "mention", "did", did) < 0 ? error_oom(ret_error) : 0;
}

static int add_tag(JsonObject *facets, const char *text, TextSpan span) {
        size_t sign = text[span.start] == '#' ? 1 : strlen("\xef\xbc\x83");
        _cleanup_free_ char *tag = NULL;

        if (span.end - span.start - sign > TAG_BYTES_MAX)
                return 0;
        tag = strndup(text + span.start + sign, span.end - span.start - sign);
        if (!tag)
                return -ENOMEM;
        if (text_count_graphemes(tag) > TAG_GRAPHEMES_MAX)
                return 0;
        return add_facet(facets, span, "tag", "tag", tag);
}

/* Links; with bare set, also names without a scheme that are no part of a mention or address. */
static int add_links(JsonObject *facets, const char *text, bool bare, Spans *taken) {
        size_t pos = 0;
        TextSpan span;
        int r;

        while ((r = text_next_url(text, bare, &pos, &span)) > 0) {
                if (spans_overlap(taken, span) || (span.start > 0 && text[span.start - 1] == '@'))
                        continue;
                if (add_link(facets, text, span, bare) < 0 || spans_add(taken, span) < 0)
                        return -ENOMEM;
        }
        return r;
}

int bluesky_facets(const char *text, ResolveHandle resolve, void *userdata, JsonObject **ret,
                   Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *facets = json_object_new_array();
        _cleanup_(spans_done) Spans taken = {};
        unsigned n_mentions = 0;
        size_t pos = 0;
        TextSpan span;
        int r;

        if (!facets)
                return error_oom(ret_error);

        /* What has a scheme is a link, whatever is inside it; only then the vaguer ones. */
        r = add_links(facets, text, false, &taken);
        if (r < 0)
                return error_oom(ret_error);

        while ((r = text_next_mention(text, &pos, &span)) > 0) {
                if (spans_overlap(&taken, span))
                        continue;
                if (spans_add(&taken, span) < 0)
                        return error_oom(ret_error);
                if (!resolve || n_mentions++ >= MENTIONS_MAX)
                        continue;
                r = add_mention(facets, text, span, resolve, userdata, ret_error);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return error_oom(ret_error);

        r = add_links(facets, text, true, &taken);
        if (r < 0)
                return error_oom(ret_error);

        pos = 0;
        while ((r = text_next_hashtag(text, &pos, &span)) > 0)
                if (!spans_overlap(&taken, span) && add_tag(facets, text, span) < 0)
                        return error_oom(ret_error);
        if (r < 0)
                return error_oom(ret_error);

        *ret = TAKE_PTR(facets);
        return 0;
}
