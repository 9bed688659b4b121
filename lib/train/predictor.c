#include "train/predictor.h"

#include "base/size.h"
#include "data/standardize.h"
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
    struct standardizer standardizer; // mean NULL where nothing is standardised
    int64_t *ids;                     // zeros: the loss wants labels to make probabilities
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

static enum nabla_code build(struct predictor *predictor, size_t columns, const struct safetensors *file,
                             struct nabla_error *err)
{
    enum nabla_code code = network_new(&predictor->spec, columns, ROWS_AT_ONCE, &predictor->network, err);
    if (!code)
        code = model_new(predictor->network, NULL, &predictor->model, err);
    if (!code)
        code = model_take(predictor->model, file, err);
    if (!code)
        code = copy_standardizer(predictor, file, err);
    if (code)
        return code;
    predictor->ids = size_alloc(ROWS_AT_ONCE, 1, sizeof *predictor->ids);
    return predictor->ids ? NABLA_OK : nabla_fail_memory(err, "a batch of labels");
}

enum nabla_code predictor_new(const struct train_spec *spec, size_t columns, const struct safetensors *file,
                              struct predictor **ret, struct nabla_error *err)
{
    matrix_use_one_thread();
    struct predictor *predictor = calloc(1, sizeof *predictor);
    if (!predictor)
        return nabla_fail_memory(err, "a predictor");
    predictor->spec = *spec;
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
    struct dataset batch = {.rows = rows, .columns = columns, .features = predictor->network->input};
    memcpy(batch.features, features, rows * columns * sizeof *features);
    if (predictor->standardizer.mean)
        standardizer_apply(&predictor->standardizer, &batch);
}

static enum nabla_code find_probabilities(const struct predictor *predictor, const float *outputs,
                                          size_t rows, float *ret, struct nabla_error *err)
{
    const size_t classes = predictor->network->outputs;
    const struct nabla_loss *trained = &predictor->spec.loss;
    if (trained->input == NABLA_PROBABILITIES) {
        memcpy(ret, outputs, rows * classes * sizeof *ret);
        return NABLA_OK;
    }
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    loss.softcap = trained->softcap;
    loss.temperature = trained->temperature;
    const struct nabla_loss_batch batch = {
        .dtype = NABLA_FLOAT32, .rows = rows, .classes = classes, .scores = outputs, .ids = predictor->ids};
    struct nabla_loss_result result = {.probabilities = ret};
    return nabla_loss_compute(&loss, &batch, &result, err);
}

enum nabla_code predictor_run(struct predictor *predictor, const float *features, size_t rows, float *outputs,
                              float *probabilities, struct nabla_error *err)
{
    const size_t columns = predictor->network->inputs, width = predictor->network->outputs;
    enum nabla_code code = NABLA_OK;
    for (size_t first = 0; first < rows && !code; first += ROWS_AT_ONCE) {
        const size_t count = rows - first < ROWS_AT_ONCE ? rows - first : ROWS_AT_ONCE;
        gather(predictor, features + first * columns, count);
        const float *scores = network_forward(predictor->network, count, NETWORK_INFER);
        memcpy(outputs + first * width, scores, count * width * sizeof *outputs);
        if (probabilities)
            code = find_probabilities(predictor, scores, count, probabilities + first * width, err);
    }
    return code;
}
