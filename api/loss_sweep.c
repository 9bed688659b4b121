// POST /v1/losses/sweep: loss and gradient on every path as the probability of the correct class falls from 1
// to 1e-45, and the probability at which each gradient dies.
#include "api/document.h"
#include "api/handlers.h"
#include "api/loss_curve.h"
#include "api/spec_decode.h"
#include "api/write.h"
#include "base/size.h"

#include <math.h>
#include <stdlib.h>

// An answer has 18 curves: these keep it below 50 ms.
enum { SWEEP_POINTS = 46, SWEEP_POINTS_MOST = 1001, SWEEP_CLASSES = 3, SWEEP_CLASSES_MOST = 1000 };
enum { SWEEP_SCORES_MOST = 20000 }; // points × classes

struct sweep {
    struct nabla_loss loss;
    size_t points, classes;
    double *others;        // owned: classes - 1, sum 1
    double *probabilities; // owned: points, from 1 down to CURVE_LOWEST
    struct loss_absences absences;
    bool as_null;
};

static void sweep_free(struct sweep *sweep)
{
    free(sweep->others);
    free(sweep->probabilities);
}

// ---- the request ----

// The losses of one probability among classes; on the others the sweep has no meaning.
static bool has_curve(enum nabla_loss_type type)
{
    return type == NABLA_CROSS_ENTROPY || type == NABLA_FOCAL || type == NABLA_POLY ||
           type == NABLA_GENERALIZED_CROSS_ENTROPY || type == NABLA_KL_DIVERGENCE;
}

static void loss_read(struct fields *root, struct nabla_loss *ret)
{
    int type;
    struct fields fields = typed_begin(fields_value(root, "loss"), "/loss", root->problems,
                                       (int)NABLA_CROSS_ENTROPY, &loss_type_choice, &type);
    *ret = nabla_loss_defaults((enum nabla_loss_type)type);
    loss_options_decode(&fields, ret);
    fields_end(&fields);
    if (!has_curve(ret->type))
        fields_problem(root, "loss",
                       "a sweep goes by the probability of the correct class: cross_entropy, focal, poly, "
                       "generalized_cross_entropy and kl_divergence have one, %s has not",
                       nabla_loss_type_name(ret->type));
    if (ret->has_ignore_index)
        fields_problem(&fields, "ignore_index", "a sweep has no rows to ignore");
    if (ret->softcap > 0 || ret->temperature != 1)
        fields_problem(&fields, ret->softcap > 0 ? "softcap" : "temperature",
                       "changes the logits, and with them the probability that a sweep goes by");
}

static void others_share(double *others, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += others[i];
    for (size_t i = 0; i < count; i++)
        others[i] /= total;
}

static void others_even(struct sweep *sweep)
{
    size_t count = sweep->classes - 1;
    sweep->others = size_alloc(count, 1, sizeof *sweep->others);
    for (size_t i = 0; sweep->others && i < count; i++)
        sweep->others[i] = 1 / (double)count;
}

static bool others_valid(const struct bulk *bulk, struct problems *problems)
{
    double total = 0;
    if (bulk->shape != BULK_LIST || bulk->rows == 0 || bulk->rows >= SWEEP_CLASSES_MOST) {
        problems_add(problems, bulk->pointer,
                     "must be a list of 1 to %d numbers, one for each class but the correct one",
                     SWEEP_CLASSES_MOST - 1);
        return false;
    }
    for (size_t i = 0; i < bulk->rows; i++) {
        if (!(bulk->values[i] >= 0 && bulk->values[i] <= 1)) {
            problems_add(problems, bulk->pointer, "entry %zu is %g; a share is from 0 to 1", i,
                         bulk->values[i]);
            return false;
        }
        total += bulk->values[i];
    }
    if (fabs(total - 1) > 1e-6)
        problems_add(problems, bulk->pointer, "the shares sum to %g instead of 1", total);
    return fabs(total - 1) <= 1e-6;
}

