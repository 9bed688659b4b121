// Which fields an optimiser has beside its learning rate: one table for their defaults' checks, for reading
// and for writing. Thread safety: constants.
#ifndef NABLA_TRAIN_OPTIMIZER_OPTION_H
#define NABLA_TRAIN_OPTIMIZER_OPTION_H

#include "train/spec.h"

enum optimizer_option_range {
    OPTION_FRACTION, // in [0, 1)
    OPTION_AMOUNT,   // finite, at least 0
    OPTION_POSITIVE, // above 0, at most 1
};

struct optimizer_option {
    const char *name;
    size_t offset;  // in struct optimizer_spec, of a double
    unsigned types; // bits of enum optimizer_type that have it
    enum optimizer_option_range range;
};
extern const struct optimizer_option optimizer_options[];
extern const size_t optimizer_option_count;

// The same for truth values.
struct optimizer_flag {
    const char *name;
    size_t offset;
    unsigned types;
};
extern const struct optimizer_flag optimizer_flags[];
extern const size_t optimizer_flag_count;

// Which optimisers know the two placements of epsilon; the others have Keras' own.
bool optimizer_has_placement(enum optimizer_type type);

bool optimizer_option_right(const struct optimizer_option *option, const struct optimizer_spec *spec);
// What a value must be, for the text of an error.
const char *optimizer_option_rule(const struct optimizer_option *option);

#endif
