// What PyTorch, Keras on TensorFlow, and optax say, case by case, in float64. scripts/golden/loss_golden.py
// writes the file and describes its lines.
#include "math/loss.h"
#include "math/loss_certify.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 32, CERTIFIED_ULPS = 16 };

struct golden {
    char name[200]; // the words before the numbers
    struct nabla_loss loss;
    struct nabla_loss_batch batch;
    double scores[MOST], labels[MOST], class_weights[MOST], pos_weight[MOST], sample_weights[MOST];
    int64_t ids[MOST];
    double expected_loss, expected_gradient[MOST];
};

// Numbers up to the next bar or the end; returns what follows it.
static const char *read_numbers(const char *text, double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *end;
        numbers[i] = strtod(text, &end);
        assert_ptr_not_equal(end, text);
        text = end;
    }
    while (*text == ' ' || *text == '|')
        text++;
    return text;
}

static void read_list(const char *text, double *numbers)
{
    for (size_t i = 0; i < MOST && text; i++) {
        numbers[i] = strtod(text, NULL);
        text = strchr(text, ':');
        text = text ? text + 1 : NULL;
    }
}

static void read_option(struct golden *golden, const char *name, const char *value)
{
    struct nabla_loss *loss = &golden->loss;
    const struct {
        const char *name;
        double *number;
    } numbers[] = {{"label_smoothing", &loss->label_smoothing},
                   {"softcap", &loss->softcap},
                   {"temperature", &loss->temperature},
                   {"z_loss", &loss->z_loss},
                   {"alpha", &loss->alpha},
                   {"gamma", &loss->gamma},
                   {"epsilon", &loss->epsilon},
                   {"margin", &loss->margin},
                   {"delta", &loss->delta}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].number = strtod(value, NULL);
            return;
        }
    if (strcmp(name, "class_weights") == 0) {
        read_list(value, golden->class_weights);
        loss->class_weights = golden->class_weights;
    } else if (strcmp(name, "pos_weight") == 0) {
        read_list(value, golden->pos_weight);
        loss->pos_weight = golden->pos_weight;
    } else if (strcmp(name, "sample_weights") == 0) {
        read_list(value, golden->sample_weights);
        golden->batch.sample_weights = golden->sample_weights;
    } else {
        assert_string_equal(name, "ignore_index");
        loss->has_ignore_index = true;
        loss->ignore_index = (int64_t)strtod(value, NULL);
    }
}

static void read_options(struct golden *golden, char *text)
{
    char *rest = NULL;
    for (char *option = strtok_r(text, ",", &rest); option; option = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(option, '=');
        if (!equals)
            continue; // "-"
        *equals = '\0';
        read_option(golden, option, equals + 1);
    }
}

static void read_case(struct golden *golden, const char *line)
{
    char convention[20], type[40], input[20], reduction[10], labels[10], options[200];
    size_t rows, classes;
    int used = 0;
    assert_int_equal(sscanf(line, "%19s %39s %19s %9s %9s %zu %zu %199s | %n", convention, type, input,
                            reduction, labels, &rows, &classes, options, &used),
                     8);
    memset(golden, 0, sizeof *golden);
    snprintf(golden->name, sizeof golden->name, "%.*s", used, line);
    golden->loss = nabla_loss_defaults((enum nabla_loss_type)nabla_loss_type_find(type));
    golden->loss.convention = (enum nabla_convention)nabla_convention_find(convention);
    golden->loss.reduction = (enum nabla_reduction)nabla_reduction_find(reduction);
    golden->loss.input = strcmp(input, "logits") == 0 ? NABLA_LOGITS : NABLA_PROBABILITIES;
    read_options(golden, options);
    bool ids = strcmp(labels, "ids") == 0;
    assert_true(rows * classes <= MOST);
    const char *text = read_numbers(line + used, golden->scores, rows * classes);
    text = read_numbers(text, golden->labels, ids ? rows : rows * classes);
    text = read_numbers(text, &golden->expected_loss, 1);
    read_numbers(text, golden->expected_gradient, rows * classes);
    for (size_t i = 0; ids && i < rows; i++)
        golden->ids[i] = (int64_t)golden->labels[i];
    struct nabla_loss_batch *batch = &golden->batch;
    batch->dtype = NABLA_FLOAT64;
    batch->rows = rows;
    batch->classes = classes;
    batch->scores = golden->scores;
    batch->ids = ids ? golden->ids : NULL;
    batch->targets = ids ? NULL : golden->labels;
}

static bool near(double actual, double expected, double tolerance)
{
    if (isnan(expected) || isinf(expected))
        return isnan(expected) ? isnan(actual) : actual == expected;
    return fabs(actual - expected) <= tolerance * fmax(1, fabs(expected));
}

// Rounding noise of the frameworks, which grows with logits around 1e8 (optax subtracts the label's logit
// last).
static double tolerance_of(const struct golden *golden)
{
    bool shifted = fabs(golden->scores[0]) > 9e7 && fabs(golden->scores[0]) < 2e8;
    return shifted ? 1e-7 : 1e-10;
}

// The largest finite entry of the gradient's row: what the frameworks' rounding noise in its others is a part
// of.
static double row_largest(const struct golden *golden, size_t entry)
{
    size_t classes = golden->batch.classes, first = entry - entry % classes;
    double largest = 0;
    for (size_t j = first; j < first + classes; j++)
        if (isfinite(golden->expected_gradient[j]))
            largest = fmax(largest, fabs(golden->expected_gradient[j]));
    return largest;
}

// How many of the case's numbers differ; the first is printed.
static size_t check_case(const struct golden *golden)
{
    double gradient[MOST], tolerance = tolerance_of(golden);
    struct nabla_error error = {0};
    struct nabla_loss_result result = {.gradient = gradient};
    if (nabla_loss_compute(&golden->loss, &golden->batch, &result, &error) != NABLA_OK) {
        print_message("%s: %s\n", golden->name, error.text);
        return 1;
    }
    struct nabla_loss_certificate certificate;
    assert_int_equal(nabla_loss_certify(&golden->loss, &golden->batch, gradient, &certificate, NULL),
                     NABLA_OK);
    if (certificate.largest_deviation_ulp > CERTIFIED_ULPS) {
        print_message("%s: certified to %g ulp\n", golden->name, certificate.largest_deviation_ulp);
        return 1;
    }
    if (!near(result.loss, golden->expected_loss, tolerance)) {
        print_message("%s: loss %.15g, not %.15g\n", golden->name, result.loss, golden->expected_loss);
        return 1;
    }
    for (size_t i = 0; i < golden->batch.rows * golden->batch.classes; i++)
        if (!near(gradient[i], golden->expected_gradient[i], tolerance * fmax(1, row_largest(golden, i)))) {
            print_message("%s: gradient %zu: %.15g, not %.15g\n", golden->name, i, gradient[i],
                          golden->expected_gradient[i]);
            return 1;
        }
    return 0;
}

static void losses_and_gradients_are_the_frameworks(void **state)
{
    (void)state;
    FILE *file = fopen("tests/golden/loss.txt", "r");
    assert_non_null(file);
    static char line[4096];
    size_t cases = 0, wrong = 0;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#')
            continue;
        struct golden golden;
        read_case(&golden, line);
        wrong += check_case(&golden);
        cases++;
    }
    fclose(file);
    print_message("%zu cases, %zu wrong\n", cases, wrong);
    assert_true(cases > 2000);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_gradients_are_the_frameworks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
