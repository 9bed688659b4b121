// A row is judged by a batch of its own, so that the library's warnings about the batch are about the row:
// whether it is right, clipped or vanished is decided in one place, there.
#include "api/loss_verdict.h"

#include "base/size.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static const char *const fate_names[] = {[FATE_KEPT] = "kept",
                                         [FATE_LOST] = "lost",
                                         [FATE_SATURATED] = "saturated",
                                         [FATE_IGNORED] = "ignored",
                                         [FATE_UNDEFINED] = "undefined"};
static_assert(sizeof fate_names / sizeof *fate_names == FATE_COUNT, "every fate has a name");

const char *loss_fate_name(enum loss_fate fate)
{
    return fate_names[fate];
}

static size_t entry_size(const struct loss_request *request)
{
    return request->batch.dtype == NABLA_FLOAT32 ? sizeof(float) : sizeof(double);
}

enum nabla_code loss_judge_make(const struct loss_request *request, struct loss_judge *ret,
                                struct nabla_error *err)
{
    ret->request = request;
    ret->gradient = size_alloc(request->batch.classes, 1, entry_size(request));
    return ret->gradient ? NABLA_OK : nabla_fail_memory(err, "a row's gradient");
}

void loss_judge_free(struct loss_judge *judge)
{
    free(judge->gradient);
}

// NaN as soon as there is one.
static double largest_magnitude(const struct loss_judge *judge)
{
    double largest = 0;
    for (size_t j = 0; j < judge->request->batch.classes; j++) {
        double value = judge->request->batch.dtype == NABLA_FLOAT32 ? (double)((float *)judge->gradient)[j]
                                                                    : ((double *)judge->gradient)[j];
        if (isnan(value))
            return NAN;
        largest = fmax(largest, fabs(value));
    }
    return largest;
}

static struct nabla_loss_batch batch_of_row(const struct nabla_loss_batch *batch, size_t row, size_t width)
{
    size_t offset = row * batch->classes * width;
    return (struct nabla_loss_batch){.dtype = batch->dtype,
                                     .rows = 1,
                                     .classes = batch->classes,
                                     .scores = (const char *)batch->scores + offset,
                                     .ids = batch->ids ? batch->ids + row : NULL,
                                     .targets =
                                         batch->targets ? (const char *)batch->targets + offset : NULL};
}

// Losses so small that their gradient may be 0 as well.
#define NEGLIGIBLE_LOSS 1e-6
#define TINY_GRADIENT   1e-7

static enum loss_fate fate_of(const struct nabla_loss_result *result, double largest)
{
    const struct nabla_warning *warnings = result->warnings;
    if (result->rows_counted == 0)
        return FATE_IGNORED;
    if (!isfinite(largest) || warnings[NABLA_WARN_NONFINITE_LOGIT].count > 0)
        return FATE_UNDEFINED;
    if (warnings[NABLA_WARN_SATURATED_CORRECT].count > 0 ||
        (largest < TINY_GRADIENT && result->loss < NEGLIGIBLE_LOSS))
        return FATE_SATURATED;
    return largest == 0 || warnings[NABLA_WARN_GRADIENT_VANISHED].count > 0 ? FATE_LOST : FATE_KEPT;
}

enum nabla_code loss_judge_row(const struct loss_judge *judge, size_t row, struct loss_verdict *ret,
                               struct nabla_error *err)
{
    const struct loss_request *request = judge->request;
    const double *weights = request->batch.sample_weights;
    struct nabla_loss loss = request->loss;
    struct nabla_loss_batch batch = batch_of_row(&request->batch, row, entry_size(request));
    struct nabla_warning warnings[NABLA_WARNING_COUNT];
    struct nabla_loss_result result = {.warnings = warnings};
    loss.reduction = NABLA_NONE;
    if (loss.input == NABLA_LOGITS)
        result.gradient = judge->gradient;
    else
        result.gradient_logits = judge->gradient;
    enum nabla_code code = nabla_loss_compute(&loss, &batch, &result, err);
    if (code)
        return code;
    ret->largest = largest_magnitude(judge);
    ret->fate = weights && weights[row] == 0 ? FATE_IGNORED : fate_of(&result, ret->largest);
    return NABLA_OK;
}
