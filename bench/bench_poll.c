// Clients of histories, many at a time, on one thread: for bench_poll.py, which starts the server and the
// jobs.
//
//     bench_poll poll PORT JOB COUNT PERIOD_MS SECONDS    COUNT pollers that ask with the ETag they know
//     bench_poll listen PORT JOB TOKEN COUNT EVENTS       COUNT listeners, and a writer of EVENTS batches
//
// Each prints one line of figures; times in microseconds.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_SIZE = 16384, EVENTS_AT_ONCE = 256, INTERVAL_US = 100000 };

struct client {
    int fd;
    char input[INPUT_SIZE];
    size_t used;
    int64_t sent_us, due_us;
    char etag[40];
    uint64_t last; // step told
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_poll: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(unsigned port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        die("write");
}

static int compare(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

struct figures {
    int64_t *times;
    size_t count, capacity;
};

static void note(struct figures *figures, int64_t us)
{
    if (figures->count < figures->capacity)
        figures->times[figures->count++] = us;
}

static int64_t share(struct figures *figures, double part)
{
    qsort(figures->times, figures->count, sizeof *figures->times, compare);
    return figures->count ? figures->times[(size_t)(part * (double)(figures->count - 1))] : -1;
}

static struct client *clients_new(size_t count, unsigned port, int poller)
{
    struct client *clients = calloc(count, sizeof *clients);
    for (size_t i = 0; clients && i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = i}};
        clients[i].fd = dial(port);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, clients[i].fd, &event))
            die("epoll_ctl");
    }
    if (!clients)
        die("memory");
    return clients;
}

static void take(struct client *client)
{
    ssize_t size = read(client->fd, client->input + client->used, sizeof client->input - client->used - 1);
    if (size <= 0) {
        fprintf(stderr, "bench_poll: a connection ended: %.300s\n", client->input);
        exit(1);
    }
    client->used += (size_t)size;
    client->input[client->used] = '\0';
}

// --- pollers

static void ask(struct client *client, const char *job)
{
    char request[256];
    snprintf(request, sizeof request, "GET /v1/jobs/%s HTTP/1.1\r\nHost: a\r\nIf-None-Match: %s\r\n\r\n", job,
             client->etag[0] ? client->etag : "\"0\"");
    client->used = 0;
    client->sent_us = now_us();
    say(client->fd, request);
}

// True when the whole answer is there.
static bool answered(struct client *client, bool *ret_new)
{
    const char *end = strstr(client->input, "\r\n\r\n"), *length = strstr(client->input, "Content-Length: ");
    const char *etag = strstr(client->input, "ETag: ");
    *ret_new = strncmp(client->input, "HTTP/1.1 200", 12) == 0;
    if (!end || !length || !etag)
        return false;
    if (*ret_new && client->used < (size_t)(end + 4 - client->input) + strtoul(length + 16, NULL, 10))
        return false;
    snprintf(client->etag, sizeof client->etag, "%.*s", (int)strcspn(etag + 6, "\r"), etag + 6);
    return true;
}

static int poll_main(unsigned port, const char *job, size_t count, int64_t period_us, int64_t duration_us)
{
    int poller = epoll_create1(0);
    struct client *clients = clients_new(count, port, poller);
    struct figures all = {.capacity = 1 << 22}, unchanged = {.capacity = 1 << 22};
    all.times = malloc(all.capacity * sizeof *all.times);
    unchanged.times = malloc(unchanged.capacity * sizeof *unchanged.times);
    int64_t begin = now_us();
    for (size_t i = 0; i < count; i++)
        clients[i].due_us = begin + period_us * (int64_t)i / (int64_t)count;
    while (now_us() - begin < duration_us) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int ready = epoll_wait(poller, events, EVENTS_AT_ONCE, 1);
        for (int i = 0; i < ready; i++) {
            struct client *client = &clients[events[i].data.u64];
            bool is_new;
            take(client);
            if (!answered(client, &is_new))
                continue;
            note(&all, now_us() - client->sent_us);
            if (!is_new)
                note(&unchanged, now_us() - client->sent_us);
            client->sent_us = 0;
        }
        for (size_t i = 0; i < count; i++)
            if (clients[i].sent_us == 0 && now_us() >= clients[i].due_us) {
                ask(&clients[i], job);
                clients[i].due_us += period_us;
            }
    }
    printf("polls %zu unchanged %zu median %" PRId64 " p99 %" PRId64 " p99.9 %" PRId64 "\n", all.count,
           unchanged.count, share(&all, 0.5), share(&all, 0.99), share(&all, 0.999));
    return 0;
}

