// The one table of losses: adding a loss is a row here and its kernel. docs/losses.md shows the same table.
#include "math/loss_row.h"

#include <assert.h>
#include <math.h>
#include <string.h>

// A path for logits and one for probabilities.
#define LOGITS_ONLY                                                                                          \
    {                                                                                                        \
        [NABLA_LOGITS] = PATH_LOGITS                                                                         \
    }
#define BOTH                                                                                                 \
    {                                                                                                        \
        [NABLA_LOGITS] = PATH_LOGITS, [NABLA_PROBABILITIES] = PATH_PROBABILITIES                             \
    }

const struct loss_kernel loss_kernels[NABLA_LOSS_TYPE_COUNT] = {
    [NABLA_CROSS_ENTROPY] = {.name = "cross_entropy",
                             .row = loss_row_softmax,
                             .term = loss_term_cross_entropy,
                             .options =
                                 OPTION_CLASS_WEIGHTS | OPTION_SMOOTHING | OPTION_Z_LOSS | OPTION_LOGIT_SHAPE,
                             .paths = {[NABLA_EXACT] = BOTH,
                                       [NABLA_TORCH] = BOTH,
                                       [NABLA_KERAS] = {PATH_LOGITS, PATH_RENORMALISE_CLIP},
                                       [NABLA_KERAS_TF_SPARSE] = {PATH_LOGITS, PATH_CLIP_SOFTMAX},
                                       [NABLA_OPTAX] = LOGITS_ONLY},
                             .divisors = {[NABLA_TORCH] = DIVIDE_WEIGHTS,
                                          [NABLA_KERAS] = DIVIDE_COUNTED,
                                          [NABLA_KERAS_TF_SPARSE] = DIVIDE_COUNTED,
                                          [NABLA_OPTAX] = DIVIDE_COUNTED}},
    [NABLA_BINARY_CROSS_ENTROPY] =
        {.name = "binary_cross_entropy",
         .row = loss_row_binary,
         .element = loss_element_binary,
         .binary = true,
         .options = OPTION_CLASS_WEIGHTS | OPTION_POS_WEIGHT | OPTION_SMOOTHING,
         .paths = {[NABLA_EXACT] = BOTH,
                   [NABLA_TORCH] = {PATH_LOGITS, PATH_CLAMP_LOG},
                   [NABLA_KERAS] = {PATH_LOGITS, PATH_CLIP},
                   [NABLA_OPTAX] = LOGITS_ONLY},
         .divisors = {[NABLA_TORCH] = DIVIDE_ENTRIES,
                      [NABLA_KERAS] = DIVIDE_COUNTED,
                      [NABLA_OPTAX] = DIVIDE_COUNTED}},
    [NABLA_FOCAL] =
        {.name = "focal",
         .row = loss_row_softmax,
         .term = loss_term_focal,
         .options = OPTION_CLASS_WEIGHTS | OPTION_SMOOTHING | OPTION_GAMMA | OPTION_LOGIT_SHAPE,
         .paths = {[NABLA_EXACT] = BOTH, [NABLA_KERAS] = {PATH_LOGITS_CLIP, PATH_RENORMALISE_CLIP}},
         .divisors = {[NABLA_KERAS] = DIVIDE_COUNTED}},
    [NABLA_BINARY_FOCAL] =
        {.name = "binary_focal",
         .row = loss_row_binary,
         .element = loss_element_binary_focal,
         .binary = true,
         .options = OPTION_CLASS_WEIGHTS | OPTION_POS_WEIGHT | OPTION_SMOOTHING | OPTION_GAMMA,
         .paths = {[NABLA_EXACT] = BOTH,
                   [NABLA_KERAS] = {PATH_LOGITS, PATH_CLIP}, // TensorFlow finds the logits behind the sigmoid
                   [NABLA_OPTAX] = LOGITS_ONLY},
         .divisors = {[NABLA_KERAS] = DIVIDE_COUNTED, [NABLA_OPTAX] = DIVIDE_COUNTED}},
    [NABLA_POLY] = {.name = "poly",
                    .row = loss_row_softmax,
                    .term = loss_term_poly,
                    .options = OPTION_CLASS_WEIGHTS | OPTION_SMOOTHING | OPTION_EPSILON | OPTION_LOGIT_SHAPE,
                    .paths = {[NABLA_EXACT] = BOTH, [NABLA_OPTAX] = LOGITS_ONLY},
                    .divisors = {[NABLA_OPTAX] = DIVIDE_COUNTED}},
    [NABLA_GENERALIZED_CROSS_ENTROPY] = {.name = "generalized_cross_entropy",
                                         .row = loss_row_softmax,
                                         .term = loss_term_generalized,
                                         .options = OPTION_CLASS_WEIGHTS | OPTION_Q | OPTION_LOGIT_SHAPE,
                                         .paths = {[NABLA_EXACT] = BOTH}},
    [NABLA_KL_DIVERGENCE] =
        {.name = "kl_divergence",
         .row = loss_row_softmax,
         .term = loss_term_divergence,
         .options = OPTION_LOGIT_SHAPE,
         .paths = {[NABLA_EXACT] = BOTH,
                   [NABLA_TORCH] = BOTH,
                   [NABLA_KERAS] = {PATH_NONE, PATH_CLIP_BELOW},
                   [NABLA_OPTAX] = BOTH},
         .divisors = {[NABLA_TORCH] = DIVIDE_ENTRIES,
                      [NABLA_KERAS] = DIVIDE_COUNTED,
                      [NABLA_OPTAX] = DIVIDE_COUNTED}},
    [NABLA_HINGE] = {.name = "hinge",
                     .row = loss_row_hinge,
                     .hard = true,
                     .options = OPTION_CLASS_WEIGHTS | OPTION_MARGIN,
                     .paths = {[NABLA_EXACT] = LOGITS_ONLY,
                               [NABLA_TORCH] = LOGITS_ONLY,
                               [NABLA_KERAS] = LOGITS_ONLY,
                               [NABLA_OPTAX] = LOGITS_ONLY},
                     .divisors = {[NABLA_TORCH] = DIVIDE_COUNTED,
                                  [NABLA_KERAS] = DIVIDE_COUNTED,
                                  [NABLA_OPTAX] = DIVIDE_COUNTED}},
    [NABLA_SQUARED_HINGE] = {.name = "squared_hinge",
                             .row = loss_row_hinge,
                             .hard = true,
                             .options = OPTION_CLASS_WEIGHTS | OPTION_MARGIN,
                             .paths = {[NABLA_EXACT] = LOGITS_ONLY, [NABLA_TORCH] = LOGITS_ONLY},
                             .divisors = {[NABLA_TORCH] = DIVIDE_COUNTED}},
    [NABLA_MEAN_SQUARED_ERROR] =
        {.name = "mean_squared_error",
         .row = loss_row_regression,
         .element = loss_element_squared,
         .regression = true,
         .paths = {[NABLA_EXACT] = BOTH, [NABLA_TORCH] = BOTH, [NABLA_KERAS] = BOTH, [NABLA_OPTAX] = BOTH},
         .divisors = {[NABLA_TORCH] = DIVIDE_ENTRIES,
                      [NABLA_KERAS] = DIVIDE_COUNTED,
                      [NABLA_OPTAX] = DIVIDE_COUNTED}},
    [NABLA_HUBER] =
        {.name = "huber",
         .row = loss_row_regression,
         .element = loss_element_huber,
         .regression = true,
         .options = OPTION_DELTA,
         .paths = {[NABLA_EXACT] = BOTH, [NABLA_TORCH] = BOTH, [NABLA_KERAS] = BOTH, [NABLA_OPTAX] = BOTH},
         .divisors = {[NABLA_TORCH] = DIVIDE_ENTRIES,
                      [NABLA_KERAS] = DIVIDE_COUNTED,
                      [NABLA_OPTAX] = DIVIDE_COUNTED}},
};

