// The api as a whole: any request, with a body of any type, against a store.
//
// Nobody guesses an id, so that an input names what the store holds by a sign: @1 is a client's job with a
// history, @2 a job that waits for a worker, @3 a data set, @4 the token that the client's job writes with,
// @5 and @6 are trained jobs, a classifier of named columns and a regression, @7 is an access token.
#include "tests/fuzz/contract_words.h"
#include "tests/fuzz/fuzz_request.h"
#include "tests/fuzz/fuzz_service.h"
#include "tests/trained_model.h"

// What the first byte says: the body's pieces, or one of these.
enum { TO_WORKERS = 0xfe, TO_GUARDED = 0xff };
enum { TEXT_MOST = 1 << 14 };
// The signs, from '1' on.
enum { CLIENT, WAITING, DATASET, MADE, TOKEN = MADE, CLASSIFIER, REGRESSION, ACCESS, SIGNS };

static char ids[SIGNS][64];

#define JOB "POST /v1/jobs\nContent-Type: application/json\n\n"
static const char *const made[MADE] = {
    JOB "{\"name\":\"a\",\"executor\":\"client\"}",
    JOB "{\"dataset\":{\"generator\":\"blobs\",\"rows\":20,"
        "\"features\":2,\"classes\":2,\"seed\":1},\"model\":{\"layers\":[{\"units\":2}]}}",
    "POST /v1/datasets?name=a\nContent-Type: text/csv\n\na,b\n1,x\n2,y\n",
};

#define MODEL                                                                                                \
    "\"model\":{\"layers\":[{\"units\":3}]},\"training\":{\"epochs\":1,\"validation_split\":0,\"seed\":4}}"
static const struct {
    size_t sign;
    const char *document;
} trained[] = {
    {CLASSIFIER, "{\"dataset\":{\"features\":[[1,0,2],[0,1,3],[1,0,4],[0,1,5]],"
                 "\"feature_names\":[\"city=Bern\",\"city=7\",\"size\"],"
                 "\"labels\":[\"a\",\"b\",\"a\",\"b\"]}," MODEL},
    {REGRESSION, "{\"dataset\":{\"features\":[[1,0],[0,1],[2,4]],\"labels\":[[0.5,1],[1.5,2],[2,0]]}," MODEL},
};

static const char history[] =
    "POST /v1/jobs/@1/metrics\nContent-Type: application/json\nAuthorization: Bearer @4\n\n"
    "{\"attempt\":1,\"metrics\":{\"steps\":[1,2,3],\"columns\":{\"loss\":[3,\"NaN\",1],\"f1\":[0,1,2]}},"
    "\"layers\":[{\"index\":0,\"name\":\"dense_1\",\"steps\":[1,2],\"columns\":{\"gradient_norm\":[1,0]}}]}";

// The first text of a name in an answer's body; false: there is none.
static bool take_text(const struct api_answer *answer, const char *name, char ret[64])
{
    const char *at = answer->body.data ? strstr(answer->body.data, name) : NULL;
    if (at)
        snprintf(ret, 64, "%.*s", (int)strcspn(at + strlen(name), "\""), at + strlen(name));
    return at != NULL;
}

// Writes the ids for their signs.
static size_t put_ids(const uint8_t *bytes, size_t size, char ret[TEXT_MOST])
{
    size_t length = 0;
    for (size_t i = 0; i < size && length < TEXT_MOST - sizeof *ids; i++) {
        const unsigned sign = i + 1 < size && bytes[i] == '@' ? bytes[i + 1] - (unsigned)'1' : SIGNS;
        if (sign < SIGNS) {
            length += (size_t)snprintf(ret + length, sizeof *ids, "%s", ids[sign]);
            i++;
        } else {
            ret[length++] = (char)bytes[i];
        }
    }
    return length;
}

static void ask(struct fuzz_service *service, const uint8_t *bytes, size_t size, const struct fuzz_way *way,
                struct api_answer *ret)
{
    static char text[TEXT_MOST];
    *ret = (struct api_answer){0};
    fuzz_exchange(service, (const uint8_t *)text, put_ids(bytes, size, text), way, ret);
}

// Has the service make what a sign stands for.
static void make(struct fuzz_service *service, size_t sign)
{
    struct api_answer answer;
    ask(service, (const uint8_t *)made[sign], strlen(made[sign]), &fuzz_plainly, &answer);
    fuzz_require(take_text(&answer, "\"id\":\"", ids[sign]));
    fuzz_require(sign != CLIENT || take_text(&answer, "\"token\":\"", ids[TOKEN]));
    api_answer_free(&answer);
    if (sign != CLIENT)
        return;
    ask(service, (const uint8_t *)history, strlen(history), &fuzz_plainly, &answer);
    fuzz_require(answer.status == 200);
    api_answer_free(&answer);
}

