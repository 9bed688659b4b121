// Histories over the api: what is posted comes back, exactly and only once, however it is asked for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "data/safetensors.h"
#include "tests/service.h"

#include <math.h>

static void post(struct client_fixture *fixture, const char *batch)
{
    client_posts(fixture->service, &fixture->job, "metrics", batch, 200);
}

// The answer's text for a target below the job; the caller frees it.
static char *get(struct client_fixture *fixture, const char *below, int status)
{
    struct api_answer answer =
        service_ask(fixture->service, "GET", text_of("/v1/jobs/%s/%s", fixture->job.id, below), NULL);
    answer_expect(&answer, status, below);
    char *text = buffer_steal(&answer.body, NULL);
    api_answer_free(&answer);
    return text ? text : strdup("");
}

static void expect_text(struct client_fixture *fixture, const char *below, const char *part)
{
    char *text = get(fixture, below, 200);
    if (!strstr(text, part))
        fail_msg("%s: no %s in %s", below, part, text);
    free(text);
}

#define BATCH                                                                                                \
    "{\"attempt\":1,\"metrics\":{\"steps\":[2,1,3],\"columns\":{\"loss\":[\"NaN\",0.1,\"-Infinity\"],"       \
    "\"validation_loss\":[null,null,0.25]}},"                                                                \
    "\"layers\":[{\"index\":1,\"name\":\"out, "                                                              \
    "\\\"last\\\"\",\"steps\":[1],\"columns\":{\"gradient_norm\":[2]}},"                                     \
    "{\"index\":0,\"name\":\"dense_1\",\"steps\":[2,1],\"columns\":{\"gradient_norm\":[1e-9,0.3]}}]}"

static const struct {
    const char *comment, *below, *expected;
} answers[] = {
    {"ascending steps, NaN as text, null where nothing was recorded", "metrics",
     "\"more\":false,\"steps\":[1,2,3],\"columns\":{\"loss\":[0.1,\"NaN\",\"-Infinity\"],\"validation_loss\":"
     "["
     "null,null,0.25]}}"},
    {"the revision and the cursor", "metrics", "\"revision\":2,\"after\":\"2\""},
    {"nulls for those who want them", "metrics?nonfinite=null", "\"loss\":[0.1,null,null]"},
    {"one column", "metrics?column=loss", "\"columns\":{\"loss\":[0.1,\"NaN\",\"-Infinity\"]}}"},
    {"a column that was not recorded, asked for by name", "metrics?column=accuracy",
     "\"columns\":{\"accuracy\":[null,null,null]}}"},
    {"from a step on", "metrics?since_step=2&column=loss", "\"steps\":[2,3]"},
    {"up to a step", "metrics?until_step=2&column=loss", "\"steps\":[1,2]"},
    {"nothing in between", "metrics?since_step=9", "\"steps\":[],\"columns\":{}}"},
    {"CSV", "metrics?format=csv", "step,loss,validation_loss\r\n1,0.1,\r\n2,NaN,\r\n3,-Infinity,0.25\r\n"},
    {"CSV with nulls", "metrics?format=csv&column=loss&nonfinite=null", "step,loss\r\n1,0.1\r\n2,\r\n3,\r\n"},
    {"layers by index", "gradients",
     "\"layers\":[{\"index\":0,\"name\":\"dense_1\",\"steps\":[1,2],\"columns\":{\"gradient_norm\":[0.3,1e-"
     "09]}},"
     "{\"index\":1,\"name\":\"out, \\\"last\\\"\",\"steps\":[1],\"columns\":{\"gradient_norm\":[2]}}]}"},
    {"one layer", "gradients?layer=1", "\"layers\":[{\"index\":1,"},
    {"a layer that is not there", "gradients?layer=7", "\"layers\":[]}"},
    {"layers as CSV, quoted where it must be", "gradients?format=csv",
     "step,layer,name,gradient_norm\r\n1,0,dense_1,0.3\r\n2,0,dense_1,1e-09\r\n1,1,\"out, "
     "\"\"last\"\"\",2\r\n"},
};

static void what_was_posted_comes_back(void **state)
{
    post(*state, BATCH);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        expect_text(*state, answers[i].below, answers[i].expected);
}

// Three steps at once, then one, and a metric that the client named.
#define FOLDED                                                                                               \
    "{\"attempt\":1,\"metrics\":{\"steps\":[3,4],\"counts\":[3,1],\"columns\":{\"loss\":{\"mean\":[2,"       \
    "\"NaN\"],"                                                                                              \
    "\"min\":[1,null],\"max\":[3,null],\"nonfinite\":[1,1]},\"val_f1\":[null,0.5]}}}"

