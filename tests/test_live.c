// The running server over its sockets: every route, what bad requests get, and how it ends.
#include "base/clock.h"
#include "live.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int start(void **state)
{
    static const char *const flags[] = {"--max-body", "64k", "--max-upload", "17M", "--log-level",
                                        "error",      NULL};
    return live_set_up(state, flags);
}

static void routes_answer_what_they_should(void **state)
{
    struct live *live = *state;
    static const struct {
        const char *comment;
        int status;
        const char *method, *path, *body;
    } cases[] = {
        {"the index", 200, "GET", "/", NULL},
        {"alive", 200, "GET", "/healthz", NULL},
        {"ready", 200, "GET", "/readyz", NULL},
        {"the contract", 200, "GET", "/openapi.json", NULL},
        {"its metrics", 200, "GET", "/metrics", NULL},
        {"a head", 200, "HEAD", "/healthz", NULL},
        {"a loss", 200, "POST", "/v1/losses", "{\"logits\":[1,2,0.1,-1],\"labels\":1}"},
        {"a loss under every convention", 200, "POST", "/v1/losses/compare",
         "{\"logits\":[0,17,16],\"labels\":0}"},
        {"the founding question", 200, "POST", "/v1/losses/sweep", "{}"},
        {"no data sets", 200, "GET", "/v1/datasets", NULL},
        {"no jobs", 200, "GET", "/v1/jobs", NULL},
        {"no such route", 404, "GET", "/v2/losses", NULL},
        {"no such job", 404, "GET", "/v1/jobs/job_00000000000000000000", NULL},
        {"no such job's metrics", 404, "GET", "/v1/jobs/job_00000000000000000000/metrics", NULL},
        {"no such job's gradients", 404, "GET", "/v1/jobs/job_00000000000000000000/gradients", NULL},
        {"no such job's events", 404, "GET", "/v1/jobs/job_00000000000000000000/events", NULL},
        {"no such job to cancel", 404, "POST", "/v1/jobs/job_00000000000000000000/cancel", NULL},
        {"no such job to delete", 404, "DELETE", "/v1/jobs/job_00000000000000000000", NULL},
        {"no such data set", 404, "GET", "/v1/datasets/ds_00000000000000000000", NULL},
        {"no such data", 404, "GET", "/v1/datasets/ds_00000000000000000000/data", NULL},
        {"nothing to delete", 404, "DELETE", "/v1/datasets/ds_00000000000000000000", NULL},
        {"a wrong method", 405, "DELETE", "/v1/losses", NULL},
        {"no JSON", 400, "POST", "/v1/losses", "{\"logits\":"},
        {"a bare NaN", 400, "POST", "/v1/losses", "{\"logits\":[NaN],\"labels\":0}"},
        {"a key twice", 400, "POST", "/v1/losses", "{\"labels\":0,\"labels\":0,\"logits\":[1,2]}"},
        {"an unknown field", 422, "POST", "/v1/losses", "{\"logits\":[1,2],\"labels\":0,\"lables\":0}"},
        {"a label out of range", 422, "POST", "/v1/losses", "{\"logits\":[1,2],\"labels\":2}"},
        {"ragged rows", 422, "POST", "/v1/losses", "{\"logits\":[[1,2],[3]],\"labels\":[0,0]}"},
        {"a job without anything", 422, "POST", "/v1/jobs", "{}"},
        {"an unknown query", 400, "GET", "/v1/jobs?colour=red", NULL},
        {"a report without a token", 401, "POST", "/v1/jobs/job_00000000000000000000/state",
         "{\"attempt\":1,\"state\":\"succeeded\"}"},
        {"metrics without a token", 401, "POST", "/v1/jobs/job_00000000000000000000/metrics",
         "{\"attempt\":1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_answer answer = live_send(live, cases[i].method, cases[i].path, cases[i].body);
        char type[64] = "";
        client_answer_header(&answer, "Content-Type", type, sizeof type);
        if (answer.status != cases[i].status)
            fail_msg("%s: %d instead of %d: %s", cases[i].comment, answer.status, cases[i].status,
                     answer.body.data ? answer.body.data : "");
        if (answer.status >= 400)
            assert_string_equal(type, "application/problem+json");
        client_answer_free(&answer);
    }
}

static void the_loss_is_that_of_the_documentation(void **state)
{
    struct client_answer answer =
        live_send(*state, "POST", "/v1/losses", "{\"logits\":[[0,17,16]],\"labels\":[0]}");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body.data, "\"loss\":17.31326"));
    assert_non_null(strstr(answer.body.data, "0.7310585"));
    client_answer_free(&answer);
}

