// Data sets out of arrays: archives as NumPy and others write them (scripts/golden/npz_golden.py), and what
// is refused of those that somebody bent.
#include "data/array_dataset.h"

#include "base/file.h"
#include "base/gzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct dataset_limits limits = {.rows = 100, .columns = 10, .classes = 10, .bytes = 1 << 12};
static const int32_t golden_ids[] = {0, 2, 1, 2};

static struct buffer golden(const char *name)
{
    char path[100];
    struct buffer file = buffer_new(1 << 20);
    struct nabla_error err;
    snprintf(path, sizeof path, "tests/golden/npz/%s", name);
    if (file_read(path, &file, &err))
        fail_msg("%s", err.text);
    return file;
}

// In memory of exactly its size, so that reading behind its end is noticed.
static enum nabla_code read_exactly(const void *bytes, size_t size, const struct dataset_limits *within,
                                    struct dataset **ret, struct nabla_error *err)
{
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    enum nabla_code code = dataset_from_archive(copy, size, within, ret, err);
    free(copy);
    return code;
}

static const struct {
    const char *file;
    size_t classes, outputs;
    float first, last;   // target
    bool weights, whole; // features are whole numbers: the halves are cut off
} taken[] = {
    {"savez.npz", 3, 0, 0, 0, false, false},
    {"savez_compressed.npz", 3, 0, 0, 0, false, false},
    {"others.npz", 3, 0, 0, 0, false, false},
    {"weights.npz", 3, 0, 0, 0, true, false},
    {"regression.npz", 0, 1, 0.25F, 2.25F, false, false},
    {"multi_label.npz", 0, 2, 0, 0, false, false},
    {"images.npz", 3, 0, 0, 0, false, true},
    {"idx.zip", 3, 0, 0, 0, false, true},
    {"idx_gz.zip", 3, 0, 0, 0, false, true},
    {"idx_real.zip", 3, 0, 0, 0, false, false},
    {"zip64.npz", 3, 0, 0, 0, false, false},
};

static void archives_become_data_sets(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(taken); i++) {
        struct buffer file = golden(taken[i].file);
        struct dataset *d;
        struct nabla_error err;
        if (read_exactly(file.data, file.size, &limits, &d, &err))
            fail_msg("%s: %s", taken[i].file, err.text);
        print_message("%s\n", taken[i].file);
        assert_true(d->rows == 4 && d->columns == 3 && d->classes == taken[i].classes &&
                    d->outputs == taken[i].outputs);
        for (size_t k = 0; k < 12; k++)
            assert_true(d->features[k] == (float)(10 * (k / 3) + k % 3) + (taken[i].whole ? 0 : 0.5F));
        if (d->ids)
            assert_memory_equal(d->ids, golden_ids, sizeof golden_ids);
        else
            assert_true(d->targets[0] == taken[i].first && d->targets[4 * d->outputs - 1] == taken[i].last);
        assert_true(taken[i].weights ? d->weights[1] == 0.5F && d->weights[3] == 0 : !d->weights);
        assert_string_equal(d->feature_names[2], "x2");
        dataset_free(d);
        buffer_free(&file);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = {"savez.npz", "idx_gz.zip", "zip64.npz"};
    for (size_t i = 0; i < COUNT(files); i++) {
        struct buffer file = golden(files[i]);
        for (size_t size = 0; size < file.size; size++) {
            struct dataset *dataset = NULL;
            struct nabla_error err = {0};
            assert_int_equal(read_exactly(file.data, size, &limits, &dataset, &err), NABLA_MALFORMED);
            assert_non_null(strstr(err.text, "zip: "));
        }
        buffer_free(&file);
    }
}

// The nth record that begins with the mark.
static char *record(const struct buffer *file, const char *mark, size_t nth)
{
    for (char *at = file->data; at + 4 <= file->data + file->size; at++)
        if (memcmp(at, mark, 4) == 0 && nth-- == 0)
            return at;
    fail_msg("no record");
    return NULL;
}