static const struct {
    const char *comment, *below, *expected;
} folded[] = {
    {"folds as they were posted, the client's own metric beside them", "metrics",
     "\"steps\":[3,4],\"counts\":[3,1],\"columns\":{\"loss\":{\"mean\":[2,\"NaN\"],\"min\":[1,\"NaN\"],"
     "\"max\":[3,"
     "\"NaN\"],\"nonfinite\":[1,1]},\"val_f1\":{\"mean\":[null,0.5],\"min\":[null,0.5],\"max\":[null,0.5],"
     "\"nonfinite\":[null,0]}}}"},
    {"the client's own metric alone", "metrics?column=val_f1",
     "\"steps\":[4],\"columns\":{\"val_f1\":[0.5]}}"},
    {"the newest", "metrics?newest=1&column=val_f1", "\"steps\":[4]"},
    {"rows", "metrics?format=rows&column=loss",
     "[{\"step\":3,\"count\":3,\"loss\":2,\"loss_min\":1,\"loss_max\":3,\"loss_nonfinite\":1},{\"step\":4,"
     "\"count\":1,"
     "\"loss\":\"NaN\",\"loss_min\":\"NaN\",\"loss_max\":\"NaN\",\"loss_nonfinite\":1}]"},
    {"CSV", "metrics?format=csv&column=loss,val_f1",
     "step,count,loss,loss_min,loss_max,loss_nonfinite,val_f1,val_f1_min,val_f1_max,val_f1_nonfinite\r\n3,3,"
     "2,1,3,1,,,"
     ",\r\n4,1,NaN,NaN,NaN,1,0.5,0.5,0.5,0\r\n"},
    {"one bucket", "metrics?max_points=1&column=loss",
     "\"steps\":[0],\"width\":8,\"counts\":[4],\"columns\":{\"loss\":{\"mean\":[2],\"min\":[1],\"max\":[3],"
     "\"nonfinite\":[2]}}}"},
    {"few rows stay rows", "metrics?max_points=2&column=val_f1", "\"columns\":{\"val_f1\":[0.5]}"},
};

static void folds_and_own_metrics_come_back(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture, FOLDED);
    for (size_t i = 0; i < sizeof folded / sizeof *folded; i++)
        expect_text(fixture, folded[i].below, folded[i].expected);
    free(get(fixture, "metrics?column=val_f2", 400));
    free(get(fixture, "metrics?max_points=9&limit=2", 400));
    free(get(fixture, "metrics?newest=9&after=2", 400));
}

// As many steps in each of two series as in one table of them: more rows than were asked for are buckets.
static void own_metrics_at_other_steps_are_rows_too(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture,
         "{\"attempt\":1,\"metrics\":{\"steps\":[0,1,2,3],\"columns\":{\"loss\":[1,null,3,null],\"f1\":["
         "null,5,7,9]}}}");
    expect_text(fixture, "metrics?max_points=4", "\"steps\":[0,1,2,3],\"columns\"");
    expect_text(fixture, "metrics?max_points=3&column=f1", "\"steps\":[1,2,3],\"columns\"");
    expect_text(fixture, "metrics?max_points=3", "\"steps\":[0,2],\"width\":2");
    const char *own = "{\"attempt\":1,\"metrics\":{\"steps\":[10,12],\"columns\":{\"own\":[1,2]}}}";
    post(fixture, own);
    expect_text(fixture, "metrics?max_points=5&column=f1,own", "\"steps\":[1,2,3,10,12],\"columns\"");
    expect_text(fixture, "metrics?max_points=4&column=f1,own", "\"steps\":[0,8,12],\"width\":4");
}

static const struct {
    const char *below;
    int status;
} confusable[] = {
    {"metrics", 200},
    {"metrics?format=rows", 422},
    {"metrics?format=csv", 422},
    {"metrics?format=safetensors", 200},
    {"metrics?format=rows&column=loss", 200},
    {"metrics?format=csv&column=loss_min", 200},
};

static void names_that_a_format_cannot_tell_apart_are_refused(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture,
         "{\"attempt\":1,\"metrics\":{\"steps\":[3],\"counts\":[2],\"columns\":{\"loss\":{\"mean\":[1],"
         "\"min\":[1],\"max\":[1],\"nonfinite\":[0]},\"loss_min\":[7]}}}");
    for (size_t i = 0; i < sizeof confusable / sizeof *confusable; i++)
        free(get(fixture, confusable[i].below, confusable[i].status));
}

#define ROW_3(counts, columns)                                                                               \
    "{\"attempt\":1,\"metrics\":{\"steps\":[3]," counts "\"columns\":{" columns "}}}"
#define FOLD_OF(name, mean, nonfinite)                                                                       \
    "\"" name "\":{\"mean\":[" mean "],\"min\":[" mean "],\"max\":[" mean "],\"nonfinite\":[" nonfinite "]}"

