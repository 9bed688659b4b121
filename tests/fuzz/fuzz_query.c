// Query strings: an input is what stands behind a job's path ("metrics?limit=3",
// "gradients?layer=1&after=…"), asked of a job with a history that has NaN and infinities in it.
#include "base/histogram.h"
#include "store/history.h"
#include "store/jobs.h"
#include "tests/fuzz/fuzz_service.h"

#include <math.h>

enum { STEPS = 40, LAYERS = 3 };

static char job[TOKEN_ID_SIZE];
static const char token[] = "fuzz";

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

// As a client sends them: two kinds of the first layer, two steps each.
static void append_histograms(struct fuzz_service *service)
{
    static const char *const kinds[] = {"gradients", "weights"};
    struct buffer text = buffer_new(1 << 16);
    buffer_format(&text,
                  "POST /v1/jobs/%s/metrics\nContent-Type: application/json\n"
                  "Authorization: Bearer %s\n\n"
                  "{\"attempt\":1,\"histograms\":[",
                  job, token);
    for (unsigned kind = 0; kind < 2; kind++) {
        buffer_format(&text,
                      "%s{\"index\":0,\"name\":\"dense_1\",\"kind\":\"%s\",\"steps\":[5,8],"
                      "\"nonfinite\":[0,1],\"counts\":[",
                      kind ? "," : "", kinds[kind]);
        for (unsigned i = 0; i < 2 * HISTOGRAM_BINS; i++)
            buffer_format(&text, "%s%u", i % HISTOGRAM_BINS ? "," : i ? "],[" : "[", i % 3);
        buffer_text(&text, "]]}");
    }
    buffer_text(&text, "]}");
    struct api_answer answer = {0};
    fuzz_exchange(service, (const uint8_t *)text.data, text.size, &fuzz_plainly, &answer);
    fuzz_require(answer.status == 200);
    api_answer_free(&answer);
    buffer_free(&text);
}

static void fill(struct fuzz_service *service)
{
    const struct job_new new = {
        .name = "fuzz", .spec = "{}", .executor = JOB_CLIENT, .steps = STEPS, .epochs = 1, .dataset = ""};
    struct nabla_error err = {0};
    bool repeated;
    struct job_new client = new;
    char sha256[TOKEN_SHA256_SIZE];
    token_sha256(sha256, token, strlen(token));
    client.token_sha256 = sha256;
    fuzz_require(store_job_create(service->store, &client, job, &repeated, &err) == NABLA_OK);
    for (uint64_t step = 1; step <= STEPS; step++)
        append(service->store, step);
    append_histograms(service);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char text[4096];
    struct fuzz_service *service = fuzz_service_get(fill);
    int length = snprintf(text, sizeof text, "GET /v1/jobs/%s/%.*s\n", job, (int)(size < 3000 ? size : 3000),
                          (const char *)bytes);
    struct api_answer answer = {0};
    fuzz_exchange(service, (const uint8_t *)text, (size_t)length, &fuzz_plainly, &answer);
    api_answer_free(&answer);
    return 0;
}
