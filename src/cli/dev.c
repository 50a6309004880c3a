/* SPDX-License-Identifier: MIT */

#include "cli/dev.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "queries.h"

static int connect_and_count(Cli *c, const Dev *d, JsonObject **ret, Error *ret_error) {
        _cleanup_free_ char *url = dev_url(d, "postgres", DEV_DATABASE);
        int r;

        if (!url)
                return error_oom(ret_error);
        r = db_connect(url, "automapost dev", CLI_TIMEOUT, &c->db, ret_error);
        return r < 0 ? r : cli_ask_one(c, &query_dev_counts, NULL, ret, ret_error);
}

static int describe(Cli *c, Dev *d, JsonObject **ret, Error *ret_error) {
        _cleanup_(error_done) Error ignored = ERROR_NULL;
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object(), *counts = NULL;
        _cleanup_free_ char *page = dev_path(d, "sandbox/index.html"), *env = dev_path(d, "env"),
                            *application = dev_path(d, "application.env"),
                            *listen = d->host ? strjoinf("%s:%u", d->host, d->port) : NULL;
        bool exists = dev_exists(d);
        int running = 0;

        if (exists) {
                running = dev_is_running(d, ret_error);
                if (running < 0)
                        return running;
        }
        if (running > 0)
                (void) connect_and_count(c, d, &counts, &ignored);
        if (!o || !page || !env || !application || json_set_string(o, "dir", d->dir) < 0 ||
            json_set_string(o, "state",
                            !exists       ? "none"
                            : running > 0 ? "running"
                                          : "stopped") < 0 ||
            json_set_string(o, "listen", listen) < 0 ||
            json_set_string(o, "version", counts ? json_string(counts, "version") : NULL) < 0)
                return error_oom(ret_error);
        if (counts && (json_set_int64(o, "posts", json_int64(counts, "posts", 0)) < 0 ||
                       json_set_int64(o, "jobs", json_int64(counts, "jobs", 0)) < 0))
                return error_oom(ret_error);
        if (exists && (json_set_string(o, "page", page) < 0 || json_set_string(o, "env", env) < 0 ||
                       json_set_string(o, "application_env", application) < 0))
                return error_oom(ret_error);
        *ret = TAKE_PTR(o);
        return 0;
}

static int dev_status(Cli *c, Dev *d, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        _cleanup_free_ char *holds = NULL;
        const char *state;
        int r;

        r = describe(c, d, &o, ret_error);
        if (r < 0)
                return r;
        state = json_string(o, "state");
        if (c->json) {
                r = cli_print_json(o);
                return r < 0 || streq(state, "running") ? r : EXIT_REFUSED;
        }
        if (streq(state, "none")) {
                cli_print(c, STYLE_NONE, "There is no development database in %s.", d->dir);
                cli_print(c, STYLE_NONE, "\"automapost dev up\" makes one.");
                return EXIT_REFUSED;
        }
        if (json_member(o, "jobs"))
                holds = strjoinf("%" PRId64 " posts, %" PRId64 " jobs", json_int64(o, "posts", 0),
                                 json_int64(o, "jobs", 0));
        cli_field(c, "Database", streq(state, "running") ? STYLE_GOOD : STYLE_WARN, state);
        cli_field(c, "Folder", STYLE_NONE, json_string(o, "dir"));
        cli_field(c, "PostgreSQL", STYLE_NONE, json_string(o, "version"));
        cli_field(c, "Listens on", STYLE_NONE, json_string(o, "listen"));
        cli_field(c, "Holds", STYLE_NONE, holds);
        cli_field(c, "Sandbox page", STYLE_NONE, json_string(o, "page"));
        cli_field(c, "Settings", STYLE_NONE, json_string(o, "env"));
        cli_field(c, "For your app", STYLE_NONE, json_string(o, "application_env"));
        return streq(state, "running") ? EX_OK : EXIT_REFUSED;
}

static int up(Cli *c, Dev *d, Error *ret_error) {
        int r;

        r = dev_up(c, d, cli_option(c, "listen"), ret_error);
        if (r == -EINVAL && streq_ptr(ret_error->code, "usage")) {
                (void) cli_usage(c, "%s", ret_error->message);
                error_done(ret_error);
                return EX_USAGE;
        }
        if (r < 0)
                return r;
        if (c->json)
                return dev_status(c, d, ret_error);
        r = dev_status(c, d, ret_error);
        if (r != EX_OK)
                return r;
        printf("\n");
        cli_print(c, STYLE_NONE,
                  "Next: \"automapost dev run\" publishes what is due, to the sandbox page.");
        return EX_OK;
}

static int run(Cli *c, Dev *d, Error *ret_error) {
        int r;

        if (c->json)
                return cli_usage(c, "run has no JSON: it prints what the services say");
        r = dev_up(c, d, NULL, ret_error);
        return r < 0 ? r : dev_run(c, d, cli_flag(c, "real"), ret_error);
}

