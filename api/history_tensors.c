// A history as safetensors: "steps" (I64) and a tensor for each column (F64), of a layer behind
// "layers.INDEX.", of one of several jobs behind "ID.". Where rows stand for several steps: "counts" (I64),
// and for each column .min, .max (F64) and .nonfinite (I64).
// ".recorded" (U8) is there for a column that lacks some rows: NaN is also a value. What stands beside the
// tables in JSON is the metadata's "response".
#include "api/history_encode.h"

#include "base/size.h"
#include "data/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 200, PARTS = 5 };

struct packing {
    struct tensor *tensors;
    size_t count;
    void **blocks; // what was made for them
    char (*names)[NAME_SIZE];
};

static void *pack(struct packing *packing, const char *prefix, const char *name, const char *part,
                  enum tensor_dtype dtype, size_t rows, size_t width)
{
    void *block = size_alloc(rows + 1, 1, width);
    if (!block)
        return NULL;
    snprintf(packing->names[packing->count], NAME_SIZE, "%s%s%s", prefix, name, part);
    packing->blocks[packing->count] = block;
    packing->tensors[packing->count] = (struct tensor){.name = packing->names[packing->count],
                                                       .dtype = dtype,
                                                       .rank = 1,
                                                       .shape = {rows},
                                                       .elements = rows,
                                                       .data = block,
                                                       .bytes = rows * width};
    packing->count++;
    return block;
}

static bool pack_whole(struct packing *packing, const char *prefix, const char *name, const uint64_t *numbers,
                       size_t rows)
{
    int64_t *to = pack(packing, prefix, name, "", TENSOR_I64, rows, sizeof *to);
    for (size_t i = 0; to && i < rows; i++)
        to[i] = (int64_t)numbers[i];
    return to;
}

static bool pack_folds(struct packing *packing, const char *prefix, const struct frame_column *column,
                       size_t rows)
{
    double *min = pack(packing, prefix, column->name, ".min", TENSOR_F64, rows, sizeof *min);
    double *max = min ? pack(packing, prefix, column->name, ".max", TENSOR_F64, rows, sizeof *max) : NULL;
    int64_t *nonfinite =
        max ? pack(packing, prefix, column->name, ".nonfinite", TENSOR_I64, rows, sizeof *nonfinite) : NULL;
    for (size_t i = 0; nonfinite && i < rows; i++) {
        min[i] = column->recorded[i] ? column->folds[i].min : (double)NAN;
        max[i] = column->recorded[i] ? column->folds[i].max : (double)NAN;
        nonfinite[i] = (int64_t)column->folds[i].nonfinite;
    }
    return nonfinite;
}

static bool pack_column(struct packing *packing, const char *prefix, const struct frame *frame,
                        const struct frame_column *column)
{
    bool whole = true;
    double *values = pack(packing, prefix, column->name, "", TENSOR_F64, frame->rows, sizeof *values);
    for (size_t i = 0; values && i < frame->rows; i++) {
        values[i] = column->recorded[i] ? column->values[i] : (double)NAN;
        whole &= column->recorded[i];
    }
    if (!values || (column->folds && !pack_folds(packing, prefix, column, frame->rows)))
        return false;
    unsigned char *recorded =
        whole ? NULL : pack(packing, prefix, column->name, ".recorded", TENSOR_U8, frame->rows, 1);
    for (size_t i = 0; recorded && i < frame->rows; i++)
        recorded[i] = column->recorded[i];
    return whole || recorded;
}

static bool pack_frame(struct packing *packing, const struct frames *frames, const struct frame *frame)
{
    char prefix[80] = "";
    const char *job = frame->job ? frame->job : "", *dot = frame->job ? "." : "";
    if (frames->layers)
        snprintf(prefix, sizeof prefix, "%s%slayers.%u.", job, dot, frame->index);
    else
        snprintf(prefix, sizeof prefix, "%s%s", job, dot);
    if (!pack_whole(packing, prefix, "steps", frame->steps, frame->rows) ||
        (frame->is_folded && !pack_whole(packing, prefix, "counts", frame->counts, frame->rows)))
        return false;
    for (size_t i = 0; i < frame->column_count; i++)
        if (!pack_column(packing, prefix, frame, &frame->columns[i]))
            return false;
    return true;
}

enum nabla_code frames_encode_tensors(const struct frames *frames, const char *head, struct buffer *ret,
                                      struct nabla_error *err)
{
    size_t most = 1;
    for (size_t i = 0; i < frames->count; i++)
        most += 2 + frames->frames[i].column_count * PARTS;
    struct packing packing = {.tensors = size_alloc(most, 1, sizeof *packing.tensors),
                              .blocks = size_alloc(most, 1, sizeof *packing.blocks),
                              .names = size_alloc(most, NAME_SIZE, 1)};
    bool packed = packing.tensors && packing.blocks && packing.names;
    for (size_t i = 0; i < frames->count && packed; i++)
        packed = pack_frame(&packing, frames, &frames->frames[i]);
    const struct tensor_metadata metadata = {.key = (char[]){"response"}, .value = (char *)(uintptr_t)head};
    enum nabla_code code = packed ? safetensors_write(packing.tensors, packing.count, &metadata, 1, ret, err)
                                  : nabla_fail_memory(err, "a history's tensors");
    for (size_t i = 0; packing.blocks && i < packing.count; i++)
        free(packing.blocks[i]);
    free(packing.blocks);
    free(packing.tensors);
    free(packing.names);
    return code;
}
