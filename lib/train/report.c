#include "train/report.h"

#include "base/size.h"
#include "math/loss_row.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bin {
    size_t rows;
    double confidence, right; // sums
};

// A score with whether its row has the class.
struct scored {
    double score;
    size_t positive;
};

struct report_builder {
    struct report report;
    const struct nabla_loss *loss;
    size_t outputs, rows_max;
    bool is_probable;     // the loss makes probabilities of the outputs
    bool is_single;       // of each by itself, by sigmoid
    double *row;          // a row's probabilities or scores, count of them
    double *scores;       // rows × count, column by column: NULL unless kept
    size_t *labels;       // rows: the class of each; multi-label: rows × count of 0 or 1
    struct scored *order; // rows: scratch
    size_t correct, matches, ranks[REPORT_TOP];
    struct bin bins[REPORT_BINS];
};

size_t report_score_bytes(enum task task, size_t rows, size_t outputs)
{
    const size_t columns = task == TASK_BINARY ? 2 : outputs;
    const size_t width = sizeof(double) + (task == TASK_MULTI_LABEL ? sizeof(size_t) : 0);
    size_t row, bytes;
    if (task == TASK_REGRESSION)
        return 0;
    const bool fits = size_mul(columns, width, &row) &&
                      size_add(row, 2 * sizeof(struct scored) + sizeof(size_t), &row) && // qsort has its copy
                      size_mul(row, rows, &bytes);
    return fits ? bytes : SIZE_MAX;
}

static bool has_table(enum task task)
{
    return task_has_classes(task) || task == TASK_BINARY;
}

static bool allocate_figures(struct report *report)
{
    if (report->task == TASK_REGRESSION) {
        report->outputs = size_alloc(report->count, 1, sizeof *report->outputs);
        return report->outputs != NULL;
    }
    report->classes = size_alloc(report->count, 1, sizeof *report->classes);
    if (has_table(report->task))
        report->confusion = size_alloc(report->count, report->count, sizeof *report->confusion);
    return report->classes && (report->confusion || !has_table(report->task));
}

static bool allocate_scores(struct report_builder *builder)
{
    const struct report *report = &builder->report;
    const size_t labels = has_table(report->task) ? 1 : report->count;
    builder->scores = size_alloc(builder->rows_max, report->count, sizeof *builder->scores);
    builder->labels = size_alloc(builder->rows_max, labels, sizeof *builder->labels);
    builder->order = size_alloc(builder->rows_max, 1, sizeof *builder->order);
    return builder->scores && builder->labels && builder->order;
}

enum nabla_code report_begin(const struct train_spec *spec, const struct dataset *dataset, size_t rows,
                             bool wants_areas, struct report_builder **ret, struct nabla_error *err)
{
    struct report_builder *builder = calloc(1, sizeof *builder);
    if (!builder)
        return nabla_fail_memory(err, "a report");
    const enum task task = spec_task(spec, dataset);
    const struct loss_kernel *kernel = &loss_kernels[spec->loss.type];
    builder->loss = &spec->loss;
    builder->rows_max = rows;
    builder->outputs = task_outputs(task, dataset);
    builder->is_probable = !kernel->hard && (!kernel->regression || spec->loss.input == NABLA_PROBABILITIES);
    builder->is_single = kernel->binary && task != TASK_BINARY;
    builder->report.task = task;
    builder->report.count = task == TASK_BINARY ? 2 : builder->outputs;
    builder->row = size_alloc(builder->report.count, 1, sizeof *builder->row);
    const bool keeps = wants_areas && task != TASK_REGRESSION &&
                       report_score_bytes(task, rows, builder->outputs) <= REPORT_SCORES_MOST;
    if (!builder->row || !allocate_figures(&builder->report) || (keeps && !allocate_scores(builder))) {
        report_free(builder);
        return nabla_fail_memory(err, "a report");
    }
    *ret = builder;
    return NABLA_OK;
}

void report_free(struct report_builder *builder)
{
    if (!builder)
        return;
    free(builder->report.classes);
    free(builder->report.confusion);
    free(builder->report.outputs);
    free(builder->row);
    free(builder->scores);
    free(builder->labels);
    free(builder->order);
    free(builder);
}

// The logits as the loss shapes them.
static double shape_logit(const struct nabla_loss *loss, double x)
{
    if (loss->softcap > 0)
        x = loss->softcap * tanh(x / loss->softcap);
    return x / loss->temperature;
}

static void take_scores(struct report_builder *builder, const float *scores)
{
    const size_t offset = builder->report.count - builder->outputs; // a single output: against 0
    builder->row[0] = 0;
    for (size_t j = 0; j < builder->outputs; j++)
        builder->row[offset + j] = shape_logit(builder->loss, (double)scores[j]);
}

