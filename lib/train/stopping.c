#include "train/stopping.h"

static bool grows(enum monitor monitor) // more is better
{
    return monitor == MONITOR_ACCURACY || monitor == MONITOR_VALIDATION_ACCURACY;
}

static bool is_better(const struct early_stopping *stopping, double value, double best)
{
    return grows(stopping->monitor) ? value - stopping->min_delta > best : value + stopping->min_delta < best;
}

// The first epoch's figure, unless it is NaN, is better than none.
bool stopping_epoch(const struct early_stopping *stopping, struct stopping_state *state, uint64_t epoch,
                    double value)
{
    if ((double)epoch <= stopping->start_from_epoch)
        return false;
    const bool first = state->best_epoch == 0;
    if (first)
        state->best = grows(stopping->monitor) ? -__builtin_inf() : __builtin_inf();
    const bool better = is_better(stopping, value, state->best);
    if (better) {
        state->best = value;
        state->waited = 0;
    } else if (++state->waited >= stopping->patience && epoch > 1)
        state->is_over = true;
    if (better || first)
        state->best_epoch = epoch;
    return better || first;
}
