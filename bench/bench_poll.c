// Clients of histories, many at a time, on one thread: for bench_poll.py, which starts the server and the
// jobs.
//
//     bench_poll poll PORT JOB COUNT PERIOD_MS SECONDS    COUNT pollers that ask with the ETag they know
//     bench_poll listen PORT JOB TOKEN COUNT EVENTS CUTS  COUNT listeners, a writer of EVENTS batches, ten a
//                                                         second, and CUTS times a listener that hangs up and
//                                                         comes back at once with the id that it saw last
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

enum { INPUT_SIZE = 16384, EVENTS_AT_ONCE = 256, INTERVAL_US = 100000, SECOND_US = 1000000 };

struct client {
    int fd;
    char input[INPUT_SIZE];
    size_t used;
    int64_t sent_us, due_us;
    char etag[40];
    char id[80];   // of the event seen last
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

struct audience {
    unsigned port;
    const char *job;
    int poller;
    struct client *clients;
    size_t count, told, wrong, refused; // rows told; of them not the next one
    struct figures times;
};

static void tune_in(struct client *client, const char *job)
{
    char request[320];
    bool knows = client->id[0] != '\0';
    snprintf(request, sizeof request,
             "GET /v1/jobs/%s/metrics HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n%s%s%s\r\n", job,
             knows ? "Last-Event-ID: " : "", client->id, knows ? "\r\n" : "");
    client->used = 0;
    say(client->fd, request);
}

static void come_back(struct audience *audience, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = (uint64_t)(client - audience->clients)}};
    close(client->fd);
    client->fd = dial(audience->port);
    if (epoll_ctl(audience->poller, EPOLL_CTL_ADD, client->fd, &event))
        die("epoll_ctl");
    tune_in(client, audience->job);
}

// Takes the events that are whole; returns how many steps came, and how many of them were not the next one.
static size_t events_take(struct client *client, size_t *ret_wrong)
{
    size_t steps = 0;
    char *at = client->input, *end;
    while ((end = strstr(at, "\n\n"))) {
        *end = '\0';
        char *list = strstr(at, "\"steps\":["), *id = strstr(at, "id: ");
        for (list = list ? list + 9 : NULL; list && *list != ']';) {
            uint64_t step = strtoull(list, &list, 10);
            *ret_wrong += step != client->last + 1;
            client->last = step;
            steps++;
            list += *list == ',';
        }
        if (id)
            snprintf(client->id, sizeof client->id, "%.*s", (int)strcspn(id + 4, "\n"), id + 4);
        at = end + 2;
    }
    client->used -= (size_t)(at - client->input);
    memmove(client->input, at, client->used + 1);
    return steps;
}

static void hear(struct audience *audience, int64_t until_us, const int64_t *sent_us)
{
    do {
        struct epoll_event events[EVENTS_AT_ONCE];
        int ready = epoll_wait(audience->poller, events, EVENTS_AT_ONCE, now_us() < until_us);
        for (int i = 0; i < ready; i++) {
            struct client *client = &audience->clients[events[i].data.u64];
            take(client);
            if (strncmp(client->input, "HTTP/1.1 503", 12) == 0) {
                audience->refused++;
                come_back(audience, client);
                continue;
            }
            size_t steps = events_take(client, &audience->wrong);
            if (steps > 0)
                note(&audience->times, now_us() - sent_us[client->last]);
            audience->told += steps;
        }
    } while (now_us() < until_us);
}

static int listen_main(struct audience *audience, const char *token, uint64_t rows, size_t cuts)
{
    int writer = dial(audience->port);
    char ignored[INPUT_SIZE];
    audience->poller = epoll_create1(0);
    audience->clients = clients_new(audience->count, audience->port, audience->poller);
    audience->times.capacity = audience->count * rows;
    audience->times.times = malloc(audience->times.capacity * sizeof *audience->times.times);
    int64_t *sent_us = calloc(rows + 1, sizeof *sent_us);
    fcntl(writer, F_SETFL, O_NONBLOCK);
    for (size_t i = 0; i < audience->count; i++)
        tune_in(&audience->clients[i], audience->job);
    int64_t begin_us = now_us() + 2 * SECOND_US, end_us = begin_us + INTERVAL_US * (int64_t)rows;
    hear(audience, begin_us, sent_us);
    size_t cut = 0;
    for (uint64_t step = 1; step <= rows;) {
        if (now_us() >= begin_us + INTERVAL_US * (int64_t)step) {
            sent_us[step] = now_us();
            post(writer, audience->job, token, step++);
        }
        int64_t so_far_us = now_us() - begin_us;
        for (; cut < cuts && (int64_t)cut < (int64_t)cuts * so_far_us / (end_us - begin_us); cut++)
            come_back(audience, &audience->clients[(size_t)rand() % audience->count]);
        hear(audience, now_us() + 1000, sent_us);
        while (read(writer, ignored, sizeof ignored) > 0)
            ;
    }
    for (; cut < cuts; cut++)
        come_back(audience, &audience->clients[(size_t)rand() % audience->count]);
    size_t expected = audience->count * (size_t)rows;
    for (int64_t give_up = now_us() + 20 * SECOND_US; audience->told < expected && now_us() < give_up;)
        hear(audience, now_us() + 1000, sent_us);
    hear(audience, now_us() + INTERVAL_US, sent_us); // nothing more
    struct figures *times = &audience->times;
    printf("told %zu of %zu, not the next one %zu, hung up and back %zu, of them refused %zu; "
           "median %" PRId64 " p99 %" PRId64 " most %" PRId64 "\n",
           audience->told, expected, audience->wrong, cut, audience->refused, share(times, 0.5),
           share(times, 0.99), share(times, 1));
    return audience->told == expected && audience->wrong == 0 && audience->refused == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "poll") == 0)
        return poll_main((unsigned)atoi(argv[2]), argv[3], (size_t)atoi(argv[4]), atoll(argv[5]) * 1000,
                         atoll(argv[6]) * 1000000);
    struct audience audience;
    if (argc == 8 && strcmp(argv[1], "listen") == 0) {
        audience = (struct audience){
            .port = (unsigned)atoi(argv[2]), .job = argv[3], .count = (size_t)atoi(argv[5])};
        return listen_main(&audience, argv[4], (uint64_t)atoll(argv[6]), (size_t)atoll(argv[7]));
    }
    fprintf(stderr, "bench_poll is for bench_poll.py\n");
    return 2;
}
