/* SPDX-License-Identifier: MIT */
#include "fake.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

const char *journal_entry;
int journal_result;

static size_t oom_left = SIZE_MAX;
static bool oom_seen;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **ret, const char *format, va_list ap);
int __real___vasprintf_chk(char **ret, int flag, const char *format, va_list ap);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *format, va_list ap);
int __wrap___vasprintf_chk(char **ret, int flag, const char *format, va_list ap);
int __wrap_sd_journal_sendv(const struct iovec *iov, int n);

void oom_at(size_t n) {
        oom_left = n;
        oom_seen = false;
}

bool oom_off(void) {
        oom_left = SIZE_MAX;
        return oom_seen;
}

static bool fails(void) {
        if (oom_left == SIZE_MAX)
                return false;
        if (oom_left > 0) {
                oom_left--;
                return false;
        }

        oom_seen = true;
        errno = ENOMEM;
        return true;
}

void *__wrap_malloc(size_t size) {
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
        return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s) {
        return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n) {
        return fails() ? NULL : __real_strndup(s, n);
}

int __wrap_vasprintf(char **ret, const char *format, va_list ap) {
        return fails() ? -1 : __real_vasprintf(ret, format, ap);
}

/* What vasprintf() is where the flags of a package (-D_FORTIFY_SOURCE) are in force. */
int __wrap___vasprintf_chk(char **ret, int flag, const char *format, va_list ap) {
        return fails() ? -1 : __real___vasprintf_chk(ret, flag, format, ap);
}

int __wrap_sd_journal_sendv(const struct iovec *iov, int n) {
        static char entry[16384];
        size_t used = 0;

        for (int i = 0; i < n && used + iov[i].iov_len + 2 < sizeof(entry); i++) {
                memcpy(entry + used, iov[i].iov_base, iov[i].iov_len);
                used += iov[i].iov_len;
                entry[used++] = '\n';
        }
        entry[used] = '\0';
        journal_entry = entry;

        return journal_result;
}
