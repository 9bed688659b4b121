// Counts of what the server does, in Prometheus' text format 0.0.4: requests and their times by route,
// counted here; what else there is to tell is asked for when somebody looks. Thread safety: any thread;
// counting takes no lock.
#ifndef NABLA_SERVER_METRICS_H
#define NABLA_SERVER_METRICS_H

#include "base/buffer.h"

#include <stdint.h>

struct metrics;

enum nabla_code metrics_new(struct metrics **ret, struct nabla_error *err);
void metrics_free(struct metrics *metrics);

// A request of the route (api_route_at; any other number for none) was answered. `ns` is what it took; below
// 0 for requests that wait by intention, whose time says nothing.
void metrics_request(struct metrics *metrics, size_t route, int status, int64_t ns);

// The counts of requests, appended.
void metrics_write_requests(const struct metrics *metrics, struct buffer *ret);

// One metric without labels: HELP, TYPE and its value.
void metrics_write(struct buffer *ret, const char *name, const char *type, const char *help, double value);

// This process: memory, CPU time, descriptors, start, by the names that Prometheus' own clients use.
void metrics_write_process(struct buffer *ret);

#endif
