// What a training job is, with every default spelled out: the value that api decodes, the store keeps (as
// JSON text) and the trainer runs. Defaults are Keras' where Keras has one (keras.layers, keras.optimizers,
// version 3). Ownership: a spec owns its layers and class weights; spec_free releases them. Thread safety:
// read by any number of threads.
#ifndef NABLA_TRAIN_SPEC_H
#define NABLA_TRAIN_SPEC_H

#include "base/error.h"
#include "data/impute.h"
#include "data/split.h"
#include "data/standardize.h"
#include "math/loss.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum layer_type {
    LAYER_TYPE_DENSE,
    LAYER_TYPE_BATCH_NORM,
    LAYER_TYPE_LAYER_NORM,
    LAYER_TYPE_ACTIVATION,
    LAYER_TYPE_DROPOUT,
    LAYER_TYPE_ALPHA_DROPOUT, // keeps selu's mean and deviation (Klambauer et al., NeurIPS 2017)
    LAYER_TYPE_RESIDUAL,      // the end of a branch: what went into it is added to what came out
    LAYER_TYPE_COUNT
};

enum activation {
    ACTIVATION_LINEAR,
    ACTIVATION_SIGMOID,
    ACTIVATION_TANH,
    ACTIVATION_RELU,
    ACTIVATION_LEAKY_RELU,
    ACTIVATION_ELU,
    ACTIVATION_SELU,
    ACTIVATION_GELU,
    ACTIVATION_SILU,
    ACTIVATION_SOFTPLUS,
    ACTIVATION_SOFTSIGN,
    ACTIVATION_HARD_SIGMOID,
    ACTIVATION_MISH,
    ACTIVATION_COUNT
};

enum initializer {
    INITIALIZER_GLOROT_UNIFORM, // Glorot and Bengio, AISTATS 2010
    INITIALIZER_GLOROT_NORMAL,
    INITIALIZER_HE_UNIFORM, // He et al., ICCV 2015
    INITIALIZER_HE_NORMAL,
    INITIALIZER_LECUN_UNIFORM, // LeCun et al., 1998
    INITIALIZER_LECUN_NORMAL,
    INITIALIZER_ORTHOGONAL, // Saxe et al., ICLR 2014
    INITIALIZER_TRUNCATED_NORMAL,
    INITIALIZER_UNIFORM,
    INITIALIZER_NORMAL,
    INITIALIZER_ZEROS,
    INITIALIZER_ONES,
    INITIALIZER_CONSTANT,
    INITIALIZER_COUNT
};

enum optimizer_type {
    OPTIMIZER_SGD,
    OPTIMIZER_ADAM,
    OPTIMIZER_ADAMW,
    OPTIMIZER_AMSGRAD,
    OPTIMIZER_NADAM,
    OPTIMIZER_RMSPROP,
    OPTIMIZER_ADAGRAD,
    OPTIMIZER_ADADELTA,
    OPTIMIZER_ADAMAX,
    OPTIMIZER_LION,
    OPTIMIZER_COUNT
};

// Where Adam's epsilon stands: beside the uncorrected √v as Keras has it, or beside the bias-corrected √v̂ as
// PyTorch and the paper's Algorithm 1 have it.
enum epsilon_placement { EPSILON_UNCORRECTED, EPSILON_CORRECTED, EPSILON_PLACEMENT_COUNT };

// What goes on the input's side of a residual: itself, or itself times a matrix; where the widths differ it
// must be the latter. spec_complete decides PROJECTION_AUTO.
enum projection { PROJECTION_AUTO, PROJECTION_NONE, PROJECTION_DENSE };

// What holds a tensor of a layer small, 0 for none: l1·Σ|w| + l2·Σw² in the loss, and after each update the
// norm of each unit's weights (of a vector: its own norm) brought down to max_norm.
struct tensor_rule {
    double l1, l2, max_norm;
};

// A layer has up to two tensors: kernel and bias, or gamma and beta.
enum { LAYER_TENSORS = 2 };

