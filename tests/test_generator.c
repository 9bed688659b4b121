#include "base/token.h"
#include "data/generator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct dataset_limits roomy = {.rows = 10000, .columns = 100, .classes = 100, .bytes = 1 << 24};

static struct dataset *make(const struct generator *generator)
{
    struct nabla_error err = {0};
    struct dataset *dataset = NULL;
    if (generator_make(generator, &roomy, &dataset, &err))
        fail_msg("%s: %s", generator_name(generator->type), err.text);
    return dataset;
}

static struct generator quiet(enum generator_type type)
{
    struct generator generator = generator_defaults(type);
    generator.rows = 600;
    generator.noise = 0;
    generator.seed = 3;
    return generator;
}

static void names_are_found_again(void **state)
{
    (void)state;
    for (int i = 0; i < GENERATOR_COUNT; i++)
        assert_int_equal(generator_find(generator_name((enum generator_type)i)), i);
    assert_int_equal(generator_find("nonesuch"), -1);
}

static void every_default_makes_a_data_set(void **state)
{
    (void)state;
    for (int i = 0; i < GENERATOR_COUNT; i++) {
        struct generator generator = generator_defaults((enum generator_type)i);
        struct dataset *d = make(&generator);
        size_t counts[100], sum = 0;
        assert_true(d->rows == 1000 && d->columns == generator.features && d->classes == generator.classes);
        assert_int_equal(d->outputs, generator.targets);
        assert_true((d->ids != NULL) == (d->classes > 0) && (d->targets != NULL) == (d->outputs > 0));
        dataset_class_counts(d, counts);
        for (size_t c = 0; c < d->classes; c++) {
            assert_true(counts[c] > 0);
            sum += counts[c];
        }
        assert_int_equal(sum, d->classes > 0 ? 1000 : 0);
        for (size_t k = 0; k < d->rows * d->outputs; k++)
            assert_true(isfinite(d->targets[k]));
        for (size_t k = 0; k < d->rows * d->columns; k++)
            assert_true(isfinite(d->features[k]));
        assert_string_equal(d->feature_names[1], "x1");
        if (d->classes > 0)
            assert_string_equal(d->class_names[1], "1");
        dataset_free(d);
    }
}

// SHA-256 of the features, or of targets, of 100 rows with seed 1: fixed, for jobs stored by seed must not
// change.
static const char *const hashes[GENERATOR_COUNT] = {
    [GENERATOR_BLOBS] = "25ca6cedef4250422f7b267f4ac8e2750c50bf72963ab59f6715b62351e99b61",
    [GENERATOR_MOONS] = "a674a7774c7a268974f633d2b22f8bc02eccaffa495ba895b47288074265f5f0",
    [GENERATOR_SPIRALS] = "751eb775ace0f4fa101e96b3c5ab5d5fc5612c927b303917c8905179ae4c5e25",
    [GENERATOR_RINGS] = "038a7331bd1dd50966fb8ea0bdfcf729336f089d71d6f574b1a5ba0be401e46f",
    [GENERATOR_XOR] = "9fcda57e8b03b1f245e0626d828e73d35e0910c2caf69fa0c312292aff995e24",
    [GENERATOR_IMBALANCED] = "ddddc32947e8c84f3aaae39dd70b2ce0c27125ba93c1141ca1cb835f00593b93",
    [GENERATOR_RANDOM] = "f93bc9a9ef59ecff34eeb14b63571c5fd012f74b814e4c47918332d10f2b312f",
    [GENERATOR_LINEAR] = "4a461e0c6e130d0badf7237ee64c1f54711151e5dfd82529741e4c561b7932a8",
    [GENERATOR_FRIEDMAN] = "f1c5bf900db8c4e2148bf602db9df2e759c6a2074c1f3da9f42e77fb5f3a52d4",
    [GENERATOR_LABELS] = "7e273d5d74bfd02b500f44624f06c2dcba396b4bbb0ed10884f19b07cb057db8",
};

static void the_seed_gives_the_same_bits_for_ever(void **state)
{
    (void)state;
    for (int i = 0; i < GENERATOR_COUNT; i++) {
        struct generator generator = generator_defaults((enum generator_type)i);
        generator.rows = 100;
        generator.seed = 1;
        struct dataset *d = make(&generator);
        char hash[TOKEN_SHA256_SIZE];
        token_sha256(hash, d->features, d->rows * d->columns * sizeof *d->features);
        if (d->targets)
            token_sha256(hash, d->targets, d->rows * d->outputs * sizeof *d->targets);
        if (strcmp(hash, hashes[i]) != 0)
            fail_msg("%s: %s", generator_name(generator.type), hash);
        dataset_free(d);
    }
}

