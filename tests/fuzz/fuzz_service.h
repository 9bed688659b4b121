// The whole service without sockets, for fuzz targets: a store in memory's file system, renewed now and then
// so that one input cannot wait for what thousands before it have left.
//
// An input is a request as HTTP writes one, with LF for CRLF: the request line, headers, an empty line, the
// body. What must hold of every answer: a status that HTTP knows, a content type, problems as problems, no
// failure inside (500), and an end.
#ifndef NABLA_TESTS_FUZZ_SERVICE_H
#define NABLA_TESTS_FUZZ_SERVICE_H

#include "api/api.h"
#include "store/store.h"
#include "store/sweep.h"
#include "store/tokens.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <unistd.h>

enum { FUZZ_RENEWAL = 2000, FUZZ_HEADERS = 16, FUZZ_PULLS = 1000 };

struct fuzz_service {
    char folder[64];
    struct store *store;
    struct api *api;
    unsigned asked;
    // The same store behind access tokens, and one that may write.
    struct api *guarded;
    struct token_table *tokens;
    char secret[TOKENS_SECRET_SIZE];
};

// How a request comes: by which socket, to whom, its body in pieces of how many bytes.
struct fuzz_way {
    enum api_listener listener;
    bool is_guarded;
    size_t piece;
};
static const struct fuzz_way fuzz_plainly = {.piece = SIZE_MAX};

static inline void fuzz_service_failed(void *context, const char *request_id, const char *method,
                                       const char *path, const struct nabla_error *err)
{
    (void)context, (void)request_id;
    fprintf(stderr, "%s %s failed inside: %s\n", method, path, err->text);
    abort();
}

static inline struct api_limits fuzz_service_limits(void)
{
    struct api_limits limits = api_limits_defaults();
    limits.body_bytes = limits.upload_bytes = 1 << 16;
    limits.dataset_rows = 2000; // generators make what they are asked for: keep it small
    limits.dataset_columns = 200;
    limits.dataset_bytes = 1 << 18;
    limits.queued_jobs = FUZZ_RENEWAL;
    limits.wait_seconds = 0;
    return limits;
}

static inline void fuzz_service_open_guarded(struct fuzz_service *service, struct api_options options)
{
    struct token_grant grant = {.name = "fuzz", .scopes = SCOPE_READ | SCOPE_WRITE, .queued_jobs = 100};
    struct nabla_error err = {0};
    fuzz_require(tokens_create(service->folder, &grant, service->secret, &err) == NABLA_OK);
    fuzz_require(token_table_new(service->folder, &service->tokens, &err) == NABLA_OK);
    options.tokens = service->tokens;
    fuzz_require(api_new(&options, &service->guarded, &err) == NABLA_OK);
}

static inline void fuzz_service_open(struct fuzz_service *service)
{
    struct nabla_error err = {0};
    snprintf(service->folder, sizeof service->folder, "/dev/shm/nabla-fuzz-XXXXXX");
    fuzz_require(mkdtemp(service->folder) != NULL);
    fuzz_require(store_open(service->folder, &service->store, &err) == NABLA_OK);
    const struct api_options options = {
        .store = service->store, .limits = fuzz_service_limits(), .failed = fuzz_service_failed};
    fuzz_require(api_new(&options, &service->api, &err) == NABLA_OK);
    fuzz_service_open_guarded(service, options);
    service->asked = 0;
}

static inline void fuzz_service_close(struct fuzz_service *service)
{
    if (!service->api)
        return;
    api_free(service->api);
    api_free(service->guarded);
    token_table_free(service->tokens);
    store_close(service->store);
    sweep_tree(service->folder, NULL);
    service->api = NULL;
}

// The one service of the process, removed at its end.
static struct fuzz_service fuzz_the_service;

static inline void fuzz_service_at_exit(void)
{
    fuzz_service_close(&fuzz_the_service);
}

