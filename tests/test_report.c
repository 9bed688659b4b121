// Reports against scikit-learn's numbers (scripts/golden/report_golden.py writes them and describes the
// lines), and what golden numbers do not show.
#include "train/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NUMBERS_MAX = 4096, LINE_SIZE = 1 << 16 };

struct setting {
    struct train_spec spec;
    struct dataset *data;
    struct report_builder *builder;
    const struct report *report;
    size_t rows, outputs;
    float scores[NUMBERS_MAX];
};

static size_t read_numbers(const char *text, double *ret)
{
    size_t count = 0;
    for (char *end; count < NUMBERS_MAX; text = end) {
        ret[count] = strtod(text, &end);
        if (end == text)
            break;
        count++;
    }
    return count;
}

static void make_data(struct setting *setting, const char *task, const double *labels, size_t count)
{
    const bool is_ids = count == setting->rows && strcmp(task, "numbers") != 0;
    const size_t classes = strcmp(task, "binary") == 0 ? 2 : setting->outputs;
    setting->spec = spec_defaults();
    if (strcmp(task, "classes") != 0)
        setting->spec.loss =
            nabla_loss_defaults(strcmp(task, "numbers") == 0 ? NABLA_HUBER : NABLA_BINARY_CROSS_ENTROPY);
    assert_int_equal(is_ids ? dataset_new(setting->rows, 1, classes, &setting->data, NULL)
                            : dataset_new_targets(setting->rows, 1, setting->outputs, &setting->data, NULL),
                     NABLA_OK);
    for (size_t i = 0; i < count; i++)
        if (is_ids)
            setting->data->ids[i] = (int32_t)labels[i];
        else
            setting->data->targets[i] = (float)labels[i];
}

// In two parts, as batches come.
static void make_report(struct setting *setting)
{
    static int64_t ids[NUMBERS_MAX];
    const struct dataset *data = setting->data;
    const size_t half = setting->rows / 3;
    for (size_t i = 0; data->ids && i < setting->rows; i++)
        ids[i] = data->ids[i];
    assert_int_equal(report_begin(&setting->spec, data, setting->rows, true, &setting->builder, NULL),
                     NABLA_OK);
    const float *targets = data->targets;
    report_add(setting->builder, setting->scores, data->ids ? ids : NULL, targets, half);
    report_add(setting->builder, setting->scores + half * setting->outputs, data->ids ? ids + half : NULL,
               targets ? targets + half * setting->outputs : NULL, setting->rows - half);
    setting->report = report_end(setting->builder);
}

static void setting_close(struct setting *setting)
{
    report_free(setting->builder);
    dataset_free(setting->data);
    spec_free(&setting->spec);
    setting->builder = NULL;
    setting->data = NULL;
}

#define CLASS_FIGURE(name)                                                                                   \
    {                                                                                                        \
        "class_" #name, offsetof(struct report_class, name), true                                            \
    }
#define OUTPUT_FIGURE(name)                                                                                  \
    {                                                                                                        \
        "output_" #name, offsetof(struct report_output, name), false                                         \
    }

// The figures of each class or output.
static double listed(const struct report *report, const char *name, size_t index, bool *ret_known)
{
    static const struct {
        const char *name;
        size_t offset;
        bool of_class;
    } figures[] = {CLASS_FIGURE(precision), CLASS_FIGURE(recall), CLASS_FIGURE(f1),   CLASS_FIGURE(auc),
                   OUTPUT_FIGURE(r2),       OUTPUT_FIGURE(mae),   OUTPUT_FIGURE(rmse)};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (strcmp(figures[i].name, name) == 0) {
            const char *row = figures[i].of_class ? (const char *)&report->classes[index]
                                                  : (const char *)&report->outputs[index];
            *ret_known = index < report->count;
            return *(const double *)(const void *)(row + figures[i].offset);
        }
    *ret_known = true;
    if (strcmp(name, "confusion") == 0)
        return (double)report->confusion[index];
    if (strcmp(name, "top") == 0)
        return report->top[index];
    *ret_known = false;
    return NAN;
}

#define FIGURE(name)                                                                                         \
    {                                                                                                        \
#name, offsetof(struct report, name)                                                                 \
    }

