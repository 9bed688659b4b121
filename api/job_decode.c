// POST /v1/jobs/{id}/state: how a worker, or a client that trains by itself, says that an attempt is over.
#include "api/document.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/job_encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RESULT_MAX_BYTES = 256 * 1024, DETAIL_MAX_BYTES = 500 };

// What may be reported, and the event that it is.
static const struct {
    const char *state;
    enum job_event event;
} reports[] = {
    {"succeeded", JOB_EVENT_SUCCEED},
    {"failed", JOB_EVENT_FAIL},
    {"cancelled", JOB_EVENT_CANCELLED},
    {"paused", JOB_EVENT_PAUSED},
};
enum { REPORT_COUNT = sizeof reports / sizeof *reports };

static int report_find(const char *state)
{
    for (int i = 0; i < REPORT_COUNT; i++)
        if (strcmp(reports[i].state, state) == 0)
            return i;
    return -1;
}

struct report {
    struct job_change change;
    char *result, *error, *detail; // owned: texts that `change` points to
};

static void report_free(struct report *report)
{
    free(report->result);
    free(report->error);
    free(report->detail);
}

// An object as JSON text, or NULL.
static char *object_text(struct fields *fields, const char *name)
{
    const json_t *value = fields_value(fields, name);
    if (!value)
        return NULL;
    if (!json_is_object(value)) {
        fields_problem(fields, name, "must be an object");
        return NULL;
    }
    char *text = json_dumps(value, JSON_COMPACT);
    if (text && strlen(text) > RESULT_MAX_BYTES)
        fields_problem(fields, name, "is longer than %d bytes", RESULT_MAX_BYTES);
    return text;
}

static void check_error(struct fields *root)
{
    struct fields error = fields_begin(fields_value(root, "error"), "/error", root->problems);
    if (error.object && !fields_has(&error, "code"))
        fields_problem(&error, "code", "is missing");
    fields_text(&error, "code", "");
    fields_text(&error, "detail", "");
    fields_end(&error);
}

// For the job's log; NULL for none.
static char *detail_text(struct fields *fields)
{
    const char *detail = fields_text(fields, "detail", "");
    if (strlen(detail) > DETAIL_MAX_BYTES)
        fields_problem(fields, "detail", "is longer than %d bytes", DETAIL_MAX_BYTES);
    return detail[0] ? strdup(detail) : NULL;
}

static void report_decode(const json_t *root, struct problems *problems, struct report *ret)
{
    struct fields fields = fields_begin(root, "", problems);
    if (!fields_has(&fields, "attempt"))
        fields_problem(&fields, "attempt", "is missing");
    if (!fields_has(&fields, "state"))
        fields_problem(&fields, "state", "is missing: succeeded, failed, cancelled or paused");
    ret->change.attempt = (unsigned)fields_whole(&fields, "attempt", 1, 1, INT32_MAX);
    int report = fields_choice(&fields, "state", 0, report_find, "succeeded, failed, cancelled or paused");
    ret->change.event = reports[report].event;
    ret->change.result = ret->result = object_text(&fields, "result");
    ret->change.error = ret->error = object_text(&fields, "error");
    ret->change.detail = ret->detail = detail_text(&fields);
    if (json_is_object(fields_value(&fields, "error")))
        check_error(&fields);
    fields_end(&fields);
}

static bool report_read(const struct api_call *call, struct report *report, struct api_answer *ret)
{
    struct problems problems = {0};
    struct nabla_error err = {0};
    json_t *root;
    const size_t most = call_limit_for_clients(call, call->api->options.limits.document_bytes);
    if (document_read(call->body.data, call->body.size, most, NULL, 0, &root, &err)) {
        answer_error(ret, call, &err);
        return false;
    }
    report_decode(root, &problems, report);
    json_decref(root);
    if (problems.count > 0)
        answer_problems(ret, call, &problems);
    return problems.count == 0;
}

void handle_job_state_post(struct api_call *call, struct api_answer *ret)
{
    struct store *store = call->api->options.store;
    struct report report = {0};
    struct nabla_error err = {0};
    struct job *job;
    if (!report_read(call, &report, ret))
        goto done;
    if (store_job_apply(store, call->params[0], &report.change, &err) ||
        store_job_get(store, call->params[0], &job, &err)) {
        answer_error(ret, call, &err);
        goto done;
    }
    answer_begin(ret, 200, "application/json");
    job_encode(job, NULL, &ret->body);
    job_free(job);
done:
    report_free(&report);
}
