#include "store/usage.h"

#include "base/clock.h"
#include "store/access.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WALK_EVERY_MS = 10000, DEPTH = 4 };

// Of the open folder, which it closes.
static uint64_t walk(int fd, int depth, uint64_t *files)
{
    uint64_t bytes = 0;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return 0;
    }
    for (struct dirent *at; (at = readdir(folder));) {
        struct stat status;
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0 ||
            fstatat(dirfd(folder), at->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISREG(status.st_mode))
            bytes += (uint64_t)status.st_size, ++*files;
        int inner = S_ISDIR(status.st_mode) && depth > 1
                        ? openat(dirfd(folder), at->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                        : -1;
        if (inner >= 0)
            bytes += walk(inner, depth - 1, files);
    }
    closedir(folder);
    return bytes;
}

uint64_t usage_unused(struct store *store)
{
    struct database *db = access_reader(store);
    int64_t pages = 0, size = 0;
    bool is_known = database_number(db, "PRAGMA freelist_count", &pages, NULL) == NABLA_OK &&
                    database_number(db, "PRAGMA page_size", &size, NULL) == NABLA_OK;
    access_release(store, db);
    return is_known ? (uint64_t)pages * (uint64_t)size : 0;
}

// The file of the database keeps its size when rows are removed: what they leave is room for others. A look
// at the file may be older than that at its pages, so that there may be more unused than there is.
static uint64_t measure(struct store *store)
{
    uint64_t files = 0, unused = usage_unused(store);
    int fd = open(store->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t bytes = fd >= 0 ? walk(fd, DEPTH, &files) : 0;
    return bytes > unused ? bytes - unused : 0;
}

uint64_t store_usage_bytes(struct store *store)
{
    int64_t now = clock_monotonic_ms();
    pthread_mutex_lock(&store->usage_lock);
    if (store->usage_ms == 0 || now - store->usage_ms > WALK_EVERY_MS) {
        store->usage_bytes = measure(store);
        store->usage_ms = now;
    }
    uint64_t bytes = store->usage_bytes;
    pthread_mutex_unlock(&store->usage_lock);
    return bytes;
}

uint64_t store_usage_known(struct store *store)
{
    pthread_mutex_lock(&store->usage_lock);
    uint64_t bytes = store->usage_bytes;
    pthread_mutex_unlock(&store->usage_lock);
    return bytes;
}

void usage_add(struct store *store, uint64_t bytes)
{
    pthread_mutex_lock(&store->usage_lock);
    store->usage_bytes += bytes;
    pthread_mutex_unlock(&store->usage_lock);
}

void usage_forget(struct store *store)
{
    pthread_mutex_lock(&store->usage_lock);
    store->usage_ms = 0;
    pthread_mutex_unlock(&store->usage_lock);
}

uint64_t store_usage_steps(struct store *store)
{
    return atomic_load(&store->steps);
}

uint64_t usage_folder(const struct store *store, const char *name, uint64_t *ret_files)
{
    uint64_t bytes = 0, files = 0;
    char *path = access_path(store, "%s", name);
    int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(path);
    if (fd >= 0)
        bytes = walk(fd, DEPTH, &files);
    if (ret_files)
        *ret_files = files;
    return bytes;
}

static enum nabla_code number_of_owner(struct store *store, enum sql_id id, const char *owner,
                                       const char *state, uint64_t *ret, struct nabla_error *err)
{
    struct database *db = access_reader(store);
    struct statement *row = database_statement(db, id);
    statement_bind_text(row, owner);
    if (state)
        statement_bind_text(row, state);
    enum nabla_code code = statement_row(row, err);
    if (code == NABLA_OK)
        *ret = (uint64_t)statement_int(row, 0);
    statement_reset(row);
    access_release(store, db);
    return code;
}

enum nabla_code store_owner_queued(struct store *store, const char *owner, uint64_t *ret,
                                   struct nabla_error *err)
{
    return number_of_owner(store, SQL_OWNER_JOBS, owner, job_state_name(JOB_QUEUED), ret, err);
}

enum nabla_code store_owner_bytes(struct store *store, const char *owner, uint64_t *ret,
                                  struct nabla_error *err)
{
    return number_of_owner(store, SQL_OWNER_BYTES, owner, NULL, ret, err);
}

enum nabla_code store_job_counts(struct store *store, uint64_t ret[JOB_STATE_COUNT], struct nabla_error *err)
{
    uint64_t counts[JOB_STATE_COUNT] = {0};
    struct database *db = access_reader(store);
    struct statement *row = database_statement(db, SQL_JOB_COUNTS);
    enum nabla_code code;
    while ((code = statement_row(row, err)) == NABLA_OK) {
        const char *name = statement_text(row, 0);
        int state = name ? job_state_find(name) : -1;
        if (state >= 0)
            counts[state] = (uint64_t)statement_int(row, 1);
    }
    statement_reset(row);
    access_release(store, db);
    if (code != NABLA_NOT_FOUND)
        return code;
    memcpy(ret, counts, sizeof counts);
    return NABLA_OK;
}
