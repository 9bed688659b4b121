#include "server/metrics.h"

#include "api/api.h"
#include "base/clock.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// Upper bounds of the buckets, in microseconds; one more is without a bound.
static const int64_t bounds_us[] = {100,   250,    500,    1000,   2500,    5000,    10000,   25000,
                                    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};
enum { BOUNDS = sizeof bounds_us / sizeof *bounds_us };

// Those that Nabla or its HTTP library answers; the rest counts as the last.
static const int statuses[] = {200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406, 408, 409,
                               412, 413, 414, 415, 421, 422, 429, 431, 500, 501, 503, 507, 0};
enum { STATUSES = sizeof statuses / sizeof *statuses };

struct route_counts {
    atomic_uint_fast64_t by_status[STATUSES], by_time[BOUNDS + 1], ns;
};

struct metrics {
    size_t routes; // the last one is for requests that lead nowhere
    struct route_counts counts[];
};

enum nabla_code metrics_new(struct metrics **ret, struct nabla_error *err)
{
    size_t routes = api_route_total() + 1;
    struct metrics *metrics = calloc(1, sizeof *metrics + routes * sizeof *metrics->counts);
    if (!metrics)
        return nabla_fail_memory(err, "the metrics");
    metrics->routes = routes;
    *ret = metrics;
    return NABLA_OK;
}

void metrics_free(struct metrics *metrics)
{
    free(metrics);
}

static void add(atomic_uint_fast64_t *count, uint64_t amount)
{
    atomic_fetch_add_explicit(count, amount, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_fast64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

void metrics_request(struct metrics *metrics, size_t route, int status, int64_t ns)
{
    struct route_counts *counts = &metrics->counts[route < metrics->routes ? route : metrics->routes - 1];
    size_t at = 0, bucket = 0;
    while (at < STATUSES - 1 && statuses[at] != status)
        at++;
    add(&counts->by_status[at], 1);
    if (ns < 0)
        return;
    while (bucket < BOUNDS && ns > bounds_us[bucket] * 1000)
        bucket++;
    add(&counts->by_time[bucket], 1);
    add(&counts->ns, (uint64_t)ns);
}

static void write_head(struct buffer *ret, const char *name, const char *type, const char *help)
{
    buffer_format(ret, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void name_route(size_t route, const char **ret_method, const char **ret_pattern)
{
    if (!api_route_at(route, ret_method, ret_pattern)) {
        *ret_method = "";
        *ret_pattern = "";
    }
}

static void write_statuses(const struct metrics *metrics, struct buffer *ret)
{
    static const char name[] = "nabla_http_requests_total";
    const char *method, *pattern;
    write_head(ret, name, "counter", "Requests answered, by route and status.");
    for (size_t i = 0; i < metrics->routes; i++) {
        name_route(i, &method, &pattern);
        for (size_t status = 0; status < STATUSES; status++) {
            uint64_t count = get(&metrics->counts[i].by_status[status]);
            if (count > 0)
                buffer_format(ret, "%s{method=\"%s\",route=\"%s\",code=\"%d\"} %" PRIu64 "\n", name, method,
                              pattern, statuses[status], count);
        }
    }
}

static void write_times(const struct metrics *metrics, struct buffer *ret)
{
    static const char name[] = "nabla_http_request_duration_seconds";
    const char *method, *pattern;
    write_head(ret, name, "histogram",
               "Time from the request line to the answer, of requests that do not wait by intention.");
    for (size_t i = 0; i < metrics->routes; i++) {
        const struct route_counts *counts = &metrics->counts[i];
        uint64_t below = 0, total = 0;
        for (size_t bucket = 0; bucket <= BOUNDS; bucket++)
            total += get(&counts->by_time[bucket]);
        if (total == 0)
            continue;
        name_route(i, &method, &pattern);
        for (size_t bucket = 0; bucket < BOUNDS; bucket++) {
            below += get(&counts->by_time[bucket]);
            buffer_format(ret, "%s_bucket{method=\"%s\",route=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, method,
                          pattern, (double)bounds_us[bucket] / 1e6, below < total ? below : total);
        }
        buffer_format(ret, "%s_bucket{method=\"%s\",route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, method,
                      pattern, total);
        buffer_format(ret, "%s_sum{method=\"%s\",route=\"%s\"} %g\n", name, method, pattern,
                      (double)get(&counts->ns) / 1e9);
        buffer_format(ret, "%s_count{method=\"%s\",route=\"%s\"} %" PRIu64 "\n", name, method, pattern,
                      total);
    }
}

void metrics_write_requests(const struct metrics *metrics, struct buffer *ret)
{
    write_statuses(metrics, ret);
    write_times(metrics, ret);
}

void metrics_write(struct buffer *ret, const char *name, const char *type, const char *help, double value)
{
    write_head(ret, name, type, help);
    buffer_format(ret, "%s %.15g\n", name, value);
}

static double count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    double count = -3; // the two dots, and the folder itself
    for (; folder && readdir(folder); count++)
        ;
    if (folder)
        closedir(folder);
    return count < 0 ? 0 : count;
}

static double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *in = fopen("/proc/self/statm", "re");
    if (in && fscanf(in, "%*u %lu", &pages) != 1)
        pages = 0;
    if (in)
        fclose(in);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

void metrics_write_process(struct buffer *ret)
{
    struct rusage usage;
    struct rlimit descriptors;
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &descriptors);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    metrics_write(ret, "process_cpu_seconds_total", "counter", "CPU time of the server, without its workers.",
                  cpu);
    metrics_write(ret, "process_resident_memory_bytes", "gauge", "Memory that the server holds.",
                  resident_bytes());
    metrics_write(ret, "process_open_fds", "gauge", "Open descriptors.", count_descriptors());
    metrics_write(ret, "process_max_fds", "gauge", "How many descriptors may be open.",
                  (double)descriptors.rlim_cur);
}
