#include "api/dataset_decode.h"

#include "base/size.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE_MAX ((UINT64_C(1) << 53) - 1)

void dataset_source_free(struct dataset_source *source)
{
    if (!source)
        return;
    dataset_free(source->rows);
    *source = (struct dataset_source){0};
}

enum nabla_code dataset_source_make(struct dataset_source *source, const struct dataset_limits *limits,
                                    struct dataset **ret, struct nabla_error *err)
{
    if (source->kind == SOURCE_GENERATOR)
        return generator_make(&source->generator, limits, ret, err);
    if (source->kind != SOURCE_INLINE || !source->rows)
        return nabla_fail(err, NABLA_INVALID, "", "the document does not say how to make its data set");
    *ret = source->rows;
    source->rows = NULL;
    return NABLA_OK;
}

static const char *generator_at(int value)
{
    return generator_name((enum generator_type)value);
}

static int generator_choice(struct fields *fields)
{
    char names[200];
    size_t length = 0;
    for (int i = 0; i < GENERATOR_COUNT && length < sizeof names; i++) {
        const char *between = i == 0 ? "" : i == GENERATOR_COUNT - 1 ? " or " : ", ";
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", between, generator_at(i));
    }
    return fields_choice(fields, "generator", -1, generator_find, names);
}

// "features" is a count here. It was lifted as a number before anyone knew.
static size_t feature_count(struct fields *fields, const struct bulk *features, size_t absent)
{
    bool other = fields_value(fields, "features") != NULL;
    if (features->shape == BULK_ABSENT && !other)
        return absent;
    double count = features->shape == BULK_SCALAR ? features->values[0] : NAN;
    if (count >= 1 && count <= (double)WHOLE_MAX && count == floor(count))
        return (size_t)count;
    fields_problem(fields, "features", "must be a whole number of at least 1: how many a generated row has");
    return absent;
}

static void generator_decode(struct fields *fields, const struct bulk *bulks, struct dataset_source *ret)
{
    int type = generator_choice(fields);
    if (type < 0)
        return;
    struct generator made = generator_defaults((enum generator_type)type);
    made.rows = (size_t)fields_whole(fields, "rows", made.rows, 1, WHOLE_MAX);
    made.features = feature_count(fields, &bulks[DATASET_FEATURES], made.features);
    made.classes = (size_t)fields_whole(fields, "classes", made.classes, 0, WHOLE_MAX);
    made.targets = (size_t)fields_whole(fields, "targets", made.targets, 0, WHOLE_MAX);
    made.noise = fields_number(fields, "noise", made.noise, 0, DBL_MAX);
    made.imbalance = fields_number(fields, "imbalance", made.imbalance, 1, DBL_MAX);
    made.seed = fields_whole(fields, "seed", made.seed, 0, WHOLE_MAX);
    ret->kind = SOURCE_GENERATOR;
    ret->generator = made;
}

// What rows in a document become on their way to a data set.
struct inline_rows {
    struct fields *fields;
    const struct bulk *features, *labels, *weights;
    const struct dataset_limits *limits;
    const char **names; // of the classes, borrowed from the document; NULL: their numbers
    size_t classes;
    int32_t *ids;
};

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t texts_unique(const char **texts, size_t count)
{
    size_t kept = 0;
    qsort(texts, count, sizeof *texts, text_compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(texts[kept - 1], texts[i]) != 0)
            texts[kept++] = texts[i];
    return kept;
}

// Text labels: the distinct texts in byte order are the classes.
static bool ids_from_texts(struct inline_rows *rows, const json_t *labels)
{
    size_t count = json_array_size(labels);
    assert(rows->names);
    for (size_t i = 0; i < count; i++) {
        rows->names[i] = json_string_value(json_array_get(labels, i));
        if (!rows->names[i]) {
            fields_problem(rows->fields, "labels", "entry %zu: labels are all class ids, or all texts", i);
            return false;
        }
    }
    rows->classes = texts_unique(rows->names, count);
    for (size_t i = 0; i < count; i++) {
        const char *label = json_string_value(json_array_get(labels, i));
        const char **found = bsearch(&label, rows->names, rows->classes, sizeof *rows->names, text_compare);
        rows->ids[i] = (int32_t)(found - rows->names);
    }
    return true;
}

