#include "store/backup.h"

#include "base/file.h"
#include "base/token.h"
#include "store/backup_copy.h"
#include "store/database.h"
#include "store/sweep.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_MAX = 1 << 28 };

static enum nabla_code make_folders(const char *folder, struct nabla_error *err)
{
    static const char *const parts[] = {"datasets", "jobs"};
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && code == NABLA_OK; i++) {
        char path[PATH_MAX];
        code = backup_path(path, folder, parts[i]) ? file_make_folder(path, err)
                                                   : nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    }
    return code;
}

static enum nabla_code sync_file(const char *path, struct nabla_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum nabla_code code = fd < 0 || fsync(fd) != 0 ? nabla_fail_errno(err, "sync", path) : NABLA_OK;
    if (fd >= 0)
        close(fd);
    return code;
}

enum nabla_code backup_database(const char *from, const char *path, struct nabla_error *err)
{
    struct database *db;
    struct statement *copy;
    if (access(from, R_OK) != 0)
        return nabla_fail_errno(err, "read", from);
    enum nabla_code code = database_open(from, DATABASE_PLAIN, sql_texts, &db, err);
    if (code)
        return code;
    code = database_prepare(db, "VACUUM INTO ?", &copy, err);
    if (code == NABLA_OK) {
        statement_bind_text(copy, path);
        code = statement_run(copy, err);
        statement_free(copy);
    }
    database_close(db);
    if (code == NABLA_OK && chmod(path, 0600) != 0)
        code = nabla_fail_errno(err, "protect", path);
    return code ? code : sync_file(path, err);
}

// A data set that was deleted after the database was copied goes from the copy too.
static enum nabla_code copy_dataset(struct backup *backup, struct database *copy, const char *sha256,
                                    struct nabla_error *err)
{
    char name[128], found[TOKEN_SHA256_SIZE];
    struct nabla_error why = {0};
    snprintf(name, sizeof name, "datasets/%s.safetensors", sha256);
    enum nabla_code code = backup_copy(backup, name, found, &why);
    if (code == NABLA_NOT_FOUND) {
        struct statement *deletion;
        code = database_prepare(copy, "DELETE FROM datasets WHERE sha256 = ?", &deletion, err);
        if (code)
            return code;
        statement_bind_text(deletion, sha256);
        code = statement_run(deletion, err);
        statement_free(deletion);
        return code;
    }
    if (code)
        return nabla_fail(err, code, NULL, "%s", why.text);
    if (strcmp(found, sha256) != 0)
        return nabla_fail(err, NABLA_IO, NULL, "%s/%s is damaged: its hash is %s", backup->from, name, found);
    return backup_note(backup, name, found, err);
}

// ---- checkpoints of clients
//
// A row names a file that the next checkpoint removes. So each file that a row names gets another link while
// nobody can write, and the copy of the database is of that same state.

static const char checkpoints[] = "SELECT id, file, sha256 FROM checkpoints JOIN jobs ON jobs.number = job";

static enum nabla_code hold_checkpoint(struct backup *backup, const char *id, const char *file,
                                       const char *sha256, struct nabla_error *err)
{
    char name[PATH_MAX], from[PATH_MAX], held[PATH_MAX];
    (void)sha256;
    snprintf(name, sizeof name, "jobs/%s/%s", id, file);
    if (!backup_path(from, backup->from, name) || !backup_path(held, backup->held, file))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    return link(from, held) ? nabla_fail_errno(err, "hold", from) : NABLA_OK;
}

static enum nabla_code copy_checkpoint(struct backup *backup, const char *id, const char *file,
                                       const char *sha256, struct nabla_error *err)
{
    char name[PATH_MAX], held[PATH_MAX], folder[PATH_MAX], found[TOKEN_SHA256_SIZE];
    snprintf(name, sizeof name, "jobs/%s", id);
    if (!backup_path(held, backup->held, file) || !backup_path(folder, backup->to, name))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    enum nabla_code code = file_make_folder(folder, err);
    snprintf(name, sizeof name, "jobs/%s/%s", id, file);
    if (code == NABLA_OK)
        code = backup_copy_from(backup, held, name, found, err);
    if (code == NABLA_OK && strcmp(found, sha256) != 0)
        code = nabla_fail(err, NABLA_IO, NULL, "%s/%s is damaged: its hash is %s", backup->from, name, found);
    return code ? code : backup_note(backup, name, found, err);
}

