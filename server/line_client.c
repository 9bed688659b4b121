#include "server/line_client.h"

#include "server/line.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_LIMIT = 16 << 10, // of a request's or an answer's head
    TOKEN_SIZE = 96,
    TRACE_SIZE = 64,
    LOOK_MS = 100, // between looks at whether to stop
};

struct line_client {
    struct line line;
    int fd; // the connection, or -1
    char token[TOKEN_SIZE], traceparent[TRACE_SIZE];
    size_t answer_limit;
    atomic_bool stopped;
};

enum nabla_code line_client_new(const struct line_client_options *options, struct line_client **ret,
                                struct nabla_error *err)
{
    struct line_client *client = calloc(1, sizeof *client);
    if (!client)
        return nabla_fail_memory(err, "a client");
    client->line.fd = options->line;
    client->fd = -1;
    client->answer_limit = options->answer_limit;
    snprintf(client->token, sizeof client->token, "%s", options->token);
    snprintf(client->traceparent, sizeof client->traceparent, "%s",
             options->traceparent ? options->traceparent : "");
    *ret = client;
    return NABLA_OK;
}

static void disconnect(struct line_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

void line_client_free(struct line_client *client)
{
    if (!client)
        return;
    disconnect(client);
    free(client);
}

void line_client_stop(struct line_client *client)
{
    atomic_store(&client->stopped, true);
}

void line_answer_free(struct line_answer *answer)
{
    buffer_free(&answer->body);
}

// A connection that the server has closed meanwhile is readable: it has come to its end.
static enum nabla_code connect_if_needed(struct line_client *client, struct nabla_error *err)
{
    struct pollfd end = {.fd = client->fd, .events = POLLIN};
    if (client->fd >= 0 && poll(&end, 1, 0) != 0)
        disconnect(client);
    return client->fd >= 0 ? NABLA_OK : line_connect(&client->line, &client->stopped, &client->fd, err);
}

static enum nabla_code broken_off(struct nabla_error *err)
{
    return nabla_fail(err, NABLA_BUSY, NULL, "the server broke the exchange off");
}

static enum nabla_code await(const struct line_client *client, short events, struct nabla_error *err)
{
    struct pollfd ready = {.fd = client->fd, .events = events};
    do {
        if (atomic_load(&client->stopped))
            return nabla_fail(err, NABLA_CANCELLED, NULL, "the exchange was stopped");
    } while (poll(&ready, 1, LOOK_MS) <= 0);
    return NABLA_OK;
}

static bool is_for_later(ssize_t count)
{
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}

static enum nabla_code send_bytes(const struct line_client *client, const struct buffer *bytes,
                                  struct nabla_error *err)
{
    size_t sent = 0;
    while (sent < bytes->size) {
        ssize_t count = send(client->fd, bytes->data + sent, bytes->size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count > 0) {
            sent += (size_t)count;
        } else if (is_for_later(count)) {
            enum nabla_code code = await(client, POLLOUT, err);
            if (code)
                return code;
        } else {
            return broken_off(err);
        }
    }
    return NABLA_OK;
}

static enum nabla_code send_request(const struct line_client *client, const struct line_request *request,
                                    struct nabla_error *err)
{
    struct buffer head = buffer_new(HEAD_LIMIT);
    buffer_format(&head, "%s %s HTTP/1.1\r\nHost: nabla\r\nAuthorization: Bearer %s\r\n", request->method,
                  request->path, client->token);
    if (client->traceparent[0])
        buffer_format(&head, "traceparent: %s\r\n", client->traceparent);
    if (request->json)
        buffer_format(&head, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                      request->json->size);
    buffer_text(&head, "\r\n");
    enum nabla_code code = buffer_status(&head, "the head of a request", err);
    if (!code)
        code = send_bytes(client, &head, err);
    if (!code && request->json)
        code = send_bytes(client, request->json, err);
    buffer_free(&head);
    return code;
}

// Appends what has come, at least one byte and at most `most`.
static enum nabla_code receive_some(const struct line_client *client, size_t most, struct buffer *ret,
                                    struct nabla_error *err)
{
    for (;;) {
        enum nabla_code code = await(client, POLLIN, err);
        if (code)
            return code;
        char *room = buffer_reserve(ret, most);
        if (!room)
            return buffer_status(ret, "the server's answer", err);
        ssize_t count = recv(client->fd, room, most, MSG_DONTWAIT);
        if (count > 0) {
            ret->size += (size_t)count;
            ret->data[ret->size] = '\0';
            return NABLA_OK;
        }
        if (!is_for_later(count))
            return broken_off(err);
    }
}

// The value of a header, without the spaces before it; NULL for none. `head` ends with an empty line.
static const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strchr(head, '\n'); line && line[1] != '\r'; line = strchr(line + 1, '\n'))
        if (strncasecmp(line + 1, name, length) == 0 && line[1 + length] == ':')
            return line + 2 + length + strspn(line + 2 + length, " \t");
    return NULL;
}

