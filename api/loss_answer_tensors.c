// Answers whose arrays are tensors: the kernels write straight into the answer's body, so that a gradient is
// held once. Of safetensors the header comes first but is known last, for it tells the loss: a large answer
// leaves room for it and pads, a small one moves its tensors to where the header ends.
#include "api/loss_answer.h"

#include "base/size.h"
#include "data/npy.h"
#include "data/tensor_dtype.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    HEADER_ROOM = 16384,   // more than a header needs, the warnings' rows included
    SMALL_BYTES = 1 << 20, // tensors that are moved sooner than padded
    CACHE_LINE = 64,
    HEADER_WARNING_ROWS = 10 // listed in an HTTP header
};

enum place {
    PLACE_GRADIENT,
    PLACE_GRADIENT_LOGITS,
    PLACE_PROBABILITIES,
    PLACE_PER_SAMPLE,
    PLACE_LOSS,
    PLACE_COUNT
};

struct planned {
    struct tensor tensors[PLACE_COUNT];
    enum place places[PLACE_COUNT]; // what each of them is
    size_t count, bytes;            // of all
};

static enum tensor_dtype dtype_of(const struct loss_request *request)
{
    return request->batch.dtype == NABLA_FLOAT32 ? TENSOR_F32 : TENSOR_F64;
}

// The shape of what belongs to every score, or to every row.
static struct tensor tensor_make(const struct loss_request *request, enum place place)
{
    const struct nabla_loss_batch *batch = &request->batch;
    struct tensor tensor = {.dtype = dtype_of(request), .elements = 1};
    if (place != PLACE_LOSS && !(request->is_flat && place != PLACE_PER_SAMPLE))
        tensor.shape[tensor.rank++] = batch->rows;
    if (place < PLACE_PER_SAMPLE)
        tensor.shape[tensor.rank++] = batch->classes;
    for (size_t i = 0; i < tensor.rank; i++)
        tensor.elements *= tensor.shape[i];
    return tensor;
}

static enum nabla_code plan_add(struct planned *planned, const struct loss_request *request, enum place place,
                                bool wanted, struct nabla_error *err)
{
    static const char *const names[PLACE_COUNT] = {
        [PLACE_GRADIENT] = "gradient",
        [PLACE_GRADIENT_LOGITS] = "gradient_logits",
        [PLACE_PROBABILITIES] = "probabilities",
        [PLACE_PER_SAMPLE] = "per_sample",
        [PLACE_LOSS] = "loss",
    };
    if (!wanted)
        return NABLA_OK;
    struct tensor *tensor = &planned->tensors[planned->count];
    *tensor = tensor_make(request, place);
    tensor->name = (char *)names[place];
    planned->places[planned->count++] = place;
    if (size_mul(tensor->elements, tensor_dtypes[tensor->dtype].size, &tensor->bytes) &&
        size_add(planned->bytes, tensor->bytes, &planned->bytes))
        return NABLA_OK;
    return nabla_fail_memory(err, "the answer's tensors");
}

// The loss comes last, so that the large tensors start where the data does.
static enum nabla_code plan_make(struct planned *ret, const struct loss_request *request,
                                 struct nabla_error *err)
{
    bool gradient = request->returns & RETURN_GRADIENT;
    const bool wanted[PLACE_COUNT] = {
        [PLACE_GRADIENT] = gradient,
        [PLACE_GRADIENT_LOGITS] = gradient && request->loss.input == NABLA_PROBABILITIES,
        [PLACE_PROBABILITIES] = request->returns & RETURN_PROBABILITIES,
        [PLACE_PER_SAMPLE] = request->returns & RETURN_PER_SAMPLE,
        [PLACE_LOSS] = request->loss.reduction != NABLA_NONE,
    };
    enum nabla_code code = NABLA_OK;
    *ret = (struct planned){0};
    for (int place = 0; place < PLACE_COUNT && !code; place++)
        code = plan_add(ret, request, (enum place)place, wanted[place], err);
    return code;
}

// Computes with the arrays at `data`, one behind the other.
static enum nabla_code compute_at(const struct loss_request *request, struct planned *planned, char *data,
                                  struct nabla_loss_result *result,
                                  struct nabla_loss_certificate *certificate, struct nabla_error *err)
{
    void **const places[PLACE_LOSS] = {
        [PLACE_GRADIENT] = &result->gradient,
        [PLACE_GRADIENT_LOGITS] = &result->gradient_logits,
        [PLACE_PROBABILITIES] = &result->probabilities,
        [PLACE_PER_SAMPLE] = &result->per_sample,
    };
    char *loss_place = NULL;
    for (size_t i = 0; i < planned->count; i++) {
        planned->tensors[i].data = data;
        if (planned->places[i] == PLACE_LOSS)
            loss_place = data;
        else
            *places[planned->places[i]] = data;
        data += planned->tensors[i].bytes;
    }
    enum nabla_code code = nabla_loss_compute(&request->loss, &request->batch, result, err);
    if (!code && request->figures)
        *request->figures = *result;
    if (!code)
        code = loss_certificate_make(request, result->gradient, certificate, err);
    if (code || !loss_place)
        return code;
    float narrow = (float)result->loss;
    if (request->batch.dtype == NABLA_FLOAT32)
        memcpy(loss_place, &narrow, sizeof narrow);
    else
        memcpy(loss_place, &result->loss, sizeof result->loss);
    return NABLA_OK;
}

