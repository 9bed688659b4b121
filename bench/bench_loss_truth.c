// A million seeded rows in each type against 113-bit arithmetic: the largest deviations, in ulp, of ours and,
// on the same rows, of PyTorch and NumPy. Usage: bench_loss_truth [rows [python of the peers]]
#include "tests/loss_truth.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t seed = 88172645463325252u;
static const char *const dtypes[] = {"float32", "float64"};
static const char *const peers[] = {"torch", "numpy"};

static void report(enum nabla_dtype dtype, const char *who, const struct truth *truth)
{
    printf("%s (%s): %zu rows, %zu entries: loss %.3g ulp (at %g), gradient %.3g ulp (at %g)\n",
           dtypes[dtype], who, truth->rows, truth->entries, truth->loss_ulps, truth->worst_loss,
           truth->gradient_ulps, truth->worst_gradient);
}

// The next row, rounded to the dtype.
static size_t next_row(enum nabla_dtype dtype, uint64_t *state, double *x, size_t *ret_label)
{
    const size_t classes = truth_row(state, x, ret_label);
    for (size_t j = 0; dtype == NABLA_FLOAT32 && j < classes; j++)
        x[j] = (double)(float)x[j];
    return classes;
}

static void require(bool is_so, const char *what)
{
    if (is_so)
        return;
    perror(what);
    exit(1);
}

// Of each row: classes and label as 64-bit integers, then the logits as doubles.
static void write_rows(const char *path, enum nabla_dtype dtype, size_t rows)
{
    FILE *file = fopen(path, "wb");
    uint64_t state = seed;
    double x[TRUTH_MOST_CLASSES];
    require(file, path);
    for (size_t i = 0; i < rows; i++) {
        size_t label, classes = next_row(dtype, &state, x, &label);
        const int64_t head[2] = {(int64_t)classes, (int64_t)label};
        require(fwrite(head, sizeof head, 1, file) == 1 && fwrite(x, sizeof *x, classes, file) == classes,
                path);
    }
    require(fclose(file) == 0, path);
}

static void run_peer(const char *python, const char *peer, enum nabla_dtype dtype, const char *rows,
                     const char *answers)
{
    const pid_t child = fork();
    int status;
    if (child == 0) {
        execl(python, python, "bench/peers/loss_truth.py", peer, dtypes[dtype], rows, answers, (char *)NULL);
        _exit(127);
    }
    require(child > 0 && waitpid(child, &status, 0) == child && status == 0, python);
}

// Of each row: the loss, then the gradient, as doubles.
static struct truth read_answers(const char *path, enum nabla_dtype dtype, size_t rows)
{
    FILE *file = fopen(path, "rb");
    uint64_t state = seed;
    double x[TRUTH_MOST_CLASSES], loss, gradient[TRUTH_MOST_CLASSES];
    struct truth truth = {0};
    require(file, path);
    for (size_t i = 0; i < rows; i++) {
        size_t label, classes = next_row(dtype, &state, x, &label);
        require(fread(&loss, sizeof loss, 1, file) == 1 &&
                    fread(gradient, sizeof *gradient, classes, file) == classes,
                path);
        truth_compare(&truth, dtype, x, classes, label, loss, gradient);
    }
    fclose(file);
    return truth;
}

static void compare_peers(const char *python, enum nabla_dtype dtype, size_t rows)
{
    char folder[] = "/tmp/nabla-truth-XXXXXX", questions[64], answers[64];
    require(mkdtemp(folder), folder);
    snprintf(questions, sizeof questions, "%s/rows", folder);
    snprintf(answers, sizeof answers, "%s/answers", folder);
    write_rows(questions, dtype, rows);
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        run_peer(python, peers[i], dtype, questions, answers);
        const struct truth truth = read_answers(answers, dtype, rows);
        report(dtype, peers[i], &truth);
        unlink(answers);
    }
    unlink(questions);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    const size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    bool is_true = true;
    for (int dtype = NABLA_FLOAT32; dtype <= NABLA_FLOAT64; dtype++) {
        const struct truth truth = truth_run((enum nabla_dtype)dtype, rows, seed);
        report((enum nabla_dtype)dtype, nabla_loss_kernel_name(), &truth);
        is_true = is_true && truth.loss_ulps <= 2 && truth.gradient_ulps <= 4;
        if (argc > 2)
            compare_peers(argv[2], (enum nabla_dtype)dtype, rows);
    }
    return is_true ? 0 : 1;
}
