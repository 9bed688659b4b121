#include "train/optimizer_option.h"

#include <math.h>

#define BIT(type) (1U << OPTIMIZER_##type)
#define ADAMS     (BIT(ADAM) | BIT(ADAMW) | BIT(AMSGRAD))
#define ALL       ((1U << OPTIMIZER_COUNT) - 1)

// In the order in which they are written.
const struct optimizer_option optimizer_options[] = {
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
};
const size_t optimizer_option_count = sizeof optimizer_options / sizeof *optimizer_options;

const struct optimizer_flag optimizer_flags[] = {
    {"nesterov", offsetof(struct optimizer_spec, nesterov), BIT(SGD)},
    {"centered", offsetof(struct optimizer_spec, centered), BIT(RMSPROP)},
};
const size_t optimizer_flag_count = sizeof optimizer_flags / sizeof *optimizer_flags;

bool optimizer_has_placement(enum optimizer_type type)
{
    return ADAMS & 1U << type;
}

// As the float of training has it.
bool optimizer_option_right(const struct optimizer_option *option, const struct optimizer_spec *spec)
{
    const double value = *(const double *)(const void *)((const char *)spec + option->offset);
    switch (option->range) {
    case OPTION_FRACTION:
        return value >= 0 && value < 1;
    case OPTION_POSITIVE:
        return (float)value > 0 && value <= 1;
    default:
        return value >= 0 && isfinite((float)value);
    }
}

const char *optimizer_option_rule(const struct optimizer_option *option)
{
    static const char *const rules[] = {
        [OPTION_FRACTION] = "must be at least 0 and below 1",
        [OPTION_AMOUNT] = "must be a finite number of at least 0",
        [OPTION_POSITIVE] = "must be above 0 and at most 1",
    };
    return rules[option->range];
}
