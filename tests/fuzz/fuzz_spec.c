// A job's document (api/spec.h), mutated by structure (fuzz_document.h). What is taken and completed is
// expanded to a text that reads back to itself.
#include "api/spec.h"
#include "tests/fuzz/contract_words.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_document.h"

#include <string.h>

static const struct dataset_limits limits = {.rows = 500, .columns = 64, .classes = 20, .bytes = 1 << 18};

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed)
{
    size_t length = seed % 20 ? document_change(&contract_parts, bytes, size, most, seed) : 0;
    return length ? length : LLVMFuzzerMutate(bytes, size, most);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size,
                                 uint8_t *ret, size_t most, unsigned seed)
{
    return document_cross(one, one_size, other, other_size, ret, most, seed);
}

static void expand(const struct job_spec *spec, struct buffer *ret)
{
    struct nabla_error err = {0};
    *ret = buffer_new(1 << 24);
    fuzz_require(spec_to_json(spec, ret, &err) == NABLA_OK);
}

// The expanded document, read, completed and expanded again, is the same text.
static void require_fixed_point(const struct job_spec *spec, const struct dataset *dataset)
{
    struct nabla_error err = {0};
    struct job_spec again;
    struct buffer once, twice;
    expand(spec, &once);
    enum nabla_code code = spec_from_json(once.data, once.size, &limits, &again, &err);
    if (code)
        fprintf(stderr, "%s: %s\n%s\n", err.pointer, err.text, once.data);
    fuzz_require(code == NABLA_OK);
    if (dataset)
        fuzz_require(spec_prepare(&again, dataset, &err) == NABLA_OK);
    expand(&again, &twice);
    if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0)
        fprintf(stderr, "%s\n%s\n", once.data, twice.data);
    fuzz_require(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    job_spec_free(&again);
    buffer_free(&once);
    buffer_free(&twice);
}

static void complete(struct job_spec *spec, struct dataset *dataset)
{
    struct nabla_error err = {0};
    struct train_cost cost;
    enum nabla_code code = spec_prepare(spec, dataset, &err);
    if (code == NABLA_OK)
        code = spec_cost(&spec->train, dataset, &cost, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return;
    }
    fuzz_require(cost.parameters > 0 && cost.bytes >= cost.parameters * sizeof(float));
    require_fixed_point(spec, dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nabla_error err = {0};
    struct job_spec spec;
    struct dataset *dataset = NULL;
    enum nabla_code code = spec_from_json((const char *)bytes, size, &limits, &spec, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return 0;
    }
    if (spec.source.kind != SOURCE_NONE && spec.source.kind != SOURCE_ID) {
        code = dataset_source_make(&spec.source, &limits, &dataset, &err);
        if (code)
            fuzz_require_reason(code, &err);
        else
            complete(&spec, dataset);
    }
    dataset_free(dataset);
    job_spec_free(&spec);
    return 0;
}
