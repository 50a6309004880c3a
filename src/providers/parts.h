/* SPDX-License-Identifier: MIT */
#pragma once

/* The pure parts of the platforms' files: what needs no network, and what reads the outside's data.
 * Here so that unit tests and fuzz targets can call them; nobody else does. */

#include "common.h"

/* linkedin.c */

/* The platform's "little text": its reserved characters escaped, hashtags as templates. */
int linkedin_little_text(const char *text, char **ret);
/* Back again, as far as our own little text goes. */
int linkedin_plain_text(const char *little, char **ret);
/* The first urn:li:(share|ugcPost|activity):DIGITS in a text; NULL in *ret if there is none. */
int linkedin_find_urn(const char *s, char **ret);

/* An error body in any of its three shapes. Borrowed from it. */
typedef struct LinkedinError {
        const char *code, *message;
} LinkedinError;
LinkedinError linkedin_parse_error(JsonObject *body);

/* bluesky.c, bluesky-facets.c, bluesky-identity.c */

#define TID_SIZE 14
void bluesky_tid(uint64_t usec, unsigned clock_id, char ret[static TID_SIZE]);
/* The same key for the same delivery and due time; ids of 30 random-looking bits keep apart the
 * posts that one account has at one instant. */
int bluesky_record_key(const char *delivery_id, usec_t due_at, char ret[static TID_SIZE]);
/* Facets for the links, mentions and hashtags of a text. resolve: 1 and *ret_did, 0 where there is
 * no such handle, negative on failure; NULL leaves mentions as text. */
typedef int (*ResolveHandle)(void *userdata, const char *handle, char **ret_did, Error *ret_error);
int bluesky_facets(const char *text, ResolveHandle resolve, void *userdata, JsonObject **ret,
                   Error *ret_error);
/* The personal data server that a DID document names for did; -EINVAL where it names none. */
int bluesky_did_pds(JsonObject *document, const char *did, char **ret);
/* "exp" of a JWT, not verified; 0 where it has none. */
usec_t bluesky_jwt_expiry(const char *jwt);

/* mastodon.c */

/* What a text counts as: each URL as url_length, of a remote mention only the name. In graphemes,
 * or else in code points. -EINVAL, -ENOMEM. */
int64_t mastodon_count(const char *text, int64_t url_length, bool graphemes);
/* A status's HTML as text; links as their full address (link_targets), or as they are shown. */
int mastodon_plain_text(const char *html, bool link_targets, char **ret);
/* How a status's HTML relates to the text that was sent. -ENOMEM. */
int mastodon_compare(const char *html, const char *text, Likeness *ret);
/* Whether a server's description says Mastodon itself, which honours Idempotency-Key. */
bool mastodon_is_proper(JsonObject *instance);
