#include "train/training.h"

#define WHOLE(name, field)                                                                                   \
    {                                                                                                        \
        name, TENSOR_I64, offsetof(struct training, field), 1                                                \
    }
#define NUMBER(name, field)                                                                                  \
    {                                                                                                        \
        name, TENSOR_F64, offsetof(struct training, field), 1                                                \
    }

const struct training_field training_fields[] = {
    WHOLE("progress.step", progress.step),
    WHOLE("progress.steps", progress.steps),
    WHOLE("progress.epoch", progress.epoch),
    WHOLE("progress.epochs", progress.epochs),
    NUMBER("progress.loss", progress.loss),
    NUMBER("progress.accuracy", progress.accuracy),
    NUMBER("progress.validation_loss", progress.validation_loss),
    NUMBER("progress.validation_accuracy", progress.validation_accuracy),
    NUMBER("schedule.learning_rate", schedule.learning_rate),
    NUMBER("schedule.best", schedule.best),
    NUMBER("schedule.waited", schedule.waited),
    NUMBER("schedule.cooldown", schedule.cooldown),
    NUMBER("stopping.best", stopping.best),
    NUMBER("stopping.waited", stopping.waited),
    WHOLE("stopping.best_epoch", stopping.best_epoch),
    WHOLE("stopping.is_over", stopping.is_over),
    NUMBER("noise.trace", noise.trace),
    NUMBER("noise.square", noise.square),
    NUMBER("epoch_loss", epoch_loss),
    NUMBER("epoch_right", epoch_right),
    NUMBER("epoch_counted", epoch_counted),
    NUMBER("epoch_rows", epoch_rows),
    NUMBER("seconds", seconds),
    NUMBER("learning_rate", learning_rate),
    WHOLE("batch", batch),
    WHOLE("order_at", order_at),
    WHOLE("dropout_at", dropout_at),
};
const size_t training_field_count = sizeof training_fields / sizeof *training_fields;

void training_state(struct training *training, struct train_state *state)
{
    for (size_t i = 0; i < training_field_count; i++) {
        const struct training_field *field = &training_fields[i];
        train_state_add(state, field->name, field->dtype, (char *)training + field->offset, field->count);
    }
}
