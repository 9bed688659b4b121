#include "base/file.h"
#include "data/csv.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define TEXT(literal) (literal), sizeof(literal) - 1

static const struct dataset_limits roomy = {
    .rows = 100000, .columns = 1000, .classes = 100, .bytes = 1 << 26};

// The text lies in memory of its exact size, so that a sanitizer sees a read beyond it.
static enum nabla_code read_exact(const char *text, size_t size, const char *label,
                                  const struct dataset_limits *limits, struct dataset **ret,
                                  struct nabla_error *err)
{
    char *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, text, size);
    enum nabla_code code = csv_read(exact, size, &(struct csv_roles){.label = label}, limits, ret, err);
    free(exact);
    return code;
}

static struct dataset *read_good(const char *text, size_t size, const char *label)
{
    struct nabla_error err = {0};
    struct dataset *dataset = NULL;
    if (read_exact(text, size, label, &roomy, &dataset, &err))
        fail_msg("%.100s: %s", text, err.text);
    return dataset;
}

static const struct {
    const char *text;
    size_t size;
    const char *comment;
} same[] = {
    {TEXT("a,b,y\n1,2,no\n3,-4.5,yes\n"), "plain"},
    {TEXT("a,b,y\n1,2,no\n3,-4.5,yes"), "no newline at the end"},
    {TEXT("a,b,y\r\n1,2,no\r\n3,-4.5,yes\r\n"), "CRLF"},
    {TEXT("a,b,y\r\n1,2,no\n3,-4.5,yes\r"), "mixed line ends"},
    {TEXT("a,b,y\n1,2,no\n3,-4.5,yes\n\n\r\n\n"), "empty lines at the end"},
    {TEXT("\xef\xbb\xbf"
          "a,b,y\n1,2,no\n3,-4.5,yes\n"),
     "a byte order mark"},
    {TEXT("\"a\",\"b\",\"y\"\n\"1\",\"2\",\"no\"\n\"3\",\"-4.5\",\"yes\"\n"), "all in quotes"},
    {TEXT("\"a\",b,\"y\"\r\n1,\"2\",\"no\"\r\n\"3\",-4.5,\"yes\"\r"), "quotes and CRLF"},
    {TEXT("\xef\xbb\xbf\"a\",b,y\n1,2,no\n3,-4.5,yes\n"), "a byte order mark before a quote"},
    {TEXT(" a , b,y \n 1,\t2 , no\n3 , -4.5,yes  \n"), "blanks around cells"},
    {TEXT("a,b,y\n1e0,+2,no\n3.,-.45e1,yes\n"), "other spellings of the numbers"},
};

static void one_table_reads_the_same_however_written(void **state)
{
    (void)state;
    static const float features[] = {1, 2, 3, -4.5f};
    for (size_t i = 0; i < COUNT(same); i++) {
        struct dataset *dataset = read_good(same[i].text, same[i].size, NULL);
        if (dataset->rows != 2 || dataset->columns != 2 || dataset->classes != 2)
            fail_msg("%s", same[i].comment);
        assert_memory_equal(dataset->features, features, sizeof features);
        assert_true(dataset->ids[0] == 0 && dataset->ids[1] == 1);
        assert_string_equal(dataset->feature_names[0], "a");
        assert_string_equal(dataset->feature_names[1], "b");
        assert_string_equal(dataset->label_name, "y");
        assert_string_equal(dataset->class_names[0], "no");
        assert_string_equal(dataset->class_names[1], "yes");
        dataset_free(dataset);
    }
}

static void quotes_hold_commas_newlines_and_quotes(void **state)
{
    (void)state;
    struct dataset *d = read_good(
        TEXT("\"a,\"\"1\"\"\",y\n1,\"x,\r\ny\"\n2,\"say \"\"hi\"\"\"\n3,\" \"\n4,\"\"\"\"\n"), NULL);
    assert_string_equal(d->feature_names[0], "a,\"1\"");
    assert_int_equal(d->rows, 4);
    assert_int_equal(d->classes, 4);
    assert_string_equal(d->class_names[d->ids[0]], "x,\r\ny");
    assert_string_equal(d->class_names[d->ids[1]], "say \"hi\"");
    assert_string_equal(d->class_names[d->ids[2]], " ");
    assert_string_equal(d->class_names[d->ids[3]], "\"");
    dataset_free(d);
}

