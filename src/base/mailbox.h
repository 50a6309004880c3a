/* SPDX-License-Identifier: MIT */
#pragma once

/* Mail addresses as people write them into settings: user@host, or Name <user@host>. */

#include "macro.h"

/* *ret_name is NULL where there is none; quotes around a name are taken off. An address has one
 * '@' with something on both sides and neither blanks nor control characters; it may be
 * internationalised. -EINVAL, -ENOMEM. */
int mailbox_parse(const char *s, char **ret_name, char **ret_address);

/* The next of several, separated by commas, as it is written: 1 and *ret, 0 at the end. *pos moves
 * on. -ENOMEM. */
int mailbox_next(const char *list, size_t *pos, char **ret);
