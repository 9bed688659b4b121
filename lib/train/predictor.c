#include "train/predictor.h"

#include "base/size.h"
#include "data/impute.h"
#include "data/standardize.h"
#include "math/loss_row.h"
#include "math/matrix.h"
#include "train/model.h"
#include "train/network.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_AT_ONCE = 128 };

struct predictor {
    struct train_spec spec; // its lists are the caller's
    struct network *network;
    struct model *model;
    float *imputed;                   // or NULL
    struct standardizer standardizer; // mean NULL where nothing is standardised
    enum task task;
    int64_t *ids;   // zeros: the loss wants labels to make probabilities,
    float *targets; // or targets
    float *shares;  // probabilities of the second of two classes
};

static enum nabla_code copy_standardizer(struct predictor *predictor, const struct safetensors *file,
                                         struct nabla_error *err)
{
    const size_t columns = predictor->network->inputs;
    const struct tensor *mean = safetensors_find(file, "standardize.mean"),
                        *scale = safetensors_find(file, "standardize.scale");
    if (!mean && !scale)
        return NABLA_OK;
    if (!mean || !scale || mean->dtype != TENSOR_F32 || scale->dtype != TENSOR_F32 ||
        mean->elements != columns || scale->elements != columns)
        return nabla_fail(err, NABLA_INVALID, "/standardize.mean",
                          "standardize.mean and standardize.scale must be %zu numbers of F32 each", columns);
    struct standardizer *to = &predictor->standardizer;
    to->columns = columns;
    to->mean = size_alloc(columns, 1, sizeof *to->mean);
    to->scale = size_alloc(columns, 1, sizeof *to->scale);
    if (!to->mean || !to->scale)
        return nabla_fail_memory(err, "a model's standardisation");
    memcpy(to->mean, mean->data, mean->bytes);
    memcpy(to->scale, scale->data, scale->bytes);
    return NABLA_OK;
}

static enum nabla_code copy_imputed(struct predictor *predictor, const struct safetensors *file,
                                    struct nabla_error *err)
{
    const size_t columns = predictor->network->inputs;
    const struct tensor *value = safetensors_find(file, "impute.value");
    if (!value)
        return NABLA_OK;
    if (value->dtype != TENSOR_F32 || value->elements != columns)
        return nabla_fail(err, NABLA_INVALID, "/impute.value", "impute.value must be %zu numbers of F32",
                          columns);
    predictor->imputed = size_alloc(columns, 1, sizeof *predictor->imputed);
    if (!predictor->imputed)
        return nabla_fail_memory(err, "what a model puts for missing values");
    memcpy(predictor->imputed, value->data, value->bytes);
    return NABLA_OK;
}

static enum nabla_code build(struct predictor *predictor, size_t columns, const struct safetensors *file,
                             struct nabla_error *err)
{
    enum nabla_code code = network_new(&predictor->spec, columns, ROWS_AT_ONCE, &predictor->network, err);
    if (!code)
        code = model_new(predictor->network, NULL, &predictor->model, err);
    if (!code)
        code = model_take(predictor->model, file, err);
    if (!code)
        code = copy_imputed(predictor, file, err);
    if (!code)
        code = copy_standardizer(predictor, file, err);
    if (code)
        return code;
    predictor->ids = size_alloc(ROWS_AT_ONCE, 1, sizeof *predictor->ids);
    predictor->targets = size_alloc(ROWS_AT_ONCE, predictor->network->outputs, sizeof *predictor->targets);
    predictor->shares = size_alloc(ROWS_AT_ONCE, 1, sizeof *predictor->shares);
    return predictor->ids && predictor->targets && predictor->shares
               ? NABLA_OK
               : nabla_fail_memory(err, "a batch of labels");
}