#undef LOGITS_ONLY
#undef BOTH

static const char *const convention_names[] = {
    [NABLA_EXACT] = "exact", [NABLA_TORCH] = "torch",
    [NABLA_KERAS] = "keras", [NABLA_KERAS_TF_SPARSE] = "keras_tf_sparse",
    [NABLA_OPTAX] = "optax",
};
static_assert(sizeof convention_names / sizeof *convention_names == NABLA_CONVENTION_COUNT, "all named");

static const char *const reduction_names[] = {
    [NABLA_MEAN] = "mean", [NABLA_SUM] = "sum", [NABLA_NONE] = "none"};

static const struct {
    const char *name, *detail;
} warnings[] = {
    [NABLA_WARN_GRADIENT_CLIPPED] =
        {"gradient_clipped",
         "The convention clips these rows' probabilities, which makes their gradient exactly 0: they teach "
         "nothing. Compute the loss from logits."},
    [NABLA_WARN_GRADIENT_VANISHED] =
        {"gradient_vanished",
         "These rows' loss is above ln 2, yet no entry of their gradient with respect to the logits reaches "
         "1e-7. Compute the loss from logits with a convention that keeps the gradient."},
    [NABLA_WARN_SATURATED_CORRECT] =
        {"saturated_correct",
         "These rows are classified rightly and no entry of their gradient reaches 1e-7: nothing is left to "
         "learn from them. No remedy is needed."},
    [NABLA_WARN_NONFINITE_LOGIT] =
        {"nonfinite_logit",
         "These rows hold a NaN or +Infinity (or nothing but -Infinity): their loss and gradient are NaN or "
         "infinite. Look for an overflow or a learning rate that is too large before the loss."},
    [NABLA_WARN_TARGETS_NOT_NORMALISED] =
        {"targets_not_normalised",
         "These rows' targets do not sum to 1. The gradient is (sum of targets) * p - target; normalise them "
         "if they are meant to be distributions."},
    [NABLA_WARN_ALL_ROWS_IGNORED] =
        {"all_rows_ignored",
         "No row counts: every row is ignored or has weight 0. Check ignore_index and the weights."},
    [NABLA_WARN_CLASS_WITHOUT_SAMPLES] =
        {"class_without_samples",
         "These classes (listed in place of rows) have no sample among the counted rows: their weights have "
         "no effect and nothing pulls their scores up."},
};
static_assert(sizeof warnings / sizeof *warnings == NABLA_WARNING_COUNT, "every warning has a text");

