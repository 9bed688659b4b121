// What the network's inputs are like: the training rows' features as they enter it, filled in and scaled.
// Numbers far from 1 are a common cause of gradients that vanish or explode in the first layer.
// Thread safety: pure functions.
#ifndef NABLA_TRAIN_INPUT_RANGE_H
#define NABLA_TRAIN_INPUT_RANGE_H

#include <stddef.h>

struct input_range {
    size_t count;    // numbers looked at
    double min, max; // meaningless at a count of 0
    double sum, sum_square;
};

// Adds numbers to a range that starts as {0}.
void input_range_add(struct input_range *range, const float *numbers, size_t count);
double input_range_mean(const struct input_range *range);
double input_range_std(const struct input_range *range); // over n

#endif
