// Makes the nth allocation or the nth operation on a file of this process fail, whichever library asks for
// it: the functions below stand in front of the C library's. Include once, in a test program of its own.
//
//     faults_arm(FAULT_MEMORY, n);  …what is to be tried…  bool met = faults_disarm();
//
// met is false when fewer than n were made: then everything has been tried. Only what happens while armed is
// counted, on every thread. A sanitizer has allocators of its own, and so has valgrind: faults_of_memory is
// false there.
#ifndef NABLA_TESTS_FAULTS_H
#define NABLA_TESTS_FAULTS_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

// Gone: once, the file at a path that has `faults_about` in it is not there.
// EIO goes on from the nth on; EIO_ONCE is over with it, and what is tried next works. A full disk can be
// read. Busy: a lock on a file that somebody else holds, from the nth on or that one time alone, which is
// SQLite's SQLITE_BUSY; nobody sleeps until it is free.
enum fault {
    FAULT_NONE,
    FAULT_MEMORY,
    FAULT_EIO,
    FAULT_EIO_ONCE,
    FAULT_ENOSPC,
    FAULT_SHORT,
    FAULT_BUSY,
    FAULT_BUSY_ONCE,
    FAULT_COUNT,
    FAULT_GONE = FAULT_COUNT
};
enum fault_place { PLACE_MEMORY, PLACE_FILE, PLACE_LOCK, PLACE_NAME };

static _Atomic int faults_armed;   // enum fault
static _Atomic long faults_left;   // until the one that fails
static _Atomic bool faults_met;    // it has failed
static const char *faults_about;   // what FAULT_GONE is about
static _Atomic long faults_blocks; // allocated and not freed since the start, by whomever

static inline void faults_arm(enum fault fault, long nth)
{
    atomic_store(&faults_met, false);
    atomic_store(&faults_left, nth);
    atomic_store(&faults_armed, fault);
}

static inline bool faults_disarm(void)
{
    atomic_store(&faults_armed, FAULT_NONE);
    return atomic_load(&faults_met);
}

static inline enum fault_place faults_place(int armed)
{
    if (armed == FAULT_MEMORY)
        return PLACE_MEMORY;
    if (armed == FAULT_GONE)
        return PLACE_NAME;
    return armed == FAULT_BUSY || armed == FAULT_BUSY_ONCE ? PLACE_LOCK : PLACE_FILE;
}

// A full disk stays full and a broken one broken; memory fails once.
static inline bool faults_strike(enum fault_place place)
{
    const int armed = atomic_load(&faults_armed);
    if (armed == FAULT_NONE || faults_place(armed) != place)
        return false;
    const bool is_once =
        armed == FAULT_MEMORY || armed == FAULT_BUSY_ONCE || armed == FAULT_EIO_ONCE || armed == FAULT_GONE;
    const long left = atomic_fetch_sub(&faults_left, 1);
    if (left > 1 || (is_once && left < 1))
        return false;
    atomic_store(&faults_met, true);
    return true;
}

// The libraries are to find ours.
#pragma GCC visibility push(default)

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *block);
extern void *__libc_memalign(size_t alignment, size_t size);

static inline void *faults_count(void *block)
{
    atomic_fetch_add(&faults_blocks, block != NULL);
    return block;
}

