/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/dev-internal.h"
#include "cli/program.h"

#define PORT_DEFAULT 5432U
#define START_TIMEOUT (90 * USEC_PER_SEC)

static inline void close_file(FILE *f) {
        (void) fclose(f);
}
DEFINE_CLEANUP(FILE, close_file);

void dev_done(Dev *d) {
        free(d->dir);
        free(d->bindir);
        free(d->host);
        *d = (Dev){};
}

bool dev_exists(const Dev *d) {
        return dev_is_ours(d) && dev_has(d, "data/PG_VERSION");
}

/* ---- where, and as whom ---- */

static char *absolute(const char *dir) {
        _cleanup_free_ char *cwd = NULL, *path = NULL;
        size_t n;

        if (*dir == '/')
                path = strdup(dir);
        else {
                cwd = getcwd(NULL, 0);
                path = cwd ? strjoinf("%s/%s", cwd, dir) : NULL;
        }
        for (n = path ? strlen(path) : 0; n > 1 && path[n - 1] == '/'; n--)
                path[n - 1] = '\0';
        return TAKE_PTR(path);
}

/* PostgreSQL refuses to run as root. */
static void choose_user(Dev *d) {
        static const char *const names[] = { "postgres", "nobody" };

        for (size_t i = 0; geteuid() == 0 && i < ELEMENTSOF(names) && d->uid == 0; i++) {
                const struct passwd *user = getpwnam(names[i]);

                if (user) {
                        d->uid = user->pw_uid;
                        d->gid = user->pw_gid;
                }
        }
}

/* The address is a line of settings that "up" wrote: listen_addresses and port. */
static int read_address(Dev *d, Error *ret_error) {
        _cleanup_free_ char *path = dev_path(d, "listen"), *line = NULL;
        _cleanup_(close_filep) FILE *f = NULL;
        size_t allocated = 0;
        char *colon;

        d->port = PORT_DEFAULT;
        if (!path)
                return error_oom(ret_error);
        f = fopen(path, "re");
        if (!f || getline(&line, &allocated, f) <= 0)
                return 0;
        line[strcspn(line, "\n")] = '\0';
        colon = strrchr(line, ':');
        if (!colon)
                return 0;
        *colon = '\0';
        d->port = (unsigned) strtoul(colon + 1, NULL, 10);
        d->host = strdup(line);
        return d->host ? 0 : error_oom(ret_error);
}

int dev_open(const char *dir, Dev *ret, Error *ret_error) {
        _cleanup_free_ char *standard = NULL;
        _cleanup_(dev_done) Dev d = {};
        int r;

        if (!dir) {
                standard = dev_default_dir();
                if (!standard)
                        return error_setf(
                                ret_error, ERROR_CONFIG, -ENOENT, NULL,
                                "HOME is not set\nHINT: --dir says where the database shall be");
                dir = standard;
        }
        d.dir = absolute(dir);
        if (!d.dir)
                return error_oom(ret_error);
        choose_user(&d);
        r = read_address(&d, ret_error);
        if (r < 0)
                return r;
        *ret = d;
        d = (Dev){};
        return 0;
}

/* The major version in data/PG_VERSION, 0 when there is none. */
static unsigned cluster_version(const Dev *d) {
        _cleanup_free_ char *path = dev_path(d, "data/PG_VERSION");
        _cleanup_(close_filep) FILE *f = path ? fopen(path, "re") : NULL;
        char text[16] = "";

        return f && fgets(text, sizeof(text), f) ? (unsigned) strtoul(text, NULL, 10) : 0;
}

/* The newest server that is installed, or the one of the cluster's version. */
static int find_bindir(Dev *d, Error *ret_error) {
        unsigned wanted = cluster_version(d), best = 0;
        glob_t found = {};

        if (d->bindir)
                return 0;
        if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0)
                for (size_t i = 0; i < found.gl_pathc; i++) {
                        unsigned version = (unsigned) strtoul(
                                found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);

                        if (wanted > 0 ? version != wanted : version <= best)
                                continue;
                        best = version;
                        free(d->bindir);
                        d->bindir = strjoinf("/usr/lib/postgresql/%u/bin", version);
                }
        globfree(&found);
        if (d->bindir)
                return 0;
        if (wanted > 0)
                return error_setf(
                        ret_error, ERROR_CONFIG, -ENOENT, "no-server",
                        "the database in %s is of PostgreSQL %u, which is not installed\n"
                        "HINT: apt install postgresql-%u, or \"automapost dev down\" and \"dev up\" "
                        "for a new one",
                        d->dir, wanted, wanted);
        return error_setf(ret_error, ERROR_CONFIG, -ENOENT, "no-server",
                          "no PostgreSQL server is installed (looked in /usr/lib/postgresql)\n"
                          "HINT: apt install postgresql");
}

/* ---- the server's programs ---- */

