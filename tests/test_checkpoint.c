// A run that is stopped anywhere and goes on from its checkpoint ends in the same bits as one that is not.
#include "base/file.h"
#include "base/size.h"
#include "data/safetensors.h"
#include "math/random.h"
#include "tests/short.h"
#include "train/checkpoint.h"
#include "train/train_state.h"
#include "train/training.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    ROWS = 60,
    COLUMNS = 4,
    CLASSES = 3,
    STEPS_MAX = 64,
    LAYERS_MAX = 8,
    TENSORS_MAX = 32,
    COMBINATIONS = 24
};

static const struct checkpoint_origin origin = {.identity = "a job", .platform = "here"};

struct fixture {
    char folder[32];
    struct dataset *data;
};

static int start(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    struct nabla_error err;
    struct random random = random_new(4, 4);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/nabla-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(dataset_new(ROWS, COLUMNS, CLASSES, &fixture->data, &err), NABLA_OK);
    for (size_t i = 0; i < ROWS; i++) {
        fixture->data->ids[i] = (int32_t)(i % CLASSES);
        for (size_t j = 0; j < COLUMNS; j++)
            fixture->data->features[i * COLUMNS + j] =
                (float)(random_normal(&random) + (double)((i + j) % CLASSES));
    }
    *state = fixture;
    return 0;
}

static size_t list_folder(const char *folder, bool is_emptied)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; (entry = readdir(entries));) {
        char path[512];
        if (entry->d_name[0] == '.')
            continue;
        count++;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (is_emptied)
            unlink(path);
    }
    closedir(entries);
    return count;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    list_folder(fixture->folder, true);
    rmdir(fixture->folder);
    dataset_free(fixture->data);
    test_free(fixture);
    return 0;
}

// What a network may have; each bit one thing.
enum {
    WITH_DROPOUT = 1,
    WITH_BATCH_NORM = 2,
    WITH_SHUFFLE = 4,
    WITH_PLATEAU = 8,
    WITH_GAPS = 16,
    WITH_AVERAGE = 32,
    WITH_BEST = 64, // stops early and goes back to the best epoch
    WITH_ACCUMULATION = 128,
    WITH_RESIDUAL = 256, // with layer_norm, alpha_dropout, a penalty and a limit
    WITH_STREAM = 512,
    WITH_ALL = 1023
};

static void add(struct train_spec *spec, enum layer_type type, enum activation activation)
{
    struct nabla_error err;
    struct layer_spec layer = layer_defaults(type);
    layer.units = 6;
    layer.activation = activation;
    assert_int_equal(spec_add_layer(spec, &layer, &err), NABLA_OK);
}

static struct train_spec make_spec(const struct dataset *data, enum optimizer_type optimizer, unsigned with)
{
    struct nabla_error err;
    struct train_spec spec = spec_defaults();
    add(&spec, LAYER_TYPE_DENSE, ACTIVATION_LINEAR);
    if (with & WITH_BATCH_NORM)
        add(&spec, LAYER_TYPE_BATCH_NORM, ACTIVATION_LINEAR);
    add(&spec, LAYER_TYPE_ACTIVATION, ACTIVATION_TANH);
    if (with & WITH_DROPOUT)
        add(&spec, LAYER_TYPE_DROPOUT, ACTIVATION_LINEAR);
    if (with & WITH_RESIDUAL) {
        add(&spec, LAYER_TYPE_LAYER_NORM, ACTIVATION_LINEAR);
        add(&spec, LAYER_TYPE_DENSE, ACTIVATION_LINEAR);
        add(&spec, LAYER_TYPE_ALPHA_DROPOUT, ACTIVATION_LINEAR);
        add(&spec, LAYER_TYPE_RESIDUAL, ACTIVATION_LINEAR);
        spec.layers[spec.layer_count - 1].branch = 3;
        spec.layers[spec.layer_count - 1].projection = PROJECTION_DENSE;
        spec.layers[0].rules[0] = (struct tensor_rule){.l2 = 0.01, .max_norm = 1};
    }
    spec.optimizer = optimizer_defaults(optimizer);
    if (optimizer == OPTIMIZER_SGD || optimizer == OPTIMIZER_RMSPROP)
        spec.optimizer.momentum = 0.9;
    if (with & WITH_STREAM) {
        spec.streaming = STREAMING_ALWAYS;
        spec.shuffle_buffer = 9;
    }
    if (with & WITH_PLATEAU) {
        spec.optimizer.schedule = schedule_defaults(SCHEDULE_REDUCE_ON_PLATEAU);
        spec.optimizer.schedule.patience = 2;
        spec.optimizer.schedule.min_delta = 10;
        spec.optimizer.schedule.cooldown = 1;
    }
    spec.optimizer.use_ema = (with & WITH_AVERAGE) != 0;
    spec.optimizer.gradient_accumulation_steps = with & WITH_ACCUMULATION ? 2 : 1;
    if (with & WITH_BEST) {
        spec.early_stopping.active = spec.early_stopping.restore_best = true;
        spec.early_stopping.patience = 2;
    }
    spec.shuffle = (with & WITH_SHUFFLE) != 0;
    spec.telemetry_every = with & WITH_GAPS ? 4 : 1;
    spec.epochs = 6;
    spec.batch_size = 16;
    spec.validation_split = 0.2;
    spec.seed = 7;
    assert_int_equal(spec_complete(&spec, data, &err), NABLA_OK);
    return spec;
}

