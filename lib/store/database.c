#include "store/database.h"

#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_TIMEOUT_MS = 5000 };

struct statement {
    struct database *db;
    sqlite3_stmt *handle;
    int status; // the first failure since the last reset
    int bound;  // parameters bound so far
};

struct database {
    sqlite3 *handle;
    sqlite3_stmt *rollback; // made beforehand: what ends a failure must not need memory
    const char *const *texts;
    bool durable; // the present synchronous level
    struct statement statements[SQL_COUNT];
};

static enum nabla_code code_of_status(int status)
{
    if (status == SQLITE_IOERR_NOMEM)
        return NABLA_NO_MEMORY;
    switch (status & 0xff) {
    case SQLITE_FULL:
        return NABLA_DISK_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return NABLA_BUSY;
    case SQLITE_NOMEM:
        return NABLA_NO_MEMORY;
    case SQLITE_TOOBIG:
        return NABLA_LIMIT;
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return NABLA_IO;
    default:
        return NABLA_INTERNAL;
    }
}

static enum nabla_code fail_status(const struct database *db, int status, struct nabla_error *err)
{
    enum nabla_code code = code_of_status(status);
    // The connection's own text is more precise, but it is that of its last call only.
    const char *reason =
        sqlite3_extended_errcode(db->handle) == status ? sqlite3_errmsg(db->handle) : sqlite3_errstr(status);
    switch (status & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return nabla_fail(err, code, NULL, "the database file is damaged or not a database: %s", reason);
    case SQLITE_FULL:
        return nabla_fail(err, code, NULL, "the disk that holds the database is full");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return nabla_fail(err, code, NULL, "the database is locked by another program");
    default:
        return nabla_fail(err, code, NULL, "the database failed: %s (SQLite code %d)", reason, status);
    }
}

// trusted_schema and DEFENSIVE: a file that somebody else has tampered with cannot run functions or reach
// into SQLite's own tables. Every commit may checkpoint: 4,000 pages (16 MB) at a time keep that cheap.
static const char *const mode_settings[] = {
    [DATABASE_WRITER] = "PRAGMA journal_mode = WAL;"
                        "PRAGMA synchronous = NORMAL;"
                        "PRAGMA wal_autocheckpoint = 4000;"
                        "PRAGMA journal_size_limit = 67108864;"
                        "PRAGMA cache_size = -32768;"
                        "PRAGMA secure_delete = FAST;"
                        "PRAGMA temp_store = MEMORY;"
                        "PRAGMA trusted_schema = OFF;",
    [DATABASE_PLAIN] = "PRAGMA trusted_schema = OFF;",
    [DATABASE_READER] = "PRAGMA query_only = ON;"
                        "PRAGMA cache_size = -8192;"
                        "PRAGMA temp_store = MEMORY;"
                        "PRAGMA trusted_schema = OFF;",
};

// Undoing a part of a transaction must need no temporary file: there may be no place for one. Too late where
// the program uses SQLite already, and then without harm.
static void keep_parts_in_memory(void)
{
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
}

enum nabla_code database_open(const char *path, enum database_mode mode, const char *const texts[SQL_COUNT],
                              struct database **ret, struct nabla_error *err)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    struct database *db = calloc(1, sizeof *db);
    if (!db)
        return nabla_fail_memory(err, "a database connection");
    pthread_once(&configured, keep_parts_in_memory);
    db->texts = texts;
    enum nabla_code code;
    int status = sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (status != SQLITE_OK) {
        code = db->handle ? fail_status(db, status, err) : nabla_fail_memory(err, "a database connection");
        goto close;
    }
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    status = mode == DATABASE_WRITER ? points_open(db->handle) : SQLITE_OK;
    if (status == SQLITE_OK)
        status =
            sqlite3_prepare_v3(db->handle, "ROLLBACK", -1, SQLITE_PREPARE_PERSISTENT, &db->rollback, NULL);
    code = status == SQLITE_OK ? database_run(db, mode_settings[mode], err) : fail_status(db, status, err);
    if (code)
        goto close;
    *ret = db;
    return NABLA_OK;