static bool ids_from_numbers(struct inline_rows *rows, size_t classes)
{
    double most = 0;
    for (size_t i = 0; i < rows->labels->rows; i++) {
        double id = rows->labels->values[i];
        if (!(id >= 0 && id < INT32_MAX && id == floor(id))) {
            fields_problem(rows->fields, "labels", "entry %zu is not a class id: a whole number from 0 on",
                           i);
            return false;
        }
        if (classes > 0 && id >= (double)classes) {
            fields_problem(rows->fields, "labels", "entry %zu is %.0f, but there are %zu classes", i, id,
                           classes);
            return false;
        }
        rows->ids[i] = (int32_t)id;
        most = fmax(most, id);
    }
    rows->classes = classes > 0 ? classes : (size_t)most + 1;
    return true;
}

static bool ids_decode(struct inline_rows *rows)
{
    size_t classes = (size_t)fields_whole(rows->fields, "classes", 0, 1, INT32_MAX);
    const json_t *texts = fields_value(rows->fields, "labels");
    size_t count = texts ? json_array_size(texts) : rows->labels->rows;
    if (rows->labels->shape != BULK_LIST && !json_is_array(texts)) {
        fields_problem(rows->fields, "labels", "must be a list with one class id (or one text) a row");
        return false;
    }
    if (count != rows->features->rows) {
        fields_problem(rows->fields, "labels", "has %zu entries for %zu rows", count, rows->features->rows);
        return false;
    }
    return texts ? ids_from_texts(rows, texts) : ids_from_numbers(rows, classes);
}

static bool features_check(struct inline_rows *rows)
{
    const struct bulk *features = rows->features;
    if (features->shape != BULK_ROWS || features->rows == 0 || features->columns == 0) {
        fields_problem(rows->fields, "features", "must be a list of rows, each a list of numbers");
        return false;
    }
    if (features->rows > rows->limits->rows || features->columns > rows->limits->columns) {
        fields_problem(rows->fields, "features",
                       "%zu rows of %zu exceed the limits of %zu rows and %zu columns", features->rows,
                       features->columns, rows->limits->rows, rows->limits->columns);
        return false;
    }
    for (size_t i = 0; i < features->rows * features->columns; i++)
        if (!(fabs(features->values[i]) <= FLT_MAX)) {
            fields_problem(rows->fields, "features", "row %zu, entry %zu is not a finite float32 number",
                           i / features->columns, i % features->columns);
            return false;
        }
    return true;
}

static bool targets_check(const struct inline_rows *rows)
{
    const struct bulk *labels = rows->labels;
    if (labels->rows != rows->features->rows || labels->columns == 0) {
        fields_problem(rows->fields, "labels", "has %zu rows of %zu targets for %zu rows", labels->rows,
                       labels->columns, rows->features->rows);
        return false;
    }
    for (size_t i = 0; i < labels->rows * labels->columns; i++)
        if (!(fabs(labels->values[i]) <= FLT_MAX)) {
            fields_problem(rows->fields, "labels", "row %zu, entry %zu is not a finite float32 number",
                           i / labels->columns, i % labels->columns);
            return false;
        }
    return true;
}

static bool weights_check(const struct inline_rows *rows)
{
    const struct bulk *weights = rows->weights;
    const bool is_other = fields_value(rows->fields, "sample_weights") != NULL;
    if (weights->shape == BULK_ABSENT && !is_other)
        return true;
    if (weights->shape != BULK_LIST || weights->rows != rows->features->rows) {
        fields_problem(rows->fields, "sample_weights", "must be a list of one number a row: %zu of them",
                       rows->features->rows);
        return false;
    }
    for (size_t i = 0; i < weights->rows; i++)
        if (!(weights->values[i] >= 0 && weights->values[i] <= FLT_MAX)) {
            fields_problem(rows->fields, "sample_weights",
                           "entry %zu is not a finite float32 number of at least 0", i);
            return false;
        }
    return true;
}

// The i-th text of a list of names in the document, else `prefix` and a number.
static char *name_make(const json_t *names, size_t i, const char *prefix, size_t number)
{
    char made[40];
    const char *given = json_string_value(json_array_get(names, i));
    snprintf(made, sizeof made, "%s%zu", prefix, number);
    return strdup(given ? given : made);
}

static void names_check(struct fields *fields, const char *name, const json_t *names, size_t count)
{
    if (!names)
        return;
    size_t texts = 0;
    for (size_t i = 0; i < json_array_size(names); i++)
        texts += json_is_string(json_array_get(names, i));
    if (texts != count || json_array_size(names) != count)
        fields_problem(fields, name, "must be a list of %zu texts", count);
}

static bool name_set(char **place, char *name)
{
    if (!name)
        return false;
    free(*place);
    *place = name;
    return true;
}

