// Certificates: true gradients are near the exact ones, whatever loss, convention and input; wrong ones are
// noticed, and where.
#include "loss_truth.h"

#include "math/loss_certify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 6, CLASSES = 5, ENTRIES = ROWS * CLASSES };

// A batch in both dtypes, with everything that an option may want.
struct sample {
    double scores[ENTRIES], targets[ENTRIES], sample_weights[ROWS], class_weights[CLASSES];
    float narrow_scores[ENTRIES], narrow_targets[ENTRIES], narrow_gradient[ENTRIES];
    double gradient[ENTRIES];
    int64_t ids[ROWS];
};

static double uniform(uint64_t *state)
{
    return truth_uniform(state);
}

static void sample_logits(struct sample *sample, uint64_t *state)
{
    for (size_t i = 0; i < ENTRIES; i++)
        sample->scores[i] = 20 * uniform(state) * (uniform(state) - 0.5);
    sample->scores[0] += 40;           // nearly all of the probability
    sample->scores[CLASSES + 1] -= 90; // nearly none
}

static void sample_probabilities(struct sample *sample, uint64_t *state)
{
    for (size_t i = 0; i < ROWS; i++) {
        double total = 0;
        for (size_t j = 0; j < CLASSES; j++)
            total += sample->scores[i * CLASSES + j] = pow(uniform(state), 12);
        for (size_t j = 0; j < CLASSES; j++)
            sample->scores[i * CLASSES + j] /= total;
    }
    memcpy(sample->scores, (double[]){3e-8, 0.5, 0.5 - 3e-8, 0, 0}, CLASSES * sizeof(double));
    memcpy(sample->scores + CLASSES, (double[]){1e-7, 0.25, 0.25, 0.25, 0.25 - 1e-7},
           CLASSES * sizeof(double));
}

static void sample_make(struct sample *sample, enum nabla_loss_input input, bool hard, uint64_t *state)
{
    if (input == NABLA_LOGITS)
        sample_logits(sample, state);
    else
        sample_probabilities(sample, state);
    for (size_t i = 0; i < ROWS; i++) {
        double total = 0;
        sample->ids[i] = (int64_t)(CLASSES * uniform(state));
        sample->sample_weights[i] = i == 3 ? 0 : 2 * uniform(state);
        for (size_t j = 0; j < CLASSES; j++)
            total += sample->targets[i * CLASSES + j] = hard ? (int64_t)j == sample->ids[i] : uniform(state);
        for (size_t j = 0; j < CLASSES; j++)
            sample->targets[i * CLASSES + j] /= total;
    }
    for (size_t j = 0; j < CLASSES; j++)
        sample->class_weights[j] = 0.25 + uniform(state);
    for (size_t i = 0; i < ENTRIES; i++) {
        sample->narrow_scores[i] = (float)sample->scores[i];
        sample->narrow_targets[i] = (float)sample->targets[i];
    }
}

static struct nabla_loss_batch sample_batch(struct sample *sample, enum nabla_dtype dtype, bool ids)
{
    bool single = dtype == NABLA_FLOAT32;
    struct nabla_loss_batch batch = {.dtype = dtype, .rows = ROWS, .classes = CLASSES};
    batch.scores = single ? (void *)sample->narrow_scores : (void *)sample->scores;
    if (ids)
        batch.ids = sample->ids;
    else
        batch.targets = single ? (void *)sample->narrow_targets : (void *)sample->targets;
    return batch;
}

static void *sample_gradient(struct sample *sample, enum nabla_dtype dtype)
{
    return dtype == NABLA_FLOAT32 ? (void *)sample->narrow_gradient : (void *)sample->gradient;
}

// Computes and certifies; false where the combination does not exist.
static bool certify(struct sample *sample, const struct nabla_loss *loss,
                    const struct nabla_loss_batch *batch, struct nabla_loss_certificate *ret)
{
    struct nabla_error err;
    struct nabla_loss_result result = {.gradient = sample_gradient(sample, batch->dtype)};
    if (nabla_loss_compute(loss, batch, &result, &err) != NABLA_OK)
        return false;
    assert_int_equal(nabla_loss_certify(loss, batch, result.gradient, ret, &err), NABLA_OK);
    return true;
}

// The options that change a formula, one at a time.
enum variant { PLAIN, ONE_HOT, SMOOTHED, WEIGHTED, Z_LOSS, SOFTCAP, TEMPERATURE, VARIANT_COUNT };

