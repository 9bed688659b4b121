// How workers reach the server: the line by which they ask for connections, the broker that gives them, and
// the client that speaks HTTP over them.
#include "server/broker.h"
#include "server/http.h"
#include "server/line.h"
#include "server/line_client.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/service.h"

static struct nabla_error err;

// ---- the client, with a server that has answered before it is asked ----

static const struct {
    const char *comment, *answer;
    enum nabla_code code;
    int status;
    const char *body;
    bool is_reused; // the connection, for the next request
} answers[] = {
    {"an answer", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", NABLA_OK, 200, "hello", true},
    {"an empty one", "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n", NABLA_OK, 409, "", true},
    {"one without a body", "HTTP/1.1 204 No Content\r\n\r\n", NABLA_OK, 204, "", true},
    {"names in any case", "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length:2\r\n\r\nab", NABLA_OK, 200, "ab",
     true},
    {"a name in another header's value",
     "HTTP/1.1 200 OK\r\nA: Content-Length: 9\r\nContent-Length: 1\r\n\r\na", NABLA_OK, 200, "a", true},
    {"the connection's last", "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
     NABLA_OK, 503, "x", false},
    {"nothing", "", NABLA_BUSY, 0, "", false},
    {"half a head", "HTTP/1.1 200 OK\r\nContent-Le", NABLA_BUSY, 0, "", false},
    {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", NABLA_BUSY, 0, NULL, false},
    {"no length", "HTTP/1.1 200 OK\r\n\r\nhello", NABLA_INVALID, 0, "", false},
    {"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", NABLA_INVALID, 0, "", false},
    {"more than the length", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", NABLA_INVALID, 0, "", false},
    {"more than the limit", "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", NABLA_LIMIT, 0, "", false},
    {"another protocol", "SSH-2.0-x\r\n\r\n", NABLA_INVALID, 0, "", false},
    {"a status that is none", "HTTP/1.1 abc\r\n\r\n", NABLA_INVALID, 0, "", false},
};
enum { ANSWER_LIMIT = 64 };

struct pair {
    int server, worker; // the line's ends
    struct line_client *client;
};

static struct pair pair_open(void)
{
    struct pair pair;
    assert_int_equal(line_make(&pair.server, &pair.worker, &err), NABLA_OK);
    const struct line_client_options options = {
        .line = pair.worker, .token = "secret", .answer_limit = ANSWER_LIMIT};
    assert_int_equal(line_client_new(&options, &pair.client, &err), NABLA_OK);
    return pair;
}

static void pair_close(struct pair *pair)
{
    line_client_free(pair->client);
    close(pair->server);
    close(pair->worker);
}

// Gives a connection before it is asked for. Returns the server's end.
static int give(const struct pair *pair)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(line_answer(pair->server, ends[1]));
    close(ends[1]);
    return ends[0];
}

static enum nabla_code get(const struct pair *pair, struct line_answer *ret)
{
    const struct line_request request = {.method = "GET", .path = "/"};
    return line_client_send(pair->client, &request, ret, &err);
}

static void an_answer_is_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        print_message("%s\n", answers[i].comment);
        struct pair pair = pair_open();
        struct line_answer answer;
        int server = give(&pair);
        assert_int_equal(send(server, answers[i].answer, strlen(answers[i].answer), 0),
                         (ssize_t)strlen(answers[i].answer));
        if (answers[i].code == NABLA_BUSY)
            shutdown(server, SHUT_WR);
        assert_int_equal(get(&pair, &answer), answers[i].code);
        assert_int_equal(answer.status, answers[i].status);
        if (answers[i].body)
            assert_string_equal(answer.body.data ? answer.body.data : "", answers[i].body);
        line_answer_free(&answer);
        char end[512] = "";
        assert_true(recv(server, end, sizeof end - 1, 0) > 0);
        assert_non_null(strstr(end, "Authorization: Bearer secret\r\n"));
        // A connection that is kept has no end to be seen.
        assert_int_equal(recv(server, end, 1, MSG_DONTWAIT), answers[i].is_reused ? -1 : 0);
        close(server);
        pair_close(&pair);
    }
}