static bool dataset_name(struct dataset *dataset, const struct inline_rows *rows, const json_t *features,
                         const json_t *classes)
{
    bool named = name_set(&dataset->label_name, strdup("label"));
    for (size_t i = 0; i < dataset->columns && named; i++)
        named = name_set(&dataset->feature_names[i], name_make(features, i, "x", i + 1));
    for (size_t i = 0; i < dataset->classes && named; i++)
        named = name_set(&dataset->class_names[i],
                         rows->names ? strdup(rows->names[i]) : name_make(classes, i, "", i));
    return named;
}

static enum nabla_code rows_allocate(const struct inline_rows *rows, struct dataset **ret,
                                     struct nabla_error *err)
{
    const size_t count = rows->features->rows, columns = rows->features->columns;
    enum nabla_code code = rows->ids ? dataset_new(count, columns, rows->classes, ret, err)
                                     : dataset_new_targets(count, columns, rows->labels->columns, ret, err);
    if (code || rows->weights->shape == BULK_ABSENT)
        return code;
    code = dataset_add_weights(*ret, err);
    if (code)
        dataset_free(*ret);
    return code;
}

static void to_floats(const double *values, size_t count, float *ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = (float)values[i];
}

static struct dataset *inline_build(const struct inline_rows *rows)
{
    struct fields *fields = rows->fields;
    const json_t *features = fields_value(fields, "feature_names");
    const json_t *classes = fields_value(fields, "class_names");
    struct dataset *made = NULL;
    struct nabla_error err = {0};
    names_check(fields, "feature_names", features, rows->features->columns);
    names_check(fields, "class_names", classes, rows->classes);
    if (rows->ids && (rows->classes < 2 || rows->classes > rows->limits->classes)) {
        fields_problem(fields, "labels", "have %zu classes: from 2 to %zu are allowed", rows->classes,
                       rows->limits->classes);
        return NULL;
    }
    if (rows_allocate(rows, &made, &err)) {
        problems_add_error(fields->problems, "/features", &err);
        return NULL;
    }
    to_floats(rows->features->values, made->rows * made->columns, made->features);
    if (made->weights)
        to_floats(rows->weights->values, made->rows, made->weights);
    if (made->targets)
        to_floats(rows->labels->values, made->rows * made->outputs, made->targets);
    else if (rows->ids)
        memcpy(made->ids, rows->ids, made->rows * sizeof *made->ids);
    if (!dataset_name(made, rows, features, classes)) {
        fields_no_memory(fields, "features");
        dataset_free(made);
        return NULL;
    }
    return made;
}

// Of a class each: ids from numbers or texts.
static void classes_decode(struct inline_rows *rows, struct dataset_source *ret)
{
    const bool texts = rows->labels->shape == BULK_OTHER;
    rows->ids = size_alloc(rows->features->rows, 1, sizeof *rows->ids);
    rows->names = texts ? size_alloc(rows->features->rows, 1, sizeof *rows->names) : NULL;
    if (!rows->ids || (texts && !rows->names))
        fields_no_memory(rows->fields, "features");
    else if (ids_decode(rows))
        ret->rows = inline_build(rows);
    free(rows->ids);
    free(rows->names);
}

static void inline_decode(struct fields *fields, struct bulk *bulks, const struct dataset_limits *limits,
                          struct dataset_source *ret)
{
    struct inline_rows rows = {.fields = fields,
                               .features = &bulks[DATASET_FEATURES],
                               .labels = &bulks[DATASET_LABELS],
                               .weights = &bulks[DATASET_WEIGHTS],
                               .limits = limits};
    size_t before = fields->problems->count;
    fields_value(fields, "features"); // lifted; asked for so that it is known
    fields_value(fields, "labels");
    if (!features_check(&rows) || !weights_check(&rows))
        return;
    if (rows.labels->shape != BULK_ROWS)
        classes_decode(&rows, ret);
    else if (targets_check(&rows))
        ret->rows = inline_build(&rows);
    if (ret->rows && fields->problems->count == before)
        ret->kind = SOURCE_INLINE;
}

void dataset_source_decode(struct fields *fields, struct bulk bulks[DATASET_BULKS],
                           const struct dataset_limits *limits, struct dataset_source *ret)
{
    *ret = (struct dataset_source){0};
    if (fields_has(fields, "generator"))
        generator_decode(fields, bulks, ret);
    else if (bulks[DATASET_FEATURES].shape != BULK_ABSENT || bulks[DATASET_LABELS].shape != BULK_ABSENT)
        inline_decode(fields, bulks, limits, ret);
    else
        fields_problem(fields, "generator", "is missing: a generator, or features and labels");
}