static void vary(enum variant variant, struct sample *sample, struct nabla_loss *loss,
                 struct nabla_loss_batch *batch)
{
    loss->label_smoothing = variant == SMOOTHED ? 0.1 : 0;
    loss->z_loss = variant == Z_LOSS ? 0.01 : 0;
    loss->softcap = variant == SOFTCAP ? 30 : 0;
    loss->temperature = variant == TEMPERATURE ? 1.5 : 1;
    if (variant == WEIGHTED) {
        loss->class_weights = sample->class_weights;
        batch->sample_weights = sample->sample_weights;
    }
}

// One of the combinations of loss, convention and input.
struct combination {
    enum nabla_loss_type type;
    enum nabla_convention convention;
    enum nabla_loss_input input;
};

// The largest deviation over all variants; -1 where the combination does not exist.
static double combination_worst(const struct combination *combination, enum nabla_dtype dtype,
                                uint64_t *state)
{
    double worst = -1;
    for (int i = 0; i < VARIANT_COUNT * 2 * 4; i++) {
        struct sample sample;
        enum variant variant = (enum variant)(i % VARIANT_COUNT);
        struct nabla_loss loss = nabla_loss_defaults(combination->type);
        bool hard = loss.type == NABLA_HINGE || loss.type == NABLA_SQUARED_HINGE || variant == ONE_HOT;
        sample_make(&sample, combination->input, hard, state);
        struct nabla_loss_batch batch = sample_batch(&sample, dtype, i / VARIANT_COUNT % 2);
        struct nabla_loss_certificate certificate;
        loss.convention = combination->convention;
        loss.input = combination->input;
        loss.reduction = (enum nabla_reduction)(i % 3);
        vary(variant, &sample, &loss, &batch);
        if (certify(&sample, &loss, &batch, &certificate))
            worst = fmax(worst, certificate.largest_deviation_ulp);
    }
    return worst;
}

// float64 has no bits to spare for a capped logit, a power of a tiny probability or a smoothed 1 - y.
static const double most_ulps[] = {[NABLA_FLOAT32] = 4, [NABLA_FLOAT64] = 200};

static void what_is_computed_is_certified(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    size_t existing = 0;
    for (int i = 0; i < NABLA_LOSS_TYPE_COUNT * NABLA_CONVENTION_COUNT * 2 * 2; i++) {
        enum nabla_dtype dtype = (enum nabla_dtype)(i % 2);
        struct combination combination = {.input = (enum nabla_loss_input)(i / 2 % 2),
                                          .convention =
                                              (enum nabla_convention)(i / 4 % NABLA_CONVENTION_COUNT),
                                          .type = (enum nabla_loss_type)(i / 4 / NABLA_CONVENTION_COUNT)};
        double worst = combination_worst(&combination, dtype, &random);
        existing += worst >= 0;
        if (worst > most_ulps[dtype])
            fail_msg("%s, %s, input %d, float%d: %g ulp", nabla_loss_type_name(combination.type),
                     nabla_convention_name(combination.convention), (int)combination.input, dtype ? 64 : 32,
                     worst);
    }
    assert_int_equal(existing, 2 * 59); // the table in docs/losses.md
}

// The tests' own arithmetic of 113 bits, which shares nothing with the certificate's, measures the same.
static void certificates_are_the_truth(void **state)
{
    (void)state;
    uint64_t random = 2463534242u;
    for (int i = 0; i < 500; i++) {
        double x[TRUTH_MOST_CLASSES], gradient[TRUTH_MOST_CLASSES], value;
        size_t label, classes = truth_row(&random, x, &label);
        int64_t id = (int64_t)label;
        struct truth truth = {0};
        struct nabla_loss_certificate certificate;
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        struct nabla_loss_batch batch = {
            .dtype = NABLA_FLOAT64, .rows = 1, .classes = classes, .scores = x, .ids = &id};
        struct nabla_loss_result result = {.gradient = gradient, .per_sample = &value};
        assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
        assert_int_equal(nabla_loss_certify(&loss, &batch, gradient, &certificate, NULL), NABLA_OK);
        truth_compare(&truth, NABLA_FLOAT64, x, classes, label, value, gradient);
        assert_true(fabs(certificate.largest_deviation_ulp - truth.gradient_ulps) < 1e-9);
        assert_true(certificate.largest_deviation_ulp <= 4);
    }
}

// What is done to one entry of a true gradient, and the deviation that must be seen.
static const struct {
    const char *comment;
    double factor, addend;
    double least_ulps, most_ulps;
} wrongs[] = {
    {"nothing", 1, 0, 0, 4},
    {"a hundred units of 0.1 to 0.125", 1, 100 * 0x1p-56, 95, 105},
    {"another sign", -1, 0, 1e15, 1e17},
    {"nothing left", 0, 0, 1e15, 1e16},
    {"another reduction", 2, 0, 1e15, 1e16},
    {"infinite", INFINITY, 0, INFINITY, INFINITY},
    {"not a number", NAN, 0, INFINITY, INFINITY},
};

