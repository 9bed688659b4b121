// Gives workers their connections to the server (line.h). A worker gets only so many that are open at the
// same time; its line, and what it keeps of connections, end with it.
//
// One that asks without taking the answers is cut off: it can fill nothing and stop nobody.
// Thread safety: any thread, but for broker_new, broker_stop and broker_free.
#ifndef NABLA_SERVER_BROKER_H
#define NABLA_SERVER_BROKER_H

#include "base/error.h"

#include <stdbool.h>

enum { BROKER_CONNECTIONS = 4 }; // of a worker, at a time; it needs one

struct broker;

struct broker_options {
    // Serves a connection; closes `fd` in any case. broker_closed is told before it is.
    bool (*serve)(void *context, int fd);
    void *context;
};

// Begins to answer, on a thread of its own.
enum nabla_code broker_new(const struct broker_options *options, struct broker **ret,
                           struct nabla_error *err);

// A line for one worker. The caller closes its copy of *ret_worker once the worker has it.
enum nabla_code broker_line(struct broker *broker, int *ret_worker, struct nabla_error *err);

// A connection is about to be closed, so that another may take its place.
void broker_closed(struct broker *broker, int fd);

// No more connections: hangs up every line. Takes NULL.
void broker_stop(struct broker *broker);
// After the last call of broker_closed. Takes NULL.
void broker_free(struct broker *broker);

#endif
