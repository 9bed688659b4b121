// nabla serve: opens everything in the order in which it is needed, waits for a signal, closes it the other
// way round.
#include "api/api.h"
#include "base/file.h"
#include "server/address.h"
#include "server/broker.h"
#include "server/compute_pool.h"
#include "server/config.h"
#include "server/confine.h"
#include "server/http.h"
#include "server/http_tls.h"
#include "server/launcher.h"
#include "server/listener.h"
#include "server/program.h"
#include "server/supervisor.h"
#include "server/tidier.h"
#include "server/verbs.h"
#include "store/jobs.h"
#include "store/store.h"
#include "store/tokens.h"
#include "store/usage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    STOP_SECONDS = 8,
    LOOK_SECONDS = 10,
    OTHER_DESCRIPTORS = 512, // where there are many; else a half
    LEAST_DESCRIPTORS = 256,
    WORKER_CONNECTIONS = 64,
    WORKER_THREADS = 1,
};

// What a worker needs beside its job's memory: the records on their way, stacks.
#define WORKER_BYTES ((uint64_t)256 << 20)

struct server {
    struct config config;
    struct log log;
    struct store *store;
    struct tidier *tidier;
    struct metrics *metrics;
    struct audit *audit;
    struct token_table *tokens; // NULL: nobody is asked for one
    struct http_tls *tls;       // NULL: plain HTTP
    struct api *api;
    struct compute_pool *pool;
    struct waiters *waiters;
    struct supervisor *supervisor;
    struct http *worker_http, *public_http;
    struct broker *broker; // of connections to worker_http
    struct local_launcher launcher;
    struct listener public;
};

static void on_wake(void *context)
{
    struct server *server = context;
    supervisor_wake(server->supervisor);
}

static void on_failed(void *context, const char *request_id, const char *method, const char *path,
                      const struct nabla_error *err)
{
    const struct server *server = context;
    const struct log_field field = {"request_id", request_id};
    log_fields(&server->log, LOG_ERROR, &field, 1, "%s %s: %s", method, path, err->text);
}

// Runs on whatever thread committed.
static void on_change(void *context, const char *job_id, uint64_t revision)
{
    struct server *server = context;
    waiters_notify(server->waiters, job_id, revision);
}

static uint64_t revision_now(void *context, const char *job_id)
{
    struct server *server = context;
    uint64_t revision = UINT64_MAX; // of a job that is gone: whoever waits for it is to find out
    store_job_revision(server->store, job_id, &revision, NULL);
    return revision;
}

// Connections are descriptors, and each may be sent a file: takes as many as the system grants, and no more
// connections than go with them. The library turns in a circle where it cannot accept one for want of a
// descriptor, and whoever is in it is answered late, or not at all.
static enum nabla_code raise_descriptors(struct server *server, struct nabla_error *err)
{
    struct rlimit limit;
    unsigned *connections = &server->config.connections;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return NABLA_OK;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < LEAST_DESCRIPTORS)
        return nabla_fail(err, NABLA_LIMIT, NULL,
                          "%llu descriptors are granted (ulimit -n), and a server needs at least %d",
                          (unsigned long long)limit.rlim_cur, LEAST_DESCRIPTORS);
    rlim_t others = limit.rlim_cur / 2 < OTHER_DESCRIPTORS ? limit.rlim_cur / 2 : OTHER_DESCRIPTORS;
    rlim_t most = (limit.rlim_cur - others) / 2;
    if (*connections <= most)
        return NABLA_OK;
    log_write(&server->log, LOG_WARNING,
              "max-connections is %u instead of %u: only %llu descriptors are granted", (unsigned)most,
              *connections, (unsigned long long)limit.rlim_cur);
    *connections = (unsigned)most;
    return NABLA_OK;
}

// Twice what they may have, so that none is refused because others have theirs: connections of workers that
// are gone are still there for a moment.
static unsigned worker_connections(const struct config *config)
{
    return WORKER_CONNECTIONS + 2 * BROKER_CONNECTIONS * config->workers;
}

