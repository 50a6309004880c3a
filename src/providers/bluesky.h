/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files bluesky*.c share and nobody else sees. */

#include "common.h"
#include "parts.h"

#define BLUESKY "Bluesky"
#define BLUESKY_ID_MAX ((size_t) 2048)

/* Where an account's records are kept, and whether a member says so. */
typedef struct BlueskyServer {
        char *url;
        bool member_host;
} BlueskyServer;
void bluesky_server_done(BlueskyServer *s);

bool bluesky_is_handle(const char *s);
/* 1 and the DID, 0 if there is no such handle. */
int bluesky_resolve_handle(const ProviderContext *c, const Account *account, const char *handle,
                           char **ret, Error *ret_error);
/* The DID of the account, or in a sandbox its handle. */
int bluesky_find_repo(const ProviderContext *c, const Account *account, char **ret,
                      Error *ret_error);
/* The server that keeps did's records: the account's own address; a base URL that an operator set;
 * else what the DID's document says. */
int bluesky_find_server(const ProviderContext *c, const Account *account, const char *did,
                        BlueskyServer *ret, Error *ret_error);

/* GET; *ret is the answer's JSON, or NULL where it has none. */
int bluesky_read_json(const ProviderContext *c, const char *url, bool member_host,
                      HttpResponse *ret_response, JsonObject **ret, Error *ret_error);
/* A read that was not answered with 200 and says nothing about what was asked. */
int bluesky_read_failed(const ProviderContext *c, const Account *account, const char *who,
                        const HttpResponse *response, JsonObject *body, Error *ret_error);
