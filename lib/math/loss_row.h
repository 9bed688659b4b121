// Inside the loss library: one row in double, the plan of a call, and the table that joins them.
//
// Every loss is computed row by row in double, whatever the batch's type: float32 rows are widened, which
// makes their results correct to the rounding. A kernel sees one row and knows nothing of reductions, sample
// weights, types or warnings; those are the driver's (loss.c). Cross-entropy of class ids from logits, the
// case that matters for speed, has a path of its own (loss_fast.c) that gives the same numbers.
#ifndef NABLA_MATH_LOSS_ROW_H
#define NABLA_MATH_LOSS_ROW_H

#include "math/loss.h"

// How a row's scores become what the formula sees. Which path a convention takes for which input is the table
// in loss_table.c; PATH_NONE where the combination does not exist.
enum loss_path {
    PATH_NONE,
    PATH_LOGITS,           // softmax or sigmoid in log space; scores as they are where there is neither
    PATH_LOGITS_CLIP,      // softmax or sigmoid, then as PATH_CLIP (Keras' focal losses)
    PATH_PROBABILITIES,    // as they are
    PATH_RENORMALISE_CLIP, // p/Σp, clipped to [1e-7, 1-1e-7] (Keras' categorical losses)
    PATH_CLIP,             // clipped to [1e-7, 1-1e-7] (Keras' binary losses)
    PATH_CLIP_BELOW,       // p and targets clipped to [1e-7, 1] (Keras' KL divergence)
    PATH_CLIP_SOFTMAX,     // softmax of ln(clip(p)) (Keras on TensorFlow, sparse)
    PATH_CLAMP_LOG         // logarithms clamped at -100 (torch's BCELoss)
};

// Options beyond type, input, convention, reduction and sample weights.
enum loss_option {
    OPTION_CLASS_WEIGHTS = 1 << 0,
    OPTION_POS_WEIGHT = 1 << 1,
    OPTION_SMOOTHING = 1 << 2,
    OPTION_Z_LOSS = 1 << 3,
    OPTION_LOGIT_SHAPE = 1 << 4, // softcap and temperature
    OPTION_GAMMA = 1 << 5,       // gamma and alpha
    OPTION_EPSILON = 1 << 6,
    OPTION_Q = 1 << 7,
    OPTION_MARGIN = 1 << 8,
    OPTION_DELTA = 1 << 9
};

// What a mean divides by.
enum loss_divisor {
    DIVIDE_WEIGHTS, // Σ weights of the counted rows (exact)
    DIVIDE_COUNTED, // the number of counted rows
    DIVIDE_ENTRIES  // rows × classes: the sample's value is then the sum over its outputs (torch)
};

struct loss_plan;

enum { LOSS_WORK_ROWS = 8 };

// One row at work. All arrays have `classes` entries and are the driver's.
struct loss_row {
    size_t classes;
    size_t label;          // the class id; LOSS_NO_LABEL with targets
    const double *scores;  // as the caller gave them
    const double *targets; // one-hot for ids
    double *probabilities; // out: softmax or sigmoid of logits
    double *complements;   // out of the softmax: 1 - p, without cancellation
    double *logs;          // out of the softmax: ln p
    double *gradient;      // out: with respect to the scores
    double *carried;       // out, from probabilities: with respect to the logits
    double *mass;          // scratch
    double *tails;         // scratch: what rounding has left of the logits as the softmax sees them
    double loss;           // out
    double log_sum;        // out of the softmax: ln Σ exp(logit)
    bool clipped;          // out: a clip stood in the gradient's way
};

#define LOSS_NO_LABEL SIZE_MAX

// One probability under a loss: p, 1 - p and ln p agree but none is computed from the other.
struct loss_point {
    double mass; // the target's share a, class weight included
    double p, complement, log;
};

// The loss's term for one class, which has the mass as a factor.
struct loss_term {
    double value;
    double slope; // d value / d p
    double flow;  // p · slope: finite where the slope is not
};

// One score and its target under an elementwise loss.
struct loss_element {
    double score, target, pos_weight;
};

struct loss_kernel {
    const char *name;
    // The row's loss and gradient.
    void (*row)(const struct loss_plan *plan, struct loss_row *row);
    void (*term)(const struct nabla_loss *loss, const struct loss_point *point, struct loss_term *ret);
    void (*element)(const struct loss_plan *plan, const struct loss_element *element, struct loss_term *ret);
    unsigned options;
    bool binary;                                     // each output is a yes or no of its own
    bool regression;                                 // scores are predictions, targets any finite numbers
    bool hard;                                       // wants class ids or one-hot targets
    enum loss_path paths[NABLA_CONVENTION_COUNT][2]; // by convention and input
    enum loss_divisor divisors[NABLA_CONVENTION_COUNT];
};

