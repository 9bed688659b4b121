// A job that has been trained within the test's own process, so that its model can be asked without a worker.
// Include behind service.h.
#ifndef NABLA_TESTS_TRAINED_JOB_H
#define NABLA_TESTS_TRAINED_JOB_H

#include "api/model_file.h"
#include "base/file.h"
#include "tests/service.h"

#define assert_done(call)                                                                                    \
    do {                                                                                                     \
        struct nabla_error why = {.text = ""};                                                               \
        if ((call) != NABLA_OK)                                                                              \
            fail_msg("%s", why.text);                                                                        \
    } while (0)

static inline void trained_write_model(const char *document, const struct job *job, const char *path)
{
    struct job_spec spec;
    struct dataset *data;
    struct trainer *trainer;
    struct train_result result;
    assert_done(spec_from_json(document, strlen(document), &dataset_unlimited, &spec, &why));
    assert_done(dataset_source_make(&spec.source, &dataset_unlimited, &data, &why));
    assert_done(spec_prepare(&spec, data, &why));
    assert_done(trainer_new(&spec.train, data, &trainer, &why));
    assert_done(trainer_run(trainer, NULL, &result, &why));
    assert_done(model_file_write(path, &spec, job->spec, data, trainer, &why));
    trainer_free(trainer);
    dataset_free(data);
    job_spec_free(&spec);
}

// The document's rows stand in it, or are generated. *ret gets the job's id.
static inline void trained_job(struct service *service, const char *document, char ret[TOKEN_ID_SIZE])
{
    struct job *job;
    char folder[128], path[192];
    char sha256[TOKEN_SHA256_SIZE];
    const struct job_change end = {.event = JOB_EVENT_SUCCEED, .attempt = 1};
    json_t *made = service_json(service, "POST", "/v1/jobs", document, 202);
    snprintf(ret, TOKEN_ID_SIZE, "%s", json_text(made, "id"));
    json_decref(made);
    token_sha256(sha256, "worker", 6);
    assert_done(store_job_claim(service->store, JOB_LOCAL, sha256, &job, &why));
    assert_string_equal(job->id, ret);
    snprintf(folder, sizeof folder, "%s/jobs/%s", service->folder, ret);
    snprintf(path, sizeof path, "%s/" MODEL_FILE, folder);
    assert_done(file_make_folder(folder, &why));
    trained_write_model(document, job, path);
    job_free(job);
    assert_done(store_job_apply(service->store, ret, &end, &why));
}

#endif
