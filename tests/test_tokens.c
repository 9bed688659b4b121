// Access tokens: kept in the data folder as hashes, checked by scope on every route, limited one by one.
#include "store/tokens.h"

#include "api/handler.h"
#include "base/clock.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/service.h"

static void make(const char *folder, const char *name, unsigned scopes, char ret_secret[TOKENS_SECRET_SIZE])
{
    struct token_grant grant = {.scopes = scopes};
    struct nabla_error err;
    snprintf(grant.name, sizeof grant.name, "%s", name);
    if (tokens_create(folder, &grant, ret_secret, &err))
        fail_msg("%s", err.text);
}

static void a_secret_is_told_once_and_kept_as_its_hash(void **state)
{
    const struct service *service = *state;
    char secret[TOKENS_SECRET_SIZE], path[128];
    struct buffer text = buffer_new(1 << 20);
    struct stat status;
    make(service->folder, "once", SCOPE_READ, secret);
    assert_memory_equal(secret, "nabla_", 6);
    assert_int_equal(strlen(secret), 6 + 43); // 256 bits as base64url
    snprintf(path, sizeof path, "%s/" TOKENS_FILE, service->folder);
    assert_int_equal(file_read(path, &text, NULL), NABLA_OK);
    assert_null(strstr(text.data, secret + 6));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    buffer_free(&text);
    assert_int_equal(tokens_revoke(service->folder, "once", NULL), NABLA_OK);
}

