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

static bool measure_dense(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)rows;
    size->outputs = spec->units;
    return size_mul(size->inputs, spec->units, &size->parameters) &&
           (!spec->use_bias || size_add(size->parameters, spec->units, &size->parameters));
}

// gamma and beta; running mean and variance; the sums over the batch in double, its mean and
// 1/deviation, and the normalised inputs.
static bool measure_batch_norm(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)spec;
    size->outputs = size->inputs;
    size_t columns;
    return size_mul(2, size->inputs, &size->parameters) && size_mul(2, size->inputs, &size->running) &&
           size_add(rows, 6, &columns) && size_mul(columns, size->inputs, &size->cache);
}

static bool measure_activation(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)spec, (void)rows;
    size->outputs = size->inputs;
    return true;
}

// The mask that backward needs.
static bool measure_dropout(const struct layer_spec *spec, size_t rows, struct layer_size *size)
{
    (void)spec;
    size->outputs = size->inputs;
    return size_mul(rows, size->inputs, &size->cache);
}

static bool (*const measures[])(const struct layer_spec *, size_t, struct layer_size *) = {
    [LAYER_TYPE_DENSE] = measure_dense,
    [LAYER_TYPE_BATCH_NORM] = measure_batch_norm,
    [LAYER_TYPE_ACTIVATION] = measure_activation,
    [LAYER_TYPE_DROPOUT] = measure_dropout,
};
_Static_assert(sizeof measures / sizeof *measures == LAYER_TYPE_COUNT, "every layer type is measured");

bool layer_measure(const struct layer_spec *spec, size_t inputs, size_t rows, struct layer_size *ret)
{
    struct layer_size size = {.inputs = inputs};
    if (!measures[spec->type](spec, rows, &size))
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
        if (!layer_measure(&spec->layers[i], inputs, rows, &layer) ||
            !size_add(size.trainable, layer.parameters, &size.trainable) ||
            !add_padded(&size.parameters, layer.parameters) || !add_padded(&size.running, layer.running) ||
            !add_padded(&size.caches, layer.cache) || !add_activations(&size, layer.outputs, rows))
            return false;
        inputs = layer.outputs;
    }
    *ret = size;
    return true;
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
