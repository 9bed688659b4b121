// POST /v1/jobs: decode, fill in, check against every limit, and only then keep anything.
#include "api/datasets_keep.h"
#include "api/handlers.h"
#include "api/identity.h"
#include "api/job_encode.h"
#include "api/quota.h"
#include "api/repeat.h"
#include "api/spec_decode.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// A job on its way.
struct draft {
    struct api_call *call;
    struct repeat repeat;
    struct job_spec spec;
    struct dataset *dataset; // its rows, where our trainer is to run
    struct train_cost cost;
    struct buffer text; // the expanded document
    char id[TOKEN_ID_SIZE], token[TOKEN_SECRET_SIZE];
};

static void draft_free(struct draft *draft)
{
    job_spec_free(&draft->spec);
    dataset_free(draft->dataset);
    buffer_free(&draft->text);
}

static const struct api_limits *limits_of(const struct draft *draft)
{
    return &draft->call->api->options.limits;
}

static bool draft_decode(struct draft *draft, struct api_answer *ret)
{
    const struct api_call *call = draft->call;
    struct dataset_limits limits = quota_dataset(draft->call);
    struct problems problems = {0};
    struct nabla_error err = {0};
    struct bulk bulks[2];
    json_t *root;
    job_spec_bulks(bulks);
    if (document_read(call->body.data, call->body.size, limits_of(draft)->document_bytes, bulks, 2, &root,
                      &err)) {
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
    json_decref(root);
    bulk_free(bulks, 2);
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
    if (draft->cost.bytes > limits->job_bytes)
        problems_add(problems, "/model/layers",
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
        spec_cost(&draft->spec.train, draft->dataset, &draft->cost, &err)) {
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

// Rows that came with the job become a data set, which its document then names.
static enum nabla_code keep_rows(struct draft *draft, struct nabla_error *err)
{
    struct dataset_source *source = &draft->spec.source;
    struct creation kept;
    if (source->kind == SOURCE_NONE || source->kind == SOURCE_ID)
        return NABLA_OK;
    enum nabla_code code = dataset_keep(draft->call->api->options.store, draft->dataset, draft->spec.name,
                                        identity_owner(draft->call), NULL, &kept, err);
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
                          .owner = identity_owner(draft->call),
                          .traceparent = draft->call->traceparent,
                          .key = &draft->repeat.key};
    return store_job_create(draft->call->api->options.store, &new, draft->id, &draft->repeat.known, err);
}

static bool draft_keep(struct draft *draft, struct api_answer *ret)
{
    struct nabla_error err = {0};
    bool is_new_data = draft->spec.source.kind != SOURCE_NONE && draft->spec.source.kind != SOURCE_ID;
    if (is_new_data && !quota_disk(draft->call, draft->dataset, ret))
        return false;
    enum nabla_code code = keep_rows(draft, &err);
    if (code == NABLA_OK)
        code = spec_to_json(&draft->spec, &draft->text, &err);
    if (code == NABLA_OK)
        code = insert(draft, &err);
    if (code == NABLA_NOT_FOUND)
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
    if (draft.repeat.known || (draft_decode(&draft, ret) && draft_dataset(&draft, ret) &&
                               draft_check(&draft, ret) && quota_queue(call, ret) && draft_keep(&draft, ret)))
        draft_answer(&draft, ret);
    draft_free(&draft);
}