static void names_are_unique_and_plain(void **state)
{
    const struct service *service = *state;
    static const struct {
        const char *name;
        enum nabla_code code;
    } cases[] = {{"a.b-c_d@e", NABLA_OK},      {"a.b-c_d@e", NABLA_CONFLICT},  {"", NABLA_INVALID},
                 {"two words", NABLA_INVALID}, {"line\nbreak", NABLA_INVALID}, {"quote\"", NABLA_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_grant grant = {.scopes = SCOPE_READ};
        char secret[TOKENS_SECRET_SIZE];
        strcpy(grant.name, cases[i].name);
        assert_int_equal(tokens_create(service->folder, &grant, secret, NULL), cases[i].code);
    }
    assert_int_equal(tokens_revoke(service->folder, "a.b-c_d@e", NULL), NABLA_OK);
    assert_int_equal(tokens_revoke(service->folder, "a.b-c_d@e", NULL), NABLA_NOT_FOUND);
}

static void scopes_bring_those_below_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned scopes;
    } cases[] = {{"read", SCOPE_READ},
                 {"write", SCOPE_READ | SCOPE_WRITE},
                 {"admin", SCOPE_ALL},
                 {"read,admin", SCOPE_ALL},
                 {"", 0},
                 {"read,", 0},
                 {"reader", 0},
                 {"read write", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(tokens_scopes_read(cases[i].text), cases[i].scopes);
}

// The table sees what another process writes; a damaged file lets nobody in.
static void a_table_follows_the_file(void **state)
{
    const struct service *service = *state;
    struct token_table *table;
    struct token_grant grant;
    struct token_use *use;
    char first[TOKENS_SECRET_SIZE], second[TOKENS_SECRET_SIZE], path[128];
    assert_int_equal(token_table_new(service->folder, &table, NULL), NABLA_OK);
    assert_int_equal(token_table_enter(table, "nabla_none", &grant, &use, NULL), NABLA_DENIED);
    make(service->folder, "first", SCOPE_READ, first);
    make(service->folder, "second", SCOPE_READ, second);
    assert_int_equal(token_table_enter(table, first, &grant, &use, NULL), NABLA_OK);
    assert_string_equal(grant.name, "first");
    assert_int_equal(tokens_revoke(service->folder, "first", NULL), NABLA_OK);
    token_table_leave(table, use); // of a token that is gone
    assert_int_equal(token_table_enter(table, first, &grant, &use, NULL), NABLA_DENIED);
    snprintf(path, sizeof path, "%s/" TOKENS_FILE, service->folder);
    assert_int_equal(file_replace(path, "{\"scopes\":\"admin\"}\n", 19, NULL), NABLA_OK);
    assert_int_equal(token_table_enter(table, second, &grant, &use, NULL), NABLA_IO);
    assert_int_equal(file_remove(path, NULL), NABLA_OK);
    assert_int_equal(token_table_enter(table, second, &grant, &use, NULL), NABLA_DENIED);
    token_table_free(table);
}

static void an_expired_token_is_none(void **state)
{
    const struct service *service = *state;
    struct token_table *table;
    struct token_use *use;
    struct token_grant grant = {.scopes = SCOPE_READ, .name = "old"}, found;
    char secret[TOKENS_SECRET_SIZE];
    grant.expires_ms = (uint64_t)clock_wall_ms() - 1;
    assert_int_equal(tokens_create(service->folder, &grant, secret, NULL), NABLA_OK);
    assert_int_equal(token_table_new(service->folder, &table, NULL), NABLA_OK);
    assert_int_equal(token_table_enter(table, secret, &found, &use, NULL), NABLA_DENIED);
    token_table_free(table);
    assert_int_equal(tokens_revoke(service->folder, "old", NULL), NABLA_OK);
}

struct guarded {
    struct api *api;
    struct token_table *table;
};

static struct guarded guard(const struct service *service, struct api_limits limits)
{
    struct guarded ret;
    assert_int_equal(token_table_new(service->folder, &ret.table, NULL), NABLA_OK);
    const struct api_options options = {.store = service->store, .limits = limits, .tokens = ret.table};
    assert_int_equal(api_new(&options, &ret.api, NULL), NABLA_OK);
    return ret;
}

static void unguard(struct guarded *guarded)
{
    api_free(guarded->api);
    token_table_free(guarded->table);
}

// The status of the refusal at the door, 0 when the call is open (and then closed, unless it is asked for).
static int knock(const struct guarded *guarded, const char *method, const char *target, const char *secret,
                 enum api_listener listener, struct api_call **ret_call, struct api_answer *ret)
{
    char bearer[128];
    snprintf(bearer, sizeof bearer, "Bearer %s", secret ? secret : "");
    const struct api_header headers[] = {{"Content-Type", "application/json"}, {"Authorization", bearer}};
    const struct api_request request = {.method = method,
                                        .target = target,
                                        .headers = headers,
                                        .header_count = secret ? 2 : 1,
                                        .listener = listener};
    struct api_call *call;
    api_open(guarded->api, &request, &call, ret);
    if (ret_call)
        *ret_call = call;
    else
        api_close(call);
    return call ? 0 : ret->status;
}

static int door(const struct guarded *guarded, const char *method, const char *target, const char *secret,
                enum api_listener listener)
{
    struct api_answer answer;
    int status = knock(guarded, method, target, secret, listener, NULL, &answer);
    if (status)
        api_answer_free(&answer);
    return status;
}

// Every route of the table: what nobody, each scope and a worker's socket get at its door. A route that is
// added is held to it without a line here.
static void every_route_asks_for_its_scope(void **state)
{
    const struct service *service = *state;
    struct guarded guarded = guard(service, api_limits_defaults());
    char secrets[3][TOKENS_SECRET_SIZE];
    static const unsigned scopes[] = {SCOPE_READ, SCOPE_READ | SCOPE_WRITE, SCOPE_ALL};
    static const char *const names[] = {"reader", "writer", "admin"};
    for (size_t i = 0; i < 3; i++)
        make(service->folder, names[i], scopes[i], secrets[i]);
    for (size_t i = 0; i < api_route_count; i++) {
        const struct route *route = &api_routes[i];
        bool is_read = strcmp(route->method, "GET") == 0 || route->identity == IDENTITY_READ;
        char target[128];
        snprintf(target, sizeof target, "%s", route->pattern);
        for (char *c; (c = strpbrk(target, "{}"));)
            *c = 'x';
        print_message("%s %s\n", route->method, target);
        if (route->identity == IDENTITY_ANYONE) {
            assert_int_not_equal(door(&guarded, route->method, target, NULL, API_PUBLIC), 401);
            continue;
        }
        assert_int_equal(door(&guarded, route->method, target, NULL, API_PUBLIC), 401);
        bool is_own = route->identity == IDENTITY_JOB ||
                      (strncmp(target, "/v1/jobs/x", 10) == 0 && strcmp(route->method, "GET") == 0);
        assert_int_equal(door(&guarded, route->method, target, NULL, API_WORKER), is_own ? 401 : 403);
        if (route->identity == IDENTITY_JOB)
            continue;
        assert_int_equal(door(&guarded, route->method, target, "nabla_wrong", API_PUBLIC), 401);
        for (size_t scope = 0; scope < 3; scope++) {
            size_t least = route->identity == IDENTITY_ADMIN ? 2 : is_read ? 0 : 1;
            int status = door(&guarded, route->method, target, secrets[scope], API_PUBLIC);
            if (scope < least)
                assert_int_equal(status, 403);
            else
                assert_true(status != 401 && status != 403);
        }
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(tokens_revoke(service->folder, names[i], NULL), NABLA_OK);
    unguard(&guarded);
}

static void a_refusal_says_what_is_missing(void **state)
{
    const struct service *service = *state;
    struct guarded guarded = guard(service, api_limits_defaults());
    char secret[TOKENS_SECRET_SIZE];
    struct api_answer answer;
    make(service->folder, "reader", SCOPE_READ, secret);
    assert_int_equal(knock(&guarded, "GET", "/v1/jobs", NULL, API_PUBLIC, NULL, &answer), 401);
    assert_string_equal(answer.headers[1].name, "WWW-Authenticate");
    assert_string_equal(answer.headers[1].value, "Bearer realm=\"nabla\"");
    api_answer_free(&answer);
    assert_int_equal(knock(&guarded, "POST", "/v1/jobs", secret, API_PUBLIC, NULL, &answer), 403);
    assert_non_null(strstr(answer.headers[1].value, "scope=\"write\""));
    assert_non_null(
        strstr(answer.body.data, "the scope write, which the token \\\"reader\\\" does not have"));
    api_answer_free(&answer);
    // A token in a URL is none: it would stand in logs.
    char target[128];
    snprintf(target, sizeof target, "/v1/jobs?access_token=%s", secret);
    assert_int_equal(knock(&guarded, "GET", target, NULL, API_PUBLIC, NULL, &answer), 400);
    api_answer_free(&answer);
    assert_int_equal(tokens_revoke(service->folder, "reader", NULL), NABLA_OK);
    unguard(&guarded);
}

static int status_of(const struct guarded *guarded, const char *target, const char *secret, const char *body,
                     char ret_detail[512])
{
    struct api_call *call;
    struct api_answer answer = {.fd = -1};
    int status = knock(guarded, "POST", target, secret, API_PUBLIC, &call, &answer);
    if (status == 0) {
        if (api_body(call, body, strlen(body), &answer))
            api_handle(call, &answer);
        status = answer.status;
    }
    snprintf(ret_detail, 512, "%s", answer.body.data ? answer.body.data : "");
    api_answer_free(&answer);
    api_close(call);
    return status;
}

#define JOB(rows, seed)                                                                                      \
    "{\"dataset\":{\"generator\":\"moons\",\"rows\":" rows ",\"seed\":" seed                                 \
    "},\"model\":{\"layers\":[{\"units\":2}]},\"training\":{\"epochs\":1}}"

// Each limit of a token stops what exceeds it, by its name, and lets pass what does not.
static void each_limit_of_a_token_holds(void **state)
{
    const struct service *service = *state;
    struct guarded guarded = guard(service, api_limits_defaults());
    static const struct {
        const char *limit;
        struct token_grant grant;
        const char *target, *fits, *exceeds;
        int status;
    } cases[] = {
        {"max_body",
         {.body_bytes = 40},
         "/v1/losses",
         "{\"logits\":[1,2],\"labels\":1}",
         "{\"logits\":[1,2,3,4,5,6,7,8,9],\"labels\":1}",
         413},
        {"max_queued_jobs", {.queued_jobs = 1}, "/v1/jobs", JOB("20", "1"), JOB("20", "2"), 429},
        {"max_dataset_rows", {.dataset_rows = 30}, "/v1/jobs", JOB("20", "3"), JOB("31", "4"), 413},
        {"max_disk", {.disk_bytes = 600}, "/v1/jobs", JOB("20", "5"), JOB("40", "6"), 413},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_grant grant = cases[i].grant;
        char secret[TOKENS_SECRET_SIZE], detail[512];
        grant.scopes = SCOPE_WRITE | SCOPE_READ;
        strcpy(grant.name, "limited");
        assert_int_equal(tokens_create(service->folder, &grant, secret, NULL), NABLA_OK);
        int fits = status_of(&guarded, cases[i].target, secret, cases[i].fits, detail);
        if (fits / 100 != 2)
            fail_msg("%s: %d %s", cases[i].limit, fits, detail);
        assert_int_equal(status_of(&guarded, cases[i].target, secret, cases[i].exceeds, detail),
                         cases[i].status);
        if (!strstr(detail, cases[i].limit))
            fail_msg("%s is not named: %s", cases[i].limit, detail);
        assert_int_equal(tokens_revoke(service->folder, "limited", NULL), NABLA_OK);
    }
    unguard(&guarded);
}

static void requests_in_parallel_are_counted(void **state)
{
    const struct service *service = *state;
    struct guarded guarded = guard(service, api_limits_defaults());
    struct token_grant grant = {.scopes = SCOPE_READ, .name = "two", .requests = 2};
    char secret[TOKENS_SECRET_SIZE];
    struct api_call *calls[2];
    struct api_answer answer;
    assert_int_equal(tokens_create(service->folder, &grant, secret, NULL), NABLA_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(knock(&guarded, "GET", "/v1/jobs", secret, API_PUBLIC, &calls[i], &answer), 0);
    assert_int_equal(knock(&guarded, "GET", "/v1/jobs", secret, API_PUBLIC, NULL, &answer), 429);
    assert_non_null(strstr(answer.body.data, "max_requests"));
    api_answer_free(&answer);
    api_close(calls[0]);
    assert_int_equal(door(&guarded, "GET", "/v1/jobs", secret, API_PUBLIC), 0);
    api_close(calls[1]);
    assert_int_equal(tokens_revoke(service->folder, "two", NULL), NABLA_OK);
    unguard(&guarded);
}

// What goes on beyond its door: a stream, and a request that waits. Each is asked again once the token that
// opened it is gone, by revocation or by its time, and while it stands.
static void what_goes_on_ends_with_its_token(void **state)
{
    struct service *service = *state;
    struct guarded guarded = guard(service, api_limits_defaults());
    const struct client_job job = service_client_job(service);
    static const struct {
        const char *comment, *below;
        bool is_revoked, is_stream;
    } cases[] = {
        {"a stream", "/events", false, true},
        {"a stream of who was revoked", "/events", true, true},
        {"a wait", "", false, false},
        {"a wait of who was revoked", "", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char secret[TOKENS_SECRET_SIZE], bearer[128], bytes[4096];
        make(service->folder, "watcher", SCOPE_READ, secret);
        snprintf(bearer, sizeof bearer, "Bearer %s", secret);
        const struct api_header headers[] = {{"Authorization", bearer},
                                             {"Accept", cases[i].is_stream ? "text/event-stream" : "*/*"},
                                             {"Prefer", "wait=50"}};
        const struct api_request request = {.method = "GET",
                                            .target = text_of("/v1/jobs/%s%s", job.id, cases[i].below),
                                            .headers = headers,
                                            .header_count = 3};
        struct api_call *call;
        struct api_answer answer;
        struct api_wait wait;
        print_message("%s\n", cases[i].comment);
        api_open(guarded.api, &request, &call, &answer);
        assert_non_null(call);
        api_handle(call, &answer);
        assert_int_equal(answer.kind, cases[i].is_stream ? API_STREAM : API_WAIT);
        ssize_t end = 0;
        while (cases[i].is_stream && end >= 0) // to where it waits
            end = answer.stream.pull(answer.stream.context, bytes, sizeof bytes, &wait);
        if (cases[i].is_revoked)
            assert_int_equal(tokens_revoke(service->folder, "watcher", NULL), NABLA_OK);
        if (cases[i].is_stream) {
            end = answer.stream.pull(answer.stream.context, bytes, sizeof bytes, &wait);
            assert_int_equal(end, cases[i].is_revoked ? API_STREAM_END : API_STREAM_WAIT);
        } else {
            api_answer_free(&answer);
            api_handle(call, &answer);
            assert_int_equal(answer.kind, API_COMPLETE);
            assert_int_equal(answer.status, cases[i].is_revoked ? 401 : 200);
        }
        api_answer_free(&answer);
        api_close(call);
        if (!cases[i].is_revoked)
            assert_int_equal(tokens_revoke(service->folder, "watcher", NULL), NABLA_OK);
    }
    unguard(&guarded);
}

static void the_folder_has_a_limit(void **state)
{
    const struct service *service = *state;
    struct api_limits limits = api_limits_defaults();
    limits.disk_bytes = 1024; // the database alone is larger
    struct guarded guarded = guard(service, limits);
    char secret[TOKENS_SECRET_SIZE], detail[512];
    make(service->folder, "writer", SCOPE_READ | SCOPE_WRITE, secret);
    assert_int_equal(status_of(&guarded, "/v1/jobs", secret, JOB("20", "7"), detail), 507);
    assert_non_null(strstr(detail, "max_disk"));
    assert_int_equal(status_of(&guarded, "/v1/jobs", secret, "{\"executor\":\"client\"}", detail), 507);
    assert_non_null(strstr(detail, "max_disk")); // a job alone is held to it, too
    assert_int_equal(door(&guarded, "GET", "/v1/jobs", secret, API_PUBLIC), 0);
    assert_int_equal(tokens_revoke(service->folder, "writer", NULL), NABLA_OK);
    unguard(&guarded);
}

static int setup(void **state)
{
    *state = service_open();
    return 0;
}

static int teardown(void **state)
{
    service_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_told_once_and_kept_as_its_hash),
        cmocka_unit_test(names_are_unique_and_plain),
        cmocka_unit_test(scopes_bring_those_below_them),
        cmocka_unit_test(a_table_follows_the_file),
        cmocka_unit_test(an_expired_token_is_none),
        cmocka_unit_test(every_route_asks_for_its_scope),
        cmocka_unit_test(a_refusal_says_what_is_missing),
        cmocka_unit_test(each_limit_of_a_token_holds),
        cmocka_unit_test(requests_in_parallel_are_counted),
        cmocka_unit_test(what_goes_on_ends_with_its_token),
        cmocka_unit_test(the_folder_has_a_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
