#include "base/stats.h"

#include <string.h>

#define STAT_ROW(id, name, unit, description) {#name, (unit), (description)},

const struct stat_info network_stats[NETWORK_STAT_COUNT] = {NETWORK_STATS(STAT_ROW)};
const struct stat_info layer_stats[LAYER_STAT_COUNT] = {LAYER_STATS(STAT_ROW)};

_Static_assert(NETWORK_STAT_COUNT <= 32 && LAYER_STAT_COUNT <= 32, "a record's mask has 32 bits");

int stat_find(const struct stat_info *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return (int)i;
    return -1;
}
