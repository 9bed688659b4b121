#include "api/predict_rows.h"

#include "api/document.h"
#include "api/fields.h"
#include "api/predict_columns.h"
#include "base/number.h"
#include "base/size.h"
#include "data/csv_columns.h"
#include "data/csv_cursor.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// NABLA_INVALID for a width that is not the model's.
static enum nabla_code fail_width(const struct model_file *model, size_t width, struct nabla_error *err)
{
    return nabla_fail(err, NABLA_INVALID, "/features", "a row has %zu numbers; the model takes %zu (%.60s%s)",
                      width, model->columns, model->feature_names[0], model->columns > 1 ? ", …" : "");
}

static enum nabla_code make_room(struct predict_rows *rows, size_t columns, struct nabla_error *err)
{
    if (rows->rows == 0)
        return nabla_fail(err, NABLA_INVALID, "/features", "there is no row");
    rows->features = size_alloc(rows->rows, columns, sizeof *rows->features);
    return rows->features ? NABLA_OK : nabla_fail_memory(err, "the rows");
}

// NaN is a missing value.
static enum nabla_code take_number(struct predict_rows *rows, const struct model_file *model, size_t i,
                                   double number, struct nabla_error *err)
{
    const size_t row = i / model->columns, place = i % model->columns;
    const struct predict_column column = {PREDICT_FEATURE, place, model->feature_names[place]};
    float *to = rows->features + row * model->columns;
    const enum nabla_code code = isnan(number) ? predict_missing_put(model, &column, row, to, err)
                                               : predict_number_put(model, &column, row, number, to, err);
    if (code)
        snprintf(err->pointer, sizeof err->pointer, "/features/%zu/%zu", row, place);
    return code;
}

static enum nabla_code take_bulk(const struct bulk *bulk, const struct model_file *model,
                                 struct predict_rows *ret, struct nabla_error *err)
{
    const bool is_row = bulk->shape == BULK_LIST; // a flat list is one row
    if (bulk->shape != BULK_ROWS && !is_row)
        return nabla_fail(err, NABLA_INVALID, "/features", "%s: a list of rows of numbers",
                          bulk->shape == BULK_ABSENT ? "is missing" : "must be something else");
    const size_t width = is_row ? bulk->rows : bulk->columns;
    ret->rows = is_row ? 1 : bulk->rows;
    if (width != model->columns)
        return fail_width(model, width, err);
    enum nabla_code code = make_room(ret, width, err);
    for (size_t i = 0; i < ret->rows * width && !code; i++)
        code = take_number(ret, model, i, bulk->values[i], err);
    return code;
}

static enum nabla_code take_value(const struct model_file *model, const struct predict_column *column,
                                  size_t row_number, const json_t *value, float *row, struct nabla_error *err)
{
    if (json_is_number(value))
        return predict_number_put(model, column, row_number, json_number_value(value), row, err);
    if (json_is_string(value))
        return predict_text_put(model, column, row_number, json_string_value(value),
                                json_string_length(value), row, err);
    if (json_is_null(value) || column->kind == PREDICT_OTHER)
        return predict_missing_put(model, column, row_number, row, err);
    return nabla_fail(err, NABLA_INVALID, "", "row %zu (%.100s): must be a number, a text or null",
                      row_number, column->name);
}

// A row as an object, by the columns' names in any order. `given` is room for the model's columns.
static enum nabla_code take_record(const struct model_file *model, const json_t *record, size_t row_number,
                                   bool *given, float *row, struct nabla_error *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(record))
        return nabla_fail(err, NABLA_INVALID, "", "row %zu must be an object like row 0", row_number);
    memset(given, 0, model->columns * sizeof *given);
    json_object_foreach((json_t *)(uintptr_t)record, name, value)
    {
        const struct predict_column column = predict_column_find(model, name);
        enum nabla_code code = predict_column_mark(model, &column, given, err);
        if (!code)
            code = take_value(model, &column, row_number, value, row, err);
        if (code)
            return code;
    }
    return predict_columns_check(model, given, err);
}

