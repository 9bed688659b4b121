// What is done to a whole data folder, with each allocation and each operation on a file failing in turn:
// opening, migrating, copying, putting back, checking, repairing, retention, tokens. A failure says what
// happened and leaves what was there; a success is whole, whatever failed on its way; and afterwards the
// same work is done as if nothing had been.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/faults.h"

#include "store/backup.h"
#include "store/database.h"
#include "store/job_storage.h"
#include "store/retention.h"
#include "store/schema.h"
#include "store/usage.h"
#include "tests/store_place.h"

// Each of the first DENSE places is tried, and then ever fewer of the thousands that SQLite has.
enum { TRIES_MOST = 100000, DENSE = 20, LEAK_TRIES = 4, DAY_MS = 86400000 };

// What is tried, and what fails.
static struct {
    const char *name;
    enum fault fault;
    long nth;
} now;

// One kind of work on the folder. `attempt` runs with the fault in its way; `settle` looks at what it has
// left, and brings the folder back to where it was.
struct work {
    const char *name;
    void (*prepare)(struct place *place); // or NULL
    enum nabla_code (*attempt)(struct place *place, struct nabla_error *err);
    void (*settle)(struct place *place, enum nabla_code code);
};

static void complain(const char *what)
{
    fail_msg("%s, fault %d at %ld: %s", now.name, (int)now.fault, now.nth, what);
}

static void require(bool holds, const char *what)
{
    if (!holds)
        complain(what);
}

static enum nabla_code make_copy(struct place *place, struct nabla_error *err)
{
    size_t files;
    return backup_make(place->data, place->copy, &files, err);
}

// A copy that is said to be whole is put back and checked.
static void settle_copy(struct place *place, enum nabla_code code)
{
    size_t files = 0;
    require(code || exists(place->copy, "MANIFEST"), "a copy without a manifest");
    if (code == NABLA_OK) {
        assert_ok(backup_restore(place->copy, place->back, &files, &err));
        require(files == PLACE_FILES && faults_of(place->back) == 0, "the copy is not what was there");
        require(exists(place->back, "tokens"), "the tokens are not in the copy");
        sweep_tree(place->back, NULL);
    }
    sweep_tree(place->copy, NULL);
}

static void prepare_copy(struct place *place)
{
    size_t files;
    if (!exists(place->copy, "MANIFEST"))
        assert_ok(backup_make(place->data, place->copy, &files, &err));
}

static enum nabla_code put_back(struct place *place, struct nabla_error *err)
{
    size_t files;
    return backup_restore(place->copy, place->back, &files, err);
}

static void settle_back(struct place *place, enum nabla_code code)
{
    require(code || faults_of(place->back) == 0, "what was put back is not what was copied");
    require(!code || !exists(place->back, "nabla.db"), "a failed restore looks like a data folder");
    sweep_tree(place->back, NULL);
}

static enum nabla_code check(struct place *place, struct nabla_error *err)
{
    size_t faults = 0, told = 0;
    const struct check_wish wish = {.all = true};
    const enum nabla_code code = check_folder(place->data, &wish, count_told, &told, &faults, err);
    return code ? code : faults > 0 ? nabla_fail(err, NABLA_IO, NULL, "faults were told") : NABLA_OK;
}

static void settle_sound(struct place *place, enum nabla_code code)
{
    (void)code;
    require(faults_of(place->data) == 0, "the folder is damaged");
}

// A row of no job, and a file of no row.
static void spoil(struct place *place)
{
    char path[160];
    struct database *db;
    snprintf(path, sizeof path, "%s/nabla.db", place->data);
    assert_ok(database_open(path, DATABASE_PLAIN, sql_texts, &db, &err));
    assert_ok(database_run(db, "INSERT OR REPLACE INTO events VALUES (77, 1, 0, 'created', '')", &err));
    database_close(db);
    snprintf(path, sizeof path, "%s/datasets/stray", place->data);
    assert_ok(file_replace(path, "x", 1, &err));
}

static enum nabla_code repair(struct place *place, struct nabla_error *err)
{
    size_t faults = 0, told = 0;
    const struct check_wish wish = {.repair = true, .all = true};
    const enum nabla_code code = check_folder(place->data, &wish, count_told, &told, &faults, err);
    require(code || faults >= 1, "a check has overlooked what is wrong");
    return code;
}

static void settle_repair(struct place *place, enum nabla_code code)
{
    size_t told = 0, faults;
    const struct check_wish wish = {.repair = true, .all = true};
    require(code || faults_of(place->data) == 0, "repaired, but not sound");
    assert_ok(check_folder(place->data, &wish, count_told, &told, &faults, &err));
    require(faults_of(place->data) == 0, "nothing repairs it any more");
}

static enum nabla_code open_store(struct place *place, struct nabla_error *err)
{
    const enum nabla_code code = store_open(place->data, &place->store, err);
    if (code == NABLA_OK)
        store_close(place->store);
    return code;
}

