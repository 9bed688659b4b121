// Histograms of a layer's numbers on one fixed, symmetric, logarithmic scale, so that those of different
// layers, steps and jobs can be added and laid beside each other.
//
// 64 bins, in the numbers' order. Bins 33 to 63 hold positive numbers: bin 32 + j those from 4^(j−24) on and
// below 4^(j−23), the last everything above; bin 32 what is below 4^−23 (1.4e-14), zeros of either sign
// among them. Bins 31 to 0 hold the negative ones in the same way, bin 31 − j mirroring bin 32 + j: a number
// on an edge belongs to the bin further out. NaN and infinities are in no bin, but counted.
// Thread safety: pure functions of their arguments.
#ifndef NABLA_BASE_HISTOGRAM_H
#define NABLA_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BINS = 64 };

struct histogram {
    uint64_t counts[HISTOGRAM_BINS];
    uint64_t nonfinite; // in no bin
};

// What a layer's histograms are of. name, description
#define HISTOGRAM_KINDS(X)                                                                                   \
    X(GRADIENTS, gradients, "entries of the gradient of weights and biases, before clipping")                \
    X(WEIGHTS, weights, "weights and biases, after the step")                                                \
    X(ACTIVATIONS, activations, "the layer's outputs over the batch")

enum histogram_kind {
#define KIND_ENUM(id, name, description) HISTOGRAM_##id,
    HISTOGRAM_KINDS(KIND_ENUM)
#undef KIND_ENUM
        HISTOGRAM_KIND_COUNT
};

extern const char *const histogram_kind_names[HISTOGRAM_KIND_COUNT]; // "gradients", …

// One layer's at one step; index and name as in struct layer_record.
struct layer_histograms {
    unsigned index;
    const char *name; // borrowed
    struct histogram of[HISTOGRAM_KIND_COUNT];
};

// All layers' at one step.
struct histogram_record {
    uint64_t step;
    const struct layer_histograms *layers; // borrowed
    size_t layer_count;
};

// The 63 edges between the bins, in order: edges[i] lies between bin i and bin i + 1. The middle one is 0.
void histogram_edges(double ret[HISTOGRAM_BINS - 1]);

// The bin of a finite number.
size_t histogram_bin(double x);

// The same for a float, from its bits.
static inline size_t histogram_bin_float(float x)
{
    union {
        float value;
        uint32_t bits;
    } both = {.value = x};
    const int exponent = (int)(both.bits >> 23 & 0xff), j = exponent < 81 ? 0 : (exponent - 79) >> 1;
    const size_t out = (size_t)(j > HISTOGRAM_BINS / 2 - 1 ? HISTOGRAM_BINS / 2 - 1 : j);
    return x < 0 ? HISTOGRAM_BINS / 2 - 1 - out : HISTOGRAM_BINS / 2 + out;
}

// The number below which the share `fraction` of the finite entries lies, as near as the bins tell: bins are
// taken as evenly filled between their edges' logarithms, the innermost two between 0 and their edge. What
// lies in the outermost two is taken as at their inner edge. NaN where there is no finite entry.
double histogram_quantile(const struct histogram *histogram, double fraction);

#endif