static inline struct fuzz_service *fuzz_service_get(void (*fill)(struct fuzz_service *service))
{
    struct fuzz_service *service = &fuzz_the_service;
    static bool is_registered;
    if (!is_registered)
        atexit(fuzz_service_at_exit);
    is_registered = true;
    if (service->api && ++service->asked < FUZZ_RENEWAL)
        return service;
    fuzz_service_close(service);
    fuzz_service_open(service);
    if (fill)
        fill(service);
    return service;
}

static inline const char *fuzz_answer_header(const struct api_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcmp(answer->headers[i].name, name) == 0)
            return answer->headers[i].value;
    return NULL;
}

// Pulls a stream until it ends or waits.
static inline void fuzz_drain(struct api_stream *stream)
{
    char bytes[4096];
    struct api_wait wait;
    for (int i = 0; i < FUZZ_PULLS; i++) {
        ssize_t count = stream->pull(stream->context, bytes, sizeof bytes, &wait);
        fuzz_require(count <= (ssize_t)sizeof bytes);
        if (count < 0)
            return;
    }
}

static inline void fuzz_require_answer(struct api_answer *answer)
{
    if (answer->kind == API_WAIT)
        return;
    fuzz_require(answer->status >= 200 && answer->status < 600 && answer->status != 500);
    fuzz_require(answer->header_count <= API_HEADERS_MAX);
    if (answer->status >= 400) {
        const char *type = fuzz_answer_header(answer, "Content-Type");
        fuzz_require(type && strcmp(type, "application/problem+json") == 0);
        fuzz_require(answer->body.size > 0);
    }
    for (size_t i = 0; i < answer->header_count; i++) // no header may carry another one in
        fuzz_require(strpbrk(answer->headers[i].value, "\r\n") == NULL);
    if (answer->kind == API_STREAM)
        fuzz_drain(&answer->stream);
}

// The next line of [*text, end) without its LF, made a C string in place; NULL at the end.
static inline char *fuzz_line(char **text, char *end)
{
    char *line = *text, *stop;
    if (line >= end)
        return NULL;
    stop = memchr(line, '\n', (size_t)(end - line));
    *text = stop ? stop + 1 : end;
    if (stop)
        *stop = '\0';
    return line; // the last one is ended by the terminator behind the input
}

static inline size_t fuzz_headers(char **text, char *end, struct api_header ret[FUZZ_HEADERS])
{
    size_t count = 0;
    char *line;
    while ((line = fuzz_line(text, end)) && *line) {
        char *colon = strchr(line, ':');
        if (!colon || count == FUZZ_HEADERS)
            continue;
        *colon++ = '\0';
        while (*colon == ' ')
            colon++;
        ret[count++] = (struct api_header){line, colon};
    }
    return count;
}

// Sends one request in its written form. *ret is left empty where it is none.
static inline void fuzz_exchange(struct fuzz_service *service, const uint8_t *bytes, size_t size,
                                 const struct fuzz_way *way, struct api_answer *ret)
{
    char *copy = malloc(size + 1), *text = copy, *end = copy + size;
    fuzz_require(copy != NULL);
    memcpy(copy, bytes, size);
    *end = '\0';
    char *line = fuzz_line(&text, end);
    char *space = line ? strchr(line, ' ') : NULL;
    if (space) {
        struct api_header headers[FUZZ_HEADERS];
        struct api_call *call;
        bool refused = false;
        *space = '\0';
        struct api_request request = {
            .method = line, .target = space + 1, .headers = headers, .listener = way->listener};
        request.header_count = fuzz_headers(&text, end, headers);
        api_open(way->is_guarded ? service->guarded : service->api, &request, &call, ret);
        while (call && !refused && text < end) {
            size_t rest = (size_t)(end - text), part = rest < way->piece ? rest : way->piece;
            refused = !api_body(call, text, part, ret);
            text += part;
        }
        if (call && !refused)
            api_handle(call, ret);
        fuzz_require_answer(ret);
        api_close(call);
    }
    free(copy);
}

#endif
