// The dashboard's files: exact names, a strict policy, and nothing inline that the policy would stop.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/service.h"

static struct api_answer ask(struct service *service, const char *target, const char *accept,
                             const char *etag)
{
    struct request request = {.method = "GET", .target = target, .headers = {{"Accept", accept}}};
    if (etag)
        request.headers[1] = (struct api_header){"If-None-Match", etag};
    return service_send(service, &request);
}

static void each_file_has_its_type_and_policy(void **state)
{
    static const struct {
        const char *target, *accept, *type, *part;
    } files[] = {
        {"/", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8",
         "<script src=\"/dashboard.js\" type=\"module\"></script>"},
        {"/dashboard.css", "text/css,*/*;q=0.1", "text/css; charset=utf-8", "prefers-color-scheme: dark"},
        {"/dashboard.js", "*/*", "text/javascript; charset=utf-8", "from \"./dashboard-server.js\""},
        {"/dashboard-server.js", "*/*", "text/javascript; charset=utf-8", "If-None-Match"},
        {"/dashboard-charts.js", "*/*", "text/javascript; charset=utf-8", "export function lines"},
        {"/dashboard-compare.js", "*/*", "text/javascript; charset=utf-8", "/v1/metrics?job="},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct api_answer answer = ask(*state, files[i].target, files[i].accept, NULL);
        char etag[64];
        answer_expect(&answer, 200, files[i].target);
        assert_string_equal(answer_value(&answer, "Content-Type"), files[i].type);
        assert_non_null(strstr(answer.body.data, files[i].part));
        const char *policy = answer_value(&answer, "Content-Security-Policy");
        assert_non_null(strstr(policy, "default-src 'none'"));
        assert_null(strstr(policy, "unsafe"));
        snprintf(etag, sizeof etag, "%s", answer_value(&answer, "ETag"));
        api_answer_free(&answer);
        answer = ask(*state, files[i].target, files[i].accept, etag);
        answer_expect(&answer, 304, files[i].target);
        api_answer_free(&answer);
    }
}

static void nothing_is_inline(void **state)
{
    static const char *const stopped[] = {
        "<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"};
    struct api_answer answer = ask(*state, "/", "text/html", NULL);
    answer_expect(&answer, 200, "the page");
    for (size_t i = 0; i < sizeof stopped / sizeof *stopped; i++)
        if (strstr(answer.body.data, stopped[i]))
            fail_msg("the page has %s", stopped[i]);
    for (const char *at = answer.body.data; (at = strstr(at, "<script")); at++)
        assert_memory_equal(at, "<script src=", strlen("<script src="));
    api_answer_free(&answer);
}

static void a_program_still_gets_the_links(void **state)
{
    static const char *const accepts[] = {"*/*", "application/json"};
    for (size_t i = 0; i < sizeof accepts / sizeof *accepts; i++) {
        struct api_answer answer = ask(*state, "/", accepts[i], NULL);
        answer_expect(&answer, 200, accepts[i]);
        assert_string_equal(answer_value(&answer, "Content-Type"), "application/json");
        api_answer_free(&answer);
    }
}

static void there_is_no_other_file(void **state)
{
    static const char *const targets[] = {"/dashboard.html",         "/dashboard.js/",
                                          "/dashboard/dashboard.js", "/dashboard.css%2f..",
                                          "/..%2fdashboard.js",      "/dashboard.jsx"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct api_answer answer = ask(*state, targets[i], "*/*", NULL);
        if (answer.status != 404 && answer.status != 400)
            fail_msg("%s: %d", targets[i], answer.status);
        api_answer_free(&answer);
    }
}

static int set_up(void **state)
{
    *state = service_open();
    return 0;
}

static int tear_down(void **state)
{
    service_close(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_file_has_its_type_and_policy),
        TEST(nothing_is_inline),
        TEST(a_program_still_gets_the_links),
        TEST(there_is_no_other_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
