#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/database.h"
#include "store/history.h"
#include "store_fixture.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

static const struct history_query everything = {.until_step = UINT64_MAX, .limit = SIZE_MAX};

// --- what was read, as a list

enum { SEEN_MOST = 4096 };

struct seen {
    struct history_row rows[SEEN_MOST];
    double values[SEEN_MOST][LAYER_STAT_COUNT];
    size_t count, width;
    uint64_t revision;
};

static enum nabla_code see(void *context, const struct history_row *row)
{
    struct seen *seen = context;
    if (seen->count == SEEN_MOST)
        return NABLA_LIMIT;
    memcpy(seen->values[seen->count], row->values, seen->width * sizeof(double));
    seen->rows[seen->count++] = *row;
    return NABLA_OK;
}

static struct seen *read_layers(struct store *store, const char *id, const struct history_query *query)
{
    static struct seen seen;
    seen.count = 0;
    seen.width = LAYER_STAT_COUNT;
    assert_ok(store_history_layers(store, id, query, see, &seen, &seen.revision, &err));
    return &seen;
}

static struct seen *read_metrics(struct store *store, const char *id, const struct history_query *query)
{
    static struct seen seen;
    seen.count = 0;
    seen.width = NETWORK_STAT_COUNT;
    assert_ok(store_history_metrics(store, id, query, see, &seen, &seen.revision, &err));
    return &seen;
}

// "layer/step" of each row: "0/1 0/2 1/1".
static const char *keys_of(const struct seen *seen)
{
    static char text[1024];
    text[0] = '\0';
    for (size_t i = 0, used = 0; i < seen->count && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u/%" PRIu64, i ? " " : "",
                                 seen->rows[i].layer, seen->rows[i].step);
    return text;
}

// --- writing

// A value that tells where it belongs.
static double value_at(uint64_t step, unsigned layer, unsigned stat)
{
    return (double)step * 1000 + layer * 100 + stat + 0.25;
}

enum { LAYERS = 2 };
static const char *const names[LAYERS] = {"dense_1", "dense_2"};

struct batch {
    struct step_record records[8];
    struct layer_record layers[8][LAYERS];
    size_t count;
};

static void add_step(struct batch *batch, uint64_t step)
{
    struct step_record *record = &batch->records[batch->count];
    struct layer_record *layers = batch->layers[batch->count++];
    *record = (struct step_record){
        .step = step, .recorded = (1u << NETWORK_STAT_COUNT) - 1, .layers = layers, .layer_count = LAYERS};
    for (unsigned i = 0; i < NETWORK_STAT_COUNT; i++)
        record->values[i] = value_at(step, 0, i);
    for (unsigned l = 0; l < LAYERS; l++) {
        layers[l] =
            (struct layer_record){.index = l, .name = names[l], .recorded = (1u << LAYER_STAT_COUNT) - 1};
        for (unsigned i = 0; i < LAYER_STAT_COUNT; i++)
            layers[l].values[i] = value_at(step, l, i);
    }
}

static struct history_ack append(struct store *store, const char *id, const struct batch *batch)
{
    const struct history_batch wrapped = {
        .attempt = 1, .records = batch->records, .record_count = batch->count};
    struct history_ack ack = {0};
    assert_ok(store_history_append(store, id, &wrapped, &ack, &err));
    return ack;
}

static void append_steps(struct store *store, const char *id, const uint64_t *steps, size_t count)
{
    struct batch batch = {.count = 0};
    for (size_t i = 0; i < count; i++)
        add_step(&batch, steps[i]);
    append(store, id, &batch);
}

// --- tests

static void test_rows_come_back_with_their_bits(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, id);
    append_steps(store, id, (uint64_t[]){1, 2}, 2);
    struct seen *seen = read_layers(store, id, &everything);
    assert_string_equal(keys_of(seen), "0/1 0/2 1/1 1/2");
    assert_int_equal(seen->revision, 2);
    for (size_t row = 0; row < seen->count; row++) {
        assert_int_equal(seen->rows[row].recorded, (1u << LAYER_STAT_COUNT) - 1);
        assert_int_equal(seen->rows[row].revision, 2);
        for (unsigned i = 0; i < LAYER_STAT_COUNT; i++)
            assert_true(seen->values[row][i] == value_at(seen->rows[row].step, seen->rows[row].layer, i));
    }
    seen = read_metrics(store, id, &everything);
    assert_string_equal(keys_of(seen), "0/1 0/2");
    assert_true(seen->values[1][NETWORK_LOSS] == value_at(2, 0, NETWORK_LOSS));
    assert_true(seen->values[1][NETWORK_SAMPLES_PER_SECOND] == value_at(2, 0, NETWORK_SAMPLES_PER_SECOND));
}

