#include "server/http_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { HEADERS = 4 };

struct guard_case {
    const char *comment;
    bool is_sound;
    struct http_head head;
    struct api_header headers[HEADERS];
};

static struct http_head head_of(const struct guard_case *test)
{
    struct http_head head = test->head;
    head.method = head.method ? head.method : "POST";
    head.version = head.version ? head.version : "HTTP/1.1";
    head.target = head.target ? head.target : "/v1/losses";
    head.headers = test->headers;
    while (head.header_count < HEADERS && test->headers[head.header_count].name)
        head.header_count++;
    return head;
}

static void unsound_requests_are_refused(void **state)
{
    (void)state;
    static const struct guard_case cases[] = {
        {"plain", true, {0}, {{"Host", "a"}}},
        {"with a length", true, {0}, {{"Host", "a"}, {"Content-Length", "3"}}},
        {"chunked", true, {0}, {{"Host", "a"}, {"Transfer-Encoding", "Chunked"}}},
        {"the old protocol needs no host", true, {.version = "HTTP/1.0"}, {{0}}},
        {"every byte of a token", true, {0}, {{"Host", "a"}, {"X!#$%&'*+-.^_`|~09", "v"}}},
        {"a tab in a value", true, {0}, {{"Host", "a"}, {"X-Tab", "a\tb"}}},
        {"no host", false, {0}, {{0}}},
        {"two hosts", false, {0}, {{"Host", "a"}, {"host", "a"}}},
        {"two lengths", false, {0}, {{"Host", "a"}, {"Content-Length", "3"}, {"Content-Length", "30"}}},
        {"two lengths that agree",
         false,
         {0},
         {{"Host", "a"}, {"Content-Length", "3"}, {"content-length", "3"}}},
        {"length and encoding",
         false,
         {0},
         {{"Host", "a"}, {"Content-Length", "3"}, {"Transfer-Encoding", "chunked"}}},
        {"two encodings",
         false,
         {0},
         {{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}},
        {"another encoding first", false, {0}, {{"Host", "a"}, {"Transfer-Encoding", "gzip, chunked"}}},
        {"an encoding in disguise", false, {0}, {{"Host", "a"}, {"Transfer-Encoding", "xchunked"}}},
        {"chunked in the old protocol", false, {.version = "HTTP/1.0"}, {{"Transfer-Encoding", "chunked"}}},
        {"a name with a space", false, {0}, {{"Host", "a"}, {"Content-Length ", "37"}}},
        {"a name with a bracket", false, {0}, {{"Host", "a"}, {"X[0]", "1"}}},
        {"an empty name", false, {0}, {{"Host", "a"}, {"", "1"}}},
        {"a length with a sign", false, {0}, {{"Host", "a"}, {"Content-Length", "+3"}}},
        {"a length with a space inside", false, {0}, {{"Host", "a"}, {"Content-Length", "3 3"}}},
        {"an empty length", false, {0}, {{"Host", "a"}, {"Content-Length", ""}}},
        {"a hexadecimal length", false, {0}, {{"Host", "a"}, {"Content-Length", "0x10"}}},
        {"a line break in a value", false, {0}, {{"Host", "a"}, {"X-Line", "a\nb"}}},
        {"two content types", false, {0}, {{"Host", "a"}, {"Content-Type", "a/b"}, {"Content-Type", "c/d"}}},
        {"two tokens",
         false,
         {0},
         {{"Host", "a"}, {"Authorization", "Bearer a"}, {"Authorization", "Bearer b"}}},
        {"an encoded NUL", false, {.target = "/g%00secret"}, {{"Host", "a"}}},
        {"a raw byte above ASCII", false, {.target = "/\xc3\xa9"}, {{"Host", "a"}}},
        {"a space in the target", false, {.target = "/a b"}, {{"Host", "a"}}},
        {"a method that is no token", false, {.method = "GE(T"}, {{"Host", "a"}}},
        {"another protocol", false, {.version = "HTTP/2.0"}, {{"Host", "a"}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct http_head head = head_of(&cases[i]);
        const char *wrong = http_guard_check(&head);
        if ((wrong == NULL) != cases[i].is_sound)
            fail_msg("%s: %s", cases[i].comment, wrong ? wrong : "was let through");
    }
}

// A head as the library leaves it: "~" stands for the NUL that it writes, "|" for one that was there.
static const struct layout_case {
    const char *comment, *lines;
    size_t count;
    struct {
        size_t name, value;
    } at[2];
    bool is_sound;
} layouts[] = {
    {"one header", "Host~ a~~~~", 1, {{0, 6}}, true},
    {"without a blank", "Host~a~~~~", 1, {{0, 5}}, true},
    {"without a value", "Host~~~~~", 1, {{0, 5}}, true},
    {"two", "Host~ a~~X~\tb~~~~", 2, {{0, 6}, {9, 12}}, true},
    {"a NUL in the last value", "Host~ a|b~~~~", 1, {{0, 6}}, false},
    {"a NUL in one before", "Host~ a|b~~X~ c~~~~", 2, {{0, 6}, {11, 14}}, false},
    {"a line that was lost", "Host~ a~~lost~ 1~~~~", 1, {{0, 6}}, false},
    {"one lost between", "Host~ a~~lost~ 1~~X~ c~~~~", 2, {{0, 6}, {18, 21}}, false},
    {"ended by LF alone", "Host~ a~X~ c~~~~", 2, {{0, 6}, {8, 11}}, false},
    {"a value that was moved", "Host~ a~~~~ a b~", 1, {{0, 12}}, false},
};

static void nothing_of_a_head_may_be_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const struct layout_case *test = &layouts[i];
        char memory[64] = "";
        struct api_header headers[2];
        for (size_t c = 0; test->lines[c]; c++)
            memory[c] = strchr("~|", test->lines[c]) ? '\0' : test->lines[c];
        for (size_t h = 0; h < test->count; h++)
            headers[h] = (struct api_header){memory + test->at[h].name, memory + test->at[h].value};
        print_message("%s\n", test->comment);
        assert_int_equal(http_guard_layout(headers, test->count) == NULL, test->is_sound);
    }
}

// As above: "~" is the library's NUL, "|" one that was there.
static void nothing_of_a_request_line_may_be_missing(void **state)
{
    (void)state;
    static const struct {
        const char *comment, *line;
        size_t target, length, version;
        bool is_sound;
    } cases[] = {
        {"a line", "GET~/a?b~HTTP/1.1~", 4, 4, 9, true},
        {"with blanks between", "GET~  /a~HTTP/1.1~", 6, 2, 9, true},
        {"a NUL behind the method", "GET|x~/a~HTTP/1.1~", 6, 2, 9, false},
        {"a NUL in the target", "GET~/a|b~HTTP/1.1~", 4, 2, 9, false},
        {"one at its end", "GET~/a|~HTTP/1.1~", 4, 2, 8, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char memory[64] = "";
        for (size_t c = 0; cases[i].line[c]; c++)
            memory[c] = strchr("~|", cases[i].line[c]) ? '\0' : cases[i].line[c];
        print_message("%s\n", cases[i].comment);
        const char *wrong =
            http_guard_line(memory, memory + cases[i].target, cases[i].length, memory + cases[i].version);
        assert_int_equal(wrong == NULL, cases[i].is_sound);
    }
}

static void a_body_is_what_the_head_declares(void **state)
{
    (void)state;
    static const struct {
        struct guard_case head;
        struct http_body body;
    } cases[] = {
        {{"none", true, {0}, {{"Host", "a"}}}, {0}},
        {{"of no bytes", true, {0}, {{"Content-Length", "0"}}}, {0}},
        {{"of seven", true, {0}, {{"content-length", "7"}}}, {.is_present = true, .length = 7}},
        {{"chunked", true, {0}, {{"Transfer-Encoding", "chunked"}}},
         {.is_present = true, .is_chunked = true}},
        {{"longer than 64 bits say", true, {0}, {{"Content-Length", "99999999999999999999"}}},
         {.is_present = true, .length = UINT64_MAX}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct http_head head = head_of(&cases[i].head);
        const struct http_body body = http_guard_body(&head);
        assert_int_equal(body.is_present, cases[i].body.is_present);
        assert_int_equal(body.is_chunked, cases[i].body.is_chunked);
        assert_true(body.length == cases[i].body.length);
    }
}

static void an_absolute_target_leads_to_its_path(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"/v1/jobs?limit=3", "/v1/jobs?limit=3"},
                                           {"http://host:1/v1/jobs?limit=3", "/v1/jobs?limit=3"},
                                           {"HTTP://host", "/"},
                                           {"http://host?x=1", "/"},
                                           {"*", "*"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(http_guard_path(cases[i][0]), cases[i][1]);
}

static void a_host_is_this_machine_s(void **state)
{
    (void)state;
    static const struct {
        const char *host, *names;
        bool is_own;
    } cases[] = {
        {NULL, "", true},
        {"", "", true},
        {"a", "", true},
        {"localhost:8080", "", true},
        {"me.LOCALHOST", "", true},
        {"127.0.0.1", "", true},
        {"10.1.2.3:80", "", true},
        {"[::1]:8080", "", true},
        {"evil.example", "", false},
        {"evil.example:8080", "", false},
        {"127.0.0.1.evil.example", "", false},
        {"localhost.evil.example", "", false},
        {"localhost.", "", true},
        {"localhost.:8080", "", true},
        {"me.localhost.:8080", "", true},
        {"nabla.", "", true},
        {".", "", true},
        {"evil.example.", "", false},
        {"evil.example..", "", false},
        {"localhost..", "", false},
        {"evil.notlocalhost.", "", false},
        {"here.example.:80", "here.example", true},
        {"here.example", "here.example.", true},
        {"x.notlocalhost", "", false},
        {"1.2.3.4x", "", false},
        {"here.example", "here.example", true},
        {"HERE.example:80", "there.example, here.example", true},
        {"here.example", "there.example,here.example.org", false},
        {"example", ",", true},
        {"b.example", "ab.example", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (http_guard_host(cases[i].host, cases[i].names) != cases[i].is_own)
            fail_msg("%s beside %s", cases[i].host, cases[i].names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsound_requests_are_refused),
        cmocka_unit_test(nothing_of_a_head_may_be_missing),
        cmocka_unit_test(nothing_of_a_request_line_may_be_missing),
        cmocka_unit_test(a_body_is_what_the_head_declares),
        cmocka_unit_test(a_host_is_this_machine_s),
        cmocka_unit_test(an_absolute_target_leads_to_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
