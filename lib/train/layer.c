#include "train/layer.h"

#include "math/matrix.h"
#include "train/activation.h"
#include "train/batch_norm.h"
#include "train/dense.h"
#include "train/dropout.h"
#include "train/initializer.h"
#include "train/layer_norm.h"

#include <string.h>

// weight inputs × units, then bias units.
static real *dense_bias(const struct layer *layer, real *parameters)
{
    return layer->spec->use_bias ? parameters + layer->size.inputs * layer->size.outputs : NULL;
}

static void dense_layer_initialize(struct layer *layer, struct random *random)
{
    initializer_fill(layer->spec->initializer, layer->spec->initializer_value, layer->parameters,
                     layer->size.inputs, layer->size.outputs, random);
}

static void dense_layer_forward(struct layer *layer, size_t rows, enum network_mode mode,
                                struct random *random)
{
    (void)mode, (void)random;
    dense_forward(layer->output, layer->input, layer->parameters, dense_bias(layer, layer->parameters), rows,
                  layer->size.inputs, layer->size.outputs);
}

static void dense_layer_backward(struct layer *layer, real *input_gradient, const real *output_gradient,
                                 size_t rows)
{
    dense_backward(input_gradient, layer->gradient, dense_bias(layer, layer->gradient), output_gradient,
                   layer->input, layer->parameters, rows, layer->size.inputs, layer->size.outputs);
}

// The layer's cache as network_size.c counts it; the doubles come first, where it is aligned.
static struct batch_norm_cache batch_norm_cache_of(const struct layer *layer)
{
    const size_t columns = layer->size.inputs;
    return (struct batch_norm_cache){
        .sums = (double *)(void *)layer->cache,
        .mean = layer->cache + 4 * columns,
        .inverse = layer->cache + 5 * columns,
        .normalised = layer->cache + 6 * columns,
    };
}

static struct batch_norm_running batch_norm_running_of(const struct layer *layer)
{
    return (struct batch_norm_running){layer->running, layer->running + layer->size.inputs};
}

static void fill(real *x, size_t count, real value)
{
    for (size_t i = 0; i < count; i++)
        x[i] = value;
}

// gamma, then beta; running mean, then running variance.
static void batch_norm_layer_initialize(struct layer *layer, struct random *random)
{
    (void)random;
    const size_t columns = layer->size.inputs;
    fill(layer->parameters, columns, 1);
    fill(layer->running + columns, columns, 1);
}

static void batch_norm_layer_forward(struct layer *layer, size_t rows, enum network_mode mode,
                                     struct random *random)
{
    (void)random;
    const size_t columns = layer->size.inputs;
    const real *gamma = layer->parameters, *beta = layer->parameters + columns;
    struct batch_norm_cache cache = batch_norm_cache_of(layer);
    struct batch_norm_running running = batch_norm_running_of(layer);
    if (mode == NETWORK_TRAIN)
        batch_norm_forward(layer->output, layer->input, gamma, beta, &cache, &running, layer->spec->momentum,
                           layer->spec->epsilon, rows, columns);
    else
        batch_norm_infer(layer->output, layer->input, gamma, beta, &cache, &running, layer->spec->epsilon,
                         rows, columns);
}

static void batch_norm_layer_backward(struct layer *layer, real *input_gradient, const real *output_gradient,
                                      size_t rows)
{
    const size_t columns = layer->size.inputs;
    struct batch_norm_cache cache = batch_norm_cache_of(layer);
    batch_norm_backward(input_gradient, layer->gradient, layer->gradient + columns, output_gradient,
                        layer->parameters, &cache, rows, columns);
}

static void layer_norm_layer_initialize(struct layer *layer, struct random *random)
{
    (void)random;
    fill(layer->parameters, layer->size.inputs, 1);
}

static struct layer_norm_cache layer_norm_cache_of(const struct layer *layer, size_t rows)
{
    return (struct layer_norm_cache){layer->cache, layer->cache + rows * layer->size.inputs};
}

static void layer_norm_layer_forward(struct layer *layer, size_t rows, enum network_mode mode,
                                     struct random *random)
{
    (void)mode, (void)random;
    const size_t columns = layer->size.inputs;
    struct layer_norm_cache cache = layer_norm_cache_of(layer, rows);
    layer_norm_forward(layer->output, layer->input, layer->parameters, layer->parameters + columns, &cache,
                       layer->spec->epsilon, rows, columns);
}

static void layer_norm_layer_backward(struct layer *layer, real *input_gradient, const real *output_gradient,
                                      size_t rows)
{
    const size_t columns = layer->size.inputs;
    struct layer_norm_cache cache = layer_norm_cache_of(layer, rows);
    layer_norm_backward(input_gradient, layer->gradient, layer->gradient + columns, output_gradient,
                        layer->parameters, &cache, rows, columns);
}

static void activation_layer_forward(struct layer *layer, size_t rows, enum network_mode mode,
                                     struct random *random)
{
    (void)mode, (void)random;
    activation_forward(layer->spec->activation, layer->spec->alpha, layer->output, layer->input,
                       rows * layer->size.outputs);
}

static void activation_layer_backward(struct layer *layer, real *input_gradient, const real *output_gradient,
                                      size_t rows)
{
    if (input_gradient)
        activation_backward(layer->spec->activation, layer->spec->alpha, input_gradient, output_gradient,
                            layer->input, layer->output, rows * layer->size.outputs);
}

