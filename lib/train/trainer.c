#include "train/trainer.h"

#include "base/clock.h"
#include "base/size.h"
#include "math/matrix.h"
#include "train/model.h"
#include "train/network.h"
#include "train/telemetry.h"
#include "train/train_data.h"
#include "train/training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// One random stream for each purpose: what one of them draws never moves another, and a checkpoint needs
// nothing but their positions. Between two steps all that later steps depend on stands in trainer_state's
// rows; the rest follows from spec and data.
enum { STREAM_INITIALIZE = 0x7101, STREAM_SHUFFLE = 0x7102, STREAM_DROPOUT = 0x7103 };

struct trainer {
    const struct train_spec *spec;
    struct train_data *data;
    struct network *network;
    struct telemetry *telemetry;
    struct model *model; // the tensors' names
    struct nabla_loss loss;
    struct random shuffle;
    int64_t *ids; // of a batch
    struct training training;
    int64_t started_ns; // clock of the run under way; 0 for none
    int64_t busy_ns;    // training since the last record
    size_t busy_rows;
};

// Means over several batches.
struct evaluation {
    double loss, denominator;
    double right, counted;
};

uint32_t trainer_network_stats(void)
{
    return (UINT32_C(1) << NETWORK_STAT_COUNT) - 1;
}

uint32_t trainer_layer_stats(void)
{
    return (UINT32_C(1) << LAYER_STAT_COUNT) - 1;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t batches_of(const struct trainer *trainer)
{
    return (trainer->data->split.train_count - 1) / trainer->spec->batch_size + 1;
}

static void trainer_start(struct trainer *trainer)
{
    const uint64_t seed = trainer->spec->seed;
    struct random initialize = random_new(seed, STREAM_INITIALIZE);
    network_initialize(trainer->network, &initialize);
    trainer->network->random = random_new(seed, STREAM_DROPOUT);
    trainer->shuffle = random_new(seed, STREAM_SHUFFLE);
    trainer->training = (struct training){
        .progress = {.steps = (uint64_t)batches_of(trainer) * trainer->spec->epochs,
                     .epochs = trainer->spec->epochs,
                     .loss = NAN,
                     .accuracy = NAN,
                     .validation_loss = NAN,
                     .validation_accuracy = NAN},
        .schedule = schedule_start(&trainer->spec->optimizer),
    };
}

static enum nabla_code trainer_build(struct trainer *trainer, const struct dataset *dataset,
                                     struct nabla_error *err)
{
    const struct train_spec *spec = trainer->spec;
    enum nabla_code code = train_data_new(spec, dataset, &trainer->data, err);
    if (code != NABLA_OK)
        return code;
    const size_t rows = smaller(spec->batch_size, dataset->rows);
    code = network_new(spec, dataset->columns, rows, &trainer->network, err);
    if (code == NABLA_OK)
        code = telemetry_new(trainer->network, &trainer->telemetry, err);
    if (code == NABLA_OK)
        code = model_new(trainer->network, trainer->data, &trainer->model, err);
    if (code != NABLA_OK)
        return code;
    trainer->ids = size_alloc(rows, 1, sizeof *trainer->ids);
    if (!trainer->ids)
        return nabla_fail_memory(err, "a batch of labels");
    trainer->loss.class_weights = trainer->data->class_weights;
    return NABLA_OK;
}

enum nabla_code trainer_new(const struct train_spec *spec, const struct dataset *dataset,
                            struct trainer **ret, struct nabla_error *err)
{
    matrix_use_one_thread();
    struct trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer)
        return nabla_fail_memory(err, "the trainer");
    trainer->spec = spec;
    trainer->loss = spec->loss;
    enum nabla_code code = trainer_build(trainer, dataset, err);
    if (code != NABLA_OK) {
        trainer_free(trainer);
        return code;
    }
    trainer_start(trainer);
    *ret = trainer;
    return NABLA_OK;
}

void trainer_free(struct trainer *trainer)
{
    if (!trainer)
        return;
    free(trainer->ids);
    model_free(trainer->model);
    telemetry_free(trainer->telemetry);
    network_free(trainer->network);
    train_data_free(trainer->data);
    free(trainer);
}

// The loss of the `rows` in trainer->ids whose scores these are; with its gradient where one is asked for.
static enum nabla_code compute_loss(const struct trainer *trainer, const float *scores, size_t rows,
                                    float *gradient, struct nabla_loss_result *ret, struct nabla_error *err)
{
    const struct nabla_loss_batch batch = {
        .dtype = NABLA_FLOAT32,
        .rows = rows,
        .classes = trainer->network->outputs,
        .scores = scores,
        .ids = trainer->ids,
    };
    *ret = (struct nabla_loss_result){.gradient = gradient};
    return nabla_loss_compute(&trainer->loss, &batch, ret, err);
}

