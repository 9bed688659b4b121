#include "train/spec_option.h"

#include <math.h>

#define BIT(type) (1U << OPTIMIZER_##type)
#define ADAMS     (BIT(ADAM) | BIT(ADAMW) | BIT(AMSGRAD))
#define ALL       ((1U << OPTIMIZER_COUNT) - 1)

// In the order in which they are written.
static const struct spec_option optimizer_numbers[] = {
    {"momentum", offsetof(struct optimizer_spec, momentum), BIT(SGD) | BIT(RMSPROP), OPTION_FRACTION},
    {"rho", offsetof(struct optimizer_spec, rho), BIT(RMSPROP) | BIT(ADADELTA), OPTION_FRACTION},
    {"beta_1", offsetof(struct optimizer_spec, beta_1), ADAMS | BIT(NADAM) | BIT(ADAMAX) | BIT(LION),
     OPTION_FRACTION},
    {"beta_2", offsetof(struct optimizer_spec, beta_2), ADAMS | BIT(NADAM) | BIT(ADAMAX) | BIT(LION),
     OPTION_FRACTION},
    {"initial_accumulator_value", offsetof(struct optimizer_spec, initial_accumulator_value), BIT(ADAGRAD),
     OPTION_AMOUNT},
    {"epsilon", offsetof(struct optimizer_spec, epsilon), ALL & ~(BIT(SGD) | BIT(LION)), OPTION_POSITIVE},
    {"weight_decay", offsetof(struct optimizer_spec, weight_decay), ALL, OPTION_AMOUNT},
    {"clip_value", offsetof(struct optimizer_spec, clip_value), ALL, OPTION_AMOUNT},
    {"clip_norm", offsetof(struct optimizer_spec, clip_norm), ALL, OPTION_AMOUNT},
    {"global_clip_norm", offsetof(struct optimizer_spec, global_clip_norm), ALL, OPTION_AMOUNT},
    {"gradient_accumulation_steps", offsetof(struct optimizer_spec, gradient_accumulation_steps), ALL,
     OPTION_COUNT},
    {"ema_momentum", offsetof(struct optimizer_spec, ema_momentum), ALL, OPTION_FRACTION},
    {"ema_overwrite_frequency", offsetof(struct optimizer_spec, ema_overwrite_frequency), ALL, OPTION_WHOLE},
};

static const struct spec_flag optimizer_flags[] = {
    {"nesterov", offsetof(struct optimizer_spec, nesterov), BIT(SGD)},
    {"centered", offsetof(struct optimizer_spec, centered), BIT(RMSPROP)},
    {"use_ema", offsetof(struct optimizer_spec, use_ema), ALL},
};

const struct spec_options optimizer_options = {
    optimizer_numbers,
    sizeof optimizer_numbers / sizeof *optimizer_numbers,
    optimizer_flags,
    sizeof optimizer_flags / sizeof *optimizer_flags,
};

bool optimizer_has_placement(enum optimizer_type type)
{
    return ADAMS & 1U << type;
}

#undef BIT
#undef ALL
#define BIT(type) (1U << SCHEDULE_##type)
#define ALL       ((1U << SCHEDULE_COUNT) - 1)
#define AT(field) offsetof(struct schedule_spec, field)

