// Every layer's gradient against central differences, in double: the engine's own sources, compiled for
// double.
#include "tests/engine_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LAYERS_MAX = 12, INPUTS = 5, ROWS = 7, CLASSES = 4 };

static struct layer_spec dense(size_t units)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_DENSE);
    layer.units = units;
    return layer;
}

static struct layer_spec dense_without_bias(size_t units)
{
    struct layer_spec layer = dense(units);
    layer.use_bias = false;
    return layer;
}

static struct layer_spec batch_norm(void)
{
    return layer_defaults(LAYER_TYPE_BATCH_NORM);
}

static struct layer_spec activation(enum activation function)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_ACTIVATION);
    layer.activation = function;
    layer.alpha = activation_option(function).absent;
    return layer;
}

static struct layer_spec dropout(double rate)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_DROPOUT);
    layer.rate = rate;
    return layer;
}

static struct layer_spec layer_norm(void)
{
    return layer_defaults(LAYER_TYPE_LAYER_NORM);
}

static struct layer_spec alpha_dropout(double rate)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_ALPHA_DROPOUT);
    layer.rate = rate;
    return layer;
}

static struct layer_spec residual(size_t branch, enum projection projection)
{
    struct layer_spec layer = layer_defaults(LAYER_TYPE_RESIDUAL);
    layer.branch = branch;
    layer.projection = projection;
    return layer;
}

static struct layer_spec ruled(struct layer_spec layer, double l1, double l2)
{
    layer.rules[0] = (struct tensor_rule){.l1 = l1, .l2 = l2};
    layer.rules[1] = (struct tensor_rule){.l1 = 2 * l1, .l2 = l2 / 2};
    return layer;
}

// What the network's outputs are reduced to: a fixed linear form, the cross-entropy of the rows' classes, or
// the setting's own loss.
enum objective { LINEAR_FORM, CROSS_ENTROPY, ANY_LOSS };

struct setting {
    struct network *network;
    struct train_spec spec;
    enum objective objective;
    double coefficients[ROWS * 16];
    int64_t ids[ROWS];
    struct nabla_loss loss;
    bool has_targets;
    double targets[ROWS * CLASSES], weights[ROWS];
};

static double linear_form(const struct setting *setting, const double *output, double *gradient)
{
    const size_t count = ROWS * setting->network->outputs;
    double value = 0;
    for (size_t i = 0; i < count; i++)
        value += setting->coefficients[i] * output[i];
    memcpy(gradient, setting->coefficients, count * sizeof *gradient);
    return value;
}

static double loss_value(const struct setting *setting, const double *output, double *gradient)
{
    struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT64,
                                     .rows = ROWS,
                                     .classes = setting->network->outputs,
                                     .scores = output,
                                     .ids = setting->has_targets ? NULL : setting->ids,
                                     .targets = setting->has_targets ? setting->targets : NULL,
                                     .sample_weights = setting->weights};
    struct nabla_loss_result result = {.gradient = gradient};
    struct nabla_error err;
    if (nabla_loss_compute(&setting->loss, &batch, &result, &err))
        fail_msg("%s", err.text);
    return result.loss;
}

// The objective at the network's present parameters; leaves its gradient for network_backward. The dropout
// draws the same mask each time.
static double objective(struct setting *setting)
{
    setting->network->random = random_new(3, 3);
    const double *output = network_forward(setting->network, ROWS, NETWORK_TRAIN);
    double *gradient = network_loss_gradient(setting->network);
    const double value = setting->objective == LINEAR_FORM ? linear_form(setting, output, gradient)
                                                           : loss_value(setting, output, gradient);
    return value + network_penalty(setting->network);
}

