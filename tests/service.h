// The service over a store in a folder of its own, asked without sockets. Include behind cmocka.h.
#ifndef NABLA_TESTS_SERVICE_H
#define NABLA_TESTS_SERVICE_H

#include "api/api.h"
#include "api/handler.h"
#include "store/jobs.h"
#include "store/store.h"
#include "tests/exchange_log.h"

#include <ftw.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct service {
    char folder[64];
    struct store *store;
    struct api *api;
    atomic_uint wakes; // how often the supervisor was called
    char failure[600]; // the newest cause that went to the log
};

static inline void service_wake(void *context)
{
    ((struct service *)context)->wakes++;
}

static inline void service_failed(void *context, const char *request_id, const char *method, const char *path,
                                  const struct nabla_error *err)
{
    (void)request_id;
    struct service *service = context;
    snprintf(service->failure, sizeof service->failure, "%s %s: %s", method, path, err->text);
}

static inline int service_remove(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static inline void service_close(struct service *service)
{
    api_free(service->api);
    store_close(service->store);
    nftw(service->folder, service_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(service);
}

static inline struct service *service_open_limited(const struct api_limits *limits)
{
    struct service *service = calloc(1, sizeof *service);
    struct nabla_error err = {0};
    strcpy(service->folder, "/tmp/nabla-test-XXXXXX");
    assert_non_null(mkdtemp(service->folder));
    if (store_open(service->folder, &service->store, &err))
        fail_msg("%s", err.text);
    const struct api_options options = {.store = service->store,
                                        .limits = *limits,
                                        .wake = service_wake,
                                        .failed = service_failed,
                                        .context = service};
    assert_int_equal(api_new(&options, &service->api, &err), NABLA_OK);
    return service;
}

static inline struct service *service_open(void)
{
    const struct api_limits limits = api_limits_defaults();
    return service_open_limited(&limits);
}

enum { SERVICE_HEADERS = 4 };

// A request; headers end at the first without a name.
struct request {
    const char *method, *target, *body;
    struct api_header headers[SERVICE_HEADERS];
};

// Opens the call and feeds it its body. NULL: *ret is the refusal.
static inline struct api_call *service_begin(struct service *service, const struct request *request,
                                             struct api_answer *ret)
{
    struct api_call *call;
    struct api_header headers[SERVICE_HEADERS + 1];
    size_t count = 0;
    bool typed = false;
    for (; count < SERVICE_HEADERS && request->headers[count].name; count++) {
        headers[count] = request->headers[count];
        typed = typed || strcmp(headers[count].name, "Content-Type") == 0;
    }
    if (request->body && !typed)
        headers[count++] = (struct api_header){"Content-Type", "application/json"};
    const struct api_request raw = {
        .method = request->method, .target = request->target, .headers = headers, .header_count = count};
    api_open(service->api, &raw, &call, ret);
    if (call && request->body && !api_body(call, request->body, strlen(request->body), ret)) {
        api_close(call);
        return NULL;
    }
    return call;
}

static inline void service_log(const struct request *request, const struct api_answer *answer)
{
    const char *type = request->body ? "application/json" : NULL;
    for (size_t i = 0; i < SERVICE_HEADERS && request->headers[i].name; i++)
        if (strcmp(request->headers[i].name, "Content-Type") == 0)
            type = request->headers[i].value;
    exchange_log(request->method, request->target, type, request->body,
                 request->body ? strlen(request->body) : 0, answer);
}

static inline struct api_answer service_send(struct service *service, const struct request *request)
{
    struct api_answer answer;
    struct api_call *call = service_begin(service, request, &answer);
    if (call)
        api_handle(call, &answer);
    api_close(call);
    service_log(request, &answer);
    return answer;
}

static inline struct api_answer service_ask(struct service *service, const char *method, const char *target,
                                            const char *body)
{
    const struct request request = {.method = method, .target = target, .body = body};
    return service_send(service, &request);
}

static inline const char *answer_value(const struct api_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcmp(answer->headers[i].name, name) == 0)
            return answer->headers[i].value;
    return NULL;
}

static inline void answer_expect(const struct api_answer *answer, int status, const char *what)
{
    if (answer->kind != API_WAIT && answer->status == status)
        return;
    fail_msg("%s: kind %d, status %d, not %d: %s", what, (int)answer->kind, answer->status, status,
             answer->body.data ? answer->body.data : "");
}

// The body as JSON; the answer is freed. json_decref what it returns.
static inline json_t *answer_take(struct api_answer *answer, int status, const char *what)
{
    json_error_t err;
    answer_expect(answer, status, what);
    json_t *json = json_loads(answer->body.data ? answer->body.data : "", 0, &err);
    if (!json)
        fail_msg("%s: %s in %s", what, err.text, answer->body.data);
    api_answer_free(answer);
    return json;
}

static inline json_t *service_json(struct service *service, const char *method, const char *target,
                                   const char *body, int status)
{
    struct api_answer answer = service_ask(service, method, target, body);
    return answer_take(&answer, status, target);
}

static inline void service_expect(struct service *service, const char *method, const char *target,
                                  const char *body, int status)
{
    struct api_answer answer = service_ask(service, method, target, body);
    answer_expect(&answer, status, target);
    api_answer_free(&answer);
}

// One refused request: its status and the pointer of the first problem ("" for none).
static inline void service_refuses(struct service *service, const struct request *request, int status,
                                   const char *pointer, const char *comment)
{
    struct api_answer answer = service_send(service, request);
    json_t *problem = answer_take(&answer, status, comment);
    const json_t *first = json_array_get(json_object_get(problem, "errors"), 0);
    const char *found = json_string_value(json_object_get(first, "pointer"));
    if (strcmp(found ? found : "", pointer) != 0)
        fail_msg("%s: at \"%s\", not \"%s\": %s", comment, found ? found : "", pointer,
                 json_string_value(json_object_get(problem, "detail")));
    json_decref(problem);
}

static inline const char *json_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

// Text made by a format, for targets: at most 200 bytes, good until the fourth call from now.
static inline const char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *text_of(const char *format, ...)
{
    static char texts[4][256];
    static unsigned next;
    char *text = texts[next++ % 4];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof texts[0], format, args);
    va_end(args);
    return text;
}

