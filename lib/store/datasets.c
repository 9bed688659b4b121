#include "store/datasets.h"

#include "base/clock.h"
#include "base/file.h"
#include "store/access.h"
#include "store/jobs.h"
#include "store/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum dataset_column { // in the order of DATASET_COLUMNS
    COLUMN_NUMBER,
    COLUMN_ID,
    COLUMN_SHA256,
    COLUMN_NAME,
    COLUMN_ROWS,
    COLUMN_FEATURES,
    COLUMN_CLASSES,
    COLUMN_BYTES,
    COLUMN_DESCRIPTION,
    COLUMN_CREATED_MS
};

void dataset_row_free(struct dataset_row *row)
{
    if (!row)
        return;
    free(row->name);
    free(row->description);
    free(row);
}

static bool read_texts(struct statement *row, struct dataset_row *dataset)
{
    const char *id = statement_text(row, COLUMN_ID), *sha256 = statement_text(row, COLUMN_SHA256);
    if (!id || !sha256)
        return false;
    snprintf(dataset->id, sizeof dataset->id, "%s", id);
    snprintf(dataset->sha256, sizeof dataset->sha256, "%s", sha256);
    dataset->name = statement_copy(row, COLUMN_NAME);
    dataset->description = statement_copy(row, COLUMN_DESCRIPTION);
    return dataset->name && dataset->description;
}

static enum nabla_code read_dataset(struct statement *row, struct dataset_row **ret, struct nabla_error *err)
{
    struct dataset_row *dataset = calloc(1, sizeof *dataset);
    if (!dataset || !read_texts(row, dataset)) {
        dataset_row_free(dataset);
        return nabla_fail_memory(err, "a data set's row");
    }
    dataset->rows = (uint64_t)statement_int(row, COLUMN_ROWS);
    dataset->features = (uint64_t)statement_int(row, COLUMN_FEATURES);
    dataset->classes = (uint64_t)statement_int(row, COLUMN_CLASSES);
    dataset->bytes = (uint64_t)statement_int(row, COLUMN_BYTES);
    dataset->created_ms = statement_int(row, COLUMN_CREATED_MS);
    *ret = dataset;
    return NABLA_OK;
}

static enum nabla_code fail_missing(const char *id, struct nabla_error *err)
{
    return nabla_fail(err, NABLA_NOT_FOUND, NULL, "there is no data set %s", id);
}

char *store_dataset_path(const struct store *store, const char *sha256)
{
    return access_path(store, "datasets/%s.safetensors", sha256);
}

// The hash becomes a file's name: it must be nothing but a hash.
static enum nabla_code check_sha256(const char *sha256, struct nabla_error *err)
{
    if (strlen(sha256) != TOKEN_SHA256_SIZE - 1 ||
        strspn(sha256, "0123456789abcdef") != TOKEN_SHA256_SIZE - 1)
        return nabla_fail(err, NABLA_INVALID, NULL, "a data set's hash is not 64 hexadecimal digits");
    return NABLA_OK;
}

// A file under its final name is whole: it came there by a rename.
static enum nabla_code keep_file(const struct store *store, const char *sha256, const struct iovec *pieces,
                                 size_t count, struct nabla_error *err)
{
    char *path = store_dataset_path(store, sha256);
    if (!path)
        return nabla_fail_memory(err, "a path");
    enum nabla_code code = access(path, F_OK) == 0 ? NABLA_OK : file_replace_pieces(path, pieces, count, err);
    free(path);
    return code;
}

// NABLA_NOT_FOUND, without a text, when it is new.
static enum nabla_code find_sha256(struct database *db, const char *sha256, char ret_id[TOKEN_ID_SIZE],
                                   struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_DATASET_BY_SHA256);
    statement_bind_text(row, sha256);
    enum nabla_code code = statement_row(row, err);
    const char *id = code == NABLA_OK ? statement_text(row, COLUMN_ID) : NULL;
    if (id)
        snprintf(ret_id, TOKEN_ID_SIZE, "%s", id);
    else if (code == NABLA_OK)
        code = nabla_fail_memory(err, "a data set's row");
    statement_reset(row);
    return code;
}

