// What a power cut leaves: a child works on a store and dies with the power at a deed of its that the seed
// picks; the disk holds any subset of what was not synced (tests/disk.h). The store must open again, be
// whole, and have all that was acknowledged: jobs, their states, their histories, that they were deleted,
// checkpoints, data sets with every byte, whoever wrote at the same time. So must it after a kill, which
// leaves all that was written; and a backup that was cut short must not pass for one. POWER_CUTS=10000
// build/tests/test_power_cut runs longer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/disk.h"

#include "api/datasets_keep.h"
#include "base/file.h"
#include "data/generator.h"
#include "store/backup.h"
#include "store/check.h"
#include "store/checkpoints.h"
#include "store/history.h"
#include "store/jobs.h"
#include "store/retention.h"
#include "store/sweep.h"

#include <pthread.h>
#include <sys/wait.h>

enum { CUTS = 40, TURNS = 12, ACKS_MOST = 128, WRITERS = 4, BATCHES_EACH = 3 };

// What the child was told to be kept: an id, and of a job the state that it must have reached.
struct ack {
    char id[TOKEN_ID_SIZE];
    bool is_job;
    enum job_state state;
    bool is_deleted; // this was acknowledged
    bool may_go;     // it was asked for
    bool has_checkpoint;
    uint64_t batches; // of its history: bit i for that of steps 2 i + 1 and 2 i + 2
};

struct acks {
    size_t count;
    struct ack acks[ACKS_MOST];
};

static struct acks *acks;                                     // shared with the child
static pthread_mutex_t acks_lock = PTHREAD_MUTEX_INITIALIZER; // of the child's threads

static void acknowledge(const char *id, bool is_job, enum job_state state)
{
    pthread_mutex_lock(&acks_lock);
    struct ack *ack = &acks->acks[acks->count];
    *ack = (struct ack){.is_job = is_job, .state = state};
    memcpy(ack->id, id, sizeof ack->id);
    acks->count++;
    pthread_mutex_unlock(&acks_lock);
}

static void acknowledge_batch(const char *job, uint64_t step)
{
    pthread_mutex_lock(&acks_lock);
    for (size_t i = 0; i < acks->count; i++)
        if (strcmp(acks->acks[i].id, job) == 0)
            acks->acks[i].batches |= UINT64_C(1) << step / 2;
    pthread_mutex_unlock(&acks_lock);
}

static bool is_finished(const char *id)
{
    for (size_t i = 0; i < acks->count; i++)
        if (strcmp(acks->acks[i].id, id) == 0 && acks->acks[i].state == JOB_SUCCEEDED)
            return true;
    return false;
}

// Before a removal is asked for, and when it is done; of all jobs that have finished for `id` NULL.
static void expect_gone(const char *id, bool is_done)
{
    for (size_t i = 0; i < acks->count; i++) {
        struct ack *ack = &acks->acks[i];
        if (!ack->is_job || (id ? strcmp(ack->id, id) != 0 : !is_finished(ack->id)))
            continue;
        ack->may_go = true;
        ack->is_deleted |= is_done;
    }
}

static const struct dataset_limits limits = {.rows = 1000, .columns = 10, .classes = 10, .bytes = 1 << 20};

static bool make_dataset(struct store *store, uint64_t seed)
{
    struct generator generator = generator_defaults(GENERATOR_MOONS);
    struct nabla_error err;
    struct dataset *dataset;
    struct creation made;
    generator.rows = 20;
    generator.seed = seed;
    if (generator_make(&generator, &limits, &dataset, &err))
        return false;
    const bool is_kept = dataset_keep(store, dataset, "moons", NULL, NULL, &made, &err) == NABLA_OK;
    dataset_free(dataset);
    if (is_kept)
        acknowledge(made.id, false, JOB_QUEUED);
    return is_kept;
}

static bool append_so(struct store *store, const char *job, uint64_t step, bool is_unsynced)
{
    struct step_record records[2] = {{.step = step, .recorded = 1}, {.step = step + 1, .recorded = 1}};
    struct nabla_error err;
    struct history_ack ack;
    records[0].values[0] = records[1].values[0] = (double)step;
    const struct history_batch batch = {
        .attempt = 1, .records = records, .record_count = 2, .is_unsynced = is_unsynced};
    return store_history_append(store, job, &batch, &ack, &err) == NABLA_OK;
}