// What an answer's head says of the rest.
struct answer_head {
    int status;
    size_t length; // of the body
    bool is_last;  // the server closes the connection after it
};

static enum nabla_code read_head(const char *text, struct answer_head *ret, struct nabla_error *err)
{
    const char *length = header(text, "Content-Length"), *connection = header(text, "Connection");
    ret->is_last = connection && strncasecmp(connection, "close", strlen("close")) == 0;
    ret->length = 0;
    if (sscanf(text, "HTTP/1.1 %3d ", &ret->status) != 1 || ret->status < 200 ||
        (length && sscanf(length, "%19zu", &ret->length) != 1) || (!length && ret->status != 204))
        return nabla_fail(err, NABLA_INVALID, NULL, "the server's answer cannot be read: %.60s", text);
    return NABLA_OK;
}

// The head into `head`, with the beginning of the body that came with it behind; *ret_size is the head's.
static enum nabla_code receive_head(const struct line_client *client, struct buffer *head, size_t *ret_size,
                                    struct nabla_error *err)
{
    const char *end = NULL;
    while (!end) {
        size_t room = HEAD_LIMIT - head->size;
        if (room == 0)
            return nabla_fail(err, NABLA_INVALID, NULL, "the head of the server's answer does not end");
        enum nabla_code code = receive_some(client, room, head, err);
        if (code)
            return code;
        end = strstr(head->data, "\r\n\r\n");
    }
    *ret_size = (size_t)(end - head->data) + strlen("\r\n\r\n");
    return NABLA_OK;
}

static enum nabla_code receive_body(const struct line_client *client, size_t length, struct buffer *ret,
                                    struct nabla_error *err)
{
    enum nabla_code code = buffer_reserve(ret, length) || length == 0
                               ? NABLA_OK
                               : buffer_status(ret, "the server's answer", err);
    while (!code && ret->size < length)
        code = receive_some(client, length - ret->size, ret, err);
    return code;
}

static enum nabla_code receive_answer(const struct line_client *client, struct line_answer *ret,
                                      bool *ret_is_last, struct nabla_error *err)
{
    struct buffer bytes = buffer_new(HEAD_LIMIT);
    struct answer_head head = {0};
    size_t size = 0;
    enum nabla_code code = receive_head(client, &bytes, &size, err);
    if (!code)
        code = read_head(bytes.data, &head, err);
    if (!code && bytes.size - size > head.length)
        code = nabla_fail(err, NABLA_INVALID, NULL, "the server's answer is longer than it says");
    if (!code && !buffer_append(&ret->body, bytes.data + size, bytes.size - size))
        code = buffer_status(&ret->body, "the server's answer", err);
    if (!code)
        code = receive_body(client, head.length, &ret->body, err);
    if (!code) {
        ret->status = head.status;
        *ret_is_last = head.is_last;
    }
    buffer_free(&bytes);
    return code;
}

enum nabla_code line_client_send(struct line_client *client, const struct line_request *request,
                                 struct line_answer *ret, struct nabla_error *err)
{
    bool is_last = true;
    *ret = (struct line_answer){.body = buffer_new(client->answer_limit)};
    enum nabla_code code = connect_if_needed(client, err);
    if (code)
        return code;
    enum nabla_code sent = send_request(client, request, err);
    // Who breaks off in the middle of a request may have said why.
    code = sent && sent != NABLA_BUSY ? sent : receive_answer(client, ret, &is_last, err);
    if (sent || is_last)
        disconnect(client);
    return code;
}
