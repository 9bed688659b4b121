// nabla health: is a server there and well? Its exit status is what a container's health check asks for.
#include "server/address.h"
#include "server/client.h"
#include "server/verbs.h"

#include <stdio.h>
#include <string.h>

static const char usage[] = "Usage: nabla health [--url http://127.0.0.1:8080]\n\n"
                            "Asks a server whether it is well (GET /healthz). The URL may also stand in "
                            "NABLA_URL; without one it is\n"
                            "where NABLA_LISTEN has a server listen.\n"
                            "Exit status: 0 well, 1 not well or not reached, 2 called wrongly.\n";

// Less than the 3 s that the image's health check allows, so that it is this program that says why.
enum { TIMEOUT_MS = 2500, ANSWER_LIMIT = 1 << 20 };

static enum nabla_code ask(const struct client_options *options, struct nabla_error *err)
{
    const struct client_request request = {.method = "GET", .path = "/healthz", .timeout_ms = TIMEOUT_MS};
    struct client *client = NULL;
    struct client_answer answer;
    enum nabla_code code = client_new(options, &client, err);
    if (code)
        return code;
    code = client_send(client, &request, &answer, err);
    if (!code && answer.status != 200)
        code = nabla_fail(err, NABLA_BUSY, NULL, "%s answers %d", options->url, answer.status);
    client_answer_free(&answer);
    client_free(client);
    return code;
}

int verb_health(int argc, char **argv)
{
    char url[ADDRESS_SIZE];
    struct nabla_error err;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    bool is_given = argc == 3 && strcmp(argv[1], "--url") == 0;
    if (argc != 1 && !is_given) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    const struct client_options options = address_client(is_given ? argv[2] : NULL, url, ANSWER_LIMIT);
    if (ask(&options, &err)) {
        fprintf(stderr, "nabla health: %s\n", err.text);
        return EXIT_FAILED;
    }
    printf("%s is well\n", options.url);
    return EXIT_DONE;
}
