/* SPDX-License-Identifier: MIT */
#pragma once

/* Logging to the journal, structured, or to stderr where there is no journal (a shell, a test).
 * Only services, the command and the worker log; everything below returns an Error. Never log
 * payloads, tokens or SQL parameters. */

#include <syslog.h>

#include "error.h"
#include "names.h"

/* Chooses the journal if stderr is one (compares $JOURNAL_STREAM), else stderr: there a line is
 * "program: message", or "<3>message" where systemd started this process and reads along. Fields
 * are only shown when the level is LOG_DEBUG. */
void log_open(void);
/* Lines less important than this (LOG_DEBUG … LOG_ERR) are dropped. Default LOG_INFO. */
void log_set_max_level(int level);
int log_get_max_level(void);
/* "debug", "info", "warning", "error"; LOG_INFO for anything else. */
int log_level_from_string(const char *s);

/* One entry. e and message_id may be NULL; with e, its class and code become fields and its text
 * is appended as ": text". */
void log_entry(int level, const char *file, int line, const char *func, const char *message_id,
               const Error *e, const char *format, ...) _printf_(7, 8);

#define log_full(level, id, e, ...) \
        log_entry((level), __FILE__, __LINE__, __func__, (id), (e), __VA_ARGS__)
#define log_debug(...) log_full(LOG_DEBUG, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_error(...) log_full(LOG_ERR, NULL, NULL, __VA_ARGS__)
/* An event that a person or an alert looks for: id is one of names.h. */
#define log_event(level, id, ...) log_full((level), (id), NULL, __VA_ARGS__)

/* A field that every entry of this thread carries until the scope ends:
 *     _cleanup_(log_popp) LogField *f = log_push(FIELD_JOB_ID, "%s", job->id);
 * NULL (nothing is pushed) when memory is short. */
typedef struct LogField LogField;
LogField *log_push(const char *field, const char *format, ...) _printf_(2, 3);
void log_pop(LogField *f);
DEFINE_CLEANUP(LogField, log_pop);
