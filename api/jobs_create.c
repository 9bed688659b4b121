// POST /v1/jobs: decode, fill in, check against every limit, and only then keep anything.
#include "api/datasets_keep.h"
#include "api/handlers.h"
#include "api/identity.h"
#include "api/job_encode.h"
#include "api/models.h"
#include "api/quota.h"
#include "api/repeat.h"
#include "api/spec_decode.h"
#include "base/file.h"
#include "train/model.h"
#include "train/spec_rows.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A job on its way.
struct draft {
    struct api_call *call;
    struct repeat repeat;
    struct job_spec spec;
    struct dataset *dataset; // its rows, where our trainer is to run
    struct train_cost cost;
    struct buffer text; // the expanded document
    char id[TOKEN_ID_SIZE], token[TOKEN_SECRET_SIZE];
    struct safetensors *posted; // the body, where it came as tensors
    const char *document;       // the body's, or what its metadata has
    size_t document_size;
    char *weights;     // path of the initial weights, or NULL
    bool is_temporary; // it is a file of our own
};

static void draft_free(struct draft *draft)
{
    if (draft->is_temporary)
        unlink(draft->weights);
    free(draft->weights);
    safetensors_free(draft->posted);
    job_spec_free(&draft->spec);
    dataset_free(draft->dataset);
    buffer_free(&draft->text);
}

static const struct api_limits *limits_of(const struct draft *draft)
{
    return &draft->call->api->options.limits;
}

// As with losses: tensors, and the document as one text in their metadata.
static bool draft_open(struct draft *draft, struct api_answer *ret)
{
    const struct buffer *body = &draft->call->body;
    struct nabla_error err = {0};
    draft->document = body->data ? body->data : "";
    draft->document_size = body->size;
    if (draft->call->content != MEDIA_SAFETENSORS)
        return true;
    enum nabla_code code = safetensors_read(draft->document, body->size, &draft->posted, &err);
    const char *document = code ? NULL : safetensors_metadata(draft->posted, "request");
    if (!code && !document)
        code = nabla_fail(&err, NABLA_INVALID, "/__metadata__/request",
                          "is missing: the job's document as a text");
    if (code) {
        answer_error(ret, draft->call, &err);
        return false;
    }
    draft->document = document;
    draft->document_size = strlen(document);
    return true;
}

static void check_initial(struct draft *draft, struct problems *problems)
{
    struct initial_weights *initial = &draft->spec.initial;
    if (draft->posted && initial->kind == INITIAL_JOB)
        problems_add(problems, "/initial_weights", "names a job, but the body brings tensors");
    else if (!draft->posted && initial->kind == INITIAL_POSTED)
        problems_add(
            problems, "/initial_weights",
            "says that the weights come with the document: post them as safetensors, the document under "
            "request in their metadata");
    else if (initial->kind != INITIAL_NONE && draft->spec.executor == JOB_CLIENT)
        problems_add(problems, "/initial_weights", "is for jobs that are trained here");
    else if (draft->posted)
        initial->kind = INITIAL_POSTED;
}

static bool draft_decode(struct draft *draft, struct api_answer *ret)
{
    const struct api_call *call = draft->call;
    struct dataset_limits limits = quota_dataset(draft->call);
    struct problems problems = {0};
    struct nabla_error err = {0};
    struct bulk bulks[DATASET_BULKS];
    json_t *root;
    job_spec_bulks(bulks);
    if (document_read(draft->document, draft->document_size, limits_of(draft)->document_bytes, bulks,
                      DATASET_BULKS, &root, &err)) {
        answer_error(ret, call, &err);
        return false;
    }
    job_spec_decode(root, bulks, &limits, &problems, &draft->spec);
    if (draft->spec.executor == JOB_LOCAL && !(draft->spec.parts & SPEC_DATASET) && json_is_object(root))
        problems_add(&problems, "/dataset",
                     "is missing: the id of a data set, a generator, or features and labels");
    if (draft->spec.retries > limits_of(draft)->retries)
        problems_add(&problems, "/retries", "is above the limit max_retries of %u",
                     limits_of(draft)->retries);
    check_initial(draft, &problems);
    json_decref(root);
    bulk_free(bulks, DATASET_BULKS);
    if (problems.count > 0)
        answer_problems(ret, call, &problems);
    return problems.count == 0;
}

// The error of something that lives at `pointer` of the document.
static void answer_at(struct api_answer *ret, const struct api_call *call, const char *pointer,
                      const struct nabla_error *err)
{
    struct nabla_error placed = *err;
    snprintf(placed.pointer, sizeof placed.pointer, "%s%.120s", pointer, err->pointer);
    if (placed.code == NABLA_NOT_FOUND) // the request is understood, what it names is missing
        placed.code = NABLA_INVALID;
    answer_error(ret, call, &placed);
}