// --- listeners

static void post(int fd, const char *job, const char *token, uint64_t step)
{
    char body[160], request[512];
    snprintf(body, sizeof body,
             "{\"attempt\":1,\"metrics\":{\"steps\":[%" PRIu64 "],\"columns\":{\"loss\":[%" PRIu64 "]}}}",
             step, step);
    snprintf(request, sizeof request,
             "POST /v1/jobs/%s/metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             job, token, strlen(body), body);
    say(fd, request);
}

// Takes the events that are whole; returns how many steps came, and how many of them were not the next one.
static size_t events_take(struct client *client, size_t *ret_wrong)
{
    size_t steps = 0;
    char *at = client->input, *end;
    while ((end = strstr(at, "\n\n"))) {
        char *list;
        *end = '\0';
        list = strstr(at, "\"steps\":[");
        for (list = list ? list + 9 : NULL; list && *list != ']';) {
            uint64_t step = strtoull(list, &list, 10);
            *ret_wrong += step != client->last + 1;
            client->last = step;
            steps++;
            list += *list == ',';
        }
        at = end + 2;
    }
    client->used -= (size_t)(at - client->input);
    memmove(client->input, at, client->used + 1);
    return steps;
}

static int listen_main(unsigned port, const char *job, const char *token, size_t count, uint64_t rows)
{
    int poller = epoll_create1(0), writer = dial(port);
    struct client *clients = clients_new(count, port, poller);
    struct figures all = {.capacity = count * rows};
    char request[256], ignored[INPUT_SIZE];
    size_t wrong = 0, told = 0;
    all.times = malloc(all.capacity * sizeof *all.times);
    int64_t *sent = calloc(rows + 1, sizeof *sent), due = now_us() + 2000000, give_up = due + 60000000;
    snprintf(request, sizeof request,
             "GET /v1/jobs/%s/metrics HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n", job);
    for (size_t i = 0; i < count; i++)
        say(clients[i].fd, request);
    fcntl(writer, F_SETFL, O_NONBLOCK);
    for (uint64_t step = 0; told < count * rows && now_us() < give_up;) {
        struct epoll_event events[EVENTS_AT_ONCE];
        if (step < rows && now_us() >= due) {
            sent[++step] = now_us();
            post(writer, job, token, step);
            due += INTERVAL_US;
        }
        int ready = epoll_wait(poller, events, EVENTS_AT_ONCE, 1);
        for (int i = 0; i < ready; i++) {
            struct client *client = &clients[events[i].data.u64];
            take(client);
            size_t steps = events_take(client, &wrong);
            if (steps > 0 && client->last <= rows)
                note(&all, now_us() - sent[client->last]);
            told += steps;
        }
        while (read(writer, ignored, sizeof ignored) > 0)
            ;
    }
    printf("told %zu of %zu wrong %zu median %" PRId64 " p99 %" PRId64 " most %" PRId64 "\n", told,
           count * (size_t)rows, wrong, share(&all, 0.5), share(&all, 0.99), share(&all, 1));
    return told == count * rows && wrong == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "poll") == 0)
        return poll_main((unsigned)atoi(argv[2]), argv[3], (size_t)atoi(argv[4]), atoll(argv[5]) * 1000,
                         atoll(argv[6]) * 1000000);
    if (argc == 7 && strcmp(argv[1], "listen") == 0)
        return listen_main((unsigned)atoi(argv[2]), argv[3], argv[4], (size_t)atoi(argv[5]),
                           (uint64_t)atoll(argv[6]));
    fprintf(stderr, "bench_poll is for bench_poll.py\n");
    return 2;
}
