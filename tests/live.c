#include "live.h"

#include "base/clock.h"
#include "server/message.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FLAGS_MAX = 16, ANSWER_LIMIT = 64 << 20 };

void live_make_folder(struct live *live)
{
    *live = (struct live){.folder = "/tmp/nabla-live-XXXXXX"};
    assert_non_null(mkdtemp(live->folder));
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path);
}

void live_remove_folder(struct live *live)
{
    client_free(live->client);
    live->client = NULL;
    nftw(live->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// The first line of the server's output names its address; the pipe's end means that it did not start.
static void read_address(struct live *live, int fd)
{
    char line[512];
    size_t length = 0;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (length < sizeof line - 1 && poll(&ready, 1, LIVE_DEADLINE_MS) == 1) {
        if (read(fd, line + length, 1) != 1 || line[length] == '\n')
            break;
        length++;
    }
    line[length] = '\0';
    if (sscanf(line, "Nabla listens on http://127.0.0.1:%u", &live->port) != 1)
        fail_msg("the server did not start: \"%s\"", line);
}

void live_start(struct live *live, const char *const *flags)
{
    const char *program = getenv("NABLA") ? getenv("NABLA") : "build/nabla";
    char data[80];
    snprintf(data, sizeof data, "%s/data", live->folder);
    char *arguments[FLAGS_MAX] = {"nabla", "serve", "--listen", "127.0.0.1:0", "--data", data};
    for (size_t i = 6; flags && *flags && i < FLAGS_MAX - 1; i++)
        arguments[i] = (char *)*flags++;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    assert_int_equal(posix_spawn(&live->pid, program, &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    read_address(live, ends[0]);
    close(ends[0]);
    snprintf(live->url, sizeof live->url, "http://127.0.0.1:%u", live->port);
    const struct client_options options = {.url = live->url, .answer_limit = ANSWER_LIMIT};
    client_free(live->client);
    live->client = NULL;
    assert_int_equal(client_new(&options, &live->client, NULL), NABLA_OK);
}

int live_end(struct live *live, int signal)
{
    int status = -1;
    int process = (int)syscall(SYS_pidfd_open, live->pid, 0);
    struct pollfd ended = {.fd = process, .events = POLLIN};
    kill(live->pid, signal);
    bool in_time = process < 0 || poll(&ended, 1, LIVE_DEADLINE_MS) == 1;
    if (!in_time)
        kill(live->pid, SIGKILL);
    waitpid(live->pid, &status, 0);
    close(process);
    live->pid = 0;
    return in_time ? status : -1;
}

static void log_field(struct buffer *line, const char *name, const char *text)
{
    buffer_format(line, ",\"%s\":", name);
    if (text)
        buffer_json_string(line, text);
    else
        buffer_text(line, "null");
}

static void log_headers(struct buffer *line, const char *lines)
{
    const char *comma = "";
    buffer_text(line, ",\"response_headers\":{");
    while (lines && *lines) {
        size_t name = strcspn(lines, ":\r\n"), whole = strcspn(lines, "\r\n");
        if (name < whole) {
            char *key = strndup(lines, name), *value = strndup(lines + name + 1, whole - name - 1);
            buffer_text(line, comma);
            buffer_json_string(line, key);
            buffer_char(line, ':');
            buffer_json_string(line, value + strspn(value, " "));
            comma = ",";
            free(key);
            free(value);
        }
        lines += whole;
        lines += strspn(lines, "\r\n");
    }
    buffer_char(line, '}');
}

static void log_exchange(const struct client_request *request, const struct client_answer *answer)
{
    const char *path = getenv("NABLA_EXCHANGE_LOG");
    char type[128];
    if (!path)
        return;
    bool has_type = client_answer_header(answer, "Content-Type", type, sizeof type);
    struct buffer line = buffer_new(256 << 20);
    buffer_format(&line, "{\"status\":%d", answer->status);
    log_field(&line, "method", request->method);
    log_field(&line, "path", request->path);
    log_field(&line, "request_content_type", request->type);
    log_field(&line, "request_body", request->body);
    log_field(&line, "response_content_type", has_type ? type : NULL);
    log_headers(&line, answer->headers.data);
    log_field(&line, "response_body", answer->body.data ? answer->body.data : "");
    buffer_text(&line, "}\n");
    FILE *out = fopen(path, "a");
    if (out) {
        fwrite(line.data, 1, line.size, out);
        fclose(out);
    }
    buffer_free(&line);
}

int live_set_up(void **state, const char *const *flags)
{
    struct live *live = calloc(1, sizeof *live);
    live_make_folder(live);
    live_start(live, flags);
    *state = live;
    return 0;
}

int live_tear_down(void **state)
{
    struct live *live = *state;
    int status = live->pid ? live_end(live, SIGTERM) : 0;
    live_remove_folder(live);
    free(live);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct client_answer live_exchange(struct live *live, const struct client_request *request)
{
    struct client_answer answer;
    struct nabla_error err;
    struct client_request timed = *request;
    timed.timeout_ms = LIVE_DEADLINE_MS;
    if (client_send(live->client, &timed, &answer, &err))
        fail_msg("%s %s: %s", request->method, request->path, err.text);
    log_exchange(request, &answer);
    return answer;
}

struct client_answer live_send(struct live *live, const char *method, const char *path, const char *body)
{
    const struct client_request request = {.method = method,
                                           .path = path,
                                           .type = body ? "application/json" : NULL,
                                           .body = body,
                                           .body_size = body ? strlen(body) : 0};
    return live_exchange(live, &request);
}

void live_expect(struct live *live, int status, const char *method, const char *path, const char *body)
{
    struct client_answer answer = live_send(live, method, path, body);
    if (answer.status != status)
        fail_msg("%s %s: %d instead of %d: %s", method, path, answer.status, status,
                 answer.body.data ? answer.body.data : "");
    client_answer_free(&answer);
}

char *live_field(const struct client_answer *answer, const char *name, char ret[64])
{
    const struct message message = {answer->body.data, answer->body.size};
    if (!message.text || !message_text(message, name, ret, 64))
        fail_msg("no text \"%s\" in %s", name, message.text ? message.text : "nothing");
    return ret;
}

void live_post_job(struct live *live, const char *body, char ret_id[64])
{
    struct client_answer answer = live_send(live, "POST", "/v1/jobs", body);
    if (answer.status != 202)
        fail_msg("the job was answered %d: %s", answer.status, answer.body.data ? answer.body.data : "");
    live_field(&answer, "id", ret_id);
    client_answer_free(&answer);
}

static bool is_final(const char *state)
{
    return strcmp(state, "succeeded") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
}

struct client_answer live_await(struct live *live, const char *job, const char *state)
{
    char path[96], known[96] = "X-Nothing: 1", etag[64], now[64] = "";
    snprintf(path, sizeof path, "/v1/jobs/%s", job);
    int64_t deadline = clock_monotonic_ms() + LIVE_DEADLINE_MS;
    while (clock_monotonic_ms() < deadline) {
        const char *const headers[] = {"Prefer: wait=5", known, NULL};
        const struct client_request request = {.method = "GET", .path = path, .headers = headers};
        struct client_answer answer = live_exchange(live, &request);
        if (answer.status == 200 && strcmp(live_field(&answer, "state", now), state) == 0)
            return answer;
        if (answer.status == 200 && is_final(now))
            fail_msg("the job is %s instead of %s: %s", now, state, answer.body.data);
        if (client_answer_header(&answer, "ETag", etag, sizeof etag))
            snprintf(known, sizeof known, "If-None-Match: %s", etag);
        client_answer_free(&answer);
    }
    fail_msg("the job was never %s but %s", state, now);
    return (struct client_answer){0};
}

int live_connect(const struct live *live)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)live->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

bool live_raw(const struct live *live, const char *bytes, size_t size, int milliseconds, struct buffer *ret)
{
    int fd = live_connect(live);
    int64_t deadline = clock_monotonic_ms() + milliseconds;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    bool closed = false;
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
    while (!closed) {
        int64_t left = deadline - clock_monotonic_ms();
        if (left <= 0 || poll(&ready, 1, (int)left) != 1)
            break;
        char *room = buffer_reserve(ret, 4096);
        ssize_t count = recv(fd, room, 4096, 0);
        closed = count <= 0;
        if (count > 0)
            ret->size += (size_t)count;
        ret->data[ret->size] = '\0';
    }
    close(fd);
    return closed;
}

static bool holds(const char *process, const char *target)
{
    char folder[64], path[384], link[512];
    snprintf(folder, sizeof folder, "/proc/%.32s/fd", process);
    DIR *descriptors = opendir(folder);
    bool found = false;
    for (struct dirent *at; descriptors && !found && (at = readdir(descriptors));) {
        snprintf(path, sizeof path, "%s/%s", folder, at->d_name);
        ssize_t length = readlink(path, link, sizeof link - 1);
        found = length > 0 && (size_t)length == strlen(target) && memcmp(link, target, (size_t)length) == 0;
    }
    if (descriptors)
        closedir(descriptors);
    return found;
}

pid_t live_worker(const struct live *live, const char *job)
{
    char lock[192];
    snprintf(lock, sizeof lock, "%s/data/jobs/%s/lock", live->folder, job);
    DIR *processes = opendir("/proc");
    pid_t found = 0;
    for (struct dirent *at; processes && !found && (at = readdir(processes));)
        if (at->d_name[0] >= '1' && at->d_name[0] <= '9' && holds(at->d_name, lock))
            found = (pid_t)atoi(at->d_name);
    if (processes)
        closedir(processes);
    return found;
}
