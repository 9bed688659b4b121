#include "train/checkpoint.h"

#include "base/file.h"
#include "base/mapped.h"
#include "base/token.h"
#include "train/train_state.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT = 2, HEADER_LIMIT = 1 << 20, STEPS_MAX = 64 };

static const char version[] = "1";
static const char prefix[] = "checkpoint-", suffix[] = ".safetensors", luggage_name[] = "luggage",
                  checksum_name[] = "checksum";

static void file_path(const char *folder, uint64_t step, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s/%s%" PRIu64 "%s", folder, prefix, step, suffix);
}

// False for the name of anything else, half-written files among them.
static bool file_step(const char *name, uint64_t *ret)
{
    char *end;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    errno = 0;
    unsigned long long step = strtoull(name + sizeof prefix - 1, &end, 10);
    if (errno || strcmp(end, suffix) != 0)
        return false;
    *ret = step;
    return true;
}

// The steps of a folder's checkpoints, newest first.
struct found_steps {
    uint64_t steps[STEPS_MAX];
    size_t count;
};

static void insert_step(struct found_steps *found, uint64_t step)
{
    size_t at = found->count < STEPS_MAX ? found->count++ : STEPS_MAX - 1;
    for (; at > 0 && found->steps[at - 1] < step; at--)
        found->steps[at] = found->steps[at - 1];
    found->steps[at] = step;
}

// Visits the folder's entries that have to do with checkpoints; `is_whole` is false for half-written files.
typedef void visitor(void *context, const char *name, bool is_whole, uint64_t step);

static enum nabla_code visit_folder(const char *folder, visitor *visit, void *context,
                                    struct nabla_error *err)
{
    DIR *entries = opendir(folder);
    if (!entries)
        return nabla_fail_errno(err, "read the folder", folder);
    struct dirent *entry;
    enum nabla_code code;
    while ((code = file_next(entries, folder, &entry, err)) == NABLA_OK && entry) {
        uint64_t step = 0;
        bool is_whole = file_step(entry->d_name, &step);
        if (is_whole || strncmp(entry->d_name, prefix, sizeof prefix - 1) == 0)
            visit(context, entry->d_name, is_whole, step);
    }
    closedir(entries);
    return code;
}

static void collect_step(void *context, const char *name, bool is_whole, uint64_t step)
{
    (void)name;
    if (is_whole)
        insert_step(context, step);
}

struct tidying {
    const char *folder;
    uint64_t oldest; // that is kept
};

static void tidy_entry(void *context, const char *name, bool is_whole, uint64_t step)
{
    const struct tidying *tidying = context;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", tidying->folder, name);
    if (!is_whole || step < tidying->oldest)
        unlink(path); // what stays is tried again with the next one
}

static void tidy(const char *folder)
{
    struct found_steps found = {0};
    if (visit_folder(folder, collect_step, &found, NULL))
        return;
    struct tidying tidying = {.folder = folder, .oldest = found.count > KEPT ? found.steps[KEPT - 1] : 0};
    visit_folder(folder, tidy_entry, &tidying, NULL);
}

void checkpoint_remove(const char *folder)
{
    struct tidying all = {.folder = folder, .oldest = UINT64_MAX};
    visit_folder(folder, tidy_entry, &all, NULL);
}

// A file on its way, and the checksum of what it has so far.
struct output {
    struct file_writing file;
    struct token_sha256_run *checksum;
    size_t size;
};

static enum nabla_code output_add(struct output *output, const void *bytes, size_t size,
                                  struct nabla_error *err)
{
    token_sha256_add(output->checksum, bytes, size);
    output->size += size;
    return file_write(&output->file, bytes, size, err);
}

static struct tensor row_tensor(const struct train_state_row *row)
{
    return (struct tensor){.name = (char *)(uintptr_t)row->name, // only read
                           .dtype = row->dtype,
                           .rank = 1,
                           .shape = {row->count},
                           .elements = row->count,
                           .bytes = train_state_row_bytes(row)};
}

