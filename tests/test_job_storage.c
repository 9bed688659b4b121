// What a job takes: rows counted by rollups against rows counted by SQLite, the estimate of bytes against
// the pages of the file, files against what was written; and the same through the API.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/database.h"
#include "store/history.h"
#include "store/job_storage.h"
#include "store_fixture.h"
#include "tests/service.h"

enum { BATCH = 1000, BATCHES = 30, LAYERS = 2 };

static const uint32_t RECORDED = 0x7f; // seven statistics

static void append(struct store *store, const char *id, uint64_t first, uint64_t stride)
{
    static struct step_record records[BATCH];
    static struct layer_record layers[BATCH][LAYERS];
    struct histogram_entry histogram = {.step = first, .name = "dense_2", .layer = 1};
    double values[2] = {0.5, 1.5};
    const uint64_t steps[2] = {first, first + stride};
    const struct history_named named = {.name = "mine", .count = 2, .steps = steps, .values = values};
    struct history_ack ack;
    histogram.histogram.counts[40] = 1000;
    for (size_t i = 0; i < BATCH; i++) {
        records[i] = (struct step_record){.step = first + i * stride, .recorded = RECORDED};
        for (size_t stat = 0; stat < 7; stat++)
            records[i].values[stat] = (double)i / 7 + (double)stat;
        for (size_t layer = 0; layer < LAYERS; layer++) {
            layers[i][layer] = (struct layer_record){
                .name = layer ? "dense_2" : "dense_1", .index = (unsigned)layer, .recorded = RECORDED};
            memcpy(layers[i][layer].values, records[i].values, 7 * sizeof(double));
        }
        records[i].layers = layers[i];
        records[i].layer_count = LAYERS;
    }
    const struct history_batch batch = {.attempt = 1,
                                        .records = records,
                                        .record_count = BATCH,
                                        .named = &named,
                                        .named_count = 1,
                                        .histograms = &histogram,
                                        .histogram_count = 1};
    assert_ok(store_history_append(store, id, &batch, &ack, &err));
}

static void require_rows(const struct fixture *fixture, const char *id)
{
    static const char *const tables[] = {"metric_rows", "gradient_rows", "custom_rows", "histogram_rows"};
    struct job_storage storage;
    assert_ok(store_job_storage(fixture->store, id, &storage, &err));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s JOIN jobs ON jobs.number = job AND jobs.id = '%s'",
                 tables[i], id);
        assert_int_equal(storage.parts[i].rows, fixture_number(fixture->folder, sql));
    }
}

static void rows_are_counted_as_they_are(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE], other[TOKEN_ID_SIZE], name[64];
    struct job_storage storage;
    bool more = true;
    fixture_job(fixture->store, JOB_CLIENT, id);
    fixture_job(fixture->store, JOB_CLIENT, other);
    require_rows(fixture, id);
    for (uint64_t batch = 0; batch < BATCHES; batch++)
        append(fixture->store, id, batch * BATCH, 1);
    append(fixture->store, id, 500, 1); // again
    require_rows(fixture, id);          // from the rows, or from what is built
    while (more)
        assert_ok(store_tidy(fixture->store, &more, &err));
    require_rows(fixture, id);
    append(fixture->store, id, 500, 7777); // far apart, over what is there and beyond
    append(fixture->store, other, 1, 1);
    require_rows(fixture, id);
    require_rows(fixture, other);
    snprintf(name, sizeof name, "jobs/%s", other);
    char path[256];
    fixture_path(fixture, name, path);
    assert_ok(file_make_folder(path, &err));
    snprintf(name, sizeof name, "jobs/%s/model", other);
    fixture_write(fixture, name, "eighteen bytes of..");
    assert_ok(store_job_storage(fixture->store, other, &storage, &err));
    assert_int_equal(storage.parts[STORAGE_FILES].rows, 1);
    assert_int_equal(storage.parts[STORAGE_FILES].bytes, strlen("eighteen bytes of.."));
    assert_fails(NABLA_NOT_FOUND, store_job_storage(fixture->store, "job_none", &storage, &err));
}

static void bytes_are_about_those_of_the_file(void **state)
{
    struct fixture *fixture = *state;
    static const char *const tables[] = {"metric_rows", "gradient_rows"};
    char id[TOKEN_ID_SIZE];
    struct job_storage storage;
    fixture_job(fixture->store, JOB_CLIENT, id);
    for (uint64_t batch = 0; batch < BATCHES; batch++)
        append(fixture->store, id, batch * BATCH, 1);
    assert_ok(store_job_storage(fixture->store, id, &storage, &err));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT sum(pgsize) FROM dbstat WHERE name = '%s'", tables[i]);
        const double taken = (double)fixture_number(fixture->folder, sql);
        const double told = (double)storage.parts[i].bytes;
        if (told < 0.85 * taken || told > 1.05 * taken)
            fail_msg("%s: %.0f bytes, told as %.0f", tables[i], taken, told);
    }
}

static uint64_t number_at(const json_t *json, const char *part, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(json_object_get(json, part), name));
}

static void a_client_is_told(void **state)
{
    (void)state;
    struct service *service = service_open();
    struct client_job job = service_client_job(service);
    client_posts(service, &job, "metrics",
                 "{\"attempt\":1,\"metrics\":{\"steps\":[1,2],\"columns\":{\"loss\":[1,0.5],"
                 "\"mine\":[3,null]}}}",
                 200);
    json_t *told = service_json(service, "GET", text_of("/v1/jobs/%s/storage", job.id), NULL, 200);
    assert_string_equal(json_text(told, "job"), job.id);
    assert_int_equal(number_at(told, "metrics", "rows"), 2);
    assert_int_equal(number_at(told, "named", "rows"), 1);
    assert_int_equal(number_at(told, "gradients", "rows"), 0);
    assert_int_equal(number_at(told, "files", "count"), 0);
    assert_int_equal(json_integer_value(json_object_get(told, "bytes")),
                     number_at(told, "metrics", "bytes") + number_at(told, "named", "bytes"));
    json_decref(told);
    service_expect(service, "GET", "/v1/jobs/job_none/storage", NULL, 404);
    service_close(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_counted_as_they_are, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(bytes_are_about_those_of_the_file, fixture_open, fixture_close),
        cmocka_unit_test(a_client_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