static void test_odd_numbers_survive(void **state)
{
    static const struct {
        double value;
        const char *comment;
    } cases[] = {
        {INFINITY, "infinity"},
        {-INFINITY, "negative infinity"},
        {0.0, "zero"},
        {-0.0, "negative zero keeps its sign"},
        {5e-324, "the smallest subnormal"},
        {1.7976931348623157e308, "the largest number"},
        {0.1, "not exact in binary"},
        {3.0, "a whole number stays a double"},
        {9007199254740993.0, "beyond 2^53"},
        {1e300, "a large whole number"},
    };
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE];
    fixture_job(fixture->store, JOB_CLIENT, id);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct batch batch = {.count = 0};
        add_step(&batch, i);
        batch.layers[0][0].values[LAYER_GRADIENT_MEAN] = cases[i].value;
        append(fixture->store, id, &batch);
    }
    fixture_reopen(fixture);
    struct seen *seen = read_layers(fixture->store, id, &everything);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (memcmp(&seen->values[i][LAYER_GRADIENT_MEAN], &cases[i].value, sizeof(double)) != 0)
            fail_msg("%s: %a", cases[i].comment, seen->values[i][LAYER_GRADIENT_MEAN]);
}

static void test_nan_differs_from_what_was_not_recorded(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, id);
    struct batch batch = {.count = 0};
    add_step(&batch, 5);
    batch.records[0].recorded = 1u << NETWORK_LOSS | 1u << NETWORK_GRADIENT_NORM;
    batch.records[0].values[NETWORK_LOSS] = NAN;
    batch.layers[0][1].recorded = 0; // this layer has no row at all
    append(store, id, &batch);
    struct seen *seen = read_metrics(store, id, &everything);
    assert_int_equal(seen->rows[0].recorded, 1u << NETWORK_LOSS | 1u << NETWORK_GRADIENT_NORM);
    assert_true(isnan(seen->values[0][NETWORK_LOSS]));
    assert_true(isnan(seen->values[0][NETWORK_ACCURACY]));
    assert_true(seen->values[0][NETWORK_GRADIENT_NORM] == value_at(5, 0, NETWORK_GRADIENT_NORM));
    assert_string_equal(keys_of(read_layers(store, id, &everything)), "0/5");
}

static void test_a_repeated_batch_counts_once(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, id);
    struct batch batch = {.count = 0};
    add_step(&batch, 1);
    add_step(&batch, 2);
    append(store, id, &batch);
    batch.records[1].values[NETWORK_LOSS] = 42;
    struct history_ack ack = append(store, id, &batch);
    assert_int_equal(ack.revision, 3);
    struct seen *seen = read_metrics(store, id, &everything);
    assert_string_equal(keys_of(seen), "0/1 0/2");
    assert_true(seen->values[1][NETWORK_LOSS] == 42);
    assert_int_equal(seen->rows[0].revision, 3); // seen again by who follows `after`
    assert_int_equal(read_layers(store, id, &everything)->count, 4);
}

static void test_parts_of_a_step_come_together(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, id);
    struct step_record record = {.step = 3, .recorded = 1u << NETWORK_LOSS};
    const struct history_batch batch = {.attempt = 1, .records = &record, .record_count = 1};
    struct history_ack ack;
    record.values[NETWORK_LOSS] = 0.5;
    assert_ok(store_history_append(store, id, &batch, &ack, &err));
    record.recorded = 1u << NETWORK_ACCURACY;
    record.values[NETWORK_LOSS] = 7; // not recorded: must not count
    record.values[NETWORK_ACCURACY] = 0.75;
    assert_ok(store_history_append(store, id, &batch, &ack, &err));
    record.recorded = 1u << NETWORK_ACCURACY;
    record.values[NETWORK_ACCURACY] = NAN; // recorded: replaces
    assert_ok(store_history_append(store, id, &batch, &ack, &err));
    struct seen *seen = read_metrics(store, id, &everything);
    assert_int_equal(seen->count, 1);
    assert_int_equal(seen->rows[0].recorded, 1u << NETWORK_LOSS | 1u << NETWORK_ACCURACY);
    assert_true(seen->values[0][NETWORK_LOSS] == 0.5);
    assert_true(isnan(seen->values[0][NETWORK_ACCURACY]));
}