static const struct {
    const char *text;
    size_t size;
    const char *names[4];
    int32_t ids[4];
    const char *comment;
} labelled[] = {
    {TEXT("x,y\n0,10\n0,9\n0,-1\n0,10\n"), {"-1", "9", "10"}, {2, 1, 0, 2}, "integers by value"},
    {TEXT("x,y\n0,10\n0,9\n0,a\n0,10\n"), {"10", "9", "a"}, {0, 1, 2, 0}, "a text among them: by bytes"},
    {TEXT("x,y\n0,7\n0,007\n0,-0\n0,0\n"),
     {"0", "7"},
     {1, 1, 0, 0},
     "spellings of one integer are one class"},
    {TEXT("x,y\n0,b\n0,B\n0,a\n0,b\n"), {"B", "a", "b"}, {2, 0, 1, 2}, "byte order, not the locale's"},
    {TEXT("x,y\n0,1.0\n0,0.0\n0,1.0\n0,1\n"), {"0.0", "1", "1.0"}, {2, 0, 2, 1}, "no integers: texts"},
    {TEXT("x,y\n0,\"a\"\n0,a\n0, a\n0,\" a\"\n"),
     {" a", "a"},
     {1, 1, 1, 0},
     "quotes are no part of the label"},
    {TEXT("x,y\n0,\xc3\xa9\n0,z\n0,\xf0\x9f\x98\x80\n0,z\n"),
     {"z", "\xc3\xa9", "\xf0\x9f\x98\x80"},
     {1, 0, 2, 0},
     "UTF-8"},
    {TEXT("x,y\n0,ab\n0,a\n0,abc\n0,ab\n"), {"a", "ab", "abc"}, {1, 0, 2, 1}, "one the head of the other"},
    {TEXT("x,y\n0,9223372036854775807\n0,-9223372036854775808\n0,0\n0,0\n"),
     {"-9223372036854775808", "0", "9223372036854775807"},
     {2, 0, 1, 1},
     "the ends of 64 bits"},
};

static void classes_are_ordered(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(labelled); i++) {
        struct dataset *dataset = read_good(labelled[i].text, labelled[i].size, "y");
        for (size_t c = 0; c < COUNT(labelled[i].names) && labelled[i].names[c]; c++) {
            if (c >= dataset->classes || strcmp(dataset->class_names[c], labelled[i].names[c]) != 0)
                fail_msg("%s: class %zu", labelled[i].comment, c);
            assert_true(c + 1 == dataset->classes || labelled[i].names[c + 1]);
        }
        assert_memory_equal(dataset->ids, labelled[i].ids, sizeof labelled[i].ids);
        dataset_free(dataset);
    }
}

static void the_label_may_stand_anywhere(void **state)
{
    (void)state;
    struct dataset *dataset = read_good(TEXT("a,kind,b\n1,u,2\n3,v,4\n"), "kind");
    static const float features[] = {1, 2, 3, 4};
    assert_memory_equal(dataset->features, features, sizeof features);
    assert_string_equal(dataset->feature_names[1], "b");
    assert_string_equal(dataset->label_name, "kind");
    dataset_free(dataset);
}

