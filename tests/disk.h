// A disk that can lose its power: everything that this process writes below a folder, whichever library
// writes it, is noted, and what the disk would hold after a power cut can be laid out in another folder. The
// functions below stand in front of the C library's. Include once, in a test program of its own.
//
// What a power cut leaves: of each file, what was written before its last sync, and any subset of the later
// writes, in any order, torn at sectors; of the names (files made, renamed, removed), what was done before
// the folder's last sync and any beginning of what came after. SQLite's shared memory (-shm) is never on the
// disk.
//
// The notes lie in memory that a forked child shares, so that the child may write and die, and the parent
// reads them.
#ifndef NABLA_TESTS_DISK_H
#define NABLA_TESTS_DISK_H

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DISK_NOTES_MOST = 1 << 25, DISK_SECTOR = 512, DISK_FILES_MOST = 4096, DISK_NAMES_MOST = 4096 };

enum disk_deed { DISK_NAME, DISK_WRITE, DISK_RESIZE, DISK_SYNC, DISK_RENAME, DISK_UNLINK, DISK_SYNC_NAMES };

// One note; `size` bytes of what was written, or of a path, follow it, then padding to 8 bytes.
struct disk_note {
    enum disk_deed deed;
    ino_t file;
    uint64_t at;           // DISK_WRITE: the offset; DISK_RESIZE: the new size
    uint32_t size, second; // of a DISK_RENAME's bytes, where the second path begins
};

struct disk_notes {
    char folder[PATH_MAX]; // what lies below it is noted
    pthread_mutex_t lock;
    uint64_t deeds, last; // how many there were, and with which one the process dies (0: never)
    size_t used;
    char bytes[];
};

static struct disk_notes *disk;
static bool disk_is_noted;

static inline void disk_begin(const char *folder, uint64_t last)
{
    pthread_mutexattr_t shared;
    if (!disk)
        disk = mmap(NULL, sizeof *disk + DISK_NOTES_MOST, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
    snprintf(disk->folder, sizeof disk->folder, "%s", folder);
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&disk->lock, &shared);
    disk->deeds = disk->used = 0;
    disk->last = last;
    disk_is_noted = true;
}

static inline void disk_end(void)
{
    disk_is_noted = false;
}

static inline bool disk_is_below(const char *path)
{
    const size_t length = strlen(disk->folder);
    return strncmp(path, disk->folder, length) == 0 && !strstr(path, "-shm");
}

static inline struct disk_note *disk_put(enum disk_deed deed, ino_t file, uint64_t at, const void *bytes,
                                         size_t size)
{
    const size_t room = (sizeof(struct disk_note) + size + 7) / 8 * 8;
    if (disk->used + room > DISK_NOTES_MOST)
        abort();
    struct disk_note *note = (struct disk_note *)(void *)(disk->bytes + disk->used);
    *note = (struct disk_note){.deed = deed, .file = file, .at = at, .size = (uint32_t)size};
    memcpy(note + 1, bytes, size);
    disk->used += room;
    return note;
}

static inline const struct disk_note *disk_next(const struct disk_note *note)
{
    const char *from = note ? (const char *)note : disk->bytes;
    const char *at = note ? from + (sizeof *note + note->size + 7) / 8 * 8 : from;
    return at < disk->bytes + disk->used ? (const struct disk_note *)(const void *)at : NULL;
}

// The power goes with the last deed, which is not done any more, and nobody tidies up: a sanitizer's _exit
// would look for threads that have ended and were not joined yet.
static inline void disk_count(void)
{
    if (++disk->deeds == disk->last) {
        pthread_mutex_unlock(&disk->lock);
        syscall(SYS_exit_group, 0);
    }
}

static inline bool disk_has_name(ino_t file)
{
    for (const struct disk_note *note = NULL; (note = disk_next(note));)
        if (note->deed == DISK_NAME && note->file == file)
            return true;
    return false;
}

// Notes a deed on an open file; the first one of a file notes its name before.
static inline void disk_note_file(int fd, enum disk_deed deed, uint64_t at, const void *bytes, size_t size)
{
    char link[64], path[PATH_MAX];
    struct stat status;
    if (!disk_is_noted || fstat(fd, &status))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = '\0';
    if (!disk_is_below(path) || strstr(path, " (deleted)"))
        return;
    pthread_mutex_lock(&disk->lock);
    disk_count();
    if (S_ISDIR(status.st_mode)) {
        disk_put(DISK_SYNC_NAMES, 0, 0, path, (size_t)length + 1);
    } else {
        if (!disk_has_name(status.st_ino)) {
            // Held open for good: so its number is not given to another file once this one is removed.
            fcntl(fd, F_DUPFD_CLOEXEC, 0);
            disk_put(DISK_NAME, status.st_ino, 0, path, (size_t)length + 1);
        }
        disk_put(deed, status.st_ino, at, bytes, size);
    }
    pthread_mutex_unlock(&disk->lock);
}

