#include "api/datasets_keep.h"

#include "api/job_encode.h"
#include "api/write.h"
#include "base/json_texts.h"
#include "base/size.h"
#include "data/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dataset_limits dataset_limits_of(const struct api_limits *limits)
{
    return (struct dataset_limits){.rows = limits->dataset_rows,
                                   .columns = limits->dataset_columns,
                                   .classes = limits->dataset_classes,
                                   .bytes = limits->dataset_bytes};
}

static enum nabla_code describe_classes(const struct dataset *dataset, struct buffer *ret,
                                        struct nabla_error *err)
{
    size_t *counts = size_alloc(dataset->classes + 1, 1, sizeof *counts);
    if (!counts)
        return nabla_fail_memory(err, "the counts of classes");
    if (dataset->classes > 0)
        dataset_class_counts(dataset, counts);
    buffer_text(ret, "{\"label\":");
    buffer_json_string(ret, dataset->label_name ? dataset->label_name : "");
    buffer_text(ret, ",\"class_names\":");
    json_texts_write(ret, dataset->class_names, dataset->classes);
    buffer_text(ret, ",\"class_counts\":[");
    for (size_t i = 0; i < dataset->classes; i++)
        buffer_format(ret, "%s%zu", i ? "," : "", counts[i]);
    buffer_char(ret, ']');
    free(counts);
    return NABLA_OK;
}

static void describe_number(const char *name, double value, struct buffer *ret)
{
    buffer_format(ret, ",\"%s\":", name);
    write_double(ret, value, false);
}

static enum nabla_code describe_features(const struct dataset *dataset, struct buffer *ret,
                                         struct nabla_error *err)
{
    struct feature_summary *summaries = size_alloc(dataset->columns, 1, sizeof *summaries);
    if (!summaries)
        return nabla_fail_memory(err, "the summaries of features");
    dataset_summarize(dataset, summaries);
    buffer_text(ret, ",\"feature_summaries\":[");
    for (size_t i = 0; i < dataset->columns; i++) {
        buffer_text(ret, i ? ",{\"name\":" : "{\"name\":");
        buffer_json_string(ret, dataset->feature_names[i]);
        describe_number("mean", summaries[i].mean, ret);
        describe_number("std", summaries[i].std, ret);
        describe_number("min", summaries[i].min, ret);
        describe_number("max", summaries[i].max, ret);
        buffer_format(ret, ",\"missing\":%zu}", summaries[i].missing);
    }
    buffer_text(ret, "]}");
    free(summaries);
    return NABLA_OK;
}

// The description closes with the feature summaries: dataset_encode cuts them off for lists.
static enum nabla_code describe(const struct dataset *dataset, struct buffer *ret, struct nabla_error *err)
{
    enum nabla_code code = describe_classes(dataset, ret, err);
    if (code == NABLA_OK)
        code = describe_features(dataset, ret, err);
    return code ? code : buffer_status(ret, "the data set's description", err);
}

enum nabla_code dataset_keep(struct store *store, const struct dataset *dataset, const char *name,
                             const struct dataset_owner *owner, const struct creation_key *key,
                             struct creation *ret, struct nabla_error *err)
{
    struct buffer header = buffer_new(SIZE_MAX - 1), description = buffer_new(SIZE_MAX - 1);
    struct iovec pieces[DATASET_PIECES];
    size_t count;
    static const struct dataset_owner nobody;
    if (!owner)
        owner = &nobody;
    struct dataset_row row = {.rows = dataset->rows,
                              .features = dataset->columns,
                              .owner = owner->id,
                              .owner_most = owner->bytes_most,
                              .disk_most = owner->disk_most};
    enum nabla_code code = safetensors_dataset_pieces(dataset, &header, pieces, &count, err);
    if (code)
        goto done;
    code = describe(dataset, &description, err);
    if (code)
        goto done;
    token_sha256_pieces(row.sha256, pieces, count);
    row.name = (char *)(uintptr_t)name; // only read
    row.classes = dataset->classes;
    for (size_t i = 0; i < count; i++)
        row.bytes += pieces[i].iov_len;
    row.description = description.data;
    code = store_dataset_create(store, &row, pieces, count, key, ret, err);
done:
    buffer_free(&description);
    buffer_free(&header);
    return code;
}

// A file that is missing is the store's failure, and the client's nothing.
static enum nabla_code open_kept(const char *path, const struct dataset_limits *limits, struct dataset **ret,
                                 struct nabla_error *err)
{
    enum nabla_code code = safetensors_open_dataset(path, limits, ret, err);
    if (code != NABLA_NOT_FOUND)
        return code;
    errno = ENOENT;
    return nabla_fail_errno(err, "open", path);
}

enum nabla_code dataset_load(struct store *store, const char *id, const struct dataset_limits *limits,
                             struct dataset **ret, struct nabla_error *err)
{
    struct dataset_row *row;
    enum nabla_code code = store_dataset_get(store, id, &row, err);
    if (code)
        return code;
    char *path = store_dataset_path(store, row->sha256);
    code = path ? open_kept(path, limits, ret, err) : nabla_fail_memory(err, "a path");
    free(path);
    dataset_row_free(row);
    return code;
}

void dataset_encode(const struct dataset_row *row, bool summaries, struct buffer *ret)
{
    const char *description = row->description ? row->description : "{}";
    const char *end = description + strlen(description) - 1; // its last brace
    const char *cut = strstr(description, ",\"feature_summaries\":");
    buffer_format(ret, "{\"id\":\"%s\",\"name\":", row->id);
    buffer_json_string(ret, row->name ? row->name : "");
    buffer_format(ret,
                  ",\"sha256\":\"%s\",\"rows\":%" PRIu64 ",\"features\":%" PRIu64 ",\"classes\":%" PRIu64
                  ",\"bytes\":%" PRIu64 ",\"created_at\":",
                  row->sha256, row->rows, row->features, row->classes, row->bytes);
    encode_time(row->created_ms, ret);
    if (!summaries && cut)
        end = cut;
    if (end > description + 1) {
        buffer_char(ret, ',');
        buffer_append(ret, description + 1, (size_t)(end - description - 1));
    }
    buffer_char(ret, '}');
}
