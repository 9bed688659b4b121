// The gradient noise scale tr(Σ) / |G|² (the "simple" one of McCandlish, Kaplan, Amodei et al., An Empirical
// Model of Large-Batch Training, 2018, equations 2.9 and A.1): Σ is the covariance of a row's gradient, G
// their mean. It is about the number of rows beyond which a larger batch pays off less and less. Estimated
// where an update sees gradients of two sizes, which is where it gathers several batches; numerator and
// denominator are averaged over steps, each by itself, since the ratio of one step is mostly noise. Thread
// safety: one thread.
#ifndef NABLA_TRAIN_NOISE_SCALE_H
#define NABLA_TRAIN_NOISE_SCALE_H

#include <stddef.h>

#define NOISE_SCALE_MOMENTUM 0.99 // of the older steps

// All 0 at first. Moving averages, not corrected for their beginning: it is the same in both.
struct noise_scale {
    double trace, square; // tr(Σ); |G|²
};

// A step's gradients: the mean over its `batches` of the squared norms of each one's gradient, and the
// squared norm of their mean. Each batch has `rows` rows. Fewer than two batches tell nothing, nor does what
// is not finite.
void noise_scale_add(struct noise_scale *scale, double mean_square, double square_of_mean, size_t rows,
                     size_t batches);

// NaN where nothing is known yet, or where |G|² is lost in the noise.
double noise_scale_value(const struct noise_scale *scale);

#endif
