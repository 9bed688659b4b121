// Some tests go through thousands of cases, or large ones. Where NABLA_TESTS_SHORT is set (by make valgrind,
// under which a program takes 30 times as long), they do with a few of the same.
#ifndef NABLA_TESTS_SHORT_H
#define NABLA_TESTS_SHORT_H

#include <stddef.h>
#include <stdlib.h>

static inline size_t short_of(size_t usual, size_t few)
{
    return getenv("NABLA_TESTS_SHORT") ? few : usual;
}

#endif
