// Losses and their gradients for a batch of rows: the heart of Nabla.
//
// Shapes: `scores` is rows × classes, row-major and contiguous; gradients and probabilities have its shape
// and dtype; per_sample has `rows` entries of that dtype. Losses are in nats. Ownership: all memory is the
// caller's; the functions allocate nothing that outlives the call. Thread safety: pure functions of their
// arguments; any number of threads may call them at once. Formulas and their sources stand at each loss in
// loss_*.c; conventions in docs/losses.md.
#ifndef NABLA_MATH_LOSS_H
#define NABLA_MATH_LOSS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nabla_dtype { NABLA_FLOAT32, NABLA_FLOAT64 };

// What the scores are: unnormalised logits, or probabilities (then the gradient is taken with respect to
// them).
enum nabla_loss_input { NABLA_LOGITS, NABLA_PROBABILITIES };

enum nabla_reduction { NABLA_MEAN, NABLA_SUM, NABLA_NONE };

enum nabla_loss_type {
    NABLA_CROSS_ENTROPY,
    NABLA_BINARY_CROSS_ENTROPY,
    NABLA_FOCAL,
    NABLA_BINARY_FOCAL,
    NABLA_POLY,
    NABLA_GENERALIZED_CROSS_ENTROPY,
    NABLA_KL_DIVERGENCE,
    NABLA_HINGE,
    NABLA_SQUARED_HINGE,
    NABLA_MEAN_SQUARED_ERROR,
    NABLA_HUBER,
    NABLA_LOSS_TYPE_COUNT
};

// Whose formula and constants: a framework's, or the exact one.
enum nabla_convention {
    NABLA_EXACT,
    NABLA_TORCH,
    NABLA_KERAS,
    NABLA_KERAS_TF_SPARSE,
    NABLA_OPTAX,
    NABLA_CONVENTION_COUNT
};

// The loss and its options. Start from nabla_loss_defaults(type).
struct nabla_loss {
    enum nabla_loss_type type;
    enum nabla_loss_input input;
    enum nabla_convention convention;
    enum nabla_reduction reduction;
    const double *class_weights; // `classes` finite numbers >= 0, borrowed; NULL for all 1
    const double *pos_weight;    // binary losses: `classes` numbers, borrowed; NULL for all 1
    bool has_ignore_index;       // rows whose id is ignore_index count nothing
    int64_t ignore_index;
    double label_smoothing; // in [0, 1)
    double z_loss;          // λ of λ·lse²
    double softcap;         // logits become c·tanh(x/c); 0 for none
    double temperature;     // logits are divided by it; 1 for none
    double gamma;           // focal losses
    double alpha;           // focal losses' class balance; NaN for none
    double epsilon;         // poly
    double q;               // generalized cross-entropy, in (0, 1]
    double margin;          // hinges
    double delta;           // huber
};

// A batch. Exactly one of `ids` and `targets` is set.
struct nabla_loss_batch {
    enum nabla_dtype dtype;
    size_t rows, classes; // both at least 1
    const void *scores;   // rows × classes of dtype
    const int64_t *ids;   // rows class ids
    const void *targets;  // rows × classes of dtype: one-hot, soft, multi-label or regression targets
    const double *sample_weights; // rows finite numbers >= 0, or NULL for all 1
};

enum nabla_warning_code {
    NABLA_WARN_GRADIENT_CLIPPED,  // a clip of the convention made the row's gradient exactly 0
    NABLA_WARN_GRADIENT_VANISHED, // the row's loss is above ln 2 and its largest gradient entry below 1e-7
    NABLA_WARN_SATURATED_CORRECT, // nothing left to learn: the row is right and its gradient tiny
    NABLA_WARN_NONFINITE_LOGIT,   // a NaN or +Infinity score in the row
    NABLA_WARN_TARGETS_NOT_NORMALISED,
    NABLA_WARN_ALL_ROWS_IGNORED,
    NABLA_WARN_CLASS_WITHOUT_SAMPLES,
    NABLA_WARNING_COUNT
};

enum { NABLA_WARNING_ROWS = 100 };

struct nabla_warning {
    size_t count;                    // exact
    size_t rows[NABLA_WARNING_ROWS]; // the first of them, ascending (classes for CLASS_WITHOUT_SAMPLES)
};

// What to compute. Any pointer may be NULL; the numbers are always filled.
struct nabla_loss_result {
    void *gradient;        // of the reduced loss with respect to the scores; may be the scores' own memory
    void *gradient_logits; // with probabilities: carried on through softmax (logits = ln p)
    void *probabilities;   // softmax (or sigmoid) of the logits
    void *per_sample;      // each row's loss, weights included; ignored rows 0
    struct nabla_warning *warnings; // NABLA_WARNING_COUNT of them, or NULL not to look
    double loss;                    // reduced; NaN-free only if the input is; unused with NABLA_NONE
    double denominator;             // what mean divides by
    double gradient_norm;           // L2, of `gradient` as returned (computed also when gradient is NULL)
    double accuracy; // share of counted rows whose largest score is the label's; NaN where undefined
    size_t rows_counted;
};

NABLA_API struct nabla_loss nabla_loss_defaults(enum nabla_loss_type type);

// Checks the options and the batch (labels in range, weights' signs, combinations that exist) before any work
// and computes. NABLA_INVALID names the offending field by its pointer in the contract ("/labels/3",
// "/loss/class_weights/0"). On failure nothing of *ret but memory it points to has changed.
NABLA_API enum nabla_code nabla_loss_compute(const struct nabla_loss *loss,
                                             const struct nabla_loss_batch *batch,
                                             struct nabla_loss_result *ret, struct nabla_error *err);

// The same, with the rows shared by up to `threads` threads that end with the call. Small batches take fewer;
// the results have the same bits whatever the number.
NABLA_API enum nabla_code nabla_loss_compute_threads(const struct nabla_loss *loss,
                                                     const struct nabla_loss_batch *batch, size_t threads,
                                                     struct nabla_loss_result *ret, struct nabla_error *err);

// The kernels that this processor runs ("avx512", "avx2", "portable"): same name, same bits.
NABLA_API const char *nabla_loss_kernel_name(void);

// Names as the contract spells them ("cross_entropy", "keras_tf_sparse", "gradient_clipped"), by enum value;
// the find functions return the value or -1.
NABLA_API const char *nabla_loss_type_name(enum nabla_loss_type type);
NABLA_API const char *nabla_convention_name(enum nabla_convention convention);
NABLA_API const char *nabla_reduction_name(enum nabla_reduction reduction);
NABLA_API const char *nabla_warning_name(enum nabla_warning_code code);
NABLA_API const char *nabla_warning_detail(enum nabla_warning_code code); // a sentence: cause and remedy
NABLA_API int nabla_loss_type_find(const char *name);
NABLA_API int nabla_convention_find(const char *name);
NABLA_API int nabla_reduction_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
