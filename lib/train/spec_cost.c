// What a job will need, computed with the same sizes that the network allocates by.
#include "train/spec.h"

#include "base/size.h"
#include "train/network_size.h"
#include "train/report.h"
#include "train/spec_rows.h"

#include <stdio.h>

static const uint64_t STEPS_MAX = (UINT64_C(1) << 53) - 1;

enum nabla_code spec_split(const struct train_spec *spec, const struct dataset *dataset, struct split *ret,
                           struct nabla_error *err)
{
    enum nabla_code code = split_make(dataset, spec->split, spec->validation_split, spec->seed, ret, err);
    if (code == NABLA_INVALID && err)
        snprintf(err->pointer, sizeof err->pointer, "/training/validation_split");
    return code;
}

uint64_t epoch_steps(const struct train_spec *spec, size_t rows)
{
    const uint64_t batches = (rows - 1) / spec->batch_size + 1;
    return (batches - 1) / (uint64_t)spec->optimizer.gradient_accumulation_steps + 1;
}

enum nabla_code spec_steps(const struct train_spec *spec, const struct dataset *dataset, uint64_t *ret,
                           struct nabla_error *err)
{
    struct split split;
    enum nabla_code code = spec_split(spec, dataset, &split, err);
    if (code != NABLA_OK)
        return code;
    const uint64_t updates = epoch_steps(spec, split.train_count);
    split_free(&split);
    uint64_t steps;
    if (__builtin_mul_overflow(updates, (uint64_t)spec->epochs, &steps) || steps > STEPS_MAX)
        return nabla_fail(err, NABLA_LIMIT, "/training/epochs", "the job would take more than 2^53 steps");
    *ret = steps;
    return NABLA_OK;
}

// Adds count × width to the sum. False on overflow.
static bool add_bytes(size_t *sum, size_t count, size_t width)
{
    size_t bytes;
    return size_mul(count, width, &bytes) && size_add(*sum, bytes, sum);
}

bool spec_streams(const struct train_spec *spec)
{
    return spec->streaming == STREAMING_ALWAYS;
}

// How many rows take so many bytes, at least one.
static size_t rows_of(size_t bytes, const struct dataset *dataset)
{
    const size_t rows = bytes / sizeof(float) / dataset->columns;
    return rows > 0 ? rows : 1;
}

static size_t default_shuffle_rows(const struct train_spec *spec, const struct dataset *dataset)
{
    enum { WINDOW_BYTES = 64 << 20 };
    const size_t rows = rows_of(WINDOW_BYTES, dataset);
    return rows > spec->batch_size ? rows : spec->batch_size;
}

size_t spec_shuffle_rows(const struct train_spec *spec, const struct dataset *dataset)
{
    if (!spec_streams(spec))
        return dataset->rows;
    const size_t rows = spec->shuffle_buffer ? spec->shuffle_buffer : default_shuffle_rows(spec, dataset);
    return rows < dataset->rows ? rows : dataset->rows;
}

size_t spec_block_rows(const struct train_spec *spec, const struct dataset *dataset)
{
    enum { BLOCK_BYTES = 256 << 10, BLOCKS_LEAST = 8 };
    const size_t rows = rows_of(BLOCK_BYTES, dataset),
                 most = spec_shuffle_rows(spec, dataset) / BLOCKS_LEAST + 1;
    return rows < most ? rows : most;
}

// The order of a stream's blocks.
static size_t block_count(const struct train_spec *spec, const struct dataset *dataset)
{
    return spec_streams(spec) ? (dataset->rows - 1) / spec_block_rows(spec, dataset) + 1 : 0;
}

// Those whose features are in memory: all, or a window of them, or a batch that is larger.
static size_t resident_rows(const struct train_spec *spec, const struct dataset *dataset)
{
    const size_t window = spec_shuffle_rows(spec, dataset),
                 batch = spec->batch_size < dataset->rows ? spec->batch_size : dataset->rows;
    return window > batch ? window : batch;
}

// The features, or a window of them, and of each row its label, its place in the split, in the epoch's order,
// and what it weighs.
static bool add_data(const struct train_spec *spec, const struct dataset *dataset, size_t *sum)
{
    const double trained = (1 - spec->validation_split) * (double)dataset->rows;
    const size_t label = dataset->ids ? sizeof *dataset->ids : 0,
                 weight = dataset->weights ? sizeof(float) : 0;
    const bool weighs_rows = dataset->weights || spec_task(spec, dataset) == TASK_BINARY;
    size_t features, targets;
    return size_mul(resident_rows(spec, dataset), dataset->columns, &features) &&
           size_mul(dataset->rows, dataset->outputs, &targets) && add_bytes(sum, features, sizeof(float)) &&
           add_bytes(sum, targets, sizeof(float)) && add_bytes(sum, dataset->rows, label + weight) &&
           add_bytes(sum, dataset->rows, 2 * sizeof(size_t) + (weighs_rows ? sizeof(double) : 0)) &&
           add_bytes(sum, (size_t)trained, sizeof(size_t)) &&
           add_bytes(sum, block_count(spec, dataset), sizeof(size_t));
}

