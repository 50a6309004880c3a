/* SPDX-License-Identifier: MIT */
#pragma once

/* The application's .env file, read as its own loader reads it (dotenv, with the expansion that
 * Next.js adds): NAME=value and NAME: value, an "export " before it, # comments, values in single,
 * double or back quotes, which may go on over several lines. A # ends a value without quotes,
 * wherever it stands. In double quotes \n and \r are line ends. ${NAME}, ${NAME-default} and
 * ${NAME:-default} are expanded from the file itself, in single quotes too; \$ is a dollar, and so
 * is a $ without a brace: loaders differ there. Lines that are no assignment mean nothing. */

#include "base/error.h"

typedef struct Dotenv {
        struct DotenvEntry *entries;
        size_t n;
} Dotenv;

/* -ENOMEM alone: any bytes are some file. */
int dotenv_parse(const char *text, size_t n, Dotenv *ret);
void dotenv_done(Dotenv *d);

/* The value after expansion; NULL where the name is not assigned. ERROR_CONFIG where it needs a
 * name that is not assigned, or itself; the message says which, and never a value. */
int dotenv_get(const Dotenv *d, const char *name, char **ret, Error *ret_error);

/* Reads a file of at most 1 MiB. -ENOENT and -EACCES as they come, all with ERROR_CONFIG. */
int dotenv_load(const char *path, Dotenv *ret, Error *ret_error);
