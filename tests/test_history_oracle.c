// Histories against an oracle in memory, under random writes: out of order, repeated, in parts, folded, with
// NaN and infinities. Whatever was written when, and whatever rollups there are, reading gives what the
// oracle has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/history.h"
#include "store_fixture.h"

#include <math.h>

enum { PLACES = 9000, COLUMNS = 3, ROUNDS = 400, BATCH_MOST = 150, SERIES = 4 };
// Series 0: the network; 1 and 2: layers 0 and 1; 3: a metric with a name of its own, which has one column.

struct cell {
    double value;
    struct history_fold fold;
};

struct point {
    uint32_t recorded;
    uint64_t steps, revision;
    struct cell cells[COLUMNS];
};

struct oracle {
    uint64_t stride, random;
    uint64_t revision;
    struct point points[SERIES][PLACES];
};

static struct oracle oracle;

static uint64_t draw(uint64_t below)
{
    oracle.random = oracle.random * 6364136223846793005u + 1442695040888963407u;
    return (oracle.random >> 33) % below;
}

static double draw_value(void)
{
    static const double odd[] = {NAN,   INFINITY, -INFINITY, 0.0,    -0.0,   5e-324,
                                 1e308, -1e308,   1e-30,     0x1p53, -1e-45, 1};
    if (draw(12) == 0)
        return odd[draw(sizeof odd / sizeof *odd)];
    return ((double)draw(2000001) - 1000000) / 997;
}

static struct cell single(double value)
{
    bool finite = isfinite(value);
    return (struct cell){value,
                         {finite, !finite, finite ? value : (double)NAN, finite ? value : (double)NAN}};
}

// What several drawn values come to.
static struct cell draw_fold(uint64_t steps)
{
    struct cell cell = {.fold = {.min = NAN, .max = NAN}};
    long double sum = 0;
    for (uint64_t i = 0; i < steps; i++) {
        double value = draw_value();
        if (!isfinite(value)) {
            cell.fold.nonfinite++;
            continue;
        }
        sum += value;
        cell.fold.min = fmin(cell.fold.min, value);
        cell.fold.max = fmax(cell.fold.max, value);
        cell.fold.count++;
    }
    cell.value = cell.fold.count ? (double)(sum / cell.fold.count) : (double)NAN;
    return cell;
}

// --- writing

struct batch {
    struct step_record records[BATCH_MOST];
    struct layer_record layers[BATCH_MOST];
    uint64_t steps[BATCH_MOST];
    double values[BATCH_MOST];
    size_t records_count, named_count;
};

// A row stands for several steps while one of its cells does.
static uint64_t steps_of(const struct point *point)
{
    uint64_t steps = 1;
    for (unsigned i = 0; i < COLUMNS; i++) {
        const uint64_t count = point->cells[i].fold.count + point->cells[i].fold.nonfinite;
        if (point->recorded >> i & 1 && count > steps)
            steps = count;
    }
    return steps;
}

static void take_cells(unsigned series, size_t place, uint32_t steps, uint32_t mask, double *values,
                       double *minima, double *maxima, uint32_t *nonfinite)
{
    struct point *point = &oracle.points[series][place];
    for (unsigned i = 0; i < COLUMNS; i++) {
        if (!(mask >> i & 1))
            continue;
        struct cell cell = steps > 1 ? draw_fold(steps) : single(draw_value());
        point->cells[i] = cell;
        values[i] = cell.value;
        minima[i] = cell.fold.min;
        maxima[i] = cell.fold.max;
        nonfinite[i] = (uint32_t)cell.fold.nonfinite;
    }
    point->recorded |= mask;
    point->revision = oracle.revision;
    point->steps = steps_of(point);
}

static void add_row(struct batch *batch, unsigned series, size_t place)
{
    uint32_t steps = draw(8) == 0 ? (uint32_t)(2 + place % 5) : 1; // a step is always folded alike
    uint32_t mask = (uint32_t)(1 + draw(7));
    if (series == 3) {
        double value = draw_value();
        oracle.points[3][place] = (struct point){1, 1, oracle.revision, {single(value)}};
        batch->steps[batch->named_count] = place * oracle.stride;
        batch->values[batch->named_count++] = value;
        return;
    }
    size_t at = batch->records_count++;
    struct step_record *record = &batch->records[at];
    struct layer_record *layer = &batch->layers[at];
    *record = (struct step_record){.step = place * oracle.stride, .steps = steps};
    if (series == 0) {
        record->recorded = mask;
        take_cells(series, place, steps, mask, record->values, record->minima, record->maxima,
                   record->nonfinite);
        return;
    }
    *layer = (struct layer_record){.index = series - 1, .name = series == 1 ? "a" : "b", .recorded = mask};
    take_cells(series, place, steps, mask, layer->values, layer->minima, layer->maxima, layer->nonfinite);
    record->layers = layer;
    record->layer_count = 1;
}

