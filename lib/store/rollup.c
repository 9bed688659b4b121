#include "store/rollup.h"

#include "store/rollup_data.h"
#include "store/rows.h"
#include "store/wide_text.h"

#include <string.h>

_Static_assert(SQL_ROLLUP_READ_4 - SQL_ROLLUP_READ == ROLLUP_LEVELS - 1, "a statement for each level");
_Static_assert((int)ROLLUP_LEVELS == (int)WIDE_ROLLUP_LEVELS && (int)ROLLUP_SHIFT == (int)WIDE_ROLLUP_SHIFT,
               "older files get the same buckets");

static unsigned level_shift(unsigned level)
{
    return level * ROLLUP_SHIFT;
}

void rollup_merge(struct rollup *rollup, const struct rollup *other, uint32_t columns)
{
    rollup->rows += other->rows;
    rollup->steps += other->steps;
    for (size_t i = 0; i < WIDE_STATS; i++)
        if (columns >> i & 1)
            aggregate_merge(&rollup->columns[i], &other->columns[i]);
}

// ---- walking

struct walk {
    const struct store *store;
    struct database *db;
    const struct rollup_range *range;
    const struct wide *wide; // NULL for a named metric
    uint32_t columns;
    rollup_visitor *visit;
    void *context;
    struct nabla_error *err;
    struct rollup piece; // of the rows that came since `step`'s bucket began
    uint64_t step;
    bool has_piece;
};

static enum nabla_code flush_piece(struct walk *walk)
{
    if (!walk->has_piece)
        return NABLA_OK;
    walk->has_piece = false;
    return walk->visit(walk->context, walk->step, &walk->piece, walk->err);
}

static enum nabla_code add_row(void *context, const struct history_row *row)
{
    struct walk *walk = context;
    unsigned shift = walk->range->shift;
    if (walk->has_piece && walk->step >> shift != row->step >> shift) {
        enum nabla_code code = flush_piece(walk);
        if (code)
            return code;
    }
    if (!walk->has_piece)
        memset(&walk->piece, 0, sizeof walk->piece);
    walk->has_piece = true;
    walk->step = row->step;
    walk->piece.rows++;
    walk->piece.steps += row->steps;
    for (size_t i = 0; (row->recorded & walk->columns) >> i; i++) {
        if (!((row->recorded & walk->columns) >> i & 1))
            continue;
        if (row->folds)
            aggregate_add_fold(&walk->piece.columns[i], row->folds[i].count, row->folds[i].nonfinite,
                               row->values[i], row->folds[i].min, row->folds[i].max);
        else
            aggregate_add(&walk->piece.columns[i], row->values[i]);
    }
    return NABLA_OK;
}

static enum nabla_code walk_rows(struct walk *walk, uint64_t first, uint64_t last)
{
    const struct rows_range rows = {.job = walk->range->job,
                                    .series = walk->range->series,
                                    .first = first,
                                    .last = last,
                                    .limit = SIZE_MAX,
                                    .columns = walk->columns};
    enum nabla_code code = rows_read(walk->store, walk->db, &rows, add_row, walk, walk->err);
    return code ? code : flush_piece(walk);
}

static enum nabla_code take_bucket(struct walk *walk, uint64_t step, const void *bytes, size_t size)
{
    struct rollup piece = {.rows = 0};
    if (!bytes || !rollup_decode(bytes, size, walk->wide, walk->columns, &piece))
        return nabla_fail(walk->err, NABLA_IO, NULL,
                          "a rollup of the store is damaged: nabla check --repair");
    return walk->visit(walk->context, step, &piece, walk->err);
}

static enum nabla_code walk_level(struct walk *walk, unsigned level, uint64_t first, uint64_t last);

// What lies between two buckets of a level, one level deeper.
static enum nabla_code walk_gap(struct walk *walk, unsigned level, uint64_t first, uint64_t end)
{
    return first < end ? walk_level(walk, level - 1, first, end - 1) : NABLA_OK;
}

// Buckets of a level that lie within the range. Their statement stays open while deeper levels use theirs.
static enum nabla_code walk_buckets(struct walk *walk, unsigned level, uint64_t first, uint64_t last,
                                    uint64_t from, uint64_t to)
{
    struct statement *rows = database_statement(walk->db, SQL_ROLLUP_READ + (enum sql_id)(level - 1));
    enum nabla_code code;
    uint64_t at = first;
    statement_bind_int(rows, walk->range->job);
    statement_bind_int(rows, walk->range->series);
    statement_bind_int(rows, level);
    statement_bind_size(rows, from);
    statement_bind_size(rows, to);
    while ((code = statement_row(rows, walk->err)) == NABLA_OK) {
        uint64_t step = (uint64_t)statement_int(rows, 0) << level_shift(level);
        size_t size;
        const void *bytes = statement_bytes(rows, 1, &size);
        code = walk_gap(walk, level, at, step);
        if (code == NABLA_OK)
            code = take_bucket(walk, step, bytes, size);
        if (code)
            break;
        at = step + (UINT64_C(1) << level_shift(level));
    }
    statement_reset(rows);
    if (code != NABLA_NOT_FOUND)
        return code;
    return at <= last ? walk_level(walk, level - 1, at, last) : NABLA_OK;
}

