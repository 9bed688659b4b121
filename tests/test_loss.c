// Known values, reductions, conventions and warnings of nabla_loss_compute.
#include "math/loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// Within the tolerance, or equal where there is no distance (infinities, NaN).
static void assert_near(double actual, double expected, double tolerance)
{
    bool alike = (isnan(actual) && isnan(expected)) || actual == expected;
    if (!alike && !(fabs(actual - expected) <= tolerance))
        fail_msg("%.17g is not %.17g", actual, expected);
}

enum { MOST = 24 };

// One computation, all outputs kept.
struct trial {
    double gradient[MOST], gradient_logits[MOST], probabilities[MOST], per_sample[MOST];
    struct nabla_warning warnings[NABLA_WARNING_COUNT];
    struct nabla_loss_result result;
    struct nabla_error error;
};

static enum nabla_code try_loss(struct trial *trial, const struct nabla_loss *loss,
                                const struct nabla_loss_batch *batch)
{
    memset(trial, 0, sizeof *trial);
    trial->result.gradient = trial->gradient;
    trial->result.gradient_logits = trial->gradient_logits;
    trial->result.probabilities = trial->probabilities;
    trial->result.per_sample = trial->per_sample;
    trial->result.warnings = trial->warnings;
    return nabla_loss_compute(loss, batch, &trial->result, &trial->error);
}

// Class ids with softmax scores of the founding questions; `input` says what the scores are.
static const struct {
    const char *comment;
    enum nabla_convention convention;
    enum nabla_loss_input input;
    double scores[4];
    size_t classes;
    int64_t label;
    double loss;
    double gradient[4]; // with respect to the logits
    double tolerance;
} known[] = {
    {"the article's logits",
     NABLA_EXACT,
     NABLA_LOGITS,
     {1, 2, 0.1, -1},
     4,
     1,
     0.4493130,
     {0.2347315, -0.3619336, 0.0954347, 0.0317675},
     5e-8},
    {"p = 3e-8 from logits",
     NABLA_EXACT,
     NABLA_LOGITS,
     {0, 17, 16},
     3,
     0,
     17.3132617,
     {-0.99999997, 0.7310586, 0.2689414},
     5e-8},
    {"the same, torch",
     NABLA_TORCH,
     NABLA_LOGITS,
     {0, 17, 16},
     3,
     0,
     17.3132617,
     {-0.99999997, 0.7310586, 0.2689414},
     5e-8},
    {"the same, optax",
     NABLA_OPTAX,
     NABLA_LOGITS,
     {0, 17, 16},
     3,
     0,
     17.3132617,
     {-0.99999997, 0.7310586, 0.2689414},
     5e-8},
    {"keras clips",
     NABLA_KERAS,
     NABLA_PROBABILITIES,
     {3.0265e-8, 0.73105856, 0.26894141},
     3,
     0,
     16.1180957,
     {0, 0, 0},
     1e-7},
    {"keras on tensorflow, sparse",
     NABLA_KERAS_TF_SPARSE,
     NABLA_PROBABILITIES,
     {3.0265e-8, 0.73105856, 0.268941409735},
     3,
     0,
     16.1180957,
     {-3.0265e-8, 2.2125e-8, 8.139e-9},
     1e-7},
    {"shifted by 1e8",
     NABLA_EXACT,
     NABLA_LOGITS,
     {1e8 + 1, 1e8 + 2},
     2,
     0,
     1.3132616875182228,
     {-0.7310585786300049, 0.7310585786300049},
     1e-15},
    {"-infinity off the target",
     NABLA_EXACT,
     NABLA_LOGITS,
     {-INFINITY, 0, 0},
     3,
     1,
     M_LN2,
     {0, -0.5, 0.5},
     1e-15},
    {"one class", NABLA_EXACT, NABLA_LOGITS, {3}, 1, 0, 0, {0}, 0},
    {"a nearly certain row",
     NABLA_EXACT,
     NABLA_LOGITS,
     {0, 100},
     2,
     1,
     3.720075976020836e-44,
     {3.720075976020836e-44, -3.720075976020836e-44},
     1e-58},
    {"a hopeless row", NABLA_EXACT, NABLA_LOGITS, {0, 700}, 2, 0, 700, {-1, 1}, 1e-12},
    {"NaN", NABLA_EXACT, NABLA_LOGITS, {0, NAN}, 2, 0, NAN, {NAN, NAN}, 0},
    {"+infinity", NABLA_EXACT, NABLA_LOGITS, {0, INFINITY}, 2, 1, NAN, {NAN, NAN}, 0},
};