// Neighbouring steps as a trainer's, or scattered ones; some twice.
static void write_batch(struct store *store, const char *id)
{
    static struct batch batch;
    batch.records_count = batch.named_count = 0;
    oracle.revision++;
    size_t start = draw(PLACES), count = 1 + draw(BATCH_MOST);
    bool scattered = draw(4) == 0;
    unsigned series = (unsigned)draw(SERIES);
    for (size_t i = 0; i < count; i++) {
        size_t place = scattered || draw(20) == 0 ? draw(PLACES) : (start + i) % PLACES;
        add_row(&batch, draw(10) == 0 ? (unsigned)draw(SERIES) : series, place);
    }
    const struct history_named named = {"val_f1", batch.named_count, batch.steps, batch.values};
    const struct history_batch wrapped = {.attempt = 1,
                                          .records = batch.records,
                                          .record_count = batch.records_count,
                                          .named = &named,
                                          .named_count = batch.named_count > 0};
    struct history_ack ack;
    assert_ok(store_history_append(store, id, &wrapped, &ack, &err));
    assert_int_equal(ack.revision, oracle.revision);
}

// --- reading

static unsigned series_of(const struct history_row *row, bool layers)
{
    return layers ? row->layer + 1 : row->is_named ? 3 : 0;
}

static bool same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

struct check {
    bool layers;
    const struct history_query *query;
    size_t count;
    bool seen[SERIES][PLACES];
    struct history_cursor last;
};

static void check_row(struct check *check, const struct history_row *row)
{
    unsigned series = series_of(row, check->layers);
    size_t place = row->step / oracle.stride;
    const struct point *point = &oracle.points[series][place];
    assert_int_equal(row->step % oracle.stride, 0);
    assert_int_equal(row->recorded, point->recorded);
    assert_int_equal(row->revision, point->revision);
    for (unsigned i = 0; i < (series == 3 ? 1 : COLUMNS); i++) {
        if (!(point->recorded >> i & 1))
            continue;
        const struct cell *cell = &point->cells[i];
        assert_true(same(row->values[i], cell->value));
        if (point->steps > 1) {
            assert_int_equal(row->steps, point->steps);
            assert_int_equal(row->folds[i].count, cell->fold.count);
            assert_int_equal(row->folds[i].nonfinite, cell->fold.nonfinite);
            assert_true(same(row->folds[i].min, cell->fold.min));
            assert_true(same(row->folds[i].max, cell->fold.max));
        }
    }
    assert_false(check->seen[series][place]);
    check->seen[series][place] = true;
}

static enum nabla_code take_row(void *context, const struct history_row *row)
{
    struct check *check = context;
    assert_int_equal(row->width, 0);
    check_row(check, row);
    check->count++;
    check->last = (struct history_cursor){row->revision, row->step, row->layer};
    return NABLA_OK;
}

typedef enum nabla_code reader(struct store *, const char *, const struct history_query *, history_visitor *,
                               void *, uint64_t *, struct nabla_error *);
static reader *const readers[] = {store_history_metrics, store_history_layers};

static size_t expected_rows(bool layers, const struct history_query *query)
{
    size_t count = 0;
    for (unsigned series = 0; series < SERIES; series++)
        for (size_t place = 0; place < PLACES; place++)
            count += (series == 1 || series == 2) == layers && oracle.points[series][place].recorded &&
                     place * oracle.stride >= query->since_step && place * oracle.stride <= query->until_step;
    return count;
}

// Everything, in pages, in one order or the other.
static void follow(struct store *store, const char *id, bool layers, bool by_revision)
{
    static struct check check;
    uint64_t revision, since = draw(3) ? 0 : draw(PLACES) * oracle.stride;
    struct history_query query = {.has_after = by_revision,
                                  .has_place = false,
                                  .since_step = since,
                                  .until_step = draw(3) ? UINT64_MAX : since + draw(PLACES) * oracle.stride,
                                  .limit = 1 + draw(3000)};
    memset(&check, 0, sizeof check);
    check.layers = layers;
    size_t before;
    do {
        before = check.count;
        assert_ok(readers[layers](store, id, &query, take_row, &check, &revision, &err));
        assert_true(check.count - before <= query.limit);
        query.after = check.last;
        query.has_place = !by_revision;
    } while (check.count > before);
    assert_int_equal(check.count, expected_rows(layers, &query));
    assert_int_equal(revision, oracle.revision);
}

// --- buckets

struct sums {
    uint64_t steps, count, nonfinite;
    long double sum;
    double min, max;
};

struct bucket_check {
    bool layers;
    const struct history_query *query;
    size_t count[SERIES];
    uint64_t next[SERIES], width;
};

