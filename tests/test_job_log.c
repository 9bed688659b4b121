// A job's log: read as text from a place on, and followed line by line to the job's end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/service.h"

enum { LINE = 999, LINES = 1200, MOST = 1 << 20 };

// As the job's worker does.
static void append(struct client_fixture *fixture, const char *text)
{
    const char *folder = text_of("%s/jobs/%s", fixture->service->folder, fixture->job.id);
    mkdir(folder, 0700);
    FILE *log = fopen(text_of("%s/log", folder), "a");
    assert_non_null(log);
    fputs(text, log);
    fclose(log);
}

static void append_lines(struct client_fixture *fixture)
{
    char line[LINE + 1];
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "%*d\n", LINE - 1, i);
        append(fixture, line);
    }
}

// --- as text

static void expect_log(struct client_fixture *fixture, const char *query, const char *text, const char *after)
{
    struct api_answer answer =
        service_ask(fixture->service, "GET", text_of("/v1/jobs/%s/log%s", fixture->job.id, query), NULL);
    answer_expect(&answer, 200, query);
    assert_string_equal(answer.body.data ? answer.body.data : "", text);
    assert_string_equal(answer_value(&answer, "Nabla-After"), after);
    assert_string_equal(answer_value(&answer, "Content-Type"), "text/plain; charset=utf-8");
    api_answer_free(&answer);
}

static void a_log_is_read_from_where_one_was(void **state)
{
    struct client_fixture *fixture = *state;
    expect_log(fixture, "", "", "0");
    append(fixture, "attempt 1\nkilled\n");
    expect_log(fixture, "", "attempt 1\nkilled\n", "17");
    expect_log(fixture, "?after=10", "killed\n", "17");
    expect_log(fixture, "?after=17&format=text", "", "17");
    expect_log(fixture, "?after=99", "", "99");
}