close:
    database_close(db);
    return code;
}

void database_close(struct database *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(db->statements[i].handle);
    sqlite3_finalize(db->rollback);
    sqlite3_close(db->handle);
    free(db);
}

enum nabla_code database_run(struct database *db, const char *sql, struct nabla_error *err)
{
    int status = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return status == SQLITE_OK ? NABLA_OK : fail_status(db, status, err);
}

enum nabla_code database_number(struct database *db, const char *sql, int64_t *ret, struct nabla_error *err)
{
    struct statement *statement;
    enum nabla_code code = database_prepare(db, sql, &statement, err);
    if (code)
        return code;
    code = statement_row(statement, err);
    if (code == NABLA_OK)
        *ret = statement_int(statement, 0);
    else if (code == NABLA_NOT_FOUND)
        code = nabla_fail(err, NABLA_INTERNAL, NULL, "no row from: %s", sql);
    statement_free(statement);
    return code;
}

enum nabla_code database_begin(struct database *db, bool durable, struct nabla_error *err)
{
    if (durable != db->durable) { // a pragma that only works outside of a transaction
        enum nabla_code code =
            database_run(db, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err);
        if (code)
            return code;
        db->durable = durable;
    }
    return statement_run(database_statement(db, SQL_BEGIN), err);
}

enum nabla_code database_commit(struct database *db, struct nabla_error *err)
{
    enum nabla_code code = statement_run(database_statement(db, SQL_COMMIT), err);
    if (code)
        database_rollback(db);
    return code;
}

void database_rollback(struct database *db)
{
    if (sqlite3_get_autocommit(db->handle))
        return; // some failures have rolled back already
    sqlite3_step(db->rollback);
    sqlite3_reset(db->rollback);
}

enum nabla_code database_savepoint(struct database *db, struct nabla_error *err)
{
    return statement_run(database_statement(db, SQL_SAVEPOINT), err);
}

enum nabla_code database_release(struct database *db, struct nabla_error *err)
{
    return statement_run(database_statement(db, SQL_RELEASE), err);
}

bool database_rollback_part(struct database *db)
{
    return !sqlite3_get_autocommit(db->handle) &&
           statement_run(database_statement(db, SQL_ROLLBACK_PART), NULL) == NABLA_OK &&
           database_release(db, NULL) == NABLA_OK;
}

enum nabla_code database_sync(struct database *db, struct nabla_error *err)
{
    sqlite3_file *log = NULL;
    int status = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log);
    if (status == SQLITE_OK && log && log->pMethods)
        status = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    return status == SQLITE_OK ? NABLA_OK : fail_status(db, status, err);
}

static int prepare(struct database *db, const char *sql, unsigned flags, struct statement *statement)
{
    statement->db = db;
    return sqlite3_prepare_v3(db->handle, sql, -1, flags, &statement->handle, NULL);
}

struct statement *database_statement(struct database *db, enum sql_id id)
{
    struct statement *statement = &db->statements[id];
    if (statement->handle)
        statement_reset(statement);
    else
        statement->status = prepare(db, db->texts[id], SQLITE_PREPARE_PERSISTENT, statement);
    return statement;
}

enum nabla_code database_prepare(struct database *db, const char *sql, struct statement **ret,
                                 struct nabla_error *err)
{
    struct statement *statement = calloc(1, sizeof *statement);
    if (!statement)
        return nabla_fail_memory(err, "a statement");
    int status = prepare(db, sql, 0, statement);
    if (status != SQLITE_OK) {
        free(statement);
        return fail_status(db, status, err);
    }
    *ret = statement;
    return NABLA_OK;
}

void statement_free(struct statement *statement)
{
    if (!statement)
        return;
    sqlite3_finalize(statement->handle);
    free(statement);
}

static int copy_pages(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
    if (!copy)
        return sqlite3_errcode(to);
    int status = sqlite3_backup_step(copy, -1);
    sqlite3_backup_finish(copy);
    return status == SQLITE_DONE ? sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL)
                                 : status;
}

