// A path: whose convention, and whether its formula sees the logits or the probabilities behind them.
// Vanishing is a property of the path, not of the loss; compare and sweep answer all of them side by side.
#ifndef NABLA_API_LOSS_PATH_H
#define NABLA_API_LOSS_PATH_H

#include "base/buffer.h"
#include "math/loss.h"

struct loss_path {
    enum nabla_convention convention;
    enum nabla_loss_input input;
};

enum { LOSS_PATHS = 2 * NABLA_CONVENTION_COUNT };

// All paths in order: from logits by convention, then from probabilities.
struct loss_path loss_path_at(size_t index);

const char *loss_input_name(enum nabla_loss_input input);

// "keras/probabilities", quotes included.
void loss_path_write_name(struct buffer *body, struct loss_path path);
// "path":"keras/probabilities","convention":"keras","input":"probabilities"
void loss_path_write(struct buffer *body, struct loss_path path);

// Paths that a loss or a batch does not have, each with what the library says about it.
struct loss_absences {
    struct {
        struct loss_path path;
        struct nabla_error reason;
    } items[LOSS_PATHS];
    size_t count;
};

void loss_absence_add(struct loss_absences *absences, struct loss_path path,
                      const struct nabla_error *reason);
// "unavailable":[{"path":…,"reason":…}]
void loss_absences_write(struct buffer *body, const struct loss_absences *absences);

#endif