static inline void *faults_refuse(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size)
{
    return faults_strike(PLACE_MEMORY) ? faults_refuse() : faults_count(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return faults_strike(PLACE_MEMORY) ? faults_refuse() : faults_count(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
    if (faults_strike(PLACE_MEMORY))
        return faults_refuse();
    void *block = __libc_realloc(old, size);
    atomic_fetch_add(&faults_blocks, (block && !old) - (old && size == 0));
    return block;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return faults_strike(PLACE_MEMORY) ? faults_refuse() : faults_count(__libc_memalign(alignment, size));
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *block = aligned_alloc(alignment, size);
    if (block)
        *ret = block;
    return block ? 0 : ENOMEM;
}

void free(void *block)
{
    atomic_fetch_sub(&faults_blocks, block != NULL);
    __libc_free(block);
}
#endif

// Sets errno and is true when this operation is to fail.
static inline bool faults_io(void)
{
    if (!faults_strike(PLACE_FILE))
        return false;
    const int armed = atomic_load(&faults_armed);
    errno = armed == FAULT_EIO || armed == FAULT_EIO_ONCE ? EIO : ENOSPC;
    return true;
}

// The same of an operation that needs no room.
static inline bool faults_look(void)
{
    const int armed = atomic_load(&faults_armed);
    return (armed == FAULT_EIO || armed == FAULT_EIO_ONCE) && faults_io();
}

// Whether ours are the ones that are called.
static inline bool faults_of_memory(void)
{
    const long before = atomic_load(&faults_blocks);
    void *volatile block = malloc(1);
    const bool counted = atomic_load(&faults_blocks) == before + 1;
    free(block);
    return counted;
}

// The function of the C library behind ours.
#define FAULTS_BEHIND(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// A short write is taken halfway before the disk is full.
#define FAULTS_WRITE(name, offset_type)                                                                      \
    ssize_t name(int fd, const void *bytes, size_t size, offset_type at)                                     \
    {                                                                                                        \
        const bool fails = faults_io();                                                                      \
        const bool is_first = atomic_load(&faults_left) == 0;                                                \
        if (fails && !(atomic_load(&faults_armed) == FAULT_SHORT && is_first && size > 1))                   \
            return -1;                                                                                       \
        return FAULTS_BEHIND(name)(fd, bytes, fails ? size / 2 : size, at);                                  \
    }
FAULTS_WRITE(pwrite, off_t)
FAULTS_WRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t size)
{
    const bool fails = fd > STDERR_FILENO && faults_io(); // what the test says is not meant
    const bool is_first = atomic_load(&faults_left) == 0;
    if (fails && !(atomic_load(&faults_armed) == FAULT_SHORT && is_first && size > 1))
        return -1;
    return FAULTS_BEHIND(write)(fd, bytes, fails ? size / 2 : size);
}

#define FAULTS_CALL(name, parameters, arguments)                                                             \
    int name parameters                                                                                      \
    {                                                                                                        \
        return faults_io() ? -1 : FAULTS_BEHIND(name) arguments;                                             \
    }
FAULTS_CALL(fsync, (int fd), (fd))
FAULTS_CALL(fdatasync, (int fd), (fd))
FAULTS_CALL(ftruncate, (int fd, off_t size), (fd, size))
FAULTS_CALL(ftruncate64, (int fd, off64_t size), (fd, size))
FAULTS_CALL(rename, (const char *from, const char *to), (from, to))
FAULTS_CALL(mkostemps, (char *path, int suffix, int flags), (path, suffix, flags))
#ifndef __SANITIZE_THREAD__ // which calls it before it is ready for code that it watches
FAULTS_CALL(mkdir, (const char *path, mode_t mode), (path, mode))
#endif
FAULTS_CALL(link, (const char *from, const char *to), (from, to))

#define FAULTS_LOOK(name, type, none, parameters, arguments)                                                 \
    type name parameters                                                                                     \
    {                                                                                                        \
        return faults_look() ? (none) : FAULTS_BEHIND(name) arguments;                                       \
    }
FAULTS_LOOK(read, ssize_t, -1, (int fd, void *bytes, size_t size), (fd, bytes, size))
FAULTS_LOOK(pread, ssize_t, -1, (int fd, void *bytes, size_t size, off_t at), (fd, bytes, size, at))
FAULTS_LOOK(pread64, ssize_t, -1, (int fd, void *bytes, size_t size, off64_t at), (fd, bytes, size, at))
FAULTS_LOOK(unlink, int, -1, (const char *path), (path))
FAULTS_LOOK(chmod, int, -1, (const char *path, mode_t mode), (path, mode))
FAULTS_LOOK(opendir, DIR *, NULL, (const char *path), (path))
FAULTS_LOOK(readdir, struct dirent *, NULL, (DIR * folder), (folder))
FAULTS_LOOK(fstat, int, -1, (int fd, struct stat *ret), (fd, ret))

static inline bool faults_gone(const char *path)
{
    if (!faults_about || !strstr(path, faults_about) || !faults_strike(PLACE_NAME))
        return false;
    errno = ENOENT;
    return true;
}

// What makes a file needs room.
#define FAULTS_OPEN(name)                                                                                    \
    int name(const char *path, int flags, ...)                                                               \
    {                                                                                                        \
        va_list arguments;                                                                                   \
        va_start(arguments, flags);                                                                          \
        const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                                 \
        va_end(arguments);                                                                                   \
        const bool fails = flags & O_CREAT ? faults_io() : faults_look() || faults_gone(path);               \
        return fails ? -1 : FAULTS_BEHIND(name)(path, flags, mode);                                          \
    }
FAULTS_OPEN(open)
FAULTS_OPEN(open64)

// Taking a lock may fail, giving it back may not.
#define FAULTS_LOCK(name)                                                                                    \
    int name(int fd, int command, ...)                                                                       \
    {                                                                                                        \
        va_list arguments;                                                                                   \
        va_start(arguments, command);                                                                        \
        void *argument = va_arg(arguments, void *);                                                          \
        va_end(arguments);                                                                                   \
        const struct flock *lock = command == F_SETLK || command == F_OFD_SETLK ? argument : NULL;           \
        if (lock && lock->l_type != F_UNLCK && faults_strike(PLACE_LOCK)) {                                  \
            errno = EAGAIN;                                                                                  \
            return -1;                                                                                       \
        }                                                                                                    \
        return FAULTS_BEHIND(name)(fd, command, argument);                                                   \
    }
FAULTS_LOCK(fcntl)
FAULTS_LOCK(fcntl64)

int usleep(useconds_t microseconds)
{
    return faults_place(atomic_load(&faults_armed)) == PLACE_LOCK ? 0 : FAULTS_BEHIND(usleep)(microseconds);
}

#pragma GCC visibility pop

#endif