static bool append(struct store *store, const char *job, uint64_t step)
{
    if (!append_so(store, job, step, false))
        return false;
    acknowledge_batch(job, step);
    return true;
}

// Two that a power cut may undo, until both are synced.
static bool append_and_sync(struct store *store, const char *job, uint64_t step)
{
    struct nabla_error err;
    if (!append_so(store, job, step, true) || !append_so(store, job, step + 2, true) ||
        store_sync(store, &err))
        return false;
    acknowledge_batch(job, step);
    acknowledge_batch(job, step + 2);
    return true;
}

// One of several that write at the same time: a history that they share, and jobs of its own.
struct writing_thread {
    pthread_t thread;
    struct store *store;
    const char *job;
    uint64_t place;
    bool failed;
};

static bool create_job(struct store *store, char id[TOKEN_ID_SIZE]);

static void *write_beside(void *context)
{
    struct writing_thread *writing = context;
    char own[TOKEN_ID_SIZE];
    for (uint64_t i = 0; i < BATCHES_EACH && !writing->failed; i++)
        writing->failed =
            !append(writing->store, writing->job, 1 + 2 * (writing->place * BATCHES_EACH + i)) ||
            (i == 1 && (!create_job(writing->store, own) || !append(writing->store, own, 1)));
    return NULL;
}

static bool write_together(struct store *store)
{
    struct writing_thread threads[WRITERS];
    char job[TOKEN_ID_SIZE];
    if (!create_job(store, job))
        return false;
    bool failed = false;
    for (unsigned i = 0; i < WRITERS; i++) {
        threads[i] = (struct writing_thread){.store = store, .job = job, .place = i};
        if (pthread_create(&threads[i].thread, NULL, write_beside, &threads[i]))
            _exit(1);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(threads[i].thread, NULL);
        failed |= threads[i].failed;
    }
    return !failed;
}

static const char checkpoint[] = "where the training stands";

// Replaces the one before it.
static bool keep_checkpoint(struct store *store, const char *job, const char *folder)
{
    char path[PATH_MAX];
    struct checkpoint_row row = {.attempt = 1, .bytes = sizeof checkpoint};
    struct history_ack ack;
    struct nabla_error err;
    token_sha256(row.sha256, checkpoint, sizeof checkpoint);
    snprintf(path, sizeof path, "%s/tmp/upload", folder);
    if (file_replace(path, checkpoint, sizeof checkpoint, &err) ||
        store_checkpoint_put(store, job, &row, path, &ack, &err) || file_remove(path, &err))
        return false;
    acknowledge(job, true, JOB_RUNNING);
    acks->acks[acks->count - 1].has_checkpoint = true;
    return true;
}

// One by its id, or all that have finished by retention.
static bool remove_jobs(struct store *store, const char *id)
{
    const struct retention none = {.days = 1};
    struct nabla_error err;
    size_t count;
    bool more;
    expect_gone(id, false);
    if (id ? store_job_delete(store, id, &err)
           : store_retain(store, &none, INT64_C(1) << 52, &count, &err)) // in a far future
        return false;
    expect_gone(id, true);
    return store_tidy(store, &more, &err) == NABLA_OK;
}

static bool create_job(struct store *store, char id[TOKEN_ID_SIZE])
{
    static const char token[] = "0000000000000000000000000000000000000000000000000000000000000000";
    const struct job_new new = {.name = "n",
                                .spec = "{}",
                                .dataset = "",
                                .executor = JOB_CLIENT,
                                .steps = 9,
                                .epochs = 1,
                                .network_stats = 1,
                                .token_sha256 = token};
    struct nabla_error err;
    bool repeated;
    if (store_job_create(store, &new, id, &repeated, &err))
        return false;
    acknowledge(id, true, JOB_RUNNING);
    return true;
}

// A job that a client trains: created, some history, the end.
static bool make_job(struct store *store, const char *folder, uint64_t seed)
{
    const struct job_change end = {.event = JOB_EVENT_SUCCEED, .attempt = 1};
    struct nabla_error err;
    char id[TOKEN_ID_SIZE];
    if (!create_job(store, id))
        return false;
    for (uint64_t step = 1; step < 2 * (seed % 5); step += 2)
        if (!append(store, id, step))
            return false;
    if (seed % 4 == 1 && !append_and_sync(store, id, 21))
        return false;
    if (seed % 2 == 0 && !keep_checkpoint(store, id, folder))
        return false;
    if (seed % 3 == 0)
        return true;
    if (store_job_apply(store, id, &end, &err))
        return false;
    acknowledge(id, true, JOB_SUCCEEDED);
    return seed % 5 != 1 || remove_jobs(store, id);
}

