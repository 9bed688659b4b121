// Built-in data sets, made by seed: the same seed and sizes give the same bits everywhere.
// Thread safety: pure functions.
#ifndef NABLA_DATA_GENERATOR_H
#define NABLA_DATA_GENERATOR_H

#include "data/dataset.h"

enum generator_type {
    GENERATOR_BLOBS,      // one Gaussian blob a class, centres in a box
    GENERATOR_MOONS,      // two interleaving half circles (2 features, 2 classes)
    GENERATOR_SPIRALS,    // one spiral arm a class (2 features)
    GENERATOR_RINGS,      // concentric rings (2 features)
    GENERATOR_XOR,        // four quadrants (2 features, 2 classes)
    GENERATOR_IMBALANCED, // blobs whose class sizes fall geometrically, from most to fewest by `imbalance`
    GENERATOR_RANDOM,     // the article's: features uniform in [0, 1), labels independent of them
    GENERATOR_LINEAR,     // regression: targets that are linear in normal features
    GENERATOR_FRIEDMAN,   // regression: Friedman's first problem (5 features or more, 1 target)
    GENERATOR_LABELS,     // several labels: each is the side of a plane that normal features lie on
    GENERATOR_COUNT
};

struct generator {
    enum generator_type type;
    size_t rows, features; // features, classes and targets are fixed by some types (the validator says so)
    size_t classes;        // 0 where the rows have targets
    size_t targets;        // 0 where they have classes
    double noise;          // standard deviation of what is added to each feature; to each target or distance
    double imbalance;      // largest class over smallest, at least 1
    uint64_t seed;
};

struct generator generator_defaults(enum generator_type type);
const char *generator_name(enum generator_type type);
int generator_find(const char *name); // or -1

// Pointers in errors are relative to the generator's object ("/rows", "/classes").
enum nabla_code generator_make(const struct generator *generator, const struct dataset_limits *limits,
                               struct dataset **ret, struct nabla_error *err);

#endif
