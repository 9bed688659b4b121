// Every loss, convention, input and option: the gradient against central differences, in float64, and the
// float32 results against the float64 ones.
#include "math/loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 3, CLASSES = 4, ENTRIES = ROWS * CLASSES };

static const double logits[ENTRIES] = {0.3, -1.2, 0.8, 0.1, 1.5, 0.4, -0.7, 0.2, -0.4, 2.1, 0.6, -1.1};
static const double shares[ENTRIES] = {0.1, 0.2, 0.3, 0.4, 0.25, 0.05, 0.6, 0.1, 0.7, 0.1, 0.15, 0.05};
static const double soft[ENTRIES] = {0.2, 0.3, 0.4, 0.1, 0.05, 0.7, 0.15, 0.1, 0.4, 0.25, 0.05, 0.3};
static const double hot[ENTRIES] = {0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0};
static const double numbers[ENTRIES] = {0.2, 1.3, -2.4, 0.15, 0.45, 0.72, 1.15, -0.1, 0.4, 4.25, 0.05, -2.3};
static const int64_t ids[ROWS] = {2, 0, 3};
static const double class_weights[CLASSES] = {0.5, 1, 2, 0.25};
static const double pos_weight[CLASSES] = {3, 1, 0.5, 2};
static const double sample_weights[ROWS] = {1, 0.5, 3};

// Options to try on top of the defaults; one that a loss refuses is skipped there.
static const struct {
    const char *comment;
    bool class_weights, pos_weight, sample_weights, ignoring;
    double smoothing, z_loss, softcap, temperature, gamma, alpha, epsilon, q, margin, delta;
} options[] = {
    {.comment = "defaults"},
    {.comment = "class weights", .class_weights = true},
    {.comment = "pos_weight", .pos_weight = true, .class_weights = true},
    {.comment = "sample weights", .sample_weights = true},
    {.comment = "an ignored row", .ignoring = true},
    {.comment = "smoothing", .smoothing = 0.1},
    {.comment = "smoothing and class weights", .smoothing = 0.2, .class_weights = true},
    {.comment = "z_loss", .z_loss = 0.05},
    {.comment = "softcap", .softcap = 1.5},
    {.comment = "temperature", .temperature = 0.7},
    {.comment = "all of cross_entropy",
     .z_loss = 0.1,
     .softcap = 2,
     .temperature = 1.3,
     .smoothing = 0.1,
     .class_weights = true,
     .sample_weights = true},
    {.comment = "gamma", .gamma = 0.5},
    {.comment = "alpha", .gamma = 3, .alpha = 0.25},
    {.comment = "epsilon", .epsilon = -0.5},
    {.comment = "q", .q = 1},
    {.comment = "small q", .q = 0.01},
    {.comment = "margin", .margin = 0.3},
    {.comment = "delta", .delta = 0.33},
};

static struct nabla_loss loss_of(size_t option, int type, int convention, int input, int reduction)
{
    struct nabla_loss loss = nabla_loss_defaults((enum nabla_loss_type)type);
    loss.convention = (enum nabla_convention)convention;
    loss.input = (enum nabla_loss_input)input;
    loss.reduction = (enum nabla_reduction)reduction;
    loss.class_weights = options[option].class_weights ? class_weights : NULL;
    loss.pos_weight = options[option].pos_weight ? pos_weight : NULL;
    loss.has_ignore_index = options[option].ignoring;
    loss.ignore_index = 3;
    loss.label_smoothing = options[option].smoothing;
    loss.z_loss = options[option].z_loss;
    loss.softcap = options[option].softcap;
    loss.temperature = options[option].temperature > 0 ? options[option].temperature : 1;
    loss.gamma = options[option].gamma > 0 ? options[option].gamma : loss.gamma;
    loss.alpha = options[option].alpha > 0 ? options[option].alpha : NAN;
    loss.epsilon = options[option].epsilon < 0 ? options[option].epsilon : loss.epsilon;
    loss.q = options[option].q > 0 ? options[option].q : loss.q;
    loss.margin = options[option].margin > 0 ? options[option].margin : loss.margin;
    loss.delta = options[option].delta > 0 ? options[option].delta : loss.delta;
    return loss;
}

static double loss_at(const struct nabla_loss *loss, struct nabla_loss_batch batch, const double *scores)
{
    struct nabla_loss_result result = {0};
    batch.scores = scores;
    assert_int_equal(nabla_loss_compute(loss, &batch, &result, NULL), NABLA_OK);
    return result.loss;
}