// Room such that the data behind it starts on a cache line, in memory too.
static size_t room_at(const char *start)
{
    return HEADER_ROOM + (CACHE_LINE - (uintptr_t)(start + HEADER_ROOM) % CACHE_LINE) % CACHE_LINE;
}

// Puts the header in front of the data that stands behind `room` bytes at the body's end.
static enum nabla_code header_place(struct buffer *body, size_t room, const struct planned *planned,
                                    const char *response, struct nabla_error *err)
{
    const struct tensor_metadata metadata = {(char *)"response", (char *)response};
    struct buffer header = buffer_new(body->limit);
    enum nabla_code code = safetensors_write_header(planned->tensors, planned->count, &metadata, 1,
                                                    planned->bytes < SMALL_BYTES ? 0 : room, &header, err);
    if (!code && header.size > room && !buffer_reserve(body, header.size + planned->bytes))
        code = buffer_status(body, "the answer", err);
    if (!code) {
        if (header.size != room)
            memmove(body->data + header.size, body->data + room, planned->bytes);
        memcpy(body->data, header.data, header.size);
        body->size = header.size + planned->bytes;
        body->data[body->size] = '\0';
    }
    buffer_free(&header);
    return code;
}

enum nabla_code loss_answer_safetensors(struct buffer *body, const struct loss_request *request, bool as_null,
                                        struct nabla_error *err)
{
    struct planned planned;
    struct nabla_loss_certificate certificate;
    struct nabla_warning warnings[NABLA_WARNING_COUNT];
    struct nabla_loss_result result = {.warnings = warnings};
    struct buffer response = buffer_new(body->limit);
    enum nabla_code code = plan_make(&planned, request, err);
    if (code)
        return code;
    char *start = buffer_reserve(body, planned.bytes + HEADER_ROOM + CACHE_LINE);
    if (!start)
        return buffer_status(body, "the answer", err);
    size_t room = room_at(start);
    code = compute_at(request, &planned, start + room, &result, &certificate, err);
    if (!code) {
        loss_answer_summary(&response, request, &result, &certificate, NABLA_WARNING_ROWS, as_null);
        code = buffer_status(&response, "the answer's text", err);
    }
    if (!code)
        code = header_place(body, room, &planned, response.data, err);
    buffer_free(&response);
    return code;
}

// ---- NPY ----

// The one array that the request names. What a reduction adds to it has no place in the file.
static enum nabla_code npy_choose(struct loss_request *request, struct nabla_error *err)
{
    unsigned named = request->returns_named;
    request->returns = named;
    if (named != 0 && (named & (named - 1)) == 0)
        return NABLA_OK;
    return nabla_fail(
        err, NABLA_INVALID, "/return",
        "an NPY answer holds one array: name one of \"gradient\", \"probabilities\", \"per_sample\"");
}

enum nabla_code loss_answer_npy(struct buffer *body, struct buffer *ret_summary, struct loss_request *request,
                                bool as_null, struct nabla_error *err)
{
    struct planned planned;
    struct nabla_loss_certificate certificate;
    struct nabla_warning warnings[NABLA_WARNING_COUNT];
    struct nabla_loss_result result = {.warnings = warnings};
    enum nabla_code code = npy_choose(request, err);
    if (!code)
        code = plan_make(&planned, request, err);
    if (code)
        return code;
    planned.count = 1; // without the loss, and the gradient carried on through softmax
    const struct tensor *array = &planned.tensors[0];
    code = npy_write_header(array->dtype, array->rank, array->shape, body, err);
    char *data = code ? NULL : buffer_reserve(body, array->bytes);
    if (!code && !data)
        code = buffer_status(body, "the answer", err);
    if (!code)
        code = compute_at(request, &planned, data, &result, &certificate, err);
    if (code)
        return code;
    body->size += array->bytes;
    body->data[body->size] = '\0';
    loss_answer_summary(ret_summary, request, &result, &certificate, HEADER_WARNING_ROWS, as_null);
    return buffer_status(ret_summary, "the answer's header", err);
}
