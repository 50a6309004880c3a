/* SPDX-License-Identifier: MIT */
#include "provider.h"

#define PROVIDER(name) extern const Provider provider_##name;
#include "provider-list.h"
#undef PROVIDER

static const Provider *const providers[] = {
#define PROVIDER(name) &provider_##name,
#include "provider-list.h"
#undef PROVIDER
};

const Provider *provider_find(const char *name) {
        if (!name)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(providers); i++)
                if (streq(providers[i]->name, name))
                        return providers[i];
        return NULL;
}

const Provider *const *provider_list(size_t *ret_n) {
        *ret_n = ELEMENTSOF(providers);
        return providers;
}

static const char *const way_names[_WAY_MAX] = {
        [WAY_NONE] = "none",
        [WAY_READ] = "read",
        [WAY_RESEND] = "resend",
};

const char *way_to_string(Way w) {
        return w >= 0 && w < _WAY_MAX ? way_names[w] : NULL;
}

Way way_from_string(const char *s) {
        for (Way w = 0; s && w < _WAY_MAX; w++)
                if (streq(way_names[w], s))
                        return w;
        return _WAY_INVALID;
}

static const char *const kind_names[_KIND_MAX] = {
        [KIND_POST] = "post",
        [KIND_COMMENT] = "comment",
};

const char *kind_to_string(Kind k) {
        return k >= 0 && k < _KIND_MAX ? kind_names[k] : NULL;
}

Kind kind_from_string(const char *s) {
        for (Kind k = 0; s && k < _KIND_MAX; k++)
                if (streq(kind_names[k], s))
                        return k;
        return _KIND_INVALID;
}

void request_done(Request *r) {
        free(r->target);
        free(r->handle);
        free(r->body);
        *r = (Request){};
}

void receipt_done(Receipt *r) {
        free(r->remote_id);
        free(r->url);
        free(r->extra);
        *r = (Receipt){};
}

void tokens_done(Tokens *t) {
        erase_and_freep(&t->access_token);
        erase_and_freep(&t->refresh_token);
        *t = (Tokens){};
}