static struct sums brute(unsigned series, unsigned column, uint64_t from, uint64_t to)
{
    struct sums sums = {.min = NAN, .max = NAN};
    for (uint64_t place = (from + oracle.stride - 1) / oracle.stride;
         place < PLACES && place * oracle.stride <= to; place++) {
        const struct point *point = &oracle.points[series][place];
        if (!point->recorded)
            continue;
        sums.steps += point->steps;
        if (!(point->recorded >> column & 1))
            continue;
        const struct cell *cell = &point->cells[column];
        sums.count += cell->fold.count;
        sums.nonfinite += cell->fold.nonfinite;
        if (cell->fold.count == 0)
            continue;
        sums.sum += (long double)cell->value * cell->fold.count;
        sums.min = fmin(sums.min, cell->fold.min);
        sums.max = fmax(sums.max, cell->fold.max);
    }
    return sums;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static enum nabla_code take_bucket(void *context, const struct history_row *row)
{
    struct bucket_check *check = context;
    const struct history_query *query = check->query;
    unsigned series = series_of(row, check->layers);
    assert_true(row->width > 0);
    assert_int_equal(row->width & (row->width - 1), 0);
    assert_int_equal(row->step % row->width, 0);
    assert_true(check->width == 0 || check->width == row->width);
    assert_true(row->step >= check->next[series]);
    check->width = row->width;
    // What was left out between two buckets must be empty.
    if (row->step > check->next[series])
        assert_int_equal(brute(series, 0, larger(check->next[series], query->since_step),
                               row->step - 1 < query->until_step ? row->step - 1 : query->until_step)
                             .steps,
                         0);
    check->next[series] = row->step + row->width;
    check->count[series]++;
    uint64_t from = row->step > query->since_step ? row->step : query->since_step;
    uint64_t to =
        row->step + row->width - 1 < query->until_step ? row->step + row->width - 1 : query->until_step;
    for (unsigned i = 0; i < (series == 3 ? 1 : COLUMNS); i++) {
        const struct sums sums = brute(series, i, from, to);
        assert_int_equal(row->steps, sums.steps);
        assert_int_equal(row->folds[i].count, sums.count);
        assert_int_equal(row->folds[i].nonfinite, sums.nonfinite);
        assert_int_equal(row->recorded >> i & 1, sums.count + sums.nonfinite > 0);
        if (sums.count == 0) {
            assert_true(isnan(row->values[i]) && isnan(row->folds[i].min));
            continue;
        }
        assert_true(same(row->folds[i].min, sums.min) || row->folds[i].min == sums.min);
        assert_true(row->folds[i].max == sums.max);
        long double mean = sums.sum / sums.count, scale = fmaxl(fabsl(sums.min), fabsl(sums.max));
        assert_true(fabsl(row->values[i] - mean) <= 1e-14L * scale + 1e-300L);
    }
    return NABLA_OK;
}

static void check_buckets(struct store *store, const char *id, bool layers)
{
    static struct bucket_check check;
    uint64_t revision, since = draw(2) ? 0 : draw(PLACES / 2) * oracle.stride + draw(oracle.stride);
    const struct history_query query = {.since_step = since,
                                        .until_step =
                                            draw(2) ? UINT64_MAX : since + draw(PLACES) * oracle.stride,
                                        .limit = SIZE_MAX,
                                        .max_points = 1 + draw(60)};
    if (expected_rows(layers, &query) <= 4 * query.max_points)
        return; // may be told as rows
    memset(&check, 0, sizeof check);
    check.layers = layers;
    check.query = &query;
    assert_ok(readers[layers](store, id, &query, take_bucket, &check, &revision, &err));
    for (unsigned series = 0; series < SERIES; series++) {
        assert_true(check.count[series] <= query.max_points);
        if ((series == 1 || series == 2) == layers && check.next[series] <= query.until_step)
            assert_int_equal(
                brute(series, 0, larger(check.next[series], query.since_step), query.until_step).steps, 0);
    }
}

static void test_reading_agrees_with_an_oracle(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    static const uint64_t strides[] = {1, 7, 5000};
    for (size_t i = 0; i < sizeof strides / sizeof *strides; i++) {
        char id[TOKEN_ID_SIZE];
        memset(&oracle, 0, sizeof oracle);
        oracle.stride = strides[i];
        oracle.random = 42 + i;
        oracle.revision = 1;
        fixture_job(store, JOB_CLIENT, id);
        for (unsigned round = 0; round < ROUNDS; round++) {
            write_batch(store, id);
            bool more = draw(6) == 0;
            while (more && draw(5))
                assert_ok(store_tidy(store, &more, &err));
            if (draw(10) == 0)
                check_buckets(store, id, draw(2));
            if (draw(40) == 0)
                follow(store, id, draw(2), draw(2));
        }
        for (unsigned way = 0; way < 4; way++)
            follow(store, id, way & 1, way & 2);
        bool more = true;
        while (more)
            assert_ok(store_tidy(store, &more, &err));
        for (unsigned k = 0; k < 40; k++)
            check_buckets(store, id, k & 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reading_agrees_with_an_oracle, fixture_open, fixture_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
