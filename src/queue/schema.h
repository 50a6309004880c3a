/* SPDX-License-Identifier: MIT */
#pragma once

/* The schema as this binary carries it: generated from sql/. */

#include <stddef.h>
#include <stdint.h>

typedef struct Migration {
        int64_t version;
        const char *name;
        const char *checksum; /* SHA-256 of sql */
        const char *sql;
} Migration;

extern const char *const schema_bootstrap;
extern const char *const schema_binding;
extern const Migration schema_migrations[];
extern const size_t n_schema_migrations;
extern const char *const schema_functions;
extern const char *const schema_functions_checksum;
