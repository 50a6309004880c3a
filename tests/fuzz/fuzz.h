/* SPDX-License-Identifier: MIT */
#pragma once

/* What a fuzz target is: one function that takes any bytes, asserts what must hold of them, and
 * returns 0. libFuzzer calls it, or replay.c. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