static void test_queries_filter_and_order(void **state)
{
    static const struct {
        const char *comment;
        struct history_query query;
        const char *layers, *metrics;
    } cases[] = {
        {"everything, by step, whatever order it came in",
         {.until_step = UINT64_MAX, .limit = 100},
         "0/1 0/2 0/3 0/9 1/1 1/2 1/3 1/9",
         "0/1 0/2 0/3 0/9"},
        {"both ends belong to the range",
         {.since_step = 2, .until_step = 3, .limit = 100},
         "0/2 0/3 1/2 1/3",
         "0/2 0/3"},
        {"an empty range", {.since_step = 4, .until_step = 8, .limit = 100}, "", ""},
        {"a limit", {.until_step = UINT64_MAX, .limit = 3}, "0/1 0/2 0/3", "0/1 0/2 0/3"},
        {"no rows at all", {.until_step = UINT64_MAX, .limit = 0}, "", ""},
        {"one layer",
         {.has_layer = true, .layer = 1, .until_step = UINT64_MAX, .limit = 100},
         "1/1 1/2 1/3 1/9",
         ""},
        {"a layer that is not there",
         {.has_layer = true, .layer = 7, .until_step = UINT64_MAX, .limit = 100},
         "",
         ""},
        {"after 0: everything, by revision",
         {.has_after = true, .until_step = UINT64_MAX, .limit = 100},
         "0/3 0/9 1/3 1/9 0/1 1/1 0/2 1/2",
         "0/3 0/9 0/1 0/2"},
        {"after a row within a revision",
         {.after = {.revision = 2, .layer = 0, .step = 9}, .until_step = UINT64_MAX, .limit = 100},
         "1/3 1/9 0/1 1/1 0/2 1/2",
         "0/1 0/2"},
        {"after a layer's last row of a revision",
         {.after = {.revision = 2, .layer = 1, .step = 3}, .until_step = UINT64_MAX, .limit = 100},
         "1/9 0/1 1/1 0/2 1/2",
         "0/1 0/2"},
        {"after a whole revision",
         {.after = {.revision = 3, .layer = UINT32_MAX, .step = UINT64_MAX},
          .until_step = UINT64_MAX,
          .limit = 100},
         "0/2 1/2",
         "0/2"},
        {"after, of one layer, with a limit",
         {.has_after = true, .has_layer = true, .layer = 1, .until_step = UINT64_MAX, .limit = 3},
         "1/3 1/9 1/1",
         ""},
        {"after, in a range",
         {.has_after = true, .since_step = 2, .until_step = 3, .limit = 100},
         "0/3 1/3 0/2 1/2",
         "0/3 0/2"},
        {"after the last revision: nothing",
         {.after = {.revision = 4, .layer = UINT32_MAX, .step = UINT64_MAX},
          .until_step = UINT64_MAX,
          .limit = 100},
         "",
         ""},
    };
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE], other[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, other);
    fixture_job(store, JOB_CLIENT, id);
    append_steps(store, other, (uint64_t[]){1, 2, 77}, 3); // which must never show
    append_steps(store, id, (uint64_t[]){9, 3}, 2);
    append_steps(store, id, (uint64_t[]){1}, 1);
    append_steps(store, id, (uint64_t[]){2}, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("%s\n", cases[i].comment);
        assert_string_equal(keys_of(read_layers(store, id, &cases[i].query)), cases[i].layers);
        assert_string_equal(keys_of(read_metrics(store, id, &cases[i].query)), cases[i].metrics);
    }
}

