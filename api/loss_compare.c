// POST /v1/losses/compare: posted scores under every convention, and which rows' gradients each of them
// keeps.
//
// Where logits were posted, each convention is answered twice: from the logits, and from the probabilities
// that softmax (or sigmoid) makes of them in the request's dtype, which is what a network with a softmax
// layer hands to its loss.
#include "api/handlers.h"
#include "api/loss_answer.h"
#include "api/loss_path.h"
#include "api/loss_verdict.h"
#include "api/loss_work.h"
#include "api/write.h"
#include "base/size.h"

#include <stdlib.h>

enum {
    COMPARE_ROWS = 100,           // rows listed
    COMPARE_SCORES = 1024 * 1024, // of a batch at most
    COMPARE_GRADIENTS = 64 * 1024 // the same where gradients or probabilities are returned: an answer holds
                                  // each score up to thirty times
};

struct comparison {
    const struct loss_request *posted;
    struct loss_request views[LOSS_PATHS]; // the request as each path that exists sees it: arrays borrowed
    unsigned char *fates[LOSS_PATHS];      // enum loss_fate of each row, owned
    size_t count;                          // of the paths that exist
    void *probabilities;                   // of the posted logits, owned; NULL where there are none
    struct loss_absences absences;
    bool as_null;
};

static void comparison_free(struct comparison *comparison)
{
    free(comparison->probabilities);
    for (size_t i = 0; i < LOSS_PATHS; i++)
        free(comparison->fates[i]);
}

static struct loss_path view_path(const struct loss_request *view)
{
    return (struct loss_path){view->loss.convention, view->loss.input};
}

// Predictions of a regression are no logits: no softmax stands behind them.
static bool has_probabilities(enum nabla_loss_type type)
{
    return type != NABLA_MEAN_SQUARED_ERROR && type != NABLA_HUBER;
}

// Softmax is the same under every convention; the first that takes the request gives it.
static enum nabla_code probabilities_make(struct comparison *comparison, struct nabla_error *err)
{
    const struct nabla_loss_batch *batch = &comparison->posted->batch;
    size_t width = batch->dtype == NABLA_FLOAT32 ? sizeof(float) : sizeof(double);
    struct nabla_loss loss = comparison->posted->loss;
    enum nabla_code code = NABLA_INVALID;
    if (loss.input == NABLA_PROBABILITIES || !has_probabilities(loss.type))
        return NABLA_OK;
    void *probabilities = size_alloc(batch->rows, batch->classes, width);
    if (!probabilities)
        return nabla_fail_memory(err, "the probabilities");
    for (int i = 0; i < NABLA_CONVENTION_COUNT && code == NABLA_INVALID; i++) {
        struct nabla_loss_result result = {.probabilities = probabilities};
        loss.convention = (enum nabla_convention)i;
        code = nabla_loss_compute(&loss, batch, &result, err);
    }
    if (code)
        free(probabilities);
    else
        comparison->probabilities = probabilities;
    return code == NABLA_INVALID ? NABLA_OK : code; // then no path takes the request, and each says why
}

// The request as a path sees it.
static enum nabla_code view_make(const struct comparison *comparison, struct loss_path path,
                                 struct loss_request *ret, struct nabla_error *err)
{
    *ret = *comparison->posted;
    ret->loss.convention = path.convention;
    ret->loss.input = path.input;
    if (path.input == comparison->posted->loss.input)
        return NABLA_OK;
    if (!comparison->probabilities)
        return nabla_fail(err, NABLA_INVALID, NULL,
                          "%s takes predictions as they are: no softmax comes first",
                          nabla_loss_type_name(ret->loss.type));
    ret->scores = comparison->probabilities;
    ret->batch.scores = comparison->probabilities;
    return NABLA_OK;
}

