// Training with features that stay in their file: the same numbers reach the network, in an order that reads
// the file in long pieces, and what is said of memory decides who streams.
#include "train/spec_rows.h"
#include "train/train_data.h"
#include "train/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mapped_file.h"

enum { CLASSES = 3, WEIGHTS_MAX = 4096 };

static struct dataset *make_data(size_t rows, size_t columns, bool misses)
{
    struct dataset *data;
    struct random random = random_new(1, 2);
    assert_int_equal(dataset_new(rows, columns, CLASSES, &data, NULL), NABLA_OK);
    assert_int_equal(dataset_fill_names(data, NULL), NABLA_OK);
    for (size_t i = 0; i < rows; i++)
        data->ids[i] = (int32_t)(i % CLASSES);
    for (size_t i = 0; i < rows * columns; i++)
        data->features[i] = misses && i % 11 == 5
                                ? NAN
                                : (float)(3 * random_normal(&random) + (double)(i / columns % CLASSES));
    return data;
}

static struct train_spec make_spec(size_t shuffle_buffer)
{
    struct train_spec spec = spec_defaults();
    spec.seed = 5;
    if (shuffle_buffer) {
        spec.streaming = STREAMING_ALWAYS;
        spec.shuffle_buffer = shuffle_buffer;
    }
    return spec;
}

static int compare_rows(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static void assert_permutation(const struct train_data *data)
{
    const size_t count = data->split.train_count;
    size_t *sorted = test_calloc(count, sizeof *sorted);
    memcpy(sorted, data->order, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_rows);
    assert_memory_equal(sorted, data->split.train, count * sizeof *sorted);
    test_free(sorted);
}

// How many blocks some of the order's rows are of.
static size_t count_blocks(const struct train_data *data, size_t first, size_t end)
{
    size_t count = 0;
    bool *seen = test_calloc(data->split.train_count, sizeof *seen);
    for (size_t i = first; i < end; i++) {
        const size_t *place =
            bsearch(&data->order[i], data->split.train, data->split.train_count, sizeof *place, compare_rows);
        const size_t block = (size_t)(place - data->split.train) / data->block;
        count += !seen[block];
        seen[block] = true;
    }
    test_free(seen);
    return count;
}

static const struct {
    size_t rows, columns, window, block;
} streams[] = {{1000, 4, 100, 13}, {1000, 4, 799, 100},  {997, 3, 8, 2},
               {997, 3, 1, 1},     {300, 40000, 100, 1}, {50, 2, 7, 1}};

static void each_epoch_takes_every_row_once_and_reads_in_blocks(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof streams / sizeof *streams; s++) {
        struct dataset *source = make_data(streams[s].rows, streams[s].columns, false);
        struct train_spec spec = make_spec(streams[s].window);
        struct train_data *data;
        assert_int_equal(train_data_new(&spec, source, &data, NULL), NABLA_OK);
        const size_t count = data->split.train_count;
        size_t *before = test_calloc(count, sizeof *before);
        struct random random = random_new(9, 9);
        assert_int_equal(data->block, streams[s].block);
        for (int epoch = 0; epoch < 3; epoch++) {
            memcpy(before, data->order, count * sizeof *before);
            const uint64_t position = random.position;
            train_data_shuffle(data, &random);
            assert_permutation(data);
            assert_memory_not_equal(before, data->order, count * sizeof *before);
            for (size_t first = 0; first < count; first += data->window) {
                const size_t end = count - first < data->window ? count : first + data->window;
                assert_true(count_blocks(data, first, end) <= (end - first) / data->block + 2);
            }
            memcpy(before, data->order, count * sizeof *before);
            random.position = position; // all that a checkpoint knows of it
            train_data_shuffle(data, &random);
            assert_memory_equal(before, data->order, count * sizeof *before);
        }
        test_free(before);
        train_data_free(data);
        dataset_free(source);
    }
}

