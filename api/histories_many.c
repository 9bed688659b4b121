// GET /v1/metrics and /v1/gradients: the histories of several jobs in one answer, for comparison. JSON has
// one history a job, as each job's own endpoint tells it; rows, CSV and safetensors put them together, the
// job named in each row or tensor. The entity tag is made of the jobs' revisions, in the order asked for.
#include "api/handlers.h"
#include "api/history_reading.h"
#include "api/jobs_poll.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS_MOST = API_WATCHES_MAX, JOB_ID_SIZE = TOKEN_ID_SIZE, TAG_SIZE = JOBS_MOST * 21 + ETAG_SIZE };

struct many {
    char ids[JOBS_MOST][JOB_ID_SIZE];
    uint64_t revisions[JOBS_MOST];
    struct reading readings[JOBS_MOST];
    struct frames frames[JOBS_MOST];
    size_t count, read; // of these many jobs so many are there to be freed
};

static bool is_taken(const struct many *many, const char *id, size_t length)
{
    for (size_t i = 0; i < many->count; i++)
        if (strlen(many->ids[i]) == length && memcmp(many->ids[i], id, length) == 0)
            return true;
    return false;
}

// Comma lists, of as many parameters `job` as there are; each job once.
static bool take_jobs(const struct api_call *call, struct many *ret, struct api_answer *ret_answer)
{
    for (size_t i = 0; i < call->query_count; i++) {
        if (strcmp(call->query[i].name, "job") != 0)
            continue;
        for (const char *at = call->query[i].value; *at;) {
            size_t length = strcspn(at, ",");
            bool is_new = !is_taken(ret, at, length);
            if ((is_new && ret->count == JOBS_MOST) || length == 0 || length >= JOB_ID_SIZE) {
                answer_status(ret_answer, call, 400, "job must be a list of up to %d ids of jobs", JOBS_MOST);
                return false;
            }
            if (is_new)
                memcpy(ret->ids[ret->count++], at, length);
            at += length + (at[length] == ',');
        }
    }
    if (ret->count > 0)
        return true;
    answer_status(ret_answer, call, 400, "job is missing: the ids of the jobs to compare");
    return false;
}

static struct many *many_new(const struct api_call *call, struct api_answer *ret)
{
    struct many *many = calloc(1, sizeof *many);
    if (!many) {
        answer_status(ret, call, 503, "cannot allocate the histories of several jobs");
        return NULL;
    }
    if (take_jobs(call, many, ret))
        return many;
    free(many);
    return NULL;
}

static void many_free(struct many *many)
{
    for (size_t i = 0; i < many->read; i++) {
        frames_free(&many->frames[i]);
        reading_free(&many->readings[i]);
    }
    free(many);
}

// --- what the client knows

// "12.7" or "12.7-csv", in quotes: of a target, whose jobs are always the same.
static void tag_make(const struct many *many, const char *variant, char ret[TAG_SIZE])
{
    size_t used = (size_t)snprintf(ret, TAG_SIZE, "\"");
    for (size_t i = 0; i < many->count; i++)
        used += (size_t)snprintf(ret + used, TAG_SIZE - used, "%s%" PRIu64, i ? "." : "", many->revisions[i]);
    snprintf(ret + used, TAG_SIZE - used, "%s%s\"", *variant ? "-" : "", variant);
}

static void tag_headers(const struct api_call *call, const char *tag, struct api_answer *ret)
{
    poll_headers(call, tag, ret);
    answer_header(ret, "Vary", "Accept");
}

static bool are_over(const struct api_call *call, const struct many *many)
{
    bool over = true;
    for (size_t i = 0; i < many->count && over; i++) {
        struct job *job;
        if (store_job_get(call->api->options.store, many->ids[i], &job, NULL))
            continue; // deleted since
        over = job_state_is_final(job->state);
        job_free(job);
    }
    return over;
}

// *ret becomes "wait for a change of any of them" when the client asked to wait and there is one to come.
static bool wait_for_any(struct api_call *call, const struct many *many, struct api_answer *ret)
{
    if (prefer_wait(call) == 0 || are_over(call, many))
        return false;
    if (!call->watches)
        call->watches = calloc(API_WATCHES_MAX, sizeof *call->watches);
    if (!call->watches || !poll_wait(call, many->ids[0], many->revisions[0], ret))
        return false;
    for (size_t i = 1; i < many->count; i++) {
        memcpy(call->watches[i - 1].job, many->ids[i], sizeof many->ids[i]);
        call->watches[i - 1].revision = many->revisions[i];
    }
    ret->wait.others = call->watches;
    ret->wait.other_count = many->count - 1;
    return true;
}

static bool answer_if_known(struct api_call *call, struct many *many, const char *variant,
                            struct api_answer *ret)
{
    char tag[TAG_SIZE];
    for (size_t i = 0; i < many->count; i++)
        if (store_job_revision(call->api->options.store, many->ids[i], &many->revisions[i], NULL))
            return false; // the full read tells why
    tag_make(many, variant, tag);
    if (!etag_is_known(call, tag))
        return false;
    if (wait_for_any(call, many, ret))
        return true;
    answer_begin(ret, 304, NULL);
    tag_headers(call, tag, ret);
    return true;
}

static bool answer_without_reading(struct api_call *call, struct api_answer *ret)
{
    struct reading reading = {.call = call};
    struct many *many = NULL;
    bool is_known = call_header(call, "If-None-Match") && reading_query_format(&reading, ret) &&
                    (many = many_new(call, ret)) &&
                    answer_if_known(call, many, reading_variant(&reading), ret);
    if (!is_known)
        api_answer_free(ret); // the full read tells why
    free(many);
    return is_known;
}

