#include "data/split.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { CLASSES_MAX = 4 };

// Rows of the classes in turn, as long as a class has rows left.
static struct dataset *make(const size_t *sizes, size_t classes)
{
    size_t rows = 0, left[CLASSES_MAX];
    for (size_t c = 0; c < classes; c++)
        rows += left[c] = sizes[c];
    struct dataset *dataset;
    assert_int_equal(dataset_new(rows, 1, classes, &dataset, NULL), NABLA_OK);
    for (size_t i = 0, c = 0; i < rows; c = (c + 1) % classes)
        if (left[c] > 0) {
            left[c]--;
            dataset->ids[i++] = (int32_t)c;
        }
    return dataset;
}

static void assert_is_partition(const struct split *split, size_t rows)
{
    assert_int_equal(split->train_count + split->validation_count, rows);
    size_t t = 0, v = 0;
    for (size_t i = 0; i < rows; i++) // ascending parts merge to 0, 1, 2, …
        if (t < split->train_count && split->train[t] == i)
            t++;
        else
            assert_true(v < split->validation_count && split->validation[v++] == i);
}

static const struct {
    size_t sizes[CLASSES_MAX], classes;
    double fraction;
    size_t taken[CLASSES_MAX];
    const char *comment;
} shares[] = {
    {{50, 50, 50}, 3, 0.2, {10, 10, 10}, "even"},
    {{90, 10}, 2, 0.1, {9, 1}, "in proportion"},
    {{7, 7, 7}, 3, 0.5, {4, 4, 3}, "11 of 21: equal remainders go to the lower classes"},
    {{11, 6, 3}, 3, 0.25, {3, 1, 1}, "5 of 20: shares 2.75, 1.5, 0.75"},
    {{10, 1}, 2, 0.5, {5, 0}, "a class of one row keeps it"},
    {{4, 2}, 2, 0.9, {3, 1}, "each class keeps a row for training"},
    {{3, 0, 3}, 3, 0.34, {1, 0, 1}, "a class without rows"},
    {{100, 1, 1, 1}, 4, 0.5, {50, 0, 0, 0}, "single rows withhold theirs, and no other class fills in"},
    {{5, 5}, 2, 0, {0, 0}, "nothing"},
};

static void every_class_gives_its_share(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shares); i++) {
        struct dataset *dataset = make(shares[i].sizes, shares[i].classes);
        struct split split;
        struct nabla_error err = {0};
        size_t taken[CLASSES_MAX] = {0};
        if (split_make(dataset, SPLIT_STRATIFIED, shares[i].fraction, 7, &split, &err))
            fail_msg("%s: %s", shares[i].comment, err.text);
        assert_is_partition(&split, dataset->rows);
        for (size_t v = 0; v < split.validation_count; v++)
            taken[dataset->ids[split.validation[v]]]++;
        for (size_t c = 0; c < CLASSES_MAX; c++)
            if (taken[c] != shares[i].taken[c])
                fail_msg("%s: class %zu gives %zu", shares[i].comment, c, taken[c]);
        split_free(&split);
        dataset_free(dataset);
    }
}

static void the_seed_decides_and_nothing_else(void **state)
{
    (void)state;
    struct dataset *dataset = make((const size_t[]){40, 40}, 2);
    struct split a, b, c;
    assert_int_equal(split_make(dataset, SPLIT_STRATIFIED, 0.25, 1, &a, NULL), NABLA_OK);
    assert_int_equal(split_make(dataset, SPLIT_STRATIFIED, 0.25, 1, &b, NULL), NABLA_OK);
    assert_int_equal(split_make(dataset, SPLIT_STRATIFIED, 0.25, 2, &c, NULL), NABLA_OK);
    size_t bytes = a.validation_count * sizeof *a.validation;
    assert_memory_equal(a.validation, b.validation, bytes);
    assert_memory_not_equal(a.validation, c.validation, bytes);
    split_free(&a);
    split_free(&b);
    split_free(&c);
    dataset_free(dataset);
}

static const struct {
    size_t rows;
    double fraction;
    size_t train;
} lasts[] = {{150, 0.2, 120}, {10, 0.25, 7}, {10, 0, 10}, {3, 0.5, 1}, {2, 0.01, 1}};

static void the_last_rows_validate_as_in_keras(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lasts); i++) {
        struct dataset *dataset = make((const size_t[]){lasts[i].rows}, 1);
        struct split split;
        assert_int_equal(split_make(dataset, SPLIT_LAST, lasts[i].fraction, 0, &split, NULL), NABLA_OK);
        assert_is_partition(&split, lasts[i].rows);
        assert_int_equal(split.train_count, lasts[i].train);
        assert_int_equal(split.train[split.train_count - 1], lasts[i].train - 1);
        split_free(&split);
        dataset_free(dataset);
    }
}

static void regression_is_split_at_random(void **state)
{
    (void)state;
    struct dataset *dataset;
    struct split split;
    assert_int_equal(dataset_new_targets(100, 1, 1, &dataset, NULL), NABLA_OK);
    assert_int_equal(split_make(dataset, SPLIT_STRATIFIED, 0.3, 5, &split, NULL), NABLA_OK);
    assert_is_partition(&split, 100);
    assert_int_equal(split.validation_count, 30);
    assert_true(split.validation[0] < 50 && split.validation[29] >= 50);
    split_free(&split);
    dataset_free(dataset);
}

static const struct {
    size_t sizes[CLASSES_MAX];
    double fraction;
    enum split_kind kind;
    const char *comment;
} refused[] = {
    {{5, 5}, 1, SPLIT_STRATIFIED, "all"},
    {{5, 5}, -0.1, SPLIT_STRATIFIED, "negative"},
    {{5, 5}, NAN, SPLIT_STRATIFIED, "NaN"},
    {{5, 5}, 0.01, SPLIT_STRATIFIED, "rounds to nothing"},
    {{1, 1}, 0.5, SPLIT_STRATIFIED, "each class has one row, and keeps it"},
    {{1, 0}, 0.5, SPLIT_LAST, "no row is left for training"},
    {{1, 1}, 0.9, SPLIT_LAST, "no row is left for training"},
};

static void an_empty_part_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct dataset *dataset = make(refused[i].sizes, 2);
        struct split split = {0};
        struct nabla_error err = {0};
        if (split_make(dataset, refused[i].kind, refused[i].fraction, 0, &split, &err) != NABLA_INVALID)
            fail_msg("%s", refused[i].comment);
        assert_true(split.train == NULL && split.validation == NULL && err.text[0]);
        dataset_free(dataset);
    }
    split_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_gives_its_share),
        cmocka_unit_test(the_seed_decides_and_nothing_else),
        cmocka_unit_test(the_last_rows_validate_as_in_keras),
        cmocka_unit_test(regression_is_split_at_random),
        cmocka_unit_test(an_empty_part_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