static void test_a_walk_ends_when_the_visitor_says_so(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    static struct seen seen;
    fixture_job(store, JOB_CLIENT, id);
    append_steps(store, id, (uint64_t[]){1, 2}, 2);
    seen.count = SEEN_MOST; // full: the visitor refuses
    uint64_t revision = 77;
    assert_int_equal(store_history_layers(store, id, &everything, see, &seen, &revision, NULL), NABLA_LIMIT);
    assert_int_equal(revision, 77); // left alone
    assert_fails(NABLA_NOT_FOUND,
                 store_history_layers(store, "job_no", &everything, see, &seen, &revision, &err));
}

static void test_a_batch_is_refused_whole(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE], queued[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, id);
    fixture_job(store, JOB_LOCAL, queued);
    struct batch batch = {.count = 0};
    add_step(&batch, 1);
    struct history_batch wrapped = {.attempt = 2, .records = batch.records, .record_count = 1};
    struct history_ack ack;
    assert_fails(NABLA_CONFLICT, store_history_append(store, id, &wrapped, &ack, &err)); // another attempt
    wrapped.attempt = 0;
    assert_fails(NABLA_CONFLICT, store_history_append(store, queued, &wrapped, &ack, &err)); // not running
    assert_fails(NABLA_NOT_FOUND, store_history_append(store, "job_no", &wrapped, &ack, &err));
    wrapped.attempt = 1;
    wrapped.record_count = 2;
    add_step(&batch, (uint64_t)INT64_MAX + 1); // the second record is wrong: the first must not stay
    assert_fails(NABLA_INVALID, store_history_append(store, id, &wrapped, &ack, &err));
    batch.records[1].step = 2;
    batch.layers[1][1].index = HISTORY_LAYER_MAX + 1;
    assert_fails(NABLA_INVALID, store_history_append(store, id, &wrapped, &ack, &err));
    struct seen *seen = read_layers(store, id, &everything);
    assert_int_equal(seen->count, 0);
    assert_int_equal(seen->revision, 1);
    fixture_apply(store, id, JOB_EVENT_SUCCEED);
    wrapped.record_count = 1;
    assert_fails(NABLA_CONFLICT, store_history_append(store, id, &wrapped, &ack, &err)); // finished
}

static void test_the_ack_carries_what_is_requested(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, id);
    struct batch empty = {.count = 0};
    struct history_ack ack = append(store, id, &empty);
    assert_int_equal(ack.requested, JOB_REQUEST_NONE);
    assert_int_equal(ack.revision, 2);
    fixture_apply(store, id, JOB_EVENT_PAUSE);
    assert_int_equal(append(store, id, &empty).requested, JOB_REQUEST_PAUSE);
    fixture_apply(store, id, JOB_EVENT_CANCEL);
    ack = append(store, id, &empty);
    assert_int_equal(ack.requested, JOB_REQUEST_CANCEL);
    assert_int_equal(ack.revision, 6);
}

static void expect_latest(struct store *store, const char *id, double loss, double validation_loss)
{
    struct job *job;
    assert_ok(store_job_get(store, id, &job, &err));
    assert_true(job->has_latest);
    assert_true(job->latest.loss == loss);
    if (isnan(validation_loss))
        assert_true(isnan(job->latest.validation_loss));
    else
        assert_true(job->latest.validation_loss == validation_loss);
    job_free(job);
}

static void expect_attempt_step(struct store *store, const char *id, uint64_t step)
{
    struct job *job;
    assert_ok(store_job_get(store, id, &job, &err));
    assert_int_equal(job->attempt_step, step);
    job_free(job);
}

static void append_loss(struct store *store, const char *id, unsigned attempt, uint64_t step,
                        enum network_stat stat)
{
    struct step_record record = {.step = step, .recorded = 1u << stat};
    record.values[stat] = (double)step;
    const struct job_progress progress = {.step = step, .steps = 100, .epoch = step / 10, .epochs = 10};
    const struct history_batch batch = {
        .attempt = attempt, .records = &record, .record_count = 1, .progress = &progress};
    struct history_ack ack;
    assert_ok(store_history_append(store, id, &batch, &ack, &err));
}

