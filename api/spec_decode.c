#include "api/spec_decode.h"

#include "api/dataset_decode.h"
#include "train/spec_option.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHOLE_MAX_BITS = 53, EPOCHS_MAX = 1000000, BATCH_MAX = 1 << 30, CHOICES_SIZE = 220 };
#define WHOLE_MAX ((UINT64_C(1) << WHOLE_MAX_BITS) - 1)

// "a, b or c", for the problem that names what is known.
static void choice_names(const struct choice *choice, char *ret, size_t size)
{
    size_t length = 0;
    ret[0] = '\0';
    for (int i = 0; i < choice->count && length < size; i++) {
        const char *between = i == 0 ? "" : i == choice->count - 1 ? " or " : ", ";
        length += (size_t)snprintf(ret + length, size - length, "%s%s", between, choice->name(i));
    }
}

int choice_read(struct fields *fields, const char *name, int absent, const struct choice *choice)
{
    char names[CHOICES_SIZE];
    if (!fields_has(fields, name))
        return absent;
    choice_names(choice, names, sizeof names);
    return fields_choice(fields, name, absent, choice->find, names);
}

double fraction_read(struct fields *fields, const char *name, double absent)
{
    double value = fields_number(fields, name, absent, 0, 1);
    if (value >= 1) {
        fields_problem(fields, name, "must be below 1");
        return absent;
    }
    return value;
}

struct fields typed_begin(const json_t *value, const char *pointer, struct problems *problems, int absent,
                          const struct choice *types, int *ret_type)
{
    const char *name = json_string_value(value);
    struct fields fields = fields_begin(name ? NULL : value, pointer, problems);
    *ret_type = name ? types->find(name) : choice_read(&fields, "type", absent, types);
    if (*ret_type < 0) {
        char names[CHOICES_SIZE];
        choice_names(types, names, sizeof names);
        problems_add(problems, pointer, "must be %s", names);
        *ret_type = absent;
    }
    return fields;
}

static const char *const split_names[] = {[SPLIT_STRATIFIED] = "stratified", [SPLIT_LAST] = "last"};

static const char *split_at(int value)
{
    return split_names[value];
}

static int split_find(const char *name)
{
    for (int i = SPLIT_STRATIFIED; i <= SPLIT_LAST; i++)
        if (strcmp(split_names[i], name) == 0)
            return i;
    return -1;
}

static const char *executor_at(int value)
{
    return job_executor_name((enum job_executor)value);
}

static const struct choice splits = {split_at, split_find, SPLIT_LAST + 1};
static const struct choice executors = {executor_at, job_executor_find, JOB_EXECUTOR_COUNT};

static const char *monitor_at(int value)
{
    return monitor_name((enum monitor)value);
}

static const struct choice monitors = {monitor_at, monitor_find, MONITOR_COUNT};

// An object, or true for one of defaults.
static void early_stopping_decode(struct fields *training, struct early_stopping *ret)
{
    const json_t *value = fields_value(training, "early_stopping");
    ret->active = value && !json_is_false(value);
    if (!json_is_object(value)) {
        if (value && !json_is_boolean(value))
            fields_problem(training, "early_stopping", "must be an object, true or false");
        return;
    }
    struct fields fields = fields_begin(value, "/training/early_stopping", training->problems);
    ret->monitor = (enum monitor)choice_read(&fields, "monitor", (int)ret->monitor, &monitors);
    options_decode(&fields, &early_stopping_options, 0, ret);
    fields_end(&fields);
}

static const char *scaling_at(int value)
{
    return scaling_name((enum scaling)value);
}

static const char *missing_at(int value)
{
    return missing_name((enum missing)value);
}

static const struct choice missings = {missing_at, missing_find, MISSING_COUNT};
static const struct choice scalings = {scaling_at, scaling_find, SCALING_COUNT};

