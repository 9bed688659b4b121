// The vector kernels against the portable path: all lengths, alignments and label positions, and the rows
// that they decline.
#include "math/loss_fast.h"
#include "math/loss_row.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LONGEST = 300, SLACK = 16, ROOM = LONGEST + 2 * SLACK };

struct outcome {
    float gradient[ROOM], probabilities[ROOM], per_sample;
    struct nabla_warning warnings[NABLA_WARNING_COUNT];
    struct nabla_loss_result result;
};

static uint64_t random_state = 88172645463325252u;

static double uniform(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 40) * 0x1p-24;
}

static void compute(const struct loss_fast_kernel *kernel, const float *scores, size_t classes, int64_t label,
                    size_t offset, struct outcome *ret)
{
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {NABLA_FLOAT32, 1, classes, scores, &label, NULL, NULL};
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < ROOM; i++)
        ret->gradient[i] = ret->probabilities[i] = 7;
    ret->result.gradient = ret->gradient + offset;
    ret->result.probabilities = ret->probabilities + offset;
    ret->result.per_sample = &ret->per_sample;
    ret->result.warnings = ret->warnings;
    assert_int_equal(loss_compute_with(kernel, 1, &loss, &batch, &ret->result, NULL), NABLA_OK);
}

// Equal but for a few roundings of float32; NaN and infinities exactly.
static bool alike(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 5e-7 * fabs(b) + 3e-45;
}

static void assert_alike(const struct outcome *a, const struct outcome *b, const char *name, size_t classes)
{
    for (size_t i = 0; i < ROOM; i++)
        if (!alike((double)a->gradient[i], (double)b->gradient[i]) ||
            !alike((double)a->probabilities[i], (double)b->probabilities[i]))
            fail_msg("%s, %zu classes, entry %zu: gradient %g, not %g; probability %g, not %g", name, classes,
                     i, (double)a->gradient[i], (double)b->gradient[i], (double)a->probabilities[i],
                     (double)b->probabilities[i]);
    assert_true(alike((double)a->per_sample, (double)b->per_sample));
    assert_true(alike(a->result.loss, b->result.loss));
    assert_true(alike(a->result.gradient_norm, b->result.gradient_norm));
    assert_true(alike(a->result.accuracy, b->result.accuracy));
    for (size_t w = 0; w < NABLA_WARNING_COUNT; w++)
        assert_int_equal(a->warnings[w].count, b->warnings[w].count);
}

static const struct loss_fast_kernel *portable(void)
{
    return &loss_fast_kernels[LOSS_FAST_KERNELS - 1];
}

// Runs `check` with each vector kernel that this machine has.
static void each_kernel(void (*check)(const struct loss_fast_kernel *kernel))
{
    for (size_t i = 0; i + 1 < LOSS_FAST_KERNELS; i++)
        if (loss_fast_kernels[i].supported())
            check(&loss_fast_kernels[i]);
        else
            print_message("no %s here\n", loss_fast_kernels[i].name);
}

static void check_lengths(const struct loss_fast_kernel *kernel)
{
    static float room[ROOM];
    static struct outcome fast, slow;
    for (size_t classes = 1; classes <= LONGEST; classes += classes < 150 ? 1 : 13)
        for (size_t offset = 0; offset < SLACK; offset += classes % 3 + 1) {
            float *scores = room + offset;
            for (size_t j = 0; j < classes; j++)
                scores[j] = (float)(uniform() * 40 - 20);
            int64_t label = (int64_t)(uniform() * (double)classes);
            compute(kernel, scores, classes, label, offset, &fast);
            compute(portable(), scores, classes, label, offset, &slow);
            assert_alike(&fast, &slow, kernel->name, classes);
            assert_true(fast.gradient[offset + classes] == 7);
        }
}

static void vector_kernels_agree_with_the_portable_one(void **state)
{
    (void)state;
    each_kernel(check_lengths);
}

// In float64 two rows at a time: one of any scores, one with -Infinity where i says so, and the label
// anywhere.
static void check_lengths64(const struct loss_fast_kernel *kernel)
{
    static double scores[2 * LONGEST], fast[2 * LONGEST + 1], slow[2 * LONGEST + 1], p[2 * LONGEST];
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    for (size_t classes = 1; classes <= LONGEST; classes += classes < 100 ? 1 : 17) {
        int64_t ids[2] = {(int64_t)(uniform() * (double)classes), (int64_t)(uniform() * (double)classes)};
        for (size_t i = 0; i < 2 * classes; i++)
            scores[i] = i % 7 == 3 ? -INFINITY : uniform() * 600 - 300;
        struct nabla_loss_batch batch = {NABLA_FLOAT64, 2, classes, scores, ids, NULL, NULL};
        struct nabla_loss_result a = {.gradient = fast, .probabilities = p}, b = {.gradient = slow};
        fast[2 * classes] = 7;
        assert_int_equal(loss_compute_with(kernel, 1, &loss, &batch, &a, NULL), NABLA_OK);
        assert_int_equal(loss_compute_with(portable(), 1, &loss, &batch, &b, NULL), NABLA_OK);
        for (size_t i = 0; i < 2 * classes; i++) {
            assert_true(isnan(slow[i]) ? isnan(fast[i])
                                       : fabs(fast[i] - slow[i]) <= 1e-15 * fabs(slow[i]) + 1e-323);
            assert_true(isnan(slow[i]) || (int64_t)(i % classes) == ids[i / classes] ||
                        fabs(p[i] - 2 * slow[i]) <= 2e-15 * p[i] + 1e-322);
        }
        assert_true(a.loss == b.loss || (isnan(a.loss) && isnan(b.loss)) ||
                    fabs(a.loss - b.loss) <= 1e-15 * b.loss);
        assert_true(isnan(b.gradient_norm) ||
                    fabs(a.gradient_norm - b.gradient_norm) <= 1e-14 * b.gradient_norm);
        assert_true(isnan(b.loss) || a.accuracy == b.accuracy);
        assert_true(fast[2 * classes] == 7);
    }
}

