// The contract's words, for targets whose inputs are JSON documents.
#ifndef NABLA_TESTS_FUZZ_CONTRACT_WORDS_H
#define NABLA_TESTS_FUZZ_CONTRACT_WORDS_H

#include "tests/fuzz/fuzz_document.h"

// What a document may be made of besides what stands in it: the contract's words, and numbers at edges. (The
// formatter would give each word a line.)
// clang-format off
static const char *const words[] = {
    "dense", "batch_norm", "layer_norm", "activation", "dropout", "alpha_dropout", "residual",
    "identity", "projection", "sigmoid", "relu", "leaky_relu", "elu", "selu", "silu", "mish", "tanh",
    "softplus", "softsign", "hard_sigmoid", "gelu", "he_normal", "he_uniform", "glorot_uniform",
    "lecun_normal", "truncated_normal", "orthogonal", "constant", "zeros", "ones", "cross_entropy",
    "binary_cross_entropy", "binary_focal", "focal", "hinge", "squared_hinge", "huber",
    "mean_squared_error", "kl_divergence", "poly", "generalized_cross_entropy", "adam", "adamw", "sgd",
    "lion", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "amsgrad", "cosine", "cosine_restarts",
    "exponential", "inverse_time", "polynomial", "step", "one_cycle", "reduce_on_plateau", "keras",
    "keras_tf_sparse", "torch", "optax", "probabilities", "logits", "sum", "mean", "balanced",
    "stratified", "random", "last", "standardize", "min_max", "none", "median", "most_frequent",
    "refuse", "validation_loss", "validation_accuracy", "max_norm", "l1", "l2", "blobs", "moons",
    "spirals", "rings", "xor", "imbalanced", "local", "client", "NaN", "Infinity", "accuracy", "binary",
    "exact", "friedman", "gen", "glorot_normal", "lecun_uniform", "l1_l2", "linear", "multi_label",
    "regression", "normal", "uniform", "posted", "range", "uncorrected", "corrected", "validation",
    "auto", "per_sample", "gradient", "float32", "float64", "succeeded", "failed", "running",
    "gradients", "weights", "@3", "@5"};
static const char *const names[] = {
    "type", "units", "activation", "batch_norm", "dropout", "layers", "model", "loss", "optimizer",
    "training", "learning_rate", "schedule", "decay_steps", "warmup_steps", "momentum", "nesterov",
    "centered", "epsilon", "epsilon_placement", "clip_norm", "clip_value", "global_clip_norm",
    "weight_decay", "use_ema", "ema_momentum", "ema_overwrite_frequency", "gradient_accumulation_steps",
    "epochs", "batch_size", "seed", "shuffle", "threads", "time_limit", "stop_on_nan", "early_stopping",
    "monitor", "patience", "min_delta", "restore_best", "start_from_epoch", "validation_split", "split",
    "dataset", "generator", "rows", "features", "labels", "classes", "input", "scaling", "missing",
    "missing_value", "telemetry", "every", "class_weights", "pos_weight", "label_smoothing",
    "ignore_index", "temperature", "softcap", "z_loss", "margin", "delta", "gamma", "alpha", "q",
    "convention", "function", "kernel_regularizer", "bias_regularizer", "kernel_constraint", "max_value",
    "use_bias", "initializer", "gain", "stddev", "negative_slope", "rate", "append_output",
    "initial_weights", "job", "checkpoint_every_seconds", "retries", "executor", "name",
    "schema_version", "beta_1", "beta_2", "beta_constraint", "beta_regularizer", "bias_constraint",
    "cooldown", "corrected", "cycle", "decay_rate", "div_factor", "end_learning_rate", "factor",
    "final_div_factor", "first_decay_steps", "gamma_constraint", "gamma_regularizer", "histograms_every",
    "initial_accumulator_value", "initial_learning_rate", "m_mul", "max_learning_rate",
    "min_learning_rate", "pct_start", "power", "rho", "shares", "shuffle_buffer", "staircase",
    "streaming", "t_mul", "targets", "total_steps", "value", "warmup_initial_learning_rate", "range",
    // of requests beside a job's document
    "logits", "probabilities", "sample_weights", "dtype", "reduction", "return", "certify", "tiny",
    "variants", "points", "from", "to", "attempt", "metrics", "steps", "columns", "index", "histograms",
    "kind", "counts", "nonfinite", "events", "event", "state", "progress", "epoch", "step",
    "feature_names", "label_names", "row", "class", "note", "detail"};
// clang-format on
static const double numbers[] = {0, 0.5, 0.1, 1e-7, 1e-300, 5e-324, 1e300, 1e308, -0.0, 2e9, 1e19};
static const json_int_t wholes[] = {
    0,         1,        2, 3, -1, 7, 32, 255, 4096, 16777216, 2147483648, 4294967296, 9007199254740991,
    INT64_MAX, INT64_MIN};
#define TABLE(of, table) .of = (table), .of##_count = sizeof(table) / sizeof *(table)
static const struct document_parts contract_parts = {TABLE(words, words), TABLE(names, names),
                                                     TABLE(numbers, numbers), TABLE(wholes, wholes)};

#endif