static void a_wrong_gradient_is_noticed_where_it_is(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 0.1, -1, 0, 2, 2, 2, -1};
    const int64_t ids[] = {2, 4};
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {
        .dtype = NABLA_FLOAT64, .rows = 2, .classes = 5, .scores = x, .ids = ids};
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        double gradient[10];
        struct nabla_loss_certificate certificate;
        struct nabla_loss_result result = {.gradient = gradient};
        print_message("%s\n", wrongs[i].comment);
        assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
        assert_true(gradient[1] > 0.1 && gradient[1] < 0.125);
        gradient[1] = gradient[1] * wrongs[i].factor + wrongs[i].addend;
        assert_int_equal(nabla_loss_certify(&loss, &batch, gradient, &certificate, NULL), NABLA_OK);
        assert_true(certificate.largest_deviation_ulp >= wrongs[i].least_ulps);
        assert_true(certificate.largest_deviation_ulp <= wrongs[i].most_ulps);
        assert_int_equal(certificate.precision_bits, 113);
        if (i > 0) {
            assert_int_equal(certificate.row, 0);
            assert_int_equal(certificate.column, 1);
        }
    }
}

// A gradient of another formula is no gradient of this one.
static const struct {
    const char *comment;
    struct combination made, asked;
} swapped[] = {
    {"Keras' clip for the exact one",
     {NABLA_CROSS_ENTROPY, NABLA_KERAS, NABLA_PROBABILITIES},
     {NABLA_CROSS_ENTROPY, NABLA_EXACT, NABLA_PROBABILITIES}},
    {"the exact one for Keras' clip",
     {NABLA_CROSS_ENTROPY, NABLA_EXACT, NABLA_PROBABILITIES},
     {NABLA_CROSS_ENTROPY, NABLA_KERAS_TF_SPARSE, NABLA_PROBABILITIES}},
    {"cross-entropy for focal",
     {NABLA_CROSS_ENTROPY, NABLA_EXACT, NABLA_LOGITS},
     {NABLA_FOCAL, NABLA_EXACT, NABLA_LOGITS}},
    {"torch's sum over outputs for a mean",
     {NABLA_BINARY_CROSS_ENTROPY, NABLA_TORCH, NABLA_LOGITS},
     {NABLA_BINARY_CROSS_ENTROPY, NABLA_EXACT, NABLA_LOGITS}},
    {"torch's hinge for optax'",
     {NABLA_HINGE, NABLA_TORCH, NABLA_LOGITS},
     {NABLA_HINGE, NABLA_OPTAX, NABLA_LOGITS}},
    {"a square for huber",
     {NABLA_MEAN_SQUARED_ERROR, NABLA_EXACT, NABLA_LOGITS},
     {NABLA_HUBER, NABLA_EXACT, NABLA_LOGITS}},
};

static void another_formula_is_noticed(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (size_t i = 0; i < sizeof swapped / sizeof *swapped; i++) {
        struct sample sample;
        struct nabla_loss_certificate certificate;
        sample_make(&sample, swapped[i].made.input, true, &random);
        struct nabla_loss_batch batch = sample_batch(&sample, NABLA_FLOAT64, true);
        struct nabla_loss loss = nabla_loss_defaults(swapped[i].made.type);
        loss.convention = swapped[i].made.convention;
        loss.input = swapped[i].made.input;
        loss.reduction = NABLA_SUM;
        print_message("%s\n", swapped[i].comment);
        assert_true(certify(&sample, &loss, &batch, &certificate));
        assert_true(certificate.largest_deviation_ulp < most_ulps[NABLA_FLOAT64]);
        struct nabla_loss asked = nabla_loss_defaults(swapped[i].asked.type);
        asked.convention = swapped[i].asked.convention;
        asked.input = swapped[i].asked.input;
        asked.reduction = NABLA_SUM;
        assert_int_equal(nabla_loss_certify(&asked, &batch, sample.gradient, &certificate, NULL), NABLA_OK);
        assert_true(certificate.largest_deviation_ulp > 1e9);
        assert_true(certificate.largest_deviation > 1e-6);
    }
}

