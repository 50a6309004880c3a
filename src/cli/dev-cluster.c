/* SPDX-License-Identifier: MIT */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/id.h"
#include "base/text.h"
#include "cli/dev.h"
#include "cli/program.h"
#include "queries.h"
#include "queue/migrate.h"

#define PORT_DEFAULT 5432U
#define START_TIMEOUT (90 * USEC_PER_SEC)
#define MARKER "made-by-automapost-dev"
/* The logins of the cluster: what services use, and what a developer's application would. */
#define LOGIN_SERVICE "automapost_service"
#define LOGIN_APPLICATION "automapost_application"

extern const char *const sql_dev_application;
extern const char *const sql_dev_sample;

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

char *dev_path(const Dev *d, const char *name) {
        return strjoinf("%s/%s", d->dir, name);
}

static bool exists(const Dev *d, const char *name) {
        _cleanup_free_ char *path = dev_path(d, name);

        return path && access(path, F_OK) == 0;
}

bool dev_is_ours(const Dev *d) {
        return exists(d, MARKER);
}

bool dev_exists(const Dev *d) {
        return exists(d, MARKER) && exists(d, "data/PG_VERSION");
}

char *dev_url(const Dev *d, const char *login, const char *database) {
        _cleanup_free_ char *host = percent_encode(d->dir);

        return host ? strjoinf("postgresql://%s@/%s?host=%s&port=%u", login, database, host,
                               d->port)
                    : NULL;
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
        int r, status;

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

/* ---- the folder ---- */

static int make_parents(const char *path) {
        _cleanup_free_ char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1; *p; p++)
                if (*p == '/') {
                        *p = '\0';
                        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                                return -errno;
                        *p = '/';
                }
        return 0;
}

static int write_file(const Dev *d, const char *name, mode_t mode, const char *text,
                      Error *ret_error) {
        _cleanup_free_ char *path = dev_path(d, name),
                            *fresh = strjoinf("%s/.%s.new", d->dir, name);
        _cleanup_close_ int fd = -1;
        size_t n = strlen(text);

        if (!path || !fresh)
                return error_oom(ret_error);
        (void) unlink(fresh);
        fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0 || write(fd, text, n) != (ssize_t) n || rename(fresh, path) < 0)
                return error_setf(ret_error, ERROR_CONFIG, errno > 0 ? -errno : -EIO, NULL,
                                  "cannot write %s: %s", path, strerrordesc_np(errno));
        return 0;
}

/* The server's user must be able to come here: asked of the kernel, as that user. */
static int check_reachable(const Dev *d, Error *ret_error) {
        int r;

        if (d->uid == 0)
                return 0;
        r = program_run((const char *[]){ "test", "-w", d->dir, NULL }, d->uid, d->gid, CLI_TIMEOUT,
                        NULL, ret_error);
        if (r < 0)
                return r;
        if (r != 0)
                return error_setf(
                        ret_error, ERROR_CONFIG, -EACCES, NULL,
                        "the folder %s cannot be reached by the user that the server runs as\n"
                        "HINT: PostgreSQL does not run as root; --dir a folder whose parents everybody may enter",
                        d->dir);
        return 0;
}

static bool is_empty_folder(const char *path) {
        DIR *dir = opendir(path);
        const struct dirent *entry;
        bool empty = true;

        while (dir && empty && (entry = readdir(dir)))
                empty = streq(entry->d_name, ".") || streq(entry->d_name, "..");
        if (dir)
                (void) closedir(dir);
        return empty;
}

static int make_folder(const Dev *d, Error *ret_error) {
        struct sockaddr_un address;
        int r;

        if (strlen(d->dir) + strlen("/.s.PGSQL.65535.lock") >= sizeof(address.sun_path))
                return error_setf(ret_error, ERROR_CONFIG, -ENAMETOOLONG, NULL,
                                  "the path %s is too long for a socket\nHINT: --dir a shorter one",
                                  d->dir);
        if (strpbrk(d->dir, "'\\\n"))
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, NULL,
                                  "the path %s has a quote or backslash\nHINT: --dir another one",
                                  d->dir);
        r = make_parents(d->dir);
        if (r < 0 || (mkdir(d->dir, 0700) < 0 && errno != EEXIST))
                return error_setf(ret_error, ERROR_CONFIG, r < 0 ? r : -errno, NULL,
                                  "cannot make the folder %s: %s", d->dir,
                                  strerrordesc_np(r < 0 ? -r : errno));
        if (!exists(d, MARKER)) {
                if (!is_empty_folder(d->dir))
                        return error_setf(
                                ret_error, ERROR_CONFIG, -ENOTEMPTY, NULL,
                                "the folder %s has other things in it\nHINT: --dir an empty or a new one",
                                d->dir);
                r = write_file(d, MARKER, 0644,
                               "This folder is the development database of automapost-jobs.\n"
                               "\"automapost dev down\" removes it.\n",
                               ret_error);
                if (r < 0)
                        return r;
        }
        if (d->uid != 0 && chown(d->dir, d->uid, d->gid) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL,
                                  "cannot give %s to the server's user: %s", d->dir,
                                  strerrordesc_np(errno));
        return check_reachable(d, ret_error);
}