static void sigmoid(double *row, size_t count)
{
    for (size_t j = 0; j < count; j++)
        row[j] = 1 / (1 + exp(-row[j]));
}

static void softmax(double *row, size_t count)
{
    double most = row[0], sum = 0;
    for (size_t j = 1; j < count; j++)
        most = row[j] > most || isnan(row[j]) ? row[j] : most;
    for (size_t j = 0; j < count; j++)
        sum += row[j] = exp(row[j] - most);
    for (size_t j = 0; j < count; j++)
        row[j] /= sum;
}

// The first of the largest; `count` where a NaN leaves none.
static size_t largest(const double *row, size_t count)
{
    size_t at = 0;
    for (size_t j = 0; j < count; j++) {
        if (isnan(row[j]))
            return count;
        if (row[j] > row[at])
            at = j;
    }
    return at;
}

static size_t largest_target(const float *targets, size_t count)
{
    size_t at = 0;
    for (size_t j = 1; j < count; j++)
        if (targets[j] > targets[at])
            at = j;
    return at;
}

// Bins are open below and closed above, the first one closed.
static void calibrate(struct report_builder *builder, double confidence, bool right)
{
    if (isnan(confidence))
        return;
    int at = (int)ceil(confidence * REPORT_BINS) - 1;
    at = at < 0 ? 0 : at >= REPORT_BINS ? REPORT_BINS - 1 : at;
    builder->bins[at].rows++;
    builder->bins[at].confidence += confidence;
    builder->bins[at].right += right;
}

static void keep_scores(struct report_builder *builder)
{
    for (size_t j = 0; builder->scores && j < builder->report.count; j++)
        builder->scores[j * builder->rows_max + builder->report.rows] = builder->row[j];
}

static void count_rank(struct report_builder *builder, size_t label)
{
    size_t above = 0;
    for (size_t j = 0; j < builder->report.count; j++)
        above += !(builder->row[j] <= builder->row[label]);
    for (size_t k = above; k < REPORT_TOP; k++)
        builder->ranks[k]++;
}

static void add_class_row(struct report_builder *builder, const float *scores, size_t label)
{
    struct report *report = &builder->report;
    take_scores(builder, scores);
    const size_t said = largest(builder->row, report->count);
    count_rank(builder, label);
    if (builder->is_probable)
        (builder->is_single ? sigmoid : softmax)(builder->row, report->count);
    keep_scores(builder);
    if (builder->labels)
        builder->labels[report->rows] = label;
    report->classes[label].support++;
    if (said == report->count)
        return; // nothing was said
    report->classes[said].predicted++;
    report->confusion[label * report->count + said]++;
    report->classes[label].right += said == label;
    builder->correct += said == label;
    calibrate(builder, builder->row[said], said == label);
}

static void add_label_row(struct report_builder *builder, const float *scores, const int64_t *ids,
                          const float *targets)
{
    struct report *report = &builder->report;
    size_t matches = 0;
    take_scores(builder, scores);
    for (size_t j = 0; j < report->count; j++) {
        struct report_class *class = &report->classes[j];
        const bool is = targets ? targets[j] > 0.5F : (size_t)*ids == j, said = builder->row[j] > 0;
        builder->row[j] = 1 / (1 + exp(-builder->row[j]));
        class->support += is;
        class->predicted += said;
        class->right += is && said;
        matches += is == said && !isnan(builder->row[j]);
        calibrate(builder, builder->row[j], is);
        if (builder->labels)
            builder->labels[j * builder->rows_max + report->rows] = is;
    }
    keep_scores(builder);
    builder->correct += matches;
    builder->matches += matches == report->count;
}

// The targets' mean and deviation as in Welford, Technometrics 1962.
static void add_number_row(struct report_builder *builder, const float *scores, const float *targets)
{
    struct report *report = &builder->report;
    assert(targets);
    for (size_t j = 0; j < report->count; j++) {
        struct report_output *output = &report->outputs[j];
        const double target = (double)targets[j], error = (double)scores[j] - target;
        const double step = target - output->mean;
        output->mean += step / (double)(report->rows + 1);
        output->square_deviation += step * (target - output->mean);
        output->square_error += error * error;
        output->absolute_error += fabs(error);
    }
}

void report_add(struct report_builder *builder, const float *scores, const int64_t *ids, const float *targets,
                size_t rows)
{
    struct report *report = &builder->report;
    const size_t outputs = builder->outputs;
    for (size_t i = 0; i < rows; i++, report->rows++) {
        const float *row = scores + i * outputs, *target = targets ? targets + i * outputs : NULL;
        if (report->task == TASK_REGRESSION)
            add_number_row(builder, row, target);
        else if (report->task == TASK_MULTI_LABEL)
            add_label_row(builder, row, ids, target);
        else
            add_class_row(builder, row, target ? largest_target(target, outputs) : (size_t)ids[i]);
    }
}

