#include "api/loss_answer.h"

#include "api/loss_path.h"
#include "api/write.h"

#include <math.h>

enum { SHORT_ANSWER = 4000 }; // in bytes; longer ones grow

static void write_name(struct buffer *body, const char *name)
{
    buffer_text(body, ",\"");
    buffer_text(body, name);
    buffer_text(body, "\":");
}

// `count` numbers from element `offset` on.
static void write_list(struct buffer *body, enum nabla_dtype dtype, const void *values, size_t offset,
                       size_t count, bool as_null)
{
    if (dtype == NABLA_FLOAT32)
        write_floats(body, (const float *)values + offset, count, as_null);
    else
        write_doubles(body, (const double *)values + offset, count, as_null);
}

static void write_matrix(struct buffer *body, const char *name, const struct loss_request *request,
                         const void *values, bool as_null)
{
    const struct nabla_loss_batch *batch = &request->batch;
    if (!values)
        return;
    write_name(body, name);
    if (request->is_flat) {
        write_list(body, batch->dtype, values, 0, batch->classes, as_null);
        return;
    }
    for (size_t i = 0; i < batch->rows; i++) {
        buffer_char(body, i == 0 ? '[' : ',');
        write_list(body, batch->dtype, values, i * batch->classes, batch->classes, as_null);
    }
    buffer_char(body, ']');
}

static void write_warnings(struct buffer *body, const struct nabla_warning *warnings, size_t most_rows)
{
    bool first = true;
    write_name(body, "warnings");
    buffer_char(body, '[');
    for (int code = 0; code < NABLA_WARNING_COUNT; code++) {
        const struct nabla_warning *warning = &warnings[code];
        if (warning->count == 0)
            continue;
        buffer_format(body, "%s{\"code\":\"%s\",\"count\":%zu,\"rows\":[", first ? "" : ",",
                      nabla_warning_name((enum nabla_warning_code)code), warning->count);
        for (size_t i = 0; i < warning->count && i < most_rows; i++)
            buffer_format(body, i ? ",%zu" : "%zu", warning->rows[i]);
        buffer_text(body, "],\"detail\":");
        buffer_json_string(body, nabla_warning_detail((enum nabla_warning_code)code));
        buffer_char(body, '}');
        first = false;
    }
    buffer_char(body, ']');
}

static void write_number(struct buffer *body, const char *name, double value, bool as_null)
{
    write_name(body, name);
    write_double(body, value, as_null);
}

static void write_count(struct buffer *body, const char *name, size_t count)
{
    write_name(body, name);
    write_whole(body, count);
}

// The loss has the dtype's own shortest form: a float's, where floats were asked for.
static void write_loss(struct buffer *body, const struct loss_request *request, double loss, bool as_null)
{
    buffer_text(body, "\"loss\":");
    if (request->loss.reduction == NABLA_NONE)
        buffer_text(body, "null");
    else if (request->batch.dtype == NABLA_FLOAT32)
        write_float(body, (float)loss, as_null);
    else
        write_double(body, loss, as_null);
}

// Everything behind the loss and the arrays.
static void write_small(struct buffer *body, const struct loss_request *request,
                        const struct nabla_loss_result *result, size_t warning_rows, bool nonfinite_as_null)
{
    const struct nabla_loss_batch *batch = &request->batch;
    buffer_text(body, ",\"with_respect_to\":\"");
    buffer_text(body, loss_input_name(request->loss.input));
    buffer_char(body, '"');
    write_count(body, "rows", batch->rows);
    write_count(body, "classes", batch->classes);
    write_count(body, "rows_counted", result->rows_counted);
    write_number(body, "denominator", result->denominator, nonfinite_as_null);
    write_number(body, "gradient_norm", result->gradient_norm, nonfinite_as_null);
    // Undefined is not the same as NaN: there is no accuracy to speak of.
    write_number(body, "accuracy", result->accuracy, isnan(result->accuracy) || nonfinite_as_null);
    write_warnings(body, result->warnings, warning_rows);
}

void loss_answer_fields(struct buffer *body, const struct loss_request *request,
                        const struct nabla_loss_result *result, bool nonfinite_as_null)
{
    const struct nabla_loss_batch *batch = &request->batch;
    write_loss(body, request, result->loss, nonfinite_as_null);
    write_matrix(body, "gradient", request, result->gradient, nonfinite_as_null);
    write_matrix(body, "gradient_logits", request, result->gradient_logits, nonfinite_as_null);
    write_matrix(body, "probabilities", request, result->probabilities, nonfinite_as_null);
    if (result->per_sample) {
        write_name(body, "per_sample");
        write_list(body, batch->dtype, result->per_sample, 0, batch->rows, nonfinite_as_null);
    }
    write_small(body, request, result, NABLA_WARNING_ROWS, nonfinite_as_null);
}

void loss_answer_summary(struct buffer *body, const struct loss_request *request,
                         const struct nabla_loss_result *result,
                         const struct nabla_loss_certificate *certificate, size_t warning_rows,
                         bool nonfinite_as_null)
{
    buffer_char(body, '{');
    write_loss(body, request, result->loss, nonfinite_as_null);
    write_small(body, request, result, warning_rows, nonfinite_as_null);
    loss_certificate_write(body, request, certificate, nonfinite_as_null);
    buffer_char(body, '}');
}

void loss_answer_write(struct buffer *body, const struct loss_request *request,
                       const struct nabla_loss_result *result,
                       const struct nabla_loss_certificate *certificate, bool nonfinite_as_null)
{
    buffer_reserve(body, SHORT_ANSWER);
    buffer_char(body, '{');
    loss_answer_fields(body, request, result, nonfinite_as_null);
    loss_certificate_write(body, request, certificate, nonfinite_as_null);
    buffer_text(body, "}\n");
}