// The fourth-order central difference of the loss at entry `index`.
static double difference(const struct nabla_loss *loss, const struct nabla_loss_batch *batch, size_t index)
{
    double moved[ENTRIES];
    memcpy(moved, batch->scores, sizeof moved);
    double at = moved[index], h = 1e-4, f[4];
    const double steps[] = {-2, -1, 1, 2};
    for (size_t i = 0; i < 4; i++) {
        moved[index] = at + steps[i] * h;
        f[i] = loss_at(loss, *batch, moved);
    }
    return (f[0] - f[3] + 8 * (f[2] - f[1])) / (12 * h);
}

static void check_near(double actual, double expected, double tolerance, const struct nabla_loss *loss,
                       const char *comment)
{
    if (!(fabs(actual - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%s, %s, %s, input %d: %.12g is not %.12g", nabla_loss_type_name(loss->type), comment,
                 nabla_convention_name(loss->convention), (int)loss->input, actual, expected);
}

static void check_gradient(const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                           const char *comment)
{
    double gradient[ENTRIES];
    struct nabla_loss_result result = {.gradient = gradient};
    assert_int_equal(nabla_loss_compute(loss, batch, &result, NULL), NABLA_OK);
    for (size_t i = 0; i < ENTRIES; i++)
        check_near(gradient[i], difference(loss, batch, i), 1e-9, loss, comment);
}

// The gradient with respect to the logits is what differences of loss(softmax(logits)) give.
static void check_carried(const struct nabla_loss *loss, const struct nabla_loss_batch *batch, bool sigmoid,
                          const char *comment)
{
    double carried[ENTRIES], base[ENTRIES], moved[ENTRIES];
    struct nabla_loss_result result = {.gradient_logits = carried};
    assert_int_equal(nabla_loss_compute(loss, batch, &result, NULL), NABLA_OK);
    memcpy(base, batch->scores, sizeof base);
    for (size_t i = 0; i < ENTRIES; i++) {
        double h = 1e-4, f[4];
        const double steps[] = {-2, -1, 1, 2};
        for (size_t k = 0; k < 4; k++) {
            memcpy(moved, base, sizeof moved);
            double *row = moved + i / CLASSES * CLASSES, p = moved[i], total = 0;
            double grown = p * exp(steps[k] * h);
            moved[i] = sigmoid ? grown / (1 - p + grown) : grown;
            for (size_t j = 0; j < CLASSES; j++)
                total += row[j];
            for (size_t j = 0; j < CLASSES && !sigmoid; j++)
                row[j] /= total;
            f[k] = loss_at(loss, *batch, moved);
        }
        check_near(carried[i], (f[0] - f[3] + 8 * (f[2] - f[1])) / (12 * h), 1e-9, loss, comment);
    }
}

static void check_float(const struct nabla_loss *loss, const struct nabla_loss_batch *batch,
                        const char *comment)
{
    float scores[ENTRIES], targets[ENTRIES], gradient[ENTRIES], per_sample[ROWS];
    double wide[ENTRIES], per_sample_wide[ROWS];
    struct nabla_loss_batch narrow = *batch;
    for (size_t i = 0; i < ENTRIES; i++) {
        scores[i] = (float)((const double *)batch->scores)[i];
        targets[i] = batch->targets ? (float)((const double *)batch->targets)[i] : 0;
    }
    narrow.dtype = NABLA_FLOAT32;
    narrow.scores = scores;
    narrow.targets = batch->targets ? targets : NULL;
    struct nabla_loss_result result = {.gradient = wide, .per_sample = per_sample_wide};
    assert_int_equal(nabla_loss_compute(loss, batch, &result, NULL), NABLA_OK);
    struct nabla_loss_result single = {.gradient = gradient, .per_sample = per_sample};
    assert_int_equal(nabla_loss_compute(loss, &narrow, &single, NULL), NABLA_OK);
    check_near(single.loss, result.loss, 1e-6, loss, comment);
    check_near(single.gradient_norm, result.gradient_norm, 1e-5, loss, comment);
    for (size_t i = 0; i < ENTRIES; i++)
        check_near((double)gradient[i], wide[i], 2e-6, loss, comment);
    for (size_t i = 0; i < ROWS; i++)
        check_near((double)per_sample[i], per_sample_wide[i], 1e-6, loss, comment);
}

// torch's BCELoss does not differentiate what it computes: its gradient is bounded by a constant of its own.
static void check_one(size_t option, int type, int convention, int input, size_t labels, size_t *ret_count)
{
    bool regression = type == NABLA_MEAN_SQUARED_ERROR || type == NABLA_HUBER;
    bool sigmoid = type == NABLA_BINARY_CROSS_ENTROPY || type == NABLA_BINARY_FOCAL;
    struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT64, .rows = ROWS, .classes = CLASSES};
    batch.scores = input == NABLA_LOGITS ? logits : shares;
    batch.ids = labels == 0 ? ids : NULL;
    batch.targets = labels == 0 ? NULL : labels == 1 ? hot : regression ? numbers : soft;
    batch.sample_weights = options[option].sample_weights ? sample_weights : NULL;
    for (int reduction = NABLA_MEAN; reduction <= NABLA_SUM; reduction++) {
        struct nabla_loss loss = loss_of(option, type, convention, input, reduction);
        struct nabla_loss_result result = {0};
        if (nabla_loss_compute(&loss, &batch, &result, NULL) != NABLA_OK)
            return;
        check_gradient(&loss, &batch, options[option].comment);
        if (input == NABLA_PROBABILITIES)
            check_carried(&loss, &batch, sigmoid, options[option].comment);
        check_float(&loss, &batch, options[option].comment);
        (*ret_count)++;
    }
}

static void gradients_agree_with_central_differences(void **state)
{
    (void)state;
    for (int type = 0; type < NABLA_LOSS_TYPE_COUNT; type++) {
        size_t count = 0;
        for (size_t option = 0; option < sizeof options / sizeof *options; option++)
            for (int convention = 0; convention < NABLA_CONVENTION_COUNT; convention++)
                for (int input = 0; input < 2; input++)
                    for (size_t labels = 0; labels < 3; labels++)
                        check_one(option, type, convention, input, labels, &count);
        print_message("%s: %zu combinations\n", nabla_loss_type_name((enum nabla_loss_type)type), count);
        assert_true(count >= 8);
    }
}

// Logits and their softmax are two ways to one loss, where nothing clips.
static void probabilities_and_logits_give_one_loss(void **state)
{
    (void)state;
    for (int type = 0; type < NABLA_LOSS_TYPE_COUNT; type++) {
        struct nabla_loss loss = nabla_loss_defaults((enum nabla_loss_type)type);
        double p[ENTRIES], from_logits[ENTRIES], carried[ENTRIES];
        struct nabla_loss_batch batch = {NABLA_FLOAT64, ROWS, CLASSES, logits, NULL, soft, NULL};
        struct nabla_loss_result result = {.gradient = from_logits, .probabilities = p};
        if (nabla_loss_compute(&loss, &batch, &result, NULL) != NABLA_OK || type >= NABLA_HINGE)
            continue;
        loss.input = NABLA_PROBABILITIES;
        batch.scores = p;
        struct nabla_loss_result other = {.gradient_logits = carried};
        assert_int_equal(nabla_loss_compute(&loss, &batch, &other, NULL), NABLA_OK);
        check_near(other.loss, result.loss, 1e-14, &loss, "loss");
        for (size_t i = 0; i < ENTRIES; i++)
            check_near(carried[i], from_logits[i], 1e-14, &loss, "gradient");
    }
}

// In the far tail the focal loss keeps its gradient in log space, and Keras' clip loses it.
static void focal_keeps_its_far_tail(void **state)
{
    (void)state;
    static const double far[] = {-40, 0};
    static const int64_t label = 0;
    double gradient[2];
    struct nabla_loss loss = nabla_loss_defaults(NABLA_FOCAL);
    struct nabla_loss_batch batch = {NABLA_FLOAT64, 1, 2, far, &label, NULL, NULL};
    struct nabla_loss_result result = {.gradient = gradient};
    assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
    check_near(result.loss, 40, 1e-14, &loss, "tail");
    check_near(gradient[0], -1, 1e-14, &loss, "tail");
    loss.convention = NABLA_KERAS;
    assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
    assert_true(gradient[0] == 0 && gradient[1] == 0);
    loss.convention = NABLA_EXACT;
    loss.type = NABLA_BINARY_FOCAL;
    batch = (struct nabla_loss_batch){NABLA_FLOAT64, 1, 1, far, (const int64_t[]){1}, NULL, NULL};
    assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
    check_near(result.loss, 40, 1e-14, &loss, "tail");
    check_near(gradient[0], -1, 1e-14, &loss, "tail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree_with_central_differences),
        cmocka_unit_test(probabilities_and_logits_give_one_loss),
        cmocka_unit_test(focal_keeps_its_far_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