static const struct {
    const char *comment, *batch, *expected;
} rewritten[] = {
    {"a fold", ROW_3("\"counts\":[9],", FOLD_OF("loss", "2", "8") "," FOLD_OF("accuracy", "1", "0")),
     "\"counts\":[9],\"columns\":{" FOLD_OF("loss", "2", "8") "," FOLD_OF("accuracy", "1", "0") "}"},
    {"a fold of fewer steps in one of its columns", ROW_3("\"counts\":[3],", FOLD_OF("accuracy", "0.5", "1")),
     "\"counts\":[9],\"columns\":{" FOLD_OF("loss", "2", "8") "," FOLD_OF("accuracy", "0.5", "1") "}"},
    {"a single step in that column", ROW_3("", "\"accuracy\":[0.25]"),
     "\"counts\":[9],\"columns\":{" FOLD_OF("loss", "2", "8") "," FOLD_OF("accuracy", "0.25", "0") "}"},
    {"a fold of fewer steps in the other", ROW_3("\"counts\":[3],", FOLD_OF("loss", "7", "2")),
     "\"counts\":[3],\"columns\":{" FOLD_OF("loss", "7", "2") "," FOLD_OF("accuracy", "0.25", "0") "}"},
    {"a single step in the other as well", ROW_3("", "\"loss\":[8]"),
     "\"steps\":[3],\"columns\":{\"loss\":[8],\"accuracy\":[0.25]}"},
    {"a fold again", ROW_3("\"counts\":[2],", FOLD_OF("loss", "1", "0")),
     "\"counts\":[2],\"columns\":{" FOLD_OF("loss", "1", "0") "," FOLD_OF("accuracy", "0.25", "0") "}"},
};

// Two steps without a finite value in one column, then five of the other: the row stands for five.
static void a_column_without_finite_values_weighs_nothing(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture, ROW_3("\"counts\":[2],", FOLD_OF("loss", "\"NaN\"", "2")));
    post(fixture, ROW_3("\"counts\":[5],", FOLD_OF("accuracy", "1", "0")));
    post(fixture, "{\"attempt\":1,\"metrics\":{\"steps\":[2],\"columns\":{\"loss\":[4]}}}");
    expect_text(fixture, "metrics?max_points=1&column=loss", FOLD_OF("loss", "4", "2"));
}

static void a_fold_ends_with_the_last_of_its_columns(void **state)
{
    struct client_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof rewritten / sizeof *rewritten; i++) {
        post(fixture, rewritten[i].batch);
        expect_text(fixture, "metrics", rewritten[i].expected);
    }
}

static void tensors_hold_the_same(void **state)
{
    struct client_fixture *fixture = *state;
    struct safetensors *file;
    post(fixture, BATCH);
    const struct request request = {.method = "GET",
                                    .target = text_of("/v1/jobs/%s/metrics", fixture->job.id),
                                    .headers = {{"Accept", "application/safetensors"}}};
    struct api_answer answer = service_send(fixture->service, &request);
    answer_expect(&answer, 200, "safetensors");
    assert_int_equal(safetensors_read(answer.body.data, answer.body.size, &file, NULL), NABLA_OK);
    const struct tensor *loss = safetensors_find(file, "loss"), *steps = safetensors_find(file, "steps");
    const struct tensor *recorded = safetensors_find(file, "validation_loss.recorded");
    double losses[3];
    int64_t numbers[3];
    assert_non_null(loss);
    assert_non_null(steps);
    assert_non_null(recorded);
    assert_int_equal(loss->elements, 3);
    memcpy(losses, loss->data, sizeof losses);
    memcpy(numbers, steps->data, sizeof numbers);
    assert_true(numbers[0] == 1 && numbers[2] == 3);
    assert_true(losses[0] == 0.1 && isnan(losses[1]) && losses[2] == (double)-INFINITY);
    assert_memory_equal(recorded->data, "\0\0\1", 3);
    assert_non_null(strstr(safetensors_metadata(file, "response"), "\"revision\":2"));
    safetensors_free(file);
    api_answer_free(&answer);
}

static void the_accept_header_chooses_csv(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture, BATCH);
    const struct request request = {.method = "GET",
                                    .target = text_of("/v1/jobs/%s/metrics?column=loss", fixture->job.id),
                                    .headers = {{"Accept", "text/csv"}}};
    struct api_answer answer = service_send(fixture->service, &request);
    answer_expect(&answer, 200, "csv");
    assert_string_equal(answer_value(&answer, "Content-Type"), "text/csv");
    assert_string_equal(answer_value(&answer, "ETag"), "\"2-csv\"");
    assert_string_equal(answer_value(&answer, "Nabla-After"), "2");
    assert_int_equal(strncmp(answer.body.data, "step,loss\r\n", 11), 0);
    api_answer_free(&answer);
}

