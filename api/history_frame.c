// Points that were gathered → columns. The network's table joins its wide rows with the metrics that a client
// named, which may have other steps.
#include "api/history_encode.h"

#include "base/size.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void frames_free(struct frames *frames)
{
    for (size_t i = 0; frames->frames && i < frames->count; i++) {
        struct frame *frame = &frames->frames[i];
        for (size_t c = 0; frame->columns && c < frame->column_count; c++) {
            free(frame->columns[c].values);
            free(frame->columns[c].folds);
            free(frame->columns[c].recorded);
        }
        free(frame->columns);
        free(frame->steps);
        free(frame->counts);
    }
    free(frames->frames);
    *frames = (struct frames){0};
}

static int step_compare(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

// The steps of points [from, to), each once.
static bool fill_steps(const struct history *history, size_t from, size_t to, struct frame *frame)
{
    size_t count = to - from;
    bool sorted = true;
    frame->steps = size_alloc(count + 1, 1, sizeof *frame->steps);
    frame->counts = size_alloc(count + 1, 1, sizeof *frame->counts);
    if (!frame->steps || !frame->counts)
        return false;
    for (size_t i = 0; i < count; i++) {
        frame->steps[i] = history->points[from + i].step;
        sorted &= i == 0 || frame->steps[i - 1] < frame->steps[i];
        frame->is_folded |= history->points[from + i].has_folds;
    }
    frame->rows = count;
    if (sorted)
        return true;
    qsort(frame->steps, count, sizeof *frame->steps, step_compare);
    frame->rows = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || frame->steps[i] != frame->steps[i - 1])
            frame->steps[frame->rows++] = frame->steps[i];
    return true;
}

static bool add_column(struct frame *frame, const char *name)
{
    struct frame_column *column = &frame->columns[frame->column_count++];
    column->name = (char *)(uintptr_t)name;
    column->values = size_alloc(frame->rows + 1, 1, sizeof *column->values);
    column->recorded = size_alloc(frame->rows + 1, 1, sizeof *column->recorded);
    if (frame->is_folded)
        column->folds = size_alloc(frame->rows + 1, 1, sizeof *column->folds);
    return column->values && column->recorded && (column->folds || !frame->is_folded);
}

static void set_cell(const struct history *history, const struct history_point *point, size_t value,
                     size_t row, struct frame_column *column)
{
    double number = history->values[point->values + value];
    bool finite = isfinite(number);
    column->values[row] = number;
    column->recorded[row] = true;
    if (!column->folds)
        return;
    column->folds[row] = point->has_folds ? history->folds[point->folds + value]
                                          : (struct history_fold){.count = finite,
                                                                  .nonfinite = !finite,
                                                                  .min = finite ? number : (double)NAN,
                                                                  .max = finite ? number : (double)NAN};
}

// Columns [first, …) from points of one place, whose value i belongs to the column with stat i.
static void fill_columns(const struct history *history, size_t from, size_t to, const int *stats,
                         size_t first, struct frame *frame)
{
    size_t row = 0;
    for (size_t i = from; i < to; i++) {
        const struct history_point *point = &history->points[i];
        while (frame->steps[row] != point->step)
            row++;
        if (point->steps > frame->counts[row])
            frame->counts[row] = point->steps;
        for (size_t c = first; c < frame->column_count; c++)
            if (point->recorded >> stats[c - first] & 1)
                set_cell(history, point, (size_t)stats[c - first], row, &frame->columns[c]);
    }
}

static uint32_t columns_of(const struct history *history, size_t from, size_t to, uint32_t stated)
{
    uint32_t recorded = stated;
    if (history->columns || history->wanted[0])
        return history->columns;
    for (size_t i = from; i < to; i++)
        recorded |= history->points[i].recorded;
    return recorded;
}

static size_t end_of_place(const struct history *history, size_t from)
{
    const struct history_point *points = history->points;
    size_t to = from;
    while (to < history->count && points[to].place == points[from].place &&
           points[to].is_named == points[from].is_named)
        to++;
    return to;
}

static bool fill_wide(const struct history *history, size_t from, size_t to, uint32_t stated,
                      struct frame *frame)
{
    int stats[32] = {0};
    size_t count = 0;
    uint32_t columns = columns_of(history, from, to, stated);
    for (size_t stat = 0; stat < history->stat_count; stat++) {
        if (!(columns >> stat & 1))
            continue;
        stats[count++] = (int)stat;
        if (!add_column(frame, history->stats[stat].name))
            return false;
    }
    fill_columns(history, from, to, stats, 0, frame);
    return true;
}

static const char *name_at(const struct history *history, unsigned place)
{
    return place < history->name_count && history->names[place] ? history->names[place] : "";
}

static bool fill_named(const struct history *history, size_t from, struct frame *frame)
{
    for (size_t to; from < history->count; from = to) {
        static const int only[] = {0};
        to = end_of_place(history, from);
        size_t first = frame->column_count;
        if (!add_column(frame, name_at(history, history->points[from].place)))
            return false;
        fill_columns(history, from, to, only, first, frame);
    }
    return true;
}

static size_t count_places(const struct history *history)
{
    size_t count = 0;
    for (size_t from = 0; from < history->count; from = end_of_place(history, from))
        count++;
    return count;
}

static bool build_network(const struct history *history, uint32_t stated, struct frames *ret)
{
    ret->frames = size_alloc(1, 1, sizeof *ret->frames);
    if (!ret->frames)
        return false;
    ret->count = 1;
    struct frame *frame = ret->frames;
    frame->width = history->width;
    frame->columns = size_alloc(history->stat_count + count_places(history) + 1, 1, sizeof *frame->columns);
    size_t wide = history->count > 0 && !history->points[0].is_named ? end_of_place(history, 0) : 0;
    return frame->columns && fill_steps(history, 0, history->count, frame) &&
           fill_wide(history, 0, wide, stated, frame) && fill_named(history, wide, frame);
}

static bool build_layers(const struct history *history, uint32_t stated, struct frames *ret)
{
    ret->frames = size_alloc(count_places(history) + 1, 1, sizeof *ret->frames);
    for (size_t from = 0, to; ret->frames && from < history->count; from = to) {
        struct frame *frame = &ret->frames[ret->count++];
        to = end_of_place(history, from);
        frame->index = history->points[from].place;
        frame->name = name_at(history, frame->index);
        frame->width = history->width;
        frame->columns = size_alloc(history->stat_count, 1, sizeof *frame->columns);
        if (!frame->columns || !fill_steps(history, from, to, frame) ||
            !fill_wide(history, from, to, stated, frame))
            return false;
    }
    return ret->frames;
}

enum nabla_code frames_build(const struct history *history, bool layers, uint32_t stated, struct frames *ret,
                             struct nabla_error *err)
{
    *ret = (struct frames){.layers = layers};
    bool built = layers ? build_layers(history, stated, ret) : build_network(history, stated, ret);
    return built ? NABLA_OK : nabla_fail_memory(err, "a history");
}