static void a_body_is_sent_with_its_length(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    struct line_answer answer;
    struct buffer body = buffer_new(64);
    buffer_text(&body, "{\"a\":1}");
    const struct line_request request = {.method = "POST", .path = "/v1/x", .json = &body};
    int server = give(&pair);
    char seen[512] = "";
    send(server, answers[0].answer, strlen(answers[0].answer), 0);
    assert_int_equal(line_client_send(pair.client, &request, &answer, &err), NABLA_OK);
    assert_true(recv(server, seen, sizeof seen - 1, 0) > 0);
    recv(server, seen + strlen(seen), sizeof seen - 1 - strlen(seen), MSG_DONTWAIT);
    assert_int_equal(strncmp(seen, "POST /v1/x HTTP/1.1\r\nHost: nabla\r\n", 34), 0);
    assert_non_null(strstr(seen, "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"));
    line_answer_free(&answer);
    buffer_free(&body);
    close(server);
    pair_close(&pair);
}

static unsigned asks(int server)
{
    unsigned count = 0;
    while (line_take_ask(server) == LINE_ASKED)
        count++;
    return count;
}

static void a_connection_that_ended_is_replaced(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    for (unsigned i = 1; i <= 3; i++) {
        struct line_answer answer;
        int server = give(&pair);
        send(server, answers[0].answer, strlen(answers[0].answer), 0);
        assert_int_equal(get(&pair, &answer), NABLA_OK);
        assert_int_equal(asks(pair.server), 1);
        line_answer_free(&answer);
        close(server);
    }
    pair_close(&pair);
}

// Larger than a socket holds: it breaks off, and the refusal that came before is read.
static void a_refusal_in_the_middle_of_a_request_is_read(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    struct line_answer answer;
    struct buffer body = buffer_new(64 << 20);
    char *room = buffer_reserve(&body, 32 << 20);
    memset(room, ' ', 32 << 20);
    body.size = 32 << 20;
    const struct line_request request = {.method = "POST", .path = "/v1/x", .json = &body};
    int server = give(&pair);
    static const char refusal[] = "HTTP/1.1 413 Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    send(server, refusal, strlen(refusal), 0);
    close(server);
    assert_int_equal(line_client_send(pair.client, &request, &answer, &err), NABLA_OK);
    assert_int_equal(answer.status, 413);
    line_answer_free(&answer);
    buffer_free(&body);
    pair_close(&pair);
}

static void who_stops_or_is_left_alone_is_cancelled(void **state)
{
    (void)state;
    struct pair stopped = pair_open(), left = pair_open();
    struct line_answer answer;
    line_client_stop(stopped.client);
    assert_int_equal(get(&stopped, &answer), NABLA_CANCELLED);
    line_answer_free(&answer);
    close(left.server);
    assert_int_equal(get(&left, &answer), NABLA_CANCELLED);
    assert_non_null(strstr(err.text, "hung up"));
    line_answer_free(&answer);
    left.server = dup(left.worker); // for pair_close
    pair_close(&stopped);
    pair_close(&left);
}