static void cross_entropy_gives_the_known_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        loss.convention = known[i].convention;
        loss.input = known[i].input;
        struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT64,
                                         .rows = 1,
                                         .classes = known[i].classes,
                                         .scores = known[i].scores,
                                         .ids = &known[i].label};
        struct trial trial;
        print_message("%s\n", known[i].comment);
        assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
        assert_near(trial.result.loss, known[i].loss, known[i].tolerance);
        assert_near(trial.per_sample[0], known[i].loss, known[i].tolerance);
        const double *gradient = loss.input == NABLA_LOGITS ? trial.gradient : trial.gradient_logits;
        for (size_t j = 0; j < known[i].classes; j++)
            assert_near(gradient[j], known[i].gradient[j], known[i].tolerance);
    }
}

static void keras_clip_kills_the_gradient_exactly(void **state)
{
    (void)state;
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    loss.convention = NABLA_KERAS;
    loss.input = NABLA_PROBABILITIES;
    double scores[] = {3.0265e-8, 0.73105856, 0.26894141};
    int64_t label = 0;
    struct nabla_loss_batch batch = {NABLA_FLOAT64, 1, 3, scores, &label, NULL, NULL};
    struct trial trial;
    assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
    for (size_t j = 0; j < 3; j++) {
        assert_true(trial.gradient[j] == 0);
        assert_true(trial.gradient_logits[j] == 0);
    }
    assert_int_equal(trial.warnings[NABLA_WARN_GRADIENT_CLIPPED].count, 1);
    assert_int_equal(trial.warnings[NABLA_WARN_GRADIENT_VANISHED].count, 1);
}

// Two rows of the same weights under each convention: what mean divides by.
static const struct {
    const char *comment;
    enum nabla_convention convention;
    double smoothing;
    bool targets, ignoring;
    double denominator;
} means[] = {
    {"exact: weights", NABLA_EXACT, 0, false, false, 5},
    {"torch: weights", NABLA_TORCH, 0, false, false, 5},
    {"keras: rows", NABLA_KERAS, 0, false, false, 3},
    {"optax: rows", NABLA_OPTAX, 0, false, false, 3},
    {"exact, one-hot: as ids", NABLA_EXACT, 0, true, false, 5},
    {"torch, targets: rows", NABLA_TORCH, 0, true, false, 3},
    {"exact, one ignored", NABLA_EXACT, 0, false, true, 3},
    {"keras, one ignored", NABLA_KERAS, 0, false, true, 2},
};

static void mean_divides_by_the_conventions_number(void **state)
{
    (void)state;
    static const double scores[] = {1, 0, -1, 0, 2, 1, 0.5, 0.5, 3};
    static const double hot[] = {1, 0, 0, 0, 1, 0, 0, 1, 0};
    static const int64_t ids[] = {0, 1, 1};
    static const int64_t some[] = {0, 7, 1};
    static const double weights[] = {1, 2, 4};
    for (size_t i = 0; i < sizeof means / sizeof *means; i++) {
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        loss.convention = means[i].convention;
        loss.class_weights = weights;
        loss.has_ignore_index = means[i].ignoring;
        loss.ignore_index = 7;
        struct nabla_loss_batch batch = {NABLA_FLOAT64, 3, 3, scores, NULL, NULL, NULL};
        if (means[i].targets)
            batch.targets = hot;
        else
            batch.ids = means[i].ignoring ? some : ids;
        struct trial trial;
        print_message("%s\n", means[i].comment);
        assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
        assert_near(trial.result.denominator, means[i].denominator, 0);
        double sum = trial.per_sample[0] + trial.per_sample[1] + trial.per_sample[2];
        assert_near(trial.result.loss, sum / means[i].denominator, 1e-15);
        double squares = 0;
        for (size_t j = 0; j < 9; j++)
            squares += trial.gradient[j] * trial.gradient[j];
        assert_near(trial.result.gradient_norm, sqrt(squares), 1e-15);
        assert_true(trial.result.gradient_norm > 0.1);
    }
}

