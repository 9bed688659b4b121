// Numbers as JSON text straight into a buffer: the shortest text that reads back to the same bits. What JSON
// lacks becomes the string "NaN", "Infinity" or "-Infinity", or null where the client asked for nulls.
#ifndef NABLA_API_WRITE_H
#define NABLA_API_WRITE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void write_double(struct buffer *buffer, double value, bool nonfinite_as_null);
void write_float(struct buffer *buffer, float value, bool nonfinite_as_null);
void write_whole(struct buffer *buffer, uint64_t value);

// "[1,2.5,"NaN"]"
void write_doubles(struct buffer *buffer, const double *values, size_t count, bool nonfinite_as_null);
void write_floats(struct buffer *buffer, const float *values, size_t count, bool nonfinite_as_null);

#endif