// One layer of the list, which is flat: a residual follows the `branch` layers that it belongs to. Fields
// beyond its type's are unused.
struct layer_spec {
    enum layer_type type;
    size_t units;                 // dense
    enum initializer initializer; // dense, residual: kernel; biases start at 0
    double initializer_value;     // its option, where it has one (initializer_option)
    bool use_bias;                // dense
    struct tensor_rule rules[LAYER_TENSORS];
    enum activation activation; // activation
    double alpha;               // activation: its option, where it has one (activation_option)
    double rate;                // dropout, alpha_dropout: in [0, 1)
    double momentum;            // batch_norm: of the old running value, 0.99
    double epsilon;             // batch_norm, layer_norm: 1e-3
    size_t branch;              // residual: how many layers of the list before it are its own, at least 1
    enum projection projection; // residual
};

enum schedule_type {
    SCHEDULE_CONSTANT,
    SCHEDULE_STEP,
    SCHEDULE_EXPONENTIAL,
    SCHEDULE_POLYNOMIAL,
    SCHEDULE_INVERSE_TIME,
    SCHEDULE_COSINE,
    SCHEDULE_COSINE_RESTARTS,
    SCHEDULE_ONE_CYCLE,
    SCHEDULE_REDUCE_ON_PLATEAU,
    SCHEDULE_COUNT
};

// How the learning rate goes on from the optimiser's learning_rate; formulas in train/schedule.h. Which
// schedule has which field stands in train/spec_option.h.
struct schedule_spec {
    enum schedule_type type;
    double decay_steps; // whole; 0, for those that span a job: its steps after the warm-up
    double decay_rate;
    bool staircase;                                                  // exponential, inverse_time
    double end_learning_rate, power;                                 // polynomial
    bool cycle;                                                      // polynomial
    double alpha, t_mul, m_mul;                                      // cosine, cosine_restarts
    double pct_start, div_factor, final_div_factor;                  // one_cycle
    double factor, patience, min_delta, cooldown, min_learning_rate; // reduce_on_plateau
    double warmup_steps, warmup_initial_learning_rate;               // in front of any
};

// Which optimiser has which field stands in train/spec_option.h; the others are unused.
struct optimizer_spec {
    enum optimizer_type type;
    double learning_rate; // where the schedule starts (one_cycle: its highest)
    struct schedule_spec schedule;
    double momentum, rho, beta_1, beta_2, epsilon, initial_accumulator_value;
    double weight_decay; // decoupled: each step takes learning_rate · weight_decay of every parameter first
    double clip_value, clip_norm, global_clip_norm; // of gradients; 0: not. At most one of them
    double gradient_accumulation_steps;             // batches whose mean gradient makes one update
    double ema_momentum, ema_overwrite_frequency;   // of the averaged weights; 0: never overwritten by them
    bool nesterov, centered, use_ema;
    enum epsilon_placement epsilon_placement;
};

// What early stopping and the choice of the best epoch go by.
enum monitor {
    MONITOR_VALIDATION_LOSS,
    MONITOR_VALIDATION_ACCURACY,
    MONITOR_LOSS, // of the epoch's batches
    MONITOR_ACCURACY,
    MONITOR_COUNT
};

// Keras 3: keras/src/callbacks/early_stopping.py.
struct early_stopping {
    bool active;
    enum monitor monitor;
    double patience, min_delta; // epochs without improvement by more than min_delta
    double start_from_epoch;    // epochs before it are not looked at
    bool restore_best;          // the model is that of the best epoch
};

enum { TRAIN_THREADS_MAX = 256 };

// Whether the features stay in the data set's file while they are trained with.
enum streaming {
    STREAMING_AUTO, // spec_fit decides; until then they do not
    STREAMING_NEVER,
    STREAMING_ALWAYS
};

struct train_spec {
    struct layer_spec *layers; // the output layer's dense included, once spec_complete has run
    size_t layer_count;
    size_t layer_room;   // how many layers there is memory for; spec_add_layer keeps it
    bool output_written; // the layers as given end in the output layer: none is added
    struct nabla_loss loss;
    bool class_weights_balanced; // n / (classes · n_c) over the training rows, as scikit-learn's "balanced"
    double *class_weights;       // owned; loss.class_weights points here once known
    size_t class_weight_count;
    double *pos_weight; // owned, one an output: binary losses'
    size_t pos_weight_count;
    struct optimizer_spec optimizer;
    size_t epochs, batch_size;
    double validation_split; // in [0, 1)
    enum split_kind split;
    uint64_t seed;
    bool shuffle; // training rows, anew each epoch
    enum streaming streaming;
    size_t shuffle_buffer; // rows of a stream that are shuffled together; 0: train/spec_rows.h chooses
    enum missing missing;  // features that are NaN: before they are scaled; learned on the training rows
    double missing_value;  // of MISSING_CONSTANT
    enum scaling scaling;  // of features, learned on the training rows
    struct early_stopping early_stopping;
    bool stop_on_nan;                // the job fails at the first loss that is no finite number
    double time_limit;               // seconds after which no further step begins; 0: none
    double checkpoint_every_seconds; // 0: only where a run is asked to stop. No bit of a result depends on it
    size_t threads;                  // that share a step; no bit of a result depends on them either
    bool telemetry_folds;    // steps between records are looked at too; false: nothing is known of them
    size_t telemetry_every;  // record each n-th step; 0: chosen so that at most 10,000 are kept
    size_t histograms_every; // histograms of each n-th step; 0: chosen so that about 200 are kept
};

