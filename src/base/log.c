/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* Without this sd-journal.h would add where log.c called it, not where the entry was made. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define FIELDS_MAX 32

struct LogField {
        LogField *next; /* pushed earlier */
        size_t length;
        char text[]; /* NAME=value */
};

typedef enum LogTarget {
        TARGET_STDERR,
        TARGET_STDERR_PREFIX, /* "<6>", which systemd reads */
        TARGET_JOURNAL,
} LogTarget;

static atomic_int log_max_level = LOG_INFO;
static _Atomic LogTarget log_target = TARGET_STDERR;
static _Thread_local LogField *log_fields;

void log_set_max_level(int level) {
        assert(level >= LOG_EMERG && level <= LOG_DEBUG);

        log_max_level = level;
}

int log_get_max_level(void) {
        return log_max_level;
}

int log_level_from_string(const char *s) {
        return streq(s, "debug")     ? LOG_DEBUG
               : streq(s, "warning") ? LOG_WARNING
               : streq(s, "error")   ? LOG_ERR
                                     : LOG_INFO;
}

void log_open(void) {
        const char *stream = getenv("JOURNAL_STREAM"), *exec_pid = getenv("SYSTEMD_EXEC_PID");
        char ours[64];
        struct stat st;

        /* The variable is inherited by children whose stderr goes elsewhere, so it is compared. */
        if (stream && fstat(STDERR_FILENO, &st) == 0) {
                (void) snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t) st.st_dev,
                                (uintmax_t) st.st_ino);
                if (streq(stream, ours)) {
                        log_target = TARGET_JOURNAL;
                        return;
                }
        }

        (void) snprintf(ours, sizeof(ours), "%d", (int) getpid());
        log_target = streq_ptr(exec_pid, ours) && !isatty(STDERR_FILENO) ? TARGET_STDERR_PREFIX
                                                                         : TARGET_STDERR;
}

LogField *log_push(const char *field, const char *format, ...) {
        va_list ap, ap2;
        LogField *f = NULL;
        size_t name_n;
        int n;

        assert(field);

        name_n = strlen(field);
        va_start(ap, format);
        va_copy(ap2, ap);
        n = vsnprintf(NULL, 0, format, ap);
        va_end(ap);
        if (n >= 0)
                f = malloc(sizeof(LogField) + name_n + 1 + (size_t) n + 1);
        if (f) {
                memcpy(f->text, field, name_n);
                f->text[name_n] = '=';
                (void) vsnprintf(f->text + name_n + 1, (size_t) n + 1, format, ap2);
                f->length = name_n + 1 + (size_t) n;
                f->next = log_fields;
                log_fields = f;
        }
        va_end(ap2);

        return f;
}

void log_pop(LogField *f) {
        if (!f)
                return;

        for (LogField **p = &log_fields; *p; p = &(*p)->next)
                if (*p == f) {
                        *p = f->next;
                        break;
                }
        free(f);
}

