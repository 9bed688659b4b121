#include "base/file.h"
#include "data/csv.h"
#include "data/standardize.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dataset *make(const float *values, size_t rows, size_t columns)
{
    struct dataset *dataset;
    assert_int_equal(dataset_new(rows, columns, 2, &dataset, NULL), NABLA_OK);
    assert_int_equal(dataset_fill_names(dataset, NULL), NABLA_OK);
    memcpy(dataset->features, values, rows * columns * sizeof *values);
    return dataset;
}

static void it_learns_from_the_training_rows_alone(void **state)
{
    (void)state;
    static const float values[] = {1, 10, 1000, 1000, 3, 30, -500, 7};
    static const size_t rows[] = {0, 2};
    struct dataset *dataset = make(values, 4, 2);
    struct standardizer standardizer;
    assert_int_equal(standardizer_fit(SCALING_STANDARDIZE, dataset, NULL, rows, 2, &standardizer, NULL),
                     NABLA_OK);
    assert_true(standardizer.mean[0] == 2 && standardizer.scale[0] == 1);
    assert_true(standardizer.mean[1] == 20 && standardizer.scale[1] == 10);
    standardizer_apply(&standardizer, dataset->features, dataset->rows);
    static const float expected[] = {-1, -1, 998, 98, 1, 1, -502, -1.3f};
    assert_memory_equal(dataset->features, expected, sizeof expected);
    standardizer_free(&standardizer);
    dataset_free(dataset);
}

// 0.1f three times: their mean, rounded, need not be 0.1f, and its deviation not 0.
static void a_constant_feature_is_only_shifted(void **state)
{
    (void)state;
    static const float values[] = {0.1f, 5, 0.1f, 5, 0.1f, 5, 0.6f, 6};
    static const size_t rows[] = {0, 1, 2};
    struct dataset *dataset = make(values, 4, 2);
    struct standardizer standardizer;
    assert_int_equal(standardizer_fit(SCALING_STANDARDIZE, dataset, NULL, rows, 3, &standardizer, NULL),
                     NABLA_OK);
    assert_true(standardizer.scale[0] == 1 && standardizer.scale[1] == 1);
    standardizer_apply(&standardizer, dataset->features, dataset->rows);
    assert_true(dataset->features[0] == 0 && dataset->features[7] == 1);
    assert_true(fabsf(dataset->features[6] - 0.5f) < 1e-7f);
    standardizer_free(&standardizer);
    dataset_free(dataset);
}

static void missing_values_count_nothing_and_stay(void **state)
{
    (void)state;
    static const float values[] = {1, NAN, NAN, NAN, 3, NAN};
    static const size_t rows[] = {0, 1, 2};
    struct dataset *dataset = make(values, 3, 2);
    struct standardizer standardizer;
    assert_int_equal(standardizer_fit(SCALING_STANDARDIZE, dataset, NULL, rows, 3, &standardizer, NULL),
                     NABLA_OK);
    assert_true(standardizer.mean[0] == 2 && standardizer.scale[0] == 1);
    assert_true(standardizer.mean[1] == 0 && standardizer.scale[1] == 1);
    standardizer_apply(&standardizer, dataset->features, dataset->rows);
    assert_true(dataset->features[0] == -1 && isnan(dataset->features[2]) && isnan(dataset->features[5]));
    standardizer_free(&standardizer);
    dataset_free(dataset);
}

static void extreme_values_stay_finite(void **state)
{
    (void)state;
    static const float values[] = {FLT_MAX, FLT_TRUE_MIN, 1e8f, -FLT_MAX, 0, 100000008};
    static const size_t rows[] = {0, 1};
    struct dataset *dataset = make(values, 2, 3);
    struct standardizer standardizer;
    assert_int_equal(standardizer_fit(SCALING_STANDARDIZE, dataset, NULL, rows, 2, &standardizer, NULL),
                     NABLA_OK);
    standardizer_apply(&standardizer, dataset->features, dataset->rows);
    for (size_t i = 0; i < 6; i++)
        assert_true(isfinite(dataset->features[i]));
    assert_true(dataset->features[0] == 1 && dataset->features[3] == -1);
    assert_true(standardizer.scale[1] > 0);
    assert_true(fabsf(dataset->features[2]) <= 2 && dataset->features[2] < dataset->features[5]);
    standardizer_free(&standardizer);
    dataset_free(dataset);
}

