#include "train/train_data.h"

#include "base/crew.h"
#include "base/size.h"
#include "train/spec_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static enum nabla_code impute(struct train_data *data, const struct train_spec *spec, struct dataset *copy,
                              struct nabla_error *err)
{
    enum nabla_code code = impute_fit(spec->missing, spec->missing_value, copy, data->split.train,
                                      data->split.train_count, &data->imputed, err);
    if (!code)
        impute_apply(data->imputed, copy->columns, copy->features, copy->rows);
    return code;
}

static enum nabla_code copy_features(struct train_data *data, const struct train_spec *spec,
                                     struct nabla_error *err)
{
    const struct dataset *source = data->source;
    data->features = size_alloc(source->rows, source->columns, sizeof *data->features);
    if (!data->features)
        return nabla_fail_memory(err, "the training data");
    memcpy(data->features, source->features, source->rows * source->columns * sizeof *data->features);
    struct dataset copy = *source; // everything but the features is the source's own
    copy.features = data->features;
    enum nabla_code code = NABLA_OK;
    if (spec->missing != MISSING_REFUSE)
        code = impute(data, spec, &copy, err);
    if (code || spec->scaling == SCALING_NONE)
        return code;
    code = standardizer_fit(spec->scaling, &copy, data->split.train, data->split.train_count,
                            &data->standardizer, err);
    if (code != NABLA_OK)
        return code;
    data->standardized = true;
    standardizer_apply(&data->standardizer, &copy);
    return NABLA_OK;
}

// n / (classes · n_c) over the training rows, as scikit-learn's "balanced"; a class without rows weighs 0.
static void balance(struct train_data *data)
{
    const size_t classes = data->source->classes;
    assert(data->source->ids);
    for (size_t i = 0; i < data->split.train_count; i++)
        data->class_weights[data->source->ids[data->split.train[i]]] += 1;
    for (size_t c = 0; c < classes; c++)
        if (data->class_weights[c] > 0)
            data->class_weights[c] =
                (double)data->split.train_count / ((double)classes * data->class_weights[c]);
}

static enum nabla_code weigh_classes(struct train_data *data, const struct train_spec *spec,
                                     struct nabla_error *err)
{
    const size_t classes = data->source->ids ? data->source->classes : data->source->outputs;
    if (!spec->class_weights_balanced && spec->class_weight_count == 0)
        return NABLA_OK;
    data->class_weights = size_alloc(classes, 1, sizeof *data->class_weights);
    if (!data->class_weights)
        return nabla_fail_memory(err, "the class weights");
    if (spec->class_weights_balanced)
        balance(data);
    else
        memcpy(data->class_weights, spec->class_weights, classes * sizeof *data->class_weights);
    return NABLA_OK;
}

// What the samples weigh. A binary loss knows one output, not the two classes behind it: their weights go
// with the rows, as Keras has it for all losses.
static enum nabla_code weigh_rows(struct train_data *data, const struct train_spec *spec,
                                  struct nabla_error *err)
{
    const struct dataset *source = data->source;
    const bool by_class = data->class_weights && spec_task(spec, source) == TASK_BINARY;
    if (!source->weights && !by_class)
        return NABLA_OK;
    data->row_weights = size_alloc(source->rows, 1, sizeof *data->row_weights);
    if (!data->row_weights)
        return nabla_fail_memory(err, "the rows' weights");
    for (size_t i = 0; i < source->rows; i++)
        data->row_weights[i] = (source->weights ? (double)source->weights[i] : 1) *
                               (by_class ? data->class_weights[source->ids[i]] : 1);
    if (by_class) {
        free(data->class_weights);
        data->class_weights = NULL;
    }
    return NABLA_OK;
}

static enum nabla_code order_rows(struct train_data *data, struct nabla_error *err)
{
    data->order = size_alloc(data->split.train_count, 1, sizeof *data->order);
    if (!data->order)
        return nabla_fail_memory(err, "the order of rows");
    memcpy(data->order, data->split.train, data->split.train_count * sizeof *data->order);
    return NABLA_OK;
}

enum nabla_code train_data_new(const struct train_spec *spec, const struct dataset *dataset,
                               struct train_data **ret, struct nabla_error *err)
{
    struct train_data *data = calloc(1, sizeof *data);
    if (!data)
        return nabla_fail_memory(err, "the training data");
    data->source = dataset;
    enum nabla_code code = spec_split(spec, dataset, &data->split, err);
    if (code == NABLA_OK)
        code = copy_features(data, spec, err);
    if (code == NABLA_OK)
        code = weigh_classes(data, spec, err);
    if (code == NABLA_OK)
        code = weigh_rows(data, spec, err);
    if (code == NABLA_OK)
        code = order_rows(data, err);
    if (code != NABLA_OK) {
        train_data_free(data);
        return code;
    }
    *ret = data;
    return NABLA_OK;
}

void train_data_free(struct train_data *data)
{
    if (!data)
        return;
    free(data->order);
    free(data->class_weights);
    free(data->row_weights);
    free(data->features);
    free(data->imputed);
    if (data->standardized)
        standardizer_free(&data->standardizer);
    split_free(&data->split);
    free(data);
}

void train_data_shuffle(struct train_data *data, struct random *random)
{
    memcpy(data->order, data->split.train, data->split.train_count * sizeof *data->order);
    random_shuffle(random, data->order, data->split.train_count);
}

enum { GATHER_PIECE = 1 << 14 }; // numbers: fewer are not worth sharing

struct gathering {
    const struct train_data *data;
    const size_t *rows;
    float *features;
    const struct labels *labels;
};

static void gather_piece(void *context, size_t first, size_t end)
{
    const struct gathering *gathering = context;
    const struct train_data *data = gathering->data;
    const struct dataset *source = data->source;
    const struct labels *labels = gathering->labels;
    const size_t columns = source->columns, outputs = source->outputs;
    for (size_t i = first; i < end; i++) {
        const size_t row = gathering->rows[i];
        memcpy(gathering->features + i * columns, data->features + row * columns,
               columns * sizeof *data->features);
        if (labels->ids)
            labels->ids[i] = source->ids[row];
        if (labels->targets)
            memcpy(labels->targets + i * outputs, source->targets + row * outputs,
                   outputs * sizeof *labels->targets);
        if (labels->weights)
            labels->weights[i] = data->row_weights[row];
    }
}

void train_data_gather(const struct train_data *data, const size_t *rows, size_t count, float *features,
                       const struct labels *labels)
{
    struct gathering gathering = {data, rows, features, labels};
    crew_share_range(gather_piece, &gathering, count, GATHER_PIECE / data->source->columns + 1);
}
