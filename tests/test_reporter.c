// What a worker tells of its end when a report before it was refused.
#include "server/reporter.h"

#include "server/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct nabla_error err;

// Gives a connection on which the answer stands already. Returns the server's end.
static int give(int line, const char *answer)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(send(ends[0], answer, strlen(answer), 0), (ssize_t)strlen(answer));
    assert_true(line_answer(line, ends[1]));
    close(ends[1]);
    return ends[0];
}

#define REFUSAL(status, body, length)                                                                        \
    "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: " length "\r\n\r\n" body
static const char taken[] = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"requested\":null}";
static const char failed[] = "{\"code\":\"invalid\",\"detail\":\"why\"}", done[] = "{\"loss\":1}";

static const struct {
    const char *comment, *refusal;
    struct reporter_end end;
    enum nabla_code code;
    const char *told; // by the state that is sent; NULL: none is
    const char *text; // of the error
} ends[] = {
    {"too large a report, and a failure",
     REFUSAL("413 Content Too Large", "{\"detail\":\"so large\"}", "21"),
     {.state = "failed", .error = failed},
     NABLA_OK,
     "{\"attempt\":3,\"state\":\"failed\",\"error\":",
     NULL},
    {"a wrong one, and a failure",
     REFUSAL("422 Unprocessable Content", "{}", "2"),
     {.state = "failed", .error = failed},
     NABLA_OK,
     "{\"attempt\":3,\"state\":\"failed\",\"error\":",
     NULL},
    {"too large a report, and a success",
     REFUSAL("413 Content Too Large", "{\"detail\":\"so large\"}", "21"),
     {.state = "succeeded", .result = done},
     NABLA_INVALID,
     NULL,
     "the server refused a report with 413: so large"},
    {"another attempt, and a failure",
     REFUSAL("409 Conflict", "{}", "2"),
     {.state = "failed", .error = failed},
     NABLA_CONFLICT,
     NULL,
     "the server wants no more of this attempt (409)"},
};

static void an_end_is_told_where_a_report_was_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        int server, worker;
        char request[1024] = "";
        print_message("%s\n", ends[i].comment);
        assert_int_equal(line_make(&server, &worker, &err), NABLA_OK);
        int first = give(server, ends[i].refusal), second = give(server, taken);
        const struct reporter_options options = {.line = worker, .job = "j", .token = "t", .attempt = 3};
        struct reporter *reporter;
        assert_int_equal(reporter_new(&options, &reporter, &err), NABLA_OK);
        reporter_event(reporter, "note", "something");
        assert_int_equal(reporter_start(reporter, &err), NABLA_OK);
        assert_int_equal(reporter_finish(reporter, &ends[i].end, &err), ends[i].code);
        if (ends[i].text)
            assert_string_equal(err.text, ends[i].text);
        bool is_told = recv(second, request, sizeof request - 1, MSG_DONTWAIT) > 0;
        assert_int_equal(is_told, ends[i].told != NULL);
        if (ends[i].told)
            assert_non_null(strstr(request, "POST /v1/jobs/j/state "));
        for (size_t size = strlen(request); ends[i].told && !strstr(request, ends[i].told);) {
            ssize_t more = recv(second, request + size, sizeof request - 1 - size, MSG_DONTWAIT);
            assert_true(more > 0);
            size += (size_t)more;
        }
        reporter_free(reporter);
        close(first);
        close(second);
        close(server);
        close(worker);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_is_told_where_a_report_was_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
