// What is kept of finished jobs: by age, by number, by size; never at the cost of one that is not finished.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/history.h"
#include "store/retention.h"
#include "store/usage.h"
#include "store_fixture.h"

enum { JOBS = 6, FINISHED = 4, ROWS = 300 }; // the last two are not finished
static const int64_t DAY_MS = 86400000;

static enum nabla_code count_row(void *context, const struct history_row *row)
{
    (void)row;
    ++*(size_t *)context;
    return NABLA_OK;
}

static size_t rows_of(struct store *store, const char *id)
{
    const struct history_query all = {.until_step = UINT64_MAX, .limit = SIZE_MAX};
    uint64_t revision;
    size_t count = 0;
    assert_ok(store_history_metrics(store, id, &all, count_row, &count, &revision, &err));
    return count;
}

static void make_jobs(struct store *store, char ids[JOBS][TOKEN_ID_SIZE])
{
    static struct step_record records[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        records[i] = (struct step_record){.step = i, .recorded = 1, .values = {(double)i / 7}};
    const struct history_batch batch = {.attempt = 1, .records = records, .record_count = ROWS};
    for (size_t i = 0; i < JOBS; i++) {
        struct history_ack ack;
        fixture_job(store, JOB_CLIENT, ids[i]);
        assert_ok(store_history_append(store, ids[i], &batch, &ack, &err));
        if (i < FINISHED)
            fixture_apply(store, ids[i], JOB_EVENT_SUCCEED);
    }
}

static size_t jobs_left(struct store *store, char ids[JOBS][TOKEN_ID_SIZE])
{
    size_t count = 0;
    for (size_t i = 0; i < JOBS; i++) {
        uint64_t revision;
        count += store_job_revision(store, ids[i], &revision, NULL) == NABLA_OK;
    }
    return count;
}

static const struct {
    const char *comment;
    struct retention retention;
    int days_later;
    size_t touched, left, rows_of_first;
} cases[] = {
    {"no limits", {0}, 9999, 0, JOBS, ROWS},
    {"not old enough", {.days = 3}, 2, 0, JOBS, ROWS},
    {"old", {.days = 3}, 4, FINISHED, JOBS - FINISHED, 0},
    {"too many", {.jobs = 3}, 0, 1, JOBS - 1, 0},
    {"few", {.jobs = 4}, 0, 0, JOBS, ROWS},
    {"histories alone", {.history_days = 3}, 4, FINISHED, JOBS, 0},
    {"whatever the size, running jobs stay", {.bytes = 1}, 0, FINISHED, JOBS - FINISHED, 0},
    {"room enough", {.bytes = 1 << 30}, 0, 0, JOBS, ROWS},
};

static void test_jobs_are_kept_within_the_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *place;
        fixture_open(&place);
        struct store *store = ((struct fixture *)place)->store;
        char ids[JOBS][TOKEN_ID_SIZE];
        size_t touched = 99;
        print_message("%s\n", cases[i].comment);
        make_jobs(store, ids);
        int64_t now = clock_wall_ms() + cases[i].days_later * DAY_MS;
        assert_ok(store_retain(store, &cases[i].retention, now, &touched, &err));
        assert_int_equal(touched, cases[i].touched);
        assert_int_equal(jobs_left(store, ids), cases[i].left);
        if (cases[i].left == JOBS)
            assert_int_equal(rows_of(store, ids[0]), cases[i].rows_of_first);
        assert_int_equal(rows_of(store, ids[JOBS - 1]), ROWS);
        assert_ok(store_retain(store, &cases[i].retention, now, &touched, &err));
        assert_int_equal(touched, 0); // nothing left to do
        assert_ok(store_check(store, &err));
        fixture_close(&place);
    }
}

// The database's file does not shrink, but whoever is told to delete what is no longer needed makes room by
// it.
static void test_removed_histories_are_room(void **state)
{
    struct fixture *fixture = *state;
    const struct retention all = {.bytes = 1};
    char ids[JOBS][TOKEN_ID_SIZE];
    size_t touched = 0;
    make_jobs(fixture->store, ids);
    fixture_reopen(fixture); // which moves the database's log into its file
    const uint64_t full = store_usage_bytes(fixture->store);
    assert_ok(store_retain(fixture->store, &all, clock_wall_ms(), &touched, &err));
    fixture_reopen(fixture);
    const uint64_t room = usage_unused(fixture->store);
    assert_true(room > 0);
    assert_true(store_usage_bytes(fixture->store) + room <= full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_are_kept_within_the_limits),
        cmocka_unit_test_setup_teardown(test_removed_histories_are_room, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
