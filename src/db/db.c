/* SPDX-License-Identifier: MIT */

#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "base/stop-point.h"
#include "base/text.h"
#include "base/time-util.h"
#include "db/db.h"
#include "db/url.h"

/* Of one statement. */
#define PARAMS_MAX 32

struct Db {
        PGconn *connection;
        const Query *sent;        /* by db_send(): its answer is to be received, … */
        usec_t timeout, deadline; /* … before this time */
};

struct Rows {
        PGresult *result;
};

DEFINE_CLEANUP(PGconn, PQfinish);
DEFINE_CLEANUP(PGresult, PQclear);
DEFINE_CLEANUP(PQconninfoOption, PQconninfoFree);

/* The first line of what libpq says, without the prefix that repeats the severity. */
static char *first_line(const char *message) {
        size_t n;

        message += strspn(message, " \n");
        if (strncmp(message, "ERROR:  ", 8) == 0 || strncmp(message, "FATAL:  ", 8) == 0)
                message += 8;
        n = strcspn(message, "\n");
        return utf8_make_valid(message, n, 600);
}

/* Decided from SQLSTATE alone: who must act, and whether later can work. */
static ErrorClass class_of_sqlstate(const char *state) {
        static const struct {
                const char *prefix;
                ErrorClass class;
        } table[] = {
                { "AM", ERROR_CONFIG },       /* ours, where it is no plain refusal */
                { "08", ERROR_TRANSIENT },    /* connection */
                { "40", ERROR_TRANSIENT },    /* serialization, deadlock */
                { "53", ERROR_TRANSIENT },    /* resources */
                { "55P03", ERROR_TRANSIENT }, /* lock not available */
                { "55", ERROR_PERMANENT },    /* not in the state that it must be in */
                { "57", ERROR_TRANSIENT },    /* shutdown, cancelled, cannot connect now */
                { "58", ERROR_TRANSIENT },    /* system error */
                { "25006", ERROR_TRANSIENT }, /* read only: a standby, until it is promoted */
                { "28", ERROR_CONFIG },       /* authorization */
                { "3D", ERROR_CONFIG },       /* no such database */
                { "3F", ERROR_CONFIG },       /* no such schema */
                { "42", ERROR_CONFIG },       /* no such table, column, function; no right to it */
                { "0A", ERROR_CONFIG },       /* feature not supported: pgbouncer, old server */
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
                        return table[i].class;
        return ERROR_PERMANENT;
}

static int result_error(const PGresult *result, const char *what, Error *ret_error) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
        _cleanup_free_ char *text = NULL;

        if (isempty(state))
                return error_setf(ret_error, ERROR_TRANSIENT, -ECONNRESET, "connection",
                                  "connection to the database lost during %s", what);
        text = first_line(primary ? primary : PQresultErrorMessage(result));
        if (!text)
                return error_oom(ret_error);
        return error_setf(ret_error, class_of_sqlstate(state), -EIO, state, "%s%s%s", text,
                          hint ? "\nHINT: " : "", hint ? hint : "");
}

/* Waits until the socket is ready or the deadline (CLOCK_BOOTTIME) has passed. */
static int wait_socket(PGconn *connection, short events, usec_t deadline) {
        struct pollfd fd = { .fd = PQsocket(connection), .events = events };

        for (;;) {
                usec_t t = now(CLOCK_BOOTTIME);
                int r;

                if (fd.fd < 0)
                        return -ECONNRESET;
                if (t >= deadline)
                        return -ETIMEDOUT;
                r = poll(&fd, 1, (int) MIN((deadline - t) / USEC_PER_MSEC + 1, (usec_t) 60000));
                if (r > 0)
                        return fd.revents;
                if (r < 0 && errno != EINTR)
                        return -errno;
        }
}

static int connection_error(PGconn *connection, int r, usec_t timeout, const char *what,
                            Error *ret_error) {
        _cleanup_free_ char *text = first_line(PQerrorMessage(connection));

        if (r == -ETIMEDOUT)
                return error_setf(ret_error, ERROR_TRANSIENT, r, "connection",
                                  "%s: no answer from the database within %.1f s", what,
                                  (double) timeout / USEC_PER_SEC);
        return error_setf(ret_error, ERROR_TRANSIENT, -ECONNRESET, "connection", "%s: %s", what,
                          isempty(text) ? "connection to the database lost" : text);
}

/* Wrong password, no such role, no such database: an operator must act, waiting does not help.
 * libpq gives no SQLSTATE for a failed connection; the server's text in English is all there is,
 * and anything unknown counts as transient. */
