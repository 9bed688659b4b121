#include "api/spec.h"

#include "api/spec_decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void job_spec_free(struct job_spec *spec)
{
    if (!spec)
        return;
    free(spec->name);
    dataset_source_free(&spec->source);
    spec_free(&spec->train);
    *spec = (struct job_spec){0};
}

enum { DOCUMENT_SLACK = 64 }; // a lifted array may be shorter than the null in its place

// "/training/epochs: must be …; /model: is missing", as many as fit.
static enum nabla_code problems_fail(const struct problems *problems, struct nabla_error *err)
{
    char text[sizeof((struct nabla_error *)0)->text];
    size_t length = 0;
    for (size_t i = 0; i < problems->count && length < sizeof text; i++) {
        const struct problem_field *field = &problems->fields[i];
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s%s%s", i ? "; " : "",
                                   field->pointer, field->pointer[0] ? ": " : "", field->detail);
    }
    return nabla_fail(err, problems->failed ? problems->failed : NABLA_INVALID, problems->fields[0].pointer,
                      "%s", text);
}

enum nabla_code spec_from_json(const char *text, size_t size, const struct dataset_limits *limits,
                               struct job_spec *ret, struct nabla_error *err)
{
    struct bulk bulks[DATASET_BULKS];
    json_t *root;
    struct problems problems = {0};
    job_spec_bulks(bulks);
    *ret = (struct job_spec){0};
    enum nabla_code code = document_read(text, size, size + DOCUMENT_SLACK, bulks, DATASET_BULKS, &root, err);
    if (code)
        return code;
    job_spec_decode(root, bulks, limits, &problems, ret);
    json_decref(root);
    bulk_free(bulks, DATASET_BULKS);
    if (problems.count == 0)
        return NABLA_OK;
    job_spec_free(ret);
    return problems_fail(&problems, err);
}

// The residual around an expanded layer, or `layers`.
static size_t enclosing(const struct train_spec *train, size_t index, size_t layers)
{
    for (size_t i = index + 1; i < layers; i++)
        if (train->layers[i].type == LAYER_TYPE_RESIDUAL && i - train->layers[i].branch <= index)
            return i;
    return layers;
}

// "/model/layers/3", or "/model/layers/3/layers/0" within a residual.
static void layer_pointer(const struct job_spec *spec, size_t index, size_t layers, struct buffer *ret)
{
    const size_t outer = enclosing(&spec->train, index, layers);
    if (outer < layers)
        layer_pointer(spec, outer, layers, ret);
    buffer_format(ret, "%s/layers/%u", outer < layers ? "" : "/model", spec->written_at[index]);
}

// "/model/layers/7/units" → "/model/layers/3/units": expanded layers point at what they were written as.
static void pointer_translate(const struct job_spec *spec, size_t layers, char *pointer, size_t size)
{
    static const char prefix[] = "/model/layers/";
    if (strncmp(pointer, prefix, sizeof prefix - 1) != 0)
        return;
    char *rest;
    const size_t index = strtoul(pointer + sizeof prefix - 1, &rest, 10);
    if (index >= layers) { // the output layer that was added
        snprintf(pointer, size, "/model");
        return;
    }
    struct buffer place = buffer_new(size);
    layer_pointer(spec, index, layers, &place);
    buffer_text(&place, rest);
    if (!place.failed)
        snprintf(pointer, size, "%.*s", (int)place.size, place.data);
    buffer_free(&place);
}

enum nabla_code spec_prepare(struct job_spec *spec, const struct dataset *dataset, struct nabla_error *err)
{
    struct nabla_error cause = {0};
    size_t layers = spec->train.layer_count;
    if (!(spec->parts & SPEC_LOSS) && dataset->targets)
        spec->train.loss = nabla_loss_defaults(NABLA_MEAN_SQUARED_ERROR);
    if (spec_complete(&spec->train, dataset, &cause)) {
        pointer_translate(spec, layers, cause.pointer, sizeof cause.pointer);
        return nabla_fail(err, cause.code, cause.pointer, "%s", cause.text);
    }
    spec->train.output_written = true; // from here on the list is whole
    spec->parts = SPEC_ALL;
    return NABLA_OK;
}
