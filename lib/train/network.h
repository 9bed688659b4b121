// A network: its layers in order, and the memory that training them takes.
//
// Two slabs. `state` is what a checkpoint has to keep, in one piece: parameters, the optimiser's slots,
// averaged weights (use_ema), running statistics, and the parameters and running statistics of the best epoch
// (restore_best), in that order. Each layer's parameters stand together (weight, then bias; gamma, then
// beta), padded with zeros to whole vectors; gradients and slots have the same layout. `work` is what one
// step needs. Both are laid out by network_size.h.
//
// Layers with parameters are "trained layers", named by type and number from 1 ("dense_1", "batch_norm_1",
// "dense_2"), in order from the input's side.
// Thread safety: one network, one thread.
#ifndef NABLA_TRAIN_NETWORK_H
#define NABLA_TRAIN_NETWORK_H

#include "math/random.h"
#include "math/real.h"
#include "math/summary.h"
#include "train/network_size.h"
#include "train/optimizer.h"

enum network_mode { NETWORK_TRAIN, NETWORK_INFER };

enum { LAYER_NAME_SIZE = 40 };

struct layer {
    const struct layer_spec *spec;
    struct layer_size size;
    char name[LAYER_NAME_SIZE]; // of a trained layer; "" for others
    size_t observed; // of a trained layer: the index of the layer whose outputs are its activations
    size_t stride;   // numbers of a trained layer's parameters, padding included
    real *parameters, *gradient, *slots[OPTIMIZER_SLOTS_MAX];
    real *average; // of the parameters over the steps; NULL without use_ema
    real *sum;     // of the gradients of an update's batches; NULL where there is one
    real *running, *cache;
    struct layer *branch;        // of a residual: the layer that its branch begins with
    struct layer *shortcuts;     // the residuals whose branch begins with this layer
    struct layer *next_shortcut; // of a residual: the next of them
    const real *input;           // rows × size.inputs: the output of the layer before
    real *output;                // rows × size.outputs
};

struct network {
    struct layer *layers;
    size_t layer_count;
    size_t *trained; // indices of trained layers
    size_t trained_count;
    size_t inputs, outputs, rows_max;
    real *state;
    size_t state_count;
    real *average, *running, *best;        // where in the state they begin; NULL without the first, the last
    size_t parameter_count, running_count; // of the state, paddings included
    real *work;
    real *input;          // rows × inputs: the caller writes the batch here
    real *gradients[2];   // in turn: that of a layer's output and that of its input
    struct random random; // the dropout's stream
};

// The i-th trained layer.
static inline struct layer *network_trained(const struct network *network, size_t i)
{
    return &network->layers[network->trained[i]];
}

// What an update saw of a trained layer.
struct update_summary {
    struct summary gradient, weights, change; // weights: after the update
    double square_before;                     // Σ w² before it
};

// `spec` has been completed and must outlive the network; batches have up to `rows_max` rows. Parameters
// start as network_initialize leaves them.
ENGINE enum nabla_code network_new(const struct train_spec *spec, size_t inputs, size_t rows_max,
                                   struct network **ret, struct nabla_error *err);
// The same without memory for a single number: layers, names and sizes.
ENGINE enum nabla_code network_describe(const struct train_spec *spec, size_t inputs, size_t rows_max,
                                        struct network **ret, struct nabla_error *err);
ENGINE void network_free(struct network *network);

// Weights by their initialisers, in order; biases and beta 0, gamma 1, running mean 0 and variance 1.
ENGINE void network_initialize(struct network *network, struct random *random);

// From network->input to the last layer's output, rows × outputs, which it returns.
ENGINE const real *network_forward(struct network *network, size_t rows, enum network_mode mode);
// Where the loss leaves its gradient with respect to that output, before network_backward.
ENGINE real *network_loss_gradient(struct network *network);
// Fills every trained layer's gradient, from what the newest forward in NETWORK_TRAIN left.
ENGINE void network_backward(struct network *network, size_t rows);
// After the backward of each of an update's batches, `index` of `count`: the last leaves the mean of their
// gradients. Needs use of gradient_accumulation_steps.
ENGINE void network_accumulate(struct network *network, size_t index, size_t count);
// The squared norm of all gradients together, as they stand.
ENGINE double network_gradient_square(const struct network *network);
// What the layers' rules add to the loss, at the present parameters; and its gradient, added to theirs.
ENGINE double network_penalty(const struct network *network);
ENGINE void network_penalty_gradient(struct network *network);
// One step of the optimiser, on clipped gradients where the step says so; the layers keep theirs as they
// were, and summaries are of those. `summaries`, one for each trained layer, are filled unless NULL; their
// square_before is computed where it is NaN and trusted where it is not. Averages follow, then max_norm: the
// weights' summary is taken after it, that of the change before.
ENGINE void network_update(struct network *network, const struct optimizer_step *step,
                           struct update_summary *summaries);

// With use_ema: puts the averaged weights in the parameters' place and these in theirs; twice is nothing.
ENGINE void network_swap_average(struct network *network);
// Keeps the present parameters and running statistics as the best ones; takes those back.
ENGINE void network_keep_best(struct network *network);
ENGINE void network_restore_best(struct network *network);

#endif
