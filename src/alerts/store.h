/* SPDX-License-Identifier: MIT */
#pragma once

/* Where books are kept: this host's in a file of the state folder, and the one that all hosts share
 * in the database. */

#include "alerts/book.h"
#include "db/db.h"

/* The only process of this host that tells; waits for the other for a minute at most. The
 * descriptor holds it. */
int store_lock(const char *state_dir, int *ret_fd, Error *ret_error);

/* No file is an empty book. A file that is none is an empty one too, with the error set and
 * -EINVAL: whoever was told of what is not known any more. */
int store_read(const char *state_dir, Book *ret, Error *ret_error);
bool store_exists(const char *state_dir);
void store_remove(const char *state_dir);
/* Whole or not at all. */
int store_write(const char *state_dir, const Book *b, Error *ret_error);

/* 1 and the book, -EINVAL and an empty one where what is there is none; 0: another host has it. */
int store_take(Db *db, const char *taker, Book *ret, Error *ret_error);
/* -EBUSY: another host has it meanwhile, and it was not written. */
int store_put(Db *db, const char *taker, const Book *b, bool keep, Error *ret_error);
