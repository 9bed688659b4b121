// A request for losses: from its body to what nabla_loss_compute takes, whatever form that has.
#ifndef NABLA_API_LOSS_REQUEST_H
#define NABLA_API_LOSS_REQUEST_H

#include "api/handler.h"
#include "math/loss.h"

enum { LOSS_ARRAYS_MAX = 6 };

// What "return" may ask for: bits.
enum loss_return { RETURN_GRADIENT = 1, RETURN_PROBABILITIES = 2, RETURN_PER_SAMPLE = 4 };

// The arrays below are writable. They are the request's own, or, of a binary body, lie in the call's body.
struct loss_request {
    struct nabla_loss loss;             // its weights point into the arrays below
    struct nabla_loss_batch batch;      // its arrays are the ones below
    bool is_flat;                       // the scores came as one flat list: so do the answer's
    bool names_dtype;                   // rather than leaving it to the format
    bool certify;                       // the answer is to hold a certificate
    unsigned returns;                   // enum loss_return bits
    unsigned returns_named;             // those that the request names, or the default
    void *scores, *targets;             // rows × classes of batch.dtype
    int64_t *ids;                       // rows
    double *sample_weights;             // rows
    double *class_weights, *pos_weight; // classes
    void *owned[LOSS_ARRAYS_MAX];       // what loss_request_free frees
    size_t owned_count;
    struct nabla_loss_result *figures; // gets the numbers of what was computed; NULL: nobody asks for them
};

// Whether the request names its convention, or is answered under all of them.
enum loss_request_kind { LOSS_ONE_CONVENTION, LOSS_EVERY_CONVENTION };

// Reads a call's whole body, of whatever media type; a JSON body is freed as soon as it is read. What is
// wrong with single fields becomes problems; the code is for what cannot be read at all. *ret is to be freed
// in every case, and means something only when there is neither.
enum nabla_code loss_request_read(struct api_call *call, enum loss_request_kind kind,
                                  struct problems *problems, struct loss_request *ret,
                                  struct nabla_error *err);
void loss_request_free(struct loss_request *request);

// Mends the pointer of the library's error, which speaks of rows: in a flat request there are none.
void loss_request_place(const struct loss_request *request, struct nabla_error *err);

#endif
