#include "data/dataset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void new_room_is_zeroed_and_has_no_names(void **state)
{
    (void)state;
    struct dataset *dataset;
    assert_int_equal(dataset_new(3, 2, 4, &dataset, NULL), NABLA_OK);
    for (size_t i = 0; i < 6; i++)
        assert_true(dataset->features[i] == 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(dataset->ids[i], 0);
    assert_null(dataset->feature_names[1]);
    assert_null(dataset->class_names[3]);
    assert_null(dataset->targets);
    dataset_free(dataset);
}

static void targets_have_room_instead_of_ids(void **state)
{
    (void)state;
    struct dataset *dataset;
    assert_int_equal(dataset_new_targets(3, 2, 5, &dataset, NULL), NABLA_OK);
    assert_null(dataset->ids);
    assert_int_equal(dataset->classes, 0);
    assert_true(dataset->targets[3 * 5 - 1] == 0);
    dataset_free(dataset);
    assert_int_equal(dataset_new(3, 2, 0, &dataset, NULL), NABLA_OK);
    assert_true(dataset->ids == NULL && dataset->targets == NULL);
    dataset_free(dataset);
    dataset_free(NULL);
}

static void sizes_that_overflow_are_no_memory(void **state)
{
    (void)state;
    struct dataset *dataset = NULL;
    struct nabla_error err;
    assert_int_equal(dataset_new(SIZE_MAX / 2, 4, 2, &dataset, &err), NABLA_NO_MEMORY);
    assert_int_equal(dataset_new_targets(8, 1, SIZE_MAX / 8, &dataset, &err), NABLA_NO_MEMORY);
    assert_null(dataset);
}

static const struct {
    size_t rows, columns, classes;
    const char *text, *comment;
} sizes[] = {
    {10, 4, 3, NULL, "all at their limits"},
    {11, 1, 1, "11 rows, the limit max_dataset_rows is 10", "rows"},
    {1, 5, 1, "5 features, the limit max_dataset_columns is 4", "columns"},
    {1, 1, 4, "4 classes, the limit max_dataset_classes is 3", "classes"},
};

static void a_breach_names_its_limit(void **state)
{
    (void)state;
    const struct dataset_limits limits = {.rows = 10, .columns = 4, .classes = 3, .bytes = 160};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct nabla_error err = {0};
        enum nabla_code code =
            dataset_check_size(sizes[i].rows, sizes[i].columns, sizes[i].classes, &limits, &err);
        assert_int_equal(code, sizes[i].text ? NABLA_LIMIT : NABLA_OK);
        if (sizes[i].text && !strstr(err.text, sizes[i].text))
            fail_msg("%s: %s", sizes[i].comment, err.text);
    }
}

static void bytes_are_limited_and_may_overflow(void **state)
{
    (void)state;
    const struct dataset_limits open = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX - 1};
    struct dataset_limits small = open;
    small.bytes = 159;
    struct nabla_error err = {0};
    assert_int_equal(dataset_check_size(10, 4, 0, &small, &err), NABLA_LIMIT);
    assert_non_null(strstr(err.text, "160 bytes of features, the limit max_dataset_bytes is 159"));
    assert_int_equal(dataset_check_size(SIZE_MAX, SIZE_MAX, 0, &open, &err), NABLA_LIMIT);
    assert_int_equal(dataset_check_size(SIZE_MAX / 2, 1, 0, &open, &err), NABLA_LIMIT);
    assert_int_equal(dataset_check_size(1, 1, (size_t)INT32_MAX + 1, &open, &err), NABLA_LIMIT);
}

static void missing_names_are_made_up(void **state)
{
    (void)state;
    struct dataset *dataset;
    assert_int_equal(dataset_new(1, 2, 2, &dataset, NULL), NABLA_OK);
    dataset->feature_names[0] = strdup("height");
    assert_int_equal(dataset_fill_names(dataset, NULL), NABLA_OK);
    assert_string_equal(dataset->feature_names[0], "height");
    assert_string_equal(dataset->feature_names[1], "x1");
    assert_string_equal(dataset->class_names[1], "1");
    assert_string_equal(dataset->label_name, "label");
    dataset_free(dataset);
}

static void a_summary_counts_what_is_missing_apart(void **state)
{
    (void)state;
    static const float values[] = {1, NAN, 0.1f, 16777216, 3, NAN, 0.1f, 16777218, NAN, NAN, 0.1f, 16777220};
    struct dataset *dataset;
    struct feature_summary s[4];
    assert_int_equal(dataset_new(3, 4, 0, &dataset, NULL), NABLA_OK);
    memcpy(dataset->features, values, sizeof values);
    dataset_summarize(dataset, s);
    assert_true(s[0].mean == 2 && s[0].std == 1 && s[0].min == 1 && s[0].max == 3 && s[0].missing == 1);
    assert_true(isnan(s[1].mean) && isnan(s[1].std) && isnan(s[1].min) && isnan(s[1].max) &&
                s[1].missing == 3);
    assert_true(s[2].mean == (double)0.1f && s[2].std == 0 && s[2].missing == 0);
    assert_true(s[3].mean == 16777218 && fabs(s[3].std - sqrt(8.0 / 3)) < 1e-12);
    dataset_free(dataset);
}

static void infinities_are_not_hidden_by_a_summary(void **state)
{
    (void)state;
    static const float values[] = {1, INFINITY};
    struct dataset *dataset;
    struct feature_summary s;
    assert_int_equal(dataset_new(2, 1, 0, &dataset, NULL), NABLA_OK);
    memcpy(dataset->features, values, sizeof values);
    dataset_summarize(dataset, &s);
    assert_true(isinf(s.mean) && isinf(s.max) && s.min == 1 && isnan(s.std) && s.missing == 0);
    dataset_free(dataset);
}

static void classes_are_counted(void **state)
{
    (void)state;
    static const int32_t ids[] = {2, 0, 2, 2};
    size_t counts[3];
    struct dataset *dataset;
    assert_int_equal(dataset_new(4, 1, 3, &dataset, NULL), NABLA_OK);
    memcpy(dataset->ids, ids, sizeof ids);
    dataset_class_counts(dataset, counts);
    assert_true(counts[0] == 1 && counts[1] == 0 && counts[2] == 3);
    dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_room_is_zeroed_and_has_no_names),
        cmocka_unit_test(targets_have_room_instead_of_ids),
        cmocka_unit_test(sizes_that_overflow_are_no_memory),
        cmocka_unit_test(a_breach_names_its_limit),
        cmocka_unit_test(bytes_are_limited_and_may_overflow),
        cmocka_unit_test(missing_names_are_made_up),
        cmocka_unit_test(a_summary_counts_what_is_missing_apart),
        cmocka_unit_test(infinities_are_not_hidden_by_a_summary),
        cmocka_unit_test(classes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