static const struct spec_option schedule_numbers[] = {
    {"decay_steps", AT(decay_steps),
     BIT(STEP) | BIT(EXPONENTIAL) | BIT(POLYNOMIAL) | BIT(INVERSE_TIME) | BIT(COSINE), OPTION_WHOLE},
    {"first_decay_steps", AT(decay_steps), BIT(COSINE_RESTARTS), OPTION_WHOLE},
    {"total_steps", AT(decay_steps), BIT(ONE_CYCLE), OPTION_WHOLE},
    {"decay_rate", AT(decay_rate), BIT(STEP) | BIT(EXPONENTIAL) | BIT(INVERSE_TIME), OPTION_AMOUNT},
    {"end_learning_rate", AT(end_learning_rate), BIT(POLYNOMIAL), OPTION_AMOUNT},
    {"power", AT(power), BIT(POLYNOMIAL), OPTION_FACTOR},
    {"alpha", AT(alpha), BIT(COSINE) | BIT(COSINE_RESTARTS), OPTION_AMOUNT},
    {"t_mul", AT(t_mul), BIT(COSINE_RESTARTS), OPTION_FACTOR},
    {"m_mul", AT(m_mul), BIT(COSINE_RESTARTS), OPTION_AMOUNT},
    {"pct_start", AT(pct_start), BIT(ONE_CYCLE), OPTION_FRACTION},
    {"div_factor", AT(div_factor), BIT(ONE_CYCLE), OPTION_FACTOR},
    {"final_div_factor", AT(final_div_factor), BIT(ONE_CYCLE), OPTION_FACTOR},
    {"factor", AT(factor), BIT(REDUCE_ON_PLATEAU), OPTION_FRACTION},
    {"patience", AT(patience), BIT(REDUCE_ON_PLATEAU), OPTION_WHOLE},
    {"min_delta", AT(min_delta), BIT(REDUCE_ON_PLATEAU), OPTION_AMOUNT},
    {"cooldown", AT(cooldown), BIT(REDUCE_ON_PLATEAU), OPTION_WHOLE},
    {"min_learning_rate", AT(min_learning_rate), BIT(REDUCE_ON_PLATEAU), OPTION_AMOUNT},
    {"warmup_steps", AT(warmup_steps), ALL, OPTION_WHOLE},
    {"warmup_initial_learning_rate", AT(warmup_initial_learning_rate), ALL, OPTION_AMOUNT},
};
static const struct spec_flag schedule_flags[] = {
    {"staircase", AT(staircase), BIT(EXPONENTIAL) | BIT(INVERSE_TIME)},
    {"cycle", AT(cycle), BIT(POLYNOMIAL)},
};

const struct spec_options schedule_options = {
    schedule_numbers,
    sizeof schedule_numbers / sizeof *schedule_numbers,
    schedule_flags,
    sizeof schedule_flags / sizeof *schedule_flags,
};

#undef AT
#define AT(field) offsetof(struct early_stopping, field)

static const struct spec_option early_stopping_numbers[] = {
    {"patience", AT(patience), 1, OPTION_WHOLE},
    {"min_delta", AT(min_delta), 1, OPTION_AMOUNT},
    {"start_from_epoch", AT(start_from_epoch), 1, OPTION_WHOLE},
};
static const struct spec_flag early_stopping_flags[] = {{"restore_best", AT(restore_best), 1}};

const struct spec_options early_stopping_options = {
    early_stopping_numbers,
    sizeof early_stopping_numbers / sizeof *early_stopping_numbers,
    early_stopping_flags,
    sizeof early_stopping_flags / sizeof *early_stopping_flags,
};

bool spec_option_right(const struct spec_option *option, const void *object)
{
    const double value = *(const double *)(const void *)((const char *)object + option->offset);
    switch (option->range) {
    case OPTION_FRACTION:
        return value >= 0 && value < 1;
    case OPTION_POSITIVE:
        return (float)value > 0 && value <= 1;
    case OPTION_FACTOR:
        return (float)value > 0 && isfinite((float)value);
    case OPTION_COUNT:
        return value >= 1 && value < 0x1p53 && value == floor(value);
    case OPTION_WHOLE:
        return value >= 0 && value < 0x1p53 && value == floor(value);
    default:
        return value >= 0 && isfinite((float)value);
    }
}

const char *spec_option_rule(const struct spec_option *option)
{
    static const char *const rules[] = {
        [OPTION_FRACTION] = "must be at least 0 and below 1",
        [OPTION_AMOUNT] = "must be a finite number of at least 0",
        [OPTION_POSITIVE] = "must be above 0 and at most 1",
        [OPTION_FACTOR] = "must be a finite number above 0",
        [OPTION_WHOLE] = "must be a whole number of at least 0",
        [OPTION_COUNT] = "must be a whole number of at least 1",
    };
    return rules[option->range];
}

const struct spec_option *spec_options_wrong(const struct spec_options *options, unsigned type,
                                             const void *object)
{
    for (size_t i = 0; i < options->number_count; i++)
        if ((options->numbers[i].types & 1U << type) && !spec_option_right(&options->numbers[i], object))
            return &options->numbers[i];
    return NULL;
}
