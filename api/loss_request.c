// A request is a small document of options and a few arrays. As JSON it is one document; in a binary body the
// arrays are tensors and the document comes beside them: in the metadata of safetensors, or, since NPY has
// none, in the query.
#include "api/loss_request.h"

#include "api/document.h"
#include "api/fields.h"
#include "api/loss_array.h"
#include "api/spec_decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- the small fields ----

static const char *reduction_at(int value)
{
    return nabla_reduction_name((enum nabla_reduction)value);
}

static const char *const dtype_names[] = {[NABLA_FLOAT32] = "float32", [NABLA_FLOAT64] = "float64"};

static const char *dtype_at(int value)
{
    return dtype_names[value];
}

static int dtype_find(const char *name)
{
    for (int i = NABLA_FLOAT32; i <= NABLA_FLOAT64; i++)
        if (strcmp(dtype_names[i], name) == 0)
            return i;
    return -1;
}

static const struct choice reductions = {reduction_at, nabla_reduction_find, NABLA_NONE + 1};
static const struct choice dtypes = {dtype_at, dtype_find, NABLA_FLOAT64 + 1};

static const struct {
    const char *name;
    enum loss_return bit;
} return_names[] = {
    {"gradient", RETURN_GRADIENT},
    {"probabilities", RETURN_PROBABILITIES},
    {"per_sample", RETURN_PER_SAMPLE},
};

static unsigned return_find(const json_t *value)
{
    const char *name = json_string_value(value);
    for (size_t i = 0; name && i < sizeof return_names / sizeof *return_names; i++)
        if (strcmp(return_names[i].name, name) == 0)
            return return_names[i].bit;
    return 0;
}

static unsigned returns_read(struct fields *fields)
{
    const json_t *list = fields_value(fields, "return");
    unsigned returns = 0;
    if (!list)
        return RETURN_GRADIENT;
    if (!json_is_array(list))
        fields_problem(fields, "return", "must be a list of \"gradient\", \"probabilities\", \"per_sample\"");
    for (size_t i = 0; i < json_array_size(list); i++) {
        unsigned bit = return_find(json_array_get(list, i));
        if (!bit)
            fields_problem(fields, "return",
                           "entry %zu must be \"gradient\", \"probabilities\" or \"per_sample\"", i);
        returns |= bit;
    }
    return returns;
}

static void loss_read(struct fields *root, struct nabla_loss *ret)
{
    int type;
    struct fields fields = typed_begin(fields_value(root, "loss"), "/loss", root->problems,
                                       (int)NABLA_CROSS_ENTROPY, &loss_type_choice, &type);
    *ret = nabla_loss_defaults((enum nabla_loss_type)type);
    loss_options_decode(&fields, ret);
    fields_value(&fields, "class_weights");
    fields_value(&fields, "pos_weight");
    fields_end(&fields);
}

static void options_read(const json_t *document, enum loss_request_kind kind, struct problems *problems,
                         struct loss_request *ret)
{
    struct fields root = fields_begin(document, "", problems);
    loss_read(&root, &ret->loss);
    ret->loss.reduction = (enum nabla_reduction)choice_read(&root, "reduction", (int)NABLA_MEAN, &reductions);
    if (kind == LOSS_ONE_CONVENTION) {
        ret->loss.convention =
            (enum nabla_convention)choice_read(&root, "convention", (int)NABLA_EXACT, &convention_choice);
        ret->certify = fields_bool(&root, "certify", false);
    }
    ret->batch.dtype = (enum nabla_dtype)choice_read(&root, "dtype", (int)NABLA_FLOAT64, &dtypes);
    ret->names_dtype = fields_has(&root, "dtype");
    ret->returns_named = returns_read(&root);
    ret->returns = ret->returns_named;
    if (ret->loss.reduction == NABLA_NONE)
        ret->returns |= RETURN_PER_SAMPLE;
    for (size_t i = 0; i < IN_CLASS_WEIGHTS; i++)
        fields_value(&root, loss_array_places[i].pointer + 1);
    fields_end(&root);
}

// ---- the request ----

// Lifts the document's own arrays and reads its options.
static enum nabla_code document_take(const struct api_call *call, const char *text, size_t size,
                                     enum loss_request_kind kind, struct loss_array arrays[IN_COUNT],
                                     struct problems *problems, struct loss_request *ret,
                                     struct nabla_error *err)
{
    struct bulk bulks[IN_COUNT];
    json_t *document;
    for (size_t i = 0; i < IN_COUNT; i++)
        bulks[i] = (struct bulk){.pointer = loss_array_places[i].pointer};
    enum nabla_code code =
        document_read(text, size, call->api->options.limits.document_bytes, bulks, IN_COUNT, &document, err);
    if (code)
        return code;
    options_read(document, kind, problems, ret);
    loss_arrays_of_bulks(bulks, arrays, problems);
    json_decref(document);
    bulk_free(bulks, IN_COUNT);
    return NABLA_OK;
}

