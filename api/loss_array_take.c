// Depth decides what labels are, never their values: one level shallower than the scores they are class ids,
// at the same depth they are targets. A tensor's dtype must say the same: ids are whole numbers, targets are
// not. What has the wrong width is converted, in place where that is possible.
#include "api/loss_array.h"

#include "base/size.h"
#include "data/tensor_dtype.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct taking {
    struct loss_array *arrays;
    struct problems *problems;
    struct loss_request *ret;
    bool no_memory;
};

static bool is_float(enum tensor_dtype dtype)
{
    return dtype == TENSOR_F32 || dtype == TENSOR_F64;
}

static const char *dtype_name(const struct loss_array *array)
{
    return tensor_dtypes[array->dtype].name;
}

// A tensor of too many dimensions: the problem was told where it was read.
static bool is_misshapen(const struct loss_array *array)
{
    return array->is_tensor && array->shape == BULK_OTHER;
}

// Whether a tensor holds floats; a problem is told where it does not. JSON's numbers always do.
static bool floats_expected(struct taking *taking, enum loss_array_name name)
{
    const struct loss_array *array = &taking->arrays[name];
    if (is_float(array->dtype))
        return true;
    problems_add(taking->problems, loss_array_places[name].pointer, "has the dtype %s; it must be F32 or F64",
                 dtype_name(array));
    return false;
}

// ---- elements ----

static void *keep(struct taking *taking, void *values)
{
    if (values)
        taking->ret->owned[taking->ret->owned_count++] = values;
    else
        taking->no_memory = true;
    return values;
}

// The array's values, which are the request's from now on.
static void *hand_over(struct taking *taking, struct loss_array *array)
{
    if (array->is_owned)
        keep(taking, array->values);
    array->is_owned = false;
    return array->values;
}

// Rounds doubles to floats. memcpy, because the two may share their memory.
static void round_doubles(char *to, const char *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double wide;
        memcpy(&wide, from + i * sizeof wide, sizeof wide);
        float narrow = (float)wide;
        memcpy(to + i * sizeof narrow, &narrow, sizeof narrow);
    }
}

static void widen_floats(double *to, const float *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (double)from[i];
}

// An array of floats, in the width that is wanted.
static void *floats_take(struct taking *taking, enum loss_array_name name, enum nabla_dtype wanted)
{
    struct loss_array *array = &taking->arrays[name];
    size_t count = array->rows * array->columns;
    bool is_narrow = array->dtype == TENSOR_F32;
    if (is_narrow == (wanted == NABLA_FLOAT32))
        return hand_over(taking, array);
    if (!is_narrow && array->is_owned) {
        round_doubles(array->values, array->values, count);
        return hand_over(taking, array);
    }
    void *converted = keep(taking, size_alloc(count, 1, is_narrow ? sizeof(double) : sizeof(float)));
    if (converted && is_narrow)
        widen_floats(converted, array->values, count);
    else if (converted)
        round_doubles(converted, array->values, count);
    return converted;
}

// ---- scores ----

// Exactly one of the two; IN_COUNT with the problem told otherwise.
static enum loss_array_name scores_choose(struct taking *taking)
{
    bool logits = taking->arrays[IN_LOGITS].shape != BULK_ABSENT;
    if (logits != (taking->arrays[IN_PROBABILITIES].shape != BULK_ABSENT))
        return logits ? IN_LOGITS : IN_PROBABILITIES;
    problems_add(taking->problems, loss_array_places[logits ? IN_PROBABILITIES : IN_LOGITS].pointer,
                 "exactly one of logits and probabilities is needed");
    return IN_COUNT;
}

// A tensor's dtype is the request's; naming another one is a contradiction.
static void dtype_choose(struct taking *taking, const struct loss_array *scores)
{
    enum nabla_dtype own = scores->dtype == TENSOR_F32 ? NABLA_FLOAT32 : NABLA_FLOAT64;
    struct nabla_loss_batch *batch = &taking->ret->batch;
    if (!scores->is_tensor)
        return;
    if (taking->ret->names_dtype && batch->dtype != own)
        problems_add(taking->problems, "/dtype",
                     "the scores are a tensor of %s, whose dtype is kept: leave it out", dtype_name(scores));
    batch->dtype = own;
}

