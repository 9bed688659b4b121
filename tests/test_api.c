// What stands between a request and its handler: routes, queries, media types, limits, encodings, identity.
#include "api/handler.h"
#include "store/store.h"
#include "tests/exchange.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

// An api without a store and one with: in a folder of its own, removed at the end.
struct fixture {
    struct api *bare, *full;
    struct store *store;
    char folder[64];
};

static int set_up(void **state)
{
    struct nabla_error err;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct api_options options = {.limits = api_limits_defaults()};
    strcpy(fixture->folder, "/tmp/nabla_test_api_XXXXXX");
    if (!mkdtemp(fixture->folder) || store_open(fixture->folder, &fixture->store, &err))
        return 1;
    options.limits.body_bytes = 1000;
    options.limits.upload_bytes = 2000;
    if (api_new(&options, &fixture->bare, &err))
        return 1;
    options.store = fixture->store;
    *state = fixture;
    return api_new(&options, &fixture->full, &err) ? 1 : 0;
}

static int tear_down(void **state)
{
    char command[100];
    struct fixture *fixture = *state;
    api_free(fixture->bare);
    api_free(fixture->full);
    store_close(fixture->store);
    snprintf(command, sizeof command, "rm -r %s", fixture->folder);
    int left = system(command);
    free(fixture);
    return left;
}