static void another_seed_gives_other_features_and_labels(void **state)
{
    (void)state;
    for (int i = 0; i < GENERATOR_COUNT; i++) {
        struct generator generator = generator_defaults((enum generator_type)i);
        struct dataset *a = make(&generator);
        generator.seed = 1;
        struct dataset *b = make(&generator);
        assert_memory_not_equal(a->features, b->features, a->rows * a->columns * sizeof *a->features);
        if (a->ids)
            assert_memory_not_equal(a->ids, b->ids, a->rows * sizeof *a->ids);
        else
            assert_memory_not_equal(a->targets, b->targets, a->rows * a->outputs * sizeof *a->targets);
        dataset_free(a);
        dataset_free(b);
    }
}

static double mean_of(const struct dataset *d, size_t target)
{
    double sum = 0;
    for (size_t i = 0; i < d->rows; i++)
        sum += (double)d->targets[i * d->outputs + target];
    return sum / (double)d->rows;
}

// The weights that explain the targets without noise: by rows that differ in one feature there are none, so
// by the normal equations of five features.
static void linear_targets_are_linear(void **state)
{
    (void)state;
    enum { F = 5, T = 2 };
    struct generator generator = quiet(GENERATOR_LINEAR);
    generator.features = F;
    generator.targets = T;
    struct dataset *d = make(&generator);
    for (size_t t = 0; t < T; t++) {
        double a[F][F + 1] = {{0}};
        for (size_t row = 0; row < d->rows; row++)
            for (size_t i = 0; i < F; i++)
                for (size_t j = 0; j <= F; j++)
                    a[i][j] += (double)d->features[row * F + i] *
                               (double)(j < F ? d->features[row * F + j] : d->targets[row * T + t]);
        for (size_t i = 0; i < F; i++) // Gauss and Jordan
            for (size_t k = 0; k < F; k++)
                for (size_t j = F + 1; k != i && j-- > i;)
                    a[k][j] -= a[k][i] / a[i][i] * a[i][j];
        for (size_t row = 0; row < d->rows; row++) {
            double sum = 0;
            for (size_t i = 0; i < F; i++)
                sum += a[i][F] / a[i][i] * (double)d->features[row * F + i];
            assert_true(fabs(sum - (double)d->targets[row * T + t]) < 1e-4);
        }
    }
    dataset_free(d);
}

static void friedmans_problem_is_his(void **state)
{
    (void)state;
    struct generator generator = quiet(GENERATOR_FRIEDMAN);
    struct dataset *still = make(&generator);
    for (size_t i = 0; i < still->rows; i++) {
        const float *x = still->features + i * still->columns;
        const double wanted = 10 * sin(M_PI * (double)x[0] * (double)x[1]) + 20 * pow((double)x[2] - 0.5, 2) +
                              10 * (double)x[3] + 5 * (double)x[4];
        assert_true(fabs((double)still->targets[i] - wanted) < 1e-5);
    }
    generator.noise = 1;
    generator.rows = 10000;
    struct dataset *noisy = make(&generator);
    assert_true(fabs(mean_of(noisy, 0) - 14.41) < 0.3); // its expectation
    dataset_free(still);
    dataset_free(noisy);
}

// Half of the rows have each label, and two of them are not the same.
static void labels_are_sides_of_planes(void **state)
{
    (void)state;
    struct generator generator = quiet(GENERATOR_LABELS);
    generator.rows = 4000;
    struct dataset *d = make(&generator);
    for (size_t t = 0; t < d->outputs; t++)
        assert_true(fabs(mean_of(d, t) - 0.5) < 0.05);
    size_t differ = 0;
    for (size_t i = 0; i < d->rows; i++) {
        for (size_t t = 0; t < d->outputs; t++)
            assert_true(d->targets[i * d->outputs + t] == 0 || d->targets[i * d->outputs + t] == 1);
        differ += d->targets[i * d->outputs] != d->targets[i * d->outputs + 1];
    }
    assert_true(differ > 0);
    dataset_free(d);
}

static void blobs_without_noise_are_their_centres(void **state)
{
    (void)state;
    struct generator generator = quiet(GENERATOR_BLOBS);
    generator.features = 5;
    struct dataset *d = make(&generator);
    const float *centres[3] = {NULL};
    for (size_t i = 0; i < d->rows; i++) {
        const float *row = d->features + i * 5, **centre = &centres[d->ids[i]];
        for (size_t j = 0; j < 5; j++)
            assert_true(row[j] >= -5 && row[j] <= 5);
        if (*centre)
            assert_memory_equal(*centre, row, 5 * sizeof *row);
        *centre = row;
    }
    assert_memory_not_equal(centres[0], centres[1], 5 * sizeof(float));
    dataset_free(d);
}