static enum nabla_code write_header(struct output *output, const struct train_state *state,
                                    const struct checkpoint_origin *origin, struct nabla_error *err)
{
    struct tensor tensors[TRAIN_STATE_ROWS_MAX + 1];
    const struct train_state_row checksum = {checksum_name, TENSOR_U8, NULL, TOKEN_SHA256_BYTES};
    struct tensor_metadata metadata[] = {{(char *)"nabla", (char *)"checkpoint"},
                                         {(char *)"version", (char *)(uintptr_t)version},
                                         {(char *)"identity", (char *)(uintptr_t)origin->identity},
                                         {(char *)"platform", (char *)(uintptr_t)origin->platform}};
    struct buffer header = buffer_new(HEADER_LIMIT);
    for (size_t i = 0; i < state->count; i++)
        tensors[i] = row_tensor(&state->rows[i]);
    tensors[state->count] = row_tensor(&checksum);
    enum nabla_code code = safetensors_write_header(tensors, state->count + 1, metadata,
                                                    sizeof metadata / sizeof *metadata, 0, &header, err);
    if (!code)
        code = output_add(output, header.data, header.size, err);
    buffer_free(&header);
    return code;
}

static enum nabla_code write_content(struct output *output, const struct train_state *state,
                                     const struct checkpoint_origin *origin, struct nabla_error *err)
{
    unsigned char checksum[TOKEN_SHA256_BYTES];
    output->checksum = token_sha256_begin();
    if (!output->checksum)
        return nabla_fail_memory(err, "a checksum");
    enum nabla_code code = write_header(output, state, origin, err);
    for (size_t i = 0; i < state->count && !code; i++)
        code = output_add(output, state->rows[i].data, train_state_row_bytes(&state->rows[i]), err);
    token_sha256_end(output->checksum, checksum);
    output->size += sizeof checksum;
    return code ? code : file_write(&output->file, checksum, sizeof checksum, err);
}

enum nabla_code checkpoint_write(const char *folder, struct trainer *trainer,
                                 const struct checkpoint_origin *origin, size_t *ret_bytes,
                                 struct nabla_error *err)
{
    struct train_state state;
    struct output output = {0};
    char path[PATH_MAX];
    trainer_state(trainer, &state);
    train_state_add(&state, luggage_name, TENSOR_U8, (void *)(uintptr_t)origin->luggage, // only read
                    origin->luggage_size);
    file_path(folder, trainer_step(trainer), path);
    enum nabla_code code = file_begin(path, &output.file, err);
    if (code)
        return code;
    code = write_content(&output, &state, origin, err);
    if (code) {
        file_abandon(&output.file);
        return code;
    }
    code = file_commit(&output.file, err);
    if (code)
        return code;
    tidy(folder);
    if (ret_bytes)
        *ret_bytes = output.size;
    return NABLA_OK;
}

static enum nabla_code check_sum(const struct mapped *file, struct nabla_error *err)
{
    unsigned char checksum[TOKEN_SHA256_BYTES];
    struct token_sha256_run *run = token_sha256_begin();
    if (!run)
        return nabla_fail_memory(err, "a checksum");
    size_t covered = file->size > sizeof checksum ? file->size - sizeof checksum : 0;
    token_sha256_add(run, file->bytes, covered);
    token_sha256_end(run, checksum);
    if (covered == 0 || memcmp((const char *)file->bytes + covered, checksum, sizeof checksum) != 0)
        return nabla_fail(err, NABLA_MALFORMED, NULL, "it is cut off or was altered: the checksum is wrong");
    return NABLA_OK;
}

static bool metadata_is(const struct safetensors *file, const char *key, const char *wanted)
{
    const char *value = safetensors_metadata(file, key);
    return value && strcmp(value, wanted) == 0;
}

