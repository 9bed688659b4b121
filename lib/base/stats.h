// The statistics that a training step can record: one table, from which the store makes its columns, the api
// its field names and the contract its documentation. Adding a statistic is one row here and the code that
// fills it.
//
// A record holds one double for each; what was not recorded differs from what was recorded as NaN:
// which statistics a job records is a bit mask that stands with the job.
//
// A record may cover several steps: its own, and those since the record before, which were looked at as well
// and folded in. Of each statistic it then holds the mean, the least and the largest of its finite values
// over these steps, and how many were NaN or infinite. Statistics that are taken at the record's own step
// alone have that value as all three.
#ifndef NABLA_BASE_STATS_H
#define NABLA_BASE_STATS_H

#include <stddef.h>
#include <stdint.h>

// Of the whole network. name, unit, description
#define NETWORK_STATS(X)                                                                                     \
    X(LOSS, loss, "", "training loss of the step's batch, regularisers included")                            \
    X(ACCURACY, accuracy, "fraction", "share of the batch's rows classified rightly; a tie counts as wrong") \
    X(LEARNING_RATE, learning_rate, "", "learning rate that the step used")                                  \
    X(GRADIENT_NORM, gradient_norm, "", "L2 norm of the gradient of all parameters, before clipping")        \
    X(GRADIENT_RATIO_FIRST_LAST, gradient_ratio_first_last, "",                                              \
      "gradient norm of the first layer with parameters over that of the last")                              \
    X(GRADIENT_NOISE_SCALE, gradient_noise_scale, "",                                                        \
      "rows of a batch beyond which larger ones pay off less, where an update has several batches")          \
    X(VALIDATION_LOSS, validation_loss, "", "loss on the validation part, at the end of an epoch")           \
    X(VALIDATION_ACCURACY, validation_accuracy, "fraction", "accuracy on the validation part, likewise")     \
    X(VALIDATION_TOP_5_ACCURACY, validation_top_5_accuracy, "fraction",                                      \
      "share of validation rows whose class is among the five most probable")                                \
    X(VALIDATION_F1, validation_f1, "", "mean of the classes' F1 on the validation part")                    \
    X(VALIDATION_CALIBRATION_ERROR, validation_calibration_error, "fraction",                                \
      "expected calibration error on the validation part, in 15 bins")                                       \
    X(VALIDATION_R2, validation_r2, "", "coefficient of determination on the validation part")               \
    X(VALIDATION_MAE, validation_mae, "", "mean absolute error on the validation part")                      \
    X(SAMPLES_PER_SECOND, samples_per_second, "1/s", "training rows per second since the record before")

// Of one layer. "Gradient" is that of its weights and biases together, before clipping.
#define LAYER_STATS(X)                                                                                       \
    X(GRADIENT_NORM, gradient_norm, "", "L2 norm of the gradient")                                           \
    X(GRADIENT_MAX_ABS, gradient_max_abs, "", "largest magnitude of a gradient entry")                       \
    X(GRADIENT_MEAN, gradient_mean, "", "mean of the gradient's entries")                                    \
    X(GRADIENT_MEAN_ABS, gradient_mean_abs, "", "mean magnitude of the gradient's entries")                  \
    X(GRADIENT_STD, gradient_std, "", "standard deviation of the gradient's entries (over n)")               \
    X(GRADIENT_P5, gradient_p5, "",                                                                          \
      "5th percentile of the gradient's entries, from the step's histogram: within a factor of 4")           \
    X(GRADIENT_P95, gradient_p95, "", "95th percentile, likewise")                                           \
    X(GRADIENT_ZERO_FRACTION, gradient_zero_fraction, "fraction", "share of entries that are exactly 0")     \
    X(GRADIENT_TINY_FRACTION, gradient_tiny_fraction, "fraction", "share of entries with |g| < 1e-7")        \
    X(WEIGHT_NORM, weight_norm, "", "L2 norm of the parameters, after the step")                             \
    X(WEIGHT_MEAN, weight_mean, "", "mean of the parameters")                                                \
    X(WEIGHT_STD, weight_std, "", "standard deviation of the parameters (over n)")                           \
    X(UPDATE_NORM, update_norm, "", "L2 norm of the step's change of the parameters")                        \
    X(UPDATE_MAX_ABS, update_max_abs, "", "largest change of a parameter")                                   \
    X(UPDATE_RATIO, update_ratio, "", "update_norm over the parameters' norm before the step")               \
    X(ACTIVATION_MEAN, activation_mean, "", "mean of the layer's outputs over the batch")                    \
    X(ACTIVATION_MEAN_ABS, activation_mean_abs, "", "mean magnitude of the layer's outputs")                 \
    X(ACTIVATION_STD, activation_std, "", "standard deviation of the layer's outputs (over n)")              \
    X(NONPOSITIVE_FRACTION, nonpositive_fraction, "fraction", "share of outputs that are not above 0")       \
    X(SATURATED_FRACTION, saturated_fraction, "fraction", "share of outputs where the activation is flat")   \
    X(DEAD_UNIT_FRACTION, dead_unit_fraction, "fraction",                                                    \
      "share of units whose outputs were all where the activation is flat, over 100 steps or as many")       \
    X(NONFINITE_COUNT, nonfinite_count, "", "NaN or infinite entries among gradient, weights and outputs")

enum network_stat {
#define STAT_ENUM(id, name, unit, description) NETWORK_##id,
    NETWORK_STATS(STAT_ENUM)
#undef STAT_ENUM
        NETWORK_STAT_COUNT
};

enum layer_stat {
#define STAT_ENUM(id, name, unit, description) LAYER_##id,
    LAYER_STATS(STAT_ENUM)
#undef STAT_ENUM
        LAYER_STAT_COUNT
};

struct stat_info {
    const char *name;        // the column in SQLite and the field in JSON and CSV
    const char *unit;        // "" for a plain number
    const char *description; // one line for documentation
};

extern const struct stat_info network_stats[NETWORK_STAT_COUNT];
extern const struct stat_info layer_stats[LAYER_STAT_COUNT];

// The index of a statistic by its name in a table of `count` rows, or -1.
int stat_find(const struct stat_info *table, size_t count, const char *name);

// One layer at one recorded step. `recorded` has bit i set when values[i] was recorded.
// values[i] is the mean over the steps covered; where none of them was finite, the newest.
struct layer_record {
    unsigned index;   // position among the network's layers with parameters, from 0 (the input's side)
    const char *name; // borrowed; e.g. "dense_1"
    uint32_t recorded;
    double values[LAYER_STAT_COUNT];
    double minima[LAYER_STAT_COUNT], maxima[LAYER_STAT_COUNT]; // of finite values; as values without any
    uint32_t nonfinite[LAYER_STAT_COUNT];                      // steps whose value was not finite
};

// The network at one recorded step, with its layers. Step k is the state after k updates. `steps` is how many
// it covers, itself included: step − steps + 1 … step. 0 or 1: itself alone, and then its minima, maxima and
// nonfinite, and those of its layers, mean nothing.
struct step_record {
    uint64_t step;
    uint32_t steps;
    uint32_t recorded;
    double values[NETWORK_STAT_COUNT];
    double minima[NETWORK_STAT_COUNT], maxima[NETWORK_STAT_COUNT];
    uint32_t nonfinite[NETWORK_STAT_COUNT];
    const struct layer_record *layers; // borrowed
    size_t layer_count;
};

#endif