#define LOCAL   "PK\3\4"
#define CENTRAL "PK\1\2"
#define END     "PK\5\6"
#define END64   "PK\6\6"
#define LOCATOR "PK\6\7"

// A few bytes of a good archive are written over.
static const struct {
    const char *comment, *file, *mark;
    size_t nth, offset;
    const char *bytes;
    size_t size;
    enum nabla_code code;
    const char *says;
} bent[] = {
    {"several disks", "savez.npz", END, 0, 4, "\1", 1, NABLA_MALFORMED, "several disks"},
    {"too many entries", "savez.npz", END, 0, 10, "\3", 1, NABLA_MALFORMED, "fewer entries than it says"},
    {"too few entries", "savez.npz", END, 0, 10, "\1", 1, NABLA_MALFORMED, "more entries than it says"},
    {"no entries", "savez.npz", END, 0, 10, "\0", 1, NABLA_MALFORMED, "more entries than it says"},
    {"very many entries", "savez.npz", END, 0, 10, "\xff\xff", 2, NABLA_LIMIT, "more than 4096 entries"},
    {"a directory elsewhere", "savez.npz", END, 0, 16, "\0\0\0\0", 4, NABLA_MALFORMED,
     "not where the file says"},
    {"a directory behind the end", "savez.npz", END, 0, 16, "\xff\xff\xff\x7f", 4, NABLA_MALFORMED,
     "not where the file says"},
    {"a longer directory", "savez.npz", END, 0, 12, "\xff", 1, NABLA_MALFORMED, "not where the file says"},
    {"encrypted", "savez.npz", CENTRAL, 1, 8, "\1", 1, NABLA_MALFORMED, "\"labels.npy\" is encrypted"},
    {"encrypted by its own header", "savez.npz", LOCAL, 1, 6, "\1", 1, NABLA_MALFORMED,
     "\"labels.npy\" has a header that says something else"},
    {"bzip2", "savez.npz", CENTRAL, 0, 10, "\x0c", 1, NABLA_MALFORMED,
     "\"features.npy\" is neither stored nor deflated"},
    {"deflated by the directory alone", "savez.npz", CENTRAL, 0, 10, "\x08", 1, NABLA_MALFORMED,
     "\"features.npy\" has a header that says something else"},
    {"two sizes", "savez.npz", CENTRAL, 0, 24, "\1\1", 2, NABLA_MALFORMED,
     "is stored, but with two different sizes"},
    {"another checksum", "savez.npz", CENTRAL, 0, 16, "\1\1", 2, NABLA_MALFORMED,
     "\"features.npy\" has a header that says something else"},
    {"another name", "savez.npz", LOCAL, 0, 30, "F", 1, NABLA_MALFORMED,
     "\"features.npy\" has a header that says something else"},
    {"a NUL in a name", "savez.npz", CENTRAL, 0, 48, "\0", 1, NABLA_MALFORMED, "NUL"},
    {"a longer name", "savez.npz", CENTRAL, 0, 28, "\xff\xff", 2, NABLA_MALFORMED, "ends within an entry"},
    {"an entry elsewhere", "savez.npz", CENTRAL, 1, 42, "\3\0", 2, NABLA_MALFORMED,
     "\"labels.npy\" is not where the central directory says"},
    {"an entry in the directory", "savez.npz", CENTRAL, 1, 42, "\xff\xff\xff\x7f", 4, NABLA_MALFORMED,
     "\"labels.npy\" is not where the central directory says"},
    {"a second entry in the first one's place", "savez.npz", CENTRAL, 1, 42, "\0\0\0\0", 4, NABLA_MALFORMED,
     "\"labels.npy\" has a header that says something else"},
    {"an entry that reaches into the directory", "savez.npz", LOCAL, 1, 28, "\xff\x7f", 2, NABLA_MALFORMED,
     "\"labels.npy\" reaches beyond the archive's content"},
    {"content that was altered", "savez.npz", LOCAL, 0, 200, "X", 1, NABLA_MALFORMED,
     "\"features.npy\" does not match its checksum"},
    {"packed content that was altered", "savez_compressed.npz", LOCAL, 0, 60, "\xff\xff\xff\xff", 4,
     NABLA_MALFORMED, "\"X.npy\" cannot be decompressed"},
    {"a size that is too small", "savez_compressed.npz", CENTRAL, 0, 24, "\x10", 1, NABLA_MALFORMED,
     "\"X.npy\" has another size than the directory says"},
    {"a size that is too large", "savez_compressed.npz", CENTRAL, 0, 24, "\xff", 1, NABLA_MALFORMED,
     "\"X.npy\" has another size than the directory says"},
    {"a size above the limit", "savez_compressed.npz", CENTRAL, 0, 24, "\0\x30\1", 3, NABLA_LIMIT,
     "\"X.npy\" has 77824 bytes, more than"},
    {"a size that no packing can reach", "savez_compressed.npz", CENTRAL, 0, 24, "\0\0\0\x7f", 4,
     NABLA_MALFORMED, "\"X.npy\" claims more bytes than its own could hold"},
    {"a ZIP64 directory elsewhere", "zip64.npz", LOCATOR, 0, 8, "\1\1", 2, NABLA_MALFORMED,
     "ZIP64 directory"},
    {"a ZIP64 directory far behind the end", "zip64.npz", LOCATOR, 0, 8, "\xff\xff\xff\xff\xff\xff\xff\xff",
     8, NABLA_MALFORMED, "ZIP64 directory"},
    {"ZIP64 disks", "zip64.npz", END64, 0, 16, "\1", 1, NABLA_MALFORMED, "several disks"},
    {"ZIP64 entries", "zip64.npz", END64, 0, 32, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, NABLA_LIMIT,
     "more than 4096 entries"},
    {"a ZIP64 directory of another size", "zip64.npz", END64, 0, 40, "\xff\xff\xff\xff\xff\xff\xff\xff", 8,
     NABLA_MALFORMED, "not where the file says"},
    {"no ZIP64 field", "zip64.npz", CENTRAL, 0, 58, "\2", 1, NABLA_MALFORMED,
     "\"features.npy\" lacks the ZIP64 field"},
    {"a short ZIP64 field", "zip64.npz", CENTRAL, 0, 60, "\x10", 1, NABLA_MALFORMED,
     "\"features.npy\" lacks the ZIP64 field"},
    {"a ZIP64 size beyond all", "zip64.npz", CENTRAL, 0, 69, "\xff\xff\xff\xff\xff\xff\xff", 7,
     NABLA_MALFORMED, "two different sizes"},
    {"a ZIP64 place beyond all", "zip64.npz", CENTRAL, 0, 78, "\xff\xff\xff\xff\xff\xff\xff\xff", 8,
     NABLA_MALFORMED, "\"features.npy\" is not where the central directory says"},
};

