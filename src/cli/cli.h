/* SPDX-License-Identifier: MIT */
#pragma once

/* The frame of the command automapost: a verb is one file with one table of this kind, named in
 * meson.build. The frame parses options, finds the settings, connects, prints errors and decides
 * the exit status; a verb asks the database and shows what came back, as JSON or for a person.
 *
 * Everything is read through SQL functions that answer one JSON object per row, with the columns'
 * names and times in UTC: --json prints it as it came, a table is made of the same. */

#include <limits.h>
#include <sysexits.h>

#include "base/json.h"
#include "base/settings.h"
#include "db/db.h"

/* The thing asked for was refused, or is not there. Usage is 64, and 75, 78, 70 go by error class.
 */
#define EXIT_REFUSED 1

#define CLI_TIMEOUT (15 * USEC_PER_SEC)

typedef struct Cli Cli;

typedef enum VerbGroup {
        GROUP_LOOK,
        GROUP_ACT,
        GROUP_SETUP,
        _GROUP_MAX,
} VerbGroup;

typedef struct Option {
        const char *name;     /* "limit" for --limit */
        char letter;          /* 'f' for -f, or 0 */
        const char *argument; /* "N"; NULL is a flag */
        const char *help;
} Option;

typedef struct Verb {
        const char *name;
        const char *arguments; /* "TYPE [PAYLOAD|-]", without options; may be NULL */
        const char *help;      /* one line */
        const char *details;   /* more for --help, lines of at most 78 columns; may be NULL */
        VerbGroup group;
        const Option *options; /* beside --json and --help; ends with an empty one; may be NULL */
        unsigned min_args, max_args;
        /* The exit status, or -errno with *ret_error. */
        int (*run)(Cli *c, Error *ret_error);
} Verb;

struct Cli {
        const Verb *verb;
        char **args; /* without the verb and the options */
        unsigned n_args;
        const char **values; /* of verb->options, in their order; a flag that was given is "" */

        bool json;
        bool color;
        unsigned width; /* of the terminal; 0 when it is none */

        Settings settings;
        bool settings_loaded;
        char *settings_file;  /* that stood in for the environment, or NULL */
        bool settings_in_dev; /* that one is of "automapost dev" */
        Db *db;
};

/* The value of an option of this verb, or NULL. */
const char *cli_option(const Cli *c, const char *name);
static inline bool cli_flag(const Cli *c, const char *name) {
        return cli_option(c, name) != NULL;
}
/* A whole number from min to max; *ret is untouched when the option is not given. */
int cli_option_uint(const Cli *c, const char *name, uint64_t min, uint64_t max, uint64_t *ret);
/* "automapost VERB: text", and where to read more. Returns EX_USAGE. */
int cli_usage(const Cli *c, const char *format, ...) _printf_(2, 3);

/* ---- settings and database ---- */

/* Loads the settings once. Where AUTOMAPOST_DATABASE_URL is not set, the file of the installation
 * is read, or that of a database made by "automapost dev up", and said. */
int cli_settings(Cli *c, Error *ret_error);
/* Connects once, with the settings. */
int cli_connect(Cli *c, Error *ret_error);
/* Asks (connecting where that was not done) for rows of one JSON column each: an array. */
int cli_ask(Cli *c, const Query *query, const char *const *params, JsonObject **ret,
            Error *ret_error);
/* The same for exactly one row: that object. */
int cli_ask_one(Cli *c, const Query *query, const char *const *params, JsonObject **ret,
                Error *ret_error);
/* Names the thing in the error of the database, and the way out where the frame knows one. Used by
 * all of the above. */
void cli_explain(Cli *c, Error *error);
/* The hint of an error in this command's words instead of SQL's: where its text contains `part`. */
void cli_rephrase_hint(Error *error, const char *part, const char *format, ...) _printf_(3, 4);
/* "automapost: text" and its HINT; the exit status. */
int cli_report(const Cli *c, const Error *error);

/* ---- output ---- */

typedef enum Style {
        STYLE_NONE,
        STYLE_BOLD,
        STYLE_DIM,
        STYLE_GOOD,
        STYLE_WARN,
        STYLE_BAD,
        _STYLE_MAX,
} Style;

/* The escape sequence, or "" without colours; cli_style(c, STYLE_NONE) ends it. */
const char *cli_style(const Cli *c, Style style);
/* Of a job's status or a delivery's state. */
Style style_of_status(const char *status);

/* With line end, also when the object is NULL (null). -ENOMEM. */
int cli_print_json(JsonObject *o);
/* printf of one line to stdout in a style, control characters taken out. */
void cli_print(const Cli *c, Style style, const char *format, ...) _printf_(3, 4);
/* "Label        text", wrapped at the terminal's width; nothing where text is NULL or "". */
void cli_field(const Cli *c, const char *label, Style style, const char *text);

/* A table that fits the terminal: columns that may be cut or wrapped give way, in a pipe nothing
 * is cut. NULL cells show as "-". */
typedef struct Table Table;
typedef enum ColumnFlags {
        COLUMN_RIGHT = 1 << 0,
        COLUMN_CUT = 1 << 1,  /* cut where the terminal is too narrow */
        COLUMN_WRAP = 1 << 2, /* goes on in the next line */
} ColumnFlags;
typedef struct Column {
        const char *title;
        unsigned flags;
} Column;
int table_new(const Cli *c, const Column *columns, size_t n, Table **ret); /* -ENOMEM */
void table_free(Table *t);
DEFINE_CLEANUP(Table, table_free);
/* One row: as many cells as columns. */
int table_add(Table *t, const char *const *cells); /* -ENOMEM */
/* Of a cell of the row that was added last. */
void table_style(Table *t, size_t column, Style style);
int table_print(Table *t);

/* ---- times and ids, of ISO 8601 texts as the SQL functions answer them ---- */

/* "3 min ago", "in 2 h 14 min"; "for ever" for infinity; "" for NULL or no time. NULL when memory
 * is short. */
char *cli_age(const char *iso);
/* "23 Nov 22:58:00 +01:00" in the terminal's zone. */
char *cli_time(const char *iso);
/* Both: "23 Nov 22:58:00 +01:00 (3 min ago)". */
char *cli_time_age(const char *iso);
/* How many digits of the ids in objects[].key people must see so that all differ: 8 or more. */
size_t cli_id_length(JsonObject *objects, const char *key);

/* What people type for a time, see when.h. Prints what is wrong: 0, or EX_USAGE. */
int cli_parse_time(const Cli *c, const char *what, const char *text, bool past, char **ret_iso);

/* ---- the list ---- */

extern const Verb *const verbs[];
extern const size_t n_verbs;
const Verb *cli_find_verb(const char *name); /* NULL where there is none */
void cli_help(void);
void cli_verb_help(const Verb *v);
/* "automapost --help --json": every verb as {"name", "group", "arguments", "help", "details",
 * "options": [{"name", "letter", "argument", "help"}]}, for the manual and the completion.
 * -ENOMEM. */
int cli_help_json(void);
int cli_complete(char **words, unsigned n); /* complete.c */