// What a run leaves: its history by step, whichever attempt wrote it last, and its weights.
struct outcome {
    struct {
        uint32_t is_recorded, recorded;
        double values[NETWORK_STAT_COUNT];
        double layers[LAYERS_MAX][LAYER_STAT_COUNT];
        struct train_progress progress;
    } steps[STEPS_MAX];
    size_t tensor_count;
    float weights[TENSORS_MAX][64];
    double loss, accuracy, validation_loss, validation_accuracy;
};

// An attempt: polls are counted; at some it saves, at one it is killed.
struct attempt {
    struct outcome *outcome;
    struct trainer *trainer;
    const char *folder;
    struct random *random;
    unsigned saves_of_8; // of 8 polls how many save
    uint64_t polls, killed_at;
};

static enum nabla_code on_record(void *context, const struct step_record *record,
                                 const struct train_progress *progress, struct nabla_error *err)
{
    (void)err;
    const struct attempt *attempt = context;
    assert_true(record->step < STEPS_MAX && record->layer_count <= LAYERS_MAX);
    __typeof__(attempt->outcome->steps[0]) kept = {.is_recorded = true, .recorded = record->recorded};
    memcpy(kept.values, record->values, sizeof kept.values);
    kept.values[NETWORK_SAMPLES_PER_SECOND] = 0; // wall-clock time
    for (size_t i = 0; i < record->layer_count; i++)
        memcpy(kept.layers[i], record->layers[i].values, sizeof kept.layers[i]);
    kept.progress = *progress;
    // What is recorded again is what was recorded before: a reader sees no step change.
    if (attempt->outcome->steps[record->step].is_recorded)
        assert_memory_equal(&attempt->outcome->steps[record->step], &kept, sizeof kept);
    attempt->outcome->steps[record->step] = kept;
    return NABLA_OK;
}

static enum nabla_code on_poll(void *context, struct nabla_error *err)
{
    struct attempt *attempt = context;
    if (++attempt->polls == attempt->killed_at)
        return nabla_fail(err, NABLA_CANCELLED, NULL, "killed");
    if (attempt->saves_of_8 > 0 && random_below(attempt->random, 8) < attempt->saves_of_8)
        assert_int_equal(checkpoint_write(attempt->folder, attempt->trainer, &origin, NULL, err), NABLA_OK);
    return NABLA_OK;
}

static void take_outcome(struct trainer *trainer, const struct train_result *result, struct outcome *ret)
{
    struct tensor tensors[TENSORS_MAX];
    ret->tensor_count = trainer_tensor_count(trainer);
    assert_true(ret->tensor_count <= TENSORS_MAX);
    trainer_tensors(trainer, tensors);
    for (size_t i = 0; i < ret->tensor_count; i++) {
        assert_true(tensors[i].bytes <= sizeof ret->weights[i]);
        memcpy(ret->weights[i], tensors[i].data, tensors[i].bytes);
    }
    ret->loss = result->loss;
    ret->accuracy = result->accuracy;
    ret->validation_loss = result->validation_loss;
    ret->validation_accuracy = result->validation_accuracy;
}