static bool scores_take(struct taking *taking)
{
    struct loss_request *ret = taking->ret;
    enum loss_array_name name = scores_choose(taking);
    if (name == IN_COUNT)
        return false;
    const struct loss_array *array = &taking->arrays[name];
    const char *pointer = loss_array_places[name].pointer;
    ret->loss.input = name == IN_LOGITS ? NABLA_LOGITS : NABLA_PROBABILITIES;
    if (is_misshapen(array))
        return false;
    if (array->shape != BULK_LIST && array->shape != BULK_ROWS) {
        problems_add(taking->problems, pointer, "must be a list of rows of numbers, or one flat row");
        return false;
    }
    if (!floats_expected(taking, name))
        return false;
    ret->is_flat = array->shape == BULK_LIST;
    ret->batch.rows = ret->is_flat ? 1 : array->rows;
    ret->batch.classes = ret->is_flat ? array->rows : array->columns;
    if (ret->batch.classes == 0 || ret->batch.rows == 0) {
        problems_add(taking->problems, pointer, "must hold at least one number");
        return false;
    }
    dtype_choose(taking, array);
    ret->scores = floats_take(taking, name, ret->batch.dtype);
    ret->batch.scores = ret->scores;
    return true;
}

// ---- labels ----

// 2^53: every id that a double holds exactly, with its neighbours.
static const double id_most = 9007199254740992.0;

static void ids_from_doubles(struct taking *taking, const double *values, size_t count)
{
    struct loss_request *ret = taking->ret;
    for (size_t i = 0; i < count; i++) {
        char pointer[64];
        double value = values[i];
        if (value == floor(value) && fabs(value) <= id_most) {
            ret->ids[i] = (int64_t)value;
            continue;
        }
        snprintf(pointer, sizeof pointer, ret->is_flat ? "/labels" : "/labels/%zu", i);
        problems_add(taking->problems, pointer,
                     "the label %g of row %zu is not a whole number: one level shallower than the scores, "
                     "labels are class ids (targets have the scores' depth)",
                     value, i);
    }
}

static void ids_widen(const struct loss_array *array, int64_t *ret)
{
    for (size_t i = 0; i < array->rows; i++)
        ret[i] = array->dtype == TENSOR_I32 ? ((const int32_t *)array->values)[i]
                                            : ((const uint8_t *)array->values)[i];
}

static void ids_take(struct taking *taking)
{
    struct loss_array *array = &taking->arrays[IN_LABELS];
    struct loss_request *ret = taking->ret;
    bool as_is = array->dtype == TENSOR_I64;
    ret->ids = as_is ? hand_over(taking, array) : keep(taking, size_alloc(array->rows, 1, sizeof *ret->ids));
    ret->batch.ids = ret->ids;
    if (as_is || !ret->ids)
        return;
    if (array->dtype == TENSOR_F64)
        ids_from_doubles(taking, array->values, array->rows);
    else
        ids_widen(array, ret->ids);
}

static void targets_take(struct taking *taking)
{
    taking->ret->targets = floats_take(taking, IN_LABELS, taking->ret->batch.dtype);
    taking->ret->batch.targets = taking->ret->targets;
}

// The labels have the depth of ids, or of targets.
static void labels_take_as(struct taking *taking, bool are_ids)
{
    const struct loss_array *array = &taking->arrays[IN_LABELS];
    if (array->is_tensor && are_ids == is_float(array->dtype))
        problems_add(taking->problems, "/labels",
                     are_ids
                         ? "is one dimension less than the scores, so it holds class ids, but its dtype is "
                           "%s; ids are I64, I32 or U8"
                         : "has as many dimensions as the scores, so it holds targets, but its dtype is %s; "
                           "targets are F32 or F64",
                     dtype_name(array));
    else if (are_ids)
        ids_take(taking);
    else
        targets_take(taking);
}

