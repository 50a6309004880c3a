/* SPDX-License-Identifier: MIT */
#pragma once

/* What every unit test includes first. cmocka.h needs these four and does not include them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