static void an_answer_that_comes_late_is_the_next_asks(void **state)
{
    (void)state;
    int server, worker, fd = -1, ends[2];
    atomic_bool stopped = true;
    assert_int_equal(line_make(&server, &worker, &err), NABLA_OK);
    struct line line = {.fd = worker};
    assert_int_equal(line_connect(&line, &stopped, &fd, &err), NABLA_CANCELLED);
    assert_int_equal(asks(server), 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(line_answer(server, ends[1]));
    stopped = false;
    assert_int_equal(line_connect(&line, &stopped, &fd, &err), NABLA_OK);
    assert_int_equal(asks(server), 0);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    close(server);
    close(worker);
}

// ---- the broker ----

enum { SERVED_MOST = 64 };

// What it has given: the server's ends.
struct desk {
    pthread_mutex_t lock;
    struct broker *broker;
    int served[SERVED_MOST];
    size_t count;
    bool refuses;
};

static bool desk_serve(void *context, int fd)
{
    struct desk *desk = context;
    pthread_mutex_lock(&desk->lock);
    bool is_taken = !desk->refuses && desk->count < SERVED_MOST;
    if (is_taken)
        desk->served[desk->count++] = fd;
    pthread_mutex_unlock(&desk->lock);
    if (!is_taken)
        close(fd);
    return is_taken;
}

static void desk_open(struct desk *desk)
{
    *desk = (struct desk){.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct broker_options options = {.serve = desk_serve, .context = desk};
    assert_int_equal(broker_new(&options, &desk->broker, &err), NABLA_OK);
}

static int desk_first(struct desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    int fd = desk->served[0];
    pthread_mutex_unlock(&desk->lock);
    return fd;
}

static size_t desk_count(struct desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    size_t count = desk->count;
    pthread_mutex_unlock(&desk->lock);
    return count;
}

static void desk_refuse(struct desk *desk, bool refuses)
{
    pthread_mutex_lock(&desk->lock);
    desk->refuses = refuses;
    pthread_mutex_unlock(&desk->lock);
}

static void desk_close_one(struct desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    int fd = desk->served[--desk->count];
    pthread_mutex_unlock(&desk->lock);
    broker_closed(desk->broker, fd);
    close(fd);
}

static void desk_close(struct desk *desk)
{
    broker_stop(desk->broker);
    while (desk->count > 0)
        desk_close_one(desk);
    broker_free(desk->broker);
}

static enum nabla_code ask(int worker, int *ret)
{
    struct line line = {.fd = worker};
    atomic_bool stopped = false;
    return line_connect(&line, &stopped, ret, &err);
}

static int line_to(struct desk *desk)
{
    int worker = -1;
    assert_int_equal(broker_line(desk->broker, &worker, &err), NABLA_OK);
    return worker;
}

static void a_connection_leads_to_who_serves_it(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    int worker = line_to(&desk), fd = -1;
    char byte = 0;
    assert_int_equal(ask(worker, &fd), NABLA_OK);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_int_equal(recv(desk_first(&desk), &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    close(worker); // the worker's end; whoever serves it sees it
    close(fd);
    assert_int_equal(recv(desk_first(&desk), &byte, 1, 0), 0);
    desk_close(&desk);
}

static void a_worker_has_only_so_many(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    int greedy = line_to(&desk), modest = line_to(&desk), fds[BROKER_CONNECTIONS + 2];
    for (size_t i = 0; i < BROKER_CONNECTIONS; i++)
        assert_int_equal(ask(greedy, &fds[i]), NABLA_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ask(greedy, &fds[0]), NABLA_BUSY);
    assert_int_equal(ask(modest, &fds[BROKER_CONNECTIONS]), NABLA_OK);
    desk_close_one(&desk); // the modest one's
    assert_int_equal(ask(greedy, &fds[0]), NABLA_BUSY);
    desk_close_one(&desk);
    assert_int_equal(ask(greedy, &fds[BROKER_CONNECTIONS + 1]), NABLA_OK);
    assert_int_equal(ask(greedy, &fds[0]), NABLA_BUSY);
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
    close(greedy);
    close(modest);
    desk_close(&desk);
}

static void one_that_is_not_served_does_not_count(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    int worker = line_to(&desk), fd = -1;
    desk_refuse(&desk, true);
    for (size_t i = 0; i <= BROKER_CONNECTIONS; i++)
        assert_int_equal(ask(worker, &fd), NABLA_BUSY);
    desk_refuse(&desk, false);
    assert_int_equal(ask(worker, &fd), NABLA_OK);
    close(fd);
    close(worker);
    desk_close(&desk);
}

// It asks and takes no answer: it is cut off, and nobody else hears of it.
static void who_only_asks_is_cut_off(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    int flood = line_to(&desk), other = line_to(&desk), fd = -1;
    ssize_t sent = 1;
    while (sent == 1)
        sent = send(flood, "?", 1, MSG_NOSIGNAL);
    assert_true(errno == EPIPE || errno == ECONNRESET);
    assert_true(desk_count(&desk) <= BROKER_CONNECTIONS);
    assert_int_equal(ask(other, &fd), NABLA_OK);
    close(fd);
    close(flood);
    close(other);
    desk_close(&desk);
}

// As a worker does between fork and exec, while another one's line ends.
static void a_line_ends_though_another_process_has_a_copy(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    int worker = line_to(&desk), other = line_to(&desk), going[2], fd = -1;
    char byte;
    assert_int_equal(pipe(going), 0);
    pid_t child = fork();
    if (child == 0) {
        close(worker);
        close(going[1]);
        _exit(read(going[0], &byte, 1) != 0);
    }
    close(worker);
    for (int i = 0; i < BROKER_CONNECTIONS; i++) { // each is a turn of the broker after the end
        assert_int_equal(ask(other, &fd), NABLA_OK);
        close(fd);
    }
    close(going[0]);
    close(going[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(other);
    desk_close(&desk);
}

static void a_stop_hangs_up(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    int worker = line_to(&desk), fd = -1;
    broker_stop(desk.broker);
    assert_int_equal(ask(worker, &fd), NABLA_CANCELLED);
    close(worker);
    desk_close(&desk);
}

// ---- all of it, with the HTTP server ----

struct office {
    struct service *service;
    struct waiters *waiters;
    struct compute_pool *pool;
    struct http *http;
    struct broker *broker;
};

static bool office_serve(void *context, int fd)
{
    struct office *office = context;
    return http_serve(office->http, fd);
}

static void office_closed(void *context, int fd)
{
    struct office *office = context;
    broker_closed(office->broker, fd);
}

static void office_open(struct office *office)
{
    static const struct log silent = {.level = LOG_ERROR};
    office->service = service_open();
    assert_int_equal(waiters_new(&office->waiters, &err), NABLA_OK);
    assert_int_equal(compute_pool_new(1, 1, &office->pool, &err), NABLA_OK);
    const struct http_options options = {.api = office->service->api,
                                         .pool = office->pool,
                                         .waiters = office->waiters,
                                         .log = &silent,
                                         .listener = API_WORKER,
                                         .fd = -1,
                                         .closed = office_closed,
                                         .threads = 1,
                                         .connections = 64,
                                         .deadlines = http_deadlines_standard,
                                         .context = office};
    assert_int_equal(http_start(&options, &office->http, &err), NABLA_OK);
    const struct broker_options broker = {.serve = office_serve, .context = office};
    assert_int_equal(broker_new(&broker, &office->broker, &err), NABLA_OK);
}

static void office_close(struct office *office)
{
    broker_stop(office->broker);
    http_stop(office->http);
    broker_free(office->broker);
    compute_pool_free(office->pool);
    waiters_free(office->waiters);
    service_close(office->service);
}

// True when it was answered, and the answer was the connection's last.
static bool ask_once(int fd)
{
    char answer[4096];
    size_t size = 0;
    ssize_t count;
    static const char request[] = "GET /v1/jobs/job_none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    send(fd, request, strlen(request), MSG_NOSIGNAL);
    while (size < sizeof answer && (count = recv(fd, answer + size, sizeof answer - size, 0)) > 0)
        size += (size_t)count;
    return size > 12 && strncmp(answer, "HTTP/1.1 401", 12) == 0;
}

// Far more than a worker may have at a time; a place is free again soon after its connection has ended.
static void connections_that_ended_make_room(void **state)
{
    (void)state;
    struct office office;
    int worker;
    office_open(&office);
    assert_int_equal(broker_line(office.broker, &worker, &err), NABLA_OK);
    for (unsigned i = 0; i < 10 * BROKER_CONNECTIONS; i++) {
        int fd = -1;
        enum nabla_code code = NABLA_BUSY;
        for (unsigned tries = 0; code == NABLA_BUSY && tries < 1000000; tries++)
            code = ask(worker, &fd);
        assert_int_equal(code, NABLA_OK);
        assert_true(ask_once(fd));
        close(fd);
    }
    close(worker);
    office_close(&office);
}

static void a_worker_keeps_its_connection(void **state)
{
    (void)state;
    struct office office;
    int worker;
    office_open(&office);
    assert_int_equal(broker_line(office.broker, &worker, &err), NABLA_OK);
    const struct line_client_options options = {.line = worker, .token = "wrong", .answer_limit = 4096};
    const struct line_request request = {.method = "GET", .path = "/v1/jobs/job_none"};
    struct line_client *client;
    assert_int_equal(line_client_new(&options, &client, &err), NABLA_OK);
    for (unsigned i = 0; i < 10; i++) {
        struct line_answer answer;
        assert_int_equal(line_client_send(client, &request, &answer, &err), NABLA_OK);
        assert_int_equal(answer.status, 403); // no token of that job's
        assert_non_null(strstr(answer.body.data, "403"));
        line_answer_free(&answer);
        assert_int_equal(http_look(office.http).connections, 1);
    }
    line_client_free(client);
    close(worker);
    office_close(&office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_read_or_refused),
        cmocka_unit_test(a_body_is_sent_with_its_length),
        cmocka_unit_test(a_connection_that_ended_is_replaced),
        cmocka_unit_test(a_refusal_in_the_middle_of_a_request_is_read),
        cmocka_unit_test(who_stops_or_is_left_alone_is_cancelled),
        cmocka_unit_test(an_answer_that_comes_late_is_the_next_asks),
        cmocka_unit_test(a_connection_leads_to_who_serves_it),
        cmocka_unit_test(a_worker_has_only_so_many),
        cmocka_unit_test(one_that_is_not_served_does_not_count),
        cmocka_unit_test(who_only_asks_is_cut_off),
        cmocka_unit_test(a_line_ends_though_another_process_has_a_copy),
        cmocka_unit_test(a_stop_hangs_up),
        cmocka_unit_test(connections_that_ended_make_room),
        cmocka_unit_test(a_worker_keeps_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