static const struct {
    const char *text;
    size_t size;
    const char *label;
    enum nabla_code code;
    const char *error; // what its text must hold
    const char *comment;
} refused[] = {
    {TEXT(""), NULL, NABLA_MALFORMED, "empty", "nothing"},
    {TEXT("\n\n"), NULL, NABLA_MALFORMED, "empty", "only newlines"},
    {TEXT("\xef\xbb\xbf"), NULL, NABLA_MALFORMED, "empty", "only a byte order mark"},
    {TEXT("a,y\n"), NULL, NABLA_INVALID, "no rows", "only a header"},
    {TEXT("a\n1\n"), NULL, NABLA_INVALID, "one column", "one column"},
    {TEXT("a;y\n1;2\n"), NULL, NABLA_INVALID, "separated by commas", "semicolons"},
    {TEXT("a,y\n1,0\n,1\n"), NULL, NABLA_INVALID,
     "row 2, column 1 (a): expected a number, found an empty cell", "a missing cell"},
    {TEXT("a,y\n1,0\n \t,1\n"), NULL, NABLA_INVALID,
     "row 2, column 1 (a): expected a number, found an empty cell", "blanks only"},
    {TEXT("a,b,y\n1,2,0\n3,abc,1\n"), NULL, NABLA_INVALID,
     "row 2, column 2 (b): expected a number, found \"abc\"", "a text cell"},
    {TEXT("a,y\n1,0\n2x,1\n"), NULL, NABLA_INVALID, "row 2, column 1 (a): expected a number, found \"2x\"",
     "a unit behind"},
    {TEXT("a,y\n1,0\n1 2,1\n"), NULL, NABLA_INVALID, "found \"1 2\"", "two numbers"},
    {TEXT("a,y\n\"1\n\",0\n2,1\n"), NULL, NABLA_INVALID,
     "row 1, column 1 (a): expected a number, found \"1?\"", "a newline behind a number"},
    {TEXT("a,y\n0x1F,0\n2,1\n"), NULL, NABLA_INVALID, "found \"0x1F\"", "hexadecimal"},
    {TEXT("a,y\nnan,0\n2,1\n"), NULL, NABLA_INVALID,
     "row 1, column 1 (a): expected a finite number, found \"nan\"", "NaN"},
    {TEXT("a,y\n1,0\n-Inf,1\n"), NULL, NABLA_INVALID, "expected a finite number, found \"-Inf\"", "infinity"},
    {TEXT("a,y\n1,0\n1e39,1\n"), NULL, NABLA_INVALID,
     "row 2, column 1 (a): expected a number in a float32's range, found \"1e39\"", "beyond float32"},
    {TEXT("a,y\n1,0\n-1e400,1\n"), NULL, NABLA_INVALID, "float32's range", "beyond float64"},
    {TEXT("a,y\n1,0\n2,\n"), NULL, NABLA_INVALID,
     "row 2, column 2 (y): expected a label, found an empty cell", "a missing label"},
    {TEXT("a,y\n1,0\n2,\"\"\n"), NULL, NABLA_INVALID, "expected a label", "an empty label in quotes"},
    {TEXT("a,y\n1,5\n2,5\n"), NULL, NABLA_INVALID, "every row has the label \"5\"", "a single class"},
    {TEXT("a,y\n1,5\n2,05\n"), NULL, NABLA_INVALID, "every row has the label \"5\"",
     "a single class in two spellings"},
    {TEXT("a,y\n1,1\n2,9223372036854775808\n"), NULL, NABLA_INVALID,
     "row 2: the label 9223372036854775808 does not fit", "an integer label beyond 64 bits"},
    {TEXT("a,y\n1,-99999999999999999999\n2,1\n"), NULL, NABLA_INVALID, "row 1: the label",
     "and a negative one"},
    {TEXT("a,y\n1,0\n2\n"), NULL, NABLA_MALFORMED, "row 2: found 1 cells, the header has 2", "a short row"},
    {TEXT("a,y\n1,0,3\n2,1\n"), NULL, NABLA_MALFORMED, "row 1: found 3 cells", "a long row"},
    {TEXT("a,y\n1,0\n\n2,1\n"), NULL, NABLA_MALFORMED, "row 2: found 1 cells", "an empty line in between"},
    {TEXT("a,y\n1,0\n2,1,\n"), NULL, NABLA_MALFORMED, "row 2: found 3 cells", "a trailing comma"},
    {TEXT("a,a,y\n1,2,0\n3,4,1\n"), NULL, NABLA_INVALID, "more than one column is named \"a\"",
     "duplicate names"},
    {TEXT("a,b,\"a\"\n1,2,0\n3,4,1\n"), NULL, NABLA_INVALID, "more than one column is named \"a\"",
     "duplicate names, one in quotes"},
    {TEXT(",y\n1,0\n3,1\n"), NULL, NABLA_MALFORMED, "header, column 1: the cell is empty",
     "a column without a name"},
    {TEXT("a,\xff\n1,0\n3,1\n"), NULL, NABLA_MALFORMED, "header, column 2: the text is not UTF-8",
     "a name that is not UTF-8"},
    {TEXT("a\0b,y\n1,0\n3,1\n"), NULL, NABLA_MALFORMED, "header, column 1: the text holds a NUL",
     "NUL in a name"},
    {TEXT("\xff\xfe"
          "a\0,\0y\0\n\0"),
     NULL, NABLA_MALFORMED, "", "UTF-16"},
    {TEXT("a,y\n1,0\n3,\xe9\n"), NULL, NABLA_MALFORMED, "row 2, column 2: the text is not UTF-8",
     "a Latin-1 label"},
    {TEXT("a,y\n1,0\n3,x\0y\n"), NULL, NABLA_MALFORMED, "row 2, column 2: the text holds a NUL",
     "NUL in a label"},
    {TEXT("a,y\n1,0\n\xe9,1\n"), NULL, NABLA_INVALID, "expected a number, found \"?\"",
     "a cell that is not UTF-8"},
    {TEXT("a,y\n1,0\n3\0,1\n"), NULL, NABLA_INVALID, "found \"3?\"", "NUL behind a number"},
    {TEXT("a,y\n1,0\n\"2,1\n"), NULL, NABLA_MALFORMED, "row 2: found 1 cells",
     "a quote never closed swallows the rest"},
    {TEXT("a,y\n1,0\n2,\"1\n"), NULL, NABLA_MALFORMED, "row 2, column 2: the quote is never closed",
     "a quote never closed"},
    {TEXT("a,y\n1,0\n2,\"1\"\"\n"), NULL, NABLA_MALFORMED, "the quote is never closed",
     "a doubled quote at the end"},
    {TEXT("a,y\n\"1\"x,0\n2,1\n"), NULL, NABLA_MALFORMED,
     "row 1, column 1: something follows the closing quote", "text behind a quote"},
    {TEXT("a,y\n1,0\n2,b\"c\"\n"), NULL, NABLA_MALFORMED, "row 2, column 2: a quote stands within a cell",
     "a quote within"},
    {TEXT("a,\"y\n1,0\n"), NULL, NABLA_INVALID, "no rows", "a header never closed"},
    {TEXT("a,b,y\n1,2,0\n3,4,1\n"), "z", NABLA_INVALID,
     "there is no column \"z\" to be the label; the columns are a, b, y", "an unknown label"},
    {TEXT("a,b,y\n1,2,0\n3,4,1\n"), "", NABLA_INVALID, "there is no column \"\"", "an empty label name"},
};

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct nabla_error err = {0};
        struct dataset *dataset = NULL;
        enum nabla_code code =
            read_exact(refused[i].text, refused[i].size, refused[i].label, &roomy, &dataset, &err);
        if (code != refused[i].code || err.code != code || !strstr(err.text, refused[i].error))
            fail_msg("%s: %s, %s", refused[i].comment, nabla_code_name(code), err.text);
        assert_null(dataset);
    }
}

