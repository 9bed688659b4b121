// Query strings: an input is what stands behind a job's path ("metrics?limit=3",
// "gradients?layer=1&after=…"), asked of a job with a history that has NaN and infinities in it.
#include "store/history.h"
#include "store/jobs.h"
#include "tests/fuzz/fuzz_service.h"

#include <math.h>

enum { STEPS = 40, LAYERS = 3 };

static char job[TOKEN_ID_SIZE];

static void append(struct store *store, uint64_t step)
{
    static const char *const names[LAYERS] = {"dense_1", "batch_norm_1", "a \"name\", with\n"};
    struct layer_record layers[LAYERS];
    struct nabla_error err = {0};
    struct history_ack ack;
    for (unsigned i = 0; i < LAYERS; i++) {
        layers[i] = (struct layer_record){.index = i, .name = names[i], .recorded = step % 3 ? 0x7f : 0x3};
        for (size_t j = 0; j < LAYER_STAT_COUNT; j++)
            layers[i].values[j] = step % 7 == 0 ? NAN : step % 11 == 0 ? INFINITY : 1.0 / (double)(step + j);
    }
    struct step_record record = {.step = step, .recorded = 0xf, .layers = layers, .layer_count = LAYERS};
    record.values[0] = step % 5 ? (double)step : -INFINITY;
    const struct history_batch batch = {.attempt = 1, .records = &record, .record_count = 1};
    fuzz_require(store_history_append(store, job, &batch, &ack, &err) == NABLA_OK);
}

static void fill(struct fuzz_service *service)
{
    const struct job_new new = {
        .name = "fuzz", .spec = "{}", .executor = JOB_CLIENT, .steps = STEPS, .epochs = 1, .dataset = ""};
    struct nabla_error err = {0};
    bool repeated;
    struct job_new client = new;
    client.token_sha256 = "0000000000000000000000000000000000000000000000000000000000000000";
    fuzz_require(store_job_create(service->store, &client, job, &repeated, &err) == NABLA_OK);
    for (uint64_t step = 1; step <= STEPS; step++)
        append(service->store, step);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char text[4096];
    struct fuzz_service *service = fuzz_service_get(fill);
    int length = snprintf(text, sizeof text, "GET /v1/jobs/%s/%.*s\n", job, (int)(size < 3000 ? size : 3000),
                          (const char *)bytes);
    fuzz_ask(service, (const uint8_t *)text, (size_t)length, 1);
    return 0;
}