// Another one each time; one that was cut short is no backup.
static bool make_backup(const char *folder, uint64_t turn)
{
    char copy[128];
    struct nabla_error err;
    size_t files;
    snprintf(copy, sizeof copy, "%s-copy-%llu", folder, (unsigned long long)turn);
    return backup_make(folder, copy, &files, &err) == NABLA_OK;
}

static bool take_turn(struct store *store, const char *folder, uint64_t seed, uint64_t turn)
{
    if (turn % 6 == 5 && !remove_jobs(store, NULL))
        return false;
    if (turn == 4 && !make_backup(folder, turn))
        return false;
    if (turn % 6 == 3 && !write_together(store))
        return false;
    return turn % 3 == 1 ? make_dataset(store, seed * TURNS + turn) : make_job(store, folder, seed + turn);
}

static void work(const char *folder, uint64_t seed)
{
    struct nabla_error err;
    struct store *store;
    if (store_open(folder, &store, &err))
        _exit(1);
    for (uint64_t turn = 0; turn < TURNS; turn++)
        if (!take_turn(store, folder, seed, turn))
            _exit(1);
    store_close(store);
    _exit(0);
}

// Runs the child until its deed number `last` (0: to its end); returns how many deeds there were.
static uint64_t run_child(const char *folder, uint64_t seed, uint64_t last)
{
    acks->count = 0;
    disk_begin(folder, last);
    const pid_t child = fork();
    int status;
    if (child == 0)
        work(folder, seed);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return disk->deeds;
}

static void require_checkpoint(struct store *store, const char *job)
{
    struct nabla_error err = {0};
    struct checkpoint_row row;
    struct buffer content = buffer_new(1000);
    char *path;
    if (store_checkpoint_get(store, job, &row, &path, &err) || file_read(path, &content, &err))
        fail_msg("the checkpoint of job %s is gone: %s", job, err.text);
    assert_int_equal(content.size, sizeof checkpoint);
    assert_memory_equal(content.data, checkpoint, sizeof checkpoint);
    buffer_free(&content);
    free(path);
}

// True when it is there.
static bool require_job(struct store *store, const struct ack *ack)
{
    struct nabla_error err = {0};
    struct job *job;
    const enum nabla_code code = store_job_get(store, ack->id, &job, &err);
    if (code == NABLA_NOT_FOUND && ack->may_go)
        return false;
    if (code)
        fail_msg("job %s is gone: %s", ack->id, err.text);
    if (ack->is_deleted)
        fail_msg("job %s is there again", ack->id);
    if (ack->state == JOB_SUCCEEDED && job->state != JOB_SUCCEEDED)
        fail_msg("job %s is %s again", ack->id, job_state_name(job->state));
    job_free(job);
    if (ack->has_checkpoint)
        require_checkpoint(store, ack->id);
    return true;
}

static void require_dataset(struct store *store, const struct ack *ack)
{
    struct nabla_error err = {0};
    struct dataset *dataset;
    if (dataset_load(store, ack->id, &limits, &dataset, &err))
        fail_msg("data set %s is gone: %s", ack->id, err.text);
    assert_int_equal(dataset->rows, 20);
    dataset_free(dataset);
}

struct pairs {
    uint64_t unpaired, batches;
};

static enum nabla_code count_pair(void *context, const struct history_row *row)
{
    struct pairs *pairs = context;
    if ((row->step % 2 == 0) != (pairs->unpaired == 1))
        return NABLA_INTERNAL;
    pairs->unpaired = row->step % 2;
    if (!pairs->unpaired)
        pairs->batches |= UINT64_C(1) << (row->step - 1) / 2;
    return NABLA_OK;
}

// A batch is there whole or not at all, and those that were acknowledged are.
static void require_whole_batches(struct store *store, const struct ack *ack)
{
    const struct history_query query = {.until_step = UINT64_MAX, .limit = 1000};
    struct nabla_error err = {0};
    uint64_t revision;
    struct pairs pairs = {0};
    assert_int_equal(store_history_metrics(store, ack->id, &query, count_pair, &pairs, &revision, &err),
                     NABLA_OK);
    assert_int_equal(pairs.unpaired, 0);
    if (ack->batches & ~pairs.batches)
        fail_msg("job %s has lost batches: %llx of %llx are left", ack->id, (unsigned long long)pairs.batches,
                 (unsigned long long)ack->batches);
}

