// Makes a matrix of full rank orthogonal, in place.
#ifndef NABLA_TRAIN_ORTHOGONAL_H
#define NABLA_TRAIN_ORTHOGONAL_H

#include "math/real.h"

#include <stddef.h>

// matrix, rows × columns: its columns (its rows, where it has fewer of them) become those of gain · Q of a QR
// factorisation whose R has a positive diagonal. Thread safety: pure function.
ENGINE void orthogonalize(real *matrix, size_t rows, size_t columns, double gain);

#endif