static const struct {
    struct dataset_limits limits;
    const char *error; // NULL: no breach
} limited[] = {
    {{3, 2, 2, 24}, NULL},
    {{2, 2, 2, 24}, "3 rows, the limit max_dataset_rows is 2"},
    {{3, 1, 2, 24}, "2 features, the limit max_dataset_columns is 1"},
    {{3, 2, 1, 24}, "row 2: the labels have more than 1 classes, the limit max_dataset_classes"},
    {{3, 2, 2, 23}, "24 bytes of features, the limit max_dataset_bytes is 23"},
};

static void limits_are_held_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(limited); i++) {
        struct nabla_error err = {0};
        struct dataset *dataset = NULL;
        enum nabla_code code =
            read_exact(TEXT("a,b,y\n1,2,0\n3,4,1\n5,6,1\n"), NULL, &limited[i].limits, &dataset, &err);
        assert_int_equal(code, limited[i].error ? NABLA_LIMIT : NABLA_OK);
        if (limited[i].error && !strstr(err.text, limited[i].error))
            fail_msg("%s", err.text);
        dataset_free(dataset);
    }
}

// Every head of a text is read or refused, never read beyond (the sanitizer watches).
static void every_cut_is_survived(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf\"a\"\"b\",\"y\"\r\n1.5e3,\"u\nv\"\r\n-2,\"\xc3\xa9,\"\"\"\r\n";
    for (size_t size = 0; size < sizeof text; size++) {
        struct nabla_error err = {0};
        struct dataset *dataset = NULL;
        enum nabla_code code = read_exact(text, size, NULL, &roomy, &dataset, &err);
        assert_true(code == NABLA_OK ? dataset != NULL : dataset == NULL && err.code == code);
        dataset_free(dataset);
    }
}

