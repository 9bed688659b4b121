// One thread sleeps on an epoll set of all lines and of `wake`, which has no line, and answers one ask of
// each at a time.
#include "server/broker.h"

#include "server/line.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 16 };

struct worker_line {
    struct worker_line *next;
    int fd;                              // -1: hung up, but a connection is still open
    int connections[BROKER_CONNECTIONS]; // the server's ends; -1 for none
};

struct broker {
    struct broker_options options;
    int set, wake;
    atomic_bool stopping;
    bool is_running;
    pthread_t thread;
    pthread_mutex_t lock; // of the lines, but for their `fd`, which is the thread's
    struct worker_line *first;
};

static bool watch(const struct broker *broker, int fd, struct worker_line *line)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = line};
    return epoll_ctl(broker->set, EPOLL_CTL_ADD, fd, &event) == 0;
}

// The slot of a connection, or of none (-1). The lock is held.
static int *slot_of(struct worker_line *line, int fd)
{
    for (size_t i = 0; i < BROKER_CONNECTIONS; i++)
        if (line->connections[i] == fd)
            return &line->connections[i];
    return NULL;
}

// Frees what is hung up and has no connection any more. The lock is held.
static void lines_tidy(struct broker *broker)
{
    for (struct worker_line **at = &broker->first; *at;) {
        struct worker_line *line = *at;
        bool is_over = line->fd < 0;
        for (size_t i = 0; i < BROKER_CONNECTIONS; i++)
            is_over = is_over && line->connections[i] < 0;
        if (is_over) {
            *at = line->next;
            free(line);
        } else {
            at = &line->next;
        }
    }
}

static void forget(struct broker *broker, int fd)
{
    pthread_mutex_lock(&broker->lock);
    for (struct worker_line *line = broker->first; line; line = line->next) {
        int *slot = slot_of(line, fd);
        if (slot)
            *slot = -1;
    }
    lines_tidy(broker);
    pthread_mutex_unlock(&broker->lock);
}

void broker_closed(struct broker *broker, int fd)
{
    forget(broker, fd);
}

static void hang_up(struct broker *broker, struct worker_line *line)
{
    pthread_mutex_lock(&broker->lock);
    // Closing it does not take it out while a process that is being started still has its copy.
    epoll_ctl(broker->set, EPOLL_CTL_DEL, line->fd, NULL);
    close(line->fd);
    line->fd = -1;
    lines_tidy(broker);
    pthread_mutex_unlock(&broker->lock);
}

static bool remember(struct broker *broker, struct worker_line *line, int fd)
{
    pthread_mutex_lock(&broker->lock);
    int *slot = slot_of(line, -1);
    if (slot)
        *slot = fd;
    pthread_mutex_unlock(&broker->lock);
    return slot;
}

// The worker's end of a connection that is served; -1 when there can be none now.
static int connection_make(struct broker *broker, struct worker_line *line)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return -1;
    forget(broker, ends[0]); // one that was closed without a word
    bool is_served = remember(broker, line, ends[0]);
    if (!is_served) {
        close(ends[0]);
    } else if (!broker->options.serve(broker->options.context, ends[0])) {
        forget(broker, ends[0]);
        is_served = false;
    }
    if (is_served)
        return ends[1];
    close(ends[1]);
    return -1;
}

static void answer(struct broker *broker, struct worker_line *line)
{
    enum line_event event = line_take_ask(line->fd);
    if (event == LINE_HUNG_UP)
        hang_up(broker, line);
    if (event != LINE_ASKED)
        return;
    int fd = connection_make(broker, line);
    bool is_taken = line_answer(line->fd, fd);
    if (fd >= 0)
        close(fd); // the worker's now, or nobody's
    if (!is_taken)
        hang_up(broker, line);
}

static void *broker_main(void *context)
{
    struct broker *broker = context;
    struct epoll_event events[EVENTS];
    while (!atomic_load(&broker->stopping)) {
        int count = epoll_wait(broker->set, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr)
                answer(broker, events[i].data.ptr);
    }
    return NULL;
}

enum nabla_code broker_new(const struct broker_options *options, struct broker **ret, struct nabla_error *err)
{
    struct broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return nabla_fail_memory(err, "the broker of connections");
    broker->options = *options;
    pthread_mutex_init(&broker->lock, NULL);
    broker->set = epoll_create1(EPOLL_CLOEXEC);
    broker->wake = eventfd(0, EFD_CLOEXEC);
    enum nabla_code code = NABLA_OK;
    if (broker->set < 0 || broker->wake < 0 || !watch(broker, broker->wake, NULL))
        code = nabla_fail_errno(err, "make", "the broker's descriptors");
    else if (pthread_create(&broker->thread, NULL, broker_main, broker))
        code = nabla_fail(err, NABLA_NO_MEMORY, NULL, "cannot start the broker's thread");
    broker->is_running = !code;
    if (code)
        broker_free(broker);
    else
        *ret = broker;
    return code;
}

enum nabla_code broker_line(struct broker *broker, int *ret_worker, struct nabla_error *err)
{
    struct worker_line *line = malloc(sizeof *line);
    int worker;
    if (!line)
        return nabla_fail_memory(err, "a worker's line");
    for (size_t i = 0; i < BROKER_CONNECTIONS; i++)
        line->connections[i] = -1;
    enum nabla_code code = line_make(&line->fd, &worker, err);
    if (code) {
        free(line);
        return code;
    }
    pthread_mutex_lock(&broker->lock);
    bool is_watched = watch(broker, line->fd, line);
    if (is_watched) {
        line->next = broker->first;
        broker->first = line;
    } else {
        code = nabla_fail_errno(err, "watch", "a worker's line");
    }
    pthread_mutex_unlock(&broker->lock);
    if (!is_watched) {
        close(line->fd);
        close(worker);
        free(line);
        return code;
    }
    *ret_worker = worker;
    return NABLA_OK;
}

void broker_stop(struct broker *broker)
{
    if (!broker || !broker->is_running)
        return;
    atomic_store(&broker->stopping, true);
    eventfd_write(broker->wake, 1);
    pthread_join(broker->thread, NULL);
    broker->is_running = false;
    pthread_mutex_lock(&broker->lock);
    for (struct worker_line *line = broker->first; line; line = line->next) {
        if (line->fd >= 0)
            close(line->fd);
        line->fd = -1;
    }
    lines_tidy(broker);
    pthread_mutex_unlock(&broker->lock);
}

void broker_free(struct broker *broker)
{
    if (!broker)
        return;
    broker_stop(broker);
    while (broker->first) { // connections that were closed without a word
        struct worker_line *next = broker->first->next;
        free(broker->first);
        broker->first = next;
    }
    if (broker->set >= 0)
        close(broker->set);
    if (broker->wake >= 0)
        close(broker->wake);
    pthread_mutex_destroy(&broker->lock);
    free(broker);
}
