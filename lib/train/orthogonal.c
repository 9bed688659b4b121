// Modified Gram–Schmidt, twice: the second time over mends what rounding left (W. Kahan's "twice is enough").
// Sums are in double. Columns are worked on a block at a time, so that memory is read along the rows.
#include "train/orthogonal.h"

#include <math.h>

enum { COLUMN_BLOCK = 64 };

// Scales `count` numbers, `stride` apart, to length 1.
static void normalize(real *x, size_t count, size_t stride)
{
    double square = 0;
    for (size_t i = 0; i < count; i++)
        square += (double)x[i * stride] * (double)x[i * stride];
    const double factor = square > 0 ? 1 / sqrt(square) : 0;
    for (size_t i = 0; i < count; i++)
        x[i * stride] = (real)(factor * (double)x[i * stride]);
}

// Takes what it has of the unit row `base` out of the row x.
static void project_row(real *x, const real *base, size_t columns)
{
    double part = 0;
    for (size_t j = 0; j < columns; j++)
        part += (double)x[j] * (double)base[j];
    for (size_t j = 0; j < columns; j++)
        x[j] = (real)((double)x[j] - part * (double)base[j]);
}

static void orthonormalize_rows(real *matrix, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++) {
        normalize(matrix + i * columns, columns, 1);
        for (size_t k = i + 1; k < rows; k++)
            project_row(matrix + k * columns, matrix + i * columns, columns);
    }
}

// The same for `count` columns from `first` on against the unit column `base`.
static void project_columns(real *matrix, size_t rows, size_t columns, size_t base, size_t first,
                            size_t count)
{
    double parts[COLUMN_BLOCK] = {0};
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < count; k++)
            parts[k] += (double)matrix[i * columns + base] * (double)matrix[i * columns + first + k];
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < count; k++) {
            real *x = &matrix[i * columns + first + k];
            *x = (real)((double)*x - parts[k] * (double)matrix[i * columns + base]);
        }
}

static void orthonormalize_columns(real *matrix, size_t rows, size_t columns)
{
    for (size_t j = 0; j < columns; j++) {
        normalize(matrix + j, rows, columns);
        for (size_t k = j + 1; k < columns; k += COLUMN_BLOCK) {
            size_t left = columns - k;
            project_columns(matrix, rows, columns, j, k, left < COLUMN_BLOCK ? left : COLUMN_BLOCK);
        }
    }
}

ENGINE void orthogonalize(real *matrix, size_t rows, size_t columns, double gain)
{
    for (int pass = 0; pass < 2; pass++)
        if (rows < columns)
            orthonormalize_rows(matrix, rows, columns);
        else
            orthonormalize_columns(matrix, rows, columns);
    for (size_t i = 0; i < rows * columns; i++)
        matrix[i] = (real)(gain * (double)matrix[i]);
}
