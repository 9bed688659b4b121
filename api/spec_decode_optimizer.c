// The optimiser of a job and its learning rate: a number, or a schedule.
//
//     {"type": "adam", "learning_rate": {"schedule": "cosine", "initial_learning_rate": 0.01, "warmup_steps":
//     100}}
#include "api/spec_decode.h"

#include "train/schedule.h"
#include "train/spec_option.h"

#include <float.h>

static const char *optimizer_at(int value)
{
    return optimizer_name((enum optimizer_type)value);
}

static const char *placement_at(int value)
{
    return epsilon_placement_name((enum epsilon_placement)value);
}

static const char *schedule_at(int value)
{
    return schedule_name((enum schedule_type)value);
}

static const struct choice optimizers = {optimizer_at, optimizer_find, OPTIMIZER_COUNT};
static const struct choice placements = {placement_at, epsilon_placement_find, EPSILON_PLACEMENT_COUNT};
static const struct choice schedules = {schedule_at, schedule_find, SCHEDULE_COUNT};

static void option_decode(struct fields *fields, const struct spec_option *option, void *object)
{
    double *value = (double *)(void *)((char *)object + option->offset);
    const double absent = *value;
    *value = fields_number(fields, option->name, absent, 0, DBL_MAX);
    if (spec_option_right(option, object))
        return;
    fields_problem(fields, option->name, "%s", spec_option_rule(option));
    *value = absent;
}

void options_decode(struct fields *fields, const struct spec_options *options, unsigned type, void *object)
{
    for (size_t i = 0; i < options->number_count; i++)
        if (options->numbers[i].types & 1U << type)
            option_decode(fields, &options->numbers[i], object);
    for (size_t i = 0; i < options->flag_count; i++) {
        bool *flag = (bool *)((char *)object + options->flags[i].offset);
        if (options->flags[i].types & 1U << type)
            *flag = fields_bool(fields, options->flags[i].name, *flag);
    }
}

const char *schedule_rate_name(enum schedule_type type)
{
    return type == SCHEDULE_ONE_CYCLE ? "max_learning_rate" : "initial_learning_rate";
}

static void schedule_decode(const json_t *value, struct problems *problems, struct optimizer_spec *ret)
{
    struct fields fields = fields_begin(value, "/optimizer/learning_rate", problems);
    struct schedule_spec *schedule = &ret->schedule;
    if (!fields_has(&fields, "schedule"))
        fields_problem(&fields, "schedule", "is missing: the name of a schedule");
    *schedule = schedule_defaults(
        (enum schedule_type)choice_read(&fields, "schedule", (int)SCHEDULE_CONSTANT, &schedules));
    ret->learning_rate =
        fields_number(&fields, schedule_rate_name(schedule->type), ret->learning_rate, 0, DBL_MAX);
    options_decode(&fields, &schedule_options, (unsigned)schedule->type, schedule);
    if (schedule_needs_decay_steps(schedule->type) && schedule->decay_steps < 1)
        fields_problem(&fields,
                       schedule->type == SCHEDULE_COSINE_RESTARTS ? "first_decay_steps" : "decay_steps",
                       "is missing: a whole number of at least 1");
    fields_end(&fields);
}

void optimizer_decode(const json_t *value, struct problems *problems, struct optimizer_spec *ret)
{
    int type;
    struct fields fields = typed_begin(value, "/optimizer", problems, (int)ret->type, &optimizers, &type);
    *ret = optimizer_defaults((enum optimizer_type)type);
    const json_t *rate = fields_value(&fields, "learning_rate");
    if (json_is_object(rate))
        schedule_decode(rate, problems, ret);
    else
        ret->learning_rate = fields_number(&fields, "learning_rate", ret->learning_rate, 0, DBL_MAX);
    options_decode(&fields, &optimizer_options, (unsigned)ret->type, ret);
    if (optimizer_has_placement(ret->type))
        ret->epsilon_placement = (enum epsilon_placement)choice_read(
            &fields, "epsilon_placement", (int)ret->epsilon_placement, &placements);
    fields_end(&fields);
}