static void a_bad_query_is_refused(void **state)
{
    static const char *const queries[] = {
        "metrics?column=lss",    "metrics?limit=0",         "metrics?limit=x",       "metrics?since_step=-1",
        "metrics?after=x",       "metrics?after=1-2",       "metrics?after=1-2-3-4", "metrics?after=",
        "metrics?format=xml",    "metrics?nonfinite=zero",  "metrics?layer=0",       "gradients?layer=-1",
        "gradients?column=loss", "gradients?until_step=1.5"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        free(get(*state, queries[i], 400));
    struct client_fixture *fixture = *state;
    service_expect(fixture->service, "GET", "/v1/jobs/job_none/metrics", NULL, 404);
    service_expect(fixture->service, "GET", "/v1/jobs/job_none/gradients", NULL, 404);
}

#define METRICS(table) "{\"attempt\":1,\"metrics\":" table "}"
#define LAYER(table)   "{\"attempt\":1,\"layers\":[" table "]}"

static const struct {
    const char *comment, *batch;
    int status;
    const char *pointer;
} refusals[] = {
    {"no JSON", "{\"attempt\":", 400, ""},
    {"something behind the end", "{\"attempt\":1} 2", 400, ""},
    {"a key twice", "{\"attempt\":1,\"attempt\":1}", 400, ""},
    {"a bare NaN", METRICS("{\"steps\":[1],\"columns\":{\"loss\":[NaN]}}"), 400, ""},
    {"no object", "[1]", 422, ""},
    {"no attempt", "{}", 422, "/attempt"},
    {"another attempt", "{\"attempt\":2}", 409, ""},
    {"an attempt that is no number", "{\"attempt\":\"1\"}", 422, "/attempt"},
    {"an unknown field", "{\"attempt\":1,\"colour\":{\"a\":[1,{}]}}", 422, "/colour"},
    {"a table that is no object", METRICS("[1]"), 422, "/metrics"},
    {"no steps", METRICS("{\"columns\":{}}"), 422, "/metrics/steps"},
    {"steps that are no list", METRICS("{\"steps\":1}"), 422, "/metrics/steps"},
    {"a step that is none", METRICS("{\"steps\":[1,-1]}"), 422, "/metrics/steps/1"},
    {"half a step", METRICS("{\"steps\":[0.5]}"), 422, "/metrics/steps/0"},
    {"no step", METRICS("{\"steps\":[null]}"), 422, "/metrics/steps/0"},
    {"an unknown statistic of a layer",
     LAYER("{\"index\":0,\"name\":\"a\",\"steps\":[1],\"columns\":{\"lss\":[1]}}"), 422,
     "/layers/0/columns/lss"},
    {"a name that no metric can have", METRICS("{\"steps\":[1],\"columns\":{\"val f1\":[1]}}"), 422, ""},
    {"a metric of its own twice", METRICS("{\"steps\":[1],\"columns\":{\"f1\":[1],\"f1\":[1]}}"), 422,
     "/metrics/columns/f1"},
    {"folds without counts",
     METRICS(
         "{\"steps\":[1],\"columns\":{\"loss\":{\"mean\":[1],\"min\":[1],\"max\":[1],\"nonfinite\":[0]}}}"),
     422, "/metrics/counts"},
    {"a fold without its extremes",
     METRICS("{\"steps\":[1],\"counts\":[2],\"columns\":{\"loss\":{\"mean\":[1],\"min\":[1],\"nonfinite\":[0]"
             "}}}"),
     422, "/metrics/columns/loss/max"},
    {"a mean without a minimum",
     METRICS("{\"steps\":[1],\"counts\":[2],\"columns\":{\"loss\":{\"mean\":[1],\"min\":[null],\"max\":[1],"
             "\"nonfinite\":[0]}}}"),
     422, "/metrics/columns/loss/min/0"},
    {"a count that is none", METRICS("{\"steps\":[1],\"counts\":[0],\"columns\":{\"loss\":[1]}}"), 422,
     "/metrics/counts/0"},
    {"a statistic of layers", METRICS("{\"steps\":[1],\"columns\":{\"weight_norm\":[1]}}"), 422,
     "/metrics/columns/weight_norm"},
    {"a column twice", METRICS("{\"steps\":[1],\"columns\":{\"loss\":[1],\"loss\":[1]}}"), 422,
     "/metrics/columns/loss"},
    {"a short column", METRICS("{\"steps\":[1,2],\"columns\":{\"loss\":[1]}}"), 422, "/metrics/columns/loss"},
    {"a cell of another word", METRICS("{\"steps\":[1],\"columns\":{\"loss\":[\"nan\"]}}"), 422,
     "/metrics/columns/loss/0"},
    {"a cell beyond a double", METRICS("{\"steps\":[1],\"columns\":{\"loss\":[1e999]}}"), 422,
     "/metrics/columns/loss/0"},
    {"a cell that is a list", METRICS("{\"steps\":[1],\"columns\":{\"loss\":[[1]]}}"), 422,
     "/metrics/columns/loss/0"},
    {"columns that are a list", METRICS("{\"steps\":[1],\"columns\":[1]}"), 422, "/metrics/columns"},
    {"an unknown member", METRICS("{\"steps\":[1],\"rows\":[]}"), 422, "/metrics/rows"},
    {"an index of the network", METRICS("{\"steps\":[1],\"index\":0}"), 422, "/metrics/index"},
    {"layers that are no list", "{\"attempt\":1,\"layers\":{}}", 422, "/layers"},
    {"a layer that is no object", LAYER("1"), 422, "/layers/0"},
    {"a layer without index", LAYER("{\"name\":\"a\",\"steps\":[]}"), 422, "/layers/0/index"},
    {"a layer without name", LAYER("{\"index\":0,\"steps\":[]}"), 422, "/layers/0/name"},
    {"a negative index", LAYER("{\"index\":-1,\"name\":\"a\",\"steps\":[]}"), 422, "/layers/0/index"},
    {"a name that is no text", LAYER("{\"index\":0,\"name\":{},\"steps\":[]}"), 422, "/layers/0/name"},
    {"a statistic of the network",
     LAYER("{\"index\":0,\"name\":\"a\",\"steps\":[1],\"columns\":{\"loss\":[1]}}"), 422,
     "/layers/0/columns/loss"},
    {"progress that is a number", "{\"attempt\":1,\"progress\":1}", 422, "/progress"},
    {"progress with an unknown field", "{\"attempt\":1,\"progress\":{\"steep\":1}}", 422, "/progress/steep"},
    {"progress that goes back", "{\"attempt\":1,\"progress\":{\"step\":-1}}", 422, "/progress/step"},
};

static void a_bad_batch_is_refused_whole(void **state)
{
    struct client_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct request request = {.method = "POST",
                                        .target = text_of("/v1/jobs/%s/metrics", fixture->job.id),
                                        .body = refusals[i].batch,
                                        .headers = {{"Authorization", fixture->job.bearer}}};
        service_refuses(fixture->service, &request, refusals[i].status, refusals[i].pointer,
                        refusals[i].comment);
    }
    expect_text(fixture, "metrics", "\"revision\":1,");
}

