// POST /v1/jobs/{id}/predict: a trained network put to rows.
#include "api/handlers.h"
#include "api/models.h"
#include "api/predict_rows.h"
#include "api/write.h"
#include "base/number.h"
#include "base/size.h"
#include "train/predictor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct prediction {
    const struct api_call *call;
    struct model_file model;
    struct predict_rows asked;
    size_t width, shares; // outputs and probabilities a row
    float *outputs, *probabilities;
    int32_t *classes; // by the largest probability; not of multi-label
    bool as_null;
};

static void prediction_free(struct prediction *prediction)
{
    free(prediction->classes);
    free(prediction->probabilities);
    free(prediction->outputs);
    free(prediction->asked.features);
    model_file_close(&prediction->model);
}

static bool open_model(struct prediction *prediction, struct api_answer *ret)
{
    const struct api_call *call = prediction->call;
    struct nabla_error err = {0};
    struct job *job = NULL;
    char *path = NULL;
    enum nabla_code code = store_job_get(call->api->options.store, call->params[0], &job, &err);
    if (!code && job->state != JOB_SUCCEEDED)
        code = model_fail_missing(job, &err);
    if (!code && !(path = model_path(call, job->id)))
        code = nabla_fail_memory(&err, "a path");
    if (!code)
        code = model_file_open(path, &prediction->model, &err);
    if (code)
        answer_error(ret, call, &err);
    free(path);
    job_free(job);
    return !code;
}

// The answer is held to what a request may be: it is about as large.
static enum nabla_code make_room(struct prediction *prediction, struct nabla_error *err)
{
    const size_t rows = prediction->asked.rows, most = prediction->call->api->options.limits.body_bytes;
    size_t bytes;
    if (!size_mul(rows, (prediction->width + prediction->shares) * sizeof(float), &bytes) || bytes > most)
        return nabla_fail(
            err, NABLA_LIMIT, "/features",
            "%zu rows of %zu outputs are more than the limit max_body of %zu bytes: send fewer at a time",
            rows, prediction->width, most);
    prediction->outputs = size_alloc(rows, prediction->width, sizeof *prediction->outputs);
    prediction->probabilities = size_alloc(rows, prediction->shares + 1, sizeof *prediction->probabilities);
    prediction->classes = size_alloc(rows, 1, sizeof *prediction->classes);
    return prediction->outputs && prediction->probabilities && prediction->classes
               ? NABLA_OK
               : nabla_fail_memory(err, "the predictions");
}

static void find_classes(struct prediction *prediction)
{
    for (size_t i = 0; i < prediction->asked.rows; i++) {
        const float *row = prediction->probabilities + i * prediction->shares;
        size_t largest = 0;
        for (size_t j = 1; j < prediction->shares; j++)
            if (row[j] > row[largest])
                largest = j;
        prediction->classes[i] = (int32_t)largest;
    }
}

static enum nabla_code predict(struct prediction *prediction, struct nabla_error *err)
{
    struct predictor *predictor = NULL;
    enum nabla_code code =
        predictor_new(&prediction->model.spec.train, prediction->model.task, prediction->model.columns,
                      prediction->model.tensors, &predictor, err);
    if (code)
        return code;
    prediction->width = predictor_outputs(predictor);
    prediction->shares = predictor_probabilities(predictor);
    code = make_room(prediction, err);
    if (!code)
        code = predictor_run(predictor, prediction->asked.features, prediction->asked.rows,
                             prediction->outputs, prediction->probabilities, err);
    if (!code)
        find_classes(prediction);
    predictor_free(predictor);
    return code;
}

static bool has_classes(const struct prediction *prediction)
{
    return prediction->shares > 0 && prediction->model.task != TASK_MULTI_LABEL;
}

static const char *class_name(const struct prediction *prediction, size_t class)
{
    return class < prediction->model.classes ? prediction->model.class_names[class] : "";
}

static void write_matrix(const struct prediction *prediction, const char *name, const float *values,
                         size_t width, struct buffer *ret)
{
    buffer_format(ret, ",\"%s\":[", name);
    for (size_t i = 0; i < prediction->asked.rows; i++) {
        buffer_text(ret, i ? "," : "");
        write_floats(ret, values + i * width, width, prediction->as_null);
    }
    buffer_char(ret, ']');
}

// Of a row: its class, or of multi-label every output that is rather there than not.
static void write_class(const struct prediction *prediction, size_t row, struct buffer *ret)
{
    const float *shares = prediction->probabilities + row * prediction->shares;
    const char *comma = "";
    if (has_classes(prediction)) {
        buffer_format(ret, "%" PRId32, prediction->classes[row]);
        return;
    }
    buffer_char(ret, '[');
    for (size_t j = 0; j < prediction->shares; j++) {
        if (!(shares[j] > 0.5F))
            continue;
        buffer_format(ret, "%s%zu", comma, j);
        comma = ",";
    }
    buffer_char(ret, ']');
}

static void write_classes(const struct prediction *prediction, struct buffer *ret)
{
    buffer_text(ret, ",\"classes\":[");
    for (size_t i = 0; i < prediction->asked.rows; i++) {
        buffer_text(ret, i ? "," : "");
        write_class(prediction, i, ret);
    }
    buffer_char(ret, ']');
    if (prediction->model.classes == 0)
        return;
    buffer_text(ret, ",\"labels\":[");
    for (size_t i = 0; i < prediction->asked.rows; i++) {
        buffer_text(ret, i ? "," : "");
        buffer_json_string(ret, class_name(prediction, (size_t)prediction->classes[i]));
    }
    buffer_char(ret, ']');
}

