// Raw HTTP through a real socket: whatever bytes come, the server answers in order or closes, and is there
// for the next connection. The first byte of an input says in what pieces the rest is sent.
#include "server/http.h"
#include "server/listener.h"
#include "tests/fuzz/fuzz_service.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

// The library lets a connection that ends behind an empty line wait for its deadline: not worth ten seconds
// each.
enum { ANSWER_MS = 10000, QUIET_MS = 30 };

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static uint64_t revision(void *context, const char *job)
{
    (void)context, (void)job;
    return UINT64_MAX;
}

static struct http *http;
static struct waiters *waiters;
static struct compute_pool *pool;

// Before the service that it serves: what is registered last is called first.
static void stop(void)
{
    http_stop(http);
    compute_pool_free(pool);
    waiters_free(waiters);
}

// One server for the whole process.
static void serve(void)
{
    static const struct log silent = {.level = LOG_ERROR};
    struct fuzz_service *service = fuzz_service_get(NULL);
    struct nabla_error err = {0};
    struct http_options options = {.api = service->api,
                                   .log = &silent,
                                   .listener = API_PUBLIC,
                                   .threads = 1,
                                   .connections = 64,
                                   .streams = 8,
                                   .revision = revision};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", service->folder);
    fuzz_require(waiters_new(&waiters, &err) == NABLA_OK);
    fuzz_require(compute_pool_new(1, 8, &pool, &err) == NABLA_OK);
    fuzz_require(listener_unix(address.sun_path, &options.fd, &err) == NABLA_OK);
    options.waiters = waiters;
    options.pool = pool;
    fuzz_require(http_start(&options, &http, &err) == NABLA_OK);
    atexit(stop);
}

static int connect_to_it(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fuzz_require(fd >= 0);
    fuzz_require(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static void send_in_pieces(int fd, const uint8_t *bytes, size_t size, size_t piece)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size < piece ? size : piece, MSG_NOSIGNAL);
        if (sent < 0)
            break; // the server closed: what it said before is still to be read
        bytes += sent;
        size -= (size_t)sent;
    }
    shutdown(fd, SHUT_WR);
}

// Reads until the server closes or is quiet for a while. Every answer begins as one does; returns how many
// bytes came.
static size_t read_answers(int fd, int milliseconds)
{
    char bytes[65536];
    size_t size = 0;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    for (;;) {
        if (poll(&ready, 1, milliseconds) != 1)
            break;
        ssize_t count = recv(fd, bytes + size, sizeof bytes - size, 0);
        if (count <= 0)
            break;
        size += (size_t)count;
        if (size == sizeof bytes)
            size = sizeof bytes / 2; // enough of it is seen
    }
    if (size >= 9)
        fuzz_require(memcmp(bytes, "HTTP/1.", 7) == 0);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char health[] = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    static bool is_serving;
    static unsigned turn;
    if (!is_serving)
        serve();
    is_serving = true;
    if (size < 2)
        return 0;
    int fd = connect_to_it();
    send_in_pieces(fd, bytes + 1, size - 1, bytes[0] ? bytes[0] : size);
    read_answers(fd, QUIET_MS);
    close(fd);
    if (++turn % 64 == 0) {
        fd = connect_to_it();
        send_in_pieces(fd, (const uint8_t *)health, sizeof health - 1, sizeof health);
        fuzz_require(read_answers(fd, ANSWER_MS) > 0);
        close(fd);
    }
    return 0;
}
