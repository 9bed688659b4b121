// Depth decides what labels are, never their values: one level shallower than the scores they are class ids,
// at the same depth they are targets. Numbers arrive as doubles and become what the kernels take in place.
#include "api/loss_request.h"

#include "api/document.h"
#include "api/fields.h"
#include "api/spec_decode.h"
#include "base/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum request_bulk {
    IN_LOGITS,
    IN_PROBABILITIES,
    IN_LABELS,
    IN_SAMPLE_WEIGHTS,
    IN_CLASS_WEIGHTS,
    IN_POS_WEIGHT,
    IN_COUNT
};

static const char *const bulk_pointers[IN_COUNT] = {
    [IN_LOGITS] = "/logits",
    [IN_PROBABILITIES] = "/probabilities",
    [IN_LABELS] = "/labels",
    [IN_SAMPLE_WEIGHTS] = "/sample_weights",
    [IN_CLASS_WEIGHTS] = "/loss/class_weights",
    [IN_POS_WEIGHT] = "/loss/pos_weight",
};

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
    if (kind == LOSS_ONE_CONVENTION)
        ret->loss.convention =
            (enum nabla_convention)choice_read(&root, "convention", (int)NABLA_EXACT, &convention_choice);
    ret->batch.dtype = (enum nabla_dtype)choice_read(&root, "dtype", (int)NABLA_FLOAT64, &dtypes);
    ret->returns = returns_read(&root);
    if (ret->loss.reduction == NABLA_NONE)
        ret->returns |= RETURN_PER_SAMPLE;
    for (size_t i = 0; i < IN_CLASS_WEIGHTS; i++)
        fields_value(&root, bulk_pointers[i] + 1);
    fields_end(&root);
}

// ---- the bulk ----

static double *bulk_take(struct bulk *bulk)
{
    double *values = bulk->values;
    bulk->values = NULL;
    return values;
}

// Rounds doubles to floats in the same memory. memcpy, because the two share it.
static void *round_in_place(double *values, size_t count, enum nabla_dtype dtype)
{
    char *bytes = (char *)values;
    for (size_t i = 0; dtype == NABLA_FLOAT32 && i < count; i++) {
        double wide;
        memcpy(&wide, bytes + i * sizeof wide, sizeof wide);
        float narrow = (float)wide;
        memcpy(bytes + i * sizeof narrow, &narrow, sizeof narrow);
    }
    return values;
}

static bool scores_take(struct bulk *bulks, struct problems *problems, struct loss_request *ret)
{
    bool logits = bulks[IN_LOGITS].shape != BULK_ABSENT;
    if (logits == (bulks[IN_PROBABILITIES].shape != BULK_ABSENT)) {
        problems_add(problems, logits ? "/probabilities" : "/logits",
                     "exactly one of logits and probabilities is needed");
        return false;
    }
    struct bulk *bulk = &bulks[logits ? IN_LOGITS : IN_PROBABILITIES];
    ret->loss.input = logits ? NABLA_LOGITS : NABLA_PROBABILITIES;
    if (bulk->shape != BULK_LIST && bulk->shape != BULK_ROWS) {
        problems_add(problems, bulk->pointer, "must be a list of rows of numbers, or one flat row");
        return false;
    }
    ret->is_flat = bulk->shape == BULK_LIST;
    ret->batch.rows = ret->is_flat ? 1 : bulk->rows;
    ret->batch.classes = ret->is_flat ? bulk->rows : bulk->columns;
    if (ret->batch.classes == 0) {
        problems_add(problems, bulk->pointer, "must hold at least one number");
        return false;
    }
    ret->scores = round_in_place(bulk_take(bulk), ret->batch.rows * ret->batch.classes, ret->batch.dtype);
    ret->batch.scores = ret->scores;
    return true;
}

// 2^53: every id that a double holds exactly, with its neighbours.
static const double id_most = 9007199254740992.0;

static void ids_take(const struct bulk *bulk, struct problems *problems, struct loss_request *ret)
{
    ret->ids = size_alloc(bulk->rows, 1, sizeof *ret->ids);
    if (!ret->ids)
        return;
    for (size_t i = 0; i < bulk->rows; i++) {
        char pointer[64];
        double value = bulk->values[i];
        if (value == floor(value) && fabs(value) <= id_most) {
            ret->ids[i] = (int64_t)value;
            continue;
        }
        snprintf(pointer, sizeof pointer, ret->is_flat ? "/labels" : "/labels/%zu", i);
        problems_add(problems, pointer,
                     "the label %g of row %zu is not a whole number: one level shallower than the scores, "
                     "labels are class ids (targets have the scores' depth)",
                     value, i);
    }
    ret->batch.ids = ret->ids;
}