enum nabla_code predictor_new(const struct train_spec *spec, enum task task, size_t columns,
                              const struct safetensors *file, struct predictor **ret, struct nabla_error *err)
{
    struct predictor *predictor = calloc(1, sizeof *predictor);
    if (!predictor)
        return nabla_fail_memory(err, "a predictor");
    predictor->spec = *spec;
    predictor->spec.early_stopping.active = false; // nothing is kept for it
    predictor->task = task;
    predictor->spec.optimizer = optimizer_defaults(OPTIMIZER_SGD); // which keeps the least
    enum nabla_code code = build(predictor, columns, file, err);
    if (code) {
        predictor_free(predictor);
        return code;
    }
    *ret = predictor;
    return NABLA_OK;
}

void predictor_free(struct predictor *predictor)
{
    if (!predictor)
        return;
    free(predictor->shares);
    free(predictor->imputed);
    free(predictor->targets);
    free(predictor->ids);
    standardizer_free(&predictor->standardizer);
    model_free(predictor->model);
    network_free(predictor->network);
    free(predictor);
}

size_t predictor_outputs(const struct predictor *predictor)
{
    return predictor->network->outputs;
}

static void gather(const struct predictor *predictor, const float *features, size_t rows)
{
    const size_t columns = predictor->network->inputs;
    float *input = predictor->network->input;
    memcpy(input, features, rows * columns * sizeof *features);
    if (predictor->imputed)
        impute_apply(predictor->imputed, columns, input, rows);
    if (predictor->standardizer.mean)
        standardizer_apply(&predictor->standardizer, input, rows);
}

size_t predictor_probabilities(const struct predictor *predictor)
{
    const size_t outputs = predictor->network->outputs;
    return predictor->task == TASK_REGRESSION ? 0 : predictor->task == TASK_BINARY ? 2 : outputs;
}

static enum nabla_code squash(const struct predictor *predictor, const float *outputs, size_t rows,
                              float *ret, struct nabla_error *err)
{
    const bool is_binary = task_is_binary(predictor->task) || loss_kernels[predictor->spec.loss.type].binary;
    struct nabla_loss loss =
        nabla_loss_defaults(is_binary ? NABLA_BINARY_CROSS_ENTROPY : NABLA_CROSS_ENTROPY);
    loss.softcap = predictor->spec.loss.softcap;
    loss.temperature = predictor->spec.loss.temperature;
    const struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT32,
                                           .rows = rows,
                                           .classes = predictor->network->outputs,
                                           .scores = outputs,
                                           .ids = is_binary ? NULL : predictor->ids,
                                           .targets = is_binary ? predictor->targets : NULL};
    struct nabla_loss_result result = {.probabilities = ret};
    return nabla_loss_compute(&loss, &batch, &result, err);
}

static enum nabla_code find_probabilities(const struct predictor *predictor, const float *outputs,
                                          size_t rows, float *ret, struct nabla_error *err)
{
    if (predictor->task != TASK_BINARY)
        return squash(predictor, outputs, rows, ret, err);
    enum nabla_code code = squash(predictor, outputs, rows, predictor->shares, err);
    for (size_t i = 0; i < rows; i++) {
        ret[2 * i] = 1 - predictor->shares[i];
        ret[2 * i + 1] = predictor->shares[i];
    }
    return code;
}

enum nabla_code predictor_run(struct predictor *predictor, const float *features, size_t rows, float *outputs,
                              float *probabilities, struct nabla_error *err)
{
    const size_t columns = predictor->network->inputs, width = predictor->network->outputs;
    const size_t shares = predictor_probabilities(predictor);
    enum nabla_code code = NABLA_OK;
    for (size_t first = 0; first < rows && !code; first += ROWS_AT_ONCE) {
        const size_t count = rows - first < ROWS_AT_ONCE ? rows - first : ROWS_AT_ONCE;
        gather(predictor, features + first * columns, count);
        const float *scores = network_forward(predictor->network, count, NETWORK_INFER);
        memcpy(outputs + first * width, scores, count * width * sizeof *outputs);
        if (shares > 0)
            code = find_probabilities(predictor, scores, count, probabilities + first * shares, err);
    }
    return code;
}
