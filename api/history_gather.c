#include "api/history_encode.h"
#include "base/number.h"
#include "base/size.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t STEP_MAX = (UINT64_C(1) << 53) - 1;

void history_free(struct history *history)
{
    if (!history)
        return;
    free(history->points);
    free(history->values);
    free(history->folds);
    history->points = NULL;
    history->values = NULL;
    history->folds = NULL;
    history->count = history->capacity = 0;
    history->value_count = history->value_capacity = history->fold_count = history->fold_capacity = 0;
}

// Room for `extra` more elements of `width` bytes.
static bool grow(void *array, size_t count, size_t *capacity, size_t extra, size_t width)
{
    void **place = array;
    size_t wanted = *capacity ? *capacity : 256, bytes;
    if (count + extra <= *capacity)
        return true;
    while (wanted < count + extra)
        if (!size_mul(wanted, 2, &wanted))
            return false;
    void *grown = size_mul(wanted, width, &bytes) ? realloc(*place, bytes) : NULL;
    if (!grown)
        return false;
    *place = grown;
    *capacity = wanted;
    return true;
}

enum nabla_code history_take(void *context, const struct history_row *row)
{
    struct history *history = context;
    size_t values = row->is_named ? 1 : history->stat_count;
    if (history->count == history->limit) {
        history->more = true;
        return NABLA_OK;
    }
    if (!grow(&history->points, history->count, &history->capacity, 1, sizeof *history->points) ||
        !grow(&history->values, history->value_count, &history->value_capacity, values,
              sizeof *history->values) ||
        (row->folds && !grow(&history->folds, history->fold_count, &history->fold_capacity, values,
                             sizeof *history->folds)))
        return NABLA_NO_MEMORY;
    history->points[history->count++] = (struct history_point){.step = row->step,
                                                               .place = row->layer,
                                                               .is_named = row->is_named,
                                                               .recorded = row->recorded,
                                                               .steps = row->steps,
                                                               .values = history->value_count,
                                                               .has_folds = row->folds != NULL,
                                                               .folds = history->fold_count};
    memcpy(history->values + history->value_count, row->values, values * sizeof *history->values);
    history->value_count += values;
    if (row->folds) {
        memcpy(history->folds + history->fold_count, row->folds, values * sizeof *history->folds);
        history->fold_count += values;
    }
    history->width = row->width;
    history->last =
        (struct history_cursor){.revision = row->revision, .layer = row->layer, .step = row->step};
    return NABLA_OK;
}

static int point_compare(const void *a, const void *b)
{
    const struct history_point *left = a, *right = b;
    if (left->is_named != right->is_named)
        return left->is_named ? 1 : -1;
    if (left->place != right->place)
        return left->place < right->place ? -1 : 1;
    return left->step < right->step ? -1 : left->step > right->step;
}

void history_sort(struct history *history)
{
    for (size_t i = 1; i < history->count; i++)
        if (point_compare(&history->points[i - 1], &history->points[i]) > 0) {
            qsort(history->points, history->count, sizeof *history->points, point_compare);
            return;
        }
}

void cursor_write(const struct history *history, uint64_t revision, char ret[CURSOR_TEXT_SIZE])
{
    if (history->by_step && history->from_revision > 0)
        revision = history->from_revision;
    if (history->more)
        snprintf(ret, CURSOR_TEXT_SIZE, "%" PRIu64 "%c%u-%" PRIu64,
                 history->by_step ? revision : history->last.revision, history->by_step ? '~' : '-',
                 history->last.layer, history->last.step);
    else
        snprintf(ret, CURSOR_TEXT_SIZE, "%" PRIu64, revision);
}

static bool read_part(const char **text, uint64_t most, uint64_t *ret)
{
    size_t length = strspn(*text, "0123456789");
    int64_t value;
    if (!number_read_int(*text, *text + length, &value) || (uint64_t)value > most)
        return false;
    *ret = (uint64_t)value;
    *text += length;
    return true;
}

bool cursor_read(const char *text, struct history_cursor *ret, bool *ret_by_step)
{
    uint64_t revision, layer = INT_MAX, step = STEP_MAX;
    if (!read_part(&text, STEP_MAX, &revision))
        return false;
    bool by_step = *text == '~';
    if (*text && ((*text != '-' && *text != '~') || (text++, !read_part(&text, INT_MAX, &layer)) ||
                  *text++ != '-' || !read_part(&text, STEP_MAX, &step) || *text))
        return false;
    *ret = (struct history_cursor){.revision = revision, .layer = (unsigned)layer, .step = step};
    *ret_by_step = by_step;
    return true;
}
