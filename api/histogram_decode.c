#include "api/histogram_decode.h"

#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 16384, NAME_MAX_BYTES = 200, INDEX_MAX = 32767 };
static const int64_t WHOLE_MAX = (INT64_C(1) << 53) - 1;

void histogram_input_begin(struct histogram_input *input)
{
    input->entries = buffer_new(SIZE_MAX - 1); // the body's limit holds
    input->names = buffer_new(SIZE_MAX - 1);
}

static char **names_of(const struct histogram_input *input, size_t *ret_count)
{
    *ret_count = input->names.size / sizeof(char *);
    return (char **)(void *)input->names.data;
}

void histogram_input_free(struct histogram_input *input)
{
    size_t count;
    char **names = names_of(input, &count);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    buffer_free(&input->names);
    buffer_free(&input->entries);
}

const struct histogram_entry *histogram_input_entries(const struct histogram_input *input, size_t *ret_count)
{
    *ret_count = input->entries.size / sizeof(struct histogram_entry);
    return (const struct histogram_entry *)(const void *)input->entries.data;
}

// One layer's histograms of one kind: the lists run side by side.
struct group {
    struct table_reader *reader;
    char pointer[64];
    int64_t index; // -1 until it came
    int kind;      // likewise
    char *name;
    struct buffer steps, counts, nonfinite; // int64_t: one, HISTOGRAM_BINS, one a histogram
    bool has_nonfinite;
};

static void group_problem(const struct group *group, const char *place, const char *text)
{
    char pointer[160];
    snprintf(pointer, sizeof pointer, "%s%.90s", group->pointer, place);
    problems_add(group->reader->problems, pointer, "%s", text);
}

static bool token_whole(const struct table_reader *reader, enum json_token token, int64_t most, int64_t *ret)
{
    return token == JSON_NUMBER && number_read_int(reader->json.token, reader->json.at, ret) && *ret >= 0 &&
           *ret <= most;
}

static void keep(struct table_reader *reader, struct buffer *buffer, const void *bytes, size_t size)
{
    if (!buffer_append(buffer, bytes, size) && !reader->code)
        reader->code = nabla_fail_memory(reader->err, "a batch");
}

// A list of whole numbers whose first token was taken.
static size_t read_wholes(struct group *group, enum json_token token, const char *place, struct buffer *ret)
{
    struct table_reader *reader = group->reader;
    size_t count = 0;
    if (token != JSON_ARRAY_BEGIN) {
        group_problem(group, place, "must be a list of whole numbers");
        reader_skip_rest(reader, token);
        return 0;
    }
    for (; reader_next(reader, &token) && token != JSON_ARRAY_END; count++) {
        int64_t value = 0;
        if (!token_whole(reader, token, WHOLE_MAX, &value)) {
            char at[120];
            snprintf(at, sizeof at, "%.90s/%zu", place, count);
            group_problem(group, at, "must be a whole number from 0 to 2^53 - 1");
            reader_skip_rest(reader, token);
        }
        keep(reader, ret, &value, sizeof value);
    }
    return count;
}

static void read_steps(struct group *group, enum json_token token)
{
    read_wholes(group, token, "/steps", &group->steps);
}

static void read_nonfinite(struct group *group, enum json_token token)
{
    group->has_nonfinite = true;
    read_wholes(group, token, "/nonfinite", &group->nonfinite);
}

static void read_counts(struct group *group, enum json_token token)
{
    struct table_reader *reader = group->reader;
    if (token != JSON_ARRAY_BEGIN) {
        group_problem(group, "/counts", "must be a list of lists of 64 numbers");
        reader_skip_rest(reader, token);
        return;
    }
    for (size_t i = 0; reader_next(reader, &token) && token != JSON_ARRAY_END; i++) {
        char place[40];
        snprintf(place, sizeof place, "/counts/%zu", i);
        size_t before = group->counts.size, count = read_wholes(group, token, place, &group->counts);
        if (count == HISTOGRAM_BINS || reader->code)
            continue;
        group_problem(group, place, "must have 64 numbers, one a bin");
        group->counts.size = before;
    }
}

static void read_index(struct group *group, enum json_token token)
{
    if (!token_whole(group->reader, token, INDEX_MAX, &group->index)) {
        group_problem(group, "/index", "must be a whole number from 0 to 32767");
        group->index = 0;
    }
    reader_skip_rest(group->reader, token);
}

static void read_name(struct group *group, enum json_token token)
{
    if (token != JSON_STRING || group->name || group->reader->json.string.size > NAME_MAX_BYTES)
        group_problem(group, "/name", "must be a text of up to 200 bytes");
    else if (!(group->name = strdup(reader_text(group->reader))) && !group->reader->code)
        group->reader->code = nabla_fail_memory(group->reader->err, "a batch");
    reader_skip_rest(group->reader, token);
}