// The fate of each row, and how many have it.
static enum nabla_code rows_judge(const struct loss_request *view, unsigned char *fates,
                                  size_t counts[FATE_COUNT], struct nabla_error *err)
{
    struct loss_judge judge;
    struct loss_verdict verdict;
    enum nabla_code code = loss_judge_make(view, &judge, err);
    for (size_t i = 0; i < view->batch.rows && !code; i++) {
        code = loss_judge_row(&judge, i, &verdict, err);
        if (code)
            break;
        fates[i] = (unsigned char)verdict.fate;
        counts[verdict.fate]++;
    }
    loss_judge_free(&judge);
    return code;
}

static void path_write(struct buffer *body, const struct comparison *comparison,
                       const struct loss_request *view, const struct nabla_loss_result *result,
                       const size_t counts[FATE_COUNT])
{
    buffer_text(body, comparison->count > 0 ? ",{" : "{");
    loss_path_write(body, view_path(view));
    buffer_char(body, ',');
    loss_answer_fields(body, view, result, comparison->as_null);
    buffer_text(body, ",\"row_counts\":{");
    for (int i = 0; i < FATE_COUNT; i++)
        buffer_format(body, "%s\"%s\":%zu", i ? "," : "", loss_fate_name((enum loss_fate)i), counts[i]);
    buffer_text(body, "}}");
}

// Computes and writes one path, and keeps its rows' fates.
static enum nabla_code path_answer(struct comparison *comparison, const struct loss_request *view,
                                   struct buffer *body, struct nabla_error *err)
{
    struct loss_work work;
    size_t counts[FATE_COUNT] = {0};
    unsigned char *fates = comparison->fates[comparison->count] = size_alloc(view->batch.rows, 1, 1);
    enum nabla_code code = loss_work_make(view, WORK_APART, &work, err);
    if (!code && !fates)
        code = nabla_fail_memory(err, "the rows' fates");
    if (!code)
        code = nabla_loss_compute(&view->loss, &view->batch, &work.result, err);
    if (!code)
        code = rows_judge(view, fates, counts, err);
    if (!code)
        path_write(body, comparison, view, &work.result, counts);
    loss_work_free(&work);
    return code;
}

// One that the library refuses joins the absences.
static enum nabla_code path_try(struct comparison *comparison, struct loss_path path, struct buffer *body,
                                struct nabla_error *err)
{
    struct loss_request *view = &comparison->views[comparison->count];
    if (path.input < comparison->posted->loss.input)
        return NABLA_OK; // nobody knows the logits
    enum nabla_code code = view_make(comparison, path, view, err);
    if (!code)
        code = path_answer(comparison, view, body, err);
    comparison->count += !code;
    if (code != NABLA_INVALID)
        return code;
    free(comparison->fates[comparison->count]);
    comparison->fates[comparison->count] = NULL;
    loss_absence_add(&comparison->absences, path, err);
    return NABLA_OK;
}

// ---- the rows ----

static bool row_is_lost(const struct comparison *comparison, size_t row)
{
    for (size_t i = 0; i < comparison->count; i++)
        if (comparison->fates[i][row] == FATE_LOST)
            return true;
    return false;
}

// The names of the paths on which a row has this fate.
static void row_write_fate(struct buffer *body, const struct comparison *comparison, size_t row,
                           enum loss_fate fate)
{
    bool first = true;
    buffer_format(body, ",\"%s\":[", loss_fate_name(fate));
    for (size_t i = 0; i < comparison->count; i++) {
        if (comparison->fates[i][row] != (unsigned char)fate)
            continue;
        if (!first)
            buffer_char(body, ',');
        loss_path_write_name(body, view_path(&comparison->views[i]));
        first = false;
    }
    buffer_char(body, ']');
}

