#include "train/spec.h"

#include "base/size.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

static const char *const layer_type_names[] = {
    [LAYER_TYPE_DENSE] = "dense",           [LAYER_TYPE_BATCH_NORM] = "batch_norm",
    [LAYER_TYPE_LAYER_NORM] = "layer_norm", [LAYER_TYPE_ACTIVATION] = "activation",
    [LAYER_TYPE_DROPOUT] = "dropout",       [LAYER_TYPE_ALPHA_DROPOUT] = "alpha_dropout",
    [LAYER_TYPE_RESIDUAL] = "residual",
};
static const char *const activation_names[] = {
    [ACTIVATION_LINEAR] = "linear",
    [ACTIVATION_SIGMOID] = "sigmoid",
    [ACTIVATION_TANH] = "tanh",
    [ACTIVATION_RELU] = "relu",
    [ACTIVATION_LEAKY_RELU] = "leaky_relu",
    [ACTIVATION_ELU] = "elu",
    [ACTIVATION_SELU] = "selu",
    [ACTIVATION_GELU] = "gelu",
    [ACTIVATION_SILU] = "silu",
    [ACTIVATION_SOFTPLUS] = "softplus",
    [ACTIVATION_SOFTSIGN] = "softsign",
    [ACTIVATION_HARD_SIGMOID] = "hard_sigmoid",
    [ACTIVATION_MISH] = "mish",
};
static const char *const initializer_names[] = {
    [INITIALIZER_GLOROT_UNIFORM] = "glorot_uniform",
    [INITIALIZER_GLOROT_NORMAL] = "glorot_normal",
    [INITIALIZER_HE_UNIFORM] = "he_uniform",
    [INITIALIZER_HE_NORMAL] = "he_normal",
    [INITIALIZER_LECUN_UNIFORM] = "lecun_uniform",
    [INITIALIZER_LECUN_NORMAL] = "lecun_normal",
    [INITIALIZER_ORTHOGONAL] = "orthogonal",
    [INITIALIZER_TRUNCATED_NORMAL] = "truncated_normal",
    [INITIALIZER_UNIFORM] = "uniform",
    [INITIALIZER_NORMAL] = "normal",
    [INITIALIZER_ZEROS] = "zeros",
    [INITIALIZER_ONES] = "ones",
    [INITIALIZER_CONSTANT] = "constant",
};
static const char *const optimizer_names[] = {
    [OPTIMIZER_SGD] = "sgd",         [OPTIMIZER_ADAM] = "adam",         [OPTIMIZER_ADAMW] = "adamw",
    [OPTIMIZER_AMSGRAD] = "amsgrad", [OPTIMIZER_NADAM] = "nadam",       [OPTIMIZER_RMSPROP] = "rmsprop",
    [OPTIMIZER_ADAGRAD] = "adagrad", [OPTIMIZER_ADADELTA] = "adadelta", [OPTIMIZER_ADAMAX] = "adamax",
    [OPTIMIZER_LION] = "lion",
};
static const char *const schedule_names[] = {
    [SCHEDULE_CONSTANT] = "constant",
    [SCHEDULE_STEP] = "step",
    [SCHEDULE_EXPONENTIAL] = "exponential",
    [SCHEDULE_POLYNOMIAL] = "polynomial",
    [SCHEDULE_INVERSE_TIME] = "inverse_time",
    [SCHEDULE_COSINE] = "cosine",
    [SCHEDULE_COSINE_RESTARTS] = "cosine_restarts",
    [SCHEDULE_ONE_CYCLE] = "one_cycle",
    [SCHEDULE_REDUCE_ON_PLATEAU] = "reduce_on_plateau",
};
static const char *const epsilon_placement_names[] = {
    [EPSILON_UNCORRECTED] = "uncorrected",
    [EPSILON_CORRECTED] = "corrected",
};
static const char *const monitor_names[] = {
    [MONITOR_VALIDATION_LOSS] = "validation_loss",
    [MONITOR_VALIDATION_ACCURACY] = "validation_accuracy",
    [MONITOR_LOSS] = "loss",
    [MONITOR_ACCURACY] = "accuracy",
};

enum { NAME_SIZE = sizeof(const char *) };
_Static_assert(sizeof layer_type_names / NAME_SIZE == LAYER_TYPE_COUNT, "every layer type has a name");
_Static_assert(sizeof activation_names / NAME_SIZE == ACTIVATION_COUNT, "every activation has a name");
_Static_assert(sizeof initializer_names / NAME_SIZE == INITIALIZER_COUNT, "every initialiser has a name");
_Static_assert(sizeof optimizer_names / NAME_SIZE == OPTIMIZER_COUNT, "every optimiser has a name");
_Static_assert(sizeof schedule_names / NAME_SIZE == SCHEDULE_COUNT, "every schedule has a name");
_Static_assert(sizeof epsilon_placement_names / NAME_SIZE == EPSILON_PLACEMENT_COUNT,
               "every placement has a name");