struct nabla_loss nabla_loss_defaults(enum nabla_loss_type type)
{
    return (struct nabla_loss){.type = type,
                               .temperature = 1,
                               .gamma = 2,
                               .alpha = NAN,
                               .epsilon = 2,
                               .q = 0.7,
                               .margin = 1,
                               .delta = 1};
}

const char *nabla_loss_type_name(enum nabla_loss_type type)
{
    return (unsigned)type < NABLA_LOSS_TYPE_COUNT ? loss_kernels[type].name : "unknown";
}

const char *nabla_convention_name(enum nabla_convention convention)
{
    return (unsigned)convention < NABLA_CONVENTION_COUNT ? convention_names[convention] : "unknown";
}

const char *nabla_reduction_name(enum nabla_reduction reduction)
{
    return (unsigned)reduction <= NABLA_NONE ? reduction_names[reduction] : "unknown";
}

const char *nabla_warning_name(enum nabla_warning_code code)
{
    return (unsigned)code < NABLA_WARNING_COUNT ? warnings[code].name : "unknown";
}

const char *nabla_warning_detail(enum nabla_warning_code code)
{
    return (unsigned)code < NABLA_WARNING_COUNT ? warnings[code].detail : "";
}

int nabla_loss_type_find(const char *name)
{
    for (int i = 0; i < NABLA_LOSS_TYPE_COUNT; i++)
        if (strcmp(loss_kernels[i].name, name) == 0)
            return i;
    return -1;
}

int nabla_convention_find(const char *name)
{
    for (int i = 0; i < NABLA_CONVENTION_COUNT; i++)
        if (strcmp(convention_names[i], name) == 0)
            return i;
    return -1;
}

int nabla_reduction_find(const char *name)
{
    for (int i = 0; i <= NABLA_NONE; i++)
        if (strcmp(reduction_names[i], name) == 0)
            return i;
    return -1;
}
