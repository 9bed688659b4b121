#include "server/train_dataset.h"

#include "base/file.h"
#include "base/mapped.h"
#include "data/array_dataset.h"
#include "data/safetensors.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

static const size_t file_limit = (size_t)16 << 30;

static bool safetensors_begins(const char *bytes, size_t size)
{
    enum { HEADER_AT = 8 }; // behind its length, whose upper bytes no text has
    return size > HEADER_AT && bytes[HEADER_AT] == '{' && bytes[HEADER_AT - 1] == '\0';
}

static enum nabla_code read_arrays(const struct train_files *files, const struct buffer *rows,
                                   struct dataset **ret, struct nabla_error *err)
{
    struct buffer labels = buffer_new(file_limit);
    if (!files->labels)
        return nabla_fail(err, NABLA_INVALID, NULL, "%s holds an array: give the labels' with --labels FILE",
                          files->path);
    enum nabla_code code = file_read(files->labels, &labels, err);
    if (!code) {
        const struct array_bytes images = {files->path, rows->data, rows->size};
        const struct array_bytes ids = {files->labels, labels.data, labels.size};
        code = dataset_from_arrays(&images, &ids, &dataset_unlimited, ret, err);
    }
    buffer_free(&labels);
    return code;
}

static enum nabla_code refuse(const char *option, const char *only, struct nabla_error *err)
{
    return nabla_fail(err, NABLA_INVALID, NULL, "%s goes with %s only", option, only);
}

static bool has_columns(const struct train_files *files)
{
    return files->roles.label || files->roles.weight || files->roles.task || files->roles.one_hot;
}

static enum nabla_code read_rows(const struct train_files *files, const struct buffer *rows,
                                 struct dataset **ret, struct nabla_error *err)
{
    const char *bytes = rows->data ? rows->data : "";
    const bool is_array = array_begins(bytes, rows->size), is_archive = archive_begins(bytes, rows->size);
    const bool is_tensors = safetensors_begins(bytes, rows->size);
    struct csv_roles roles = files->roles;
    if (files->labels && (is_archive || is_tensors))
        return refuse("--labels", "CSV, or an array in NPY or IDX", err);
    if (has_columns(files) && (is_array || is_archive || is_tensors))
        return refuse("what is said about columns", "CSV", err);
    if (is_array)
        return read_arrays(files, rows, ret, err);
    if (is_archive)
        return dataset_from_archive(bytes, rows->size, &dataset_unlimited, ret, err);
    if (is_tensors) // out of a pipe
        return safetensors_read_dataset(bytes, rows->size, &dataset_unlimited, ret, err);
    roles.labels = files->labels;
    return csv_read(bytes, rows->size, &roles, &dataset_unlimited, ret, err);
}

static enum nabla_code read_whole(const struct train_files *files, struct dataset **ret,
                                  struct nabla_error *err)
{
    struct buffer rows = buffer_new(file_limit);
    enum nabla_code code = file_read(files->path, &rows, err);
    if (!code)
        code = read_rows(files, &rows, ret, err);
    buffer_free(&rows);
    return code;
}

// Tensors, however large, stay in their file.
enum nabla_code train_dataset_read(const struct train_files *files, struct dataset **ret,
                                   struct nabla_error *err)
{
    struct stat status;
    struct mapped mapped;
    if (stat(files->path, &status) != 0 || !S_ISREG(status.st_mode)) // a pipe is read once
        return read_whole(files, ret, err);
    enum nabla_code code = mapped_open_path(files->path, &mapped, err);
    if (code)
        return code;
    if (!files->labels && !has_columns(files) && mapped.bytes &&
        safetensors_begins(mapped.bytes, mapped.size))
        code = safetensors_map_dataset(&mapped, &dataset_unlimited, ret, err);
    else
        code = read_whole(files, ret, err);
    mapped_close(&mapped); // unless the data set has it
    return code;
}
