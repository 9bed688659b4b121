#include "api/history_decode.h"

#include "api/history_batch_tensors.h"
#include "api/history_table.h"
#include "base/json.h"
#include "base/number.h"
#include "base/size.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS_MAX = 4096, STRING_MAX = 4096 };

// A batch on its way: its tables, and what stands beside them.
struct batch_reading {
    struct table_reader reader;
    struct table network;
    struct table *layers;
    size_t layer_count, layer_capacity;
    unsigned seen; // bits of the members that came
    struct history_input *input;
};

void history_input_free(struct history_input *input)
{
    if (!input)
        return;
    for (size_t i = 0; i < input->name_count; i++)
        free(input->names[i]);
    free(input->names);
    for (size_t i = 0; i < input->named_count; i++) {
        free((void *)(uintptr_t)input->named[i].name);
        free((void *)(uintptr_t)input->named[i].steps);
        free((void *)(uintptr_t)input->named[i].values);
    }
    free(input->named);
    free(input->records);
    free(input->layers);
    histogram_input_free(&input->histograms);
    *input = (struct history_input){0};
}

// A whole number in [least, 2^53 − 1]; anything else is a problem.
static uint64_t read_whole(struct table_reader *reader, const char *pointer, int64_t least)
{
    static const int64_t most = (INT64_C(1) << 53) - 1;
    enum json_token token;
    int64_t value = least;
    if (!reader_next(reader, &token))
        return 0;
    bool whole = token == JSON_NUMBER && number_read_int(reader->json.token, reader->json.at, &value);
    if (!whole || value < least || value > most)
        problems_add(reader->problems, pointer, "must be a whole number of at least %lld", (long long)least);
    reader_skip_rest(reader, token);
    return whole && value >= least ? (uint64_t)value : 0;
}

static void read_attempt(struct batch_reading *reading)
{
    uint64_t attempt = read_whole(&reading->reader, "/attempt", 1);
    reading->input->batch.attempt = attempt <= INT_MAX ? (unsigned)attempt : INT_MAX;
}

static void read_progress_member(struct table_reader *reader, struct job_progress *ret, unsigned *seen)
{
    const struct {
        const char *name;
        uint64_t *place;
    } parts[] = {
        {"step", &ret->step}, {"steps", &ret->steps}, {"epoch", &ret->epoch}, {"epochs", &ret->epochs}};
    char pointer[160];
    enum json_token token;
    snprintf(pointer, sizeof pointer, "/progress/%.100s", reader_text(reader));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(reader_text(reader), parts[i].name) == 0 && !(*seen & 1U << i)) {
            *seen |= 1U << i;
            *parts[i].place = read_whole(reader, pointer, 0);
            return;
        }
    problems_add(reader->problems, pointer, "is not known, or comes twice");
    if (reader_next(reader, &token))
        reader_skip_rest(reader, token);
}

static void read_progress(struct batch_reading *reading)
{
    enum json_token token;
    unsigned seen = 0;
    struct table_reader *reader = &reading->reader;
    if (!reader_next(reader, &token) || token == JSON_NULL)
        return;
    if (token != JSON_OBJECT_BEGIN) {
        problems_add(reader->problems, "/progress", "must be an object");
        reader_skip_rest(reader, token);
        return;
    }
    while (reader_next(reader, &token) && token == JSON_KEY)
        read_progress_member(reader, &reading->input->progress, &seen);
    reading->input->batch.progress = &reading->input->progress;
}

static void read_metrics(struct batch_reading *reading)
{
    enum json_token token;
    if (!reader_next(&reading->reader, &token) || token == JSON_NULL)
        return;
    table_read(&reading->reader, token, &reading->network);
}

// Room for one more layer; the lists of most batches stay short.
static bool layers_grow(struct batch_reading *reading)
{
    struct table_reader *reader = &reading->reader;
    size_t capacity = reading->layer_capacity ? reading->layer_capacity * 2 : 8;
    if (reading->layer_count < reading->layer_capacity)
        return true;
    if (reading->layer_count == LAYERS_MAX) {
        reader->code =
            nabla_fail(reader->err, NABLA_LIMIT, "/layers", "a batch has at most %d layers", LAYERS_MAX);
        return false;
    }
    struct table *grown = reallocarray(reading->layers, capacity, sizeof *grown);
    if (!grown) {
        reader->code = nabla_fail_memory(reader->err, "a batch");
        return false;
    }
    reading->layers = grown;
    reading->layer_capacity = capacity;
    return true;
}

