// Rows to predict, from the body of a request in any of its formats.
#ifndef NABLA_API_PREDICT_ROWS_H
#define NABLA_API_PREDICT_ROWS_H

#include "api/handler.h"
#include "api/model_file.h"

// What the answer is to hold: bits.
enum predict_part { PREDICT_CLASSES = 1, PREDICT_PROBABILITIES = 2, PREDICT_OUTPUTS = 4, PREDICT_ALL = 7 };

struct predict_rows {
    size_t rows;
    float *features; // rows × the model's columns; the caller frees it
    unsigned parts;  // enum predict_part bits
};

// False: *ret_answer is the refusal.
bool predict_rows_read(const struct api_call *call, const struct model_file *model, struct predict_rows *ret,
                       struct api_answer *ret_answer);

#endif