static void worker_connection_closed(void *context, int fd)
{
    const struct server *server = context;
    broker_closed(server->broker, fd);
}

static enum nabla_code listen_http(struct server *server, enum api_listener listener, int fd,
                                   struct http **ret, struct nabla_error *err)
{
    const struct config *config = &server->config;
    bool is_public = listener == API_PUBLIC;
    const struct http_options options = {.api = server->api,
                                         .pool = server->pool,
                                         .waiters = server->waiters,
                                         .log = &server->log,
                                         .metrics = server->metrics,
                                         .audit = is_public ? server->audit : NULL,
                                         .listener = listener,
                                         .tls = is_public ? server->tls : NULL,
                                         .fd = fd,
                                         .threads = is_public ? config->http_threads : WORKER_THREADS,
                                         .connections =
                                             is_public ? config->connections : worker_connections(config),
                                         .streams = config->streams,
                                         .deadlines = is_public ? config->deadlines : http_deadlines_standard,
                                         .hosts = is_public && !server->tokens ? config->host_names : NULL,
                                         .closed = is_public ? NULL : worker_connection_closed,
                                         .revision = revision_now,
                                         .context = server};
    return http_start(&options, ret, err);
}

static void write_http(const struct server *server, struct buffer *ret)
{
    const struct http_state public = http_look(server->public_http);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"nabla_http_connections", "gauge", "Open connections.", public.connections},
        {"nabla_http_connections_max", "gauge",
         "Connections that may be open; from 80 % of them on new ones are refused.",
         server->config.connections},
        {"nabla_http_requests_in_flight", "gauge", "Requests under way.", public.requests},
        {"nabla_http_streams", "gauge", "Open event streams.", public.streams},
        {"nabla_http_waiting_requests", "gauge", "Requests that wait for a job.", public.waits},
        {"nabla_http_overload_refusals_total", "counter",
         "Requests refused with 503 because connections, streams, waits or the pool were full.",
         (double)public.refused},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        metrics_write(ret, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

// Called while the public listener serves.
static void write_metrics(void *context, struct buffer *ret)
{
    struct server *server = context;
    const struct supervisor_counts counts = supervisor_count(server->supervisor);
    write_http(server, ret);
    metrics_write(ret, "nabla_compute_queue_length", "gauge", "Long requests that wait for a thread.",
                  (double)compute_pool_waiting(server->pool));
    metrics_write(ret, "nabla_compute_queue_max", "gauge", "Long requests that may wait.",
                  server->config.compute_queue);
    metrics_write(ret, "nabla_worker_starts_total", "counter", "Workers started.", (double)counts.started);
    metrics_write(ret, "nabla_worker_losses_total", "counter",
                  "Attempts that ended without a final state: restarted while retries are left.",
                  (double)counts.lost);
    metrics_write_requests(server->metrics, ret);
    metrics_write_process(ret);
}

static enum nabla_code open_api(struct server *server, struct nabla_error *err)
{
    const struct config *config = &server->config;
    const struct api_options options = {.store = server->store,
                                        .tokens = server->tokens,
                                        .limits = config->limits,
                                        .wake = on_wake,
                                        .failed = on_failed,
                                        .metrics = write_metrics,
                                        .context = server};
    enum nabla_code code = api_new(&options, &server->api, err);
    if (!code)
        code = compute_pool_new(config->compute_threads, config->compute_queue, &server->pool, err);
    return code;
}

static bool serve_worker(void *context, int fd)
{
    const struct server *server = context;
    return http_serve(server->worker_http, fd);
}

static enum nabla_code open_workers(struct server *server, struct nabla_error *err)
{
    const struct supervisor_options options = {
        .store = server->store,
        .log = &server->log,
        .launcher = launcher_local(&server->launcher),
        .limits = {.priority = server->config.worker_priority,
                   .is_confined = server->config.confine_workers,
                   .memory_bytes = server->config.limits.job_bytes + WORKER_BYTES,
                   .cpu_seconds = server->config.job_cpu,
                   .file_bytes = server->config.limits.job_bytes},
        .slots = server->config.workers,
        .lease_ms = (int64_t)server->config.client_lease * 1000};
    enum nabla_code code = supervisor_new(&options, &server->supervisor, err);
    char missing[64];
    confine_missing(missing, sizeof missing);
    if (!server->config.confine_workers)
        log_write(&server->log, LOG_WARNING, "workers run unconfined, as confine-workers says");
    else if (missing[0])
        log_write(&server->log, LOG_WARNING, "this kernel lacks %s: workers are confined without", missing);
    if (!code)
        code = listen_http(server, API_WORKER, -1, &server->worker_http, err);
    if (!code)
        code = broker_new(&(struct broker_options){.serve = serve_worker, .context = server}, &server->broker,
                          err);
    server->launcher = (struct local_launcher){program_path(), server->broker};
    return code;
}

// Whoever is not on this machine needs a token.
static enum nabla_code open_tokens(struct server *server, struct nabla_error *err)
{
    struct token_grant *grants;
    size_t count;
    if (!server->config.auth && server->public.is_loopback)
        return NABLA_OK;
    enum nabla_code code = token_table_new(store_folder(server->store), &server->tokens, err);
    if (!code)
        code = tokens_list(store_folder(server->store), &grants, &count, err);
    if (code)
        return code;
    free(grants);
    if (count == 0)
        log_write(
            &server->log, LOG_WARNING,
            "there is no access token yet, so nobody may use this server: nabla token create NAME --data %s",
            server->config.data);
    return NABLA_OK;
}

static enum nabla_code open_tls(struct server *server, struct nabla_error *err)
{
    const struct config *config = &server->config;
    if (!config->tls_certificate[0] != !config->tls_key[0])
        return nabla_fail(err, NABLA_INVALID, NULL, "--tls-cert and --tls-key go together");
    if (!config->tls_certificate[0])
        return NABLA_OK;
    return http_tls_new(config->tls_certificate, config->tls_key, &server->tls, err);
}

static enum nabla_code server_open(struct server *server, struct nabla_error *err)
{
    enum nabla_code code = store_open(server->config.data, &server->store, err);
    if (code)
        return code;
    code = waiters_new(&server->waiters, err);
    if (code)
        return code;
    store_on_change(server->store, on_change, server);
    store_on_pause(server->store, compute_pool_pause);
    code = listener_tcp(server->config.listen, &server->public, err);
    if (!code)
        code = metrics_new(&server->metrics, err);
    if (!code)
        code = audit_open(store_folder(server->store), &server->audit, err);
    if (!code)
        code = open_tokens(server, err);
    if (!code)
        code = open_tls(server, err);
    if (!code)
        code = open_api(server, err);
    if (!code)
        code = open_workers(server, err);
    if (!code)
        code = listen_http(server, API_PUBLIC, server->public.fd, &server->public_http, err);
    if (!code)
        code = supervisor_start(server->supervisor, err);
    if (!code)
        code = tidier_start(server->store, &server->config.retention, &server->log, &server->tidier, err);
    return code;
}

// The workers report to the end: what serves them is closed after them.
static void server_close(struct server *server)
{
    http_stop(server->public_http);
    supervisor_stop(server->supervisor);
    broker_stop(server->broker);
    http_stop(server->worker_http);
    broker_free(server->broker);
    tidier_stop(server->tidier);
    compute_pool_free(server->pool);
    api_free(server->api);
    supervisor_free(server->supervisor);
    store_close(server->store);
    token_table_free(server->tokens);
    audit_close(server->audit);
    metrics_free(server->metrics);
    http_tls_free(server->tls);
    waiters_free(server->waiters);
}

static enum nabla_code announce(const struct server *server, struct nabla_error *err)
{
    const struct listener *public = &server->public;
    char port[16], listen[sizeof public->host + sizeof port], url[ADDRESS_SIZE];
    int length = snprintf(port, sizeof port, "%u\n", public->port);
    if (server->config.port_file[0]) {
        enum nabla_code code = file_replace(server->config.port_file, port, (size_t)length, err);
        if (code)
            return code;
    }
    snprintf(listen, sizeof listen, "%s:%u", public->host, public->port);
    address_url(listen, server->tls != NULL, url);
    printf("Nabla listens on %s and keeps its data in %s. Try:\n\n"
           "  curl %s--json '{\"logits\": [1, 2, 0.1, -1], \"labels\": 1}' %s/v1/losses\n\n",
           url, server->config.data, server->tokens ? "--oauth2-bearer $NABLA_TOKEN " : "", url);
    fflush(stdout);
    return NABLA_OK;
}

// Blocked in every thread that is started from here on: the main thread takes them one by one.
static void block_signals(sigset_t *ret_stopping)
{
    sigset_t blocked;
    sigemptyset(ret_stopping);
    sigaddset(ret_stopping, SIGINT);
    sigaddset(ret_stopping, SIGTERM);
    sigaddset(ret_stopping, SIGHUP);
    blocked = *ret_stopping;
    sigaddset(&blocked, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGCHLD, SIG_DFL); // a parent that ignored it would have left us unable to wait for workers
}

// On SIGHUP. False: the terminal that the server ran in was closed.
static bool reload(struct server *server)
{
    struct nabla_error err;
    if (!server->tls && isatty(STDIN_FILENO))
        return false;
    if (server->tls && http_tls_reload(server->tls, &err))
        log_write(&server->log, LOG_ERROR, "the certificate stays as it was: %s", err.text);
    else
        log_write(&server->log, LOG_INFO, server->tls ? "the certificate was read again" : "SIGHUP");
    return true;
}

// The signal that ends the server. Meanwhile the size of the store is looked after, so that whoever asks for
// it need not walk.
static int await_stop(struct server *server, const sigset_t *stopping)
{
    static const struct timespec between = {.tv_sec = LOOK_SECONDS};
    for (;;) {
        store_usage_bytes(server->store);
        int caught = sigtimedwait(stopping, NULL, &between);
        if (caught > 0 && (caught != SIGHUP || !reload(server)))
            return caught;
    }
}

static int serve(struct server *server)
{
    sigset_t stopping;
    int caught, status = EXIT_DONE;
    struct nabla_error err;
    block_signals(&stopping);
    enum nabla_code code = raise_descriptors(server, &err);
    if (!code)
        code = server_open(server, &err);
    if (!code)
        code = announce(server, &err);
    if (code) {
        fprintf(stderr, "nabla serve: %s\n", err.text);
        status = EXIT_FAILED;
    } else {
        caught = await_stop(server, &stopping);
        log_write(&server->log, LOG_INFO, "stopping on SIG%s", sigabbrev_np(caught));
        // docker stop kills after ten seconds. The store survives an end at any moment.
        alarm(STOP_SECONDS);
    }
    server_close(server);
    if (!code)
        log_write(&server->log, LOG_INFO, "stopped");
    return status;
}

int verb_serve(int argc, char **argv)
{
    struct server server = {.public = {.fd = -1}};
    struct nabla_error err;
    enum config_wish wish;
    if (config_load(argc, argv, &server.config, &wish, &err)) {
        fprintf(stderr, "nabla serve: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (wish == CONFIG_HELP) {
        config_help(stdout);
        return EXIT_DONE;
    }
    if (wish == CONFIG_PRINT) {
        config_print(&server.config, stdout);
        return EXIT_DONE;
    }
    server.log = (struct log){server.config.log_level, server.config.log_format};
    return serve(&server);
}