static void a_batch_of_ignored_rows_is_zero_but_nan_for_torch(void **state)
{
    (void)state;
    static const double scores[] = {1, 0, -1, 0};
    static const int64_t ids[] = {-100, -100};
    for (int c = 0; c < NABLA_CONVENTION_COUNT; c++) {
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        loss.convention = (enum nabla_convention)c;
        loss.has_ignore_index = c != NABLA_TORCH; // torch ignores -100 by default
        loss.ignore_index = -100;
        struct nabla_loss_batch batch = {NABLA_FLOAT64, 2, 2, scores, ids, NULL, NULL};
        struct trial trial;
        assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
        assert_int_equal(trial.result.rows_counted, 0);
        assert_true(isnan(trial.result.accuracy));
        assert_near(trial.result.loss, c == NABLA_TORCH ? NAN : 0, 0);
        for (size_t j = 0; j < 4; j++)
            assert_true(trial.gradient[j] == 0);
        assert_int_equal(trial.warnings[NABLA_WARN_ALL_ROWS_IGNORED].count, 2);
    }
}

static void a_tie_counts_as_wrong(void **state)
{
    (void)state;
    static const double scores[] = {1, 1, 2, 1, 0, 5, 1, NAN};
    static const int64_t ids[] = {0, 0, 1, 0};
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {NABLA_FLOAT64, 4, 2, scores, ids, NULL, NULL};
    struct trial trial;
    assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
    assert_near(trial.result.accuracy, 0.5, 0);
    assert_true(isnan(trial.result.loss));
    assert_true(trial.gradient[4] > 0 && isnan(trial.gradient[6])); // the NaN stays in its row
}

static void a_gradient_may_overwrite_its_scores(void **state)
{
    (void)state;
    float scores[] = {1, 2, 0.1f, -1};
    static const int64_t ids[] = {1};
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {NABLA_FLOAT32, 1, 4, scores, ids, NULL, NULL};
    struct nabla_loss_result result = {.gradient = scores};
    assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
    assert_near((double)scores[1], -0.3619336, 1e-7);
    assert_near(result.loss, 0.4493130, 1e-7);
    assert_near(result.accuracy, 1, 0);
}

static void sums_of_extreme_gradients_neither_overflow_nor_vanish(void **state)
{
    (void)state;
    static const double scores[] = {1e200, 1e-200}, targets[] = {0, 0};
    struct nabla_loss loss = nabla_loss_defaults(NABLA_MEAN_SQUARED_ERROR);
    loss.reduction = NABLA_SUM;
    struct nabla_loss_batch batch = {NABLA_FLOAT64, 1, 1, scores, NULL, targets, NULL};
    struct trial trial;
    assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
    assert_near(trial.result.gradient_norm, 2e200, 1e186);
    batch.scores = scores + 1;
    assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
    assert_near(trial.result.gradient_norm, 2e-200, 1e-214);
    batch.scores = scores;
    batch.rows = 2;
    assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
    assert_near(trial.result.gradient_norm, 2e200, 1e186);
}

// A row that has next to nothing to learn, before one that has: their norm is the second one's.
static void a_vanishing_row_leaves_the_norm_of_the_others(void **state)
{
    (void)state;
    static const double wide[] = {0, 500, 0, 1};
    static const float narrow[] = {0, 500, 0, 1};
    static const int64_t ids[] = {1, 0};
    const void *scores[] = {[NABLA_FLOAT32] = narrow, [NABLA_FLOAT64] = wide};
    for (int dtype = NABLA_FLOAT32; dtype <= NABLA_FLOAT64; dtype++) {
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        loss.reduction = NABLA_SUM;
        struct nabla_loss_batch batch = {(enum nabla_dtype)dtype, 2, 2, scores[dtype], ids, NULL, NULL};
        struct nabla_loss_result result = {0};
        assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
        assert_near(result.gradient_norm, sqrt(2) / (1 + exp(-1)), 1e-7);
    }
}

// A weight of 0 under exact silences a row whose loss is infinite; PyTorch, Keras and optax multiply.
static void a_weight_of_0_silences_an_infinite_loss_but_for_the_frameworks(void **state)
{
    (void)state;
    static const double scores[] = {-INFINITY, 1, 0, 0}, weights[] = {0, 1};
    static const int64_t ids[] = {0, 1};
    for (int convention = NABLA_EXACT; convention <= NABLA_OPTAX; convention++) {
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        loss.convention = (enum nabla_convention)convention;
        loss.reduction = NABLA_SUM;
        struct nabla_loss_batch batch = {NABLA_FLOAT64, 2, 2, scores, ids, NULL, weights};
        struct trial trial;
        assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
        assert_near(trial.result.loss, convention == NABLA_EXACT ? log(2) : NAN, 1e-15);
        assert_near(trial.gradient[0], 0, 0);
        assert_near(trial.gradient[3], -0.5, 1e-15);
    }
}

