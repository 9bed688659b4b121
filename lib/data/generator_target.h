// What a generated row's targets are, of the generators that make rows to regress on or with several labels.
// Internal to the generator. Thread safety: pure functions of their arguments.
#ifndef NABLA_DATA_GENERATOR_TARGET_H
#define NABLA_DATA_GENERATOR_TARGET_H

#include "data/generator.h"
#include "math/random.h"

// Draws the features of one row and computes its targets, noise included. `weights` is targets × features, in
// [-5, 5).
typedef void generator_target(const struct generator *generator, const float *weights, struct random *random,
                              float *row, float *targets);

// Normal features; each target is Σ weight · feature plus noise: scikit-learn's make_regression without idle
// features.
generator_target target_linear;
// Uniform features in [0, 1); 10 sin(π x₀ x₁) + 20 (x₂ − 1/2)² + 10 x₃ + 5 x₄ plus noise; further features
// say nothing. Friedman, Multivariate Adaptive Regression Splines, 1991, equation 61.
generator_target target_friedman;
// Normal features; each label is 1 on one side of a plane through 0, after noise was added to the distance.
generator_target target_labels;

#endif
