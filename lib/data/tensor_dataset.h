// A data set out of tensors, wherever they come from: safetensors, NPZ, NPY, IDX.
//
// Features: any dtype, rows × columns; what has more dimensions (images) is flattened to rows × the rest.
// Labels: whole numbers, one a row, are class ids from 0 on; whole numbers of rows × outputs, and real
// numbers, are targets (real numbers one a row: a single one). Every number must be finite in float32; only
// features may be NaN, which is missing. Thread safety: pure functions.
#ifndef NABLA_DATA_TENSOR_DATASET_H
#define NABLA_DATA_TENSOR_DATASET_H

#include "data/dataset.h"
#include "data/safetensors.h"

struct dataset_tensors {
    const struct tensor *features, *labels;
    const struct tensor *weights; // of the rows, F32 or F64; NULL: all 1
    size_t classes;               // at least so many; 0: as many as the ids tell
    struct mapped *file; // where all of them lie, or NULL: features that are float32 already and aligned stay
                         // in it, and it belongs to the data set, *file being {0}
};

// NABLA_INVALID (names the tensor; "a data set needs …" where one is NULL), NABLA_LIMIT. No names are filled
// in.
enum nabla_code dataset_from_tensors(const struct dataset_tensors *tensors,
                                     const struct dataset_limits *limits, struct dataset **ret,
                                     struct nabla_error *err);

#endif
