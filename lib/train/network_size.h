// How many numbers a network needs, before anything is allocated: the one place that knows the layout's
// sizes. Every part is padded to whole vectors, so that kernels may run over the padding.
// Thread safety: pure functions.
#ifndef NABLA_TRAIN_NETWORK_SIZE_H
#define NABLA_TRAIN_NETWORK_SIZE_H

#include "train/spec.h"

enum { PADDING = 16 }; // numbers; one cache line of floats

// Of one layer, in numbers; none is padded.
struct layer_size {
    size_t inputs, outputs; // per row
    size_t shortcut;        // residual: what went into its branch, per row
    size_t parameters;      // trained
    size_t first;           // of them: those of the first tensor, kernel or gamma
    size_t running;         // kept, but not trained: running statistics
    size_t cache;           // what backward needs beyond inputs and outputs
};

// Of a network, in numbers, paddings included where not said otherwise.
struct network_size {
    size_t trainable;   // parameters, not padded
    size_t parameters;  // each layer's padded
    size_t running;     // each layer's padded
    size_t activations; // inputs and each layer's outputs for a batch
    size_t caches;
    size_t widest; // the largest activation, for the two buffers of gradients
};

// How many numbers a row has in front of a layer, where the network's inputs have `inputs`.
size_t layer_inputs(const struct train_spec *spec, size_t index, size_t inputs);

// The size of a layer for batches of `rows`. False on overflow.
bool layer_measure(const struct train_spec *spec, size_t index, size_t inputs, size_t rows,
                   struct layer_size *ret);

// The size of the network on rows of `inputs` numbers, in batches of `rows`. False on overflow.
bool network_measure(const struct train_spec *spec, size_t inputs, size_t rows, struct network_size *ret);

// What network.h's two slabs take. False on overflow.
bool network_slabs(const struct train_spec *spec, const struct network_size *size, size_t *ret_state,
                   size_t *ret_work);

// Whether gradients of several batches are gathered for an update.
bool network_accumulates(const struct train_spec *spec);

// *ret = count rounded up to whole vectors. False on overflow.
bool size_pad(size_t count, size_t *ret);

// How many numbers an optimiser keeps for each parameter.
enum { OPTIMIZER_SLOTS_MAX = 3 };
size_t optimizer_slots(enum optimizer_type type);

#endif
