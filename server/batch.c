#include "server/batch.h"

#include "base/number.h"
#include "base/size.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t names_size(const struct step_record *record)
{
    size_t size = 0;
    for (size_t i = 0; i < record->layer_count; i++)
        size += strlen(record->layers[i].name) + 1;
    return size;
}

enum nabla_code queued_record_new(const struct step_record *record, const struct train_progress *progress,
                                  struct queued_record **ret, struct nabla_error *err)
{
    size_t layers, size;
    struct queued_record *queued = NULL;
    if (size_mul(record->layer_count, sizeof *queued->layers, &layers) &&
        size_add(layers, sizeof *queued + names_size(record), &size))
        queued = malloc(size);
    if (!queued)
        return nabla_fail_memory(err, "a step's record");
    *queued = (struct queued_record){.record = *record, .progress = *progress};
    queued->record.layers = queued->layers;
    char *names = (char *)(queued->layers + record->layer_count);
    for (size_t i = 0; i < record->layer_count; i++) {
        size_t length = strlen(record->layers[i].name) + 1;
        queued->layers[i] = record->layers[i];
        queued->layers[i].name = memcpy(names, record->layers[i].name, length);
        names += length;
    }
    *ret = queued;
    return NABLA_OK;
}

size_t queued_record_numbers(const struct queued_record *record)
{
    return NETWORK_STAT_COUNT + record->record.layer_count * LAYER_STAT_COUNT;
}

void encode_number(double value, struct buffer *ret)
{
    char text[NUMBER_TEXT_SIZE];
    size_t length = number_write_double(text, value);
    bool quoted = !isfinite(value);
    if (quoted)
        buffer_char(ret, '"');
    buffer_append(ret, text, length);
    if (quoted)
        buffer_char(ret, '"');
}

// Whose table: the network's, or that of one layer.
enum { NETWORK = -1 };

static const struct layer_record *layer_of(const struct queued_record *at, int index)
{
    for (size_t i = 0; i < at->record.layer_count; i++)
        if ((int)at->record.layers[i].index == index)
            return &at->record.layers[i];
    return NULL;
}

static uint32_t recorded_of(const struct queued_record *at, int index, const double **ret_values)
{
    if (index == NETWORK) {
        *ret_values = at->record.values;
        return at->record.recorded;
    }
    const struct layer_record *layer = layer_of(at, index);
    *ret_values = layer ? layer->values : NULL;
    return layer ? layer->recorded : 0;
}

static void encode_steps(const struct queued_record *first, int index, struct buffer *ret)
{
    const char *comma = "";
    const double *values;
    for (const struct queued_record *at = first; at; at = at->next) {
        if (!recorded_of(at, index, &values))
            continue;
        buffer_format(ret, "%s%" PRIu64, comma, at->record.step);
        comma = ",";
    }
}

static void encode_column(const struct queued_record *first, int index, size_t column, struct buffer *ret)
{
    const char *comma = "";
    const double *values;
    for (const struct queued_record *at = first; at; at = at->next) {
        uint32_t recorded = recorded_of(at, index, &values);
        if (!recorded)
            continue;
        buffer_text(ret, comma);
        comma = ",";
        if (recorded >> column & 1)
            encode_number(values[column], ret);
        else
            buffer_text(ret, "null");
    }
}

// "steps": […], "columns": {…}
static void encode_table(const struct queued_record *first, int index, const struct stat_info *stats,
                         size_t stat_count, struct buffer *ret)
{
    uint32_t any = 0;
    const double *values;
    for (const struct queued_record *at = first; at; at = at->next)
        any |= recorded_of(at, index, &values);
    buffer_text(ret, "\"steps\":[");
    encode_steps(first, index, ret);
    buffer_text(ret, "],\"columns\":{");
    const char *comma = "";
    for (size_t i = 0; i < stat_count; i++) {
        if (!(any >> i & 1))
            continue;
        buffer_format(ret, "%s\"%s\":[", comma, stats[i].name);
        encode_column(first, index, i, ret);
        buffer_char(ret, ']');
        comma = ",";
    }
    buffer_char(ret, '}');
}

static void encode_layers(const struct queued_record *first, struct buffer *ret)
{
    // Every record of a run has the same layers.
    const char *comma = "";
    for (size_t i = 0; i < first->record.layer_count; i++) {
        const struct layer_record *layer = &first->record.layers[i];
        buffer_format(ret, "%s{\"index\":%u,\"name\":", comma, layer->index);
        buffer_json_string(ret, layer->name);
        buffer_char(ret, ',');
        encode_table(first, (int)layer->index, layer_stats, LAYER_STAT_COUNT, ret);
        buffer_char(ret, '}');
        comma = ",";
    }
}

void batch_encode(unsigned attempt, const struct queued_record *first, struct buffer *ret)
{
    batch_encode_attempt(attempt, ret);
    batch_encode_rest(first, ret);
}

void batch_encode_attempt(unsigned attempt, struct buffer *ret)
{
    buffer_format(ret, "{\"attempt\":%u,", attempt);
}

void batch_encode_rest(const struct queued_record *first, struct buffer *ret)
{
    const struct queued_record *last = first;
    while (last->next)
        last = last->next;
    const struct train_progress *progress = &last->progress;
    buffer_format(ret,
                  "\"progress\":{\"step\":%" PRIu64 ",\"steps\":%" PRIu64
                  ",\"epoch\":%zu,\"epochs\":%zu},\"metrics\":{",
                  progress->step, progress->steps, progress->epoch, progress->epochs);
    encode_table(first, NETWORK, network_stats, NETWORK_STAT_COUNT, ret);
    buffer_text(ret, "},\"layers\":[");
    encode_layers(first, ret);
    buffer_text(ret, "]}");
}