_Static_assert(sizeof monitor_names / NAME_SIZE == MONITOR_COUNT, "every monitor has a name");

struct train_spec spec_defaults(void)
{
    return (struct train_spec){
        .loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY),
        .optimizer = optimizer_defaults(OPTIMIZER_ADAM),
        .early_stopping = {.monitor = MONITOR_VALIDATION_LOSS},
        .epochs = 10,
        .batch_size = 32,
        .validation_split = 0.2,
        .split = SPLIT_STRATIFIED,
        .shuffle = true,
        .scaling = SCALING_STANDARDIZE,
        .checkpoint_every_seconds = 10,
        .threads = 1,
        .telemetry_folds = true,
    };
}

// Keras 3: keras/src/optimizers/….py.
struct optimizer_spec optimizer_defaults(enum optimizer_type type)
{
    return (struct optimizer_spec){
        .type = type,
        .learning_rate = type == OPTIMIZER_SGD ? 0.01 : 0.001,
        .rho = type == OPTIMIZER_ADADELTA ? 0.95 : 0.9,
        .beta_1 = 0.9,
        .beta_2 = type == OPTIMIZER_LION ? 0.99 : 0.999,
        .epsilon = 1e-7,
        .initial_accumulator_value = 0.1,
        .weight_decay = type == OPTIMIZER_ADAMW ? 0.004 : 0,
        .gradient_accumulation_steps = 1,
        .ema_momentum = 0.99,
        .epsilon_placement = EPSILON_UNCORRECTED,
        .schedule = schedule_defaults(SCHEDULE_CONSTANT),
    };
}

// Keras 3: keras/src/optimizers/schedules/learning_rate_schedule.py (decay_rate is that of its examples) and
// callbacks/reduce_lr_on_plateau.py; step and one_cycle: torch.optim.lr_scheduler's StepLR and OneCycleLR.
struct schedule_spec schedule_defaults(enum schedule_type type)
{
    static const double decay_rates[SCHEDULE_COUNT] = {
        [SCHEDULE_STEP] = 0.1, [SCHEDULE_EXPONENTIAL] = 0.96, [SCHEDULE_INVERSE_TIME] = 0.5};
    return (struct schedule_spec){
        .type = type,
        .decay_rate = decay_rates[type],
        .end_learning_rate = 0.0001,
        .power = 1,
        .t_mul = 2,
        .m_mul = 1,
        .pct_start = 0.3,
        .div_factor = 25,
        .final_div_factor = 1e4,
        .factor = 0.1,
        .patience = 10,
        .min_delta = 1e-4,
    };
}

// Keras 3: keras/src/layers/core/dense.py, normalization/{batch,layer}_normalization.py.
struct layer_spec layer_defaults(enum layer_type type)
{
    return (struct layer_spec){
        .type = type,
        .initializer = INITIALIZER_GLOROT_UNIFORM,
        .use_bias = true,
        .activation = ACTIVATION_LINEAR,
        .rate = 0.5,
        .momentum = 0.99,
        .epsilon = 1e-3,
    };
}

const struct rule_names *layer_rule_names(const struct layer_spec *layer, size_t tensor)
{
    static const struct rule_names kernel = {"kernel_regularizer", "kernel_constraint"},
                                   bias = {"bias_regularizer", "bias_constraint"},
                                   gamma = {"gamma_regularizer", "gamma_constraint"},
                                   beta = {"beta_regularizer", "beta_constraint"};
    static const struct rule_names *const names[LAYER_TYPE_COUNT][LAYER_TENSORS] = {
        [LAYER_TYPE_DENSE] = {&kernel, &bias},
        [LAYER_TYPE_BATCH_NORM] = {&gamma, &beta},
        [LAYER_TYPE_LAYER_NORM] = {&gamma, &beta},
        [LAYER_TYPE_RESIDUAL] = {&kernel, NULL},
    };
    return names[layer->type][tensor];
}

// Keras 3: keras/src/activations/activations.py. (Its layer LeakyReLU has 0.3, its function 0.2.) Beyond the
// most, the other side would be the flat one.
struct activation_option activation_option(enum activation activation)
{
    static const struct activation_option options[ACTIVATION_COUNT] = {
        [ACTIVATION_LEAKY_RELU] = {"negative_slope", 0.2, 1},
        [ACTIVATION_ELU] = {"alpha", 1, 100},
    };
    return options[activation];
}