// The defaults of everything; no layers.
struct train_spec spec_defaults(void);
struct optimizer_spec optimizer_defaults(enum optimizer_type type);
struct schedule_spec schedule_defaults(enum schedule_type type);
struct layer_spec layer_defaults(enum layer_type type);
// What a job's document calls the rules of a layer's tensor; NULL where it has no such tensor.
struct rule_names {
    const char *regularizer, *constraint; // "kernel_regularizer", "kernel_constraint"
};
const struct rule_names *layer_rule_names(const struct layer_spec *layer, size_t tensor);
// What an activation can be told beside its name: leaky_relu's negative_slope, elu's alpha.
struct activation_option {
    const char *name; // NULL: nothing
    double absent, most;
};
struct activation_option activation_option(enum activation activation);
// What an initialiser can be told: orthogonal's gain, the normal ones' stddev, uniform's range (from −range
// to range), constant's value.
struct initializer_option {
    const char *name; // NULL: nothing
    double absent, least;
};
struct initializer_option initializer_option(enum initializer initializer);
// The initialiser that suits the activation behind a dense layer: He for relu and its kin, LeCun for selu,
// Glorot for the others.
enum initializer initializer_for(enum activation activation);
void spec_free(struct train_spec *spec);

// Adds an element to the layers. NABLA_NO_MEMORY is the only error.
enum nabla_code spec_add_layer(struct train_spec *spec, const struct layer_spec *layer,
                               struct nabla_error *err);

// Fills in what the data decides: the output layer (dense with one unit a class or target, a single one for a
// binary loss on two classes; Glorot, linear), the residuals' projections, telemetry_every and
// histograms_every, the schedule's decay_steps. Then checks every value and combination; errors have pointers
// into the job's document
// ("/model/layers/2/units", "/training/batch_size"). Layer pointers count the list as given.
enum nabla_code spec_complete(struct train_spec *spec, const struct dataset *dataset,
                              struct nabla_error *err);

// How many parameters and how many bytes of memory training needs, before anything is allocated; NABLA_LIMIT
// when a product does not fit. Call after spec_complete.
struct train_cost {
    size_t parameters;
    size_t bytes; // at its most; tests/test_memory.c holds it within 10 %. Features are counted once, though
                  // they may lie in their file; streamed, those of a window
    uint64_t steps; // updates in the whole job
};
enum nabla_code spec_cost(const struct train_spec *spec, const struct dataset *dataset,
                          struct train_cost *ret, struct nabla_error *err);

// Decides what was left open about streaming, and what it then costs: the features are streamed where
// training with them in memory takes more than `most` bytes, and the shuffle buffer is as large as its
// default or as there is room for. The cost may still be above `most`: streaming could not help, or was told
// not to.
enum nabla_code spec_fit(struct train_spec *spec, const struct dataset *dataset, size_t most,
                         struct train_cost *ret, struct nabla_error *err);

// Names as the contract spells them, by enum value; the find functions return the value or -1.
const char *layer_type_name(enum layer_type type);
const char *activation_name(enum activation activation);
const char *initializer_name(enum initializer initializer);
const char *optimizer_name(enum optimizer_type type);
const char *schedule_name(enum schedule_type type);
const char *epsilon_placement_name(enum epsilon_placement placement);
const char *monitor_name(enum monitor monitor);
int layer_type_find(const char *name);
int activation_find(const char *name);
int initializer_find(const char *name);
int optimizer_find(const char *name);
int schedule_find(const char *name);
int epsilon_placement_find(const char *name);
int monitor_find(const char *name);

#endif
