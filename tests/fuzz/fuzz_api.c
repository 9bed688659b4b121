// The api as a whole: any request, with a body of any type, against a store.
//
// Nobody guesses an id, so that an input names what the store holds by a sign: @1 is a client's job with a
// history, @2 a job that waits for a worker, @3 a data set, @4 the token that the client's job writes with.
#include "tests/fuzz/fuzz_service.h"

enum { MADE = 3, TOKEN = MADE, SIGNS, TEXT_MOST = 1 << 14 };

static char ids[SIGNS][64];

static const char *const made[MADE] = {
    "POST /v1/jobs\nContent-Type: application/json\n\n{\"name\":\"a\",\"executor\":\"client\"}",
    "POST /v1/jobs\nContent-Type: application/json\n\n{\"dataset\":{\"generator\":\"blobs\",\"rows\":20,"
    "\"features\":2,\"classes\":2,\"seed\":1},\"model\":{\"layers\":[{\"units\":2}]}}",
    "POST /v1/datasets?name=a\nContent-Type: text/csv\n\na,b\n1,x\n2,y\n",
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

static void ask(struct fuzz_service *service, const uint8_t *bytes, size_t size, size_t piece,
                struct api_answer *ret)
{
    static char text[TEXT_MOST];
    *ret = (struct api_answer){0};
    fuzz_exchange(service, (const uint8_t *)text, put_ids(bytes, size, text), piece, ret);
}

// Has the service make what a sign stands for.
static void make(struct fuzz_service *service, size_t sign)
{
    struct api_answer answer;
    ask(service, (const uint8_t *)made[sign], strlen(made[sign]), SIZE_MAX, &answer);
    fuzz_require(take_text(&answer, "\"id\":\"", ids[sign]));
    fuzz_require(sign > 0 || take_text(&answer, "\"token\":\"", ids[TOKEN]));
    api_answer_free(&answer);
    if (sign > 0)
        return;
    ask(service, (const uint8_t *)history, strlen(history), SIZE_MAX, &answer);
    fuzz_require(answer.status == 200);
    api_answer_free(&answer);
}

static void fill(struct fuzz_service *service)
{
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
    if (sign && sign + 1 < bytes + length && sign[1] >= '1' && sign[1] < '1' + MADE)
        make(service, (size_t)(sign[1] - '1'));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_service *service = fuzz_service_get(fill);
    struct api_answer answer;
    if (size < 2)
        return 0;
    // The first byte says in what pieces the body comes.
    ask(service, bytes + 1, size - 1, (size_t)bytes[0] * 16 + 1, &answer);
    if (answer.status >= 200 && answer.status < 300)
        make_again(service, bytes + 1, size - 1);
    api_answer_free(&answer);
    return 0;
}
