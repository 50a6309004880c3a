/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "base/text.h"
#include "base/time-util.h"
#include "cli/cli.h"
#include "cli/when.h"

#define VERB(name) extern const Verb verb_##name;
#include "verb-list.h"
#undef VERB

const Verb *const verbs[] = {
#define VERB(name) &verb_##name,
#include "verb-list.h"
#undef VERB
};
const size_t n_verbs = ELEMENTSOF(verbs);

enum {
        OPTION_HELP = 256,
        OPTION_VERSION,
        OPTION_JSON,
        OPTION_FIRST, /* of the verb's own */
        OPTIONS_MAX = 32,
};

/* ---- what was meant ---- */

/* Letters to put in, take out, change, or swap with their neighbour. */
static size_t distance(const char *a, const char *b) {
        size_t rows[3][65] = {}, a_n = strnlen(a, 64), b_n = strnlen(b, 64);

        for (size_t k = 0; k <= b_n; k++)
                rows[0][k] = k;
        for (size_t i = 1; i <= a_n; i++) {
                size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];

                row[0] = i;
                for (size_t k = 1; k <= b_n; k++) {
                        row[k] = MIN(above[k - 1] + (a[i - 1] == b[k - 1] ? 0 : 1),
                                     MIN(above[k], row[k - 1]) + 1);
                        if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                                row[k] = MIN(row[k], before[k - 2] + 1);
                }
        }
        return rows[a_n % 3][b_n];
}

const Verb *cli_find_verb(const char *name) {
        for (size_t i = 0; i < n_verbs; i++)
                if (streq(verbs[i]->name, name))
                        return verbs[i];
        return NULL;
}

static int unknown_verb(const char *name) {
        _cleanup_free_ char *shown = utf8_make_valid(name, strlen(name), 60);
        size_t best = SIZE_MAX;
        const Verb *nearest = NULL;

        for (size_t i = 0; i < n_verbs; i++) {
                size_t d = distance(name, verbs[i]->name);

                if (d < best) {
                        best = d;
                        nearest = verbs[i];
                }
        }
        (void) fprintf(stderr, "automapost: there is no verb \"%s\"", strnull(shown));
        if (nearest && best <= 3 && best < strlen(name))
                (void) fprintf(stderr, ", did you mean \"%s\"?\n", nearest->name);
        else
                (void) fprintf(stderr, "\n");
        (void) fprintf(stderr, "HINT: automapost --help lists them\n");
        return EX_USAGE;
}

/* ---- options ---- */

int cli_usage(const Cli *c, const char *format, ...) {
        va_list ap;

        (void) fprintf(stderr, "automapost %s: ", c->verb->name);
        va_start(ap, format);
        (void) vfprintf(stderr, format, ap);
        va_end(ap);
        (void) fprintf(stderr, "\nHINT: automapost %s --help\n", c->verb->name);
        return EX_USAGE;
}

static size_t count_options(const Verb *v) {
        size_t n = 0;

        while (v->options && v->options[n].name)
                n++;
        return n;
}

const char *cli_option(const Cli *c, const char *name) {
        for (size_t i = 0; c->verb->options && c->verb->options[i].name; i++)
                if (streq(c->verb->options[i].name, name))
                        return c->values[i];
        return NULL;
}

int cli_option_uint(const Cli *c, const char *name, uint64_t min, uint64_t max, uint64_t *ret) {
        const char *text = cli_option(c, name);
        unsigned long long n;

        if (!text)
                return 0;
        errno = 0;
        n = strtoull(text, NULL, 10);
        if (isempty(text) || text[strspn(text, "0123456789")] != '\0' || errno != 0 || n < min ||
            n > max)
                return cli_usage(c,
                                 "--%s must be a whole number from %" PRIu64 " to %" PRIu64
                                 ", not \"%s\"",
                                 name, min, max, text);
        *ret = n;
        return 0;
}

int cli_parse_time(const Cli *c, const char *what, const char *text, bool past, char **ret_iso) {
        char iso[ISO8601_SIZE];
        usec_t t;
        int r;

        r = when_parse(text, now(CLOCK_REALTIME), past, &t);
        if (r == -ERANGE)
                return cli_usage(c, "%s: \"%s\" is no time that the clocks show", what, text);
        if (r < 0)
                return cli_usage(c, "%s: \"%s\" is no time; write %s", what, text, WHEN_EXAMPLES);
        time_format_iso8601(t, iso);
        *ret_iso = strdup(iso);
        return *ret_iso ? 0 : EX_TEMPFAIL;
}