static void a_batch_moves_the_job_on(void **state)
{
    struct client_fixture *fixture = *state;
    struct api_answer answer = client_post(
        fixture->service, &fixture->job, "metrics",
        "{\"attempt\":1,\"metrics\":{\"steps\":[5],\"columns\":{\"loss\":[0.5],\"accuracy\":[1]}},"
        "\"progress\":{\"step\":5,\"steps\":10,\"epoch\":1,\"epochs\":2}}");
    json_t *ack = answer_take(&answer, 200, "post");
    assert_int_equal(json_integer_value(json_object_get(ack, "revision")), 2);
    assert_true(json_is_null(json_object_get(ack, "requested")));
    json_decref(ack);
    json_t *job = service_json(fixture->service, "GET", text_of("/v1/jobs/%s", fixture->job.id), NULL, 200);
    const json_t *progress = json_object_get(job, "progress"), *latest = json_object_get(job, "latest");
    assert_int_equal(json_integer_value(json_object_get(progress, "step")), 5);
    assert_true(json_real_value(json_object_get(progress, "fraction")) == 0.5);
    assert_true(json_number_value(json_object_get(latest, "loss")) == 0.5);
    assert_true(json_is_null(json_object_get(latest, "validation_loss")));
    json_decref(job);
}

static void the_same_batch_counts_once(void **state)
{
    post(*state, BATCH);
    post(*state, BATCH);
    expect_text(*state, "metrics?column=loss",
                "\"revision\":3,\"after\":\"3\",\"more\":false,\"steps\":[1,2,3]");
    expect_text(*state, "gradients?layer=0", "\"steps\":[1,2]");
}

enum { STEPS = 40, LAYERS = 3 };

// Follows `after` to the end and counts how often each (layer, step) came.
static char *follow(struct client_fixture *fixture, unsigned limit, const char *after,
                    unsigned seen[LAYERS][STEPS + 1])
{
    char *cursor = strdup(after);
    bool more = true;
    for (unsigned turn = 0; more; turn++) {
        assert_true(turn <= LAYERS * STEPS);
        json_t *answer = service_json(fixture->service, "GET",
                                      text_of("/v1/jobs/%s/gradients?limit=%u%s%s", fixture->job.id, limit,
                                              *cursor ? "&after=" : "", cursor),
                                      NULL, 200);
        size_t i, k, rows = 0;
        const json_t *layer, *step;
        json_array_foreach(json_object_get(answer, "layers"), i, layer)
            json_array_foreach(json_object_get(layer, "steps"), k, step)
        {
            seen[json_integer_value(json_object_get(layer, "index"))][json_integer_value(step)]++;
            rows++;
        }
        assert_true(rows <= limit);
        free(cursor);
        cursor = strdup(json_text(answer, "after"));
        more = json_is_true(json_object_get(answer, "more"));
        json_decref(answer);
    }
    return cursor;
}

