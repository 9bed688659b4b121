// The contract says what the route table says, and its examples are true.
#include "api/handler.h"
#include "store/store.h"
#include "tests/exchange.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    struct api *api;
    struct store *store;
    json_t *contract;
    char folder[64];
};

static int set_up(void **state)
{
    struct nabla_error err;
    struct api_answer answer;
    struct exchange exchange = {.method = "GET", .target = "/openapi.json"};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct api_options options = {.limits = api_limits_defaults()};
    strcpy(fixture->folder, "/tmp/nabla_test_contract_XXXXXX");
    if (!mkdtemp(fixture->folder) || store_open(fixture->folder, &fixture->store, &err))
        return 1;
    options.store = fixture->store;
    if (api_new(&options, &fixture->api, &err))
        return 1;
    exchange_run(fixture->api, &exchange, &answer);
    fixture->contract = json_loadb(answer.body.data, answer.body.size, JSON_REJECT_DUPLICATES, NULL);
    api_answer_free(&answer);
    *state = fixture;
    return fixture->contract ? 0 : 1;
}

static int tear_down(void **state)
{
    char command[100];
    struct fixture *fixture = *state;
    json_decref(fixture->contract);
    api_free(fixture->api);
    store_close(fixture->store);
    snprintf(command, sizeof command, "rm -r %s", fixture->folder);
    int left = system(command);
    free(fixture);
    return left;
}

static json_t *operation_of(json_t *contract, const char *pattern, const char *method)
{
    char lower[8] = "";
    for (size_t i = 0; method[i] && i < sizeof lower - 1; i++)
        lower[i] = (char)(method[i] | 0x20);
    return json_object_get(json_object_get(json_object_get(contract, "paths"), pattern), lower);
}

// Follows "#/components/…".
static json_t *resolve(json_t *contract, json_t *node)
{
    char part[64];
    const char *at = json_string_value(json_object_get(node, "$ref"));
    if (!at)
        return node;
    node = contract;
    for (at += 2; *at; at += *at == '/') {
        size_t length = strcspn(at, "/");
        snprintf(part, sizeof part, "%.*s", (int)length, at);
        node = json_object_get(node, part);
        at += length;
    }
    return node;
}

static void test_every_route_is_documented_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    static const char *const methods[] = {"get",   "put",  "post",    "delete",
                                          "patch", "head", "options", "trace"};
    const char *path;
    json_t *item;
    size_t documented = 0;
    for (size_t i = 0; i < api_route_count; i++)
        if (!operation_of(fixture->contract, api_routes[i].pattern, api_routes[i].method))
            fail_msg("%s %s is not documented", api_routes[i].method, api_routes[i].pattern);
    json_object_foreach(json_object_get(fixture->contract, "paths"), path, item)
    {
        for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
            documented += json_object_get(item, methods[i]) != NULL;
    }
    assert_int_equal(documented, api_route_count);
}

static void assert_media(const struct route *route, json_t *content, unsigned bits, const char *what)
{
    static const enum route_media all[] = {MEDIA_JSON, MEDIA_CSV,    MEDIA_SAFETENSORS, MEDIA_EVENT_STREAM,
                                           MEDIA_NPY,  MEDIA_TEXT,   MEDIA_BYTES,       MEDIA_HTML,
                                           MEDIA_CSS,  MEDIA_SCRIPT, MEDIA_ZIP,         MEDIA_NPZ};
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool has = json_object_get(content, media_name(all[i])) != NULL;
        if (has != !!(bits & all[i]))
            fail_msg("%s %s: %s of %s", route->method, route->pattern, what, media_name(all[i]));
        count += has;
    }
    assert_int_equal(json_object_size(content), count);
}

// The answers of success have exactly the types that Accept chooses from.
static json_t *success_content(json_t *contract, json_t *operation)
{
    static const char *const codes[] = {"200", "201", "202"};
    json_t *responses = json_object_get(operation, "responses");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (json_object_get(responses, codes[i]))
            return json_object_get(resolve(contract, json_object_get(responses, codes[i])), "content");
    return NULL;
}

// What an operation's "security" says, as it stands in the contract; "" where it has none of its own.
static const char *const identity_texts[] = {
    [IDENTITY_BY_METHOD] = "",
    [IDENTITY_READ] = "[{},{\"token\":[\"read\"]}]",
    [IDENTITY_ADMIN] = "[{},{\"token\":[\"admin\"]}]",
    [IDENTITY_JOB] = "[{\"jobToken\":[]}]",
    [IDENTITY_ANYONE] = "[]",
};

static const char *security_of(const json_t *operation)
{
    static char text[128];
    const json_t *security = json_object_get(operation, "security");
    text[security ? json_dumpb(security, text, sizeof text - 1, JSON_COMPACT) : 0] = '\0';
    return text;
}

static void test_media_types_are_those_of_the_routes(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < api_route_count; i++) {
        const struct route *route = &api_routes[i];
        json_t *operation = operation_of(fixture->contract, route->pattern, route->method);
        json_t *body = json_object_get(operation, "requestBody");
        assert_media(route, json_object_get(body, "content"), route->accepts, "a request");
        assert_media(route, success_content(fixture->contract, operation), route->produces, "an answer");
        assert_string_equal(security_of(operation), identity_texts[route->identity]);
    }
}

