// The rows that a job trains on and validates with, ready for the network: split, imputed and scaled by what
// the training rows tell, gathered batch by batch.
//
// In memory, the features are a copy that is ready (or the data set's own, where there is nothing to do).
// Streamed, they stay where the data set has them, its file, and each batch is made ready while it is
// gathered: the numbers are the same. An epoch's order is then such that a file is read in long pieces:
// blocks of neighbouring training rows in a random order, of which a window of spec_shuffle_rows rows at a
// time is shuffled (tf.data.Dataset.shuffle's buffer, filled from shuffled shards). A window as large as the
// data is a shuffle like any other.
//
// Ownership: owns its copies; ids are borrowed from the data set. Thread safety: one thread.
#ifndef NABLA_TRAIN_TRAIN_DATA_H
#define NABLA_TRAIN_TRAIN_DATA_H

#include "data/dataset.h"
#include "data/split.h"
#include "data/standardize.h"
#include "math/random.h"
#include "train/task.h"

struct train_data {
    const struct dataset *source;
    float *ready;   // all rows × columns as the network sees them; NULL: made so while they are gathered
    float *imputed; // columns: what stands for missing values, or NULL
    bool standardized;
    struct standardizer standardizer;
    struct split split;
    bool streams;          // from the data set's file
    size_t *order;         // the training rows of this epoch
    size_t window;         // rows that are shuffled together
    size_t block, *blocks; // rows of a block, and the blocks' order; NULL: one window is all
    size_t passed;         // rows since the file was let go of
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
void train_data_gather(struct train_data *data, const size_t *rows, size_t count, float *features,
                       const struct labels *labels);

#endif
