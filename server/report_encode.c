#include "server/report_encode.h"

#include "server/batch.h"

#include <math.h>

static void encode_field(const char *name, double value, struct buffer *ret)
{
    buffer_format(ret, ",\"%s\":", name);
    if (isnan(value))
        buffer_text(ret, "null");
    else
        encode_number(value, ret);
}

static void encode_class(const struct report_class *class, struct buffer *ret)
{
    buffer_format(ret, "{\"support\":%zu,\"predicted\":%zu", class->support, class->predicted);
    encode_field("precision", class->precision, ret);
    encode_field("recall", class->recall, ret);
    encode_field("f1", class->f1, ret);
    encode_field("auc", class->auc, ret);
    buffer_char(ret, '}');
}

static void encode_classes(const struct report *report, struct buffer *ret)
{
    buffer_text(ret, ",\"classes\":");
    if (report->count > REPORT_CLASSES_MOST) {
        buffer_text(ret, "null");
        return;
    }
    for (size_t c = 0; c < report->count; c++) {
        buffer_char(ret, c ? ',' : '[');
        encode_class(&report->classes[c], ret);
    }
    buffer_char(ret, ']');
}

static void encode_confusion(const struct report *report, struct buffer *ret)
{
    buffer_text(ret, ",\"confusion\":");
    if (!report->confusion || report->count > REPORT_CONFUSION_MOST) {
        buffer_text(ret, "null");
        return;
    }
    for (size_t i = 0; i < report->count * report->count; i++) {
        const char *between = i == 0 ? "[[" : i % report->count == 0 ? "],[" : ",";
        buffer_format(ret, "%s%zu", between, report->confusion[i]);
    }
    buffer_text(ret, "]]");
}

// Of up to five classes the last is always among them: nothing beyond is told.
static void encode_top(const struct report *report, struct buffer *ret)
{
    buffer_text(ret, ",\"top_k_accuracy\":[");
    for (size_t k = 0; k < REPORT_TOP && k < report->count; k++) {
        buffer_text(ret, k ? "," : "");
        encode_number(report->top[k], ret);
    }
    buffer_char(ret, ']');
}

static void encode_averages(const struct report *report, struct buffer *ret)
{
    buffer_format(ret, ",\"macro\":{\"precision\":");
    encode_number(report->macro_precision, ret);
    encode_field("recall", report->macro_recall, ret);
    encode_field("f1", report->macro_f1, ret);
    encode_field("auc", report->auc, ret);
    buffer_text(ret, "},\"weighted\":{\"precision\":");
    encode_number(report->weighted_precision, ret);
    encode_field("recall", report->weighted_recall, ret);
    encode_field("f1", report->weighted_f1, ret);
    buffer_char(ret, '}');
}

static void encode_answers(const struct report *report, struct buffer *ret)
{
    encode_field("accuracy", report->accuracy, ret);
    if (report->task == TASK_MULTI_LABEL)
        encode_field("exact_match", report->exact_match, ret);
    else
        encode_top(report, ret);
    encode_averages(report, ret);
    encode_field("calibration_error", report->calibration_error, ret);
    encode_classes(report, ret);
    encode_confusion(report, ret);
}

static void encode_output(const struct report_output *output, struct buffer *ret)
{
    buffer_text(ret, "{\"r2\":");
    encode_number(output->r2, ret);
    encode_field("mae", output->mae, ret);
    encode_field("rmse", output->rmse, ret);
    buffer_char(ret, '}');
}

static void encode_numbers(const struct report *report, struct buffer *ret)
{
    encode_field("r2", report->r2, ret);
    encode_field("mae", report->mae, ret);
    encode_field("rmse", report->rmse, ret);
    buffer_text(ret, ",\"outputs\":");
    if (report->count > REPORT_CLASSES_MOST) {
        buffer_text(ret, "null");
        return;
    }
    for (size_t j = 0; j < report->count; j++) {
        buffer_char(ret, j ? ',' : '[');
        encode_output(&report->outputs[j], ret);
    }
    buffer_char(ret, ']');
}

void report_encode(const struct report *report, struct buffer *ret)
{
    if (!report) {
        buffer_text(ret, "null");
        return;
    }
    buffer_format(ret, "{\"rows\":%zu", report->rows);
    if (report->task == TASK_REGRESSION)
        encode_numbers(report, ret);
    else
        encode_answers(report, ret);
    buffer_char(ret, '}');
}