static void read_layer(struct batch_reading *reading, enum json_token token)
{
    char pointer[64];
    if (!layers_grow(reading))
        return;
    snprintf(pointer, sizeof pointer, "/layers/%zu", reading->layer_count);
    struct table *layer = &reading->layers[reading->layer_count++];
    table_begin(layer, pointer, layer_stats, LAYER_STAT_COUNT, true);
    table_read(&reading->reader, token, layer);
}

static void read_layers(struct batch_reading *reading)
{
    enum json_token token;
    struct table_reader *reader = &reading->reader;
    if (!reader_next(reader, &token) || token == JSON_NULL)
        return;
    if (token != JSON_ARRAY_BEGIN) {
        problems_add(reader->problems, "/layers", "must be a list of layers");
        reader_skip_rest(reader, token);
        return;
    }
    while (reader_next(reader, &token) && token != JSON_ARRAY_END)
        read_layer(reading, token);
}

static void read_histograms(struct batch_reading *reading)
{
    histogram_input_read(&reading->reader, &reading->input->histograms);
}

static const struct {
    const char *name;
    void (*read)(struct batch_reading *reading);
} members[] = {
    {"attempt", read_attempt},   {"metrics", read_metrics},       {"layers", read_layers},
    {"progress", read_progress}, {"histograms", read_histograms},
};
enum { MEMBER_COUNT = sizeof members / sizeof *members };

static void read_member(struct batch_reading *reading)
{
    struct table_reader *reader = &reading->reader;
    char pointer[160];
    enum json_token token;
    for (unsigned i = 0; i < MEMBER_COUNT; i++) {
        if (strcmp(reader_text(reader), members[i].name) != 0)
            continue;
        if (reading->seen & (1U << i)) {
            reader->code =
                nabla_fail(reader->err, NABLA_MALFORMED, NULL, "the key \"%s\" comes twice", members[i].name);
            return;
        }
        reading->seen |= 1U << i;
        members[i].read(reading);
        return;
    }
    snprintf(pointer, sizeof pointer, "/%.150s", reader_text(reader));
    problems_add(reader->problems, pointer, "is not known");
    if (reader_next(reader, &token))
        reader_skip_rest(reader, token);
}

static void read_batch(struct batch_reading *reading)
{
    enum json_token token;
    struct table_reader *reader = &reading->reader;
    if (!reader_next(reader, &token))
        return;
    if (token != JSON_OBJECT_BEGIN) {
        problems_add(reader->problems, "", "must be an object");
        return;
    }
    while (reader_next(reader, &token) && token == JSON_KEY)
        read_member(reading);
    if (!reader->code)
        reader_next(reader, &token); // nothing but the end may follow
    if (!(reading->seen & 1U) && !reader->code)
        problems_add(reader->problems, "/attempt", "is missing");
}

static bool input_reserve(const struct batch_reading *reading, struct history_input *ret)
{
    size_t rows = 0;
    for (size_t i = 0; i < reading->layer_count; i++)
        rows += table_rows(&reading->layers[i]);
    ret->records = size_alloc(rows + table_rows(&reading->network) + 1, 1, sizeof *ret->records);
    ret->layers = size_alloc(rows + 1, 1, sizeof *ret->layers);
    ret->names = size_alloc(reading->layer_count + 1, 1, sizeof *ret->names);
    return ret->records && ret->layers && ret->names;
}

static void fill_network(const struct table *table, struct history_input *ret)
{
    for (size_t row = 0; row < table_rows(table); row++) {
        struct step_record *record = &ret->records[ret->batch.record_count++];
        record->step = table_step(table, row);
        record->recorded = table_values(table, row, record->values);
        record->steps = table_counts(table, row);
        if (record->steps > 1)
            table_folds(table, row, record->minima, record->maxima, record->nonfinite);
    }
}