// Of rows sorted by class, a window mixes blocks from all over.
static void a_window_mixes_what_lies_far_apart(void **state)
{
    (void)state;
    enum { ROWS = 8000, WINDOW = 800 };
    struct dataset *source = make_data(ROWS, 4, false);
    struct train_spec spec = make_spec(WINDOW);
    struct train_data *data;
    struct random random = random_new(1, 1);
    spec.validation_split = 0;
    assert_int_equal(train_data_new(&spec, source, &data, NULL), NABLA_OK);
    train_data_shuffle(data, &random);
    for (size_t first = 0; first < ROWS; first += WINDOW) {
        double sum = 0, half = 0;
        for (size_t i = first; i < first + WINDOW; i++)
            sum += (double)data->order[i];
        for (size_t i = first; i < first + WINDOW / 2; i++)
            half += (double)data->order[i];
        assert_true(fabs(half - sum / 2) < 0.1 * sum); // the first half of the window is as the second
    }
    train_data_free(data);
    dataset_free(source);
}

static const struct {
    enum missing missing;
    enum scaling scaling;
} changes[] = {{MISSING_REFUSE, SCALING_NONE},      {MISSING_REFUSE, SCALING_STANDARDIZE},
               {MISSING_MEAN, SCALING_NONE},        {MISSING_MEDIAN, SCALING_STANDARDIZE},
               {MISSING_CONSTANT, SCALING_MIN_MAX}, {MISSING_MOST_FREQUENT, SCALING_MIN_MAX}};

static void gather(struct train_data *data, float *features, int64_t *ids)
{
    const size_t batch = 7, count = data->split.train_count;
    for (size_t first = 0; first < count; first += batch)
        train_data_gather(data, data->order + first, count - first < batch ? count - first : batch,
                          features + first * data->source->columns, &(struct labels){.ids = ids + first});
}

static void the_network_is_given_the_same_numbers(void **state)
{
    (void)state;
    enum { ROWS = 600, COLUMNS = 5 };
    static float features[3][ROWS * COLUMNS];
    static int64_t ids[3][ROWS];
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
        struct dataset *memory = make_data(ROWS, COLUMNS, changes[c].missing != MISSING_REFUSE),
                       *file = map_dataset(memory);
        const struct {
            const struct dataset *source;
            size_t buffer;
        } ways[3] = {{memory, 0}, {memory, ROWS}, {file, ROWS}};
        for (size_t w = 0; w < 3; w++) {
            struct train_data *data;
            struct train_spec spec = make_spec(ways[w].buffer);
            struct random random = random_new(3, 3);
            spec.missing = changes[c].missing;
            spec.missing_value = 0.25;
            spec.scaling = changes[c].scaling;
            assert_int_equal(train_data_new(&spec, ways[w].source, &data, NULL), NABLA_OK);
            train_data_shuffle(data, &random);
            gather(data, features[w], ids[w]);
            train_data_free(data);
        }
        for (size_t w = 1; w < 3; w++) {
            assert_memory_equal(features[0], features[w], sizeof features[0]);
            assert_memory_equal(ids[0], ids[w], sizeof ids[0]);
        }
        dataset_free(memory);
        dataset_free(file);
    }
}

// The model that a training ends with.
static size_t train(const struct dataset *data, size_t buffer, size_t threads, float ret[WEIGHTS_MAX],
                    double *ret_accuracy)
{
    struct train_spec spec = make_spec(buffer);
    struct layer_spec dense = layer_defaults(LAYER_TYPE_DENSE);
    struct trainer *trainer;
    struct train_result result;
    struct tensor tensors[16];
    size_t count = 0;
    dense.units = 16;
    dense.activation = ACTIVATION_RELU;
    spec.epochs = 6;
    spec.threads = threads;
    assert_int_equal(spec_add_layer(&spec, &dense, NULL), NABLA_OK);
    assert_int_equal(spec_complete(&spec, data, NULL), NABLA_OK);
    assert_int_equal(trainer_new(&spec, data, &trainer, NULL), NABLA_OK);
    assert_int_equal(trainer_run(trainer, NULL, &result, NULL), NABLA_OK);
    trainer_tensors(trainer, tensors);
    for (size_t i = 0; i < trainer_tensor_count(trainer); i++) {
        assert_true(count + tensors[i].bytes / sizeof *ret <= WEIGHTS_MAX);
        memcpy(ret + count, tensors[i].data, tensors[i].bytes);
        count += tensors[i].bytes / sizeof *ret;
    }
    *ret_accuracy = result.validation_accuracy;
    trainer_free(trainer);
    spec_free(&spec);
    return count;
}