/* What a person has set for psql must not lead them to another server. */
static void forget_libpq_environment(void) {
        static const char *const names[] = {
                "PGHOST",
                "PGHOSTADDR",
                "PGPORT",
                "PGDATABASE",
                "PGUSER",
                "PGPASSWORD",
                "PGPASSFILE",
                "PGSERVICE",
                "PGSERVICEFILE",
                "PGOPTIONS",
                "PGSSLMODE",
                "PGDATA",
                "PGTARGETSESSIONATTRS",
                "PGAPPNAME",
                "PGCLIENTENCODING",
                "PGTZ",
                "PGDATESTYLE",
                "LC_ALL",
                "LC_MESSAGES",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                (void) unsetenv(names[i]);
}

static int pg_ctl(Dev *d, const char *verb, const char *const *more, int *ret_status,
                  char **ret_output, Error *ret_error) {
        _cleanup_free_ char *program = NULL, *data = dev_path(d, "data");
        const char *argv[16] = { NULL, verb, "-D", data };
        size_t n = 4;
        int r;

        r = find_bindir(d, ret_error);
        if (r < 0)
                return r;
        program = strjoinf("%s/pg_ctl", d->bindir);
        if (!program || !data)
                return error_oom(ret_error);
        argv[0] = program;
        for (; more && *more && n < ELEMENTSOF(argv) - 1; more++)
                argv[n++] = *more;
        forget_libpq_environment();
        r = program_run(argv, d->uid, d->gid, START_TIMEOUT, ret_output, ret_error);
        if (r < 0)
                return r;
        *ret_status = r;
        return 0;
}

int dev_is_running(Dev *d, Error *ret_error) {
        int r, status = -1;

        if (!dev_exists(d))
                return 0;
        r = pg_ctl(d, "status", NULL, &status, NULL, ret_error);
        return r < 0 ? r : status == 0;
}

/* The last lines of what a program said. */
static const char *tail(const char *text) {
        const char *start;

        if (!text)
                return "";
        start = text + strlen(text);
        for (unsigned lines = 0; start > text; start--)
                if (start[-1] == '\n' && ++lines == 8)
                        break;
        return start;
}

static int start_server(Dev *d, Error *ret_error) {
        _cleanup_free_ char *log = dev_path(d, "postgresql.log"), *output = NULL;
        int r, status = -1;

        if (!log)
                return error_oom(ret_error);
        r = pg_ctl(d, "start", (const char *[]){ "-w", "-t", "60", "-s", "-l", log, NULL }, &status,
                   &output, ret_error);
        if (r < 0)
                return r;
        if (status != 0)
                return error_setf(ret_error, ERROR_CONFIG, -EIO, "server",
                                  "PostgreSQL in %s does not start: %s\nHINT: %s says why%s",
                                  d->dir, tail(output), log,
                                  d->host ? "; is the port of --listen taken?" : "");
        return 0;
}

int dev_stop(Dev *d, Error *ret_error) {
        _cleanup_free_ char *output = NULL;
        int r, status;

        r = dev_is_running(d, ret_error);
        if (r <= 0)
                return r;
        r = pg_ctl(d, "stop", (const char *[]){ "-w", "-t", "60", "-s", "-m", "fast", NULL },
                   &status, &output, ret_error);
        if (r < 0)
                return r;
        if (status != 0)
                return error_setf(ret_error, ERROR_TRANSIENT, -EIO, "server",
                                  "PostgreSQL in %s does not stop: %s", d->dir, tail(output));
        return 0;
}

/* ---- the cluster ---- */

static int append_to(const char *path, const char *text, Error *ret_error) {
        _cleanup_(close_filep) FILE *f = NULL;

        if (!text)
                return error_oom(ret_error);
        f = fopen(path, "ae");
        if (!f || fputs(text, f) < 0 || fflush(f) != 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL, "cannot write %s: %s",
                                  path, strerrordesc_np(errno));
        return 0;
}

/* Made beside its place and moved there when it is complete: an initdb that was interrupted leaves
 * nothing that looks like a cluster. */
static int make_cluster(Dev *d, Error *ret_error) {
        _cleanup_free_ char *program = NULL, *fresh = dev_path(d, "data.new"),
                            *data = dev_path(d, "data"), *output = NULL, *conf = NULL, *hba = NULL,
                            *more = NULL;
        int r;

        r = dev_remove_tree(d, "data.new", ret_error);
        if (r >= 0)
                r = find_bindir(d, ret_error);
        if (r < 0)
                return r;
        program = strjoinf("%s/initdb", d->bindir);
        conf = dev_path(d, "data.new/postgresql.conf");
        hba = dev_path(d, "data.new/pg_hba.conf");
        if (!program || !fresh || !data || !conf || !hba)
                return error_oom(ret_error);
        forget_libpq_environment();
        r = program_run((const char *[]){ program, "--pgdata", fresh, "--username=postgres",
                                          "--encoding=UTF8", "--locale=C.UTF-8",
                                          "--auth-local=trust", "--auth-host=scram-sha-256",
                                          "--no-instructions", "--no-sync", NULL },
                        d->uid, d->gid, START_TIMEOUT, &output, ret_error);
        if (r < 0)
                return r;
        if (r != 0)
                return error_setf(ret_error, ERROR_CONFIG, -EIO, "initdb", "initdb failed: %s",
                                  tail(output));

        more = strjoinf("\n# automapost dev: a socket in the folder, which nobody else may enter\n"
                        "unix_socket_directories = '%s'\n"
                        "shared_buffers = 32MB\n"
                        "timezone = 'UTC'\n"
                        "log_timezone = 'UTC'\n"
                        "include = '../server.conf'\n",
                        d->dir);
        r = append_to(conf, more, ret_error);
        /* Whom it reaches is listen_addresses' business; who comes over TCP has a password. */
        if (r >= 0)
                r = append_to(hba, "host all all all scram-sha-256\n", ret_error);
        if (r < 0)
                return r;
        if (rename(fresh, data) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL, "cannot move %s: %s",
                                  fresh, strerrordesc_np(errno));
        return 0;
}

/* HOST:PORT, loopback alone: the development database is nobody else's business. 0.0.0.0 is for a
 * container, whose port is published from there. */
static int parse_listen(const char *text, char **ret_host, unsigned *ret_port, Error *ret_error) {
        static const char *const hosts[] = { "127.0.0.1", "0.0.0.0", "localhost", "::1", "[::1]" };
        const char *colon = strrchr(text, ':');
        unsigned long port = colon && colon[1] ? strtoul(colon + 1, NULL, 10) : 0;
        size_t n = colon ? (size_t) (colon - text) : 0;

        for (size_t i = 0; i < ELEMENTSOF(hosts); i++)
                if (colon && strlen(hosts[i]) == n && strncmp(hosts[i], text, n) == 0 &&
                    colon[1 + strspn(colon + 1, "0123456789")] == '\0' && port >= 1 &&
                    port <= 65535) {
                        *ret_host = strdup(streq(hosts[i], "[::1]") ? "::1" : hosts[i]);
                        *ret_port = (unsigned) port;
                        return *ret_host ? 0 : error_oom(ret_error);
                }
        return error_setf(
                ret_error, ERROR_CONFIG, -EINVAL, "usage",
                "--listen must be 127.0.0.1:PORT (in a container 0.0.0.0:PORT), with a port from 1 to "
                "65535, not \"%s\"",
                text);
}

/* Where it listens, kept beside the cluster. 1 where that changed. */
static int set_address(Dev *d, const char *listen, Error *ret_error) {
        _cleanup_free_ char *host = NULL, *line = NULL, *conf = NULL;
        unsigned port = d->port;
        bool changed = !dev_has(d, "server.conf");
        int r;

        if (listen) {
                r = parse_listen(listen, &host, &port, ret_error);
                if (r < 0)
                        return r;
                changed = changed || port != d->port || !streq_ptr(host, d->host);
                line = strjoinf("%s:%u\n", host, port);
                if (!line)
                        return error_oom(ret_error);
                r = dev_write(d, "listen", 0644, line, ret_error);
                if (r < 0)
                        return r;
                free(d->host);
                d->host = TAKE_PTR(host);
                d->port = port;
        }
        if (!changed)
                return 0;
        conf = strjoinf("listen_addresses = '%s'\nport = %u\n", d->host ?: "", d->port);
        if (!conf)
                return error_oom(ret_error);
        r = dev_write(d, "server.conf", 0644, conf, ret_error);
        return r < 0 ? r : 1;
}

int dev_up(Cli *c, Dev *d, const char *listen, Error *ret_error) {
        _cleanup_close_ int lock = -1;
        bool made = false;
        int r, changed;

        r = find_bindir(d, ret_error);
        if (r >= 0)
                r = dev_make_folder(d, ret_error);
        if (r >= 0)
                r = dev_lock(d, &lock, ret_error);
        if (r < 0)
                return r;
        changed = set_address(d, listen, ret_error);
        if (changed < 0)
                return changed;
        if (changed > 0 && listen) {
                /* the files that name the address are written again */
                r = dev_remove_tree(d, "application.env", ret_error);
                if (r >= 0)
                        r = dev_remove_tree(d, "env", ret_error);
                if (r < 0)
                        return r;
        }
        if (!dev_exists(d)) {
                if (!c->json)
                        cli_print(c, STYLE_NONE, "Making a PostgreSQL database in %s", d->dir);
                (void) fflush(stdout);
                r = make_cluster(d, ret_error);
                if (r < 0)
                        return r;
                made = true;
        }
        r = dev_is_running(d, ret_error);
        if (r > 0 && changed > 0) {
                r = dev_stop(d, ret_error);
                if (r < 0)
                        return r;
        }
        if (r == 0) {
                r = start_server(d, ret_error);
                if (r < 0)
                        return r;
                if (!made && !c->json)
                        cli_print(c, STYLE_NONE, "Started the database in %s", d->dir);
        }
        return dev_fill(d, ret_error);
}
