// nabla loss: the answer that POST /v1/losses would give, by the same code, without a server.
#include "api/api.h"
#include "base/file.h"
#include "server/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: nabla loss FILE\n\n"
    "Answers the loss request in FILE (\"-\" for standard input) as POST /v1/losses would and prints the\n"
    "answer. Exit status: 0 answered, 1 refused (the problem is printed), 2 called wrongly.\n\n"
    "  echo '{\"logits\": [1, 2, 0.1, -1], \"labels\": 1}' | nabla loss -\n";

static enum nabla_code read_request(const char *path, struct buffer *ret, struct nabla_error *err)
{
    return file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, ret, err);
}

static void answer(struct api *api, const struct buffer *body, struct api_answer *ret)
{
    char length[32];
    snprintf(length, sizeof length, "%zu", body->size);
    const struct api_header headers[] = {{"Content-Type", "application/json"}, {"Content-Length", length}};
    const struct api_request request = {.method = "POST",
                                        .target = "/v1/losses",
                                        .headers = headers,
                                        .header_count = sizeof headers / sizeof *headers,
                                        .listener = API_PUBLIC};
    struct api_call *call = NULL;
    api_open(api, &request, &call, ret);
    if (call && api_body(call, body->data ? body->data : "", body->size, ret))
        api_handle(call, ret);
    api_close(call);
}

static int print_answer(const struct api_answer *answer)
{
    bool done = answer->kind == API_COMPLETE && answer->status < 300;
    if (answer->kind == API_COMPLETE && answer->body.size > 0) {
        fwrite(answer->body.data, 1, answer->body.size, stdout);
        if (answer->body.data[answer->body.size - 1] != '\n')
            putchar('\n');
    }
    return fflush(stdout) == 0 && done ? EXIT_DONE : EXIT_FAILED;
}

static void on_failed(void *context, const char *request_id, const char *method, const char *path,
                      const struct nabla_error *err)
{
    (void)request_id;
    (void)context, (void)method, (void)path;
    fprintf(stderr, "nabla loss: %s\n", err->text);
}

int verb_loss(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (argc != 2 || (argv[1][0] == '-' && argv[1][1])) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct nabla_error err;
    const struct api_options options = {.limits = api_limits_defaults(), .failed = on_failed};
    struct buffer body = buffer_new(options.limits.body_bytes);
    struct api *api = NULL;
    struct api_answer result = {.fd = -1};
    int status = EXIT_FAILED;
    if (read_request(argv[1], &body, &err) || api_new(&options, &api, &err)) {
        fprintf(stderr, "nabla loss: %s\n", err.text);
    } else {
        answer(api, &body, &result);
        status = print_answer(&result);
    }
    api_answer_free(&result);
    api_free(api);
    buffer_free(&body);
    return status;
}
