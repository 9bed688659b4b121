#include "store/backup.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/token.h"
#include "store/database.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20, MANIFEST_MAX = 1 << 28 };

struct backup {
    const char *from, *to;
    struct buffer manifest;
    size_t files;
};

// "FOLDER/NAME"; false when that is too long.
static bool path_of(char ret[PATH_MAX], const char *folder, const char *name)
{
    return snprintf(ret, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

static void hex_of(const unsigned char bytes[TOKEN_SHA256_BYTES], char ret[TOKEN_SHA256_SIZE])
{
    for (size_t i = 0; i < TOKEN_SHA256_BYTES; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

// Reads a file to its end, into `writing` where that is not NULL, and tells its hash.
static enum nabla_code pass_file(const char *path, struct file_writing *writing, char ret[TOKEN_SHA256_SIZE],
                                 struct nabla_error *err)
{
    unsigned char sum[TOKEN_SHA256_BYTES];
    char *piece = malloc(PIECE);
    struct token_sha256_run *run = token_sha256_begin();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum nabla_code code = fd < 0 ? nabla_fail_errno(err, "open", path) : NABLA_OK;
    if (code == NABLA_OK && (!piece || !run))
        code = nabla_fail_memory(err, "a copy");
    while (code == NABLA_OK) {
        ssize_t size = read(fd, piece, PIECE);
        if (size < 0)
            code = nabla_fail_errno(err, "read", path);
        if (size <= 0)
            break;
        token_sha256_add(run, piece, (size_t)size);
        if (writing)
            code = file_write(writing, piece, (size_t)size, err);
    }
    if (fd >= 0)
        close(fd);
    free(piece);
    token_sha256_end(run, sum);
    if (code == NABLA_OK)
        hex_of(sum, ret);
    return code;
}

static enum nabla_code note_file(struct backup *backup, const char *name, const char *sha256,
                                 struct nabla_error *err)
{
    backup->files++;
    buffer_format(&backup->manifest, "%s  %s\n", sha256, name);
    return buffer_status(&backup->manifest, "the manifest", err);
}

// `name` is below both folders. NABLA_NOT_FOUND when it has gone.
static enum nabla_code copy_file(struct backup *backup, const char *name, char ret[TOKEN_SHA256_SIZE],
                                 struct nabla_error *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct file_writing writing;
    if (!path_of(from, backup->from, name) || !path_of(to, backup->to, name))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long: %s", name);
    enum nabla_code code = file_begin(to, &writing, err);
    if (code)
        return code;
    code = pass_file(from, &writing, ret, err);
    if (code)
        file_abandon(&writing);
    return code ? code : file_commit(&writing, err);
}

static enum nabla_code make_folders(const char *folder, struct nabla_error *err)
{
    static const char *const parts[] = {"", "datasets", "jobs"};
    enum nabla_code code = NABLA_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && code == NABLA_OK; i++) {
        char path[PATH_MAX];
        code = path_of(path, folder, parts[i]) ? file_make_folder(path, err)
                                               : nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    }
    return code;
}

// A folder for a copy: new, or empty.
static enum nabla_code claim_folder(const char *folder, struct nabla_error *err)
{
    DIR *entries = opendir(folder);
    bool empty = true;
    for (struct dirent *at; entries && (at = readdir(entries));)
        empty &= strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0;
    if (entries)
        closedir(entries);
    else if (errno != ENOENT)
        return nabla_fail_errno(err, "read the folder", folder);
    return empty ? make_folders(folder, err)
                 : nabla_fail(err, NABLA_CONFLICT, NULL, "%s is not empty", folder);
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
    enum nabla_code code = copy_file(backup, name, found, &why);
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
    return note_file(backup, name, found, err);
}

// The files of a job. Those that vanish meanwhile (a checkpoint that a newer one replaced) are left out.
static enum nabla_code copy_job(struct backup *backup, const char *id, struct nabla_error *err)
{
    char name[PATH_MAX], path[PATH_MAX], sha256[TOKEN_SHA256_SIZE];
    snprintf(name, sizeof name, "jobs/%s", id);
    if (!path_of(path, backup->from, name))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    DIR *entries = opendir(path);
    if (!entries)
        return NABLA_OK; // most jobs have no files
    enum nabla_code code =
        path_of(path, backup->to, name) ? file_make_folder(path, err) : nabla_fail_memory(err, "a path");
    for (struct dirent *at; code == NABLA_OK && (at = readdir(entries));) {
        struct nabla_error why = {0};
        if (at->d_type != DT_REG || strcmp(at->d_name, "lock") == 0)
            continue;
        snprintf(name, sizeof name, "jobs/%s/%s", id, at->d_name);
        code = copy_file(backup, name, sha256, &why);
        if (code == NABLA_OK)
            code = note_file(backup, name, sha256, err);
        else
            code = code == NABLA_NOT_FOUND ? NABLA_OK : nabla_fail(err, code, NULL, "%s", why.text);
    }
    closedir(entries);
    return code;
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

static enum nabla_code act_job(struct backup *backup, struct database *copy, const char *id,
                               struct nabla_error *err)
{
    (void)copy;
    return copy_job(backup, id, err);
}

static enum nabla_code check_sound(struct backup *backup, struct database *copy, const char *answer,
                                   struct nabla_error *err)
{
    (void)copy;
    return strcmp(answer, "ok") == 0
               ? NABLA_OK
               : nabla_fail(err, NABLA_IO, NULL, "the database in %s is damaged: %s", backup->to, answer);
}

static enum nabla_code copy_files(struct backup *backup, const char *database, struct nabla_error *err)
{
    struct database *copy;
    enum nabla_code code = database_open(database, DATABASE_PLAIN, sql_texts, &copy, err);
    if (code)
        return code;
    code = each_text(copy, "SELECT sha256 FROM datasets ORDER BY number", backup, copy_dataset, err);
    if (code == NABLA_OK)
        code = each_text(copy, "SELECT id FROM jobs ORDER BY number", backup, act_job, err);
    if (code == NABLA_OK)
        code = each_text(copy, "PRAGMA integrity_check", backup, check_sound, err);
    database_close(copy);
    return code;
}

static enum nabla_code make_parts(struct backup *backup, struct nabla_error *err)
{
    static const char *const beside[] = {"tokens"};
    char from[PATH_MAX], to[PATH_MAX], sha256[TOKEN_SHA256_SIZE];
    if (!path_of(from, backup->from, "nabla.db") || !path_of(to, backup->to, "nabla.db"))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    enum nabla_code code = backup_database(from, to, err);
    if (code == NABLA_OK)
        code = copy_files(backup, to, err);
    if (code == NABLA_OK)
        code = pass_file(to, NULL, sha256, err);
    if (code == NABLA_OK)
        code = note_file(backup, "nabla.db", sha256, err);
    for (size_t i = 0; i < sizeof beside / sizeof *beside && code == NABLA_OK; i++)
        if (path_of(from, backup->from, beside[i]) && access(from, F_OK) == 0) {
            code = copy_file(backup, beside[i], sha256, err);
            if (code == NABLA_OK)
                code = note_file(backup, beside[i], sha256, err);
        }
    return code;
}

enum nabla_code backup_make(const char *folder, const char *to, size_t *ret_files, struct nabla_error *err)
{
    char path[PATH_MAX];
    struct backup backup = {.from = folder, .to = to, .manifest = buffer_new(MANIFEST_MAX)};
    enum nabla_code code = path_of(path, to, "MANIFEST")
                               ? claim_folder(to, err)
                               : nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    if (code == NABLA_OK)
        code = make_parts(&backup, err);
    if (code == NABLA_OK)
        code = file_replace(path, backup.manifest.data, backup.manifest.size, err);
    if (code == NABLA_OK)
        *ret_files = backup.files;
    buffer_free(&backup.manifest);
    return code;
}

// ---- back

// A name of a manifest is one of ours: it stays below the folder.
static bool is_inside(const char *name)
{
    return *name && *name != '/' && !strstr(name, "..");
}

static enum nabla_code restore_line(struct backup *backup, char *line, struct nabla_error *err)
{
    char found[TOKEN_SHA256_SIZE], path[PATH_MAX], *name = line + TOKEN_SHA256_SIZE + 1;
    if (strlen(line) < TOKEN_SHA256_SIZE + 2 || !is_inside(name))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "the manifest in %s has a line that is none",
                          backup->from);
    line[TOKEN_SHA256_SIZE - 1] = '\0';
    char *slash = strrchr(name, '/');
    if (slash && path_of(path, backup->to, name)) {
        *strrchr(path, '/') = '\0';
        enum nabla_code code = file_make_folder(path, err);
        if (code)
            return code;
    }
    enum nabla_code code = copy_file(backup, name, found, err);
    if (code == NABLA_OK && strcmp(found, line) != 0)
        code = nabla_fail(err, NABLA_IO, NULL, "%s/%s is damaged: its hash is not that of the manifest",
                          backup->from, name);
    backup->files++;
    return code;
}

enum nabla_code backup_restore(const char *from, const char *folder, size_t *ret_files,
                               struct nabla_error *err)
{
    char path[PATH_MAX];
    struct backup backup = {.from = from, .to = folder, .manifest = buffer_new(MANIFEST_MAX)};
    enum nabla_code code = path_of(path, from, "MANIFEST")
                               ? file_read(path, &backup.manifest, err)
                               : nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    if (code == NABLA_OK)
        code = claim_folder(folder, err);
    char *rest = backup.manifest.data;
    for (char *line; code == NABLA_OK && (line = strsep(&rest, "\n"));)
        if (*line)
            code = restore_line(&backup, line, err);
    if (code == NABLA_OK)
        *ret_files = backup.files;
    buffer_free(&backup.manifest);
    return code;
}