/* Text of others (an answer of a server) must not steer the terminal. */
static void defuse(char *s) {
        for (; *s; s++)
                if (((unsigned char) *s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f)
                        *s = '?';
}

static struct iovec iovec_of(const char *s, size_t n) {
        /* writev() and sd_journal_sendv() only read, their type cannot say so */
        return (struct iovec){ .iov_base = (void *) (uintptr_t) s, .iov_len = n };
}

static void write_stderr(int level, char *message) {
        bool with_fields = log_max_level >= LOG_DEBUG;
        struct iovec iov[3 + 2 * FIELDS_MAX + 1];
        char prefix[8] = "";
        size_t n = 0;

        if (log_target == TARGET_STDERR_PREFIX)
                (void) snprintf(prefix, sizeof(prefix), "<%d>", level & LOG_PRIMASK);
        defuse(message);

        /* One call, so that lines of several threads do not mix. systemd names the sender itself,
         * and so the prefix stands alone. */
        if (*prefix)
                iov[n++] = iovec_of(prefix, strlen(prefix));
        else {
                iov[n++] = iovec_of(program_invocation_short_name,
                                    strlen(program_invocation_short_name));
                iov[n++] = iovec_of(": ", 2);
        }
        iov[n++] = iovec_of(message, strlen(message));
        for (LogField *f = log_fields; with_fields && f && n < ELEMENTSOF(iov) - 2; f = f->next) {
                defuse(f->text);
                iov[n++] = iovec_of(" ", 1);
                iov[n++] = iovec_of(f->text, f->length);
        }
        iov[n++] = iovec_of("\n", 1);

        (void) !writev(STDERR_FILENO, iov, (int) n);
}

static int write_journal(int level, const char *file, int line, const char *func,
                         const char *message_id, const Error *e, const char *message) {
        /* Short things are written into one buffer on the stack: there may be no memory left. A
         * field that does not fit is dropped. */
        struct iovec iov[FIELDS_MAX];
        char buffer[1024];
        size_t n = 0, used = 0;

#define ADD(...)                                                                       \
        ({                                                                             \
                int _n_ = snprintf(buffer + used, sizeof(buffer) - used, __VA_ARGS__); \
                if (_n_ > 0 && (size_t) _n_ < sizeof(buffer) - used) {                 \
                        iov[n++] = iovec_of(buffer + used, (size_t) _n_);              \
                        used += (size_t) _n_;                                          \
                }                                                                      \
        })
        iov[n++] = iovec_of(message, strlen(message));
        ADD("PRIORITY=%d", level & LOG_PRIMASK);
        ADD("CODE_FILE=%s", file);
        ADD("CODE_LINE=%d", line);
        ADD("CODE_FUNC=%s", func);
        if (message_id)
                ADD("MESSAGE_ID=%s", message_id);
        if (e && e->class != ERROR_NONE)
                ADD(FIELD_ERROR_CLASS "=%s", strnull(error_class_to_string(e->class)));
        if (e && e->code)
                ADD(FIELD_ERROR_CODE "=%s", e->code);
        if (e && e->r < 0)
                ADD("ERRNO=%d", -e->r);
#undef ADD

        for (LogField *f = log_fields; f && n < ELEMENTSOF(iov); f = f->next)
                iov[n++] = iovec_of(f->text, f->length);

        return sd_journal_sendv(iov, (int) n);
}

/* Puts what fits of s behind the first n bytes of text. */
static size_t append(char *text, size_t size, size_t n, const char *s) {
        for (; n < size - 1 && *s; n++, s++)
                text[n] = *s;
        if (n < size)
                text[n] = '\0';

        return n;
}

void log_entry(int level, const char *file, int line, const char *func, const char *message_id,
               const Error *e, const char *format, ...) {
        static const char key[] = "MESSAGE=";
        const size_t key_n = sizeof(key) - 1;
        const char *separator = "", *suffix = "";
        _cleanup_free_ char *large = NULL;
        char small[2048], *text = small;
        size_t head_n, suffix_n, size;
        int saved_errno = errno, n;
        va_list ap;

        if ((level & LOG_PRIMASK) > log_max_level)
                return;

        if (e && e->class != ERROR_NONE) {
                separator = ": ";
                suffix = e->message ? e->message : strnull(error_class_to_string(e->class));
        }
        suffix_n = strlen(suffix);

        /* It is cut rather than lost when it needs memory that is not there. */
        memcpy(small, key, sizeof(key));
        va_start(ap, format);
        n = vsnprintf(small + key_n, sizeof(small) - key_n, format, ap);
        va_end(ap);
        if (n < 0)
                n = 0;
        head_n = key_n + (size_t) n;
        size = head_n + strlen(separator) + suffix_n + 1;
        if (size > sizeof(small)) {
                large = malloc(size);
                if (large) {
                        memcpy(large, key, sizeof(key));
                        errno = saved_errno;
                        va_start(ap, format);
                        (void) vsnprintf(large + key_n, size - key_n, format, ap);
                        va_end(ap);
                        text = large;
                } else
                        size = sizeof(small);
        }
        head_n = append(text, size, head_n, separator);
        (void) append(text, size, head_n, suffix);

        if (log_target != TARGET_JOURNAL ||
            write_journal(level, file, line, func, message_id, e, text) < 0)
                write_stderr(level, text + key_n);

        errno = saved_errno;
}
