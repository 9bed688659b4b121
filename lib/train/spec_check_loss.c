// What the network's end and its loss must be for the data set's labels.
#include "train/spec_check.h"

#include "base/size.h"
#include "train/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What the last layer hands to the loss is one number a class or target.
static enum nabla_code check_output(const struct train_spec *spec, const struct dataset *dataset,
                                    struct nabla_error *err)
{
    const size_t outputs = task_outputs(spec_task(spec, dataset), dataset);
    size_t i = spec->layer_count;
    while (i > 0 && spec->layers[i - 1].type != LAYER_TYPE_DENSE)
        i--;
    if (i == 0)
        return nabla_fail(err, NABLA_INVALID, "/model/layers", "the network needs a dense layer");
    if (spec->layers[i - 1].units == outputs)
        return NABLA_OK;
    return nabla_fail(err, NABLA_INVALID, spec_layer_place(i - 1, "/units").pointer,
                      "the last dense layer has %zu units, but the data set has %zu %s",
                      spec->layers[i - 1].units, dataset->ids ? dataset->classes : outputs,
                      dataset->ids ? "classes" : "targets");
}

enum nabla_code spec_complete_output(struct train_spec *spec, const struct dataset *dataset,
                                     struct nabla_error *err)
{
    if (!spec->output_written) {
        struct layer_spec output = layer_defaults(LAYER_TYPE_DENSE);
        output.units = task_outputs(spec_task(spec, dataset), dataset);
        enum nabla_code code = spec_add_layer(spec, &output, err);
        if (code != NABLA_OK)
            return code;
        spec->output_written = true;
    }
    return check_output(spec, dataset, err);
}

// The loss module's places, as a job's document has them.
static void translate_place(struct nabla_error *err)
{
    static const char *const places[][2] = {
        {"/labels", "/dataset"}, {"/probabilities", "/loss/input"}, {"/convention", "/loss/convention"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strncmp(err->pointer, places[i][0], strlen(places[i][0])) == 0)
            snprintf(err->pointer, sizeof err->pointer, "%s", places[i][1]);
}

static enum nabla_code ask_loss(const struct train_spec *spec, const struct dataset *dataset, float *scores,
                                struct nabla_error *err)
{
    const enum task task = spec_task(spec, dataset);
    const int64_t id = 0;
    struct nabla_loss loss = spec->loss;
    if (task == TASK_BINARY)
        loss.class_weights = NULL; // the rows' own, in training
    const struct nabla_loss_batch batch = {
        .dtype = NABLA_FLOAT32,
        .rows = dataset->ids ? 1 : dataset->rows,
        .classes = task_outputs(task, dataset),
        .scores = scores,
        .ids = dataset->ids ? &id : NULL,
        .targets = dataset->targets,
    };
    struct nabla_loss_result result = {0};
    struct nabla_error cause = {0};
    enum nabla_code code = nabla_loss_compute(&loss, &batch, &result, &cause);
    if (code == NABLA_OK)
        return code;
    translate_place(&cause);
    return nabla_fail(err, code, cause.pointer, "%s", cause.text);
}

// The loss module itself says which options, combinations and targets exist: it is asked with scores of 0.
static enum nabla_code check_loss_options(const struct train_spec *spec, const struct dataset *dataset,
                                          struct nabla_error *err)
{
    float *scores = size_alloc(dataset->ids ? 1 : dataset->rows,
                               task_outputs(spec_task(spec, dataset), dataset), sizeof *scores);
    if (!scores)
        return nabla_fail_memory(err, "rows of scores");
    enum nabla_code code = ask_loss(spec, dataset, scores, err);
    free(scores);
    return code;
}

static enum nabla_code check_weights(const struct train_spec *spec, const struct dataset *dataset,
                                     struct nabla_error *err)
{
    const size_t outputs = task_outputs(spec_task(spec, dataset), dataset);
    const size_t classes = dataset->ids ? dataset->classes : outputs;
    if (spec->class_weights_balanced && spec->class_weight_count > 0)
        return nabla_fail(err, NABLA_INVALID, "/loss/class_weights",
                          "class weights are either \"balanced\" or a list");
    if (spec->class_weights_balanced && !dataset->ids)
        return nabla_fail(err, NABLA_INVALID, "/loss/class_weights",
                          "\"balanced\" weights go by the rows of each class: the data set has none");
    if (spec->class_weight_count > 0 && spec->class_weight_count != classes)
        return nabla_fail(err, NABLA_INVALID, "/loss/class_weights",
                          "there are %zu class weights for %zu classes", spec->class_weight_count, classes);
    if (spec->pos_weight_count > 0 && spec->pos_weight_count != outputs)
        return nabla_fail(err, NABLA_INVALID, "/loss/pos_weight", "there are %zu weights for %zu outputs",
                          spec->pos_weight_count, outputs);
    return NABLA_OK;
}

enum nabla_code spec_complete_loss(struct train_spec *spec, const struct dataset *dataset,
                                   struct nabla_error *err)
{
    if (spec->loss.input != NABLA_LOGITS && spec_task(spec, dataset) == TASK_REGRESSION)
        return nabla_fail(err, NABLA_INVALID, "/loss/input",
                          "regression trains on what the last layer gives: \"logits\"");
    if (spec->loss.reduction == NABLA_NONE)
        return nabla_fail(err, NABLA_INVALID, "/loss/reduction", "training needs one loss: mean or sum");
    enum nabla_code code = check_weights(spec, dataset, err);
    if (code != NABLA_OK)
        return code;
    spec->loss.class_weights = spec->class_weight_count > 0 ? spec->class_weights : NULL;
    spec->loss.pos_weight = spec->pos_weight_count > 0 ? spec->pos_weight : NULL;
    return check_loss_options(spec, dataset, err);
}
