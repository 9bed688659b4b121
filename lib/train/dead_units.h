// Which units of a layer have lived within a window of steps: had an output where their activation is not
// flat. All fields that later steps depend on are doubles, so that a checkpoint keeps them as they are.
// Thread safety: one watch, one thread.
#ifndef NABLA_TRAIN_DEAD_UNITS_H
#define NABLA_TRAIN_DEAD_UNITS_H

#include <stddef.h>

enum { DEAD_WINDOW = 100 }; // steps

struct dead_units {
    double steps;    // of this window so far
    double fraction; // dead in the window before; NaN: there was none
    double living;   // in this window
};

struct dead_units dead_units_new(void);
// A step: x is rows × units, flat where <= below or >= above (NaN: no such bound). `lived` has a number for
// each unit, 1 where it has, all 0 at first.
void dead_units_look(struct dead_units *watch, float *lived, const float *x, size_t rows, size_t units,
                     float below, float above);
double dead_units_fraction(const struct dead_units *watch, size_t units);

#endif