static enum nabla_code walk_level(struct walk *walk, unsigned level, uint64_t first, uint64_t last)
{
    if (level == 0)
        return walk_rows(walk, first, last);
    unsigned shift = level_shift(level);
    uint64_t mask = (UINT64_C(1) << shift) - 1;
    uint64_t from = (first >> shift) + ((first & mask) != 0);
    if ((last & mask) != mask && last >> shift == 0)
        return walk_level(walk, level - 1, first, last);
    uint64_t to = (last & mask) == mask ? last >> shift : (last >> shift) - 1;
    return from <= to ? walk_buckets(walk, level, first, last, from, to)
                      : walk_level(walk, level - 1, first, last);
}

static unsigned highest_level(unsigned shift)
{
    unsigned level = shift / ROLLUP_SHIFT;
    return level < ROLLUP_LEVELS ? level : ROLLUP_LEVELS;
}

enum nabla_code rollup_walk(const struct store *store, struct database *db, const struct rollup_range *range,
                            rollup_visitor *visit, void *context, struct nabla_error *err)
{
    enum sql_id texts;
    struct walk walk = {.store = store,
                        .db = db,
                        .range = range,
                        .wide = rows_wide(store, range->series, &texts),
                        .visit = visit,
                        .context = context,
                        .err = err};
    walk.columns = !walk.wide ? 1 : range->columns ? range->columns : UINT32_MAX;
    uint64_t last = range->last < INT64_MAX ? range->last : INT64_MAX;
    return walk_level(&walk, highest_level(range->shift), range->first, last);
}

// ---- keeping

static enum nabla_code touch_bucket(struct database *db, int64_t job, int64_t series, unsigned level,
                                    uint64_t bucket, bool *ret_changed, struct nabla_error *err)
{
    struct statement *touch = database_statement(db, SQL_ROLLUP_TOUCH);
    statement_bind_int(touch, job);
    statement_bind_int(touch, series);
    statement_bind_int(touch, level);
    statement_bind_size(touch, bucket);
    enum nabla_code code = statement_row(touch, err);
    *ret_changed = code == NABLA_OK;
    statement_reset(touch);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

enum nabla_code rollup_touch(struct database *db, int64_t job, const struct touch *touches, size_t count,
                             struct nabla_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct touch *at = &touches[i];
        if (i > 0 && at[-1].series == at->series && at[-1].step >> ROLLUP_SHIFT == at->step >> ROLLUP_SHIFT)
            continue;
        bool changed = true; // above what is stale already everything is
        for (unsigned level = 1; level <= ROLLUP_LEVELS && changed; level++) {
            enum nabla_code code =
                touch_bucket(db, job, at->series, level, at->step >> level_shift(level), &changed, err);
            if (code)
                return code;
        }
    }
    return NABLA_OK;
}

struct bucket {
    int64_t job, series;
    unsigned level;
    uint64_t number;
};

static enum nabla_code merge_piece(void *context, uint64_t step, const struct rollup *piece,
                                   struct nabla_error *err)
{
    (void)step, (void)err;
    rollup_merge(context, piece, UINT32_MAX);
    return NABLA_OK;
}

static enum nabla_code keep_bucket(const struct store *store, struct database *db,
                                   const struct bucket *bucket, const struct rollup *rollup,
                                   struct nabla_error *err)
{
    unsigned char data[ROLLUP_DATA_MAX];
    enum sql_id texts;
    bool is_worth_it = rollup->rows >= ROLLUP_ROWS_LEAST;
    struct statement *change = database_statement(db, is_worth_it ? SQL_ROLLUP_SET : SQL_ROLLUP_DROP);
    statement_bind_int(change, bucket->job);
    statement_bind_int(change, bucket->series);
    statement_bind_int(change, bucket->level);
    statement_bind_size(change, bucket->number);
    if (is_worth_it)
        statement_bind_bytes(change, data,
                             rollup_encode(rollup, rows_wide(store, bucket->series, &texts), data));
    return statement_run(change, err);
}

static enum nabla_code build_bucket(const struct store *store, struct database *db,
                                    const struct bucket *bucket, struct nabla_error *err)
{
    struct rollup rollup = {.rows = 0};
    uint64_t first = bucket->number << level_shift(bucket->level);
    const struct rollup_range range = {.job = bucket->job,
                                       .series = bucket->series,
                                       .first = first,
                                       .last = first + (UINT64_C(1) << level_shift(bucket->level)) - 1,
                                       .shift = level_shift(bucket->level)}; // rows come as one piece
    enum nabla_code code = rollup_walk(store, db, &range, merge_piece, &rollup, err);
    return code ? code : keep_bucket(store, db, bucket, &rollup, err);
}

enum nabla_code rollup_build(const struct store *store, struct database *db, size_t most, size_t *ret,
                             struct nabla_error *err)
{
    enum { AT_ONCE = 64 };
    struct bucket stale[AT_ONCE];
    size_t count = 0;
    struct statement *rows = database_statement(db, SQL_ROLLUP_STALE);
    statement_bind_size(rows, most < AT_ONCE ? most : AT_ONCE);
    enum nabla_code code;
    while (count < AT_ONCE && (code = statement_row(rows, err)) == NABLA_OK)
        stale[count++] = (struct bucket){statement_int(rows, 0), statement_int(rows, 1),
                                         (unsigned)statement_int(rows, 2), (uint64_t)statement_int(rows, 3)};
    statement_reset(rows);
    if (count < AT_ONCE && code != NABLA_NOT_FOUND)
        return code;
    code = NABLA_OK;
    for (size_t i = 0; i < count && code == NABLA_OK; i++)
        code = build_bucket(store, db, &stale[i], err);
    if (code == NABLA_OK)
        *ret = count;
    return code;
}