static const struct {
    const char *comment;
    struct exchange exchange;
    int status;
    const char *header, *value; // one that the answer must have
    const char *part;           // of the answer's body
} cases[] = {
    // Paths and methods
    {"the index", {.method = "GET", .target = "/"}, 200, "Content-Type", "application/json", "/v1/losses"},
    {"health without a store",
     {.method = "GET", .target = "/healthz"},
     200,
     "Content-Type",
     "application/json",
     "\"ok\""},
    {"a HEAD is a GET",
     {.method = "HEAD", .target = "/healthz"},
     200,
     "Content-Type",
     "application/json",
     "\"ok\""},
    {"the absolute form",
     {.method = "GET", .target = "http://localhost:1/healthz"},
     200,
     "Content-Type",
     "application/json",
     ""},
    {"the absolute form of the index", {.method = "GET", .target = "http://localhost"}, 200, "", "", "nabla"},
    {"the contract",
     {.method = "GET", .target = "/openapi.json"},
     200,
     "Content-Type",
     "application/json",
     "\"3.1.0\""},
    {"an escaped letter is that letter", {.method = "GET", .target = "/%68ealthz"}, 200, "", "", "ok"},
    {"no such path",
     {.method = "GET", .target = "/v1/loss"},
     404,
     "Content-Type",
     "application/problem+json",
     "/v1/loss"},
    {"a path that is too long",
     {.method = "GET", .target = "/a/b/c/d/e/f/g/h/i/j/k"},
     404,
     "",
     "",
     "not_found"},
    {"a trailing slash is another path", {.method = "GET", .target = "/healthz/"}, 404, "", "", ""},
    {"an empty segment", {.method = "GET", .target = "/v1//losses"}, 404, "", "", ""},
    {"an empty id", {.method = "GET", .target = "/v1/jobs/"}, 404, "", "", ""},
    {"dots are no parents", {.method = "GET", .target = "/v1/../healthz"}, 404, "", "", ""},
    {"nor when escaped", {.method = "GET", .target = "/v1/%2e%2e/healthz"}, 404, "", "", ""},
    {"a wrong method names the right one",
     {.method = "GET", .target = "/v1/losses"},
     405,
     "Allow",
     "POST",
     "POST"},
    {"all of them", {.method = "PUT", .target = "/v1/jobs"}, 405, "Allow", "POST, GET, HEAD", ""},
    {"a path that is a parameter",
     {.method = "PATCH", .target = "/v1/jobs/job_1"},
     405,
     "Allow",
     "GET, HEAD, DELETE",
     ""},
    {"an unknown method", {.method = "BREW", .target = "/healthz"}, 405, "Allow", "GET, HEAD", ""},
    {"methods have their case", {.method = "get", .target = "/healthz"}, 405, "Allow", "GET, HEAD", ""},
    {"an escaped NUL", {.method = "GET", .target = "/v1/jobs/a%00b"}, 400, "", "", "%00"},
    {"an escaped slash", {.method = "GET", .target = "/v1/jobs/a%2Fb"}, 400, "", "", "%2F"},
    {"a bad escape", {.method = "GET", .target = "/v1/jobs/a%2"}, 400, "", "", ""},
    {"a bad escape in letters", {.method = "GET", .target = "/v1/jobs/a%zz"}, 400, "", "", ""},
    {"no UTF-8", {.method = "GET", .target = "/v1/jobs/%ff"}, 400, "", "", ""},
    {"raw bytes", {.method = "GET", .target = "/v1/jobs/\xc3\xa9"}, 400, "", "", "printable"},
    {"a blank", {.method = "GET", .target = "/v1/jobs/a b"}, 400, "", "", "printable"},
    {"no path at all", {.method = "GET", .target = "*"}, 400, "", "", ""},
    {"an empty target", {.method = "GET", .target = ""}, 400, "", "", ""},
    // Queries
    {"an unknown parameter", {.method = "GET", .target = "/healthz?x=1"}, 400, "", "", "\\\"x\\\""},
    {"the known ones are listed",
     {.method = "POST", .target = "/v1/losses?nonfnite=null"},
     400,
     "",
     "",
     "there are nonfinite"},
    {"a parameter twice",
     {.method = "POST", .target = "/v1/losses?nonfinite=null&nonfinite=null"},
     400,
     "",
     "",
     "twice"},
    {"a wrong value",
     {.method = "POST",
      .target = "/v1/losses?nonfinite=0",
      .headers = {{"Content-Type", "application/json"}}},
     400,
     "",
     "",
     "\\\"string\\\" or \\\"null\\\""},
    {"an empty query", {.method = "GET", .target = "/healthz?"}, 200, "", "", ""},
    {"empty parts", {.method = "GET", .target = "/healthz?&&"}, 200, "", "", ""},
    {"a bad escape in a query",
     {.method = "POST", .target = "/v1/losses?nonfinite=%z"},
     400,
     "",
     "",
     "escape"},
    {"an escaped name",
     {.method = "POST",
      .target = "/v1/losses?%6eonfinite=null",
      .headers = {{"Content-Type", "application/json"}},
      .body = "{}"},
     422,
     "",
     "",
     ""},
    // Media types
    {"no type",
     {.method = "POST", .target = "/v1/losses", .body = "{}"},
     415,
     "Accept-Post",
     "application/json, application/safetensors, application/x-npy",
     "set the Content-Type header (curl --json sets it)"},
    {"what curl sends by itself",
     {.method = "POST",
      .target = "/v1/losses",
      .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
      .body = "{}"},
     415,
     "Accept-Post",
     "application/json, application/safetensors, application/x-npy",
     "not application/x-www-form-urlencoded: set the Content-Type header (curl --json sets it)"},
    {"parameters of a type",
     {.method = "POST",
      .target = "/v1/losses",
      .headers = {{"content-type", "Application/JSON ; charset=UTF-8"}},
      .body = "{}"},
     422,
     "",
     "",
     ""},
    {"another charset",
     {.method = "POST",
      .target = "/v1/losses",
      .headers = {{"Content-Type", "application/json; charset=latin1"}},
      .body = "{}"},
     415,
     "",
     "",
     ""},
    {"any answer", {.method = "GET", .target = "/healthz", .headers = {{"Accept", "*/*"}}}, 200, "", "", ""},
    {"any of a kind",
     {.method = "GET", .target = "/healthz", .headers = {{"Accept", "text/html, application/*;q=0.1"}}},
     200,
     "",
     "",
     ""},
    {"a type that is not to be had",
     {.method = "GET", .target = "/healthz", .headers = {{"Accept", "text/html"}}},
     406,
     "",
     "",
     "application/json"},
    {"none but this",
     {.method = "GET", .target = "/healthz", .headers = {{"Accept", "application/json;q=0, */*"}}},
     406,
     "",
     "",
     ""},
    {"the closest range counts",
     {.method = "GET", .target = "/healthz", .headers = {{"Accept", "*/*;q=0, application/json"}}},
     200,
     "",
     "",
     ""},
    {"two headers",
     {.method = "GET",
      .target = "/healthz",
      .headers = {{"Accept", "text/html"}, {"Accept", "application/json"}}},
     200,
     "",
     "",
     ""},
    {"a weight that is none",
     {.method = "GET", .target = "/healthz", .headers = {{"Accept", "application/json;q=2"}}},
     406,
     "",
     "",
     ""},
    // Lengths and encodings
    {"a declared length beyond the limit",
     {.method = "POST",
      .target = "/v1/losses",
      .headers = {{"Content-Type", "application/json"}, {"Content-Length", "1001"}}},
     413,
     "",
     "",
     "max_body is 1000"},
    {"a length that is none",
     {.method = "POST",
      .target = "/v1/losses",
      .headers = {{"Content-Type", "application/json"}, {"Content-Length", "-1"}}},
     400,
     "",
     "",
     ""},
    {"an unknown encoding",
     {.method = "POST",
      .target = "/v1/losses",
      .headers = {{"Content-Type", "application/json"}, {"Content-Encoding", "br"}}},
     415,
     "Accept-Encoding",
     "gzip",
     ""},
    {"identity is no encoding",
     {.method = "POST",
      .target = "/v1/losses",
      .headers = {{"Content-Type", "application/json"}, {"Content-Encoding", "identity"}},
      .body = "{}"},
     422,
     "",
     "",
     ""},
    {"no gzip",
     {.method = "POST",
      .target = "/v1/losses",
      .headers = {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}},
      .body = "{\"a\":1}"},
     400,
     "",
     "",
     "not gzip"},
    // What needs a store
    {"not ready without a store", {.method = "GET", .target = "/readyz"}, 503, "Retry-After", "1", "store"},
    {"no jobs without a store", {.method = "GET", .target = "/v1/jobs"}, 503, "Retry-After", "1", "store"},
};

