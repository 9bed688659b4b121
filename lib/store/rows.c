#include "store/rows.h"

#include "store/named.h"
#include "store/wide_text.h"

#include <assert.h>
#include <math.h>

enum { FIRST_VALUE = 3, FIRST_FOLD = 1 }; // behind revision, step, recorded; behind steps

const struct wide *rows_wide(const struct store *store, int64_t series, enum sql_id *ret_texts)
{
    bool layer = series_is_layer(series);
    *ret_texts = layer ? SQL_GRADIENT_WIDE : SQL_METRIC_WIDE;
    if (series_is_named(series))
        return NULL;
    return layer ? &store->gradients : &store->metrics;
}

// The statement, with job and layer bound.
static struct statement *begin(struct database *db, enum sql_id texts, enum wide_text text, int64_t job,
                               int64_t series)
{
    struct statement *statement = database_statement(db, texts + (enum sql_id)text);
    statement_bind_int(statement, job);
    statement_bind_int(statement, series_is_layer(series) ? series - SERIES_LAYERS : 0);
    return statement;
}

// ---- reading

struct reading {
    struct database *db;
    const struct rows_range *range;
    const struct wide *wide;
    enum sql_id texts;
    struct history_fold folds[WIDE_STATS];
    history_visitor *visit;
    void *context;
};

static void take_fold(struct statement *fold, size_t stat, uint64_t steps, double value,
                      struct history_fold *ret)
{
    int at = FIRST_FOLD + (int)stat * WIDE_FOLD_PARTS;
    if (statement_is_null(fold, at + 2)) { // of a single step
        bool finite = isfinite(value);
        *ret = (struct history_fold){finite, !finite, finite ? value : (double)NAN,
                                     finite ? value : (double)NAN};
        return;
    }
    // Without a finite mean there is no finite value, whatever the row's steps say of its other columns.
    uint64_t nonfinite = (uint64_t)statement_int(fold, at + 2);
    *ret = (struct history_fold){.count = nonfinite < steps && isfinite(value) ? steps - nonfinite : 0,
                                 .nonfinite = nonfinite,
                                 .min = statement_double(fold, at),
                                 .max = statement_double(fold, at + 1)};
}

