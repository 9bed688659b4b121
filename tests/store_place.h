// A data folder with something of every kind in it, for tests of work on whole folders. Include behind
// cmocka.h (and behind faults.h, which must come before what it stands in front of).
#ifndef NABLA_TESTS_STORE_PLACE_H
#define NABLA_TESTS_STORE_PLACE_H

#include "store/check.h"
#include "store/checkpoints.h"
#include "store/datasets.h"
#include "store/history.h"
#include "store/tokens.h"
#include "tests/store_fixture.h"

#include <math.h>

enum { PLACE_STEPS = 40, PLACE_FILES = 5 }; // of the job; of a copy

// A folder with everything in it; its store is closed.
struct place {
    char folder[64], data[80], copy[80], back[80];
    char id[TOKEN_ID_SIZE]; // of the job
    struct store *store;    // while an attempt has it open
};

static inline void add_history(struct store *store, const char *id)
{
    struct step_record records[PLACE_STEPS] = {0};
    struct layer_record layer = {.name = "a", .recorded = 3, .values = {1, (double)NAN}};
    const uint64_t steps[] = {1, 2};
    const double values[] = {0.5, (double)INFINITY};
    const struct history_named named = {.name = "mine", .count = 2, .steps = steps, .values = values};
    const struct histogram_entry histogram = {.step = 1, .name = "a", .histogram.counts = {3, 1}};
    const struct history_batch batch = {.attempt = 1,
                                        .records = records,
                                        .record_count = PLACE_STEPS,
                                        .named = &named,
                                        .named_count = 1,
                                        .histograms = &histogram,
                                        .histogram_count = 1};
    struct history_ack ack;
    for (size_t i = 0; i < PLACE_STEPS; i++)
        records[i] =
            (struct step_record){.step = i, .recorded = 1, .values = {1}, .layers = &layer, .layer_count = 1};
    assert_ok(store_history_append(store, id, &batch, &ack, &err));
}

static inline void add_checkpoint(struct store *store, const char *id)
{
    char *path;
    struct checkpoint_row row = {.attempt = 1, .step = 3, .bytes = 5};
    struct history_ack ack;
    token_sha256(row.sha256, "state", 5);
    assert_true(asprintf(&path, "%s/tmp/upload", store_folder(store)) > 0);
    assert_ok(file_replace(path, "state", 5, &err));
    assert_ok(store_checkpoint_put(store, id, &row, path, &ack, &err));
    unlink(path);
    free(path);
}

static inline void tidy(struct store *store)
{
    for (bool more = true; more;)
        assert_ok(store_tidy(store, &more, &err));
}

static inline void fill(struct place *place)
{
    char model[160], secret[TOKENS_SECRET_SIZE];
    struct token_grant grant = {.name = "first", .scopes = SCOPE_ALL};
    struct store *store;
    assert_ok(store_open(place->data, &store, &err));
    fixture_add_dataset(store, "not really a tensor");
    fixture_job(store, JOB_CLIENT, place->id);
    add_history(store, place->id);
    add_checkpoint(store, place->id);
    snprintf(model, sizeof model, "%s/jobs/%s/model", place->data, place->id);
    assert_ok(file_replace(model, "weights", 7, &err));
    assert_ok(store_job_apply(store, place->id,
                              &(struct job_change){.event = JOB_EVENT_SUCCEED, .attempt = 1}, &err));
    tidy(store);
    store_close(store);
    assert_ok(tokens_create(place->data, &grant, secret, &err));
}

static inline int place_make(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    // In memory where that can be: every trial waits for a dozen syncs.
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(place->folder, sizeof place->folder, "%s/nabla-test-XXXXXX", parent);
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->data, sizeof place->data, "%s/data", place->folder);
    snprintf(place->copy, sizeof place->copy, "%s/copy", place->folder);
    snprintf(place->back, sizeof place->back, "%s/back", place->folder);
    fill(place);
    *state = place;
    return 0;
}

static inline int place_remove(void **state)
{
    struct place *place = *state;
    sweep_tree(place->folder, NULL);
    free(place);
    return 0;
}

static inline bool exists(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static inline void count_told(void *context, const char *text)
{
    (void)text;
    ++*(size_t *)context;
}

static inline size_t faults_of(const char *folder)
{
    size_t told = 0, faults = 99;
    const struct check_wish wish = {.all = true};
    assert_ok(check_folder(folder, &wish, count_told, &told, &faults, &err));
    return faults;
}

#endif
