// A run by hand: what the trainer tells goes into a store, onto the terminal, and its first and newest record
// are kept for the table at the end. SIGINT and SIGTERM end it as cancelled.
#ifndef NABLA_SERVER_TRAIN_RUN_H
#define NABLA_SERVER_TRAIN_RUN_H

#include "api/spec.h"
#include "server/batch.h"
#include "train/trainer.h"

struct train_run;

// Opens the store in `folder` and makes the job, running. `spec` is prepared.
enum nabla_code train_run_new(const char *folder, const struct job_spec *spec, const struct dataset *dataset,
                              const char *dataset_name, struct train_run **ret, struct nabla_error *err);
void train_run_free(struct train_run *run);

struct train_observer train_run_observer(struct train_run *run);

// Writes what is left and the job's final state. Returns `code`, or the first error of its own; *err is then
// that one's.
enum nabla_code train_run_end(struct train_run *run, enum nabla_code code, const struct train_result *result,
                              struct nabla_error *err);

// Borrowed; NULL before anything was recorded.
const struct queued_record *train_run_first(const struct train_run *run);
const struct queued_record *train_run_last(const struct train_run *run);
const char *train_run_job(const struct train_run *run);

#endif