static void setting_open(struct setting *setting, const struct layer_spec *layers, enum objective objective)
{
    struct nabla_error err;
    *setting = (struct setting){.spec = spec_defaults(), .objective = objective};
    for (size_t i = 0; i < LAYERS_MAX && (layers[i].units || layers[i].type != LAYER_TYPE_DENSE); i++)
        assert_int_equal(spec_add_layer(&setting->spec, &layers[i], &err), NABLA_OK);
    assert_int_equal(network_new(&setting->spec, INPUTS, ROWS, &setting->network, &err), NABLA_OK);
    struct random random = random_new(11, 1);
    network_initialize(setting->network, &random);
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        setting->network->input[i] = random_normal(&random);
    for (size_t i = 0; i < ROWS * setting->network->outputs; i++)
        setting->coefficients[i] = random_normal(&random);
    for (size_t i = 0; i < ROWS; i++)
        setting->ids[i] = (int64_t)(i % setting->network->outputs);
    for (size_t i = 0; i < ROWS; i++)
        setting->weights[i] = 1;
    setting->loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    // Off their starting values, where gamma = 1 and beta = 0 would hide mistakes.
    for (size_t i = 0; i < setting->network->trained_count; i++) {
        struct layer *layer = &setting->network->layers[setting->network->trained[i]];
        for (size_t j = 0; j < layer->size.parameters; j++)
            layer->parameters[j] += 0.3 * random_normal(&random);
    }
}

static void setting_close(struct setting *setting)
{
    network_free(setting->network);
    spec_free(&setting->spec);
}

static double central_difference(struct setting *setting, double *parameter)
{
    const double h = 1e-5, kept = *parameter;
    *parameter = kept + h;
    double above = objective(setting);
    *parameter = kept - h;
    double below = objective(setting);
    *parameter = kept;
    return (above - below) / (2 * h);
}

static void check_gradients(struct setting *setting, const char *comment)
{
    objective(setting);
    network_backward(setting->network, ROWS);
    network_penalty_gradient(setting->network);
    double largest = 0;
    for (size_t i = 0; i < setting->network->trained_count; i++) {
        struct layer *layer = &setting->network->layers[setting->network->trained[i]];
        for (size_t j = 0; j < layer->size.parameters; j++) {
            double wanted = central_difference(setting, &layer->parameters[j]), got = layer->gradient[j];
            if (!(fabs(got - wanted) <= 2e-8 * fmax(1, fabs(wanted))))
                fail_msg("%s: %s[%zu]: %.12g, but differences give %.12g", comment, layer->name, j, got,
                         wanted);
            largest = fmax(largest, fabs(got));
        }
    }
    assert_true(largest > 1e-3); // or nothing was tested
}