// Step k of every layer, in an order that is not that of the steps.
static void post_steps(struct client_fixture *fixture, unsigned from, unsigned to)
{
    struct buffer batch = buffer_new(1 << 16);
    for (unsigned i = from; i <= to; i++) {
        unsigned step = i * 7 % STEPS + 1;
        batch.size = 0;
        buffer_text(&batch, "{\"attempt\":1,\"layers\":[");
        for (unsigned layer = 0; layer < LAYERS; layer++)
            buffer_format(
                &batch, "%s{\"index\":%u,\"name\":\"l%u\",\"steps\":[%u],\"columns\":{\"weight_norm\":[%u]}}",
                layer ? "," : "", layer, layer, step, step);
        buffer_text(&batch, "]}");
        post(fixture, batch.data);
    }
    buffer_free(&batch);
}

static void whoever_follows_after_misses_no_point(void **state)
{
    static const unsigned limits[] = {1, 2, 7, 1000};
    struct client_fixture *fixture = *state;
    post_steps(fixture, 0, STEPS / 2 - 1);
    char *cursors[4];
    unsigned seen[4][LAYERS][STEPS + 1] = {0};
    for (size_t i = 0; i < 4; i++)
        cursors[i] = follow(fixture, limits[i], "", seen[i]);
    post_steps(fixture, STEPS / 2, STEPS - 1);
    for (size_t i = 0; i < 4; i++) {
        free(follow(fixture, limits[i], cursors[i], seen[i]));
        free(cursors[i]);
        for (unsigned layer = 0; layer < LAYERS; layer++)
            for (unsigned step = 1; step <= STEPS; step++)
                if (seen[i][layer][step] != 1)
                    fail_msg("limit %u: layer %u, step %u came %u times", limits[i], layer, step,
                             seen[i][layer][step]);
    }
}

static void a_point_that_changes_comes_again(void **state)
{
    post(*state, METRICS("{\"steps\":[1,2],\"columns\":{\"loss\":[1,2]}}"));
    post(*state, METRICS("{\"steps\":[1],\"columns\":{\"loss\":[9]}}"));
    expect_text(*state, "metrics?after=2", "\"steps\":[1],\"columns\":{\"loss\":[9]}");
    expect_text(*state, "metrics?after=3", "\"steps\":[],");
}

static void a_cut_answer_links_to_the_next(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture, METRICS("{\"steps\":[1,2],\"columns\":{\"loss\":[1,2]}}"));
    struct api_answer answer =
        service_ask(fixture->service, "GET",
                    text_of("/v1/jobs/%s/metrics?limit=1&column=loss&after=1", fixture->job.id), NULL);
    answer_expect(&answer, 200, "cut");
    assert_string_equal(
        answer_value(&answer, "Link"),
        text_of("</v1/jobs/%s/metrics?limit=1&column=loss&after=2-0-1>; rel=\"next\"", fixture->job.id));
    assert_non_null(strstr(answer.body.data, "\"more\":true"));
    api_answer_free(&answer);
}

static void an_unchanged_history_is_304(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture, BATCH);
    struct request request = {.method = "GET",
                              .target = text_of("/v1/jobs/%s/gradients", fixture->job.id),
                              .headers = {{"If-None-Match", "\"2\""}}};
    struct api_answer answer = service_send(fixture->service, &request);
    answer_expect(&answer, 304, "unchanged");
    api_answer_free(&answer);
    post(fixture, BATCH);
    answer = service_send(fixture->service, &request);
    answer_expect(&answer, 200, "changed");
    api_answer_free(&answer);
}

static void waiting_ends_with_a_new_point_only(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture, BATCH);
    const struct request request = {.method = "GET",
                                    .target = text_of("/v1/jobs/%s/metrics?after=2", fixture->job.id),
                                    .headers = {{"Prefer", "wait=30"}}};
    struct api_answer answer;
    struct api_call *call = service_begin(fixture->service, &request, &answer);
    api_handle(call, &answer);
    assert_int_equal(answer.kind, API_WAIT);
    assert_int_equal(answer.wait.revision, 2);
    int64_t deadline = answer.wait.deadline_ms;
    post(fixture, "{\"attempt\":1,\"progress\":{\"step\":3}}"); // a change, but no point
    api_handle(call, &answer);
    assert_int_equal(answer.kind, API_WAIT);
    assert_int_equal(answer.wait.revision, 3);
    assert_int_equal(answer.wait.deadline_ms, deadline);
    post(fixture, METRICS("{\"steps\":[4],\"columns\":{\"loss\":[4]}}"));
    api_handle(call, &answer);
    answer_expect(&answer, 200, "a new point");
    assert_non_null(strstr(answer.body.data, "\"steps\":[4]"));
    api_answer_free(&answer);
    api_close(call);
}