// One attempt from whatever the folder holds. True when it came to its end.
static bool try_run(const struct train_spec *spec, const struct dataset *data, struct attempt *attempt,
                    struct checkpoint_found *ret_found)
{
    struct nabla_error err;
    struct train_result result;
    assert_int_equal(trainer_new(spec, data, &attempt->trainer, &err), NABLA_OK);
    assert_int_equal(checkpoint_read(attempt->folder, attempt->trainer, &origin, ret_found, &err), NABLA_OK);
    assert_int_equal(ret_found->refused, 0);
    const struct train_observer observer = {.context = attempt, .record = on_record, .poll = on_poll};
    enum nabla_code code = trainer_run(attempt->trainer, &observer, &result, &err);
    assert_true(code == NABLA_OK || code == NABLA_CANCELLED);
    if (code == NABLA_OK)
        take_outcome(attempt->trainer, &result, attempt->outcome);
    trainer_free(attempt->trainer);
    return code == NABLA_OK;
}

// Kills until an attempt is let through. Returns how many of them went on from a checkpoint.
static size_t run_killed(const struct train_spec *spec, const struct fixture *fixture, struct random *random,
                         size_t kills, struct outcome *ret)
{
    size_t resumed = 0;
    for (size_t i = 0; i <= kills; i++) {
        struct checkpoint_found found;
        struct attempt attempt = {.outcome = ret,
                                  .folder = fixture->folder,
                                  .random = random,
                                  .saves_of_8 = 3,
                                  .killed_at = i < kills ? 1 + random_below(random, 12) : 0};
        if (try_run(spec, fixture->data, &attempt, &found))
            i = kills; // it was through before its kill
        resumed += found.is_found;
    }
    list_folder(fixture->folder, true);
    return resumed;
}

// Nothing, everything, each thing by itself, then some at random.
static unsigned combination(unsigned i, struct random *random)
{
    return i == 0 ? 0 : i == 1 ? WITH_ALL : i < 12 ? 1U << (i - 2) : (unsigned)random_below(random, WITH_ALL);
}

static void a_killed_run_ends_in_the_same_bits(void **state)
{
    const struct fixture *fixture = *state;
    struct random random = random_new(1, 1);
    size_t resumed = 0, combinations = short_of(COMBINATIONS, 2);
    for (int optimizer = 0; optimizer < OPTIMIZER_COUNT; optimizer++)
        for (unsigned i = 0; i < combinations; i++) {
            const unsigned with = combination(i, &random);
            struct train_spec spec = make_spec(fixture->data, (enum optimizer_type)optimizer, with);
            struct outcome *whole = test_calloc(1, sizeof *whole), *pieces = test_calloc(1, sizeof *pieces);
            run_killed(&spec, fixture, &random, 0, whole);
            resumed += run_killed(&spec, fixture, &random, 3, pieces);
            if (memcmp(whole, pieces, sizeof *whole) != 0)
                fail_msg("%s, features %u: not the same bits", optimizer_name((enum optimizer_type)optimizer),
                         with);
            test_free(whole);
            test_free(pieces);
            spec_free(&spec);
        }
    assert_true(resumed > OPTIMIZER_COUNT * combinations / 2); // the test has tested something
}

// Whoever adds a number to struct training adds its row: every byte of it belongs to one.
static void every_byte_of_a_training_has_its_row(void **state)
{
    (void)state;
    unsigned char covered[sizeof(struct training)] = {0};
    for (size_t i = 0; i < training_field_count; i++)
        for (size_t byte = 0; byte < training_fields[i].count * sizeof(double); byte++)
            covered[training_fields[i].offset + byte]++;
    for (size_t i = 0; i < sizeof covered; i++)
        if (covered[i] != 1)
            fail_msg("byte %zu of struct training is in %d rows of training_fields, not in one", i,
                     covered[i]);
}