static int compare_scored(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

// The sum of the positives' ranks tells (Mann and Whitney); equal scores share theirs.
static double area_under_curve(struct scored *order, size_t rows)
{
    double ranks = 0, positives = 0;
    qsort(order, rows, sizeof *order, compare_scored);
    for (size_t i = 0, end; i < rows; i = end) {
        double tied = 0;
        for (end = i; end < rows && order[end].score == order[i].score; end++)
            tied += (double)order[end].positive;
        ranks += tied * ((double)(i + end + 1) / 2);
        positives += tied;
        if (end == i) // NaN equals nothing
            return NAN;
    }
    const double negatives = (double)rows - positives;
    if (positives == 0 || negatives == 0)
        return NAN;
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives);
}

static double class_area(struct report_builder *builder, size_t class)
{
    const struct report *report = &builder->report;
    if (!builder->scores || report->rows == 0)
        return NAN;
    const double *scores = builder->scores + class * builder->rows_max;
    const bool table = has_table(report->task);
    for (size_t i = 0; i < report->rows; i++) {
        const size_t is =
            table ? builder->labels[i] == class : builder->labels[class * builder->rows_max + i];
        builder->order[i] = (struct scored){scores[i], is};
    }
    return area_under_curve(builder->order, report->rows);
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void end_classes(struct report_builder *builder)
{
    struct report *report = &builder->report;
    double support = 0, areas = 0, area_count = 0;
    for (size_t c = 0; c < report->count; c++) {
        struct report_class *class = &report->classes[c];
        const double right = (double)class->right, is = (double)class->support;
        class->precision = ratio(right, (double)class->predicted);
        class->recall = ratio(right, is);
        class->f1 = ratio(2 * right, is + (double)class->predicted);
        class->auc = class_area(builder, c);
        support += is;
        report->macro_precision += class->precision / (double)report->count;
        report->macro_recall += class->recall / (double)report->count;
        report->macro_f1 += class->f1 / (double)report->count;
        report->weighted_precision += is * class->precision;
        report->weighted_recall += is * class->recall;
        report->weighted_f1 += is * class->f1;
        areas += isnan(class->auc) ? 0 : class->auc;
        area_count += !isnan(class->auc);
    }
    report->weighted_precision = ratio(report->weighted_precision, support);
    report->weighted_recall = ratio(report->weighted_recall, support);
    report->weighted_f1 = ratio(report->weighted_f1, support);
    report->auc = area_count > 0 ? areas / area_count : NAN;
}

static double calibration_error(const struct report_builder *builder)
{
    double error = 0, rows = 0;
    for (int i = 0; i < REPORT_BINS; i++) {
        error += fabs(builder->bins[i].right - builder->bins[i].confidence);
        rows += (double)builder->bins[i].rows;
    }
    return builder->is_probable && rows > 0 ? error / rows : NAN;
}

static void end_rights(struct report_builder *builder)
{
    struct report *report = &builder->report;
    const double rows = (double)report->rows;
    const bool table = has_table(report->task);
    report->accuracy = (double)builder->correct / (table ? rows : rows * (double)report->count);
    report->exact_match = table ? NAN : (double)builder->matches / rows;
    for (size_t k = 0; k < REPORT_TOP; k++)
        report->top[k] = table ? (double)builder->ranks[k] / rows : NAN;
    report->calibration_error = calibration_error(builder);
}

// scikit-learn's r2_score: of targets that are all the same it is 1 where they are met and 0 else.
static void end_outputs(struct report *report)
{
    const double rows = (double)report->rows, count = (double)report->count;
    double square = 0;
    for (size_t j = 0; j < report->count; j++) {
        struct report_output *output = &report->outputs[j];
        const double constant = output->square_error == 0 ? 1 : 0;
        output->mae = output->absolute_error / rows;
        output->rmse = sqrt(output->square_error / rows);
        output->r2 =
            output->square_deviation > 0 ? 1 - output->square_error / output->square_deviation : constant;
        square += output->square_error;
        report->r2 += output->r2 / count;
        report->mae += output->mae / count;
    }
    report->rmse = sqrt(square / rows / count);
}

const struct report *report_end(struct report_builder *builder)
{
    struct report *report = &builder->report;
    report->accuracy = report->exact_match = report->auc = report->calibration_error = NAN;
    if (report->task == TASK_REGRESSION)
        end_outputs(report);
    else {
        end_classes(builder);
        end_rights(builder);
    }
    return report;
}