static void waiting_ends_with_the_job_or_the_time(void **state)
{
    struct client_fixture *fixture = *state;
    const struct request request = {.method = "GET",
                                    .target = text_of("/v1/jobs/%s/metrics", fixture->job.id),
                                    .headers = {{"Prefer", "wait=30"}}};
    struct api_answer answer;
    struct api_call *call = service_begin(fixture->service, &request, &answer);
    api_handle(call, &answer);
    assert_int_equal(answer.kind, API_WAIT);
    call->wait_deadline_ms = clock_monotonic_ms();
    api_handle(call, &answer);
    answer_expect(&answer, 200, "the time is over");
    api_answer_free(&answer);
    api_close(call);
    client_posts(fixture->service, &fixture->job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    answer = service_send(fixture->service, &request);
    answer_expect(&answer, 200, "the job is over");
    api_answer_free(&answer);
}

static void a_finished_job_takes_no_history(void **state)
{
    struct client_fixture *fixture = *state;
    client_posts(fixture->service, &fixture->job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    client_posts(fixture->service, &fixture->job, "metrics", BATCH, 409);
}

// Doubles whose shortest text is long, or that other formats lose.
static void numbers_come_back_to_the_bit(void **state)
{
    static const double sent[] = {0.1, 1e-310, 1.7976931348623157e308, -0.0, 0.30000000000000004};
    post(*state,
         METRICS("{\"steps\":[1,2,3,4,5],\"columns\":{\"loss\":[0.1,1e-310,1.7976931348623157e308,-0.0,"
                 "0.30000000000000004]}}"));
    char *text = get(*state, "metrics?column=loss", 200), *at = strstr(text, "\"loss\":[");
    assert_non_null(at);
    at += strlen("\"loss\":[");
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        double got = strtod(at, &at);
        assert_memory_equal(&sent[i], &got, sizeof got);
        at++; // the comma
    }
    free(text);
}

// A request for a loss that is to be recorded; `bearer` NULL for none.
static struct api_answer record_loss(struct client_fixture *fixture, const char *query, const char *bearer,
                                     const char *body)
{
    struct request request = {.method = "POST", .target = text_of("/v1/losses?%s", query), .body = body};
    if (bearer)
        request.headers[0] = (struct api_header){"Authorization", bearer};
    return service_send(fixture->service, &request);
}

static void a_loss_is_recorded_in_its_job(void **state)
{
    struct client_fixture *fixture = *state;
    static const char body[] = "{\"logits\":[[0,0],[3,1]],\"labels\":[0,0]}";
    const char *query = text_of("job=%s&step=7", fixture->job.id);
    struct api_answer answer = record_loss(fixture, query, fixture->job.bearer, body);
    json_t *loss = answer_take(&answer, 200, "a loss");
    json_t *rows =
        service_json(fixture->service, "GET", text_of("/v1/jobs/%s/metrics", fixture->job.id), NULL, 200);
    const json_t *columns = json_object_get(rows, "columns");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(rows, "steps"), 0)), 7);
    static const char *const names[] = {"loss", "gradient_norm", "accuracy"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(json_number_value(json_object_get(loss, names[i])) ==
                    json_number_value(json_array_get(json_object_get(columns, names[i]), 0)));
    json_decref(loss);
    json_decref(rows);
}

