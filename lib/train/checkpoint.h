// Checkpoints: a trainer's state (train_state.h) in a safetensors file, so that a job that was killed ends in
// the same bits as one that was not.
//
// In its folder a checkpoint is "checkpoint-<step>.safetensors": written beside, fsynced, renamed, the folder
// fsynced. Its last tensor, "checksum", is the SHA-256 of every byte before it; so a file that was cut off or
// altered is noticed, and the one before it used. The newest two are kept. Whatever else a writer that was
// killed left behind is removed with the next one.
// Thread safety: one folder, one thread.
#ifndef NABLA_TRAIN_CHECKPOINT_H
#define NABLA_TRAIN_CHECKPOINT_H

#include "train/trainer.h"

// What a checkpoint belongs to.
struct checkpoint_origin {
    const char *identity; // of spec and data: another's checkpoint is not used
    const char *platform; // trainer_platform's: another's is used, and told
};

// Saves where the trainer stands. *ret_bytes is the file's size; may be NULL.
enum nabla_code checkpoint_write(const char *folder, struct trainer *trainer,
                                 const struct checkpoint_origin *origin, size_t *ret_bytes,
                                 struct nabla_error *err);

struct checkpoint_found {
    bool is_found;
    uint64_t step;                        // 0 when none was
    char platform[TRAINER_PLATFORM_SIZE]; // what it was written on
    unsigned refused;                     // newer files that could not be used: removed, unless unreadable
    char problem[256];                    // of the newest of them
};

// Brings the trainer to the newest checkpoint that can be used. Without one it stays at the start, which is
// no error: *ret tells.
enum nabla_code checkpoint_read(const char *folder, struct trainer *trainer,
                                const struct checkpoint_origin *origin, struct checkpoint_found *ret,
                                struct nabla_error *err);

#endif