// A trainer whose state is another's is that other: nothing beside the rows carries over.
static void a_state_is_all_that_a_run_depends_on(void **state)
{
    const struct fixture *fixture = *state;
    struct train_spec spec =
        make_spec(fixture->data, OPTIMIZER_ADAM, WITH_ALL & ~(WITH_BEST | WITH_ACCUMULATION));
    struct nabla_error err;
    struct train_result result;
    struct trainer *from, *to;
    struct outcome *first = test_calloc(1, sizeof *first), *second = test_calloc(1, sizeof *second);
    struct train_state source, target;
    assert_int_equal(trainer_new(&spec, fixture->data, &from, &err), NABLA_OK);
    assert_int_equal(trainer_new(&spec, fixture->data, &to, &err), NABLA_OK);
    struct attempt a = {.outcome = first, .killed_at = 8}, b = {.outcome = second, .killed_at = 15};
    struct train_observer observe_a = {.context = &a, .record = on_record, .poll = on_poll},
                          observe_b = {.context = &b, .record = on_record, .poll = on_poll};
    assert_int_equal(trainer_run(from, &observe_a, &result, &err), NABLA_CANCELLED);
    assert_int_equal(trainer_run(to, &observe_b, &result, &err), NABLA_CANCELLED); // it stands elsewhere
    trainer_state(from, &source);
    trainer_state(to, &target);
    assert_int_equal(source.count, target.count);
    for (size_t i = 0; i < source.count; i++) {
        assert_string_equal(source.rows[i].name, target.rows[i].name);
        memcpy(target.rows[i].data, source.rows[i].data, train_state_row_bytes(&source.rows[i]));
    }
    trainer_restored(to);
    memcpy(second, first, sizeof *first);
    assert_int_equal(trainer_run(from, &observe_a, &result, &err), NABLA_OK);
    take_outcome(from, &result, first);
    assert_int_equal(trainer_run(to, &observe_b, &result, &err), NABLA_OK);
    take_outcome(to, &result, second);
    assert_memory_equal(first, second, sizeof *first);
    trainer_free(from);
    trainer_free(to);
    test_free(first);
    test_free(second);
    spec_free(&spec);
}

