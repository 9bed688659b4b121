// A queued job's training within the caller's own process, so that its model can be asked without a worker.
#ifndef NABLA_TESTS_TRAINED_MODEL_H
#define NABLA_TESTS_TRAINED_MODEL_H

#include "api/model_file.h"
#include "base/file.h"
#include "store/jobs.h"

#include <stdio.h>
#include <string.h>

// The document's rows stand in it, or are generated.
static inline enum nabla_code trained_model_write(const char *document, const struct job *job,
                                                  const char *path, struct nabla_error *err)
{
    struct job_spec spec;
    struct dataset *data = NULL;
    struct trainer *trainer = NULL;
    struct train_result result;
    enum nabla_code code = spec_from_json(document, strlen(document), &dataset_unlimited, &spec, err);
    if (code)
        return code;
    code = dataset_source_make(&spec.source, &dataset_unlimited, &data, err);
    if (code == NABLA_OK)
        code = spec_prepare(&spec, data, err);
    if (code == NABLA_OK)
        code = trainer_new(&spec.train, data, &trainer, err);
    if (code == NABLA_OK)
        code = trainer_run(trainer, NULL, &result, err);
    if (code == NABLA_OK)
        code = model_file_write(path, &spec, job->spec, data, trainer, err);
    trainer_free(trainer);
    dataset_free(data);
    job_spec_free(&spec);
    return code;
}

// Claims the one job that waits in the store of `folder`, trains it and has it succeed; ret_id gets its id.
static inline enum nabla_code trained_model_make(struct store *store, const char *folder,
                                                 const char *document, char ret_id[TOKEN_ID_SIZE],
                                                 struct nabla_error *err)
{
    const struct job_change end = {.event = JOB_EVENT_SUCCEED, .attempt = 1};
    char of_job[128], path[192], sha256[TOKEN_SHA256_SIZE];
    struct job *job;
    token_sha256(sha256, "worker", 6);
    enum nabla_code code = store_job_claim(store, JOB_LOCAL, sha256, &job, err);
    if (code)
        return code;
    snprintf(ret_id, TOKEN_ID_SIZE, "%s", job->id);
    snprintf(of_job, sizeof of_job, "%s/jobs/%s", folder, job->id);
    snprintf(path, sizeof path, "%s/" MODEL_FILE, of_job);
    code = file_make_folder(of_job, err);
    if (code == NABLA_OK)
        code = trained_model_write(document, job, path, err);
    job_free(job);
    return code ? code : store_job_apply(store, ret_id, &end, err);
}

#endif
