// nabla wait: a job's outcome as an exit status, for scripts. Long-polls: each answer comes when the job has
// changed, or after half a minute.
#include "base/clock.h"
#include "server/address.h"
#include "server/client.h"
#include "server/message.h"
#include "server/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "Usage: nabla wait JOB [--url http://127.0.0.1:8080]\n\n"
    "Waits until the job has finished and prints it as JSON. The URL may also stand in NABLA_URL;\n"
    "without one it is where NABLA_LISTEN has a server listen. A token may stand in NABLA_TOKEN, "
    "certificates to\n"
    "trust in NABLA_CA_FILE.\n"
    "Exit status: 0 succeeded, 1 failed, 2 called wrongly or no such job, 3 cancelled, 4 the server cannot "
    "be\n"
    "reached.\n";

enum { EXIT_CANCELLED = 3, EXIT_UNREACHABLE = 4, ANSWER_LIMIT = 64 << 20, TIMEOUT_MS = 60000, TRIES = 5 };

static void pause_ms(long milliseconds)
{
    const struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

// A server that is starting again is waited for, for a while.
static enum nabla_code ask(struct client *client, const char *path, const char *etag,
                           struct client_answer *ret, struct nabla_error *err)
{
    char known[128];
    snprintf(known, sizeof known, "If-None-Match: %s", etag);
    const char *const headers[] = {"Prefer: wait=30", etag[0] ? known : NULL, NULL};
    const struct client_request request = {
        .method = "GET", .path = path, .headers = headers, .timeout_ms = TIMEOUT_MS};
    enum nabla_code code = NABLA_OK;
    for (int try = 0; try < TRIES; try++) {
        code = client_send(client, &request, ret, err);
        if (!code && ret->status != 503 && ret->status != 429)
            return NABLA_OK;
        if (!code)
            code = nabla_fail(err, NABLA_BUSY, NULL, "the server answers %d", ret->status);
        if (try + 1 < TRIES) {
            client_answer_free(ret);
            pause_ms(200L << try);
        }
    }
    return code;
}

static int outcome_of(const char *state)
{
    static const struct {
        const char *state;
        int status;
    } outcomes[] = {{"succeeded", EXIT_DONE}, {"failed", EXIT_FAILED}, {"cancelled", EXIT_CANCELLED}};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (strcmp(state, outcomes[i].state) == 0)
            return outcomes[i].status;
    return -1;
}

// -1: not finished yet.
static int judge(const struct client_answer *answer)
{
    const struct message job = {answer->body.data, answer->body.size};
    char state[16];
    if (answer->status == 304)
        return -1;
    if (answer->status != 200 || !job.text || !message_text(job, "state", state, sizeof state)) {
        fprintf(stderr, "nabla wait: the server answers %d: %s\n", answer->status, job.text ? job.text : "");
        return EXIT_USAGE;
    }
    int status = outcome_of(state);
    if (status >= 0)
        puts(job.text);
    return status;
}

static int wait_for(struct client *client, const char *job)
{
    char path[256], etag[64] = "";
    snprintf(path, sizeof path, "/v1/jobs/%s", job);
    int status = -1;
    while (status < 0) {
        struct nabla_error err;
        struct client_answer answer;
        if (ask(client, path, etag, &answer, &err)) {
            fprintf(stderr, "nabla wait: %s\n", err.text);
            status = EXIT_UNREACHABLE;
        } else {
            status = judge(&answer);
            client_answer_header(&answer, "ETag", etag, sizeof etag);
        }
        client_answer_free(&answer);
    }
    return status;
}

// An id goes into a path: nothing that would need encoding.
static bool is_id(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length < 64 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

int verb_wait(int argc, char **argv)
{
    const char *job = NULL, *url = NULL;
    char standard[ADDRESS_SIZE];
    bool is_wrong = false;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--url") == 0 && i + 1 < argc)
            url = argv[++i];
        else if (!job && is_id(argv[i]))
            job = argv[i];
        else
            is_wrong = true;
    }
    if (is_wrong || !job) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    const struct client_options options = address_client(url, standard, ANSWER_LIMIT);
    struct client *client = NULL;
    struct nabla_error err;
    if (client_new(&options, &client, &err)) {
        fprintf(stderr, "nabla wait: %s\n", err.text);
        return EXIT_FAILED;
    }
    int status = wait_for(client, job);
    client_free(client);
    return status;
}
