// A run by hand: what the trainer tells goes into a store, onto the terminal, and its first and newest record
// are kept for the table at the end. SIGINT and SIGTERM save it and leave its job paused; a run that was
// paused or killed can be gone on with.
#ifndef NABLA_SERVER_TRAIN_RUN_H
#define NABLA_SERVER_TRAIN_RUN_H

#include "api/spec.h"
#include "server/batch.h"
#include "train/trainer.h"

struct train_run;

// Opens the store in `folder` and makes the job, running. `spec` is prepared. The data set is kept, and
// *dataset is then the kept one, which the caller frees after the run. `weights` is the path of its initial
// weights, or NULL.
enum nabla_code train_run_new(const char *folder, const struct job_spec *spec, struct dataset **dataset,
                              const char *dataset_name, const char *weights, struct train_run **ret,
                              struct nabla_error *err);

// Opens the store and goes on with its newest job that was paused or killed: *ret_spec, prepared, and
// *ret_dataset are the caller's, and must outlive the run. NABLA_NOT_FOUND: there is no such job;
// NABLA_CONFLICT: it is being trained.
enum nabla_code train_run_resume(const char *folder, struct job_spec *ret_spec, struct dataset **ret_dataset,
                                 struct train_run **ret, struct nabla_error *err);
void train_run_free(struct train_run *run);

// Brings the trainer, which the run borrows from here on, to its initial weights or its newest checkpoint.
enum nabla_code train_run_begin(struct train_run *run, struct trainer *trainer, struct nabla_error *err);
struct train_observer train_run_observer(struct train_run *run);

// Writes what is left: the model into the job's folder and, unless NULL, to `model`, or a checkpoint where
// the run was interrupted; and the job's final state. Returns `code`, or the first error of its own; *err is
// then that one's.
enum nabla_code train_run_end(struct train_run *run, enum nabla_code code, const struct train_result *result,
                              const char *model, struct nabla_error *err);

// Borrowed; NULL before anything was recorded.
const struct queued_record *train_run_first(const struct train_run *run);
const struct queued_record *train_run_last(const struct train_run *run);
const char *train_run_job(const struct train_run *run);
const char *
train_run_saved(const struct train_run *run); // where an interrupted run stands: "step 1200, 8 kB"

#endif