enum nabla_code database_copy(struct database *db, const char *path, struct nabla_error *err)
{
    sqlite3 *to;
    int status = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (status == SQLITE_OK) {
        sqlite3_busy_timeout(to, BUSY_TIMEOUT_MS);
        status = copy_pages(db->handle, to);
    }
    enum nabla_code code = status == SQLITE_OK ? NABLA_OK
                                               : nabla_fail(err, code_of_status(status), NULL,
                                                            "copy to %s: %s", path, sqlite3_errstr(status));
    sqlite3_close(to);
    return code;
}

static void keep_status(struct statement *statement, int status)
{
    if (statement->status == SQLITE_OK)
        statement->status = status;
}

void statement_bind_int(struct statement *statement, int64_t value)
{
    if (statement->status == SQLITE_OK)
        keep_status(statement, sqlite3_bind_int64(statement->handle, ++statement->bound, value));
}

void statement_bind_size(struct statement *statement, uint64_t value)
{
    statement_bind_int(statement, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void statement_bind_double(struct statement *statement, double value)
{
    if (statement->status == SQLITE_OK) // which turns NaN into NULL
        keep_status(statement, sqlite3_bind_double(statement->handle, ++statement->bound, value));
}

void statement_bind_text(struct statement *statement, const char *text)
{
    if (statement->status == SQLITE_OK)
        keep_status(statement, sqlite3_bind_text64(statement->handle, ++statement->bound, text,
                                                   text ? strlen(text) : 0, SQLITE_STATIC, SQLITE_UTF8));
}

void statement_bind_bytes(struct statement *statement, const void *bytes, size_t size)
{
    if (statement->status == SQLITE_OK)
        keep_status(statement,
                    sqlite3_bind_blob64(statement->handle, ++statement->bound, bytes, size, SQLITE_STATIC));
}

void statement_bind_null(struct statement *statement)
{
    if (statement->status == SQLITE_OK)
        keep_status(statement, sqlite3_bind_null(statement->handle, ++statement->bound));
}

void statement_bind_points(struct statement *statement, const struct points *points)
{
    if (statement->status == SQLITE_OK)
        keep_status(statement, sqlite3_bind_pointer(statement->handle, ++statement->bound,
                                                    (void *)(uintptr_t)points, points_pointer, NULL));
}

enum nabla_code statement_row(struct statement *statement, struct nabla_error *err)
{
    int status = statement->status;
    if (status == SQLITE_OK)
        status = sqlite3_step(statement->handle);
    if (status == SQLITE_ROW)
        return NABLA_OK;
    if (status == SQLITE_DONE)
        return NABLA_NOT_FOUND;
    statement->status = status;
    return fail_status(statement->db, status, err);
}

enum nabla_code statement_run(struct statement *statement, struct nabla_error *err)
{
    enum nabla_code code = statement_row(statement, err);
    statement_reset(statement);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

void statement_reset(struct statement *statement)
{
    if (statement->handle) {
        sqlite3_reset(statement->handle);
        sqlite3_clear_bindings(statement->handle);
    }
    statement->status = SQLITE_OK;
    statement->bound = 0;
}

int64_t statement_int(struct statement *statement, int column)
{
    return sqlite3_column_int64(statement->handle, column);
}

double statement_double(struct statement *statement, int column)
{
    return statement_is_null(statement, column) ? (double)NAN
                                                : sqlite3_column_double(statement->handle, column);
}

const char *statement_text(struct statement *statement, int column)
{
    return (const char *)sqlite3_column_text(statement->handle, column);
}

char *statement_copy(struct statement *statement, int column)
{
    const char *text = statement_text(statement, column);
    return text ? strdup(text) : NULL;
}

const void *statement_bytes(struct statement *statement, int column, size_t *ret_size)
{
    const void *bytes = sqlite3_column_blob(statement->handle, column);
    *ret_size = (size_t)sqlite3_column_bytes(statement->handle, column);
    return bytes;
}

bool statement_is_null(struct statement *statement, int column)
{
    return sqlite3_column_type(statement->handle, column) == SQLITE_NULL;
}
