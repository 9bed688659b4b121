// A run's checkpoints: when one is due, what they belong to, and how an attempt goes on from the newest.
// Thread safety: the trainer's thread.
#ifndef NABLA_SERVER_CHECKPOINTER_H
#define NABLA_SERVER_CHECKPOINTER_H

#include "base/buffer.h"
#include "base/token.h"
#include "train/trainer.h"

struct checkpointer {
    const char *folder;      // borrowed
    struct trainer *trainer; // borrowed
    char identity[TOKEN_SHA256_SIZE];
    char platform[TRAINER_PLATFORM_SIZE]; // "mixed" once a run has been on two
    int64_t every_ms, due_ms;             // INT64_MAX for never
};

// `spec` and `dataset` are what tells this run from any other: the job's document and a name of the rows that
// changes with them. `every_seconds` 0: never due.
struct checkpointer checkpointer_new(const char *folder, struct trainer *trainer, const char *spec,
                                     const char *dataset, double every_seconds);

bool checkpointer_is_due(const struct checkpointer *checkpointer);

// Saves where the trainer stands, with the luggage (may be empty). *ret_detail gets a line for the job's log,
// of the failure where there is one. The next is due after the interval, or later where writing takes long:
// it gets a twentieth of the time at most.
enum { CHECKPOINTER_DETAIL_SIZE = 256 };
enum nabla_code checkpointer_save(struct checkpointer *checkpointer, const struct buffer *luggage,
                                  char ret_detail[CHECKPOINTER_DETAIL_SIZE], struct nabla_error *err);

// Brings the trainer to the newest checkpoint that can be used. *ret_event is "restored", "restarted" where
// none is, or NULL for a first attempt of which there is nothing to tell; *ret_detail says more.
struct checkpoint_found;
enum nabla_code checkpointer_restore(struct checkpointer *checkpointer, bool is_first,
                                     struct checkpoint_found *ret, const char **ret_event,
                                     char ret_detail[CHECKPOINTER_DETAIL_SIZE], struct nabla_error *err);

// Whether the run would give the same bits again: all of it was on one platform.
bool checkpointer_is_reproducible(const struct checkpointer *checkpointer);

#endif
