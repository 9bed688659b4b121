// What stands for missing values: learned on the rows that train, applied to all.
#include "data/impute.h"

#include "train/spec.h"
#include "train/train_data.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 7, COLUMNS = 3, TRAINING = 5 };

// The last two rows do not train: their values must not be learned.
static const float values[ROWS * COLUMNS] = {
    4, NAN, 5, 1, 2, 5, NAN, 2, 1, 1, 8, NAN, 2, 8, 1, 1000, 1000, 1000, NAN, NAN, NAN,
};

static struct dataset *make(void)
{
    struct dataset *dataset;
    assert_int_equal(dataset_new(ROWS, COLUMNS, 2, &dataset, NULL), NABLA_OK);
    assert_int_equal(dataset_fill_names(dataset, NULL), NABLA_OK);
    memcpy(dataset->features, values, sizeof values);
    return dataset;
}

static const struct {
    enum missing missing;
    float expected[COLUMNS]; // scikit-learn 1.9.1: SimpleImputer(strategy=…).fit(values[:5])
} ways[] = {
    {MISSING_MEAN, {2, 5, 3}},
    {MISSING_MEDIAN, {1.5F, 5, 3}},
    {MISSING_MOST_FREQUENT, {1, 2, 1}},
    {MISSING_CONSTANT, {-7, -7, -7}},
};

static void it_learns_from_the_training_rows_alone(void **state)
{
    (void)state;
    static const size_t rows[TRAINING] = {0, 1, 2, 3, 4};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct dataset *dataset = make();
        float *learned;
        assert_int_equal(impute_fit(ways[i].missing, -7, dataset, rows, TRAINING, &learned, NULL), NABLA_OK);
        assert_memory_equal(learned, ways[i].expected, sizeof ways[i].expected);
        impute_apply(learned, COLUMNS, dataset->features, ROWS);
        for (size_t k = 0; k < ROWS * COLUMNS; k++)
            assert_true(dataset->features[k] == (isnan(values[k]) ? learned[k % COLUMNS] : values[k]));
        assert_int_equal(missing_find(missing_name(ways[i].missing)), ways[i].missing);
        free(learned);
        dataset_free(dataset);
    }
}

static void a_column_without_values_is_refused_by_name(void **state)
{
    (void)state;
    static const size_t rows[] = {0, 6};
    struct dataset *dataset = make();
    struct nabla_error err;
    float *learned = NULL;
    assert_int_equal(impute_fit(MISSING_MEAN, 0, dataset, rows, 2, &learned, &err), NABLA_INVALID);
    assert_non_null(strstr(err.text, "column 2 (x1) has no value in the training rows"));
    assert_null(learned);
    assert_int_equal(impute_fit(MISSING_CONSTANT, 0, dataset, rows, 2, &learned, &err), NABLA_OK);
    free(learned);
    dataset_free(dataset);
}

static void missing_values_are_refused_by_column_and_row(void **state)
{
    (void)state;
    struct dataset *dataset = make();
    struct nabla_error err;
    assert_int_equal(dataset_refuse_missing(dataset, &err), NABLA_INVALID);
    assert_string_equal(err.text,
                        "values are missing: column 1 (x0) from row 3 on, column 2 (x1) from row 1 on, "
                        "column 3 (x2) from row 4 on");
    dataset->rows = 2;
    dataset->features[1] = 0;
    assert_int_equal(dataset_refuse_missing(dataset, &err), NABLA_OK);
    dataset->rows = ROWS;
    dataset_free(dataset);
}

// The last two rows validate. What is filled in comes before what is scaled: to its column's mean, which is
// 0.
static void training_fills_in_before_it_scales(void **state)
{
    (void)state;
    static const float means[COLUMNS] = {2, 5, 3};
    struct dataset *dataset = make();
    struct train_spec spec = spec_defaults();
    struct train_data *data;
    for (size_t i = 0; i < ROWS; i++)
        dataset->ids[i] = (int32_t)(i % 2);
    spec.split = SPLIT_LAST;
    spec.validation_split = 2.0 / ROWS;
    spec.missing = MISSING_MEAN;
    assert_int_equal(train_data_new(&spec, dataset, &data, NULL), NABLA_OK);
    assert_int_equal(data->split.train_count, TRAINING);
    assert_memory_equal(data->imputed, means, sizeof means);
    assert_memory_equal(data->standardizer.mean, means, sizeof means);
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        assert_true(isnan(values[i]) ? data->ready[i] == 0 : isfinite(data->ready[i]));
    assert_true(isnan(dataset->features[1])); // the data set stays as it is
    train_data_free(data);
    spec_free(&spec);
    dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_learns_from_the_training_rows_alone),
        cmocka_unit_test(training_fills_in_before_it_scales),
        cmocka_unit_test(a_column_without_values_is_refused_by_name),
        cmocka_unit_test(missing_values_are_refused_by_column_and_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
