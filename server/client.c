#include "server/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADERS_LIMIT = 64 << 10, CONNECT_MS = 5000 };

struct client {
    CURL *curl;
    char *url, *token, *ca_file;
    bool any_host;
    size_t answer_limit;
    char problem[CURL_ERROR_SIZE];
};

// What the callbacks of one exchange need.
struct exchange {
    struct client *client;
    const struct client_request *request;
    struct client_answer *answer;
    bool is_enough; // the receiver said so
};

static void library_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool copy_text(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

enum nabla_code client_new(const struct client_options *options, struct client **ret, struct nabla_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init);
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return nabla_fail_memory(err, "a client");
    client->answer_limit = options->answer_limit;
    client->curl = curl_easy_init();
    bool copied = copy_text(options->url, &client->url) && copy_text(options->token, &client->token) &&
                  copy_text(options->ca_file, &client->ca_file);
    client->any_host = options->any_host;
    if (!client->curl || !copied) {
        client_free(client);
        return nabla_fail_memory(err, "a client");
    }
    // Paths begin with a slash: none may end the address.
    for (size_t size = client->url ? strlen(client->url) : 0; size > 0 && client->url[size - 1] == '/';)
        client->url[--size] = '\0';
    *ret = client;
    return NABLA_OK;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    free(client->url);
    free(client->token);
    free(client->ca_file);
    free(client);
}

void client_answer_free(struct client_answer *answer)
{
    buffer_free(&answer->headers);
    buffer_free(&answer->body);
}

static size_t on_header(char *bytes, size_t width, size_t count, void *context)
{
    struct exchange *exchange = context;
    // A status line begins a new answer: the one before was 100 Continue.
    if (count > 5 && strncmp(bytes, "HTTP/", 5) == 0) {
        exchange->answer->headers.size = 0;
        return width * count;
    }
    return buffer_append(&exchange->answer->headers, bytes, width * count) ? width * count : 0;
}

static size_t on_body(char *bytes, size_t width, size_t count, void *context)
{
    struct exchange *exchange = context;
    size_t size = width * count;
    if (!exchange->request->receive)
        return buffer_append(&exchange->answer->body, bytes, size) ? size : 0;
    exchange->is_enough = !exchange->request->receive(exchange->request->context, bytes, size);
    return exchange->is_enough ? 0 : size;
}

static struct curl_slist *headers_of(const struct client *client, const struct client_request *request)
{
    char line[256];
    // No "Expect: 100-continue": on a local connection the round trip costs more than the body.
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    snprintf(line, sizeof line, "Content-Type: %s", request->type ? request->type : "");
    list = curl_slist_append(list, request->type ? line : "Content-Type:");
    if (client->token) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", client->token);
        list = curl_slist_append(list, line);
    }
    for (const char *const *at = request->headers; at && *at; at++)
        list = curl_slist_append(list, *at);
    return list;
}

static void request_set(struct client *client, const struct client_request *request, const char *url,
                        struct curl_slist *headers, struct exchange *exchange)
{
    CURL *curl = client->curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (client->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    if (client->any_host)
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->problem);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, request->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
}

static enum nabla_code outcome(const struct exchange *exchange, CURLcode sent, struct nabla_error *err)
{
    const struct client *client = exchange->client;
    if (sent == CURLE_OK || exchange->is_enough)
        return NABLA_OK;
    if (exchange->answer->body.failed)
        return buffer_status(&exchange->answer->body, "the answer", err);
    return nabla_fail(err, NABLA_BUSY, NULL, "%s: %s", client->url,
                      client->problem[0] ? client->problem : curl_easy_strerror(sent));
}

enum nabla_code client_send(struct client *client, const struct client_request *request,
                            struct client_answer *ret, struct nabla_error *err)
{
    *ret = (struct client_answer){.headers = buffer_new(HEADERS_LIMIT),
                                  .body = buffer_new(client->answer_limit)};
    struct exchange exchange = {.client = client, .request = request, .answer = ret};
    struct buffer url = buffer_new(16 << 10);
    buffer_format(&url, "%s%s", client->url, request->path);
    struct curl_slist *headers = headers_of(client, request);
    enum nabla_code code = buffer_status(&url, "the address", err);
    if (!code) {
        client->problem[0] = '\0';
        request_set(client, request, url.data, headers, &exchange);
        CURLcode sent = curl_easy_perform(client->curl);
        long status = 0;
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
        ret->status = (int)status;
        code = outcome(&exchange, sent, err);
    }
    curl_slist_free_all(headers);
    buffer_free(&url);
    return code;
}

bool client_answer_header(const struct client_answer *answer, const char *name, char *ret, size_t size)
{
    size_t length = strlen(name);
    for (const char *line = answer->headers.data; line && *line;) {
        const char *end = strchr(line, '\n');
        const char *value = line + length + 1;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            value += strspn(value, " \t");
            snprintf(ret, size, "%.*s", (int)strcspn(value, "\r\n"), value);
            return true;
        }
        line = end ? end + 1 : NULL;
    }
    return false;
}
