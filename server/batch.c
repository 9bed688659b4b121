#include "server/batch.h"

#include "base/number.h"
#include "base/size.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HISTOGRAMS_LIMIT = 8 << 20 }; // as text, of one step

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

static void encode_histogram(const struct layer_histograms *layer, uint64_t step, int kind,
                             struct buffer *ret)
{
    const struct histogram *histogram = &layer->of[kind];
    buffer_format(ret, "{\"index\":%u,\"name\":", layer->index);
    buffer_json_string(ret, layer->name);
    buffer_format(ret, ",\"kind\":\"%s\",\"steps\":[%" PRIu64 "],\"counts\":[[", histogram_kind_names[kind],
                  step);
    for (size_t i = 0; i < HISTOGRAM_BINS; i++)
        buffer_format(ret, "%s%" PRIu64, i ? "," : "", histogram->counts[i]);
    buffer_format(ret, "]],\"nonfinite\":[%" PRIu64 "]}", histogram->nonfinite);
}

enum nabla_code queued_histograms_new(const struct histogram_record *record,
                                      const struct train_progress *progress, struct queued_record **ret,
                                      struct nabla_error *err)
{
    struct buffer text = buffer_new(HISTOGRAMS_LIMIT);
    struct queued_record *queued = NULL;
    for (size_t i = 0; i < record->layer_count; i++)
        for (int kind = 0; kind < HISTOGRAM_KIND_COUNT; kind++) {
            buffer_text(&text, text.size ? "," : "");
            encode_histogram(&record->layers[i], record->step, kind, &text);
        }
    enum nabla_code code = buffer_status(&text, "a step's histograms", err);
    if (!code && !(queued = malloc(sizeof *queued + text.size + 1)))
        code = nabla_fail_memory(err, "a step's histograms");
    if (!code) {
        *queued = (struct queued_record){.record = {.step = record->step}, .progress = *progress};
        queued->histograms = memcpy(queued->layers, text.data ? text.data : "", text.size + 1);
        *ret = queued;
    }
    buffer_free(&text);
    return code;
}

size_t queued_record_numbers(const struct queued_record *record)
{
    if (record->histograms)
        return strlen(record->histograms) / 4 + 1;
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
    // Every record of a run has the same layers, but those that are histograms.
    const char *comma = "";
    while (first->histograms && first->next)
        first = first->next;
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

static void encode_histograms(const struct queued_record *first, struct buffer *ret)
{
    const char *comma = "";
    for (const struct queued_record *at = first; at; at = at->next) {
        if (!at->histograms || !*at->histograms)
            continue;
        buffer_format(ret, "%s", comma);
        buffer_text(ret, at->histograms);
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
    if (progress->steps > 0)
        buffer_format(
            ret, "\"progress\":{\"step\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"epoch\":%zu,\"epochs\":%zu},",
            progress->step, progress->steps, progress->epoch, progress->epochs);
    buffer_text(ret, "\"metrics\":{");
    encode_table(first, NETWORK, network_stats, NETWORK_STAT_COUNT, ret);
    buffer_text(ret, "},\"layers\":[");
    encode_layers(first, ret);
    buffer_text(ret, "],\"histograms\":[");
    encode_histograms(first, ret);
    buffer_text(ret, "]}");
}
