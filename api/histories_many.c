// GET /v1/metrics and /v1/gradients: the histories of several jobs in one answer, for comparison.
#include "api/handlers.h"
#include "api/history_reading.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { JOBS_MOST = 50, JOB_ID_SIZE = TOKEN_ID_SIZE };

struct many {
    char ids[JOBS_MOST][JOB_ID_SIZE];
    size_t count;
};

// Comma lists, of as many parameters `job` as there are.
static bool take_jobs(const struct api_call *call, struct many *ret, struct api_answer *ret_answer)
{
    for (size_t i = 0; i < call->query_count; i++) {
        if (strcmp(call->query[i].name, "job") != 0)
            continue;
        for (const char *at = call->query[i].value; *at;) {
            size_t length = strcspn(at, ",");
            if (ret->count == JOBS_MOST || length == 0 || length >= JOB_ID_SIZE) {
                answer_status(ret_answer, call, 400, "job must be a list of up to %d ids of jobs", JOBS_MOST);
                return false;
            }
            memcpy(ret->ids[ret->count], at, length);
            ret->ids[ret->count++][length] = '\0';
            at += length + (at[length] == ',');
        }
    }
    if (ret->count > 0)
        return true;
    answer_status(ret_answer, call, 400, "job is missing: the ids of the jobs to compare");
    return false;
}

static enum nabla_code add_job(struct api_call *call, bool layers, const char *id, struct buffer *ret,
                               struct api_answer *ret_answer)
{
    struct nabla_error err = {0};
    char after[CURSOR_TEXT_SIZE];
    struct reading reading = reading_new(call, layers);
    enum nabla_code code = NABLA_OK;
    reading.history.by_step = true;
    if (!reading_query(&reading, ret_answer)) {
        reading_free(&reading);
        return NABLA_INVALID;
    }
    code = store_job_get(reading.store, id, &reading.job, &err);
    if (code == NABLA_OK)
        code = reading_rows(&reading, &err);
    if (code == NABLA_OK) {
        cursor_write(&reading.history, reading.revision, after);
        code = reading_encode(&reading, after, ret, &err);
    }
    if (code == NABLA_INVALID)
        answer_status(ret_answer, call, 400, "job %s: %s", id, err.text);
    else if (code)
        answer_error(ret_answer, call, &err);
    reading_free(&reading);
    return code;
}

static void answer_many(struct api_call *call, bool layers, struct api_answer *ret)
{
    struct many many = {.count = 0};
    if (!take_jobs(call, &many, ret))
        return;
    struct buffer body = buffer_new(SIZE_MAX - 1);
    buffer_text(&body, "{\"jobs\":[");
    for (size_t i = 0; i < many.count; i++) {
        buffer_text(&body, i > 0 ? "," : "");
        if (add_job(call, layers, many.ids[i], &body, ret)) {
            buffer_free(&body);
            return;
        }
    }
    buffer_text(&body, "]}");
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    answer_header(ret, "Cache-Control", "no-cache");
    buffer_free(&ret->body);
    ret->body = body;
}

void handle_metrics_many(struct api_call *call, struct api_answer *ret)
{
    answer_many(call, false, ret);
}

void handle_gradients_many(struct api_call *call, struct api_answer *ret)
{
    answer_many(call, true, ret);
}