static ErrorClass class_of_connection(const char *message) {
        static const char *const permanent[] = {
                "password authentication failed", "authentication failed",
                "no password supplied",           "does not exist",
                "no pg_hba.conf entry",           "is not permitted to log in",
                "unsupported startup parameter",  "invalid connection option",
        };

        for (size_t i = 0; i < ELEMENTSOF(permanent); i++)
                if (strstr(message, permanent[i]) && !strstr(message, "No such file"))
                        return ERROR_CONFIG;
        return ERROR_TRANSIENT;
}

static int start_connection(const char *url, const char *application_name, PGconn **ret,
                            Error *ret_error) {
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = NULL;
        _cleanup_(erase_and_freep) char *stripped = db_url_strip(url);
        const char *keys[64], *values[64];
        char *message = NULL;
        size_t n = 0;

        if (!stripped)
                return error_oom(ret_error);
        options = PQconninfoParse(stripped, &message);
        if (!options) {
                /* What libpq says quotes the string, and there may be a password in it. */
                PQfreemem(message);
                return error_setf(
                        ret_error, ERROR_CONFIG, -EINVAL, "database-url",
                        "AUTOMAPOST_DATABASE_URL is no connection string that libpq knows\n"
                        "HINT: postgresql://USER:PASSWORD@HOST:5432/DATABASE, with %%XX for "
                        "signs like @ and /");
        }
        /* Defaults first: what the URL says wins. */
        static const struct {
                const char *key, *value;
        } defaults[] = {
                { "connect_timeout", "5" },    { "tcp_user_timeout", "8000" },
                { "keepalives_idle", "10" },   { "keepalives_interval", "3" },
                { "keepalives_count", "3" },   { "target_session_attrs", "read-write" },
                { "client_encoding", "UTF8" },
        };
        for (size_t i = 0; i < ELEMENTSOF(defaults); i++) {
                keys[n] = defaults[i].key;
                values[n++] = defaults[i].value;
        }
        keys[n] = "application_name";
        values[n++] = application_name;
        for (PQconninfoOption *o = options; o->keyword && n + 1 < ELEMENTSOF(keys); o++)
                if (!isempty(o->val)) {
                        keys[n] = o->keyword;
                        values[n++] = o->val;
                }
        keys[n] = values[n] = NULL;
        *ret = PQconnectStartParams(keys, values, 0);
        return *ret ? 0 : error_oom(ret_error);
}

/* The kernel tells a server on this machine who calls over its socket: the effective user of the
 * thread at that moment. Root, whom no role is named after, calls as the user that url names. 0: as
 * we are. */
static uid_t find_caller(const char *url) {
        _cleanup_free_ char *user = NULL;
        struct passwd p, *found = NULL;
        char buffer[4096];

        if (geteuid() != 0 || !db_url_is_peer(url) || db_url_get(url, "user", &user) < 0 || !user ||
            getpwnam_r(user, &p, buffer, sizeof(buffer), &found) != 0 || !found)
                return 0;
        return p.pw_uid;
}

/* Of this thread alone, where glibc's function would change them all. */
static int set_caller(uid_t uid) {
        return syscall(SYS_setresuid, -1, uid, -1) < 0 ? -errno : 0;
}

static int connect_now(const char *url, const char *application_name, usec_t timeout, Db **ret,
                       Error *ret_error) {
        usec_t deadline = now(CLOCK_BOOTTIME) + timeout;
        _cleanup_(PQfinishp) PGconn *connection = NULL;
        PostgresPollingStatusType status = PGRES_POLLING_WRITING;
        int r;

        r = start_connection(url, application_name, &connection, ret_error);
        if (r < 0)
                return r;

        while (status != PGRES_POLLING_OK && PQstatus(connection) != CONNECTION_BAD) {
                r = wait_socket(connection, status == PGRES_POLLING_READING ? POLLIN : POLLOUT,
                                deadline);
                if (r < 0)
                        return connection_error(connection, r, timeout, "connecting", ret_error);
                status = PQconnectPoll(connection);
                if (status == PGRES_POLLING_FAILED)
                        break;
        }
        if (PQstatus(connection) != CONNECTION_OK) {
                const char *said = PQerrorMessage(connection);
                _cleanup_free_ char *text = first_line(said);

                return error_setf(ret_error, class_of_connection(said), -ECONNREFUSED, "connection",
                                  "cannot connect to the database: %s", strnull(text));
        }
        if (PQsetnonblocking(connection, 1) < 0)
                return error_oom(ret_error);

        Db *db = calloc(1, sizeof(Db));
        if (!db)
                return error_oom(ret_error);
        db->connection = TAKE_PTR(connection);
        *ret = db;
        return 0;
}

