#include "train/task.h"

#include <string.h>

#include "math/loss_row.h"

// What the written layers end in; 0: the output layer is still to come.
static size_t written_units(const struct train_spec *spec)
{
    size_t i = spec->output_written ? spec->layer_count : 0;
    while (i > 0 && spec->layers[i - 1].type != LAYER_TYPE_DENSE)
        i--;
    return i > 0 ? spec->layers[i - 1].units : 0;
}

static enum task task_of_ids(const struct train_spec *spec, const struct dataset *dataset)
{
    const bool single = loss_kernels[spec->loss.type].binary && dataset->classes == 2;
    return single && written_units(spec) != 2 ? TASK_BINARY : TASK_CLASSES;
}

enum task spec_task(const struct train_spec *spec, const struct dataset *dataset)
{
    const struct loss_kernel *kernel = &loss_kernels[spec->loss.type];
    if (dataset->ids)
        return task_of_ids(spec, dataset);
    return kernel->regression ? TASK_REGRESSION : kernel->binary ? TASK_MULTI_LABEL : TASK_SHARES;
}

size_t task_outputs(enum task task, const struct dataset *dataset)
{
    return task == TASK_BINARY ? 1 : task == TASK_CLASSES ? dataset->classes : dataset->outputs;
}

bool task_has_classes(enum task task)
{
    return task == TASK_CLASSES || task == TASK_SHARES;
}

bool task_is_binary(enum task task)
{
    return task == TASK_BINARY || task == TASK_MULTI_LABEL;
}

static const char *const names[] = {
    [TASK_CLASSES] = "classes", [TASK_BINARY] = "binary",         [TASK_MULTI_LABEL] = "multi_label",
    [TASK_SHARES] = "shares",   [TASK_REGRESSION] = "regression",
};
_Static_assert(sizeof names / sizeof *names == TASK_COUNT, "every task has its name");

const char *task_name(enum task task)
{
    return names[task];
}

int task_find(const char *name)
{
    for (int i = 0; i < TASK_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}
