// Which fields an optimiser, a learning-rate schedule and early stopping have: one table for each, for
// checking, for reading and for writing. Thread safety: constants and pure functions.
#ifndef NABLA_TRAIN_SPEC_OPTION_H
#define NABLA_TRAIN_SPEC_OPTION_H

#include "train/spec.h"

enum spec_option_range {
    OPTION_FRACTION, // in [0, 1)
    OPTION_AMOUNT,   // finite, at least 0
    OPTION_POSITIVE, // above 0, at most 1
    OPTION_FACTOR,   // finite, above 0
    OPTION_WHOLE,    // a whole number, at most 2^53 − 1
    OPTION_COUNT,    // the same, at least 1
};

struct spec_option {
    const char *name;
    size_t offset;  // in its struct, of a double
    unsigned types; // bits of the types that have it
    enum spec_option_range range;
};

// Truth values.
struct spec_flag {
    const char *name;
    size_t offset;
    unsigned types;
};

struct spec_options {
    const struct spec_option *numbers;
    size_t number_count;
    const struct spec_flag *flags;
    size_t flag_count;
};
extern const struct spec_options optimizer_options; // in struct optimizer_spec, bits of enum optimizer_type
extern const struct spec_options schedule_options;  // in struct schedule_spec, bits of enum schedule_type
extern const struct spec_options early_stopping_options; // in struct early_stopping, of one type, 0

// Which optimisers know the two placements of epsilon; the others have Keras' own.
bool optimizer_has_placement(enum optimizer_type type);

// Whether the option has a value within its range, as the float of training has it.
bool spec_option_right(const struct spec_option *option, const void *object);
// What a value must be, for the text of an error.
const char *spec_option_rule(const struct spec_option *option);
// The first option of this type whose value is not right, or NULL.
const struct spec_option *spec_options_wrong(const struct spec_options *options, unsigned type,
                                             const void *object);

#endif
