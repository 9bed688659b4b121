// Cross-entropy, loss and gradient, against memcpy of the same matrix: every kernel on one thread, the best
// on all. With the argument "figures", a line for bench/bench_loss.py each: rows, classes, dtype, who,
// seconds.
#include "math/loss.h"
#include "math/loss_fast.h"
#include "math/loss_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 15 };

static const struct {
    size_t rows, classes;
    enum nabla_dtype dtype;
} shapes[] = {
    {64, 1000, NABLA_FLOAT32},  {4096, 1000, NABLA_FLOAT32}, {64, 50000, NABLA_FLOAT32},
    {65536, 10, NABLA_FLOAT32}, {32, 10, NABLA_FLOAT32},     {4096, 1000, NABLA_FLOAT64},
    {65536, 10, NABLA_FLOAT64},
};

struct work {
    const struct loss_fast_kernel *kernel; // NULL for memcpy
    size_t threads;
    struct nabla_loss_batch batch;
    void *gradient, *copy;
    size_t bytes;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void work_once(const struct work *work)
{
    if (!work->kernel) {
        memcpy(work->copy, work->batch.scores, work->bytes);
        __asm__ volatile("" ::: "memory");
        return;
    }
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_result result = {.gradient = work->gradient};
    if (loss_compute_with(work->kernel, work->threads, &loss, &work->batch, &result, NULL) != NABLA_OK)
        abort();
}

// The best of ROUNDS, each of at least a millisecond.
static double best_seconds(const struct work *work)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        size_t times = 0;
        double start = now(), end;
        do {
            work_once(work);
            times++;
            end = now();
        } while (end - start < 1e-3);
        if ((end - start) / (double)times < best)
            best = (end - start) / (double)times;
    }
    return best;
}

static void fill(struct work *work, enum nabla_dtype dtype, size_t count, int64_t *ids)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double value = (double)(state >> 40) * 0x1p-24 * 8 - 4;
        if (dtype == NABLA_FLOAT32)
            ((float *)work->gradient)[i] = (float)value;
        else
            ((double *)work->gradient)[i] = value;
    }
    memcpy((void *)work->batch.scores, work->gradient, work->bytes);
    memset(work->copy, 1, work->bytes);
    for (size_t i = 0; i < work->batch.rows; i++)
        ids[i] = (int64_t)(i * 7919 % work->batch.classes);
}

static bool as_figures;

static void report(const struct work *work, const char *who, double seconds, double copy)
{
    const struct nabla_loss_batch *batch = &work->batch;
    const char *dtype = batch->dtype == NABLA_FLOAT32 ? "float32" : "float64";
    if (as_figures)
        printf("%zu %zu %s %s %.9g\n", batch->rows, batch->classes, dtype, who, seconds);
    else
        printf("%6zu x %-6zu %s  %-20s %10.1f us  %6.2f G entries/s  %6.2f x memcpy\n", batch->rows,
               batch->classes, dtype, who, seconds * 1e6,
               (double)(batch->rows * batch->classes) / seconds * 1e-9, seconds / copy);
}

static void bench_kernels(struct work *work)
{
    const size_t cores = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    char who[40];
    work->kernel = NULL;
    const double copy = best_seconds(work);
    report(work, "memcpy", copy, copy);
    bool is_best = true; // the first that the processor has
    for (size_t i = 0; i < LOSS_FAST_KERNELS; i++) {
        work->kernel = &loss_fast_kernels[i];
        if (!work->kernel->supported())
            continue;
        work->threads = 1;
        report(work, work->kernel->name, best_seconds(work), copy);
        work->threads = cores;
        snprintf(who, sizeof who, "%s,%zu-threads", work->kernel->name, cores);
        if (is_best && cores > 1)
            report(work, who, best_seconds(work), copy);
        is_best = false;
    }
}

static void bench_shape(size_t rows, size_t classes, enum nabla_dtype dtype)
{
    size_t width = dtype == NABLA_FLOAT32 ? sizeof(float) : sizeof(double), count = rows * classes;
    void *scores = aligned_alloc(64, (count * width + 63) / 64 * 64);
    int64_t *ids = malloc(rows * sizeof *ids);
    struct work work = {.bytes = count * width,
                        .gradient = aligned_alloc(64, (count * width + 63) / 64 * 64),
                        .copy = aligned_alloc(64, (count * width + 63) / 64 * 64)};
    work.batch = (struct nabla_loss_batch){dtype, rows, classes, scores, ids, NULL, NULL};
    if (!scores || !ids || !work.gradient || !work.copy)
        abort();
    fill(&work, dtype, count, ids);
    bench_kernels(&work);
    free(scores);
    free(ids);
    free(work.gradient);
    free(work.copy);
}

int main(int argc, char **argv)
{
    as_figures = argc > 1 && strcmp(argv[1], "figures") == 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        bench_shape(shapes[i].rows, shapes[i].classes, shapes[i].dtype);
}
