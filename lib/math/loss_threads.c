// A call's rows over its threads. Rows are cut into chunks by the batch's shape alone; each chunk has its own
// sums, and these are added in the chunks' order: the result has the same bits whatever the number of
// threads.
#include "base/size.h"
#include "math/loss_run.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    CHUNKS_MOST = 256,
    CHUNK_GROUPS = LOSS_GROUP_MOST, // short rows go by so many at once
    PART_ENTRIES = 1 << 16,         // fewer do not pay for a thread
    PARTS_MOST = 256
};

// The chunks that a thread takes, and what came of them.
struct part {
    struct loss_run run;
    struct nabla_loss_result result;
    struct nabla_warning warnings[NABLA_WARNING_COUNT];
    struct loss_totals *chunks; // the whole call's
    size_t first, end;          // its own of them
    pthread_t thread;
    bool started;
    enum nabla_code code;
    struct nabla_error err;
};

static size_t chunk_rows(const struct nabla_loss_batch *batch)
{
    size_t rows = (batch->rows + CHUNKS_MOST - 1) / CHUNKS_MOST;
    bool grouped = batch->classes <= LOSS_SHORT_CLASSES;
    return grouped ? (rows + CHUNK_GROUPS - 1) / CHUNK_GROUPS * CHUNK_GROUPS : rows;
}

static enum nabla_code chunk_run(struct loss_run *run, size_t chunk, struct nabla_error *err)
{
    size_t rows = chunk_rows(run->plan->batch), first = chunk * rows, left = run->plan->batch->rows - first;
    run->totals = (struct loss_totals){.squares_scale = 1};
    return loss_run_rows(run, first, first + (left < rows ? left : rows), err);
}

static void totals_join(struct loss_totals *totals, const struct loss_totals *chunk)
{
    loss_totals_add_loss(totals, chunk->loss);
    totals->loss_error += chunk->loss_error;
    totals->correct += chunk->correct;
    if (chunk->squares == 0)
        return;
    if (totals->squares == 0 || chunk->squares_scale > totals->squares_scale) {
        double ratio = totals->squares_scale / chunk->squares_scale;
        totals->squares = totals->squares == 0 ? 0 : totals->squares * ratio * ratio;
        totals->squares_scale = chunk->squares_scale;
    }
    double ratio = chunk->squares_scale / totals->squares_scale;
    totals->squares += chunk->squares * ratio * ratio;
}

static enum nabla_code run_alone(struct loss_run *run, size_t chunks, struct nabla_error *err)
{
    struct loss_totals totals = {.squares_scale = 1};
    for (size_t i = 0; i < chunks; i++) {
        enum nabla_code code = chunk_run(run, i, err);
        if (code != NABLA_OK)
            return code;
        totals_join(&totals, &run->totals);
    }
    run->totals = totals;
    return NABLA_OK;
}

static void *part_run(void *context)
{
    struct part *part = context;
    for (size_t i = part->first; i < part->end && part->code == NABLA_OK; i++) {
        part->code = chunk_run(&part->run, i, &part->err);
        part->chunks[i] = part->run.totals;
    }
    loss_run_free(&part->run);
    return NULL;
}

static void warnings_join(struct nabla_warning *warnings, const struct nabla_warning *part)
{
    for (size_t w = 0; w < NABLA_WARNING_COUNT; w++) {
        size_t had = warnings[w].count;
        for (size_t i = 0; i < part[w].count && i < NABLA_WARNING_ROWS && had + i < NABLA_WARNING_ROWS; i++)
            warnings[w].rows[had + i] = part[w].rows[i];
        warnings[w].count += part[w].count;
    }
}

static void part_make(struct part *part, const struct loss_run *run, struct loss_totals *chunks)
{
    part->run = *run;
    part->result = *run->ret;
    if (run->ret->warnings)
        part->result.warnings = part->warnings;
    part->run.ret = &part->result;
    part->chunks = chunks;
}

// Where no thread can be had, its part is done here.
static void parts_run(struct part *parts, size_t count)
{
    for (size_t i = 1; i < count; i++)
        parts[i].started = pthread_create(&parts[i].thread, NULL, part_run, &parts[i]) == 0;
    for (size_t i = 0; i < count; i++)
        if (!parts[i].started)
            part_run(&parts[i]);
    for (size_t i = 1; i < count; i++)
        if (parts[i].started)
            pthread_join(parts[i].thread, NULL);
}

static enum nabla_code parts_join(const struct part *parts, size_t count, struct loss_run *run,
                                  struct nabla_error *err)
{
    run->totals = (struct loss_totals){.squares_scale = 1};
    for (size_t i = 0; i < count; i++) {
        if (parts[i].code != NABLA_OK) {
            if (err)
                *err = parts[i].err;
            return parts[i].code;
        }
        for (size_t j = parts[i].first; j < parts[i].end; j++)
            totals_join(&run->totals, &parts[i].chunks[j]);
        if (run->ret->warnings)
            warnings_join(run->ret->warnings, parts[i].warnings);
    }
    return NABLA_OK;
}

static enum nabla_code run_shared(struct loss_run *run, size_t chunks, size_t count, struct nabla_error *err)
{
    struct part *parts = size_alloc(count, 1, sizeof *parts);
    struct loss_totals *totals = size_alloc(chunks, 1, sizeof *totals);
    enum nabla_code code = NABLA_NO_MEMORY;
    if (parts && totals) {
        for (size_t i = 0; i < count; i++) {
            part_make(&parts[i], run, totals);
            parts[i].first = chunks * i / count;
            parts[i].end = chunks * (i + 1) / count;
        }
        parts_run(parts, count);
        code = parts_join(parts, count, run, err);
    } else {
        nabla_fail_memory(err, "the threads' parts");
    }
    free(totals);
    free(parts);
    return code;
}

enum nabla_code loss_run_all(struct loss_run *run, size_t threads, struct nabla_error *err)
{
    const struct nabla_loss_batch *batch = run->plan->batch;
    size_t rows = chunk_rows(batch), chunks = (batch->rows + rows - 1) / rows;
    size_t most = batch->rows * batch->classes / PART_ENTRIES;
    size_t count = threads < most ? threads : most;
    if (count > chunks)
        count = chunks;
    if (count > PARTS_MOST)
        count = PARTS_MOST;
    return count > 1 ? run_shared(run, chunks, count, err) : run_alone(run, chunks, err);
}