static void evaluation_add(struct evaluation *evaluation, const struct nabla_loss_result *batch,
                           enum nabla_reduction reduction)
{
    const double weight = reduction == NABLA_MEAN ? batch->denominator : 1;
    const double counted = (double)batch->rows_counted;
    evaluation->loss += weight > 0 ? batch->loss * weight : 0;
    evaluation->denominator += weight;
    evaluation->right += counted > 0 ? batch->accuracy * counted : 0;
    evaluation->counted += counted;
}

// The network as it would be used, over some rows. Batches are the training's own in size.
static enum nabla_code evaluate(struct trainer *trainer, const size_t *rows, size_t count, double *ret_loss,
                                double *ret_accuracy, struct nabla_error *err)
{
    struct evaluation evaluation = {0};
    const enum nabla_reduction reduction = trainer->loss.reduction;
    for (size_t first = 0; first < count; first += trainer->network->rows_max) {
        size_t taken = smaller(trainer->network->rows_max, count - first);
        train_data_gather(trainer->data, rows + first, taken, trainer->network->input, trainer->ids);
        const float *scores = network_forward(trainer->network, taken, NETWORK_INFER);
        struct nabla_loss_result result;
        enum nabla_code code = compute_loss(trainer, scores, taken, NULL, &result, err);
        if (code != NABLA_OK)
            return code;
        evaluation_add(&evaluation, &result, reduction);
    }
    const bool divide = reduction == NABLA_MEAN && evaluation.denominator > 0;
    *ret_loss = divide ? evaluation.loss / evaluation.denominator : evaluation.loss;
    *ret_accuracy = evaluation.counted > 0 ? evaluation.right / evaluation.counted : NAN;
    return NABLA_OK;
}

static enum nabla_code validate(struct trainer *trainer, struct nabla_error *err)
{
    const struct split *split = &trainer->data->split;
    if (split->validation_count == 0)
        return NABLA_OK;
    enum nabla_code code = evaluate(trainer, split->validation, split->validation_count,
                                    &trainer->training.progress.validation_loss,
                                    &trainer->training.progress.validation_accuracy, err);
    if (code == NABLA_OK)
        schedule_epoch(&trainer->spec->optimizer, &trainer->training.schedule,
                       trainer->training.progress.validation_loss);
    return code;
}

// One update with the rows of one batch.
static enum nabla_code train_batch(struct trainer *trainer, const size_t *rows, size_t count, bool recorded,
                                   struct nabla_error *err)
{
    struct network *network = trainer->network;
    const uint64_t step = trainer->training.progress.step + 1;
    train_data_gather(trainer->data, rows, count, network->input, trainer->ids);
    const float *scores = network_forward(network, count, NETWORK_TRAIN);
    struct nabla_loss_result result;
    enum nabla_code code = compute_loss(trainer, scores, count, network_loss_gradient(network), &result, err);
    if (code != NABLA_OK)
        return code;
    if (recorded)
        telemetry_outputs(trainer->telemetry, network, count);
    network_backward(network, count);
    trainer->training.learning_rate =
        schedule_rate(&trainer->spec->optimizer, &trainer->training.schedule, step);
    const struct optimizer_step update =
        optimizer_step_new(&trainer->spec->optimizer, trainer->training.learning_rate, step);
    network_update(network, &update, recorded ? telemetry_updates(trainer->telemetry, step) : NULL);
    trainer->training.progress.step = step;
    trainer->training.progress.loss = result.loss;
    trainer->training.progress.accuracy = result.accuracy;
    return NABLA_OK;
}

static enum nabla_code tell(struct trainer *trainer, const struct train_observer *observer, bool validated,
                            struct nabla_error *err)
{
    const struct train_progress *progress = &trainer->training.progress;
    const struct telemetry_step step = {
        .step = progress->step,
        .loss = progress->loss,
        .accuracy = progress->accuracy,
        .learning_rate = trainer->training.learning_rate,
        .validation_loss = validated ? progress->validation_loss : NAN,
        .validation_accuracy = validated ? progress->validation_accuracy : NAN,
        .validated = validated,
        .samples_per_second = 1e9 * (double)trainer->busy_rows / (double)(trainer->busy_ns + 1),
    };
    const struct step_record *record = telemetry_record(trainer->telemetry, &step);
    trainer->busy_ns = 0;
    trainer->busy_rows = 0;
    if (!observer || !observer->record)
        return NABLA_OK;
    return observer->record(observer->context, record, progress, err);
}

static enum nabla_code poll(const struct train_observer *observer, struct nabla_error *err)
{
    return observer && observer->poll ? observer->poll(observer->context, err) : NABLA_OK;
}

