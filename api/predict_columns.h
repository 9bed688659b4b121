// What the columns of rows to predict mean to a model: a column named as one of its features is that feature;
// a column NAME whose texts training has spread over features NAME=TEXT, 0 or 1 (one-hot), is all of these.
// Others are passed over. Thread safety: one thread for a row.
#ifndef NABLA_API_PREDICT_COLUMNS_H
#define NABLA_API_PREDICT_COLUMNS_H

#include "api/model_file.h"

enum predict_column_kind { PREDICT_OTHER, PREDICT_FEATURE, PREDICT_CATEGORY };

struct predict_column {
    enum predict_column_kind kind;
    size_t place;     // of the feature, or of the first category
    const char *name; // borrowed: of the column, without "=TEXT"
};

struct predict_column predict_column_find(const struct model_file *model, const char *name);

// Marks the features that the column gives in `given` (the model's columns of them). NABLA_INVALID: another
// column has given one of them.
enum nabla_code predict_column_mark(const struct model_file *model, const struct predict_column *column,
                                    bool *given, struct nabla_error *err);
// NABLA_INVALID, naming the first feature that no column gives.
enum nabla_code predict_columns_check(const struct model_file *model, const bool *given,
                                      struct nabla_error *err);

// Sets what the column gives of a row (the model's columns of it; the others are left alone): a text of
// PREDICT_CATEGORY, a number or a missing value of PREDICT_FEATURE. NABLA_INVALID names row and column: a
// text that training has not seen, a number that is not finite, a missing value where training filled in
// none.
enum nabla_code predict_text_put(const struct model_file *model, const struct predict_column *column,
                                 size_t row_number, const char *text, size_t size, float *row,
                                 struct nabla_error *err);
enum nabla_code predict_number_put(const struct model_file *model, const struct predict_column *column,
                                   size_t row_number, double number, float *row, struct nabla_error *err);
enum nabla_code predict_missing_put(const struct model_file *model, const struct predict_column *column,
                                    size_t row_number, float *row, struct nabla_error *err);

#endif