static void dropout_layer_forward(struct layer *layer, size_t rows, enum network_mode mode,
                                  struct random *random)
{
    const size_t count = rows * layer->size.outputs;
    if (mode == NETWORK_TRAIN)
        dropout_forward(layer->output, layer->cache, layer->input, layer->spec->rate, random, count);
    else
        memcpy(layer->output, layer->input, count * sizeof *layer->output);
}

static void alpha_dropout_layer_forward(struct layer *layer, size_t rows, enum network_mode mode,
                                        struct random *random)
{
    const size_t count = rows * layer->size.outputs;
    if (mode == NETWORK_TRAIN)
        alpha_dropout_forward(layer->output, layer->cache, layer->input, layer->spec->rate, random, count);
    else
        memcpy(layer->output, layer->input, count * sizeof *layer->output);
}

static void dropout_layer_backward(struct layer *layer, real *input_gradient, const real *output_gradient,
                                   size_t rows)
{
    if (input_gradient)
        dropout_backward(input_gradient, output_gradient, layer->cache, rows * layer->size.outputs);
}

static void add(real *restrict sum, const real *restrict x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += x[i];
}

static bool is_projected(const struct layer *layer)
{
    return layer->size.parameters > 0;
}

static void residual_layer_initialize(struct layer *layer, struct random *random)
{
    if (is_projected(layer))
        initializer_fill(layer->spec->initializer, layer->spec->initializer_value, layer->parameters,
                         layer->size.shortcut, layer->size.outputs, random);
}

// What came out of the branch, plus what went into it.
static void residual_layer_forward(struct layer *layer, size_t rows, enum network_mode mode,
                                   struct random *random)
{
    (void)mode, (void)random;
    const size_t count = rows * layer->size.outputs;
    if (is_projected(layer))
        matrix_multiply(layer->output, layer->branch->input, layer->parameters, rows, layer->size.outputs,
                        layer->size.shortcut);
    else
        memcpy(layer->output, layer->branch->input, count * sizeof *layer->output);
    add(layer->output, layer->input, count);
}

// The branch gets the gradient as it is; the cache keeps the shortcut's share until the branch's start is
// reached, where layer_backward adds it.
static void residual_layer_backward(struct layer *layer, real *input_gradient, const real *output_gradient,
                                    size_t rows)
{
    const size_t inputs = layer->size.shortcut, outputs = layer->size.outputs;
    if (is_projected(layer)) {
        matrix_multiply_transposed_a(layer->gradient, layer->branch->input, output_gradient, inputs, outputs,
                                     rows);
        matrix_multiply_transposed_b(layer->cache, output_gradient, layer->parameters, rows, inputs, outputs);
    } else
        memcpy(layer->cache, output_gradient, rows * outputs * sizeof *layer->cache);
    if (input_gradient)
        memcpy(input_gradient, output_gradient, rows * outputs * sizeof *input_gradient);
}

static const struct {
    void (*initialize)(struct layer *layer, struct random *random); // NULL: nothing to set
    void (*forward)(struct layer *layer, size_t rows, enum network_mode mode, struct random *random);
    void (*backward)(struct layer *layer, real *input_gradient, const real *output_gradient, size_t rows);
} kinds[] = {
    [LAYER_TYPE_DENSE] = {dense_layer_initialize, dense_layer_forward, dense_layer_backward},
    [LAYER_TYPE_BATCH_NORM] = {batch_norm_layer_initialize, batch_norm_layer_forward,
                               batch_norm_layer_backward},
    [LAYER_TYPE_LAYER_NORM] = {layer_norm_layer_initialize, layer_norm_layer_forward,
                               layer_norm_layer_backward},
    [LAYER_TYPE_ACTIVATION] = {NULL, activation_layer_forward, activation_layer_backward},
    [LAYER_TYPE_DROPOUT] = {NULL, dropout_layer_forward, dropout_layer_backward},
    [LAYER_TYPE_ALPHA_DROPOUT] = {NULL, alpha_dropout_layer_forward, dropout_layer_backward},
    [LAYER_TYPE_RESIDUAL] = {residual_layer_initialize, residual_layer_forward, residual_layer_backward},
};
_Static_assert(sizeof kinds / sizeof *kinds == LAYER_TYPE_COUNT, "every layer type has a row");

ENGINE void layer_initialize(struct layer *layer, struct random *random)
{
    fill(layer->parameters, layer->stride, 0);
    fill(layer->running, layer->size.running, 0);
    if (kinds[layer->spec->type].initialize)
        kinds[layer->spec->type].initialize(layer, random);
}

ENGINE void layer_forward(struct layer *layer, size_t rows, enum network_mode mode, struct random *random)
{
    kinds[layer->spec->type].forward(layer, rows, mode, random);
}

ENGINE void layer_backward(struct layer *layer, real *input_gradient, const real *output_gradient,
                           size_t rows)
{
    kinds[layer->spec->type].backward(layer, input_gradient, output_gradient, rows);
    for (const struct layer *residual = layer->shortcuts; input_gradient && residual;
         residual = residual->next_shortcut)
        add(input_gradient, residual->cache, rows * residual->size.shortcut);
}