// `standardize` is the older word: false is none, true is standardize, and beside `scaling` it must not
// contradict.
static void scaling_decode(struct fields *fields, enum scaling *ret)
{
    const bool given = fields_has(fields, "standardize"), named = fields_has(fields, "scaling");
    const bool standardize = fields_bool(fields, "standardize", true);
    *ret = (enum scaling)choice_read(fields, "scaling", standardize ? SCALING_STANDARDIZE : SCALING_NONE,
                                     &scalings);
    if (given && named && standardize != (*ret == SCALING_STANDARDIZE))
        fields_problem(fields, "scaling", "contradicts standardize: give one of them");
}

static void training_decode(const json_t *value, struct problems *problems, struct train_spec *ret)
{
    struct fields fields = fields_begin(value, "/training", problems);
    ret->epochs = (size_t)fields_whole(&fields, "epochs", ret->epochs, 1, EPOCHS_MAX);
    ret->batch_size = (size_t)fields_whole(&fields, "batch_size", ret->batch_size, 1, BATCH_MAX);
    ret->validation_split = fraction_read(&fields, "validation_split", ret->validation_split);
    ret->split = (enum split_kind)choice_read(&fields, "split", (int)ret->split, &splits);
    ret->seed = fields_whole(&fields, "seed", ret->seed, 0, WHOLE_MAX);
    ret->shuffle = fields_bool(&fields, "shuffle", ret->shuffle);
    if (fields_has(&fields, "streaming"))
        ret->streaming = fields_bool(&fields, "streaming", false) ? STREAMING_ALWAYS : STREAMING_NEVER;
    ret->shuffle_buffer = (size_t)fields_whole(&fields, "shuffle_buffer", ret->shuffle_buffer, 1, WHOLE_MAX);
    ret->missing = (enum missing)choice_read(&fields, "missing", (int)ret->missing, &missings);
    ret->missing_value = fields_number(&fields, "missing_value", ret->missing_value, -FLT_MAX, FLT_MAX);
    scaling_decode(&fields, &ret->scaling);
    early_stopping_decode(&fields, &ret->early_stopping);
    ret->stop_on_nan = fields_bool(&fields, "stop_on_nan", ret->stop_on_nan);
    ret->time_limit = fields_number(&fields, "time_limit", ret->time_limit, 0, FLT_MAX);
    ret->checkpoint_every_seconds =
        fields_number(&fields, "checkpoint_every_seconds", ret->checkpoint_every_seconds, 0, 1e6);
    ret->threads = (size_t)fields_whole(&fields, "threads", ret->threads, 1, TRAIN_THREADS_MAX);
    fields_end(&fields);
}

static void telemetry_decode(const json_t *value, struct problems *problems, struct train_spec *ret)
{
    struct fields fields = fields_begin(value, "/telemetry", problems);
    ret->telemetry_every = (size_t)fields_whole(&fields, "every", ret->telemetry_every, 0, WHOLE_MAX);
    ret->histograms_every =
        (size_t)fields_whole(&fields, "histograms_every", ret->histograms_every, 0, WHOLE_MAX);
    fields_end(&fields);
}

static void dataset_id_decode(struct fields *root, const char *id, struct dataset_source *ret)
{
    if (strncmp(id, "ds_", 3) != 0 || strlen(id) >= sizeof ret->id) {
        fields_problem(root, "dataset",
                       "must be the id of a data set (\"ds_…\"), a generator, or features and labels");
        return;
    }
    ret->kind = SOURCE_ID;
    snprintf(ret->id, sizeof ret->id, "%s", id);
}

static void dataset_decode(struct fields *root, struct bulk bulks[DATASET_BULKS],
                           const struct dataset_limits *limits, struct dataset_source *ret)
{
    const json_t *value = fields_value(root, "dataset");
    if (!value)
        return;
    if (json_is_string(value)) {
        dataset_id_decode(root, json_string_value(value), ret);
        return;
    }
    struct fields fields = fields_begin(value, "/dataset", root->problems);
    if (json_is_object(value))
        dataset_source_decode(&fields, bulks, limits, ret);
    fields_end(&fields);
}