static void huge_cells_are_read_or_shown_in_brief(void **state)
{
    (void)state;
    enum { HUGE = 1 << 20 };
    struct buffer text = buffer_new(3 * HUGE);
    buffer_text(&text, "a,y\n");
    char *digits = buffer_reserve(&text, HUGE);
    memset(digits, '0', HUGE);
    text.size += HUGE;
    buffer_text(&text, "1.5,u\n2,v\n");
    struct dataset *dataset = read_good(text.data, text.size, NULL);
    assert_true(dataset->features[0] == 1.5f);
    dataset_free(dataset);
    memset(text.data + 4, 'x', HUGE);
    struct nabla_error err = {0};
    assert_int_equal(csv_read(text.data, text.size, NULL, &roomy, &dataset, &err), NABLA_INVALID);
    assert_non_null(strstr(err.text, "row 1, column 1 (a): expected a number, found \"xxxx"));
    assert_non_null(strstr(err.text, "…"));
    buffer_free(&text);
}

static struct dataset *read_example(const char *path, const char *label)
{
    struct buffer text = buffer_new(1 << 20);
    struct nabla_error err = {0};
    if (file_read(path, &text, &err))
        fail_msg("%s", err.text);
    struct dataset *dataset = read_good(text.data, text.size, label);
    buffer_free(&text);
    return dataset;
}

static void iris_is_what_fisher_measured(void **state)
{
    (void)state;
    static const double means[] = {5.843333, 3.057333, 3.758, 1.199333};
    static const double stds[] = {0.8253013, 0.4344110, 1.7594041, 0.7596926};
    static const double highest[] = {7.9, 4.4, 6.9, 2.5};
    struct dataset *iris = read_example("examples/data/iris.csv", "label");
    assert_true(iris->rows == 150 && iris->columns == 4 && iris->classes == 3);
    size_t counts[3];
    struct feature_summary s[4];
    dataset_class_counts(iris, counts);
    dataset_summarize(iris, s);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(counts[i], 50);
    for (size_t j = 0; j < 4; j++) {
        assert_true(fabs(s[j].mean - means[j]) < 1e-5 && fabs(s[j].std - stds[j]) < 1e-5);
        assert_true(fabs(s[j].max - highest[j]) < 1e-6 && s[j].missing == 0);
    }
    assert_string_equal(iris->class_names[0], "setosa");
    assert_string_equal(iris->class_names[2], "virginica");
    assert_string_equal(iris->feature_names[3], "petal_width_cm");
    dataset_free(iris);
}