static const char iris[] =
    "sepal,petal,kind\n5.1,1.4,a\n4.9,1.4,a\n7.1,4.7,b\n6.4,4.5,b\n5.2,1.5,a\n6.9,4.9,b\n";

static void a_data_set_is_kept_described_given_back_and_deleted(void **state)
{
    struct live *live = *state;
    char id[64], again[64], path[96];
    const struct client_request upload = {.method = "POST",
                                          .path = "/v1/datasets?name=flowers",
                                          .type = "text/csv",
                                          .body = iris,
                                          .body_size = strlen(iris)};
    struct client_answer answer = live_exchange(live, &upload);
    if (answer.status != 201)
        fail_msg("upload: %d %s", answer.status, answer.body.data ? answer.body.data : "");
    live_field(&answer, "id", id);
    client_answer_free(&answer);

    answer = live_exchange(live, &upload);
    assert_string_equal(live_field(&answer, "id", again), id);
    client_answer_free(&answer);

    snprintf(path, sizeof path, "/v1/datasets/%s", id);
    answer = live_send(live, "GET", path, NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body.data, "petal"));
    client_answer_free(&answer);

    snprintf(path, sizeof path, "/v1/datasets/%s/data", id);
    static const char *const headers[] = {"Accept: text/csv", NULL};
    const struct client_request download = {.method = "GET", .path = path, .headers = headers};
    answer = live_exchange(live, &download);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body.data, iris);
    client_answer_free(&answer);

    snprintf(path, sizeof path, "/v1/datasets/%s", id);
    live_expect(live, 204, "DELETE", path, NULL);
    live_expect(live, 404, "GET", path, NULL);
}

static void a_bad_cell_is_named_by_row_and_column(void **state)
{
    static const char text[] = "a,b\n1,x\n2,y\nmany,x\n";
    const struct client_request upload = {.method = "POST",
                                          .path = "/v1/datasets",
                                          .type = "text/csv",
                                          .body = text,
                                          .body_size = strlen(text)};
    struct client_answer answer = live_exchange(*state, &upload);
    assert_int_equal(answer.status, 422);
    assert_non_null(strstr(answer.body.data, "row 3"));
    assert_non_null(strstr(answer.body.data, "column 1"));
    client_answer_free(&answer);
}

// Both ways of a body that is too long: declared, and found out on the way.
static void a_body_above_the_limit_is_413(void **state)
{
    struct live *live = *state;
    enum {
        SIZE = 200 << 10,
        UPLOAD = 18 << 20
    }; // more of the upload is taken than is read once it is refused
    char *body = malloc(UPLOAD);
    memset(body, ' ', UPLOAD);
    static const char *const chunked[] = {"Transfer-Encoding: chunked", NULL};
    const struct client_request requests[] = {
        {.method = "POST", .path = "/v1/losses", .type = "application/json", .body = body, .body_size = SIZE},
        {.method = "POST",
         .path = "/v1/losses",
         .type = "application/json",
         .body = body,
         .body_size = SIZE,
         .headers = chunked},
        {.method = "POST",
         .path = "/v1/datasets",
         .type = "text/csv",
         .body = body,
         .body_size = UPLOAD,
         .headers = chunked}};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct client_answer answer;
        struct nabla_error err;
        if (client_send(live->client, &requests[i], &answer, &err))
            fail_msg("request %zu: %s", i, err.text);
        assert_int_equal(answer.status, 413);
        assert_non_null(strstr(answer.body.data, "the limit max_"));
        client_answer_free(&answer);
    }
    free(body);
}