static void bent_archives_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bent); i++) {
        struct buffer file = golden(bent[i].file);
        struct dataset *dataset = NULL;
        struct nabla_error err = {0};
        char *at = record(&file, bent[i].mark, bent[i].nth) + bent[i].offset;
        assert_true(at + bent[i].size <= file.data + file.size);
        memcpy(at, bent[i].bytes, bent[i].size);
        enum nabla_code code = read_exactly(file.data, file.size, &limits, &dataset, &err);
        if (code != bent[i].code || !strstr(err.text, bent[i].says) || dataset)
            fail_msg("%s: %s, \"%s\"", bent[i].comment, nabla_code_name(code), err.text);
        buffer_free(&file);
    }
}

// Two entries whose headers agree with the directory, one within the other's content: as a bomb has it.
static void overlapping_entries_are_refused(void **state)
{
    (void)state;
    struct buffer file = golden("savez.npz");
    struct dataset *dataset = NULL;
    struct nabla_error err = {0};
    char *first = record(&file, CENTRAL, 0), *second = record(&file, LOCAL, 1);
    const uint32_t longer = (uint32_t)(second - file.data);
    memcpy(first + 20, &longer, 4);
    memcpy(first + 24, &longer, 4);
    assert_int_equal(read_exactly(file.data, file.size, &limits, &dataset, &err), NABLA_MALFORMED);
    assert_non_null(strstr(err.text, "\"labels.npy\" overlaps another one"));
    buffer_free(&file);
}

