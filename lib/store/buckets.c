#include "store/buckets.h"

#include "base/size.h"
#include "store/rollup.h"
#include "store/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- measuring

struct measure {
    size_t count;
    uint64_t step;   // of the newest row seen
    uint64_t *steps; // of all, where they are wanted
};

static enum nabla_code take_step(void *context, const struct history_row *row)
{
    struct measure *measure = context;
    if (measure->steps)
        measure->steps[measure->count] = row->step;
    measure->count++;
    measure->step = row->step;
    return NABLA_OK;
}

static struct rows_range range_of(const struct buckets *buckets, int64_t series, size_t limit)
{
    return (struct rows_range){.job = buckets->job,
                               .series = series,
                               .first = buckets->first,
                               .last = buckets->last,
                               .limit = limit};
}

static void widen(struct buckets *buckets, uint64_t least, uint64_t newest)
{
    if (!buckets->has_steps || least < buckets->least)
        buckets->least = least;
    if (!buckets->has_steps || newest > buckets->newest)
        buckets->newest = newest;
    buckets->has_steps = true;
}

// Both ascending; a step that both have is one row.
static size_t merge(const uint64_t *left, size_t left_count, const uint64_t *right, size_t right_count,
                    uint64_t *ret)
{
    size_t l = 0, r = 0, count = 0;
    while (l < left_count || r < right_count) {
        const bool from_left = r == right_count || (l < left_count && left[l] <= right[r]);
        const uint64_t step = from_left ? left[l] : right[r];
        l += l < left_count && left[l] == step;
        r += r < right_count && right[r] == step;
        ret[count++] = step;
    }
    return count;
}

static enum nabla_code join(struct buckets *buckets, const uint64_t *steps, size_t count,
                            struct nabla_error *err)
{
    uint64_t *joined = size_alloc(buckets->step_count + count + 1, 1, sizeof *joined);
    if (!joined)
        return nabla_fail_memory(err, "the steps of a history");
    buckets->step_count = merge(buckets->steps, buckets->step_count, steps, count, joined);
    free(buckets->steps);
    buckets->steps = joined;
    return NABLA_OK;
}

// Whether the rows of this series are too many, by themselves or with those of the series before it.
static enum nabla_code count_rows(struct buckets *buckets, int64_t series, struct nabla_error *err)
{
    struct measure many = {0};
    const struct rows_range range = range_of(buckets, series, buckets->most + 1);
    if (buckets->are_joined && !(many.steps = size_alloc(range.limit, 1, sizeof *many.steps)))
        return nabla_fail_memory(err, "the steps of a history");
    enum nabla_code code = rows_read(buckets->store, buckets->db, &range, take_step, &many, err);
    if (code == NABLA_OK && many.steps)
        code = join(buckets, many.steps, many.count, err);
    free(many.steps);
    buckets->are_needed = many.count > buckets->most || buckets->step_count > buckets->most;
    return code;
}

enum nabla_code buckets_measure(struct buckets *buckets, int64_t series, struct nabla_error *err)
{
    struct measure first = {0}, last = {0};
    struct rows_range range = range_of(buckets, series, 1);
    enum nabla_code code = rows_read(buckets->store, buckets->db, &range, take_step, &first, err);
    range.newest = true;
    if (code == NABLA_OK)
        code = rows_read(buckets->store, buckets->db, &range, take_step, &last, err);
    if (code || first.count == 0)
        return code;
    widen(buckets, first.step, last.step);
    if (buckets->are_needed || (!buckets->are_joined && last.step - first.step < buckets->most))
        return NABLA_OK;
    return count_rows(buckets, series, err);
}

// ---- telling

// The bucket that is being filled.
struct filling {
    int64_t series;
    unsigned shift;
    uint32_t columns;
    size_t column_count;
    bool has_bucket;
    uint64_t bucket;
    struct rollup rollup;
    history_visitor *visit;
    void *context;
};

static enum nabla_code tell_bucket(struct filling *filling)
{
    double means[WIDE_STATS];
    struct history_fold folds[WIDE_STATS];
    if (!filling->has_bucket)
        return NABLA_OK;
    filling->has_bucket = false;
    struct history_row row = {.step = filling->bucket << filling->shift,
                              .width = UINT64_C(1) << filling->shift,
                              .layer = series_place(filling->series),
                              .is_named = series_is_named(filling->series),
                              .steps = filling->rollup.steps,
                              .values = means,
                              .folds = folds};
    for (size_t i = 0; i < filling->column_count; i++) {
        const struct aggregate *column = &filling->rollup.columns[i];
        means[i] = aggregate_mean(column);
        folds[i] = (struct history_fold){.count = column->count,
                                         .nonfinite = column->nonfinite,
                                         .min = column->count ? column->min : (double)NAN,
                                         .max = column->count ? column->max : (double)NAN};
        if (column->count + column->nonfinite > 0)
            row.recorded |= UINT32_C(1) << i;
    }
    return filling->visit(filling->context, &row);
}

static enum nabla_code fill(void *context, uint64_t step, const struct rollup *piece, struct nabla_error *err)
{
    struct filling *filling = context;
    uint64_t bucket = step >> filling->shift;
    (void)err;
    if (filling->has_bucket && filling->bucket != bucket) {
        enum nabla_code code = tell_bucket(filling);
        if (code)
            return code;
    }
    if (!filling->has_bucket)
        memset(&filling->rollup, 0, sizeof filling->rollup);
    filling->has_bucket = true;
    filling->bucket = bucket;
    rollup_merge(&filling->rollup, piece, filling->columns);
    return NABLA_OK;
}

static unsigned shift_of(const struct buckets *buckets)
{
    unsigned shift = 0;
    while ((buckets->newest >> shift) - (buckets->least >> shift) >= buckets->most)
        shift++;
    return shift;
}

enum nabla_code buckets_tell(const struct buckets *buckets, int64_t series, history_visitor *visit,
                             void *context, struct nabla_error *err)
{
    enum sql_id texts;
    const struct wide *wide = rows_wide(buckets->store, series, &texts);
    struct filling filling = {.series = series,
                              .shift = shift_of(buckets),
                              .columns = wide && buckets->columns ? buckets->columns : UINT32_MAX,
                              .column_count = wide ? wide->table->count : 1,
                              .visit = visit,
                              .context = context};
    const struct rollup_range range = {
        .job = buckets->job,
        .series = series,
        .first = buckets->first > buckets->least ? buckets->first : buckets->least,
        .last = buckets->last < buckets->newest ? buckets->last : buckets->newest,
        .shift = filling.shift,
        .columns = filling.columns};
    enum nabla_code code = rollup_walk(buckets->store, buckets->db, &range, fill, &filling, err);
    return code ? code : tell_bucket(&filling);
}
