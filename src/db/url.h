/* SPDX-License-Identifier: MIT */
#pragma once

/* Connection strings, URIs or keywords, as libpq takes them. */

#include "base/macro.h"

/* The value of one of libpq's keywords ("user", "dbname", …) in url; NULL where it is not there.
 * -EINVAL where url is no connection string, -ENOMEM. */
int db_url_get(const char *url, const char *keyword, char **ret);
/* url with keywords replaced: changes are pairs of keyword and value (NULL takes it out), ended by
 * NULL. What only ORMs know is left out. -EINVAL, -ENOMEM. */
int db_url_set(const char *url, const char *const *changes, char **ret);

/* Whether url goes by peer authentication: over a socket, without a password. */
bool db_url_is_peer(const char *url);

/* Where url leads, for people: host (or the folder of the socket) and port, from the URL or libpq's
 * environment; NULL where libpq's own default counts. Never a secret. -ENOMEM. */
int db_url_target(const char *url, char **ret_host, char **ret_port);

/* url without the parameters that only ORMs know, and libpq refuses; NULL where memory is short. */
char *db_url_strip(const char *url);