static bool draft_dataset(struct draft *draft, struct api_answer *ret)
{
    struct dataset_limits limits = quota_dataset(draft->call);
    struct dataset_source *source = &draft->spec.source;
    struct nabla_error err = {0};
    enum nabla_code code = NABLA_OK;
    if (source->kind == SOURCE_ID)
        code = dataset_load(draft->call->api->options.store, source->id, &limits, &draft->dataset, &err);
    else if (source->kind != SOURCE_NONE)
        code = dataset_source_make(source, &limits, &draft->dataset, &err);
    if (code)
        answer_at(ret, draft->call, "/dataset", &err);
    return code == NABLA_OK;
}

// parameters × rows × epochs, or the largest number where that does not fit.
static uint64_t draft_work(const struct draft *draft)
{
    uint64_t work;
    if (__builtin_mul_overflow((uint64_t)draft->cost.parameters, (uint64_t)draft->dataset->rows, &work) ||
        __builtin_mul_overflow(work, (uint64_t)draft->spec.train.epochs, &work))
        return UINT64_MAX;
    return work;
}

// Where the document says what the memory is for, as far as leaving that away would help.
static const char *memory_pointer(const struct draft *draft, size_t excess)
{
    const struct train_spec *train = &draft->spec.train;
    const size_t features =
        spec_shuffle_rows(train, draft->dataset) * draft->dataset->columns * sizeof(float);
    if (features < excess)
        return "/model/layers";
    return spec_streams(train) ? "/training/shuffle_buffer" : "/training/streaming";
}

static void check_limits(const struct draft *draft, struct problems *problems)
{
    const struct api_limits *limits = limits_of(draft);
    uint64_t work = draft_work(draft);
    if (draft->cost.parameters > limits->parameters)
        problems_add(problems, "/model/layers", "%zu parameters exceed the limit max_parameters of %zu",
                     draft->cost.parameters, limits->parameters);
    if (work > limits->work)
        problems_add(problems, "/training/epochs",
                     "parameters × rows × epochs = %" PRIu64 " exceeds the limit max_work of %" PRIu64, work,
                     limits->work);
    if (draft->spec.train.threads > limits->job_threads)
        problems_add(problems, "/training/threads", "%zu threads exceed the limit max_job_threads of %u",
                     draft->spec.train.threads, limits->job_threads);
    if (draft->cost.bytes > limits->job_bytes)
        problems_add(problems, memory_pointer(draft, draft->cost.bytes - limits->job_bytes),
                     "training needs %zu bytes of memory; the limit max_job_memory is %zu", draft->cost.bytes,
                     limits->job_bytes);
}

static bool draft_check(struct draft *draft, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct problems problems = {0};
    if (draft->spec.executor == JOB_CLIENT) // trains by itself: its document is its own affair
        return true;
    if (spec_prepare(&draft->spec, draft->dataset, &err) ||
        spec_fit(&draft->spec.train, draft->dataset, limits_of(draft)->job_bytes, &draft->cost, &err)) {
        if (err.code == NABLA_LIMIT) {
            problems_add_error(&problems, err.pointer, &err);
            answer_problems(ret, draft->call, &problems);
        } else {
            answer_error(ret, draft->call, &err);
        }
        return false;
    }
    check_limits(draft, &problems);
    if (problems.count > 0)
        answer_problems(ret, draft->call, &problems);
    return problems.count == 0;
}

static enum nabla_code write_posted(struct draft *draft, struct nabla_error *err)
{
    const struct buffer *body = &draft->call->body;
    char name[TOKEN_ID_SIZE];
    token_make_id(name, "weights");
    if (asprintf(&draft->weights, "%s/tmp/%s", store_folder(draft->call->api->options.store), name) < 0) {
        draft->weights = NULL;
        return nabla_fail_memory(err, "a path");
    }
    draft->is_temporary = true;
    return file_replace(draft->weights, body->data, body->size, err);
}

// The tensors of another job's model, checked.
static enum nabla_code check_model(struct draft *draft, const struct job *job, struct nabla_error *err)
{
    struct mapped mapped = {0};
    struct safetensors *file = NULL;
    if (job->state != JOB_SUCCEEDED)
        return model_fail_missing(job, err);
    draft->weights = model_path(draft->call, job->id);
    if (!draft->weights)
        return nabla_fail_memory(err, "a path");
    enum nabla_code code = mapped_open_path(draft->weights, &mapped, err);
    if (!code)
        code = safetensors_read(mapped.bytes, mapped.size, &file, err);
    if (!code)
        code = model_check_spec(&draft->spec.train, draft->dataset->columns, file, err);
    safetensors_free(file);
    mapped_close(&mapped);
    return code;
}

static bool draft_weights(struct draft *draft, struct api_answer *ret)
{
    const struct initial_weights *initial = &draft->spec.initial;
    struct nabla_error err = {0};
    struct job *job = NULL;
    enum nabla_code code = NABLA_OK;
    if (initial->kind == INITIAL_JOB) {
        code = store_job_get(draft->call->api->options.store, initial->job, &job, &err);
        if (!code)
            code = check_model(draft, job, &err);
        job_free(job);
    } else if (initial->kind == INITIAL_POSTED) {
        code = model_check_spec(&draft->spec.train, draft->dataset->columns, draft->posted, &err);
        if (!code)
            code = write_posted(draft, &err);
    }
    if (code == NABLA_CONFLICT) // the job that it names is not the one that is asked for
        err.code = NABLA_INVALID;
    if (code)
        answer_at(ret, draft->call, "/initial_weights", &err);
    return code == NABLA_OK;
}

