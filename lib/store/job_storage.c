#include "store/job_storage.h"

#include "store/history_read.h"
#include "store/job_row.h"
#include "store/rollup.h"
#include "store/rows.h"
#include "store/usage.h"

#include <stdio.h>

// A cell of a table WITHOUT ROWID: its pointer, sizes and key; a byte of header for each column; eight bytes
// for a number. A value that stands for several steps has its extremes in the table beside it.
enum { CELL_BYTES = 18, VALUE_BYTES = 8, FOLD_BYTES = 18 };

struct tally {
    const struct store *store;
    struct database *db;
    int64_t job, series;
    struct job_storage *storage;
    struct nabla_error *err;
};

static enum nabla_code tally_piece(void *context, uint64_t step, const struct rollup *piece,
                                   struct nabla_error *err)
{
    struct tally *tally = context;
    enum sql_id texts;
    const struct wide *wide = rows_wide(tally->store, tally->series, &texts);
    const size_t columns = wide ? wide->table->count : 1;
    const enum storage_part part = !wide                            ? STORAGE_NAMED
                                   : series_is_layer(tally->series) ? STORAGE_GRADIENTS
                                                                    : STORAGE_METRICS;
    uint64_t values = 0, value_bytes = VALUE_BYTES;
    (void)step, (void)err;
    for (size_t i = 0; i < columns; i++)
        values += piece->columns[i].count + piece->columns[i].nonfinite;
    if (piece->steps > piece->rows) { // the columns count steps
        values = values * piece->rows / piece->steps;
        value_bytes += FOLD_BYTES;
    }
    tally->storage->parts[part].rows += piece->rows;
    tally->storage->parts[part].bytes += piece->rows * (CELL_BYTES + columns) + values * value_bytes;
    return NABLA_OK;
}

static enum nabla_code tally_series(void *context, int64_t series)
{
    struct tally *tally = context;
    const struct rollup_range all = {
        .job = tally->job, .series = series, .last = UINT64_MAX, .shift = ROLLUP_LEVELS * ROLLUP_SHIFT};
    tally->series = series;
    return rollup_walk(tally->store, tally->db, &all, tally_piece, tally, tally->err);
}

static enum nabla_code tally_histograms(const struct tally *tally)
{
    struct statement *row = database_statement(tally->db, SQL_HISTOGRAMS_SIZE);
    statement_bind_int(row, tally->job);
    enum nabla_code code = statement_row(row, tally->err);
    if (code == NABLA_OK) {
        const uint64_t rows = (uint64_t)statement_int(row, 0);
        tally->storage->parts[STORAGE_HISTOGRAMS].rows = rows;
        // Each has an entry in the index by revision, too.
        tally->storage->parts[STORAGE_HISTOGRAMS].bytes =
            (uint64_t)statement_int(row, 1) + 2 * rows * CELL_BYTES;
    }
    statement_reset(row);
    return code;
}

static enum nabla_code tally_rows(struct tally *tally, const char *id)
{
    struct job_stand stand;
    enum nabla_code code = statement_run(database_statement(tally->db, SQL_SNAPSHOT), tally->err);
    if (code == NABLA_OK)
        code = job_stand_read(tally->db, id, &stand, tally->err);
    if (code)
        return code;
    tally->job = stand.number;
    for (int layers = 0; layers < 2 && code == NABLA_OK; layers++)
        code = history_each_series(tally->db, tally->job, layers, tally_series, tally, tally->err);
    return code ? code : tally_histograms(tally);
}

enum nabla_code store_job_storage(struct store *store, const char *id, struct job_storage *ret,
                                  struct nabla_error *err)
{
    char folder[8 + TOKEN_ID_SIZE];
    struct tally tally = {.store = store, .db = access_reader(store), .storage = ret, .err = err};
    *ret = (struct job_storage){.parts = {{0}}};
    enum nabla_code code = tally_rows(&tally, id);
    access_release(store, tally.db);
    if (code)
        return code;
    snprintf(folder, sizeof folder, "jobs/%s", id);
    ret->parts[STORAGE_FILES].bytes = usage_folder(store, folder, &ret->parts[STORAGE_FILES].rows);
    return NABLA_OK;
}