static void test_each_request_gets_its_status(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct api_answer answer;
        print_message("%s\n", cases[i].comment);
        exchange_run(fixture->bare, &cases[i].exchange, &answer);
        assert_int_equal(answer.status, cases[i].status);
        if (cases[i].header[0])
            assert_string_equal(answer_value(&answer, cases[i].header), cases[i].value);
        if (!strstr(answer.body.data, cases[i].part))
            fail_msg("%s lacks %s", answer.body.data, cases[i].part);
        api_answer_free(&answer);
    }
}

static void test_a_target_has_a_longest_length(void **state)
{
    struct fixture *fixture = *state;
    static const int statuses[] = {404, 414};
    for (size_t i = 0; i < 2; i++) {
        char target[8194] = "/";
        memset(target + 1, 'a', 8191 + i);
        struct exchange exchange = {.method = "GET", .target = target};
        struct api_answer answer;
        exchange_run(fixture->bare, &exchange, &answer);
        assert_int_equal(answer.status, statuses[i]);
        api_answer_free(&answer);
    }
}

static void test_problems_are_whole(void **state)
{
    struct fixture *fixture = *state;
    struct exchange exchange = {.method = "GET", .target = "/v1/n%6Fthing?x=%22"};
    struct api_answer answer;
    exchange_run(fixture->bare, &exchange, &answer);
    assert_string_equal(
        answer.body.data,
        "{\"type\":\"urn:nabla:problem:not_found\",\"title\":\"There is no such resource\","
        "\"status\":404,\"detail\":\"there is nothing at /v1/n%6Fthing; GET / lists what there "
        "is\",\"instance\":\"/v1/n%6Fthing\"}\n");
    api_answer_free(&answer);
}

// gzip of {"logits":[0,0],"labels":0}, made by gzip -9n.
static const unsigned char zipped[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56,
                                       0xca, 0xc9, 0x4f, 0xcf, 0x2c, 0x29, 0x56, 0xb2, 0x8a, 0x36, 0xd0, 0x31,
                                       0x88, 0xd5, 0x51, 0xca, 0x49, 0x4c, 0x4a, 0xcd, 0x01, 0x72, 0x0d, 0x6a,
                                       0x01, 0x51, 0x15, 0xb8, 0x9f, 0x1b, 0x00, 0x00, 0x00};

static void post_zipped(struct api *api, const unsigned char *bytes, size_t size, struct api_answer *ret)
{
    struct exchange exchange = {
        .method = "POST",
        .target = "/v1/losses",
        .headers = {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}},
        .body = (const char *)bytes,
        .size = size};
    exchange_run(api, &exchange, ret);
}

static void test_gzip_is_read_whole_or_refused(void **state)
{
    struct fixture *fixture = *state;
    for (size_t size = 1; size <= sizeof zipped; size++) {
        struct api_answer answer;
        post_zipped(fixture->bare, zipped, size, &answer);
        assert_int_equal(answer.status, size < sizeof zipped ? 400 : 200);
        api_answer_free(&answer);
    }
}