static inline void disk_note_names(enum disk_deed deed, const char *from, const char *to)
{
    char paths[2 * PATH_MAX];
    if (!disk_is_noted || !disk_is_below(from))
        return;
    const size_t first = strlen(from) + 1;
    memcpy(paths, from, first);
    strcpy(paths + first, to);
    pthread_mutex_lock(&disk->lock);
    disk_count();
    disk_put(deed, 0, 0, paths, first + strlen(to) + 1)->second = (uint32_t)first;
    pthread_mutex_unlock(&disk->lock);
}

// ---- in front of the C library ----

#define DISK_BEHIND(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#pragma GCC visibility push(default)

#define DISK_WRITE_AT(name, offset_type)                                                                     \
    ssize_t name(int fd, const void *bytes, size_t size, offset_type at)                                     \
    {                                                                                                        \
        disk_note_file(fd, DISK_WRITE, (uint64_t)at, bytes, size);                                           \
        return DISK_BEHIND(name)(fd, bytes, size, at);                                                       \
    }
DISK_WRITE_AT(pwrite, off_t)
DISK_WRITE_AT(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t size)
{
    if (disk_is_noted && fd > STDERR_FILENO)
        disk_note_file(fd, DISK_WRITE, (uint64_t)lseek(fd, 0, SEEK_CUR), bytes, size);
    return DISK_BEHIND(write)(fd, bytes, size);
}

#define DISK_ON_FILE(name, parameters, arguments, deed, at)                                                  \
    int name parameters                                                                                      \
    {                                                                                                        \
        disk_note_file(fd, deed, at, "", 0);                                                                 \
        return DISK_BEHIND(name) arguments;                                                                  \
    }
DISK_ON_FILE(fsync, (int fd), (fd), DISK_SYNC, 0)
DISK_ON_FILE(fdatasync, (int fd), (fd), DISK_SYNC, 0)
DISK_ON_FILE(ftruncate, (int fd, off_t size), (fd, size), DISK_RESIZE, (uint64_t)size)
DISK_ON_FILE(ftruncate64, (int fd, off64_t size), (fd, size), DISK_RESIZE, (uint64_t)size)

int rename(const char *from, const char *to)
{
    disk_note_names(DISK_RENAME, from, to);
    return DISK_BEHIND(rename)(from, to);
}

// Another name of a file that has been written.
int link(const char *from, const char *to)
{
    struct stat status;
    if (disk_is_noted && disk_is_below(to) && stat(from, &status) == 0) {
        pthread_mutex_lock(&disk->lock);
        disk_count();
        disk_put(DISK_NAME, status.st_ino, 0, to, strlen(to) + 1);
        pthread_mutex_unlock(&disk->lock);
    }
    return DISK_BEHIND(link)(from, to);
}

int unlink(const char *path)
{
    disk_note_names(DISK_UNLINK, path, "");
    return DISK_BEHIND(unlink)(path);
}
#pragma GCC visibility pop

// ---- what is left ----

struct disk_content {
    ino_t file;
    char *bytes;
    size_t size;
    const struct disk_note *loose[DISK_FILES_MOST]; // writes and resizes since the last sync
    size_t loose_count;
};

struct disk_name {
    char path[PATH_MAX]; // "" once removed
    ino_t file;
};

struct disk_image {
    struct disk_content *contents;
    size_t content_count;
    struct disk_name *names;
    size_t name_count;
};

static inline struct disk_content *disk_content_of(struct disk_image *image, ino_t file)
{
    for (size_t i = 0; i < image->content_count; i++)
        if (image->contents[i].file == file)
            return &image->contents[i];
    if (image->content_count == DISK_FILES_MOST)
        abort();
    image->contents[image->content_count] = (struct disk_content){.file = file};
    return &image->contents[image->content_count++];
}

static inline void disk_resize(struct disk_content *content, size_t size)
{
    content->bytes = realloc(content->bytes, size ? size : 1);
    if (size > content->size)
        memset(content->bytes + content->size, 0, size - content->size);
    content->size = size;
}

// Applies bytes [begin, end) of a write.
static inline void disk_apply(struct disk_content *content, const struct disk_note *note, size_t begin,
                              size_t end)
{
    if (note->deed == DISK_RESIZE) {
        disk_resize(content, (size_t)note->at);
        return;
    }
    if (note->at + end > content->size)
        disk_resize(content, (size_t)note->at + end);
    memcpy(content->bytes + note->at + begin, (const char *)(note + 1) + begin, end - begin);
}

static inline unsigned disk_draw(uint64_t *seed, unsigned below)
{
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return (unsigned)((*seed >> 11) % below);
}