// A job that trains by itself.
struct client_job {
    char id[TOKEN_ID_SIZE];
    char bearer[80]; // "Bearer …"
};

static inline struct client_job service_client_job(struct service *service)
{
    struct client_job made;
    json_t *job = service_json(service, "POST", "/v1/jobs", "{\"executor\":\"client\"}", 202);
    snprintf(made.id, sizeof made.id, "%s", json_text(job, "id"));
    snprintf(made.bearer, sizeof made.bearer, "Bearer %s", json_text(job, "token"));
    json_decref(job);
    return made;
}

// A service with a client's job, for tests that want no more.
struct client_fixture {
    struct service *service;
    struct client_job job;
};

static inline int client_set_up(void **state)
{
    struct client_fixture *fixture = calloc(1, sizeof *fixture);
    fixture->service = service_open();
    fixture->job = service_client_job(fixture->service);
    *state = fixture;
    return 0;
}

static inline int client_tear_down(void **state)
{
    struct client_fixture *fixture = *state;
    service_close(fixture->service);
    free(fixture);
    return 0;
}

// What the job's worker posts below /v1/jobs/{id}.
static inline struct api_answer client_post(struct service *service, const struct client_job *job,
                                            const char *below, const char *body)
{
    const struct request request = {.method = "POST",
                                    .target = text_of("/v1/jobs/%s/%s", job->id, below),
                                    .body = body,
                                    .headers = {{"Authorization", job->bearer}}};
    return service_send(service, &request);
}

static inline void client_posts(struct service *service, const struct client_job *job, const char *below,
                                const char *body, int status)
{
    struct api_answer answer = client_post(service, job, below, body);
    answer_expect(&answer, status, body);
    api_answer_free(&answer);
}

#endif