static void limits_hold_while_decompressing(void **state)
{
    (void)state;
    const struct dataset_limits few_rows = {.rows = 3, .columns = 10, .classes = 10, .bytes = 1 << 12};
    const struct dataset_limits few_bytes = {.rows = 100, .columns = 10, .classes = 10, .bytes = 16};
    struct buffer file = golden("idx_gz.zip");
    struct dataset *dataset = NULL;
    struct nabla_error err = {0};
    assert_int_equal(read_exactly(file.data, file.size, &few_rows, &dataset, &err), NABLA_LIMIT);
    assert_non_null(strstr(err.text, "max_dataset_rows"));
    assert_int_equal(read_exactly(file.data, file.size, &few_bytes, &dataset, &err), NABLA_LIMIT);
    assert_non_null(strstr(err.text, "max_dataset_bytes"));
    buffer_free(&file);
    // A megabyte of zeros within a kilobyte of gzip.
    struct buffer bomb = buffer_new(2 << 20);
    assert_non_null(buffer_reserve(&bomb, 1 << 20));
    memset(bomb.data, 0, bomb.size = 1 << 20);
    assert_true(gzip_pack(&bomb));
    const struct array_bytes images = {"bomb.gz", bomb.data, bomb.size};
    assert_int_equal(dataset_from_arrays(&images, &images, &limits, &dataset, &err), NABLA_LIMIT);
    assert_non_null(strstr(err.text, "bomb.gz: decompressed, it has more than"));
    buffer_free(&bomb);
}

#define BYTES(text)                                                                                          \
    {                                                                                                        \
        "images", text, sizeof text - 1                                                                      \
    }
#define IMAGES "\0\0\x08\2\0\0\0\2\0\0\0\2\1\2\3\4"

