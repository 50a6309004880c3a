/* SPDX-License-Identifier: MIT */
#pragma once

/* What a look of health.h has found, as a book takes it. */

#include "alerts/book.h"
#include "health/health.h"

typedef struct Sights {
        Sight *list;
        char **keys; /* that the list points to */
        size_t n;
} Sights;

/* Borrows from h. -ENOMEM. */
int sights_of_health(const Health *h, Sights *ret);

/* A service that crashed, as systemd tells the unit that OnFailure= names (MONITOR_…): result
 * ("signal", "timeout", "exit-code", …) and status ("KILL", "70"); either may be NULL. 0 and no
 * sight where it is no crash: it ended by itself and will try again (75), whose cause health_look()
 * finds. *ret_problem owns what the sight points to. -ENOMEM. */
int sight_of_crash(const char *unit, const char *result, const char *status, usec_t t, Sights *ret,
                   JsonObject **ret_problem);
void sights_done(Sights *s);
