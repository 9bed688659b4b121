// One connection to the SQLite file, with its prepared statements. database.c and points.c are the only files
// that include sqlite3.h.
//
// A statement is taken by its place in the table of texts (sql.h), its parameters are bound in order, then it
// is stepped. Failures of preparing and binding stick to the statement and come out at its next step, so that
// a caller checks once. Thread safety: a connection and its statements belong to one thread at a time.
#ifndef NABLA_STORE_DATABASE_H
#define NABLA_STORE_DATABASE_H

#include "base/error.h"
#include "store/points.h"
#include "store/sql.h"

#include <stdbool.h>
#include <stdint.h>

struct database;
struct statement;

enum database_mode { DATABASE_WRITER, DATABASE_READER, DATABASE_PLAIN }; // plain: as the file has it

// The file must exist (an empty one becomes a database). `texts` is borrowed for the connection's life;
// entries may be filled in until they are first used.
enum nabla_code database_open(const char *path, enum database_mode mode, const char *const texts[SQL_COUNT],
                              struct database **ret, struct nabla_error *err);
void database_close(struct database *db);

// Runs statements that give no rows.
enum nabla_code database_run(struct database *db, const char *sql, struct nabla_error *err);

// The one integer of the one row that `sql` gives.
enum nabla_code database_number(struct database *db, const char *sql, int64_t *ret, struct nabla_error *err);

// Starts a transaction that holds the write lock. A durable one is on disk once committed
// (synchronous=FULL); another survives any crash of the process, but a power cut may undo the newest of them.
enum nabla_code database_begin(struct database *db, bool durable, struct nabla_error *err);
enum nabla_code database_commit(struct database *db, struct nabla_error *err);
void database_rollback(struct database *db); // fine outside of a transaction

// A part of a transaction, which can be undone alone: false where it cannot, as there is no transaction any
// more. Parts do not nest.
enum nabla_code database_savepoint(struct database *db, struct nabla_error *err);
enum nabla_code database_release(struct database *db, struct nabla_error *err);
bool database_rollback_part(struct database *db);

// What was committed is on the disk, durable or not.
enum nabla_code database_sync(struct database *db, struct nabla_error *err);

// The prepared statement, reset, without bindings. Never NULL.
struct statement *database_statement(struct database *db, enum sql_id id);

// A statement of its own, for texts outside of the table; statement_free ends it.
enum nabla_code database_prepare(struct database *db, const char *sql, struct statement **ret,
                                 struct nabla_error *err);
void statement_free(struct statement *statement);

// Copies what the connection sees, the snapshot that it holds, to a new file, which then needs no other
// beside it.
enum nabla_code database_copy(struct database *db, const char *path, struct nabla_error *err);

// Bind the next parameter. Texts are borrowed until the statement is reset; NULL is NULL, as is NaN.
void statement_bind_int(struct statement *statement, int64_t value);
void statement_bind_size(struct statement *statement, uint64_t value); // what does not fit becomes INT64_MAX
void statement_bind_double(struct statement *statement, double value);
void statement_bind_text(struct statement *statement, const char *text);
void statement_bind_bytes(struct statement *statement, const void *bytes, size_t size); // borrowed as texts
void statement_bind_null(struct statement *statement);
void statement_bind_points(struct statement *statement,
                           const struct points *points); // borrowed; DATABASE_WRITER

// Steps to the next row: NABLA_OK with a row, NABLA_NOT_FOUND (without a text) at the end, or the failure.
enum nabla_code statement_row(struct statement *statement, struct nabla_error *err);

// Steps once, for statements that give no rows, and resets.
enum nabla_code statement_run(struct statement *statement, struct nabla_error *err);

// Ends the reading: lets go of the snapshot and of the bindings.
void statement_reset(struct statement *statement);

// Columns of the current row, from 0. Texts are borrowed until the next step; NULL for NULL,
// and when memory cannot be had.
int64_t statement_int(struct statement *statement, int column);
double statement_double(struct statement *statement, int column); // NaN for NULL
const char *statement_text(struct statement *statement, int column);
char *statement_copy(struct statement *statement, int column); // the caller's; NULL also without memory
const void *statement_bytes(struct statement *statement, int column, size_t *ret_size); // borrowed as texts
bool statement_is_null(struct statement *statement, int column);

#endif
