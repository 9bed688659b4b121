// The nabla program: a table of verbs.
#include "server/verbs.h"

#include <stdio.h>
#include <string.h>

struct verb {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
};

static const struct verb verbs[] = {
    {"serve", "run the API server: HTTP, SQLite, and a worker process for each training job", verb_serve},
    {"train", "train one network from a spec and a CSV file, without a server", verb_train},
    {"loss", "answer one loss request from a file, without a server", verb_loss},
    {"wait", "wait for a job of a running server; the exit status is its outcome", verb_wait},
    {"backup", "copy the data folder, also while a server works in it", verb_backup},
    {"restore", "make a backup the data folder", verb_restore},
    {"check", "hold the data folder against what it should be; the exit status is the answer", verb_check},
    {"health", "ask a running server whether it is well; the exit status is the answer", verb_health},
    {"token", "make, list and revoke the access tokens of a data folder", verb_token},
};
enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

static void print_help(FILE *out)
{
    fprintf(out, "Nabla is a gradient service: losses, gradients and training jobs over HTTP.\n\n"
                 "Usage: nabla VERB [OPTIONS]\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-7s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\n  nabla VERB --help   the options of a verb\n"
                 "  nabla --version     the version\n");
}

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("nabla %s\n", NABLA_VERSION);
        return EXIT_DONE;
    }
    const struct verb *verb = verb_find(argv[1]);
    if (!verb) {
        fprintf(stderr, "nabla: there is no verb \"%s\"; nabla --help lists them\n", argv[1]);
        return EXIT_USAGE;
    }
    return verb->run(argc - 1, argv + 1);
}