// Rows that came with the job become a data set, which its document then names.
static enum nabla_code keep_rows(struct draft *draft, struct nabla_error *err)
{
    struct dataset_source *source = &draft->spec.source;
    struct creation kept;
    if (source->kind == SOURCE_NONE || source->kind == SOURCE_ID)
        return NABLA_OK;
    const struct dataset_owner owner = quota_owner(draft->call);
    enum nabla_code code = dataset_keep(draft->call->api->options.store, draft->dataset, draft->spec.name,
                                        &owner, NULL, &kept, err);
    if (code)
        return code;
    source->kind = SOURCE_ID;
    memcpy(source->id, kept.id, sizeof kept.id);
    return NABLA_OK;
}

static enum nabla_code insert(struct draft *draft, struct nabla_error *err)
{
    const struct job_spec *spec = &draft->spec;
    char token[TOKEN_SHA256_SIZE];
    bool local = spec->executor == JOB_LOCAL;
    token_make_secret(draft->token);
    token_sha256(token, draft->token, strlen(draft->token));
    struct job_new new = {.name = spec->name,
                          .dataset = spec->source.id,
                          .spec = draft->text.data,
                          .executor = spec->executor,
                          .retries = spec->retries,
                          .steps = draft->cost.steps,
                          .epochs = local || spec->parts & SPEC_TRAINING ? spec->train.epochs : 0,
                          .network_stats = local ? trainer_network_stats(&spec->train, draft->dataset) : 0,
                          .layer_stats = local ? trainer_layer_stats() : 0,
                          .token_sha256 = local ? NULL : token,
                          .file = draft->weights,
                          .file_name = INITIAL_FILE,
                          .owner = identity_owner(draft->call),
                          .queued_most = limits_of(draft)->queued_jobs,
                          .owner_most = draft->call->grant.queued_jobs,
                          .traceparent = draft->call->traceparent,
                          .key = &draft->repeat.key};
    return store_job_create(draft->call->api->options.store, &new, draft->id, &draft->repeat.known, err);
}

static bool draft_keep(struct draft *draft, struct api_answer *ret)
{
    struct nabla_error err = {0};
    bool is_new_data = draft->spec.source.kind != SOURCE_NONE && draft->spec.source.kind != SOURCE_ID;
    const struct dataset *added = is_new_data ? draft->dataset : NULL;
    if (!quota_disk(draft->call, added, ret))
        return false;
    enum nabla_code code = keep_rows(draft, &err);
    if ((code == NABLA_LIMIT || code == NABLA_DISK_FULL) && !quota_disk(draft->call, added, ret))
        return false; // others were quicker since it was looked
    if (code == NABLA_OK)
        code = spec_to_json(&draft->spec, &draft->text, &err);
    bool is_whole = code == NABLA_OK;
    if (is_whole)
        code = insert(draft, &err);
    if (is_whole && (code == NABLA_BUSY || code == NABLA_LIMIT)) // others were quicker since it was looked
        quota_refuse_queue(draft->call, code, ret);
    else if (code == NABLA_NOT_FOUND)
        answer_at(ret, draft->call, "/dataset", &err);
    else if (code)
        answer_error(ret, draft->call, &err);
    return code == NABLA_OK;
}

static void draft_answer(const struct draft *draft, struct api_answer *ret)
{
    const struct api_options *options = &draft->call->api->options;
    bool token = draft->spec.executor == JOB_CLIENT && !draft->repeat.known;
    struct nabla_error err = {0};
    struct job *job;
    if (options->wake && !draft->repeat.known)
        options->wake(options->context);
    if (store_job_get(options->store, draft->id, &job, &err)) {
        answer_error(ret, draft->call, &err);
        return;
    }
    answer_begin(ret, 202, "application/json");
    answer_header(ret, "Location", "/v1/jobs/%s", job->id);
    answer_header(ret, "Cache-Control", "no-store"); // a token may stand in it
    job_encode(job, token ? draft->token : NULL, &ret->body);
    job_free(job);
}

void handle_jobs_create(struct api_call *call, struct api_answer *ret)
{
    struct draft draft = {.call = call, .text = buffer_new(SIZE_MAX - 1)};
    if (!repeat_begin(call, KEY_JOBS, call->body.data, call->body.size, &draft.repeat, ret))
        return;
    if (draft.repeat.known)
        memcpy(draft.id, draft.repeat.made.id, sizeof draft.id);
    if (draft.repeat.known ||
        (draft_open(&draft, ret) && draft_decode(&draft, ret) && draft_dataset(&draft, ret) &&
         draft_check(&draft, ret) && draft_weights(&draft, ret) &&
         (draft.spec.executor == JOB_CLIENT || quota_queue(call, ret)) && // which waits for no worker
         draft_keep(&draft, ret)))
        draft_answer(&draft, ret);
    draft_free(&draft);
}