static void test_latest_is_that_of_the_highest_step(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_LOCAL, id);
    fixture_apply(store, id, JOB_EVENT_CLAIM);
    append_loss(store, id, 1, 20, NETWORK_LOSS);
    expect_latest(store, id, 20, NAN);
    append_loss(store, id, 1, 10, NETWORK_LOSS); // came late
    append_loss(store, id, 1, 15, NETWORK_VALIDATION_LOSS);
    expect_latest(store, id, 20, 15);
    append_loss(store, id, 1, 21, NETWORK_LOSS);
    expect_latest(store, id, 21, 15);
    struct job *job;
    assert_ok(store_job_get(store, id, &job, &err));
    assert_int_equal(job->progress.step, 21);
    assert_int_equal(job->progress.epoch, 2);
    assert_true(isnan(job->latest.accuracy));
    job_free(job);
    fixture_apply(store, id, JOB_EVENT_REQUEUE); // the next attempt goes back to a checkpoint
    fixture_apply(store, id, JOB_EVENT_CLAIM);
    expect_latest(store, id, 21, 15);
    expect_attempt_step(store, id, 21);
    append_loss(store, id, 2, 12, NETWORK_LOSS);
    expect_latest(store, id, 12, 15);
    append_loss(store, id, 2, 30, NETWORK_LOSS);
    expect_attempt_step(store, id, 12);
}

static void test_layer_names_stand_at_their_index(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE], **texts;
    size_t count = 9;
    fixture_job(store, JOB_CLIENT, id);
    assert_ok(store_history_layer_names(store, id, &texts, &count, &err));
    assert_int_equal(count, 0);
    free(texts);
    struct batch batch = {.count = 0};
    add_step(&batch, 1);
    add_step(&batch, 2);
    batch.layers[0][1].index = batch.layers[1][1].index = 3;
    batch.layers[1][0].name = "renamed";
    append(store, id, &batch);
    assert_ok(store_history_layer_names(store, id, &texts, &count, &err));
    static const char *const expected[] = {"renamed", "", "", "dense_2"};
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(texts[i], expected[i]);
        free(texts[i]);
    }
    free(texts);
}

static void test_deleting_a_job_takes_its_history_alone(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE], other[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, id);
    fixture_job(store, JOB_CLIENT, other);
    append_steps(store, id, (uint64_t[]){1, 2}, 2);
    append_steps(store, other, (uint64_t[]){1, 2}, 2);
    fixture_apply(store, id, JOB_EVENT_SUCCEED);
    assert_ok(store_job_delete(store, id, &err));
    assert_int_equal(read_layers(store, other, &everything)->count, 4);
    uint64_t revision;
    assert_fails(NABLA_NOT_FOUND, store_history_layers(store, id, &everything, see, NULL, &revision, &err));
}

// The one row of a query that an analyst would type.
static void expect_text(const struct fixture *fixture, const char *sql, const char *expected)
{
    char path[256];
    struct database *db;
    struct statement *row;
    fixture_path(fixture, "nabla.db", path);
    assert_ok(database_open(path, DATABASE_READER, sql_texts, &db, &err));
    assert_ok(database_prepare(db, sql, &row, &err));
    assert_ok(statement_row(row, &err));
    assert_string_equal(statement_text(row, 0), expected);
    statement_free(row);
    database_close(db);
}

static void test_views_serve_plain_sqlite(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE], sql[256], expected[64];
    fixture_job(fixture->store, JOB_CLIENT, id);
    append_steps(fixture->store, id, (uint64_t[]){7}, 1);
    snprintf(sql, sizeof sql,
             "SELECT layer || ' ' || layer_index || ' ' || step || ' ' || gradient_norm FROM gradients"
             " WHERE job = '%s' AND layer = 'dense_2'",
             id);
    snprintf(expected, sizeof expected, "dense_2 1 7 %.2f", value_at(7, 1, LAYER_GRADIENT_NORM));
    expect_text(fixture, sql, expected);
    snprintf(sql, sizeof sql, "SELECT step || ' ' || loss FROM metrics WHERE job = '%s'", id);
    snprintf(expected, sizeof expected, "7 %.2f", value_at(7, 0, NETWORK_LOSS));
    expect_text(fixture, sql, expected);
    expect_text(fixture, "SELECT count(*) FROM gradient_rows", "2");
}

// --- threads: who follows `after` misses nothing

enum { WRITERS = 2, BATCHES = 40, FOLLOWED_STEPS = WRITERS * BATCHES * 2 };

