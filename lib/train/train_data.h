// The rows that a job trains on and validates with, ready for the network: split, standardised on what the
// training rows tell, gathered batch by batch. Ownership: owns its copies; ids are borrowed from the data
// set. Thread safety: one thread.
#ifndef NABLA_TRAIN_TRAIN_DATA_H
#define NABLA_TRAIN_TRAIN_DATA_H

#include "data/dataset.h"
#include "data/split.h"
#include "data/standardize.h"
#include "math/random.h"
#include "train/task.h"

struct train_data {
    const struct dataset *source;
    float *features; // all rows × columns, standardised if asked
    float *imputed;  // columns: what stood for missing values, or NULL
    bool standardized;
    struct standardizer standardizer;
    struct split split;
    size_t *order;         // the training rows of this epoch
    double *class_weights; // what the loss multiplies classes by, or NULL
    double *row_weights;   // all rows: what each counts in the loss, or NULL for all 1
};

// What is to be learned of some rows. NULL: ids without classes, targets with them, weights where all are 1.
struct labels {
    int64_t *ids;
    float *targets; // rows × outputs
    double *weights;
};

enum nabla_code train_data_new(const struct train_spec *spec, const struct dataset *dataset,
                               struct train_data **ret, struct nabla_error *err);
void train_data_free(struct train_data *data);

// A new order of the training rows, made from the ascending one: it depends on the stream's position alone.
void train_data_shuffle(struct train_data *data, struct random *random);

// Copies `count` rows, by index, into features (count × columns) and labels.
void train_data_gather(const struct train_data *data, const size_t *rows, size_t count, float *features,
                       const struct labels *labels);

#endif