/* true: go on. */
static bool ask(const char *question) {
        char answer[16] = "";

        printf("%s [y/N] ", question);
        (void) fflush(stdout);
        return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int down(Cli *c, Dev *d, Error *ret_error) {
        _cleanup_(json_unrefp) JsonObject *counts = NULL;
        _cleanup_(error_done) Error ignored = ERROR_NULL;
        _cleanup_free_ char *question = NULL;
        int64_t jobs = 0;
        int r;

        if (!dev_is_ours(d)) {
                if (!c->json)
                        cli_print(c, STYLE_NONE, "There is no development database in %s.", d->dir);
                else if (dev_status(c, d, ret_error) < 0)
                        return -ENOMEM;
                return EX_OK;
        }
        r = dev_is_running(d, ret_error);
        /* Without the server's programs it does not run. */
        if (r < 0 && !streq_ptr(ret_error->code, "no-server"))
                return r;
        if (r > 0 && connect_and_count(c, d, &counts, &ignored) >= 0)
                jobs = json_int64(counts, "jobs", 0);
        db_free(c->db);
        c->db = NULL;
        if (jobs > 0 && !cli_flag(c, "yes")) {
                question = strjoinf("The database in %s holds %" PRId64 " posts and %" PRId64
                                    " jobs. Remove it?",
                                    d->dir, json_int64(counts, "posts", 0), jobs);
                if (!question)
                        return error_oom(ret_error);
                if (!isatty(STDIN_FILENO)) {
                        (void) fprintf(stderr, "automapost: %s\nHINT: --yes says so\n", question);
                        return EXIT_REFUSED;
                }
                if (!ask(question)) {
                        cli_print(c, STYLE_NONE, "Nothing was changed.");
                        return EXIT_REFUSED;
                }
        }
        error_done(ret_error);
        if (r > 0) {
                r = dev_stop(d, ret_error);
                if (r < 0)
                        return r;
        }
        r = dev_remove(d, ret_error);
        if (r < 0)
                return r;
        if (c->json)
                return dev_status(c, d, ret_error) < 0 ? -ENOMEM : EX_OK;
        if (access(d->dir, F_OK) == 0)
                cli_print(c, STYLE_NONE, "Removed the database in %s; other files are still there.",
                          d->dir);
        else
                cli_print(c, STYLE_NONE, "Removed %s.", d->dir);
        return EX_OK;
}

static int psql(Cli *c, Dev *d, Error *ret_error) {
        _cleanup_free_ char *url = dev_url(d, "postgres", DEV_DATABASE);
        int r;

        r = dev_is_running(d, ret_error);
        if (r < 0)
                return r;
        if (r == 0)
                return error_setf(
                        ret_error, ERROR_TRANSIENT, -ENOTCONN, "connection",
                        "no development database runs in %s\nHINT: \"automapost dev up\" starts it",
                        d->dir);
        if (!url)
                return error_oom(ret_error);
        (void) fflush(stdout);
        db_free(c->db);
        c->db = NULL;
        (void) execlp("psql", "psql", url, NULL);
        return error_setf(ret_error, ERROR_CONFIG, -errno, NULL,
                          "cannot run psql: %s\nHINT: apt install postgresql-client",
                          strerrordesc_np(errno));
}

static int dev_dispatch(Cli *c, Error *ret_error) {
        static const struct {
                const char *name;
                const char *option; /* its own, beside --dir */
                int (*fn)(Cli *c, Dev *d, Error *ret_error);
        } ways[] = {
                { "up", "listen", up }, { "run", "real", run },  { "status", NULL, dev_status },
                { "psql", NULL, psql }, { "down", "yes", down },
        };
        static const char *const special[] = { "listen", "real", "yes" };
        _cleanup_(dev_done) Dev d = {};
        int r;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                if (!streq(ways[i].name, c->args[0]))
                        continue;
                for (size_t k = 0; k < ELEMENTSOF(special); k++)
                        if (cli_option(c, special[k]) && !streq_ptr(ways[i].option, special[k]))
                                return cli_usage(c, "\"%s\" has no option --%s", ways[i].name,
                                                 special[k]);
                r = dev_open(cli_option(c, "dir"), &d, ret_error);
                return r < 0 ? r : ways[i].fn(c, &d, ret_error);
        }
        return cli_usage(c, "say up, run, status, psql or down, not \"%s\"", c->args[0]);
}

const Verb verb_dev = {
        .name = "dev",
        .arguments = "up|run|status|psql|down",
        .help = "A private database with samples, and the services without systemd",
        .details = "up      make and start a PostgreSQL of its own in a folder, with the\n"
                   "        application's tables, sample data and our schema; again is no harm\n"
                   "run     the services at their schedules until Ctrl-C, delivering to a page in\n"
                   "        the folder; needs neither systemd nor root\n"
                   "status  whether it runs, and where everything is\n"
                   "psql    look into it\n"
                   "down    stop it and remove the folder\n\n"
                   "Where AUTOMAPOST_DATABASE_URL is not set, the other verbs use the database in\n"
                   "the standard folder, ~/.local/share/automapost-jobs/dev (of root,\n"
                   "/var/lib/automapost-jobs-dev).",
        .group = GROUP_SETUP,
        .options =
                (const Option[]){
                        { "dir", 0, "DIR", "the folder, if not the standard one" },
                        { "listen", 0, "HOST:PORT",
                          "up: TCP as well, on 127.0.0.1 (container: 0.0.0.0)" },
                        { "real", 0, NULL, "run: deliver to the real platforms" },
                        { "yes", 'y', NULL, "down: do not ask" },
                        {},
                },
        .min_args = 1,
        .max_args = 1,
        .run = dev_dispatch,
};