static enum nabla_code insert_row(struct database *db, const struct dataset_row *row, const char *id,
                                  int64_t now_ms, struct nabla_error *err)
{
    struct statement *insert = database_statement(db, SQL_DATASET_INSERT);
    statement_bind_text(insert, id);
    statement_bind_text(insert, row->sha256);
    statement_bind_text(insert, row->name ? row->name : "");
    statement_bind_size(insert, row->rows);
    statement_bind_size(insert, row->features);
    statement_bind_size(insert, row->classes);
    statement_bind_size(insert, row->bytes);
    statement_bind_text(insert, row->description ? row->description : "");
    statement_bind_int(insert, now_ms);
    statement_bind_text(insert, row->owner ? row->owner : "");
    return statement_run(insert, err);
}

// The row, unless it exists, and the key, if there is one.
static enum nabla_code insert_dataset(struct store *store, const struct dataset_row *row,
                                      const struct creation_key *key, const struct creation *made,
                                      struct nabla_error *err)
{
    struct database *db;
    int64_t now_ms = clock_wall_ms();
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    if (!made->existed)
        code = insert_row(db, row, made->id, now_ms, err);
    if (code == NABLA_OK)
        code = key_insert(db, KEY_DATASETS, key, made, now_ms, err);
    return access_end(store, code, err);
}

// Under the dataset lock, as whatever else adds to the sums is.
static enum nabla_code require_bytes(struct store *store, const struct dataset_row *row,
                                     struct nabla_error *err)
{
    uint64_t used = 0;
    if (row->disk_most) {
        used = store_usage_bytes(store);
        if (used >= row->disk_most || row->bytes > row->disk_most - used)
            return nabla_fail(err, NABLA_DISK_FULL, NULL,
                              "the data folder would be larger than the limit max_disk allows");
    }
    if (!row->owner_most || !row->owner)
        return NABLA_OK;
    enum nabla_code code = store_owner_bytes(store, row->owner, &used, err);
    if (!code && (used >= row->owner_most || row->bytes > row->owner_most - used))
        code = nabla_fail(err, NABLA_LIMIT, NULL,
                          "data sets of this token would be larger than its limit max_disk allows");
    return code;
}

// Under the dataset lock: nobody else makes or removes the same file and row meanwhile.
static enum nabla_code create_locked(struct store *store, const struct dataset_row *row,
                                     const struct iovec *pieces, size_t count, const struct creation_key *key,
                                     struct creation *made, struct nabla_error *err)
{
    enum nabla_code code = store_key_find(store, KEY_DATASETS, key, made, err);
    if (code != NABLA_NOT_FOUND)
        return code;
    struct database *db = access_reader(store);
    code = find_sha256(db, row->sha256, made->id, err);
    access_release(store, db);
    made->existed = code == NABLA_OK;
    if (code == NABLA_NOT_FOUND) {
        token_make_id(made->id, "ds");
        code = require_bytes(store, row, err);
        if (!code)
            code = keep_file(store, row->sha256, pieces, count, err);
    }
    if (code || (made->existed && (!key || !key->text)))
        return code;
    code = insert_dataset(store, row, key, made, err);
    if (!code && !made->existed)
        usage_add(store, row->bytes);
    return code;
}

enum nabla_code store_dataset_create(struct store *store, const struct dataset_row *row,
                                     const struct iovec *pieces, size_t count, const struct creation_key *key,
                                     struct creation *ret, struct nabla_error *err)
{
    struct creation made = {0};
    enum nabla_code code = check_sha256(row->sha256, err);
    if (code)
        return code;
    pthread_mutex_lock(&store->dataset_lock);
    code = create_locked(store, row, pieces, count, key, &made, err);
    pthread_mutex_unlock(&store->dataset_lock);
    if (code == NABLA_OK)
        *ret = made;
    return code;
}

static enum nabla_code get_dataset(struct database *db, const char *id, struct dataset_row **ret,
                                   struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_DATASET_BY_ID);
    statement_bind_text(row, id);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK)
        code = read_dataset(row, ret, err);
    else if (code == NABLA_NOT_FOUND)
        fail_missing(id, err);
    statement_reset(row);
    return code;
}

enum nabla_code store_dataset_get(struct store *store, const char *id, struct dataset_row **ret,
                                  struct nabla_error *err)
{
    struct database *db = access_reader(store);
    enum nabla_code code = get_dataset(db, id, ret, err);
    access_release(store, db);
    return code;
}

