#include "train/train_data.h"

#include "base/crew.h"
#include "base/size.h"
#include "train/spec_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool is_changed(const struct train_spec *spec)
{
    return spec->missing != MISSING_REFUSE || spec->scaling != SCALING_NONE;
}

static enum nabla_code learn_features(struct train_data *data, const struct train_spec *spec,
                                      struct nabla_error *err)
{
    const struct split *split = &data->split;
    enum nabla_code code = NABLA_OK;
    if (spec->missing != MISSING_REFUSE)
        code = impute_fit(spec->missing, spec->missing_value, data->source, split->train, split->train_count,
                          &data->imputed, err);
    if (code || spec->scaling == SCALING_NONE)
        return code;
    code = standardizer_fit(spec->scaling, data->source, data->imputed, split->train, split->train_count,
                            &data->standardizer, err);
    data->standardized = code == NABLA_OK;
    return code;
}

static void make_ready(const struct train_data *data, float *features, size_t rows)
{
    if (data->imputed)
        impute_apply(data->imputed, data->source->columns, features, rows);
    if (data->standardized)
        standardizer_apply(&data->standardizer, features, rows);
}

static enum nabla_code copy_features(struct train_data *data, struct nabla_error *err)
{
    const struct dataset *source = data->source;
    const size_t columns = source->columns;
    data->ready = size_alloc(source->rows, columns, sizeof *data->ready);
    if (!data->ready)
        return nabla_fail_memory(err, "the training data");
    for (size_t i = 0; i < source->rows; dataset_passed(source, ++i))
        memcpy(data->ready + i * columns, source->features + i * columns, columns * sizeof *data->ready);
    make_ready(data, data->ready, source->rows);
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

static enum nabla_code order_rows(struct train_data *data, const struct train_spec *spec,
                                  struct nabla_error *err)
{
    const size_t count = data->split.train_count;
    data->window = spec_shuffle_rows(spec, data->source);
    if (data->window < count) {
        data->block = spec_block_rows(spec, data->source);
        data->blocks = size_alloc((count - 1) / data->block + 1, 1, sizeof *data->blocks);
    }
    data->order = size_alloc(count, 1, sizeof *data->order);
    if (!data->order || (data->block && !data->blocks))
        return nabla_fail_memory(err, "the order of rows");
    memcpy(data->order, data->split.train, count * sizeof *data->order);
    return NABLA_OK;
}

enum nabla_code train_data_new(const struct train_spec *spec, const struct dataset *dataset,
                               struct train_data **ret, struct nabla_error *err)
{
    struct train_data *data = calloc(1, sizeof *data);
    if (!data)
        return nabla_fail_memory(err, "the training data");
    data->source = dataset;
    data->streams = spec_streams(spec);
    enum nabla_code code = spec_split(spec, dataset, &data->split, err);
    if (code == NABLA_OK)
        code = learn_features(data, spec, err);
    if (code == NABLA_OK && is_changed(spec) && !spec_streams(spec))
        code = copy_features(data, err);
    if (code == NABLA_OK)
        code = weigh_classes(data, spec, err);
    if (code == NABLA_OK)
        code = weigh_rows(data, spec, err);
    if (code == NABLA_OK)
        code = order_rows(data, spec, err);
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
    free(data->blocks);
    free(data->class_weights);
    free(data->row_weights);
    free(data->ready);
    free(data->imputed);
    if (data->standardized)
        standardizer_free(&data->standardizer);
    split_free(&data->split);
    free(data);
}

// All blocks but the last have `block` rows; each stands in the order where it was drawn.
static void shuffle_blocks(struct train_data *data, struct random *random)
{
    const size_t rows = data->split.train_count, count = (rows - 1) / data->block + 1;
    size_t *to = data->order;
    for (size_t i = 0; i < count; i++)
        data->blocks[i] = i;
    random_shuffle(random, data->blocks, count);
    for (size_t i = 0; i < count; i++) {
        const size_t first = data->blocks[i] * data->block,
                     taken = rows - first < data->block ? rows - first : data->block;
        memcpy(to, data->split.train + first, taken * sizeof *to);
        to += taken;
    }
}

void train_data_shuffle(struct train_data *data, struct random *random)
{
    const size_t rows = data->split.train_count;
    if (data->blocks)
        shuffle_blocks(data, random);
    else
        memcpy(data->order, data->split.train, rows * sizeof *data->order);
    for (size_t first = 0; first < rows; first += data->window)
        random_shuffle(random, data->order + first,
                       rows - first < data->window ? rows - first : data->window);
}

enum { GATHER_PIECE = 1 << 14 }; // numbers: fewer are not worth sharing

struct gathering {
    const struct train_data *data;
    const size_t *rows;
    float *features;
    const struct labels *labels;
};

static void gather_features(const struct gathering *gathering, size_t first, size_t end)
{
    const struct train_data *data = gathering->data;
    const size_t columns = data->source->columns;
    const float *from = data->ready ? data->ready : data->source->features;
    for (size_t i = first; i < end; i++)
        memcpy(gathering->features + i * columns, from + gathering->rows[i] * columns,
               columns * sizeof *from);
    if (!data->ready)
        make_ready(data, gathering->features + first * columns, end - first);
}

static void gather_piece(void *context, size_t first, size_t end)
{
    const struct gathering *gathering = context;
    const struct train_data *data = gathering->data;
    const struct dataset *source = data->source;
    const struct labels *labels = gathering->labels;
    const size_t outputs = source->outputs;
    gather_features(gathering, first, end);
    for (size_t i = first; i < end; i++) {
        const size_t row = gathering->rows[i];
        if (labels->ids)
            labels->ids[i] = source->ids[row];
        if (labels->targets)
            memcpy(labels->targets + i * outputs, source->targets + row * outputs,
                   outputs * sizeof *labels->targets);
        if (labels->weights)
            labels->weights[i] = data->row_weights[row];
    }
}

// Of a file that is streamed, no more stays in memory than a window of the epoch's order, or a piece of what
// is gone through as it lies.
static void pass(struct train_data *data, const size_t *rows, size_t count)
{
    enum { PIECE_BYTES = 4 << 20 };
    const bool is_ordered = rows >= data->order && rows < data->order + data->split.train_count;
    const size_t width = data->source->columns * sizeof *data->source->features;
    data->passed += is_ordered ? count : rows[count - 1] - rows[0] + 1;
    if (!data->streams || data->passed < (is_ordered ? data->window : PIECE_BYTES / width))
        return;
    mapped_release(&data->source->file);
    data->passed = 0;
}

void train_data_gather(struct train_data *data, const size_t *rows, size_t count, float *features,
                       const struct labels *labels)
{
    struct gathering gathering = {data, rows, features, labels};
    crew_share_range(gather_piece, &gathering, count, GATHER_PIECE / data->source->columns + 1);
    pass(data, rows, count);
}