static bool fill_named_one(const struct table *table, struct named_series *from, struct history_named *to)
{
    uint64_t *steps = size_alloc(table_rows(table) + 1, 1, sizeof *steps);
    double *values = size_alloc(table_rows(table) + 1, 1, sizeof *values);
    const double *given = (const double *)(const void *)from->values.values.data;
    *to = (struct history_named){.name = from->name, .steps = steps, .values = values};
    from->name = NULL; // the input's now
    for (size_t row = 0; steps && values && row < table_rows(table); row++) {
        if (from->values.absent.data[row])
            continue;
        steps[to->count] = table_step(table, row);
        values[to->count++] = given[row];
    }
    return steps && values;
}

static bool fill_named(const struct table *table, struct history_input *ret)
{
    ret->named = size_alloc(table->named_count + 1, 1, sizeof *ret->named);
    while (ret->named && ret->named_count < table->named_count) {
        size_t at = ret->named_count++;
        if (!fill_named_one(table, &table->named[at], &ret->named[at]))
            return false;
    }
    ret->batch.named = ret->named;
    ret->batch.named_count = ret->named_count;
    return ret->named;
}

// Each row of a layer is a record of its own: the store goes by (layer, step), not by how they were sent.
static void fill_layer(struct table *table, size_t *layer_count, struct history_input *ret)
{
    ret->names[ret->name_count++] = table->name;
    for (size_t row = 0; row < table_rows(table); row++) {
        struct step_record *record = &ret->records[ret->batch.record_count++];
        struct layer_record *layer = &ret->layers[(*layer_count)++];
        layer->index = table->index;
        layer->name = table->name;
        layer->recorded = table_values(table, row, layer->values);
        record->step = table_step(table, row);
        record->steps = table_counts(table, row);
        if (record->steps > 1)
            table_folds(table, row, layer->minima, layer->maxima, layer->nonfinite);
        record->layers = layer;
        record->layer_count = 1;
    }
    table->name = NULL; // the input's now
}

static enum nabla_code fill_input(struct batch_reading *reading, struct nabla_error *err)
{
    struct history_input *input = reading->input;
    size_t layer_count = 0;
    if (!input_reserve(reading, input))
        return nabla_fail_memory(err, "a batch");
    if (!fill_named(&reading->network, input))
        return nabla_fail_memory(err, "a batch");
    fill_network(&reading->network, input);
    for (size_t i = 0; i < reading->layer_count; i++)
        fill_layer(&reading->layers[i], &layer_count, input);
    input->batch.records = input->records;
    input->batch.histograms = histogram_input_entries(&input->histograms, &input->batch.histogram_count);
    return NABLA_OK;
}

// `file` NULL: the text is all.
static enum nabla_code decode(const char *text, size_t size, const struct safetensors *file,
                              struct problems *problems, struct history_input *ret, struct nabla_error *err)
{
    *ret = (struct history_input){0};
    histogram_input_begin(&ret->histograms);
    struct batch_reading reading = {.reader = {.json = json_open(text, size, STRING_MAX),
                                               .problems = problems,
                                               .err = err,
                                               .has_tensors = file != NULL},
                                    .input = ret};
    table_begin(&reading.network, "/metrics", network_stats, NETWORK_STAT_COUNT, false);
    read_batch(&reading);
    if (file && !reading.reader.code)
        batch_take_tensors(&reading.reader, file, &reading.network, reading.layers, reading.layer_count);
    enum nabla_code code = reading.reader.code;
    if (!code && problems->count == 0)
        code = fill_input(&reading, err);
    table_free(&reading.network);
    for (size_t i = 0; i < reading.layer_count; i++)
        table_free(&reading.layers[i]);
    free(reading.layers);
    json_close(&reading.reader.json);
    return code;
}

enum nabla_code history_decode(const char *text, size_t size, struct problems *problems,
                               struct history_input *ret, struct nabla_error *err)
{
    return decode(text, size, NULL, problems, ret, err);
}

enum nabla_code history_decode_tensors(const void *bytes, size_t size, struct problems *problems,
                                       struct history_input *ret, struct nabla_error *err)
{
    struct safetensors *file;
    *ret = (struct history_input){0};
    enum nabla_code code = safetensors_read(bytes, size, &file, err);
    if (code)
        return code;
    const char *document = batch_document(file);
    code = decode(document, strlen(document), file, problems, ret, err);
    safetensors_free(file);
    return code;
}
