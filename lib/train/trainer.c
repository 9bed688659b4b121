#include "train/trainer_run.h"

#include "base/clock.h"
#include "base/size.h"
#include "math/matrix.h"
#include "train/spec_rows.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// One random stream for each purpose: what one of them draws never moves another, and a checkpoint needs
// nothing but their positions. Between two steps all that later steps depend on stands in trainer_state's
// rows; the rest follows from spec and data.
enum { STREAM_INITIALIZE = 0x7101, STREAM_SHUFFLE = 0x7102, STREAM_DROPOUT = 0x7103 };

uint32_t trainer_network_stats(const struct train_spec *spec, const struct dataset *dataset)
{
    const size_t classes = dataset->ids ? dataset->classes : dataset->outputs;
    return telemetry_network_stats(spec_task(spec, dataset), classes, spec->validation_split > 0,
                                   network_accumulates(spec));
}

uint32_t trainer_layer_stats(void)
{
    return (UINT32_C(1) << LAYER_STAT_COUNT) - 1;
}

static uint64_t steps_of_epoch(const struct trainer *trainer)
{
    return epoch_steps(trainer->spec, trainer->data->split.train_count);
}

static void trainer_start(struct trainer *trainer)
{
    const uint64_t seed = trainer->spec->seed;
    struct random initialize = random_new(seed, STREAM_INITIALIZE);
    network_initialize(trainer->network, &initialize);
    trainer->network->random = random_new(seed, STREAM_DROPOUT);
    trainer->shuffle = random_new(seed, STREAM_SHUFFLE);
    trainer->training = (struct training){
        .progress = {.steps = steps_of_epoch(trainer) * trainer->spec->epochs,
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
    const size_t rows = size_smaller(spec->batch_size, dataset->rows);
    code = network_new(spec, dataset->columns, rows, &trainer->network, err);
    if (code == NABLA_OK)
        code =
            telemetry_new(trainer->network, trainer_network_stats(spec, dataset), &trainer->telemetry, err);
    if (code == NABLA_OK)
        code = model_new(trainer->network, trainer->data, &trainer->model, err);
    if (code != NABLA_OK)
        return code;
    return objective_new(spec, trainer->data, rows, &trainer->objective, err);
}

enum nabla_code trainer_new(const struct train_spec *spec, const struct dataset *dataset,
                            struct trainer **ret, struct nabla_error *err)
{
    struct trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer)
        return nabla_fail_memory(err, "the trainer");
    trainer->spec = spec;
    enum nabla_code code = crew_new(spec->threads, &trainer->crew, err);
    if (code == NABLA_OK)
        code = trainer_build(trainer, dataset, err);
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
    crew_free(trainer->crew);
    report_free(trainer->reports[0]);
    report_free(trainer->reports[1]);
    objective_free(trainer->objective);
    model_free(trainer->model);
    telemetry_free(trainer->telemetry);
    network_free(trainer->network);
    train_data_free(trainer->data);
    free(trainer);
}

// Forward and backward with one batch.
static enum nabla_code learn_batch(struct trainer *trainer, const size_t *rows, size_t taken,
                                   struct objective_value *ret, struct nabla_error *err)
{
    struct network *network = trainer->network;
    train_data_gather(trainer->data, rows, taken, network->input, &trainer->objective->labels);
    const float *scores = network_forward(network, taken, NETWORK_TRAIN);
    enum nabla_code code =
        objective_compute(trainer->objective, scores, taken, network_loss_gradient(network), ret, err);
    if (code != NABLA_OK)
        return code;
    network_backward(network, taken);
    return NABLA_OK;
}

// Gathers the gradient of batch number `index` of the `count` that make a step; adds its squared norm, where
// anyone wants to know.
static void accumulate(struct trainer *trainer, size_t index, size_t count, bool looked_at, double *squares)
{
    if (!network_accumulates(trainer->spec))
        return;
    if (looked_at)
        *squares += network_gradient_square(trainer->network);
    network_accumulate(trainer->network, index, count);
}

// Of batches of equal size alone.
static void look_at_noise(struct trainer *trainer, double squares, size_t count)
{
    const size_t rows = trainer->spec->batch_size, batches = count / rows;
    if (network_accumulates(trainer->spec) && count % rows == 0)
        noise_scale_add(&trainer->training.noise, squares / (double)batches,
                        network_gradient_square(trainer->network), rows, batches);
}

// The mean of the batches' losses, as their gradients'.
static enum nabla_code learn_batches(struct trainer *trainer, const size_t *rows, size_t count,
                                     bool looked_at, struct objective_value *ret, struct nabla_error *err)
{
    const size_t batch_size = trainer->spec->batch_size, batches = (count - 1) / batch_size + 1;
    struct objective_value sum = {0};
    double squares = 0;
    for (size_t i = 0; i < batches; i++) {
        const size_t taken = size_smaller(batch_size, count - i * batch_size);
        struct objective_value batch;
        enum nabla_code code = learn_batch(trainer, rows + i * batch_size, taken, &batch, err);
        if (code != NABLA_OK)
            return code;
        accumulate(trainer, i, batches, looked_at, &squares);
        sum.loss += batch.loss / (double)batches;
        sum.right += batch.right;
        sum.counted += batch.counted;
        if (looked_at && i + 1 == batches)
            telemetry_outputs(trainer->telemetry, trainer->network, taken);
    }
    if (looked_at)
        look_at_noise(trainer, squares, count);
    *ret = sum;
    return NABLA_OK;
}

static void update(struct trainer *trainer, bool looked_at)
{
    const struct optimizer_spec *spec = &trainer->spec->optimizer;
    struct training *training = &trainer->training;
    const uint64_t step = training->progress.step + 1;
    training->learning_rate = schedule_rate(spec, &training->schedule, step);
    const struct optimizer_step made = optimizer_step_new(spec, training->learning_rate, step);
    network_update(trainer->network, &made, looked_at ? telemetry_updates(trainer->telemetry, step) : NULL);
    training->progress.step = step;
}

// One update with `count` rows, of as many batches as they make.
static enum nabla_code train_step(struct trainer *trainer, const size_t *rows, size_t count, bool looked_at,
                                  struct nabla_error *err)
{
    struct training *training = &trainer->training;
    struct objective_value value;
    enum nabla_code code = learn_batches(trainer, rows, count, looked_at, &value, err);
    if (code != NABLA_OK)
        return code;
    value.loss += network_penalty(trainer->network);
    network_penalty_gradient(trainer->network);
    update(trainer, looked_at);
    training->progress.loss = value.loss;
    training->progress.accuracy = objective_accuracy(&value);
    training->epoch_loss += value.loss * (double)count;
    training->epoch_right += value.right;
    training->epoch_counted += value.counted;
    training->epoch_rows += (double)count;
    return NABLA_OK;
}

static struct telemetry_step describe_step(const struct trainer *trainer, bool validated, bool histograms)
{
    const struct train_progress *progress = &trainer->training.progress;
    return (struct telemetry_step){
        .step = progress->step,
        .loss = progress->loss,
        .accuracy = progress->accuracy,
        .learning_rate = trainer->training.learning_rate,
        .noise_scale = noise_scale_value(&trainer->training.noise),
        .validation_loss = validated ? progress->validation_loss : NAN,
        .validation_accuracy = validated ? progress->validation_accuracy : NAN,
        .validation = validated ? report_end(trainer->reports[1]) : NULL,
        .histograms = histograms,
        .samples_per_second = 1e9 * (double)trainer->busy_rows / (double)(trainer->busy_ns + 1),
    };
}

static enum nabla_code tell(struct trainer *trainer, const struct train_observer *observer, bool validated,
                            bool histograms, struct nabla_error *err)
{
    const struct telemetry_step step = describe_step(trainer, validated, histograms);
    const struct step_record *record = telemetry_record(trainer->telemetry, &step);
    trainer->busy_ns = 0;
    trainer->busy_rows = 0;
    if (!observer || !observer->record)
        return NABLA_OK;
    return observer->record(observer->context, record, &trainer->training.progress, err);
}

static bool takes_histograms(const struct trainer *trainer, uint64_t step)
{
    return step == 1 || step % trainer->spec->histograms_every == 0;
}

static enum nabla_code tell_histograms(struct trainer *trainer, const struct train_observer *observer,
                                       struct nabla_error *err)
{
    const struct histogram_record *record =
        telemetry_histograms(trainer->telemetry, trainer->network, trainer->training.progress.step);
    return observer && observer->histograms ? observer->histograms(observer->context, record, err) : NABLA_OK;
}

static enum nabla_code poll(const struct train_observer *observer, struct nabla_error *err)
{
    return observer && observer->poll ? observer->poll(observer->context, err) : NABLA_OK;
}

static enum nabla_code check_loss(const struct trainer *trainer, struct nabla_error *err)
{
    const struct train_progress *progress = &trainer->training.progress;
    if (!trainer->spec->stop_on_nan || isfinite(progress->loss))
        return NABLA_OK;
    return nabla_fail(err, NABLA_DIVERGED, NULL, "the loss of step %" PRIu64 " is %s", progress->step,
                      isnan(progress->loss) ? "NaN" : "infinite");
}

static enum nabla_code end_recorded_step(struct trainer *trainer, const struct train_observer *observer,
                                         bool last, bool histograms, struct nabla_error *err)
{
    enum nabla_code code = last ? trainer_end_epoch(trainer, err) : NABLA_OK;
    if (code == NABLA_OK)
        code = tell(trainer, observer, last && trainer->data->split.validation_count > 0, histograms, err);
    return code;
}

static void fold_step(struct trainer *trainer)
{
    const struct telemetry_step step = describe_step(trainer, false, false);
    telemetry_fold(trainer->telemetry, &step);
}

// One step with all that belongs to it.
static enum nabla_code run_step(struct trainer *trainer, const struct train_observer *observer,
                                struct nabla_error *err)
{
    const struct train_spec *spec = trainer->spec;
    struct training *training = &trainer->training;
    const size_t rows = spec->batch_size * (size_t)spec->optimizer.gradient_accumulation_steps;
    const size_t first = (size_t)training->batch * rows;
    const size_t count = size_smaller(rows, trainer->data->split.train_count - first);
    const uint64_t step = training->progress.step + 1;
    const bool last = training->batch + 1 == steps_of_epoch(trainer);
    const bool due = step == 1 || step % spec->telemetry_every == 0 || last;
    const int64_t start = clock_monotonic_ns();
    const bool histograms = takes_histograms(trainer, step);
    const bool looked_at = due || histograms || spec->telemetry_folds;
    enum nabla_code code = train_step(trainer, trainer->data->order + first, count, looked_at, err);
    trainer->busy_ns += clock_monotonic_ns() - start;
    trainer->busy_rows += count;
    training->batch++;
    if (code != NABLA_OK)
        return code;
    if (histograms) // before validation, which uses the network's activations
        code = tell_histograms(trainer, observer, err);
    if (code != NABLA_OK)
        return code;
    if (due || (looked_at && spec->stop_on_nan && !isfinite(training->progress.loss)))
        code = end_recorded_step(trainer, observer, last, histograms, err);
    else if (looked_at)
        fold_step(trainer);
    return code == NABLA_OK ? check_loss(trainer, err) : code;
}

static bool is_timed_out(const struct trainer *trainer)
{
    const double limit = trainer->spec->time_limit;
    return limit > 0 &&
           trainer->training.seconds + 1e-9 * (double)(clock_monotonic_ns() - trainer->started_ns) >= limit;
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
    while (training->batch < steps_of_epoch(trainer) && code == NABLA_OK && !is_timed_out(trainer)) {
        code = poll(observer, err);
        if (code == NABLA_OK)
            code = run_step(trainer, observer, err);
    }
    if (code != NABLA_OK || training->batch < steps_of_epoch(trainer))
        return code;
    training->batch = 0;
    training->order_at = trainer->shuffle.position;
    return NABLA_OK;
}

enum train_stop trainer_stop(const struct trainer *trainer)
{
    const struct train_progress *progress = &trainer->training.progress;
    if (progress->epoch == trainer->spec->epochs)
        return STOP_NONE;
    return trainer->training.stopping.is_over ? STOP_EARLY
           : is_timed_out(trainer)            ? STOP_TIME_LIMIT
                                              : STOP_NONE;
}

static bool is_over(const struct trainer *trainer)
{
    return trainer->training.progress.epoch == trainer->spec->epochs || trainer_stop(trainer) != STOP_NONE;
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
    struct train_result result;
    enum nabla_code code = NABLA_OK;
    trainer->started_ns = clock_monotonic_ns();
    crew_enter(trainer->crew);
    while (!is_over(trainer) && code == NABLA_OK)
        code = run_epoch(trainer, observer, err);
    if (code == NABLA_OK)
        code = trainer_end_run(trainer, &result, err);
    crew_enter(NULL);
    take_time(trainer);
    trainer->started_ns = 0;
    if (code != NABLA_OK)
        return code;
    result.seconds = trainer->training.seconds;
    *ret = result;
    return NABLA_OK;
}

uint64_t trainer_step(const struct trainer *trainer)
{
    return trainer->training.progress.step;
}

struct input_range trainer_inputs(struct trainer *trainer)
{
    struct train_data *data = trainer->data;
    const size_t most = size_smaller(trainer->spec->batch_size, data->source->rows);
    struct input_range range = {0};
    for (size_t first = 0; first < data->split.train_count; first += most) {
        const size_t taken = size_smaller(most, data->split.train_count - first);
        train_data_gather(data, data->split.train + first, taken, trainer->network->input,
                          &trainer->objective->labels);
        input_range_add(&range, trainer->network->input, taken * data->source->columns);
    }
    return range;
}

void trainer_state(struct trainer *trainer, struct train_state *ret)
{
    ret->count = 0;
    if (trainer->started_ns > 0)
        take_time(trainer);
    trainer->training.dropout_at = trainer->network->random.position;
    training_state(&trainer->training, ret);
    train_state_add(ret, "network", TENSOR_F32, trainer->network->state, trainer->network->state_count);
    telemetry_state(trainer->telemetry, ret);
}

void trainer_restored(struct trainer *trainer)
{
    trainer->network->random.position = trainer->training.dropout_at;
    telemetry_forget(trainer->telemetry);
}

void trainer_restart(struct trainer *trainer)
{
    trainer_start(trainer);
    telemetry_restart(trainer->telemetry);
}

void trainer_platform(char ret[TRAINER_PLATFORM_SIZE])
{
    snprintf(ret, TRAINER_PLATFORM_SIZE, "%s, %s, Nabla %s", matrix_kernel_name(), nabla_loss_kernel_name(),
             NABLA_VERSION);
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
