/* SPDX-License-Identifier: MIT */
#pragma once

/* PostgreSQL: one connection, named queries, rows as text; the only user of libpq. It is not a
 * general purpose client: no cursors, no rows in binary form, no named prepared statements, no
 * session settings, so that it works through pgbouncer in transaction mode. Every call has a
 * deadline; past it the socket is closed, and whether the statement was committed is unknown to the
 * caller: the SQL functions that matter carry a batch id, so that asking again is safe.
 *
 * Classes: connection lost, not had or too slow, 40001, 40P01, 55P03, 57P01… TRANSIENT;
 * 28xxx, 3Dxxx, 42xxx (schema and binaries apart, missing grants) and AM0xx with its own class
 * CONFIG; 22xxx and 23xxx PERMANENT. Error.code is the SQLSTATE, or "connection". */

#include "base/error.h"

typedef struct Db Db;
typedef struct Rows Rows;

typedef struct Query {
        const char *name; /* of the file in sql/queries, without .sql */
        unsigned n_params;
        const char *text;
} Query;

/* url: a connection URI or keywords, as libpq takes them; several hosts are tried in turn. Unknown
 * URI parameters of ORMs (schema, connection_limit, pgbouncer, …) are stripped. Where
 * db_url_is_peer() root calls as the system's user whom url names. */
int db_connect(const char *url, const char *application_name, usec_t timeout, Db **ret,
               Error *ret_error);
void db_free(Db *db);
DEFINE_CLEANUP(Db, db_free);

bool db_is_open(const Db *db);

/* What the server keeps of a password (SCRAM-SHA-256): for CREATE ROLE … PASSWORD, so that the
 * password itself is in no statement, and in no log of the server's. */
int db_password_verifier(Db *db, const char *login, const char *password, char **ret,
                         Error *ret_error);

/* params: query->n_params texts, NULL = SQL null. timeout covers sending and the whole answer. */
int db_query(Db *db, const Query *query, const char *const *params, usec_t timeout, Rows **ret,
             Error *ret_error);
/* The same in two steps, so that something else is done meanwhile: the statement is sent; and its
 * answer is taken when it is there. lengths: of params in binary form (array.h), 0 for texts; NULL:
 * all are texts. db_receive(): 0 as long as it is not (wait on db_fd(), no
 * longer than the timeout), 1 with the rows, or an error. In between nothing else is asked. */
int db_send(Db *db, const Query *query, const char *const *params, const int *lengths,
            usec_t timeout, Error *ret_error);
int db_receive(Db *db, Rows **ret, Error *ret_error);
/* Whether an answer is waited for. */
bool db_is_asked(const Db *db);
/* The same for exactly one row of one column; *ret is NULL for SQL null. */
int db_value(Db *db, const Query *query, const char *const *params, usec_t timeout, char **ret,
             Error *ret_error);
/* The socket to wait on for answers and, after a LISTEN, for what others notify (-1 where there is
 * none), and the payload of the next notification that is here already, to be freed; NULL where
 * there is none. A connection that turns out to be lost is closed. */
int db_fd(const Db *db);
char *db_heard(Db *db);
/* The server process that this connection was made with; a pooler that gives statements to others
 * names one that answers none. */
int db_backend_pid(const Db *db);

/* Text of several statements without parameters, in one implicit transaction: for migrations. */
int db_script(Db *db, const char *name, const char *sql, usec_t timeout, Error *ret_error);

size_t rows_count(const Rows *rows);
/* Borrowed; NULL for SQL null. Columns are counted from 0. */
const char *rows_text(const Rows *rows, size_t row, unsigned column);
int64_t rows_int64(const Rows *rows, size_t row, unsigned column, int64_t missing);
void rows_free(Rows *rows);
DEFINE_CLEANUP(Rows, rows_free);
