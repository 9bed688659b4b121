// What a small loss request costs inside the api, without its sockets: 8 rows of 10 classes as JSON, all on
// one thread. Usage: bench_call [calls]
#include "api/api.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 8, CLASSES = 10 };

static void write_request(struct buffer *body)
{
    buffer_text(body, "{\"logits\": [");
    for (int i = 0; i < ROWS; i++) {
        buffer_text(body, i ? ", [" : "[");
        for (int k = 0; k < CLASSES; k++)
            buffer_format(body, "%s%.4f", k ? ", " : "", sin(i * CLASSES + k) * 3);
        buffer_char(body, ']');
    }
    buffer_text(body, "], \"labels\": [0, 1, 2, 3, 4, 5, 6, 7]}");
}

static int call_once(struct api *api, const struct api_request *request, const struct buffer *body)
{
    struct api_call *call;
    struct api_answer answer;
    api_open(api, request, &call, &answer);
    if (call && api_body(call, body->data, body->size, &answer))
        api_handle(call, &answer);
    int status = answer.status;
    api_answer_free(&answer);
    api_close(call);
    return status;
}

int main(int argc, char **argv)
{
    long calls = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    const struct api_options options = {.limits = api_limits_defaults()};
    const struct api_header headers[] = {{"Host", "127.0.0.1:8080"}, {"Content-Type", "application/json"}};
    const struct api_request request = {
        .method = "POST", .target = "/v1/losses", .headers = headers, .header_count = 2};
    struct nabla_error err;
    struct api *api;
    struct buffer body = buffer_new(65536);
    write_request(&body);
    if (api_new(&options, &api, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int status = 200;
    int64_t begin = clock_monotonic_ms();
    for (long i = 0; i < calls && status == 200; i++)
        status = call_once(api, &request, &body);
    double ms = (double)(clock_monotonic_ms() - begin);
    printf("POST /v1/losses 8x10 inside the api: %.2f us a call (%ld calls, status %d)\n",
           ms * 1000 / (double)calls, calls, status);
    api_free(api);
    buffer_free(&body);
    return status == 200 ? 0 : 1;
}