static void each_gradient_equals_its_central_difference(void **state)
{
    (void)state;
    const struct {
        const char *comment;
        enum objective objective;
        struct layer_spec layers[LAYERS_MAX];
    } cases[] = {
        {"one dense layer", LINEAR_FORM, {dense(3)}},
        {"two dense layers: the gradient of an input", LINEAR_FORM, {dense(6), dense(3)}},
        {"no bias", LINEAR_FORM, {dense_without_bias(6), dense_without_bias(3)}},
        {"linear", LINEAR_FORM, {dense(6), activation(ACTIVATION_LINEAR), dense(2)}},
        {"sigmoid", LINEAR_FORM, {dense(6), activation(ACTIVATION_SIGMOID)}},
        {"tanh", LINEAR_FORM, {dense(6), activation(ACTIVATION_TANH)}},
        {"relu", LINEAR_FORM, {dense(6), activation(ACTIVATION_RELU)}},
        {"leaky_relu", LINEAR_FORM, {dense(6), activation(ACTIVATION_LEAKY_RELU)}},
        {"elu", LINEAR_FORM, {dense(6), activation(ACTIVATION_ELU)}},
        {"selu", LINEAR_FORM, {dense(6), activation(ACTIVATION_SELU)}},
        {"gelu", LINEAR_FORM, {dense(6), activation(ACTIVATION_GELU)}},
        {"silu", LINEAR_FORM, {dense(6), activation(ACTIVATION_SILU)}},
        {"softplus", LINEAR_FORM, {dense(6), activation(ACTIVATION_SOFTPLUS)}},
        {"softsign", LINEAR_FORM, {dense(6), activation(ACTIVATION_SOFTSIGN)}},
        {"hard_sigmoid", LINEAR_FORM, {dense(6), activation(ACTIVATION_HARD_SIGMOID)}},
        {"mish", LINEAR_FORM, {dense(6), activation(ACTIVATION_MISH)}},
        {"batch_norm first", LINEAR_FORM, {batch_norm(), dense(3)}},
        {"batch_norm", LINEAR_FORM, {dense(6), batch_norm()}},
        {"dropout", LINEAR_FORM, {dense(6), dropout(0.4), dense(3)}},
        {"dropout before anything is trained", LINEAR_FORM, {dropout(0.4), dense(3)}},
        {"layer_norm first", LINEAR_FORM, {layer_norm(), dense(3)}},
        {"layer_norm", LINEAR_FORM, {dense(6), layer_norm()}},
        {"layer_norm between", LINEAR_FORM, {dense(6), layer_norm(), activation(ACTIVATION_TANH), dense(3)}},
        {"alpha_dropout", LINEAR_FORM, {dense(6), activation(ACTIVATION_SELU), alpha_dropout(0.4), dense(3)}},
        {"a residual that is its own input's",
         LINEAR_FORM,
         {dense(6), dense(6), activation(ACTIVATION_TANH), residual(2, PROJECTION_NONE), dense(2)}},
        {"a residual at the input", LINEAR_FORM, {dense(INPUTS), residual(1, PROJECTION_NONE), dense(2)}},
        {"a projection", LINEAR_FORM, {dense(6), dense(4), residual(1, PROJECTION_DENSE), dense(2)}},
        {"a projection of the same width at the end",
         LINEAR_FORM,
         {dense(6), dense(6), residual(1, PROJECTION_DENSE)}},
        {"a branch without parameters",
         LINEAR_FORM,
         {dense(6), activation(ACTIVATION_TANH), residual(1, PROJECTION_NONE), dense(2)}},
        {"nothing to learn before a branch's second layer",
         LINEAR_FORM,
         {activation(ACTIVATION_TANH), dense(INPUTS), residual(2, PROJECTION_DENSE), dense(2)}},
        {"branches within branches, with one start",
         LINEAR_FORM,
         {dense(4), dense(4), activation(ACTIVATION_TANH), residual(2, PROJECTION_NONE), dense(3),
          residual(4, PROJECTION_DENSE), dense(2)}},
        {"l1", LINEAR_FORM, {ruled(dense(6), 0.1, 0), activation(ACTIVATION_TANH), dense(3)}},
        {"l2", LINEAR_FORM, {ruled(dense(6), 0, 0.1), activation(ACTIVATION_TANH), dense(3)}},
        {"l1 and l2 on everything",
         LINEAR_FORM,
         {ruled(dense(6), 0.1, 0.2), ruled(batch_norm(), 0.02, 0.3), ruled(layer_norm(), 0.05, 0.01),
          ruled(residual(2, PROJECTION_DENSE), 0.03, 0.1), ruled(dense(3), 0.3, 0.1)}},
        {"activation twice",
         LINEAR_FORM,
         {dense(6), activation(ACTIVATION_TANH), activation(ACTIVATION_SIGMOID), dense(2)}},
        {"softmax regression", CROSS_ENTROPY, {dense(CLASSES)}},
        {"deep sigmoid",
         CROSS_ENTROPY,
         {dense(9), activation(ACTIVATION_SIGMOID), dense(8), activation(ACTIVATION_SIGMOID), dense(7),
          activation(ACTIVATION_SIGMOID), dense(CLASSES)}},
        {"all kinds",
         CROSS_ENTROPY,
         {dense(9), batch_norm(), activation(ACTIVATION_RELU), dropout(0.3), dense(8),
          activation(ACTIVATION_TANH), batch_norm(), dense(CLASSES)}},
        {"all kinds, mixed",
         CROSS_ENTROPY,
         {ruled(dense(9), 0.01, 0.02), batch_norm(), activation(ACTIVATION_SELU), alpha_dropout(0.2),
          dense_without_bias(8), layer_norm(), activation(ACTIVATION_MISH), residual(3, PROJECTION_DENSE),
          dropout(0.3), ruled(dense(8), 0, 0.1), residual(2, PROJECTION_NONE), dense(CLASSES)}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct setting setting;
        setting_open(&setting, cases[i].layers, cases[i].objective);
        check_gradients(&setting, cases[i].comment);
        setting_close(&setting);
    }
}

// Targets that suit the loss: shares of classes, shares of each, or any numbers.
static void set_targets(struct setting *setting, bool is_distribution, bool is_any)
{
    struct random random = random_new(5, 5);
    setting->has_targets = true;
    for (size_t i = 0; i < ROWS; i++) {
        double sum = 0, *row = setting->targets + i * CLASSES;
        for (size_t j = 0; j < CLASSES; j++)
            sum += row[j] = is_any ? random_normal(&random) : random_double(&random);
        for (size_t j = 0; is_distribution && j < CLASSES; j++)
            row[j] /= sum;
    }
}

// Every loss, with ids and with targets where it takes them, behind a network of all kinds.
static void each_loss_goes_back_through_a_network(void **state)
{
    (void)state;
    const struct {
        enum nabla_loss_type type;
        bool ids, targets, is_distribution, is_any;
    } cases[] = {
        {NABLA_CROSS_ENTROPY, true, true, true, false},
        {NABLA_BINARY_CROSS_ENTROPY, true, true, false, false},
        {NABLA_FOCAL, true, true, true, false},
        {NABLA_BINARY_FOCAL, true, true, false, false},
        {NABLA_POLY, true, true, true, false},
        {NABLA_GENERALIZED_CROSS_ENTROPY, true, true, true, false},
        {NABLA_KL_DIVERGENCE, true, true, true, false},
        {NABLA_HINGE, true, false, false, false},
        {NABLA_SQUARED_HINGE, true, false, false, false},
        {NABLA_MEAN_SQUARED_ERROR, true, true, false, true},
        {NABLA_HUBER, true, true, false, true},
    };
    _Static_assert(sizeof cases / sizeof *cases == NABLA_LOSS_TYPE_COUNT, "every loss is checked");
    const struct layer_spec layers[LAYERS_MAX] = {
        ruled(dense(7), 0.01, 0.02),   batch_norm(),  activation(ACTIVATION_SILU), dense(5), layer_norm(),
        residual(2, PROJECTION_DENSE), dense(CLASSES)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int with_targets = 0; with_targets < 2; with_targets++) {
            struct setting setting;
            if (!(with_targets ? cases[i].targets : cases[i].ids))
                continue;
            setting_open(&setting, layers, ANY_LOSS);
            setting.loss = nabla_loss_defaults(cases[i].type);
            setting.weights[2] = 2.5;
            setting.weights[4] = 0.5;
            if (with_targets)
                set_targets(&setting, cases[i].is_distribution, cases[i].is_any);
            check_gradients(&setting, nabla_loss_type_name(cases[i].type));
            setting_close(&setting);
        }
}

static void a_bias_before_batch_norm_has_no_gradient(void **state)
{
    (void)state;
    struct setting setting;
    setting_open(&setting, (struct layer_spec[LAYERS_MAX]){dense(6), batch_norm(), dense(2)}, LINEAR_FORM);
    objective(&setting);
    network_backward(setting.network, ROWS);
    const double *bias_gradient = setting.network->layers[0].gradient + INPUTS * 6;
    for (size_t j = 0; j < 6; j++)
        assert_true(fabs(bias_gradient[j]) < 1e-13);
    setting_close(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gradient_equals_its_central_difference),
        cmocka_unit_test(each_loss_goes_back_through_a_network),
        cmocka_unit_test(a_bias_before_batch_norm_has_no_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