static double figure(const struct report *report, const char *name, size_t index)
{
    static const struct {
        const char *name;
        size_t offset;
    } figures[] = {FIGURE(accuracy),
                   FIGURE(exact_match),
                   FIGURE(macro_precision),
                   FIGURE(macro_recall),
                   FIGURE(macro_f1),
                   FIGURE(weighted_precision),
                   FIGURE(weighted_recall),
                   FIGURE(weighted_f1),
                   FIGURE(auc),
                   FIGURE(r2),
                   FIGURE(calibration_error),
                   FIGURE(mae),
                   FIGURE(rmse)};
    bool known;
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (strcmp(figures[i].name, name) == 0)
            return *(const double *)(const void *)((const char *)report + figures[i].offset);
    double value = listed(report, name, index, &known);
    if (!known)
        fail_msg("there is no figure %s[%zu]", name, index);
    return value;
}

static void check_figure(const struct setting *setting, const char *name, const double *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double got = figure(setting->report, name, i);
        const bool right =
            isnan(wanted[i]) ? isnan(got) : fabs(got - wanted[i]) <= 1e-12 * fmax(1, fabs(wanted[i]));
        if (!right)
            fail_msg("%s[%zu] is %.17g, not %.17g", name, i, got, wanted[i]);
    }
}

static void reports_are_scikit_learns(void **state)
{
    (void)state;
    static char line[LINE_SIZE];
    static double numbers[NUMBERS_MAX];
    static struct setting setting;
    char task[16] = "", name[32];
    size_t figures = 0;
    FILE *file = fopen("tests/golden/report.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        int start = 0;
        if (sscanf(line, "case %15s %zu %zu", task, &setting.rows, &setting.outputs) == 3) {
            setting_close(&setting);
            continue;
        }
        if (line[0] == '#' || sscanf(line, "%31s | %n", name, &start) != 1)
            continue;
        const size_t count = read_numbers(line + start, numbers);
        if (strcmp(name, "scores") == 0)
            for (size_t i = 0; i < count; i++)
                setting.scores[i] = (float)numbers[i];
        else if (strcmp(name, "labels") == 0) {
            make_data(&setting, task, numbers, count);
            make_report(&setting);
        } else {
            check_figure(&setting, name, numbers, count);
            figures++;
        }
    }
    fclose(file);
    setting_close(&setting);
    assert_true(figures > 120);
}

static void a_row_of_nan_is_wrong_and_said_to_be_nothing(void **state)
{
    (void)state;
    static struct setting setting = {.rows = 3, .outputs = 2};
    const double labels[] = {0, 1, 1};
    memcpy(setting.scores, (float[]){1, 0, NAN, 0, 0, 2}, 6 * sizeof(float));
    make_data(&setting, "classes", labels, 3);
    make_report(&setting);
    assert_true(fabs(setting.report->accuracy - 2.0 / 3) < 1e-15);
    assert_int_equal(setting.report->classes[1].support, 2);
    assert_int_equal(setting.report->classes[1].predicted, 1);
    assert_true(isnan(setting.report->auc));
    assert_true(fabs(setting.report->top[0] - 2.0 / 3) < 1e-15);
    setting_close(&setting);
}

static void hinges_make_no_probabilities(void **state)
{
    (void)state;
    static struct setting setting = {.rows = 4, .outputs = 2};
    const double labels[] = {0, 1, 1, 0};
    memcpy(setting.scores, (float[]){1, 0, 3, 0, 0, 2, 5, 1}, 8 * sizeof(float));
    make_data(&setting, "classes", labels, 4);
    setting.spec.loss = nabla_loss_defaults(NABLA_HINGE);
    make_report(&setting);
    assert_true(isnan(setting.report->calibration_error));
    assert_true(setting.report->accuracy == 0.75);
    assert_true(setting.report->classes[0].auc == 0.75); // of the outputs 1, 3, 0, 5
    setting_close(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_scikit_learns),
        cmocka_unit_test(a_row_of_nan_is_wrong_and_said_to_be_nothing),
        cmocka_unit_test(hinges_make_no_probabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