struct race {
    struct store *store;
    const char *id;
    atomic_int writing; // writers that are not done
};

struct racer {
    struct race *race;
    unsigned first; // of a writer: its first step
    atomic_int failures;
};

// Batches of two steps from the writer's own range, downwards: the order of steps is not that of revisions.
static void *write_batches(void *context)
{
    struct racer *racer = context;
    for (unsigned i = BATCHES; i-- > 0;) {
        struct batch batch = {.count = 0};
        add_step(&batch, racer->first + 2 * i);
        add_step(&batch, racer->first + 2 * i + 1);
        const struct history_batch wrapped = {.attempt = 1, .records = batch.records, .record_count = 2};
        struct history_ack ack;
        if (store_history_append(racer->race->store, racer->race->id, &wrapped, &ack, NULL) != NABLA_OK)
            atomic_fetch_add(&racer->failures, 1);
    }
    atomic_fetch_sub(&racer->race->writing, 1);
    return NULL;
}

struct follower {
    struct history_cursor cursor;
    int times[LAYERS][FOLLOWED_STEPS]; // how often each row was seen
    size_t page;
    int disorder;
};

static enum nabla_code follow_row(void *context, const struct history_row *row)
{
    struct follower *follower = context;
    const struct history_cursor *last = &follower->cursor;
    follower->disorder += row->revision < last->revision;
    follower->times[row->layer][row->step]++;
    follower->cursor = (struct history_cursor){row->revision, row->step, row->layer};
    follower->page++;
    return NABLA_OK;
}

// Pages of seven rows, so that cursors stop within batches.
static void *follow(void *context)
{
    struct racer *racer = context;
    struct follower follower = {.page = 0};
    bool last_round = false;
    for (;;) {
        const struct history_query query = {
            .has_after = true, .after = follower.cursor, .until_step = UINT64_MAX, .limit = 7};
        uint64_t revision;
        follower.page = 0;
        bool written = atomic_load(&racer->race->writing) == 0;
        if (store_history_layers(racer->race->store, racer->race->id, &query, follow_row, &follower,
                                 &revision, NULL) != NABLA_OK)
            atomic_fetch_add(&racer->failures, 1);
        if (follower.page == 0 && last_round)
            break;
        last_round = written;
    }
    for (int layer = 0; layer < LAYERS; layer++)
        for (int step = 0; step < FOLLOWED_STEPS; step++)
            if (follower.times[layer][step] != 1)
                atomic_fetch_add(&racer->failures, 1);
    if (follower.disorder)
        atomic_fetch_add(&racer->failures, 1);
    return NULL;
}

static void test_followers_miss_nothing_and_see_nothing_twice(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    char id[TOKEN_ID_SIZE];
    fixture_job(store, JOB_CLIENT, id);
    struct race race = {.store = store, .id = id, .writing = WRITERS};
    pthread_t threads[2 * WRITERS];
    struct racer racers[2 * WRITERS] = {0};
    for (unsigned i = 0; i < 2 * WRITERS; i++) {
        racers[i] = (struct racer){.race = &race, .first = i * BATCHES * 2};
        assert_int_equal(pthread_create(&threads[i], NULL, i < WRITERS ? write_batches : follow, &racers[i]),
                         0);
    }
    for (unsigned i = 0; i < 2 * WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(racers[i].failures, 0);
    }
    uint64_t revision;
    assert_ok(store_job_revision(store, id, &revision, &err));
    assert_int_equal(revision, 1 + WRITERS * BATCHES);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_rows_come_back_with_their_bits),
        with_store(test_odd_numbers_survive),
        with_store(test_nan_differs_from_what_was_not_recorded),
        with_store(test_a_repeated_batch_counts_once),
        with_store(test_parts_of_a_step_come_together),
        with_store(test_queries_filter_and_order),
        with_store(test_a_walk_ends_when_the_visitor_says_so),
        with_store(test_a_batch_is_refused_whole),
        with_store(test_the_ack_carries_what_is_requested),
        with_store(test_latest_is_that_of_the_highest_step),
        with_store(test_layer_names_stand_at_their_index),
        with_store(test_deleting_a_job_takes_its_history_alone),
        with_store(test_views_serve_plain_sqlite),
        with_store(test_followers_miss_nothing_and_see_nothing_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