static void the_other_examples_have_their_sizes_and_classes(void **state)
{
    (void)state;
    static const size_t digit_counts[] = {178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
    size_t counts[10];
    struct dataset *digits = read_example("examples/data/digits.csv", NULL);
    assert_true(digits->rows == 1797 && digits->columns == 64 && digits->classes == 10);
    dataset_class_counts(digits, counts);
    assert_memory_equal(counts, digit_counts, sizeof counts);
    dataset_free(digits);
    struct dataset *cancer = read_example("examples/data/breast_cancer.csv", NULL);
    assert_true(cancer->rows == 569 && cancer->columns == 30 && cancer->classes == 2);
    dataset_class_counts(cancer, counts);
    assert_true(counts[0] == 357 && counts[1] == 212);
    assert_string_equal(cancer->class_names[0], "benign");
    assert_true(cancer->features[0] == 17.99f && cancer->features[568 * 30 + 3] == 181);
    dataset_free(cancer);
}

static void assert_same(const struct dataset *a, const struct dataset *b)
{
    assert_true(a->rows == b->rows && a->columns == b->columns && a->classes == b->classes);
    assert_memory_equal(a->features, b->features, a->rows * a->columns * sizeof *a->features);
    assert_memory_equal(a->ids, b->ids, a->rows * sizeof *a->ids);
    for (size_t j = 0; j < a->columns; j++)
        assert_string_equal(a->feature_names[j], b->feature_names[j]);
    for (size_t i = 0; i < a->classes; i++)
        assert_string_equal(a->class_names[i], b->class_names[i]);
    assert_string_equal(a->label_name, b->label_name);
}

static void assert_reads_back(struct dataset *dataset)
{
    struct buffer text = buffer_new(1 << 20);
    assert_int_equal(csv_write(dataset, &text, NULL), NABLA_OK);
    struct dataset *again = read_good(text.data, text.size, NULL);
    assert_same(dataset, again);
    dataset_free(again);
    dataset_free(dataset);
    buffer_free(&text);
}

static void what_is_written_reads_back_the_same(void **state)
{
    (void)state;
    assert_reads_back(read_example("examples/data/iris.csv", NULL));
    assert_reads_back(read_example("examples/data/breast_cancer.csv", NULL));
    assert_reads_back(read_good(TEXT("\"a \"\"q\"\"\",\" b\",\"c,d\",y\n1e-45,-0,3.4028235e38,\"u\nv\"\n"
                                     "0.1,16777217,1e-40,\" w \"\n"),
                                NULL));
    assert_reads_back(read_good(TEXT("y,x\n-5,1\n10,2\n9,3\n"), "y"));
}

static void targets_are_written_in_their_columns(void **state)
{
    (void)state;
    static const float features[] = {1, NAN}, targets[] = {0.5f, 2, -1, INFINITY};
    struct dataset *dataset;
    struct buffer text = buffer_new(1000);
    assert_int_equal(dataset_new_targets(2, 1, 2, &dataset, NULL), NABLA_OK);
    memcpy(dataset->features, features, sizeof features);
    memcpy(dataset->targets, targets, sizeof targets);
    assert_int_equal(dataset_fill_names(dataset, NULL), NABLA_OK);
    assert_int_equal(csv_write(dataset, &text, NULL), NABLA_OK);
    assert_string_equal(text.data, "x0,label_0,label_1\n1,0.5,2\nNaN,-1,Infinity\n");
    dataset_free(dataset);
    buffer_free(&text);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    struct nabla_error err;
    struct buffer text = buffer_new(40);
    struct dataset *dataset =
        read_good(TEXT("a,y\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n7,1\n8,1\n9,1\n10,1\n"), NULL);
    assert_int_equal(csv_write(dataset, &text, &err), NABLA_LIMIT);
    dataset_free(dataset);
    buffer_free(&text);
}

#define TABLE                                                                                                \
    "age,city,w,price,ok,fun\n1,Bern,1,2.5,0,1\n2,\"Rome\",2,3,1,1\n3,\"Bern\",0,4,0,0\n4,\"a "              \
    "\"\"b\"\"\",1,1,1,0\n"

static const struct {
    const char *comment, *text;
    struct csv_roles roles;
    size_t columns, classes, outputs;
    const char *names;  // of features and label
    float weight, last; // of the second row; the last row's last feature. 0 without weights
} roles_taken[] = {
    {"a text becomes a column for each of its values, in byte order",
     TABLE,
     {.one_hot = true, .label = "ok"},
     7,
     2,
     0,
     "age;city=Bern;city=Rome;city=a \"b\";w;price;fun;ok",
     0,
     0},
    {"several labels are targets in their order",
     TABLE,
     {.one_hot = true, .labels = "fun,ok", .weight = "w"},
     5,
     0,
     2,
     "age;city=Bern;city=Rome;city=a \"b\";price;fun,ok",
     2,
     1},
    {"numbers that are not all whole are a target", "a,b\n1,0.5\n2,1\n", {0}, 1, 0, 1, "a;b", 0, 2},
    {"whole numbers are classes, however written", "a,b\n1,1.0\n2,2.0\n", {0}, 1, 2, 0, "a;b", 0, 2},
    {"unless they are to be a target", "a,b\n1,1\n2,1\n", {.task = CSV_REGRESSION}, 1, 0, 1, "a;b", 0, 2},
    {"any numbers can be classes", "a,b\n1,0.5\n2,1\n", {.task = CSV_CLASSIFICATION}, 1, 2, 0, "a;b", 0, 2},
    {"a single label may be one of many", "a,b\n1,0\n2,1\n", {.task = CSV_MULTI_LABEL}, 1, 0, 1, "a;b", 0, 2},
    {"a name with a comma is one column", "a,\"b,c\"\n1,x\n2,y\n", {.label = "b,c"}, 1, 2, 0, "a;b,c", 0, 2},
    {"the last column is a weight: the label is before it",
     "a,b,w\n1,x,1\n2,y,3\n",
     {.weight = "w"},
     1,
     2,
     0,
     "a;b",
     3,
     2},
    {"numbers stay numbers where texts are asked for",
     "a,b\n1,x\n2,y\n",
     {.one_hot = true},
     1,
     2,
     0,
     "a;b",
     0,
     2},
    {"a column with one text is text", "a,b\n1,x\nz,y\n", {.one_hot = true}, 2, 2, 0, "a=1;a=z;b", 0, 1},
};

static void columns_have_roles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof roles_taken / sizeof *roles_taken; i++) {
        struct dataset *d;
        struct nabla_error err;
        struct buffer names = buffer_new(1000);
        print_message("%s\n", roles_taken[i].comment);
        if (csv_read(roles_taken[i].text, strlen(roles_taken[i].text), &roles_taken[i].roles, &roomy, &d,
                     &err))
            fail_msg("%s", err.text);
        for (size_t j = 0; j < d->columns; j++)
            buffer_format(&names, "%s;", d->feature_names[j]);
        buffer_text(&names, d->label_name);
        assert_string_equal(names.data, roles_taken[i].names);
        assert_true(d->columns == roles_taken[i].columns && d->classes == roles_taken[i].classes &&
                    d->outputs == roles_taken[i].outputs);
        assert_true(roles_taken[i].weight > 0 ? d->weights[1] == roles_taken[i].weight : !d->weights);
        assert_true(d->features[d->rows * d->columns - 1] == roles_taken[i].last);
        buffer_free(&names);
        dataset_free(d);
    }
}

