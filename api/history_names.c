// JSON columns nest; rows and CSV put what is behind a mean beside it, as loss_min. A client may have named a
// metric just so.
#include "api/history_encode.h"

#include <string.h>

static const struct frame_column *column_find(const struct frame *frame, const char *name, size_t length)
{
    for (size_t i = 0; i < frame->column_count; i++)
        if (strncmp(frame->columns[i].name, name, length) == 0 && frame->columns[i].name[length] == '\0')
            return &frame->columns[i];
    return NULL;
}

// The column beside which a frame with folds puts something by this name.
static const struct frame_column *owner_find(const struct frame *frame, const char *name)
{
    static const char *const parts[] = {"min", "max", "nonfinite"};
    const char *part = strrchr(name, '_');
    for (size_t i = 0; part && i < sizeof parts / sizeof *parts; i++)
        if (strcmp(part + 1, parts[i]) == 0)
            return column_find(frame, name, (size_t)(part - name));
    return NULL;
}

static enum nabla_code check_frame(const struct frame *frame, struct nabla_error *err)
{
    for (size_t i = 0; i < frame->column_count; i++) {
        const char *name = frame->columns[i].name;
        const struct frame_column *owner = owner_find(frame, name);
        if (owner)
            return nabla_fail(
                err, NABLA_INVALID, NULL,
                "the metrics \"%s\" and \"%s\" cannot be told apart in this format: ask for one of "
                "them with column, or for JSON",
                owner->name, name);
    }
    return NABLA_OK;
}

enum nabla_code frames_check_names(const struct frames *frames, struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < frames->count && !frames->layers && code == NABLA_OK; i++)
        if (frames->frames[i].is_folded)
            code = check_frame(&frames->frames[i], err);
    return code;
}