bool peek_many(struct api_call *call, struct api_answer *ret)
{
    return prefer_wait(call) == 0 && answer_without_reading(call, ret); // waiting takes more of a look
}

// --- what it is told

// All jobs share what one answer may hold.
static void share_limit(struct reading *reading, size_t jobs)
{
    size_t limit = reading->history.limit / jobs;
    reading->history.limit = limit ? limit : 1;
    reading->query.limit = reading->history.limit + 1;
}

static bool read_job(struct api_call *call, bool layers, struct many *many, struct api_answer *ret)
{
    struct nabla_error err = {0};
    size_t at = many->read++;
    struct reading *reading = &many->readings[at];
    *reading = reading_new(call, layers);
    reading->history.by_step = true;
    if (!reading_query(reading, ret))
        return false;
    share_limit(reading, many->count);
    enum nabla_code code = store_job_get(reading->store, many->ids[at], &reading->job, &err);
    if (code == NABLA_OK)
        code = reading_rows(reading, &err);
    if (code == NABLA_OK)
        code = reading_frames(reading, &many->frames[at], &err);
    many->revisions[at] = reading->revision;
    for (size_t i = 0; code == NABLA_OK && i < many->frames[at].count; i++)
        many->frames[at].frames[i].job = many->ids[at];
    if (code == NABLA_INVALID)
        answer_status(ret, call, 400, "job %s: %s", many->ids[at], err.text);
    else if (code)
        answer_error(ret, call, &err);
    return code == NABLA_OK;
}

// {"jobs":[…]}: heads alone, or with their tables.
static void encode_jobs(const struct many *many, bool tables, struct buffer *ret)
{
    buffer_text(ret, "{\"jobs\":[");
    for (size_t i = 0; i < many->count; i++) {
        buffer_text(ret, i > 0 ? "," : "");
        reading_encode_head(&many->readings[i], &many->frames[i], ret);
        if (tables)
            frames_encode(&many->frames[i], many->readings[i].history.nonfinite_as_null, ret);
        buffer_char(ret, '}');
    }
    buffer_text(ret, "]}");
}

static enum nabla_code encode_tensors(const struct many *many, const struct frames *all, struct buffer *ret,
                                      struct nabla_error *err)
{
    struct buffer head = buffer_new(SIZE_MAX - 1);
    encode_jobs(many, false, &head);
    enum nabla_code code = head.failed ? buffer_status(&head, "the histories' head", err)
                                       : frames_encode_tensors(all, head.data, ret, err);
    buffer_free(&head);
    return code;
}

// All jobs' tables in one row of frames, which are borrowed.
static enum nabla_code encode_together(const struct many *many, struct buffer *ret, struct nabla_error *err)
{
    const struct reading *first = &many->readings[0];
    size_t count = 0;
    for (size_t i = 0; i < many->count; i++)
        count += many->frames[i].count;
    struct frames all = {.frames = calloc(count + 1, sizeof *all.frames), .layers = first->layers};
    if (!all.frames)
        return nabla_fail_memory(err, "the histories of several jobs");
    for (size_t i = 0; i < many->count; i++)
        for (size_t f = 0; f < many->frames[i].count; f++)
            all.frames[all.count++] = many->frames[i].frames[f];
    enum nabla_code code = first->format == FORMAT_TENSORS ? NABLA_OK : frames_check_names(&all, err);
    if (code == NABLA_OK && first->format == FORMAT_ROWS)
        frames_encode_rows(&all, first->history.nonfinite_as_null, ret);
    else if (code == NABLA_OK && first->format == FORMAT_CSV)
        frames_encode_csv(&all, first->history.nonfinite_as_null, ret);
    else if (code == NABLA_OK)
        code = encode_tensors(many, &all, ret, err);
    free(all.frames);
    return code;
}

// Rows and CSV have no room beside the tables to say whose history was cut.
static void more_header(const struct many *many, struct api_answer *ret)
{
    struct buffer list = buffer_new(JOBS_MOST * JOB_ID_SIZE);
    for (size_t i = 0; i < many->count; i++)
        if (many->readings[i].history.more)
            buffer_format(&list, "%s%s", list.size ? ", " : "", many->ids[i]);
    if (list.size > 0)
        answer_header(ret, "Nabla-More", "%s", list.data);
    buffer_free(&list);
}

static void answer_jobs(const struct api_call *call, const struct many *many, struct api_answer *ret)
{
    const struct reading *first = &many->readings[0];
    struct nabla_error err = {0};
    char tag[TAG_SIZE];
    enum nabla_code code = NABLA_OK;
    tag_make(many, reading_variant(first), tag);
    answer_begin(ret, 200, media_name(reading_media(first)));
    tag_headers(call, tag, ret);
    more_header(many, ret);
    if (first->format == FORMAT_JSON)
        encode_jobs(many, true, &ret->body);
    else
        code = encode_together(many, &ret->body, &err);
    if (code) {
        api_answer_free(ret);
        answer_error(ret, call, &err);
    }
}

static void answer_many(struct api_call *call, bool layers, struct api_answer *ret)
{
    struct many *many = answer_without_reading(call, ret) ? NULL : many_new(call, ret);
    if (!many)
        return;
    bool is_read = true;
    while (is_read && many->read < many->count)
        is_read = read_job(call, layers, many, ret);
    if (is_read)
        answer_jobs(call, many, ret);
    many_free(many);
}

void handle_metrics_many(struct api_call *call, struct api_answer *ret)
{
    answer_many(call, false, ret);
}

void handle_gradients_many(struct api_call *call, struct api_answer *ret)
{
    answer_many(call, true, ret);
}
