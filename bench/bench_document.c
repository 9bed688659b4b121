// Bulk numbers as JSON text: read into a matrix and written from one, in MB of text a second. One thread.
#include "api/bulk.h"
#include "api/write.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 7, SIDE = 1000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// The same numbers at every run: about normal, as logits are.
static double next_normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        sum += (double)(*state >> 11) * 0x1p-53;
    }
    return sum;
}

static const struct {
    const char *name;
    double scale; // numbers are rounded to multiples of 1/scale; 0 for not at all
    bool is_float;
} kinds[] = {
    {"float64, 17 digits", 0, false},
    {"float32, 9 digits", 0, true},
    {"4 decimals", 1e4, false},
    {"integers", 1, false},
};

static double round_to(double value, double scale)
{
    return scale == 0 ? value : round(value * (scale == 1 ? 100 : scale)) / scale;
}

static void write_rows(struct buffer *text, const double *values, const float *floats)
{
    text->size = 0;
    buffer_text(text, "{\"x\":[");
    for (size_t i = 0; i < SIDE; i++) {
        if (i > 0)
            buffer_char(text, ',');
        if (floats)
            write_floats(text, floats + i * SIDE, SIDE, false);
        else
            write_doubles(text, values + i * SIDE, SIDE, false);
    }
    buffer_text(text, "]}");
}

static void read_rows(const struct buffer *text)
{
    struct bulk bulk = {.pointer = "/x"};
    struct buffer rest = buffer_new(1000);
    struct nabla_error err;
    if (bulk_lift(text->data, text->size, &bulk, 1, &rest, &err))
        fprintf(stderr, "%s\n", err.text);
    bulk_free(&bulk, 1);
    buffer_free(&rest);
}

static void measure(size_t kind, double *values, float *floats)
{
    struct buffer text = buffer_new(SIZE_MAX);
    double best_write = INFINITY, best_read = INFINITY;
    uint64_t state = 1;
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
        values[i] = round_to(next_normal(&state), kinds[kind].scale);
        floats[i] = (float)values[i];
    }
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        write_rows(&text, values, kinds[kind].is_float ? floats : NULL);
        double written = now();
        read_rows(&text);
        best_write = fmin(best_write, written - start);
        best_read = fmin(best_read, now() - written);
    }
    double megabytes = (double)text.size * 1e-6, count = (double)SIDE * SIDE;
    printf("%-20s %5.1f MB: read %6.0f MB/s, %5.1f ns a number; write %6.0f MB/s, %5.1f ns a number\n",
           kinds[kind].name, megabytes, megabytes / best_read, best_read / count * 1e9,
           megabytes / best_write, best_write / count * 1e9);
    buffer_free(&text);
}

int main(void)
{
    double *values = malloc(sizeof *values * SIDE * SIDE);
    float *floats = malloc(sizeof *floats * SIDE * SIDE);
    for (size_t kind = 0; values && floats && kind < sizeof kinds / sizeof *kinds; kind++)
        measure(kind, values, floats);
    free(values);
    free(floats);
    return 0;
}