extern const struct loss_kernel loss_kernels[NABLA_LOSS_TYPE_COUNT];

// What a call has decided before its first row.
struct loss_plan {
    const struct nabla_loss *loss;
    const struct nabla_loss_batch *batch;
    const struct loss_kernel *kernel;
    enum loss_path path;
    double clip_low, clip_high; // of the batch's dtype, as the framework would have them
    bool sums_outputs;          // the sample's value is the sum, not the mean, over its outputs
    bool weight_per_row;        // a class weight multiplies the whole row (Keras), not its terms
    bool ignoring;
    int64_t ignore_index;
    size_t rows_counted;
    double denominator;
};

// Checks everything and fills *ret; see nabla_loss_compute.
enum nabla_code loss_plan_make(const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                               struct loss_plan *ret, struct nabla_error *err);

// Kernels of the families.
void loss_row_softmax(const struct loss_plan *plan, struct loss_row *row);
void loss_row_binary(const struct loss_plan *plan, struct loss_row *row);
void loss_row_regression(const struct loss_plan *plan, struct loss_row *row);
void loss_row_hinge(const struct loss_plan *plan, struct loss_row *row);

// Terms of the softmax family.
void loss_term_cross_entropy(const struct nabla_loss *, const struct loss_point *, struct loss_term *);
void loss_term_focal(const struct nabla_loss *, const struct loss_point *, struct loss_term *);
void loss_term_poly(const struct nabla_loss *, const struct loss_point *, struct loss_term *);
void loss_term_generalized(const struct nabla_loss *, const struct loss_point *, struct loss_term *);
void loss_term_divergence(const struct nabla_loss *, const struct loss_point *, struct loss_term *);

// Elements of the binary and regression losses; flow is with respect to the element's own logit.
void loss_element_binary(const struct loss_plan *, const struct loss_element *, struct loss_term *);
void loss_element_binary_focal(const struct loss_plan *, const struct loss_element *, struct loss_term *);
void loss_element_squared(const struct loss_plan *, const struct loss_element *, struct loss_term *);
void loss_element_huber(const struct loss_plan *, const struct loss_element *, struct loss_term *);

// row->probabilities, complements, logs and log_sum from `logits`, to which `tails`, their rounding errors,
// are added where it is not NULL. With a NaN or +Infinity among them, or
// nothing but -Infinity, all are NaN.
void loss_softmax(struct loss_row *row, const double *logits, const double *tails);

// gradient_j = flow_j - p_j Σ flow, without cancellation at the class that has almost all the probability.
// `gradient` may be `flow`.
void loss_softmax_backward(size_t classes, const double *p, const double *complement, const double *flow,
                           double *gradient);

struct loss_fast_kernel;

// nabla_loss_compute_threads with a kernel of one's choice, so that all of them can be held against each
// other.
enum nabla_code loss_compute_with(const struct loss_fast_kernel *kernel, size_t threads,
                                  const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                                  struct nabla_loss_result *ret, struct nabla_error *err);

// A row as the warnings see it, before its sample weight.
struct loss_row_facts {
    size_t row;
    double loss;
    double gradient_max; // largest magnitude of the scores' gradient
    double logit_max;    // the same of the gradient with respect to the logits
    bool clipped, correct, nonfinite, unnormalised;
};

void loss_warn_row(struct nabla_warning *warnings, const struct loss_row_facts *facts);
void loss_warn_batch(const struct loss_plan *plan, struct nabla_warning *warnings);
bool loss_row_unnormalised(const struct loss_plan *plan, const double *targets);
bool loss_row_nonfinite(const double *scores, size_t classes);

// The row's own id, ignored or not; LOSS_NO_LABEL with targets.
static inline size_t loss_row_label(const struct nabla_loss_batch *batch, size_t row)
{
    return batch->ids ? (size_t)batch->ids[row] : LOSS_NO_LABEL;
}

static inline bool loss_row_ignored(const struct loss_plan *plan, size_t row)
{
    return plan->ignoring && plan->batch->ids[row] == plan->ignore_index;
}

static inline double loss_sample_weight(const struct nabla_loss_batch *batch, size_t row)
{
    return batch->sample_weights ? batch->sample_weights[row] : 1;
}

// An entry of a matrix of the batch's dtype.
static inline double loss_entry(enum nabla_dtype dtype, const void *matrix, size_t index)
{
    return dtype == NABLA_FLOAT32 ? (double)((const float *)matrix)[index] : ((const double *)matrix)[index];
}

#endif
