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

static bool sum_sizes(const size_t *sizes, size_t count, size_t *ret)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        if (!size_add(sum, sizes[i], &sum))
            return false;
    *ret = sum;
    return true;
}

// The trainer's own copy of the features, what rows weigh and their order.
static bool data_bytes(const struct dataset *dataset, size_t *ret)
{
    size_t row, bytes;
    if (!size_mul(dataset->columns, sizeof(float), &row) ||
        !size_add(row, sizeof(double) + 2 * sizeof(size_t), &row) || !size_mul(row, dataset->rows, &bytes))
        return false;
    *ret = bytes;
    return true;
}

static bool count_bytes(const struct train_spec *spec, const struct dataset *dataset,
                        const struct network_size *size, size_t *ret)
{
    enum { BYTES_PER_LAYER = 1024 }; // descriptions, names and records, generously
    size_t state, numbers, network, data, layers;
    if (!network_slabs(spec, size, &state, &numbers) || !size_add(state, numbers, &numbers) ||
        !size_mul(numbers, sizeof(float), &network) || !data_bytes(dataset, &data) ||
        !size_mul(spec->layer_count, BYTES_PER_LAYER, &layers))
        return false;
    const enum task task = spec_task(spec, dataset);
    const size_t scores = report_score_bytes(task, dataset->rows, task_outputs(task, dataset));
    const size_t parts[] = {network, data, layers, scores <= REPORT_SCORES_MOST ? scores : 0};
    return sum_sizes(parts, sizeof parts / sizeof *parts, ret);
}

enum nabla_code spec_cost(const struct train_spec *spec, const struct dataset *dataset,
                          struct train_cost *ret, struct nabla_error *err)
{
    struct network_size size;
    struct train_cost cost;
    size_t rows = spec->batch_size < dataset->rows ? spec->batch_size : dataset->rows;
    if (!network_measure(spec, dataset->columns, rows, &size) ||
        !count_bytes(spec, dataset, &size, &cost.bytes))
        return nabla_fail(err, NABLA_LIMIT, "/model/layers", "the network does not fit into any memory");
    cost.parameters = size.trainable;
    enum nabla_code code = spec_steps(spec, dataset, &cost.steps, err);
    if (code != NABLA_OK)
        return code;
    *ret = cost;
    return NABLA_OK;
}
