// How a run ended, as the JSON that stands with its job.
#ifndef NABLA_SERVER_OUTCOME_H
#define NABLA_SERVER_OUTCOME_H

#include "base/buffer.h"
#include "train/trainer.h"

enum { OUTCOME_LIMIT = 256 * 1024 };

// {"steps", "epochs", "loss", "accuracy", "validation_loss", "validation_accuracy", "stopped", "best_epoch",
// "seconds", "platform", "reproducible", "report": {"training", "validation"}}; the validation figures are
// null without a validation part, accuracies in regression.
void outcome_encode(const struct train_result *result, const struct train_spec *spec, bool is_reproducible,
                    struct buffer *ret);

// The error as one text that begins with its place, where there is one.
enum { OUTCOME_TEXT_SIZE = 700 };
char *outcome_error_text(const struct nabla_error *err, char ret[OUTCOME_TEXT_SIZE]);

// {"code", "detail"}; the detail is that text.
void outcome_encode_error(const struct nabla_error *err, struct buffer *ret);

#endif
