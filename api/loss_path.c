#include "api/loss_path.h"

#include <assert.h>

static const char *const input_names[] = {[NABLA_LOGITS] = "logits", [NABLA_PROBABILITIES] = "probabilities"};
static_assert(sizeof input_names / sizeof *input_names * NABLA_CONVENTION_COUNT == LOSS_PATHS, "all inputs");

struct loss_path loss_path_at(size_t index)
{
    return (struct loss_path){(enum nabla_convention)(index % NABLA_CONVENTION_COUNT),
                              index < NABLA_CONVENTION_COUNT ? NABLA_LOGITS : NABLA_PROBABILITIES};
}

const char *loss_input_name(enum nabla_loss_input input)
{
    return input_names[input];
}

void loss_path_write_name(struct buffer *body, struct loss_path path)
{
    buffer_format(body, "\"%s/%s\"", nabla_convention_name(path.convention), input_names[path.input]);
}

void loss_path_write(struct buffer *body, struct loss_path path)
{
    buffer_text(body, "\"path\":");
    loss_path_write_name(body, path);
    buffer_format(body, ",\"convention\":\"%s\",\"input\":\"%s\"", nabla_convention_name(path.convention),
                  input_names[path.input]);
}

void loss_absence_add(struct loss_absences *absences, struct loss_path path, const struct nabla_error *reason)
{
    absences->items[absences->count].path = path;
    absences->items[absences->count++].reason = *reason;
}

void loss_absences_write(struct buffer *body, const struct loss_absences *absences)
{
    buffer_text(body, "\"unavailable\":[");
    for (size_t i = 0; i < absences->count; i++) {
        buffer_text(body, i ? ",{" : "{");
        loss_path_write(body, absences->items[i].path);
        buffer_text(body, ",\"reason\":");
        buffer_json_string(body, absences->items[i].reason.text);
        buffer_char(body, '}');
    }
    buffer_char(body, ']');
}