static enum nabla_code take_records(const json_t *records, const struct model_file *model,
                                    struct predict_rows *ret, struct nabla_error *err)
{
    ret->rows = json_array_size(records);
    enum nabla_code code = make_room(ret, model->columns, err);
    if (code)
        return code;
    bool *given = size_alloc(model->columns, 1, sizeof *given);
    if (!given)
        return nabla_fail_memory(err, "the columns");
    for (size_t i = 0; i < ret->rows && !code; i++) {
        code =
            take_record(model, json_array_get(records, i), i, given, ret->features + i * model->columns, err);
        if (code)
            snprintf(err->pointer, sizeof err->pointer, "/features/%zu", i);
    }
    free(given);
    return code;
}

static unsigned part_find(const char *name)
{
    static const struct {
        const char *name;
        enum predict_part part;
    } parts[] = {
        {"classes", PREDICT_CLASSES}, {"probabilities", PREDICT_PROBABILITIES}, {"outputs", PREDICT_OUTPUTS}};
    for (size_t i = 0; name && i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].name, name) == 0)
            return (unsigned)parts[i].part;
    return 0;
}

static unsigned read_parts(struct fields *fields)
{
    const json_t *list = fields_value(fields, "return");
    unsigned parts = 0;
    if (!list)
        return PREDICT_ALL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const unsigned part = part_find(json_string_value(json_array_get(list, i)));
        parts = part ? parts | part : UINT32_MAX;
    }
    if (!json_is_array(list) || parts == 0 || parts > PREDICT_ALL)
        fields_problem(fields, "return", "must be a list of any of classes, probabilities, outputs");
    return parts;
}

static bool read_document(const struct api_call *call, const struct model_file *model,
                          struct predict_rows *ret, struct api_answer *ret_answer)
{
    struct bulk features = {.pointer = "/features", .tabular = true};
    struct problems problems = {0};
    struct nabla_error err = {0};
    json_t *root;
    if (document_read(call->body.data, call->body.size, call->api->options.limits.document_bytes, &features,
                      1, &root, &err)) {
        answer_error(ret_answer, call, &err);
        return false;
    }
    struct fields fields = fields_begin(root, "", &problems);
    const json_t *records = fields_value(&fields, "features");
    ret->parts = read_parts(&fields);
    fields_end(&fields);
    enum nabla_code code = NABLA_OK;
    if (problems.count == 0)
        code = json_is_array(records) && json_is_object(json_array_get(records, 0))
                   ? take_records(records, model, ret, &err)
                   : take_bulk(&features, model, ret, &err);
    json_decref(root);
    bulk_free(&features, 1);
    if (problems.count > 0)
        answer_problems(ret_answer, call, &problems);
    else if (code)
        answer_error(ret_answer, call, &err);
    return problems.count == 0 && !code;
}

static enum nabla_code read_tensor(const struct safetensors *file, const struct model_file *model,
                                   struct predict_rows *ret, struct nabla_error *err)
{
    const struct tensor *tensor = safetensors_find(file, "features");
    if (!tensor || (tensor->dtype != TENSOR_F32 && tensor->dtype != TENSOR_F64) || tensor->rank != 2)
        return nabla_fail(err, NABLA_INVALID, "/features", "must be a tensor of rows × columns, F32 or F64");
    ret->rows = tensor->shape[0];
    if (tensor->shape[1] != model->columns)
        return fail_width(model, tensor->shape[1], err);
    enum nabla_code code = make_room(ret, model->columns, err);
    for (size_t i = 0; i < tensor->elements && !code; i++)
        code = take_number(ret, model, i, tensor_number(tensor, i), err);
    return code;
}

static enum nabla_code read_safetensors(const struct api_call *call, const struct model_file *model,
                                        struct predict_rows *ret, struct nabla_error *err)
{
    struct safetensors *file = NULL;
    enum nabla_code code = safetensors_read(call->body.data, call->body.size, &file, err);
    if (!code)
        code = read_tensor(file, model, ret, err);
    safetensors_free(file);
    return code;
}