// As a version left it that knew neither runs nor clients' checkpoints.
static void age(struct place *place)
{
    char path[160];
    struct database *db;
    assert_ok(file_make_folder(place->back, &err));
    snprintf(path, sizeof path, "%s/nabla.db", place->back);
    assert_ok(file_replace(path, "", 0, &err));
    assert_ok(database_open(path, DATABASE_WRITER, sql_texts, &db, &err));
    assert_ok(schema_migrate(db, schema_steps, 1, &err));
    database_close(db);
}

static enum nabla_code open_old(struct place *place, struct nabla_error *err)
{
    const enum nabla_code code = store_open(place->back, &place->store, err);
    if (code == NABLA_OK)
        store_close(place->store);
    return code;
}

static void settle_old(struct place *place, enum nabla_code code)
{
    (void)code;
    assert_ok(store_open(place->back, &place->store, &err));
    store_close(place->store);
    require(exists(place->back, "nabla.db.v1-backup"), "no copy of the old database");
    require(faults_of(place->back) == 0, "the migrated folder is damaged");
    sweep_tree(place->back, NULL);
}

static enum nabla_code use_tokens(struct place *place, struct nabla_error *err)
{
    char secret[TOKENS_SECRET_SIZE];
    struct token_grant grant = {.name = "second", .scopes = SCOPE_READ, .requests = 3}, found;
    struct token_grant *grants = NULL;
    struct token_table *table = NULL;
    struct token_use *use = NULL;
    size_t count = 0;
    enum nabla_code code = tokens_create(place->data, &grant, secret, err);
    if (code)
        return code;
    code = token_table_new(place->data, &table, err);
    if (code == NABLA_OK)
        code = token_table_enter(table, secret, &found, &use, err);
    token_table_leave(table, use);
    token_table_free(table);
    if (code == NABLA_OK)
        code = tokens_list(place->data, &grants, &count, err);
    free(grants);
    return code ? code : tokens_revoke(place->data, "second", err);
}

// The first is there always, the second is where it was made and not revoked.
static void settle_tokens(struct place *place, enum nabla_code code)
{
    struct token_grant *grants;
    size_t count;
    assert_ok(tokens_list(place->data, &grants, &count, &err));
    require(count == 1 || (count == 2 && code), "a token too many or too few");
    require(strcmp(grants[0].name, "first") == 0, "the first token has gone");
    free(grants);
    if (count == 2)
        assert_ok(tokens_revoke(place->data, "second", &err));
}

static void prepare_open(struct place *place)
{
    assert_ok(store_open(place->data, &place->store, &err));
}

static void close_after(struct place *place)
{
    store_close(place->store);
    place->store = NULL;
    require(faults_of(place->data) == 0, "the folder is damaged");
}

static void prepare_victim(struct place *place)
{
    prepare_open(place);
    fixture_job(place->store, JOB_CLIENT, place->id);
    add_history(place->store, place->id);
    assert_ok(store_job_apply(place->store, place->id,
                              &(struct job_change){.event = JOB_EVENT_SUCCEED, .attempt = 1}, &err));
    tidy(place->store);
}

// Of two jobs that have finished one is to go, the older: the other is the first again.
static enum nabla_code retain(struct place *place, struct nabla_error *err)
{
    size_t touched = 0;
    bool more = true;
    uint64_t bytes;
    const struct retention wish = {.jobs = 1, .bytes = UINT64_C(1) << 40, .days = 9999};
    enum nabla_code code = store_retain(place->store, &wish, DAY_MS, &touched, err);
    if (code == NABLA_OK)
        code = store_bytes(place->store, &bytes, err);
    while (code == NABLA_OK && more)
        code = store_tidy(place->store, &more, err);
    return code;
}

static void settle_retention(struct place *place, enum nabla_code code)
{
    size_t count = 0, touched;
    const struct retention wish = {.jobs = 1};
    assert_ok(store_job_count(place->store, JOB_SUCCEEDED, &count, &err));
    require(count == 1 || (count == 2 && code), "a job too many or too few");
    assert_ok(store_retain(place->store, &wish, DAY_MS, &touched, &err));
    tidy(place->store);
    assert_ok(store_job_count(place->store, JOB_SUCCEEDED, &count, &err));
    require(count == 1, "retention does not work any more");
    close_after(place);
}

static enum nabla_code count_all(struct place *place, struct nabla_error *err)
{
    struct job_storage storage;
    uint64_t counts[JOB_STATE_COUNT], bytes;
    enum nabla_code code = store_job_storage(place->store, place->id, &storage, err);
    if (code == NABLA_OK)
        code = store_job_counts(place->store, counts, err);
    if (code == NABLA_OK)
        code = store_owner_bytes(place->store, "nobody", &bytes, err);
    if (code == NABLA_OK)
        code = store_owner_queued(place->store, "nobody", &bytes, err);
    if (code == NABLA_OK)
        code = store_check(place->store, err);
    if (code == NABLA_OK)
        require(storage.parts[STORAGE_METRICS].rows == PLACE_STEPS && counts[JOB_SUCCEEDED] == 1,
                "counted wrong");
    return code;
}