static void infinities_and_no_rows_are_refused(void **state)
{
    (void)state;
    static const float values[] = {1, 2, 3, -INFINITY};
    static const size_t rows[] = {0, 1};
    struct dataset *dataset = make(values, 2, 2);
    struct standardizer standardizer = {0};
    struct nabla_error err = {0};
    assert_int_equal(standardizer_fit(SCALING_STANDARDIZE, dataset, NULL, rows, 2, &standardizer, &err),
                     NABLA_INVALID);
    assert_non_null(strstr(err.text, "column 2 (x1)"));
    assert_int_equal(standardizer_fit(SCALING_STANDARDIZE, dataset, NULL, rows, 0, &standardizer, &err),
                     NABLA_INVALID);
    assert_null(standardizer.mean);
    standardizer_free(&standardizer);
    standardizer_free(NULL);
    dataset_free(dataset);
}

static void real_features_get_mean_0_and_deviation_1(void **state)
{
    (void)state;
    const struct dataset_limits limits = {1000, 100, 10, 1 << 20};
    struct buffer text = buffer_new(1 << 20);
    struct dataset *dataset;
    assert_int_equal(file_read("examples/data/breast_cancer.csv", &text, NULL), NABLA_OK);
    assert_int_equal(csv_read(text.data, text.size, NULL, &limits, &dataset, NULL), NABLA_OK);
    size_t *rows = calloc(dataset->rows, sizeof *rows);
    struct feature_summary summaries[30];
    struct standardizer standardizer;
    for (size_t i = 0; i < dataset->rows; i++)
        rows[i] = i;
    assert_int_equal(
        standardizer_fit(SCALING_STANDARDIZE, dataset, NULL, rows, dataset->rows, &standardizer, NULL),
        NABLA_OK);
    standardizer_apply(&standardizer, dataset->features, dataset->rows);
    dataset_summarize(dataset, summaries);
    for (size_t j = 0; j < 30; j++)
        assert_true(fabs(summaries[j].mean) < 1e-6 && fabs(summaries[j].std - 1) < 1e-6);
    standardizer_free(&standardizer);
    dataset_free(dataset);
    buffer_free(&text);
    free(rows);
}

static void min_max_brings_the_training_rows_to_0_and_1(void **state)
{
    (void)state;
    static const float values[] = {1, 10, NAN, 5, 1000, 1000, 7, 5, 3, 30, -1, 5, -1, 20, 3, 5};
    static const size_t rows[] = {0, 2, 3};
    struct dataset *dataset = make(values, 4, 4);
    struct standardizer standardizer;
    assert_int_equal(standardizer_fit(SCALING_MIN_MAX, dataset, NULL, rows, 3, &standardizer, NULL),
                     NABLA_OK);
    standardizer_apply(&standardizer, dataset->features, dataset->rows);
    static const float expected[] = {0.5F, 0, NAN, 0, 250.25F, 49.5F, 2, 0, 1, 1, 0, 0, 0, 0.5F, 1, 0};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(dataset->features[i] == expected[i] ||
                    (isnan(expected[i]) && isnan(dataset->features[i])));
    standardizer_free(&standardizer);
    dataset_free(dataset);
}

static void a_range_beyond_floats_stays_finite(void **state)
{
    (void)state;
    static const float values[] = {-FLT_MAX, FLT_MAX};
    static const size_t rows[] = {0, 1};
    struct dataset *dataset = make(values, 2, 1);
    struct standardizer standardizer;
    assert_int_equal(standardizer_fit(SCALING_MIN_MAX, dataset, NULL, rows, 2, &standardizer, NULL),
                     NABLA_OK);
    standardizer_apply(&standardizer, dataset->features, dataset->rows);
    assert_true(dataset->features[0] == 0 && isfinite(dataset->features[1]));
    standardizer_free(&standardizer);
    dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(min_max_brings_the_training_rows_to_0_and_1),
        cmocka_unit_test(a_range_beyond_floats_stays_finite),
        cmocka_unit_test(it_learns_from_the_training_rows_alone),
        cmocka_unit_test(a_constant_feature_is_only_shifted),
        cmocka_unit_test(missing_values_count_nothing_and_stay),
        cmocka_unit_test(extreme_values_stay_finite),
        cmocka_unit_test(infinities_and_no_rows_are_refused),
        cmocka_unit_test(real_features_get_mean_0_and_deviation_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