static void noise_has_its_deviation(void **state)
{
    (void)state;
    struct generator generator = quiet(GENERATOR_BLOBS);
    struct dataset *still = make(&generator);
    generator.noise = 2;
    struct dataset *noisy = make(&generator);
    double sum = 0;
    for (size_t i = 0; i < 1200; i++)
        sum += pow((double)noisy->features[i] - (double)still->features[i], 2);
    assert_true(fabs(sqrt(sum / 1200) - 2) < 0.2);
    dataset_free(still);
    dataset_free(noisy);
}

static bool on_moon(const float *p, int32_t id, size_t classes)
{
    (void)classes;
    float x = id ? 1 - p[0] : p[0], y = id ? 0.5f - p[1] : p[1];
    return fabsf(hypotf(x, y) - 1) < 1e-6f && y >= -1e-6f;
}

static bool on_spiral(const float *p, int32_t id, size_t classes)
{
    double radius = hypot((double)p[0], (double)p[1]), turns = 1.5 * radius + (double)id / (double)classes;
    double x = radius * cos(2 * M_PI * turns), y = radius * sin(2 * M_PI * turns);
    return hypot((double)p[0] - x, (double)p[1] - y) < 1e-5;
}

static bool on_ring(const float *p, int32_t id, size_t classes)
{
    return fabsf(hypotf(p[0], p[1]) - (float)(id + 1) / (float)classes) < 1e-6f;
}

static bool in_quadrant(const float *p, int32_t id, size_t classes)
{
    (void)classes;
    return fabsf(p[0]) <= 1 && fabsf(p[1]) <= 1 && (id == 0 ? p[0] * p[1] >= 0 : p[0] * p[1] <= 0);
}

static bool in_unit_box(const float *p, int32_t id, size_t classes)
{
    (void)id;
    (void)classes;
    return p[0] >= 0 && p[0] < 1 && p[1] >= 0 && p[1] < 1;
}

static const struct {
    enum generator_type type;
    bool (*holds)(const float *point, int32_t id, size_t classes);
} shapes[] = {
    {GENERATOR_MOONS, on_moon},   {GENERATOR_SPIRALS, on_spiral},  {GENERATOR_RINGS, on_ring},
    {GENERATOR_XOR, in_quadrant}, {GENERATOR_RANDOM, in_unit_box},
};

static void points_lie_where_their_class_puts_them(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        struct generator generator = quiet(shapes[s].type);
        struct dataset *d = make(&generator);
        for (size_t i = 0; i < d->rows; i++)
            if (!shapes[s].holds(d->features + i * d->columns, d->ids[i], d->classes))
                fail_msg("%s: row %zu", generator_name(shapes[s].type), i);
        dataset_free(d);
    }
}

static void classes_are_even_and_mixed(void **state)
{
    (void)state;
    struct generator generator = quiet(GENERATOR_BLOBS);
    generator.rows = 107;
    generator.classes = 10;
    struct dataset *d = make(&generator);
    size_t counts[10];
    dataset_class_counts(d, counts);
    for (size_t c = 0; c < 10; c++)
        assert_int_equal(counts[c], c < 7 ? 11 : 10);
    size_t changes = 0;
    for (size_t i = 1; i < d->rows; i++)
        changes += d->ids[i] != d->ids[i - 1];
    assert_true(changes > 80);
    dataset_free(d);
}

static const struct {
    size_t rows, classes;
    double imbalance;
    size_t counts[4];
} imbalances[] = {
    {1100, 2, 10, {1000, 100}},
    {1110, 3, 100, {1000, 100, 10}},
    {40, 4, 1, {10, 10, 10, 10}},
    {15, 4, 8, {8, 4, 2, 1}},
};

static void class_sizes_fall_geometrically(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(imbalances); k++) {
        struct generator generator = quiet(GENERATOR_IMBALANCED);
        generator.rows = imbalances[k].rows;
        generator.classes = imbalances[k].classes;
        generator.imbalance = imbalances[k].imbalance;
        struct dataset *d = make(&generator);
        size_t counts[4];
        dataset_class_counts(d, counts);
        for (size_t c = 0; c < generator.classes; c++)
            assert_in_range(counts[c], imbalances[k].counts[c] - 1, imbalances[k].counts[c] + 1);
        dataset_free(d);
    }
}

