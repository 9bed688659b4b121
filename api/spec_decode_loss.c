// The loss of a job: a type's name, or an object with the type's options.
#include "api/spec_decode.h"

#include "base/size.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BIT(type) (1U << (type))
#define SOFTMAX_LOSSES                                                                                       \
    (BIT(NABLA_CROSS_ENTROPY) | BIT(NABLA_FOCAL) | BIT(NABLA_POLY) | BIT(NABLA_GENERALIZED_CROSS_ENTROPY) |  \
     BIT(NABLA_KL_DIVERGENCE))
#define FOCAL_LOSSES (BIT(NABLA_FOCAL) | BIT(NABLA_BINARY_FOCAL))
#define HINGE_LOSSES (BIT(NABLA_HINGE) | BIT(NABLA_SQUARED_HINGE))
#define SMOOTHED_LOSSES                                                                                      \
    (BIT(NABLA_CROSS_ENTROPY) | BIT(NABLA_BINARY_CROSS_ENTROPY) | FOCAL_LOSSES | BIT(NABLA_POLY))

const struct loss_option loss_options[] = {
    {"label_smoothing", offsetof(struct nabla_loss, label_smoothing), SMOOTHED_LOSSES, 0, 1},
    {"z_loss", offsetof(struct nabla_loss, z_loss), SOFTMAX_LOSSES, 0, DBL_MAX},
    {"softcap", offsetof(struct nabla_loss, softcap), SOFTMAX_LOSSES, 0, DBL_MAX},
    {"temperature", offsetof(struct nabla_loss, temperature), SOFTMAX_LOSSES, DBL_MIN, DBL_MAX},
    {"gamma", offsetof(struct nabla_loss, gamma), FOCAL_LOSSES, 0, DBL_MAX},
    {"alpha", offsetof(struct nabla_loss, alpha), FOCAL_LOSSES, 0, 1},
    {"epsilon", offsetof(struct nabla_loss, epsilon), BIT(NABLA_POLY), -DBL_MAX, DBL_MAX},
    {"q", offsetof(struct nabla_loss, q), BIT(NABLA_GENERALIZED_CROSS_ENTROPY), DBL_MIN, 1},
    {"margin", offsetof(struct nabla_loss, margin), HINGE_LOSSES, 0, DBL_MAX},
    {"delta", offsetof(struct nabla_loss, delta), BIT(NABLA_HUBER), DBL_MIN, DBL_MAX},
};
const size_t loss_option_count = sizeof loss_options / sizeof *loss_options;

static const char *loss_type_at(int value)
{
    return nabla_loss_type_name((enum nabla_loss_type)value);
}

static const char *convention_at(int value)
{
    return nabla_convention_name((enum nabla_convention)value);
}

static const char *const input_names[] = {[NABLA_LOGITS] = "logits", [NABLA_PROBABILITIES] = "probabilities"};

static const char *input_at(int value)
{
    return input_names[value];
}

static int input_find(const char *name)
{
    for (int i = NABLA_LOGITS; i <= NABLA_PROBABILITIES; i++)
        if (strcmp(input_names[i], name) == 0)
            return i;
    return -1;
}

const struct choice loss_type_choice = {loss_type_at, nabla_loss_type_find, NABLA_LOSS_TYPE_COUNT};
const struct choice convention_choice = {convention_at, nabla_convention_find, NABLA_CONVENTION_COUNT};
static const struct choice inputs = {input_at, input_find, NABLA_PROBABILITIES + 1};

static bool weight_is_valid(const json_t *weight)
{
    double value = json_number_value(weight);
    return json_is_number(weight) && isfinite(value) && value >= 0;
}

// One number for each class or output; *ret_weights is the caller's to free.
static void weights_decode_list(struct fields *fields, const char *name, const json_t *list,
                                double **ret_weights, size_t *ret_count)
{
    size_t count = json_array_size(list);
    double *weights = count ? size_alloc(count, 1, sizeof *weights) : NULL;
    if (!weights) {
        fields_problem(fields, name, "wants a list with one number for each");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        weights[i] = json_number_value(json_array_get(list, i)) + 0; // -0 is 0, as in fields_number
        if (!weight_is_valid(json_array_get(list, i)))
            fields_problem(fields, name, "entry %zu must be a finite number that is not negative", i);
    }
    *ret_weights = weights;
    *ret_count = count;
}

static void class_weights_decode(struct fields *fields, struct train_spec *ret)
{
    const json_t *value = fields_value(fields, "class_weights");
    const char *text = json_string_value(value);
    if (!value)
        return;
    if (json_is_array(value))
        weights_decode_list(fields, "class_weights", value, &ret->class_weights, &ret->class_weight_count);
    else if (text && strcmp(text, "balanced") == 0)
        ret->class_weights_balanced = true;
    else
        fields_problem(fields, "class_weights", "must be \"balanced\" or a list with one number a class");
}

static void pos_weight_decode(struct fields *fields, struct train_spec *ret)
{
    const json_t *value = fields_value(fields, "pos_weight");
    if (value)
        weights_decode_list(fields, "pos_weight", value, &ret->pos_weight, &ret->pos_weight_count);
}

static void ignore_index_decode(struct fields *fields, struct nabla_loss *ret)
{
    const double most = 9007199254740991; // 2^53 - 1
    if (!fields_has(fields, "ignore_index"))
        return;
    double index = fields_number(fields, "ignore_index", 0, -most, most);
    if (index != floor(index))
        fields_problem(fields, "ignore_index", "must be a whole number");
    ret->has_ignore_index = true;
    ret->ignore_index = (int64_t)index;
}

void loss_options_decode(struct fields *fields, struct nabla_loss *ret)
{
    ignore_index_decode(fields, ret);
    for (size_t i = 0; i < loss_option_count; i++) {
        const struct loss_option *option = &loss_options[i];
        double *place = (double *)((char *)ret + option->offset);
        if (!fields_has(fields, option->name))
            continue;
        if (option->types & BIT(ret->type))
            *place = fields_number(fields, option->name, *place, option->least, option->most);
        else
            fields_problem(fields, option->name, "%s has no such option", nabla_loss_type_name(ret->type));
    }
}

void loss_decode(const json_t *value, struct problems *problems, struct train_spec *ret)
{
    int type;
    struct fields fields =
        typed_begin(value, "/loss", problems, (int)NABLA_CROSS_ENTROPY, &loss_type_choice, &type);
    struct nabla_loss *loss = &ret->loss;
    *loss = nabla_loss_defaults((enum nabla_loss_type)type);
    loss->input = (enum nabla_loss_input)choice_read(&fields, "input", (int)loss->input, &inputs);
    loss->convention =
        (enum nabla_convention)choice_read(&fields, "convention", (int)loss->convention, &convention_choice);
    loss_options_decode(&fields, loss);
    class_weights_decode(&fields, ret);
    pos_weight_decode(&fields, ret);
    fields_end(&fields);
}