static bool add_network(const struct train_spec *spec, const struct network_size *size, size_t *sum)
{
    enum { BYTES_PER_LAYER = 2048 }; // descriptions, names and records
    size_t state, work;
    return network_slabs(spec, size, &state, &work) && add_bytes(sum, state, sizeof(float)) &&
           add_bytes(sum, work, sizeof(float)) && add_bytes(sum, spec->layer_count, BYTES_PER_LAYER);
}

// A batch's labels, and its probabilities where the loss sees those.
static bool add_objective(const struct train_spec *spec, const struct dataset *dataset, size_t rows,
                          size_t *sum)
{
    const size_t outputs = task_outputs(spec_task(spec, dataset), dataset);
    const bool squashes = spec->loss.input != NABLA_LOGITS;
    size_t numbers;
    return size_mul(rows, outputs, &numbers) &&
           add_bytes(sum, numbers, (squashes ? sizeof(float) : 0) + (dataset->ids ? 0 : sizeof(float))) &&
           add_bytes(sum, rows, 2 * sizeof(int64_t));
}

// At the end both parts have one.
static bool add_reports(const struct train_spec *spec, const struct dataset *dataset, size_t *sum)
{
    enum { REPORTS = 2 };
    const enum task task = spec_task(spec, dataset);
    const size_t outputs = task_outputs(task, dataset),
                 scores = report_score_bytes(task, dataset->rows, outputs);
    size_t cells;
    if (task_has_classes(task) &&
        (!size_mul(outputs, outputs, &cells) || !add_bytes(sum, cells, REPORTS * sizeof(size_t))))
        return false;
    return add_bytes(sum, outputs, REPORTS * sizeof(struct report_class)) &&
           add_bytes(sum, scores <= REPORT_SCORES_MOST ? scores : 0, 1);
}

static bool count_bytes(const struct train_spec *spec, const struct dataset *dataset, size_t rows,
                        const struct network_size *size, size_t *ret)
{
    size_t sum = 0;
    if (!add_data(spec, dataset, &sum) || !add_network(spec, size, &sum) ||
        !add_objective(spec, dataset, rows, &sum) || !add_reports(spec, dataset, &sum))
        return false;
    *ret = sum;
    return true;
}

enum nabla_code spec_cost(const struct train_spec *spec, const struct dataset *dataset,
                          struct train_cost *ret, struct nabla_error *err)
{
    struct network_size size;
    struct train_cost cost;
    size_t rows = spec->batch_size < dataset->rows ? spec->batch_size : dataset->rows;
    if (!network_measure(spec, dataset->columns, rows, &size) ||
        !count_bytes(spec, dataset, rows, &size, &cost.bytes))
        return nabla_fail(err, NABLA_LIMIT, "/model/layers", "the network does not fit into any memory");
    cost.parameters = size.trainable;
    enum nabla_code code = spec_steps(spec, dataset, &cost.steps, err);
    if (code != NABLA_OK)
        return code;
    *ret = cost;
    return NABLA_OK;
}

// The default buffer, or as much of it as goes into half of what the rest leaves, but a batch. Where not even
// that fits, nothing is won by a small one.
static enum nabla_code fit_buffer(struct train_spec *spec, const struct dataset *dataset, size_t most,
                                  struct train_cost *ret, struct nabla_error *err)
{
    const size_t wanted = default_shuffle_rows(spec, dataset);
    spec->shuffle_buffer = spec->batch_size;
    enum nabla_code code = spec_cost(spec, dataset, ret, err);
    if (code)
        return code;
    const size_t room = ret->bytes <= most ? rows_of((most - ret->bytes) / 2, dataset) : wanted;
    spec->shuffle_buffer = wanted < room ? wanted : room > spec->batch_size ? room : spec->batch_size;
    return spec_cost(spec, dataset, ret, err);
}

enum nabla_code spec_fit(struct train_spec *spec, const struct dataset *dataset, size_t most,
                         struct train_cost *ret, struct nabla_error *err)
{
    const bool is_open = spec->streaming == STREAMING_AUTO;
    if (is_open)
        spec->streaming = STREAMING_NEVER;
    enum nabla_code code = spec_cost(spec, dataset, ret, err);
    if (code || (is_open && ret->bytes <= most) || (!is_open && !spec_streams(spec)))
        return code;
    spec->streaming = STREAMING_ALWAYS;
    return spec->shuffle_buffer ? spec_cost(spec, dataset, ret, err)
                                : fit_buffer(spec, dataset, most, ret, err);
}
