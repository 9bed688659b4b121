// The cost of reading the newest points by what the store holds: makes a store of POINTS points (rows of all
// statistics of four layers) directly, and reads the newest rows of a layer in it and in a small one.
//
//     bench_history [POINTS]        # 10,000,000; in a folder of its own below $TMPDIR, which it removes
#include "base/clock.h"
#include "store/history.h"
#include "store/jobs.h"
#include "store/store.h"
#include "store/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { LAYERS = 4, STEPS = 500, ROUNDS = 400, NEWEST = 100 };

static void die(const char *what, const struct nabla_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static struct step_record records[STEPS];
static struct layer_record layers[STEPS][LAYERS];

static void fill_batch(uint64_t first)
{
    static const char *const names[LAYERS] = {"dense_1", "dense_2", "dense_3", "dense_4"};
    for (unsigned i = 0; i < STEPS; i++) {
        records[i] = (struct step_record){.step = first + i, .layers = layers[i], .layer_count = LAYERS};
        for (unsigned l = 0; l < LAYERS; l++) {
            layers[i][l] =
                (struct layer_record){.index = l, .name = names[l], .recorded = (1U << LAYER_STAT_COUNT) - 1};
            for (unsigned s = 0; s < LAYER_STAT_COUNT; s++)
                layers[i][l].values[s] = (double)((first + i) * 31 % 1000003) / (7.0 + s + l);
        }
    }
}

static enum nabla_code count_row(void *context, const struct history_row *row)
{
    (void)row;
    ++*(size_t *)context;
    return NABLA_OK;
}

static void make_job(struct store *store, uint64_t points, char id[TOKEN_ID_SIZE])
{
    struct nabla_error err = {0};
    bool repeated;
    const struct job_new job = {
        .name = "bench", .spec = "{}", .executor = JOB_CLIENT, .steps = 1, .epochs = 1};
    if (store_job_create(store, &job, id, &repeated, &err))
        die("job", &err);
    uint64_t steps = points / (LAYERS * LAYER_STAT_COUNT);
    for (uint64_t first = 1; first <= steps; first += STEPS) {
        struct history_ack ack;
        fill_batch(first);
        const struct history_batch batch = {
            .attempt = 1,
            .records = records,
            .record_count = steps - first + 1 < STEPS ? (size_t)(steps - first + 1) : STEPS};
        if (store_history_append(store, id, &batch, &ack, &err))
            die("append", &err);
    }
}

static double read_best(struct store *store, const char *id, const struct history_query *query,
                        unsigned rounds, size_t *rows)
{
    double best = 1e9;
    struct nabla_error err = {0};
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t revision;
        size_t count = 0;
        int64_t begin = clock_monotonic_ns();
        if (store_history_layers(store, id, query, count_row, &count, &revision, &err))
            die("read", &err);
        double took = (double)(clock_monotonic_ns() - begin) / 1e3;
        best = took < best ? took : best;
        *rows = count;
    }
    return best;
}

int main(int argc, char **argv)
{
    struct nabla_error err = {0};
    struct store *store;
    char small[TOKEN_ID_SIZE], big[TOKEN_ID_SIZE];
    struct stat status;
    char path[512], folder[256];
    uint64_t points = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    snprintf(folder, sizeof folder, "%s/nabla-bench-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder) || store_open(folder, &store, &err))
        die("the store", &err);
    make_job(store, 10000, small);
    int64_t begin = clock_monotonic_ns();
    make_job(store, points, big);
    double seconds = (double)(clock_monotonic_ns() - begin) / 1e9;
    begin = clock_monotonic_ns();
    for (bool more = true; more;)
        if (store_tidy(store, &more, &err))
            die("tidy", &err);
    double tidied = (double)(clock_monotonic_ns() - begin) / 1e9;
    snprintf(path, sizeof path, "%s/nabla.db", folder);
    stat(path, &status);
    printf("%" PRIu64 " points in %.1f s (%.0f a second), rollups in %.1f s, %.2f bytes a point\n", points,
           seconds, (double)points / seconds, tidied, (double)status.st_size / (double)points);
    size_t rows;
    const struct history_query newest = {.has_layer = true,
                                         .layer = 2,
                                         .until_step = UINT64_MAX,
                                         .limit = SIZE_MAX,
                                         .newest = NEWEST,
                                         .columns = 1};
    double few = read_best(store, small, &newest, ROUNDS, &rows),
           many = read_best(store, big, &newest, ROUNDS, &rows);
    printf("newest %zu points: %.1f us of 10,000, %.1f us of all\n", rows, few, many);
    const struct history_query buckets = {.has_layer = true,
                                          .layer = 2,
                                          .until_step = UINT64_MAX,
                                          .limit = SIZE_MAX,
                                          .max_points = 1000,
                                          .columns = 1};
    many = read_best(store, big, &buckets, 10, &rows);
    printf("one column of a layer in %zu buckets: %.0f us\n", rows, many);
    store_close(store);
    sweep_tree(folder, NULL);
    return 0;
}