static void train(struct fuzz_service *service, size_t sign, const char *document)
{
    struct nabla_error err = {0};
    struct api_answer answer = {0};
    char text[TEXT_MOST];
    int length = snprintf(text, sizeof text, JOB "%s", document);
    fuzz_exchange(service, (const uint8_t *)text, (size_t)length, &fuzz_plainly, &answer);
    fuzz_require(answer.status == 202);
    api_answer_free(&answer);
    fuzz_require(trained_model_make(service->store, service->folder, document, ids[sign], &err) == NABLA_OK);
}

static void fill(struct fuzz_service *service)
{
    snprintf(ids[ACCESS], sizeof *ids, "%s", service->secret);
    for (size_t i = 0; i < sizeof trained / sizeof *trained; i++) // while no other job waits
        train(service, trained[i].sign, trained[i].document);
    for (size_t i = 0; i < MADE; i++)
        make(service, i);
}

// What a request that was taken may have brought out of the state that the next input counts on is made anew.
static void make_again(struct fuzz_service *service, const uint8_t *bytes, size_t size)
{
    static const char *const verbs[] = {"DELETE ", "/cancel", "/pause", "/state"};
    const uint8_t *end = memchr(bytes, '\n', size), *sign;
    const size_t length = end ? (size_t)(end - bytes) : size;
    bool found = false;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs && !found; i++)
        found = memmem(bytes, length, verbs[i], strlen(verbs[i])) != NULL;
    sign = found ? memchr(bytes, '@', length) : NULL;
    const unsigned number = sign && sign + 1 < bytes + length ? sign[1] - (unsigned)'1' : SIGNS;
    if (number < MADE)
        make(service, number);
    else if (number < SIGNS)
        service->asked = FUZZ_RENEWAL; // a store with all of it
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_service *service = fuzz_service_get(fill);
    struct api_answer answer;
    if (size < 2)
        return 0;
    const struct fuzz_way way = {.listener = bytes[0] == TO_WORKERS ? API_WORKER : API_PUBLIC,
                                 .is_guarded = bytes[0] == TO_GUARDED,
                                 .piece = (size_t)bytes[0] * 16 + 1};
    ask(service, bytes + 1, size - 1, &way, &answer);
    if (answer.status >= 200 && answer.status < 300)
        make_again(service, bytes + 1, size - 1);
    api_answer_free(&answer);
    return 0;
}

// ---- mutation ----

// (The formatter would give each word a line.)
// clang-format off
static const char *const signs[] = {"@1", "@2", "@3", "@5", "@6", "a"};
static const char *const values[] = {
    "0", "1", "2", "3", "100", "-1", "1.5", "1e9", "true", "false", "", "a", "b", "@1", "@2", "@3", "@5", "@1,@2",
    "@1,@2,@5", "loss", "f1", "loss,f1", "gradient_norm", "mean", "minimum", "dense_1", "json", "csv", "rows",
    "events", "safetensors", "npz", "null", "string", "keep", "one_hot", "refuse", "none", "probabilities",
    "logits", "running", "succeeded", "failed", "queued", "classes", "binary", "multi_label", "regression",
    "gradients", "weights", "yes", "no", "%2c", "%00", "18446744073709551615"};
static const char *const headers[] = {
    "Content-Type: application/json\n", "Content-Type: text/csv\n", "Content-Type: application/x-npy\n",
    "Content-Type: application/safetensors\n", "Content-Type: application/octet-stream\n",
    "Content-Type: application/zip\n", "Content-Encoding: gzip\n", "Accept: text/csv\n",
    "Accept: text/event-stream\n", "Accept: application/safetensors\n", "Accept: application/x-npy\n",
    "Accept: text/html\n", "Accept: */*;q=0.1, application/json\n", "Accept-Encoding: gzip\n",
    "Authorization: Bearer @4\n", "Authorization: Bearer @7\n", "Prefer: wait=1\n", "If-None-Match: *\n",
    "If-None-Match: W/\"1\", \"2\"\n", "Last-Event-ID: 1\n", "Idempotency-Key: k\n",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"};
// clang-format on
static const struct request_parts parts = {
    .document = &contract_parts, TABLE(ids, signs), TABLE(values, values), TABLE(headers, headers)};

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed)
{
    size_t length = size > 1 ? request_mutate(&parts, bytes + 1, size - 1, most - 1, seed) : 0;
    return length ? 1 + length : LLVMFuzzerMutate(bytes, size, most);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size,
                                 uint8_t *ret, size_t most, unsigned seed)
{
    if (one_size < 2 || other_size < 2 || most < 2)
        return 0;
    ret[0] = one[0];
    size_t length = request_cross(one + 1, one_size - 1, other + 1, other_size - 1, ret + 1, most - 1, seed);
    return length ? 1 + length : 0;
}