static void free_datasets(struct dataset_row **rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dataset_row_free(rows[i]);
    free(rows);
}

struct page {
    struct dataset_row **rows;
    size_t count, limit;
    int64_t last; // the number of the last row
    bool more;
};

static enum nabla_code read_page(struct statement *row, struct page *page, struct nabla_error *err)
{
    enum nabla_code code;
    while ((code = statement_row(row, err)) == NABLA_OK) {
        if (page->count == page->limit) {
            page->more = true;
            return NABLA_OK;
        }
        struct dataset_row **grown = reallocarray(page->rows, page->count + 1, sizeof(struct dataset_row *));
        if (!grown)
            return nabla_fail_memory(err, "a list of data sets");
        page->rows = grown;
        code = read_dataset(row, &page->rows[page->count], err);
        if (code)
            return code;
        page->count++;
        page->last = statement_int(row, COLUMN_NUMBER);
    }
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

enum nabla_code store_dataset_list(struct store *store, const char *cursor, size_t limit,
                                   struct dataset_row ***ret, size_t *ret_count, char ret_next[TOKEN_ID_SIZE],
                                   struct nabla_error *err)
{
    int64_t before;
    struct page page = {.limit = limit};
    enum nabla_code code = access_read_cursor(cursor, &before, err);
    if (code)
        return code;
    struct database *db = access_reader(store);
    struct statement *row = database_statement(db, SQL_DATASETS_BEFORE);
    statement_bind_int(row, before);
    statement_bind_size(row, limit < SIZE_MAX ? limit + 1 : limit);
    code = read_page(row, &page, err);
    statement_reset(row);
    access_release(store, db);
    if (code) {
        free_datasets(page.rows, page.count);
        return code;
    }
    *ret = page.rows;
    *ret_count = page.count;
    ret_next[0] = '\0';
    if (page.more && page.count > 0)
        snprintf(ret_next, TOKEN_ID_SIZE, "%lld", (long long)page.last);
    return NABLA_OK;
}

static enum nabla_code check_unneeded(struct database *db, const char *id, struct nabla_error *err)
{
    struct statement *row = database_statement(db, SQL_DATASET_NEEDED);
    statement_bind_text(row, id);
    statement_bind_text(row, job_state_name(JOB_QUEUED));
    statement_bind_text(row, job_state_name(JOB_RUNNING));
    statement_bind_text(row, job_state_name(JOB_PAUSED));
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK)
        code = nabla_fail(err, NABLA_CONFLICT, NULL, "job %s, which is not finished, needs data set %s",
                          statement_text(row, 0), id);
    else if (code == NABLA_NOT_FOUND)
        code = NABLA_OK;
    statement_reset(row);
    return code;
}

static enum nabla_code delete_by_id(struct database *db, enum sql_id sql, const char *id,
                                    struct nabla_error *err)
{
    struct statement *deletion = database_statement(db, sql);
    statement_bind_text(deletion, id);
    return statement_run(deletion, err);
}

static enum nabla_code delete_row(struct store *store, const char *id, char ret_sha256[TOKEN_SHA256_SIZE],
                                  struct nabla_error *err)
{
    struct database *db;
    struct dataset_row *row = NULL;
    enum nabla_code code = access_begin(store, true, &db, err);
    if (code)
        return code;
    code = get_dataset(db, id, &row, err);
    if (code == NABLA_OK)
        code = check_unneeded(db, id, err);
    if (code == NABLA_OK) {
        memcpy(ret_sha256, row->sha256, TOKEN_SHA256_SIZE);
        code = delete_by_id(db, SQL_DATASET_DELETE_KEYS, id, err);
    }
    if (code == NABLA_OK)
        code = delete_by_id(db, SQL_DATASET_DELETE, id, err);
    dataset_row_free(row);
    return access_end(store, code, err);
}

enum nabla_code store_dataset_delete(struct store *store, const char *id, struct nabla_error *err)
{
    char sha256[TOKEN_SHA256_SIZE];
    pthread_mutex_lock(&store->dataset_lock);
    enum nabla_code code = delete_row(store, id, sha256, err);
    char *path = code ? NULL : store_dataset_path(store, sha256);
    if (path)
        file_remove(path, NULL); // what stays behind is swept at the next opening
    free(path);
    usage_forget(store);
    pthread_mutex_unlock(&store->dataset_lock);
    return code;
}