// Whatever stands behind a request that is not sound must not run: 400, and the end.
static void requests_in_a_row_are_answered_in_a_row(void **state)
{
    static const char bytes[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
                                "POST /v1/losses HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                                "Content-Length: 29\r\n\r\n{\"logits\":[1, 2],\"labels\":1 }"
                                "GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    struct buffer answer = buffer_new(1 << 20);
    assert_true(live_raw(*state, bytes, strlen(bytes), LIVE_DEADLINE_MS, &answer));
    const char *first = strstr(answer.data, "HTTP/1.1 200"), *second = strstr(first + 1, "HTTP/1.1 200");
    assert_non_null(second);
    assert_non_null(strstr(second, "HTTP/1.1 404"));
    buffer_free(&answer);
}

// A stop finds a stream and a waiting request open; both are ended, and so is the server, by itself.
static void a_stop_ends_streams_and_waiting_requests(void **state)
{
    struct live *live = *state;
    char id[64], request[256];
    live_post_job(live, "{\"executor\":\"client\"}", id);
    int sockets[2] = {live_connect(live), live_connect(live)};
    snprintf(request, sizeof request, "GET /v1/jobs/%s/events HTTP/1.1\r\nHost: a\r\n\r\n", id);
    assert_true(send(sockets[0], request, strlen(request), 0) > 0);
    snprintf(request, sizeof request,
             "GET /v1/jobs/%s HTTP/1.1\r\nHost: a\r\nPrefer: wait=60\r\nIf-None-Match: \"1\"\r\n\r\n", id);
    assert_true(send(sockets[1], request, strlen(request), 0) > 0);
    // The stream's first bytes say that it is open. The server stops without them, too.
    assert_true(recv(sockets[0], request, sizeof request, 0) > 0);
    int status = live_end(live, SIGTERM);
    assert_true(WIFEXITED(status)); // not by its own alarm
    assert_int_equal(WEXITSTATUS(status), 0);
    for (size_t i = 0; i < 2; i++) {
        while (recv(sockets[i], request, sizeof request, 0) > 0)
            ;
        close(sockets[i]);
    }
}

// Idle connections must not shut everybody out in silence: above 80 % of them the next one is told so.
static void nearly_as_many_connections_as_allowed_are_answered_503(void **state)
{
    (void)state;
    // 80 % and two more: each of the server's two threads may be about to count one that it has accepted.
    enum { IDLE = 16 + 2 };
    static const char *const flags[] = {"--log-level", "error", "--max-connections", "20", NULL};
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    struct live live;
    int sockets[IDLE];
    live_make_folder(&live);
    live_start(&live, flags);
    for (size_t i = 0; i < IDLE; i++)
        sockets[i] = live_connect(&live);
    struct buffer answer = buffer_new(1 << 20);
    assert_true(live_raw(&live, request, strlen(request), LIVE_DEADLINE_MS, &answer));
    assert_memory_equal(answer.data, "HTTP/1.1 503", 12);
    assert_non_null(strstr(answer.data, "Retry-After:"));
    for (size_t i = 0; i < IDLE; i++)
        close(sockets[i]);
    int64_t deadline = clock_monotonic_ms() + LIVE_DEADLINE_MS;
    bool admitted = false;
    while (!admitted && clock_monotonic_ms() < deadline) { // until the server has seen them closed
        answer.size = 0;
        live_raw(&live, request, strlen(request), LIVE_DEADLINE_MS, &answer);
        admitted = strncmp(answer.data, "HTTP/1.1 200", 12) == 0;
    }
    assert_true(admitted);
    buffer_free(&answer);
    int status = live_end(&live, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    live_remove_folder(&live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_answer_what_they_should),
        cmocka_unit_test(the_loss_is_that_of_the_documentation),
        cmocka_unit_test(a_data_set_is_kept_described_given_back_and_deleted),
        cmocka_unit_test(a_bad_cell_is_named_by_row_and_column),
        cmocka_unit_test(a_body_above_the_limit_is_413),
        cmocka_unit_test(requests_in_a_row_are_answered_in_a_row),
        cmocka_unit_test(nearly_as_many_connections_as_allowed_are_answered_503),
        cmocka_unit_test(a_stop_ends_streams_and_waiting_requests),
    };
    return cmocka_run_group_tests(tests, start, live_tear_down);
}
