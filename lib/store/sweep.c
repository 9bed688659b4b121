#include "store/sweep.h"

#include "base/file.h"
#include "base/token.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPEN_FOLDERS = 16 };

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

enum nabla_code sweep_tree(const char *path, struct nabla_error *err)
{
    if (nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return NABLA_OK;
    return nabla_fail_errno(err, "remove", path);
}

// Whether an entry of a folder has its row: NABLA_OK or NABLA_NOT_FOUND.
typedef enum nabla_code row_test(struct database *db, const char *name, struct nabla_error *err);

static enum nabla_code find_row(struct database *db, enum sql_id id, const char *key, struct nabla_error *err)
{
    struct statement *row = database_statement(db, id);
    statement_bind_text(row, key);
    enum nabla_code code = statement_row(row, err);
    statement_reset(row);
    return code;
}

static enum nabla_code test_nothing(struct database *db, const char *name, struct nabla_error *err)
{
    (void)db, (void)name, (void)err;
    return NABLA_NOT_FOUND;
}

static enum nabla_code test_dataset(struct database *db, const char *name, struct nabla_error *err)
{
    char sha256[TOKEN_SHA256_SIZE];
    size_t length = strcspn(name, ".");
    if (length != sizeof sha256 - 1 || strcmp(name + length, ".safetensors") != 0)
        return NABLA_NOT_FOUND;
    snprintf(sha256, sizeof sha256, "%s", name); // which cuts the suffix off
    return find_row(db, SQL_DATASET_BY_SHA256, sha256, err);
}

static enum nabla_code test_job(struct database *db, const char *name, struct nabla_error *err)
{
    return find_row(db, SQL_JOB_BY_ID, name, err);
}

static enum nabla_code sweep_entry(struct store *store, const char *folder, const char *name, row_test *test,
                                   struct nabla_error *err)
{
    enum nabla_code code = test(store->writer.db, name, err);
    if (code != NABLA_NOT_FOUND)
        return code;
    char *path = access_path(store, "%s/%s", folder, name);
    if (!path)
        return nabla_fail_memory(err, "a path");
    code = sweep_tree(path, err);
    free(path);
    return code;
}

static enum nabla_code sweep_folder(struct store *store, const char *folder, row_test *test,
                                    struct nabla_error *err)
{
    char *path = access_path(store, "%s", folder);
    if (!path)
        return nabla_fail_memory(err, "a path");
    enum nabla_code code = NABLA_OK;
    DIR *entries = opendir(path);
    if (!entries)
        code = nabla_fail_errno(err, "read the folder", path);
    struct dirent *entry = NULL;
    while (code == NABLA_OK && (code = file_next(entries, path, &entry, err)) == NABLA_OK && entry)
        code = sweep_entry(store, folder, entry->d_name, test, err);
    if (entries)
        closedir(entries);
    free(path);
    return code;
}

enum nabla_code sweep_store(struct store *store, struct nabla_error *err)
{
    static const struct {
        const char *folder;
        row_test *test;
    } parts[] = {{"tmp", test_nothing}, {"datasets", test_dataset}, {"jobs", test_job}};
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && code == NABLA_OK; i++)
        code = sweep_folder(store, parts[i].folder, parts[i].test, err);
    return code;
}
