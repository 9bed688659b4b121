// The files of jobs in a backup.
#include "store/backup_copy.h"
#include "store/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOOKS_MOST = 20 };

// One file of a job, unless it was copied before; *ret_gone is set when it has vanished meanwhile.
static enum nabla_code copy_job_file(struct backup *backup, const char *name, bool *ret_gone,
                                     struct nabla_error *err)
{
    char to[PATH_MAX], sha256[TOKEN_SHA256_SIZE];
    struct nabla_error why = {0};
    if (backup_path(to, backup->to, name) && access(to, F_OK) == 0)
        return NABLA_OK;
    enum nabla_code code = backup_copy(backup, name, sha256, &why);
    *ret_gone |= code == NABLA_NOT_FOUND;
    if (code == NABLA_OK)
        return backup_note(backup, name, sha256, err);
    return code == NABLA_NOT_FOUND ? NABLA_OK : nabla_fail(err, code, NULL, "%s", why.text);
}

// A client's checkpoints ("kept_…") come from what is held, by their rows.
static enum nabla_code list_job(struct backup *backup, const char *id, DIR *entries, bool *ret_gone,
                                struct nabla_error *err)
{
    struct dirent *at;
    enum nabla_code code = NABLA_OK;
    while (code == NABLA_OK && (code = file_next(entries, id, &at, err)) == NABLA_OK && at) {
        char name[PATH_MAX];
        if (at->d_type != DT_REG || strcmp(at->d_name, "lock") == 0 || strncmp(at->d_name, "kept_", 5) == 0)
            continue;
        snprintf(name, sizeof name, "jobs/%s/%s", id, at->d_name);
        code = copy_job_file(backup, name, ret_gone, err);
    }
    return code;
}

// Where a file vanishes, there is a newer one instead (our worker's checkpoints): look again.
static enum nabla_code copy_job_files(struct backup *backup, const char *id, const char *from, const char *to,
                                      struct nabla_error *err)
{
    bool is_gone = true;
    enum nabla_code code = NABLA_OK;
    for (int looks = 0; looks < LOOKS_MOST && is_gone && code == NABLA_OK; looks++) {
        DIR *entries = opendir(from);
        if (!entries && errno == ENOENT)
            return NABLA_OK; // most jobs have no files
        if (!entries)
            return nabla_fail_errno(err, "read the folder", from);
        is_gone = false;
        code = file_make_folder(to, err);
        if (code == NABLA_OK)
            code = list_job(backup, id, entries, &is_gone, err);
        closedir(entries);
    }
    if (code == NABLA_OK && is_gone)
        return nabla_fail(err, NABLA_BUSY, NULL, "files of %s vanish while they are copied", from);
    return code;
}

// Whether the job is there now, not only in the copy.
static enum nabla_code find_job(struct database *source, const char *id, bool *ret, struct nabla_error *err)
{
    struct statement *row;
    enum nabla_code code = database_prepare(source, "SELECT 1 FROM jobs WHERE id = ?", &row, err);
    if (code)
        return code;
    statement_bind_text(row, id);
    code = statement_row(row, err);
    *ret = code == NABLA_OK;
    statement_free(row);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

// As a deletion does (jobs.c): what is left of its history is doomed.
static enum nabla_code drop_job(struct database *copy, const char *id, struct nabla_error *err)
{
    static const char *const changes[] = {
        "INSERT OR IGNORE INTO doomed SELECT number FROM jobs WHERE id = ?",
        "DELETE FROM checkpoints WHERE job = (SELECT number FROM jobs WHERE id = ?)",
        "DELETE FROM job_specs WHERE job = (SELECT number FROM jobs WHERE id = ?)",
        "DELETE FROM idempotency_keys WHERE resource = ?",
        "DELETE FROM jobs WHERE id = ?",
    };
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < sizeof changes / sizeof *changes && code == NABLA_OK; i++) {
        struct statement *change;
        code = database_prepare(copy, changes[i], &change, err);
        if (code)
            return code;
        statement_bind_text(change, id);
        code = statement_run(change, err);
        statement_free(change);
    }
    return code;
}

// The files of a job. One that is deleted loses its row first, then its files: if the row is there
// afterwards, the files were all there. Else the job goes from the copy too.
enum nabla_code backup_job(struct backup *backup, struct database *copy, const char *id,
                           struct nabla_error *err)
{
    char name[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
    const size_t files = backup->files, manifest = backup->manifest.size;
    bool is_there = false;
    snprintf(name, sizeof name, "jobs/%s", id);
    if (!backup_path(from, backup->from, name) || !backup_path(to, backup->to, name))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    enum nabla_code code = copy_job_files(backup, id, from, to, err);
    if (code == NABLA_OK)
        code = find_job(backup->source, id, &is_there, err);
    if (code || is_there)
        return code;
    backup->files = files;
    backup->manifest.size = manifest;
    if (access(to, F_OK) == 0)
        code = sweep_tree(to, err);
    return code ? code : drop_job(copy, id, err);
}
