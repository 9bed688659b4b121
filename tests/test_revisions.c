#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/access.h"
#include "store/history.h"
#include "store/revisions.h"
#include "store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct revisions *table_new(void)
{
    struct revisions *revisions = calloc(1, sizeof *revisions);
    assert_non_null(revisions);
    revisions_open(revisions);
    return revisions;
}

static void table_free(struct revisions *revisions)
{
    revisions_close(revisions);
    free(revisions);
}

static void test_what_was_kept_is_found_and_only_raised(void **state)
{
    (void)state;
    struct revisions *revisions = table_new();
    uint64_t found = 0, changes;
    assert_false(revisions_find(revisions, "job_a", &found, &changes));
    revisions_keep(revisions, "job_a", 5, changes);
    assert_true(revisions_find(revisions, "job_a", &found, &changes));
    assert_int_equal(found, 5);
    revisions_raise(revisions, "job_a", 7);
    revisions_raise(revisions, "job_a", 6); // told late
    assert_true(revisions_find(revisions, "job_a", &found, &changes));
    assert_int_equal(found, 7);
    assert_false(revisions_find(revisions, "", &found, &changes));
    table_free(revisions);
}

// The file is read, then a commit comes, then what was read would be kept: it must not.
static void test_a_reading_that_a_commit_overtook_is_not_kept(void **state)
{
    (void)state;
    struct revisions *revisions = table_new();
    uint64_t found = 0, changes;
    assert_false(revisions_find(revisions, "job_a", &found, &changes));
    revisions_raise(revisions, "job_a", 2);
    revisions_keep(revisions, "job_a", 1, changes);
    assert_false(revisions_find(revisions, "job_a", &found, &changes));
    table_free(revisions);
}

static void test_a_raise_puts_nothing_in(void **state)
{
    (void)state;
    struct revisions *revisions = table_new();
    uint64_t found = 0, changes;
    revisions_raise(revisions, "job_a", 9);
    assert_false(revisions_find(revisions, "job_a", &found, &changes));
    table_free(revisions);
}

// More jobs than places: each is found with its own revision or not at all.
static void test_jobs_put_each_other_out(void **state)
{
    (void)state;
    struct revisions *revisions = table_new();
    uint64_t found, changes;
    char id[TOKEN_ID_SIZE];
    size_t known = 0, jobs = 4 * (size_t)REVISION_PLACES;
    for (size_t i = 0; i < jobs; i++) {
        snprintf(id, sizeof id, "job_%zu", i);
        revisions_find(revisions, id, &found, &changes);
        revisions_keep(revisions, id, i, changes);
    }
    for (size_t i = 0; i < jobs; i++) {
        snprintf(id, sizeof id, "job_%zu", i);
        if (!revisions_find(revisions, id, &found, &changes))
            continue;
        assert_int_equal(found, i);
        known++;
    }
    assert_in_range(known, REVISION_PLACES / 2, REVISION_PLACES);
    table_free(revisions);
}

// --- over a store

struct race {
    struct store *store;
    char id[TOKEN_ID_SIZE];
    atomic_uint_fast64_t acknowledged;
    atomic_bool over;
    atomic_size_t stale;
};

static void *poll_main(void *context)
{
    struct race *race = context;
    while (!atomic_load(&race->over)) {
        uint64_t least = atomic_load(&race->acknowledged), found;
        if (store_job_revision(race->store, race->id, &found, NULL) || found < least)
            atomic_fetch_add(&race->stale, 1);
    }
    return NULL;
}

// Whoever asks after a write was acknowledged sees it.
static void test_no_reader_is_behind_what_was_acknowledged(void **state)
{
    enum { READERS = 3, WRITES = 400 };
    struct race race = {.store = ((struct fixture *)*state)->store};
    pthread_t readers[READERS];
    fixture_job(race.store, JOB_CLIENT, race.id);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, poll_main, &race), 0);
    for (int i = 0; i < WRITES; i++) {
        const struct history_batch batch = {.attempt = 1};
        struct history_ack ack;
        assert_ok(store_history_append(race.store, race.id, &batch, &ack, &err));
        atomic_store(&race.acknowledged, ack.revision);
    }
    atomic_store(&race.over, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&race.stale), 0);
}

static void test_a_removed_job_is_not_found(void **state)
{
    struct store *store = ((struct fixture *)*state)->store;
    const struct job_change end = {.event = JOB_EVENT_SUCCEED, .attempt = 1};
    char id[TOKEN_ID_SIZE];
    uint64_t before, after = 0;
    fixture_job(store, JOB_CLIENT, id);
    assert_ok(store_job_apply(store, id, &end, &err));
    assert_ok(store_job_revision(store, id, &before, &err));
    assert_ok(store_job_delete(store, id, &err));
    enum nabla_code code = store_job_revision(store, id, &after, NULL);
    assert_true(code == NABLA_NOT_FOUND || after > before); // matches nothing that was ever told
}

static void test_a_store_opened_again_reads_the_file(void **state)
{
    struct fixture *fixture = *state;
    char id[TOKEN_ID_SIZE];
    uint64_t before = 0, after = 0;
    fixture_job(fixture->store, JOB_CLIENT, id);
    assert_ok(store_job_revision(fixture->store, id, &before, &err));
    fixture_reopen(fixture);
    assert_ok(store_job_revision(fixture->store, id, &after, &err));
    assert_int_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_kept_is_found_and_only_raised),
        cmocka_unit_test(test_a_reading_that_a_commit_overtook_is_not_kept),
        cmocka_unit_test(test_a_raise_puts_nothing_in),
        cmocka_unit_test(test_jobs_put_each_other_out),
        cmocka_unit_test_setup_teardown(test_no_reader_is_behind_what_was_acknowledged, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_removed_job_is_not_found, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_store_opened_again_reads_the_file, fixture_open,
                                        fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
