// GET /v1/jobs/{id}/model: the trained model as a file.
#include "api/models.h"
#include "api/handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

char *model_path(const struct api_call *call, const char *job)
{
    char *path;
    return asprintf(&path, "%s/jobs/%s/" MODEL_FILE, store_folder(call->api->options.store), job) < 0 ? NULL
                                                                                                      : path;
}

enum nabla_code model_fail_missing(const struct job *job, struct nabla_error *err)
{
    if (job->executor == JOB_CLIENT)
        return nabla_fail(err, NABLA_NOT_FOUND, NULL, "job %s trains elsewhere: its model is not here",
                          job->id);
    return nabla_fail(err, NABLA_CONFLICT, NULL, "job %s is %s: a job has a model once it has succeeded",
                      job->id, job_state_name(job->state));
}

static enum nabla_code model_open(const struct api_call *call, const struct job *job, int *ret_fd,
                                  uint64_t *ret_size, struct nabla_error *err)
{
    struct stat status;
    char *path = model_path(call, job->id);
    if (!path)
        return nabla_fail_memory(err, "a path");
    int fd = job->state == JOB_SUCCEEDED ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    free(path);
    if (fd < 0)
        return job->state == JOB_SUCCEEDED && errno != ENOENT ? nabla_fail_errno(err, "open", "the model")
                                                              : model_fail_missing(job, err);
    if (fstat(fd, &status)) {
        close(fd);
        return nabla_fail_errno(err, "read", "the model");
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)status.st_size;
    return NABLA_OK;
}

void handle_job_model(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct job *job = NULL;
    int fd = -1;
    uint64_t size = 0;
    enum nabla_code code = store_job_get(call->api->options.store, call->params[0], &job, &err);
    if (!code)
        code = model_open(call, job, &fd, &size, &err);
    if (code) {
        answer_error(ret, call, &err);
    } else {
        answer_begin(ret, 200, media_name(MEDIA_SAFETENSORS));
        answer_header(ret, "Content-Disposition", "attachment; filename=\"%s.safetensors\"", job->id);
        ret->kind = API_FILE;
        ret->fd = fd;
        ret->size = size;
    }
    job_free(job);
}