static const struct {
    const char *comment;
    struct array_bytes images, labels;
    const char *says; // NULL: taken
} pairs[] = {
    {"two files", BYTES(IMAGES), BYTES("\0\0\x08\1\0\0\0\2\0\1"), NULL},
    {"signed bytes", BYTES("\0\0\x09\2\0\0\0\2\0\0\0\2\1\2\3\xff"), BYTES("\0\0\x09\1\0\0\0\2\0\1"), NULL},
    {"doubles", BYTES("\0\0\x0e\2\0\0\0\2\0\0\0\1\x3f\xf0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
     BYTES("\0\0\x0c\1\0\0\0\2\0\0\0\0\0\0\0\1"), NULL},
    {"nothing", BYTES(""), BYTES("\0\0\x08\1\0\0\0\2\0\1"), "images: it is neither NPY nor IDX"},
    {"text", BYTES("a,b\n1,2\n"), BYTES("\0\0\x08\1\0\0\0\2\0\1"), "images: it is neither NPY nor IDX"},
    {"no such type", BYTES("\0\0\x0a\2\0\0\0\2\0\0\0\2"), BYTES("\0\0\x08\1\0\0\0\2\0\1"),
     "images: idx: byte 2: the type 0x0a is not known"},
    {"no dimensions", BYTES("\0\0\x08\0"), BYTES("\0\0\x08\1\0\0\0\2\0\1"), "idx: byte 3: 0 dimensions"},
    {"many dimensions", BYTES("\0\0\x08\x09"), BYTES("\0\0\x08\1\0\0\0\2\0\1"), "idx: byte 3: 9 dimensions"},
    {"cut in its dimensions", BYTES("\0\0\x08\2\0\0\0\2\0\0\0"), BYTES("\0\0\x08\1\0\0\0\2\0\1"),
     "ends within its dimensions"},
    {"a byte too few", BYTES("\0\0\x08\2\0\0\0\2\0\0\0\2\1\2\3"), BYTES("\0\0\x08\1\0\0\0\2\0\1"),
     "4 elements of 1 bytes are due behind byte 12, but 3 bytes stand there"},
    {"a byte too many", BYTES(IMAGES "\5"), BYTES("\0\0\x08\1\0\0\0\2\0\1"), "but 5 bytes stand there"},
    {"a product beyond 64 bits", BYTES("\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
     BYTES("\0\0\x08\1\0\0\0\2\0\1"), "overflows"},
    {"gzip that is none", BYTES("\x1f\x8b\x08\0"), BYTES("\0\0\x08\1\0\0\0\2\0\1"),
     "images: the compressed bytes end before their time"},
    {"other rows", BYTES(IMAGES), BYTES("\0\0\x08\1\0\0\0\3\0\1\0"), "has 3 rows where images has 2"},
    {"one class", BYTES(IMAGES), BYTES("\0\0\x08\1\0\0\0\2\1\1"), "all rows have one class"},
    {"a negative class", BYTES(IMAGES), BYTES("\0\0\x09\1\0\0\0\2\0\xff"), "has the class id -1"},
    {"labels for images", BYTES("\0\0\x08\1\0\0\0\2\0\1"), BYTES(IMAGES),
     "must be of the shape [rows, columns]"},
    {"not finite", BYTES("\0\0\x0d\2\0\0\0\2\0\0\0\1\x7f\x80\0\0\0\0\0\0"), BYTES("\0\0\x08\1\0\0\0\2\0\1"),
     "images: row 1, column 1 is not a finite number"},
};

static void pairs_of_files_are_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct dataset *dataset = NULL;
        struct nabla_error err = {0};
        enum nabla_code code =
            dataset_from_arrays(&pairs[i].images, &pairs[i].labels, &limits, &dataset, &err);
        if (pairs[i].says ? code == NABLA_OK || !strstr(err.text, pairs[i].says) : code != NABLA_OK)
            fail_msg("%s: %s, \"%s\"", pairs[i].comment, nabla_code_name(code), err.text);
        assert_true(pairs[i].says || dataset->features[0] == 1);
        dataset_free(dataset);
    }
}

static void names_tell_what_is_missing_or_twice(void **state)
{
    (void)state;
    struct buffer file = golden("savez.npz");
    struct dataset *dataset = NULL;
    struct nabla_error err = {0};
    memcpy(record(&file, LOCAL, 1) + 30, "image_.npy", 10);
    memcpy(record(&file, CENTRAL, 1) + 46, "image_.npy", 10);
    assert_int_equal(read_exactly(file.data, file.size, &limits, &dataset, &err), NABLA_INVALID);
    assert_non_null(strstr(err.text, "the archive has no labels"));
    memcpy(record(&file, LOCAL, 1) + 30, "images.npy", 10);
    memcpy(record(&file, CENTRAL, 1) + 46, "images.npy", 10);
    assert_int_equal(read_exactly(file.data, file.size, &limits, &dataset, &err), NABLA_INVALID);
    assert_non_null(strstr(err.text, "both \"features.npy\" and \"images.npy\" are taken for the features"));
    buffer_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives_become_data_sets),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(bent_archives_are_refused_by_name),
        cmocka_unit_test(overlapping_entries_are_refused),
        cmocka_unit_test(limits_hold_while_decompressing),
        cmocka_unit_test(pairs_of_files_are_read_or_refused),
        cmocka_unit_test(names_tell_what_is_missing_or_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