static void read_kind(struct group *group, enum json_token token)
{
    group->kind = HISTOGRAM_KIND_COUNT;
    for (int i = 0; i < HISTOGRAM_KIND_COUNT; i++)
        if (token == JSON_STRING && strcmp(reader_text(group->reader), histogram_kind_names[i]) == 0)
            group->kind = i;
    if (group->kind == HISTOGRAM_KIND_COUNT)
        group_problem(group, "/kind", "must be gradients, weights or activations");
    reader_skip_rest(group->reader, token);
}

static const struct {
    const char *name;
    void (*read)(struct group *group, enum json_token token);
} members[] = {
    {"index", read_index}, {"name", read_name},     {"kind", read_kind},
    {"steps", read_steps}, {"counts", read_counts}, {"nonfinite", read_nonfinite},
};
enum { MEMBER_COUNT = sizeof members / sizeof *members };

static void read_member(struct group *group, unsigned *seen)
{
    struct table_reader *reader = group->reader;
    enum json_token token;
    char place[120];
    unsigned at = 0;
    while (at < MEMBER_COUNT && strcmp(reader_text(reader), members[at].name) != 0)
        at++;
    bool taken = at < MEMBER_COUNT && !(*seen & 1U << at);
    if (!taken) {
        snprintf(place, sizeof place, "/%.90s", reader_text(reader));
        group_problem(group, place, "is not known, or comes twice");
    }
    if (!reader_next(reader, &token))
        return;
    if (!taken) {
        reader_skip_rest(reader, token);
        return;
    }
    *seen |= 1U << at;
    members[at].read(group, token);
}

static void group_check(struct group *group)
{
    const struct {
        bool is_missing;
        const char *place;
    } parts[] = {{group->index < 0, "/index"}, {!group->name, "/name"}, {group->kind < 0, "/kind"}};
    size_t rows = group->steps.size / sizeof(int64_t);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].is_missing)
            group_problem(group, parts[i].place, "is missing");
    if (group->counts.size != rows * HISTOGRAM_BINS * sizeof(int64_t))
        group_problem(group, "/counts", "must be as long as steps");
    if (group->has_nonfinite && group->nonfinite.size != rows * sizeof(int64_t))
        group_problem(group, "/nonfinite", "must be as long as steps");
}

static const int64_t *numbers(const struct buffer *buffer)
{
    return (const int64_t *)(const void *)buffer->data;
}

static void group_take(struct group *group, struct histogram_input *ret)
{
    size_t rows = group->steps.size / sizeof(int64_t);
    keep(group->reader, &ret->names, &group->name, sizeof group->name);
    if (group->reader->code)
        return;
    for (size_t row = 0; row < rows; row++) {
        struct histogram_entry entry = {.step = (uint64_t)numbers(&group->steps)[row],
                                        .layer = (unsigned)group->index,
                                        .name = group->name,
                                        .kind = (enum histogram_kind)group->kind};
        for (size_t bin = 0; bin < HISTOGRAM_BINS; bin++)
            entry.histogram.counts[bin] = (uint64_t)numbers(&group->counts)[row * HISTOGRAM_BINS + bin];
        if (group->has_nonfinite)
            entry.histogram.nonfinite = (uint64_t)numbers(&group->nonfinite)[row];
        keep(group->reader, &ret->entries, &entry, sizeof entry);
    }
    group->name = NULL; // the input's now
}

static void read_group(struct table_reader *reader, size_t at, enum json_token token,
                       struct histogram_input *ret)
{
    struct group group = {.reader = reader, .index = -1, .kind = -1};
    unsigned seen = 0;
    snprintf(group.pointer, sizeof group.pointer, "/histograms/%zu", at);
    group.steps = group.counts = group.nonfinite = buffer_new(SIZE_MAX - 1);
    if (token != JSON_OBJECT_BEGIN) {
        group_problem(&group, "", "must be an object with index, name, kind, steps and counts");
        reader_skip_rest(reader, token);
    } else {
        while (reader_next(reader, &token) && token == JSON_KEY)
            read_member(&group, &seen);
        if (!reader->code)
            group_check(&group);
    }
    if (!reader->code && reader->problems->count == 0) // one problem, and nothing of the batch is taken
        group_take(&group, ret);
    free(group.name);
    buffer_free(&group.steps);
    buffer_free(&group.counts);
    buffer_free(&group.nonfinite);
}

void histogram_input_read(struct table_reader *reader, struct histogram_input *ret)
{
    enum json_token token;
    if (!reader_next(reader, &token) || token == JSON_NULL)
        return;
    if (token != JSON_ARRAY_BEGIN) {
        problems_add(reader->problems, "/histograms", "must be a list");
        reader_skip_rest(reader, token);
        return;
    }
    for (size_t i = 0; reader_next(reader, &token) && token != JSON_ARRAY_END; i++) {
        if (i == GROUPS_MAX) {
            reader->code = nabla_fail(reader->err, NABLA_LIMIT, "/histograms",
                                      "a batch has at most %d of them", GROUPS_MAX);
            return;
        }
        read_group(reader, i, token, ret);
    }
}
