// nabla backup, restore and check: what an administrator does with a data folder.
#include "store/backup.h"

#include "server/verbs.h"
#include "store/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char backup_usage[] = "Usage: nabla backup DIR [--data ./data]\n\n"
                                   "Copies the data folder to DIR, which must be new or empty, also while a "
                                   "server works in it: one consistent\n"
                                   "state of the database, the files that it describes, and a manifest with "
                                   "their hashes. The copy is checked.\n";
static const char restore_usage[] =
    "Usage: nabla restore DIR [--data ./data]\n\n"
    "Checks a backup against its manifest and makes it the data folder, which must be new or empty.\n";
static const char check_usage[] =
    "Usage: nabla check [--data ./data] [--all] [--repair]\n\n"
    "Holds the database against SQLite's rules, rows against the jobs that "
    "they belong to, the files of data sets and\n"
    "checkpoints against their hashes, and rollups against their rows: a sample, "
    "or with --all every one.\n"
    "--repair, without a server, removes what belongs to nothing and builds "
    "rollups anew.\n"
    "Exit status: 0 sound, 1 there were faults, 2 called wrongly.\n";

struct arguments {
    const char *folder, *data;
    struct check_wish wish;
};

// 0, or the exit status.
static int take_arguments(int argc, char **argv, bool has_folder, const char *usage, struct arguments *ret)
{
    const char *environment = getenv("NABLA_DATA");
    *ret = (struct arguments){.data = environment && *environment ? environment : "./data"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--data") == 0 && i + 1 < argc) {
            ret->data = argv[++i];
        } else if (!has_folder && strcmp(argv[i], "--repair") == 0) {
            ret->wish.repair = true;
        } else if (!has_folder && strcmp(argv[i], "--all") == 0) {
            ret->wish.all = true;
        } else if (has_folder && argv[i][0] != '-' && !ret->folder) {
            ret->folder = argv[i];
        } else {
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (!has_folder || ret->folder)
        return 0;
    fputs(usage, stderr);
    return EXIT_USAGE;
}

static bool asks_for_help(int argc, char **argv, const char *usage)
{
    bool asks = argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (asks)
        fputs(usage, stdout);
    return asks;
}

static int fail(const char *verb, const struct nabla_error *err)
{
    fprintf(stderr, "nabla %s: %s\n", verb, err->text);
    return EXIT_FAILED;
}

int verb_backup(int argc, char **argv)
{
    struct arguments arguments;
    struct nabla_error err = {0};
    size_t files = 0;
    if (asks_for_help(argc, argv, backup_usage))
        return EXIT_DONE;
    int status = take_arguments(argc, argv, true, backup_usage, &arguments);
    if (status)
        return status;
    if (backup_make(arguments.data, arguments.folder, &files, &err))
        return fail("backup", &err);
    printf("%zu files of %s are in %s\n", files, arguments.data, arguments.folder);
    return EXIT_DONE;
}

int verb_restore(int argc, char **argv)
{
    struct arguments arguments;
    struct nabla_error err = {0};
    size_t files = 0;
    if (asks_for_help(argc, argv, restore_usage))
        return EXIT_DONE;
    int status = take_arguments(argc, argv, true, restore_usage, &arguments);
    if (status)
        return status;
    if (backup_restore(arguments.folder, arguments.data, &files, &err))
        return fail("restore", &err);
    printf("%zu files of %s are in %s\n", files, arguments.folder, arguments.data);
    return EXIT_DONE;
}

static void tell_fault(void *context, const char *text)
{
    (void)context;
    puts(text);
}

int verb_check(int argc, char **argv)
{
    struct arguments arguments;
    struct nabla_error err = {0};
    size_t faults = 0;
    if (asks_for_help(argc, argv, check_usage))
        return EXIT_DONE;
    int status = take_arguments(argc, argv, false, check_usage, &arguments);
    if (status)
        return status;
    if (check_folder(arguments.data, &arguments.wish, tell_fault, NULL, &faults, &err))
        return fail("check", &err);
    printf("%s: %zu faults%s\n", arguments.data, faults,
           faults && arguments.wish.repair ? ", those that can be are repaired" : "");
    return faults ? EXIT_FAILED : EXIT_DONE;
}