int db_connect(const char *url, const char *application_name, usec_t timeout, Db **ret,
               Error *ret_error) {
        uid_t caller;
        int r, back;

        if (isempty(url))
                return error_setf(
                        ret_error, ERROR_CONFIG, -EINVAL, "database-url",
                        "AUTOMAPOST_DATABASE_URL is not set\nHINT: see automapost config");
        caller = find_caller(url);
        if (caller == 0)
                return connect_now(url, application_name, timeout, ret, ret_error);
        r = set_caller(caller);
        if (r < 0)
                return error_setf(ret_error, ERROR_CONFIG, r, NULL, "cannot call as user %u: %s",
                                  (unsigned) caller, strerrordesc_np(-r));
        r = connect_now(url, application_name, timeout, ret, ret_error);
        back = set_caller(0);
        assert(back == 0);
        return r;
}

void db_free(Db *db) {
        if (!db)
                return;
        PQfinish(db->connection);
        free(db);
}

int db_password_verifier(Db *db, const char *login, const char *password, char **ret,
                         Error *ret_error) {
        char *verifier, *copy;

        verifier = PQencryptPasswordConn(db->connection, password, login, "scram-sha-256");
        if (!verifier)
                return connection_error(db->connection, -EIO, 0, "password", ret_error);
        copy = strdup(verifier);
        PQfreemem(verifier);
        if (!copy)
                return error_oom(ret_error);
        *ret = copy;
        return 0;
}

bool db_is_open(const Db *db) {
        return db && PQstatus(db->connection) == CONNECTION_OK;
}

/* Past a deadline or a broken connection nothing may be asked on it any more. */
static int give_up(Db *db, int r, usec_t timeout, const char *what, Error *ret_error) {
        r = connection_error(db->connection, r, timeout, what, ret_error);
        PQfinish(db->connection);
        db->connection = NULL;
        db->sent = NULL;
        return r;
}

/* Sends what is queued. */
static int flush_queued(Db *db, const char *what, usec_t timeout, usec_t deadline,
                        Error *ret_error) {
        for (;;) {
                int events, r = PQflush(db->connection);

                if (r == 0)
                        break;
                events = r < 0 ? -EIO : wait_socket(db->connection, POLLIN | POLLOUT, deadline);
                if (events < 0)
                        return give_up(db, events, timeout, what, ret_error);
                if ((events & POLLIN) && !PQconsumeInput(db->connection))
                        return give_up(db, -EIO, timeout, what, ret_error);
        }
        stop_point(what);
        return 0;
}

/* Reads every result; keeps the last, or the first that is an error. */
static int read_results(Db *db, const char *what, usec_t timeout, usec_t deadline, PGresult **ret,
                        Error *ret_error) {
        _cleanup_(PQclearp) PGresult *kept = NULL;

        for (;;) {
                PGresult *result;
                ExecStatusType status;

                while (PQisBusy(db->connection)) {
                        int events = wait_socket(db->connection, POLLIN, deadline);

                        if (events < 0)
                                return give_up(db, events, timeout, what, ret_error);
                        if (!PQconsumeInput(db->connection))
                                return give_up(db, -EIO, timeout, what, ret_error);
                }
                result = PQgetResult(db->connection);
                if (!result)
                        break;
                status = kept ? PQresultStatus(kept) : PGRES_EMPTY_QUERY;
                if (status == PGRES_FATAL_ERROR) {
                        PQclear(result);
                        continue;
                }
                PQclear(kept);
                kept = result;
        }
        if (!kept || PQstatus(db->connection) != CONNECTION_OK)
                return give_up(db, -ECONNRESET, timeout, what, ret_error);
        if (PQresultStatus(kept) != PGRES_TUPLES_OK && PQresultStatus(kept) != PGRES_COMMAND_OK)
                return result_error(kept, what, ret_error);
        *ret = TAKE_PTR(kept);
        return 0;
}

static int check_open(const Db *db, const char *what, Error *ret_error) {
        if (db_is_open(db))
                return 0;
        return error_setf(ret_error, ERROR_TRANSIENT, -ENOTCONN, "connection",
                          "%s: not connected to the database", what);
}

