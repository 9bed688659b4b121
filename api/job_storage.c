// GET /v1/jobs/{id}/storage: what a job takes of the disk.
#include "store/job_storage.h"

#include "api/handlers.h"

#include <inttypes.h>

static void encode(const char *id, const struct job_storage *storage, struct buffer *ret)
{
    static const struct {
        const char *name, *counted;
    } parts[STORAGE_PART_COUNT] = {
        [STORAGE_METRICS] = {"metrics", "rows"}, [STORAGE_GRADIENTS] = {"gradients", "rows"},
        [STORAGE_NAMED] = {"named", "rows"},     [STORAGE_HISTOGRAMS] = {"histograms", "rows"},
        [STORAGE_FILES] = {"files", "count"},
    };
    uint64_t bytes = 0;
    for (size_t i = 0; i < STORAGE_PART_COUNT; i++)
        bytes += storage->parts[i].bytes;
    buffer_format(ret, "{\"job\":\"%s\",\"bytes\":%" PRIu64, id, bytes);
    for (size_t i = 0; i < STORAGE_PART_COUNT; i++)
        buffer_format(ret, ",\"%s\":{\"%s\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", parts[i].name,
                      parts[i].counted, storage->parts[i].rows, storage->parts[i].bytes);
    buffer_text(ret, "}");
}

void handle_job_storage(struct api_call *call, struct api_answer *ret)
{
    struct job_storage storage;
    struct nabla_error err = {0};
    if (store_job_storage(call->api->options.store, call->params[0], &storage, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    answer_begin(ret, 200, "application/json");
    encode(call->params[0], &storage, &ret->body);
}