static void initial_decode(const json_t *value, struct problems *problems, struct initial_weights *ret)
{
    struct fields fields = fields_begin(value, "/initial_weights", problems);
    const char *job = fields_text(&fields, "job", "");
    const bool is_posted = fields_bool(&fields, "posted", false);
    if (fields.object && !job[0] == !is_posted)
        fields_problem(&fields, "job", "must name a job, or else posted must be true");
    else if (strlen(job) >= sizeof ret->job)
        fields_problem(&fields, "job", "must be the id of a job");
    else
        snprintf(ret->job, sizeof ret->job, "%s", job);
    ret->kind = is_posted ? INITIAL_POSTED : job[0] ? INITIAL_JOB : INITIAL_NONE;
    fields_end(&fields);
}

static void name_decode(struct fields *root, struct job_spec *ret)
{
    const char *name = fields_text(root, "name", "");
    if (strlen(name) > NAME_MAX_BYTES)
        fields_problem(root, "name", "is longer than %d bytes", NAME_MAX_BYTES);
    ret->name = strdup(name);
    if (!ret->name)
        fields_no_memory(root, "name");
}

static unsigned parts_decode(struct fields *root)
{
    static const struct {
        const char *name;
        enum spec_part part;
    } parts[] = {
        {"dataset", SPEC_DATASET},     {"model", SPEC_MODEL},       {"loss", SPEC_LOSS},
        {"optimizer", SPEC_OPTIMIZER}, {"training", SPEC_TRAINING},
    };
    unsigned given = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (fields_has(root, parts[i].name))
            given |= (unsigned)parts[i].part;
    return given;
}

// A client trains by itself and may tell as little as it likes; our own trainer needs a model. Where the rows
// come from is the caller's to ask: the train verb has them from its command line.
static void model_require(struct fields *root, const struct job_spec *spec)
{
    if (spec->executor == JOB_LOCAL && !(spec->parts & SPEC_MODEL))
        fields_problem(root, "model", "is missing: {\"layers\": […]}");
}

void job_spec_bulks(struct bulk ret[DATASET_BULKS])
{
    ret[DATASET_FEATURES] = (struct bulk){.pointer = "/dataset/features"};
    ret[DATASET_LABELS] = (struct bulk){.pointer = "/dataset/labels"};
    ret[DATASET_WEIGHTS] = (struct bulk){.pointer = "/dataset/sample_weights"};
}

void job_spec_decode(const json_t *root, struct bulk bulks[DATASET_BULKS],
                     const struct dataset_limits *limits, struct problems *problems, struct job_spec *ret)
{
    *ret = (struct job_spec){.train = spec_defaults()};
    if (!json_is_object(root)) {
        problems_add(problems, "", "must be an object");
        return;
    }
    struct fields fields = fields_begin(root, "", problems);
    fields_whole(&fields, "schema_version", SPEC_SCHEMA_VERSION, SPEC_SCHEMA_VERSION, SPEC_SCHEMA_VERSION);
    name_decode(&fields, ret);
    ret->executor = (enum job_executor)choice_read(&fields, "executor", (int)JOB_LOCAL, &executors);
    ret->retries = (unsigned)fields_whole(&fields, "retries", 0, 0, UINT16_MAX);
    ret->parts = parts_decode(&fields);
    model_require(&fields, ret);
    dataset_decode(&fields, bulks, limits, &ret->source);
    model_decode(fields_value(&fields, "model"), problems, ret);
    loss_decode(fields_value(&fields, "loss"), problems, &ret->train);
    optimizer_decode(fields_value(&fields, "optimizer"), problems, &ret->train.optimizer);
    training_decode(fields_value(&fields, "training"), problems, &ret->train);
    telemetry_decode(fields_value(&fields, "telemetry"), problems, &ret->train);
    initial_decode(fields_value(&fields, "initial_weights"), problems, &ret->initial);
    fields_end(&fields);
}