static int remove_entry(const char *path, _unused_ const struct stat *st, _unused_ int type,
                        _unused_ struct FTW *ftw) {
        return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_tree(const Dev *d, const char *name, Error *ret_error) {
        _cleanup_free_ char *path = dev_path(d, name);
        int r;

        if (!path)
                return error_oom(ret_error);
        r = nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
        if (r < 0 && !(r == -1 && errno == ENOENT))
                return error_setf(ret_error, ERROR_CONFIG, r == -1 ? -errno : r, NULL,
                                  "cannot remove %s: %s", path,
                                  strerrordesc_np(r == -1 ? errno : -r));
        return 0;
}

int dev_remove(const Dev *d, Error *ret_error) {
        /* The marker goes last but for the folder: until then "dev down" can be said again. */
        static const char *const names[] = {
                "data",
                "data.new",
                "sandbox",
                "state",
                "env",
                ".env.new",
                "application.env",
                ".application.env.new",
                "listen",
                ".listen.new",
                "server.conf",
                ".server.conf.new",
                "postgresql.log",
                ".lock",
                MARKER,
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                int r = remove_tree(d, names[i], ret_error);

                if (r < 0)
                        return r;
        }
        if (rmdir(d->dir) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL, "cannot remove %s: %s",
                                  d->dir, strerrordesc_np(errno));
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

        r = remove_tree(d, "data.new", ret_error);
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
        bool changed = !exists(d, "server.conf");
        int r;

        if (listen) {
                r = parse_listen(listen, &host, &port, ret_error);
                if (r < 0)
                        return r;
                changed = changed || port != d->port || !streq_ptr(host, d->host);
                line = strjoinf("%s:%u\n", host, port);
                if (!line)
                        return error_oom(ret_error);
                r = write_file(d, "listen", 0644, line, ret_error);
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
        r = write_file(d, "server.conf", 0644, conf, ret_error);
        return r < 0 ? r : 1;
}

/* ---- what is in it ---- */

static int connect_to(const Dev *d, const char *database, Db **ret, Error *ret_error) {
        _cleanup_free_ char *url = dev_url(d, "postgres", database);

        if (!url)
                return error_oom(ret_error);
        return db_connect(url, "automapost dev", CLI_TIMEOUT, ret, ret_error);
}

static int make_database(const Dev *d, Error *ret_error) {
        _cleanup_(error_done) Error error = ERROR_NULL;
        _cleanup_(db_freep) Db *db = NULL;
        int r;

        r = connect_to(d, "postgres", &db, ret_error);
        if (r < 0)
                return r;
        r = db_script(db, "create database", "CREATE DATABASE " DEV_DATABASE, CLI_TIMEOUT, &error);
        if (r < 0 && !streq_ptr(error.code, "42P04")) { /* it is there */
                error_move(ret_error, &error);
                return r;
        }
        return 0;
}

static const char *address_for_application(const Dev *d) {
        if (streq(d->host, "0.0.0.0"))
                return "127.0.0.1";
        return strchr(d->host, ':') ? "[::1]" : d->host;
}

/* The logins, their passwords (for TCP alone; over the socket none is needed), the files that name
 * them, quoted so that a shell can read them too (a URL has an &). Passwords are made anew where
 * the files are missing. The application may make databases, as "prisma migrate dev" wants. */
static int make_logins(const Dev *d, Db *db, Error *ret_error) {
        _cleanup_(erase_and_freep) char *script = NULL, *env = NULL, *application = NULL;
        _cleanup_free_ char *url = NULL, *own = NULL;
        char password[ID128_SIZE];
        int r;

        if (exists(d, "application.env") && exists(d, "env"))
                return 0;
        id128_random(password);
        script = strjoinf("DO $$ BEGIN\n"
                          "    IF to_regrole('" LOGIN_SERVICE
                          "') IS NULL THEN CREATE ROLE " LOGIN_SERVICE "; END IF;\n"
                          "    IF to_regrole('" LOGIN_APPLICATION
                          "') IS NULL THEN CREATE ROLE " LOGIN_APPLICATION "; END IF;\n"
                          "END $$;\n"
                          "ALTER ROLE " LOGIN_SERVICE " LOGIN;\n"
                          "ALTER ROLE " LOGIN_APPLICATION " LOGIN CREATEDB PASSWORD '%s';\n"
                          "ALTER DATABASE " DEV_DATABASE " OWNER TO " LOGIN_APPLICATION ";\n"
                          "ALTER SCHEMA public OWNER TO " LOGIN_APPLICATION ";\n",
                          password);
        url = dev_url(d, LOGIN_SERVICE, DEV_DATABASE);
        own = dev_url(d, LOGIN_APPLICATION, DEV_DATABASE);
        if (!script || !url || !own)
                return error_oom(ret_error);
        r = db_script(db, "logins", script, CLI_TIMEOUT, ret_error);
        if (r < 0)
                return r;
        env = strjoinf(
                "# What the services and the command use; written by \"automapost dev up\".\n"
                "AUTOMAPOST_DATABASE_URL='%s'\n"
                "AUTOMAPOST_PROVIDERS=sandbox\n"
                "AUTOMAPOST_SANDBOX_DIR='%s/sandbox'\n"
                "AUTOMAPOST_STATE_DIR='%s/state'\n",
                url, d->dir, d->dir);
        application =
                d->host ? strjoinf(
                                  "# For the application itself.\nDATABASE_URL='postgresql://" LOGIN_APPLICATION
                                  ":%s@%s:%u/" DEV_DATABASE "'\n",
                                  password, address_for_application(d), d->port)
                        : strjoinf("# For the application itself; \"automapost dev up --listen "
                                   "127.0.0.1:PORT\" gives it TCP.\nDATABASE_URL='%s'\n",
                                   own);
        if (!env || !application)
                return error_oom(ret_error);
        r = write_file(d, "application.env", 0600, application, ret_error);
        return r < 0 ? r : write_file(d, "env", 0600, env, ret_error);
}

/* As the application's own login, which owns its tables. */
static int make_tables(Db *db, bool *ret_new, Error *ret_error) {
        _cleanup_free_ char *there = NULL, *script = NULL;
        int r;

        r = db_value(db, &query_dev_tables_exist, NULL, CLI_TIMEOUT, &there, ret_error);
        if (r < 0)
                return r;
        *ret_new = !streq_ptr(there, "t");
        if (!*ret_new)
                return 0;
        script = strjoinf("BEGIN;\nSET LOCAL ROLE " LOGIN_APPLICATION ";\n%s\nCOMMIT;",
                          sql_dev_application);
        return script ? db_script(db, "application tables", script, CLI_TIMEOUT, ret_error)
                      : error_oom(ret_error);
}

/* After the schema: what is due before it was made is not published. */
static int fill_tables(Db *db, Error *ret_error) {
        _cleanup_free_ char *empty = NULL, *script = NULL;
        int r;

        r = db_value(db, &query_dev_tables_empty, NULL, CLI_TIMEOUT, &empty, ret_error);
        if (r < 0 || !streq_ptr(empty, "t"))
                return MIN(r, 0);
        script = strjoinf("BEGIN;\nSET LOCAL ROLE " LOGIN_APPLICATION ";\n%s\nCOMMIT;",
                          sql_dev_sample);
        return script ? db_script(db, "sample data", script, CLI_TIMEOUT, ret_error)
                      : error_oom(ret_error);
}

static int fill(const Dev *d, Error *ret_error) {
        _cleanup_(db_freep) Db *db = NULL;
        bool fresh;
        int r;

        r = make_database(d, ret_error);
        if (r >= 0)
                r = connect_to(d, DEV_DATABASE, &db, ret_error);
        if (r >= 0)
                r = make_logins(d, db, ret_error);
        if (r >= 0)
                r = make_tables(db, &fresh, ret_error);
        if (r >= 0)
                r = migrate_apply(db, NULL, NULL, NULL, ret_error);
        if (r >= 0)
                r = db_script(db, "grants",
                              "SET client_min_messages = warning;\n"
                              "GRANT automapost_jobs_service TO " LOGIN_SERVICE ";\n"
                              "GRANT automapost_jobs_app TO " LOGIN_APPLICATION ";",
                              CLI_TIMEOUT, ret_error);
        return r < 0 ? r : fill_tables(db, ret_error);
}

/* Two at once would both make it: the second waits and finds it made. */
static int lock_folder(const Dev *d, int *ret_fd, Error *ret_error) {
        _cleanup_free_ char *path = dev_path(d, ".lock");
        _cleanup_close_ int fd = -1;

        if (!path)
                return error_oom(ret_error);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX) < 0)
                return error_setf(ret_error, ERROR_CONFIG, -errno, NULL, "cannot lock %s: %s", path,
                                  strerrordesc_np(errno));
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int dev_up(Cli *c, Dev *d, const char *listen, Error *ret_error) {
        _cleanup_close_ int lock = -1;
        bool made = false;
        int r, changed;

        r = find_bindir(d, ret_error);
        if (r >= 0)
                r = make_folder(d, ret_error);
        if (r >= 0)
                r = lock_folder(d, &lock, ret_error);
        if (r < 0)
                return r;
        changed = set_address(d, listen, ret_error);
        if (changed < 0)
                return changed;
        if (changed > 0 && listen) {
                /* the files that name the address are written again */
                r = remove_tree(d, "application.env", ret_error);
                if (r >= 0)
                        r = remove_tree(d, "env", ret_error);
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
        return fill(d, ret_error);
}
