// Clipped gradients move the parameters; the gradients themselves, and what telemetry sees, stay as they
// were.
#include "tests/engine_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { INPUTS = 50, UNITS = 45, CLASSES = 3, LAYERS = 3, NUMBERS_MAX = 4096 }; // more than one block

struct setting {
    struct train_spec spec;
    struct network *network;
};

static void setting_open(struct setting *setting)
{
    struct nabla_error err;
    struct random random = random_new(5, 5);
    struct layer_spec layers[LAYERS] = {layer_defaults(LAYER_TYPE_DENSE),
                                        layer_defaults(LAYER_TYPE_BATCH_NORM),
                                        layer_defaults(LAYER_TYPE_DENSE)};
    layers[0].units = UNITS;
    layers[2].units = CLASSES;
    setting->spec = spec_defaults();
    setting->spec.optimizer = optimizer_defaults(OPTIMIZER_SGD);
    for (int i = 0; i < LAYERS; i++)
        assert_int_equal(spec_add_layer(&setting->spec, &layers[i], &err), NABLA_OK);
    assert_int_equal(network_new(&setting->spec, INPUTS, 1, &setting->network, &err), NABLA_OK);
    network_initialize(setting->network, &random);
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < setting->network->layers[l].size.parameters; i++)
            setting->network->layers[l].gradient[i] = random_normal(&random) * (l == 1 ? 0.01 : 1);
}

static void setting_close(struct setting *setting)
{
    network_free(setting->network);
    spec_free(&setting->spec);
}

static double norm_of(const double *x, size_t count)
{
    double square = 0;
    for (size_t i = 0; i < count; i++)
        square += x[i] * x[i];
    return sqrt(square);
}

static double global_norm(const struct network *network)
{
    double norm = 0;
    for (size_t l = 0; l < LAYERS; l++)
        norm = hypot(norm, norm_of(network->layers[l].gradient, network->layers[l].size.parameters));
    return norm;
}

// Keras' formulas, number by number.
static double clipped(const struct optimizer_spec *spec, const struct layer *layer, size_t i, double global)
{
    const size_t weights =
        layer->spec->type == LAYER_TYPE_DENSE ? layer->size.inputs * layer->size.outputs : layer->size.inputs;
    const double g = layer->gradient[i];
    if (spec->clip_value > 0)
        return fmin(fmax(g, -spec->clip_value), spec->clip_value);
    if (spec->global_clip_norm > 0)
        return g * spec->global_clip_norm * fmin(1 / global, 1 / spec->global_clip_norm);
    if (spec->clip_norm <= 0)
        return g;
    const double norm = i < weights ? norm_of(layer->gradient, weights)
                                    : norm_of(layer->gradient + weights, layer->size.parameters - weights);
    return g * spec->clip_norm / fmax(norm, spec->clip_norm);
}

static void each_clip_is_that_of_keras(void **state)
{
    (void)state;
    const struct optimizer_spec clips[] = {
        {.clip_value = 0},   {.clip_value = 0.5}, {.clip_value = 100},       {.clip_norm = 2},
        {.clip_norm = 0.05}, {.clip_norm = 1000}, {.global_clip_norm = 1.5}, {.global_clip_norm = 1000},
    };
    for (size_t c = 0; c < sizeof clips / sizeof *clips; c++) {
        struct setting setting;
        static double before[LAYERS][NUMBERS_MAX], kept[LAYERS][NUMBERS_MAX];
        struct update_summary summaries[LAYERS];
        setting_open(&setting);
        struct layer *layers = setting.network->layers;
        for (size_t l = 0; l < LAYERS; l++) {
            const size_t bytes = layers[l].size.parameters * sizeof(double);
            memcpy(before[l], layers[l].parameters, bytes);
            memcpy(kept[l], layers[l].gradient, bytes);
            summaries[l].square_before = NAN;
        }
        struct optimizer_spec spec = clips[c];
        spec.type = OPTIMIZER_SGD;
        const struct optimizer_step step = optimizer_step_new(&spec, 1, 1);
        network_update(setting.network, &step, summaries);
        const double global = global_norm(setting.network);
        for (size_t l = 0; l < LAYERS; l++) {
            for (size_t i = 0; i < layers[l].size.parameters; i++) {
                const double wanted = before[l][i] - clipped(&spec, &layers[l], i, global);
                assert_true(fabs(layers[l].parameters[i] - wanted) < 1e-14);
                assert_true(layers[l].gradient[i] == kept[l][i]);
            }
            const double norm = norm_of(kept[l], layers[l].size.parameters);
            assert_true(fabs(summary_norm(&summaries[l].gradient) - norm) < 1e-12 * norm);
        }
        setting_close(&setting);
    }
}

static void a_gradient_that_is_not_finite_stays_seen(void **state)
{
    (void)state;
    assert_true(clip_scale(4, 1) == 0.5 && clip_scale(0, 1) == 1 && clip_scale(1, 1) == 1);
    assert_true(isnan(clip_scale(NAN, 1)) && clip_scale(INFINITY, 1) == 0);
    assert_true(isnan(clip_scale_global(NAN, 1)) && isnan(clip_scale_global(INFINITY, 1)));
    const double g[] = {NAN, INFINITY, -INFINITY};
    double result[3];
    clip_apply(result, g, 1, 0.5, 3);
    assert_true(isnan(result[0]) && result[1] == 0.5 && result[2] == -0.5);
    clip_apply(result, g, 0, INFINITY, 3);
    assert_true(isnan(result[0]) && isnan(result[1]) && isnan(result[2]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_clip_is_that_of_keras),
        cmocka_unit_test(a_gradient_that_is_not_finite_stays_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