// Whether the file has just the rows of the state: after this nothing can go wrong any more.
static enum nabla_code check_rows(const struct safetensors *file, const struct train_state *state,
                                  const struct checkpoint_origin *origin, struct nabla_error *err)
{
    if (!metadata_is(file, "nabla", "checkpoint") || !metadata_is(file, "version", version))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "it is no checkpoint of this version of Nabla");
    if (!metadata_is(file, "identity", origin->identity))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "it belongs to another job");
    const size_t wanted = state->count + 2; // with luggage and checksum
    if (file->tensor_count != wanted || !safetensors_find(file, luggage_name))
        return nabla_fail(err, NABLA_MALFORMED, NULL, "it has %zu parts, not %zu", file->tensor_count,
                          wanted);
    for (size_t i = 0; i < state->count; i++) {
        const struct train_state_row *row = &state->rows[i];
        const struct tensor *tensor = safetensors_find(file, row->name);
        if (!tensor || tensor->dtype != row->dtype || tensor->elements != row->count)
            return nabla_fail(err, NABLA_MALFORMED, NULL, "its part %s is not that of this job", row->name);
    }
    return NABLA_OK;
}

static void take_rows(const struct safetensors *file, const struct train_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct tensor *tensor = safetensors_find(file, state->rows[i].name);
        if (tensor->bytes > 0)
            memcpy(state->rows[i].data, tensor->data, tensor->bytes);
    }
}

static enum nabla_code take_luggage(const struct safetensors *file, struct checkpoint_found *ret,
                                    struct nabla_error *err)
{
    const struct tensor *luggage = safetensors_find(file, luggage_name);
    if (luggage->bytes == 0)
        return NABLA_OK;
    ret->luggage = malloc(luggage->bytes);
    if (!ret->luggage)
        return nabla_fail_memory(err, "what a checkpoint carries along");
    memcpy(ret->luggage, luggage->data, luggage->bytes);
    ret->luggage_size = luggage->bytes;
    return NABLA_OK;
}

static enum nabla_code restore(const struct mapped *mapped, struct trainer *trainer,
                               const struct checkpoint_origin *origin, struct checkpoint_found *ret,
                               struct nabla_error *err)
{
    struct train_state state;
    struct safetensors *file = NULL;
    trainer_state(trainer, &state);
    enum nabla_code code = check_sum(mapped, err);
    if (!code)
        code = safetensors_read(mapped->bytes, mapped->size, &file, err);
    if (!code)
        code = check_rows(file, &state, origin, err);
    if (!code)
        code = take_luggage(file, ret, err);
    if (!code) {
        const char *platform = safetensors_metadata(file, "platform");
        take_rows(file, &state);
        trainer_restored(trainer);
        ret->is_found = true;
        ret->step = trainer_step(trainer);
        snprintf(ret->platform, sizeof ret->platform, "%s", platform ? platform : "");
    }
    safetensors_free(file);
    return code;
}

static enum nabla_code try_file(const char *path, struct trainer *trainer,
                                const struct checkpoint_origin *origin, struct checkpoint_found *ret,
                                struct nabla_error *err)
{
    struct mapped mapped = {0};
    enum nabla_code code = mapped_open_path(path, &mapped, err);
    if (code)
        return code;
    code = restore(&mapped, trainer, origin, ret, err);
    mapped_close(&mapped);
    if (code == NABLA_MALFORMED)
        unlink(path); // or it would stand in the place of a good one
    return code;
}

enum nabla_code checkpoint_read(const char *folder, struct trainer *trainer,
                                const struct checkpoint_origin *origin, struct checkpoint_found *ret,
                                struct nabla_error *err)
{
    struct found_steps steps = {0};
    struct checkpoint_found found = {0};
    enum nabla_code code = visit_folder(folder, collect_step, &steps, err);
    for (size_t i = 0; i < steps.count && !code && !found.is_found; i++) {
        struct nabla_error problem;
        char path[PATH_MAX];
        file_path(folder, steps.steps[i], path);
        code = try_file(path, trainer, origin, &found, &problem);
        if (code == NABLA_NO_MEMORY) {
            *err = problem;
        } else if (code) {
            code = NABLA_OK;
            if (found.refused++ == 0)
                snprintf(found.problem, sizeof found.problem, "the checkpoint of step %" PRIu64 ": %.180s",
                         steps.steps[i], problem.text);
        }
    }
    if (!code)
        *ret = found;
    return code;
}