// A CSV text's columns and their names.
struct table {
    size_t width;
    char **names;
    struct predict_column *columns;
};

// What each column is, by the header.
static enum nabla_code read_header(struct csv_cursor *cursor, const struct model_file *model,
                                   struct table *table, struct nabla_error *err)
{
    bool *given = size_alloc(model->columns, 1, sizeof *given);
    enum nabla_code code = given ? NABLA_OK : nabla_fail_memory(err, "the columns");
    for (size_t i = 0; i < table->width && !code; i++) {
        struct csv_cell cell;
        code = csv_cursor_next(cursor, &cell, err);
        if (!code && !(table->names[i] = csv_cell_copy(&cell)))
            code = nabla_fail_memory(err, "a column's name");
        if (code)
            break;
        table->columns[i] = predict_column_find(model, table->names[i]);
        code = predict_column_mark(model, &table->columns[i], given, err);
    }
    if (!code)
        code = predict_columns_check(model, given, err);
    free(given);
    return code;
}

static enum nabla_code read_cell(const struct model_file *model, const struct predict_column *column,
                                 size_t row_number, const struct csv_cell *cell, float *row,
                                 struct nabla_error *err)
{
    double number;
    bool overflow = false;
    const char *end = cell->text + cell->size;
    if (column->kind == PREDICT_FEATURE && model->spec.train.missing != MISSING_REFUSE &&
        csv_is_missing(cell))
        return predict_missing_put(model, column, row_number, row, err);
    if (column->kind == PREDICT_FEATURE && number_read_double(cell->text, end, &number, &overflow) == end)
        return predict_number_put(model, column, row_number, number, row, err);
    return predict_text_put(model, column, row_number, cell->text, cell->size, row, err);
}

static enum nabla_code read_cells(struct csv_cursor *cursor, const struct model_file *model,
                                  const struct table *table, struct predict_rows *ret,
                                  struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < ret->rows * table->width && !code; i++) {
        struct csv_cell cell;
        const size_t row = i / table->width;
        code = csv_cursor_next(cursor, &cell, err);
        if (!code)
            code = read_cell(model, &table->columns[i % table->width], row + 1, &cell,
                             ret->features + row * model->columns, err);
    }
    return code;
}

static enum nabla_code read_table(struct csv_cursor *cursor, const struct model_file *model,
                                  struct table *table, struct predict_rows *ret, struct nabla_error *err)
{
    enum nabla_code code = make_room(ret, model->columns, err);
    table->columns = size_alloc(table->width, 1, sizeof *table->columns);
    table->names = size_alloc(table->width, 1, sizeof *table->names);
    if (!code && !(table->columns && table->names))
        code = nabla_fail_memory(err, "the columns");
    if (!code)
        code = read_header(cursor, model, table, err);
    return code ? code : read_cells(cursor, model, table, ret, err);
}

static enum nabla_code read_csv(const struct api_call *call, const struct model_file *model,
                                struct predict_rows *ret, struct nabla_error *err)
{
    struct csv_cursor cursor = csv_cursor_open(call->body.data ? call->body.data : "", call->body.size);
    struct table table = {0};
    enum nabla_code code = csv_cursor_measure(cursor, &ret->rows, &table.width, err);
    if (!code)
        code = read_table(&cursor, model, &table, ret, err);
    for (size_t i = 0; table.names && i < table.width; i++)
        free(table.names[i]);
    free(table.names);
    free(table.columns);
    return code;
}

bool predict_rows_read(const struct api_call *call, const struct model_file *model, struct predict_rows *ret,
                       struct api_answer *ret_answer)
{
    struct nabla_error err = {0};
    *ret = (struct predict_rows){.parts = PREDICT_ALL};
    if (call->content == MEDIA_JSON)
        return read_document(call, model, ret, ret_answer);
    enum nabla_code code = call->content == MEDIA_CSV ? read_csv(call, model, ret, &err)
                                                      : read_safetensors(call, model, ret, &err);
    if (code)
        answer_error(ret_answer, call, &err);
    return !code;
}