static void float64_kernels_agree_with_the_portable_one(void **state)
{
    (void)state;
    each_kernel(check_lengths64);
}

static const struct {
    const char *comment;
    float scores[20];
    int64_t label;
} edges[] = {
    {"NaN off the label", {0, 1, NAN, 2}, 0},
    {"NaN at the label", {NAN, 1}, 0},
    {"+Infinity", {1, INFINITY}, 1},
    {"-Infinity off the label", {1, -INFINITY, 3, -INFINITY}, 0},
    {"-Infinity at the label", {-INFINITY, 1, 2}, 0},
    {"far apart", {0, 100, -100, 30, -30}, 0},
    {"nearly certain", {90, 0, 1, 2, 3}, 0},
    {"more than certain", {200, 0}, 0},
    {"certain by 59", {59, 0, 1, 0.5}, 0},
    {"shifted by 1e5", {100000, 100001, 99999}, 0},
    {"shifted by 1e8", {1e8f, 1e8f + 8, 1e8f - 8}, 0},
    {"shifted by -1e5", {-100000, -100001, -99999, -1e30f}, 2},
    {"huge", {3e38f, -3e38f, 1e38f}, 2},
    {"subnormal probabilities", {0, -88, -95, -100, -103, -104, -110, -149}, 0},
    {"a tie at the top", {5, 5, 1}, 0},
};

static void check_edges(const struct loss_fast_kernel *kernel)
{
    static struct outcome fast, slow;
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        for (size_t classes = 2; classes <= 20; classes += 6) {
            print_message("%s, %s\n", kernel->name, edges[i].comment);
            int64_t label = edges[i].label < (int64_t)classes ? edges[i].label : 0;
            compute(kernel, edges[i].scores, classes, label, 0, &fast);
            compute(portable(), edges[i].scores, classes, label, 0, &slow);
            assert_alike(&fast, &slow, kernel->name, classes);
        }
}

static void edges_agree(void **state)
{
    (void)state;
    each_kernel(check_edges);
}

// A batch with weights, an ignored row and one row for the careful path; in place, and without any output.
static void check_batches(const struct loss_fast_kernel *kernel)
{
    enum { ROWS = 37, CLASSES = 10 };
    float scores[ROWS * CLASSES], gradient[ROWS * CLASSES], expected[ROWS * CLASSES];
    double weights[CLASSES], samples[ROWS];
    int64_t ids[ROWS];
    for (size_t i = 0; i < ROWS * CLASSES; i++)
        scores[i] = (float)(uniform() * 8 - 4);
    for (size_t i = 0; i < ROWS; i++) {
        ids[i] = (int64_t)(uniform() * CLASSES);
        samples[i] = i % 5 ? uniform() : 0;
    }
    for (size_t j = 0; j < CLASSES; j++)
        weights[j] = uniform() + 0.5;
    scores[CLASSES * 3] = 1e30f;
    ids[7] = -1;
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    loss.class_weights = weights;
    loss.has_ignore_index = true;
    loss.ignore_index = -1;
    struct nabla_loss_batch batch = {NABLA_FLOAT32, ROWS, CLASSES, scores, ids, NULL, samples};
    struct nabla_loss_result slow = {.gradient = expected}, none = {0}, fast = {.gradient = gradient};
    assert_int_equal(loss_compute_with(portable(), 1, &loss, &batch, &slow, NULL), NABLA_OK);
    assert_int_equal(loss_compute_with(kernel, 1, &loss, &batch, &none, NULL), NABLA_OK);
    memcpy(gradient, scores, sizeof gradient);
    batch.scores = gradient; // in place
    assert_int_equal(loss_compute_with(kernel, 1, &loss, &batch, &fast, NULL), NABLA_OK);
    for (size_t i = 0; i < ROWS * CLASSES; i++)
        assert_true(alike((double)gradient[i], (double)expected[i]));
    assert_true(alike(fast.loss, slow.loss) && alike(none.loss, slow.loss));
    assert_true(alike(none.gradient_norm, slow.gradient_norm) && slow.gradient_norm > 0);
    assert_true(alike(fast.accuracy, slow.accuracy));
}

