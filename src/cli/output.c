/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "base/time-util.h"
#include "cli/cli.h"

#define LABEL_WIDTH 13

static const char *const styles[_STYLE_MAX] = {
        [STYLE_NONE] = "\033[0m",  [STYLE_BOLD] = "\033[1m",  [STYLE_DIM] = "\033[2m",
        [STYLE_GOOD] = "\033[32m", [STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[31m",
};

const char *cli_style(const Cli *c, Style style) {
        return c->color ? styles[style] : "";
}

Style style_of_status(const char *status) {
        static const struct {
                const char *status;
                Style style;
        } table[] = {
                { "completed", STYLE_GOOD }, { "sent", STYLE_GOOD },
                { "failed", STYLE_BAD },     { "timeout", STYLE_BAD },
                { "held", STYLE_BAD },       { "missed", STYLE_BAD },
                { "running", STYLE_BOLD },   { "unconfirmed", STYLE_WARN },
                { "sending", STYLE_BOLD },   { "cancelled", STYLE_DIM },
        };

        for (size_t i = 0; status && i < ELEMENTSOF(table); i++)
                if (streq(table[i].status, status))
                        return table[i].style;
        return STYLE_NONE;
}

int cli_print_json(JsonObject *o) {
        const char *text =
                json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
                                                          JSON_C_TO_STRING_SPACED |
                                                          JSON_C_TO_STRING_NOSLASHESCAPE);

        if (!text)
                return -ENOMEM;
        printf("%s\n", text);
        return 0;
}

void cli_print(const Cli *c, Style style, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *clean = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        /* what a platform said must not steer the terminal */
        clean = utf8_make_valid(text, (size_t) n, SIZE_MAX);
        printf("%s%s%s\n", style != STYLE_NONE ? cli_style(c, style) : "", strnull(clean),
               style != STYLE_NONE ? cli_style(c, STYLE_NONE) : "");
}

/* The bytes of s that fit into width columns, cut between words. A longer word stays whole: an id
 * in two parts cannot be copied. */
static size_t fitting(const char *s, size_t width) {
        size_t columns = 0, last_space = 0, i = 0;

        while (s[i] && s[i] != '\n') {
                uint32_t c;
                int n = utf8_decode(s + i, strlen(s + i), &c);

                if (s[i] == ' ') {
                        if (columns > width)
                                return last_space > 0 ? last_space : i;
                        last_space = i;
                }
                columns++;
                i += n > 0 ? (size_t) n : 1;
        }
        return columns > width && last_space > 0 ? last_space : i;
}

void cli_field(const Cli *c, const char *label, Style style, const char *text) {
        size_t width = c->width > LABEL_WIDTH + 20 ? c->width - LABEL_WIDTH : SIZE_MAX;
        _cleanup_free_ char *clean = NULL;

        if (isempty(text))
                return;
        clean = utf8_make_valid(text, strlen(text), SIZE_MAX);
        if (!clean)
                return;
        for (const char *p = clean; *p;) {
                size_t n = fitting(p, width);

                printf("%s%-*s%s%s%.*s%s\n", cli_style(c, STYLE_DIM), LABEL_WIDTH,
                       p == clean ? label : "", cli_style(c, STYLE_NONE),
                       style != STYLE_NONE ? cli_style(c, style) : "", (int) n, p,
                       style != STYLE_NONE ? cli_style(c, STYLE_NONE) : "");
                p += n;
                p += *p == '\n' || *p == ' ';
        }
}

/* ---- tables ---- */

struct Table {
        struct libscols_table *table;
        struct libscols_line *line; /* the last */
        bool color;
        unsigned width; /* of the terminal */
        size_t n_columns;
        size_t *widths; /* what each column's longest text takes */
        bool *wraps;
};

int table_new(const Cli *c, const Column *columns, size_t n, Table **ret) {
        _cleanup_(table_freep) Table *t = calloc(1, sizeof(Table));

        if (!t)
                return -ENOMEM;
        t->table = scols_new_table();
        t->widths = calloc(n, sizeof(size_t));
        t->wraps = calloc(n, sizeof(bool));
        if (!t->table || !t->widths || !t->wraps)
                return -ENOMEM;
        t->color = c->color;
        t->width = c->width;
        t->n_columns = n;
        (void) scols_table_enable_colors(t->table, c->color);
        (void) scols_table_set_termforce(t->table, c->width > 0 ? SCOLS_TERMFORCE_ALWAYS
                                                                : SCOLS_TERMFORCE_NEVER);
        if (c->width > 0)
                (void) scols_table_set_termwidth(t->table, c->width);
        for (size_t i = 0; i < n; i++) {
                int flags = (columns[i].flags & COLUMN_RIGHT ? SCOLS_FL_RIGHT : 0) |
                            (columns[i].flags & COLUMN_CUT ? SCOLS_FL_TRUNC : 0) |
                            (columns[i].flags & COLUMN_WRAP ? SCOLS_FL_WRAP : 0);
                struct libscols_column *column =
                        scols_table_new_column(t->table, columns[i].title, 0, flags);

                if (!column)
                        return -ENOMEM;
                t->widths[i] = strlen(columns[i].title);
                t->wraps[i] = columns[i].flags & COLUMN_WRAP;
                if (t->wraps[i]) {
                        (void) scols_column_set_safechars(column, "\n");
                        (void) scols_column_set_wrapfunc(column, scols_wrapnl_chunksize,
                                                         scols_wrapnl_nextchunk, NULL);
                }
                if (c->color)
                        (void) scols_cell_set_color(scols_column_get_header(column),
                                                    styles[STYLE_DIM]);
        }
        *ret = TAKE_PTR(t);
        return 0;
}

void table_free(Table *t) {
        scols_unref_table(t->table);
        free(t->widths);
        free(t->wraps);
        free(t);
}

int table_add(Table *t, const char *const *cells) {
        t->line = scols_table_new_line(t->table, NULL);
        if (!t->line)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_columns; i++) {
                _cleanup_free_ char *clean = NULL;

                clean = cells[i] ? utf8_make_valid(cells[i], strlen(cells[i]), SIZE_MAX)
                                 : strdup("-");
                if (!clean)
                        return -ENOMEM;
                /* one row is one line */
                for (char *p = clean; *p; p++)
                        if (*p == '\n' || *p == '\t')
                                *p = ' ';
                t->widths[i] =
                        MAX(t->widths[i], (size_t) MAX(text_count_code_points(clean), (int64_t) 0));
                if (scols_line_set_data(t->line, i, clean) < 0)
                        return -ENOMEM;
        }
        return 0;
}

