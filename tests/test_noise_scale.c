// The gradient noise scale: made-up gradients whose scale is known, and a training that records it.
#include "data/generator.h"
#include "math/random.h"
#include "train/noise_scale.h"
#include "train/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DIMENSIONS = 20, STEPS = 3000, FIRST = 8 };

// A step of `batches` batches of `rows` rows: each row's gradient is G = (1, 1, …) with normal noise of
// deviation `noise` in each number, so that a batch's has deviation noise / √rows.
static void add_step(struct noise_scale *scale, struct random *random, double noise, size_t rows,
                     size_t batches)
{
    double sum[DIMENSIONS] = {0}, squares = 0, square = 0;
    for (size_t i = 0; i < batches; i++)
        for (size_t j = 0; j < DIMENSIONS; j++) {
            const double entry = 1 + noise / sqrt((double)rows) * random_normal(random);
            sum[j] += entry;
            squares += entry * entry / (double)batches;
        }
    for (size_t j = 0; j < DIMENSIONS; j++)
        square += sum[j] * sum[j] / (double)(batches * batches);
    noise_scale_add(scale, squares, square, rows, batches);
}

static void the_scale_of_known_noise_is_found(void **state)
{
    (void)state;
    static const struct {
        double noise;
        size_t rows, batches;
    } cases[] = {{1, 1, 2}, {3, 4, 2}, {3, 4, 8}, {10, 32, 4}, {0, 5, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct noise_scale scale = {0};
        struct random random = random_new(1 + i, 1);
        for (int step = 0; step < STEPS; step++)
            add_step(&scale, &random, cases[i].noise, cases[i].rows, cases[i].batches);
        const double wanted = cases[i].noise * cases[i].noise; // tr(Σ) / |G|²: the dimensions cancel
        if (!(fabs(noise_scale_value(&scale) - wanted) <= 0.25 * wanted + 1e-9))
            fail_msg("case %zu: %g, not about %g", i, noise_scale_value(&scale), wanted);
    }
}

static void what_tells_nothing_changes_nothing(void **state)
{
    (void)state;
    struct noise_scale scale = {0};
    assert_true(isnan(noise_scale_value(&scale)));
    noise_scale_add(&scale, 3, 2, 8, 4);
    const double value = noise_scale_value(&scale);
    assert_true(fabs(value - 32.0 * (3 - 2) / (2 - 1.0 / 3) / 3) < 1e-9);
    noise_scale_add(&scale, 5, 4, 8, 1);
    noise_scale_add(&scale, NAN, 4, 8, 4);
    noise_scale_add(&scale, 5, INFINITY, 8, 4);
    assert_true(noise_scale_value(&scale) == value);
    scale = (struct noise_scale){0};
    noise_scale_add(&scale, 9, 1, 8, 4); // less than noise alone would give
    assert_true(isnan(noise_scale_value(&scale)));
}

struct heard {
    uint64_t records, scales, histograms[FIRST];
    size_t histogram_count;
};

static enum nabla_code hear(void *context, const struct step_record *record,
                            const struct train_progress *progress, struct nabla_error *err)
{
    (void)progress, (void)err;
    struct heard *heard = context;
    const bool is_recorded = record->recorded >> NETWORK_GRADIENT_NOISE_SCALE & 1;
    heard->records++;
    heard->scales += is_recorded && isfinite(record->values[NETWORK_GRADIENT_NOISE_SCALE]);
    return NABLA_OK;
}

static enum nabla_code hear_histograms(void *context, const struct histogram_record *record,
                                       struct nabla_error *err)
{
    (void)err;
    struct heard *heard = context;
    if (heard->histogram_count < FIRST)
        heard->histograms[heard->histogram_count] = record->step;
    heard->histogram_count++;
    return NABLA_OK;
}

static struct heard train(size_t accumulation, size_t every, size_t histograms_every)
{
    struct nabla_error err;
    struct dataset *data;
    struct trainer *trainer;
    struct train_result result;
    struct generator generator = generator_defaults(GENERATOR_BLOBS);
    generator.rows = 600;
    generator.noise = 3;
    struct train_spec spec = spec_defaults();
    spec.validation_split = 0;
    spec.epochs = 5;
    spec.batch_size = 10;
    spec.optimizer.gradient_accumulation_steps = (double)accumulation;
    spec.telemetry_every = every;
    spec.histograms_every = histograms_every;
    assert_int_equal(generator_make(&generator, &dataset_unlimited, &data, &err), NABLA_OK);
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    assert_int_equal(trainer_new(&spec, data, &trainer, &err), NABLA_OK);
    struct heard heard = {0};
    const struct train_observer observer = {.context = &heard, .record = hear, .histograms = hear_histograms};
    assert_int_equal(trainer_run(trainer, &observer, &result, &err), NABLA_OK);
    trainer_free(trainer);
    spec_free(&spec);
    dataset_free(data);
    return heard;
}

static void updates_of_several_batches_record_it(void **state)
{
    (void)state;
    const struct heard several = train(4, 1, 0), one = train(1, 1, 0);
    assert_int_equal(several.records, 75);
    assert_true(several.scales > 60);
    assert_int_equal(one.records, 300);
    assert_int_equal(one.scales, 0);
}

// 300 steps, 60 an epoch.
static void histograms_have_an_interval_of_their_own(void **state)
{
    (void)state;
    const struct heard sparse = train(1, 1, 70), between = train(1, 50, 70), first = train(1, 1, 1000);
    static const uint64_t wanted[] = {1, 70, 140, 210, 280};
    assert_int_equal(sparse.histogram_count, 5);
    assert_memory_equal(sparse.histograms, wanted, sizeof wanted);
    assert_int_equal(between.histogram_count, 5); // also of steps without a record
    assert_memory_equal(between.histograms, wanted, sizeof wanted);
    assert_int_equal(first.histogram_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scale_of_known_noise_is_found),
        cmocka_unit_test(what_tells_nothing_changes_nothing),
        cmocka_unit_test(updates_of_several_batches_record_it),
        cmocka_unit_test(histograms_have_an_interval_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
