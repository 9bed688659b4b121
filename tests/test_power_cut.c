// What a power cut leaves: a child works on a store and dies with the power at a deed of its that the seed
// picks; the disk holds any subset of what was not synced (tests/disk.h). The store must open again, be
// whole, and have all that was acknowledged: jobs, their states, data sets with every byte. POWER_CUTS=10000
// build/tests/test_power_cut runs longer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/disk.h"

#include "api/datasets_keep.h"
#include "data/generator.h"
#include "store/history.h"
#include "store/jobs.h"
#include "store/sweep.h"

#include <sys/wait.h>

enum { CUTS = 60, TURNS = 12, ACKS_MOST = 64 };

// What the child was told to be kept: an id, and of a job the state that it must have reached.
struct ack {
    char id[TOKEN_ID_SIZE];
    bool is_job;
    enum job_state state;
};

struct acks {
    size_t count;
    struct ack acks[ACKS_MOST];
};

static struct acks *acks; // shared with the child

static void acknowledge(const char *id, bool is_job, enum job_state state)
{
    struct ack *ack = &acks->acks[acks->count];
    memcpy(ack->id, id, sizeof ack->id);
    ack->is_job = is_job;
    ack->state = state;
    acks->count++;
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
    const bool is_kept = dataset_keep(store, dataset, "moons", "", NULL, &made, &err) == NABLA_OK;
    dataset_free(dataset);
    if (is_kept)
        acknowledge(made.id, false, JOB_QUEUED);
    return is_kept;
}

static bool append(struct store *store, const char *job, uint64_t step)
{
    struct step_record records[2] = {{.step = step, .recorded = 1}, {.step = step + 1, .recorded = 1}};
    struct nabla_error err;
    struct history_ack ack;
    records[0].values[0] = records[1].values[0] = (double)step;
    const struct history_batch batch = {.attempt = 1, .records = records, .record_count = 2};
    return store_history_append(store, job, &batch, &ack, &err) == NABLA_OK;
}

// A job that a client trains: created, some history, the end.
static bool make_job(struct store *store, uint64_t seed)
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
    const struct job_change end = {.event = JOB_EVENT_SUCCEED, .attempt = 1};
    struct nabla_error err;
    char id[TOKEN_ID_SIZE];
    bool repeated;
    if (store_job_create(store, &new, id, &repeated, &err))
        return false;
    acknowledge(id, true, JOB_RUNNING);
    for (uint64_t step = 1; step < 2 * (seed % 5); step += 2)
        if (!append(store, id, step))
            return false;
    if (seed % 3 == 0)
        return true;
    if (store_job_apply(store, id, &end, &err))
        return false;
    acknowledge(id, true, JOB_SUCCEEDED);
    return true;
}

static void work(const char *folder, uint64_t seed)
{
    struct nabla_error err;
    struct store *store;
    if (store_open(folder, &store, &err))
        _exit(1);
    for (uint64_t turn = 0; turn < TURNS; turn++)
        if (!(turn % 3 == 1 ? make_dataset(store, seed * TURNS + turn) : make_job(store, seed + turn)))
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

static void require_job(struct store *store, const struct ack *ack)
{
    struct nabla_error err = {0};
    struct job *job;
    if (store_job_get(store, ack->id, &job, &err))
        fail_msg("job %s is gone: %s", ack->id, err.text);
    if (ack->state == JOB_SUCCEEDED && job->state != JOB_SUCCEEDED)
        fail_msg("job %s is %s again", ack->id, job_state_name(job->state));
    job_free(job);
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

static enum nabla_code count_pair(void *context, const struct history_row *row)
{
    unsigned *unpaired = context;
    if ((row->step % 2 == 0) != (*unpaired == 1))
        return NABLA_INTERNAL;
    *unpaired = (unsigned)(row->step % 2);
    return NABLA_OK;
}

// A batch is there whole or not at all.
static void require_whole_batches(struct store *store, const struct ack *ack)
{
    const struct history_query query = {.until_step = UINT64_MAX, .limit = 1000};
    struct nabla_error err = {0};
    uint64_t revision;
    unsigned unpaired = 0;
    assert_int_equal(store_history_metrics(store, ack->id, &query, count_pair, &unpaired, &revision, &err),
                     NABLA_OK);
    assert_int_equal(unpaired, 0);
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
        require_job(store, &acks->acks[i]);
        require_whole_batches(store, &acks->acks[i]);
    }
    store_close(store);
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
    sweep_tree(worked, NULL);
    make_folder(worked, "work");
    uint64_t pick = seed * 0x9E3779B97F4A7C15u + 1;
    run_child(worked, seed, 1 + disk_draw(&pick, (unsigned)deeds));
    make_folder(left, "left");
    make_below(left, "datasets");
    make_below(left, "jobs");
    make_below(left, "tmp");
    disk_cut(left, pick);
    disk_end();
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