static void texts_and_targets_have_their_places(void **state)
{
    (void)state;
    static const float features[] = {1, 1, 0, 0, 2.5F, 2, 0, 1, 0, 3, 3, 1, 0, 0, 4, 4, 0, 0, 1, 1};
    static const float targets[] = {1, 0, 1, 1, 0, 0, 0, 1};
    const struct csv_roles roles = {.one_hot = true, .labels = "fun,ok", .weight = "w"};
    struct buffer text = buffer_new(1000);
    struct dataset *d;
    assert_int_equal(csv_read(TABLE, strlen(TABLE), &roles, &roomy, &d, NULL), NABLA_OK);
    assert_memory_equal(d->features, features, sizeof features);
    assert_memory_equal(d->targets, targets, sizeof targets);
    assert_int_equal(csv_write(d, &text, NULL), NABLA_OK);
    assert_ptr_equal(strstr(text.data, "age,city=Bern,city=Rome,\"city=a \"\"b\"\"\",price,fun,ok\n"),
                     text.data);
    assert_non_null(strstr(text.data, "\n1,1,0,0,2.5,1,0\n2,"));
    buffer_free(&text);
    dataset_free(d);
}

static const struct {
    const char *comment, *text;
    struct csv_roles roles;
    enum nabla_code code;
    const char *says;
} roles_refused[] = {
    {"text",
     TABLE,
     {.label = "ok"},
     NABLA_INVALID,
     "row 1, column 2 (city): expected a number, found \"Bern\""},
    {"no such target", TABLE, {.labels = "ok,no"}, NABLA_INVALID, "no column \"no\" to be the label"},
    {"an empty target", TABLE, {.labels = "ok,"}, NABLA_INVALID, "no column \"\" to be the label"},
    {"a target twice", TABLE, {.labels = "ok,ok"}, NABLA_INVALID, "\"ok\" cannot be two things at once"},
    {"no such weight", TABLE, {.weight = "no"}, NABLA_INVALID, "no column \"no\" to be the weight"},
    {"a weight that is the label",
     TABLE,
     {.label = "ok", .weight = "ok"},
     NABLA_INVALID,
     "two things at once"},
    {"a weight below 0",
     "a,w,b\n1,-1,x\n2,1,y\n",
     {.weight = "w"},
     NABLA_INVALID,
     "row 1, column 2 (w): expected a number of at least 0, found \"-1\""},
    {"a weight that is a text",
     "a,w,b\n1,1,x\n2,q,y\n",
     {.weight = "w", .one_hot = true},
     NABLA_INVALID,
     "row 2, column 2 (w): expected a number, found \"q\""},
    {"a target that is a text",
     TABLE,
     {.labels = "city,ok"},
     NABLA_INVALID,
     "column 2 (city): expected a number"},
    {"neither 0 nor 1",
     TABLE,
     {.labels = "price,ok", .task = CSV_MULTI_LABEL, .one_hot = true},
     NABLA_INVALID,
     "row 1, column 4 (price): expected 0 or 1, found \"2.5\""},
    {"several columns of classes",
     TABLE,
     {.labels = "fun,ok", .task = CSV_CLASSIFICATION},
     NABLA_INVALID,
     "one label column"},
    {"nothing left",
     "a,b\n1,0.5\n2,1\n",
     {.labels = "a,b"},
     NABLA_INVALID,
     "no column is left to be a feature"},
    {"a missing text",
     "a,b\nx,0\n,1\n",
     {.one_hot = true},
     NABLA_INVALID,
     "row 2, column 1 (a): expected a text, found an empty cell"},
    {"a missing number",
     "a,b\n1,0\n,1\n",
     {.one_hot = true},
     NABLA_INVALID,
     "row 2, column 1 (a): expected a number, found an empty cell"},
    {"a word for a missing number",
     "a,b\n1,0\nNA,1\n",
     {.one_hot = true},
     NABLA_INVALID,
     "row 2, column 1 (a): expected a finite number, found \"NA\""},
    {"more texts than columns are allowed",
     "a,b\nu,0\nv,1\nw,0\nx,1\n",
     {.one_hot = true},
     NABLA_INVALID,
     "row 4, column 1 (a): expected no more different texts than the limit max_dataset_columns, found \"x\""},
    {"more columns than are allowed in all",
     "a,c,b\nu,r,0\nv,s,1\n",
     {.one_hot = true},
     NABLA_LIMIT,
     "max_dataset_columns"},
};