// A batch of one row for each warning; `count` of how many.
static const struct {
    enum nabla_warning_code code;
    enum nabla_loss_input input;
    enum nabla_convention convention;
    double scores[3];
    int64_t label;
    size_t count;
    const char *comment;
} warned[] = {
    {NABLA_WARN_GRADIENT_VANISHED,
     NABLA_PROBABILITIES,
     NABLA_KERAS_TF_SPARSE,
     {3e-8, 0.7, 0.3},
     0,
     1,
     "the sparse path loses it"},
    {NABLA_WARN_GRADIENT_CLIPPED,
     NABLA_PROBABILITIES,
     NABLA_KERAS_TF_SPARSE,
     {3e-8, 0.7, 0.3},
     0,
     0,
     "but not to exactly 0"},
    {NABLA_WARN_GRADIENT_CLIPPED, NABLA_PROBABILITIES, NABLA_KERAS, {3e-8, 0.7, 0.3}, 0, 1, "keras clips"},
    {NABLA_WARN_GRADIENT_CLIPPED,
     NABLA_PROBABILITIES,
     NABLA_KERAS,
     {1, 0, 0},
     0,
     1,
     "keras clips at the upper end, too"},
    {NABLA_WARN_GRADIENT_CLIPPED,
     NABLA_PROBABILITIES,
     NABLA_KERAS,
     {0.6, 0.4, 0},
     0,
     0,
     "a clipped class without a share does no harm"},
    {NABLA_WARN_GRADIENT_VANISHED, NABLA_LOGITS, NABLA_EXACT, {0, 17, 16}, 0, 0, "logits keep it"},
    {NABLA_WARN_GRADIENT_VANISHED,
     NABLA_PROBABILITIES,
     NABLA_EXACT,
     {0, 0.7, 0.3},
     0,
     0,
     "unclipped keeps it even at p = 0"},
    {NABLA_WARN_SATURATED_CORRECT, NABLA_LOGITS, NABLA_EXACT, {40, 0, 0}, 0, 1, "nothing left to learn"},
    {NABLA_WARN_SATURATED_CORRECT, NABLA_LOGITS, NABLA_EXACT, {10, 0, 0}, 0, 0, "something left to learn"},
    {NABLA_WARN_NONFINITE_LOGIT, NABLA_LOGITS, NABLA_EXACT, {NAN, 0, 0}, 0, 1, "NaN"},
    {NABLA_WARN_NONFINITE_LOGIT, NABLA_LOGITS, NABLA_EXACT, {INFINITY, 0, 0}, 0, 1, "+Infinity"},
    {NABLA_WARN_NONFINITE_LOGIT, NABLA_LOGITS, NABLA_EXACT, {-INFINITY, 0, 0}, 1, 0, "-Infinity is fine"},
    {NABLA_WARN_CLASS_WITHOUT_SAMPLES,
     NABLA_LOGITS,
     NABLA_EXACT,
     {1, 0, 0},
     0,
     0,
     "one row cannot hold three classes"},
};

static void warnings_name_their_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof warned / sizeof *warned; i++) {
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        loss.convention = warned[i].convention;
        loss.input = warned[i].input;
        struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT64,
                                         .rows = 1,
                                         .classes = 3,
                                         .scores = warned[i].scores,
                                         .ids = &warned[i].label};
        struct trial trial;
        print_message("%s\n", warned[i].comment);
        assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
        assert_int_equal(trial.warnings[warned[i].code].count, warned[i].count);
    }
}

// PyTorch's clamp of the logarithms leaves the gradient alone.
static void what_torch_clamps_is_not_clipped(void **state)
{
    (void)state;
    static const double scores[] = {0, 1}, targets[] = {0, 1};
    struct nabla_loss loss = nabla_loss_defaults(NABLA_BINARY_CROSS_ENTROPY);
    loss.convention = NABLA_TORCH;
    loss.input = NABLA_PROBABILITIES;
    struct nabla_loss_batch batch = {NABLA_FLOAT64, 1, 2, scores, NULL, targets, NULL};
    struct trial trial;
    assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
    assert_int_equal(trial.warnings[NABLA_WARN_GRADIENT_CLIPPED].count, 0);
    assert_int_equal(trial.warnings[NABLA_WARN_SATURATED_CORRECT].count, 1);
}

