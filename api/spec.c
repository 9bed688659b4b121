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
    struct bulk bulks[2];
    json_t *root;
    struct problems problems = {0};
    job_spec_bulks(bulks);
    *ret = (struct job_spec){0};
    enum nabla_code code = document_read(text, size, size + DOCUMENT_SLACK, bulks, 2, &root, err);
    if (code)
        return code;
    job_spec_decode(root, bulks, limits, &problems, ret);
    json_decref(root);
    bulk_free(bulks, 2);
    if (problems.count == 0)
        return NABLA_OK;
    job_spec_free(ret);
    return problems_fail(&problems, err);
}

// "/model/layers/7/units" → "/model/layers/3/units": expanded layers point at what they were written as.
static void pointer_translate(const struct job_spec *spec, size_t layers, char *pointer, size_t size)
{
    static const char prefix[] = "/model/layers/";
    char rest[160], *end;
    if (strncmp(pointer, prefix, sizeof prefix - 1) != 0)
        return;
    size_t index = strtoul(pointer + sizeof prefix - 1, &end, 10);
    snprintf(rest, sizeof rest, "%s", end);
    if (index < layers)
        snprintf(pointer, size, "%s%u%.60s", prefix, spec->written_at[index], rest);
    else // the output layer that was added
        snprintf(pointer, size, "/model");
}

enum nabla_code spec_prepare(struct job_spec *spec, const struct dataset *dataset, struct nabla_error *err)
{
    struct nabla_error cause = {0};
    size_t layers = spec->train.layer_count;
    if (spec_complete(&spec->train, dataset, &cause)) {
        pointer_translate(spec, layers, cause.pointer, sizeof cause.pointer);
        return nabla_fail(err, cause.code, cause.pointer, "%s", cause.text);
    }
    spec->train.output_written = true; // from here on the list is whole
    spec->parts = SPEC_ALL;
    return NABLA_OK;
}
