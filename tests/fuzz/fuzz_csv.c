// CSV (data/csv.h): what is taken is a data set within its limits, and written out it reads back as the same.
#include "data/csv.h"
#include "tests/fuzz/fuzz_dataset.h"

static void write_and_read_back(const struct dataset *dataset, const struct dataset_limits *limits)
{
    struct buffer text = buffer_new(1 << 24);
    struct nabla_error err = {0};
    struct dataset *again;
    fuzz_require(csv_write(dataset, &text, &err) == NABLA_OK);
    // The label is the last column, under its own name.
    enum nabla_code code = csv_read(text.data, text.size, NULL, limits, &again, &err);
    if (code)
        fprintf(stderr, "%s\n%.*s\n", err.text, (int)text.size, text.data);
    fuzz_require(code == NABLA_OK);
    fuzz_require_same(dataset, again);
    dataset_free(again);
    buffer_free(&text);
}

// Numbers are finite; NaN is a cell that is missing and may be.
static void require_values(const struct dataset *dataset, bool keep_missing)
{
    for (size_t i = 0; i < dataset->rows * dataset->columns; i++)
        fuzz_require(isfinite(dataset->features[i]) || (keep_missing && isnan(dataset->features[i])));
}

// Every role at once, of a text with enough columns.
static void read_with_roles(const uint8_t *bytes, size_t size)
{
    static const struct csv_roles roles[] = {{.one_hot = true},
                                             {.one_hot = true, .weight = "w"},
                                             {.labels = "a,b", .task = CSV_MULTI_LABEL, .one_hot = true},
                                             {.task = CSV_REGRESSION},
                                             {.keep_missing = true},
                                             {.one_hot = true, .keep_missing = true, .weight = "w"}};
    const struct dataset_limits limits = fuzz_limits();
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        struct nabla_error err = {0};
        struct dataset *dataset;
        enum nabla_code code = csv_read((const char *)bytes, size, &roles[i], &limits, &dataset, &err);
        if (code) {
            fuzz_require_reason(code, &err);
            continue;
        }
        fuzz_require_dataset(dataset, &limits);
        require_values(dataset, roles[i].keep_missing);
        dataset_free(dataset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct dataset_limits limits = fuzz_limits();
    struct nabla_error err = {0};
    struct dataset *dataset;
    read_with_roles(bytes, size);
    enum nabla_code code = csv_read((const char *)bytes, size, NULL, &limits, &dataset, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return 0;
    }
    fuzz_require_dataset(dataset, &limits);
    if (dataset->classes)
        write_and_read_back(dataset, &limits);
    dataset_free(dataset);
    return 0;
}
