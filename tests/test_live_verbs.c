// The program as scripts use it: exit statuses and outputs of its verbs.
#include "live.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static int start(void **state)
{
    static const char *const flags[] = {"--log-level", "error", NULL};
    struct live *live = calloc(1, sizeof *live);
    live_make_folder(live);
    live_start(live, flags);
    *state = live;
    return 0;
}

static int stop(void **state)
{
    struct live *live = *state;
    int status = live_end(live, SIGTERM);
    live_remove_folder(live);
    free(live);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

// Runs a line of shell in the folder, where $NABLA is the program and $URL the server; its output goes to
// `ret`. Returns the exit status.
static int run(const struct live *live, const char *line, struct buffer *ret)
{
    const char *program = getenv("NABLA") ? getenv("NABLA") : "build/nabla";
    char *path = realpath(program, NULL);
    assert_non_null(path);
    struct buffer command = buffer_new(8192);
    buffer_format(&command, "cd %s && NABLA=%s URL=%s && %s 2>&1", live->folder, path, live->url, line);
    FILE *output = popen(command.data, "r");
    assert_non_null(output);
    for (int c; (c = fgetc(output)) != EOF;)
        buffer_char(ret, (char)c);
    buffer_char(ret, '\0');
    int status = pclose(output);
    buffer_free(&command);
    free(path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void verbs_say_how_they_ended(void **state)
{
    static const struct {
        const char *comment;
        int status;
        const char *line, *output; // a part of it
    } cases[] = {
        {"help", 0, "$NABLA --help", "serve"},
        {"version", 0, "$NABLA --version", "nabla "},
        {"no verb", 2, "$NABLA", "Usage"},
        {"an unknown verb", 2, "$NABLA dance", "dance"},
        {"help of serve", 0, "$NABLA serve --help", "--max-body"},
        {"the configuration", 0, "NABLA_MAX_BODY=5M $NABLA serve --print-config", "max_body = 5M"},
        {"a wrong option", 2, "$NABLA serve --lisen x", "lisen"},
        {"a port that is taken", 1, "$NABLA serve --data other --listen ${URL#http://}", "in use"},
        {"a folder that is taken", 1, "$NABLA serve --data data --listen 127.0.0.1:0", "data"},
        {"a loss", 0, "echo '{\"logits\":[0,17,16],\"labels\":0}' | $NABLA loss -", "17.31326"},
        {"a loss that is refused", 1, "echo '{\"logits\":[1,2],\"labels\":7}' | $NABLA loss -", "/labels"},
        {"a loss from nowhere", 1, "$NABLA loss missing.json", "missing.json"},
        {"a loss of nothing", 2, "$NABLA loss", "Usage"},
        {"no such job", 2, "$NABLA wait job_none --url $URL", "404"},
        {"no job", 2, "$NABLA wait", "Usage"},
        {"a job with an odd name", 2, "$NABLA wait ../healthz --url $URL", "Usage"},
        {"no server", 4, "$NABLA wait job_none --url http://127.0.0.1:1", "connect"},
        {"a server that is well", 0, "$NABLA health --url $URL", "is well"},
        {"a URL that ends with a slash", 0, "$NABLA health --url $URL/", "is well"},
        {"a server by NABLA_URL", 0, "NABLA_LISTEN=127.0.0.1:1 NABLA_URL=$URL $NABLA health", "is well"},
        {"a server that listens everywhere", 0, "NABLA_LISTEN=0.0.0.0:${URL##*:} $NABLA health",
         "http://127.0.0.1:"},
        {"a server that is not there", 1, "$NABLA health --url http://127.0.0.1:1", "connect"},
        {"a server without a health", 1, "$NABLA health --url $URL/v1", "404"},
        {"health of what", 2, "$NABLA health --url", "Usage"},
        {"a wait by NABLA_LISTEN", 2, "NABLA_LISTEN=${URL#http://} $NABLA wait job_none", "404"},
        {"a spec without rows", 1, "echo '{\"model\":{\"layers\":[]}}' > spec.json; $NABLA train spec.json",
         "/dataset"},
        {"no spec", 2, "$NABLA train", "Usage"},
        {"tokens of a folder that is not there", 1, "$NABLA token list --data elsewhere",
         "elsewhere: No such"},
        {"a token of one", 1, "$NABLA token revoke me --data elsewhere", "elsewhere: No such"},
        {"what that has made", 1, "(echo so; test -e elsewhere)", "so"},
        {"orders that are none", 2, "echo '{}' | $NABLA train --worker", "standard input"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer output = buffer_new(1 << 20);
        int status = run(*state, cases[i].line, &output);
        if (status != cases[i].status || !strstr(output.data, cases[i].output))
            fail_msg("%s: %d instead of %d: %s", cases[i].comment, status, cases[i].status, output.data);
        buffer_free(&output);
    }
}

static void a_wait_ends_with_the_outcome_of_its_job(void **state)
{
    struct live *live = *state;
    static const struct {
        const char *posted; // the state that the client's job reports
        int status;
    } cases[] = {{"succeeded", 0}, {"failed", 1}, {"cancelled", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[64], token[64], line[1024];
        struct client_answer answer = live_send(live, "POST", "/v1/jobs", "{\"executor\":\"client\"}");
        live_field(&answer, "id", id);
        live_field(&answer, "token", token);
        client_answer_free(&answer);
        // The wait is under way, or about to be, when the job ends: both must do.
        snprintf(line, sizeof line,
                 "{ $NABLA wait %s --url $URL & waiting=$!; curl -s -o /dev/null $URL/v1/jobs/%s/state "
                 "-H 'Authorization: Bearer %s' -H 'Content-Type: application/json' "
                 "-d '{\"attempt\":1,\"state\":\"%s\"}'; wait $waiting; }",
                 id, id, token, cases[i].posted);
        struct buffer output = buffer_new(1 << 20);
        int status = run(live, line, &output);
        if (status != cases[i].status || !strstr(output.data, cases[i].posted))
            fail_msg("%s: %d: %s", cases[i].posted, status, output.data);
        buffer_free(&output);
    }
}

static void a_run_by_hand_leaves_a_history_that_a_server_reads(void **state)
{
    struct live *live = *state;
    struct buffer output = buffer_new(1 << 20);
    int status =
        run(live,
            "{ echo '{\"model\":{\"layers\":[{\"units\":8,\"activation\":\"relu\"}]},"
            "\"training\":{\"epochs\":3,\"batch_size\":4,\"seed\":1}}' > spec.json; "
            "{ echo x,y,kind; for i in 1 2 3 4 5 6 7 8 9; do echo $i,-$i,a; echo -$i,$i,b; done; } > "
            "rows.csv; mkdir hand; $NABLA train spec.json --dataset rows.csv --out hand/data; }",
            &output);
    if (status != 0 || !strstr(output.data, "epoch 3/3") || !strstr(output.data, "dense_1"))
        fail_msg("%d: %s", status, output.data);
    buffer_free(&output);

    struct live reader = {0};
    static const char *const flags[] = {"--log-level", "error", NULL};
    snprintf(reader.folder, sizeof reader.folder, "%.50s/hand", live->folder);
    live_start(&reader, flags);
    struct client_answer answer = live_send(&reader, "GET", "/v1/jobs?state=succeeded", NULL);
    assert_non_null(strstr(answer.body.data, "\"state\":\"succeeded\""));
    client_answer_free(&answer);
    status = live_end(&reader, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    client_free(reader.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_say_how_they_ended),
        cmocka_unit_test(a_wait_ends_with_the_outcome_of_its_job),
        cmocka_unit_test(a_run_by_hand_leaves_a_history_that_a_server_reads),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
