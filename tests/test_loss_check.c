// What nabla_loss_compute refuses, with the place and the reason.
#include "math/loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// Everything that a caller can get wrong, one thing each, on a good 2×2 batch.
struct request {
    struct nabla_loss loss;
    struct nabla_loss_batch batch;
};

static const double minus_weights[] = {1, -1}, nan_weights[] = {NAN, 1}, infinite_weights[] = {1, INFINITY};
static const double half_hot[] = {1, 0, 0.5, 0.5}, two_hot[] = {1, 0, 1, 1}, minus_hot[] = {1, 0, -1, 2};
static const double nan_hot[] = {1, 0, NAN, 1}, wild[] = {0.5, 0.5, 1.5, 0.5}, minus_p[] = {-0.5, 1, 0, 1};
static const int64_t high_ids[] = {0, 2}, low_ids[] = {-1, 0};

static void with_targets(struct request *r, const double *targets)
{
    r->batch.ids = NULL;
    r->batch.targets = targets;
}

static void label_high(struct request *r)
{
    r->batch.ids = high_ids;
}

static void label_low(struct request *r)
{
    r->batch.ids = low_ids;
}

static void no_rows(struct request *r)
{
    r->batch.rows = 0;
}

static void no_classes(struct request *r)
{
    r->batch.classes = 0;
}

static void too_many(struct request *r)
{
    r->batch.rows = SIZE_MAX / 2;
}

static void no_labels(struct request *r)
{
    r->batch.ids = NULL;
}

static void both_labels(struct request *r)
{
    r->batch.targets = half_hot;
}

static void minus_class_weight(struct request *r)
{
    r->loss.class_weights = minus_weights;
}

static void nan_class_weight(struct request *r)
{
    r->loss.class_weights = nan_weights;
}

static void infinite_sample_weight(struct request *r)
{
    r->batch.sample_weights = infinite_weights;
}

static void smoothing_one(struct request *r)
{
    r->loss.label_smoothing = 1;
}

static void smoothing_nan(struct request *r)
{
    r->loss.label_smoothing = NAN;
}

static void temperature_zero(struct request *r)
{
    r->loss.temperature = 0;
}

static void gamma_not_here(struct request *r)
{
    r->loss.gamma = 3;
}

static void alpha_not_here(struct request *r)
{
    r->loss.alpha = 0.25;
}

static void pos_weight_not_here(struct request *r)
{
    r->loss.pos_weight = half_hot;
}

static void q_two(struct request *r)
{
    r->loss.type = NABLA_GENERALIZED_CROSS_ENTROPY;
    r->loss.q = 2;
}

static void delta_zero(struct request *r)
{
    r->loss.type = NABLA_HUBER;
    r->loss.delta = 0;
}

static void hinge_probabilities(struct request *r)
{
    r->loss.type = NABLA_HINGE;
    r->loss.input = NABLA_PROBABILITIES;
}

static void focal_torch(struct request *r)
{
    r->loss.type = NABLA_FOCAL;
    r->loss.convention = NABLA_TORCH;
}

static void sparse_targets(struct request *r)
{
    with_targets(r, half_hot);
    r->loss.convention = NABLA_KERAS_TF_SPARSE;
}

static void ignore_targets(struct request *r)
{
    with_targets(r, half_hot);
    r->loss.has_ignore_index = true;
}

static void hinge_half(struct request *r)
{
    with_targets(r, half_hot);
    r->loss.type = NABLA_HINGE;
}

static void hinge_two(struct request *r)
{
    with_targets(r, two_hot);
    r->loss.type = NABLA_HINGE;
}

static void minus_target(struct request *r)
{
    with_targets(r, minus_hot);
}

static void nan_target(struct request *r)
{
    with_targets(r, nan_hot);
}

static void binary_above(struct request *r)
{
    with_targets(r, wild);
    r->loss.type = NABLA_BINARY_CROSS_ENTROPY;
}

static void p_above(struct request *r)
{
    r->batch.scores = wild;
    r->loss.input = NABLA_PROBABILITIES;
}

static void p_below(struct request *r)
{
    r->batch.scores = minus_p;
    r->loss.input = NABLA_PROBABILITIES;
}

static void z_probabilities(struct request *r)
{
    r->loss.z_loss = 1;
    r->loss.input = NABLA_PROBABILITIES;
}

static void regression_ids(struct request *r)
{
    r->loss.type = NABLA_MEAN_SQUARED_ERROR;
    r->batch.classes = 1;
}

static void type_number(struct request *r)
{
    r->loss.type = NABLA_LOSS_TYPE_COUNT;
}

static void convention_number(struct request *r)
{
    r->loss.convention = NABLA_CONVENTION_COUNT;
}

static const struct {
    void (*spoil)(struct request *request);
    const char *pointer, *word; // a word that the text must have
} bad[] = {
    {label_high, "/labels/1", "label 2"},
    {label_low, "/labels/0", "label -1"},
    {no_rows, "/logits", "0 rows"},
    {no_classes, "/logits", "at least 1"},
    {too_many, "/logits", "memory"},
    {no_labels, "/labels", "exactly one"},
    {both_labels, "/labels", "exactly one"},
    {minus_class_weight, "/loss/class_weights/1", "-1"},
    {nan_class_weight, "/loss/class_weights/0", "nan"},
    {infinite_sample_weight, "/sample_weights/1", "inf"},
    {smoothing_one, "/loss/label_smoothing", "[0, 1)"},
    {smoothing_nan, "/loss/label_smoothing", "nan"},
    {temperature_zero, "/loss/temperature", "(0"},
    {gamma_not_here, "/loss/gamma", "no option gamma"},
    {alpha_not_here, "/loss/alpha", "no option alpha"},
    {pos_weight_not_here, "/loss/pos_weight", "pos_weight"},
    {q_two, "/loss/q", "(0, 1]"},
    {delta_zero, "/loss/delta", "(0"},
    {hinge_probabilities, "/probabilities", "logits only"},
    {focal_torch, "/convention", "exact, keras"},
    {sparse_targets, "/labels", "class ids"},
    {ignore_targets, "/loss/ignore_index", "class ids"},
    {hinge_half, "/labels/1/0", "one-hot"},
    {hinge_two, "/labels/1", "exactly one"},
    {minus_target, "/labels/1/0", "negative"},
    {nan_target, "/labels/1/0", "not finite"},
    {binary_above, "/labels/1/0", "above 1"},
    {p_above, "/probabilities/1/0", "no probability"},
    {p_below, "/probabilities/0/0", "no probability"},
    {z_probabilities, "/loss/z_loss", "probabilities"},
    {regression_ids, "/labels", "targets"},
    {type_number, "/loss/type", "no loss"},
    {convention_number, "/convention", "no convention"},
};

static void bad_input_is_refused_with_its_place(void **state)
{
    (void)state;
    static const double scores[] = {0.25, 0.75, 0.5, 0.5};
    static const int64_t ids[] = {0, 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct request request = {nabla_loss_defaults(NABLA_CROSS_ENTROPY),
                                  {NABLA_FLOAT64, 2, 2, scores, ids, NULL, NULL}};
        bad[i].spoil(&request);
        struct nabla_loss_result result = {0};
        struct nabla_error error = {0};
        enum nabla_code code = nabla_loss_compute(&request.loss, &request.batch, &result, &error);
        print_message("%s: %s\n", bad[i].pointer, error.text);
        assert_true(code == NABLA_INVALID || code == NABLA_LIMIT);
        assert_string_equal(error.pointer, bad[i].pointer);
        assert_non_null(strstr(error.text, bad[i].word));
        assert_true(result.denominator == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_input_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