static void a_loss_that_cannot_be_recorded_is_refused(void **state)
{
    struct client_fixture *fixture = *state;
    static const char one[] = "{\"logits\":[1,2],\"labels\":1}";
    static const char none[] = "{\"logits\":[1,2],\"labels\":1,\"reduction\":\"none\"}";
    const struct {
        const char *comment, *query, *body;
        bool with_token;
        int status;
    } cases[] = {
        {"no token", "job=@&step=1", one, false, 401},
        {"no step", "job=@", one, true, 400},
        {"no whole step", "job=@&step=x", one, true, 400},
        {"no one loss", "job=@&step=1", none, true, 400},
        {"another job's token", "job=job_none&step=1", one, true, 403},
        {"no job", "step=1", one, false, 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *rest = strchr(cases[i].query, '@'); // stands for the job's id
        const char *query = rest ? text_of("job=%s%s", fixture->job.id, rest + 1) : cases[i].query;
        struct api_answer answer =
            record_loss(fixture, query, cases[i].with_token ? fixture->job.bearer : NULL, cases[i].body);
        answer_expect(&answer, cases[i].status, cases[i].comment);
        api_answer_free(&answer);
    }
    client_posts(fixture->service, &fixture->job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    struct api_answer answer =
        record_loss(fixture, text_of("job=%s&step=1", fixture->job.id), fixture->job.bearer, one);
    answer_expect(&answer, 409, "a finished job");
    api_answer_free(&answer);
    expect_text(fixture, "metrics", "\"steps\":[]");
}

static char *pull_rows(struct api_answer *answer, ssize_t *ret_end)
{
    struct buffer text = buffer_new(1 << 20);
    struct api_wait wait;
    char bytes[100];
    assert_int_equal(answer->kind, API_STREAM);
    while ((*ret_end = answer->stream.pull(answer->stream.context, bytes, sizeof bytes, &wait)) >= 0)
        buffer_append(&text, bytes, (size_t)*ret_end);
    char *taken = buffer_steal(&text, NULL);
    return taken ? taken : strdup("");
}

static struct api_answer open_stream(struct client_fixture *fixture, const char *history, const char *last)
{
    struct request request = {.method = "GET",
                              .target = text_of("/v1/jobs/%s/%s", fixture->job.id, history),
                              .headers = {{"Accept", "text/event-stream"}}};
    if (last)
        request.headers[1] = (struct api_header){"Last-Event-ID", last};
    return service_send(fixture->service, &request);
}

// Two listeners, who share what is told to both.
static void rows_are_streamed_as_they_are_written(void **state)
{
    struct client_fixture *fixture = *state;
    static const char *const histories[] = {"metrics", "gradients"};
    struct api_answer opened[4];
    ssize_t end;
    for (int i = 0; i < 4; i++) {
        opened[i] = open_stream(fixture, histories[i % 2], NULL);
        free(pull_rows(&opened[i], &end));
        assert_int_equal(end, API_STREAM_WAIT);
    }
    post(fixture, BATCH);
    for (int i = 0; i < 4; i++) {
        char *text = pull_rows(&opened[i], &end);
        assert_int_equal(end, API_STREAM_WAIT);
        assert_non_null(strstr(text, "id: 2\nevent: rows\ndata: {\"job\":\"job_"));
        assert_non_null(
            strstr(text, i % 2 ? "\"gradient_norm\":[0.3,1e-0" : "\"loss\":[0.1,\"NaN\",\"-Infinity\"]"));
        free(text);
    }
    client_posts(fixture->service, &fixture->job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    for (int i = 0; i < 4; i++) {
        free(pull_rows(&opened[i], &end));
        assert_int_equal(end, API_STREAM_END);
        api_answer_free(&opened[i]);
    }
    for (int i = 0; i < 2; i++) {
        struct api_answer answer = open_stream(fixture, histories[i], "2");
        answer_expect(&answer, 204, "nothing is left to tell");
        api_answer_free(&answer);
    }
}

// Each event a row: the id of an event is where the next stream goes on.
static void a_stream_goes_on_row_by_row(void **state)
{
    struct client_fixture *fixture = *state;
    post(fixture, BATCH);
    client_posts(fixture->service, &fixture->job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
    struct api_answer answer = open_stream(fixture, "metrics?limit=1", NULL);
    ssize_t end;
    char *text = pull_rows(&answer, &end);
    assert_non_null(strstr(text, "id: 2-0-1\n"));
    assert_non_null(strstr(text, "id: 2-0-2\n"));
    assert_non_null(strstr(text, "\"more\":false,\"steps\":[3]"));
    free(text);
    api_answer_free(&answer);
    answer = open_stream(fixture, "metrics", "2-0-2");
    text = pull_rows(&answer, &end);
    assert_non_null(strstr(text, "\"steps\":[3]"));
    assert_int_equal(end, API_STREAM_END);
    free(text);
    api_answer_free(&answer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_set_up, client_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_posted_comes_back),
        TEST(the_accept_header_chooses_csv),
        TEST(a_bad_query_is_refused),
        TEST(a_bad_batch_is_refused_whole),
        TEST(a_batch_moves_the_job_on),
        TEST(the_same_batch_counts_once),
        TEST(whoever_follows_after_misses_no_point),
        TEST(a_point_that_changes_comes_again),
        TEST(a_cut_answer_links_to_the_next),
        TEST(folds_and_own_metrics_come_back),
        TEST(own_metrics_at_other_steps_are_rows_too),
        TEST(names_that_a_format_cannot_tell_apart_are_refused),
        TEST(a_fold_ends_with_the_last_of_its_columns),
        TEST(a_column_without_finite_values_weighs_nothing),
        TEST(tensors_hold_the_same),
        TEST(an_unchanged_history_is_304),
        TEST(waiting_ends_with_a_new_point_only),
        TEST(waiting_ends_with_the_job_or_the_time),
        TEST(a_finished_job_takes_no_history),
        TEST(numbers_come_back_to_the_bit),
        TEST(rows_are_streamed_as_they_are_written),
        TEST(a_stream_goes_on_row_by_row),
        TEST(a_loss_is_recorded_in_its_job),
        TEST(a_loss_that_cannot_be_recorded_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
