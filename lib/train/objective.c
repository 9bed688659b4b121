#include "train/objective.h"

#include "base/size.h"
#include "math/loss_row.h"

#include <math.h>
#include <stdlib.h>

static bool allocate(struct objective *objective, const struct train_data *data, size_t rows)
{
    const struct dataset *source = data->source;
    objective->labels.ids = source->ids ? size_alloc(rows, 1, sizeof *objective->labels.ids) : NULL;
    objective->labels.targets =
        source->targets ? size_alloc(rows, source->outputs, sizeof *objective->labels.targets) : NULL;
    objective->labels.weights =
        data->row_weights ? size_alloc(rows, 1, sizeof *objective->labels.weights) : NULL;
    if ((source->ids && !objective->labels.ids) || (source->targets && !objective->labels.targets) ||
        (data->row_weights && !objective->labels.weights))
        return false;
    if (objective->loss.input == NABLA_LOGITS)
        return true;
    objective->probabilities = size_alloc(rows, objective->outputs, sizeof *objective->probabilities);
    objective->nothing = size_alloc(rows, 1, sizeof *objective->nothing);
    return objective->probabilities && objective->nothing;
}

enum nabla_code objective_new(const struct train_spec *spec, const struct train_data *data, size_t rows_max,
                              struct objective **ret, struct nabla_error *err)
{
    struct objective *objective = calloc(1, sizeof *objective);
    if (!objective)
        return nabla_fail_memory(err, "the loss");
    objective->task = spec_task(spec, data->source);
    objective->outputs = task_outputs(objective->task, data->source);
    objective->loss = spec->loss;
    objective->loss.class_weights = data->class_weights;
    if (!allocate(objective, data, rows_max)) {
        objective_free(objective);
        return nabla_fail_memory(err, "a batch of labels");
    }
    *ret = objective;
    return NABLA_OK;
}

void objective_free(struct objective *objective)
{
    if (!objective)
        return;
    free(objective->labels.ids);
    free(objective->labels.targets);
    free(objective->labels.weights);
    free(objective->probabilities);
    free(objective->nothing);
    free(objective);
}

// The loss module's own softmax or sigmoid.
static enum nabla_code make_probabilities(struct objective *objective, const float *scores, size_t rows,
                                          struct nabla_error *err)
{
    const bool binary = loss_kernels[objective->loss.type].binary;
    const struct nabla_loss link =
        nabla_loss_defaults(binary ? NABLA_BINARY_CROSS_ENTROPY : NABLA_CROSS_ENTROPY);
    const struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT32,
                                           .rows = rows,
                                           .classes = objective->outputs,
                                           .scores = scores,
                                           .ids = objective->nothing};
    struct nabla_loss_result result = {.probabilities = objective->probabilities};
    return nabla_loss_compute(&link, &batch, &result, err);
}

// A single output or one of several labels is right or wrong by itself, as Keras' binary_accuracy has it.
static void count_entries(const struct objective *objective, const float *scores, size_t rows,
                          struct objective_value *ret)
{
    const size_t outputs = objective->outputs;
    size_t right = 0;
    for (size_t i = 0; i < rows * outputs; i++) {
        const bool is = objective->labels.targets ? objective->labels.targets[i] > 0.5F
                                                  : objective->labels.ids[i / outputs] == 1;
        right += !isnan(scores[i]) && (scores[i] > 0) == is;
    }
    ret->right = (double)right;
    ret->counted = (double)(rows * outputs);
}

static void count_rights(const struct objective *objective, const float *scores, size_t rows,
                         const struct nabla_loss_result *result, struct objective_value *ret)
{
    if (task_is_binary(objective->task))
        count_entries(objective, scores, rows, ret);
    else if (task_has_classes(objective->task) && result->rows_counted > 0) {
        ret->counted = (double)result->rows_counted;
        ret->right = result->accuracy * ret->counted;
    }
}

enum nabla_code objective_compute(struct objective *objective, const float *scores, size_t rows,
                                  float *gradient, struct objective_value *ret, struct nabla_error *err)
{
    const bool from_logits = objective->loss.input == NABLA_LOGITS;
    enum nabla_code code = from_logits ? NABLA_OK : make_probabilities(objective, scores, rows, err);
    if (code != NABLA_OK)
        return code;
    const struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT32,
                                           .rows = rows,
                                           .classes = objective->outputs,
                                           .scores = from_logits ? scores : objective->probabilities,
                                           .ids = objective->labels.ids,
                                           .targets = objective->labels.targets,
                                           .sample_weights = objective->labels.weights};
    struct nabla_loss_result result = {0};
    if (from_logits)
        result.gradient = gradient;
    else
        result.gradient_logits = gradient;
    code = nabla_loss_compute(&objective->loss, &batch, &result, err);
    if (code != NABLA_OK)
        return code;
    *ret = (struct objective_value){
        .loss = result.loss, .weight = objective->loss.reduction == NABLA_MEAN ? result.denominator : 1};
    count_rights(objective, scores, rows, &result, ret);
    return NABLA_OK;
}

double objective_accuracy(const struct objective_value *value)
{
    return value->counted > 0 ? value->right / value->counted : NAN;
}

void objective_join(const struct objective *objective, struct objective_value *sum,
                    const struct objective_value *batch)
{
    const bool mean = objective->loss.reduction == NABLA_MEAN;
    const double weight = sum->weight + batch->weight;
    if (!mean)
        sum->loss += batch->loss;
    else if (batch->weight > 0)
        sum->loss = (sum->loss * sum->weight + batch->loss * batch->weight) / weight;
    sum->weight = weight;
    sum->right += batch->right;
    sum->counted += batch->counted;
}