void table_style(Table *t, size_t column, Style style) {
        struct libscols_cell *cell = scols_line_get_cell(t->line, column);

        if (t->color && cell && style != STYLE_NONE)
                (void) scols_cell_set_color(cell, styles[style]);
}

/* Breaks a cell between words into lines of at most width columns. */
static int wrap_cell(struct libscols_cell *cell, size_t width) {
        _cleanup_free_ char *text = strdup(scols_cell_get_data(cell) ?: "");

        if (!text)
                return -ENOMEM;
        for (char *p = text; *p;) {
                p += fitting(p, width);
                if (*p == ' ')
                        *p++ = '\n';
        }
        return scols_cell_set_data(cell, text) < 0 ? -ENOMEM : 0;
}

/* On a terminal, a column that wraps has what the others leave. */
static int wrap_cells(Table *t) {
        struct libscols_iter *iter = scols_new_iter(SCOLS_ITER_FORWARD);
        struct libscols_line *line;
        int r = iter ? 0 : -ENOMEM;

        while (r >= 0 && scols_table_next_line(t->table, iter, &line) == 0)
                for (size_t i = 0; r >= 0 && i < t->n_columns; i++) {
                        size_t others = t->n_columns - 1;

                        if (!t->wraps[i])
                                continue;
                        for (size_t k = 0; k < t->n_columns; k++)
                                others += k == i ? 0 : t->widths[k];
                        r = wrap_cell(scols_line_get_cell(line, i),
                                      t->width > others + 20 ? t->width - others : 20);
                }
        scols_free_iter(iter);
        return r;
}

int table_print(Table *t) {
        int r = t->width > 0 ? wrap_cells(t) : 0;

        return r < 0 ? r : scols_print_table(t->table) < 0 ? -EIO : 0;
}

/* ---- times and ids ---- */

static bool is_infinity(const char *iso) {
        return streq(iso, "infinity");
}

char *cli_age(const char *iso) {
        char *text = NULL;
        usec_t t, base;

        if (iso && is_infinity(iso))
                return strdup("for ever");
        if (!iso || time_parse_iso8601(iso, &t) < 0)
                return strdup("");
        base = now(CLOCK_REALTIME);
        /* "in 2 h" a moment after somebody said so, not "in 1 h 59 min" */
        return time_format_relative(t > base ? t + USEC_PER_SEC - 1 : t, base, &text) < 0 ? NULL
                                                                                          : text;
}

char *cli_time(const char *iso) {
        char *text = NULL;
        usec_t t;

        if (iso && is_infinity(iso))
                return strdup("for ever");
        if (!iso || time_parse_iso8601(iso, &t) < 0)
                return strdup("");
        return time_format_local(t, &text) < 0 ? NULL : text;
}

char *cli_time_age(const char *iso) {
        _cleanup_free_ char *at = cli_time(iso), *age = cli_age(iso);

        if (!at || !age)
                return NULL;
        if (isempty(at) || streq(at, age))
                return TAKE_PTR(at);
        return strjoinf("%s (%s)", at, age);
}

size_t cli_id_length(JsonObject *objects, const char *key) {
        size_t n = objects ? json_object_array_length(objects) : 0, length = 8;

        for (size_t i = 0; i < n; i++) {
                const char *a = json_string(json_object_array_get_idx(objects, i), key);

                for (size_t k = i + 1; a && k < n; k++) {
                        const char *b = json_string(json_object_array_get_idx(objects, k), key);
                        size_t same = 0;

                        if (!b || streq(a, b))
                                continue;
                        while (a[same] && a[same] == b[same])
                                same++;
                        length = MAX(length, same + 1);
                }
        }
        /* never ends in the dash */
        return length == 9 || length == 14 || length == 19 || length == 24 ? length + 1 : length;
}