static void bad_roles_are_refused(void **state)
{
    (void)state;
    struct dataset_limits narrow = roomy;
    for (size_t i = 0; i < sizeof roles_refused / sizeof *roles_refused; i++) {
        struct dataset *d = NULL;
        struct nabla_error err = {0};
        narrow.columns = strstr(roles_refused[i].comment, "allowed") ? 3 : roomy.columns;
        enum nabla_code code = csv_read(roles_refused[i].text, strlen(roles_refused[i].text),
                                        &roles_refused[i].roles, &narrow, &d, &err);
        if (code != roles_refused[i].code || !strstr(err.text, roles_refused[i].says) || d)
            fail_msg("%s: %s, \"%s\"", roles_refused[i].comment, nabla_code_name(code), err.text);
    }
}

// The limit itself, and each of the texts once more.
static void as_many_texts_as_columns_are_allowed_are_taken(void **state)
{
    (void)state;
    const char text[] = "a,b\nu,0\nv,1\nw,0\nv,1\nu,1\nw,0\n";
    const struct csv_roles roles = {.one_hot = true};
    struct dataset_limits exact = roomy;
    exact.columns = 3;
    struct dataset *d = NULL;
    struct nabla_error err = {0};
    if (csv_read(text, strlen(text), &roles, &exact, &d, &err))
        fail_msg("%s", err.text);
    assert_int_equal(d->columns, 3);
    dataset_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_table_reads_the_same_however_written),
        cmocka_unit_test(quotes_hold_commas_newlines_and_quotes),
        cmocka_unit_test(classes_are_ordered),
        cmocka_unit_test(the_label_may_stand_anywhere),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(limits_are_held_and_named),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(huge_cells_are_read_or_shown_in_brief),
        cmocka_unit_test(iris_is_what_fisher_measured),
        cmocka_unit_test(the_other_examples_have_their_sizes_and_classes),
        cmocka_unit_test(what_is_written_reads_back_the_same),
        cmocka_unit_test(targets_are_written_in_their_columns),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(columns_have_roles),
        cmocka_unit_test(texts_and_targets_have_their_places),
        cmocka_unit_test(bad_roles_are_refused),
        cmocka_unit_test(as_many_texts_as_columns_are_allowed_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
