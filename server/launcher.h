// How a worker is started, ended and looked after: three functions, so that the supervisor needs not know
// where workers run. Thread safety: the supervisor's thread only.
#ifndef NABLA_SERVER_LAUNCHER_H
#define NABLA_SERVER_LAUNCHER_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Whose turn it is when all cores are taken: the API answers while jobs train.
enum worker_priority {
    WORKER_NORMAL, // the server's own
    WORKER_LOW,    // nice, and in batches: ten times less than the server
    WORKER_IDLE    // only what nothing else on the machine wants
};

// What a worker may take; 0 for no limit.
struct worker_limits {
    enum worker_priority priority;
    bool is_confined; // false: none of confine.h holds, for debuggers and the like
    uint64_t memory_bytes, cpu_seconds, file_bytes;
};

// What a worker is told, on its standard input: nothing of it stands in arguments or environment.
struct launch {
    const char *job, *token;
    unsigned attempt;
    const char *folder;      // the job's own; made by the launcher
    const char *dataset;     // path of the data set's file
    const char *traceparent; // of the request that made the job; "" for none
    struct worker_limits limits;
};

// A started worker.
struct launched {
    pid_t pid;
    int lifeline; // the worker's standard input: it ends when this is closed
    int ended_fd; // readable once it has ended; -1 where only looking tells
};

enum { EVIDENCE_SIZE = 128 };

struct launcher {
    void *context;
    enum nabla_code (*start)(void *context, const struct launch *launch, struct launched *ret,
                             struct nabla_error *err);
    // Asks it to end, or with `force` ends it.
    void (*cancel)(void *context, struct launched *launched, bool force);
    // False once it has ended: then *ret_evidence says how, and `launched` is released.
    bool (*is_alive)(void *context, struct launched *launched, char ret_evidence[EVIDENCE_SIZE]);
};

// Workers as child processes. `local` is borrowed.
struct broker;
struct local_launcher {
    const char *program;   // path of nabla
    struct broker *broker; // of their connections to the server
};
struct launcher launcher_local(const struct local_launcher *local);

// The descriptor of a worker's line to the server (line.h).
enum { WORKER_LINE = 3 };

#endif