static const struct {
    struct generator generator;
    enum nabla_code code;
    const char *pointer;
} refused[] = {
    {{GENERATOR_COUNT, 10, 2, 2, 0, 0, 1, 0}, NABLA_INVALID, "/type"},
    {{GENERATOR_BLOBS, 0, 2, 2, 0, 0, 1, 0}, NABLA_INVALID, "/rows"},
    {{GENERATOR_BLOBS, 2, 2, 3, 0, 0, 1, 0}, NABLA_INVALID, "/rows"},
    {{GENERATOR_BLOBS, 10, 0, 2, 0, 0, 1, 0}, NABLA_INVALID, "/features"},
    {{GENERATOR_BLOBS, 10, 2, 1, 0, 0, 1, 0}, NABLA_INVALID, "/classes"},
    {{GENERATOR_BLOBS, 10, 2, 2, 0, -1, 1, 0}, NABLA_INVALID, "/noise"},
    {{GENERATOR_BLOBS, 10, 2, 2, 0, NAN, 1, 0}, NABLA_INVALID, "/noise"},
    {{GENERATOR_BLOBS, 10, 2, 2, 0, 1e300, 1, 0}, NABLA_INVALID, "/noise"},
    {{GENERATOR_BLOBS, 10, 2, 2, 0, 0, 5, 0}, NABLA_INVALID, "/imbalance"},
    {{GENERATOR_IMBALANCED, 100, 2, 2, 0, 0, 0.5, 0}, NABLA_INVALID, "/imbalance"},
    {{GENERATOR_IMBALANCED, 100, 2, 2, 0, 0, NAN, 0}, NABLA_INVALID, "/imbalance"},
    {{GENERATOR_MOONS, 10, 3, 2, 0, 0, 1, 0}, NABLA_INVALID, "/features"},
    {{GENERATOR_MOONS, 10, 2, 3, 0, 0, 1, 0}, NABLA_INVALID, "/classes"},
    {{GENERATOR_XOR, 10, 2, 4, 0, 0, 1, 0}, NABLA_INVALID, "/classes"},
    {{GENERATOR_SPIRALS, 10, 4, 2, 0, 0, 1, 0}, NABLA_INVALID, "/features"},
    {{GENERATOR_BLOBS, 10, 2, 2, 1, 0, 1, 0}, NABLA_INVALID, "/targets"},
    {{GENERATOR_LINEAR, 10, 2, 2, 1, 0, 1, 0}, NABLA_INVALID, "/classes"},
    {{GENERATOR_LINEAR, 10, 2, 0, 0, 0, 1, 0}, NABLA_INVALID, "/targets"},
    {{GENERATOR_LINEAR, 0, 2, 0, 1, 0, 1, 0}, NABLA_INVALID, "/rows"},
    {{GENERATOR_FRIEDMAN, 10, 4, 0, 1, 0, 1, 0}, NABLA_INVALID, "/features"},
    {{GENERATOR_FRIEDMAN, 10, 5, 0, 2, 0, 1, 0}, NABLA_INVALID, "/targets"},
    {{GENERATOR_LABELS, 10, 2, 0, 101, 0, 1, 0}, NABLA_LIMIT, "/targets"},
    {{GENERATOR_BLOBS, 10001, 2, 2, 0, 0, 1, 0}, NABLA_LIMIT, "/rows"},
    {{GENERATOR_BLOBS, 1000, 101, 2, 0, 0, 1, 0}, NABLA_LIMIT, "/features"},
    {{GENERATOR_BLOBS, 1000, 2, 101, 0, 0, 1, 0}, NABLA_LIMIT, "/classes"},
    {{GENERATOR_BLOBS, SIZE_MAX, SIZE_MAX, 2, 0, 0, 1, 0}, NABLA_LIMIT, "/rows"},
};

static void what_cannot_be_made_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct nabla_error err = {0};
        struct dataset *dataset = NULL;
        assert_int_equal(generator_make(&refused[i].generator, &roomy, &dataset, &err), refused[i].code);
        assert_string_equal(err.pointer, refused[i].pointer);
        assert_null(dataset);
    }
    struct dataset *dataset;
    assert_int_equal(generator_make(&refused[COUNT(refused) - 1].generator, &roomy, &dataset, NULL),
                     NABLA_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_again),
        cmocka_unit_test(every_default_makes_a_data_set),
        cmocka_unit_test(the_seed_gives_the_same_bits_for_ever),
        cmocka_unit_test(another_seed_gives_other_features_and_labels),
        cmocka_unit_test(linear_targets_are_linear),
        cmocka_unit_test(friedmans_problem_is_his),
        cmocka_unit_test(labels_are_sides_of_planes),
        cmocka_unit_test(blobs_without_noise_are_their_centres),
        cmocka_unit_test(noise_has_its_deviation),
        cmocka_unit_test(points_lie_where_their_class_puts_them),
        cmocka_unit_test(classes_are_even_and_mixed),
        cmocka_unit_test(class_sizes_fall_geometrically),
        cmocka_unit_test(what_cannot_be_made_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