static enum nabla_code read_fold(struct reading *reading, struct history_row *row, struct nabla_error *err)
{
    struct statement *fold =
        begin(reading->db, reading->texts, WIDE_FOLD_READ, reading->range->job, reading->range->series);
    statement_bind_size(fold, row->step);
    enum nabla_code code = statement_row(fold, err);
    if (code == NABLA_OK) {
        row->steps = (uint64_t)statement_int(fold, 0);
        row->folds = reading->folds;
        for (size_t i = 0; i < reading->wide->table->count; i++)
            take_fold(fold, i, row->steps, row->values[i], &reading->folds[i]);
    }
    statement_reset(fold);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code visit_wide(struct reading *reading, struct statement *rows, struct nabla_error *err)
{
    double values[WIDE_STATS] = {0};
    int64_t series = reading->range->series, recorded = statement_int(rows, 2);
    for (size_t i = 0; i < reading->wide->table->count; i++)
        values[i] =
            reading->range->columns >> i & 1 ? statement_double(rows, FIRST_VALUE + (int)i) : (double)NAN;
    struct history_row row = {
        .revision = (uint64_t)statement_int(rows, 0),
        .layer = series_is_layer(series) ? (unsigned)(series - SERIES_LAYERS) : 0,
        .step = (uint64_t)statement_int(rows, 1),
        .recorded = wide_mask_out(reading->wide, recorded),
        .values = values,
        .steps = 1,
    };
    enum nabla_code code = recorded >> WIDE_FOLDED_BIT & 1 ? read_fold(reading, &row, err) : NABLA_OK;
    return code ? code : reading->visit(reading->context, &row);
}

static enum nabla_code read_wide(struct reading *reading, struct nabla_error *err)
{
    const struct rows_range *range = reading->range;
    struct statement *rows = begin(reading->db, reading->texts, range->newest ? WIDE_NEWEST : WIDE_BY_STEP,
                                   range->job, range->series);
    statement_bind_size(rows, range->first);
    statement_bind_size(rows, range->last);
    statement_bind_size(rows, range->limit);
    statement_bind_size(rows, range->revision);
    enum nabla_code code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        code = visit_wide(reading, rows, err);
        if (code)
            break;
    }
    statement_reset(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code visit_named(void *context, uint64_t revision, uint64_t step, double value)
{
    struct reading *reading = context;
    const struct history_row row = {.revision = revision,
                                    .step = step,
                                    .is_named = true,
                                    .layer = (unsigned)(reading->range->series - SERIES_NAMED),
                                    .recorded = 1,
                                    .values = &value,
                                    .steps = 1};
    return reading->visit(reading->context, &row);
}

enum nabla_code rows_read(const struct store *store, struct database *db, const struct rows_range *range,
                          history_visitor *visit, void *context, struct nabla_error *err)
{
    struct reading reading = {.db = db, .range = range, .visit = visit, .context = context};
    reading.wide = rows_wide(store, range->series, &reading.texts);
    if (reading.wide)
        return read_wide(&reading, err);
    const struct named_range named = {.job = range->job,
                                      .metric = range->series - SERIES_NAMED,
                                      .first = range->first,
                                      .last = range->last,
                                      .revision = range->revision,
                                      .limit = range->limit,
                                      .newest = range->newest};
    return named_read(db, &named, visit_named, &reading, err);
}

// ---- writing

static bool is_fold(const struct rows_record *record)
{
    return record->steps > 1;
}

static void bind_fold(struct statement *statement, const struct rows_record *record, size_t stat)
{
    if (!(record->recorded >> stat & 1)) {
        for (int part = 0; part < WIDE_FOLD_PARTS; part++)
            statement_bind_null(statement);
        return;
    }
    bool has_finite = record->nonfinite[stat] < record->steps;
    statement_bind_double(statement, has_finite ? record->minima[stat] : (double)NAN);
    statement_bind_double(statement, has_finite ? record->maxima[stat] : (double)NAN);
    statement_bind_int(statement, record->nonfinite[stat]);
}

static enum nabla_code write_fold(struct database *db, const struct wide *wide, enum sql_id texts,
                                  const struct rows_record *record, struct nabla_error *err)
{
    enum wide_text text = is_fold(record) ? WIDE_FOLD : WIDE_FOLD_CLEAR;
    struct statement *statement = begin(db, texts, text, record->job, record->series);
    statement_bind_size(statement, record->step);
    statement_bind_int(statement, wide_mask_in(wide, record->recorded));
    if (is_fold(record)) {
        statement_bind_size(statement, record->steps);
        for (size_t i = 0; i < wide->table->count; i++)
            bind_fold(statement, record, i);
    }
    enum nabla_code code = statement_run(statement, err);
    if (code || is_fold(record))
        return code;
    statement = begin(db, texts, WIDE_FOLD_DROP, record->job, record->series);
    statement_bind_size(statement, record->step);
    return statement_run(statement, err);
}

enum nabla_code rows_write(const struct store *store, struct database *db, const struct rows_record *record,
                           struct nabla_error *err)
{
    enum sql_id texts;
    const struct wide *wide = rows_wide(store, record->series, &texts);
    assert(wide); // a metric that a client named is not written here
    int64_t folded = is_fold(record) ? INT64_C(1) << WIDE_FOLDED_BIT : 0;
    struct statement *insert = begin(db, texts, WIDE_UPSERT, record->job, record->series);
    statement_bind_size(insert, record->step);
    statement_bind_size(insert, record->revision);
    statement_bind_int(insert, wide_mask_in(wide, record->recorded) | folded);
    for (size_t i = 0; i < wide->table->count; i++)
        if (record->recorded >> i & 1)
            statement_bind_double(insert, record->values[i]);
        else
            statement_bind_null(insert);
    enum nabla_code code = statement_run(insert, err);
    return code || !(is_fold(record) || record->may_replace_fold) ? code
                                                                  : write_fold(db, wide, texts, record, err);
}

enum nabla_code rows_folded(const struct store *store, struct database *db, int64_t job, int64_t series,
                            bool *ret, struct nabla_error *err)
{
    enum sql_id texts;
    rows_wide(store, series, &texts);
    struct statement *row = begin(db, texts, WIDE_FOLDED, job, series);
    enum nabla_code code = statement_row(row, err);
    statement_reset(row);
    *ret = code == NABLA_OK;
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}
