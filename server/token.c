// nabla token: makes, lists and revokes the access tokens of a data folder, also while a server runs on it.
#include "base/clock.h"
#include "server/config.h"
#include "server/verbs.h"
#include "store/tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "Usage: nabla token create NAME [--scope read|write|admin] [--days N] [LIMITS] [--data FOLDER]\n"
    "       nabla token list [--data FOLDER]\n"
    "       nabla token revoke NAME [--data FOLDER]\n\n"
    "The access tokens of a data folder, ./data or what NABLA_DATA says. A server that runs there sees a\n"
    "change with the next request. A token is printed once, when it is made; only its hash is kept.\n\n"
    "  --scope SCOPE           read, write (and read) or admin (and all else) [read]\n"
    "  --days N                valid for so many days [for ever]\n";

static const struct limit {
    const char *flag, *value, *meaning;
    size_t at;
    bool is_size;
} limits[] = {
    {"--max-body", "SIZE", "request body", offsetof(struct token_grant, body_bytes), true},
    {"--max-requests", "N", "requests running at a time", offsetof(struct token_grant, requests), false},
    {"--max-queued-jobs", "N", "jobs waiting for a worker", offsetof(struct token_grant, queued_jobs), false},
    {"--max-dataset-rows", "N", "rows of a data set", offsetof(struct token_grant, dataset_rows), false},
    {"--max-disk", "SIZE", "all data sets of the token", offsetof(struct token_grant, disk_bytes), true},
};
enum { LIMITS = sizeof limits / sizeof *limits, DAYS_MAX = 36500 };

struct request {
    const char *folder, *name;
    struct token_grant grant;
};

static void print_usage(FILE *out)
{
    fputs(usage, out);
    for (size_t i = 0; i < LIMITS; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "%s %s", limits[i].flag, limits[i].value);
        fprintf(out, "  %-23s %s [as the server allows]\n", flag, limits[i].meaning);
    }
}

static bool take_limit(const char *flag, const char *value, struct token_grant *grant)
{
    for (size_t i = 0; i < LIMITS; i++) {
        unsigned long long number;
        if (strcmp(flag, limits[i].flag) != 0)
            continue;
        if (!config_number(value, limits[i].is_size, 1, INT64_MAX, &number))
            return false;
        *(uint64_t *)((char *)grant + limits[i].at) = number;
        return true;
    }
    return false;
}

static bool take_flag(const char *flag, const char *value, struct request *request)
{
    unsigned long long days;
    if (strcmp(flag, "--data") == 0) {
        request->folder = value;
        return true;
    }
    if (strcmp(flag, "--scope") == 0)
        return (request->grant.scopes = tokens_scopes_read(value)) != 0;
    if (strcmp(flag, "--days") != 0)
        return take_limit(flag, value, &request->grant);
    if (!config_number(value, false, 1, DAYS_MAX, &days))
        return false;
    request->grant.expires_ms = (uint64_t)clock_wall_ms() + days * 86400000;
    return true;
}

static bool read_arguments(int argc, char **argv, struct request *ret)
{
    const char *folder = getenv("NABLA_DATA");
    *ret = (struct request){.folder = folder && *folder ? folder : "./data", .grant.scopes = SCOPE_READ};
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            if (ret->name)
                return false;
            ret->name = argv[i];
        } else if (i + 1 >= argc || !take_flag(argv[i], argv[i + 1], ret)) {
            return false;
        } else {
            i++;
        }
    }
    return true;
}

static enum nabla_code create(struct request *request, struct nabla_error *err)
{
    char secret[TOKENS_SECRET_SIZE];
    if ((size_t)snprintf(request->grant.name, TOKENS_NAME_SIZE, "%s", request->name) >= TOKENS_NAME_SIZE)
        request->grant.name[0] = '\0'; // refused as no name
    enum nabla_code code = tokens_create(request->folder, &request->grant, secret, err);
    if (!code)
        printf("%s\n", secret);
    return code;
}

static void print_grant(const struct token_grant *grant)
{
    char scopes[24], created[CLOCK_TEXT_SIZE], expires[CLOCK_TEXT_SIZE] = "never";
    tokens_scopes_write(grant->scopes, scopes);
    clock_format(created, (int64_t)grant->created_ms);
    if (grant->expires_ms)
        clock_format(expires, (int64_t)grant->expires_ms);
    printf("%-20s %-24s %-16s created %s  expires %s", grant->name, grant->id, scopes, created, expires);
    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t limit = *(const uint64_t *)((const char *)grant + limits[i].at);
        if (limit)
            printf("  %s %" PRIu64, limits[i].flag, limit);
    }
    putchar('\n');
}

// A first token may make the folder; who looks for one in a folder that is not there has mistaken it.
static enum nabla_code check_folder(const struct request *request, struct nabla_error *err)
{
    struct stat status;
    return stat(request->folder, &status) == 0
               ? NABLA_OK
               : nabla_fail_errno(err, "look into the data folder", request->folder);
}

static enum nabla_code list(struct request *request, struct nabla_error *err)
{
    struct token_grant *grants;
    size_t count;
    enum nabla_code code = check_folder(request, err);
    if (!code)
        code = tokens_list(request->folder, &grants, &count, err);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++)
        print_grant(&grants[i]);
    free(grants);
    return NABLA_OK;
}

static enum nabla_code revoke(struct request *request, struct nabla_error *err)
{
    enum nabla_code code = check_folder(request, err);
    return code ? code : tokens_revoke(request->folder, request->name, err);
}

int verb_token(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool needs_name;
        enum nabla_code (*run)(struct request *request, struct nabla_error *err);
    } actions[] = {{"create", true, create}, {"list", false, list}, {"revoke", true, revoke}};
    struct request request;
    struct nabla_error err;
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    for (size_t i = 0; argc >= 2 && i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(argv[1], actions[i].name) != 0 || !read_arguments(argc, argv, &request) ||
            actions[i].needs_name != (request.name != NULL))
            continue;
        if (actions[i].run(&request, &err) == NABLA_OK)
            return EXIT_DONE;
        fprintf(stderr, "nabla token: %s\n", err.text);
        return EXIT_FAILED;
    }
    print_usage(stderr);
    return EXIT_USAGE;
}
