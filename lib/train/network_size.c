#include "train/network_size.h"

#include "base/size.h"

bool size_pad(size_t count, size_t *ret)
{
    size_t sum;
    if (!size_add(count, PADDING - 1, &sum))
        return false;
    *ret = sum / PADDING * PADDING;
    return true;
}

// Each fills in what its type adds to `size`, whose inputs, outputs (as many) and shortcut are set.
static bool measure_dense(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)rows;
    size->outputs = spec->units;
    return size_mul(size->inputs, spec->units, &size->first) &&
           size_add(size->first, spec->use_bias ? spec->units : 0, &size->parameters);
}

// gamma and beta; running mean and variance; the sums over the batch in double, its mean and
// 1/deviation, and the normalised inputs.
static bool measure_batch_norm(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)spec;
    size_t columns;
    size->first = size->inputs;
    return size_mul(2, size->inputs, &size->parameters) && size_mul(2, size->inputs, &size->running) &&
           size_add(rows, 6, &columns) && size_mul(columns, size->inputs, &size->cache);
}

// gamma and beta; the normalised inputs and each row's 1/deviation.
static bool measure_layer_norm(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)spec;
    size_t columns;
    size->first = size->inputs;
    return size_mul(2, size->inputs, &size->parameters) && size_add(size->inputs, 1, &columns) &&
           size_mul(rows, columns, &size->cache);
}

static bool measure_activation(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)spec, (void)rows, (void)size;
    return true;
}

// The mask that backward needs.
static bool measure_dropout(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)spec;
    return size_mul(rows, size->inputs, &size->cache);
}

// The projection; the gradient for what went into the branch.
static bool measure_residual(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    if (!size_mul(rows, size->shortcut, &size->cache))
        return false;
    if (spec->projection != PROJECTION_DENSE)
        return true;
    const bool fits = size_mul(size->shortcut, size->outputs, &size->first);
    size->parameters = size->first;
    return fits;
}

static bool (*const measures[])(const struct layer_spec *, size_t, struct layer_size *) = {
    [LAYER_TYPE_DENSE] = measure_dense,           [LAYER_TYPE_BATCH_NORM] = measure_batch_norm,
    [LAYER_TYPE_LAYER_NORM] = measure_layer_norm, [LAYER_TYPE_ACTIVATION] = measure_activation,
    [LAYER_TYPE_DROPOUT] = measure_dropout,       [LAYER_TYPE_ALPHA_DROPOUT] = measure_dropout,
    [LAYER_TYPE_RESIDUAL] = measure_residual,
};
_Static_assert(sizeof measures / sizeof *measures == LAYER_TYPE_COUNT, "every layer type is measured");

// Only dense layers change the width: a residual has that of its branch.
size_t layer_inputs(const struct train_spec *spec, size_t index, size_t inputs)
{
    while (index > 0 && spec->layers[index - 1].type != LAYER_TYPE_DENSE)
        index--;
    return index > 0 ? spec->layers[index - 1].units : inputs;
}

bool layer_measure(const struct train_spec *spec, size_t index, size_t inputs, size_t rows,
                   struct layer_size *ret)
{
    const struct layer_spec *layer = &spec->layers[index];
    struct layer_size size = {.inputs = layer_inputs(spec, index, inputs)};
    size.outputs = size.inputs;
    if (layer->type == LAYER_TYPE_RESIDUAL)
        size.shortcut = layer_inputs(spec, index - layer->branch, inputs);
    if (!measures[layer->type](layer, rows, &size))
        return false;
    *ret = size;
    return true;
}

static bool add_padded(size_t *sum, size_t count)
{
    size_t padded;
    return size_pad(count, &padded) && size_add(*sum, padded, sum);
}

static bool add_activations(struct network_size *size, size_t columns, size_t rows)
{
    size_t count, padded;
    if (!size_mul(columns, rows, &count) || !size_pad(count, &padded))
        return false;
    if (padded > size->widest)
        size->widest = padded;
    return size_add(size->activations, padded, &size->activations);
}

bool network_measure(const struct train_spec *spec, size_t inputs, size_t rows, struct network_size *ret)
{
    struct network_size size = {0};
    if (!add_activations(&size, inputs, rows))
        return false;
    for (size_t i = 0; i < spec->layer_count; i++) {
        struct layer_size layer;
        if (!layer_measure(spec, i, inputs, rows, &layer) ||
            !size_add(size.trainable, layer.parameters, &size.trainable) ||
            !add_padded(&size.parameters, layer.parameters) || !add_padded(&size.running, layer.running) ||
            !add_padded(&size.caches, layer.cache) || !add_activations(&size, layer.outputs, rows))
            return false;
    }
    *ret = size;
    return true;
}

bool network_accumulates(const struct train_spec *spec)
{
    return spec->optimizer.gradient_accumulation_steps > 1;
}

// Parameters, the optimiser's slots, averaged weights, running statistics, and those of the best epoch; then
// a batch's activations with the gradients of two of them, gradients (and their sums), caches.
bool network_slabs(const struct train_spec *spec, const struct network_size *size, size_t *ret_state,
                   size_t *ret_work)
{
    const bool best = spec->early_stopping.active && spec->early_stopping.restore_best;
    const size_t copies = 1 + optimizer_slots(spec->optimizer.type) + spec->optimizer.use_ema + best;
    const size_t gradients = network_accumulates(spec) ? 2 : 1;
    size_t running, widest;
    return size_mul(size->parameters, copies, ret_state) && size_mul(size->running, best ? 2 : 1, &running) &&
           size_add(*ret_state, running, ret_state) && size_mul(size->parameters, gradients, ret_work) &&
           size_mul(2, size->widest, &widest) && size_add(*ret_work, widest, ret_work) &&
           size_add(*ret_work, size->activations, ret_work) && size_add(*ret_work, size->caches, ret_work);
}

static const size_t slots[] = {
    [OPTIMIZER_SGD] = 1,  // velocity
    [OPTIMIZER_ADAM] = 2, // first and second moment
    [OPTIMIZER_ADAMW] = 2,
    [OPTIMIZER_AMSGRAD] = 3, // and the second moment's largest
    [OPTIMIZER_NADAM] = 2,
    [OPTIMIZER_RMSPROP] = 3,  // mean square, velocity, mean
    [OPTIMIZER_ADAGRAD] = 1,  // sum of squares
    [OPTIMIZER_ADADELTA] = 2, // mean squares of gradients and of changes
    [OPTIMIZER_ADAMAX] = 2,   // first moment, largest
    [OPTIMIZER_LION] = 1,     // first moment
};
_Static_assert(sizeof slots / sizeof *slots == OPTIMIZER_COUNT, "every optimiser is counted");

size_t optimizer_slots(enum optimizer_type type)
{
    return slots[type];
}