// Keras 3: keras/src/initializers/{random,constant}_initializers.py.
struct initializer_option initializer_option(enum initializer initializer)
{
    static const struct initializer_option options[INITIALIZER_COUNT] = {
        [INITIALIZER_ORTHOGONAL] = {"gain", 1, 0},       [INITIALIZER_TRUNCATED_NORMAL] = {"stddev", 0.05, 0},
        [INITIALIZER_UNIFORM] = {"range", 0.05, 0},      [INITIALIZER_NORMAL] = {"stddev", 0.05, 0},
        [INITIALIZER_CONSTANT] = {"value", 0, -FLT_MAX},
    };
    return options[initializer];
}

enum initializer initializer_for(enum activation activation)
{
    static const enum initializer suiting[ACTIVATION_COUNT] = {
        // the others: INITIALIZER_GLOROT_UNIFORM
        [ACTIVATION_RELU] = INITIALIZER_HE_UNIFORM,   [ACTIVATION_LEAKY_RELU] = INITIALIZER_HE_UNIFORM,
        [ACTIVATION_ELU] = INITIALIZER_HE_UNIFORM,    [ACTIVATION_GELU] = INITIALIZER_HE_UNIFORM,
        [ACTIVATION_SILU] = INITIALIZER_HE_UNIFORM,   [ACTIVATION_MISH] = INITIALIZER_HE_UNIFORM,
        [ACTIVATION_SELU] = INITIALIZER_LECUN_NORMAL,
    };
    _Static_assert(INITIALIZER_GLOROT_UNIFORM == 0, "what the table leaves out is Glorot's");
    return suiting[activation];
}

void spec_free(struct train_spec *spec)
{
    if (!spec)
        return;
    free(spec->layers);
    free(spec->class_weights);
    free(spec->pos_weight);
    spec->layers = NULL;
    spec->class_weights = NULL;
    spec->pos_weight = NULL;
    spec->loss.class_weights = spec->loss.pos_weight = NULL;
    spec->layer_count = spec->layer_room = spec->class_weight_count = spec->pos_weight_count = 0;
}

enum nabla_code spec_add_layer(struct train_spec *spec, const struct layer_spec *layer,
                               struct nabla_error *err)
{
    if (spec->layer_count >= spec->layer_room) {
        size_t room, bytes;
        if (!size_mul(2, spec->layer_count + 1, &room) || !size_mul(room, sizeof *layer, &bytes))
            return nabla_fail_memory(err, "a layer");
        struct layer_spec *grown = realloc(spec->layers, bytes);
        if (!grown)
            return nabla_fail_memory(err, "a layer");
        spec->layers = grown;
        spec->layer_room = room;
    }
    spec->layers[spec->layer_count++] = *layer;
    return NABLA_OK;
}

static const char *name_of(const char *const *names, size_t count, int value)
{
    return value >= 0 && (size_t)value < count ? names[value] : "unknown";
}

static int name_find(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

const char *layer_type_name(enum layer_type type)
{
    return name_of(layer_type_names, LAYER_TYPE_COUNT, (int)type);
}

const char *activation_name(enum activation activation)
{
    return name_of(activation_names, ACTIVATION_COUNT, (int)activation);
}

const char *initializer_name(enum initializer initializer)
{
    return name_of(initializer_names, INITIALIZER_COUNT, (int)initializer);
}

const char *optimizer_name(enum optimizer_type type)
{
    return name_of(optimizer_names, OPTIMIZER_COUNT, (int)type);
}

const char *schedule_name(enum schedule_type type)
{
    return name_of(schedule_names, SCHEDULE_COUNT, (int)type);
}

const char *epsilon_placement_name(enum epsilon_placement placement)
{
    return name_of(epsilon_placement_names, EPSILON_PLACEMENT_COUNT, (int)placement);
}

const char *monitor_name(enum monitor monitor)
{
    return name_of(monitor_names, MONITOR_COUNT, (int)monitor);
}

int layer_type_find(const char *name)
{
    return name_find(layer_type_names, LAYER_TYPE_COUNT, name);
}

int activation_find(const char *name)
{
    return name_find(activation_names, ACTIVATION_COUNT, name);
}

int initializer_find(const char *name)
{
    return name_find(initializer_names, INITIALIZER_COUNT, name);
}

int optimizer_find(const char *name)
{
    return name_find(optimizer_names, OPTIMIZER_COUNT, name);
}

int schedule_find(const char *name)
{
    return name_find(schedule_names, SCHEDULE_COUNT, name);
}

int epsilon_placement_find(const char *name)
{
    return name_find(epsilon_placement_names, EPSILON_PLACEMENT_COUNT, name);
}

int monitor_find(const char *name)
{
    return name_find(monitor_names, MONITOR_COUNT, name);
}