static enum nabla_code row_write(struct buffer *body, const struct comparison *comparison, size_t row,
                                 struct nabla_error *err)
{
    enum nabla_code code = NABLA_OK;
    buffer_format(body, "{\"row\":%zu", row);
    for (int i = 0; i < FATE_COUNT; i++)
        row_write_fate(body, comparison, row, (enum loss_fate)i);
    buffer_text(body, ",\"largest_gradient\":{");
    for (size_t i = 0; i < comparison->count && !code; i++) {
        struct loss_judge judge;
        struct loss_verdict verdict;
        code = loss_judge_make(&comparison->views[i], &judge, err);
        if (!code)
            code = loss_judge_row(&judge, row, &verdict, err);
        loss_judge_free(&judge);
        if (code)
            break;
        if (i > 0)
            buffer_char(body, ',');
        loss_path_write_name(body, view_path(&comparison->views[i]));
        buffer_char(body, ':');
        write_double(body, verdict.largest, comparison->as_null);
    }
    buffer_text(body, "}}");
    return code;
}

// All rows of a small batch; of a larger one the first that some path loses.
static enum nabla_code rows_write(struct buffer *body, const struct comparison *comparison,
                                  struct nabla_error *err)
{
    size_t rows = comparison->posted->batch.rows, listed = 0, lost = 0;
    enum nabla_code code = NABLA_OK;
    buffer_text(body, ",\"rows\":[");
    for (size_t i = 0; i < rows && !code; i++) {
        bool is_lost = row_is_lost(comparison, i);
        lost += is_lost;
        if (listed == COMPARE_ROWS || (rows > COMPARE_ROWS && !is_lost))
            continue;
        if (listed++ > 0)
            buffer_char(body, ',');
        code = row_write(body, comparison, i, err);
    }
    buffer_format(body, "],\"rows_lost\":%zu", lost);
    return code;
}

// ---- the answer ----

static enum nabla_code size_check(const struct loss_request *request, struct nabla_error *err)
{
    bool bulky = request->returns & (RETURN_GRADIENT | RETURN_PROBABILITIES);
    size_t most = bulky ? COMPARE_GRADIENTS : COMPARE_SCORES;
    if (request->batch.rows * request->batch.classes <= most)
        return NABLA_OK;
    return nabla_fail(err, NABLA_LIMIT, request->loss.input == NABLA_LOGITS ? "/logits" : "/probabilities",
                      "a comparison takes up to %d scores where gradients or probabilities are returned, and "
                      "up to %d with \"return\": []",
                      COMPARE_GRADIENTS, COMPARE_SCORES);
}

static enum nabla_code comparison_write(struct comparison *comparison, struct buffer *body,
                                        struct nabla_error *err)
{
    enum nabla_code code = size_check(comparison->posted, err);
    if (!code)
        code = probabilities_make(comparison, err);
    buffer_text(body, "{\"paths\":[");
    for (size_t i = 0; i < LOSS_PATHS && !code; i++)
        code = path_try(comparison, loss_path_at(i), body, err);
    if (code)
        return code;
    if (comparison->count == 0) { // all refuse it: so it is the request that is wrong
        *err = comparison->absences.items[0].reason;
        loss_request_place(comparison->posted, err);
        return err->code;
    }
    buffer_text(body, "],");
    loss_absences_write(body, &comparison->absences);
    code = rows_write(body, comparison, err);
    buffer_text(body, "}\n");
    return code;
}

static void compare_answer(struct api_call *call, const struct loss_request *request, bool as_null,
                           struct api_answer *ret)
{
    struct nabla_error err;
    struct comparison comparison = {.posted = request, .as_null = as_null};
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    if (comparison_write(&comparison, &ret->body, &err)) {
        api_answer_free(ret);
        answer_error(ret, call, &err);
    }
    comparison_free(&comparison);
}

void handle_losses_compare(struct api_call *call, struct api_answer *ret)
{
    bool as_null;
    struct nabla_error err;
    struct problems problems = {0};
    struct loss_request request;
    if (!call_query_nonfinite(call, &as_null, ret))
        return;
    if (loss_request_read(call, LOSS_EVERY_CONVENTION, &problems, &request, &err))
        answer_error(ret, call, &err);
    else if (problems.count > 0)
        answer_problems(ret, call, &problems);
    else
        compare_answer(call, &request, as_null, ret);
    loss_request_free(&request);
}
