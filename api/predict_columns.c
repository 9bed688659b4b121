#include "api/predict_columns.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// The text of a category where `feature` is "name=TEXT", or NULL.
static const char *category_of(const char *feature, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(feature, name, length) == 0 && feature[length] == '=' ? feature + length + 1 : NULL;
}

struct predict_column predict_column_find(const struct model_file *model, const char *name)
{
    for (size_t i = 0; i < model->columns; i++)
        if (strcmp(model->feature_names[i], name) == 0)
            return (struct predict_column){PREDICT_FEATURE, i, model->feature_names[i]};
    for (size_t i = 0; i < model->columns; i++)
        if (category_of(model->feature_names[i], name))
            return (struct predict_column){PREDICT_CATEGORY, i, name};
    return (struct predict_column){PREDICT_OTHER, 0, name};
}

static bool is_given_by(const struct model_file *model, const struct predict_column *column, size_t feature)
{
    return column->kind == PREDICT_FEATURE
               ? feature == column->place
               : column->kind == PREDICT_CATEGORY && category_of(model->feature_names[feature], column->name);
}

enum nabla_code predict_column_mark(const struct model_file *model, const struct predict_column *column,
                                    bool *given, struct nabla_error *err)
{
    for (size_t i = 0; i < model->columns; i++) {
        if (!is_given_by(model, column, i))
            continue;
        if (given[i])
            return nabla_fail(err, NABLA_INVALID, "", "the column %.100s comes twice",
                              model->feature_names[i]);
        given[i] = true;
    }
    return NABLA_OK;
}

enum nabla_code predict_columns_check(const struct model_file *model, const bool *given,
                                      struct nabla_error *err)
{
    for (size_t i = 0; i < model->columns; i++)
        if (!given[i])
            return nabla_fail(err, NABLA_INVALID, "", "the column %.100s is missing",
                              model->feature_names[i]);
    return NABLA_OK;
}

// The column's categories, for an error: as many as there is room for.
static void list_categories(const struct model_file *model, const char *name, char *ret, size_t size)
{
    size_t length = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < model->columns; i++) {
        const char *text = category_of(model->feature_names[i], name);
        const size_t needed = text ? strlen(text) + 2 : 0;
        if (text && length + needed + sizeof ", …" > size) {
            snprintf(ret + length, size - length, ", …");
            return;
        }
        if (text)
            length += (size_t)snprintf(ret + length, size - length, "%s%s", length ? ", " : "", text);
    }
}

static enum nabla_code fail_text(const struct model_file *model, const struct predict_column *column,
                                 size_t row_number, const char *text, size_t size, struct nabla_error *err)
{
    char shown[UTF8_EXCERPT_SIZE], known[160];
    utf8_excerpt(shown, text, size);
    if (column->kind == PREDICT_FEATURE)
        return nabla_fail(err, NABLA_INVALID, "", "row %zu (%.100s): expected a number, found \"%s\"",
                          row_number, column->name, shown);
    list_categories(model, column->name, known, sizeof known);
    return nabla_fail(err, NABLA_INVALID, "", "row %zu (%.100s): the model knows %s, not \"%s\"", row_number,
                      column->name, known, shown);
}

enum nabla_code predict_text_put(const struct model_file *model, const struct predict_column *column,
                                 size_t row_number, const char *text, size_t size, float *row,
                                 struct nabla_error *err)
{
    bool found = false;
    if (column->kind == PREDICT_OTHER)
        return NABLA_OK;
    for (size_t i = column->place; column->kind == PREDICT_CATEGORY && i < model->columns; i++) {
        const char *category = category_of(model->feature_names[i], column->name);
        if (!category)
            continue;
        const bool is_it = strlen(category) == size && memcmp(category, text, size) == 0;
        row[i] = is_it ? 1 : 0;
        found = found || is_it;
    }
    return found ? NABLA_OK : fail_text(model, column, row_number, text, size, err);
}

enum nabla_code predict_number_put(const struct model_file *model, const struct predict_column *column,
                                   size_t row_number, double number, float *row, struct nabla_error *err)
{
    char text[32];
    if (column->kind == PREDICT_OTHER)
        return NABLA_OK;
    if (column->kind == PREDICT_CATEGORY) {
        const int length = snprintf(text, sizeof text, "%.9g", number);
        return predict_text_put(model, column, row_number, text, (size_t)length, row, err);
    }
    row[column->place] = (float)number;
    return isfinite(row[column->place])
               ? NABLA_OK
               : nabla_fail(err, NABLA_INVALID, "",
                            "row %zu (%.100s): must be a finite number in float32's range", row_number,
                            column->name);
}

enum nabla_code predict_missing_put(const struct model_file *model, const struct predict_column *column,
                                    size_t row_number, float *row, struct nabla_error *err)
{
    if (column->kind == PREDICT_OTHER)
        return NABLA_OK;
    if (column->kind == PREDICT_FEATURE && model->spec.train.missing != MISSING_REFUSE) {
        row[column->place] = NAN;
        return NABLA_OK;
    }
    return nabla_fail(err, NABLA_INVALID, "", "row %zu (%.100s): a value is missing, and the model was %s",
                      row_number, column->name,
                      column->kind == PREDICT_CATEGORY ? "trained on texts here"
                                                       : "trained without training.missing to fill it in");
}
