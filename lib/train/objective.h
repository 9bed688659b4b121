// What training lowers: the loss of a batch's outputs, with its gradient with respect to them.
//
// From probabilities the outputs go through softmax (binary losses: sigmoid) first, and the loss, under its
// convention, sees what comes out; its gradient goes back through it. So a job can train on a framework's
// dying path. Ownership: an objective owns its buffers. Thread safety: one objective, one thread.
#ifndef NABLA_TRAIN_OBJECTIVE_H
#define NABLA_TRAIN_OBJECTIVE_H

#include "train/task.h"
#include "train/train_data.h"

struct objective {
    enum task task;
    struct nabla_loss loss;
    size_t outputs;
    struct labels labels; // of the batch: the caller fills them
    float *probabilities; // rows × outputs, or NULL from logits
    int64_t *nothing;     // rows ids of 0, for the way from logits to probabilities
};

// Of one batch.
struct objective_value {
    double loss;
    double weight;         // what the loss counts among other batches': its mean's denominator, or 1 of a sum
    double right, counted; // entries that are answered rightly, and of how many; 0 of 0 in regression
};

// `data` must outlive the objective; batches have up to rows_max rows.
enum nabla_code objective_new(const struct train_spec *spec, const struct train_data *data, size_t rows_max,
                              struct objective **ret, struct nabla_error *err);
void objective_free(struct objective *objective);

// Of the labels' rows whose network outputs are `scores`, rows × outputs. `gradient`, of their shape, may be
// NULL.
enum nabla_code objective_compute(struct objective *objective, const float *scores, size_t rows,
                                  float *gradient, struct objective_value *ret, struct nabla_error *err);

// NaN where nothing is counted.
double objective_accuracy(const struct objective_value *value);

// Joins a batch's value to those of others: the loss is their mean by weight, of sums the sum.
void objective_join(const struct objective *objective, struct objective_value *sum,
                    const struct objective_value *batch);

#endif
