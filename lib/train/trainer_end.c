// What a trainer does at the end of an epoch, and of a run: validates, judges, reports.
#include "train/trainer_run.h"

#include <math.h>

// The network as it would be used, over some rows, its penalties included; into a report where one is being
// made. Batches are the training's own in size.
static enum nabla_code evaluate(struct trainer *trainer, const size_t *rows, size_t count,
                                struct report_builder *report, struct objective_value *ret,
                                struct nabla_error *err)
{
    struct network *network = trainer->network;
    const struct labels *labels = &trainer->objective->labels;
    struct objective_value sum = {0}, batch;
    for (size_t first = 0; first < count; first += network->rows_max) {
        const size_t taken = size_smaller(network->rows_max, count - first);
        train_data_gather(trainer->data, rows + first, taken, network->input, labels);
        const float *scores = network_forward(network, taken, NETWORK_INFER);
        enum nabla_code code = objective_compute(trainer->objective, scores, taken, NULL, &batch, err);
        if (code != NABLA_OK)
            return code;
        objective_join(trainer->objective, &sum, &batch);
        if (report)
            report_add(report, scores, labels->ids, labels->targets, taken);
    }
    sum.loss += network_penalty(network);
    *ret = sum;
    return NABLA_OK;
}

// With the averaged weights, where there are some.
static enum nabla_code evaluate_average(struct trainer *trainer, const size_t *rows, size_t count,
                                        struct report_builder *report, struct objective_value *ret,
                                        struct nabla_error *err)
{
    network_swap_average(trainer->network);
    enum nabla_code code = evaluate(trainer, rows, count, report, ret, err);
    network_swap_average(trainer->network);
    return code;
}

static enum nabla_code validate(struct trainer *trainer, struct nabla_error *err)
{
    const struct split *split = &trainer->data->split;
    struct train_progress *progress = &trainer->training.progress;
    struct objective_value value;
    if (split->validation_count == 0)
        return NABLA_OK;
    report_free(trainer->reports[1]);
    trainer->reports[1] = NULL;
    enum nabla_code code = report_begin(trainer->spec, trainer->data->source, split->validation_count, false,
                                        &trainer->reports[1], err);
    if (code == NABLA_OK)
        code = evaluate_average(trainer, split->validation, split->validation_count, trainer->reports[1],
                                &value, err);
    if (code != NABLA_OK)
        return code;
    progress->validation_loss = value.loss;
    progress->validation_accuracy = objective_accuracy(&value);
    schedule_epoch(&trainer->spec->optimizer, &trainer->training.schedule, value.loss);
    return NABLA_OK;
}

// What early stopping goes by.
static double monitored(const struct trainer *trainer)
{
    const struct training *training = &trainer->training;
    const double figures[] = {
        [MONITOR_VALIDATION_LOSS] = training->progress.validation_loss,
        [MONITOR_VALIDATION_ACCURACY] = training->progress.validation_accuracy,
        [MONITOR_LOSS] = training->epoch_loss / training->epoch_rows,
        [MONITOR_ACCURACY] = training->epoch_right / training->epoch_counted,
    };
    _Static_assert(sizeof figures / sizeof *figures == MONITOR_COUNT, "every monitor has its figure");
    return figures[trainer->spec->early_stopping.monitor];
}

static void judge_epoch(struct trainer *trainer)
{
    struct training *training = &trainer->training;
    const struct early_stopping *stopping = &trainer->spec->early_stopping;
    if (stopping->active &&
        stopping_epoch(stopping, &training->stopping, training->progress.epoch, monitored(trainer)) &&
        stopping->restore_best) {
        network_swap_average(trainer->network);
        network_keep_best(trainer->network);
        network_swap_average(trainer->network);
    }
    training->epoch_loss = training->epoch_right = training->epoch_counted = training->epoch_rows = 0;
}

enum nabla_code trainer_end_epoch(struct trainer *trainer, struct nabla_error *err)
{
    trainer->training.progress.epoch++;
    enum nabla_code code = validate(trainer, err);
    if (code == NABLA_OK)
        judge_epoch(trainer);
    return code;
}

// The model is that of the averaged weights, or of the best epoch.
static void settle_model(struct trainer *trainer)
{
    const bool restores = trainer->spec->early_stopping.active && trainer->spec->early_stopping.restore_best;
    network_swap_average(trainer->network);
    if (restores && trainer->training.stopping.best_epoch > 0)
        network_restore_best(trainer->network);
}

// The whole of one part, with its report.
static enum nabla_code report_part(struct trainer *trainer, const size_t *rows, size_t count,
                                   struct report_builder **report, struct objective_value *ret,
                                   struct nabla_error *err)
{
    report_free(*report);
    *report = NULL;
    enum nabla_code code = report_begin(trainer->spec, trainer->data->source, count, true, report, err);
    return code ? code : evaluate(trainer, rows, count, *report, ret, err);
}

static enum nabla_code make_result(struct trainer *trainer, struct train_result *ret, struct nabla_error *err)
{
    const struct split *split = &trainer->data->split;
    const struct train_progress *progress = &trainer->training.progress;
    struct objective_value training, validation = {.loss = NAN};
    enum nabla_code code =
        report_part(trainer, split->train, split->train_count, &trainer->reports[0], &training, err);
    if (code == NABLA_OK && split->validation_count > 0)
        code = report_part(trainer, split->validation, split->validation_count, &trainer->reports[1],
                           &validation, err);
    if (code != NABLA_OK)
        return code;
    *ret = (struct train_result){
        .steps = progress->step,
        .epochs = progress->epoch,
        .stop = trainer_stop(trainer),
        .best_epoch = trainer->spec->early_stopping.restore_best ? trainer->training.stopping.best_epoch : 0,
        .training = report_end(trainer->reports[0]),
        .validation = split->validation_count > 0 ? report_end(trainer->reports[1]) : NULL,
        .loss = training.loss,
        .accuracy = objective_accuracy(&training),
        .validation_loss = validation.loss,
        .validation_accuracy = objective_accuracy(&validation),
    };
    return NABLA_OK;
}

enum nabla_code trainer_end_run(struct trainer *trainer, struct train_result *ret, struct nabla_error *err)
{
    settle_model(trainer);
    return make_result(trainer, ret, err);
}
