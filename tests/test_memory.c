// What a job is said to need is what it takes: the allocations of a whole training are counted, the data
// set's among them. A sanitizer has an allocator of its own, and so has valgrind: there is nothing to count
// there.
#include "base/size.h"
#include "data/dataset.h"
#include "train/trainer.h"

#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mapped_file.h"

static _Atomic size_t bytes, most;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *block);
extern void *__libc_memalign(size_t alignment, size_t size);

static void *count(void *block)
{
    size_t now = atomic_fetch_add(&bytes, block ? malloc_usable_size(block) : 0);
    now += block ? malloc_usable_size(block) : 0;
    if (now > most)
        most = now;
    return block;
}

static void forget(void *block)
{
    atomic_fetch_sub(&bytes, block ? malloc_usable_size(block) : 0);
}

#pragma GCC visibility push(default)
void *malloc(size_t size)
{
    return count(__libc_malloc(size));
}

void *calloc(size_t number, size_t size)
{
    return count(__libc_calloc(number, size));
}

void *realloc(void *old, size_t size)
{
    forget(old);
    return count(__libc_realloc(old, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return count(__libc_memalign(alignment, size));
}

void free(void *block)
{
    forget(block);
    __libc_free(block);
}
#pragma GCC visibility pop
#endif

// A job: its data, its layers (up to three, 0 for none) and what else takes memory.
struct job {
    const char *what;
    size_t rows, columns, classes, targets;
    size_t units[3], batch_size;
    enum optimizer_type optimizer;
    bool norm, dropout, averages, keeps_best, accumulates, weighs;
    size_t shuffle_buffer; // 0: not streamed
    enum nabla_loss_type loss;
};

static const struct job jobs[] = {
    {.what = "a wide network", .rows = 300, .columns = 64, .classes = 10, .units = {900, 700}},
    {.what = "much data", .rows = 20000, .columns = 100, .classes = 3, .units = {8}},
    {.what = "much data, streamed",
     .rows = 200000,
     .columns = 20,
     .classes = 3,
     .units = {8},
     .shuffle_buffer = 1000},
    {.what = "many narrow rows", .rows = 200000, .columns = 2, .classes = 2, .units = {4}},
    {.what = "rows that weigh", .rows = 100000, .columns = 4, .classes = 3, .units = {4}, .weighs = true},
    {.what = "large batches",
     .rows = 4096,
     .columns = 8,
     .classes = 4,
     .units = {64, 64, 64},
     .batch_size = 4096,
     .norm = true,
     .dropout = true},
    {.what = "everything kept twice",
     .rows = 200,
     .columns = 32,
     .classes = 4,
     .units = {512, 512},
     .optimizer = OPTIMIZER_AMSGRAD,
     .averages = true,
     .keeps_best = true,
     .accumulates = true,
     .norm = true},
    {.what = "the least optimiser",
     .rows = 200,
     .columns = 32,
     .classes = 4,
     .units = {700, 700},
     .optimizer = OPTIMIZER_LION},
    {.what = "many classes", .rows = 4000, .columns = 8, .classes = 700, .units = {8}},
    {.what = "a regression",
     .rows = 20000,
     .columns = 6,
     .targets = 20,
     .units = {16},
     .loss = NABLA_MEAN_SQUARED_ERROR},
    {.what = "many labels",
     .rows = 20000,
     .columns = 6,
     .targets = 12,
     .units = {16},
     .loss = NABLA_BINARY_CROSS_ENTROPY},
};

static struct dataset *make_data(const struct job *job)
{
    struct dataset *data;
    struct nabla_error err;
    enum nabla_code code = job->targets
                               ? dataset_new_targets(job->rows, job->columns, job->targets, &data, &err)
                               : dataset_new(job->rows, job->columns, job->classes, &data, &err);
    assert_int_equal(code, NABLA_OK);
    for (size_t i = 0; i < job->rows * job->columns; i++)
        data->features[i] = (float)(i * 2654435761U % 1000) / 1000;
    for (size_t i = 0; i < job->rows && !job->targets; i++)
        data->ids[i] = (int32_t)(i % job->classes);
    for (size_t i = 0; i < job->rows * job->targets; i++)
        data->targets[i] = (float)(i % 3 == 0);
    if (job->weighs)
        assert_int_equal(dataset_add_weights(data, &err), NABLA_OK);
    for (size_t i = 0; i < job->rows && job->weighs; i++)
        data->weights[i] = 1;
    return data;
}

static void add(struct train_spec *spec, enum layer_type type, size_t units)
{
    struct nabla_error err;
    struct layer_spec layer = layer_defaults(type);
    layer.units = units;
    layer.activation = ACTIVATION_RELU;
    assert_int_equal(spec_add_layer(spec, &layer, &err), NABLA_OK);
}

static struct train_spec make_spec(const struct job *job, const struct dataset *data)
{
    struct nabla_error err = {0};
    struct train_spec spec = spec_defaults();
    for (size_t i = 0; i < 3 && job->units[i]; i++) {
        add(&spec, LAYER_TYPE_DENSE, job->units[i]);
        if (job->norm)
            add(&spec, LAYER_TYPE_BATCH_NORM, 0);
        add(&spec, LAYER_TYPE_ACTIVATION, 0);
        if (job->dropout)
            add(&spec, LAYER_TYPE_DROPOUT, 0);
    }
    if (job->targets)
        spec.loss = nabla_loss_defaults(job->loss);
    spec.optimizer = optimizer_defaults(job->optimizer);
    spec.optimizer.use_ema = job->averages;
    spec.optimizer.gradient_accumulation_steps = job->accumulates ? 2 : 1;
    spec.early_stopping.active = spec.early_stopping.restore_best = job->keeps_best;
    spec.batch_size = job->batch_size ? job->batch_size : 64;
    spec.streaming = job->shuffle_buffer ? STREAMING_ALWAYS : STREAMING_NEVER;
    spec.shuffle_buffer = job->shuffle_buffer;
    spec.epochs = 1;
    if (spec_complete(&spec, data, &err))
        fail_msg("%s: %s", job->what, err.text);
    return spec;
}

static void check(const struct job *job)
{
    struct nabla_error err;
    struct train_cost cost;
    struct trainer *trainer;
    struct train_result result;
    struct dataset *made = make_data(job);
    const size_t before = bytes;
    struct dataset *data = map_dataset(made);
    struct train_spec spec = make_spec(job, data);
    assert_int_equal(spec_cost(&spec, data, &cost, &err), NABLA_OK);
    most = bytes;
    assert_int_equal(trainer_new(&spec, data, &trainer, &err), NABLA_OK);
    assert_int_equal(trainer_run(trainer, NULL, &result, &err), NABLA_OK);
    const size_t window = job->shuffle_buffer * job->columns * sizeof(float); // of the file, as it is read
    const size_t taken = most - before + window;
    trainer_free(trainer);
    spec_free(&spec);
    dataset_free(data);
    dataset_free(made);
    print_message("%-22s %6.1f MB taken, %+.1f %%\n", job->what, (double)taken / 1e6,
                  100 * ((double)cost.bytes / (double)taken - 1));
    if (fabs((double)cost.bytes - (double)taken) > 0.1 * (double)taken)
        fail_msg("%s: %zu bytes are taken, and %zu were said to be needed", job->what, taken, cost.bytes);
}

static bool is_counted(void)
{
    const size_t before = atomic_load(&bytes);
    void *volatile block = malloc(1);
    const bool counted = atomic_load(&bytes) > before;
    free(block);
    return counted;
}

static void a_job_takes_what_it_is_said_to_need(void **state)
{
    (void)state;
    for (size_t i = 0; is_counted() && i < sizeof jobs / sizeof *jobs; i++)
        check(&jobs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_job_takes_what_it_is_said_to_need)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