// A trainer that has saved at steps 3 and 5.
static struct trainer *save_two(const struct fixture *fixture, const struct train_spec *spec)
{
    struct nabla_error err;
    struct train_result result;
    struct trainer *trainer;
    struct outcome *outcome = test_calloc(1, sizeof *outcome);
    assert_int_equal(trainer_new(spec, fixture->data, &trainer, &err), NABLA_OK);
    for (unsigned polls = 4; polls <= 6; polls += 2) {
        struct attempt attempt = {.outcome = outcome, .killed_at = polls == 4 ? 4 : 3};
        const struct train_observer observer = {.context = &attempt, .record = on_record, .poll = on_poll};
        assert_int_equal(trainer_run(trainer, &observer, &result, &err), NABLA_CANCELLED);
        assert_int_equal(checkpoint_write(fixture->folder, trainer, &origin, NULL, &err), NABLA_OK);
    }
    assert_int_equal(trainer_step(trainer), 5);
    test_free(outcome);
    return trainer;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void expect_older(const struct fixture *fixture, struct trainer *trainer, const char *what, size_t at)
{
    struct checkpoint_found found;
    struct nabla_error err;
    assert_int_equal(checkpoint_read(fixture->folder, trainer, &origin, &found, &err), NABLA_OK);
    if (!found.is_found || found.step != 3 || found.refused != 1 || !found.problem[0])
        fail_msg("%s at %zu: step %d, %u refused", what, at, (int)found.step, found.refused);
}

static void a_damaged_checkpoint_is_noticed_and_the_one_before_it_used(void **state)
{
    const struct fixture *fixture = *state;
    struct train_spec spec = make_spec(fixture->data, OPTIMIZER_SGD, 0);
    struct nabla_error err;
    struct buffer whole = buffer_new(1 << 20);
    struct trainer *trainer = save_two(fixture, &spec);
    char newest[96];
    snprintf(newest, sizeof newest, "%s/checkpoint-5.safetensors", fixture->folder);
    assert_int_equal(file_read(newest, &whole, &err), NABLA_OK);
    for (size_t i = 0; i < whole.size; i++) {
        whole.data[i] = (char)(whole.data[i] ^ (1 << i % 8));
        write_file(newest, whole.data, whole.size);
        whole.data[i] = (char)(whole.data[i] ^ (1 << i % 8));
        expect_older(fixture, trainer, "a changed byte", i);
        write_file(newest, whole.data, i);
        expect_older(fixture, trainer, "a cut", i);
    }
    buffer_char(&whole, 0);
    write_file(newest, whole.data, whole.size);
    expect_older(fixture, trainer, "a byte too many", whole.size);
    write_file(newest, whole.data, --whole.size);
    struct checkpoint_found found;
    assert_int_equal(checkpoint_read(fixture->folder, trainer, &origin, &found, &err), NABLA_OK);
    assert_int_equal(found.step, 5); // the bytes as they were
    list_folder(fixture->folder, true);
    buffer_free(&whole);
    trainer_free(trainer);
    spec_free(&spec);
}

static void without_a_usable_checkpoint_a_run_starts_over(void **state)
{
    const struct fixture *fixture = *state;
    struct train_spec spec = make_spec(fixture->data, OPTIMIZER_SGD, 0);
    struct nabla_error err;
    struct trainer *saved = save_two(fixture, &spec), *fresh;
    struct checkpoint_found found;
    const struct checkpoint_origin other = {.identity = "another", .platform = "there"};
    assert_int_equal(trainer_new(&spec, fixture->data, &fresh, &err), NABLA_OK);
    assert_int_equal(checkpoint_read(fixture->folder, fresh, &other, &found, &err), NABLA_OK);
    assert_false(found.is_found);
    assert_int_equal(found.refused, 2);
    assert_non_null(strstr(found.problem, "step 5: it belongs to another job"));
    assert_int_equal(trainer_step(fresh), 0);
    assert_int_equal(list_folder(fixture->folder, false), 0);
    trainer_free(fresh);
    trainer_free(saved);
    spec_free(&spec);
}

static void the_newest_two_are_kept_and_half_written_ones_removed(void **state)
{
    const struct fixture *fixture = *state;
    struct train_spec spec = make_spec(fixture->data, OPTIMIZER_SGD, 0);
    struct nabla_error err;
    struct outcome *outcome = test_calloc(1, sizeof *outcome);
    struct train_result result;
    char path[96];
    snprintf(path, sizeof path, "%s/checkpoint-4.safetensors.abcdef.new", fixture->folder);
    write_file(path, "half", 4);
    struct trainer *trainer = save_two(fixture, &spec);
    struct attempt attempt = {.outcome = outcome, .killed_at = 6};
    const struct train_observer observer = {.context = &attempt, .record = on_record, .poll = on_poll};
    assert_int_equal(trainer_run(trainer, &observer, &result, &err), NABLA_CANCELLED);
    assert_int_equal(checkpoint_write(fixture->folder, trainer, &origin, NULL, &err), NABLA_OK);
    assert_int_equal(list_folder(fixture->folder, false), 2);
    snprintf(path, sizeof path, "%s/checkpoint-5.safetensors", fixture->folder);
    assert_int_equal(access(path, F_OK), 0);
    struct checkpoint_found found;
    const struct checkpoint_origin elsewhere = {.identity = origin.identity, .platform = "there"};
    assert_int_equal(checkpoint_read(fixture->folder, trainer, &elsewhere, &found, &err), NABLA_OK);
    assert_int_equal(found.step, 10);
    assert_string_equal(found.platform, "here"); // whoever goes on elsewhere can tell
    list_folder(fixture->folder, true);
    trainer_free(trainer);
    test_free(outcome);
    spec_free(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_training_has_its_row),
        cmocka_unit_test(a_state_is_all_that_a_run_depends_on),
        cmocka_unit_test(a_killed_run_ends_in_the_same_bits),
        cmocka_unit_test(a_damaged_checkpoint_is_noticed_and_the_one_before_it_used),
        cmocka_unit_test(without_a_usable_checkpoint_a_run_starts_over),
        cmocka_unit_test(the_newest_two_are_kept_and_half_written_ones_removed),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
