#include "store/store.h"

#include "base/file.h"
#include "store/access.h"
#include "store/backup.h"
#include "store/doomed.h"
#include "store/rollup.h"
#include "store/schema.h"
#include "store/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static enum nabla_code make_folders(struct store *store, const char *folder, struct nabla_error *err)
{
    enum nabla_code code = file_make_folder(folder, err);
    if (code)
        return code;
    store->folder = realpath(folder, NULL);
    if (!store->folder)
        return nabla_fail_errno(err, "find", folder);
    static const char *const parts[] = {"datasets", "jobs", "tmp"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && code == NABLA_OK; i++) {
        char *path = access_path(store, "%s", parts[i]);
        code = path ? file_make_folder(path, err) : nabla_fail_memory(err, "a path");
        free(path);
    }
    return code;
}

// The kernel lets go of the lock when the process ends, however it ends.
static enum nabla_code take_lock(struct store *store, struct nabla_error *err)
{
    char *path = access_path(store, "lock");
    if (!path)
        return nabla_fail_memory(err, "a path");
    enum nabla_code code = NABLA_OK;
    store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock < 0)
        code = nabla_fail_errno(err, "open", path);
    else if (flock(store->lock, LOCK_EX | LOCK_NB) != 0)
        code = errno == EWOULDBLOCK ? nabla_fail(err, NABLA_BUSY, NULL,
                                                 "another program has the store in %s open", store->folder)
                                    : nabla_fail_errno(err, "lock", path);
    free(path);
    return code;
}

// Within one transaction, so that a file is of the old version or of the new one.
static enum nabla_code prepare_schema(struct store *store, struct nabla_error *err)
{
    struct database *db;
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = schema_migrate(db, schema_steps, schema_step_count, err);
    if (code == NABLA_OK)
        code = wide_open(db, &wide_metrics, &store->metrics, err);
    if (code == NABLA_OK)
        code = wide_open(db, &wide_gradients, &store->gradients, err);
    return access_end(store, code, err);
}

static void collect_texts(struct store *store)
{
    memcpy(store->texts, sql_texts, sizeof store->texts);
    memcpy(&store->texts[SQL_METRIC_WIDE], store->metrics.texts, sizeof store->metrics.texts);
    memcpy(&store->texts[SQL_GRADIENT_WIDE], store->gradients.texts, sizeof store->gradients.texts);
}

// Made by us, so that the database, its log and its index are nobody else's to read.
static enum nabla_code make_file(const char *path, struct nabla_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return nabla_fail_errno(err, "open", path);
    close(fd);
    return NABLA_OK;
}

// A file of an older version is copied before it is brought up to date: nabla.db.v3-backup. A copy that is
// there already is of an earlier try, which changed nothing.
static enum nabla_code keep_old(const char *path, struct nabla_error *err)
{
    struct database *db;
    int64_t version = 0;
    enum nabla_code code = database_open(path, DATABASE_PLAIN, sql_texts, &db, err);
    if (code)
        return code;
    code = database_number(db, "PRAGMA user_version", &version, err);
    database_close(db);
    if (code || version <= 0 || (uint64_t)version >= schema_step_count)
        return code;
    char *copy = NULL;
    if (asprintf(&copy, "%s.v%lld-backup", path, (long long)version) < 0)
        return nabla_fail_memory(err, "a path");
    code = file_remove(copy, err);
    if (code == NABLA_OK)
        code = backup_database(path, copy, err);
    free(copy);
    return code;
}

static enum nabla_code open_databases(struct store *store, struct nabla_error *err)
{
    char *path = access_path(store, "nabla.db");
    if (!path)
        return nabla_fail_memory(err, "a path");
    collect_texts(store);
    enum nabla_code code = make_file(path, err);
    if (code == NABLA_OK)
        code = keep_old(path, err);
    if (code == NABLA_OK)
        code = database_open(path, DATABASE_WRITER, store->texts, &store->writer.db, err);
    if (code == NABLA_OK)
        code = prepare_schema(store, err);
    collect_texts(store);
    for (size_t i = 0; i < STORE_READERS && code == NABLA_OK; i++) {
        code = database_open(path, DATABASE_READER, store->texts, &store->readers[i], err);
        store->idle = code ? i : i + 1;
    }
    free(path);
    return code;
}

enum nabla_code store_open(const char *folder, struct store **ret, struct nabla_error *err)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return nabla_fail_memory(err, "a store");
    store->lock = -1;
    writer_open(&store->writer);
    pthread_mutex_init(&store->reader_lock, NULL);
    pthread_cond_init(&store->reader_free, NULL);
    pthread_mutex_init(&store->dataset_lock, NULL);
    pthread_mutex_init(&store->usage_lock, NULL);
    revisions_open(&store->revisions);
    enum nabla_code code = make_folders(store, folder, err);
    if (code == NABLA_OK)
        code = take_lock(store, err);
    if (code == NABLA_OK)
        code = open_databases(store, err);
    if (code == NABLA_OK)
        code = sweep_store(store, err);
    if (code) {
        store_close(store);
        return code;
    }
    *ret = store;
    return NABLA_OK;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->idle; i++)
        database_close(store->readers[i]);
    writer_close(&store->writer); // last: it moves the log into the file
    wide_free(&store->metrics);
    wide_free(&store->gradients);
    revisions_close(&store->revisions);
    pthread_mutex_destroy(&store->dataset_lock);
    pthread_mutex_destroy(&store->usage_lock);
    pthread_cond_destroy(&store->reader_free);
    pthread_mutex_destroy(&store->reader_lock);
    if (store->lock >= 0)
        close(store->lock);
    free(store->folder);
    free(store);
}

const char *store_folder(const struct store *store)
{
    return store->folder;
}

void store_on_change(struct store *store,
                     void (*listener)(void *context, const char *job_id, uint64_t revision), void *context)
{
    store->listener = listener;
    store->listener_context = context;
}

void store_on_pause(struct store *store, void (*pause)(bool begins))
{
    store->writer.pause = pause;
}

enum nabla_code store_sync(struct store *store, struct nabla_error *err)
{
    return writer_sync(&store->writer, err);
}

enum nabla_code store_ping(struct store *store, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct statement *ping = database_statement(db, SQL_PING);
    enum nabla_code code = statement_row(ping, err);
    statement_reset(ping);
    access_release(store, db);
    return code;
}

enum nabla_code store_tidy(struct store *store, bool *ret_more, struct nabla_error *err)
{
    enum { BUCKETS_AT_ONCE = 64 };
    struct database *db;
    size_t built = 0;
    enum nabla_code code = doomed_sweep(store, err);
    if (code == NABLA_OK)
        code = access_begin(store, false, &db, err);
    if (code)
        return code;
    code = rollup_build(store, db, BUCKETS_AT_ONCE, &built, err);
    code = access_end(store, code, err);
    if (code == NABLA_OK)
        *ret_more = built == BUCKETS_AT_ONCE;
    return code;
}

enum nabla_code store_check(struct store *store, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct statement *check = NULL;
    enum nabla_code code = database_prepare(db, "PRAGMA integrity_check(1)", &check, err);
    if (code == NABLA_OK)
        code = statement_row(check, err);
    const char *fault = code == NABLA_OK ? statement_text(check, 0) : NULL;
    if (fault && strcmp(fault, "ok") != 0)
        code = nabla_fail(err, NABLA_IO, NULL, "the database is damaged: %s", fault);
    else if (code == NABLA_OK && !fault)
        code = nabla_fail_memory(err, "a check's answer");
    statement_free(check);
    access_release(store, db);
    return code;
}