static void answer_document(const struct prediction *prediction, struct api_answer *ret)
{
    const unsigned parts = prediction->asked.parts;
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    buffer_format(&ret->body, "{\"rows\":%zu,\"task\":\"%s\",\"class_names\":[", prediction->asked.rows,
                  task_name(prediction->model.task));
    for (size_t i = 0; i < prediction->model.classes; i++) {
        buffer_text(&ret->body, i ? "," : "");
        buffer_json_string(&ret->body, prediction->model.class_names[i]);
    }
    buffer_char(&ret->body, ']');
    if (parts & PREDICT_CLASSES && prediction->shares > 0)
        write_classes(prediction, &ret->body);
    if (parts & PREDICT_PROBABILITIES && prediction->shares > 0)
        write_matrix(prediction, "probabilities", prediction->probabilities, prediction->shares, &ret->body);
    if (parts & PREDICT_OUTPUTS)
        write_matrix(prediction, "outputs", prediction->outputs, prediction->width, &ret->body);
    buffer_char(&ret->body, '}');
}

static void write_csv_text(const char *text, struct buffer *ret)
{
    buffer_char(ret, '"');
    for (; *text; text++)
        buffer_format(ret, *text == '"' ? "\"\"" : "%c", *text);
    buffer_char(ret, '"');
}

// The name of a column: of a class, else of the label, numbered where there are several.
static void write_column_name(const struct prediction *prediction, size_t column, size_t count,
                              struct buffer *ret)
{
    const char *label = prediction->model.label;
    char numbered[256];
    if (column < prediction->model.classes)
        label = prediction->model.class_names[column];
    else if (count > 1)
        label = numbered;
    snprintf(numbered, sizeof numbered, "%.200s_%zu", prediction->model.label, column);
    write_csv_text(label, ret);
}

static void write_csv_row(const struct prediction *prediction, size_t row, const float *values, size_t count,
                          struct buffer *ret)
{
    if (prediction->model.classes > 0)
        write_csv_text(class_name(prediction, (size_t)prediction->classes[row]), ret);
    for (size_t j = 0; j < count; j++) {
        char text[NUMBER_TEXT_SIZE];
        number_write_float(text, values[row * count + j]);
        buffer_text(ret, j > 0 || prediction->model.classes > 0 ? "," : "");
        buffer_text(ret, text);
    }
    buffer_char(ret, '\n');
}

// One column a probability, named as the class is, with the label in front where there are classes; of a
// regression the outputs.
static void answer_csv(const struct prediction *prediction, struct api_answer *ret)
{
    const bool is_regression = prediction->shares == 0;
    const size_t count = is_regression ? prediction->width : prediction->shares;
    const float *values = is_regression ? prediction->outputs : prediction->probabilities;
    answer_begin(ret, 200, media_name(MEDIA_CSV));
    buffer_text(&ret->body, prediction->model.classes > 0 ? "label" : "");
    for (size_t j = 0; j < count; j++) {
        buffer_text(&ret->body, j > 0 || prediction->model.classes > 0 ? "," : "");
        write_column_name(prediction, j, count, &ret->body);
    }
    buffer_char(&ret->body, '\n');
    for (size_t i = 0; i < prediction->asked.rows; i++)
        write_csv_row(prediction, i, values, count, &ret->body);
}

static struct tensor matrix_tensor(const char *name, const float *data, size_t rows, size_t columns)
{
    return (struct tensor){.name = (char *)(uintptr_t)name, // only read
                           .dtype = TENSOR_F32,
                           .rank = 2,
                           .shape = {rows, columns},
                           .elements = rows * columns,
                           .data = data,
                           .bytes = rows * columns * sizeof *data};
}

static void answer_tensors(const struct prediction *prediction, struct api_answer *ret)
{
    const size_t rows = prediction->asked.rows;
    struct tensor tensors[3] = {matrix_tensor("outputs", prediction->outputs, rows, prediction->width)};
    size_t count = 1;
    if (prediction->shares > 0)
        tensors[count++] =
            matrix_tensor("probabilities", prediction->probabilities, rows, prediction->shares);
    if (has_classes(prediction))
        tensors[count++] = (struct tensor){.name = (char *)"classes",
                                           .dtype = TENSOR_I32,
                                           .rank = 1,
                                           .shape = {rows},
                                           .elements = rows,
                                           .data = prediction->classes,
                                           .bytes = rows * sizeof *prediction->classes};
    struct nabla_error err = {0};
    struct buffer body = buffer_new(SIZE_MAX - 1);
    if (safetensors_write(tensors, count, NULL, 0, &body, &err)) {
        answer_error(ret, prediction->call, &err);
        buffer_free(&body);
        return;
    }
    answer_begin(ret, 200, media_name(MEDIA_SAFETENSORS));
    ret->body = body;
}

void handle_job_predict(struct api_call *call, struct api_answer *ret)
{
    struct prediction prediction = {.call = call};
    struct nabla_error err = {0};
    if (call_query_nonfinite(call, &prediction.as_null, ret) && open_model(&prediction, ret) &&
        predict_rows_read(call, &prediction.model, &prediction.asked, ret)) {
        if (predict(&prediction, &err))
            answer_error(ret, call, &err);
        else if (call->accept == MEDIA_CSV)
            answer_csv(&prediction, ret);
        else if (call->accept == MEDIA_SAFETENSORS)
            answer_tensors(&prediction, ret);
        else
            answer_document(&prediction, ret);
    }
    prediction_free(&prediction);
}