static void warnings_of_targets_and_classes(void **state)
{
    (void)state;
    static const double scores[] = {1, 0, 0, 1, 0, 1}, targets[] = {0.5, 0.5, 0.9, 0, 1, 0};
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {NABLA_FLOAT64, 3, 2, scores, NULL, targets, NULL};
    struct trial trial;
    assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
    assert_int_equal(trial.warnings[NABLA_WARN_TARGETS_NOT_NORMALISED].count, 1);
    assert_int_equal(trial.warnings[NABLA_WARN_TARGETS_NOT_NORMALISED].rows[0], 1);
    static const int64_t ids[] = {0, 0, 0};
    batch.targets = NULL;
    batch.ids = ids;
    assert_int_equal(try_loss(&trial, &loss, &batch), NABLA_OK);
    assert_int_equal(trial.warnings[NABLA_WARN_CLASS_WITHOUT_SAMPLES].count, 1);
    assert_int_equal(trial.warnings[NABLA_WARN_CLASS_WITHOUT_SAMPLES].rows[0], 1);
}

static void warnings_count_beyond_the_rows_that_they_list(void **state)
{
    (void)state;
    static float scores[300][2];
    static int64_t ids[300];
    for (size_t i = 0; i < 300; i++)
        scores[i][0] = i % 2 ? NAN : 0;
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {NABLA_FLOAT32, 300, 2, scores, ids, NULL, NULL};
    static struct nabla_warning warnings[NABLA_WARNING_COUNT];
    struct nabla_loss_result result = {.warnings = warnings};
    assert_int_equal(nabla_loss_compute(&loss, &batch, &result, NULL), NABLA_OK);
    assert_int_equal(warnings[NABLA_WARN_NONFINITE_LOGIT].count, 150);
    for (size_t i = 0; i < NABLA_WARNING_ROWS; i++)
        assert_int_equal(warnings[NABLA_WARN_NONFINITE_LOGIT].rows[i], 2 * i + 1);
}

static void names_and_values_agree(void **state)
{
    (void)state;
    for (int i = 0; i < NABLA_LOSS_TYPE_COUNT; i++)
        assert_int_equal(nabla_loss_type_find(nabla_loss_type_name((enum nabla_loss_type)i)), i);
    for (int i = 0; i < NABLA_CONVENTION_COUNT; i++)
        assert_int_equal(nabla_convention_find(nabla_convention_name((enum nabla_convention)i)), i);
    for (int i = 0; i <= NABLA_NONE; i++)
        assert_int_equal(nabla_reduction_find(nabla_reduction_name((enum nabla_reduction)i)), i);
    for (int i = 0; i < NABLA_WARNING_COUNT; i++)
        assert_true(strlen(nabla_warning_detail((enum nabla_warning_code)i)) > 20);
    assert_int_equal(nabla_loss_type_find("cross"), -1);
    assert_string_equal(nabla_convention_name(NABLA_KERAS_TF_SPARSE), "keras_tf_sparse");
    assert_string_equal(nabla_warning_name(NABLA_WARN_GRADIENT_CLIPPED), "gradient_clipped");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_gives_the_known_values),
        cmocka_unit_test(keras_clip_kills_the_gradient_exactly),
        cmocka_unit_test(mean_divides_by_the_conventions_number),
        cmocka_unit_test(a_batch_of_ignored_rows_is_zero_but_nan_for_torch),
        cmocka_unit_test(a_tie_counts_as_wrong),
        cmocka_unit_test(a_gradient_may_overwrite_its_scores),
        cmocka_unit_test(sums_of_extreme_gradients_neither_overflow_nor_vanish),
        cmocka_unit_test(a_vanishing_row_leaves_the_norm_of_the_others),
        cmocka_unit_test(a_weight_of_0_silences_an_infinite_loss_but_for_the_frameworks),
        cmocka_unit_test(warnings_name_their_rows),
        cmocka_unit_test(what_torch_clamps_is_not_clipped),
        cmocka_unit_test(warnings_of_targets_and_classes),
        cmocka_unit_test(warnings_count_beyond_the_rows_that_they_list),
        cmocka_unit_test(names_and_values_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