static void labels_take_flat(struct taking *taking)
{
    const struct loss_array *array = &taking->arrays[IN_LABELS];
    size_t classes = taking->ret->batch.classes;
    if (array->shape == BULK_SCALAR || (array->shape == BULK_LIST && array->rows == classes))
        labels_take_as(taking, array->shape == BULK_SCALAR);
    else
        problems_add(taking->problems, "/labels",
                     "for one flat row must be one class id, or a list of %zu targets, one a class", classes);
}

static void labels_take_rows(struct taking *taking)
{
    const struct loss_array *array = &taking->arrays[IN_LABELS];
    size_t rows = taking->ret->batch.rows, classes = taking->ret->batch.classes;
    bool fits = array->rows == rows && (array->shape == BULK_LIST || array->columns == classes);
    if (array->shape != BULK_LIST && array->shape != BULK_ROWS)
        problems_add(taking->problems, "/labels",
                     "must be a list of %zu class ids, or %zu rows of %zu targets", rows, rows, classes);
    else if (!fits && array->shape == BULK_LIST)
        problems_add(taking->problems, "/labels", "has %zu class ids where the scores have %zu rows",
                     array->rows, rows);
    else if (!fits)
        problems_add(taking->problems, "/labels",
                     "has %zu rows of %zu targets where the scores have %zu rows of %zu", array->rows,
                     array->columns, rows, classes);
    else
        labels_take_as(taking, array->shape == BULK_LIST);
}

static void labels_take(struct taking *taking)
{
    if (is_misshapen(&taking->arrays[IN_LABELS]))
        return;
    if (taking->arrays[IN_LABELS].shape == BULK_ABSENT)
        problems_add(taking->problems, "/labels", "is needed: class ids or targets");
    else if (taking->ret->is_flat)
        labels_take_flat(taking);
    else
        labels_take_rows(taking);
}

// ---- weights ----

// A list of `count` weights; NULL where there is none or it is wrong.
static double *weights_take(struct taking *taking, enum loss_array_name name, size_t count, const char *each)
{
    const struct loss_array *array = &taking->arrays[name];
    const char *pointer = loss_array_places[name].pointer;
    if (array->shape == BULK_ABSENT || is_misshapen(array))
        return NULL;
    if (array->shape != BULK_LIST)
        problems_add(taking->problems, pointer, "must be a list of %zu numbers, one for each %s", count,
                     each);
    else if (array->rows != count)
        problems_add(taking->problems, pointer, "has %zu numbers; it needs %zu, one for each %s", array->rows,
                     count, each);
    else if (floats_expected(taking, name))
        return floats_take(taking, name, NABLA_FLOAT64);
    return NULL;
}

enum nabla_code loss_arrays_take(struct loss_array arrays[IN_COUNT], struct problems *problems,
                                 struct loss_request *ret, struct nabla_error *err)
{
    struct taking taking = {.arrays = arrays, .problems = problems, .ret = ret};
    if (scores_take(&taking)) {
        labels_take(&taking);
        ret->sample_weights = weights_take(&taking, IN_SAMPLE_WEIGHTS, ret->batch.rows, "row");
        ret->class_weights = weights_take(&taking, IN_CLASS_WEIGHTS, ret->batch.classes, "class");
        ret->pos_weight = weights_take(&taking, IN_POS_WEIGHT, ret->batch.classes, "class");
        ret->batch.sample_weights = ret->sample_weights;
        ret->loss.class_weights = ret->class_weights;
        ret->loss.pos_weight = ret->pos_weight;
    }
    return taking.no_memory ? nabla_fail_memory(err, "the arrays of the request") : NABLA_OK;
}
_Static_assert((int)IN_COUNT == (int)LOSS_ARRAYS_MAX, "each array may be owned once");