// Says where the document stands whose line and column an error names.
static enum nabla_code beside(enum nabla_code code, const char *place, struct nabla_error *err)
{
    char text[sizeof err->text], pointer[sizeof err->pointer];
    if (code != NABLA_MALFORMED)
        return code;
    memcpy(text, err->text, sizeof text);
    memcpy(pointer, err->pointer, sizeof pointer);
    return nabla_fail(err, code, pointer, "%s: %s", place, text);
}

static enum nabla_code read_json(struct api_call *call, enum loss_request_kind kind,
                                 struct loss_array arrays[IN_COUNT], struct problems *problems,
                                 struct loss_request *ret, struct nabla_error *err)
{
    enum nabla_code code =
        document_take(call, call->body.data, call->body.size, kind, arrays, problems, ret, err);
    buffer_free(&call->body); // large, and nothing points into it
    return code;
}

static enum nabla_code read_safetensors(struct api_call *call, enum loss_request_kind kind,
                                        struct loss_array arrays[IN_COUNT], struct problems *problems,
                                        struct loss_request *ret, struct nabla_error *err)
{
    char *text = NULL;
    enum nabla_code code = loss_arrays_of_safetensors(&call->body, arrays, problems, &text, err);
    if (!code)
        code = beside(document_take(call, text, strlen(text), kind, arrays, problems, ret, err),
                      "\"request\" of __metadata__", err);
    free(text);
    return code;
}

static enum nabla_code read_npy(struct api_call *call, enum loss_request_kind kind,
                                struct loss_array arrays[IN_COUNT], struct problems *problems,
                                struct loss_request *ret, struct nabla_error *err)
{
    const char *text = call_query(call, "request"), *input = call_query(call, "input");
    bool is_probabilities = input && strcmp(input, "probabilities") == 0;
    if (!text)
        return nabla_fail(err, NABLA_MALFORMED, NULL,
                          "an NPY body holds only the scores: labels and options come as "
                          "?request={\"labels\":[…]}, percent-encoded");
    if (input && !is_probabilities && strcmp(input, "logits") != 0)
        return nabla_fail(err, NABLA_MALFORMED, NULL,
                          "the query parameter input must be logits or probabilities, not \"%s\"", input);
    enum nabla_code code = loss_arrays_of_npy(&call->body, is_probabilities ? IN_PROBABILITIES : IN_LOGITS,
                                              arrays, problems, err);
    if (code)
        return code;
    return beside(document_take(call, text, strlen(text), kind, arrays, problems, ret, err),
                  "the query parameter request", err);
}

static enum nabla_code read_media(struct api_call *call, enum loss_request_kind kind,
                                  struct loss_array arrays[IN_COUNT], struct problems *problems,
                                  struct loss_request *ret, struct nabla_error *err)
{
    if (call->content == MEDIA_NPY)
        return read_npy(call, kind, arrays, problems, ret, err);
    if (call_query(call, "request") || call_query(call, "input"))
        return nabla_fail(err, NABLA_MALFORMED, NULL,
                          "the query parameters request and input belong to a body of %s",
                          media_name(MEDIA_NPY));
    if (call->content == MEDIA_SAFETENSORS)
        return read_safetensors(call, kind, arrays, problems, ret, err);
    return read_json(call, kind, arrays, problems, ret, err);
}

enum nabla_code loss_request_read(struct api_call *call, enum loss_request_kind kind,
                                  struct problems *problems, struct loss_request *ret,
                                  struct nabla_error *err)
{
    struct loss_array arrays[IN_COUNT] = {0};
    *ret = (struct loss_request){0};
    enum nabla_code code = read_media(call, kind, arrays, problems, ret, err);
    if (!code)
        code = loss_arrays_take(arrays, problems, ret, err);
    loss_arrays_free(arrays);
    return code;
}

// "/labels/0/2" of the one row is "/labels/2" of the request.
void loss_request_place(const struct loss_request *request, struct nabla_error *err)
{
    static const char *const shaped[] = {"/labels/0", "/logits/0", "/probabilities/0"};
    for (size_t i = 0; request->is_flat && i < sizeof shaped / sizeof *shaped; i++) {
        size_t length = strlen(shaped[i]);
        if (strncmp(err->pointer, shaped[i], length) == 0 &&
            (err->pointer[length] == '/' || err->pointer[length] == '\0'))
            memmove(err->pointer + length - 2, err->pointer + length, strlen(err->pointer + length) + 1);
    }
}

void loss_request_free(struct loss_request *request)
{
    for (size_t i = 0; i < request->owned_count; i++)
        free(request->owned[i]);
}
