// The arrays of a loss request, in whatever form they came: lifted from JSON as doubles, or the tensors of a
// binary body, which stay where they lie.
#ifndef NABLA_API_LOSS_ARRAY_H
#define NABLA_API_LOSS_ARRAY_H

#include "api/bulk.h"
#include "api/loss_request.h"
#include "data/safetensors.h"

enum loss_array_name {
    IN_LOGITS,
    IN_PROBABILITIES,
    IN_LABELS,
    IN_SAMPLE_WEIGHTS,
    IN_CLASS_WEIGHTS,
    IN_POS_WEIGHT,
    IN_COUNT
};

struct loss_array_place {
    const char *pointer; // in a JSON document
    const char *tensor;  // a tensor's name
};
extern const struct loss_array_place loss_array_places[IN_COUNT];

struct loss_array {
    enum bulk_shape shape;
    size_t rows, columns; // as of a struct bulk
    enum tensor_dtype dtype;
    bool is_tensor; // the client chose the dtype: it says what the array is
    bool is_owned;  // values are to be freed; otherwise they lie in the call's body, aligned
    void *values;   // rows × columns, writable
};

void loss_arrays_free(struct loss_array arrays[IN_COUNT]);

// The body's tensors. *ret_request is the document that stands in the file's metadata ("{}" where there is
// none), to be freed.
enum nabla_code loss_arrays_of_safetensors(struct buffer *body, struct loss_array ret[IN_COUNT],
                                           struct problems *problems, char **ret_request,
                                           struct nabla_error *err);
// The body's one array, under this name.
enum nabla_code loss_arrays_of_npy(struct buffer *body, enum loss_array_name name,
                                   struct loss_array ret[IN_COUNT], struct problems *problems,
                                   struct nabla_error *err);

// Adds what document_read lifted; what is a tensor already is a problem. The bulks' values are taken.
void loss_arrays_of_bulks(struct bulk bulks[IN_COUNT], struct loss_array ret[IN_COUNT],
                          struct problems *problems);

// Hands the arrays over to *ret, as what the kernels take: problems for what does not fit together. The dtype
// of *ret is the one asked for, and becomes the scores' own where they are a tensor.
enum nabla_code loss_arrays_take(struct loss_array arrays[IN_COUNT], struct problems *problems,
                                 struct loss_request *ret, struct nabla_error *err);

#endif
