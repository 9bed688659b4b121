#include "train/dead_units.h"

#include "math/vectorised.h"

#include <math.h>
#include <string.h>

struct dead_units dead_units_new(void)
{
    return (struct dead_units){.fraction = NAN};
}

// A NaN is not flat: it lives, and is counted elsewhere.
static VECTORISED void look_at_rows(float *restrict lived, const float *restrict x, size_t rows, size_t units,
                                    float below, float above)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < units; j++) {
            const float value = x[i * units + j];
            lived[j] = value <= below || value >= above ? lived[j] : 1;
        }
}

// Where all have lived there is nothing left to see in this window.
void dead_units_look(struct dead_units *watch, float *lived, const float *x, size_t rows, size_t units,
                     float below, float above)
{
    if (watch->living < (double)units) {
        look_at_rows(lived, x, rows, units, below, above);
        watch->living = 0;
        for (size_t j = 0; j < units; j++)
            watch->living += (double)lived[j];
    }
    watch->steps++;
    if (watch->steps < DEAD_WINDOW)
        return;
    *watch = (struct dead_units){.fraction = 1 - watch->living / (double)units};
    memset(lived, 0, units * sizeof *lived);
}

double dead_units_fraction(const struct dead_units *watch, size_t units)
{
    return isnan(watch->fraction) ? 1 - watch->living / (double)units : watch->fraction;
}