static void targets_take(struct bulk *bulk, struct loss_request *ret)
{
    ret->targets = round_in_place(bulk_take(bulk), ret->batch.rows * ret->batch.classes, ret->batch.dtype);
    ret->batch.targets = ret->targets;
}

static void labels_take_flat(struct bulk *bulk, struct problems *problems, struct loss_request *ret)
{
    if (bulk->shape == BULK_SCALAR)
        ids_take(bulk, problems, ret);
    else if (bulk->shape == BULK_LIST && bulk->rows == ret->batch.classes)
        targets_take(bulk, ret);
    else
        problems_add(problems, "/labels",
                     "for one flat row must be one class id, or a list of %zu targets, one a class",
                     ret->batch.classes);
}

static void labels_take_rows(struct bulk *bulk, struct problems *problems, struct loss_request *ret)
{
    size_t rows = ret->batch.rows, classes = ret->batch.classes;
    bool fits = bulk->rows == rows && (bulk->shape == BULK_LIST || bulk->columns == classes);
    if (bulk->shape != BULK_LIST && bulk->shape != BULK_ROWS)
        problems_add(problems, "/labels", "must be a list of %zu class ids, or %zu rows of %zu targets", rows,
                     rows, classes);
    else if (!fits && bulk->shape == BULK_LIST)
        problems_add(problems, "/labels", "has %zu class ids where the scores have %zu rows", bulk->rows,
                     rows);
    else if (!fits)
        problems_add(problems, "/labels", "has %zu rows of %zu targets where the scores have %zu rows of %zu",
                     bulk->rows, bulk->columns, rows, classes);
    else if (bulk->shape == BULK_LIST)
        ids_take(bulk, problems, ret);
    else
        targets_take(bulk, ret);
}

static void labels_take(struct bulk *bulk, struct problems *problems, struct loss_request *ret)
{
    if (bulk->shape == BULK_ABSENT)
        problems_add(problems, "/labels", "is needed: class ids or targets");
    else if (ret->is_flat)
        labels_take_flat(bulk, problems, ret);
    else
        labels_take_rows(bulk, problems, ret);
}

// A list of `count` weights; NULL where there is none or it is wrong.
static double *weights_take(struct bulk *bulk, size_t count, const char *each, struct problems *problems)
{
    if (bulk->shape == BULK_ABSENT)
        return NULL;
    if (bulk->shape == BULK_LIST && bulk->rows == count)
        return bulk_take(bulk);
    if (bulk->shape == BULK_LIST)
        problems_add(problems, bulk->pointer, "has %zu numbers; it needs %zu, one for each %s", bulk->rows,
                     count, each);
    else
        problems_add(problems, bulk->pointer, "must be a list of %zu numbers, one for each %s", count, each);
    return NULL;
}

static void bulk_decode(struct bulk *bulks, struct problems *problems, struct loss_request *ret)
{
    if (!scores_take(bulks, problems, ret))
        return;
    labels_take(&bulks[IN_LABELS], problems, ret);
    ret->sample_weights = weights_take(&bulks[IN_SAMPLE_WEIGHTS], ret->batch.rows, "row", problems);
    ret->class_weights = weights_take(&bulks[IN_CLASS_WEIGHTS], ret->batch.classes, "class", problems);
    ret->pos_weight = weights_take(&bulks[IN_POS_WEIGHT], ret->batch.classes, "class", problems);
    ret->batch.sample_weights = ret->sample_weights;
    ret->loss.class_weights = ret->class_weights;
    ret->loss.pos_weight = ret->pos_weight;
}

enum nabla_code loss_request_read(const struct api_call *call, enum loss_request_kind kind,
                                  struct problems *problems, struct loss_request *ret,
                                  struct nabla_error *err)
{
    struct bulk bulks[IN_COUNT];
    json_t *document;
    *ret = (struct loss_request){0};
    for (size_t i = 0; i < IN_COUNT; i++)
        bulks[i] = (struct bulk){.pointer = bulk_pointers[i]};
    enum nabla_code code =
        document_read(call->body.data, call->body.size, call->api->options.limits.document_bytes, bulks,
                      IN_COUNT, &document, err);
    if (code)
        return code;
    options_read(document, kind, problems, ret);
    bulk_decode(bulks, problems, ret);
    if (problems->count == 0 && !ret->ids && !ret->targets)
        code = nabla_fail_memory(err, "the labels");
    json_decref(document);
    bulk_free(bulks, IN_COUNT);
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
    free(request->scores);
    free(request->targets);
    free(request->ids);
    free(request->sample_weights);
    free(request->class_weights);
    free(request->pos_weight);
}
