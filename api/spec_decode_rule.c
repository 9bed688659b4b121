// What keeps a layer's tensors small: regularisers and constraints, by the tensor's name.
//
//     "kernel_regularizer": "l2", or {"type": "l1_l2", "l1": 0.001, "l2": 0.01}
//     "kernel_constraint": "max_norm", or {"type": "max_norm", "max_value": 3}
#include "api/spec_decode.h"

#include <float.h>
#include <string.h>

enum regularizer { REGULARIZER_L1, REGULARIZER_L2, REGULARIZER_L1_L2, REGULARIZER_COUNT };

// Keras 3: keras/src/regularizers/regularizers.py.
static const struct {
    const char *name;
    bool has_l1, has_l2;
    double absent; // of what it has
} regularizers[] = {
    [REGULARIZER_L1] = {"l1", true, false, 0.01},
    [REGULARIZER_L2] = {"l2", false, true, 0.01},
    [REGULARIZER_L1_L2] = {"l1_l2", true, true, 0},
};
_Static_assert(sizeof regularizers / sizeof *regularizers == REGULARIZER_COUNT, "every one has a row");

static const char *regularizer_at(int value)
{
    return regularizers[value].name;
}

static int regularizer_find(const char *name)
{
    for (int i = 0; i < REGULARIZER_COUNT; i++)
        if (strcmp(regularizers[i].name, name) == 0)
            return i;
    return -1;
}

static const char *constraint_at(int value)
{
    (void)value;
    return "max_norm";
}

static int constraint_find(const char *name)
{
    return strcmp(name, "max_norm") == 0 ? 0 : -1;
}

static const struct choice regularizer_choice = {regularizer_at, regularizer_find, REGULARIZER_COUNT};
static const struct choice constraint_choice = {constraint_at, constraint_find, 1};

static const double MAX_NORM_DEFAULT = 2; // Keras 3: keras/src/constraints/constraints.py

static void regularizer_decode(struct fields *fields, const char *name, struct tensor_rule *ret)
{
    char pointer[160];
    int type;
    if (!fields_has(fields, name))
        return;
    fields_pointer(fields, name, pointer);
    struct fields own = typed_begin(fields_value(fields, name), pointer, fields->problems, REGULARIZER_L2,
                                    &regularizer_choice, &type);
    const double absent = regularizers[type].absent;
    if (regularizers[type].has_l1)
        ret->l1 = fields_number(&own, "l1", absent, 0, FLT_MAX);
    if (regularizers[type].has_l2)
        ret->l2 = fields_number(&own, "l2", absent, 0, FLT_MAX);
    fields_end(&own);
}

static void constraint_decode(struct fields *fields, const char *name, struct tensor_rule *ret)
{
    char pointer[160];
    int type;
    if (!fields_has(fields, name))
        return;
    fields_pointer(fields, name, pointer);
    struct fields own =
        typed_begin(fields_value(fields, name), pointer, fields->problems, 0, &constraint_choice, &type);
    ret->max_norm = fields_number(&own, "max_value", MAX_NORM_DEFAULT, FLT_MIN, FLT_MAX);
    fields_end(&own);
}

void layer_rules_decode(struct fields *fields, struct layer_spec *ret)
{
    for (size_t t = 0; t < LAYER_TENSORS && layer_rule_names(ret, t); t++) {
        regularizer_decode(fields, layer_rule_names(ret, t)->regularizer, &ret->rules[t]);
        constraint_decode(fields, layer_rule_names(ret, t)->constraint, &ret->rules[t]);
    }
}
