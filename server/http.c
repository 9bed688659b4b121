// The HTTP daemon: started, told of changes, stopped in order. Connections are served by epoll threads:
// suspending a connection in the library's thread-per-connection mode stalls.
#include "server/http.h"

#include "base/clock.h"
#include "server/http_exchange.h"
#include "server/http_tls_callback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Older protocols are refused. GnuTLS leaves out ciphers that are broken by itself.
static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";

const struct http_deadlines http_deadlines_standard = {
    .head = 10, .idle = 40, .body = 10, .answer = 30, .least_rate = 4000};

enum {
    CONNECTION_MEMORY = 32 << 10, // of one connection: headers, and pieces of bodies; zeroed for each request
    INACTIVITY_SECONDS = 30,
    STOP_GRACE_MS = 1000,
};

// The library would cut the query into pieces, which nobody asks it for. Of them its memory holds some
// hundreds: a request with more gets no answer, and its connection stays until its deadline.
static void hide_query(char *target)
{
    char *query = strchr(target, '?');
    if (MHD_VERSION < 0x01000000 && query && query[1])
        query[1] = '\0'; // it has found the "?" already
}

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct exchange *exchange = exchange_new(context, connection, target);
    hide_query(
        (char *)(uintptr_t)target); // of the connection's own buffer, where the library ends texts, too
    return exchange;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes, size_t *size,
                                  void **exchange)
{
    (void)context, (void)connection, (void)url; // the raw target stands with the exchange
    return *exchange ? exchange_advance(*exchange, method, version, bytes, size) : MHD_NO;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange,
                         enum MHD_RequestTerminationCode why)
{
    (void)context, (void)connection, (void)why;
    exchange_free(*exchange);
    *exchange = NULL;
}

static void connection_opened(struct http *http, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_socket *socket = calloc(1, sizeof *socket);
    unsigned count = 0;
    if (!socket || !info)
        goto failed;
    int64_t due = clock_monotonic_ms() + 1000 * (int64_t)http->options.deadlines.head;
    socket->entry = socket_reaper_add(http->reaper, info->connect_fd, due, &count);
    if (!socket->entry)
        goto failed;
    socket->fd = info->connect_fd;
    socket->is_excess = count > http->options.connections / 10 * 8;
    *socket_context = socket;
    return;

failed: // no memory: the connection lives without deadlines
    free(socket);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http *http = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_opened(http, connection, socket_context);
        return;
    }
    struct http_socket *socket = *socket_context;
    if (socket)
        socket_reaper_remove(http->reaper, socket->entry);
    free(socket);
    *socket_context = NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (http->options.closed && info)
        http->options.closed(http->options.context, info->connect_fd);
}

// What not every daemon has; OPTIONAL_MOST options at most.
enum { OPTIONAL_MOST = 5 };
static void choose_options(const struct http_options *options, struct MHD_OptionItem ret[OPTIONAL_MOST])
{
    if (options->fd >= 0)
        *ret++ = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, options->fd, NULL};
    if (options->threads > 1) // one thread is no pool for the library
        *ret++ = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)options->threads, NULL};
    if (options->tls) {
        *ret++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)http_tls_callback};
        *ret++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities};
    }
    *ret = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

static struct MHD_Daemon *daemon_start(struct http *http)
{
    const struct http_options *options = &http->options;
    struct MHD_OptionItem optional[OPTIONAL_MOST];
    choose_options(options, optional);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     (options->tls ? MHD_USE_TLS : 0) | (options->fd < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0);
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_CONNECTION_LIMIT, options->connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)INACTIVITY_SECONDS, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        http, MHD_OPTION_ARRAY, optional, MHD_OPTION_END);
}

static void close_listening(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void http_free(struct http *http)
{
    socket_reaper_free(http->reaper);
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

enum nabla_code http_start(const struct http_options *options, struct http **ret, struct nabla_error *err)
{
    struct http *http = calloc(1, sizeof *http);
    if (!http) {
        close_listening(options->fd);
        return nabla_fail_memory(err, "the HTTP server");
    }
    http->options = *options;
    atomic_init(&http->numbers, (uint64_t)clock_wall_ms() << 20 ^ (uint64_t)clock_monotonic_ns());
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&http->lock, NULL);
    pthread_cond_init(&http->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enum nabla_code code = socket_reaper_new(&http->reaper, err);
    *ret = http; // before the first request, which may ask for it
    if (!code && !(http->daemon = daemon_start(http)))
        code = nabla_fail(err, NABLA_IO, NULL, "cannot start the HTTP server: %s", strerror(errno));
    if (code) {
        close_listening(options->fd);
        http_free(http);
        *ret = NULL;
        return code;
    }
    return NABLA_OK;
}

bool http_serve(struct http *http, int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNIX};
    return MHD_add_connection(http->daemon, fd, &nobody, sizeof nobody.sa_family) == MHD_YES;
}

struct http_state http_look(struct http *http)
{
    return (struct http_state){.connections = socket_reaper_count(http->reaper),
                               .requests = atomic_load(&http->exchanges),
                               .streams = atomic_load(&http->streams),
                               .waits = atomic_load(&http->waits),
                               .refused = atomic_load(&http->refused)};
}

// Waits until no request is on the pool (it would come back to a daemon that is gone) and, for a while, until
// none is under way at all.
static void await_exchanges(struct http *http)
{
    int64_t until = clock_monotonic_ms() + STOP_GRACE_MS;
    struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    pthread_mutex_lock(&http->lock);
    int timed_out = 0;
    while (atomic_load(&http->exchanges) > 0 && !timed_out)
        timed_out = pthread_cond_timedwait(&http->idle, &http->lock, &at);
    while (http->pooled > 0)
        pthread_cond_wait(&http->idle, &http->lock);
    pthread_mutex_unlock(&http->lock);
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    atomic_store(&http->stopping, true);
    MHD_socket listening = MHD_quiesce_daemon(http->daemon);
    // The library aborts when it is stopped while connections are suspended: none may wait any more.
    waiters_stop(http->options.waiters);
    await_exchanges(http);
    MHD_stop_daemon(http->daemon);
    close_listening(listening);
    http_free(http);
}
