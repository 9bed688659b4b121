#include "api/predict_rows.h"

#include "api/document.h"
#include "api/fields.h"
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

static enum nabla_code take_number(struct predict_rows *rows, size_t i, size_t columns, double number,
                                   struct nabla_error *err)
{
    char pointer[64];
    rows->features[i] = (float)number;
    if (isfinite(rows->features[i]))
        return NABLA_OK;
    snprintf(pointer, sizeof pointer, "/features/%zu/%zu", i / columns, i % columns);
    return nabla_fail(err, NABLA_INVALID, pointer, "must be a finite number in float32's range");
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
        code = take_number(ret, i, width, bulk->values[i], err);
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
    struct bulk features = {.pointer = "/features"};
    struct problems problems = {0};
    struct nabla_error err = {0};
    json_t *root;
    if (document_read(call->body.data, call->body.size, call->api->options.limits.document_bytes, &features,
                      1, &root, &err)) {
        answer_error(ret_answer, call, &err);
        return false;
    }
    struct fields fields = fields_begin(root, "", &problems);
    fields_value(&fields, "features");
    ret->parts = read_parts(&fields);
    fields_end(&fields);
    json_decref(root);
    enum nabla_code code = problems.count == 0 ? take_bulk(&features, model, ret, &err) : NABLA_OK;
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
    for (size_t i = 0; i < tensor->elements && !code; i++) {
        double number;
        float single;
        const size_t size = tensor->dtype == TENSOR_F32 ? sizeof single : sizeof number;
        memcpy(tensor->dtype == TENSOR_F32 ? (void *)&single : (void *)&number,
               (const char *)tensor->data + i * size, size);
        code =
            take_number(ret, i, model->columns, tensor->dtype == TENSOR_F32 ? (double)single : number, err);
    }
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

static size_t feature_find(const struct model_file *model, const char *name)
{
    for (size_t i = 0; i < model->columns; i++)
        if (strcmp(model->feature_names[i], name) == 0)
            return i;
    return SIZE_MAX;
}

// Which feature each column is; SIZE_MAX for a column that is none, the label's for one: it is passed over.
static enum nabla_code read_header(struct csv_cursor *cursor, const struct model_file *model, size_t width,
                                   size_t *ret_places, struct nabla_error *err)
{
    size_t found = 0;
    for (size_t column = 0; column < width; column++) {
        struct csv_cell cell;
        enum nabla_code code = csv_cursor_next(cursor, &cell, err);
        char *name = code ? NULL : csv_cell_copy(&cell);
        if (!name)
            return code ? code : nabla_fail_memory(err, "a column's name");
        ret_places[column] = feature_find(model, name);
        free(name);
        for (size_t before = 0; before < column && ret_places[column] != SIZE_MAX; before++)
            if (ret_places[before] == ret_places[column])
                return nabla_fail(err, NABLA_INVALID, "", "the column %.100s comes twice",
                                  model->feature_names[ret_places[column]]);
        found += ret_places[column] != SIZE_MAX;
    }
    for (size_t i = 0; found < model->columns && i < model->columns; i++) {
        size_t column = 0;
        while (column < width && ret_places[column] != i)
            column++;
        if (column == width)
            return nabla_fail(err, NABLA_INVALID, "", "the column %.100s is missing",
                              model->feature_names[i]);
    }
    return NABLA_OK;
}

static enum nabla_code read_cell(const struct csv_cell *cell, size_t row, const char *name, float *ret,
                                 struct nabla_error *err)
{
    double number;
    bool overflow = false;
    const char *end = cell->text + cell->size;
    const bool is_number = number_read_double(cell->text, end, &number, &overflow) == end;
    *ret = is_number ? (float)number : NAN;
    return is_number && isfinite(*ret)
               ? NABLA_OK
               : nabla_fail(err, NABLA_INVALID, "", "row %zu (%.100s): expected a number, found \"%.*s\"",
                            row, name, cell->size < 60 ? (int)cell->size : 60, cell->text);
}

static enum nabla_code read_cells(struct csv_cursor *cursor, const struct model_file *model, size_t width,
                                  const size_t *places, struct predict_rows *ret, struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < ret->rows * width && !code; i++) {
        struct csv_cell cell;
        const size_t row = i / width, place = places[i % width];
        code = csv_cursor_next(cursor, &cell, err);
        if (!code && place != SIZE_MAX && model->spec.train.missing != MISSING_REFUSE &&
            csv_is_missing(&cell))
            ret->features[row * model->columns + place] = NAN;
        else if (!code && place != SIZE_MAX)
            code = read_cell(&cell, row + 1, model->feature_names[place],
                             &ret->features[row * model->columns + place], err);
    }
    return code;
}

static enum nabla_code read_csv(const struct api_call *call, const struct model_file *model,
                                struct predict_rows *ret, struct nabla_error *err)
{
    struct csv_cursor cursor = csv_cursor_open(call->body.data ? call->body.data : "", call->body.size);
    size_t width, *places = NULL;
    enum nabla_code code = csv_cursor_measure(cursor, &ret->rows, &width, err);
    if (!code)
        code = make_room(ret, model->columns, err);
    if (!code && !(places = size_alloc(width, 1, sizeof *places)))
        code = nabla_fail_memory(err, "the columns");
    if (!code)
        code = read_header(&cursor, model, width, places, err);
    if (!code)
        code = read_cells(&cursor, model, width, places, ret, err);
    free(places);
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