static void classes_read(struct fields *root, struct bulk *others, struct sweep *ret)
{
    bool given = others->shape != BULK_ABSENT;
    fields_value(root, "others");
    ret->classes = fields_whole(root, "classes", given ? 0 : SWEEP_CLASSES, 2, SWEEP_CLASSES_MOST);
    if (!given) {
        others_even(ret);
        return;
    }
    if (!others_valid(others, root->problems))
        return;
    if (ret->classes > 0 && ret->classes != others->rows + 1)
        fields_problem(root, "classes", "is %zu, while others has shares for %zu classes and the correct one",
                       ret->classes, others->rows);
    ret->classes = others->rows + 1;
    ret->others = others->values;
    others->values = NULL;
    others_share(ret->others, ret->classes - 1);
}

static void sweep_read(const json_t *document, struct bulk *others, struct problems *problems,
                       struct sweep *ret)
{
    struct fields root = fields_begin(document, "", problems);
    loss_read(&root, &ret->loss);
    classes_read(&root, others, ret);
    ret->points = fields_whole(&root, "points", SWEEP_POINTS, 2, SWEEP_POINTS_MOST);
    if (ret->points * ret->classes > SWEEP_SCORES_MOST)
        fields_problem(&root, "points", "%zu points of %zu classes are more than %d scores", ret->points,
                       ret->classes, SWEEP_SCORES_MOST);
    fields_end(&root);
}

static enum nabla_code sweep_decode(const struct api_call *call, struct problems *problems, struct sweep *ret,
                                    struct nabla_error *err)
{
    struct bulk others = {.pointer = "/others"};
    json_t *document;
    enum nabla_code code =
        document_read(call->body.data, call->body.size, call->api->options.limits.document_bytes, &others, 1,
                      &document, err);
    if (code)
        return code;
    sweep_read(document, &others, problems, ret);
    json_decref(document);
    bulk_free(&others, 1);
    if (problems->count == 0 && !ret->others)
        return nabla_fail_memory(err, "the other classes' shares");
    return NABLA_OK;
}

// ---- the answer ----

static enum nabla_code grid_make(struct sweep *sweep, struct nabla_error *err)
{
    sweep->probabilities = size_alloc(sweep->points, 1, sizeof *sweep->probabilities);
    if (!sweep->probabilities)
        return nabla_fail_memory(err, "the probabilities");
    for (size_t i = 0; i < sweep->points; i++)
        sweep->probabilities[i] = pow(10, -45 * (double)i / (double)(sweep->points - 1));
    return NABLA_OK;
}

static void number_write(struct buffer *body, const struct sweep *sweep, enum nabla_dtype dtype, double value)
{
    if (dtype == NABLA_FLOAT32)
        write_float(body, (float)value, sweep->as_null);
    else
        write_double(body, value, sweep->as_null);
}

static void threshold_write(struct buffer *body, const char *name, enum nabla_dtype dtype, double value)
{
    buffer_format(body, "\"%s\":", name);
    if (dtype == NABLA_FLOAT32)
        write_float(body, (float)value, true);
    else
        write_double(body, value, true);
}

// Where one of a point's numbers lies, and what it is called.
static const struct {
    const char *name;
    size_t offset;
} columns[] = {
    {"loss", offsetof(struct curve_point, loss)},
    {"gradient_correct", offsetof(struct curve_point, correct)},
    {"gradient_largest", offsetof(struct curve_point, largest)},
};

static void column_write(struct buffer *body, const struct sweep *sweep, enum nabla_dtype dtype,
                         const struct curve_point *points, size_t column)
{
    buffer_format(body, ",\"%s\":", columns[column].name);
    for (size_t i = 0; i < sweep->points; i++) {
        buffer_char(body, i ? ',' : '[');
        number_write(body, sweep, dtype, *(double *)((char *)&points[i] + columns[column].offset));
    }
    buffer_char(body, ']');
}

