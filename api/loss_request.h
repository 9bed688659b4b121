// A request for losses: from its JSON to what nabla_loss_compute takes, and from its result to JSON.
#ifndef NABLA_API_LOSS_REQUEST_H
#define NABLA_API_LOSS_REQUEST_H

#include "api/handler.h"
#include "math/loss.h"

// What "return" may ask for: bits.
enum loss_return { RETURN_GRADIENT = 1, RETURN_PROBABILITIES = 2, RETURN_PER_SAMPLE = 4 };

struct loss_request {
    struct nabla_loss loss;             // its weights point into the arrays below
    struct nabla_loss_batch batch;      // its arrays are the ones below
    bool is_flat;                       // the scores came as one flat list: so do the answer's
    unsigned returns;                   // enum loss_return bits
    void *scores, *targets;             // rows × classes of batch.dtype
    int64_t *ids;                       // rows
    double *sample_weights;             // rows
    double *class_weights, *pos_weight; // classes
};

// Whether the request names its convention, or is answered under all of them.
enum loss_request_kind { LOSS_ONE_CONVENTION, LOSS_EVERY_CONVENTION };

// Reads a call's whole body. What is wrong with single fields becomes problems; the code is for what cannot
// be read at all. *ret is to be freed in every case, and means something only when there is neither.
enum nabla_code loss_request_read(const struct api_call *call, enum loss_request_kind kind,
                                  struct problems *problems, struct loss_request *ret,
                                  struct nabla_error *err);
void loss_request_free(struct loss_request *request);

// Mends the pointer of the library's error, which speaks of rows: in a flat request there are none.
void loss_request_place(const struct loss_request *request, struct nabla_error *err);

// Appends the answer. The result's arrays have the request's dtype and shape; warnings are set.
void loss_answer_write(struct buffer *body, const struct loss_request *request,
                       const struct nabla_loss_result *result, bool nonfinite_as_null);
// The same without braces, as the fields of a larger object.
void loss_answer_fields(struct buffer *body, const struct loss_request *request,
                        const struct nabla_loss_result *result, bool nonfinite_as_null);

#endif
