// Raw HTTP through a real socket: whatever bytes come, the server answers in order or closes, and is there
// for the next connection. The first byte of an input says in what pieces the rest is sent.
//
// A run takes no thread's waking and no deadline: the library's daemon is started without its thread, and
// this one turns it (MHD_run) until nothing is left to do, which it knows instead of waiting for silence. A
// run begins with an empty store and with nobody waiting: what the one before has left is thrown away.
#include "server/http_exchange.h"
#include "store/jobs.h"
#include "tests/fuzz/fuzz_service.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
    PIECES = 32,       // more of them are sent as one
    IDLE_TURNS = 4,    // turns of the daemon in which nothing happens: nothing will
    HEALTH_EVERY = 64, // runs
};

static struct server {
    struct fuzz_service service;
    struct http *http;
    struct waiters *waiters;
    struct compute_pool *pool;
    off_t log_size; // of the store's write-ahead log before the first request
} server;

static struct MHD_Daemon *http_daemon;

// Takes the place of the library's own, which it calls: the same daemon, but without a thread.
struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept,
                                    void *accept_context, MHD_AccessHandlerCallback handle,
                                    void *handle_context, ...)
{
    va_list options;
    va_start(options, handle_context);
    http_daemon = MHD_start_daemon_va(flags & ~(unsigned)MHD_USE_INTERNAL_POLLING_THREAD, port, accept,
                                      accept_context, handle, handle_context, options);
    va_end(options);
    return http_daemon;
}

// ---- the server ----

static uint64_t revision(void *context, const char *job)
{
    struct server *at = context;
    uint64_t now = UINT64_MAX;
    store_job_revision(at->service.store, job, &now, NULL);
    return now;
}

static off_t log_size(void)
{
    char path[96];
    struct stat status;
    snprintf(path, sizeof path, "%s/nabla.db-wal", server.service.folder);
    fuzz_require(stat(path, &status) == 0);
    return status.st_size;
}

static void http_open(void)
{
    static const struct log silent = {.level = LOG_ERROR};
    struct nabla_error err = {0};
    struct http_options options = {.api = server.service.api,
                                   .pool = server.pool,
                                   .log = &silent,
                                   .listener = API_PUBLIC,
                                   .fd = -1,
                                   .threads = 1,
                                   .connections = 64,
                                   .streams = 8,
                                   .deadlines = http_deadlines_standard,
                                   .revision = revision,
                                   .context = &server};
    fuzz_require(waiters_new(&server.waiters, &err) == NABLA_OK);
    options.waiters = server.waiters;
    fuzz_require(http_start(&options, &server.http, &err) == NABLA_OK);
}

// One turn of the daemon, once the pool has done what it has.
static void turn(void)
{
    pthread_mutex_lock(&server.http->lock);
    while (server.http->pooled > 0)
        pthread_cond_wait(&server.http->idle, &server.http->lock);
    pthread_mutex_unlock(&server.http->lock);
    fuzz_require(MHD_run(http_daemon) == MHD_YES);
}

static bool is_at_rest(void)
{
    MHD_UNSIGNED_LONG_LONG due;
    pthread_mutex_lock(&server.http->lock);
    bool is_pooled = server.http->pooled > 0;
    pthread_mutex_unlock(&server.http->lock);
    return !is_pooled && !(MHD_get_timeout(http_daemon, &due) == MHD_YES && due == 0);
}

// With everybody's end told first, so that none is left to wait for.
static void http_close(void)
{
    waiters_stop(server.waiters);
    for (unsigned i = 0; http_look(server.http).requests > 0 && i < PIECES; i++)
        turn();
    fuzz_require(http_look(server.http).streams + http_look(server.http).waits == 0);
    http_stop(server.http);
    waiters_free(server.waiters);
}

static void server_open(void)
{
    struct nabla_error err = {0};
    fuzz_service_open(&server.service);
    fuzz_require(compute_pool_new(1, 8, &server.pool, &err) == NABLA_OK);
    http_open();
    server.log_size = log_size();
}

static void server_close(void)
{
    http_close();
    compute_pool_free(server.pool);
    fuzz_service_close(&server.service);
}

// What the run before has left: rows, or streams and waits of clients that are gone.
static void server_renew(void)
{
    struct http_state state = http_look(server.http);
    if (log_size() != server.log_size) {
        server_close();
        server_open();
    } else if (state.streams + state.waits + state.connections > 0) {
        http_close();
        http_open();
    }
}

// ---- a client ----

static int connect_to_it(void)
{
    int ends[2];
    fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    fuzz_require(http_serve(server.http, ends[0]));
    return ends[1];
}

struct answers {
    char start[12]; // of the first one
    size_t size;
    bool is_closed; // by the server
};

static size_t read_answers(int fd, struct answers *answers)
{
    char bytes[16384];
    size_t before = answers->size;
    ssize_t count;
    while ((count = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        for (ssize_t i = 0; i < count && answers->size + (size_t)i < sizeof answers->start; i++)
            answers->start[answers->size + (size_t)i] = bytes[i];
        answers->size += (size_t)count;
    }
    answers->is_closed = answers->is_closed || count == 0 || errno != EAGAIN;
    return answers->size - before;
}

// Turns the daemon and reads until nothing happens any more.
static void settle(int fd, struct answers *answers)
{
    for (unsigned idle = 0; idle < IDLE_TURNS && !answers->is_closed; idle++) {
        turn();
        if (read_answers(fd, answers) > 0)
            idle = 0;
        else if (is_at_rest())
            return;
    }
}

static void send_in_pieces(int fd, const uint8_t *bytes, size_t size, size_t piece, struct answers *answers)
{
    for (unsigned sent = 0; size > 0 && !answers->is_closed; sent++) {
        size_t part = size < piece || sent + 1 >= PIECES ? size : piece;
        ssize_t count = send(fd, bytes, part, MSG_NOSIGNAL);
        if (count > 0) {
            bytes += count;
            size -= (size_t)count;
        } else if (errno != EAGAIN) {
            break; // the server closed: what it said before is still to be read
        }
        settle(fd, answers);
        if (count < 0 && sent > 2 * PIECES)
            break; // it waits for something else, and will not read on
    }
    shutdown(fd, SHUT_WR);
}

// All that comes in answer. What begins as an answer does, begins as one whole.
static struct answers exchange_bytes(const uint8_t *bytes, size_t size, size_t piece)
{
    struct answers answers = {.size = 0};
    int fd = connect_to_it();
    send_in_pieces(fd, bytes, size, piece, &answers);
    settle(fd, &answers);
    close(fd);
    turn();
    if (answers.size > 0) {
        fuzz_require(answers.size > sizeof answers.start);
        fuzz_require(memcmp(answers.start, "HTTP/1.", 7) == 0);
        fuzz_require(memcmp(answers.start + 9, "500", 3) != 0);
    }
    return answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char health[] = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    static unsigned runs;
    if (!server.http) {
        server_open();
        atexit(server_close);
    }
    if (size < 2)
        return 0;
    exchange_bytes(bytes + 1, size - 1, bytes[0] ? bytes[0] : size);
    if (++runs % HEALTH_EVERY == 0) {
        struct answers answers = exchange_bytes((const uint8_t *)health, sizeof health - 1, sizeof health);
        fuzz_require(answers.size > 0 && memcmp(answers.start + 9, "200", 3) == 0);
    }
    server_renew();
    return 0;
}
