#include "base/file.h"
#include "base/mapped.h"
#include "base/token.h"
#include "store/check_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_SECONDS = 60 }; // a server at work writes a file before its row

static void check_file(struct check *check, const char *path, const char *sha256)
{
    char found[TOKEN_SHA256_SIZE];
    struct mapped file;
    if (access(path, R_OK) != 0 || mapped_open_path(path, &file, NULL)) {
        check_fault(check, "%s: cannot be read, and has no other copy", path);
        return;
    }
    token_sha256(found, file.bytes, file.size);
    mapped_close(&file);
    if (strcmp(found, sha256) != 0)
        check_fault(check, "%s: is damaged, its hash is %s", path, found);
}

// Rows give a file's name below the folder, and its hash.
static enum nabla_code check_described(struct check *check, const char *sql, struct nabla_error *err)
{
    struct statement *rows;
    enum nabla_code code = database_prepare(check->db, sql, &rows, err);
    if (code)
        return code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        char path[PATH_MAX];
        const char *name = statement_text(rows, 0), *sha256 = statement_text(rows, 1);
        if (!name || !sha256) {
            code = nabla_fail_memory(err, "a name");
            break;
        }
        snprintf(path, sizeof path, "%s/%s", check->folder, name);
        check_file(check, path, sha256);
    }
    statement_free(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static bool is_at_work(const struct check *check)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/lock", check->folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_free = fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return !is_free;
}

static bool is_new(const char *path, bool at_work)
{
    struct stat status;
    return at_work && (stat(path, &status) != 0 || time(NULL) - status.st_ctime < GRACE_SECONDS);
}

// A folder's entries that begin with `prefix` and for whose name, below `name`, the query gives no row.
static enum nabla_code check_entries(struct check *check, const char *name, const char *prefix,
                                     const char *sql, struct nabla_error *err)
{
    char folder[PATH_MAX], path[PATH_MAX];
    struct statement *row = NULL;
    const bool at_work = !check->repair && is_at_work(check); // else nobody else is there
    if (snprintf(folder, sizeof folder, "%s/%s", check->folder, name) >= PATH_MAX)
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long: %s", name);
    DIR *entries = opendir(folder);
    if (!entries)
        return errno == ENOENT ? NABLA_OK : nabla_fail_errno(err, "read the folder", folder);
    struct dirent *at;
    enum nabla_code code = database_prepare(check->db, sql, &row, err);
    while (code == NABLA_OK && (code = file_next(entries, folder, &at, err)) == NABLA_OK && at) {
        if (at->d_name[0] == '.' || strncmp(at->d_name, prefix, strlen(prefix)) != 0 ||
            snprintf(path, sizeof path, "%s/%s", folder, at->d_name) >= PATH_MAX)
            continue;
        statement_bind_text(row, at->d_name);
        code = statement_row(row, err);
        statement_reset(row);
        if (code != NABLA_NOT_FOUND)
            continue;
        code = NABLA_OK;
        if (is_new(path, at_work))
            continue;
        check_fault(check, "%s: no row describes it", path);
        if (check->repair)
            unlink(path);
    }
    statement_free(row);
    closedir(entries);
    return code;
}

static enum nabla_code check_checkpoints(struct check *check, struct nabla_error *err)
{
    struct statement *rows;
    enum nabla_code code = database_prepare(check->db, "SELECT 'jobs/' || id FROM jobs", &rows, err);
    if (code)
        return code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        const char *name = statement_text(rows, 0);
        code = name ? check_entries(check, name, "kept_", "SELECT 1 FROM checkpoints WHERE file = ?", err)
                    : nabla_fail_memory(err, "a name");
        if (code)
            break;
    }
    statement_free(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

enum nabla_code check_files(struct check *check, struct nabla_error *err)
{
    enum nabla_code code = check_described(
        check, "SELECT 'datasets/' || sha256 || '.safetensors', sha256 FROM datasets ORDER BY number", err);
    if (code == NABLA_OK)
        code = check_described(check,
                               "SELECT 'jobs/' || id || '/' || file, sha256 FROM checkpoints"
                               " JOIN jobs ON jobs.number = job",
                               err);
    if (code == NABLA_OK)
        code = check_entries(check, "datasets", "",
                             "SELECT 1 FROM datasets WHERE sha256 || '.safetensors' = ?", err);
    if (code == NABLA_OK)
        code = check_entries(check, "jobs", "", "SELECT 1 FROM jobs WHERE id = ?", err);
    return code ? code : check_checkpoints(check, err);
}
