// The rows that `nabla train` is given as files: CSV, safetensors, an archive (NPZ, or a ZIP of arrays), or
// one array (NPY, IDX, gzip or not) beside a second one with the labels. The first bytes tell which.
#ifndef NABLA_SERVER_TRAIN_DATASET_H
#define NABLA_SERVER_TRAIN_DATASET_H

#include "data/csv.h"

struct train_files {
    const char *path; // of the rows
    const char
        *labels; // of an array: the file with its labels; of CSV: columns, with commas between; or NULL
    struct csv_roles roles; // the columns of a CSV file
};

enum nabla_code train_dataset_read(const struct train_files *files, struct dataset **ret,
                                   struct nabla_error *err);

#endif