static void batches_agree(void **state)
{
    (void)state;
    each_kernel(check_batches);
}

// Whole groups of short rows and what is left behind them, at all lengths; nothing behind the last row is
// touched. In place, so that a kernel that writes before it has read is found.
static void check_groups(const struct loss_fast_kernel *kernel)
{
    enum { ROWS = 19, MOST = LOSS_SHORT_CLASSES + 3 };
    static float expected[ROWS * MOST], probabilities[2][ROWS * MOST], room[ROWS * MOST + SLACK + 1];
    float per_sample[2][ROWS];
    int64_t ids[ROWS];
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    for (size_t classes = 1; classes <= MOST; classes++) {
        float *scores = room + classes % SLACK;
        for (size_t i = 0; i < ROWS * classes; i++)
            scores[i] = (float)(uniform() * 40 - 20);
        for (size_t i = 0; i < ROWS; i++)
            ids[i] = (int64_t)(uniform() * (double)classes);
        scores[ROWS * classes] = 7;
        struct nabla_loss_batch batch = {NABLA_FLOAT32, ROWS, classes, scores, ids, NULL, NULL};
        struct nabla_loss_result slow = {
            .gradient = expected, .probabilities = probabilities[0], .per_sample = per_sample[0]};
        struct nabla_loss_result fast = {
            .gradient = scores, .probabilities = probabilities[1], .per_sample = per_sample[1]};
        assert_int_equal(loss_compute_with(portable(), 1, &loss, &batch, &slow, NULL), NABLA_OK);
        assert_int_equal(loss_compute_with(kernel, 1, &loss, &batch, &fast, NULL), NABLA_OK);
        for (size_t i = 0; i < ROWS * classes; i++) {
            assert_true(alike((double)scores[i], (double)expected[i]));
            assert_true(alike((double)probabilities[1][i], (double)probabilities[0][i]));
        }
        for (size_t i = 0; i < ROWS; i++)
            assert_true(alike((double)per_sample[1][i], (double)per_sample[0][i]));
        assert_true(alike(fast.loss, slow.loss) && alike(fast.gradient_norm, slow.gradient_norm));
        assert_true(scores[ROWS * classes] == 7);
    }
}

static void groups_of_short_rows_agree(void **state)
{
    (void)state;
    each_kernel(check_groups);
}

// The careful path and the fast one, with weights, ignored rows and warnings beyond the list's length: any
// number of threads gives the bits of one.
static void the_number_of_threads_changes_no_bit(void **state)
{
    (void)state;
    enum { ENTRIES = 1 << 18, WIDTHS = 3 };
    static const size_t widths[WIDTHS] = {10, 100, 3000};
    static float scores[ENTRIES], gradient[2][ENTRIES], per_sample[2][ENTRIES];
    static double weights[ENTRIES];
    static int64_t ids[ENTRIES];
    static struct nabla_warning warnings[2][NABLA_WARNING_COUNT];
    for (size_t i = 0; i < ENTRIES; i++) {
        scores[i] = (float)(uniform() * 100 - 50);
        weights[i] = uniform();
    }
    scores[5000] = 3e38f; // a row for the careful path, and a scale of its own
    for (size_t run = 0; run < 2 * WIDTHS; run++) {
        size_t classes = widths[run % WIDTHS], rows = ENTRIES / classes;
        for (size_t i = 0; i < rows; i++)
            ids[i] = i % 97 ? (int64_t)(uniform() * (double)classes) : -100;
        struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
        loss.has_ignore_index = true;
        loss.ignore_index = -100;
        loss.z_loss = run < WIDTHS ? 0 : 1e-3;
        struct nabla_loss_batch batch = {NABLA_FLOAT32, rows, classes, scores, ids, NULL, weights};
        struct nabla_loss_result results[2] = {{0}, {0}};
        for (size_t threads = 1; threads <= 4; threads++) {
            size_t k = threads > 1;
            results[k] = (struct nabla_loss_result){
                .gradient = gradient[k], .per_sample = per_sample[k], .warnings = warnings[k]};
            assert_int_equal(nabla_loss_compute_threads(&loss, &batch, threads, &results[k], NULL), NABLA_OK);
            assert_memory_equal(gradient[0], gradient[k], rows * classes * sizeof(float));
            assert_memory_equal(per_sample[0], per_sample[k], rows * sizeof(float));
            assert_memory_equal(warnings[0], warnings[k], sizeof *warnings);
            assert_memory_equal(&results[0].loss, &results[k].loss, 4 * sizeof(double));
            assert_int_equal(results[0].rows_counted, results[k].rows_counted);
        }
        assert_true(results[0].gradient_norm > 0 && isfinite(results[0].loss));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_kernels_agree_with_the_portable_one),
        cmocka_unit_test(float64_kernels_agree_with_the_portable_one),
        cmocka_unit_test(edges_agree),
        cmocka_unit_test(batches_agree),
        cmocka_unit_test(groups_of_short_rows_agree),
        cmocka_unit_test(the_number_of_threads_changes_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
