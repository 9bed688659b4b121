// The safetensors format: 8 bytes of little-endian header length, a JSON header of name → {dtype, shape,
// data_offsets}, then the tensors' bytes. https://github.com/huggingface/safetensors (format specification).
//
// The reader copies nothing: tensors point into the caller's bytes. It refuses a header that is truncated,
// not JSON, longer than its limit, has duplicate names, unknown dtypes, shapes whose product does not match
// the bytes, offsets out of range, overlapping or leaving holes. Errors: NABLA_MALFORMED naming the tensor.
// Thread safety: a parsed file is read-only.
#ifndef NABLA_DATA_SAFETENSORS_H
#define NABLA_DATA_SAFETENSORS_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>
#include <sys/uio.h>

enum tensor_dtype { TENSOR_F64, TENSOR_F32, TENSOR_I64, TENSOR_I32, TENSOR_U8, TENSOR_DTYPE_COUNT };
enum { TENSOR_RANK_MAX = 8 };

struct tensor {
    char *name; // owned by the file
    enum tensor_dtype dtype;
    size_t rank, shape[TENSOR_RANK_MAX];
    size_t elements;  // product of the shape
    const void *data; // into the caller's bytes; not necessarily aligned
    size_t bytes;
};

struct tensor_metadata {
    char *key, *value;
};

struct safetensors {
    struct tensor *tensors; // in order of their data
    size_t tensor_count;
    struct tensor_metadata *metadata;
    size_t metadata_count;
};

enum nabla_code safetensors_read(const void *bytes, size_t size, struct safetensors **ret,
                                 struct nabla_error *err);
void safetensors_free(struct safetensors *file);
const struct tensor *safetensors_find(const struct safetensors *file, const char *name); // NULL: no such
const char *safetensors_metadata(const struct safetensors *file, const char *key);       // NULL: no such
// One of the tensor's elements, whatever its dtype; its bytes need not be aligned.
double tensor_number(const struct tensor *tensor, size_t index);

// Appends a file holding the tensors (data pointers set, names set) and metadata, header padded to 8 bytes.
enum nabla_code safetensors_write(const struct tensor *tensors, size_t tensor_count,
                                  const struct tensor_metadata *metadata, size_t metadata_count,
                                  struct buffer *ret, struct nabla_error *err);

// Appends only what stands before the tensors' data, for tensors that are already where they belong: their
// data pointers are not used. Padded to `least` bytes in all where it is shorter (a multiple of 8).
enum nabla_code safetensors_write_header(const struct tensor *tensors, size_t tensor_count,
                                         const struct tensor_metadata *metadata, size_t metadata_count,
                                         size_t least, struct buffer *ret, struct nabla_error *err);

// A data set as a safetensors file: features (F32 rows × columns), labels (I32 rows, or F32 rows × outputs),
// where rows weigh differently sample_weights (F32 rows); names as JSON text in the metadata. Reading foreign
// files: tensors of these names as data/tensor_dataset.h takes them; names are made up where the file has
// none, and refused where they are not one for each. Errors: NABLA_INVALID, NABLA_LIMIT besides the reader's.
struct dataset;
struct dataset_limits;
enum nabla_code safetensors_write_dataset(const struct dataset *dataset, struct buffer *ret,
                                          struct nabla_error *err);
// The same file without a copy of the tensors: appends what stands before them to *ret_header, and fills
// `ret` with where each piece of the file lies, the header first.
enum { DATASET_PIECES = 4 };
enum nabla_code safetensors_dataset_pieces(const struct dataset *dataset, struct buffer *ret_header,
                                           struct iovec ret[DATASET_PIECES], size_t *ret_count,
                                           struct nabla_error *err);
enum nabla_code safetensors_read_dataset(const void *bytes, size_t size, const struct dataset_limits *limits,
                                         struct dataset **ret, struct nabla_error *err);
// The same of a mapped file: features that are F32 already stay in it and are read when they are needed. The
// data set then has the file, and *mapped is {0}; else the caller closes it.
struct mapped;
enum nabla_code safetensors_map_dataset(struct mapped *mapped, const struct dataset_limits *limits,
                                        struct dataset **ret, struct nabla_error *err);
// NABLA_NOT_FOUND where there is no such file.
enum nabla_code safetensors_open_dataset(const char *path, const struct dataset_limits *limits,
                                         struct dataset **ret, struct nabla_error *err);

#endif