// One step with all that belongs to it.
static enum nabla_code run_step(struct trainer *trainer, const struct train_observer *observer,
                                struct nabla_error *err)
{
    const struct train_spec *spec = trainer->spec;
    struct training *training = &trainer->training;
    const size_t first = (size_t)training->batch * spec->batch_size;
    const size_t count = smaller(spec->batch_size, trainer->data->split.train_count - first);
    const uint64_t step = training->progress.step + 1;
    const bool last = training->batch + 1 == batches_of(trainer);
    const bool recorded = step == 1 || step % spec->telemetry_every == 0 || last;
    const int64_t start = clock_monotonic_ns();
    enum nabla_code code = train_batch(trainer, trainer->data->order + first, count, recorded, err);
    trainer->busy_ns += clock_monotonic_ns() - start;
    trainer->busy_rows += count;
    training->batch++;
    if (code == NABLA_OK && last) {
        training->progress.epoch++;
        code = validate(trainer, err);
    }
    if (code == NABLA_OK && recorded)
        code = tell(trainer, observer, last && trainer->data->split.validation_count > 0, err);
    return code;
}

// Where the epoch's order begins in its stream is all that a checkpoint needs of it.
static void shuffle_epoch(struct trainer *trainer)
{
    trainer->shuffle.position = trainer->training.order_at;
    if (trainer->spec->shuffle)
        train_data_shuffle(trainer->data, &trainer->shuffle);
}

static enum nabla_code run_epoch(struct trainer *trainer, const struct train_observer *observer,
                                 struct nabla_error *err)
{
    struct training *training = &trainer->training;
    enum nabla_code code = NABLA_OK;
    shuffle_epoch(trainer);
    while (training->batch < batches_of(trainer) && code == NABLA_OK) {
        code = poll(observer, err);
        if (code == NABLA_OK)
            code = run_step(trainer, observer, err);
    }
    if (code != NABLA_OK)
        return code;
    training->batch = 0;
    training->order_at = trainer->shuffle.position;
    return NABLA_OK;
}

static void take_time(struct trainer *trainer)
{
    const int64_t now_ns = clock_monotonic_ns();
    trainer->training.seconds += 1e-9 * (double)(now_ns - trainer->started_ns);
    trainer->started_ns = now_ns;
}

enum nabla_code trainer_run(struct trainer *trainer, const struct train_observer *observer,
                            struct train_result *ret, struct nabla_error *err)
{
    const struct split *split = &trainer->data->split;
    const struct train_progress *progress = &trainer->training.progress;
    enum nabla_code code = NABLA_OK;
    trainer->started_ns = clock_monotonic_ns();
    while (progress->epoch < trainer->spec->epochs && code == NABLA_OK)
        code = run_epoch(trainer, observer, err);
    struct train_result result = {0};
    if (code == NABLA_OK)
        code = evaluate(trainer, split->train, split->train_count, &result.loss, &result.accuracy, err);
    take_time(trainer);
    trainer->started_ns = 0;
    if (code != NABLA_OK)
        return code;
    result.steps = progress->step;
    result.epochs = progress->epoch;
    result.validation_loss = progress->validation_loss;
    result.validation_accuracy = progress->validation_accuracy;
    result.seconds = trainer->training.seconds;
    *ret = result;
    return NABLA_OK;
}

uint64_t trainer_step(const struct trainer *trainer)
{
    return trainer->training.progress.step;
}

void trainer_state(struct trainer *trainer, struct train_state *ret)
{
    ret->count = 0;
    if (trainer->started_ns > 0)
        take_time(trainer);
    trainer->training.dropout_at = trainer->network->random.position;
    training_state(&trainer->training, ret);
    train_state_add(ret, "network", TENSOR_F32, trainer->network->state, trainer->network->state_count);
}

void trainer_restored(struct trainer *trainer)
{
    trainer->network->random.position = trainer->training.dropout_at;
    telemetry_restart(trainer->telemetry);
}

void trainer_restart(struct trainer *trainer)
{
    trainer_start(trainer);
    telemetry_restart(trainer->telemetry);
}

void trainer_platform(char ret[TRAINER_PLATFORM_SIZE])
{
    snprintf(ret, TRAINER_PLATFORM_SIZE, "%s, %s, 1 thread, Nabla %s", matrix_core_type(),
             nabla_loss_kernel_name(), NABLA_VERSION);
}

size_t trainer_tensor_count(const struct trainer *trainer)
{
    return model_tensor_count(trainer->model);
}

void trainer_tensors(const struct trainer *trainer, struct tensor *ret)
{
    model_tensors(trainer->model, ret);
}

enum nabla_code trainer_load(struct trainer *trainer, const struct safetensors *weights,
                             struct nabla_error *err)
{
    enum nabla_code code = model_take(trainer->model, weights, err);
    if (code == NABLA_OK)
        telemetry_restart(trainer->telemetry);
    return code;
}