// The store works on, and ends what was begun.
static void go_on(struct store *store, const char *folder, uint64_t seed)
{
    struct nabla_error err = {0};
    bool more = true;
    const size_t count = acks->count;
    assert_true(make_job(store, folder, seed));
    acks->count = count;
    while (more)
        assert_int_equal(store_tidy(store, &more, &err), NABLA_OK);
}

// A checkpoint's file may have been written without its row.
static void tell_fault(void *context, const char *text)
{
    (void)context;
    if (!strstr(text, "no row describes it"))
        fail_msg("%s", text);
}

static void require_sound(const char *folder)
{
    const struct check_wish repair = {.repair = true, .all = true}, all = {.all = true};
    struct nabla_error err = {0};
    size_t faults;
    if (check_folder(folder, &repair, tell_fault, NULL, &faults, &err) ||
        check_folder(folder, &all, tell_fault, NULL, &faults, &err))
        fail_msg("%s", err.text);
    assert_int_equal(faults, 0);
}

static void require_kept(const char *folder, uint64_t seed)
{
    struct nabla_error err = {0};
    struct store *store;
    if (store_open(folder, &store, &err))
        fail_msg("seed %llu: the store does not open: %s", (unsigned long long)seed, err.text);
    if (store_check(store, &err))
        fail_msg("seed %llu: the store is not whole: %s", (unsigned long long)seed, err.text);
    for (size_t i = 0; i < acks->count; i++) {
        if (!acks->acks[i].is_job) {
            require_dataset(store, &acks->acks[i]);
            continue;
        }
        if (require_job(store, &acks->acks[i]))
            require_whole_batches(store, &acks->acks[i]);
    }
    go_on(store, folder, seed);
    store_close(store);
    require_sound(folder);
}

// Backups are whole, or are told from one that is.
static void require_backups(const char *folder)
{
    for (unsigned turn = 0; turn < TURNS; turn++) {
        char copy[128], back[160], manifest[160];
        struct nabla_error err = {0};
        size_t files;
        snprintf(copy, sizeof copy, "%s-copy-%u", folder, turn);
        snprintf(back, sizeof back, "%s-back", copy);
        snprintf(manifest, sizeof manifest, "%s/MANIFEST", copy);
        const bool is_whole = access(manifest, F_OK) == 0;
        assert_true((backup_restore(copy, back, &files, &err) == NABLA_OK) == is_whole);
        if (is_whole)
            require_sound(back);
        else
            assert_int_not_equal(access(back, F_OK), 0);
        sweep_tree(back, NULL);
        sweep_tree(copy, NULL);
    }
}

static void make_folder(char *folder, const char *what)
{
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, 64, "%s/nabla-power-%s-XXXXXX", parent, what);
    assert_non_null(mkdtemp(folder));
}

static void make_below(const char *folder, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    mkdir(path, 0700);
}

// One seed: work until the power goes, then look at what is left.
static void cut_once(uint64_t seed)
{
    char worked[64], left[64];
    make_folder(worked, "work");
    const uint64_t deeds = run_child(worked, seed, 0);
    disk_end();
    sweep_tree(worked, NULL);
    require_backups(worked);
    make_folder(worked, "work");
    uint64_t pick = seed * 0x9E3779B97F4A7C15u + 1;
    run_child(worked, seed, 1 + disk_draw(&pick, (unsigned)deeds));
    make_folder(left, "left");
    make_below(left, "datasets");
    make_below(left, "jobs");
    make_below(left, "tmp");
    disk_cut(left, pick);
    disk_end();
    require_kept(worked, seed); // as a kill -9 leaves it
    require_backups(worked);
    require_kept(left, seed);
    sweep_tree(worked, NULL);
    sweep_tree(left, NULL);
}

static void no_power_cut_loses_what_was_acknowledged(void **state)
{
    (void)state;
    const char *wanted = getenv("POWER_CUTS");
    const uint64_t cuts = wanted ? strtoull(wanted, NULL, 10) : CUTS;
    acks = mmap(NULL, sizeof *acks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(acks != MAP_FAILED);
    for (uint64_t seed = 1; seed <= cuts; seed++)
        cut_once(seed);
    print_message("%llu power cuts\n", (unsigned long long)cuts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_power_cut_loses_what_was_acknowledged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