static bool route_knows(const struct route *route, const char *name)
{
    for (const char *const *at = route->query; at && *at; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

static void test_query_parameters_are_those_of_the_routes(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < api_route_count; i++) {
        const struct route *route = &api_routes[i];
        json_t *operation = operation_of(fixture->contract, route->pattern, route->method);
        json_t *parameters = json_object_get(operation, "parameters"), *listed;
        size_t index, documented = 0, known = 0;
        json_array_foreach(parameters, index, listed)
        {
            json_t *parameter = resolve(fixture->contract, listed);
            const char *name = json_string_value(json_object_get(parameter, "name"));
            if (strcmp(json_string_value(json_object_get(parameter, "in")), "query") != 0)
                continue;
            documented++;
            if (!route_knows(route, name))
                fail_msg("%s %s does not know %s", route->method, route->pattern, name);
        }
        for (const char *const *at = route->query; at && *at; at++)
            known++;
        assert_int_equal(documented, known);
    }
}

// What an example's answer may differ in: texts for people.
static void forget_details(json_t *answer)
{
    size_t index;
    json_t *warning;
    json_array_foreach(json_object_get(answer, "warnings"), index, warning)
    {
        json_object_del(warning, "detail");
    }
}

static bool is_close(json_t *a, json_t *b);

static bool members_are_close(json_t *a, json_t *b)
{
    const char *name;
    json_t *member;
    json_object_foreach(a, name, member)
    {
        json_t *other = json_object_get(b, name);
        if (!other || !is_close(member, other))
            return false;
    }
    return json_object_size(a) == json_object_size(b);
}

// Equal but for the last digits of numbers: kernels may differ there.
static bool is_close(json_t *a, json_t *b)
{
    double x = json_number_value(a), y = json_number_value(b);
    if (json_is_number(a) && json_is_number(b))
        return fabs(x - y) <= 1e-13 * fmax(fabs(x), fabs(y));
    if (json_is_object(a) && json_is_object(b))
        return members_are_close(a, b);
    if (!json_is_array(a) || !json_is_array(b))
        return json_equal(a, b);
    for (size_t i = 0; i < json_array_size(a); i++)
        if (i >= json_array_size(b) || !is_close(json_array_get(a, i), json_array_get(b, i)))
            return false;
    return json_array_size(a) == json_array_size(b);
}

static void assert_answer(const char *name, json_t *expected, const struct api_answer *answer)
{
    json_t *got = json_loadb(answer->body.data, answer->body.size, 0, NULL);
    json_t *wanted = json_deep_copy(expected);
    forget_details(got);
    forget_details(wanted);
    char *text = json_dumps(got, JSON_COMPACT);
    if (wanted && !is_close(got, wanted))
        fail_msg("the example %s answers %s", name, text);
    free(text);
    json_decref(got);
    json_decref(wanted);
}

static void run_example(struct fixture *fixture, const struct route *route, const char *media,
                        const char *name, json_t *value, json_t *answers)
{
    char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_COMPACT);
    struct exchange exchange = {.method = route->method,
                                .target = route->pattern,
                                .headers = {{"Content-Type", media}},
                                .body = text};
    struct api_answer answer;
    print_message("%s %s: %s\n", route->method, route->pattern, name);
    exchange_run(fixture->api, &exchange, &answer);
    if (answer.status < 200 || answer.status > 299)
        fail_msg("%s %s, example %s: %d %s", route->method, route->pattern, name, answer.status,
                 answer.body.data);
    assert_answer(name, json_object_get(json_object_get(answers, name), "value"), &answer);
    api_answer_free(&answer);
    free(text);
}

// Wherever the path has no parameter, the examples of requests are sent as they stand; where an answer's
// example has the same name, it is the answer.
static void test_examples_are_true(void **state)
{
    struct fixture *fixture = *state;
    size_t count = 0;
    for (size_t i = 0; i < api_route_count; i++) {
        const struct route *route = &api_routes[i];
        json_t *operation = operation_of(fixture->contract, route->pattern, route->method), *content,
               *example;
        json_t *answers = json_object_get(
            json_object_get(success_content(fixture->contract, operation), "application/json"), "examples");
        const char *media, *name;
        if (strchr(route->pattern, '{'))
            continue;
        json_object_foreach(json_object_get(json_object_get(operation, "requestBody"), "content"), media,
                            content)
        {
            json_t *single = json_object_get(content, "example");
            if (single)
                run_example(fixture, route, media, media, single, NULL);
            count += single != NULL;
            json_object_foreach(json_object_get(content, "examples"), name, example)
            {
                run_example(fixture, route, media, name, json_object_get(example, "value"), answers);
                count++;
            }
        }
    }
    assert_true(count >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_documented_and_nothing_else),
        cmocka_unit_test(test_media_types_are_those_of_the_routes),
        cmocka_unit_test(test_query_parameters_are_those_of_the_routes),
        cmocka_unit_test(test_examples_are_true),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