static void a_bad_query_is_refused(void **state)
{
    struct client_fixture *fixture = *state;
    static const char *const queries[] = {"after=x",
                                          "after=-1",
                                          "format=csv",
                                          "format=events&after=x",
                                          "after=1e3",
                                          "format=events&after=-1",
                                          "after=9007199254740992",
                                          "format=events&after=9007199254740992"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        service_expect(fixture->service, "GET", text_of("/v1/jobs/%s/log?%s", fixture->job.id, queries[i]),
                       NULL, 400);
    service_expect(fixture->service, "GET", "/v1/jobs/job_00000000000000000000/log", NULL, 404);
    service_expect(fixture->service, "GET", "/v1/jobs/job_00000000000000000000/log?format=events", NULL, 404);
}

static void a_long_log_is_cut_behind_a_line(void **state)
{
    struct client_fixture *fixture = *state;
    append_lines(fixture);
    struct api_answer answer =
        service_ask(fixture->service, "GET", text_of("/v1/jobs/%s/log", fixture->job.id), NULL);
    answer_expect(&answer, 200, "the first part");
    assert_int_equal(answer.body.size, MOST / LINE * LINE);
    assert_string_equal(answer_value(&answer, "Nabla-After"), text_of("%d", MOST / LINE * LINE));
    api_answer_free(&answer);
    answer = service_ask(fixture->service, "GET",
                         text_of("/v1/jobs/%s/log?after=%d", fixture->job.id, MOST / LINE * LINE), NULL);
    assert_int_equal(answer.body.size, LINES * LINE - MOST / LINE * LINE);
    api_answer_free(&answer);
}

// --- as a stream

static struct api_answer follow(struct client_fixture *fixture, const char *last)
{
    const struct request request = {
        .method = "GET",
        .target = text_of("/v1/jobs/%s/log", fixture->job.id),
        .headers = {{"Accept", "text/event-stream"}, {last ? "Last-Event-ID" : NULL, last}}};
    return service_send(fixture->service, &request);
}

// What is told until the stream waits or ends; the caller frees it.
static char *pull(struct api_answer *answer, ssize_t expected_end)
{
    struct buffer text = buffer_new(8 << 20);
    struct api_wait wait;
    char bytes[1000];
    ssize_t count;
    assert_int_equal(answer->kind, API_STREAM);
    while ((count = answer->stream.pull(answer->stream.context, bytes, sizeof bytes, &wait)) >= 0)
        buffer_append(&text, bytes, (size_t)count);
    assert_int_equal(count, expected_end);
    if (count == API_STREAM_WAIT) // workers tell nobody when they write
        assert_true(wait.deadline_ms <= clock_monotonic_ms() + 1000);
    buffer_char(&text, '\0');
    return buffer_steal(&text, NULL);
}

static void expect_pull(struct api_answer *answer, ssize_t expected_end, const char *expected)
{
    char *text = pull(answer, expected_end);
    assert_string_equal(text, expected);
    free(text);
}

// Any change of the job makes a stream look before its second is over.
static void change(struct client_fixture *fixture)
{
    client_posts(fixture->service, &fixture->job, "metrics", "{\"attempt\":1,\"progress\":{\"step\":1}}",
                 200);
}

static void finish(struct client_fixture *fixture)
{
    client_posts(fixture->service, &fixture->job, "state", "{\"attempt\":1,\"state\":\"succeeded\"}", 200);
}

static void a_log_is_followed_line_by_line_to_the_end(void **state)
{
    struct client_fixture *fixture = *state;
    struct api_answer stream = follow(fixture, NULL);
    expect_pull(&stream, API_STREAM_WAIT, "retry: 2000\n\n");
    append(fixture, "one\ntwo\nhal");
    change(fixture);
    expect_pull(&stream, API_STREAM_WAIT, "id: 8\nevent: log\ndata: one\ndata: two\n\n");
    change(fixture);
    expect_pull(&stream, API_STREAM_WAIT, "");
    append(fixture, "f\n\n");
    change(fixture);
    expect_pull(&stream, API_STREAM_WAIT, "id: 14\nevent: log\ndata: half\ndata: \n\n");
    append(fixture, "10 %\r20 %\rcut");
    finish(fixture);
    expect_pull(&stream, API_STREAM_END, "id: 27\nevent: log\ndata: 10 %\ndata: 20 %\ndata: cut\n\n");
    api_answer_free(&stream);
}

static void a_follower_comes_back_to_where_it_was(void **state)
{
    struct client_fixture *fixture = *state;
    append(fixture, "one\ntwo\n");
    struct api_answer stream = follow(fixture, "4");
    expect_pull(&stream, API_STREAM_WAIT, "retry: 2000\n\nid: 8\nevent: log\ndata: two\n\n");
    api_answer_free(&stream);
    finish(fixture);
    stream = follow(fixture, "4");
    expect_pull(&stream, API_STREAM_END, "retry: 2000\n\nid: 8\nevent: log\ndata: two\n\n");
    api_answer_free(&stream);
    stream = follow(fixture, "8");
    answer_expect(&stream, 204, "nothing is left to tell");
    api_answer_free(&stream);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

static void a_long_log_comes_in_several_events(void **state)
{
    enum { EVENT_MOST = 64 << 10, EVENT_LINES = EVENT_MOST / LINE };
    struct client_fixture *fixture = *state;
    append_lines(fixture);
    finish(fixture);
    struct api_answer stream = follow(fixture, NULL);
    char *text = pull(&stream, API_STREAM_END);
    assert_int_equal(count_of(text, "event: log"), (LINES + EVENT_LINES - 1) / EVENT_LINES);
    assert_int_equal(count_of(text, "\ndata: "), LINES);
    assert_non_null(strstr(text, text_of("\nid: %d\n", LINES * LINE)));
    free(text);
    api_answer_free(&stream);
}

// A line longer than an event is cut, not waited for.
static void an_endless_line_is_told_in_pieces(void **state)
{
    struct client_fixture *fixture = *state;
    for (int i = 0; i < 700; i++)
        append(fixture, "................................................................................"
                        "....................");
    struct api_answer stream = follow(fixture, NULL);
    char *text = pull(&stream, API_STREAM_WAIT);
    assert_int_equal(count_of(text, "event: log"), 1);
    assert_non_null(strstr(text, "id: 65536\n"));
    free(text);
    api_answer_free(&stream);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_set_up, client_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_log_is_read_from_where_one_was),      TEST(a_bad_query_is_refused),
        TEST(a_long_log_is_cut_behind_a_line),       TEST(a_log_is_followed_line_by_line_to_the_end),
        TEST(a_follower_comes_back_to_where_it_was), TEST(a_long_log_comes_in_several_events),
        TEST(an_endless_line_is_told_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