static void settle_open(struct place *place, enum nabla_code code)
{
    (void)code;
    assert_ok(store_ping(place->store, &err));
    close_after(place);
}

// ---- each fault in turn

static enum nabla_code try_once(struct place *place, const struct work *work, bool *ret_met)
{
    struct nabla_error err = {.text = ""};
    if (work->prepare)
        work->prepare(place);
    faults_arm(now.fault, now.nth);
    const enum nabla_code code = work->attempt(place, &err);
    *ret_met = faults_disarm();
    if (code && (!*ret_met || err.code != code || strlen(err.text) < 10))
        fail_msg("%s, fault %d at %ld (met: %d): code %d, \"%s\"", now.name, (int)now.fault, now.nth,
                 *ret_met, (int)code, err.text);
    work->settle(place, code);
    return code;
}

// Caches grow now and then: a leak is what grows at the same place each time.
static void require_no_leak(struct place *place, const struct work *work)
{
    bool met;
    for (int again = 0; again < LEAK_TRIES; again++) {
        const long before = atomic_load(&faults_blocks);
        try_once(place, work, &met);
        if (atomic_load(&faults_blocks) <= before)
            return;
    }
    complain("leaks");
}

// Returns how often the work failed.
static long try_all(struct place *place, const struct work *work)
{
    long failures = 0;
    bool met = true;
    for (now.nth = 1; met && now.nth < TRIES_MOST; now.nth += 1 + now.nth / DENSE) {
        const long before = atomic_load(&faults_blocks);
        failures += try_once(place, work, &met) != NABLA_OK;
        if (atomic_load(&faults_blocks) > before)
            require_no_leak(place, work);
    }
    require(!met, "no end of faults");
    return failures;
}

static const struct work works[] = {
    {"opening", NULL, open_store, settle_sound},
    {"migrating", age, open_old, settle_old},
    {"a backup", NULL, make_copy, settle_copy},
    {"a restore", prepare_copy, put_back, settle_back},
    {"a check", NULL, check, settle_sound},
    {"a repair", spoil, repair, settle_repair},
    {"tokens", NULL, use_tokens, settle_tokens},
    {"retention", prepare_victim, retain, settle_retention},
    {"figures", prepare_open, count_all, settle_open},
};

static void try_works(enum fault fault)
{
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        void *state;
        place_make(&state);
        struct place *place = state;
        now.fault = fault;
        now.name = works[i].name;
        const long failures = try_all(place, &works[i]);
        print_message("%s, fault %d: failed at %ld of about %ld places\n", works[i].name, (int)fault,
                      failures, now.nth);
        // A fault that nobody notices proves nothing. But readers need no room, and some work no lock.
        assert_true(failures > 0 || fault == FAULT_SHORT || fault == FAULT_BUSY || fault == FAULT_BUSY_ONCE);
        place_remove(&state);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!faults_of_memory())
        skip();
    try_works(FAULT_MEMORY);
}

static void every_operation_on_a_file_may_fail(void **state)
{
    (void)state;
    static const enum fault faults[] = {FAULT_EIO, FAULT_EIO_ONCE, FAULT_SHORT, FAULT_BUSY, FAULT_BUSY_ONCE};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        try_works(faults[i]);
}

// What the copy has is made out while it goes on: a file that has gone meanwhile is looked for again, a data
// set goes from the copy, too.
static void what_vanishes_meanwhile_is_not_copied(void **state)
{
    struct place *place = *state;
    static const struct {
        const char *about;
        size_t files;
        enum nabla_code code;
    } cases[] = {{"/model", PLACE_FILES, NABLA_OK},
                 {"/datasets/", PLACE_FILES - 1, NABLA_OK},
                 {"/tmp/backup_", 0, NABLA_NOT_FOUND}, // a checkpoint that is held cannot go
                 {"data/tokens", 0, NABLA_NOT_FOUND}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t files = 0;
        struct nabla_error why;
        faults_about = cases[i].about;
        faults_arm(FAULT_GONE, 1);
        const enum nabla_code code = backup_make(place->data, place->copy, &files, &why);
        assert_true(faults_disarm());
        if (code != cases[i].code || files != cases[i].files)
            fail_msg("without %s: code %d, %zu files", cases[i].about, (int)code, files);
        if (code == NABLA_OK) {
            assert_ok(backup_restore(place->copy, place->back, &files, &err));
            assert_int_equal(faults_of(place->back), 0);
        }
        sweep_tree(place->back, NULL);
        sweep_tree(place->copy, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_operation_on_a_file_may_fail),
        cmocka_unit_test_setup_teardown(what_vanishes_meanwhile_is_not_copied, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
