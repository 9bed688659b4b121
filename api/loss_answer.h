// A loss's answer, in each of its forms.
#ifndef NABLA_API_LOSS_ANSWER_H
#define NABLA_API_LOSS_ANSWER_H

#include "api/loss_certificate.h"

// Appends the answer as JSON. The result's arrays have the request's dtype and shape; warnings are set, and
// the certificate if the request asks for it.
void loss_answer_write(struct buffer *body, const struct loss_request *request,
                       const struct nabla_loss_result *result,
                       const struct nabla_loss_certificate *certificate, bool nonfinite_as_null);
// The same without braces and certificate, as the fields of a larger object.
void loss_answer_fields(struct buffer *body, const struct loss_request *request,
                        const struct nabla_loss_result *result, bool nonfinite_as_null);
// The same object without the arrays, on one line; warnings list up to `warning_rows` rows.
void loss_answer_summary(struct buffer *body, const struct loss_request *request,
                         const struct nabla_loss_result *result,
                         const struct nabla_loss_certificate *certificate, size_t warning_rows,
                         bool nonfinite_as_null);

// Computes, and makes the answer a safetensors file: the arrays and the loss as tensors, the summary under
// `response` in its metadata. On failure the body holds nothing of use.
enum nabla_code loss_answer_safetensors(struct buffer *body, const struct loss_request *request,
                                        bool nonfinite_as_null, struct nabla_error *err);

// Computes, and makes the answer an NPY file of the one array that the request names; the summary is apart.
enum nabla_code loss_answer_npy(struct buffer *body, struct buffer *ret_summary, struct loss_request *request,
                                bool nonfinite_as_null, struct nabla_error *err);

#endif