// Any subset of the loose writes, some of them torn, some pairs out of order.
static inline void disk_settle(struct disk_content *content, uint64_t *seed)
{
    const unsigned chance = disk_draw(seed, 5); // of four: how much of it made it to the disk
    for (size_t i = 0; i + 1 < content->loose_count; i++)
        if (disk_draw(seed, 4) == 0) {
            const struct disk_note *first = content->loose[i];
            content->loose[i] = content->loose[i + 1];
            content->loose[i + 1] = first;
        }
    for (size_t i = 0; i < content->loose_count; i++) {
        const struct disk_note *note = content->loose[i];
        const unsigned sectors = note->size / DISK_SECTOR;
        if (disk_draw(seed, 4) >= chance)
            continue;
        const bool torn = sectors > 1 && disk_draw(seed, 8) == 0;
        disk_apply(content, note, 0, torn ? disk_draw(seed, sectors) * (size_t)DISK_SECTOR : note->size);
    }
    content->loose_count = 0;
}

static inline void disk_do_name(struct disk_image *image, const struct disk_note *note)
{
    const char *path = (const char *)(note + 1);
    struct disk_name *found = NULL;
    if (note->deed == DISK_NAME) {
        if (image->name_count == DISK_NAMES_MOST)
            abort();
        found = &image->names[image->name_count++];
        found->file = note->file;
        strcpy(found->path, path);
        return;
    }
    for (size_t i = 0; i < image->name_count; i++) {
        if (note->deed == DISK_RENAME && strcmp(image->names[i].path, path + note->second) == 0)
            image->names[i].path[0] = '\0';
        if (strcmp(image->names[i].path, path) == 0)
            found = &image->names[i];
    }
    if (found)
        strcpy(found->path, note->deed == DISK_RENAME ? path + note->second : "");
}

// True when the folder that a note on names is about was synced behind it.
static inline bool disk_name_is_synced(const struct disk_note *note)
{
    const char *path = (const char *)(note + 1), *slash = strrchr(path, '/');
    const size_t length = (size_t)(slash - path);
    while ((note = disk_next(note))) {
        const char *folder = (const char *)(note + 1);
        if (note->deed == DISK_SYNC_NAMES && strlen(folder) == length && memcmp(folder, path, length) == 0)
            return true;
    }
    return false;
}

static inline bool disk_is_on_names(const struct disk_note *note)
{
    return note->deed == DISK_NAME || note->deed == DISK_RENAME || note->deed == DISK_UNLINK;
}

// Of the names, what was synced and any beginning of the rest.
static inline void disk_replay(struct disk_image *image, uint64_t *seed)
{
    unsigned loose = 1;
    for (const struct disk_note *note = NULL; (note = disk_next(note));)
        loose += disk_is_on_names(note) && !disk_name_is_synced(note);
    unsigned kept = disk_draw(seed, loose);
    for (const struct disk_note *note = NULL; (note = disk_next(note));) {
        struct disk_content *content = note->file ? disk_content_of(image, note->file) : NULL;
        if (note->deed == DISK_WRITE || note->deed == DISK_RESIZE) {
            if (content->loose_count == DISK_FILES_MOST)
                abort();
            content->loose[content->loose_count++] = note;
        } else if (note->deed == DISK_SYNC) {
            for (size_t i = 0; i < content->loose_count; i++)
                disk_apply(content, content->loose[i], 0, content->loose[i]->size);
            content->loose_count = 0;
        } else if (disk_is_on_names(note)) {
            const bool is_synced = disk_name_is_synced(note);
            if (is_synced || kept > 0)
                disk_do_name(image, note);
            kept -= !is_synced && kept > 0;
        }
    }
}

// Lays out below `folder` what the disk holds after a power cut that `seed` decides.
static inline void disk_cut(const char *folder, uint64_t seed)
{
    struct disk_image image = {.contents = calloc(DISK_FILES_MOST, sizeof *image.contents),
                               .names = calloc(DISK_NAMES_MOST, sizeof *image.names)};
    const size_t length = strlen(disk->folder);
    disk_replay(&image, &seed);
    for (size_t i = 0; i < image.content_count; i++)
        disk_settle(&image.contents[i], &seed);
    for (size_t i = 0; i < image.name_count; i++) {
        char path[2 * PATH_MAX];
        if (!image.names[i].path[0])
            continue;
        snprintf(path, sizeof path, "%s%s", folder, image.names[i].path + length);
        struct disk_content *content = disk_content_of(&image, image.names[i].file);
        for (char *slash = path + strlen(folder); (slash = strchr(slash + 1, '/'));) {
            *slash = '\0';
            mkdir(path, 0700);
            *slash = '/';
        }
        FILE *file = fopen(path, "wb");
        if (!file || fwrite(content->bytes ? content->bytes : "", 1, content->size, file) != content->size)
            abort();
        fclose(file);
    }
    for (size_t i = 0; i < image.content_count; i++)
        free(image.contents[i].bytes);
    free(image.contents);
    free(image.names);
}

#endif