int db_send(Db *db, const Query *query, const char *const *params, const int *lengths,
            usec_t timeout, Error *ret_error) {
        int binary[PARAMS_MAX];
        int r;

        assert(!db->sent);
        assert(query->n_params <= ELEMENTSOF(binary));
        for (unsigned i = 0; i < query->n_params; i++)
                binary[i] = lengths && lengths[i] > 0;
        r = check_open(db, query->name, ret_error);
        if (r < 0)
                return r;
        db->timeout = timeout;
        db->deadline = now(CLOCK_BOOTTIME) + timeout;
        if (!PQsendQueryParams(db->connection, query->text, (int) query->n_params, NULL, params,
                               lengths, binary, 0))
                return give_up(db, -EIO, timeout, query->name, ret_error);
        r = flush_queued(db, query->name, timeout, db->deadline, ret_error);
        if (r >= 0)
                db->sent = query;
        return r;
}

static int receive(Db *db, const char *what, Rows **ret, Error *ret_error) {
        _cleanup_(PQclearp) PGresult *result = NULL;
        Rows *rows;
        int r;

        db->sent = NULL;
        r = read_results(db, what, db->timeout, db->deadline, &result, ret_error);
        if (r < 0)
                return r;
        rows = calloc(1, sizeof(Rows));
        if (!rows)
                return error_oom(ret_error);
        rows->result = TAKE_PTR(result);
        *ret = rows;
        return 0;
}

int db_receive(Db *db, Rows **ret, Error *ret_error) {
        int r;

        assert(db->sent);
        if (!PQconsumeInput(db->connection))
                return give_up(db, -EIO, db->timeout, db->sent->name, ret_error);
        if (PQisBusy(db->connection) && now(CLOCK_BOOTTIME) < db->deadline)
                return 0;
        r = receive(db, db->sent->name, ret, ret_error);
        return r < 0 ? r : 1;
}

bool db_is_asked(const Db *db) {
        return db && db->sent;
}

int db_query(Db *db, const Query *query, const char *const *params, usec_t timeout, Rows **ret,
             Error *ret_error) {
        int r = db_send(db, query, params, NULL, timeout, ret_error);

        return r < 0 ? r : receive(db, query->name, ret, ret_error);
}

int db_value(Db *db, const Query *query, const char *const *params, usec_t timeout, char **ret,
             Error *ret_error) {
        _cleanup_(rows_freep) Rows *rows = NULL;
        char *value = NULL;
        int r;

        r = db_query(db, query, params, timeout, &rows, ret_error);
        if (r < 0)
                return r;
        assert(rows);
        if (rows_count(rows) != 1 || PQnfields(rows->result) != 1)
                return error_setf(ret_error, ERROR_CONFIG, -EPROTO, "shape",
                                  "%s answered %zu rows of %d columns instead of one value",
                                  query->name, rows_count(rows), PQnfields(rows->result));
        if (rows_text(rows, 0, 0)) {
                value = strdup(rows_text(rows, 0, 0));
                if (!value)
                        return error_oom(ret_error);
        }
        *ret = value;
        return 0;
}

int db_script(Db *db, const char *name, const char *sql, usec_t timeout, Error *ret_error) {
        _cleanup_(PQclearp) PGresult *result = NULL;
        usec_t deadline = now(CLOCK_BOOTTIME) + timeout;
        int r;

        r = check_open(db, name, ret_error);
        if (r < 0)
                return r;
        if (!PQsendQuery(db->connection, sql))
                return give_up(db, -EIO, timeout, name, ret_error);
        r = flush_queued(db, name, timeout, deadline, ret_error);
        if (r < 0)
                return r;
        return read_results(db, name, timeout, deadline, &result, ret_error);
}

int db_fd(const Db *db) {
        return db_is_open(db) ? PQsocket(db->connection) : -1;
}

int db_backend_pid(const Db *db) {
        return PQbackendPID(db->connection);
}

char *db_heard(Db *db) {
        PGnotify *notice;
        char *payload;

        if (!db_is_open(db) || !PQconsumeInput(db->connection))
                return NULL;
        notice = PQnotifies(db->connection);
        if (!notice)
                return NULL;
        payload = strdup(notice->extra);
        PQfreemem(notice);
        return payload;
}

size_t rows_count(const Rows *rows) {
        return (size_t) PQntuples(rows->result);
}

const char *rows_text(const Rows *rows, size_t row, unsigned column) {
        if (PQgetisnull(rows->result, (int) row, (int) column))
                return NULL;
        return PQgetvalue(rows->result, (int) row, (int) column);
}

int64_t rows_int64(const Rows *rows, size_t row, unsigned column, int64_t missing) {
        const char *text = rows_text(rows, row, column);
        char *end = NULL;
        long long n;

        if (!text)
                return missing;
        errno = 0;
        n = strtoll(text, &end, 10);
        return errno == 0 && end != text && *end == 0 ? n : missing;
}

void rows_free(Rows *rows) {
        if (!rows)
                return;
        PQclear(rows->result);
        free(rows);
}
