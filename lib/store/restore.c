// A backup made a data folder again.
//
// The copy is made in FOLDER/restoring and moved up when every file has the manifest's hash, the database
// last: a folder that has `restoring` and no database is what an interrupted restore has left, and is begun
// anew.
#include "store/backup.h"

#include "store/backup_copy.h"
#include "store/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MANIFEST_MAX = 1 << 28 };

static const char staging[] = "restoring";
static const char *const parts[] = {"datasets", "jobs", "tokens", "nabla.db"}; // in the order of moving

// A name of a manifest is one of ours: it stays below the folder.
static bool is_inside(const char *name)
{
    return *name && *name != '/' && !strstr(name, "..");
}

// The folders above a name.
static enum nabla_code make_above(const struct backup *backup, const char *name, struct nabla_error *err)
{
    char path[PATH_MAX], part[PATH_MAX];
    enum nabla_code code = NABLA_OK;
    for (const char *at = strchr(name, '/'); at && code == NABLA_OK; at = strchr(at + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(at - name), name);
        code = backup_path(path, backup->to, part)
                   ? file_make_folder(path, err)
                   : nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long: %s", name);
    }
    return code;
}

static enum nabla_code restore_line(struct backup *backup, char *line, bool *ret_database,
                                    struct nabla_error *err)
{
    char found[TOKEN_SHA256_SIZE], *name = line + TOKEN_SHA256_SIZE + 1;
    if (strlen(line) < TOKEN_SHA256_SIZE + 2 || !is_inside(name))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "the manifest in %s has a line that is none",
                          backup->from);
    line[TOKEN_SHA256_SIZE - 1] = '\0';
    enum nabla_code code = make_above(backup, name, err);
    if (code == NABLA_OK)
        code = backup_copy(backup, name, found, err);
    if (code == NABLA_OK && strcmp(found, line) != 0)
        code = nabla_fail(err, NABLA_IO, NULL, "%s/%s is damaged: its hash is not that of the manifest",
                          backup->from, name);
    *ret_database |= strcmp(name, "nabla.db") == 0;
    backup->files++;
    return code;
}

static enum nabla_code restore_lines(struct backup *backup, struct nabla_error *err)
{
    char path[PATH_MAX], *rest;
    bool has_database = false;
    enum nabla_code code = backup_path(path, backup->from, "MANIFEST")
                               ? file_read(path, &backup->manifest, err)
                               : nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    rest = backup->manifest.data;
    for (char *line; code == NABLA_OK && (line = strsep(&rest, "\n"));)
        if (*line)
            code = restore_line(backup, line, &has_database, err);
    if (code == NABLA_OK && !has_database)
        code = nabla_fail(err, NABLA_MALFORMED, NULL, "the manifest in %s has no nabla.db", backup->from);
    return code;
}

static bool has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return backup_path(path, folder, name) && access(path, F_OK) == 0;
}

static void remove_part(const char *folder, const char *name)
{
    char path[PATH_MAX];
    if (backup_path(path, folder, name))
        sweep_tree(path, NULL);
}

// What an interrupted restore has left goes first.
static enum nabla_code claim(const char *folder, bool *ret_made, struct nabla_error *err)
{
    if (has(folder, staging) && !has(folder, "nabla.db")) {
        remove_part(folder, staging);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            remove_part(folder, parts[i]);
    }
    return backup_claim(folder, ret_made, err);
}

static enum nabla_code sync_folder(const char *path, struct nabla_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum nabla_code code = fd < 0 || fsync(fd) ? nabla_fail_errno(err, "sync", path) : NABLA_OK;
    if (fd >= 0)
        close(fd);
    return code;
}

static enum nabla_code move_up(const char *from, const char *folder, struct nabla_error *err)
{
    char here[PATH_MAX], there[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (backup_path(here, from, parts[i]) && backup_path(there, folder, parts[i]) &&
            rename(here, there) && errno != ENOENT)
            return nabla_fail_errno(err, "move", here);
    return sync_folder(folder, err);
}

enum nabla_code backup_restore(const char *from, const char *folder, size_t *ret_files,
                               struct nabla_error *err)
{
    char path[PATH_MAX];
    bool is_made;
    struct backup backup = {.from = from, .to = path, .manifest = buffer_new(MANIFEST_MAX)};
    if (!backup_path(path, folder, staging))
        return nabla_fail(err, NABLA_LIMIT, NULL, "a path is too long");
    enum nabla_code code = claim(folder, &is_made, err);
    if (code)
        return code;
    code = file_make_folder(path, err);
    if (code == NABLA_OK)
        code = restore_lines(&backup, err);
    if (code == NABLA_OK)
        code = move_up(path, folder, err);
    for (size_t i = 0; code && i < sizeof parts / sizeof *parts; i++)
        remove_part(folder, parts[i]);
    sweep_tree(path, NULL);
    if (code && is_made)
        rmdir(folder);
    if (code == NABLA_OK)
        *ret_files = backup.files;
    buffer_free(&backup.manifest);
    return code;
}
