#include "api/model_file.h"

#include "base/file.h"
#include "base/json_texts.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_LIMIT = 64 << 20 };

static char *borrowed(const char *text) // metadata is only read
{
    return (char *)(uintptr_t)text;
}

// Whose weights a finished run leaves.
static const char *weights_name(const struct train_spec *spec)
{
    return spec->early_stopping.active && spec->early_stopping.restore_best ? "best"
           : spec->optimizer.use_ema                                        ? "average"
                                                                            : "final";
}

static enum nabla_code write_header(struct file_writing *file, const struct train_spec *spec,
                                    const char *document, const struct dataset *dataset,
                                    const struct tensor *tensors, size_t count, struct nabla_error *err)
{
    struct buffer features = buffer_new(NAMES_LIMIT), classes = buffer_new(NAMES_LIMIT),
                  header = buffer_new(4 * (size_t)NAMES_LIMIT);
    json_texts_write(&features, dataset->feature_names, dataset->columns);
    json_texts_write(&classes, dataset->class_names, dataset->classes);
    const struct tensor_metadata metadata[] = {
        {borrowed("nabla"), borrowed("model")},
        {borrowed("version"), borrowed("1")},
        {borrowed("weights"), borrowed(weights_name(spec))},
        {borrowed("task"), borrowed(task_name(spec_task(spec, dataset)))},
        {borrowed("spec"), borrowed(document)},
        {borrowed("feature_names"), features.data},
        {borrowed("class_names"), classes.data},
        {borrowed("label"), borrowed(dataset->label_name ? dataset->label_name : "")},
    };
    enum nabla_code code = buffer_status(&features, "a model's names", err);
    if (!code)
        code = buffer_status(&classes, "a model's names", err);
    if (!code)
        code = safetensors_write_header(tensors, count, metadata, sizeof metadata / sizeof *metadata, 0,
                                        &header, err);
    if (!code)
        code = file_write(file, header.data, header.size, err);
    buffer_free(&header);
    buffer_free(&classes);
    buffer_free(&features);
    return code;
}

enum nabla_code model_file_write(const char *path, const struct job_spec *spec, const char *document,
                                 const struct dataset *dataset, const struct trainer *trainer,
                                 struct nabla_error *err)
{
    const size_t count = trainer_tensor_count(trainer);
    struct tensor *tensors = size_alloc(count, 1, sizeof *tensors);
    struct file_writing file;
    if (!tensors)
        return nabla_fail_memory(err, "a model's tensors");
    trainer_tensors(trainer, tensors);
    enum nabla_code code = file_begin(path, &file, err);
    if (code) {
        free(tensors);
        return code;
    }
    code = write_header(&file, &spec->train, document, dataset, tensors, count, err);
    for (size_t i = 0; i < count && !code; i++)
        code = file_write(&file, tensors[i].data, tensors[i].bytes, err);
    free(tensors);
    if (!code)
        return file_commit(&file, err);
    file_abandon(&file);
    return code;
}

enum nabla_code weights_load(const char *path, struct trainer *trainer, struct nabla_error *err)
{
    struct mapped mapped;
    struct safetensors *file = NULL;
    enum nabla_code code = mapped_open_path(path, &mapped, err);
    if (code)
        return code;
    code = safetensors_read(mapped.bytes, mapped.size, &file, err);
    if (!code)
        code = trainer_load(trainer, file, err);
    safetensors_free(file);
    mapped_close(&mapped);
    return code;
}

static enum nabla_code fail_foreign(struct nabla_error *err)
{
    return nabla_fail(err, NABLA_MALFORMED, NULL, "the file is no model that Nabla has written");
}

static enum nabla_code read_list(const struct safetensors *file, const char *key, char ***ret,
                                 size_t *ret_count, struct nabla_error *err)
{
    const char *text = safetensors_metadata(file, key);
    const enum nabla_code code =
        text ? json_texts_read(text, NAMES_LIMIT, ret, ret_count, err) : NABLA_MALFORMED;
    return code == NABLA_MALFORMED ? fail_foreign(err) : code;
}

static enum nabla_code read_metadata(struct model_file *model, struct nabla_error *err)
{
    const char *kind = safetensors_metadata(model->tensors, "nabla"),
               *spec = safetensors_metadata(model->tensors, "spec"),
               *label = safetensors_metadata(model->tensors, "label"),
               *task_text = safetensors_metadata(model->tensors, "task");
    const int task = task_text ? task_find(task_text) : -1;
    if (!kind || strcmp(kind, "model") != 0 || !spec || task < 0)
        return fail_foreign(err);
    enum nabla_code code =
        read_list(model->tensors, "feature_names", &model->feature_names, &model->columns, err);
    if (!code && model->columns == 0)
        return fail_foreign(err);
    if (!code)
        code = read_list(model->tensors, "class_names", &model->class_names, &model->classes, err);
    model->label = label && label[0] ? label : "label";
    model->task = (enum task)task;
    return code ? code : spec_from_json(spec, strlen(spec), &dataset_unlimited, &model->spec, err);
}

enum nabla_code model_file_open(const char *path, struct model_file *ret, struct nabla_error *err)
{
    struct model_file model = {0};
    enum nabla_code code = mapped_open_path(path, &model.mapped, err);
    if (!code)
        code = safetensors_read(model.mapped.bytes, model.mapped.size, &model.tensors, err);
    if (!code)
        code = read_metadata(&model, err);
    if (code)
        model_file_close(&model);
    else
        *ret = model;
    return code;
}

void model_file_close(struct model_file *model)
{
    if (!model)
        return;
    json_texts_free(model->class_names, model->classes);
    json_texts_free(model->feature_names, model->columns);
    job_spec_free(&model->spec);
    safetensors_free(model->tensors);
    mapped_close(&model->mapped);
    *model = (struct model_file){0};
}