static void test_nothing_may_follow_gzip(void **state)
{
    struct fixture *fixture = *state;
    struct api_answer answer;
    unsigned char longer[sizeof zipped + 1];
    memcpy(longer, zipped, sizeof zipped);
    longer[sizeof zipped] = 'x';
    post_zipped(fixture->bare, longer, sizeof longer, &answer);
    assert_int_equal(answer.status, 400);
    api_answer_free(&answer);
}

// 100,000 blanks, made by gzip -9n: 133 bytes that pass a limit of 1,000.
static const unsigned char bomb[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01, 0x00, 0x00, 0x00,
    0xc2, 0xa0, 0x2a, 0xeb, 0x9f, 0xd2, 0x1a, 0x1e, 0x40, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xaf, 0x06, 0x2d, 0xf0, 0x79, 0xca, 0xa0, 0x86, 0x01, 0x00};

static void test_a_gzip_bomb_meets_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct api_answer answer;
    assert_true(sizeof bomb < 1000);
    post_zipped(fixture->bare, bomb, sizeof bomb, &answer);
    assert_int_equal(answer.status, 413);
    assert_non_null(strstr(answer.body.data, "max_body"));
    api_answer_free(&answer);
}

// Bodies in pieces: the limit counts their sum, and a short one is not long.
static void test_a_body_is_the_sum_of_its_pieces(void **state)
{
    struct fixture *fixture = *state;
    struct api_header headers[] = {{"Content-Type", "application/json"}};
    struct api_request request = {
        .method = "POST", .target = "/v1/losses", .headers = headers, .header_count = 1};
    struct api_call *call;
    struct api_answer answer;
    char blanks[100];
    memset(blanks, ' ', sizeof blanks);
    api_open(fixture->bare, &request, &call, &answer);
    assert_non_null(call);
    assert_string_equal(api_call_route(call), "/v1/losses");
    for (int i = 0; i < 10; i++)
        assert_true(api_body(call, blanks, sizeof blanks, &answer));
    assert_false(api_call_is_long(call));
    assert_false(api_body(call, blanks, 1, &answer));
    assert_int_equal(answer.status, 413);
    api_answer_free(&answer);
    api_close(call);
}

static size_t count_files(const char *folder, const char *part)
{
    char path[128];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", folder, part);
    DIR *files = opendir(path);
    assert_non_null(files);
    for (struct dirent *file = readdir(files); file; file = readdir(files))
        count += file->d_name[0] != '.';
    closedir(files);
    return count;
}

static void test_an_upload_is_a_file_until_it_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct api_header headers[] = {{"Content-Type", "text/csv"}};
    struct api_request request = {
        .method = "POST", .target = "/v1/datasets", .headers = headers, .header_count = 1};
    struct api_call *call;
    struct api_answer answer;
    char rows[1500];
    memset(rows, '1', sizeof rows);
    api_open(fixture->full, &request, &call, &answer);
    assert_non_null(call);
    assert_int_equal(count_files(fixture->folder, "tmp"), 1);
    assert_true(api_body(call, rows, sizeof rows, &answer));
    assert_true(api_call_is_long(call));
    assert_false(api_body(call, rows, sizeof rows, &answer));
    assert_int_equal(answer.status, 413);
    assert_non_null(strstr(answer.body.data, "max_upload"));
    api_answer_free(&answer);
    api_close(call);
    assert_int_equal(count_files(fixture->folder, "tmp"), 0);
}

// Bodies that are on their way at the same time, each of a request of its own.
enum { HELD = 3, PIECE_BYTES = 1 << 16 };

static struct api_call *open_body(struct api *api, const char *length, struct api_answer *ret)
{
    struct api_header headers[] = {{"Content-Type", "application/json"}, {"Content-Length", length}};
    struct api_request request = {
        .method = "POST", .target = "/v1/losses", .headers = headers, .header_count = length ? 2 : 1};
    struct api_call *call;
    api_open(api, &request, &call, ret);
    return call;
}

static const char *header_of(const struct api_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcmp(answer->headers[i].name, name) == 0)
            return answer->headers[i].value;
    return NULL;
}

static void expect_full(struct api_answer *answer)
{
    assert_int_equal(answer->status, 503);
    assert_non_null(strstr(answer->body.data, "max_bodies"));
    assert_non_null(header_of(answer, "Retry-After"));
    api_answer_free(answer);
}

