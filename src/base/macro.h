/* SPDX-License-Identifier: MIT */
#pragma once

/* The few macros that every file uses: cleanup by scope, ownership handed over visibly. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint64_t usec_t;

#define USEC_PER_MSEC ((usec_t) 1000ULL)
#define USEC_PER_SEC ((usec_t) 1000000ULL)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_INFINITY ((usec_t) UINT64_MAX)

/* "unused": some things are held for their scope alone (clang would warn, gcc does not). */
#define _cleanup_(f) __attribute__((cleanup(f), unused))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
/* By how much a is more than b; 0 where it is not. */
#define LESS_BY(a, b) ((a) > (b) ? (a) - (b) : 0)

/* Hands an owned pointer or descriptor over: the old name no longer owns it. */
#define TAKE_PTR(p)                      \
        ({                               \
                typeof(p) _taken_ = (p); \
                (p) = NULL;              \
                _taken_;                 \
        })
#define TAKE_FD(fd)                 \
        ({                          \
                int _taken_ = (fd); \
                (fd) = -1;          \
                _taken_;            \
        })

/* Makes `_cleanup_(funcp) type *x` work for a destructor that takes a pointer and bears NULL. */
#define DEFINE_CLEANUP(type, func)                                                      \
        static inline void func##p(type **p) { /* NOLINT(bugprone-macro-parentheses) */ \
                if (*p)                                                                 \
                        func(*p);                                                       \
        }                                                                               \
        struct _swallow_semicolon_

static inline void freep(void *p) {
        free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

static inline void closep(int *fd) {
        if (*fd >= 0)
                (void) close(*fd);
}
#define _cleanup_close_ _cleanup_(closep)

/* For memory that held a secret. */
static inline void erase_and_freep(char **p) {
        if (*p)
                explicit_bzero(*p, strlen(*p));
        free(*p);
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool streq_ptr(const char *a, const char *b) {
        return a == b || (a && b && streq(a, b));
}

static inline bool isempty(const char *s) {
        return !s || !*s;
}

static inline const char *strnull(const char *s) {
        return s ? s : "-";
}