static void curve_write(struct buffer *body, const struct sweep *sweep, const struct loss_curve *curve,
                        const struct curve_point *points, const struct curve_thresholds *thresholds)
{
    const char *dtype = curve->dtype == NABLA_FLOAT32 ? "float32" : "float64";
    buffer_char(body, '{');
    loss_path_write(body, (struct loss_path){curve->loss.convention, curve->loss.input});
    buffer_format(body, ",\"dtype\":\"%s\",\"thresholds\":{", dtype);
    threshold_write(body, "zero", curve->dtype, thresholds->zero);
    buffer_char(body, ',');
    threshold_write(body, "tiny", curve->dtype, thresholds->tiny);
    buffer_char(body, '}');
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        column_write(body, sweep, curve->dtype, points, i);
    buffer_char(body, '}');
}

static enum nabla_code curve_answer(const struct sweep *sweep, const struct nabla_loss *loss,
                                    enum nabla_dtype dtype, struct buffer *body, struct nabla_error *err)
{
    struct loss_curve curve;
    struct curve_thresholds thresholds;
    struct curve_point *points = size_alloc(sweep->points, 1, sizeof *points);
    enum nabla_code code = loss_curve_make(loss, dtype, sweep->classes, sweep->others, &curve, err);
    if (!code && !points)
        code = nabla_fail_memory(err, "a curve's points");
    for (size_t i = 0; i < sweep->points && !code; i++)
        code = loss_curve_point(&curve, sweep->probabilities[i], &points[i], err);
    if (!code)
        code = loss_curve_thresholds(&curve, &thresholds, err);
    if (!code)
        curve_write(body, sweep, &curve, points, &thresholds);
    loss_curve_free(&curve);
    free(points);
    return code;
}

// One path in both number types; one that the library refuses joins the absences.
static enum nabla_code path_answer(struct sweep *sweep, struct loss_path path, bool *is_first,
                                   struct buffer *body, struct nabla_error *err)
{
    struct nabla_loss loss = sweep->loss;
    loss.convention = path.convention;
    loss.input = path.input;
    for (int dtype = NABLA_FLOAT32; dtype <= NABLA_FLOAT64; dtype++) {
        size_t before = body->size;
        if (!*is_first)
            buffer_char(body, ',');
        enum nabla_code code = curve_answer(sweep, &loss, (enum nabla_dtype)dtype, body, err);
        if (code == NABLA_INVALID) {
            body->size = before;
            loss_absence_add(&sweep->absences, path, err);
            return NABLA_OK;
        }
        if (code)
            return code;
        *is_first = false;
    }
    return NABLA_OK;
}

static enum nabla_code sweep_write(struct sweep *sweep, struct buffer *body, struct nabla_error *err)
{
    bool is_first = true;
    enum nabla_code code = grid_make(sweep, err);
    if (code)
        return code;
    buffer_format(body,
                  "{\"loss_type\":\"%s\",\"classes\":%zu,\"others\":", nabla_loss_type_name(sweep->loss.type),
                  sweep->classes);
    write_doubles(body, sweep->others, sweep->classes - 1, sweep->as_null);
    buffer_text(body, ",\"probability\":");
    write_doubles(body, sweep->probabilities, sweep->points, sweep->as_null);
    buffer_text(body, ",\"paths\":[");
    for (size_t i = 0; i < LOSS_PATHS && !code; i++)
        code = path_answer(sweep, loss_path_at(i), &is_first, body, err);
    if (code)
        return code;
    if (is_first) { // all refuse it: so it is the request that is wrong
        *err = sweep->absences.items[0].reason;
        return err->code;
    }
    buffer_text(body, "],");
    loss_absences_write(body, &sweep->absences);
    buffer_text(body, "}\n");
    return NABLA_OK;
}

static void sweep_answer(struct api_call *call, struct sweep *sweep, struct api_answer *ret)
{
    struct nabla_error err;
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    if (sweep_write(sweep, &ret->body, &err)) {
        api_answer_free(ret);
        answer_error(ret, call, &err);
    }
}

void handle_losses_sweep(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err;
    struct problems problems = {0};
    struct sweep sweep = {0};
    if (!call_query_nonfinite(call, &sweep.as_null, ret))
        return;
    if (sweep_decode(call, &problems, &sweep, &err))
        answer_error(ret, call, &err);
    else if (problems.count > 0)
        answer_problems(ret, call, &problems);
    else
        sweep_answer(call, &sweep, ret);
    sweep_free(&sweep);
}
