// Takes from this process what a worker does not need, for good: it reads data that strangers sent.
//
// - resource limits: memory, CPU time, the size of a file, descriptors, threads, no core dumps (they would
//   hold secrets)
// - no new privileges, and of root's none but to reach files
// - Landlock: no files but those named here, no signals to other processes; no TCP and no abstract sockets,
//   should seccomp be missing
// - seccomp: no programs, no processes, no sockets and no connections but those that the process has or is
//   given, no tracing, no executable memory, no memory that the limit does not count, nothing done to other
//   processes (their limits, priority, signals by descriptors, leases on files), nothing of what only a
//   system's administration needs, and no call that is younger than its list
#ifndef NABLA_SERVER_CONFINE_H
#define NABLA_SERVER_CONFINE_H

#include <stddef.h>
#include <stdint.h>

struct confine {
    uint64_t memory_bytes; // beyond what the process has already; 0 for no limit, as below
    uint64_t cpu_seconds;
    uint64_t file_bytes;
    const char *folder; // may be read and written; NULL for none
    const char *file;   // may be read; NULL or "" for none
};

// What of the above this kernel does not have, for a log: "Landlock, seccomp"; "" for nothing.
void confine_missing(char *ret, size_t size);

// Confines the calling thread and all that it will start, so it is called before there are other threads.
// What the kernel does not have is left out; `ret_missing` says what that is.
void confine_process(const struct confine *confine, char *ret_missing, size_t size);

#endif