static void test_bodies_in_memory_have_a_limit_together(void **state)
{
    struct fixture *fixture = *state;
    static char piece[PIECE_BYTES];
    struct api_options options = {.store = fixture->store, .limits = api_limits_defaults()};
    struct api *api;
    struct api_answer answer;
    struct api_call *calls[HELD];
    memset(piece, ' ', sizeof piece);
    options.limits.bodies_bytes = 3 * PIECE_BYTES; // beside the first piece of each
    assert_int_equal(api_new(&options, &api, NULL), NABLA_OK);
    for (size_t i = 0; i < HELD; i++)
        assert_non_null(calls[i] = open_body(api, NULL, &answer));
    for (size_t i = 0; i < 3; i++)
        assert_true(api_body(calls[0], piece, sizeof piece, &answer)); // 2 that count
    for (size_t i = 0; i < 2; i++)
        assert_true(api_body(calls[1], piece, sizeof piece, &answer)); // and 1: it is full
    assert_false(api_body(calls[1], piece, sizeof piece, &answer));
    expect_full(&answer);
    assert_true(
        api_body(calls[2], piece, sizeof piece, &answer)); // a small one has room; what it refused, too
    assert_null(open_body(api, "262144", &answer));        // three pieces that count, of which one is free
    expect_full(&answer);
    api_handle(calls[0], &answer); // which has read it: the answer is not sent yet
    api_answer_free(&answer);
    for (size_t i = 0; i < 8; i++) // alone: as large as a body may be
        assert_true(api_body(calls[2], piece, sizeof piece, &answer));
    for (size_t i = 0; i < HELD; i++)
        api_close(calls[i]);
    api_close(open_body(api, "262144", &answer));
    api_free(api);
}

static const struct {
    const char *comment, *authorization;
    int status;
} identities[] = {
    {"none", NULL, 401},
    {"another scheme", "Basic YTpi", 401},
    {"an empty token", "Bearer ", 401},
    {"a token of no such job", "Bearer abc", 403},
};

static void test_a_worker_shows_its_token(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof identities / sizeof *identities; i++) {
        struct api_answer answer;
        struct exchange exchange = {
            .method = "POST",
            .target = "/v1/jobs/job_none/state",
            .headers = {{"Content-Type", "application/json"}, {"Authorization", identities[i].authorization}},
            .body = "{}"};
        if (!identities[i].authorization)
            exchange.headers[1].name = NULL;
        print_message("%s\n", identities[i].comment);
        exchange_run(fixture->full, &exchange, &answer);
        assert_int_equal(answer.status, identities[i].status);
        assert_int_equal(strcmp(answer_value(&answer, "WWW-Authenticate"), "") != 0, answer.status == 401);
        api_answer_free(&answer);
    }
}

static void test_ready_with_a_store(void **state)
{
    struct fixture *fixture = *state;
    struct exchange exchange = {.method = "GET", .target = "/readyz"};
    struct api_answer answer;
    exchange_run(fixture->full, &exchange, &answer);
    assert_int_equal(answer.status, 200);
    api_answer_free(&answer);
}

// The table itself: what the router and the contract rest on.
static void test_routes_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_route_count; i++) {
        const struct route *route = &api_routes[i];
        assert_non_null(route->handle);
        assert_int_equal(route->accepts != 0, route->body != API_BODY_NONE);
        assert_true(route->identity != IDENTITY_JOB ||
                    (route->needs_store && strstr(route->pattern, "{id}")));
        for (size_t k = 0; k < i; k++)
            assert_false(strcmp(route->method, api_routes[k].method) == 0 &&
                         strcmp(route->pattern, api_routes[k].pattern) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_request_gets_its_status),
        cmocka_unit_test(test_a_target_has_a_longest_length),
        cmocka_unit_test(test_problems_are_whole),
        cmocka_unit_test(test_gzip_is_read_whole_or_refused),
        cmocka_unit_test(test_nothing_may_follow_gzip),
        cmocka_unit_test(test_a_gzip_bomb_meets_the_limit),
        cmocka_unit_test(test_a_body_is_the_sum_of_its_pieces),
        cmocka_unit_test(test_bodies_in_memory_have_a_limit_together),
        cmocka_unit_test(test_an_upload_is_a_file_until_it_is_closed),
        cmocka_unit_test(test_a_worker_shows_its_token),
        cmocka_unit_test(test_ready_with_a_store),
        cmocka_unit_test(test_routes_are_sound),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