/* 1: run the verb; 0: it has been answered; negative: wrong usage. argv[0] is the verb. */
static int parse_options(Cli *c, int argc, char *argv[]) {
        struct option options[OPTIONS_MAX] = {
                { "help", no_argument, NULL, OPTION_HELP },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "json", no_argument, NULL, OPTION_JSON },
        };
        char letters[2 * OPTIONS_MAX] = "h";
        size_t n = count_options(c->verb), n_letters = 1;
        _cleanup_free_ char *name = strjoinf("automapost %s", c->verb->name);

        if (!name || n + 4 > ELEMENTSOF(options))
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const Option *o = &c->verb->options[i];

                options[3 + i] = (struct option){
                        .name = o->name,
                        .has_arg = o->argument ? required_argument : no_argument,
                        .val = OPTION_FIRST + (int) i,
                };
                if (o->letter) {
                        letters[n_letters++] = o->letter;
                        if (o->argument)
                                letters[n_letters++] = ':';
                }
        }

        argv[0] = name; /* getopt names it in its messages */
        for (int o; (o = getopt_long(argc, argv, letters, options, NULL)) >= 0;) {
                for (size_t i = 0; i < n; i++)
                        if (c->verb->options[i].letter && o == c->verb->options[i].letter)
                                o = OPTION_FIRST + (int) i;
                if (o == OPTION_HELP || o == 'h') {
                        cli_verb_help(c->verb);
                        return 0;
                }
                if (o == OPTION_VERSION) {
                        printf("automapost %s\n", PROJECT_VERSION);
                        return 0;
                }
                if (o == OPTION_JSON)
                        c->json = true;
                else if (o >= OPTION_FIRST && (size_t) (o - OPTION_FIRST) < n)
                        c->values[o - OPTION_FIRST] = optarg ?: "";
                else {
                        (void) fprintf(stderr, "HINT: automapost %s --help\n", c->verb->name);
                        return -EINVAL;
                }
        }
        c->args = argv + optind;
        c->n_args = (unsigned) (argc - optind);
        if (c->n_args < c->verb->min_args) {
                (void) cli_usage(c, "%s is missing", c->verb->arguments ?: "an argument");
                return -EINVAL;
        }
        if (c->n_args > c->verb->max_args) {
                (void) cli_usage(c, "\"%s\" is one argument too many", c->args[c->verb->max_args]);
                return -EINVAL;
        }
        return 1;
}

/* ---- main ---- */

static void look_at_terminal(Cli *c) {
        struct winsize size;
        const char *term = getenv("TERM"), *columns = getenv("COLUMNS");

        if (!isatty(STDOUT_FILENO))
                return;
        c->width = columns ? (unsigned) strtoul(columns, NULL, 10) : 0;
        if (c->width == 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
                c->width = size.ws_col;
        if (c->width < 20)
                c->width = 80;
        c->color = isempty(getenv("NO_COLOR")) && !isempty(term) && !streq(term, "dumb");
}

/* Output that went nowhere is no success. */
static int flush(int status) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        if (errno != EPIPE)
                (void) fprintf(stderr, "automapost: cannot write the output: %s\n",
                               strerrordesc_np(errno));
        return status != EX_OK ? status : EX_IOERR;
}

static int run_verb(Cli *c) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        int r;

        r = c->verb->run(c, &error);
        if (r >= 0)
                return flush(r);
        (void) fflush(stdout);
        if (error.class == ERROR_NONE)
                (void) error_setf(&error, ERROR_TRANSIENT, r, NULL, "%s", strerrordesc_np(-r));
        return cli_report(c, &error);
}

int main(int argc, char *argv[]) {
        Cli c = {};
        int r, status = EX_USAGE;

        log_open();
        look_at_terminal(&c);
        if (argc < 2 || streq(argv[1], "--help") || streq(argv[1], "-h") ||
            streq(argv[1], "help")) {
                c.verb = argc > 2 ? cli_find_verb(argv[2]) : NULL;
                if (argc > 2 && streq(argv[2], "--json"))
                        return cli_help_json() < 0 ? EX_TEMPFAIL : flush(EX_OK);
                if (c.verb)
                        cli_verb_help(c.verb);
                else
                        cli_help();
                return flush(EX_OK);
        }
        if (streq(argv[1], "--version")) {
                printf("automapost %s\n", PROJECT_VERSION);
                return flush(EX_OK);
        }
        if (streq(argv[1], "--complete"))
                return flush(cli_complete(argv + 2, (unsigned) argc - 2));
        c.verb = cli_find_verb(argv[1]);
        if (!c.verb)
                return unknown_verb(argv[1]);

        c.values = calloc(count_options(c.verb) + 1, sizeof(char *));
        r = c.values ? parse_options(&c, argc - 1, argv + 1) : -ENOMEM;
        if (r > 0)
                status = run_verb(&c);
        else if (r == 0)
                status = flush(EX_OK);

        free((void *) (uintptr_t) c.values);
        free(c.settings_file);
        db_free(c.db);
        settings_done(&c.settings);
        return status;
}
