/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

static const char *const error_class_table[_ERROR_CLASS_MAX] = {
        [ERROR_NONE] = "none",
        [ERROR_TRANSIENT] = "transient",
        [ERROR_RATE_LIMITED] = "rate-limited",
        [ERROR_AUTH] = "auth",
        [ERROR_PERMISSION] = "permission",
        [ERROR_PERMANENT] = "permanent",
        [ERROR_CONFIG] = "config",
        [ERROR_UNKNOWN_OUTCOME] = "unknown-outcome",
};

int error_setf(Error *e, ErrorClass class, int r, const char *code, const char *format, ...) {
        _cleanup_free_ char *message = NULL, *code_copy = NULL;
        va_list ap;

        assert(class > ERROR_NONE && class < _ERROR_CLASS_MAX);
        assert(r < 0);

        if (!e)
                return r;

        /* Everything is made before the old content goes: it may be among the arguments. */
        va_start(ap, format);
        if (vasprintf(&message, format, ap) < 0)
                message = NULL;
        va_end(ap);
        code_copy = code ? strdup(code) : NULL;

        error_done(e);
        *e = (Error){
                .class = class,
                .code = TAKE_PTR(code_copy),
                .message = TAKE_PTR(message),
                .r = r,
        };
        return r;
}

int error_oom(Error *e) {
        return error_setf(e, ERROR_TRANSIENT, -ENOMEM, NULL, "out of memory");
}

void error_done(Error *e) {
        if (!e)
                return;

        free(e->code);
        free(e->message);
        *e = ERROR_NULL;
}

void error_move(Error *to, Error *from) {
        if (to == from)
                return;

        if (!to) {
                error_done(from);
                return;
        }

        error_done(to);
        *to = *from;
        *from = ERROR_NULL;
}

const char *error_class_to_string(ErrorClass class) {
        if (class < 0 || class >= _ERROR_CLASS_MAX)
                return NULL;

        return error_class_table[class];
}

ErrorClass error_class_from_string(const char *s) {
        if (!s)
                return _ERROR_CLASS_INVALID;

        for (int i = 0; i < _ERROR_CLASS_MAX; i++)
                if (streq(s, error_class_table[i]))
                        return (ErrorClass) i;

        return _ERROR_CLASS_INVALID;
}

int error_class_to_exit_status(ErrorClass class) {
        switch (class) {
        case ERROR_NONE:
                return EX_OK;
        case ERROR_TRANSIENT:
        case ERROR_RATE_LIMITED:
        case ERROR_UNKNOWN_OUTCOME:
                return EX_TEMPFAIL;
        case ERROR_AUTH:
        case ERROR_PERMISSION:
        case ERROR_CONFIG:
                return EX_CONFIG;
        case ERROR_PERMANENT:
        case _ERROR_CLASS_MAX:
        case _ERROR_CLASS_INVALID:
                return EX_SOFTWARE;
        }

        return EX_SOFTWARE;
}