// Capped and divided logits of a few hundred: half an ulp in one of them would be 128 in its probability.
static void shaped_logits_keep_their_last_places(void **state)
{
    (void)state;
    static const struct {
        double softcap, temperature, z_loss;
    } shapes[] = {{0, 0.3, 0}, {0, 7, 0}, {30, 1, 0}, {30, 0.5, 0}, {2, 0.07, 0.01}, {50, 0.1, 1e-4}};
    uint64_t random = 88172645463325252u;
    double x[ENTRIES], gradient[ENTRIES];
    int64_t ids[ROWS];
    for (size_t k = 0; k < 200 * (sizeof shapes / sizeof *shapes); k++) {
        size_t shape = k % (sizeof shapes / sizeof *shapes);
        for (size_t i = 0; i < ENTRIES; i++)
            x[i] = 400 * (uniform(&random) - 0.5) + (k % 7 == 0 ? 1e8 : 0);
        for (size_t i = 0; i < ROWS; i++)
            ids[i] = (int64_t)(CLASSES * uniform(&random));
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        loss.softcap = shapes[shape].softcap;
        loss.temperature = shapes[shape].temperature;
        loss.z_loss = shapes[shape].z_loss;
        struct nabla_loss_batch batch = {
            .dtype = NABLA_FLOAT64, .rows = ROWS, .classes = CLASSES, .scores = x, .ids = ids};
        struct nabla_loss_result result = {.gradient = gradient};
        struct nabla_loss_certificate certificate;
        assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
        assert_int_equal(nabla_loss_certify(&loss, &batch, gradient, &certificate, NULL), NABLA_OK);
        if (certificate.largest_deviation_ulp > 6)
            fail_msg("softcap %g, temperature %g: %g ulp", loss.softcap, loss.temperature,
                     certificate.largest_deviation_ulp);
    }
}

// Many classes so far behind that the exponential of each is subnormal and has lost digits; their sum is the
// loss, and the label's gradient.
static void sums_of_subnormals_keep_their_digits(void **state)
{
    (void)state;
    enum { MANY = 200 };
    double x[MANY], gradient[MANY], loss_value;
    const int64_t id = 7;
    uint64_t random = 2463534242u;
    for (double lead = 690; lead < 750; lead += 0.5) {
        for (size_t j = 0; j < MANY; j++)
            x[j] = uniform(&random) + (j == (size_t)id ? lead : 0);
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        struct nabla_loss_batch batch = {
            .dtype = NABLA_FLOAT64, .rows = 1, .classes = MANY, .scores = x, .ids = &id};
        struct nabla_loss_result result = {.gradient = gradient, .per_sample = &loss_value};
        struct nabla_loss_certificate certificate;
        assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
        assert_int_equal(nabla_loss_certify(&loss, &batch, gradient, &certificate, NULL), NABLA_OK);
        assert_true(certificate.largest_deviation_ulp <= 2);
        assert_true(loss_value == -gradient[id]);
    }
}

// A vocabulary: the label far ahead, all alike, and far behind.
static void a_hundred_thousand_classes_are_certified(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    static float x[MANY], gradient[MANY];
    const struct {
        float lead;
        double loss;
    } rows[] = {{40, 4.2483117717481337e-13}, {0, 11.512925464970229}, {-300, 311.51291546492024}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int64_t id = MANY - 1;
        x[id] = rows[i].lead;
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        struct nabla_loss_batch batch = {
            .dtype = NABLA_FLOAT32, .rows = 1, .classes = MANY, .scores = x, .ids = &id};
        struct nabla_loss_result result = {.gradient = gradient};
        struct nabla_loss_certificate certificate;
        assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
        assert_true(fabs(result.loss / rows[i].loss - 1) < 1e-14);
        assert_int_equal(nabla_loss_certify(&loss, &batch, gradient, &certificate, NULL), NABLA_OK);
        assert_true(certificate.largest_deviation_ulp <= 4);
    }
}

static void what_cannot_be_computed_cannot_be_certified(void **state)
{
    (void)state;
    const double x[] = {1, 2}, gradient[2] = {0};
    const int64_t id = 2;
    struct nabla_error err;
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {
        .dtype = NABLA_FLOAT64, .rows = 1, .classes = 2, .scores = x, .ids = &id};
    struct nabla_loss_certificate certificate = {.precision_bits = 7};
    assert_int_equal(nabla_loss_certify(&loss, &batch, gradient, &certificate, &err), NABLA_INVALID);
    assert_string_equal(err.pointer, "/labels/0");
    assert_int_equal(certificate.precision_bits, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_computed_is_certified),
        cmocka_unit_test(certificates_are_the_truth),
        cmocka_unit_test(a_wrong_gradient_is_noticed_where_it_is),
        cmocka_unit_test(another_formula_is_noticed),
        cmocka_unit_test(shaped_logits_keep_their_last_places),
        cmocka_unit_test(sums_of_subnormals_keep_their_digits),
        cmocka_unit_test(a_hundred_thousand_classes_are_certified),
        cmocka_unit_test(what_cannot_be_computed_cannot_be_certified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