static enum nabla_code each_checkpoint(struct backup *backup, struct database *db,
                                       enum nabla_code (*act)(struct backup *, const char *, const char *,
                                                              const char *, struct nabla_error *),
                                       struct nabla_error *err)
{
    struct statement *rows;
    int64_t tables = 0;
    enum nabla_code code =
        database_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'checkpoints'", &tables, err);
    if (code || tables == 0) // of an older version
        return code;
    code = database_prepare(db, checkpoints, &rows, err);
    if (code)
        return code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        const char *id = statement_text(rows, 0), *file = statement_text(rows, 1);
        const char *sha256 = statement_text(rows, 2);
        code = id && file && sha256 ? act(backup, id, file, sha256, err) : nabla_fail_memory(err, "a name");
        if (code) {
            statement_free(rows);
            return code;
        }
    }
    statement_free(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

// `db` gets the snapshot that the held files belong to.
static enum nabla_code hold_state(struct backup *backup, struct database *db, const char *path,
                                  struct nabla_error *err)
{
    struct database *pause;
    enum nabla_code code = database_open(path, DATABASE_PLAIN, sql_texts, &pause, err);
    if (code)
        return code;
    code = database_run(pause, "BEGIN IMMEDIATE", err); // nobody writes until it ends
    if (code == NABLA_OK)
        code = database_run(db, "BEGIN", err);
    if (code == NABLA_OK)
        code = each_checkpoint(backup, db, hold_checkpoint, err);
    database_rollback(pause);
    database_close(pause);
    return code;
}

static enum nabla_code copy_database(struct backup *backup, const char *from, const char *to,
                                     struct nabla_error *err)
{
    struct database *db;
    enum nabla_code code = database_open(from, DATABASE_PLAIN, sql_texts, &db, err);
    if (code)
        return code;
    code = hold_state(backup, db, from, err);
    if (code == NABLA_OK)
        code = database_copy(db, to, err);
    database_rollback(db);
    database_close(db);
    if (code == NABLA_OK && chmod(to, 0600) != 0)
        code = nabla_fail_errno(err, "protect", to);
    return code ? code : sync_file(to, err);
}

// Calls for the text of each row.
static enum nabla_code each_text(struct database *copy, const char *sql, struct backup *backup,
                                 enum nabla_code (*act)(struct backup *, struct database *, const char *,
                                                        struct nabla_error *),
                                 struct nabla_error *err)
{
    struct statement *rows;
    enum nabla_code code = database_prepare(copy, sql, &rows, err);
    if (code)
        return code;
    while ((code = statement_row(rows, err)) == NABLA_OK) {
        char *text = statement_copy(rows, 0);
        code = text ? act(backup, copy, text, err) : nabla_fail_memory(err, "a name");
        free(text);
        if (code)
            break;
    }
    statement_free(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code check_sound(struct backup *backup, struct database *copy, const char *answer,
                                   struct nabla_error *err)
{
    (void)copy;
    return strcmp(answer, "ok") == 0
               ? NABLA_OK
               : nabla_fail(err, NABLA_IO, NULL, "the database in %s is damaged: %s", backup->to, answer);
}

static enum nabla_code copy_files(struct backup *backup, const char *source, const char *database,
                                  struct nabla_error *err)
{
    struct database *copy = NULL;
    enum nabla_code code = database_open(source, DATABASE_PLAIN, sql_texts, &backup->source, err);
    if (code == NABLA_OK)
        code = database_open(database, DATABASE_PLAIN, sql_texts, &copy, err);
    if (code)
        goto close;
    code = each_text(copy, "SELECT sha256 FROM datasets ORDER BY number", backup, copy_dataset, err);
    if (code == NABLA_OK)
        code = each_text(copy, "SELECT id FROM jobs ORDER BY number", backup, backup_job, err);
    if (code == NABLA_OK)
        code = each_checkpoint(backup, copy, copy_checkpoint, err);
    if (code == NABLA_OK)
        code = each_text(copy, "PRAGMA integrity_check", backup, check_sound, err);
close:
    database_close(copy);
    database_close(backup->source);
    return code;
}

static enum nabla_code make_parts(struct backup *backup, struct nabla_error *err)
{
    static const char *const beside[] = {"tokens"};
    char from[PATH_MAX], to[PATH_MAX], sha256[TOKEN_SHA256_SIZE];
    if (!backup_path(from, backup->from, "nabla.db") || !backup_path(to, backup->to, "nabla.db"))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    enum nabla_code code = copy_database(backup, from, to, err);
    if (code == NABLA_OK)
        code = copy_files(backup, from, to, err);
    if (code == NABLA_OK)
        code = backup_hash(to, NULL, sha256, err);
    if (code == NABLA_OK)
        code = backup_note(backup, "nabla.db", sha256, err);
    for (size_t i = 0; i < sizeof beside / sizeof *beside && code == NABLA_OK; i++)
        if (backup_path(from, backup->from, beside[i]) && access(from, F_OK) == 0) {
            code = backup_copy(backup, beside[i], sha256, err);
            if (code == NABLA_OK)
                code = backup_note(backup, beside[i], sha256, err);
        }
    return code;
}

// Below tmp/, which is emptied when a server opens the folder.
static enum nabla_code make_hold(struct backup *backup, struct nabla_error *err)
{
    char id[TOKEN_ID_SIZE], name[TOKEN_ID_SIZE + 8], path[PATH_MAX], held[PATH_MAX];
    token_make_id(id, "backup");
    snprintf(name, sizeof name, "tmp/%s", id);
    if (!backup_path(path, backup->from, "tmp") || !backup_path(held, backup->from, name))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    enum nabla_code code = file_make_folder(path, err);
    if (code == NABLA_OK)
        code = file_make_folder(held, err);
    if (code == NABLA_OK)
        memcpy(backup->held, held, sizeof held);
    return code;
}

enum nabla_code backup_make(const char *folder, const char *to, size_t *ret_files, struct nabla_error *err)
{
    char path[PATH_MAX], database[PATH_MAX];
    bool is_made;
    struct backup backup = {.from = folder, .to = to, .manifest = buffer_new(MANIFEST_MAX)};
    enum nabla_code code = backup_path(path, to, "MANIFEST") && backup_path(database, folder, "nabla.db")
                               ? NABLA_OK
                               : nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    if (code == NABLA_OK && access(database, R_OK) != 0)
        code = nabla_fail_errno(err, "read", database);
    if (code == NABLA_OK)
        code = backup_claim(to, &is_made, err);
    if (code == NABLA_OK)
        code = make_folders(to, err);
    if (code == NABLA_OK)
        code = make_hold(&backup, err);
    if (code == NABLA_OK)
        code = make_parts(&backup, err);
    if (code == NABLA_OK)
        code = file_replace(path, backup.manifest.data, backup.manifest.size, err);
    if (code == NABLA_OK)
        *ret_files = backup.files;
    if (backup.held[0])
        sweep_tree(backup.held, NULL);
    buffer_free(&backup.manifest);
    return code;
}
