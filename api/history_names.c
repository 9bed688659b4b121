// JSON columns nest; rows, CSV and safetensors put what is behind a mean beside it, as loss_min or loss.min.
// A client may have named a metric just so.
#include "api/history_encode.h"

#include <string.h>

static const struct frame_column *column_find(const struct frame *frame, const char *name, size_t length)
{
    for (size_t i = 0; i < frame->column_count; i++)
        if (strncmp(frame->columns[i].name, name, length) == 0 && frame->columns[i].name[length] == '\0')
            return &frame->columns[i];
    return NULL;
}

// The column beside which the frame puts something by this name.
static const struct frame_column *owner_find(const struct frame *frame, const char *name, char separator)
{
    static const char *const parts[] = {"min", "max", "nonfinite", "recorded"};
    const char *part = strrchr(name, separator);
    for (size_t i = 0; part && i < sizeof parts / sizeof *parts; i++)
        if (strcmp(part + 1, parts[i]) == 0 && (i == 3 ? separator == '.' : frame->is_folded))
            return column_find(frame, name, (size_t)(part - name));
    return NULL;
}

static bool is_taken(const struct frame *frame, const char *name, char separator)
{
    return strcmp(name, separator == '.' ? "steps" : "step") == 0 || strcmp(name, "job") == 0 ||
           (frame->is_folded && strcmp(name, separator == '.' ? "counts" : "count") == 0);
}

enum nabla_code frames_check_names(const struct frames *frames, char separator, struct nabla_error *err)
{
    for (size_t f = 0; f < frames->count && !frames->layers; f++)
        for (size_t i = 0; i < frames->frames[f].column_count; i++) {
            const struct frame *frame = &frames->frames[f];
            const char *name = frame->columns[i].name;
            const struct frame_column *owner = owner_find(frame, name, separator);
            if (owner)
                return nabla_fail(
                    err, NABLA_INVALID, NULL,
                    "the metrics \"%s\" and \"%s\" cannot be told apart in this format: ask for "
                    "one of them with column, or for JSON",
                    owner->name, name);
            if (is_taken(frame, name, separator))
                return nabla_fail(err, NABLA_INVALID, NULL,
                                  "the metric \"%s\" has a name that this format needs itself: ask for JSON",
                                  name);
        }
    return NABLA_OK;
}