static void a_streamed_training_is_the_one_in_memory(void **state)
{
    (void)state;
    enum { ROWS = 3000, WINDOW = 200 };
    static float weights[4][WEIGHTS_MAX];
    double accuracy[4];
    struct dataset *memory = make_data(ROWS, 6, false), *file = map_dataset(memory);
    const size_t count = train(memory, 0, 1, weights[0], &accuracy[0]);
    train(file, ROWS, 1, weights[1], &accuracy[1]);
    train(file, WINDOW, 1, weights[2], &accuracy[2]);
    train(file, WINDOW, 3, weights[3], &accuracy[3]);
    assert_memory_equal(weights[0], weights[1], count * sizeof **weights);     // a window of all the rows
    assert_memory_not_equal(weights[0], weights[2], count * sizeof **weights); // another order
    assert_memory_equal(weights[2], weights[3], count * sizeof **weights);
    assert_true(accuracy[0] == accuracy[1] && fabs(accuracy[0] - accuracy[2]) < 0.05);
    dataset_free(memory);
    dataset_free(file);
}

enum { FIT_ROWS = 20000, FIT_COLUMNS = 100 }; // 8 MB of features

static const struct {
    const char *what;
    enum streaming asked;
    size_t buffer, most; // bytes
    bool streams, fits;
    size_t least, greatest; // rows of the buffer, where it streams
} fits[] = {
    {"there is room", STREAMING_AUTO, 0, 20000000, false, true, 0, 0},
    {"there is no room", STREAMING_AUTO, 0, 5000000, true, true, 1000, FIT_ROWS},
    {"there is hardly room", STREAMING_AUTO, 0, 2000000, true, true, 33, 200},
    {"there is none at all", STREAMING_AUTO, 0, 100000, true, false, FIT_ROWS, SIZE_MAX},
    {"the buffer is given", STREAMING_AUTO, 500, 5000000, true, true, 500, 500},
    {"the buffer is too large", STREAMING_AUTO, 15000, 5000000, true, false, 15000, 15000},
    {"it must not", STREAMING_NEVER, 0, 5000000, false, false, 0, 0},
    {"it must", STREAMING_ALWAYS, 0, 1000000000, true, true, FIT_ROWS, SIZE_MAX},
};

static void who_streams_follows_from_the_memory(void **state)
{
    (void)state;
    struct dataset *data = make_data(FIT_ROWS, FIT_COLUMNS, false);
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
        struct train_spec spec = spec_defaults();
        struct train_cost cost, again;
        spec.streaming = fits[i].asked;
        spec.shuffle_buffer = fits[i].buffer;
        assert_int_equal(spec_complete(&spec, data, NULL), NABLA_OK);
        assert_int_equal(spec_fit(&spec, data, fits[i].most, &cost, NULL), NABLA_OK);
        if (spec_streams(&spec) != fits[i].streams || (cost.bytes <= fits[i].most) != fits[i].fits)
            fail_msg("%s: streams %d, takes %zu bytes", fits[i].what, spec_streams(&spec), cost.bytes);
        if (fits[i].streams &&
            (spec.shuffle_buffer < fits[i].least || spec.shuffle_buffer > fits[i].greatest))
            fail_msg("%s: a buffer of %zu rows", fits[i].what, spec.shuffle_buffer);
        assert_int_equal(spec_fit(&spec, data, fits[i].most, &again, NULL), NABLA_OK); // it is decided
        assert_int_equal(again.bytes, cost.bytes);
        spec_free(&spec);
    }
    dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_epoch_takes_every_row_once_and_reads_in_blocks),
        cmocka_unit_test(a_window_mixes_what_lies_far_apart),
        cmocka_unit_test(the_network_is_given_the_same_numbers),
        cmocka_unit_test(a_streamed_training_is_the_one_in_memory),
        cmocka_unit_test(who_streams_follows_from_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
